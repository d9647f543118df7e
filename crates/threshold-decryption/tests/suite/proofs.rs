//! Proofs hold for honest partial decryptions and for nothing else.

use num_bigint::BigUint;
use num_traits::{One, Zero};
use proptest::prelude::*;

use crate::common::*;
use subrosa_paillier::Ciphertext;
use subrosa_threshold_decryption::{
    BatchProof, Challenges, Combiner, DecryptionError, KeyShare, PartialDecryption, ProofContext, proof,
};

const NAMES: [&str; 3] = ["anna", "bert", "carla"];

/// A change to be made, and what to call it.
type Named<'a, T> = (&'a str, &'a dyn Fn(&mut T));

fn context() -> ProofContext {
    ProofContext::new([7; 32], NAMES)
}

fn prove(share: &KeyShare, some: &[Ciphertext], challenges: Challenges) -> (PartialDecryption, BatchProof) {
    let partial = share.partially_decrypt(some).unwrap();
    let proof = share.prove(&context(), some, &partial, challenges, &mut rng(3)).unwrap();
    (partial, proof)
}

/// Who is blamed when `partial` and `proof` are verified.
fn blamed(share: &KeyShare, some: &[Ciphertext], partial: &PartialDecryption, proof: &BatchProof) -> bool {
    match proof::verify(&context(), share.key(), some, partial, proof, Challenges::Wide) {
        Ok(()) => false,
        Err(error @ DecryptionError::BadPartial { .. }) => {
            assert_eq!(error.culprits(), [partial.party()]);
            true
        }
        Err(other) => panic!("{other}"),
    }
}

/// The proof with its numbers changed.
fn altered(proof: &BatchProof, change: impl Fn(&mut [Vec<BigUint>; 3])) -> BatchProof {
    #[derive(serde::Serialize, serde::Deserialize)]
    struct Fields(
        #[serde(with = "subrosa_encoding::wire::uints")] Vec<BigUint>,
        #[serde(with = "subrosa_encoding::wire::uints")] Vec<BigUint>,
        #[serde(with = "subrosa_encoding::wire::uints")] Vec<BigUint>,
    );
    let bytes = postcard::to_stdvec(proof).unwrap();
    let Fields(a, b, z) = postcard::from_bytes(&bytes).unwrap();
    let mut fields = [a, b, z];
    change(&mut fields);
    let [a, b, z] = fields;
    postcard::from_bytes(&postcard::to_stdvec(&Fields(a, b, z)).unwrap()).unwrap()
}

#[test]
fn honest_batches_are_accepted() {
    let shares = deal(5, 2);
    for count in [0, 1, 2, 65, 130] {
        let some = ciphertexts(count);
        let (partial, proof) = prove(&shares[4], &some, Challenges::Wide);
        assert!(!blamed(&shares[4], &some, &partial, &proof), "{count}");
        let bytes = postcard::to_stdvec(&proof).unwrap();
        assert!(bytes.len() <= BatchProof::max_bytes(shares[4].key(), Challenges::Wide));
        assert_eq!(postcard::from_bytes::<BatchProof>(&bytes).unwrap(), proof);
    }
}

#[test]
fn one_bit_challenges_accept_honest_batches_and_refuse_others() {
    let shares = deal(3, 1);
    let some = ciphertexts(3);
    let (partial, proof) = prove(&shares[1], &some, Challenges::OneBit);
    let verify = |partial: &PartialDecryption, challenges| {
        proof::verify(&context(), shares[0].key(), &some, partial, &proof, challenges)
    };
    assert!(verify(&partial, Challenges::OneBit).is_ok());
    assert!(verify(&partial, Challenges::Wide).is_err());
    let mut values = partial.values().to_vec();
    values[1] = shifted(&values[1], 1);
    assert!(verify(&PartialDecryption::new(party(1), values), Challenges::OneBit).is_err());
    let bytes = postcard::to_stdvec(&proof).unwrap();
    assert!(bytes.len() <= BatchProof::max_bytes(shares[0].key(), Challenges::OneBit));
}

