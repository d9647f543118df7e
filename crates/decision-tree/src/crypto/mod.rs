//! The lattice cryptography below queries and answers: GLWE and GGSW ciphertexts over ℤ/2⁶⁴[X]/(X^N + 1), seeded
//! encryption, and external products through `tfhe-fft`'s transforms.
//!
//! Layouts: a polynomial is N coefficients; a GLWE ciphertext is k mask polynomials and then the body, flat; its
//! phase is body − Σ maskᵢ·sᵢ. A GGSW ciphertext of m has, for each gadget level λ from 1 and then for each
//! i from 0 to k, a row of phase −sᵢ·m·2^(64−βλ) (i < k) or m·2^(64−βλ) (i = k).

mod conversion;
mod fourier;
mod ggsw;
mod kernels;
mod noise;
mod params;
mod ring;
mod secret;
mod stream;

pub(crate) use conversion::{ConversionRows, Converter, steps};
pub(crate) use fourier::{Fourier, Workspace};
pub(crate) use ggsw::FourierGgsw;
pub(crate) use noise::NoiseSource;
pub use params::ParameterSet;
pub(crate) use params::{Conversion, Shape, TWO_64};
pub(crate) use ring::PrefixSums;
pub(crate) use secret::{SecretKey, round_to_bits};
pub(crate) use stream::{Seed, expand};

#[cfg(test)]
mod tests;
