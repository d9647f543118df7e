//! Runs of key generation in which some parties deviate, and what the honest ones must end with.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;

use super::deviant;
use super::rushing::{KIND, Rushing};
use super::script::Script;
use subrosa_distributed_paillier::{
    KeyShare, Keygen, KeygenError, KeygenParameters, KeygenStage, ThresholdKey,
};
use subrosa_transport::memory::Action;
use subrosa_transport::testing::run_network;
use subrosa_transport::{HEADER_BYTES, Limits, MemoryNetwork, PartyId, SessionError};

pub type Results = Vec<(PartyId, Result<KeyShare, KeygenError>)>;

/// A run.
#[derive(Clone)]
pub struct Stage {
    pub parties: u16,
    pub threshold: u32,
    pub bits: u64,
    pub batch: usize,
    pub audit_after: Option<u64>,
    pub liars: Vec<PartyId>,
    pub seed: u64,
    pub timeout: Duration,
}

/// A frame on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    pub from: PartyId,
    pub to: PartyId,
    pub kind: u8,
    /// Whether it carries seeds: their number, then 32 bytes of each.
    pub opens: bool,
}

impl Frame {
    fn of(from: PartyId, to: PartyId, frame: &[u8]) -> Self {
        let payload = &frame[HEADER_BYTES..];
        let seeds = payload.first().map_or(0, |&count| usize::from(count));
        Self { from, to, kind: frame[KIND], opens: seeds > 0 && payload.len() == 1 + 32 * seeds }
    }
}

/// What a run left behind.
pub struct Played {
    /// What the honest parties end with.
    pub results: Results,
    pub frames: Vec<Frame>,
    /// How often each honest party was told of an audit.
    pub audits: usize,
}

impl Stage {
    /// n = 2t + 1 parties of which the last but one deviates, and keys of 256 bits from one large batch.
    pub fn of(parties: u16) -> Self {
        Self {
            parties,
            threshold: u32::from(parties - 1) / 2,
            bits: 256,
            batch: 256,
            audit_after: None,
            liars: vec![PartyId::new(parties - 2)],
            seed: 1,
            timeout: Duration::from_secs(60),
        }
    }

    pub fn parameters(&self) -> KeygenParameters {
        let parameters = KeygenParameters::insecure(u32::from(self.parties), self.threshold, self.bits);
        let parameters = parameters.unwrap().with_batch(self.batch);
        match self.audit_after {
            Some(candidates) => parameters.with_audit_after(candidates),
            None => parameters,
        }
    }

    pub fn honest(&self) -> Vec<PartyId> {
        (0..self.parties).map(PartyId::new).filter(|party| !self.liars.contains(party)).collect()
    }

    /// Runs the honest parties and those that deviate by a script.
    pub fn play(&self, script: impl Fn(&mut Script) + Sync) -> Played {
        let frames: Arc<Mutex<Vec<Frame>>> = Arc::default();
        let tap = Arc::clone(&frames);
        let names = (1..=self.parties).map(|number| format!("party-{number}"));
        let network = MemoryNetwork::builder(names)
            .intercept(move |from, to, _, frame| {
                tap.lock().unwrap().push(Frame::of(from, to, frame));
                Action::Deliver
            })
            .build()
            .unwrap();
        let audits = Mutex::new(0);
        let results = run_network(network, |me, mut transport| {
            let mut rng = ChaCha20Rng::seed_from_u64(self.seed * 100 + u64::from(me.number()));
            let parameters = self.parameters();
            let settings = Limits::default().with_timeout(self.timeout);
            if self.liars.contains(&me) {
                let mut own = Script::default();
                script(&mut own);
                return deviant::run(Rushing::new(transport), &parameters, self.honest(), settings, rng, own);
            }
            let keygen = Keygen::new(&parameters).limits(settings).progress(|event| {
                if matches!(event.stage, KeygenStage::Audit { .. }) {
                    *audits.lock().unwrap() += 1;
                }
            });
            keygen.run(&mut transport, &mut rng)
        });
        let places = (0..self.parties).map(PartyId::new).zip(results);
        let results = places.filter(|(party, _)| !self.liars.contains(party)).collect();
        let frames = frames.lock().unwrap().clone();
        Played { results, frames, audits: audits.into_inner().unwrap() }
    }

    /// Plays, and expects that every honest party ends with an error that names the liar and no one else, for a reason
    /// that contains one of these words.
    pub fn names(&self, reasons: &[&str], script: impl Fn(&mut Script) + Sync) {
        for (party, result) in self.play(script).results {
            let Err(error) = result else { panic!("{party} accepted a key, {reasons:?}") };
            assert_eq!(error.culprits(), self.liars, "{party}: {error}, {reasons:?}");
            let text = error.to_string();
            assert!(reasons.iter().any(|reason| text.contains(reason)), "{party}: {text}, {reasons:?}");
        }
    }

    /// As [`names`](Self::names), by computing the run again from opened seeds, and at every honest party itself.
    pub fn convicts(&self, reason: &str, script: impl Fn(&mut Script) + Sync) {
        for (party, result) in self.play(script).results {
            let Err(error) = result else { panic!("{party} accepted a key: {reason}") };
            let KeygenError::Deviated { party: named, reason: found } = error else {
                panic!("{party}: {error}, {reason}")
            };
            assert_eq!((vec![named], found), (self.liars.clone(), reason), "{party}");
        }
    }

    /// Plays, and expects that all honest parties find the same key.
    pub fn goes_on(&self, script: impl Fn(&mut Script) + Sync) -> Played {
        let played = self.play(script);
        let mut keys = played.results.iter().map(|(party, result)| match result {
            Ok(share) => share.key(),
            Err(error) => panic!("{party}: {error}"),
        });
        let first = keys.next().unwrap();
        let same = |key: &ThresholdKey| {
            let (parts, expected) = (key.parts(), first.parts());
            parts.public == expected.public
                && parts.theta == expected.theta
                && parts.verification_keys == expected.verification_keys
        };
        assert!(keys.all(same));
        assert_eq!(first.public().bits(), self.bits);
        played
    }

    /// Plays, and expects that no honest party finds a key, that each finds out that two saw different broadcasts or that
    /// a liar did wrong, and that none finds an honest party guilty.
    pub fn frames_nobody(&self, script: impl Fn(&mut Script) + Sync) -> Played {
        let played = self.play(script);
        for (party, result) in &played.results {
            let Err(error) = result else { panic!("{party} accepted a key") };
            let culprits = error.culprits();
            assert!(culprits.iter().all(|named| self.liars.contains(named)), "{party}: {error}");
            let by_liar = matches!(error, KeygenError::Session(SessionError::Aborted { by, .. }) if self.liars.contains(by));
            assert!(!by_liar, "{party}: {error}");
            let mismatch = error.to_string().contains("different broadcasts");
            assert!(mismatch || culprits == self.liars, "{party}: {error}");
        }
        played
    }
}
