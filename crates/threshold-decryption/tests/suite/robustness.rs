//! Up to t parties lie or stay away: with proofs they are named and the others finish; with spare answers a lie ends
//! the decryption; a policy refuses before anything is computed.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};
use std::time::Duration;

use num_bigint::BigUint;
use num_traits::{One, Zero};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};

use crate::common::*;
use subrosa_threshold_decryption::renewal::REFRESH_PROTOCOL;
use subrosa_threshold_decryption::{
    BatchProof, Challenges, Combiner, DecryptionError, DecryptionPolicy, KeyShare, PartialDecryption,
    PolicyRefusal, ProofContext,
    protocol::{self, Checks, Decrypted, Decryption, DecryptionSettings},
};
use subrosa_transport::{
    Cause, Culprits, HEADER_BYTES, MemoryNetwork, Parameters, PartyId, PerParty, Session, SessionError,
    Violation,
    memory::{Action, silence_after},
    round_tag,
    testing::{run_network, run_parties},
    with_causes,
};

/// A message with a proof, as it crosses the wire.
#[derive(Serialize, Deserialize)]
struct Proven {
    values: Uints,
    proof: BatchProof,
}

/// Frames after the opening: the announcement, its confirmation, then the partial decryptions.
const ANNOUNCEMENT: u64 = 0;
const PARTIALS: u64 = 2;

/// The rounds with proofs.
const PROVEN: &str = "decrypt/proven-partial";
const REQUEST: &str = "decrypt/request";

fn patient(checks: Checks) -> DecryptionSettings {
    DecryptionSettings::new().with_checks(checks).with_grace(Duration::from_secs(10))
}

/// Party 1 reads `count` ciphertexts, party 5 one, with the others' frames as `network` brings them.
fn run(
    shares: &[KeyShare],
    network: Vec<subrosa_transport::MemoryTransport>,
    count: usize,
    settings: &DecryptionSettings,
) -> Vec<Result<Decrypted, DecryptionError>> {
    let n = shares.len();
    run_network(network, |me, mut transport| {
        let mut counts = vec![0; n];
        (counts[0], counts[n - 1]) = (count, 1);
        let mine = encrypt(&(0..counts[me.index()] as i64).collect::<Vec<_>>());
        let (share, counts) = (&shares[me.index()], PerParty::from_vec(counts));
        Decryption::new(share).settings(settings.clone()).limits(limits()).run(
            &mut transport,
            &mine,
            &counts,
            &mut rng(me.index() as u64),
        )
    })
}

fn named(decrypted: &Decrypted) -> Vec<usize> {
    decrypted.absent.iter().map(|failure| failure.party.index()).collect()
}

#[test]
fn two_liars_of_five_are_named_with_what_they_lied_about() {
    let shares = deal(5, 2);
    let n = public().n().clone();
    type Lie = Arc<dyn Fn(&mut Proven) + Send + Sync>;
    let (square, zero) = (&n * &n, BigUint::zero());
    let lies: [(&str, Lie, &[usize]); 9] = [
        ("shifted", Arc::new(|m| m.values.0[3] = shifted(&m.values.0[3], 9)), &[3]),
        ("two wrong", Arc::new(|m| (m.values.0[0] += 1u32, m.values.0[4] += 2u32).0), &[0, 4]),
        ("swapped", Arc::new(|m| m.values.0.swap(1, 2)), &[1, 2]),
        // −cⱼ has the same square: only the proof, which was made for cⱼ, is wrong.
        ("negated", Arc::new(move |m| m.values.0[1] = &square - &m.values.0[1]), &[]),
        ("zero", Arc::new(move |m| m.values.0[2] = zero.clone()), &[]),
        ("N", Arc::new(move |m| m.values.0[2] = n.clone()), &[]),
        ("too few", Arc::new(|m| drop(m.values.0.pop())), &[]),
        ("too many", Arc::new(|m| m.values.0.push(BigUint::one())), &[]),
        ("none", Arc::new(|m| m.values.0.clear()), &[]),
    ];
    for (name, lie, wrong) in lies {
        let change = move |_, to: PartyId, _, payload: &mut Vec<u8>| {
            if to == party(0) {
                rewrite(payload, |message: &mut Proven| lie(message));
            }
        };
        let network = falsified_in(5, &[1, 3], PROVEN, change);
        let results = run(&shares, network, 5, &patient(Checks::Proofs(Challenges::Wide)));
        let decrypted = results[0].as_ref().unwrap();
        assert_eq!(decrypted.plaintexts, signed(&[0, 1, 2, 3, 4]), "{name}");
        assert_eq!(named(decrypted), [1, 3], "{name}");
        for failure in &decrypted.absent {
            let refused = matches!(
                failure.cause,
                Cause::Violation(Violation::Refused(_) | Violation::Oversized { .. })
            );
            assert!(refused, "{name}: {failure}");
        }
        for deviation in &decrypted.deviations {
            assert_eq!(deviation.ciphertexts, wrong, "{name}");
        }
        let singled_out: Vec<_> = decrypted.deviations.iter().map(|d| d.party.index()).collect();
        assert!(wrong.is_empty() || singled_out.len() == 2, "{name}: {singled_out:?}");
        // They lied to party 1 only: party 5 saw nothing of it.
        let other = results[4].as_ref().unwrap();
        assert_eq!((&other.plaintexts, named(other)), (&signed(&[0]), vec![]), "{name}");
    }
}

