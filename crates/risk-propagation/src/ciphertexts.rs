//! Ciphertexts by the number of their account, in flat memory: most of what a bank holds during a run.

use subrosa_arith::{Residue, ResidueVec};

/// Ciphertexts in one piece of memory. A single list would leave its former places behind as it grows, and take half as much
/// again.
const PIECE: usize = 256;

/// A ciphertext, or none, for each of a range of accounts.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ciphertexts {
    /// 1 + the index among those that there are; 0 for none.
    places: Vec<u32>,
    /// All of `PIECE` ciphertexts but the last.
    pieces: Vec<ResidueVec>,
}

impl Ciphertexts {
    /// None for each of so many accounts.
    pub(crate) fn none(accounts: usize) -> Self {
        Self { places: vec![0; accounts], pieces: Vec::new() }
    }

    /// Accounts, with a ciphertext or without.
    pub(crate) fn len(&self) -> usize {
        self.places.len()
    }

    /// Ciphertexts that there are.
    pub(crate) fn present(&self) -> usize {
        self.places.iter().filter(|place| **place != 0).count()
    }

    pub(crate) fn contains(&self, account: usize) -> bool {
        self.places.get(account).is_some_and(|place| *place != 0)
    }

    pub(crate) fn get(&self, account: usize) -> Option<Residue> {
        let place = self.places.get(account)?.checked_sub(1)? as usize;
        self.pieces.get(place / PIECE)?.get(place % PIECE)
    }

    /// Puts a ciphertext in; false for an account that is not there.
    pub(crate) fn insert(&mut self, account: usize, ciphertext: &Residue) -> bool {
        let Some(place) = self.places.get_mut(account) else { return false };
        if self.pieces.last().is_none_or(|last| last.len() == PIECE) {
            self.pieces.push(ResidueVec::new());
        }
        let whole = (self.pieces.len() - 1) * PIECE;
        let Some(last) = self.pieces.last_mut() else { return false };
        last.push(ciphertext);
        // Accounts are counted in 31 bits, and so are ciphertexts.
        *place = u32::try_from(whole + last.len()).unwrap_or(0);
        true
    }

    /// Appends one account.
    pub(crate) fn push(&mut self, ciphertext: Option<&Residue>) {
        self.places.push(0);
        if let Some(ciphertext) = ciphertext {
            self.insert(self.places.len() - 1, ciphertext);
        }
    }

    /// Appends further accounts.
    pub(crate) fn append(&mut self, other: &Self) {
        (0..other.len()).for_each(|account| self.push(other.get(account).as_ref()));
    }

    /// Those that there are, ascending by account.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, Residue)> + '_ {
        (0..).zip(0..self.len()).filter_map(|(number, account)| Some((number, self.get(account)?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use subrosa_arith::Modulus;

    #[test]
    fn pieces_follow_each_other() {
        let modulus = Modulus::new(&1_000_003_u32.into()).unwrap();
        let mut parts = [Ciphertexts::default(), Ciphertexts::default()];
        let number = |account: u32| (!account.is_multiple_of(3)).then(|| modulus.residue_u64(account.into()));
        let count = 1000_u32;
        (0..count).for_each(|account| parts[usize::from(account >= 300)].push(number(account).as_ref()));
        let [mut all, rest] = parts;
        all.append(&rest);
        assert_eq!(all.len(), count as usize);
        assert!(all.present() > 2 * PIECE);
        assert!((0..count).all(|account| all.get(account as usize) == number(account)));
    }

    #[test]
    fn keeps_each_under_its_account() {
        let modulus = Modulus::new(&1_000_003_u32.into()).unwrap();
        let number = |value: u64| modulus.residue_u64(value);
        let mut all = Ciphertexts::none(3);
        assert!(all.insert(2, &number(20)) && all.insert(0, &number(5)) && !all.insert(3, &number(9)));
        let mut more = Ciphertexts::default();
        more.push(None);
        more.push(Some(&number(7)));
        all.append(&more);
        assert_eq!((all.len(), all.present()), (5, 3));
        let found: Vec<_> = all.iter().collect();
        assert_eq!(found, [(0, number(5)), (2, number(20)), (4, number(7))]);
        assert!(all.contains(4) && !all.contains(3) && !all.contains(9));
        assert_eq!((all.get(1), all.get(9)), (None, None));
    }
}
