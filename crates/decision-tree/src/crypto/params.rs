//! Parameter sets: the only choice of numbers that affects security.

/// The lattice parameters of keys, queries and answers.
///
/// All sets use the ring dimension times rank 2,048, a binary secret key and the noise that tfhe 1.8 uses for that
/// dimension (`TUniform(17)` at modulus 2⁶⁴, for 128 bits of security by its authors' estimate).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[doc(alias = "security level")]
pub enum ParameterSet {
    /// For trees of any size and for forests: about 15 KB of query per bit of a row.
    #[default]
    Standard,
    /// For large ensembles, fine leaf values and stronger flooding of the answer: noise 2⁷ times smaller, at twice
    /// the query size and about twice the time.
    LowNoise,
    /// For single trees whose rows have many bits, and for clients that ask often: a query of 11 KB for each 2,048
    /// cells of all features together, but a [`crate::ConversionKey`] of about a megabyte that the server needs once,
    /// more noise, and more time for each distinct threshold. Besides LWE over rings it assumes circular security:
    /// the conversion key encrypts functions of the secret key under itself.
    SmallQuery,
}

/// What a parameter set stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    /// Ring dimension N, a power of two.
    pub(crate) dimension: usize,
    /// Number k of mask polynomials.
    pub(crate) rank: usize,
    /// Fresh noise is uniform in [−2^b, 2^b], the two ends half as likely.
    pub(crate) noise_log2: u32,
    /// The gadget's base is 2^β.
    pub(crate) base_log2: u32,
    /// The gadget's levels.
    pub(crate) levels: usize,
    /// Leading bits of a GGSW body coefficient that are sent.
    pub(crate) ggsw_body_bits: u32,
    /// Leading bits of a GLWE body coefficient that are sent.
    pub(crate) glwe_body_bits: u32,
    /// The monomial ciphertexts hold 2^this · X^x: payloads are multiples of it.
    pub(crate) monomial_log2: u32,
    /// How selectors are made from monomials, where a query has no GGSW ciphertexts.
    pub(crate) conversion: Option<Conversion>,
}

/// Gadgets of the conversion from monomials to GGSW ciphertexts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Conversion {
    /// Of the key switches after automorphisms.
    pub(crate) switch: Gadget,
    /// Of the product with the encrypted key.
    pub(crate) square: Gadget,
    /// Leading bits of a body coefficient of the conversion key.
    pub(crate) body_bits: u32,
}

/// A base 2^β and a number of levels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Gadget {
    pub(crate) base_log2: u32,
    pub(crate) levels: usize,
}

/// 2⁶⁴: the torus is ℤ/2⁶⁴ divided by this.
pub(crate) const TWO_64: f64 = 18_446_744_073_709_551_616.0;

impl ParameterSet {
    /// Every set.
    pub const ALL: [Self; 3] = [Self::Standard, Self::LowNoise, Self::SmallQuery];

    pub(crate) const fn shape(self) -> Shape {
        match self {
            Self::Standard => Shape {
                dimension: 512,
                rank: 4,
                noise_log2: 17,
                base_log2: 23,
                levels: 1,
                ggsw_body_bits: 46,
                glwe_body_bits: 42,
                monomial_log2: 52,
                conversion: None,
            },
            Self::LowNoise => Shape {
                dimension: 512,
                rank: 4,
                noise_log2: 17,
                base_log2: 16,
                levels: 2,
                ggsw_body_bits: 48,
                glwe_body_bits: 46,
                monomial_log2: 52,
                conversion: None,
            },
            Self::SmallQuery => Shape {
                dimension: 2_048,
                rank: 1,
                noise_log2: 17,
                base_log2: 13,
                levels: 1,
                // There are no GGSW ciphertexts in a query.
                ggsw_body_bits: 64,
                glwe_body_bits: 44,
                // Times the dimension, which the trace multiplies by, this is the gadget's 2^(64 − 13).
                monomial_log2: 40,
                conversion: Some(Conversion {
                    switch: Gadget { base_log2: 6, levels: 7 },
                    square: Gadget { base_log2: 10, levels: 4 },
                    body_bits: 50,
                }),
            },
        }
    }

    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Standard => 1,
            Self::LowNoise => 2,
            Self::SmallQuery => 3,
        }
    }

    pub(crate) fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|set| set.code() == code)
    }

    /// The ring dimension N.
    #[must_use]
    pub fn dimension(self) -> usize {
        self.shape().dimension
    }

    /// The bits of a secret key.
    #[must_use]
    pub fn key_bits(self) -> usize {
        self.shape().key_len()
    }
}

