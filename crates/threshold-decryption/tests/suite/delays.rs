//! Parties that are slow, or that a cheat lets wait, in the steps of D2 with proofs: whoever follows the protocol gets its
//! plaintexts, and blames nobody else who does.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::common::*;
use subrosa_threshold_decryption::protocol::{self, Decryption};
use subrosa_transport::{
    Deadline, Fault, HEADER_BYTES, MemoryNetwork, MemoryTransport, PartyId, PerParty, Roster, Transport,
    TransportError, memory::Action, round_tag, testing::run_network, with_causes,
};

const ROUND: Duration = Duration::from_secs(2);
const PROVEN: &str = "decrypt/proven-partial";
const REQUEST: &str = "decrypt/request";
const CONFIRM: &str = "session/confirm";
const LIAR: PartyId = PartyId::new(1);

/// Part of [`ROUND`] by which a frame from one party to another is late.
type Delay = dyn Fn(PartyId, PartyId, &[u8]) -> f64 + Send + Sync;

/// A party whose computing takes time before it sends, and to whom frames come late.
struct Slow {
    inner: MemoryTransport,
    held: BTreeMap<PartyId, (Instant, Vec<u8>)>,
    on_the_way: Arc<Delay>,
    computing: Arc<Delay>,
}

impl Transport for Slow {
    fn roster(&self) -> &Roster {
        self.inner.roster()
    }

    fn send(&mut self, to: PartyId, frame: &[u8]) -> Result<(), TransportError> {
        std::thread::sleep(ROUND.mul_f64((self.computing)(self.roster().me(), to, frame)));
        self.inner.send(to, frame)
    }

    fn receive(&mut self, from: PartyId, deadline: Deadline) -> Result<Vec<u8>, TransportError> {
        let me = self.inner.roster().me();
        if !self.held.contains_key(&from) {
            let frame = self.inner.receive(from, deadline)?;
            let arrival = Instant::now() + ROUND.mul_f64((self.on_the_way)(from, me, &frame));
            self.held.insert(from, (arrival, frame));
        }
        let rest = self.held[&from].0.saturating_duration_since(Instant::now());
        std::thread::sleep(rest.min(deadline.remaining()));
        if rest > deadline.remaining() {
            return Err(TransportError::new(self.inner.roster(), from, Fault::TimedOut));
        }
        Ok(self.held.remove(&from).unwrap().1)
    }
}

fn is(frame: &[u8], round: &str) -> bool {
    frame[76..84] == round_tag(round)
}

/// Three parties, t = 1, that read so many ciphertexts. `cheats` says whether the second one may be blamed.
fn scene(
    counts: [usize; 3],
    cheats: bool,
    fate: impl Fn(PartyId, PartyId, u64, &mut Vec<u8>) -> Action + Send + Sync + 'static,
    on_the_way: impl Fn(PartyId, PartyId, &[u8]) -> f64 + Send + Sync + 'static,
    computing: impl Fn(PartyId, PartyId, &[u8]) -> f64 + Send + Sync + 'static,
) {
    let shares = deal(3, 1);
    let (on_the_way, computing): (Arc<Delay>, Arc<Delay>) = (Arc::new(on_the_way), Arc::new(computing));
    let slow = |inner| Slow {
        inner,
        held: BTreeMap::new(),
        on_the_way: Arc::clone(&on_the_way),
        computing: Arc::clone(&computing),
    };
    let network = MemoryNetwork::builder(names(3)).intercept(fate).build().unwrap();
    let network: Vec<Slow> = network.into_iter().map(slow).collect();
    let mine = counts.map(|count| encrypt(&vec![7; count]));
    let counts = PerParty::from_vec(counts.to_vec());
    let results = run_network(network, |me, mut transport| {
        let limits = limits().with_round_timeout(ROUND);
        let decryption = Decryption::new(&shares[me.index()]).limits(limits);
        decryption.run(&mut transport, &mine[me.index()], &counts, &mut rng(me.index() as u64))
    });
    for (me, result) in [party(0), LIAR, party(2)].into_iter().zip(&results) {
        match result {
            Ok(decrypted) => {
                assert_eq!(decrypted.plaintexts, signed(&vec![7; counts[me]]));
                // Whom the liar names is its own affair: those to whom it lied have left it.
                let fits = |party| cheats && (party == LIAR || me == LIAR);
                let fits = decrypted.absent.iter().all(|failure| fits(failure.party));
                assert!(fits, "{me}: {:?}", decrypted.absent);
            }
            Err(error) => {
                assert!(me == LIAR && cheats, "{me}: {} {:?}", with_causes(error), error.culprits());
            }
        }
    }
}

/// Cuts the liar's answer to the first party.
fn lie(from: PartyId, to: PartyId, frame: &mut Vec<u8>) {
    if from == LIAR && to == party(0) && is(frame, PROVEN) {
        frame.truncate(HEADER_BYTES);
    }
}

fn none(_: PartyId, _: PartyId, _: &[u8]) -> f64 {
    0.0
}

/// The liar lets one party enter the decryption late, and lies to it.
#[test]
fn a_party_that_enters_late_has_its_turn() {
    scene(
        [1, 1, 1],
        true,
        |from, to, _, frame| {
            lie(from, to, frame);
            Action::Deliver
        },
        |from, to, frame| if from == LIAR && to == party(0) && is(frame, CONFIRM) { 0.82 } else { 0.0 },
        none,
    );
}

/// The liar lets a party that reads nothing enter late, and then wait for its request.
#[test]
fn a_party_that_was_let_wait_is_waited_for() {
    scene(
        [1, 1, 0],
        true,
        |from, to, _, frame| {
            lie(from, to, frame);
            let withheld = from == LIAR && to == party(2) && is(frame, REQUEST);
            if withheld { Action::Drop } else { Action::Deliver }
        },
        |from, to, frame| if from == LIAR && to == party(2) && is(frame, CONFIRM) { 0.65 } else { 0.0 },
        none,
    );
}

/// A machine that is nearly too slow for a round, and whose helper says nothing.
#[test]
fn a_slow_party_without_a_helper_has_its_turn() {
    scene(
        [1, 0, 1],
        true,
        |from, _, _, frame| if from == LIAR && is(frame, PROVEN) { Action::Drop } else { Action::Deliver },
        none,
        |from, _, frame| if from == party(0) && is(frame, PROVEN) { 0.85 } else { 0.0 },
    );
}

/// All are honest, and computing takes most of a round; one reads nothing, and so is ahead of the others.
#[test]
fn helpers_that_compute_for_long_are_waited_for() {
    let many = 2 * protocol::CHUNK;
    let computing = |_: PartyId, _: PartyId, frame: &[u8]| if is(frame, PROVEN) { 0.65 } else { 0.0 };
    scene([many, many, 0], false, |_, _, _, _| Action::Deliver, none, computing);
}

/// The liar answers each time just before it counts as late, and lies in the end.
#[test]
fn a_party_that_is_held_up_in_each_chunk_has_its_turn() {
    let cut = |from: PartyId, to: PartyId, _: u64, frame: &mut Vec<u8>| {
        // The last chunk is short.
        if frame.len() < 100_000 {
            lie(from, to, frame);
        }
        Action::Deliver
    };
    let computing =
        |from: PartyId, _: PartyId, frame: &[u8]| if from == LIAR && is(frame, PROVEN) { 0.19 } else { 0.0 };
    scene([2 * protocol::CHUNK + 1, 0, 1], true, cut, none, computing);
}
