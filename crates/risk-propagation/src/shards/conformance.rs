//! Checks that an [`Exchange`] keeps its laws; for the tests of any implementation.
//!
//! Every shard of a fresh exchange runs the same [`Check`] on its own end, on a thread or in a process of its own. A check takes the
//! same rounds at every shard, whatever it finds. It reports what is wrong and does not panic. Run [`Check::Working`] first;
//! each of the others ends the exchange, which must be dropped when the check returns.
//!
//! An exchange that hangs hangs the check. What cannot be seen from outside is not checked: that connections among machines are
//! encrypted and authenticated, and that something that was lost or altered under way is found.
//!
//! ```
//! use std::thread;
//!
//! use subrosa_risk_propagation::shards::{Shards, Threads, conformance::Check};
//!
//! for check in Check::ALL {
//!     thread::scope(|scope| {
//!         for mut exchange in Threads::network(Shards::new(2).unwrap()) {
//!             scope.spawn(move || check.run(&mut exchange, &Default::default()).unwrap());
//!         }
//!     });
//! }
//! ```

use std::fmt;
use std::str::FromStr;
use std::thread;
use std::time::{Duration, Instant};

use super::{Exchange, ExchangeError, Record, Shard, Shards, ShardsError};
use crate::error::Error;

/// The laws of [`Exchange`], by the words there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Law {
    /// Each shard is there once and knows its place.
    Place,
    /// Each shard gets the bytes of all, in order.
    Gather,
    /// Records arrive where they are addressed to, once, unchanged, with their sender.
    Shuffle,
    /// A round returns when everything has been taken.
    Completeness,
    /// Records are asked for as the others take them.
    BackPressure,
    /// Errors name the shard and stay.
    Errors,
}

/// A law that an exchange broke, and how.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{law:?}: {detail}")]
#[non_exhaustive]
pub struct Broken {
    /// The law.
    pub law: Law,
    /// What was seen.
    pub detail: String,
}

/// Every law that an exchange broke, as one of its shards saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotConforming(pub Vec<Broken>);

impl fmt::Display for NotConforming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the exchange breaks its laws")?;
        self.0.iter().try_for_each(|broken| write!(f, "\n- {broken}"))
    }
}

impl std::error::Error for NotConforming {}

/// Sizes of the checks.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Options {
    /// How many records each shard sends to each where many are sent. Default 2,000.
    pub many: usize,
    /// How many records may be under way between two shards, at most. Twice as many are sent to see it, so that a slow machine needs a longer
    /// `pause` to find an exchange that takes all. Default 65,536.
    pub under_way: usize,
    /// How long a shard takes nothing, to see whether the others stop. Default 400 ms.
    pub pause: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self { many: 2000, under_way: 1 << 16, pause: Duration::from_millis(400) }
    }
}

/// What is checked on one fresh exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Check {
    /// What works: all laws but that of errors.
    Working,
    /// The last shard addresses a record to a shard that does not exist.
    WrongAddress,
    /// The last shard refuses a record.
    Refusal,
    /// The last shard cannot make a record that it owes.
    Unmade,
    /// The last shard takes no part in the second round.
    EarlyEnd,
}