#[test]
fn a_lie_with_a_proof_of_its_own_is_refused() {
    // The liar proves over its wrong values, in the right session, with its own share: the best that it can do.
    let shares = deal(3, 1);
    let liar = shares[1].clone();
    let network = falsified_in(3, &[1], PROVEN, move |_, to, id, payload| {
        if to != party(0) {
            return;
        }
        let some = ciphertexts(2);
        let mut values = liar.partially_decrypt(&some).unwrap().into_values();
        values[1] = shifted(&values[1], 1);
        let lie = PartialDecryption::new(party(1), values.clone());
        let names = names(3);
        let context = ProofContext::new(id, names.iter().map(String::as_str));
        let proof = liar.prove(&context, &some, &lie, Challenges::Wide, &mut rng(5)).unwrap();
        *payload = postcard::to_stdvec(&Proven { values: Uints(values), proof }).unwrap();
    });
    let results = run(&shares, network, 2, &patient(Checks::Proofs(Challenges::Wide)));
    let decrypted = results[0].as_ref().unwrap();
    assert_eq!(decrypted.plaintexts, signed(&[0, 1]));
    assert_eq!(named(decrypted), [1]);
    assert_eq!(decrypted.deviations[0].ciphertexts, [1]);
}

#[test]
fn a_message_of_an_earlier_session_is_refused() {
    let shares = deal(3, 1);
    let settings = patient(Checks::Proofs(Challenges::Wide));
    let recorded = Arc::new(std::sync::Mutex::new(Vec::new()));
    let tape = Arc::clone(&recorded);
    let network = falsified_in(3, &[1], PROVEN, move |_, to, _, payload| {
        if to == party(0) {
            tape.lock().unwrap().clone_from(payload);
        }
    });
    assert!(named(run(&shares, network, 2, &settings)[0].as_ref().unwrap()).is_empty());
    // The same ciphertexts in another session, in a frame of that session: the proof alone tells.
    let old = recorded.lock().unwrap().clone();
    assert!(!old.is_empty());
    let network = falsified_in(3, &[1], PROVEN, move |_, to, _, payload| {
        if to == party(0) {
            payload.clone_from(&old);
        }
    });
    let results = run_network(network, |me, mut transport| {
        let counts = PerParty::from_vec(vec![2, 0, 1]);
        let mine = encrypt(&(0..counts[me] as i64).collect::<Vec<_>>());
        let share = &shares[me.index()];
        Decryption::new(share)
            .settings(settings.clone())
            .limits(limits())
            .run(&mut transport, &mine, &counts, &mut rng(4))
            .unwrap()
    });
    assert_eq!(results[0].plaintexts, signed(&[0, 1]));
    assert_eq!(named(&results[0]), [1]);
}

