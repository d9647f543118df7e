//! Keys, encryption and products against tfhe's own implementation of the same.

use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use tfhe::core_crypto::prelude::*;

use crate::crypto::{Fourier, FourierGgsw, NoiseSource, ParameterSet, SecretKey, Shape, TWO_64, expand};

fn modulus() -> CiphertextModulus<u64> {
    CiphertextModulus::new_native()
}

fn tfhe_key(shape: &Shape, key: &SecretKey) -> GlweSecretKeyOwned<u64> {
    GlweSecretKey::from_container(key.bits().to_vec(), PolynomialSize(shape.dimension))
}

fn glwe(shape: &Shape, coefficients: Vec<u64>) -> GlweCiphertextOwned<u64> {
    GlweCiphertext::from_container(coefficients, PolynomialSize(shape.dimension), modulus())
}

/// The phase by tfhe's decryption.
fn phase(shape: &Shape, key: &GlweSecretKeyOwned<u64>, coefficients: &[u64]) -> Vec<u64> {
    let mut plain = PlaintextList::new(0u64, PlaintextCount(shape.dimension));
    decrypt_glwe_ciphertext(key, &glwe(shape, coefficients.to_vec()), &mut plain);
    plain.into_container()
}

fn largest(errors: impl Iterator<Item = u64>) -> u64 {
    errors.map(|error| error.cast_signed().unsigned_abs()).max().unwrap()
}

#[test]
fn tfhe_decrypts_what_we_encrypt() {
    for set in ParameterSet::ALL {
        let shape = set.shape();
        let fourier = Fourier::new(shape.dimension);
        let mut noise = NoiseSource::new(&mut ChaCha20Rng::seed_from_u64(1));
        let key = SecretKey::generate(shape, &fourier, &mut noise);
        let message: Vec<u64> =
            (0..shape.dimension as u64).map(|i| i.wrapping_mul(0x9e37_79b9 << 32)).collect();
        let mut work = fourier.workspace();
        let body = key.encrypt_polynomial(&fourier, &message, &[7; 32], 5, &mut noise, &mut work);
        let mut ciphertext = vec![0; shape.key_len()];
        expand(&[7; 32], 5, &mut ciphertext, &mut vec![]);
        ciphertext.extend_from_slice(&body);
        let phase = phase(&shape, &tfhe_key(&shape, &key), &ciphertext);
        // Uniform noise to 2^17 and rounding to half of the bits dropped: no tail beyond.
        let bound = (1 << shape.noise_log2) + (1u64 << (63 - shape.glwe_body_bits));
        let errors: Vec<u64> = phase.iter().zip(&message).map(|(p, m)| p.wrapping_sub(*m)).collect();
        assert!(largest(errors.iter().copied()) <= bound);
        assert!(largest(errors.iter().copied()) > bound / 2);
        for position in [0, 1, shape.dimension - 1] {
            let own =
                body[position].wrapping_sub(key.inner_coefficient(&ciphertext[..shape.key_len()], position));
            assert_eq!(own, phase[position]);
        }
    }
}