impl Check {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Working, Self::WrongAddress, Self::Refusal, Self::Unmade, Self::EarlyEnd];

    /// The name, for the command line of a process that hosts a shard.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Working => "working",
            Self::WrongAddress => "wrong-address",
            Self::Refusal => "refusal",
            Self::Unmade => "unmade",
            Self::EarlyEnd => "early-end",
        }
    }

    /// Runs this shard's part of the check.
    ///
    /// # Errors
    /// Every law that was broken.
    pub fn run(self, exchange: &mut dyn Exchange, options: &Options) -> Result<(), NotConforming> {
        let mut found = Vec::new();
        if self == Self::Working {
            for part in [place, gather, shuffle, empty_rounds, many, uneven, back_pressure] {
                if let Err(broken) = part(exchange, options, &mut found) {
                    found.push(broken);
                    break;
                }
            }
        } else if let Err(broken) = self.ends(exchange) {
            found.push(broken);
        }
        if found.is_empty() { Ok(()) } else { Err(NotConforming(found)) }
    }

    /// The checks that end the exchange.
    fn ends(self, exchange: &mut dyn Exchange) -> Result<(), Broken> {
        let (me, shards) = (exchange.shard(), exchange.shards());
        let last = shards.iter().next_back().unwrap_or(me);
        exchange.gather(vec![1]).map_err(failed(Law::Gather))?;
        if self == Self::EarlyEnd && me == last {
            return Ok(());
        }
        // The last shard sends and gets a record, so that it meets its error whatever the others do.
        let address = if self == Self::WrongAddress { shards.count() } else { last.index() };
        let address =
            u16::try_from(address).ok().and_then(|index| Shards::new(index + 1).ok()?.shard(index).ok());
        let Some(address) = address else {
            return broken(Law::Errors, "this check needs fewer shards");
        };
        let owed = || match self {
            Self::Unmade => Err(Error::internal("of the check")),
            _ => Ok((address, blank(0)?)),
        };
        let mut outgoing = (0..usize::from(me == last)).map(|_| owed());
        let shuffled = exchange.shuffle(&mut outgoing, &mut |_, _| match self {
            Self::Refusal => Err(Error::internal("of the check")),
            _ => Ok(()),
        });
        // The last shard may refuse a record after it has sent all of its own: then the others hear of it in the next round.
        let outcome = match shuffled {
            Ok(()) if self == Self::Refusal && me != last => exchange.gather(Vec::new()).map(drop),
            shuffled => shuffled,
        };
        let expected = match &outcome {
            Err(ExchangeError::NoSuchShard { to, .. }) => {
                self == Self::WrongAddress && me == last && *to == address
            }
            Err(ExchangeError::Refused { shard, .. }) => {
                self == Self::Refusal && me == last && *shard == last
            }
            Err(ExchangeError::Unmade { .. }) => self == Self::Unmade && me == last,
            Err(ExchangeError::EndedEarly { shard, .. }) => self == Self::EarlyEnd && *shard == last,
            // Whoever hears of a failure fails, and may be heard of before the one that failed first.
            Err(ExchangeError::Failed { .. }) => me != last || shards.count() > 2,
            _ => false,
        };
        if !expected {
            return broken(Law::Errors, format!("unexpected in the check {}: {outcome:?}", self.name()));
        }
        match exchange.gather(Vec::new()) {
            Err(_) => Ok(()),
            Ok(_) => broken(Law::Errors, "a call after an error succeeds"),
        }
    }
}

impl FromStr for Check {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|check| check.name() == name);
        found.ok_or_else(|| format!("there is no check `{name}`"))
    }
}

fn broken<R>(law: Law, detail: impl Into<String>) -> Result<R, Broken> {
    Err(Broken { law, detail: detail.into() })
}

/// A call that should have worked failed.
fn failed(law: Law) -> impl Fn(ExchangeError) -> Broken {
    move |error| Broken { law, detail: format!("failed: {error:?}") }
}

type Found = Vec<Broken>;

fn expect(found: &mut Found, law: Law, holds: bool, detail: impl FnOnce() -> String) {
    if !holds {
        found.push(Broken { law, detail: detail() });
    }
}

fn place(exchange: &mut dyn Exchange, _options: &Options, found: &mut Found) -> Result<(), Broken> {
    let (me, shards) = (exchange.shard(), exchange.shards());
    expect(found, Law::Place, shards.contains(me), || format!("{me} is not one of {shards}"));
    let places = exchange.gather(me.to_u16().to_le_bytes().to_vec()).map_err(failed(Law::Gather))?;
    let expected: Vec<Vec<u8>> = shards.iter().map(|shard| shard.to_u16().to_le_bytes().to_vec()).collect();
    expect(found, Law::Place, places == expected, || format!("expected {expected:?}, gathered {places:?}"));
    Ok(())
}

fn gather(exchange: &mut dyn Exchange, _options: &Options, found: &mut Found) -> Result<(), Broken> {
    let (me, shards) = (exchange.shard(), exchange.shards());
    for (number, length) in [0, 1, 1000, Record::LIMIT].into_iter().enumerate() {
        // Different lengths for different shards, where that is possible.
        let of =
            |shard: Shard| pattern(shard, number, length.min(Record::LIMIT - shard.index()) + shard.index());
        let gathered = exchange.gather(of(me)).map_err(failed(Law::Gather))?;
        let right = gathered.len() == shards.count()
            && shards.iter().zip(&gathered).all(|(shard, bytes)| *bytes == of(shard));
        expect(found, Law::Gather, right, || format!("gathered other bytes, of length {length}"));
    }
    Ok(())
}

