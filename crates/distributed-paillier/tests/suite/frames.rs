//! A network that spoils the frames of one party, round by round: every honest party ends with a typed error.
#![allow(clippy::unwrap_used, clippy::panic, clippy::ptr_arg, reason = "test code")]

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use num_bigint::BigUint;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;

use subrosa_distributed_paillier::messages::{
    CandidateShares, FirstTest, FurtherTests, IntegerShareMessage, ProductShares, TrialDecryption,
    TrialProof, VerificationKey, WinnerAnswers, WinnerProducts, WinnerShares, WinnerZeros,
};
use subrosa_distributed_paillier::receipts::{Committed, Nothing, Receipted};
use subrosa_distributed_paillier::{KeyShare, Keygen, KeygenError, KeygenParameters};
use subrosa_transport::{
    FailureKind, HEADER_BYTES, Limits, MemoryNetwork, Message, PartyId, SessionError, memory::Action,
    testing::run_network,
};

const SPOILED: PartyId = PartyId::new(1);
const HONEST: [usize; 2] = [0, 2];

/// Where in a frame the tag of its round is.
const TAG: std::ops::Range<usize> = 76..84;

/// Rounds in the order in which their first frames go over a pair; before them comes the opening of the session.
const ROUNDS: [&str; 14] = [
    Nothing::ROUND,
    CandidateShares::ROUND,
    ProductShares::ROUND,
    FirstTest::ROUND,
    FurtherTests::ROUND,
    WinnerShares::ROUND,
    WinnerProducts::ROUND,
    WinnerAnswers::ROUND,
    WinnerZeros::ROUND,
    IntegerShareMessage::ROUND,
    VerificationKey::ROUND,
    TrialDecryption::ROUND,
    TrialProof::ROUND,
    "session/confirm",
];

/// The place of a round in [`ROUNDS`].
fn place(name: &str) -> usize {
    ROUNDS.iter().position(|round| *round == name).unwrap()
}

type Change = dyn Fn(&mut Vec<u8>, &[u8]) + Send + Sync;

/// What went from the spoiled party to one other.
#[derive(Default)]
struct Pair {
    tags: Vec<Vec<u8>>,
    last: Vec<u8>,
    /// The rounds whose first frame is gone.
    done: Vec<usize>,
}

/// Runs key generation among three parties where the first frame of round `round` from the spoiled party to each of
/// `victims` is changed; the change also sees the frame before.
fn run(round: usize, victims: &'static [usize], change: Box<Change>) -> Vec<Result<KeyShare, KeygenError>> {
    run_with(vec![(round, victims, change)])
}

