use num_bigint::{BigInt, BigUint};
use num_integer::Integer;
use num_traits::{One, Zero};
use rand_core::CryptoRng;

use crate::lagrange::check_points;
use crate::{RingShare, ShamirError};
use subrosa_arith::{SecretInt, prime, sample, wipe_uint};

/// The integers modulo m, over which secrets are shared: a prime field, or a product of two.
///
/// Party j holds the value of a polynomial at the point j = 1, …, n. The secret is the value at 0. Any `degree` shares
/// of one sharing are uniform and independent of the secret, and `degree + 1` shares determine it. This requires that
/// every prime factor of m is greater than n, so that the differences of points are units.
#[derive(Clone, Debug, PartialEq, Eq)]
#[doc(alias("secret sharing", "finite field"))]
pub struct ShareRing {
    modulus: BigUint,
    /// A lower bound of the prime factors of the modulus.
    least_factor: BigUint,
}

impl ShareRing {
    /// Creates the field of `prime` elements.
    ///
    /// # Errors
    /// [`ShamirError::NotPrime`] if `prime` fails a Baillie–PSW test.
    pub fn prime(prime: BigUint) -> Result<Self, ShamirError> {
        if !prime::is_probable_prime(&prime) {
            return Err(ShamirError::NotPrime);
        }
        Ok(Self::assume_prime(prime))
    }

    /// Creates the field of `prime` elements, without a check that `prime` is a prime.
    ///
    /// This is for constants that a test shows to be primes. Modulo a number with small factors, sharings neither hide
    /// secrets nor can be opened.
    pub fn assume_prime(prime: BigUint) -> Self {
        Self { modulus: prime.clone(), least_factor: prime }
    }

    /// Creates the field of the least prime greater than `bound`. Every integer up to `bound` has its own element.
    ///
    /// Deterministic, so that parties who agree on a bound agree on the field.
    pub fn above(bound: &BigUint) -> Self {
        Self::assume_prime(prime::next_prime(bound))
    }

    /// Returns m, the number of elements.
    pub fn modulus(&self) -> &BigUint {
        &self.modulus
    }

    /// Deals `secret` (an integer, reduced mod m) to parties 1, …, `parties` by a polynomial of `degree`.
    ///
    /// # Errors
    /// [`ShamirError::DegreeTooHigh`] if not even all parties could reconstruct, [`ShamirError::FieldTooSmall`]
    /// if m has a prime factor ≤ `parties`.
    #[doc(alias("split", "deal"))]
    pub fn share(
        &self,
        secret: &BigInt,
        degree: u32,
        parties: u32,
        rng: &mut impl CryptoRng,
    ) -> Result<Vec<RingShare>, ShamirError> {
        self.deal(self.reduce(secret), degree, parties, rng)
    }

    /// Deals as [`share`](Self::share), for a secret that wipes itself. No copy of it is left behind.
    ///
    /// # Errors
    /// As [`share`](Self::share).
    pub fn share_secret(
        &self,
        secret: &SecretInt,
        degree: u32,
        parties: u32,
        rng: &mut impl CryptoRng,
    ) -> Result<Vec<RingShare>, ShamirError> {
        self.deal(self.reduced(secret.expose().clone()), degree, parties, rng)
    }

    /// Deals a polynomial of `degree` whose value at 0 is `constant`, which is wiped.
    fn deal(
        &self,
        mut constant: BigUint,
        degree: u32,
        parties: u32,
        rng: &mut impl CryptoRng,
    ) -> Result<Vec<RingShare>, ShamirError> {
        if degree >= parties {
            wipe_uint(&mut constant);
            return Err(ShamirError::DegreeTooHigh { degree, parties });
        }
        if self.least_factor <= BigUint::from(parties) {
            wipe_uint(&mut constant);
            return Err(ShamirError::FieldTooSmall { parties });
        }
        let mut coefficients = Vec::with_capacity(degree as usize + 1);
        coefficients.push(constant);
        coefficients.extend((0..degree).map(|_| sample::random_below(rng, &self.modulus)));
        let shares = (1..=parties).map(|j| self.element(j, self.evaluate(&coefficients, j))).collect();
        coefficients.iter_mut().for_each(wipe_uint);
        shares
    }

