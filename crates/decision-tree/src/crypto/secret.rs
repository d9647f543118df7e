//! The secret key and what only its holder can do: encrypt and decrypt.

use zeroize::{Zeroize, Zeroizing};

use super::kernels::{Block, Products};
use super::{Fourier, NoiseSource, Seed, Shape, Workspace, expand};

/// A binary GLWE secret key with its transform. Wiped when dropped.
pub(crate) struct SecretKey {
    shape: Shape,
    bits: Zeroizing<Vec<u64>>,
    /// [block][row]: the transforms of the k key polynomials.
    transformed: Vec<Block>,
}

impl SecretKey {
    pub(crate) fn generate(shape: Shape, fourier: &Fourier, noise: &mut NoiseSource) -> Self {
        let mut bits = Zeroizing::new(vec![0u64; shape.key_len()]);
        loop {
            noise.bits(&mut bits);
            if let Some(key) = Self::from_bits(shape, fourier, &bits) {
                return key;
            }
        }
    }

    /// `None` unless there are k·N bits of an allowed weight.
    pub(crate) fn from_bits(shape: Shape, fourier: &Fourier, bits: &[u64]) -> Option<Self> {
        let proper = bits.len() == shape.key_len() && bits.iter().all(|bit| *bit <= 1);
        let weight = bits.iter().fold(0u64, |sum, bit| sum.wrapping_add(*bit));
        if !proper || weight > shape.greatest_weight() as u64 {
            return None;
        }
        let mut work = fourier.workspace();
        let mut transformed = vec![Block::default(); fourier.blocks() * shape.rank];
        for (row, polynomial) in bits.chunks_exact(shape.dimension).enumerate() {
            fourier.forward_words(polynomial, &mut transformed[row..], shape.rank, &mut work);
        }
        work.wipe();
        Some(Self { shape, bits: Zeroizing::new(bits.to_vec()), transformed })
    }

    pub(super) fn shape(&self) -> &Shape {
        &self.shape
    }

    pub(crate) fn bits(&self) -> &[u64] {
        &self.bits
    }

    /// Encrypts zero under the masks of `stream` of `seed`, once per row, and gives the bodies with fresh noise:
    /// Σ maskᵢ·sᵢ + e, exactly.
    pub(crate) fn encrypt_zeros(
        &self,
        fourier: &Fourier,
        seed: &Seed,
        stream: u64,
        rows: usize,
        noise: &mut NoiseSource,
        work: &mut Workspace,
    ) -> Vec<u64> {
        let shape = &self.shape;
        let mut masks = std::mem::take(&mut work.coefficients);
        masks.resize(rows * shape.key_len(), 0);
        let mut bytes = std::mem::take(&mut work.bytes);
        expand(seed, stream, &mut masks, &mut bytes);
        work.bytes = bytes;
        let mut bodies = vec![0u64; rows * shape.dimension];
        for (masks, body) in masks.chunks_exact(shape.key_len()).zip(bodies.chunks_exact_mut(shape.dimension))
        {
            self.add_inner_product(fourier, masks, body, work);
            noise.add(body, shape.noise_log2);
        }
        work.coefficients = masks;
        bodies
    }

    /// E5: encrypts a bit as a GGSW ciphertext; its bodies are rounded to the bits that are sent.
    pub(crate) fn encrypt_bit(
        &self,
        fourier: &Fourier,
        bit: u64,
        seed: &Seed,
        stream: u64,
        noise: &mut NoiseSource,
        work: &mut Workspace,
    ) -> Vec<u64> {
        let shape = &self.shape;
        let mut bodies = self.encrypt_zeros(fourier, seed, stream, shape.rows(), noise, work);
        for (row, body) in bodies.chunks_exact_mut(shape.dimension).enumerate() {
            #[allow(clippy::cast_possible_truncation)] // a few rows
            let level = (row / (shape.rank + 1) + 1) as u32;
            let gadget = bit << (64 - shape.base_log2 * level);
            match self.bits.chunks_exact(shape.dimension).nth(row % (shape.rank + 1)) {
                Some(key) => {
                    for (coefficient, key) in body.iter_mut().zip(key) {
                        *coefficient = coefficient.wrapping_sub(key.wrapping_mul(gadget));
                    }
                }
                None => body[0] = body[0].wrapping_add(gadget),
            }
        }
        round_to_bits(&mut bodies, shape.ggsw_body_bits);
        bodies
    }

