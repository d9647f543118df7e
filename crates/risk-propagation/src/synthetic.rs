//! Networks of any size, made from a seed: for examples, tests and measurements.
//!
//! **Shape.** Accounts are dealt evenly to the banks. Each has an activity as sender and one as receiver, drawn from a
//! Pareto law with exponent 2, cut off so that no account takes more than about a thousandth of everything in a large
//! network; both ends of a transfer are drawn in proportion to them. So most accounts have a handful of partners and
//! a few have hundreds, as payment networks do. Amounts are log-uniform between 1.00 and 10,000.00, in cents.
//!
//! **Laundering chains.** Each starts at an account of score 1 and passes one large sum through accounts of score 0, each at
//! another bank than the one before, a little less at each hop. The members after the first are what a propagation should find. Their
//! names are in [`Generated::hidden`]. A few more accounts carry small scores of their own, as ordinary alerts do.
//!
//! The same seed gives the same network on every machine: only whole numbers are drawn, and floats pass through
//! basic arithmetic and square roots alone.

use rand_core::Rng;

use crate::banks::{Banks, BanksError};
use crate::error::Error;
use crate::network::{Network, NetworkBuilder, Transfer};

/// What to generate.
#[derive(Debug, Clone, PartialEq)]
pub struct NetworkShape {
    /// Names of the banks.
    pub banks: Vec<String>,
    /// Accounts of all banks together; at least two for each bank.
    pub accounts: usize,
    /// Ordinary transfers in each period.
    pub transfers: usize,
    /// Periods.
    pub periods: usize,
    /// Laundering chains in each period.
    pub chains: usize,
    /// Accounts in a chain, its start included.
    pub chain_length: usize,
}

impl Default for NetworkShape {
    /// 360 accounts at three banks, 1,500 transfers in one period, eight chains of five.
    fn default() -> Self {
        Self {
            banks: ["amber", "birch", "coral"].map(str::to_owned).to_vec(),
            accounts: 360,
            transfers: 1500,
            periods: 1,
            chains: 8,
            chain_length: 5,
        }
    }
}

/// An account by bank and number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    bank: usize,
    number: usize,
}

/// One generated transfer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GeneratedTransfer {
    /// Period, from 0.
    pub period: usize,
    /// Position of the paying account in [`Generated::accounts`].
    pub source: usize,
    /// Position of the paid account.
    pub destination: usize,
    /// Cents.
    pub amount: u64,
}

/// One generated account.
#[derive(Debug, Clone, PartialEq)]
pub struct GeneratedAccount {
    /// Position of its bank in the shape.
    pub bank: usize,
    /// Its name, unique among all banks.
    pub id: String,
    /// Score before any propagation.
    pub score: f64,
}

/// A whole network.
#[derive(Debug, Clone, PartialEq)]
pub struct Generated {
    banks: Vec<String>,
    accounts: Vec<GeneratedAccount>,
    transfers: Vec<GeneratedTransfer>,
    hidden: Vec<usize>,
    periods: usize,
}

/// Draws from a Pareto law by way of cumulative sums.
struct Activity {
    sums: Vec<u64>,
}

impl Activity {
    fn new(accounts: usize, rng: &mut impl Rng) -> Self {
        let mut sum = 0_u64;
        let sums = (0..accounts).map(|_| {
            // Pareto with exponent 2 from a uniform u in (0, 1]: 1/√u, in thousandths, at most 200.
            let u = (below(rng, 1 << 30) + 1) as f64 / f64::from(1 << 30);
            sum += round((1000.0 / u.sqrt()).min(200_000.0));
            sum
        });
        Self { sums: sums.collect() }
    }

    fn draw(&self, rng: &mut impl Rng) -> usize {
        let at = below(rng, self.sums.last().copied().unwrap_or(1));
        self.sums.partition_point(|&sum| sum <= at)
    }
}

/// Generates a network.
///
/// # Errors
/// [`Error::Banks`] if there are no banks, fewer than two accounts for each, or chains longer than half the accounts.
pub fn generate(shape: &NetworkShape, rng: &mut impl Rng) -> Result<Generated, Error> {
    let banks = Banks::new(&shape.banks)?;
    if shape.accounts < 2 * banks.len() || shape.chain_length > shape.accounts / 2 {
        return Err(BanksError::TooFewAccounts { accounts: shape.accounts, banks: shape.banks.len() }.into());
    }
    let mut accounts: Vec<GeneratedAccount> = (0..shape.accounts)
        .map(|index| Place { bank: index % banks.len(), number: index / banks.len() })
        .map(|place| GeneratedAccount {
            bank: place.bank,
            id: format!("{}{:0>4}", initial(&shape.banks, place.bank), place.number + 1),
            score: 0.0,
        })
        .collect();

    let senders = Activity::new(shape.accounts, rng);
    let receivers = Activity::new(shape.accounts, rng);
    let mut transfers = Vec::new();
    let mut hidden = Vec::new();
    for period in 0..shape.periods {
        for _ in 0..shape.transfers {
            let source = senders.draw(rng);
            let mut destination = receivers.draw(rng);
            if destination == source {
                destination = (source + 1) % shape.accounts;
            }
            transfers.push(GeneratedTransfer { period, source, destination, amount: amount(rng) });
        }
        for _ in 0..shape.chains {
            chain(shape, period, rng, &mut accounts, &mut transfers, &mut hidden);
        }
    }
    // Ordinary alerts: one account in fifty has a small score of its own.
    for account in &mut accounts {
        if below(rng, 50) == 0 && account.score == 0.0 {
            account.score = (below(rng, 25) + 5) as f64 / 100.0;
        }
    }
    hidden.sort_unstable();
    hidden.dedup();
    hidden.retain(|&index| accounts.get(index).is_some_and(|account| account.score == 0.0));
    Ok(Generated { banks: shape.banks.clone(), accounts, transfers, hidden, periods: shape.periods })
}

