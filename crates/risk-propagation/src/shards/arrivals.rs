//! Whether everything that was sent in a round has arrived.

use super::{ExchangeError, Incoming, Outgoing, Record, Shard, Shards, Step, Tally};

/// What has come to one shard in one round, by sender; for those who implement an [`Exchange`](super::Exchange).
///
/// A sender's end of the round comes after all its records.
#[derive(Clone, Debug)]
pub struct Arrivals {
    shards: Shards,
    round: u32,
    step: Step,
    tallies: Vec<(Tally, bool)>,
    open: usize,
}

impl Arrivals {
    /// Nothing yet, of any of the shards.
    #[must_use]
    pub fn new(shards: Shards, round: u32, step: Step) -> Self {
        let tallies = vec![(Tally::default(), false); shards.count()];
        Self { shards, round, step, tallies, open: shards.count() }
    }

    /// Takes note of a record that says to be of that round and step.
    ///
    /// # Errors
    /// The record does not belong here: it is late, early, of another step, or comes after its sender's end.
    pub fn record(
        &mut self,
        from: Shard,
        round: u32,
        step: Step,
        record: &Record,
    ) -> Result<(), ExchangeError> {
        self.sender(from, round, step)?.0.count(record);
        Ok(())
    }

    /// Takes note of the end of a sender's part of the round, and compares what it has sent with what has arrived.
    ///
    /// # Errors
    /// As for a record; or records are missing, too many, or not those that were sent.
    pub fn end(
        &mut self,
        from: Shard,
        round: u32,
        step: Step,
        announced: Tally,
    ) -> Result<(), ExchangeError> {
        let (arrived, ended) = self.sender(from, round, step)?;
        if arrived.records() != announced.records() {
            let (announced, arrived) = (announced.records(), arrived.records());
            return Err(ExchangeError::Count { shard: from, round, announced, arrived });
        }
        if *arrived != announced {
            return Err(ExchangeError::Altered { shard: from, round });
        }
        *ended = true;
        self.open -= 1;
        Ok(())
    }

    /// Whether every shard has ended the round, and everything has arrived.
    #[must_use]
    pub fn complete(&self) -> bool {
        self.open == 0
    }

    /// Whether that shard has ended the round.
    #[must_use]
    pub fn has_ended(&self, shard: Shard) -> bool {
        self.tallies.get(shard.index()).is_some_and(|(_, ended)| *ended)
    }

    /// The shards that have not ended the round.
    pub fn missing(&self) -> impl Iterator<Item = Shard> {
        self.shards.iter().zip(&self.tallies).filter(|(_, (_, ended))| !ended).map(|(shard, _)| shard)
    }

    fn sender(&mut self, from: Shard, found: u32, step: Step) -> Result<&mut (Tally, bool), ExchangeError> {
        let round = self.round;
        if found != round {
            return Err(ExchangeError::OtherRound { shard: from, found, expected: round });
        }
        if step != self.step {
            return Err(ExchangeError::OtherStep { shard: from, round, found: step, expected: self.step });
        }
        let sender = self.tallies.get_mut(from.index());
        let sender =
            sender.ok_or(ExchangeError::Malformed { shard: from, reason: "there is no such shard" })?;
        if sender.1 { Err(ExchangeError::AfterEnd { shard: from, round }) } else { Ok(sender) }
    }
}