impl Shape {
    /// Coefficients of a GLWE ciphertext.
    pub(crate) const fn glwe_len(&self) -> usize {
        (self.rank + 1) * self.dimension
    }

    /// Rows of a GGSW ciphertext.
    pub(crate) const fn rows(&self) -> usize {
        (self.rank + 1) * self.levels
    }

    /// Coefficients of a secret key.
    pub(crate) const fn key_len(&self) -> usize {
        self.rank * self.dimension
    }

    /// Variance, on the torus, of fresh noise and of rounding bodies to `bits`.
    pub(crate) fn fresh_variance(&self, bits: u32) -> f64 {
        let uniform = (2.0 * f64::from(self.noise_log2) + 1.0).exp2() + 1.0;
        uniform / 6.0 / (TWO_64 * TWO_64) + (-2.0 * f64::from(bits)).exp2() / 12.0
    }

    /// Variance that one external product adds at most: the GGSW's noise times the digits, the digits' rounding
    /// times the key, and the transforms' own rounding.
    pub(crate) fn product_variance(&self) -> f64 {
        let encryption = match &self.conversion {
            None => self.digit_squares() * self.fresh_variance(self.ggsw_body_bits),
            Some(conversion) => {
                (2.0 * f64::from(self.base_log2)).exp2() / 12.0 * self.selector_energy(conversion)
            }
        };
        let gadget = Gadget { base_log2: self.base_log2, levels: self.levels };
        encryption + self.rounding_variance(gadget) + self.transform_variance()
    }

    /// Sum of the noise variances of all coefficients of a converted selector's two rows.
    ///
    /// The trace doubles the energy in each of its log₂ N steps, whatever coefficients it falls on; what a step
    /// adds is doubled by the later ones. The row for the mask is the other one's product with the key, plus the
    /// noise of that product.
    fn selector_energy(&self, conversion: &Conversion) -> f64 {
        let (dimension, weight) = (exact(self.dimension), exact(self.greatest_weight()));
        let window = dimension * self.fresh_variance(self.glwe_body_bits);
        let switch = self.gadget_variance(conversion.switch, 1, conversion.body_bits);
        let body = dimension * dimension * (window + switch);
        let square = self.gadget_variance(conversion.square, 2, conversion.body_bits)
            + self.rounding_variance(conversion.square) * weight;
        body + body * weight + dimension * square
    }

    /// Variance that multiplying the digits of `polynomials` with fresh rows adds, rounding included.
    fn gadget_variance(&self, gadget: Gadget, polynomials: usize, body_bits: u32) -> f64 {
        let squares = exact(polynomials * gadget.levels * self.dimension)
            * (2.0 * f64::from(gadget.base_log2)).exp2()
            / 12.0;
        let transform = squares / 12.0 * (-101.5f64).exp2() * exact(1 + self.greatest_weight());
        squares * self.fresh_variance(body_bits) + self.rounding_variance(gadget) + transform
    }

    /// Variance of rounding a ciphertext to a gadget's digits, times the key.
    fn rounding_variance(&self, gadget: Gadget) -> f64 {
        let kept = f64::from(gadget.base_log2) * exact(gadget.levels);
        (-2.0 * kept).exp2() / 12.0 * exact(1 + self.greatest_weight())
    }

    /// Variance of the transforms' rounding in one external product: about 2^−102 of each product of a digit and a
    /// torus element (measured: 2^−102.2), times the key's weight for the masks' part.
    pub(crate) fn transform_variance(&self) -> f64 {
        self.digit_squares() / 12.0 * (-101.5f64).exp2() * exact(1 + self.greatest_weight())
    }

    /// Sum of the squares of all digits of a GLWE ciphertext: they are uniform within the base.
    fn digit_squares(&self) -> f64 {
        exact(self.rows() * self.dimension) * (2.0 * f64::from(self.base_log2)).exp2() / 12.0
    }

    /// The greatest weight of a secret key: half of its bits and eight standard deviations. Keys are drawn anew
    /// above it (less than one in 2⁴⁶), so that the noise planner can rely on it.
    pub(crate) const fn greatest_weight(&self) -> usize {
        let len = self.key_len();
        len / 2 + 4 * len.isqrt()
    }
}

#[allow(clippy::cast_precision_loss)] // dimensions, far below 2^53
fn exact(value: usize) -> f64 {
    value as f64
}
