//! Ciphertexts by the number of their account: most of what a bank holds during a run.

use subrosa_arith::{Residue, ResidueVec};

/// A ciphertext, or none, for each of a range of accounts.
///
/// Each lies in memory of its own, so that one that is no longer needed makes room for another.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ciphertexts {
    /// Lists of one: a residue takes less room in them than alone.
    list: Vec<Option<Box<ResidueVec>>>,
}

impl Ciphertexts {
    /// `accounts` empty slots.
    pub(crate) fn none(accounts: usize) -> Self {
        Self { list: vec![None; accounts] }
    }

    /// Accounts, with a ciphertext or without.
    pub(crate) fn len(&self) -> usize {
        self.list.len()
    }

    /// Ciphertexts that there are.
    pub(crate) fn present(&self) -> usize {
        self.list.iter().flatten().count()
    }

    pub(crate) fn contains(&self, account: usize) -> bool {
        self.list.get(account).is_some_and(Option::is_some)
    }

    pub(crate) fn get(&self, account: usize) -> Option<Residue> {
        self.list.get(account)?.as_ref()?.get(0)
    }

    /// Puts a ciphertext in; false for an account that is not there.
    pub(crate) fn insert(&mut self, account: usize, ciphertext: &Residue) -> bool {
        let Some(place) = self.list.get_mut(account) else { return false };
        *place = Some(alone(ciphertext));
        true
    }

    /// Drops an account's ciphertext.
    pub(crate) fn remove(&mut self, account: usize) {
        if let Some(place) = self.list.get_mut(account) {
            *place = None;
        }
    }

    /// Appends one account.
    pub(crate) fn push(&mut self, ciphertext: Option<&Residue>) {
        self.list.push(ciphertext.map(alone));
    }

    /// Appends further accounts.
    pub(crate) fn append(&mut self, mut other: Self) {
        self.list.append(&mut other.list);
    }

    /// Those that there are, ascending by account.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, Residue)> + '_ {
        (0..).zip(0..self.len()).filter_map(|(number, account)| Some((number, self.get(account)?)))
    }
}

fn alone(ciphertext: &Residue) -> Box<ResidueVec> {
    let mut list = ResidueVec::new();
    list.push(ciphertext);
    Box::new(list)
}

#[cfg(test)]
mod tests {
    use super::*;
    use subrosa_arith::Modulus;

    #[test]
    fn keeps_each_under_its_account() {
        let modulus = Modulus::new(&1_000_003_u32.into()).unwrap();
        let number = |value: u64| modulus.residue_u64(value);
        let mut all = Ciphertexts::none(3);
        assert!(all.insert(2, &number(20)) && all.insert(0, &number(5)) && !all.insert(3, &number(9)));
        let mut more = Ciphertexts::default();
        more.push(None);
        more.push(Some(&number(7)));
        all.append(more);
        assert_eq!((all.len(), all.present()), (5, 3));
        let found: Vec<_> = all.iter().collect();
        assert_eq!(found, [(0, number(5)), (2, number(20)), (4, number(7))]);
        assert!(all.contains(4) && !all.contains(3) && !all.contains(9));
        assert_eq!((all.get(1), all.get(9)), (None, None));
        all.remove(4);
        all.remove(9);
        assert!(!all.contains(4) && all.contains(2) && all.len() == 5);
    }
}
