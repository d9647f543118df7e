//! A party's policy: which decryptions it helps with.

use std::collections::BTreeMap;

use crate::DecryptionError;
use subrosa_encoding::Hasher;
use subrosa_paillier::Ciphertext;
use subrosa_transport::PartyId;

/// Why a policy refuses a request. The text is a phrase about the request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyRefusal {
    /// The policy does not name the party.
    #[error("it may not ask")]
    NotAllowed,
    /// The party asks for more ciphertexts than it may have decrypted in one session.
    #[error("{asked} ciphertexts after {used} are more than the {allowed} agreed for this session")]
    TooMany {
        /// Number that it asks for now.
        asked: usize,
        /// Number that it asked for before.
        used: usize,
        /// Number that it may ask for in all.
        allowed: usize,
    },
    /// A ciphertext is not in the declared batch, or is requested for the second time.
    #[error("ciphertext {index} is not in the declared batch, or was asked for before")]
    Undeclared {
        /// Its place in the request, from 0.
        index: usize,
    },
    /// The ledger belongs to another session.
    #[error("the ledger was opened for another session")]
    OtherSession,
}

/// Which parties may request partial decryptions from this party, and of which ciphertexts. A party that is not named
/// may request none.
///
/// A policy binds only the party that has it. t+1 other parties can decrypt without this party, so a rule holds only if
/// at least n − t parties keep it.
///
/// ```
/// use subrosa_threshold_decryption::{DecryptionPolicy, subrosa_transport::PartyId};
///
/// let (anna, bert) = (PartyId::new(0), PartyId::new(1));
/// let policy = DecryptionPolicy::nobody().allow_count(anna, 100);
/// let mut ledger = policy.ledger(&[7; 32]); // the id of this session
/// assert!(ledger.admit(&[7; 32], anna, &[]).is_ok());
/// assert!(ledger.admit(&[7; 32], bert, &[]).is_err());
/// ```
#[derive(Clone, Debug, Default)]
#[doc(alias = "access control")]
pub struct DecryptionPolicy {
    rules: BTreeMap<PartyId, Rule>,
}

#[derive(Clone, Debug)]
enum Rule {
    Count(usize),
    /// Number of further requests allowed for each ciphertext of the batch, by its fingerprint.
    Batch(BTreeMap<[u8; 32], usize>),
}

impl DecryptionPolicy {
    /// Creates a policy that allows nothing.
    pub fn nobody() -> Self {
        Self::default()
    }

    /// Lets `asker` have up to `count` ciphertexts of its choice decrypted in a session.
    #[must_use]
    pub fn allow_count(mut self, asker: PartyId, count: usize) -> Self {
        self.rules.insert(asker, Rule::Count(count));
        self
    }

    /// Lets `asker` have exactly the ciphertexts of `batch` decrypted, each once.
    #[must_use]
    pub fn allow_batch<'a>(
        mut self,
        asker: PartyId,
        batch: impl IntoIterator<Item = &'a Ciphertext>,
    ) -> Self {
        let mut left = BTreeMap::new();
        for ciphertext in batch {
            *left.entry(fingerprint(ciphertext)).or_insert(0) += 1;
        }
        self.rules.insert(asker, Rule::Batch(left));
        self
    }

    /// Opens a ledger for the session with this id.
    pub fn ledger(&self, session: &[u8; 32]) -> Ledger {
        Ledger { session: *session, rules: self.rules.clone(), used: BTreeMap::new() }
    }
}

/// The requests to one party in one session, and the requests that are still allowed.
#[derive(Clone, Debug)]
pub struct Ledger {
    session: [u8; 32],
    rules: BTreeMap<PartyId, Rule>,
    used: BTreeMap<PartyId, usize>,
}

impl Ledger {
    /// Enters a request of `asker`, or refuses all of it.
    ///
    /// # Errors
    /// [`DecryptionError::Refused`] naming the asker.
    pub fn admit(
        &mut self,
        session: &[u8; 32],
        asker: PartyId,
        ciphertexts: &[Ciphertext],
    ) -> Result<(), DecryptionError> {
        self.admit_all(session, [(asker, ciphertexts)].into_iter())
    }

    /// Enters the requests of several parties, or refuses all of them.
    pub(crate) fn admit_all<'a>(
        &mut self,
        session: &[u8; 32],
        asked: impl Iterator<Item = (PartyId, &'a [Ciphertext])>,
    ) -> Result<(), DecryptionError> {
        let mut next = self.clone();
        for (asker, ciphertexts) in asked {
            let refused = |refusal| DecryptionError::Refused { asker, refusal };
            if *session != self.session {
                return Err(refused(PolicyRefusal::OtherSession));
            }
            next.enter(asker, ciphertexts).map_err(refused)?;
        }
        *self = next;
        Ok(())
    }

    fn enter(&mut self, asker: PartyId, ciphertexts: &[Ciphertext]) -> Result<(), PolicyRefusal> {
        let used = self.used.entry(asker).or_insert(0);
        let asked = ciphertexts.len();
        match self.rules.get_mut(&asker) {
            None => return Err(PolicyRefusal::NotAllowed),
            Some(Rule::Count(allowed)) => {
                if used.checked_add(asked).is_none_or(|sum| sum > *allowed) {
                    return Err(PolicyRefusal::TooMany { asked, used: *used, allowed: *allowed });
                }
            }
            Some(Rule::Batch(left)) => {
                for (index, ciphertext) in ciphertexts.iter().enumerate() {
                    match left.get_mut(&fingerprint(ciphertext)) {
                        Some(left) if *left > 0 => *left -= 1,
                        _ => return Err(PolicyRefusal::Undeclared { index }),
                    }
                }
            }
        }
        *used += asked;
        Ok(())
    }
}

fn fingerprint(ciphertext: &Ciphertext) -> [u8; 32] {
    Hasher::new("subrosa/threshold-decryption/policy", 1)
        .field("key", ciphertext.key_id().as_bytes())
        .uint("ciphertext", ciphertext.value())
        .finish()
}
