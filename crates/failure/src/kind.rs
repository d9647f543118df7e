/// Whose failure an error is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FailureKind {
    /// At least one peer broke the protocol.
    Peer,
    /// The network failed or a peer fell silent.
    Network,
    /// Parties were started with different settings, data or versions.
    Limits,
    /// Parties saw different broadcasts; some party is to blame, but it is unknown which.
    Disagreement,
    /// A peer gave up and said why.
    Abort,
    /// The code that uses the library made a mistake, such as a call on a session that has ended.
    Misuse,
    /// This party's input, configuration, keys or files cannot be used.
    Input,
    /// A mistake of the library: an invariant does not hold.
    Internal,
}

impl FailureKind {
    /// Returns the gravest of several kinds, or nothing for none.
    ///
    /// A mistake in the code comes first, then bad input, then what peers did, and the network last.
    ///
    /// ```
    /// use subrosa_failure::FailureKind;
    ///
    /// let kinds = [FailureKind::Network, FailureKind::Peer];
    /// assert_eq!(FailureKind::gravest(kinds), Some(FailureKind::Peer));
    /// ```
    #[must_use]
    pub fn gravest(kinds: impl IntoIterator<Item = Self>) -> Option<Self> {
        kinds.into_iter().min_by_key(|kind| kind.rank())
    }

    fn rank(self) -> u8 {
        match self {
            Self::Internal => 0,
            Self::Misuse => 1,
            Self::Input => 2,
            Self::Peer => 3,
            Self::Limits => 4,
            Self::Disagreement => 5,
            Self::Abort => 6,
            Self::Network => 7,
        }
    }
}
