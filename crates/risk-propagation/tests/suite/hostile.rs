//! A bank that sends what it should not: the others end with an error that names it.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "test code")]

use std::time::Duration;

use num_bigint::BigUint;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use serde::{Deserialize, Serialize};

use crate::common::{Raw, bank_name};
use subrosa_paillier::{KeyId, PrivateKey};
use subrosa_risk_propagation::steps::agreement;
use subrosa_risk_propagation::steps::in_degree_bits;
use subrosa_risk_propagation::steps::messages::links::Links;
use subrosa_risk_propagation::steps::messages::{
    Declaration, OfferChunk, PlanValues, Resume, SelectionBits, Sizes,
};
use subrosa_risk_propagation::{
    Error, Mismatch, Network, NetworkSizes, Outcome, PROTOCOL, Plan, Propagation, Settings, parameters,
};
use subrosa_threshold_decryption::{AccessStructure, KeyShare, dealer};
use subrosa_transport::memory::{flip_bit, truncate};
use subrosa_transport::testing::run_network;
use subrosa_transport::{Limits, MemoryNetwork, MemoryTransport, Message, PartyId, Session, SessionError};

/// What west does wrong.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Evil {
    /// R1: a bound on in-degrees that nobody can plan with.
    Sizes,
    /// R1: other weights than follow from the sizes.
    Plan,
    /// R3: the same sender twice.
    Offer,
    /// R3: a sender of a period that does not exist.
    Period,
    /// R4: too few bits.
    Selection,
    Sent,
    /// R1: more offers than anybody is ready for.
    Offers,
    /// R3: more senders in a message than anybody is ready for.
    Names,
    /// R5: for another number of periods.
    Declaration,
    /// R5: fewer chunks of scores than it owes.
    Chunks,
    /// R5: more accounts than anybody is ready for.
    Accounts,
    /// R5: more scores than anybody is ready for.
    Scores,
    /// R6: a ciphertext too few.
    Count,
    /// R6: the number 0.
    Zero,
    /// R6: N², too large by one.
    Large,
    /// R6: a multiple of N.
    Factor,
    /// R6: under another key.
    Key,
}

/// The same bytes as `messages::ScoreChunk`, with any content.
#[derive(Serialize, Deserialize)]
struct Scores {
    key: KeyId,
    #[serde(with = "subrosa_encoding::wire::uints")]
    values: Vec<BigUint>,
}

impl Message for Scores {
    const ROUND: &'static str = "propagate/scores";
    type Shape = ();
    fn max_bytes((): &()) -> usize {
        1 << 20
    }
}

fn settings() -> Settings {
    let delta = Settings::default().delta;
    Settings {
        iterations: 1,
        delta,
        accuracy: 1e-4,
        mismatch: Mismatch::LeaveOut,
        max_accounts: 100,
        ..Settings::default()
    }
}

fn networks() -> Vec<Network> {
    let rows = vec![
        (2, 0, 0, 0, 5),
        (2, 1, 0, 0, 5),
        (0, 0, 1, 0, 3),
        (1, 0, 2, 0, 1),
        (0, 1, 2, 0, 2),
        (2, 0, 1, 0, 9),
    ];
    let accounts = (0..3).map(|_| vec![(0, 50), (1, 10)]).collect();
    Raw::consistent(3, accounts, vec![rows]).networks()
}

fn shares() -> Vec<KeyShare> {
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let private = PrivateKey::generate_insecure(256, &mut rng).unwrap();
    dealer::deal(&private, AccessStructure::new(3, 1).unwrap(), &mut rng).unwrap()
}

fn honest(me: PartyId, wire: &mut MemoryTransport, share: &KeyShare) -> Result<Outcome, Error> {
    let mut rng = ChaCha20Rng::seed_from_u64(10 + me.index() as u64);
    let network = networks().swap_remove(me.index());
    let fields = parameters(share.key(), network.columns(), &settings());
    let session = Limits::new().with_timeout(Duration::from_secs(5));
    let mut session = Session::open(wire, PROTOCOL, &fields, session, &mut rng)?;
    Propagation::new(share, network).settings(settings()).run_in(&mut session, &mut rng)
}