#[test]
fn more_liars_than_t_end_in_an_error_that_names_them() {
    let shares = deal(3, 1);
    let network = falsified_in(3, &[1, 2], PROVEN, |_, _, _, payload| {
        rewrite(payload, |message: &mut Proven| message.values.0[0] = shifted(&message.values.0[0], 1));
    });
    let results = run(&shares, network, 2, &patient(Checks::Proofs(Challenges::Wide)));
    let error = results[0].as_ref().unwrap_err();
    assert_eq!(error.culprits(), [party(1), party(2)], "{error}");
}

/// With a quorum, two parties that shift a plaintext of the third are not noticed.
#[test]
fn whoever_chooses_no_checks_gets_proofs() {
    let wide = DecryptionSettings::new().with_checks(Checks::Proofs(Challenges::Wide));
    assert_eq!((DecryptionSettings::default(), Checks::default()), (wide.clone(), wide.checks));
    assert_eq!(DecryptionSettings::new().grace, Duration::ZERO);
    let shares = deal(3, 1);
    let network = falsified_in(3, &[1, 2], PROVEN, |_, _, _, payload| {
        rewrite(payload, |message: &mut Proven| message.values.0[0] = shifted(&message.values.0[0], 1));
    });
    let results = run_network(network, |me, mut transport| {
        let counts = PerParty::from_vec(vec![1, 0, 0]);
        let mine = encrypt(&[5][..counts[me]]);
        let (share, mut rng) = (&shares[me.index()], rng(me.index() as u64));
        Decryption::new(share).limits(limits()).run(&mut transport, &mine, &counts, &mut rng)
    });
    let error = results[0].as_ref().unwrap_err();
    assert_eq!(error.culprits(), [party(1), party(2)], "{error}");
}

#[test]
fn silent_parties_are_named_and_the_others_finish() {
    let shares = deal(5, 2);
    let network = subrosa_transport::MemoryNetwork::builder(names(5))
        .intercept(silence_after(party(1), OPENING + PARTIALS))
        .intercept(silence_after(party(2), OPENING + PARTIALS))
        .build()
        .unwrap();
    let settings = DecryptionSettings::new();
    let results = run(&shares, network, 3, &settings);
    assert_eq!(results[0].as_ref().unwrap().plaintexts, signed(&[0, 1, 2]));
    assert_eq!(results[4].as_ref().unwrap().plaintexts, signed(&[0]));
}

/// Counts the frames of a round that are sent.
fn counted(
    round: &'static str,
    count: &Arc<AtomicUsize>,
) -> impl Fn(PartyId, PartyId, u64, &mut Vec<u8>) -> Action + use<> {
    let (tag, count) = (round_tag(round), Arc::clone(count));
    move |_, _, _, frame: &mut Vec<u8>| {
        count.fetch_add(usize::from(frame[76..84] == tag), Ordering::Relaxed);
        Action::Deliver
    }
}

#[test]
fn only_t_others_compute_for_a_party_that_lacks_nothing() {
    for (n, t) in [(3, 1), (5, 2), (7, 2)] {
        let (shares, answers) = (deal(n, t), Arc::new(AtomicUsize::new(0)));
        let network = MemoryNetwork::builder(names(n as usize)).intercept(counted(PROVEN, &answers));
        let results = run(&shares, network.build().unwrap(), 4, &DecryptionSettings::new());
        assert_eq!(results[0].as_ref().unwrap().plaintexts, signed(&[0, 1, 2, 3]));
        assert_eq!(results[n as usize - 1].as_ref().unwrap().plaintexts, signed(&[0]));
        // Two parties read.
        assert_eq!(answers.load(Ordering::Relaxed), 2 * t as usize, "{n} parties");
    }
}