/// One chain: about 50,000.00 passed on from bank to bank, each hop keeping 2 to 9 per cent.
fn chain(
    shape: &NetworkShape,
    period: usize,
    rng: &mut impl Rng,
    accounts: &mut [GeneratedAccount],
    transfers: &mut Vec<GeneratedTransfer>,
    hidden: &mut Vec<usize>,
) {
    let banks = shape.banks.len();
    let mut source = index_below(rng, accounts.len());
    if let Some(account) = accounts.get_mut(source) {
        account.score = 1.0;
    }
    let mut sum = 3_000_000 + below(rng, 4_000_000);
    for _ in 1..shape.chain_length {
        // Accounts are dealt in turn: a shift that is no multiple of the number of banks changes the bank.
        let shift = 1 + index_below(rng, banks.saturating_sub(1).max(1));
        let destination =
            (source + shift + banks * index_below(rng, accounts.len() / banks)) % accounts.len();
        if destination == source {
            continue;
        }
        transfers.push(GeneratedTransfer { period, source, destination, amount: sum });
        hidden.push(destination);
        sum -= sum * (2 + below(rng, 8)) / 100;
        source = destination;
    }
}

/// Log-uniform between 1.00 and about 10,000.00, in cents: a power of two, then a place within it.
fn amount(rng: &mut impl Rng) -> u64 {
    let octave = 100 << below(rng, 13);
    octave + below(rng, octave)
}

/// Uniform below `bound`, which is far below 2^64, by rejection.
fn below(rng: &mut impl Rng, bound: u64) -> u64 {
    let bound = bound.max(1);
    let zone = u64::MAX - u64::MAX % bound;
    loop {
        let draw = rng.next_u64();
        if draw < zone {
            return draw % bound;
        }
    }
}

