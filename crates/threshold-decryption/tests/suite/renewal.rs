//! Refreshed and reshared keys decrypt, old and new shares do not mix, growth is bounded, and wrong dealers are named.

use std::sync::{Arc, Mutex};

use num_bigint::{BigInt, BigUint};
use num_traits::Zero;

use crate::common::*;
use subrosa_threshold_decryption::{
    AccessStructure, Challenges, Combiner, KeyShare, PartialDecryption, ProofContext, ThresholdKey, proof,
    renewal::{Refresh, RenewalError, Resharing, Seats, default_share_limit},
};
use subrosa_transport::{Cause, MemoryTransport, PartyId, PerParty, SessionError, testing::run_network};

/// All parties' refresh without a network.
fn refreshed(shares: &[KeyShare], seed: u64) -> Vec<KeyShare> {
    let refresh = Refresh::new(shares[0].key()).unwrap();
    let mut rng = rng(seed);
    let (commitments, dealt): (Vec<_>, Vec<_>) = shares.iter().map(|_| refresh.deal(&mut rng)).unzip();
    let commitments = PerParty::from_vec(commitments);
    let finish = |share: &KeyShare| {
        let mine = dealt.iter().map(|values| values[share.party()].clone()).collect();
        refresh.finish(share, &commitments, &PerParty::from_vec(mine)).unwrap()
    };
    shares.iter().map(finish).collect()
}

/// A resharing by `dealers` without a network.
fn reshared(shares: &[KeyShare], dealers: &[u16], access: AccessStructure, seed: u64) -> Vec<KeyShare> {
    let dealers: Vec<PartyId> = dealers.iter().map(|&dealer| party(dealer)).collect();
    let resharing = Resharing::new(shares[0].key(), &dealers, access).unwrap();
    let mut rng = rng(seed);
    let (commitments, dealt): (Vec<_>, Vec<_>) =
        dealers.iter().map(|dealer| resharing.deal(&shares[dealer.index()], &mut rng).unwrap()).unzip();
    let receive = |me: u16| {
        let mine: Vec<_> = dealt.iter().map(|values| values[party(me)].clone()).collect();
        resharing.receive(party(me), &commitments, &mine).unwrap()
    };
    (0..access.parties() as u16).map(receive).collect()
}

/// Every set of t+1 consecutive parties decrypts, and every proof holds.
fn works(shares: &[KeyShare]) {
    let key = shares[0].key();
    let some = ciphertexts(3);
    let context = ProofContext::new([1; 32], ["someone"]);
    let partials: Vec<PartialDecryption> = shares
        .iter()
        .map(|share| {
            let partial = share.partially_decrypt(&some).unwrap();
            let proof = share.prove(&context, &some, &partial, Challenges::Wide, &mut rng(1)).unwrap();
            proof::verify(&context, key, &some, &partial, &proof, Challenges::Wide).unwrap();
            partial
        })
        .collect();
    for quorum in partials.windows(key.access().quorum()) {
        let members: Vec<PartyId> = quorum.iter().map(PartialDecryption::party).collect();
        assert_eq!(Combiner::new(key, &members).unwrap().combine(quorum).unwrap(), signed(&[0, 1, 2]));
    }
}

#[test]
fn refreshed_shares_decrypt_and_do_not_mix_with_old_ones() {
    for (n, t) in [(3, 1), (5, 2)] {
        let old = deal(n, t);
        let new = refreshed(&old, 1);
        works(&new);
        assert_eq!(new[0].key().lineage().epoch(), 1);
        assert_eq!(new[0].key().public(), old[0].key().public());
        assert_ne!(new[0].key().digest(), old[0].key().digest());
        for (old, new) in old.iter().zip(&new) {
            assert_ne!(old.share().expose(), new.share().expose());
            assert!(KeyShare::new(new.key().clone(), old.party(), old.share().clone()).is_err());
        }
        // t old shares and one new one: not a key.
        let some = ciphertexts(2);
        let mut mixed: Vec<_> =
            old[..t as usize].iter().map(|share| share.partially_decrypt(&some).unwrap()).collect();
        mixed.push(new[t as usize].partially_decrypt(&some).unwrap());
        let members: Vec<PartyId> = mixed.iter().map(PartialDecryption::party).collect();
        for key in [old[0].key(), new[0].key()] {
            assert!(Combiner::new(key, &members).unwrap().combine(&mixed).is_err());
        }
    }
}