/// A helper that answers late, or never, costs time: nobody is blamed, and others answer.
#[test]
fn a_silent_helper_is_replaced() {
    let shares = deal(5, 2);
    let drop_answers = |from: PartyId, _: PartyId, _: u64, frame: &mut Vec<u8>| {
        if from == party(1) && frame[76..84] == round_tag(PROVEN) { Action::Drop } else { Action::Deliver }
    };
    let answers = Arc::new(AtomicUsize::new(0));
    let network =
        MemoryNetwork::builder(names(5)).intercept(drop_answers).intercept(counted(PROVEN, &answers));
    let results = run(&shares, network.build().unwrap(), 3, &DecryptionSettings::new());
    assert_eq!(results[0].as_ref().unwrap().plaintexts, signed(&[0, 1, 2]));
    assert_eq!(results[4].as_ref().unwrap().plaintexts, signed(&[0]));
    for result in &results {
        // Whether it is seen to be gone depends on when it leaves; nobody else is named.
        assert!(named(result.as_ref().unwrap()).iter().all(|&index| index == 1));
    }
    // Party 2 helps parties 1 and 5: both ask it again, and both ask the two that had not been asked before.
    assert_eq!(answers.load(Ordering::Relaxed), 2 + 2 * 2);
}

/// A cheat that lies to one, and lets another wait, brings nobody honest into discredit.
#[test]
fn a_liar_that_lets_others_wait_does_not_set_them_against_each_other() {
    let shares = deal(3, 1);
    let network = MemoryNetwork::builder(names(3)).intercept(|from, to, _, frame: &mut Vec<u8>| {
        let round: [u8; 8] = frame[76..84].try_into().unwrap();
        if from == party(1) && to == party(0) && round == round_tag(PROVEN) {
            frame.truncate(HEADER_BYTES);
        }
        let withheld = from == party(1) && to == party(2) && round == round_tag(REQUEST);
        if withheld { Action::Drop } else { Action::Deliver }
    });
    let results = run_network(network.build().unwrap(), |me, mut transport| {
        let counts = PerParty::from_vec(vec![2, 1, 1]);
        let mine = encrypt(&(0..counts[me] as i64).collect::<Vec<_>>());
        let short = limits().with_timeout(Duration::from_secs(4));
        Decryption::new(&shares[me.index()]).limits(short).run(
            &mut transport,
            &mine,
            &counts,
            &mut rng(me.index() as u64),
        )
    });
    let decrypted: Vec<&Decrypted> = results.iter().map(|result| result.as_ref().unwrap()).collect();
    assert_eq!(decrypted[0].plaintexts, signed(&[0, 1]));
    assert_eq!(named(decrypted[0]), [1]);
    assert!(named(decrypted[2]).iter().all(|&index| index == 1));
    assert_eq!(decrypted[2].plaintexts, signed(&[0]));
}

#[test]
fn requests_that_make_no_sense_name_the_asker() {
    let shares = deal(3, 1);
    for request in [vec![2], vec![0, 0], vec![]] {
        let network = falsified_in(3, &[0], REQUEST, move |_, _, _, payload| payload.clone_from(&request));
        let results = run(&shares, network, 2, &DecryptionSettings::new());
        assert_eq!(results[0].as_ref().unwrap().plaintexts, signed(&[0, 1]));
        for result in &results[1..] {
            assert_eq!(named(result.as_ref().unwrap()), [0]);
        }
    }
}

/// A reader whose requests get lost is answered by all, also where it lacks nothing, and takes no harm.
#[test]
fn silence_is_a_request() {
    let shares = deal(5, 2);
    let answers = Arc::new(AtomicUsize::new(0));
    let lost = |from: PartyId, _: PartyId, _: u64, frame: &mut Vec<u8>| {
        if from == party(0) && frame[76..84] == round_tag(REQUEST) { Action::Drop } else { Action::Deliver }
    };
    let network = MemoryNetwork::builder(names(5)).intercept(lost).intercept(counted(PROVEN, &answers));
    let results = run_network(network.build().unwrap(), |me, mut transport| {
        let counts = PerParty::from_vec(vec![protocol::CHUNK + 1, 0, 0, 0, 1]);
        let short = limits().with_round_timeout(Duration::from_secs(5));
        let decryption = Decryption::new(&shares[me.index()]).limits(short);
        let mine = encrypt(&vec![3; counts[me]]);
        decryption.run(&mut transport, &mine, &counts, &mut rng(me.index() as u64)).unwrap()
    });
    assert_eq!(results[0].plaintexts, signed(&[3; protocol::CHUNK + 1]));
    assert_eq!(results[4].plaintexts, signed(&[3]));
    // It leaves when it has everything, and those that still wait for its last request see that.
    assert!(results.iter().all(|result| named(result).iter().all(|&index| index == 0)));
    // From its two helpers for both chunks, then from all four for the first, and two for party 5.
    assert!(answers.load(Ordering::Relaxed) >= 2 * 2 + 4 + 2);
}

