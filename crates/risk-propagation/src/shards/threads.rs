//! Shards on threads of one process.

use std::collections::VecDeque;
use std::mem;
use std::num::NonZeroUsize;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use super::{
    Arrivals, Exchange, ExchangeError, Incoming, Outgoing, Record, Shard, Shards, Step, Tally, gather_by,
};

/// Records that a queue between two shards holds at most, unless said otherwise.
const CAPACITY: NonZeroUsize = NonZeroUsize::MIN.saturating_add(255);

/// Records that are made or taken from one queue before the lock is given up.
const BATCH: usize = 32;

/// One shard's end of an exchange among threads of one process.
///
/// Each pair of shards has a queue of bounded length. A shard that waits for room in one takes what has come to it meanwhile, so that no
/// two wait for each other. A shard whose end is dropped has ended: others that still wait for it fail.
///
/// Nothing limits how long a shard may compute between two rounds, while the others wait.
#[derive(Debug)]
pub struct Threads {
    hub: Arc<Hub>,
    me: Shard,
    round: u32,
    over: bool,
}

#[derive(Debug)]
struct Hub {
    shards: Shards,
    capacity: usize,
    state: Mutex<State>,
    /// By shard: something has come to it, or there is room in a queue from it, or a shard has left.
    changed: Vec<Condvar>,
}

#[derive(Debug)]
struct State {
    /// By sender, then receiver.
    queues: Vec<VecDeque<Message>>,
    left: Vec<Option<Left>>,
}

#[derive(Debug)]
struct Message {
    round: u32,
    step: Step,
    content: Content,
}

#[derive(Debug)]
enum Content {
    Record(Record),
    End(Tally),
}

/// How a shard left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Left {
    Ended,
    Failed,
}

impl Left {
    fn error(self, shard: Shard, round: u32) -> ExchangeError {
        match self {
            Self::Ended => ExchangeError::EndedEarly { shard, round },
            Self::Failed => ExchangeError::Failed { shard, round },
        }
    }
}

/// What one shard has made and not yet sent in a round.
#[derive(Debug)]
struct Sending {
    round: u32,
    step: Step,
    staged: VecDeque<(Shard, Record)>,
    tallies: Vec<Tally>,
    /// Whether more may be made.
    making: bool,
    ended: bool,
}

impl Threads {
    /// The ends of all shards, in order.
    #[must_use]
    pub fn network(shards: Shards) -> Vec<Self> {
        Self::network_with_capacity(shards, CAPACITY)
    }

    /// The ends of all shards, in order, with queues of at most `capacity` records between each two.
    #[must_use]
    pub fn network_with_capacity(shards: Shards, capacity: NonZeroUsize) -> Vec<Self> {
        let count = shards.count();
        let state =
            State { queues: (0..count * count).map(|_| VecDeque::new()).collect(), left: vec![None; count] };
        let hub = Arc::new(Hub {
            shards,
            capacity: capacity.get(),
            state: Mutex::new(state),
            changed: (0..count).map(|_| Condvar::new()).collect(),
        });
        shards.iter().map(|me| Self { hub: Arc::clone(&hub), me, round: 0, over: false }).collect()
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
        let outcome = self.take_part(step, outgoing, incoming).and_then(|()| {
            self.round = self.round.checked_add(1).ok_or(ExchangeError::TooManyRounds)?;
            Ok(())
        });
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
    ) -> Result<(), ExchangeError> {
        let (shards, round) = (self.hub.shards, self.round);
        let mut arrivals = Arrivals::new(shards, round, step);
        let mut sending = Sending {
            round,
            step,
            staged: VecDeque::with_capacity(BATCH),
            tallies: vec![Tally::default(); shards.count()],
            making: true,
            ended: false,
        };
        while !sending.ended || !arrivals.complete() {
            while sending.making && sending.staged.len() < BATCH {
                match outgoing.next() {
                    None => sending.making = false,
                    Some(Err(source)) => {
                        return Err(ExchangeError::Unmade { round, source: Box::new(source) });
                    }
                    Some(Ok((to, record))) => {
                        let tally = sending.tallies.get_mut(to.index());
                        tally.ok_or(ExchangeError::NoSuchShard { to, shards })?.count(&record);
                        sending.staged.push_back((to, record));
                    }
                }
            }
            for (from, message) in self.hub.pass(self.me, &mut sending, &arrivals)? {
                match message.content {
                    Content::End(tally) => arrivals.end(from, message.round, message.step, tally)?,
                    Content::Record(record) => {
                        arrivals.record(from, message.round, message.step, &record)?;
                        incoming(from, record).map_err(|source| ExchangeError::Refused {
                            shard: from,
                            round,
                            source: Box::new(source),
                        })?;
                    }
                }
            }
        }
        Ok(())
    }