#[test]
fn products_are_those_of_tfhe() {
    for set in [ParameterSet::Standard, ParameterSet::LowNoise] {
        let shape = set.shape();
        let fourier = Fourier::new(shape.dimension);
        let mut noise = NoiseSource::new(&mut ChaCha20Rng::seed_from_u64(2));
        let key = SecretKey::generate(shape, &fourier, &mut noise);
        let secret = tfhe_key(&shape, &key);
        let mut work = fourier.workspace();
        let (size, polynomial) = (GlweSize(shape.rank + 1), PolynomialSize(shape.dimension));
        let (base, levels) =
            (DecompositionBaseLog(shape.base_log2 as usize), DecompositionLevelCount(shape.levels));
        // An encryption of a polynomial with large coefficients, minus a trivial one.
        let mut left = vec![0; shape.glwe_len()];
        expand(&[9; 32], 0, &mut left, &mut vec![]);
        let mut right = vec![0u64; shape.glwe_len()];
        right[shape.key_len() + 3] = 1 << 63;
        for bit in [0, 1] {
            let bodies = key.encrypt_bit(&fourier, bit, &[8; 32], 1, &mut noise, &mut work);
            let mut masks = vec![0; shape.rows() * shape.key_len()];
            expand(&[8; 32], 1, &mut masks, &mut vec![]);
            let rows = || masks.chunks_exact(shape.key_len()).zip(bodies.chunks_exact(shape.dimension));

            let mut ours = vec![5u64; shape.glwe_len()];
            let mut ggsw = FourierGgsw::default();
            ggsw.fill(&fourier, &shape, rows(), &mut work);
            ggsw.load_digits(&fourier, &shape, &left, &right, &mut work).unwrap();
            ggsw.add_product(&fourier, &shape, &mut ours, &mut work);

            // tfhe keeps the levels from the last to the first.
            let mut standard = GgswCiphertext::new(0u64, size, polynomial, base, levels, modulus());
            let flat: Vec<Vec<u64>> = rows().map(|(masks, body)| [masks, body].concat()).collect();
            let reversed = flat.chunks(shape.rank + 1).rev().flatten().flatten();
            standard.as_mut().iter_mut().zip(reversed).for_each(|(to, from)| *to = *from);
            let mut transformed = FourierGgswCiphertext::new(size, polynomial, base, levels);
            convert_standard_ggsw_ciphertext_to_fourier(&standard, &mut transformed);
            let difference = left.iter().zip(&right).map(|(l, r)| l.wrapping_sub(*r)).collect();
            let mut theirs = glwe(&shape, vec![5u64; shape.glwe_len()]);
            add_external_product_assign(&mut theirs, &transformed, &glwe(&shape, difference));

            let (ours, theirs) = (phase(&shape, &secret, &ours), phase(&shape, &secret, theirs.as_ref()));
            // The two differ by their transforms' rounding and, rarely, by a tie in the digits.
            let errors = ours.iter().zip(&theirs).map(|(ours, theirs)| ours.wrapping_sub(*theirs));
            assert!(largest(errors) < 1 << 46, "{set:?} {bit}");
        }
    }
}

/// Variance of one product's noise for a GGSW encryption of 1 and a random ciphertext.
fn product_noise(shape: Shape, seed: u8) -> f64 {
    let fourier = Fourier::new(shape.dimension);
    let mut noise = NoiseSource::new(&mut ChaCha20Rng::seed_from_u64(seed.into()));
    let key = SecretKey::generate(shape, &fourier, &mut noise);
    let mut work = fourier.workspace();
    let bodies = key.encrypt_bit(&fourier, 1, &[seed; 32], 1, &mut noise, &mut work);
    let mut masks = vec![0; shape.rows() * shape.key_len()];
    expand(&[seed; 32], 1, &mut masks, &mut vec![]);
    let mut ggsw = FourierGgsw::default();
    let rows = masks.chunks_exact(shape.key_len()).zip(bodies.chunks_exact(shape.dimension));
    ggsw.fill(&fourier, &shape, rows, &mut work);
    let mut left = vec![0; shape.glwe_len()];
    expand(&[seed; 32], 0, &mut left, &mut vec![]);
    if shape.noise_log2 == 0 {
        // Nothing for the digits to round.
        let dropped = 64 - shape.base_log2 * u32::try_from(shape.levels).unwrap();
        left.iter_mut().for_each(|value| *value = *value >> dropped << dropped);
    }
    let mut product = vec![0u64; shape.glwe_len()];
    ggsw.load_digits(&fourier, &shape, &left, &product, &mut work).unwrap();
    ggsw.add_product(&fourier, &shape, &mut product, &mut work);
    let secret = tfhe_key(&shape, &key);
    let (got, expected) = (phase(&shape, &secret, &product), phase(&shape, &secret, &left));
    let errors = got.iter().zip(&expected).map(|(got, expected)| got.wrapping_sub(*expected).cast_signed());
    errors.map(|error| (error as f64 / TWO_64).powi(2)).sum::<f64>() / shape.dimension as f64
}

#[test]
fn a_product_adds_the_noise_that_is_planned() {
    // The third set's selectors are measured where they are made.
    for set in [ParameterSet::Standard, ParameterSet::LowNoise] {
        let shape = set.shape();
        // Without noise and rounding, only the transforms' errors are left.
        let bare = Shape { noise_log2: 0, ggsw_body_bits: 64, ..shape };
        let mean = |shape| ((0..200).map(|seed| product_noise(shape, seed)).sum::<f64>() / 200.0).log2();
        let (all, transform) = (mean(shape), mean(bare));
        let planned = (shape.product_variance().log2(), shape.transform_variance().log2());
        assert!(all < planned.0 + 0.1 && all > planned.0 - 1.5);
        assert!(transform < planned.1 && transform > planned.1 - 2.0);
    }
}