/// The lie comes in the second message of a long batch: what was read before stays, and the rest is asked for.
#[test]
fn a_lie_in_a_later_chunk_is_named_with_its_place() {
    let shares = deal(3, 1);
    let wrong = protocol::CHUNK + 2;
    let network = falsified_in(3, &[1], PROVEN, |_, to, _, payload| {
        rewrite(payload, |message: &mut Proven| {
            if to == party(0) && message.values.0.len() < protocol::CHUNK {
                message.values.0[2] = shifted(&message.values.0[2], 1);
            }
        });
    });
    let results = run(&shares, network, protocol::CHUNK + 4, &DecryptionSettings::new());
    let decrypted = results[0].as_ref().unwrap();
    assert_eq!(decrypted.plaintexts, signed(&(0..protocol::CHUNK as i64 + 4).collect::<Vec<_>>()));
    assert_eq!(named(decrypted), [1]);
    assert_eq!(decrypted.deviations[0].ciphertexts, [wrong]);
}

#[test]
fn without_proofs_a_quorum_is_shifted_unnoticed_and_spares_notice() {
    let lie = |_: PartyId, _: PartyId, _: [u8; 32], payload: &mut Vec<u8>| {
        rewrite(payload, |values: &mut Uints| values.0[0] = shifted(&values.0[0], 1));
    };
    // A quorum alone returns a wrong plaintext: that is why it is for parties that follow the protocol.
    let shares = deal(3, 1);
    let quorum = DecryptionSettings::new().with_checks(Checks::Quorum);
    let network = subrosa_transport::MemoryNetwork::builder(names(3))
        .intercept(silence_after(party(2), OPENING + PARTIALS))
        .intercept(move |from, to, number, frame| {
            if (from, number) == (party(1), OPENING + PARTIALS) {
                let mut payload = frame.split_off(subrosa_transport::HEADER_BYTES);
                lie(from, to, [0; 32], &mut payload);
                frame.extend(payload);
            }
            subrosa_transport::memory::Action::Deliver
        })
        .build()
        .unwrap();
    let decrypted = run(&shares, network, 2, &quorum).swap_remove(0).unwrap();
    assert_ne!(decrypted.plaintexts[0], signed(&[0])[0]);
    assert_eq!(decrypted.plaintexts[1], signed(&[1])[0]);
    // One spare notices one liar, but not whom.
    let one = patient(Checks::Spares(1));
    let results = run(&shares, falsified(3, &[1], PARTIALS, lie), 2, &one);
    let error = results[0].as_ref().unwrap_err();
    assert!(matches!(error, DecryptionError::Inconsistent { index: 0 }), "{error}");
    let honest = run(&shares, falsified(3, &[], PARTIALS, lie), 2, &one);
    assert_eq!(honest[0].as_ref().unwrap().plaintexts, signed(&[0, 1]));
    // Two spares notice two liars among five.
    let shares = deal(5, 2);
    let results = run(&shares, falsified(5, &[1, 2], PARTIALS, lie), 2, &patient(Checks::Spares(2)));
    assert!(matches!(results[0], Err(DecryptionError::Inconsistent { index: 0 })));
    let results = run(&shares, falsified(5, &[], PARTIALS, lie), 2, &patient(Checks::Spares(3)));
    assert!(matches!(results[0], Err(DecryptionError::TooManySpares { spares: 3, parties: 5 })));
}

