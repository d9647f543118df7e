use subrosa_failure::FailureKind;

/// What can be wrong with a sharing or with the shares handed in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ShamirError {
    /// The modulus of a field must be a prime.
    #[error("the modulus of a prime field is not a prime")]
    NotPrime,
    /// The two fields of a product ring must be different.
    #[error("the moduli of a product ring have a common factor")]
    NotCoprime,
    /// A field must have more elements than there are parties.
    #[error("a field of this size cannot hold shares for {parties} parties")]
    FieldTooSmall {
        /// How many parties were asked for.
        parties: u32,
    },
    /// A sharing of this degree cannot be reconstructed by this many parties.
    #[error("a sharing of degree {degree} needs at least {} parties, there are {parties}", degree + 1)]
    DegreeTooHigh {
        /// Degree of the polynomial.
        degree: u32,
        /// How many parties there are.
        parties: u32,
    },
    /// A secret or a share lies outside its range.
    #[error("a value lies outside its range: {what}")]
    OutOfRange {
        /// Which value, and its range.
        what: &'static str,
    },
    /// Fewer shares than the degree asks for.
    #[error("{given} shares are too few for a sharing of degree {degree}")]
    TooFewShares {
        /// How many shares were handed in.
        given: usize,
        /// Degree of the polynomial.
        degree: u32,
    },
    /// A point is repeated, is zero, or is greater than the number of parties.
    #[error("the point {point} appears twice or is not one of the parties' points")]
    BadPoint {
        /// The point in question.
        point: u32,
    },
    /// An invariant does not hold. This is a mistake in this library.
    #[error("internal error: {place}")]
    Internal {
        /// The invariant, and its place.
        place: &'static str,
    },
    /// The shares do not lie on one polynomial of the degree stated.
    #[error("the shares do not lie on one polynomial of degree {degree}")]
    Inconsistent {
        /// Degree of the polynomial.
        degree: u32,
    },
}

impl ShamirError {
    /// Returns whose failure it is. Inconsistent shares count as input. A caller that got them from peers knows better.
    #[must_use]
    pub fn kind(&self) -> FailureKind {
        match self {
            Self::NotPrime
            | Self::NotCoprime
            | Self::FieldTooSmall { .. }
            | Self::DegreeTooHigh { .. }
            | Self::OutOfRange { .. }
            | Self::TooFewShares { .. }
            | Self::BadPoint { .. }
            | Self::Inconsistent { .. } => FailureKind::Input,
            Self::Internal { .. } => FailureKind::Internal,
        }
    }
}
