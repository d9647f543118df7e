//! Frames of sessions and the messages of every round of every protocol among banks.

use std::collections::{BTreeMap, VecDeque};
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use super::replay::{Party, Recording};
use super::setting::{SETTING, Setting, long_limits, seeded};
use super::spoil::Spoiled;
use subrosa_distributed_paillier::{Keygen, KeygenParameters};
use subrosa_paillier::{Blinder, Randomness};
use subrosa_risk_propagation::{self as propagation};
use subrosa_threshold_decryption::protocol::{Checks, Decryption, DecryptionSettings};
use subrosa_threshold_decryption::renewal::{Refresh, Resharing, Seats};
use subrosa_threshold_decryption::{AccessStructure, Challenges, KeyShare};
use subrosa_transport::{
    Deadline, Fault, Limits, Malformed, Message, Parameters, PartyId, PerParty, Protocol, Roster, Session,
    Transport, TransportError,
};

/// A network on which every peer answers with what I sent it, under its own name: the shortest way to well-formed
/// frames. Some of them are spoiled.
struct Mirror {
    roster: Roster,
    waiting: BTreeMap<PartyId, VecDeque<Vec<u8>>>,
    spoiled: Vec<Spoiled>,
    count: usize,
}

impl Transport for Mirror {
    fn roster(&self) -> &Roster {
        &self.roster
    }

    fn send(&mut self, to: PartyId, frame: &[u8]) -> Result<(), TransportError> {
        let mut frame = frame.to_vec();
        if let Some(sender) = frame.get_mut(6..8) {
            sender.copy_from_slice(&u16::try_from(to.index()).unwrap().to_le_bytes());
        }
        let times = Spoiled::apply(&self.spoiled, self.count, &mut frame);
        self.count += 1;
        self.waiting.entry(to).or_default().extend(std::iter::repeat_n(frame, times));
        Ok(())
    }

