//! The banks that take part, in the order that all of them use.

use std::sync::Arc;

use crate::limits::NAME_LIMIT;

/// Most banks of a list.
const MAX_BANKS: usize = 1000;

/// Why banks cannot take part together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BanksError {
    /// The list is empty.
    #[error("there are no banks")]
    None,
    /// The list is too long.
    #[error("{banks} banks are more than {MAX_BANKS}")]
    TooMany {
        /// Banks in the list.
        banks: usize,
    },
    /// A name is empty or too long.
    #[error("the name of bank {place} has {bytes} bytes, not 1 to {NAME_LIMIT}")]
    Name {
        /// Place in the list, from 1.
        place: usize,
        /// Length of the name, in bytes.
        bytes: usize,
    },
    /// A name stands in the list twice.
    #[error("the bank `{name}` is listed twice")]
    Repeated {
        /// The name.
        name: String,
    },
    /// Fewer accounts than the banks need.
    #[error("{accounts} accounts are too few for {banks} banks")]
    TooFewAccounts {
        /// Accounts of all banks together.
        accounts: usize,
        /// Number of banks.
        banks: usize,
    },
    /// A bank that is asked for is not in the list.
    #[error("the bank `{name}` is not in the list")]
    Unknown {
        /// The name.
        name: String,
    },
}

/// Index of a bank in the list of [`Banks`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BankId(pub(crate) u16);

impl BankId {
    /// Position in the list, from 0.
    #[must_use]
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// The names of all banks, in an order that all of them agree on.
///
/// Results do not depend on the order: wherever accounts of different banks are compared, their banks' names
/// are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Banks {
    names: Arc<[Box<str>]>,
}

impl Banks {
    /// Takes the list over.
    ///
    /// # Errors
    /// [`BanksError`] if it is empty, has more than 1,000 entries, or if a name is empty, repeated or longer than 255 bytes.
    pub fn new<S: AsRef<str>>(names: impl IntoIterator<Item = S>) -> Result<Self, BanksError> {
        let names: Arc<[Box<str>]> = names.into_iter().map(|name| Box::from(name.as_ref())).collect();
        if names.is_empty() {
            return Err(BanksError::None);
        }
        if names.len() > MAX_BANKS {
            return Err(BanksError::TooMany { banks: names.len() });
        }
        for (index, name) in names.iter().enumerate() {
            if name.is_empty() || name.len() > NAME_LIMIT {
                return Err(BanksError::Name { place: index + 1, bytes: name.len() });
            }
            if names.iter().take(index).any(|other| other == name) {
                return Err(BanksError::Repeated { name: name.to_string() });
            }
        }
        Ok(Self { names })
    }

    /// Number of banks.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "the list is never empty")]
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// The bank with this name.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<BankId> {
        let index = self.names.iter().position(|other| &**other == name)?;
        u16::try_from(index).ok().map(BankId)
    }

    /// The bank at this position.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<BankId> {
        (index < self.names.len()).then(|| u16::try_from(index).ok().map(BankId)).flatten()
    }

    /// A bank's name; empty for an id of another list.
    #[must_use]
    pub fn name(&self, bank: BankId) -> &str {
        self.names.get(bank.index()).map_or("", |name| name)
    }

    /// All banks in order.
    pub fn iter(&self) -> impl Iterator<Item = BankId> + '_ {
        (0..self.names.len()).filter_map(|index| self.get(index))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_lists_that_are_ambiguous() {
        assert!(Banks::new(Vec::<&str>::new()).is_err());
        assert!(Banks::new(["a", "b", "a"]).is_err());
        assert!(Banks::new(["a", ""]).is_err());
        assert!(Banks::new(["x".repeat(NAME_LIMIT + 1)]).is_err());
        let banks = Banks::new(["north", "east"]).unwrap();
        assert_eq!(banks.find("east").unwrap().index(), 1);
        assert_eq!(banks.find("west"), None);
        assert_eq!(banks.name(BankId(1)), "east");
        assert_eq!(banks.name(BankId(7)), "");
    }
}
