//! Who takes part: [`PartyId`] and [`Roster`].

use std::{collections::BTreeSet, fmt, sync::Arc};

use serde::{Deserialize, Serialize};

/// The most parties that a roster holds.
pub const MAX_PARTIES: usize = 1024;

/// The longest name of a party, in bytes of UTF-8.
pub const MAX_NAME_BYTES: usize = 255;

/// The longest channel identity of a party, in bytes.
pub const MAX_IDENTITY_BYTES: usize = 1024;

/// The place of a party in the roster, counted from zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PartyId(u16);

impl PartyId {
    /// The party at place `index`, counted from zero. Whether a roster has such a place shows when the id is used.
    pub const fn new(index: u16) -> Self {
        Self(index)
    }

    /// The place in the roster, counted from zero; fit for indexing a list of parties.
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    /// The place counted from one: the party's evaluation point in Shamir sharings, never zero.
    pub const fn number(self) -> u32 {
        self.0 as u32 + 1
    }

    /// The place as it travels in frames.
    pub(crate) const fn wire(self) -> u16 {
        self.0
    }

    /// The id of place `index`, which comes from a roster and so fits.
    pub(crate) fn from_index(index: usize) -> Self {
        Self(u16::try_from(index).unwrap_or(u16::MAX))
    }
}

impl TryFrom<usize> for PartyId {
    type Error = RosterError;

    /// The party at place `index`, counted from zero.
    ///
    /// # Errors
    /// [`RosterError::TooMany`] for a place that no roster has.
    fn try_from(index: usize) -> Result<Self, RosterError> {
        match u16::try_from(index) {
            Ok(place) if index < MAX_PARTIES => Ok(Self(place)),
            _ => Err(RosterError::TooMany { parties: index.saturating_add(1) }),
        }
    }
}

impl fmt::Display for PartyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "party {}", self.number())
    }
}

/// Why a roster was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RosterError {
    /// A protocol among fewer than two parties needs no network.
    #[error("a roster needs at least 2 parties, this one has {parties}")]
    TooFew {
        /// How many names were given.
        parties: usize,
    },
    /// More than [`MAX_PARTIES`].
    #[error("a roster holds at most {MAX_PARTIES} parties, this one has {parties}")]
    TooMany {
        /// How many names were given.
        parties: usize,
    },
    /// An empty name, one over [`MAX_NAME_BYTES`], or one with control characters, which would garble a log.
    #[error("the name of {party} is empty, longer than {MAX_NAME_BYTES} bytes or has control characters")]
    BadName {
        /// Whose name.
        party: PartyId,
    },
    /// Two parties of the same name.
    #[error("two parties are called {name:?}")]
    EqualNames {
        /// The name that occurs twice.
        name: String,
    },
    /// A channel identity that is empty or longer than [`MAX_IDENTITY_BYTES`].
    #[error("the channel identity of {party} is empty or longer than {MAX_IDENTITY_BYTES} bytes")]
    BadIdentity {
        /// Whose identity.
        party: PartyId,
    },
    /// Two parties with the same channel identity: they could not be told apart.
    #[error("{first} and {second} have the same channel identity")]
    EqualIdentities {
        /// The earlier one in the roster.
        first: PartyId,
        /// The later one in the roster.
        second: PartyId,
    },
    /// `me` is not a place of the roster.
    #[error("{me} is not in a roster of {parties} parties")]
    MeOutOfRange {
        /// The place that was asked for.
        me: PartyId,
        /// How many parties there are.
        parties: usize,
    },
}

#[derive(Debug, PartialEq, Eq)]
struct Entry {
    name: String,
    identity: Vec<u8>,
}

/// Every party's name and channel identity, in the order that all parties share, and which of them is me.
///
/// The channel identity is what the transport authenticates: the hash of a certificate, a public key. Where a
/// transport has nothing better, it is the name. Names and identities enter the session id, so parties that hold
/// different rosters cannot open a session with each other.
///
/// A clone is cheap: the entries are shared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Roster {
    entries: Arc<[Entry]>,
    me: PartyId,
}

