//! One value for each party.

use std::ops::{Index, IndexMut};

use crate::PartyId;

/// One value for each party, in roster order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PerParty<M>(Vec<M>);

impl<M> PerParty<M> {
    /// Creates the list from the values of all parties in roster order.
    pub fn from_vec(values: Vec<M>) -> Self {
        Self(values)
    }

    /// Returns the values as a list in roster order.
    pub fn into_vec(self) -> Vec<M> {
        self.0
    }

    /// Returns the number of parties.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns whether there are no values.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the value of a party, or `None` if the party is not in the roster.
    pub fn get(&self, party: PartyId) -> Option<&M> {
        self.0.get(party.index())
    }

    /// Returns the value of a party as [`PerParty::get`], to change it.
    pub fn get_mut(&mut self, party: PartyId) -> Option<&mut M> {
        self.0.get_mut(party.index())
    }

    /// Iterates over the parties with their values, in roster order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (PartyId, &M)> + ExactSizeIterator {
        self.0.iter().enumerate().map(|(index, value)| (PartyId::from_index(index), value))
    }

    /// Iterates over the values, in roster order.
    pub fn values(&self) -> impl DoubleEndedIterator<Item = &M> + ExactSizeIterator {
        self.0.iter()
    }

    /// Returns the values as a slice, in roster order.
    pub fn as_slice(&self) -> &[M] {
        &self.0
    }

    /// Applies `f` to every value.
    pub fn map<N>(self, f: impl FnMut(M) -> N) -> PerParty<N> {
        PerParty(self.0.into_iter().map(f).collect())
    }
}

impl<M> PerParty<Option<M>> {
    /// Iterates over the parties that have a value, each with its value.
    pub fn present(&self) -> impl Iterator<Item = (PartyId, &M)> {
        self.iter().filter_map(|(party, value)| value.as_ref().map(|value| (party, value)))
    }
}

/// # Panics
/// For a party that the roster does not have, as a slice does; [`PerParty::get`] does not panic.
impl<M> Index<PartyId> for PerParty<M> {
    type Output = M;

    fn index(&self, party: PartyId) -> &M {
        &self.0[party.index()]
    }
}

/// # Panics
/// For a party that the roster does not have, as a slice does; [`PerParty::get_mut`] does not panic.
impl<M> IndexMut<PartyId> for PerParty<M> {
    fn index_mut(&mut self, party: PartyId) -> &mut M {
        &mut self.0[party.index()]
    }
}

impl<M> IntoIterator for PerParty<M> {
    type Item = (PartyId, M);
    type IntoIter =
        std::iter::Map<std::iter::Enumerate<std::vec::IntoIter<M>>, fn((usize, M)) -> (PartyId, M)>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter().enumerate().map(|(index, value)| (PartyId::from_index(index), value))
    }
}