#[test]
fn announcements_that_differ_are_noticed_and_malformed_ones_blamed() {
    #[derive(Serialize, Deserialize)]
    struct Announced {
        key: [u8; 16],
        values: Uints,
    }
    let shares = deal(3, 1);
    let settings = DecryptionSettings::new();
    let errors = |change: fn(PartyId, &mut Announced)| {
        let network = falsified(3, &[0], ANNOUNCEMENT, move |_, to, _, payload| {
            rewrite(payload, |message: &mut Announced| change(to, message));
        });
        run(&shares, network, 2, &settings).into_iter().map(Result::unwrap_err).collect::<Vec<_>>()
    };
    // Told different things, the others find out before anything is decrypted, but not who is to blame.
    let split = errors(|to, message| {
        if to == party(1) {
            message.values.0.swap(0, 1);
        }
    });
    for error in &split[1..] {
        let nobody = matches!(error, DecryptionError::Session(SessionError::EchoMismatch { .. }));
        assert!(nobody || matches!(error, DecryptionError::Session(SessionError::Aborted { .. })), "{error}");
        assert!(error.culprits().is_empty(), "{error}");
    }
    let malformed: [fn(PartyId, &mut Announced); 5] = [
        |_, message| message.values.0[1] = BigUint::zero(),
        |_, message| message.values.0[1] = public().n().clone(),
        |_, message| message.values.0[1] = public().n() * public().n() + 1u32,
        |_, message| drop(message.values.0.pop()),
        |_, message| message.key[0] ^= 1,
    ];
    for change in malformed {
        for error in &errors(change)[1..] {
            assert_eq!(Culprits::culprits(error), [party(0)], "{error}");
        }
    }
}

#[test]
fn deviations_name_party_and_ciphertext() {
    for (n, t) in [(3, 1), (5, 2), (7, 2)] {
        let shares = deal(n, t);
        let some = ciphertexts(6);
        let partials: Vec<_> = shares.iter().map(|share| share.partially_decrypt(&some).unwrap()).collect();
        let (quorum, others) = partials.split_at(t as usize + 1);
        let members: Vec<PartyId> = quorum.iter().map(PartialDecryption::party).collect();
        let combiner = Combiner::new(shares[0].key(), &members).unwrap();
        assert_eq!(combiner.deviations(quorum, others).unwrap(), []);
        let mut wrong = others.to_vec();
        let mut values = wrong[0].clone().into_values();
        (values[0], values[5]) = (shifted(&values[0], 3), shifted(&values[5], 4));
        wrong[0] = PartialDecryption::new(wrong[0].party(), values);
        let found = combiner.deviations(quorum, &wrong).unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].party, &*found[0].ciphertexts), (wrong[0].party(), &[0, 5][..]));
        assert!(combiner.deviations(quorum, quorum).is_err());
    }
}

#[test]
fn parties_with_other_checks_or_another_epoch_do_not_open_a_session() {
    let shares = deal(3, 1);
    let results = run_parties(3, |me, mut transport| {
        let checks = if me == party(1) { Checks::Quorum } else { Checks::Proofs(Challenges::Wide) };
        let settings = DecryptionSettings::new().with_checks(checks);
        let decryption = Decryption::new(&shares[0]).settings(settings).limits(limits());
        decryption.open(&mut transport, &mut rng(me.index() as u64)).map(drop).unwrap_err()
    });
    assert_eq!(results[0].culprits(), [party(1)], "{}", results[0]);
    let refresh = subrosa_threshold_decryption::renewal::Refresh::new(shares[0].key()).unwrap();
    let (commitments, dealt): (Vec<_>, Vec<_>) = (0..3).map(|seed| refresh.deal(&mut rng(seed))).unzip();
    let mine = PerParty::from_vec(dealt.into_iter().map(|dealt| dealt.into_vec().remove(0)).collect());
    let later = refresh.finish(&shares[0], &PerParty::from_vec(commitments), &mine).unwrap();
    assert_ne!(Decryption::new(&later).parameters(), Decryption::new(&shares[0]).parameters());
}

