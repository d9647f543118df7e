use num_bigint::{BigInt, BigUint};
use num_traits::{One, Zero};

use crate::{Ciphertext, PaillierError, PublicKey};

/// Many small non-negative integers in one plaintext: slot i holds bits `i·slot_bits` up to `(i+1)·slot_bits`.
///
/// The caller keeps each slot below `2^slot_bits`. A greater value carries into the next slot.
///
/// ```
/// use num_bigint::BigUint;
/// use subrosa_paillier::{Blinder, Packing, PrivateKey, Randomness};
///
/// let mut rng = rand::rng();
/// let private = PrivateKey::generate_insecure(512, &mut rng)?;
/// let key = private.public();
/// let blinder = Blinder::new(key, Randomness::Short, 1 << 18)?;
/// let packing = Packing::widest(key, 40)?; // twelve slots of 40 bits
///
/// let values = [7_u8, 0, 42].map(BigUint::from);
/// let packed = blinder.encrypt(&packing.pack(&values)?, &mut rng)?;
/// let twice = key.add(&packed, &packed)?; // all slots at once
/// assert_eq!(packing.unpack(&private.decrypt(&twice)?, 3)?, [14_u8, 0, 84].map(BigUint::from));
/// # Ok::<(), subrosa_paillier::PaillierError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[doc(alias("batching", "slots"))]
pub struct Packing {
    slot_bits: u32,
    slots: usize,
}

impl Packing {
    /// Creates a packing with as many slots of `slot_bits` bits as a plaintext under `key` holds: `⌊(k −
    /// 2)/slot_bits⌋`.
    ///
    /// # Errors
    /// [`PaillierError::PackingTooLarge`] if not even one fits, or `slot_bits` is 0.
    pub fn widest(key: &PublicKey, slot_bits: u32) -> Result<Self, PaillierError> {
        let room = key.bits().saturating_sub(2);
        let slots = room.checked_div(u64::from(slot_bits)).and_then(|slots| usize::try_from(slots).ok());
        Self::new(key, slot_bits, slots.unwrap_or(0))
    }

    /// Creates a packing with `slots` slots of `slot_bits` bits.
    ///
    /// # Errors
    /// [`PaillierError::PackingTooLarge`] if they do not fit k − 2 bits, or either is 0.
    pub fn new(key: &PublicKey, slot_bits: u32, slots: usize) -> Result<Self, PaillierError> {
        let plaintext_bits = key.bits().saturating_sub(2);
        let wanted = (slots as u128) * u128::from(slot_bits);
        if wanted == 0 || wanted > u128::from(plaintext_bits) {
            return Err(PaillierError::PackingTooLarge { slots, slot_bits, plaintext_bits });
        }
        Ok(Self { slot_bits, slots })
    }

    /// Returns the width of a slot in bits.
    pub fn slot_bits(&self) -> u32 {
        self.slot_bits
    }

    /// Returns the number of slots of a plaintext.
    pub fn slots(&self) -> usize {
        self.slots
    }

    /// Returns the number of plaintexts that `values` values take.
    pub fn plaintexts(&self, values: usize) -> usize {
        values.div_ceil(self.slots)
    }

    /// Packs values in the clear, the first into slot 0.
    ///
    /// # Errors
    /// [`PaillierError::PackingTooLarge`] for more values than slots, [`PaillierError::NotEncodable`] for a value
    /// wider than a slot.
    pub fn pack(&self, values: &[BigUint]) -> Result<BigInt, PaillierError> {
        self.check_count(values.len())?;
        if values.iter().any(|value| value.bits() > u64::from(self.slot_bits)) {
            return Err(PaillierError::NotEncodable { reason: "it is wider than a slot" });
        }
        let packed = values.iter().rev().fold(BigUint::zero(), |sum, value| (sum << self.slot_bits) + value);
        Ok(BigInt::from(packed))
    }

    /// Packs encrypted values by Horner's rule: `slot_bits` squarings and one multiplication for each.
    ///
    /// # Errors
    /// [`PaillierError::PackingTooLarge`] for more values than slots, [`PaillierError::OtherKey`].
    pub fn pack_encrypted(
        &self,
        key: &PublicKey,
        values: &[Ciphertext],
    ) -> Result<Ciphertext, PaillierError> {
        self.check_count(values.len())?;
        let modulus = key.modulus_squared();
        let mut packed = modulus.one();
        for (i, value) in values.iter().rev().enumerate() {
            key.check(value)?;
            if i > 0 {
                (0..self.slot_bits).for_each(|_| modulus.square_assign(&mut packed));
            }
            modulus.mul_assign(&mut packed, &modulus.residue(value.value()));
        }
        Ok(key.wrap(&packed))
    }

    /// Returns the first `count` slots of a decrypted plaintext.
    ///
    /// # Errors
    /// [`PaillierError::NotPacked`] if it is negative or has more than `count` slots, [`PaillierError::PackingTooLarge`]
    /// if `count` is more than there are.
    pub fn unpack(&self, plaintext: &BigInt, count: usize) -> Result<Vec<BigUint>, PaillierError> {
        self.check_count(count)?;
        let not_packed = PaillierError::NotPacked { slots: count, slot_bits: self.slot_bits };
        let mut rest = plaintext.to_biguint().ok_or_else(|| not_packed.clone())?;
        let mask = (BigUint::one() << self.slot_bits) - 1u32;
        let mut values = Vec::with_capacity(count);
        for _ in 0..count {
            values.push(&rest & &mask);
            rest >>= self.slot_bits;
        }
        if rest.is_zero() { Ok(values) } else { Err(not_packed) }
    }

    fn check_count(&self, count: usize) -> Result<(), PaillierError> {
        if count <= self.slots {
            return Ok(());
        }
        let plaintext_bits = self.slots as u64 * u64::from(self.slot_bits);
        Err(PaillierError::PackingTooLarge { slots: count, slot_bits: self.slot_bits, plaintext_bits })
    }
}