fn index_below(rng: &mut impl Rng, bound: usize) -> usize {
    usize::try_from(below(rng, bound as u64)).unwrap_or(0)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 200,000")]
fn round(x: f64) -> u64 {
    x as u64
}

/// The bank's first letter, or its whole name and a dash where two banks share it.
fn initial(banks: &[String], bank: usize) -> String {
    let Some(name) = banks.get(bank) else { return String::new() };
    let first = name.chars().next();
    if banks.iter().filter(|other| other.chars().next() == first).count() > 1 {
        return format!("{name}-");
    }
    first.map(|letter| letter.to_uppercase().to_string()).unwrap_or_default()
}

impl Generated {
    /// Names of the banks.
    #[must_use]
    pub fn banks(&self) -> &[String] {
        &self.banks
    }

    /// The accounts of all banks.
    #[must_use]
    pub fn accounts(&self) -> &[GeneratedAccount] {
        &self.accounts
    }

    /// The transfers, ordinary ones and chains, by period.
    #[must_use]
    pub fn transfers(&self) -> &[GeneratedTransfer] {
        &self.transfers
    }

    /// Positions of the accounts of laundering chains that start with score 0, ascending.
    #[must_use]
    pub fn hidden(&self) -> &[usize] {
        &self.hidden
    }

    /// The view of each bank, in the order of [`Generated::banks`].
    ///
    /// # Errors
    /// None for what [`generate`] made; the builder's otherwise.
    pub fn networks(&self) -> Result<Vec<Network>, Error> {
        let banks = Banks::new(&self.banks)?;
        let views = banks.iter().map(|own| {
            let mut builder = NetworkBuilder::new(banks.clone(), own, vec!["risk_score".to_owned()]);
            for account in self.accounts.iter().filter(|account| account.bank == own.index()) {
                builder.account(&account.id, &[account.score])?;
            }
            builder.periods(self.periods);
            for (transfer, row) in self.rows_of(own.index()) {
                builder.transfer(transfer.period, &row)?;
            }
            Ok(builder.finish()?)
        });
        views.collect()
    }

    /// The transfers that touch a bank's accounts, as its file lists them.
    pub fn rows_of(&self, bank: usize) -> impl Iterator<Item = (&GeneratedTransfer, Transfer<'_>)> + '_ {
        self.transfers.iter().filter_map(move |transfer| {
            let source = self.accounts.get(transfer.source)?;
            let destination = self.accounts.get(transfer.destination)?;
            if source.bank != bank && destination.bank != bank {
                return None;
            }
            let row = Transfer {
                id_source: &source.id,
                bank_source: self.banks.get(source.bank)?,
                id_destination: &destination.id,
                bank_destination: self.banks.get(destination.bank)?,
                amount: transfer.amount,
            };
            Some((transfer, row))
        })
    }

    /// Writes one folder per bank, as [`crate::data`] reads them.
    ///
    /// # Errors
    /// [`Error::Io`].
    #[cfg(feature = "csv")]
    pub fn write(&self, directory: &std::path::Path) -> Result<(), Error> {
        use crate::data::{ACCOUNTS, TRANSACTIONS, write_atomically};
        for (index, bank) in self.banks.iter().enumerate() {
            let folder = directory.join(bank);
            std::fs::create_dir_all(&folder).map_err(|source| Error::io(&folder, source))?;
            write_atomically(&folder.join(ACCOUNTS), |out| {
                let mut writer = csv::Writer::from_writer(out);
                writer.write_record(["id", "risk_score"])?;
                for account in self.accounts.iter().filter(|account| account.bank == index) {
                    writer.write_record([account.id.as_str(), &account.score.to_string()])?;
                }
                writer.flush()
            })?;
            for period in 0..self.periods {
                let name = match self.periods {
                    1 => TRANSACTIONS.to_owned(),
                    _ => format!("transactions-{period}.csv"),
                };
                write_atomically(&folder.join(name), |out| {
                    let mut writer = csv::Writer::from_writer(out);
                    writer.write_record([
                        "id_source",
                        "bank_source",
                        "id_destination",
                        "bank_destination",
                        "amount",
                    ])?;
                    for (_, row) in self.rows_of(index).filter(|(transfer, _)| transfer.period == period) {
                        let amount = row.amount.to_string();
                        let fields = [
                            row.id_source,
                            row.bank_source,
                            row.id_destination,
                            row.bank_destination,
                            &amount,
                        ];
                        writer.write_record(fields)?;
                    }
                    writer.flush()
                })?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;

    use super::*;

    fn made(shape: &NetworkShape, seed: u64) -> Generated {
        generate(shape, &mut ChaCha20Rng::seed_from_u64(seed)).unwrap()
    }

    #[test]
    fn the_same_seed_gives_the_same_network() {
        let shape = NetworkShape::default();
        assert_eq!(made(&shape, 1), made(&shape, 1));
        assert_ne!(made(&shape, 1), made(&shape, 2));
    }

    #[test]
    fn degrees_have_a_long_tail_and_chains_cross_banks() {
        let shape = NetworkShape { accounts: 3000, transfers: 15_000, chains: 30, ..NetworkShape::default() };
        let network = made(&shape, 1);
        let mut degrees = vec![0_usize; shape.accounts];
        for transfer in network.transfers() {
            degrees[transfer.destination] += 1;
            assert_ne!(transfer.source, transfer.destination);
        }
        degrees.sort_unstable();
        let (median, greatest) = (degrees[shape.accounts / 2], degrees[shape.accounts - 1]);
        assert!(median <= 5 && greatest > 20 * median, "{median} {greatest}");
        let large = network.transfers().iter().filter(|transfer| transfer.amount > 1_700_000);
        let mut hops = 0;
        for transfer in large {
            let bank = |account: usize| network.accounts()[account].bank;
            assert_ne!(bank(transfer.source), bank(transfer.destination));
            hops += 1;
        }
        assert!(hops > 100, "{hops}");
        assert!(network.hidden().iter().all(|&account| network.accounts()[account].score == 0.0));
        assert!(network.hidden().len() > 90);
    }

    #[test]
    fn views_hold_what_files_hold() {
        let shape =
            NetworkShape { accounts: 40, transfers: 100, chains: 2, periods: 2, ..NetworkShape::default() };
        let network = made(&shape, 5);
        let directory = tempfile::tempdir().unwrap();
        network.write(directory.path()).unwrap();
        let banks = crate::data::banks_in(directory.path()).unwrap();
        for (view, bank) in network.networks().unwrap().iter().zip(&shape.banks) {
            assert_eq!(view, &crate::data::read_bank(directory.path(), &banks, bank).unwrap());
        }
    }

    #[test]
    fn too_small_is_refused() {
        let refused = |shape: NetworkShape| generate(&shape, &mut ChaCha20Rng::seed_from_u64(1)).is_err();
        assert!(refused(NetworkShape { accounts: 5, ..NetworkShape::default() }));
        assert!(refused(NetworkShape { chain_length: 181, ..NetworkShape::default() }));
        assert!(refused(NetworkShape { banks: Vec::new(), ..NetworkShape::default() }));
    }
}