/// Gathers by a round in which each shard sends one record to each; for those who implement an [`Exchange`](super::Exchange).
///
/// `round` takes one round of the step [`Step::Gather`].
///
/// # Errors
/// `mine` is too long, the round fails, or a shard sends none or several records.
pub fn gather_by(
    shards: Shards,
    mine: Vec<u8>,
    round: impl FnOnce(&mut Outgoing<'_>, &mut Incoming<'_>) -> Result<(), ExchangeError>,
) -> Result<Vec<Vec<u8>>, ExchangeError> {
    let (bytes, limit) = (mine.len(), Record::LIMIT);
    let record = Record::new(0, mine).map_err(|_| ExchangeError::TooLong { bytes, limit })?;
    let mut gathered: Vec<Vec<Record>> = vec![Vec::new(); shards.count()];
    let mut outgoing = shards.iter().map(|to| Ok((to, record.clone())));
    round(&mut outgoing, &mut |from, record| {
        // A sender beyond the shards has been refused by the round.
        if let Some(list) = gathered.get_mut(from.index()) {
            list.push(record);
        }
        Ok(())
    })?;
    let single = |(shard, mut list): (Shard, Vec<Record>)| match (list.pop(), list.is_empty()) {
        (Some(record), true) => Ok(record.into_bytes()),
        _ => Err(ExchangeError::Malformed { shard, reason: "not exactly one record to gather" }),
    };
    shards.iter().zip(gathered).map(single).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROUND: u32 = 7;

    fn record(byte: u8) -> Record {
        Record::new(1, vec![byte]).unwrap()
    }

    /// What a shard that sends these records announces.
    fn tally(bytes: &[u8]) -> Tally {
        let mut tally = Tally::default();
        bytes.iter().for_each(|&byte| tally.count(&record(byte)));
        tally
    }

    /// The outcome for a shard that announces `sent` and of which `arrived` comes.
    fn outcome(sent: &[u8], arrived: &[u8]) -> Result<(), ExchangeError> {
        let shards = Shards::new(3).unwrap();
        let from = shards.shard(1).unwrap();
        let mut arrivals = Arrivals::new(shards, ROUND, Step::Shuffle);
        arrived.iter().try_for_each(|&byte| arrivals.record(from, ROUND, Step::Shuffle, &record(byte)))?;
        arrivals.end(from, ROUND, Step::Shuffle, tally(sent))?;
        assert!(arrivals.has_ended(from) && !arrivals.complete());
        assert_eq!(arrivals.missing().map(Shard::index).collect::<Vec<_>>(), [0, 2]);
        Ok(())
    }

    #[test]
    fn records_that_are_lost_doubled_or_altered_are_errors_that_name_the_shard() {
        outcome(&[], &[]).unwrap();
        outcome(&[1, 2, 3], &[3, 1, 2]).unwrap();
        for (arrived, count) in [(&[1, 2][..], 2), (&[1, 2, 3, 3], 4), (&[], 0)] {
            let error = outcome(&[1, 2, 3], arrived).unwrap_err();
            assert!(
                matches!(error, ExchangeError::Count { shard, round: ROUND, announced: 3, arrived }
                    if shard.index() == 1 && arrived == count),
                "{error}"
            );
        }
        for arrived in [[1, 2, 4], [1, 2, 2]] {
            let error = outcome(&[1, 2, 3], &arrived).unwrap_err();
            assert!(matches!(error, ExchangeError::Altered { shard, .. } if shard.index() == 1), "{error}");
        }
    }

    #[test]
    fn what_does_not_belong_to_the_round_is_an_error_that_names_the_shard() {
        let shards = Shards::new(2).unwrap();
        let from = shards.shard(1).unwrap();
        let mut arrivals = Arrivals::new(shards, ROUND, Step::Shuffle);
        for found in [ROUND - 1, ROUND + 1] {
            let error = arrivals.record(from, found, Step::Shuffle, &record(1)).unwrap_err();
            assert!(
                matches!(error, ExchangeError::OtherRound { found: other, expected: ROUND, .. } if other == found)
            );
            assert_eq!(error.shard(), Some(from));
        }
        let error = arrivals.end(from, ROUND, Step::Gather, tally(&[])).unwrap_err();
        assert_eq!(error.to_string(), "round 7: shard 1 takes the step gather, and this shard takes shuffle");
        arrivals.end(from, ROUND, Step::Shuffle, tally(&[])).unwrap();
        let error = arrivals.record(from, ROUND, Step::Shuffle, &record(1)).unwrap_err();
        assert!(matches!(error, ExchangeError::AfterEnd { .. }));
        let stranger = Shards::new(3).unwrap().shard(2).unwrap();
        let error = arrivals.record(stranger, ROUND, Step::Shuffle, &record(1)).unwrap_err();
        assert!(matches!(error, ExchangeError::Malformed { shard, .. } if shard == stranger));
    }
}