    /// Deals the secret 0 by a polynomial of `degree`, to be added to a product before it is opened.
    ///
    /// # Security
    /// The product of two sharings of degree t lies on a polynomial of degree 2t that is *not* random. If all its
    /// shares are opened, each party can factor it and read the secrets. A zero sharing of degree 2t from every party
    /// makes it uniform among the polynomials with the same value at 0. Use each one once.
    ///
    /// # Errors
    /// As [`share`](Self::share).
    #[doc(alias = "zero sharing")]
    pub fn share_zero(
        &self,
        degree: u32,
        parties: u32,
        rng: &mut impl CryptoRng,
    ) -> Result<Vec<RingShare>, ShamirError> {
        self.share(&BigInt::zero(), degree, parties, rng)
    }

    /// Creates a share from the value that the dealer sent.
    ///
    /// # Errors
    /// [`ShamirError::OutOfRange`] if `value` ≥ m.
    pub fn accept(&self, point: u32, mut value: BigUint) -> Result<RingShare, ShamirError> {
        if value >= self.modulus {
            wipe_uint(&mut value);
            return Err(ShamirError::OutOfRange { what: "a share in [0, m)" });
        }
        self.element(point, value)
    }

    /// Adds shares at one point. The result is a share of the sum of the secrets.
    ///
    /// # Errors
    /// [`ShamirError::BadPoint`] if the shares belong to different points, [`ShamirError::TooFewShares`] for none.
    pub fn sum<'a>(&self, shares: impl IntoIterator<Item = &'a RingShare>) -> Result<RingShare, ShamirError> {
        let mut shares = shares.into_iter();
        let first = shares.next().ok_or(ShamirError::TooFewShares { given: 0, degree: 0 })?;
        let mut total = first.value().expose().clone();
        for share in shares {
            if share.point() != first.point() {
                wipe_uint(&mut total);
                return Err(ShamirError::BadPoint { point: share.point() });
            }
            total += share.value().expose();
        }
        self.element(first.point(), self.reduced(total))
    }

    /// Multiplies a share by a public number. The result is a share of the product of the secret and that number.
    ///
    /// # Errors
    /// None for a share of this ring.
    pub fn scale(&self, share: &RingShare, factor: &BigUint) -> Result<RingShare, ShamirError> {
        self.element(share.point(), self.reduced(share.value().expose() * factor))
    }

    /// Negates a share. The result is a share of the negative of the secret.
    ///
    /// # Errors
    /// None for a share of this ring.
    pub fn negate(&self, share: &RingShare) -> Result<RingShare, ShamirError> {
        self.element(share.point(), self.reduced(&self.modulus - share.value().expose()))
    }

    /// Computes `a − b` for shares at one point. The result is a share of the difference of the secrets.
    ///
    /// # Errors
    /// [`ShamirError::BadPoint`] if the shares belong to different points.
    pub fn subtract(&self, a: &RingShare, b: &RingShare) -> Result<RingShare, ShamirError> {
        self.sum([a, &self.negate(b)?])
    }

    /// Adds a public number to a share. The result is a share of the sum of the secret and that number, for any degree.
    ///
    /// # Errors
    /// None for a share of this ring.
    pub fn add_public(&self, share: &RingShare, number: &BigUint) -> Result<RingShare, ShamirError> {
        self.element(share.point(), self.reduced(share.value().expose() + number))
    }

    /// Creates a share of a public number, at `point`.
    ///
    /// # Errors
    /// None.
    pub fn constant(&self, point: u32, number: &BigUint) -> Result<RingShare, ShamirError> {
        self.element(point, number % &self.modulus)
    }

    /// Computes `a·b + mask` for shares at one point. The result is a share of the product of the secrets of `a` and
    /// `b`.
    ///
    /// The degree of the result is the sum of the degrees of `a` and `b`. `mask` is the sum of all parties' zero
    /// sharings of that degree. It is required, because an unmasked product must not be opened.
    ///
    /// # Errors
    /// [`ShamirError::BadPoint`] if the shares belong to different points.
    #[doc(alias("BGW", "multiplication"))]
    pub fn masked_product(
        &self,
        a: &RingShare,
        b: &RingShare,
        mask: &RingShare,
    ) -> Result<RingShare, ShamirError> {
        if let Some(other) = [b, mask].iter().find(|share| share.point() != a.point()) {
            return Err(ShamirError::BadPoint { point: other.point() });
        }
        let product = a.value().expose() * b.value().expose() + mask.value().expose();
        self.element(a.point(), self.reduced(product))
    }

    /// Reconstructs the secret of a sharing of `degree`, from at least `degree + 1` shares.
    ///
    /// `shares` are pairs of point and value. Shares beyond the first `degree + 1` are checked against them.
    ///
    /// # Errors
    /// [`ShamirError::TooFewShares`], [`ShamirError::BadPoint`] for points that are 0 or repeated,
    /// [`ShamirError::OutOfRange`] for a value ≥ m, [`ShamirError::Inconsistent`] if the shares do not lie on one
    /// polynomial of this degree.
    #[doc(alias("recover", "interpolate"))]
    pub fn reconstruct(&self, shares: &[(u32, &BigUint)], degree: u32) -> Result<BigUint, ShamirError> {
        self.opener(&shares.iter().map(|(point, _)| *point).collect::<Vec<_>>(), degree)?
            .open(&shares.iter().map(|(_, value)| *value).collect::<Vec<_>>())
    }

    /// Prepares to reconstruct many sharings of `degree` from shares at the same `points`.
    ///
    /// # Errors
    /// As [`reconstruct`](Self::reconstruct), as far as points are concerned.
    pub fn opener(&self, points: &[u32], degree: u32) -> Result<Opener, ShamirError> {
        let enough = degree as usize + 1;
        if points.len() < enough {
            return Err(ShamirError::TooFewShares { given: points.len(), degree });
        }
        check_points(u32::MAX, points)?;
        if let Some(&point) = points.iter().find(|&&point| BigUint::from(point) >= self.least_factor) {
            return Err(ShamirError::BadPoint { point });
        }
        let base = &points[..enough];
        let secret = self.lagrange(base, 0)?;
        let checks = points[enough..].iter().map(|&at| self.lagrange(base, at)).collect::<Result<_, _>>()?;
        Ok(Opener { modulus: self.modulus.clone(), degree, secret, checks })
    }

    /// Computes the Lagrange coefficients `∏_{i∈S∖{j}} (i − at)/(i − j) mod m` of the points `subset`, in its order.
    ///
    /// # Errors
    /// [`ShamirError::BadPoint`] if a point is 0, is there twice, or equals another mod m.
    #[doc(alias = "interpolation")]
    pub fn lagrange(&self, subset: &[u32], at: u32) -> Result<Vec<BigUint>, ShamirError> {
        check_points(u32::MAX, subset)?;
        subset
            .iter()
            .map(|&j| {
                let (mut numerator, mut denominator) = (BigInt::one(), BigInt::one());
                for &i in subset.iter().filter(|&&i| i != j) {
                    numerator *= i64::from(i) - i64::from(at);
                    denominator *= i64::from(i) - i64::from(j);
                }
                let inverse = self.reduce(&denominator).modinv(&self.modulus);
                let inverse = inverse.ok_or(ShamirError::BadPoint { point: j })?;
                Ok(self.reduce(&numerator) * inverse % &self.modulus)
            })
            .collect()
    }

    /// Horner's rule at a small point; one reduction at the end, since the value grows by few bits only.
    fn evaluate(&self, coefficients: &[BigUint], at: u32) -> BigUint {
        let mut value = BigUint::zero();
        for coefficient in coefficients.iter().rev() {
            value = value * at + coefficient;
        }
        self.reduced(value)
    }

    fn reduce(&self, value: &BigInt) -> BigUint {
        let modulus = BigInt::from(self.modulus.clone());
        value.mod_floor(&modulus).into_parts().1
    }

    /// `value mod m`, wiping the unreduced number.
    fn reduced(&self, mut value: BigUint) -> BigUint {
        let remainder = &value % &self.modulus;
        wipe_uint(&mut value);
        remainder
    }

    /// Creates a share of a value that is known to be below m.
    fn element(&self, point: u32, value: BigUint) -> Result<RingShare, ShamirError> {
        let out_of_range = |_| ShamirError::OutOfRange { what: "a share in [0, m)" };
        Ok(RingShare::new(point, SecretInt::new(value, self.modulus.bits()).map_err(out_of_range)?))
    }
}

