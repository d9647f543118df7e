//! Opening a session: S1 to S3.

use rand_core::CryptoRng;
use serde::{Deserialize, Serialize};

use super::{DEFAULT_WINDOW, OPEN_ROUND, Peer, Session, Stage, abort::clean, gather::Want};
use crate::{
    Counters, Limits, Misuse, Parameters, Protocol, Roster, SessionError, Transport,
    error::{Cause, Violation},
    frame::{Kind, NO_SESSION, round_tag},
    parameters::{MAX_FIELD_NAME, MAX_FIELD_VALUE, MAX_FIELDS, MAX_PROTOCOL_NAME},
    transcript::{Transcript, identities_hash, names_hash, session_id},
};

/// Greatest length of a greeting: names, values and their lengths, hashes, nonce.
const MAX_HELLO_BYTES: usize = MAX_FIELDS * (MAX_FIELD_NAME + MAX_FIELD_VALUE + 8) + MAX_PROTOCOL_NAME + 128;

/// S1: what a party announces before there is a session id.
#[derive(Debug, Serialize, Deserialize)]
struct Hello {
    protocol: String,
    version: u16,
    names: [u8; 32],
    identities: [u8; 32],
    parameters: Vec<(String, String)>,
    nonce: [u8; 32],
}

impl<T: Transport> Session<T> {
    /// Opens a session with every party of the transport's roster. The parties compare protocol, version, roster and
    /// parameters, exchange nonces and derive the session id. Returns when all parties have confirmed the id.
    ///
    /// A transport can carry one session after another. Frames left over from an earlier session are skipped. After a
    /// failed `open` a greeting may be left over, which looks like a fresh one. Use a new connection then.
    ///
    /// # Errors
    /// [`Cause::Differs`] for each party that was started with other settings, with the field that differs; a party
    /// that does not answer within [`Limits::open_timeout`], breaks the protocol or aborts;
    /// [`SessionError::EchoMismatch`] if parties received different nonces; [`Misuse::Parameters`].
    pub fn open(
        transport: T,
        protocol: Protocol,
        parameters: &Parameters,
        limits: Limits,
        rng: &mut impl CryptoRng,
    ) -> Result<Self, SessionError> {
        parameters.validate()?;
        if protocol.name.len() > MAX_PROTOCOL_NAME {
            return Err(
                Misuse::Parameters(format!("the protocol's name is over {MAX_PROTOCOL_NAME} bytes")).into()
            );
        }
        let roster = transport.roster().clone();
        let parties = roster.len();
        let mut session = Self {
            transport,
            protocol,
            parameters: parameters.clone(),
            limits,
            stage: Stage::Hello,
            closed: false,
            id: NO_SESSION,
            transcript: Transcript::none(),
            step: 0,
            peers: vec![Peer::default(); parties],
            failed: Vec::new(),
            failures: Vec::new(),
            window: DEFAULT_WINDOW,
            counters: Counters::new(parties),
            roster,
        };
        let mut nonce = [0; 32];
        rng.fill_bytes(&mut nonce);
        let mine = Hello {
            protocol: protocol.name.to_owned(),
            version: protocol.version,
            names: names_hash(&session.roster),
            identities: identities_hash(&session.roster),
            parameters: parameters.as_slice().to_vec(),
            nonce,
        };
        let nonces = session.greet(&mine)?;
        session.id = session_id(protocol, parameters, &session.roster, &nonces);
        session.transcript = Transcript::new(&session.id);
        session.stage = Stage::Echo;
        session.echo(OPEN_ROUND, session.limits.open_timeout)?;
        session.stage = Stage::Open;
        Ok(session)
    }

    /// S1: exchanges greetings, and returns the nonces of all parties in roster order.
    fn greet(&mut self, mine: &Hello) -> Result<Vec<[u8; 32]>, SessionError> {
        let step = self.next_step()?;
        let mut frame = self.header(Kind::Hello, step, OPEN_ROUND).encode().to_vec();
        let payload = postcard::to_stdvec(mine).map_err(|_| Misuse::Unencodable { round: OPEN_ROUND })?;
        frame.extend_from_slice(&payload);
        let unsent = self.send_to_all(OPEN_ROUND, &frame)?;

        let mut nonces = vec![[0; 32]; self.roster.len()];
        nonces[self.me().index()] = mine.nonce;
        let want = Want {
            round: OPEN_ROUND,
            tag: round_tag(OPEN_ROUND),
            kind: Kind::Hello,
            step,
            transcript: self.transcript,
            timeout: self.limits.open_timeout,
            max_payload: &|_| MAX_HELLO_BYTES,
        };
        let roster = self.roster.clone();
        self.gather_all(&want, roster.others().collect(), unsent, &mut |from, header, payload| {
            let Ok((theirs, [])) = postcard::take_from_bytes::<Hello>(payload) else {
                return Err(Violation::Undecodable.into());
            };
            compare(mine, &theirs, &roster)?;
            if header.sender != from {
                return Err(Violation::WrongSender { claimed: header.sender }.into());
            }
            nonces[from.index()] = theirs.nonce;
            Ok(())
        })?;
        Ok(nonces)
    }
}

/// S1: names the first field in which the peer differs.
fn compare(mine: &Hello, theirs: &Hello, roster: &Roster) -> Result<(), Cause> {
    let differs = |field: &str, mine: &str, theirs: &str| {
        Err(Cause::Differs { field: clean(field), mine: clean(mine), theirs: clean(theirs) })
    };
    if mine.protocol != theirs.protocol {
        return differs("protocol", &mine.protocol, &theirs.protocol);
    }
    if mine.version != theirs.version {
        return differs("version", &mine.version.to_string(), &theirs.version.to_string());
    }
    if mine.names != theirs.names {
        let names: Vec<&str> = roster.parties().map(|party| roster.name(party)).collect();
        return differs("roster", &names.join(", "), "other names or another order");
    }
    if mine.identities != theirs.identities {
        return differs("channel identities", "those of its roster", "others");
    }
    for (index, (name, value)) in mine.parameters.iter().enumerate() {
        let field = format!("parameter {name}");
        match theirs.parameters.get(index) {
            Some((other, _)) if other != name => return differs(&field, value, &format!("a field {other}")),
            Some((_, other)) if other != value => return differs(&field, value, other),
            Some(_) => {}
            None => return differs(&field, value, "no such field"),
        }
    }
    match theirs.parameters.get(mine.parameters.len()) {
        Some((name, value)) => differs(&format!("parameter {name}"), "no such field", value),
        None => Ok(()),
    }
}