#[test]
fn refreshes_grow_shares_by_the_bound_at_most() {
    let mut shares = deal(3, 1);
    let fresh = shares[0].key().parts().share_bits;
    for refreshes in 1u32..=12 {
        shares = refreshed(&shares, u64::from(refreshes));
        let lineage = shares[0].key().lineage();
        assert_eq!((lineage.refreshes(), lineage.epoch()), (refreshes, u64::from(refreshes)));
        let bits = shares[0].key().parts().share_bits;
        assert!(bits <= fresh + u64::from((2 * refreshes + 1).ilog2()) + 1, "{refreshes}: {fresh} to {bits}");
        let longest = shares.iter().map(|share| share.share().expose().bits()).max().unwrap();
        // Within a few bits of the bound, or the bound would be idle.
        assert!(longest <= bits && longest + 8 > bits, "{longest} of {bits}");
    }
    works(&shares);
    let bits = Refresh::new(shares[0].key()).unwrap().share_bits();
    assert!(Refresh::with_limit(shares[0].key(), bits).is_ok());
    let refused = Refresh::with_limit(shares[0].key(), bits - 1).unwrap_err();
    assert!(matches!(refused, RenewalError::Bound { bits: b, limit } if b == bits && limit == bits - 1));
}

#[test]
fn reshared_keys_decrypt_and_can_be_renewed_again() {
    let access = |n, t| AccessStructure::new(n, t).unwrap();
    let first = deal(5, 2);
    let second = reshared(&first, &[4, 0, 2], access(3, 1), 1);
    works(&second);
    let grown = second[0].key().parts().share_bits - first[0].key().parts().share_bits;
    assert!((80..160).contains(&grown), "{grown}");
    let longest = second.iter().map(|share| share.share().expose().bits()).max().unwrap();
    let bound = second[0].key().parts().share_bits;
    assert!(longest <= bound && longest + 12 > bound, "{longest} of {bound}");
    let third = refreshed(&second, 2);
    works(&third);
    let fourth = reshared(&third, &[1, 2], access(7, 3), 3);
    works(&fourth);
    assert_eq!(fourth[0].key().lineage().epoch(), 3);
    assert_eq!(fourth[0].key().public(), first[0].key().public());
}

#[test]
fn resharings_that_do_not_fit_are_refused() {
    let shares = deal(5, 2);
    let key = shares[0].key();
    let access = AccessStructure::new(3, 1).unwrap();
    for dealers in [&[0, 1][..], &[0, 1, 1], &[0, 1, 5], &[0, 1, 2, 3], &[]] {
        let dealers: Vec<PartyId> = dealers.iter().map(|&dealer| party(dealer)).collect();
        let refused = Resharing::new(key, &dealers, access).unwrap_err();
        assert!(matches!(refused, RenewalError::Dealers), "{dealers:?}");
    }
    let dealers = [party(0), party(1), party(2)];
    let limit = key.parts().share_bits + 20;
    let refused = Resharing::with_limit(key, &dealers, access, limit).unwrap_err();
    assert!(matches!(refused, RenewalError::Bound { limit: l, .. } if l == limit));
    let resharing = Resharing::new(key, &dealers, access).unwrap();
    assert!(matches!(resharing.deal(&shares[4], &mut rng(1)), Err(RenewalError::Dealers)));
    let other = deal(5, 1);
    assert!(matches!(resharing.deal(&other[0], &mut rng(1)), Err(RenewalError::Roster { .. })));
    // After enough resharings shares would be too long.
    let mut shares = shares;
    let refused = loop {
        let dealers: Vec<PartyId> = (0..shares[0].key().access().quorum() as u16).map(party).collect();
        match Resharing::new(shares[0].key(), &dealers, access) {
            Err(error) => break error,
            Ok(_) => {
                let dealers: Vec<u16> = dealers.iter().map(|dealer| dealer.index() as u16).collect();
                shares = reshared(&shares, &dealers, access, 9);
            }
        }
    };
    works(&shares);
    assert!(matches!(refused, RenewalError::Bound { limit, .. } if limit == default_share_limit(KEY_BITS)));
}

