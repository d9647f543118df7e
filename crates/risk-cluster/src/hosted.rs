//! A shard's end of the exchange, on a thread of its own.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crate::parcel::{Frame, Left, Packing, Parcel};
use crate::post::{Origin, Post, Stop};
use subrosa_risk_propagation::shards::{
    Arrivals, Exchange, ExchangeError, Incoming, Outgoing, Shard, Shards, Step, gather_by,
};

/// Parcels that are ready and not handed over: with more, no records are made.
const READY: usize = 4;

/// Records that are made before it is looked whether any have come.
const BATCH: usize = 256;

/// One shard of this worker.
#[derive(Debug)]
pub(crate) struct Hosted {
    post: Arc<Post>,
    me: Shard,
    /// The place among the shards of this worker.
    own: usize,
    round: u32,
    over: bool,
}

/// Nothing has come for too long from shards that have not ended a round.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("nothing has come for {limit:?}")]
struct Stalled {
    limit: Duration,
}

impl Hosted {
    pub(crate) fn new(post: Arc<Post>, me: Shard, own: usize) -> Self {
        Self { post, me, own, round: 0, over: false }
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
        let mut taken = Vec::new();
        let outcome = self.take_part(step, outgoing, incoming, &mut taken).and_then(|()| {
            self.round = self.round.checked_add(1).ok_or(ExchangeError::TooManyRounds)?;
            Ok(())
        });
        self.post.take(&mut taken);
        if outcome.is_err() {
            self.leave(Left::Failed);
        }
        outcome
    }

    fn take_part(
        &self,
        step: Step,
        outgoing: &mut Outgoing<'_>,
        incoming: &mut Incoming<'_>,
        taken: &mut Vec<Origin>,
    ) -> Result<(), ExchangeError> {
        let (shards, round) = (self.post.shards, self.round);
        let mut arrivals = Arrivals::new(shards, round, step);
        let mut packing = Packing::new(self.me, shards, round, step);
        let mut making = true;
        while making || !packing.ready.is_empty() || !arrivals.complete() {
            let mut made = 0;
            while making && packing.ready.len() < READY && made < BATCH {
                made += 1;
                match outgoing.next() {
                    None => {
                        packing.end(shards);
                        making = false;
                    }
                    Some(Err(source)) => {
                        return Err(ExchangeError::Unmade { round, source: Box::new(source) });
                    }
                    Some(Ok((to, _))) if !shards.contains(to) => {
                        return Err(ExchangeError::NoSuchShard { to, shards });
                    }
                    Some(Ok((to, record))) => packing.record(to, &record),
                }
            }
            // While records are made and none are ready there is nothing to wait for.
            if making && packing.ready.is_empty() {
                self.post.take(taken);
                continue;
            }
            let came = self.post.pass(self.own, &mut packing.ready, taken, &arrivals);
            for (from, origin, parcel) in came.map_err(|stop| self.stopped(stop, &arrivals))? {
                let outcome = self.unpack(from, &parcel, &mut arrivals, incoming);
                taken.push(origin);
                outcome?;
            }
        }
        Ok(())
    }

    fn unpack(
        &self,
        from: Shard,
        parcel: &Parcel,
        arrivals: &mut Arrivals,
        incoming: &mut Incoming<'_>,
    ) -> Result<(), ExchangeError> {
        let malformed = |reason| ExchangeError::Malformed { shard: from, reason };
        let header = parcel.header().map_err(malformed)?;
        for frame in parcel.frames() {
            match frame.map_err(malformed)? {
                Frame::Record(record) => {
                    arrivals.record(from, header.round, header.step, &record)?;
                    incoming(from, record).map_err(|source| ExchangeError::Refused {
                        shard: from,
                        round: self.round,
                        source: Box::new(source),
                    })?;
                }
                Frame::End(tally) => arrivals.end(from, header.round, header.step, tally)?,
                Frame::Left(Left::Ended) => {
                    return Err(ExchangeError::EndedEarly { shard: from, round: self.round });
                }
                Frame::Left(Left::Failed) => {
                    return Err(ExchangeError::Failed { shard: from, round: self.round });
                }
            }
        }
        Ok(())
    }

    fn stopped(&self, stop: Stop, arrivals: &Arrivals) -> ExchangeError {
        let round = self.round;
        let mut missing = arrivals.missing();
        match stop {
            Stop::Lost(lost) => {
                // A shard of the lost worker; one whose part of this round is missing, if there is any.
                let hosted = |shard: &Shard| self.post.host(shard.index()) == lost.worker;
                let shard = missing.find(hosted).or_else(|| self.post.shards.iter().find(hosted));
                ExchangeError::OutOfReach { shard: shard.unwrap_or(self.me), round, source: Box::new(lost) }
            }
            Stop::Stalled => {
                let shard = missing.next().unwrap_or(self.me);
                ExchangeError::OutOfReach {
                    shard,
                    round,
                    source: Box::new(Stalled { limit: self.post.stall }),
                }
            }
        }
    }

    fn leave(&mut self, how: Left) {
        if !self.over {
            self.over = true;
            let last = self.post.shards.iter().map(|to| Parcel::left(self.me, to, self.round, how));
            self.post.leave(self.own, last);
        }
    }
}

impl Exchange for Hosted {
    fn shard(&self) -> Shard {
        self.me
    }

    fn shards(&self) -> Shards {
        self.post.shards
    }

