//! Eight numbers side by side, one in each 64-bit lane of a vector: with IFMA ([`mul`]), or with AVX2 as twice four
//! ([`avx2`]).
//!
//! Against [`ifma`](super::ifma), which lays the words of one number side by side, nothing has to move between lanes:
//! carries go from vector to vector, each lane may have a modulus of its own, and the number of limbs need not be a
//! multiple of eight. Values are kept in [0, 2m) likewise, with R a power of two above 4m.
//!
//! With IFMA, on a Zen 5, squarings and multiplications of 79 to 158 limbs issue 8.2 to 8.5 multiplications in a nanosecond,
//! which is about two in a cycle and all that the processor can. What is left is to multiply less. Karatsuba's formula for
//! the products was estimated and not built: at 4,096 bits it would save less than 3 % of a power, at 8,192 bits about 5 %.
//! A window of 6 bits in place of 5 costs more in look-ups than it saves.

mod avx2;
mod form;
mod moduli;
mod mul;
mod numbers;
mod table;
#[cfg(test)]
mod tests;

pub(crate) use self::form::Form;
pub(crate) use self::moduli::Moduli;
pub(crate) use self::numbers::Eight;
pub(crate) use self::table::{Table, select_shared};