fn refresh_over(network: Vec<MemoryTransport>, shares: &[KeyShare]) -> Vec<Result<KeyShare, RenewalError>> {
    run_network(network, |me, mut transport| {
        let share = &shares[me.index()];
        let refresh = Refresh::new(share.key()).unwrap().limits(limits());
        refresh.run(share, &mut transport, &mut rng(100 + me.index() as u64))
    })
}

/// Session of four: old parties 1 and 3 of three deal; the new parties are sessions' parties 4, 1 and 2.
fn reshare_over(
    network: Vec<MemoryTransport>,
    shares: &[KeyShare],
) -> Vec<Result<Option<KeyShare>, RenewalError>> {
    run_network(network, |me, mut transport| {
        let resharing =
            Resharing::new(shares[0].key(), &[party(0), party(2)], AccessStructure::new(3, 1).unwrap())
                .unwrap();
        let seats =
            Seats { dealers: vec![party(0), party(2)], receivers: vec![party(3), party(0), party(1)] };
        let share = shares.get(me.index());
        resharing.limits(limits()).run(&seats, share, &mut transport, &mut rng(200 + me.index() as u64))
    })
}

#[test]
fn sessions_refresh_and_reshare() {
    let shares = deal(3, 1);
    let new: Vec<KeyShare> = refresh_over(falsified(3, &[], 0, |_, _, _, _| ()), &shares)
        .into_iter()
        .map(Result::unwrap)
        .collect();
    works(&new);
    let results = reshare_over(falsified(4, &[], 0, |_, _, _, _| ()), &new);
    let mut results: Vec<Option<KeyShare>> = results.into_iter().map(Result::unwrap).collect();
    assert!(results[2].is_none(), "party 3 leaves");
    let mut newest: Vec<KeyShare> = [3, 0, 1].map(|seat: usize| results[seat].take().unwrap()).into();
    newest.sort_by_key(KeyShare::party);
    assert_eq!(newest.iter().map(|share| share.party().index()).collect::<Vec<_>>(), [0, 1, 2]);
    works(&newest);
}

#[test]
fn seats_that_do_not_fit_are_refused() {
    let shares = deal(3, 1);
    let results = run_network(falsified(3, &[], 0, |_, _, _, _| ()), |me, mut transport| {
        let resharing =
            Resharing::new(shares[0].key(), &[party(0), party(2)], AccessStructure::new(3, 1).unwrap())
                .unwrap();
        let all = vec![party(0), party(1), party(2)];
        let seats = Seats { dealers: vec![party(0), party(0)], receivers: all };
        let share = &shares[me.index()];
        resharing.limits(limits()).run(&seats, Some(share), &mut transport, &mut rng(1)).unwrap_err()
    });
    assert!(matches!(results[0], RenewalError::Roster { .. }), "{}", results[0]);
}