#[test]
fn changed_values_are_refused() {
    let shares = deal(3, 1);
    let some = ciphertexts(9);
    let (partial, proof) = prove(&shares[2], &some, Challenges::Wide);
    let n = public().n().clone();
    let changes: [Named<'_, Vec<BigUint>>; 9] = [
        ("shifted by 1+N", &|v| v[3] = shifted(&v[3], 1)),
        ("plus one", &|v| v[8] += 1u32),
        ("swapped", &|v| v.swap(0, 1)),
        ("negated", &|v| v[2] = &n * &n - &v[2]),
        ("zero", &|v| v[0] = BigUint::zero()),
        ("N", &|v| v[0] = n.clone()),
        ("N²", &|v| v[0] = &n * &n),
        ("shorter", &|v| drop(v.pop())),
        ("longer", &|v| v.push(BigUint::one())),
    ];
    for (name, change) in changes {
        let mut values = partial.values().to_vec();
        change(&mut values);
        assert!(blamed(&shares[2], &some, &PartialDecryption::new(party(2), values), &proof), "{name}");
    }
}

#[test]
fn a_liar_cannot_prove_its_lie() {
    // Proved over the lie, so that the hash fits and only the equations are in the way.
    let shares = deal(3, 1);
    let some = ciphertexts(9);
    let mut values = shares[2].partially_decrypt(&some).unwrap().into_values();
    values[4] = shifted(&values[4], 12345);
    let lie = PartialDecryption::new(party(2), values);
    for seed in 0..20 {
        let proof = shares[2].prove(&context(), &some, &lie, Challenges::Wide, &mut rng(seed)).unwrap();
        assert!(blamed(&shares[2], &some, &lie, &proof));
    }
}

#[test]
fn a_changed_sign_may_be_proved_and_does_no_harm() {
    // The statement is about squares; so is what combining uses.
    let shares = deal(3, 1);
    let some = ciphertexts(3);
    let mut values = shares[2].partially_decrypt(&some).unwrap().into_values();
    values[1] = public().n() * public().n() - &values[1];
    let negated = PartialDecryption::new(party(2), values);
    let combiner = Combiner::new(shares[0].key(), &[party(0), party(2)]).unwrap();
    let parts = [shares[0].partially_decrypt(&some).unwrap(), negated];
    assert_eq!(combiner.combine(&parts).unwrap(), signed(&[0, 1, 2]));
}

#[test]
fn changed_proofs_are_refused() {
    let shares = deal(3, 1);
    let some = ciphertexts(4);
    let (partial, proof) = prove(&shares[0], &some, Challenges::Wide);
    let n = public().n().clone();
    let changes: [Named<'_, [Vec<BigUint>; 3]>; 13] = [
        ("z + 1", &|f| f[2][0] += 1u32),
        ("z beyond its bound", &|f| f[2][0] <<= 200),
        ("z gone", &|f| f[2].clear()),
        ("a further z", &|f| f[2].push(BigUint::one())),
        ("a twice", &|f| f[0].push(BigUint::one())),
        ("a = 0", &|f| f[0][0] = BigUint::zero()),
        ("a = N", &|f| f[0][0] = n.clone()),
        ("a + N²", &|f| f[0][0] += &n * &n),
        ("a·(1+N)", &|f| f[0][0] = shifted(&f[0][0], 1)),
        ("b = 0", &|f| f[1][0] = BigUint::zero()),
        ("b·(1+N)", &|f| f[1][0] = shifted(&f[1][0], 1)),
        ("b + N²", &|f| f[1][0] += &n * &n),
        ("a and b swapped", &|f| {
            let [a, b, _] = f;
            std::mem::swap(a, b);
        }),
    ];
    assert_eq!(altered(&proof, |_| ()), proof);
    for (name, change) in changes {
        assert!(blamed(&shares[0], &some, &partial, &altered(&proof, change)), "{name}");
    }
}