    fn receive(&mut self, from: PartyId, _: Deadline) -> Result<Vec<u8>, TransportError> {
        let next = self.waiting.get_mut(&from).and_then(VecDeque::pop_front);
        next.ok_or_else(|| TransportError::new(&self.roster, from, Fault::Disconnected))
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct Words(Vec<String>);

impl Message for Words {
    const ROUND: &'static str = "fuzz/words";
    type Shape = usize;

    fn max_bytes(count: &usize) -> usize {
        10 + 40 * count
    }

    fn check(&self, count: &usize) -> Result<(), Malformed> {
        if self.0.len() == *count { Ok(()) } else { Err(Malformed::new("another number of words")) }
    }
}

/// Frames of a session: header, greeting, messages, echoes, aborts.
pub fn frames(input: &[u8]) {
    let roster = Roster::new(["anna", "bert", "carla"], PartyId::new(0)).unwrap();
    let mut network = Mirror { roster, waiting: BTreeMap::new(), spoiled: Spoiled::all(input), count: 0 };
    let words = Words(vec!["one".to_owned(), "two".to_owned()]);
    let protocol = Protocol { name: "fuzz", version: 1 };
    let parameters = Parameters::new().with("bits", 5);
    let Ok(mut session) = Session::open(&mut network, protocol, &parameters, long_limits(), &mut seeded(1))
    else {
        return;
    };
    let _ = session.broadcast(&words, &2).and_then(|_| session.confirm());
    let _ = session.exchange(|_| Some(Words(vec!["three".to_owned()])), |_| true, &1);
    let _ = session.collect(|_| Some(Words(Vec::new())), |_| true, 1, &0);
}

/// Whether a protocol came to its end.
type Ended = Result<(), String>;

/// A run, and what the first party does in it.
struct Play {
    recording: Recording,
    party: fn(usize, &mut dyn Transport, Limits) -> Ended,
}

impl Play {
    fn new(parties: usize, party: fn(usize, &mut dyn Transport, Limits) -> Ended) -> Self {
        let unspoiled: &Party<'_> = &|me, wire, settings| party(me, wire, settings).unwrap();
        Self { recording: Recording::new(parties, unspoiled), party }
    }

    fn spoiled(&self, input: &[u8]) -> Ended {
        let ended = (self.party)(0, &mut self.recording.replay(input), long_limits());
        assert!(!input.is_empty() || ended.is_ok(), "the unspoiled run fails: {ended:?}");
        ended
    }
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

fn generate(me: usize, wire: &mut dyn Transport, settings: Limits) -> Ended {
    // The seed is one that finds a modulus in its first batch.
    let mut rng = seeded(KEYGEN_SEED + me as u64);
    let parameters = KeygenParameters::insecure(3, 1, 256).map_err(text)?.with_batch(8).with_sieve_bound(256);
    Keygen::new(&parameters).limits(settings).run(wire, &mut rng).map(drop).map_err(text)
}

const KEYGEN_SEED: u64 = 1251;

/// Every message of key generation.
pub fn keygen_rounds(input: &[u8]) {
    static PLAY: LazyLock<Play> = LazyLock::new(|| Play::new(3, generate));
    let _ = PLAY.spoiled(input);
}

fn propagate(me: usize, wire: &mut dyn Transport, settings: Limits) -> Ended {
    let Setting { shares, networks, choices } = &*SETTING;
    let (share, network) = (&shares[me], networks[me].clone());
    let mut rng = seeded(20 + me as u64);
    let fields = propagation::parameters(share.key(), network.columns(), choices);
    let mut session =
        Session::open(wire, propagation::PROTOCOL, &fields, settings, &mut rng).map_err(text)?;
    propagation::Propagation::new(share, network)
        .settings(choices.clone())
        .run_in(&mut session, &mut rng)
        .map(drop)
        .map_err(text)
}

/// Every message of the propagation.
pub fn propagation_rounds(input: &[u8]) {
    static PLAY: LazyLock<Play> = LazyLock::new(|| Play::new(3, propagate));
    let _ = PLAY.spoiled(input);
}

fn decrypt(me: usize, wire: &mut dyn Transport, settings: Limits, checks: Checks) -> Ended {
    let share = &SETTING.shares[me];
    let key = share.key().public();
    let mut rng = seeded(30 + me as u64);
    let mine: Vec<_> = {
        let blinder = Blinder::new(key, Randomness::Short, 1 << 16).map_err(text)?;
        (0..=me).map(|m| blinder.encrypt(&m.into(), &mut rng)).collect::<Result<_, _>>().map_err(text)?
    };
    // Patient, so that which answers are looked at does not depend on who is first.
    let choices =
        DecryptionSettings::new().with_checks(checks).with_grace(std::time::Duration::from_millis(100));
    let counts = PerParty::from_vec(vec![1, 2, 3]);
    Decryption::new(share)
        .settings(choices)
        .limits(settings)
        .run(wire, &mine, &counts, &mut rng)
        .map(drop)
        .map_err(text)
}

fn decrypt_in_good_faith(me: usize, wire: &mut dyn Transport, settings: Limits) -> Ended {
    decrypt(me, wire, settings, Checks::Spares(1))
}

fn decrypt_with_proofs(me: usize, wire: &mut dyn Transport, settings: Limits) -> Ended {
    decrypt(me, wire, settings, Checks::Proofs(Challenges::Wide))
}

/// Every message of decryption, with and without proofs: the first byte chooses.
pub fn decryption_rounds(input: &[u8]) {
    static PLAYS: LazyLock<[Play; 2]> =
        LazyLock::new(|| [Play::new(3, decrypt_in_good_faith), Play::new(3, decrypt_with_proofs)]);
    let Some((which, input)) = input.split_first() else { return };
    let _ = PLAYS[usize::from(which % 2)].spoiled(input);
}

fn refresh(me: usize, wire: &mut dyn Transport, settings: Limits) -> Ended {
    let share = &SETTING.shares[me];
    let mut rng = seeded(40 + me as u64);
    let fresh = Refresh::new(share.key()).map_err(text)?;
    fresh.limits(settings).run(share, wire, &mut rng).map(drop).map_err(text)
}

/// Parties 2 and 3 of the old key deal to the first, who is new, to party 2 and to a fourth.
fn reshare(me: usize, wire: &mut dyn Transport, settings: Limits) -> Ended {
    let shares = &SETTING.shares;
    let party = |index: u16| PartyId::new(index);
    let resharing =
        Resharing::new(shares[0].key(), &[party(1), party(2)], AccessStructure::new(3, 1).map_err(text)?)
            .map_err(text)?;
    let seats = Seats { dealers: vec![party(1), party(2)], receivers: vec![party(0), party(1), party(3)] };
    let share: Option<&KeyShare> = if me == 0 { None } else { shares.get(me) };
    let mut rng = seeded(50 + me as u64);
    resharing.limits(settings).run(&seats, share, wire, &mut rng).map(drop).map_err(text)
}

/// Every message of refreshing and of resharing: the first byte chooses.
pub fn renewal_rounds(input: &[u8]) {
    static PLAYS: LazyLock<[Play; 2]> = LazyLock::new(|| [Play::new(3, refresh), Play::new(4, reshare)]);
    let Some((which, input)) = input.split_first() else { return };
    let _ = PLAYS[usize::from(which % 2)].spoiled(input);
}
