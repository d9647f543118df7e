//! Against python-paillier, both ways; `tests/vectors/make_phe.py` made the files.
#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "test code"
)]

use num_bigint::{BigInt, BigUint};
use num_traits::ToPrimitive;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use serde::Deserialize;

use subrosa_paillier::{Blinder, PrivateKey, Randomness};

#[derive(Deserialize)]
struct Phe {
    keys: Vec<Key>,
}

#[derive(Deserialize)]
struct Key {
    p: String,
    q: String,
    n: String,
    raw: Vec<Raw>,
    floats: Vec<Float>,
    operations: Operations,
}

#[derive(Deserialize)]
struct Raw {
    m: String,
    r: String,
    c: String,
}

#[derive(Deserialize)]
struct Float {
    value: String,
    exponent: i32,
    c: String,
}

#[derive(Deserialize)]
struct Operations {
    a: String,
    b: String,
    a_plus_b: String,
    a_times_minus_7: String,
}

#[derive(Deserialize)]
struct Ours {
    ciphertexts: Vec<OurCiphertext>,
}

#[derive(Deserialize)]
struct OurCiphertext {
    p: String,
    q: String,
    randomness: String,
    seed: u64,
    m: String,
    c: String,
    phe_decrypts_to: String,
}

fn uint(text: &str) -> BigUint {
    text.parse().unwrap()
}

fn phe() -> Phe {
    serde_json::from_str(include_str!("vectors/phe.json")).unwrap()
}

#[test]
fn encrypts_and_decrypts_what_phe_encrypted() {
    for key in phe().keys {
        let private = PrivateKey::from_primes_insecure(uint(&key.p), uint(&key.q)).unwrap();
        let public = private.public();
        assert_eq!(public.n(), &uint(&key.n));
        assert_eq!(key.raw.len(), 8);
        for raw in key.raw {
            let m: BigInt = raw.m.parse().unwrap();
            let c = public.encrypt_with_nonce(&m, &uint(&raw.r)).unwrap();
            assert_eq!(c.value(), &uint(&raw.c), "encryption of {m}");
            assert_eq!(private.decrypt(&public.accept(uint(&raw.c)).unwrap()).unwrap(), m);
        }
    }
}

#[test]
fn decrypts_the_floats_of_phe() {
    for key in phe().keys {
        let private = PrivateKey::from_primes_insecure(uint(&key.p), uint(&key.q)).unwrap();
        for float in key.floats {
            let ciphertext = private.public().accept(uint(&float.c)).unwrap();
            let mantissa = private.decrypt(&ciphertext).unwrap();
            // phe encodes v as mantissa·16^exponent; every vector is exact in a double.
            let value = mantissa.to_f64().unwrap() * 16f64.powi(float.exponent);
            assert_eq!(value, hex_float(&float.value), "{}", float.value);
        }
    }
}

#[test]
fn computes_what_phe_computes() {
    for key in phe().keys {
        let private = PrivateKey::from_primes_insecure(uint(&key.p), uint(&key.q)).unwrap();
        let public = private.public();
        let c = |text: &str| public.accept(uint(text)).unwrap();
        let Operations { a, b, a_plus_b, a_times_minus_7 } = key.operations;
        assert_eq!(public.add(&c(&a), &c(&b)).unwrap(), c(&a_plus_b));
        assert_eq!(private.decrypt(&c(&a_plus_b)).unwrap(), BigInt::from(12345 - 678));
        let product = public.vartime_mul_plain(&c(&a), &BigInt::from(-7)).unwrap();
        assert_eq!(private.decrypt(&product).unwrap(), BigInt::from(-7 * 12345));
        assert_eq!(private.decrypt(&c(&a_times_minus_7)).unwrap(), BigInt::from(-7 * 12345));
    }
}

#[test]
fn phe_decrypts_what_this_crate_encrypts() {
    let ours: Ours = serde_json::from_str(include_str!("vectors/ours.json")).unwrap();
    assert_eq!(ours.ciphertexts.len(), 30);
    let mut last = None;
    let mut rng = ChaCha20Rng::seed_from_u64(0);
    let mut blinder = None;
    for entry in &ours.ciphertexts {
        assert_eq!(entry.phe_decrypts_to, entry.m);
        // The recorded ciphertext is what this version makes from the same seed: the record still speaks of it.
        let group = (&entry.p, &entry.randomness);
        if last != Some(group) {
            last = Some(group);
            rng = ChaCha20Rng::seed_from_u64(entry.seed);
            let private = PrivateKey::from_primes_insecure(uint(&entry.p), uint(&entry.q)).unwrap();
            let randomness = if entry.randomness == "short" { Randomness::Short } else { Randomness::Full };
            blinder = Some(Blinder::new(private.public(), randomness, 1 << 18).unwrap());
        }
        let c = blinder.as_ref().unwrap().encrypt(&entry.m.parse().unwrap(), &mut rng).unwrap();
        assert_eq!(c.value(), &uint(&entry.c));
    }
}

/// Reads Python's `float.hex()`.
fn hex_float(text: &str) -> f64 {
    let (negative, text) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (digits, exponent) = text.strip_prefix("0x").unwrap().split_once('p').unwrap();
    let (whole, fraction) = digits.split_once('.').unwrap();
    let mantissa = u64::from_str_radix(&format!("{whole}{fraction}"), 16).unwrap() as f64;
    let value = mantissa * 2f64.powi(exponent.parse::<i32>().unwrap() - 4 * fraction.len() as i32);
    if negative { -value } else { value }
}
