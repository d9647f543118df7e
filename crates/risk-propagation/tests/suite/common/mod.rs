//! Raw records of several banks, and the propagation over them in exact fractions, written from the definition and
//! independently of the crate.

#![allow(dead_code, unreachable_pub, reason = "each test binary uses its own part")]

use std::collections::{BTreeMap, BTreeSet};

use num_bigint::BigInt;
use num_integer::Integer;
use num_traits::{FromPrimitive, ToPrimitive, Zero};
use proptest::prelude::*;

use subrosa_risk_propagation::{Banks, Network, NetworkBuilder, Transfer};

/// A transfer as a row of a bank's file: (source bank, source, destination bank, destination, amount).
pub type Row = (usize, u8, usize, u8, u64);

/// What the files of all banks hold.
#[derive(Debug, Clone)]
pub struct Raw {
    pub banks: usize,
    /// Listed accounts of each bank with scores in hundredths.
    pub accounts: Vec<Vec<(u8, u8)>>,
    /// Rows of each bank's files, by period.
    pub rows: Vec<Vec<Vec<Row>>>,
}

pub fn bank_name(bank: usize) -> String {
    ["north", "east", "west", "south", "mid", "isle", "hill"][bank].to_owned()
}

impl Raw {
    /// Every transfer in the files of both of its banks.
    pub fn consistent(banks: usize, accounts: Vec<Vec<(u8, u8)>>, periods: Vec<Vec<Row>>) -> Self {
        let mine = |bank: usize| {
            periods
                .iter()
                .map(|rows| rows.iter().copied().filter(|row| row.0 == bank || row.2 == bank).collect())
                .collect()
        };
        Self { banks, accounts, rows: (0..banks).map(mine).collect() }
    }

    pub fn networks(&self) -> Vec<Network> {
        let banks = Banks::new((0..self.banks).map(bank_name)).unwrap();
        let view = |bank: usize| {
            let own = banks.get(bank).unwrap();
            let mut builder = NetworkBuilder::new(banks.clone(), own, vec!["risk_score".to_owned()]);
            for (id, score) in &self.accounts[bank] {
                builder.account(&id.to_string(), &[f64::from(*score) / 100.0]).unwrap();
            }
            builder.periods(self.rows[bank].len());
            for (period, rows) in self.rows[bank].iter().enumerate() {
                for (source_bank, source, destination_bank, destination, amount) in rows {
                    let transfer = Transfer {
                        id_source: &source.to_string(),
                        bank_source: &bank_name(*source_bank),
                        id_destination: &destination.to_string(),
                        bank_destination: &bank_name(*destination_bank),
                        amount: *amount,
                    };
                    builder.transfer(period, &transfer).unwrap();
                }
            }
            builder.finish().unwrap()
        };
        (0..self.banks).map(view).collect()
    }

    /// Final scores in exact fractions by (bank, account), δ = `delta.0/delta.1`.
    pub fn exact(
        &self,
        iterations: u32,
        delta: (u32, u32),
        leave_out: bool,
    ) -> BTreeMap<(usize, String), Fraction> {
        let delta = Fraction::new(BigInt::from(delta.0), BigInt::from(delta.1));
        let rest = Fraction::new(BigInt::from(1), BigInt::from(1)).minus(&delta);
        let mut scores = BTreeMap::new();
        for (bank, accounts) in self.accounts.iter().enumerate() {
            for (id, score) in accounts {
                // The score is the float that the application hands in.
                let float = f64::from(*score) / 100.0;
                scores.insert((bank, id.to_string()), Fraction::from_float(float));
            }
        }
        type Edges = BTreeMap<((usize, String), (usize, String)), BigInt>;
        let mut periods: BTreeMap<usize, Edges> = BTreeMap::new();
        let mut offered = BTreeSet::new();
        for (bank, files) in self.rows.iter().enumerate() {
            for (period, rows) in files.iter().enumerate() {
                for row in rows {
                    let (source, destination) = ((row.0, row.1.to_string()), (row.2, row.3.to_string()));
                    if row.0 == bank {
                        offered.insert((period, source.clone(), row.2));
                    }
                    if row.2 == bank {
                        scores.entry(destination.clone()).or_insert_with(Fraction::zero);
                        let edge =
                            periods.entry(period).or_default().entry((source, destination)).or_default();
                        *edge += row.4;
                    }
                }
            }
        }
        // A period counts if an account of a bank that lists accounts is paid anything by another one; senders of its own
        // bank that have no score are nobody.
        let moves = |edges: &Edges| {
            edges.iter().any(|((source, destination), amount)| {
                let known = source.0 != destination.0 || scores.contains_key(source);
                !self.accounts[destination.0].is_empty()
                    && known
                    && source != destination
                    && !amount.is_zero()
            })
        };
        periods.retain(|_, edges| moves(edges));
        for (period, edges) in &periods {
            for _ in 0..iterations {
                let mut next = BTreeMap::new();
                for (account, score) in &scores {
                    let mut income = BigInt::zero();
                    let mut sum = Fraction::zero();
                    for ((source, destination), amount) in edges {
                        // Senders at a bank that lists no account count there only.
                        let counts = source.0 == destination.0
                            || (!self.accounts[source.0].is_empty()
                                && (!leave_out
                                    || offered.contains(&(*period, source.clone(), destination.0))));
                        if destination == account && counts && scores.contains_key(source) {
                            income += amount;
                            sum = sum.plus(&scores[source].times(&Fraction::whole(amount)));
                        }
                    }
                    let mut new = score.times(&rest);
                    if !income.is_zero() {
                        new = new.plus(&sum.times(&delta).over(&income));
                    }
                    next.insert(account.clone(), new);
                }
                scores = next;
            }
        }
        scores
    }
}