/// Lagrange coefficients for one list of points, to open many sharings. [`ShareRing::opener`] makes them.
#[derive(Clone, Debug)]
pub struct Opener {
    modulus: BigUint,
    degree: u32,
    secret: Vec<BigUint>,
    checks: Vec<Vec<BigUint>>,
}

impl Opener {
    /// Reconstructs the secret from `values`, in the order of the opener's points.
    ///
    /// # Errors
    /// [`ShamirError::TooFewShares`] if their number is not that of the points, [`ShamirError::OutOfRange`] for a
    /// value ≥ m, [`ShamirError::Inconsistent`] if they do not lie on one polynomial.
    pub fn open(&self, values: &[&BigUint]) -> Result<BigUint, ShamirError> {
        if values.len() != self.secret.len() + self.checks.len() {
            return Err(ShamirError::TooFewShares { given: values.len(), degree: self.degree });
        }
        if values.iter().any(|value| **value >= self.modulus) {
            return Err(ShamirError::OutOfRange { what: "a share in [0, m)" });
        }
        let (base, rest) = values.split_at(self.secret.len());
        let combine = |coefficients: &[BigUint]| {
            coefficients.iter().zip(base).map(|(c, v)| c * *v).sum::<BigUint>() % &self.modulus
        };
        if self.checks.iter().zip(rest).any(|(coefficients, value)| combine(coefficients) != **value) {
            return Err(ShamirError::Inconsistent { degree: self.degree });
        }
        Ok(combine(&self.secret))
    }
}

