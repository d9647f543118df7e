//! A bank in parts: which part an account belongs to, and what the parts do among each other.
//!
//! A bank that is larger than a machine is cut in [`Shards`], the same number at all banks. The parts of one bank exchange
//! [`Record`]s over an [`Exchange`]: [`Alone`] for a bank that is not cut, [`Threads`] in one process, and an engine such as
//! `subrosa-risk-cluster` on several machines. Parts of different banks never meet here: that is what sessions are for.
//!
//! # The hash
//!
//! An account's shard is the first 8 bytes, little-endian, of
//! SHA-256(`"subrosa shard v1"` ‖ 0 ‖ name of the bank ‖ 0 ‖ name of the account), modulo the number of shards. It is public, and
//! serves to spread accounts and for nothing else. Any database that has SHA-256 can write its files already cut.
//! For 64 shards, and a table with the columns `bank` and `account`, the following do. Those for `DuckDB` and `PostgreSQL` were run
//! (versions 2.0 and 15) and agree with this module; the one for Spark was not run.
//!
//! ```sql
//! -- DuckDB. Bytes 0 to 7 of the hash are hexadecimal digits 1 to 16; the last byte is the most significant.
//! SELECT *, (list_sum([('0x' || substr(sha256(
//!         encode('subrosa shard v1') || '\x00'::BLOB || encode(bank) || '\x00'::BLOB || encode(account)
//!     ), 2 * i + 1, 2))::UTINYINT::HUGEINT * (1::HUGEINT << (8 * i)) FOR i IN range(8)]) % 64)::INTEGER AS shard
//! FROM accounts;
//!
//! -- Spark SQL. `reverse` on bytes goes over an array; the remainder is taken of an exact decimal.
//! SELECT *, CAST(CAST(conv(array_join(reverse(transform(sequence(0, 7),
//!         i -> substr(sha2(concat(encode('subrosa shard v1', 'UTF-8'), X'00', encode(bank, 'UTF-8'), X'00',
//!             encode(account, 'UTF-8')), 256), 2 * i + 1, 2))), ''), 16, 10) AS DECIMAL(20, 0)) % 64 AS INT) AS shard
//! FROM accounts;
//!
//! -- PostgreSQL, of a database in UTF-8.
//! SELECT *, (SELECT sum(get_byte(h, i)::numeric * power(256::numeric, i)) % 64 FROM generate_series(0, 7) AS i)::int AS shard
//! FROM accounts, LATERAL (SELECT sha256('subrosa shard v1'::bytea || '\x00'::bytea || convert_to(bank, 'UTF8')
//!     || '\x00'::bytea || convert_to(account, 'UTF8')) AS h) AS hashed;
//! ```
//!
//! # Example
//!
//! ```
//! use std::thread;
//!
//! use subrosa_risk_propagation::shards::{Exchange, Record, Shards, Threads};
//!
//! let shards = Shards::new(3)?;
//! assert_eq!(shards.of("amber", "NL01AMBR0000000001").index(), 0);
//!
//! thread::scope(|scope| {
//!     let threads = Threads::network(shards).into_iter().map(|mut exchange| {
//!         scope.spawn(move || {
//!             // Everybody greets everybody.
//!             let hello = Record::new(1, b"hello".to_vec()).unwrap();
//!             let mut greetings = shards.iter().map(|to| Ok((to, hello.clone())));
//!             let mut from = Vec::new();
//!             exchange.shuffle(&mut greetings, &mut |shard, _greeting| {
//!                 from.push(shard);
//!                 Ok(())
//!             })?;
//!             exchange.gather(vec![from.len() as u8])
//!         })
//!     });
//!     for thread in threads.collect::<Vec<_>>() {
//!         let gathered = thread.join().unwrap().unwrap();
//!         assert_eq!(gathered, [[3], [3], [3]]);
//!     }
//! });
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod alone;
mod arrivals;
pub mod conformance;
mod error;
mod record;
mod shard;
mod step;
mod threads;

pub use alone::Alone;
pub use arrivals::{Arrivals, gather_by};
pub use error::ExchangeError;
pub use record::{Record, Tally};
pub use shard::{Shard, Shards, ShardsError};
pub use step::Step;
pub use threads::Threads;

use crate::error::Error;