impl Roster {
    /// A roster in which every party's channel identity is its name.
    ///
    /// # Errors
    /// Fewer than 2 or more than [`MAX_PARTIES`] names; a name that is empty, too long, equal to another or that
    /// has control characters; `me` out of range.
    pub fn new(names: impl IntoIterator<Item = impl Into<String>>, me: PartyId) -> Result<Self, RosterError> {
        let entries = names.into_iter().map(|name| {
            let name = name.into();
            let identity = name.as_bytes().to_vec();
            Entry { name, identity }
        });
        Self::from_entries(entries.collect(), me)
    }

    /// A roster of pairs (name, channel identity).
    ///
    /// # Errors
    /// As [`Roster::new`]; also an identity that is empty, too long, or equal to another.
    pub fn with_identities(
        parties: impl IntoIterator<Item = (impl Into<String>, impl Into<Vec<u8>>)>,
        me: PartyId,
    ) -> Result<Self, RosterError> {
        let entries = parties
            .into_iter()
            .map(|(name, identity)| Entry { name: name.into(), identity: identity.into() });
        Self::from_entries(entries.collect(), me)
    }

    fn from_entries(entries: Vec<Entry>, me: PartyId) -> Result<Self, RosterError> {
        let parties = entries.len();
        if parties < 2 {
            return Err(RosterError::TooFew { parties });
        }
        if parties > MAX_PARTIES {
            return Err(RosterError::TooMany { parties });
        }
        if me.index() >= parties {
            return Err(RosterError::MeOutOfRange { me, parties });
        }
        let mut names = BTreeSet::new();
        let mut identities = std::collections::BTreeMap::new();
        for (index, entry) in entries.iter().enumerate() {
            let party = PartyId::from_index(index);
            let name = entry.name.as_str();
            if name.is_empty() || name.len() > MAX_NAME_BYTES || name.chars().any(char::is_control) {
                return Err(RosterError::BadName { party });
            }
            if !names.insert(name) {
                return Err(RosterError::EqualNames { name: name.to_owned() });
            }
            if entry.identity.is_empty() || entry.identity.len() > MAX_IDENTITY_BYTES {
                return Err(RosterError::BadIdentity { party });
            }
            if let Some(first) = identities.insert(entry.identity.as_slice(), party) {
                return Err(RosterError::EqualIdentities { first, second: party });
            }
        }
        Ok(Self { entries: entries.into(), me })
    }

    /// The same parties seen by another of them.
    ///
    /// # Errors
    /// `me` out of range.
    pub fn seen_by(&self, me: PartyId) -> Result<Self, RosterError> {
        if me.index() >= self.len() {
            return Err(RosterError::MeOutOfRange { me, parties: self.len() });
        }
        Ok(Self { entries: Arc::clone(&self.entries), me })
    }

    /// The number of parties, me included; at least 2.
    #[expect(clippy::len_without_is_empty, reason = "a roster is never empty")]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Which party I am.
    pub fn me(&self) -> PartyId {
        self.me
    }

    /// Whether the roster has a place of this number.
    pub fn contains(&self, party: PartyId) -> bool {
        party.index() < self.len()
    }

    /// The party's name; `"(unknown party)"` for a place that the roster does not have.
    pub fn name(&self, party: PartyId) -> &str {
        self.entries.get(party.index()).map_or("(unknown party)", |entry| &entry.name)
    }

    /// The party's channel identity; empty for a place that the roster does not have.
    pub fn identity(&self, party: PartyId) -> &[u8] {
        self.entries.get(party.index()).map_or(&[], |entry| &entry.identity)
    }

    /// All parties in roster order, me included.
    pub fn parties(&self) -> impl DoubleEndedIterator<Item = PartyId> + ExactSizeIterator + Clone + use<> {
        // `len` is at most MAX_PARTIES.
        let len = u16::try_from(self.len()).unwrap_or(u16::MAX);
        (0..len).map(PartyId)
    }

    /// All parties but me, in roster order.
    pub fn others(&self) -> impl DoubleEndedIterator<Item = PartyId> + Clone + use<> {
        let me = self.me;
        self.parties().filter(move |&party| party != me)
    }

    /// The party of this name.
    pub fn find(&self, name: &str) -> Option<PartyId> {
        self.entries.iter().position(|entry| entry.name == name).map(PartyId::from_index)
    }
}