/// A fraction in lowest terms.
#[derive(Debug, Clone, PartialEq)]
pub struct Fraction {
    pub top: BigInt,
    pub bottom: BigInt,
}

impl Fraction {
    pub fn new(top: BigInt, bottom: BigInt) -> Self {
        let gcd = top.gcd(&bottom);
        Self { top: top / &gcd, bottom: bottom / gcd }
    }
    pub fn zero() -> Self {
        Self::new(BigInt::zero(), BigInt::from(1))
    }
    pub fn whole(value: &BigInt) -> Self {
        Self::new(value.clone(), BigInt::from(1))
    }
    /// The exact value of a float in [0, 1].
    pub fn from_float(x: f64) -> Self {
        let scaled = BigInt::from_f64(x * f64::exp2(900.0)).unwrap();
        Self::new(scaled, BigInt::from(1) << 900_u32)
    }
    pub fn plus(&self, other: &Self) -> Self {
        Self::new(&self.top * &other.bottom + &other.top * &self.bottom, &self.bottom * &other.bottom)
    }
    pub fn minus(&self, other: &Self) -> Self {
        Self::new(&self.top * &other.bottom - &other.top * &self.bottom, &self.bottom * &other.bottom)
    }
    pub fn times(&self, other: &Self) -> Self {
        Self::new(&self.top * &other.top, &self.bottom * &other.bottom)
    }
    pub fn over(&self, divisor: &BigInt) -> Self {
        Self::new(self.top.clone(), &self.bottom * divisor)
    }
    pub fn float(&self) -> f64 {
        let scaled: BigInt = (&self.top << 200_u32) / &self.bottom;
        scaled.to_f64().unwrap() / f64::exp2(200.0)
    }
}

/// Rows among up to five accounts at each bank, listed or not.
fn rows(banks: usize) -> impl Strategy<Value = Vec<Row>> {
    let amount = prop_oneof![Just(0), 1..20_u64, Just(1 << 63), any::<u32>().prop_map(u64::from)];
    proptest::collection::vec((0..banks, 0..5_u8, 0..banks, 0..5_u8, amount), 0..25)
}

fn accounts(banks: usize) -> impl Strategy<Value = Vec<Vec<(u8, u8)>>> {
    let one = proptest::collection::btree_map(0..5_u8, 0..=100_u8, 0..5);
    proptest::collection::vec(one.prop_map(|map| map.into_iter().collect()), banks)
}

/// Banks that agree about the transfers between them.
pub fn consistent() -> impl Strategy<Value = Raw> {
    (1..=4_usize).prop_flat_map(|banks| {
        (accounts(banks), proptest::collection::vec(rows(banks), 0..3))
            .prop_map(move |(accounts, periods)| Raw::consistent(banks, accounts, periods))
    })
}

/// Banks each of whose files was made up on its own.
pub fn conflicting() -> impl Strategy<Value = Raw> {
    (1..=4_usize).prop_flat_map(|banks| {
        let files = proptest::collection::vec(proptest::collection::vec(rows(banks), 0..3), banks);
        (accounts(banks), files).prop_map(move |(accounts, files)| {
            let mine = |(bank, periods): (usize, Vec<Vec<Row>>)| {
                let touches = |row: &Row| row.0 == bank || row.2 == bank;
                periods.into_iter().map(|rows| rows.into_iter().filter(touches).collect()).collect()
            };
            Raw { banks, accounts, rows: files.into_iter().enumerate().map(mine).collect() }
        })
    })
}
