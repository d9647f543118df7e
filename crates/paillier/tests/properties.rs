//! Homomorphic properties, encodings, packing, and what is refused.
#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "test code"
)]

use std::sync::OnceLock;

use num_bigint::{BigInt, BigUint, Sign};
use num_traits::{One, Zero};
use proptest::prelude::*;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;

use subrosa_paillier::{
    Blinder, CiphertextBatch, Encoded, Encoding, EncryptedNumber, FailureKind, Packing, PaillierError,
    PrivateKey, PublicKey, Randomness,
};

fn rng(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}

struct Setup {
    private: PrivateKey,
    blinder: Blinder,
}

fn setup() -> &'static Setup {
    static SETUP: OnceLock<Setup> = OnceLock::new();
    SETUP.get_or_init(|| {
        let private = PrivateKey::generate_insecure(512, &mut rng(0)).unwrap();
        let blinder = Blinder::new(private.public(), Randomness::Short, 1 << 18).unwrap();
        Setup { private, blinder }
    })
}

/// Any plaintext of the 512-bit key: |m| < N/2.
fn plaintext() -> impl Strategy<Value = BigInt> {
    (any::<bool>(), proptest::collection::vec(any::<u8>(), 0..64)).prop_map(|(negative, bytes)| {
        let half = setup().private.public().n() >> 1u32;
        let magnitude = BigUint::from_bytes_le(&bytes) % half;
        BigInt::from_biguint(if negative { Sign::Minus } else { Sign::Plus }, magnitude)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn decrypts_what_was_encrypted_blinded_and_computed(a in plaintext(), b in plaintext(), w: i64, seed: u64) {
        let Setup { private, blinder } = setup();
        let public = private.public();
        let mut rng = rng(seed);
        let (ca, cb) = (blinder.encrypt(&a, &mut rng).unwrap(), blinder.encrypt(&b, &mut rng).unwrap());
        prop_assert_eq!(private.decrypt(&ca).unwrap(), a.clone());
        let n = BigInt::from(public.n().clone());
        let wrapped = |x: BigInt| public.from_residue(&((x % &n + &n) % &n).to_biguint().unwrap());
        prop_assert_eq!(private.decrypt(&public.add(&ca, &cb).unwrap()).unwrap(), wrapped(&a + &b));
        prop_assert_eq!(private.decrypt(&public.add_plain(&ca, &b).unwrap()).unwrap(), wrapped(&a + &b));
        prop_assert_eq!(private.decrypt(&public.negate(&ca).unwrap()).unwrap(), wrapped(-&a));
        let product = public.vartime_mul_plain(&ca, &BigInt::from(w)).unwrap();
        prop_assert_eq!(private.decrypt(&product).unwrap(), wrapped(&a * w));
        let again = blinder.blind(&product, &mut rng).unwrap();
        prop_assert_ne!(again.value(), product.value());
        prop_assert_eq!(private.decrypt(&again).unwrap(), wrapped(&a * w));
    }

    #[test]
    fn doubles_survive_encoding(value in prop::num::f64::NORMAL | prop::num::f64::ZERO, scale in 0u32..200) {
        prop_assume!(value.abs() < 2f64.powi(200));
        let encoding = Encoding::new(scale, BigUint::one() << 500u32);
        let encoded = Encoded::from_f64(value, encoding).unwrap();
        // Half a unit of the last place kept, and half a unit of a double's own.
        let tolerance = 2f64.powi(-(scale as i32) - 1) + value.abs() * 2f64.powi(-53);
        prop_assert!((encoded.to_f64() - value).abs() <= tolerance);
    }

    #[test]
    fn packed_values_come_back(values in proptest::collection::vec(any::<u32>(), 0..15), seed: u64) {
        let Setup { private, blinder } = setup();
        let public = private.public();
        let packing = Packing::widest(public, 33).unwrap();
        prop_assert_eq!(packing.slots(), 15);
        let plain: Vec<BigUint> = values.iter().map(|&value| BigUint::from(value)).collect();
        let packed = packing.pack(&plain).unwrap();
        prop_assert_eq!(packing.unpack(&packed, plain.len()).unwrap(), plain.clone());
        let mut rng = rng(seed);
        let encrypted: Vec<_> = plain
            .iter()
            .map(|value| blinder.encrypt(&BigInt::from(value.clone()), &mut rng).unwrap().into_inner())
            .collect();
        let packed = packing.pack_encrypted(public, &encrypted).unwrap();
        prop_assert_eq!(packing.unpack(&private.decrypt(&packed).unwrap(), plain.len()).unwrap(), plain);
    }
}

#[test]
fn generated_keys_have_the_promised_form() {
    for (bits, seed) in (0..12).map(|seed| (64, seed)).chain([(128, 1), (512, 2)]) {
        let private = PrivateKey::generate_insecure(bits, &mut rng(seed)).unwrap();
        let (p, q) = private.expose_primes();
        assert_eq!(private.public().bits(), bits);
        assert_eq!((p % 4u32, q % 4u32), (BigUint::from(3u32), BigUint::from(3u32)));
        let gcd = num_integer::Integer::gcd(&(p - 1u32), &(q - 1u32));
        assert_eq!(gcd, BigUint::from(2u32));
    }
}

#[test]
fn a_full_randomiser_blinds_too() {
    let Setup { private, .. } = setup();
    let blinder = Blinder::new(private.public(), Randomness::Full, 0).unwrap();
    let mut rng = rng(1);
    let m = BigInt::from(-99);
    let (a, b) = (blinder.encrypt(&m, &mut rng).unwrap(), blinder.encrypt(&m, &mut rng).unwrap());
    assert_ne!(a, b);
    assert_eq!((private.decrypt(&a).unwrap(), private.decrypt(&b).unwrap()), (m.clone(), m));
}

#[test]
fn keys_that_cannot_be_are_refused() {
    let size = |bits| PaillierError::KeySize { bits, least: 2048, greatest: 8192 };
    assert_eq!(PublicKey::new(BigUint::zero()).unwrap_err(), size(0));
    assert_eq!(PublicKey::new(setup().private.public().n().clone()).unwrap_err(), size(512));
    assert_eq!(PublicKey::new((BigUint::one() << 8192u32) + 1u32).unwrap_err(), size(8193));
    let even = BigUint::one() << 2047u32;
    assert_eq!(PublicKey::new(even).unwrap_err(), PaillierError::BadModulus { reason: "it is even" });
    let root = (BigUint::one() << 1024u32) - 1u32;
    assert_eq!(
        PublicKey::new(&root * &root).unwrap_err(),
        PaillierError::BadModulus { reason: "it is a square" }
    );
    let seven = BigUint::from(7u32);
    assert!(matches!(PrivateKey::from_primes(seven.clone(), seven), Err(PaillierError::BadPrimes { .. })));
    for bits in [62, 65, 8194] {
        let refused = PrivateKey::generate_insecure(bits, &mut rng(1)).unwrap_err();
        assert_eq!(refused, PaillierError::KeySize { bits, least: 64, greatest: 8192 });
    }
    let (p, q) = setup().private.expose_primes();
    assert_eq!(PrivateKey::from_primes(p.clone(), q.clone()).unwrap_err(), size(512));
    for (p, q) in [(p + 2u32, q.clone()), (p.clone(), q + 2u32), (p.clone(), p.clone())] {
        let refused = PrivateKey::from_primes_insecure(p, q).unwrap_err();
        assert_eq!(refused, PaillierError::BadPrimes { reason: "they are equal or not prime" });
    }
    // N and φ(N) share the factor p: not every ciphertext could be decrypted.
    let is_prime = subrosa_arith::prime::is_probable_prime;
    let multiple = (2u32..).step_by(2).map(|k| p * k + 1u32).find(is_prime).unwrap();
    let refused = PrivateKey::from_primes_insecure(p.clone(), multiple).unwrap_err();
    assert_eq!(refused, PaillierError::BadPrimes { reason: "one divides the other minus 1" });
}

#[test]
fn what_is_not_a_ciphertext_is_named() {
    let public = setup().private.public();
    let (p, _) = setup().private.expose_primes();
    let (one, n2) = (BigUint::one(), public.n() * public.n());
    let refused = |values: Vec<BigUint>| public.accept_all(values).unwrap_err();
    let invalid = |index, reason| PaillierError::InvalidCiphertext { index, reason };
    assert_eq!(refused(vec![one.clone(), n2]), invalid(1, "it is not below N²"));
    assert_eq!(refused(vec![one.clone(), one.clone(), p.clone()]), invalid(2, "it is not coprime to N"));
    assert_eq!(refused(vec![BigUint::zero()]), invalid(0, "it is not coprime to N"));
    assert_eq!(refused(vec![one, public.n().clone()]), invalid(1, "it is not coprime to N"));
    // Such a residue is not checked; decrypting and inverting it notice.
    let multiple = public.wrap(&public.modulus_squared().residue(p));
    let undecryptable = setup().private.decrypt(&multiple).unwrap_err();
    assert_eq!(undecryptable, invalid(0, "it is not coprime to N"));
    assert_eq!(public.negate(&multiple).unwrap_err(), invalid(0, "it is not a unit"));
    let nonce = public.encrypt_with_nonce(&BigInt::one(), p).unwrap_err();
    assert_eq!(nonce, PaillierError::BadRandomness);
}

#[test]
fn keys_do_not_mix() {
    let other = PrivateKey::generate_insecure(512, &mut rng(77)).unwrap();
    let Setup { private, blinder } = setup();
    let foreign = other.public().encrypt_unblinded(&BigInt::one()).unwrap();
    let expected = PaillierError::OtherKey { expected: private.public().id(), found: other.public().id() };
    assert_eq!(private.decrypt(&foreign).unwrap_err(), expected);
    assert_eq!(blinder.blind(&foreign, &mut rng(1)).unwrap_err(), expected);
    assert_eq!(private.public().sum([&foreign]).unwrap_err(), expected);
    let mine = blinder.encrypt(&BigInt::one(), &mut rng(2)).unwrap();
    let batch = CiphertextBatch::new(private.public(), [&mine]).unwrap();
    assert!(matches!(batch.accept(other.public()), Err(PaillierError::OtherKey { .. })));
    let public = private.public();
    assert_eq!(public.negate(&foreign).unwrap_err(), expected);
    assert_eq!(public.vartime_mul_plain(&foreign, &BigInt::one()).unwrap_err(), expected);
    let packing = Packing::new(public, 8, 3).unwrap();
    assert_eq!(packing.pack_encrypted(public, &[mine.into_inner(), foreign]).unwrap_err(), expected);
    let theirs = Blinder::new(other.public(), Randomness::Full, 0).unwrap();
    let theirs = theirs.encrypt(&BigInt::one(), &mut rng(3)).unwrap();
    assert_eq!(CiphertextBatch::new(public, [&theirs]).unwrap_err(), expected);
}

#[test]
fn a_batch_that_is_split_stays_in_order() {
    let Setup { private, blinder } = setup();
    let public = private.public();
    let numbers: Vec<_> =
        (0..7_i64).map(|number| blinder.encrypt(&BigInt::from(number), &mut rng(9)).unwrap()).collect();
    let batch = CiphertextBatch::new(public, &numbers).unwrap();
    let whole = batch.clone().accept(public).unwrap();
    for (size, lengths) in [(3, vec![3, 3, 1]), (7, vec![7]), (100, vec![7]), (0, vec![1; 7])] {
        let pieces = batch.clone().split(size);
        assert_eq!(pieces.iter().map(CiphertextBatch::len).collect::<Vec<_>>(), lengths);
        let parts: Vec<_> = pieces.into_iter().flat_map(|piece| piece.accept(public).unwrap()).collect();
        assert_eq!(parts, whole);
    }
    assert!(CiphertextBatch::new(public, []).unwrap().split(3).is_empty());
    let other = PrivateKey::generate_insecure(512, &mut rng(78)).unwrap();
    assert!(batch.split(2).into_iter().all(|piece| piece.accept(other.public()).is_err()));
}

#[test]
fn batches_are_as_long_as_they_say_at_most() {
    let Setup { private, blinder } = setup();
    let public = private.public();
    let one = blinder.encrypt(&BigInt::one(), &mut rng(4)).unwrap();
    for count in [0, 1, 2, 200, 3_000] {
        let batch = CiphertextBatch::new(public, std::iter::repeat_n(&one, count)).unwrap();
        assert_eq!(batch.len(), count);
        let (bytes, limit) =
            (postcard::to_stdvec(&batch).unwrap(), CiphertextBatch::max_bytes(public, count));
        assert!(
            bytes.len() <= limit && limit < bytes.len() + count + 40,
            "{count}: {} of {limit}",
            bytes.len()
        );
    }
}

#[test]
fn bounds_are_tracked_and_kept() {
    let Setup { private, blinder } = setup();
    let public = private.public();
    let encoding = Encoding::new(20, BigUint::one() << 21u32);
    let a = Encoded::from_f64(1.25, encoding.clone()).unwrap();
    let ciphertext = blinder.encrypt(a.mantissa(), &mut rng(3)).unwrap().into_inner();
    let number = EncryptedNumber::new(public, ciphertext, encoding.clone()).unwrap();
    let sum = number.add(public, &number).unwrap();
    assert_eq!(sum.encoding().bound(), &(BigUint::one() << 22u32));
    let product = sum.vartime_mul_plain(public, &Encoded::from_f64(-0.5, encoding.clone()).unwrap()).unwrap();
    assert_eq!((product.encoding().scale(), product.encoding().bound().bits()), (40, 42));
    let value = product.decode(private.decrypt(product.ciphertext()).unwrap()).unwrap();
    assert_eq!(value.to_f64(), -1.25);
    assert_eq!(
        number.add(public, &product).unwrap_err(),
        PaillierError::ScaleMismatch { left: 20, right: 40 }
    );
    // A plan that does not fit is refused without a ciphertext in sight.
    let mut planned = encoding;
    let refused = loop {
        planned = planned.mul(&planned);
        if let Err(error) = planned.check(public) {
            break error;
        }
    };
    assert_eq!(refused, PaillierError::BoundTooLarge { bits: 673, key_bits: 512 });
    let beyond = Encoded::from_f64(2.1, Encoding::new(20, BigUint::one() << 21u32));
    assert!(matches!(beyond, Err(PaillierError::NotEncodable { .. })));
    assert!(Encoded::from_f64(f64::NAN, Encoding::new(1, BigUint::one())).is_err());
    // Refused by its size, without writing down its four thousand million bits.
    for value in [1.0, -5e-324, f64::MAX] {
        let refused =
            Encoded::from_f64(value, Encoding::new(u32::MAX, BigUint::one() << 100u32)).unwrap_err();
        assert_eq!(refused, PaillierError::NotEncodable { reason: "it is beyond its bound" });
    }
    let two = BigUint::from(2u32);
    let within = |mantissa: i32| Encoded::new(mantissa.into(), Encoding::new(0, two.clone())).is_ok();
    assert_eq!([-3, -2, 2, 3].map(within), [false, true, true, false]);
    let zero = Encoded::from_f64(0.0, Encoding::new(u32::MAX, BigUint::one())).unwrap();
    assert!(zero.mantissa().is_zero());
    assert!(Encoded::from_f64(f64::INFINITY, Encoding::new(1, BigUint::one())).is_err());
}

/// Nothing is computed that could pass N/2 and come back as another number.
#[test]
fn numbers_that_could_overflow_are_refused() {
    let Setup { private, blinder } = setup();
    let public = private.public();
    let half = public.n() >> 1u32;
    let number = |bound: BigUint| {
        let ciphertext = blinder.encrypt(&BigInt::from(2), &mut rng(5)).unwrap().into_inner();
        EncryptedNumber::new(public, ciphertext, Encoding::new(0, bound))
    };
    let too_large = |bits| PaillierError::BoundTooLarge { bits, key_bits: 512 };
    assert_eq!(number(&half + 1u32).unwrap_err(), too_large(511));
    let largest = number(half.clone()).unwrap();
    let factor = |value: i32| Encoded::new(value.into(), Encoding::new(0, BigUint::from(2u32))).unwrap();
    assert_eq!(largest.add(public, &largest).unwrap_err(), too_large(512));
    assert_eq!(largest.add_plain(public, &factor(1)).unwrap_err(), too_large(511));
    assert_eq!(largest.vartime_mul_plain(public, &factor(2)).unwrap_err(), too_large(512));
    assert!(largest.vartime_mul_plain(public, &factor(-1)).is_ok());
    let ciphertext = largest.ciphertext();
    assert!(public.vartime_mul_plain(ciphertext, &BigInt::from(half.clone())).is_ok());
    let refused = public.vartime_mul_plain(ciphertext, &-BigInt::from(half + 1u32)).unwrap_err();
    assert_eq!(refused, PaillierError::PlaintextTooLarge { bits: 511, key_bits: 512 });
}

#[test]
fn the_smallest_and_the_longest_numbers_are_converted_exactly() {
    let encode =
        |value, scale, bits: u32| Encoded::from_f64(value, Encoding::new(scale, BigUint::one() << bits));
    // As many bits as the bound has.
    assert_eq!(encode(-1.0, 100, 100).unwrap().mantissa(), &-(BigInt::one() << 100u32));
    // Denormal numbers have no hidden bit.
    for (scale, mantissa) in [(1074, 1), (1075, 2)] {
        let smallest = encode(5e-324, scale, 1).unwrap();
        assert_eq!((smallest.mantissa(), smallest.to_f64()), (&BigInt::from(mantissa), 5e-324));
    }
    let long = |bits: u32, scale| {
        let power = BigUint::one() << bits;
        Encoded::new(BigInt::from(power.clone()), Encoding::new(scale, power)).unwrap().to_f64()
    };
    assert_eq!((long(1_100, 1_090), long(3_000, 3_010), long(0, 1_074)), (1_024.0, 2f64.powi(-10), 5e-324));
}

#[test]
fn plaintexts_beyond_half_of_n_are_refused() {
    let public = setup().private.public();
    let top = BigInt::from(public.n() >> 1u32);
    assert_eq!(public.from_residue(&public.to_residue(&top).unwrap()), top);
    assert_eq!(public.from_residue(&public.to_residue(&-&top).unwrap()), -&top);
    assert!(matches!(public.to_residue(&(top + 1)), Err(PaillierError::PlaintextTooLarge { .. })));
}

#[test]
fn packing_refuses_what_does_not_fit() {
    let public = setup().private.public();
    assert!(matches!(Packing::new(public, 100, 6), Err(PaillierError::PackingTooLarge { .. })));
    assert!(Packing::widest(public, 0).is_err());
    assert!(Packing::widest(public, 511).is_err());
    // Two bits less than the key has.
    assert!(Packing::new(public, 510, 1).is_ok() && Packing::new(public, 511, 1).is_err());
    let packing = Packing::new(public, 8, 3).unwrap();
    assert_eq!([0, 1, 3, 4, 6, 7].map(|values| packing.plaintexts(values)), [0, 1, 1, 2, 2, 3]);
    let four = vec![public.encrypt_unblinded(&BigInt::one()).unwrap(); 4];
    assert!(matches!(
        packing.pack_encrypted(public, &four),
        Err(PaillierError::PackingTooLarge { slots: 4, .. })
    ));
    assert!(matches!(
        packing.unpack(&BigInt::one(), 4),
        Err(PaillierError::PackingTooLarge { slots: 4, .. })
    ));
    assert!(packing.pack(&[BigUint::from(256u32)]).is_err());
    assert!(packing.pack(&vec![BigUint::one(); 4]).is_err());
    assert!(matches!(packing.unpack(&BigInt::from(-1), 3), Err(PaillierError::NotPacked { .. })));
    assert!(matches!(packing.unpack(&BigInt::from(1 << 24), 3), Err(PaillierError::NotPacked { .. })));
}

#[test]
fn secrets_do_not_print() {
    let private = &setup().private;
    let text = format!("{private:?}");
    let (p, q) = private.expose_primes();
    assert!(text.contains("<redacted>") && !text.contains(&p.to_string()) && !text.contains(&q.to_string()));
}

#[test]
fn a_mistake_of_the_library_is_told_from_bad_input() {
    let small = PrivateKey::generate(512, &mut rng(5)).unwrap_err();
    assert_eq!(small.kind(), FailureKind::Input, "{small}");
    let table = Blinder::new(setup().private.public(), Randomness::Short, 1).unwrap_err();
    assert!(matches!(table, PaillierError::Table(_)), "{table}");
    assert_eq!(table.kind(), FailureKind::Input);
    assert_eq!(PaillierError::Internal { place: "here" }.kind(), FailureKind::Internal);
}
