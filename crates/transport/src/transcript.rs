//! Hashes that are equal at all parties: the session id and the chain over broadcasts (S2, S5).

use sha2::{Digest, Sha256};

use crate::{Parameters, Protocol, Roster};

/// SHA-256 over fields with their lengths. Two different lists of fields never give the same bytes.
pub(crate) struct FieldHash(Sha256);

impl FieldHash {
    pub(crate) fn new(label: &str) -> Self {
        Self(Sha256::new()).field(label.as_bytes())
    }

    pub(crate) fn field(mut self, bytes: &[u8]) -> Self {
        self.0.update((bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
        self
    }

    pub(crate) fn number(self, number: u64) -> Self {
        self.field(&number.to_le_bytes())
    }

    pub(crate) fn finish(self) -> [u8; 32] {
        self.0.finalize().into()
    }
}

pub(crate) fn digest(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// Hash of the ordered names, by which parties compare their rosters.
pub(crate) fn names_hash(roster: &Roster) -> [u8; 32] {
    let start = FieldHash::new("subrosa roster names v1").number(roster.len() as u64);
    roster.parties().fold(start, |hash, party| hash.field(roster.name(party).as_bytes())).finish()
}

/// The hash of the ordered channel identities.
pub(crate) fn identities_hash(roster: &Roster) -> [u8; 32] {
    let start = FieldHash::new("subrosa roster identities v1").number(roster.len() as u64);
    roster.parties().fold(start, |hash, party| hash.field(roster.identity(party))).finish()
}

/// S2: the session id binds protocol, version, parameters, roster and all nonces.
pub(crate) fn session_id(
    protocol: Protocol,
    parameters: &Parameters,
    roster: &Roster,
    nonces: &[[u8; 32]],
) -> [u8; 32] {
    let mut hash = FieldHash::new("subrosa session v1")
        .field(protocol.name.as_bytes())
        .number(u64::from(protocol.version))
        .number(parameters.as_slice().len() as u64);
    for (name, value) in parameters.fields() {
        hash = hash.field(name.as_bytes()).field(value.as_bytes());
    }
    hash = hash.number(roster.len() as u64);
    for party in roster.parties() {
        hash = hash.field(roster.name(party).as_bytes()).field(roster.identity(party));
    }
    nonces.iter().fold(hash, |hash, nonce| hash.field(nonce)).finish()
}

/// S5: the chain over every broadcast so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Transcript([u8; 32]);

impl Transcript {
    pub(crate) fn new(session: &[u8; 32]) -> Self {
        Self(FieldHash::new("subrosa transcript v1").field(session).finish())
    }

    /// Before the session id is known.
    pub(crate) const fn none() -> Self {
        Self([0; 32])
    }

    pub(crate) const fn value(self) -> [u8; 32] {
        self.0
    }

    /// Adds the messages of one broadcast, by their digests in roster order; `None` for a party left out.
    pub(crate) fn absorb(
        &mut self,
        step: u32,
        round: &str,
        digests: impl ExactSizeIterator<Item = Option<[u8; 32]>>,
    ) {
        let mut hash = FieldHash::new("subrosa broadcast v1")
            .field(&self.0)
            .number(u64::from(step))
            .field(round.as_bytes())
            .number(digests.len() as u64);
        for digest in digests {
            // A party that is left out gives an empty field. No digest is empty.
            hash = hash.field(digest.as_ref().map_or(&[][..], |digest| digest));
        }
        self.0 = hash.finish();
    }
}
