//! Parties: [`PartyId`] and [`Roster`].

use std::{collections::BTreeSet, fmt, sync::Arc};

use serde::{Deserialize, Serialize};

/// Greatest number of parties in a roster.
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
    /// Creates the id of place `index`, counted from zero. A roster checks the id when it is used.
    pub const fn new(index: u16) -> Self {
        Self(index)
    }

    /// Returns the place in the roster, counted from zero, to index a list of parties.
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    /// Returns the place counted from one. It is the party's evaluation point in Shamir sharings, which is never zero.
    pub const fn number(self) -> u32 {
        self.0 as u32 + 1
    }

    /// Returns the place as it is written in frames.
    pub(crate) const fn wire(self) -> u16 {
        self.0
    }

    /// Creates the id of place `index` of a roster, which fits.
    pub(crate) fn from_index(index: usize) -> Self {
        Self(u16::try_from(index).unwrap_or(u16::MAX))
    }
}

impl TryFrom<usize> for PartyId {
    type Error = RosterError;

    /// Creates the id of place `index`, counted from zero.
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
    /// There are fewer than two names.
    #[error("a roster needs at least 2 parties, this one has {parties}")]
    TooFew {
        /// How many names were given.
        parties: usize,
    },
    /// There are more names than [`MAX_PARTIES`].
    #[error("a roster holds at most {MAX_PARTIES} parties, this one has {parties}")]
    TooMany {
        /// How many names were given.
        parties: usize,
    },
    /// A name is empty, longer than [`MAX_NAME_BYTES`], or has control characters, which would garble a log.
    #[error("the name of {party} is empty, longer than {MAX_NAME_BYTES} bytes or has control characters")]
    BadName {
        /// Whose name.
        party: PartyId,
    },
    /// Two parties have the same name.
    #[error("two parties are called {name:?}")]
    EqualNames {
        /// The name that occurs twice.
        name: String,
    },
    /// A channel identity is empty or longer than [`MAX_IDENTITY_BYTES`].
    #[error("the channel identity of {party} is empty or longer than {MAX_IDENTITY_BYTES} bytes")]
    BadIdentity {
        /// Whose identity.
        party: PartyId,
    },
    /// Two parties have the same channel identity, so that they cannot be told apart.
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

/// The names and channel identities of all parties, in an order that is equal at all parties, and which of them this
/// party is.
///
/// The transport authenticates the channel identity, such as the hash of a certificate or a public key. If a transport
/// has no identity, it uses the name. The session id includes names and identities, so parties with different rosters
/// cannot open a session with each other.
///
/// A clone is cheap: the entries are shared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Roster {
    entries: Arc<[Entry]>,
    me: PartyId,
}

impl Roster {
    /// Creates a roster in which every party's channel identity is its name.
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

    /// Creates a roster of pairs (name, channel identity).
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

    /// Returns the roster of the same parties, as another of them sees it.
    ///
    /// # Errors
    /// `me` out of range.
    pub fn seen_by(&self, me: PartyId) -> Result<Self, RosterError> {
        if me.index() >= self.len() {
            return Err(RosterError::MeOutOfRange { me, parties: self.len() });
        }
        Ok(Self { entries: Arc::clone(&self.entries), me })
    }

    /// Returns the number of parties, this one included. It is at least 2.
    #[expect(clippy::len_without_is_empty, reason = "a roster is never empty")]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Returns this party's id.
    pub fn me(&self) -> PartyId {
        self.me
    }

    /// Returns whether the roster has this party.
    pub fn contains(&self, party: PartyId) -> bool {
        party.index() < self.len()
    }

    /// Returns the party's name, or `"(unknown party)"` for a place that the roster does not have.
    pub fn name(&self, party: PartyId) -> &str {
        self.entries.get(party.index()).map_or("(unknown party)", |entry| &entry.name)
    }

    /// Returns the party's channel identity. It is empty for a place that the roster does not have.
    pub fn identity(&self, party: PartyId) -> &[u8] {
        self.entries.get(party.index()).map_or(&[], |entry| &entry.identity)
    }

    /// Returns all parties in roster order, this one included.
    pub fn parties(&self) -> impl DoubleEndedIterator<Item = PartyId> + ExactSizeIterator + Clone + use<> {
        // `len` is at most MAX_PARTIES.
        let len = u16::try_from(self.len()).unwrap_or(u16::MAX);
        (0..len).map(PartyId)
    }

    /// Returns all other parties, in roster order.
    pub fn others(&self) -> impl DoubleEndedIterator<Item = PartyId> + Clone + use<> {
        let me = self.me;
        self.parties().filter(move |&party| party != me)
    }

    /// Finds the party with this name.
    pub fn find(&self, name: &str) -> Option<PartyId> {
        self.entries.iter().position(|entry| entry.name == name).map(PartyId::from_index)
    }
}