/// As [`run`], with several changes.
fn run_with(changes: Vec<(usize, &'static [usize], Box<Change>)>) -> Vec<Result<KeyShare, KeygenError>> {
    let pairs: Mutex<HashMap<PartyId, Pair>> = Mutex::default();
    let spoil = move |from: PartyId, to: PartyId, _: u64, frame: &mut Vec<u8>| {
        if from == SPOILED {
            let mut pairs = pairs.lock().unwrap();
            let pair = pairs.entry(to).or_default();
            let tag = frame[TAG].to_vec();
            if !pair.tags.contains(&tag) {
                pair.tags.push(tag);
            }
            let genuine = frame.clone();
            // Tag 0 is that of the session's opening.
            for (round, victims, change) in &changes {
                let now = pair.tags.len() == round + 2 && victims.contains(&to.index());
                if now && !pair.done.contains(round) {
                    pair.done.push(*round);
                    change(frame, &pair.last);
                }
            }
            pair.last = genuine;
        }
        Action::Deliver
    };
    let network = MemoryNetwork::builder(["anna", "bert", "carl"]).intercept(spoil).build().unwrap();
    run_network(network, |me, mut transport| {
        let mut rng = ChaCha20Rng::seed_from_u64(500 + me.index() as u64);
        // So large that the first batch holds a key.
        let parameters = KeygenParameters::insecure(3, 1, 256).unwrap().with_batch(512);
        let limits = Limits::default().with_timeout(Duration::from_secs(60));
        Keygen::new(&parameters).limits(limits).run(&mut transport, &mut rng)
    })
}

/// Every honest party blames the spoiled one.
fn assert_blamed(what: &str, round: usize, results: &[Result<KeyShare, KeygenError>]) {
    for honest in HONEST {
        let error = results[honest].as_ref().unwrap_err();
        assert_eq!(error.culprits(), [SPOILED], "{what} in {round}: {error}");
        let KeygenError::Session(error) = error else { panic!("{what} in {round}: {error}") };
        let expected = matches!(error.kind(), FailureKind::Peer | FailureKind::Abort);
        assert!(expected, "{what} in {round}: {error}");
    }
}

/// Half of a frame's payload; a confirmation has none: its header is cut.
fn cut(frame: &mut Vec<u8>, _: &[u8]) {
    let payload = frame.len() - HEADER_BYTES;
    frame.truncate(if payload == 0 { HEADER_BYTES / 2 } else { HEADER_BYTES + payload / 2 });
}

fn lengthen(frame: &mut Vec<u8>, _: &[u8]) {
    frame.push(0);
}

fn repeat(frame: &mut Vec<u8>, last: &[u8]) {
    *frame = last.to_vec();
}

type Spoiling = fn(&mut Vec<u8>, &[u8]);

const SPOILINGS: [(&str, Spoiling); 3] = [("truncated", cut), ("longer", lengthen), ("replayed", repeat)];

#[test]
fn an_unspoiled_run_gives_a_key_from_its_first_batch() {
    let results = run(usize::MAX - 2, &HONEST, Box::new(|_, _| ()));
    assert!(results.iter().all(Result::is_ok));
}

#[test]
fn truncated_longer_or_replayed_frames_name_their_sender_in_every_round() {
    for (what, spoiling) in SPOILINGS {
        for round in 0..ROUNDS.len() {
            assert_blamed(what, round, &run(round, &HONEST, Box::new(spoiling)));
        }
    }
}

/// Where a message of K1 was changed, the answer and what is late come behind the round of K2.
#[test]
fn truncated_longer_or_replayed_answers_to_a_complaint_name_their_sender() {
    for (what, spoiling) in SPOILINGS {
        for round in [1, 2].map(|more| place(ProductShares::ROUND) + more) {
            let wrong = rewrite(|message: &mut CandidateShares| flip(&mut message.values));
            let changes: Vec<(usize, &'static [usize], Box<Change>)> =
                vec![(place(CandidateShares::ROUND), &[0], wrong), (round, &HONEST, Box::new(spoiling))];
            assert_blamed(what, round, &run_with(changes));
        }
    }
}

/// Decodes a frame's message, changes it, and encodes it again.
fn rewrite<M: Message>(change: impl Fn(&mut M) + Send + Sync + 'static) -> Box<Change> {
    Box::new(move |frame, _| {
        let mut message: M = postcard::from_bytes(&frame[HEADER_BYTES..]).unwrap();
        change(&mut message);
        frame.truncate(HEADER_BYTES);
        frame.extend(postcard::to_stdvec(&message).unwrap());
    })
}

fn flip(values: &mut [BigUint]) {
    values.iter_mut().for_each(|value| *value ^= BigUint::from(1u32));
}

/// Each broadcast but for the proofs, since a proof that was changed names its sender at once; and what changes it.
fn broadcasts() -> Vec<(&'static str, Box<Change>)> {
    fn receipted<M: Message<Shape: Sized> + 'static>(flip: fn(&mut M)) -> (&'static str, Box<Change>) {
        let change = rewrite(move |message: &mut Receipted<M>| match message {
            Receipted::Complete(message) => flip(message),
            Receipted::Disputed(_) | Receipted::OutOfRange => panic!("an honest party complains"),
        });
        (M::ROUND, change)
    }
    fn committed<M: Message<Shape: Sized> + 'static>(flip: fn(&mut M)) -> (&'static str, Box<Change>) {
        (M::ROUND, rewrite(move |message: &mut Committed<M>| flip(&mut message.message)))
    }
    let bit = |frame: &mut Vec<u8>, _: &[u8]| *frame.last_mut().unwrap() ^= 1;
    vec![
        (Nothing::ROUND, Box::new(bit)),
        receipted(|message: &mut ProductShares| flip(&mut message.values)),
        committed(|message: &mut FirstTest| flip(&mut message.values)),
        // The commitment to the winner's dealing alone.
        (FurtherTests::ROUND, Box::new(bit)),
        committed(|message: &mut FurtherTests| flip(&mut message.values)),
        receipted(|message: &mut WinnerProducts| flip(&mut message.values)),
        (WinnerAnswers::ROUND, rewrite(|message: &mut WinnerAnswers| flip(&mut message.small))),
        (WinnerAnswers::ROUND, rewrite(|message: &mut WinnerAnswers| flip(&mut message.wide))),
        (WinnerAnswers::ROUND, rewrite(|message: &mut WinnerAnswers| flip(&mut message.differences))),
        committed(|message: &mut WinnerZeros| flip(&mut message.values)),
        receipted(|message: &mut VerificationKey| flip(&mut message.key)),
        receipted(|message: &mut VerificationKey| flip(&mut message.residue)),
        (TrialDecryption::ROUND, rewrite(|message: &mut TrialDecryption| flip(&mut message.values))),
        // A complaint, or an excuse, that others do not hear.
        (ProductShares::ROUND, rewrite(|message| *message = Receipted::<ProductShares>::Disputed(vec![2]))),
        (WinnerProducts::ROUND, rewrite(|message| *message = Receipted::<WinnerProducts>::Disputed(vec![2]))),
        (
            VerificationKey::ROUND,
            rewrite(|message| *message = Receipted::<VerificationKey>::Disputed(vec![2])),
        ),
        (VerificationKey::ROUND, rewrite(|message| *message = Receipted::<VerificationKey>::OutOfRange)),
    ]
}

