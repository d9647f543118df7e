//! Keys, ciphertexts and changes that the tests share.

use std::sync::OnceLock;
use std::time::Duration;

use num_bigint::{BigInt, BigUint};
use num_traits::One;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;

use subrosa_paillier::{Blinded, Blinder, Ciphertext, PrivateKey, PublicKey, Randomness};
use subrosa_threshold_decryption::{AccessStructure, KeyShare, dealer, protocol};
use subrosa_transport::{
    HEADER_BYTES, Limits, MemoryNetwork, MemoryTransport, Parameters, PartyId, Session, Transport,
    memory::Action, round_tag,
};

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
    dealer::deal(private(), AccessStructure::new(n, t).unwrap(), &mut rng(u64::from(n * 100 + t))).unwrap()
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

pub fn limits() -> Limits {
    Limits::default().with_timeout(Duration::from_secs(20))
}

pub fn open<T: Transport>(transport: &mut T, seed: u64) -> Session<&mut T> {
    Session::open(transport, protocol::PROTOCOL, &Parameters::new(), limits(), &mut rng(seed)).unwrap()
}

/// The frames of a session's opening: each party sends that many before its protocol's first message.
pub const OPENING: u64 = 2;

/// Delivers everything, but lets `change` rewrite the payload of the `nth` frame from each of `liars` to everybody
/// after the session's opening. `change` sees the sender, the receiver and the session id.
pub fn falsified(
    n: usize,
    liars: &[u16],
    nth: u64,
    change: impl Fn(PartyId, PartyId, [u8; 32], &mut Vec<u8>) + Send + Sync + 'static,
) -> Vec<MemoryTransport> {
    let liars = liars.to_vec();
    MemoryNetwork::builder((1..=n).map(|number| format!("party-{number}")))
        .intercept(move |from, to, number, frame| {
            if number == OPENING + nth && liars.iter().any(|&liar| party(liar) == from) {
                let mut payload = frame.split_off(HEADER_BYTES);
                change(from, to, frame[12..44].try_into().unwrap(), &mut payload);
                frame.extend(payload);
            }
            Action::Deliver
        })
        .build()
        .unwrap()
}

/// As [`falsified`], for every frame of one round.
pub fn falsified_in(
    n: usize,
    liars: &[u16],
    round: &str,
    change: impl Fn(PartyId, PartyId, [u8; 32], &mut Vec<u8>) + Send + Sync + 'static,
) -> Vec<MemoryTransport> {
    let (liars, tag) = (liars.to_vec(), round_tag(round));
    MemoryNetwork::builder(names(n))
        .intercept(move |from, to, _, frame| {
            if frame[76..84] == tag && liars.iter().any(|&liar| party(liar) == from) {
                let mut payload = frame.split_off(HEADER_BYTES);
                change(from, to, frame[12..44].try_into().unwrap(), &mut payload);
                frame.extend(payload);
            }
            Action::Deliver
        })
        .build()
        .unwrap()
}

/// Names of the parties of [`falsified`].
pub fn names(n: usize) -> Vec<String> {
    (1..=n).map(|number| format!("party-{number}")).collect()
}

/// A list of numbers as it crosses the wire.
#[derive(Clone, serde::Serialize, serde::Deserialize)]
pub struct Uints(#[serde(with = "subrosa_encoding::wire::uints")] pub Vec<BigUint>);

/// Reads a payload as `M`, changes it and writes it back.
pub fn rewrite<M: serde::Serialize + serde::de::DeserializeOwned>(
    payload: &mut Vec<u8>,
    change: impl FnOnce(&mut M),
) {
    let mut message: M = postcard::from_bytes(payload).unwrap();
    change(&mut message);
    *payload = postcard::to_stdvec(&message).unwrap();
}