    /// E6 and E7: encrypts a polynomial as a GLWE ciphertext; its body is rounded to the bits that are sent.
    pub(crate) fn encrypt_polynomial(
        &self,
        fourier: &Fourier,
        message: &[u64],
        seed: &Seed,
        stream: u64,
        noise: &mut NoiseSource,
        work: &mut Workspace,
    ) -> Vec<u64> {
        let mut body = self.encrypt_zeros(fourier, seed, stream, 1, noise, work);
        for (coefficient, message) in body.iter_mut().zip(message) {
            *coefficient = coefficient.wrapping_add(*message);
        }
        round_to_bits(&mut body, self.shape.glwe_body_bits);
        body
    }

    /// Coefficient `position` of Σ maskᵢ·sᵢ, for masks modulo any power of two up to 2⁶⁴.
    pub(crate) fn inner_coefficient(&self, masks: &[u64], position: usize) -> u64 {
        let dimension = self.shape.dimension;
        let mut sum = 0u64;
        for (mask, key) in masks.chunks_exact(dimension).zip(self.bits.chunks_exact(dimension)) {
            for (index, key) in key.iter().enumerate() {
                // s_index · X^index meets mask coefficient position − index, negated where it wraps around.
                let value = match position.checked_sub(index) {
                    Some(other) => mask[other],
                    None => mask[dimension + position - index].wrapping_neg(),
                };
                sum = sum.wrapping_add(value.wrapping_mul(*key));
            }
        }
        sum
    }

    /// out += polynomial · s, exactly, for a key of one polynomial.
    pub(super) fn add_key_product(
        &self,
        fourier: &Fourier,
        polynomial: &[u64],
        out: &mut [u64],
        work: &mut Workspace,
    ) {
        self.add_inner_product(fourier, polynomial, out, work);
    }

    /// E8: body += Σ maskᵢ·sᵢ, exactly: the masks are cut into 32-bit halves, whose products stay below 2⁴⁴.
    fn add_inner_product(&self, fourier: &Fourier, masks: &[u64], body: &mut [u64], work: &mut Workspace) {
        let (rank, blocks) = (self.shape.rank, fourier.blocks());
        let mut digits = std::mem::take(&mut work.digits);
        let mut sums = std::mem::take(&mut work.sums);
        digits.resize(blocks * rank, Block::default());
        sums.resize(blocks, Block::default());
        let mut half = vec![0u64; self.shape.dimension];
        for shift in [0, 32] {
            for (row, mask) in masks.chunks_exact(self.shape.dimension).enumerate() {
                for (half, mask) in half.iter_mut().zip(mask) {
                    *half = (mask >> shift) & 0xffff_ffff;
                }
                fourier.forward_words(&half, &mut digits[row..], rank, work);
            }
            let (digits, matrix) = (&digits[..], &self.transformed[..]);
            Products { digits, matrix, sums: &mut sums, rows: rank, columns: 1 }.run(fourier.arch);
            fourier.add_backward_integers(&sums, shift, body, work);
        }
        (work.digits, work.sums) = (digits, sums);
    }
}

impl Drop for SecretKey {
    fn drop(&mut self) {
        for block in &mut self.transformed {
            block.re.0.zeroize();
            block.im.0.zeroize();
        }
    }
}

impl std::fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SecretKey(<redacted>)")
    }
}

/// Rounds to the nearest multiple of 2^(64 − bits).
pub(crate) fn round_to_bits(coefficients: &mut [u64], bits: u32) {
    let dropped = 64 - bits;
    if dropped > 0 {
        for coefficient in coefficients {
            *coefficient = (coefficient.wrapping_add(1 << (dropped - 1)) >> dropped) << dropped;
        }
    }
}