    fn gather(&mut self, mine: Vec<u8>) -> Result<Vec<Vec<u8>>, ExchangeError> {
        gather_by(self.post.shards, mine, |outgoing, incoming| self.round(Step::Gather, outgoing, incoming))
    }

    fn shuffle(
        &mut self,
        outgoing: &mut Outgoing<'_>,
        incoming: &mut Incoming<'_>,
    ) -> Result<(), ExchangeError> {
        self.round(Step::Shuffle, outgoing, incoming)
    }
}

impl Drop for Hosted {
    fn drop(&mut self) {
        self.leave(if thread::panicking() { Left::Failed } else { Left::Ended });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::LossReason;
    use subrosa_risk_propagation::shards::{Record, Tally};

    const LIMIT: Duration = Duration::from_secs(5);

    /// Shard 0 of two, hosted here; shard 1 is hosted elsewhere.
    fn hosted(stall: Duration) -> (Arc<Post>, Hosted) {
        let shards = Shards::new(2).unwrap();
        let names = vec!["here".to_owned(), "there".to_owned()];
        let post = Arc::new(Post::new(shards, names, 0, LIMIT, stall));
        let hosted = Hosted::new(Arc::clone(&post), shards.shard(0).unwrap(), 0);
        (post, hosted)
    }

    /// What a shard sends with these records, each a byte.
    fn parcel(bytes: &[u8], round: u32, step: Step) -> Parcel {
        let shards = Shards::new(2).unwrap();
        let (me, to) = (shards.shard(1).unwrap(), shards.shard(0).unwrap());
        let mut packing = Packing::new(me, shards, round, step);
        bytes.iter().for_each(|&byte| packing.record(to, &Record::new(1, vec![byte]).unwrap()));
        packing.end(shards);
        packing.ready.swap_remove_front(0).unwrap()
    }

    /// What shard 0 sees if these parcels come from shard 1.
    fn outcome(parcels: Vec<Parcel>) -> ExchangeError {
        let (post, mut hosted) = hosted(LIMIT);
        parcels.into_iter().for_each(|parcel| post.deliver((1, 0), 1, 0, parcel));
        let error = hosted.shuffle(&mut std::iter::empty(), &mut |_, _| Ok(())).unwrap_err();
        assert_eq!(error.shard().map(Shard::index), Some(1), "{error}");
        assert!(matches!(hosted.gather(Vec::new()), Err(ExchangeError::Over)));
        // Nothing is held back for a shard that has left.
        assert!(post.is_taken((1, 0)));
        error
    }

    #[test]
    fn a_shard_that_sends_something_else_than_it_announces_is_named() {
        let good = parcel(&[1, 2], 0, Step::Shuffle);
        let start = good.bytes().len() - 1 - Tally::BYTES;
        let with = |change: &dyn Fn(&mut Vec<u8>)| {
            let mut bytes = good.bytes().to_vec();
            change(&mut bytes);
            outcome(vec![Parcel::from_bytes(bytes)])
        };
        let lost = with(&|bytes| drop(bytes.drain(start - 7..start)));
        assert!(matches!(lost, ExchangeError::Count { announced: 2, arrived: 1, .. }), "{lost}");
        let doubled = with(&|bytes| {
            let record = bytes[start - 7..start].to_vec();
            bytes.splice(start..start, record);
        });
        assert!(matches!(doubled, ExchangeError::Count { announced: 2, arrived: 3, .. }), "{doubled}");
        let altered = with(&|bytes| bytes[start - 1] ^= 1);
        assert!(matches!(altered, ExchangeError::Altered { .. }), "{altered}");
        let cut = with(&|bytes| bytes.truncate(start + 3));
        assert!(matches!(cut, ExchangeError::Malformed { .. }), "{cut}");
        let late = outcome(vec![parcel(&[1], 3, Step::Shuffle)]);
        assert!(matches!(late, ExchangeError::OtherRound { found: 3, expected: 0, .. }), "{late}");
        let other = outcome(vec![parcel(&[1], 0, Step::Gather)]);
        assert!(matches!(other, ExchangeError::OtherStep { found: Step::Gather, .. }), "{other}");
    }

    #[test]
    fn a_shard_that_leaves_is_named() {
        let shards = Shards::new(2).unwrap();
        let left = |how| Parcel::left(shards.shard(1).unwrap(), shards.shard(0).unwrap(), 0, how);
        let early = outcome(vec![left(Left::Ended)]);
        assert!(matches!(early, ExchangeError::EndedEarly { round: 0, .. }), "{early}");
        let failed = outcome(vec![left(Left::Failed)]);
        assert!(matches!(failed, ExchangeError::Failed { round: 0, .. }), "{failed}");
    }

    #[test]
    fn a_worker_that_is_lost_and_one_that_waits_for_too_long_are_named() {
        let (post, mut hosted) = hosted(LIMIT);
        post.lose(1, LossReason::Closed);
        let error = hosted.gather(Vec::new()).unwrap_err();
        assert_eq!(
            subrosa_transport::with_causes(&error),
            "shard 1 is out of reach in round 0: worker 1 (`there`) closed its connection"
        );
        let (_, mut hosted) = self::hosted(Duration::from_millis(50));
        let error = hosted.gather(Vec::new()).unwrap_err();
        assert_eq!(
            subrosa_transport::with_causes(&error),
            "shard 0 is out of reach in round 0: nothing has come for 50ms"
        );
    }
}