/// What a shard sends in a round: records and where they go, or why one could not be made.
pub type Outgoing<'a> = dyn Iterator<Item = Result<(Shard, Record), Error>> + 'a;

/// What a shard does with a record that another one, or itself, has sent.
pub type Incoming<'a> = dyn FnMut(Shard, Record) -> Result<(), Error> + 'a;

/// What the shards of one bank do among each other: all that an engine must provide.
///
/// The shards take the same steps in the same order; each step is a round. [`conformance`] holds an implementation against
/// the laws:
///
/// - **Place.** Each shard is there once and knows its place.
/// - **Gather.** Each shard gets the bytes of all, in the order of shards.
/// - **Shuffle.** Each record arrives where it is addressed to, once, unchanged, with its sender. Records to oneself do as
///   well. The order is not kept.
/// - **Completeness.** A round returns without error only when every shard has ended its part of it and everything that was sent to
///   this shard has been taken. Something lost, late, doubled or altered is an error that names the sender ([`Arrivals`]).
/// - **Back-pressure.** Records are asked for only as the others take them, so that memory does not grow with their
///   number. However many go between whichever shards, the round comes to its end.
/// - **Errors.** If a shard fails or ends before the others, the others fail in the same round or in the next one. Their errors name it, or
///   a shard that failed because of it. After an error every call fails.
pub trait Exchange {
    /// The place of this shard.
    fn shard(&self) -> Shard;

    /// How many shards there are.
    fn shards(&self) -> Shards;

    /// Gathers the bytes of all shards, in order. A barrier: nobody returns before all have come.
    ///
    /// At most [`Record::LIMIT`] bytes of each shard.
    ///
    /// # Errors
    /// See [`ExchangeError`]. After an error the exchange is over.
    fn gather(&mut self, mine: Vec<u8>) -> Result<Vec<Vec<u8>>, ExchangeError>;

    /// Sends records to shards and takes those that come, in any order, and returns once every shard has ended the round and all
    /// its records are taken.
    ///
    /// `outgoing` is asked for more only as the others keep up. Both it and `incoming` run on the calling thread; either may end the
    /// exchange with an error.
    ///
    /// # Errors
    /// See [`ExchangeError`]. After an error the exchange is over.
    fn shuffle(
        &mut self,
        outgoing: &mut Outgoing<'_>,
        incoming: &mut Incoming<'_>,
    ) -> Result<(), ExchangeError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_shards_are_checked() {
        for shards in [0, Shards::MOST + 1, u16::MAX] {
            assert_eq!(Shards::new(shards), Err(ShardsError::Number { shards }));
        }
        let shards = Shards::new(Shards::MOST).unwrap();
        assert_eq!(shards.iter().len(), 1024);
        assert_eq!(shards.shard(1023).unwrap().index(), 1023);
        assert_eq!(shards.shard(1024), Err(ShardsError::Index { index: 1024, shards: 1024 }));
        assert_eq!(Shards::ONE.of("amber", "any"), Shards::ONE.shard(0).unwrap());
    }

    /// Computed with Python's `hashlib`.
    #[test]
    fn accounts_lie_where_another_implementation_says() {
        let long = "x".repeat(300);
        let known: [(&str, &str, [usize; 4]); 6] = [
            ("amber", "NL01AMBR0000000001", [0, 6, 61, 125]),
            ("amber", "1", [2, 3, 11, 203]),
            ("birch", "1", [2, 3, 58, 506]),
            ("", "", [2, 5, 17, 81]),
            ("bank-ü", "Kontonummer äöü", [0, 2, 42, 874]),
            ("coral", &long, [0, 3, 12, 524]),
        ];
        for (bank, account, places) in known {
            for (shards, place) in [3, 7, 64, 1024].into_iter().zip(places) {
                assert_eq!(
                    Shards::new(shards).unwrap().of(bank, account).index(),
                    place,
                    "{bank} {account} {shards}"
                );
            }
        }
    }

    #[test]
    fn accounts_are_spread_evenly() {
        let shards = Shards::new(16).unwrap();
        let mut counts = [0_u32; 16];
        (0..16_000).for_each(|account| counts[shards.of("amber", &account.to_string()).index()] += 1);
        // Five standard deviations of a binomial distribution.
        assert!(counts.iter().all(|count| (840..=1160).contains(count)), "{counts:?}");
    }
}
