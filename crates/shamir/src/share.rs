use num_bigint::{BigInt, BigUint, Sign};

use subrosa_arith::{SecretInt, wipe_uint};

/// One party's share of a secret in a prime field.
///
/// # Security
/// A share is as secret as the channel it is meant for; it wipes itself and never prints its value.
#[derive(Clone, Debug)]
pub struct RingShare {
    point: u32,
    value: SecretInt,
}

impl RingShare {
    pub(crate) fn new(point: u32, value: SecretInt) -> Self {
        Self { point, value }
    }

    /// The point at which the polynomial was evaluated, 1 for the first party.
    pub fn point(&self) -> u32 {
        self.point
    }

    /// The value of the polynomial at [`point`](Self::point), in `[0, P)`.
    pub fn value(&self) -> &SecretInt {
        &self.value
    }
}

/// One party's share of a secret integer: the value of an integer polynomial, which may be negative.
///
/// # Security
/// A share is as secret as the channel it is meant for; it wipes itself and never prints its value.
#[derive(Clone)]
pub struct IntegerShare {
    point: u32,
    value: BigInt,
}

impl IntegerShare {
    /// Creates the share at `point` from the value that the dealer sent.
    pub fn new(point: u32, value: BigInt) -> Self {
        Self { point, value }
    }

    /// The point at which the polynomial was evaluated, 1 for the first party.
    pub fn point(&self) -> u32 {
        self.point
    }

    /// The value of the polynomial at [`point`](Self::point).
    ///
    /// # Security
    /// A caller that clones the value must wipe the copy.
    pub fn expose(&self) -> &BigInt {
        &self.value
    }
}

impl Drop for IntegerShare {
    fn drop(&mut self) {
        let (_, mut magnitude) = std::mem::replace(&mut self.value, BigInt::from(0)).into_parts();
        wipe_uint(&mut magnitude);
    }
}

impl std::fmt::Debug for IntegerShare {
    // Redacted, because t+1 shares give the secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "IntegerShare {{ point: {}, value: <redacted> }}", self.point)
    }
}

/// `value` as an unsigned integer, if it is not negative; a negative one is wiped.
pub(crate) fn into_unsigned(value: BigInt) -> Option<BigUint> {
    let (sign, mut magnitude) = value.into_parts();
    if sign == Sign::Minus {
        wipe_uint(&mut magnitude);
        return None;
    }
    Some(magnitude)
}