#[test]
fn a_response_that_fits_but_is_too_long_is_refused() {
    // Whoever knows the order of the group can lengthen z at will.
    let shares = deal(3, 1);
    let some = ciphertexts(2);
    let (partial, proof) = prove(&shares[0], &some, Challenges::Wide);
    let (p, q) = private().expose_primes();
    let order = public().n() * (p - 1u32) * (q - 1u32);
    let longer = |times: BigUint| altered(&proof, |fields| fields[2][0] += &order * &times);
    assert!(blamed(&shares[0], &some, &partial, &longer(BigUint::one() << 1000)));
    // The equations hold all the while: within the bound it is accepted.
    assert!(order.bits() + 2 < shares[0].key().parts().share_bits + 128 + 80);
    assert!(!blamed(&shares[0], &some, &partial, &longer(BigUint::one())));
}

/// A key of 256 bits where 7 divides p − 1, and a square of order 7 modulo N².
fn key_with_low_order() -> (Vec<KeyShare>, BigUint) {
    let prime = |seed: u64, seven: bool| {
        (0u64..)
            .map(|i| {
                let mut x = subrosa_arith::sample::random_bits(&mut rng(seed * 100_000 + i), 128);
                for bit in [0, 1, 126, 127] {
                    x.set_bit(bit, true);
                }
                x
            })
            .find(|x| (!seven || ((x - 1u32) % 7u32).is_zero()) && subrosa_arith::prime::is_probable_prime(x))
            .unwrap()
    };
    let (p, q) = (prime(1, true), prime(2, false));
    let (n, exponent) = (&p * &q, &p * &q * (&p - 1u32) * (&q - 1u32) / 7u32);
    let low = (2u32..)
        .map(|g| BigUint::from(g * g).modpow(&exponent, &(&n * &n)))
        .find(|power| !power.is_one())
        .unwrap();
    let private = subrosa_paillier::PrivateKey::from_primes_insecure(p, q).unwrap();
    let access = subrosa_threshold_decryption::AccessStructure::new(3, 1).unwrap();
    (subrosa_threshold_decryption::dealer::deal(&private, access, &mut rng(1)).unwrap(), low)
}

#[test]
fn an_element_of_low_order_defeats_wide_challenges_and_not_one_bit_ones() {
    // What the soundness of wide challenges rests on: that nobody finds such an element without the factors.
    let (shares, low) = key_with_low_order();
    let key = shares[0].key();
    let public = key.public();
    let some = [public.encrypt_with_nonce(&5.into(), &BigUint::from(3u32)).unwrap()];
    let honest = shares[1].partially_decrypt(&some).unwrap();
    let lie =
        PartialDecryption::new(party(1), vec![&honest.values()[0] * &low % public.modulus_squared().value()]);
    let accepted = |challenges, seed| {
        let proof = shares[1].prove(&context(), &some, &lie, challenges, &mut rng(seed)).unwrap();
        proof::verify(&context(), key, &some, &lie, &proof, challenges).is_ok()
    };
    // It passes where 7 divides weight or challenge: for about one proof in seven.
    let passed = (0..200).filter(|&seed| accepted(Challenges::Wide, seed)).count();
    assert!((5..80).contains(&passed), "{passed} of 200");
    assert!(!(0..2).any(|seed| accepted(Challenges::OneBit, seed)));
}