#[derive(serde::Serialize, serde::Deserialize)]
struct Int(#[serde(with = "subrosa_encoding::wire::int")] BigInt);

/// A change that a dealer makes to what it sends to a party.
type Lie = Arc<dyn Fn(PartyId, &mut Vec<u8>) + Send + Sync>;

fn commitment_lies() -> Vec<(&'static str, bool, Lie)> {
    let lie = |f: fn(&mut Vec<BigUint>)| -> Lie {
        Arc::new(move |_, payload| rewrite(payload, |values: &mut Uints| f(&mut values.0)))
    };
    // The second entry: whether everybody sees it, so that everybody names the dealer.
    vec![
        ("zero", true, lie(|v| v[0] = BigUint::zero())),
        ("N", true, lie(|v| v[0] = public().n().clone())),
        ("N² + 1", true, lie(|v| v[0] = public().n() * public().n() + 1u32)),
        ("none", true, lie(Vec::clear)),
        ("one more", true, lie(|v| v.push(BigUint::from(1u32)))),
        ("wrong value", false, lie(|v| v[0] = shifted(&v[0], 1))),
    ]
}

fn share_lies() -> Vec<(&'static str, Lie)> {
    let lie = |f: fn(&mut BigInt)| -> Lie {
        Arc::new(move |to, payload| {
            if to == party(1) {
                rewrite(payload, |value: &mut Int| f(&mut value.0));
            }
        })
    };
    vec![
        ("plus one", lie(|v| *v += 1)),
        ("zero", lie(|v| *v = BigInt::zero())),
        ("N", lie(|v| *v = public().n().clone().into())),
        ("far below", lie(|v| *v = BigInt::from(-1) << 5000u32)),
        ("far above", lie(|v| *v = BigInt::from(1) << 5000u32)),
        (
            "garbage",
            Arc::new(|to, payload| {
                if to == party(1) {
                    payload.truncate(3);
                }
            }),
        ),
    ]
}

fn error<R>(result: &Result<R, RenewalError>) -> &RenewalError {
    match result {
        Ok(_) => panic!("a falsified message was accepted"),
        Err(error) => error,
    }
}

#[test]
fn wrong_commitments_name_the_dealer() {
    let shares = deal(3, 1);
    for (name, seen_by_all, lie) in commitment_lies() {
        let lie = {
            let lie = Arc::clone(&lie);
            move |_, to, _, payload: &mut Vec<u8>| lie(to, payload)
        };
        // Seen by all alike; the liar itself holds what it meant to send, so that for others its echo differs.
        let results = refresh_over(falsified(3, &[2], 0, lie.clone()), &shares);
        let reshared = reshare_over(falsified(4, &[2], 0, lie), &shares);
        for (me, error) in results[..2].iter().map(error).chain(reshared[..2].iter().map(error)).enumerate() {
            if seen_by_all {
                assert_eq!(error.culprits(), [party(2)], "{name}, {me}: {error}");
            } else {
                // A well-formed one shows by the liar's own echo, or by the values that do not fit.
                assert!(error.culprits().iter().all(|&culprit| culprit == party(2)), "{name}, {me}: {error}");
            }
        }
    }
}

#[test]
fn commitments_that_differ_are_noticed() {
    let shares = deal(3, 1);
    let split = |_: PartyId, to: PartyId, _: [u8; 32], payload: &mut Vec<u8>| {
        if to == party(1) {
            rewrite(payload, |values: &mut Uints| values.0[0] = shifted(&values.0[0], 1));
        }
    };
    let refreshes = refresh_over(falsified(3, &[2], 0, split), &shares);
    let reshares = reshare_over(falsified(4, &[2], 0, split), &shares);
    for error in refreshes[..2].iter().map(error).chain(reshares[..2].iter().map(error)) {
        assert!(
            matches!(
                error,
                RenewalError::Session(SessionError::EchoMismatch { .. } | SessionError::Aborted { .. })
            ),
            "{error}"
        );
        assert!(error.culprits().is_empty(), "{error}");
    }
}

#[test]
fn wrong_values_name_the_dealer() {
    let shares = deal(3, 1);
    for (name, lie) in share_lies() {
        let lie = {
            let lie = Arc::clone(&lie);
            move |_, to, _, payload: &mut Vec<u8>| lie(to, payload)
        };
        let refreshes = refresh_over(falsified(3, &[2], 1, lie.clone()), &shares);
        let reshares = reshare_over(falsified(4, &[2], 1, lie), &shares);
        for error in [error(&refreshes[1]), error(&reshares[1])] {
            assert_eq!(error.culprits(), [party(2)], "{name}: {error}");
        }
        // The others have it from party 2 and keep their old shares.
        for error in [error(&refreshes[0]), error(&reshares[0])] {
            assert!(matches!(error, RenewalError::Session(SessionError::Aborted { .. })), "{name}: {error}");
            assert_eq!(error.culprits(), [party(2)], "{name}: {error}");
        }
    }
}

#[test]
fn messages_of_an_earlier_run_are_refused() {
    let shares = deal(3, 1);
    let tape: Arc<Mutex<Vec<Vec<u8>>>> = Arc::default();
    let recorder = Arc::clone(&tape);
    let record = move |_, to: PartyId, _, payload: &mut Vec<u8>| {
        if to == party(1) {
            recorder.lock().unwrap().push(payload.clone());
        }
    };
    refresh_over(falsified(3, &[2], 1, record), &shares);
    let old = tape.lock().unwrap()[0].clone();
    // Party 3 deals by another polynomial in this run: the old value does not fit its commitments.
    let results = run_network(
        falsified(3, &[2], 1, move |_, to, _, payload| {
            if to == party(1) {
                payload.clone_from(&old);
            }
        }),
        |me, mut transport| {
            let share = &shares[me.index()];
            let refresh = Refresh::new(share.key()).unwrap().limits(limits());
            refresh.run(share, &mut transport, &mut rng(300 + me.index() as u64))
        },
    );
    assert_eq!(error(&results[1]).culprits(), [party(2)]);
}

#[test]
fn a_silent_party_stops_a_refresh_and_is_named() {
    let shares = deal(3, 1);
    let network = subrosa_transport::MemoryNetwork::builder(names(3))
        .intercept(subrosa_transport::memory::disconnect_after(party(2), OPENING + 1))
        .build()
        .unwrap();
    for result in &refresh_over(network, &shares)[..2] {
        let RenewalError::Session(session) = error(result) else { panic!("{}", error(result)) };
        assert!(session.culprits().contains(&party(2)), "{session}");
        assert!(session.failures().iter().all(|failure| !matches!(failure.cause, Cause::Violation(_))));
    }
}

#[test]
fn dealt_values_and_shares_do_not_print() {
    let shares = deal(3, 1);
    let (_, dealt) = Refresh::new(shares[0].key()).unwrap().deal(&mut rng(1));
    assert_eq!(format!("{:?}", dealt[party(0)]), "RefreshShare(<redacted>)");
    let access = AccessStructure::new(3, 1).unwrap();
    let resharing = Resharing::new(shares[0].key(), &[party(0), party(1)], access).unwrap();
    let (_, dealt) = resharing.deal(&shares[0], &mut rng(1)).unwrap();
    assert_eq!(format!("{:?}", dealt[party(0)]), "ReshareShare(<redacted>)");
    let _: &ThresholdKey = shares[0].key();
}

#[test]
fn a_dealer_that_lies_to_all_alike_is_named_by_the_pure_steps() {
    fn falsify<M: serde::Serialize + serde::de::DeserializeOwned>(message: &mut M) {
        let mut bytes = postcard::to_stdvec(message).unwrap();
        rewrite(&mut bytes, |values: &mut Uints| values.0[0] = shifted(&values.0[0], 1));
        *message = postcard::from_bytes(&bytes).unwrap();
    }
    let shares = deal(3, 1);
    let mut rng = rng(5);
    let refresh = Refresh::new(shares[0].key()).unwrap();
    let (mut commitments, dealt): (Vec<_>, Vec<_>) = shares.iter().map(|_| refresh.deal(&mut rng)).unzip();
    falsify(&mut commitments[1]);
    let commitments = PerParty::from_vec(commitments);
    for share in &shares {
        let mine = PerParty::from_vec(dealt.iter().map(|values| values[share.party()].clone()).collect());
        let error = refresh.finish(share, &commitments, &mine).unwrap_err();
        assert!(matches!(error, RenewalError::BadDealer { dealer, .. } if dealer == party(1)), "{error}");
    }
    let dealers = [party(0), party(2)];
    let resharing = Resharing::new(shares[0].key(), &dealers, AccessStructure::new(3, 1).unwrap()).unwrap();
    let (mut commitments, dealt): (Vec<_>, Vec<_>) =
        dealers.iter().map(|dealer| resharing.deal(&shares[dealer.index()], &mut rng).unwrap()).unzip();
    falsify(&mut commitments[1]);
    for me in 0..3 {
        let mine: Vec<_> = dealt.iter().map(|values| values[party(me)].clone()).collect();
        let error = resharing.receive(party(me), &commitments, &mine).unwrap_err();
        assert!(matches!(error, RenewalError::BadDealer { dealer, .. } if dealer == party(2)), "{error}");
    }
    // A dealer that deals with another share than its own is named as well: its old verification key tells.
    let (commitments, mut dealt): (Vec<_>, Vec<_>) =
        dealers.iter().map(|dealer| resharing.deal(&shares[dealer.index()], &mut rng).unwrap()).unzip();
    let shift = |value: &mut Int| value.0 += BigInt::from(public().n().clone());
    for me in 0..3 {
        let mut bytes = postcard::to_stdvec(&dealt[0][party(me)]).unwrap();
        rewrite(&mut bytes, shift);
        dealt[0][party(me)] = postcard::from_bytes(&bytes).unwrap();
        let mine: Vec<_> = dealt.iter().map(|values| values[party(me)].clone()).collect();
        let error = resharing.receive(party(me), &commitments, &mine).unwrap_err();
        assert!(matches!(error, RenewalError::BadDealer { dealer, .. } if dealer == party(0)), "{error}");
    }
}

/// One resharing over a session in which everybody but the dealers knows of the old key only its bytes: the dealers sit
/// first, the new parties behind them.
fn reshared_from_bytes(old: &[KeyShare], dealers: &[u16], access: AccessStructure) -> Vec<KeyShare> {
    let bytes = old[0].key().to_bytes().unwrap();
    let parties = dealers.len() + access.parties() as usize;
    let seats = |places: std::ops::Range<usize>| places.map(|place| party(place as u16)).collect();
    let seats = Seats { dealers: seats(0..dealers.len()), receivers: seats(dealers.len()..parties) };
    let results = run_network(falsified(parties, &[], 0, |_, _, _, _| ()), |me, mut transport| {
        let share = dealers.get(me.index()).map(|&dealer| &old[usize::from(dealer)]);
        let key = match share {
            Some(share) => share.key().clone(),
            None => ThresholdKey::from_bytes(&bytes).unwrap(),
        };
        let dealers: Vec<PartyId> = dealers.iter().map(|&dealer| party(dealer)).collect();
        let resharing = Resharing::new(&key, &dealers, access).unwrap();
        let mut rng = rng(500 + me.index() as u64);
        let renewed = resharing.limits(limits()).run(&seats, share, &mut transport, &mut rng);
        renewed.unwrap_or_else(|error| panic!("{me}: {error}, {:?}", error.culprits()))
    });
    assert!(results[..dealers.len()].iter().all(Option::is_none), "dealers receive nothing here");
    results.into_iter().flatten().collect()
}

#[test]
fn newcomers_need_the_bytes_of_the_old_key_and_nothing_else() {
    let access = |n, t| AccessStructure::new(n, t).unwrap();
    let mut shares = deal(3, 1);
    for (dealers, access) in
        [(&[0, 2][..], access(4, 1)), (&[3, 1], access(5, 2)), (&[4, 0, 2], access(3, 1))]
    {
        let old = shares[0].key().clone();
        shares = reshared_from_bytes(&shares, dealers, access);
        assert_eq!(shares.len(), access.parties() as usize);
        assert_eq!(shares[0].key().lineage().epoch(), old.lineage().epoch() + 1);
        works(&shares);
        shares = refreshed(&shares, 8);
        works(&shares);
        // The refreshed shares are of the key that whoever reads its bytes sees.
        let bytes = shares[0].key().to_bytes().unwrap();
        assert_eq!(ThresholdKey::from_bytes(&bytes).unwrap().digest(), shares[1].key().digest());
    }
    assert_eq!(shares[0].key().lineage().epoch(), 6);
}

/// Blame rests on the same base: a newcomer of a second resharing names the dealer that lies, and no other.
#[test]
fn newcomers_of_a_second_resharing_name_the_dealer_that_lies() {
    let shares =
        refreshed(&reshared_from_bytes(&deal(3, 1), &[0, 2], AccessStructure::new(4, 1).unwrap()), 3);
    let key = ThresholdKey::from_bytes(&shares[0].key().to_bytes().unwrap()).unwrap();
    let dealers = [party(3), party(1)];
    let resharing = Resharing::new(&key, &dealers, AccessStructure::new(5, 2).unwrap()).unwrap();
    let (commitments, dealt): (Vec<_>, Vec<_>) = dealers
        .iter()
        .map(|dealer| resharing.deal(&shares[dealer.index()], &mut rng(dealer.index() as u64)).unwrap())
        .unzip();
    for (liar, &dealer) in dealers.iter().enumerate() {
        let mut mine: Vec<_> = dealt.iter().map(|values| values[party(4)].clone()).collect();
        assert!(resharing.receive(party(4), &commitments, &mine).is_ok());
        let mut bytes = postcard::to_stdvec(&mine[liar]).unwrap();
        rewrite(&mut bytes, |value: &mut Int| value.0 += 1);
        mine[liar] = postcard::from_bytes(&bytes).unwrap();
        let error = resharing.receive(party(4), &commitments, &mine).unwrap_err();
        assert_eq!(error.culprits(), [dealer], "{error}");
    }
}