/// Only what is checked between the last broadcast and the confirmation names the liar.
#[test]
fn a_changed_proof_names_its_sender() {
    let change = |frame: &mut Vec<u8>, _: &[u8]| {
        // Inside the response, where every value decodes.
        let inside = frame.len() - 20;
        frame[inside] ^= 1;
    };
    let results = run(place(TrialProof::ROUND), &[0], Box::new(change));
    let error = results[0].as_ref().unwrap_err();
    assert!(matches!(error, KeygenError::Invalid { party, .. } if *party == SPOILED), "{error}");
    assert!(results.iter().all(Result::is_err));
}

/// The receiver complains, the sender publishes what it meant, and the run goes on with it.
#[test]
fn a_dealing_that_was_changed_on_its_way_is_published() {
    let changes: [(&str, Box<Change>); 3] = [
        (CandidateShares::ROUND, rewrite(|message: &mut CandidateShares| flip(&mut message.values))),
        (WinnerShares::ROUND, rewrite(|message: &mut WinnerShares| flip(&mut message.lifts))),
        (IntegerShareMessage::ROUND, rewrite(|message: &mut IntegerShareMessage| message.value += 1)),
    ];
    for (round, change) in changes {
        let shares: Vec<_> = run(place(round), &[0], change).into_iter().collect::<Result<_, _>>().unwrap();
        assert!(shares.iter().all(|share| share.key().public() == shares[0].key().public()), "{round}");
    }
}

#[test]
fn a_broadcast_that_differs_between_receivers_gives_no_key_to_anybody() {
    for (round, change) in broadcasts() {
        for (party, result) in run(place(round), &[0], change).iter().enumerate() {
            let error = result.as_ref().unwrap_err();
            // Also where the tests decide which round comes next, so that honest parties go different ways at once.
            assert!(error.culprits().is_empty(), "{round} at party {party}: {error}");
            let expected = matches!(
                error,
                KeygenError::Session(SessionError::EchoMismatch { .. } | SessionError::Aborted { .. })
            );
            assert!(expected, "{round} at party {party}: {error}");
        }
    }
}