/// What a driver rests on is what its session was opened with.
#[test]
fn a_session_for_something_else_is_refused() {
    let shares = deal(3, 1);
    let results = run_parties(3, |me, mut transport| {
        let share = &shares[me.index()];
        let counts = PerParty::from_vec(vec![0, 0, 0]);
        let quorum = DecryptionSettings::new().with_checks(Checks::Quorum);
        let decryption = Decryption::new(share).settings(quorum).limits(limits());
        let mut session = decryption.open(&mut transport, &mut rng(1)).unwrap();
        // Other checks than the parties agreed on.
        let other = Decryption::new(share).run_in(&mut session, &[], &counts, &mut rng(2)).unwrap_err();
        assert!(with_causes(&other).contains("`checks`"), "{other}");
        // The session goes on.
        decryption.run_in(&mut session, &[], &counts, &mut rng(3)).unwrap();
        drop(session);
        let nothing = Parameters::new();
        let mut session =
            Session::open(&mut transport, REFRESH_PROTOCOL, &nothing, limits(), &mut rng(4)).unwrap();
        Decryption::new(share).run_in(&mut session, &[], &counts, &mut rng(5)).unwrap_err()
    });
    for error in results {
        assert!(error.culprits().is_empty(), "{error}");
        assert!(with_causes(&error).contains("subrosa/refresh"), "{error}");
    }
}

/// An answer that is missing is no answer that agrees.
#[test]
fn spares_are_waited_for() {
    let shares = deal(3, 1);
    let network = subrosa_transport::MemoryNetwork::builder(names(3))
        .intercept(silence_after(party(2), OPENING + PARTIALS))
        .build()
        .unwrap();
    let settings =
        DecryptionSettings::new().with_checks(Checks::Spares(1)).with_grace(Duration::from_millis(300));
    let error = run(&shares, network, 2, &settings).swap_remove(0).unwrap_err();
    assert_eq!(error.culprits(), [party(2)], "{error}");
}

#[test]
fn a_session_or_batches_of_another_number_of_parties_are_refused() {
    let shares = deal(3, 1);
    let results = run_parties(4, |me, mut transport| {
        let mut session = open(&mut transport, 5);
        let share = &shares[me.index().min(2)];
        let batches = PerParty::from_vec(vec![ciphertexts(1), vec![], vec![]]);
        protocol::decrypt_towards(
            &mut session,
            share,
            &batches,
            &DecryptionSettings::new(),
            None,
            &mut rng(9),
        )
        .map(drop)
    });
    for result in results {
        assert!(matches!(result, Err(DecryptionError::Roster { expected: 3, found: 4 })));
    }
    let results = run_parties(3, |me, mut transport| {
        let mut session = open(&mut transport, 6);
        let batches = PerParty::from_vec(vec![ciphertexts(1), vec![]]);
        protocol::decrypt_towards(
            &mut session,
            &shares[me.index()],
            &batches,
            &DecryptionSettings::new(),
            None,
            &mut rng(9),
        )
        .map(drop)
    });
    assert!(results.iter().all(|result| matches!(result, Err(DecryptionError::Roster { expected: 3, .. }))));
}

/// A ledger is about the others; what one has decrypted oneself, they decide. And the session is as it was before.
#[test]
fn ones_own_batch_is_not_entered_and_the_grace_is_given_back() {
    let shares = deal(3, 1);
    let results = run_parties(3, |me, mut transport| {
        let decryption = Decryption::new(&shares[me.index()]).limits(limits());
        let decryption = decryption.settings(patient(Checks::Quorum).with_grace(Duration::from_secs(3)));
        let mut session = decryption.open(&mut transport, &mut rng(7)).unwrap();
        let default = session.set_collect_grace(Duration::from_secs(7));
        session.set_collect_grace(default);
        let mine = encrypt(&[5, 6][..usize::from(me == party(0)) * 2]);
        let counts = PerParty::from_vec(vec![2, 0, 0]);
        let policy = DecryptionPolicy::nobody();
        let policy = if me == party(0) { policy } else { policy.allow_count(party(0), 2) };
        let mut ledger = policy.ledger(session.id());
        let decrypted = decryption.ledger(&mut ledger).run_in(&mut session, &mine, &counts, &mut rng(8));
        assert_eq!(session.set_collect_grace(default), default);
        decrypted.unwrap().plaintexts
    });
    assert_eq!(results, [signed(&[5, 6]), vec![], vec![]]);
}

