//! Keys, encryption and products against tfhe's own implementation of the same.

use super::*;
use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;
use tfhe::core_crypto::prelude::*;

fn modulus() -> CiphertextModulus<u64> {
    CiphertextModulus::new_native()
}

fn tfhe_key(shape: &Shape, key: &super::SecretKey) -> GlweSecretKeyOwned<u64> {
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
        let key = super::SecretKey::generate(shape, &fourier, &mut noise);
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
    for set in ParameterSet::ALL {
        let shape = set.shape();
        let fourier = Fourier::new(shape.dimension);
        let mut noise = NoiseSource::new(&mut ChaCha20Rng::seed_from_u64(2));
        let key = super::SecretKey::generate(shape, &fourier, &mut noise);
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
            ggsw.load_digits(&fourier, &shape, &left, &right, &mut work);
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
