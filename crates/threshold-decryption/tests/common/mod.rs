//! Keys, ciphertexts and changes that the tests share.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "test code"
)]

use std::sync::OnceLock;
use std::time::Duration;

use num_bigint::{BigInt, BigUint};
use num_traits::One;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use subrosa_paillier::{Blinded, Blinder, Ciphertext, PrivateKey, PublicKey, Randomness};
use subrosa_threshold_decryption::{Access, KeyShare, dealer, protocol};
use subrosa_transport::{Parameters, PartyId, Session, Settings, Transport};

pub const KEY_BITS: u64 = 512;

pub fn rng(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}

pub fn private() -> &'static PrivateKey {
    static KEY: OnceLock<PrivateKey> = OnceLock::new();
    KEY.get_or_init(|| PrivateKey::generate_insecure(KEY_BITS, &mut rng(0)).unwrap())
}

pub fn public() -> &'static PublicKey {
    private().public()
}

pub fn deal(n: u32, t: u32) -> Vec<KeyShare> {
    dealer::deal(private(), Access::new(n, t).unwrap(), &mut rng(u64::from(n * 100 + t))).unwrap()
}

pub fn encrypt(plaintexts: &[i64]) -> Vec<Blinded<Ciphertext>> {
    let blinder = Blinder::new(public(), Randomness::Short, 1 << 18).unwrap();
    let mut rng = rng(plaintexts.len() as u64);
    plaintexts.iter().map(|&m| blinder.encrypt(&BigInt::from(m), &mut rng).unwrap()).collect()
}

pub fn unblinded(ciphertexts: &[Blinded<Ciphertext>]) -> Vec<Ciphertext> {
    ciphertexts.iter().map(|ciphertext| ciphertext.clone().into_inner()).collect()
}

pub fn ciphertexts(count: usize) -> Vec<Ciphertext> {
    unblinded(&encrypt(&(0..count as i64).collect::<Vec<_>>()))
}

pub fn signed(plaintexts: &[i64]) -> Vec<BigInt> {
    plaintexts.iter().map(|&m| BigInt::from(m)).collect()
}

pub fn party(index: u16) -> PartyId {
    PartyId::new(index)
}

/// `value·(1+N)^shift`: what a liar sends to shift a plaintext unnoticed.
pub fn shifted(value: &BigUint, shift: u32) -> BigUint {
    let n = public().n();
    value * (BigUint::one() + n * shift) % (n * n)
}

pub fn settings() -> Settings {
    Settings::default().with_timeout(Duration::from_secs(20))
}

pub fn open<T: Transport>(transport: &mut T, seed: u64) -> Session<'_, T> {
    Session::open(transport, protocol::PROTOCOL, &Parameters::new(), settings(), &mut rng(seed)).unwrap()
}
