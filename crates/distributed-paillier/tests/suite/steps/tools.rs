//! What an attacker computes with.

use num_bigint::{BigInt, BigUint};
use num_integer::Integer;

use super::{Numbers, Scene};
use subrosa_arith::Modulus;
use subrosa_distributed_paillier::winner::{GCD_OPENINGS, RANGE_REPETITIONS};
use subrosa_encoding::Hasher;
use subrosa_shamir::ShareRing;
use subrosa_transport::PartyId;

/// Places in the second list of `WinnerShares`.
pub const BETA: usize = 0;
pub const KEY_MASK: usize = 1;
pub const GCD_BETAS: usize = 2;
pub const GCD_MASKS: usize = GCD_BETAS + GCD_OPENINGS;
pub const SMALL_MASKS: usize = GCD_MASKS + GCD_OPENINGS;
pub const WIDE_MASKS: usize = SMALL_MASKS + RANGE_REPETITIONS;
/// Of each triple a, b, s and the s of degree 2t.
pub const TRIPLES: usize = WIDE_MASKS + RANGE_REPETITIONS;
pub const ZEROS: usize = TRIPLES + 8;

/// Places in `WinnerProducts`.
pub const U: usize = 0;
pub const W: usize = 1;
pub const M: usize = W + GCD_OPENINGS;

/// The challenges of W3, hashed as the parties do.
pub struct Challenges {
    bits: Vec<u8>,
    pub x: BigUint,
    pub y: BigUint,
}

impl Challenges {
    pub fn new(scene: &Scene<'_>) -> Self {
        let hasher = Hasher::new("subrosa/distributed-paillier/winner-challenges", 1)
            .field("transcript", &scene.transcript)
            .u64("candidate", scene.setup.number());
        let named = |name: &[u8]| hasher.clone().field("challenge", name);
        Self {
            bits: named(b"ranges").expand(2 * RANGE_REPETITIONS),
            x: named(b"product").expand_bits(256),
            y: named(b"opening").expand_bits(256),
        }
    }

    /// Whether the answer of a repetition contains a value: 0 and 1 are p′ᵢ and q′ᵢ, 2 is βᵢ, then come β′ᵢ and ρᵢ.
    pub fn adds(&self, repetition: usize, value: usize) -> bool {
        self.bits[2 * repetition + value / 8] >> (value % 8) & 1 == 1
    }
}

/// Adds an integer of either sign.
pub fn add(value: &mut BigUint, by: &BigInt, modulus: &BigUint) {
    let sum = BigInt::from(value.clone()) + by;
    *value = sum.mod_floor(&BigInt::from(modulus.clone())).into_parts().1;
}

fn lagrange(modulus: &BigUint, count: usize) -> Vec<BigUint> {
    let points: Vec<u32> = (1..=u32::try_from(count).unwrap()).collect();
    ShareRing::assume_prime(modulus.clone()).lagrange(&points, 0).unwrap()
}

/// The value at 0 of the polynomial of the least degree through all parties' values.
pub fn interpolate(modulus: &BigUint, values: &[&BigUint]) -> BigUint {
    let lagrange = lagrange(modulus, values.len());
    lagrange.iter().zip(values).map(|(l, value)| l * *value).sum::<BigUint>() % modulus
}

/// What an opening at a place gives, if its polynomial has the degree n − 1.
fn opening(modulus: &BigUint, messages: &[Numbers<'_>], place: usize) -> BigUint {
    let values: Vec<&BigUint> = messages.iter().map(|lists| &lists[0][place]).collect();
    interpolate(modulus, &values)
}

/// Changes my value at a place so that an opening of degree n − 1 gives so much more.
pub fn shift(modulus: &BigUint, me: PartyId, messages: &mut [Numbers<'_>], place: usize, by: &BigInt) {
    let own = lagrange(modulus, messages.len())[me.index()].modinv(modulus).unwrap();
    add(&mut messages[me.index()][0][place], &(by * BigInt::from(own)), modulus);
}

/// Changes my value at a place so that an opening of degree n − 1 gives `target`, and returns what it would have given.
pub fn steer(
    modulus: &BigUint,
    me: PartyId,
    messages: &mut [Numbers<'_>],
    place: usize,
    target: &BigUint,
) -> BigUint {
    let opened = opening(modulus, messages, place);
    shift(modulus, me, messages, place, &(BigInt::from(target.clone()) - BigInt::from(opened.clone())));
    opened
}

/// Sets my value of a biprimality test, at a place, so that `v_lead` = ∏ others: a test that everything passes.
pub fn fit(modulus: &Modulus, leader: PartyId, me: PartyId, messages: &mut [Numbers<'_>], place: usize) {
    let (mut others, mut top) = (modulus.one(), modulus.one());
    for (index, lists) in messages.iter().enumerate().filter(|(index, _)| *index != me.index()) {
        let product = if index == leader.index() { &mut top } else { &mut others };
        modulus.mul_assign(product, &modulus.residue(&lists[0][place]));
    }
    let inverse = |x| modulus.vartime_invert(x).unwrap();
    let fitting = if leader == me { others } else { modulus.mul(&top, &inverse(&others)) };
    messages[me.index()][0][place] = modulus.to_uint(&fitting);
}
