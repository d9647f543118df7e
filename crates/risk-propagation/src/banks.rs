//! The banks that take part, in the order that all of them use.

use std::sync::Arc;

use crate::error::Error;

/// Greatest length of an account's or a bank's name, in bytes.
pub const NAME_LIMIT: usize = 255;

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
    /// [`Error::Banks`] if it is empty, has more than 1,000 entries, or if a name is empty, repeated or longer
    /// than [`NAME_LIMIT`].
    pub fn new<S: AsRef<str>>(names: impl IntoIterator<Item = S>) -> Result<Self, Error> {
        let names: Arc<[Box<str>]> = names.into_iter().map(|name| Box::from(name.as_ref())).collect();
        if names.is_empty() {
            return Err(Error::Banks("there are none".to_owned()));
        }
        if names.len() > 1000 {
            return Err(Error::Banks(format!("{} are more than 1000", names.len())));
        }
        for (index, name) in names.iter().enumerate() {
            if name.is_empty() || name.len() > NAME_LIMIT {
                return Err(Error::Banks(format!("name {index} has {} bytes", name.len())));
            }
            if names.iter().take(index).any(|other| other == name) {
                return Err(Error::Banks(format!("`{name}` appears twice")));
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
