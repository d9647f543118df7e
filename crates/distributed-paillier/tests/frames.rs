//! A network that spoils the frames of one party, round by round: every honest party ends with a typed error.
#![allow(clippy::unwrap_used, clippy::panic, clippy::ptr_arg, reason = "test code")]

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use subrosa_distributed_paillier::messages::IntegerShareMessage;
use subrosa_distributed_paillier::{KeyShare, KeygenError, KeygenParameters, PROTOCOL, generate};
use subrosa_threshold_decryption::KeyError;
use subrosa_transport::{
    FailureKind, MemoryNetwork, PartyId, Session, SessionError, Settings, memory::Action,
    testing::run_network,
};

const SPOILED: PartyId = PartyId::new(1);
const HONEST: [usize; 2] = [0, 2];

/// The header of a frame, and where the tag of its round is.
const HEADER: usize = 84;
const TAG: std::ops::Range<usize> = 76..84;

/// Rounds in the order in which their first frames go over a pair; before them comes the opening of the session.
const ROUNDS: [&str; 14] = [
    "candidate shares",
    "products",
    "first test",
    "further tests",
    "product check triples",
    "product checks",
    "key shares",
    "key openings",
    "mask residues",
    "integer shares",
    "verification keys",
    "trial decryptions",
    "trial proofs",
    "confirmation",
];
/// The broadcasts among them, but for the proofs: a proof that was changed names its sender at once.
const BROADCASTS: [&str; 8] = [
    "products",
    "first test",
    "further tests",
    "product checks",
    "key openings",
    "mask residues",
    "verification keys",
    "trial decryptions",
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
    done: bool,
}

/// Runs key generation among three parties where the first frame of round `round` from the spoiled party to each of
/// `victims` is changed; the change also sees the frame before.
fn run(round: usize, victims: &'static [usize], change: Box<Change>) -> Vec<Result<KeyShare, KeygenError>> {
    let pairs: Mutex<HashMap<PartyId, Pair>> = Mutex::default();
    let spoil = move |from: PartyId, to: PartyId, _: u64, frame: &mut Vec<u8>| {
        if from == SPOILED && victims.contains(&to.index()) {
            let mut pairs = pairs.lock().unwrap();
            let pair = pairs.entry(to).or_default();
            let tag = frame[TAG].to_vec();
            if !pair.tags.contains(&tag) {
                pair.tags.push(tag);
            }
            let genuine = frame.clone();
            // Tag 0 is that of the session's opening.
            if pair.tags.len() == round + 2 && !std::mem::replace(&mut pair.done, true) {
                change(frame, &pair.last);
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
        let settings = Settings::default().with_timeout(Duration::from_secs(60));
        let mut session =
            Session::open(&mut transport, PROTOCOL, &parameters.session_parameters(), settings, &mut rng)?;
        generate(&mut session, &parameters, &mut rng, |_| ())
    })
}

/// Every honest party blames the spoiled one.
fn assert_blamed(what: &str, round: usize, change: Box<Change>) {
    let results = run(round, &HONEST, change);
    for honest in HONEST {
        let error = results[honest].as_ref().unwrap_err();
        assert_eq!(error.culprits(), [SPOILED], "{what} in {}: {error}", ROUNDS[round]);
        let KeygenError::Session(error) = error else { panic!("{what} in {}: {error}", ROUNDS[round]) };
        let expected = matches!(error.kind(), FailureKind::Peer | FailureKind::Abort);
        assert!(expected, "{what} in {}: {error}", ROUNDS[round]);
    }
}

#[test]
fn an_unspoiled_run_gives_a_key_from_its_first_batch() {
    let results = run(usize::MAX - 2, &HONEST, Box::new(|_, _| ()));
    assert!(results.iter().all(Result::is_ok));
}

#[test]
fn truncated_frames_name_their_sender_in_every_round() {
    for round in 0..ROUNDS.len() {
        let half = |frame: &mut Vec<u8>, _: &[u8]| {
            let payload = frame.len() - HEADER;
            // A confirmation has no payload: its header is cut.
            frame.truncate(if payload == 0 { HEADER / 2 } else { HEADER + payload / 2 });
        };
        assert_blamed("truncated", round, Box::new(half));
    }
}

#[test]
fn longer_frames_name_their_sender_in_every_round() {
    for round in 0..ROUNDS.len() {
        assert_blamed("longer", round, Box::new(|frame, _| frame.push(0)));
    }
}

#[test]
fn replayed_frames_name_their_sender_in_every_round() {
    for round in 0..ROUNDS.len() {
        assert_blamed("replayed", round, Box::new(|frame, last| *frame = last.to_vec()));
    }
}

/// Flips the lowest bit of every number of a list.
fn flip_lowest_bits(frame: &mut Vec<u8>, _: &[u8]) {
    let length = frame[HEADER..].iter().position(|byte| byte & 0x80 == 0).unwrap() + 1;
    let start = HEADER + length;
    let width = u32::from_le_bytes(frame[start..start + 4].try_into().unwrap()) as usize;
    frame[start + 4..].iter_mut().step_by(width).for_each(|byte| *byte ^= 1);
}

/// Only what is checked between the last broadcast and the confirmation names the liar.
#[test]
fn a_changed_proof_names_its_sender() {
    let change = |frame: &mut Vec<u8>, _: &[u8]| {
        // Inside the response, where every value decodes.
        let inside = frame.len() - 20;
        frame[inside] ^= 1;
    };
    let results = run(place("trial proofs"), &[0], Box::new(change));
    let error = results[0].as_ref().unwrap_err();
    assert!(matches!(error, KeygenError::Invalid { party, .. } if *party == SPOILED), "{error}");
    assert!(results.iter().all(Result::is_err));
}

/// The receiver takes what it was dealt for its share, in its key, its trial decryption and its proof alike: only the
/// comparison of all keys tells, and nobody is named.
#[test]
fn a_wrong_integer_share_gives_no_key_to_anybody() {
    let change = |frame: &mut Vec<u8>, _: &[u8]| {
        let mut message: IntegerShareMessage = postcard::from_bytes(&frame[HEADER..]).unwrap();
        message.value += 1;
        frame.truncate(HEADER);
        frame.extend(postcard::to_stdvec(&message).unwrap());
    };
    for result in run(place("integer shares"), &[0], Box::new(change)) {
        let error = result.unwrap_err();
        let noticed = matches!(error, KeygenError::Key(KeyError::InconsistentVerificationKeys));
        assert!(noticed || matches!(error, KeygenError::Session(SessionError::Aborted { .. })), "{error}");
        assert!(error.to_string().contains("do not belong to shares of one decryption key"), "{error}");
    }
}

#[test]
fn a_broadcast_that_differs_between_receivers_gives_no_key_to_anybody() {
    for round in BROADCASTS.map(place) {
        for (party, result) in run(round, &[0], Box::new(flip_lowest_bits)).iter().enumerate() {
            let error = result.as_ref().unwrap_err();
            // Also where the tests decide which round comes next, so that honest parties go different ways at once.
            assert!(error.culprits().is_empty(), "{} at party {party}: {error}", ROUNDS[round]);
        }
    }
}

#[test]
fn openings_that_differ_between_receivers_are_reported_as_different_broadcasts() {
    for round in ["key openings", "mask residues"].map(place) {
        for result in run(round, &[0], Box::new(flip_lowest_bits)) {
            let error = result.unwrap_err();
            let expected = matches!(
                error,
                KeygenError::Session(SessionError::EchoMismatch { .. } | SessionError::Aborted { .. })
            );
            assert!(expected, "{}: {error}", ROUNDS[round]);
        }
    }
}