    fn leave(&mut self, how: Left) {
        if !mem::replace(&mut self.over, true) {
            if let Some(left) = self.hub.lock().left.get_mut(self.me.index()) {
                *left = Some(how);
            }
            self.hub.changed.iter().for_each(Condvar::notify_all);
        }
    }
}

impl Hub {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing is left half done when a thread panics while it holds the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends what there is room for, and takes what has come, of those who have not ended the round. Waits until there is either.
    fn pass(
        &self,
        me: Shard,
        sending: &mut Sending,
        arrivals: &Arrivals,
    ) -> Result<Vec<(Shard, Message)>, ExchangeError> {
        let mut state = self.lock();
        loop {
            let sent = self.send(&mut state, me, sending)?;
            let mut came = Vec::new();
            for from in arrivals.missing() {
                self.receive(&mut state, from, me, &mut came);
                let nothing = came.last().is_none_or(|(shard, _)| *shard != from);
                if let (true, Some(left)) = (nothing, state.left[from.index()]) {
                    return Err(left.error(from, sending.round));
                }
            }
            if sent || !came.is_empty() {
                return Ok(came);
            }
            state = self.changed[me.index()].wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Whether anything could be sent.
    fn send(&self, state: &mut State, me: Shard, sending: &mut Sending) -> Result<bool, ExchangeError> {
        let (round, step) = (sending.round, sending.step);
        let mut any = false;
        while let Some((to, _)) = sending.staged.front() {
            if let Some(left) = state.left[to.index()] {
                return Err(left.error(*to, round));
            }
            let to = *to;
            let queue = &mut state.queues[self.between(me, to)];
            if queue.len() >= self.capacity {
                return Ok(any);
            }
            if let Some((_, record)) = sending.staged.pop_front() {
                queue.push_back(Message { round, step, content: Content::Record(record) });
            }
            self.changed[to.index()].notify_all();
            any = true;
        }
        if !sending.making && !mem::replace(&mut sending.ended, true) {
            // An end takes no room: there is at most one for each round, and one round ahead.
            for (to, tally) in self.shards.iter().zip(&sending.tallies) {
                let end = Message { round, step, content: Content::End(*tally) };
                state.queues[self.between(me, to)].push_back(end);
                self.changed[to.index()].notify_all();
            }
            any = true;
        }
        Ok(any)
    }

    /// Takes some of what one shard has sent, up to the end of its round.
    fn receive(&self, state: &mut State, from: Shard, me: Shard, came: &mut Vec<(Shard, Message)>) {
        let queue = &mut state.queues[self.between(from, me)];
        for _ in 0..BATCH {
            let Some(message) = queue.pop_front() else { break };
            let end = matches!(message.content, Content::End(_));
            came.push((from, message));
            self.changed[from.index()].notify_all();
            if end {
                break;
            }
        }
    }

    fn between(&self, from: Shard, to: Shard) -> usize {
        from.index() * self.shards.count() + to.index()
    }
}

impl Exchange for Threads {
    fn shard(&self) -> Shard {
        self.me
    }

    fn shards(&self) -> Shards {
        self.hub.shards
    }

    fn gather(&mut self, mine: Vec<u8>) -> Result<Vec<Vec<u8>>, ExchangeError> {
        gather_by(self.hub.shards, mine, |outgoing, incoming| self.round(Step::Gather, outgoing, incoming))
    }

    fn shuffle(
        &mut self,
        outgoing: &mut Outgoing<'_>,
        incoming: &mut Incoming<'_>,
    ) -> Result<(), ExchangeError> {
        self.round(Step::Shuffle, outgoing, incoming)
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.leave(if thread::panicking() { Left::Failed } else { Left::Ended });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What shard 0 of two sees if shard 1 sends these messages in round 0 and leaves.
    fn outcome(messages: Vec<Message>) -> ExchangeError {
        let mut network = Threads::network(Shards::new(2).unwrap());
        let (one, mut zero) = (network.pop().unwrap(), network.pop().unwrap());
        let place = one.hub.between(one.me, zero.me);
        one.hub.lock().queues[place].extend(messages);
        drop(one);
        let error = zero.shuffle(&mut std::iter::empty(), &mut |_, _| Ok(())).unwrap_err();
        assert_eq!(error.shard().map(Shard::index), Some(1), "{error}");
        assert!(matches!(zero.gather(Vec::new()), Err(ExchangeError::Over)));
        error
    }

    fn record(round: u32, byte: u8) -> Message {
        let content = Content::Record(Record::new(1, vec![byte]).unwrap());
        Message { round, step: Step::Shuffle, content }
    }

    fn end(step: Step, bytes: &[u8]) -> Message {
        let mut tally = Tally::default();
        bytes.iter().for_each(|&byte| tally.count(&Record::new(1, vec![byte]).unwrap()));
        Message { round: 0, step, content: Content::End(tally) }
    }

    #[test]
    fn a_shard_that_sends_something_else_than_it_announces_is_named() {
        let shuffle = Step::Shuffle;
        let lost = outcome(vec![record(0, 1), end(shuffle, &[1, 2])]);
        assert!(matches!(lost, ExchangeError::Count { announced: 2, arrived: 1, .. }), "{lost}");
        let doubled = outcome(vec![record(0, 1), record(0, 1), end(shuffle, &[1])]);
        assert!(matches!(doubled, ExchangeError::Count { announced: 1, arrived: 2, .. }), "{doubled}");
        let altered = outcome(vec![record(0, 3), end(shuffle, &[1])]);
        assert!(matches!(altered, ExchangeError::Altered { round: 0, .. }), "{altered}");
        let late = outcome(vec![record(9, 1), end(shuffle, &[1])]);
        assert!(matches!(late, ExchangeError::OtherRound { found: 9, expected: 0, .. }), "{late}");
        let other = outcome(vec![end(Step::Gather, &[])]);
        assert!(matches!(other, ExchangeError::OtherStep { found: Step::Gather, .. }), "{other}");
        let early = outcome(vec![record(0, 1)]);
        assert!(matches!(early, ExchangeError::EndedEarly { round: 0, .. }), "{early}");
    }

    #[test]
    fn a_shard_that_panics_has_failed() {
        let mut network = Threads::network(Shards::new(2).unwrap());
        let (mut one, mut zero) = (network.pop().unwrap(), network.pop().unwrap());
        let panicked = thread::spawn(move || {
            let _ = one.shuffle(&mut std::iter::empty(), &mut |_, _| Ok(()));
            panic!("of the test");
        });
        zero.shuffle(&mut std::iter::empty(), &mut |_, _| Ok(())).unwrap();
        assert!(panicked.join().is_err());
        let error = zero.gather(Vec::new()).unwrap_err();
        assert!(matches!(error, ExchangeError::Failed { shard, round: 1 } if shard.index() == 1), "{error}");
    }
}