/// Sends numbered records, `count(from, to)` of them, and checks that each arrives once.
fn all_arrive(
    exchange: &mut dyn Exchange,
    found: &mut Found,
    length: impl Fn(usize) -> usize,
    count: impl Fn(Shard, Shard) -> usize,
) -> Result<(), Broken> {
    let (me, shards) = (exchange.shard(), exchange.shards());
    let most = shards.iter().map(|to| count(me, to)).max().unwrap_or(0);
    let (count, length) = (&count, &length);
    // In turn to each, so that queues fill together.
    let mut outgoing = (0..most).flat_map(|number| {
        let wanted = shards.iter().filter(move |&to| number < count(me, to));
        wanted.map(move |to| Ok((to, numbered(me, to, number, length(number)).map_err(|_| unmade())?)))
    });
    let mut seen: Vec<Vec<bool>> = shards.iter().map(|from| vec![false; count(from, me)]).collect();
    let mut wrong = 0_usize;
    exchange
        .shuffle(&mut outgoing, &mut |from, record| {
            let number =
                record.bytes().first_chunk().map_or(usize::MAX, |first| u32::from_le_bytes(*first) as usize);
            let seen = seen.get_mut(from.index()).and_then(|list| list.get_mut(number));
            match (seen, numbered(from, me, number, length(number))) {
                (Some(seen @ false), Ok(expected)) if expected == record => *seen = true,
                _ => wrong += 1,
            }
            Ok(())
        })
        .map_err(failed(Law::Shuffle))?;
    let missing = seen.iter().flatten().filter(|seen| !**seen).count();
    expect(found, Law::Shuffle, wrong == 0, || format!("{wrong} records are doubled, altered or nobody's"));
    expect(found, Law::Completeness, missing == 0, || format!("{missing} records are missing"));
    Ok(())
}

fn shuffle(exchange: &mut dyn Exchange, _options: &Options, found: &mut Found) -> Result<(), Broken> {
    let lengths = [4, 5, 7, 8, 9, 511, 512, 4096, 65_535, 65_536, Record::LIMIT];
    all_arrive(exchange, found, |number| lengths[number % lengths.len()], |_, _| lengths.len())
}

fn empty_rounds(exchange: &mut dyn Exchange, _options: &Options, found: &mut Found) -> Result<(), Broken> {
    (0..50).try_for_each(|_| all_arrive(exchange, found, |_| 4, |_, _| 0))
}

fn many(exchange: &mut dyn Exchange, options: &Options, found: &mut Found) -> Result<(), Broken> {
    all_arrive(exchange, found, |number| 4 + number % 700, |_, _| options.many)
}

/// Each shard in turn gets everything.
fn uneven(exchange: &mut dyn Exchange, options: &Options, found: &mut Found) -> Result<(), Broken> {
    for one in exchange.shards().iter().take(4) {
        let count = |from: Shard, to: Shard| if to == one { options.many / 4 + from.index() } else { 0 };
        all_arrive(exchange, found, |_| 600, count)?;
    }
    Ok(())
}

/// The last shard takes one record and rests; the first one must stop to make them.
fn back_pressure(exchange: &mut dyn Exchange, options: &Options, found: &mut Found) -> Result<(), Broken> {
    let (me, shards) = (exchange.shard(), exchange.shards());
    let (Some(first), Some(last)) = (shards.iter().next(), shards.iter().next_back()) else { return Ok(()) };
    if first == last {
        return Ok(());
    }
    let total = 2 * options.under_way;
    let (mut made, mut started) = (0, None);
    let mut outgoing = (0..if me == first { total } else { 0 }).map(|_| {
        let start = *started.get_or_insert_with(Instant::now);
        // In this time the last shard has taken one.
        if start.elapsed() < options.pause / 2 {
            made += 1;
        }
        Ok((last, blank(600)?))
    });
    let (mut taken, pause) = (0, options.pause);
    exchange
        .shuffle(&mut outgoing, &mut |_, _| {
            if taken == 0 {
                thread::sleep(pause);
            }
            taken += 1;
            Ok(())
        })
        .map_err(failed(Law::BackPressure))?;
    let expected = if me == last { total } else { 0 };
    expect(found, Law::Completeness, taken == expected, || format!("took {taken} records of {expected}"));
    expect(found, Law::BackPressure, made <= options.under_way, || {
        format!("{made} records made and not taken")
    });
    Ok(())
}

fn unmade() -> Error {
    Error::internal("a record of the check is too long")
}

fn blank(length: usize) -> Result<Record, Error> {
    Record::new(0, vec![0; length]).map_err(|_| unmade())
}

/// The record of a number between two shards: the number, then bytes that differ for all pairs and numbers.
fn numbered(from: Shard, to: Shard, number: usize, length: usize) -> Result<Record, ShardsError> {
    let mut bytes = pattern(from, number ^ to.index() << 24, length.max(4));
    bytes.splice(..4, (u32::try_from(number).unwrap_or(u32::MAX)).to_le_bytes());
    Record::new(u8::try_from(number % 251).unwrap_or_default(), bytes)
}

/// Bytes that differ in every place and for every shard and seed.
fn pattern(shard: Shard, seed: usize, length: usize) -> Vec<u8> {
    let mut state = ((seed as u64) << 16 | shard.index() as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        // xorshift64, Marsaglia 2003.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}
