//! The secret key. `.ci/against-tfhe` compares encryption and products with `tfhe`.

use super::*;

/// The planner relies on the weight; stored bits that are not a key are refused.
#[test]
fn keys_are_bits_of_a_bounded_weight() {
    for set in ParameterSet::ALL {
        let shape = set.shape();
        let fourier = Fourier::new(shape.dimension);
        let is_key = |bits: &[u64]| SecretKey::from_bits(shape, &fourier, bits).is_some();
        let ones = |count: usize| {
            let mut bits = vec![0u64; shape.key_len()];
            bits[..count].fill(1);
            bits
        };
        let greatest = shape.greatest_weight();
        assert!(is_key(&ones(greatest)) && !is_key(&ones(greatest + 1)) && !is_key(&ones(shape.key_len())));
        assert!(!is_key(&ones(1)[1..]) && !is_key(&[ones(1), vec![0]].concat()));
        assert!(!is_key(&[vec![2], ones(0)[1..].to_vec()].concat()));
    }
}
