//! A bank that is not cut.

use super::{Arrivals, Exchange, ExchangeError, Incoming, Outgoing, Shard, Shards, Step, Tally, gather_by};

/// The only shard of a bank: what it sends comes back to it at once.
#[derive(Debug, Default)]
pub struct Alone {
    round: u32,
    over: bool,
}

impl Alone {
    /// One shard.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn round(
        &mut self,
        step: Step,
        outgoing: &mut Outgoing<'_>,
        incoming: &mut Incoming<'_>,
    ) -> Result<(), ExchangeError> {
        if self.over {
            return Err(ExchangeError::Over);
        }
        self.over = true;
        let (me, shards, round) = (self.shard(), self.shards(), self.round);
        let mut arrivals = Arrivals::new(shards, round, step);
        let mut sent = Tally::default();
        for made in outgoing {
            let (to, record) =
                made.map_err(|source| ExchangeError::Unmade { round, source: Box::new(source) })?;
            if to != me {
                return Err(ExchangeError::NoSuchShard { to, shards });
            }
            sent.count(&record);
            arrivals.record(me, round, step, &record)?;
            incoming(me, record).map_err(|source| ExchangeError::Refused {
                shard: me,
                round,
                source: Box::new(source),
            })?;
        }
        arrivals.end(me, round, step, sent)?;
        self.round = round.checked_add(1).ok_or(ExchangeError::TooManyRounds)?;
        self.over = false;
        Ok(())
    }
}

impl Exchange for Alone {
    fn shard(&self) -> Shard {
        Shard::FIRST
    }

    fn shards(&self) -> Shards {
        Shards::ONE
    }

    fn gather(&mut self, mine: Vec<u8>) -> Result<Vec<Vec<u8>>, ExchangeError> {
        gather_by(self.shards(), mine, |outgoing, incoming| self.round(Step::Gather, outgoing, incoming))
    }

    fn shuffle(
        &mut self,
        outgoing: &mut Outgoing<'_>,
        incoming: &mut Incoming<'_>,
    ) -> Result<(), ExchangeError> {
        self.round(Step::Shuffle, outgoing, incoming)
    }
}