/// West's side of R1 to R6, with one thing done wrong.
fn west(evil: Evil, wire: &mut MemoryTransport, share: &KeyShare) -> Result<(), SessionError> {
    let mut rng = ChaCha20Rng::seed_from_u64(3);
    let network = networks().swap_remove(2);
    let key = share.key().public();
    let fields = parameters(share.key(), network.columns(), &settings());
    let session = Limits::new().with_timeout(Duration::from_secs(5));
    let mut session = Session::open(wire, PROTOCOL, &fields, session, &mut rng)?;
    session.broadcast(&Resume { run: None, position: 0 }, &())?;
    let bits = if evil == Evil::Sizes { 77 } else { in_degree_bits(network.greatest_in_degree()) };
    let offer_chunks = if evil == Evil::Offers { 2 } else { 1 };
    session.broadcast(&Sizes { activity: vec![1], in_degree_bits: bits, offer_chunks }, &())?;
    let sizes = NetworkSizes {
        key_bits: 256,
        columns: 1,
        in_degree_bits: networks().iter().map(|n| in_degree_bits(n.greatest_in_degree())).max().unwrap(),
        active_periods: vec![true],
        noise_contributors: 2,
    };
    let plan = Plan::new(&sizes, &settings()).unwrap();
    let mut values: Vec<u64> = plan.fields().into_iter().map(|(_, value)| value).collect();
    values[2] += u64::from(evil == Evil::Plan);
    session.broadcast(&PlanValues { values }, &plan.fields().len())?;
    let offer = |party: PartyId| {
        let bank = network.banks().get(party.index())?;
        let names = agreement::offer(&network, bank).unwrap().periods.concat();
        let mut senders: Vec<(u32, String)> = names.into_iter().map(|name| (0, name)).collect();
        match evil {
            Evil::Offer => senders.push(senders.last()?.clone()),
            Evil::Period => senders.push((1, "x".to_owned())),
            Evil::Names => senders.extend((100..201).map(|number| (0, format!("~{number}")))),
            _ => {}
        }
        Some(OfferChunk { senders })
    };
    let mut links = Links::new(session.id(), session.roster());
    session.exchange(|party| offer(party).map(|offer| links.sent(party, offer)), |_| true, &1)?;
    let bits = if evil == Evil::Selection { vec![] } else { vec![1] };
    let shape = |party: PartyId| if party.index() == 2 { 8 } else { offer(party).unwrap().senders.len() };
    let selection = |party| Some(links.sent(party, SelectionBits { bits: bits.clone(), salt: [7; 32] }));
    session.exchange_shaped(selection, |_| true, shape)?;
    let mut sent = links.message();
    if evil == Evil::Sent {
        sent.links[0][5] ^= 1;
        sent.links[1][5] ^= 1;
    }
    session.broadcast(&sent, &3)?;
    let chunks = match evil {
        Evil::Declaration => vec![1, 1],
        Evil::Chunks => vec![0],
        Evil::Scores => vec![2],
        _ => vec![1],
    };
    let accounts = if evil == Evil::Accounts { 101 } else { 1 };
    let declaration =
        Declaration { accounts, score_chunks: chunks.clone(), seed_hash: [1; 32], input_hash: [2; 32] };
    session.broadcast_shaped(&declaration, |party| if party.index() == 2 { chunks.len() } else { 1 })?;
    let other = PrivateKey::generate_insecure(256, &mut rng).unwrap();
    let scores = |party: PartyId| {
        let mut values = vec![BigUint::from(2_u8); offer(party).unwrap().senders.len()];
        match evil {
            Evil::Count => drop(values.pop()),
            Evil::Zero => values[0] = BigUint::ZERO,
            Evil::Large => values[0] = key.n() * key.n(),
            Evil::Factor => values[0] = key.n() * 3_u8,
            _ => {}
        }
        let key = if evil == Evil::Key { other.public().id() } else { key.id() };
        Some(Scores { key, values })
    };
    session.exchange(scores, |_| true, &())?;
    Ok(())
}

#[test]
fn another_plan_names_the_number_and_the_bank() {
    let shares = shares();
    let wires = MemoryNetwork::builder((0..3).map(bank_name)).build().unwrap();
    let results = run_network(wires, |me, mut wire| {
        if me.index() == 2 {
            let _ = west(Evil::Plan, &mut wire, &shares[2]);
            return None;
        }
        Some(honest(me, &mut wire, &shares[me.index()]))
    });
    let errors: Vec<Error> = results.into_iter().flatten().map(|result| result.unwrap_err()).collect();
    let named = |error: &Error| {
        matches!(error, Error::PlanDiffers { bank, field, ours, theirs }
            if bank == "west" && field == "bits of a weight" && *theirs == ours + 1)
    };
    assert!(errors.iter().any(named), "{errors:?}");
}

#[test]
fn every_breach_names_its_bank() {
    let shares = shares();
    use Evil::{
        Accounts, Chunks, Count, Declaration, Factor, Key, Large, Names, Offer, Offers, Period, Scores,
        Selection, Sent, Sizes, Zero,
    };
    let agreement =
        [Sizes, Offers, Offer, Period, Names, Selection, Sent, Declaration, Chunks, Accounts, Scores];
    for evil in agreement.into_iter().chain([Count, Zero, Large, Factor, Key]) {
        let wires = MemoryNetwork::builder((0..3).map(bank_name)).build().unwrap();
        let results = run_network(wires, |me, mut wire| {
            if me.index() == 2 {
                let _ = west(evil, &mut wire, &shares[2]);
                return None;
            }
            Some(honest(me, &mut wire, &shares[me.index()]))
        });
        let errors: Vec<Error> = results.into_iter().flatten().map(|result| result.unwrap_err()).collect();
        assert!(errors.iter().any(|error| error.culprits() == [PartyId::new(2)]), "{evil:?}: {errors:?}");
        assert!(errors.iter().all(|error| error.to_string().contains("west")), "{evil:?}: {errors:?}");
        let reason = match evil {
            Offers | Names | Accounts | Scores => "more than the 100 accounts",
            Chunks => "fewer scores than it owes",
            _ => continue,
        };
        assert!(errors.iter().any(|error| error.to_string().contains(reason)), "{evil:?}: {errors:?}");
    }
}

#[test]
fn damaged_frames_never_panic_or_hang() {
    let shares = shares();
    let west = PartyId::new(2);
    for nth in 0..18 {
        for to in [0, 1].map(PartyId::new) {
            let frames = MemoryNetwork::builder((0..3).map(bank_name));
            let frames = match nth % 2 {
                0 => frames.intercept(flip_bit(west, to, nth, 600 + 31 * usize::try_from(nth).unwrap())),
                _ => frames.intercept(truncate(west, to, nth, 30)),
            };
            let results = run_network(frames.build().unwrap(), |me, mut wire| {
                honest(me, &mut wire, &shares[me.index()])
            });
            // A flipped bit in a score makes another valid ciphertext, which a passive protocol cannot notice. A frame that is
            // cut off never goes unnoticed, but for R10's, for which nobody waits.
            for (index, result) in results.into_iter().take(2).enumerate() {
                match result {
                    Err(error) => assert!(!error.to_string().is_empty()),
                    Ok(_) => assert!(nth % 2 == 0 || nth > 14 || index != to.index(), "frame {nth} to {to}"),
                }
            }
        }
    }
}
