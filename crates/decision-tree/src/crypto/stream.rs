//! Seeded masks (E8 of docs/protocols/decision-tree.md): AES-256 in counter mode under the query's seed.

use aes::Aes256;
use aes::cipher::{KeyIvInit, StreamCipher};
use ctr::Ctr64BE;

/// The public seed of a query's masks. Every query has a fresh one.
pub(crate) type Seed = [u8; 32];

/// Fills `masks` with stream `index` of `seed`: the key is the seed, the counter block's upper half the stream and
/// its lower half the block, both big-endian as in NIST SP 800-38A. Masks are little-endian. A stream has up to 2⁶⁴ blocks, so that streams never overlap. `bytes` is scratch.
pub(crate) fn expand(seed: &Seed, index: u64, masks: &mut [u64], bytes: &mut Vec<u8>) {
    bytes.clear();
    bytes.resize(masks.len() * 8, 0);
    let mut block = [0u8; 16];
    block[..8].copy_from_slice(&index.to_be_bytes());
    Ctr64BE::<Aes256>::new(seed.into(), &block.into()).apply_keystream(bytes);
    for (mask, chunk) in masks.iter_mut().zip(bytes.as_chunks::<8>().0) {
        *mask = u64::from_le_bytes(*chunk);
    }
}

#[cfg(test)]
mod tests {
    use aes::cipher::BlockCipherEncrypt;

    use super::*;

    #[test]
    fn a_stream_is_the_cipher_of_its_counter_blocks() {
        let seed = std::array::from_fn(|i| u8::try_from(i).unwrap());
        let mut masks = [0u64; 6];
        expand(&seed, 3, &mut masks, &mut vec![9; 5]);
        let cipher = <Aes256 as aes::cipher::KeyInit>::new(&seed.into());
        for (block, pair) in masks.chunks(2).enumerate() {
            let mut bytes = [0u8; 16];
            bytes[7] = 3;
            bytes[15] = u8::try_from(block).unwrap();
            let mut bytes = bytes.into();
            cipher.encrypt_block(&mut bytes);
            assert_eq!(pair[0].to_le_bytes(), bytes[..8]);
            assert_eq!(pair[1].to_le_bytes(), bytes[8..]);
        }
    }
}
