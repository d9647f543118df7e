//! The parts of a bank exchange records: everything arrives once, whatever is sent, and nothing waits for ever.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)] // test code

use std::num::NonZeroUsize;
use std::thread;

use proptest::prelude::*;

use subrosa_risk_propagation::shards::conformance::{Check, Law, NotConforming, Options};
use subrosa_risk_propagation::shards::{
    Alone, Exchange, ExchangeError, Incoming, Outgoing, Record, Shard, Shards, Threads,
};

fn capacity(records: usize) -> NonZeroUsize {
    NonZeroUsize::new(records).unwrap()
}

/// Runs a job for each shard on a thread of its own; the results in order.
fn on_threads<R: Send>(network: Vec<Threads>, job: impl Fn(&mut Threads) -> R + Sync) -> Vec<R> {
    thread::scope(|scope| {
        let job = &job;
        let threads: Vec<_> =
            network.into_iter().map(|mut exchange| scope.spawn(move || job(&mut exchange))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

#[test]
fn alone_conforms() {
    for check in Check::ALL {
        // Nobody else is there for whom an end could be early.
        if check != Check::EarlyEnd {
            check.run(&mut Alone::new(), &Options::default()).unwrap_or_else(|e| panic!("{check:?}: {e}"));
        }
    }
}

#[test]
fn threads_conform() {
    for (shards, records) in [(1, 256), (2, 1), (3, 256), (7, 5)] {
        for check in Check::ALL {
            let network = Threads::network_with_capacity(Shards::new(shards).unwrap(), capacity(records));
            let outcomes = on_threads(network, |exchange| check.run(exchange, &Options::default()));
            for outcome in outcomes {
                outcome.unwrap_or_else(|error| panic!("{check:?} with {shards} shards: {error}"));
            }
        }
    }
}

/// An exchange with a fault.
struct Faulty<'a> {
    inner: &'a mut Threads,
    fault: Fault,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    None,
    /// Loses the first record that arrives in a round.
    Loses,
    Doubles,
    Alters,
    /// Makes all records before it sends one.
    Hoards,
    /// Gathers in another order.
    Reorders,
}

impl Exchange for Faulty<'_> {
    fn shard(&self) -> Shard {
        self.inner.shard()
    }

    fn shards(&self) -> Shards {
        self.inner.shards()
    }

    fn gather(&mut self, mine: Vec<u8>) -> Result<Vec<Vec<u8>>, ExchangeError> {
        let mut gathered = self.inner.gather(mine)?;
        if self.fault == Fault::Reorders {
            gathered.reverse();
        }
        Ok(gathered)
    }

    fn shuffle(
        &mut self,
        outgoing: &mut Outgoing<'_>,
        incoming: &mut Incoming<'_>,
    ) -> Result<(), ExchangeError> {
        let mut first = true;
        let fault = self.fault;
        let mut spoilt = |from, record: Record| {
            let first = std::mem::take(&mut first);
            if first && fault == Fault::Loses {
                return Ok(());
            }
            if first && fault == Fault::Doubles {
                incoming(from, record.clone())?;
            }
            if first && fault == Fault::Alters {
                let kind = record.kind().wrapping_add(1);
                return incoming(from, Record::new(kind, record.into_bytes()).unwrap());
            }
            incoming(from, record)
        };
        if fault == Fault::Hoards {
            let all: Vec<_> = outgoing.collect();
            return self.inner.shuffle(&mut all.into_iter(), &mut spoilt);
        }
        self.inner.shuffle(outgoing, &mut spoilt)
    }
}

#[test]
fn the_suite_finds_faults() {
    let laws = [
        (Fault::None, None),
        (Fault::Loses, Some(Law::Completeness)),
        (Fault::Doubles, Some(Law::Shuffle)),
        (Fault::Alters, Some(Law::Shuffle)),
        (Fault::Hoards, Some(Law::BackPressure)),
        (Fault::Reorders, Some(Law::Place)),
    ];
    let mut options = Options::default();
    // Few enough to be made while the other shard rests, however busy the machine is.
    options.under_way = 1024;
    for (fault, law) in laws {
        let outcomes = on_threads(Threads::network(Shards::new(2).unwrap()), |exchange| {
            Check::Working.run(&mut Faulty { inner: exchange, fault }, &options)
        });
        let broken: Vec<_> = outcomes
            .into_iter()
            .filter_map(Result::err)
            .flat_map(|NotConforming(broken)| broken)
            .map(|broken| broken.law)
            .collect();
        assert_eq!(law.is_some(), !broken.is_empty(), "{fault:?}: {broken:?}");
        assert!(law.is_none_or(|law| broken.contains(&law)), "{fault:?}: {broken:?}");
    }
}

#[test]
fn nothing_waits_for_ever_when_everybody_sends_a_lot_to_everybody() {
    const EACH: usize = 3000;
    let shards = Shards::new(7).unwrap();
    let taken = on_threads(Threads::network_with_capacity(shards, capacity(1)), |exchange| {
        let record = Record::new(1, vec![5; 40]).unwrap();
        let mut outgoing =
            shards.iter().flat_map(|to| (0..EACH).map(move |_| to)).map(|to| Ok((to, record.clone())));
        let mut taken = vec![0; shards.count()];
        exchange.shuffle(&mut outgoing, &mut |from, _| {
            taken[from.index()] += 1;
            Ok(())
        })?;
        Ok::<_, ExchangeError>(taken)
    });
    for taken in taken {
        assert_eq!(taken.unwrap(), [EACH; 7]);
    }
}

/// For each sender, rounds of records: receiver, kind, bytes.
type Sent = Vec<Vec<Vec<(u16, u8, Vec<u8>)>>>;

fn any_records() -> impl Strategy<Value = (u16, usize, Sent)> {
    (1_u16..=7, 1_usize..=40, 1_usize..=3).prop_flat_map(|(shards, capacity, rounds)| {
        let record = (0..shards, any::<u8>(), proptest::collection::vec(any::<u8>(), 0..30));
        let round = proptest::collection::vec(record, 0..60);
        let shard = proptest::collection::vec(round, rounds);
        (Just(shards), Just(capacity), proptest::collection::vec(shard, usize::from(shards)))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Any records, sent by anybody to anybody, arrive once, in their round, with their sender.
    #[test]
    fn everything_arrives_once((count, room, sent) in any_records()) {
        let shards = Shards::new(count).unwrap();
        let taken = on_threads(Threads::network_with_capacity(shards, capacity(room)), |exchange| {
            let mine = &sent[exchange.shard().index()];
            let mut taken = Vec::new();
            for round in mine {
                let mut outgoing = round.iter().map(|(to, kind, bytes)| {
                    Ok((shards.shard(*to).unwrap(), Record::new(*kind, bytes.clone()).unwrap()))
                });
                let mut came = Vec::new();
                exchange.shuffle(&mut outgoing, &mut |from, record| {
                    came.push((from.to_u16(), record.kind(), record.into_bytes()));
                    Ok(())
                })?;
                came.sort();
                taken.push(came);
                assert_eq!(exchange.gather(vec![1])?.len(), shards.count());
            }
            Ok::<_, ExchangeError>(taken)
        });
        for (me, rounds) in (0_u16..).zip(taken) {
            for (number, came) in rounds.unwrap().into_iter().enumerate() {
                let mut expected: Vec<_> = (0_u16..)
                    .zip(&sent)
                    .flat_map(|(from, rounds)| rounds[number].iter().map(move |record| (from, record)))
                    .filter(|(_, (to, _, _))| *to == me)
                    .map(|(from, (_, kind, bytes))| (from, *kind, bytes.clone()))
                    .collect();
                expected.sort();
                prop_assert_eq!(came, expected);
            }
        }
    }
}