#[test]
fn a_policy_refuses_and_names_the_asker() {
    let some = ciphertexts(4);
    let session = [1; 32];
    let refusal = |error: DecryptionError| match error {
        DecryptionError::Refused { asker, refusal } => (asker.index(), refusal),
        other => panic!("{other}"),
    };
    let policy = DecryptionPolicy::nobody()
        .allow_count(party(0), 3)
        .allow_batch(party(1), &some[..2])
        .allow_batch(party(3), [&some[0], &some[0]]);
    let mut ledger = policy.ledger(&session);
    ledger.admit(&session, party(0), &some[..2]).unwrap();
    let too_many = ledger.admit(&session, party(0), &some[..2]).unwrap_err();
    assert_eq!(too_many.culprits(), [party(0)]);
    assert_eq!(refusal(too_many), (0, PolicyRefusal::TooMany { asked: 2, used: 2, allowed: 3 }));
    // What was refused is not counted.
    ledger.admit(&session, party(0), &some[..1]).unwrap();

    let undeclared = ledger.admit(&session, party(1), &some[1..3]).unwrap_err();
    assert_eq!(refusal(undeclared), (1, PolicyRefusal::Undeclared { index: 1 }));
    ledger.admit(&session, party(1), &some[1..2]).unwrap();
    let again = ledger.admit(&session, party(1), &some[..2]).unwrap_err();
    assert_eq!(refusal(again), (1, PolicyRefusal::Undeclared { index: 1 }));
    ledger.admit(&session, party(3), &[some[0].clone(), some[0].clone()]).unwrap();

    assert_eq!(
        refusal(ledger.admit(&session, party(2), &some[..1]).unwrap_err()),
        (2, PolicyRefusal::NotAllowed)
    );
    let other = ledger.admit(&[2; 32], party(0), &[]).unwrap_err();
    assert_eq!(refusal(other), (0, PolicyRefusal::OtherSession));
    // Every session begins with clean books.
    policy.ledger(&[2; 32]).admit(&[2; 32], party(0), &some[..3]).unwrap();
}

#[test]
fn a_regulator_helps_within_its_policy_only() {
    // Party 3 holds a share and a policy, and reads nothing itself.
    let shares = deal(3, 1);
    let run = |allowed: usize| {
        run_parties(3, |me, mut transport| {
            let counts = PerParty::from_vec(vec![2, 0, 0]);
            let mine = encrypt(&[5, 6][..counts[me]]);
            let policy = DecryptionPolicy::nobody().allow_count(party(0), allowed);
            let decryption = Decryption::new(&shares[me.index()]).limits(limits());
            let decryption = if me == party(2) { decryption.policy(&policy) } else { decryption };
            decryption.run(&mut transport, &mine, &counts, &mut rng(8))
        })
    };
    let within = run(2);
    assert_eq!(within[0].as_ref().unwrap().plaintexts, signed(&[5, 6]));
    assert!(within[2].as_ref().unwrap().plaintexts.is_empty());
    let beyond = run(1);
    let error = beyond[2].as_ref().unwrap_err();
    let expected = PolicyRefusal::TooMany { asked: 2, used: 0, allowed: 1 };
    assert!(
        matches!(error, DecryptionError::Refused { asker, refusal } if asker.index() == 0 && *refusal == expected)
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn garbage_in_place_of_a_proven_message_is_passed_over(garbage in prop::collection::vec(any::<u8>(), 0..400)) {
        let shares = deal(3, 1);
        let network = falsified_in(3, &[1], PROVEN, move |_, _, _, payload| payload.clone_from(&garbage));
        let results = run(&shares, network, 2, &patient(Checks::Proofs(Challenges::Wide)));
        prop_assert_eq!(&results[0].as_ref().unwrap().plaintexts, &signed(&[0, 1]));
        prop_assert_eq!(named(results[0].as_ref().unwrap()), vec![1]);
    }
}