#[test]
fn proofs_are_bound_to_their_run() {
    let shares = deal(3, 1);
    let some = ciphertexts(4);
    let (partial, proof) = prove(&shares[0], &some, Challenges::Wide);
    let verify = |context: &ProofContext, some: &[Ciphertext], partial: &PartialDecryption| {
        proof::verify(context, shares[0].key(), some, partial, &proof, Challenges::Wide).is_ok()
    };
    assert!(verify(&context(), &some, &partial));
    assert!(!verify(&ProofContext::new([8; 32], NAMES), &some, &partial));
    assert!(!verify(&ProofContext::new([7; 32], ["anna", "carla", "bert"]), &some, &partial));
    let moved = PartialDecryption::new(party(1), partial.values().to_vec());
    assert!(!verify(&context(), &some, &moved));
    // The same pairs in another order are another statement.
    let mut reversed = some.clone();
    reversed.reverse();
    let turned = PartialDecryption::new(party(0), partial.values().iter().rev().cloned().collect());
    assert!(!verify(&context(), &reversed, &turned));
    // Another access to the same private key: other verification keys, other n and t.
    let others = deal(5, 1);
    assert!(proof::verify(&context(), others[0].key(), &some, &partial, &proof, Challenges::Wide).is_err());
    let stranger = PartialDecryption::new(party(3), partial.values().to_vec());
    let unknown =
        proof::verify(&context(), shares[0].key(), &some, &stranger, &proof, Challenges::Wide).unwrap_err();
    assert!(matches!(unknown, DecryptionError::BadParty { party } if party.index() == 3));
}

/// z = ρ + e·x hides x as far as ρ is longer than e·x.
#[test]
fn responses_are_masked_by_80_bits_more_than_they_hide() {
    let shares = deal(3, 1);
    let some = ciphertexts(1);
    let key = shares[0].key();
    let hidden = key.parts().share_bits + key.access().delta().bits() + 128;
    let lengths: Vec<u64> = (0..20)
        .map(|seed| {
            let partial = shares[0].partially_decrypt(&some).unwrap();
            let proof =
                shares[0].prove(&context(), &some, &partial, Challenges::Wide, &mut rng(seed)).unwrap();
            let length = std::cell::Cell::new(0);
            altered(&proof, |fields| length.set(fields[2][0].bits()));
            length.get()
        })
        .collect();
    let longest = *lengths.iter().max().unwrap();
    assert!((hidden + 79..=hidden + 81).contains(&longest), "{lengths:?} for {hidden}");
}

#[test]
fn ciphertexts_of_another_key_are_neither_proved_nor_verified() {
    let shares = deal(3, 1);
    let some = ciphertexts(1);
    let (partial, proof) = prove(&shares[0], &some, Challenges::Wide);
    let other = subrosa_paillier::PrivateKey::generate_insecure(KEY_BITS, &mut rng(99)).unwrap();
    let foreign = [other.public().encrypt_with_nonce(&5.into(), &BigUint::from(3u32)).unwrap()];
    let proved = shares[0].prove(&context(), &foreign, &partial, Challenges::Wide, &mut rng(1)).unwrap_err();
    let verified =
        proof::verify(&context(), shares[0].key(), &foreign, &partial, &proof, Challenges::Wide).unwrap_err();
    for error in [proved, verified] {
        assert!(matches!(error, DecryptionError::Ciphertext(_)), "{error}");
    }
}

#[test]
fn only_ones_own_partial_decryptions_are_proved() {
    let shares = deal(3, 1);
    let some = ciphertexts(2);
    let other = shares[1].partially_decrypt(&some).unwrap();
    let refused = shares[0].prove(&context(), &some, &other, Challenges::Wide, &mut rng(1));
    assert!(matches!(refused, Err(DecryptionError::BadPartial { .. })));
    let short = PartialDecryption::new(party(0), vec![]);
    let refused = shares[0].prove(&context(), &some, &short, Challenges::Wide, &mut rng(1));
    assert!(matches!(refused, Err(DecryptionError::BadPartial { .. })));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_deviation_is_noticed(index in 0usize..5, shift in 1u32.., seed: u64) {
        let shares = deal(3, 1);
        let some = ciphertexts(5);
        let mut values = shares[1].partially_decrypt(&some).unwrap().into_values();
        values[index] = shifted(&values[index], shift);
        let lie = PartialDecryption::new(party(1), values);
        let proof = shares[1].prove(&context(), &some, &lie, Challenges::Wide, &mut rng(seed)).unwrap();
        prop_assert!(blamed(&shares[1], &some, &lie, &proof));
    }
}