/// A ring modulo P·P′ with the fields modulo the distinct primes P and P′. By the Chinese remainder theorem, a pair of
/// shares in the fields is a share in the ring.
#[derive(Clone, Debug, PartialEq, Eq)]
#[doc(alias("CRT", "Chinese remainder"))]
pub struct ProductRing {
    ring: ShareRing,
    first: ShareRing,
    second: ShareRing,
    /// P⁻¹ mod P′.
    inverse: BigUint,
}

impl ProductRing {
    /// Creates the ring of two fields.
    ///
    /// # Errors
    /// [`ShamirError::NotCoprime`] if the fields are the same or have a common factor.
    pub fn new(first: ShareRing, second: ShareRing) -> Result<Self, ShamirError> {
        let inverse = (first.modulus() % second.modulus()).modinv(second.modulus());
        let inverse = inverse.ok_or(ShamirError::NotCoprime)?;
        let ring = ShareRing {
            modulus: first.modulus() * second.modulus(),
            least_factor: first.least_factor.clone().min(second.least_factor.clone()),
        };
        Ok(Self { ring, first, second, inverse })
    }

    /// Returns the ring modulo P·P′.
    pub fn ring(&self) -> &ShareRing {
        &self.ring
    }

    /// Returns the field modulo P.
    pub fn first(&self) -> &ShareRing {
        &self.first
    }

    /// Returns the field modulo P′.
    pub fn second(&self) -> &ShareRing {
        &self.second
    }

    /// Computes the share in the ring that is `a` modulo P and `b` modulo P′.
    ///
    /// # Errors
    /// [`ShamirError::BadPoint`] if the shares belong to different points, [`ShamirError::OutOfRange`] if they are not of the
    /// two fields.
    pub fn combine(&self, a: &RingShare, b: &RingShare) -> Result<RingShare, ShamirError> {
        let point = a.point();
        if point != b.point() {
            return Err(ShamirError::BadPoint { point: b.point() });
        }
        let (a, b, p) = (a.value().expose(), b.value().expose(), self.second.modulus());
        // a + P·((b − a)·P⁻¹ mod P′)
        let mut difference = b + p - a % p;
        let mut steps = &difference * &self.inverse % p;
        let value = a + self.first.modulus() * &steps;
        wipe_uint(&mut difference);
        wipe_uint(&mut steps);
        self.ring.accept(point, value)
    }
}
