//! What the threads of one worker share: parcels on their way, and whether the run goes on.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::Thread;
use std::time::{Duration, Instant};

use crate::error::{LossReason, LostWorker};
use crate::parcel::Parcel;
use subrosa_risk_propagation::shards::{Arrivals, Shard, Shards};

/// Bytes that the shards of a worker have handed over and the engine has not sent: more wait.
const OUTBOX: usize = 4 << 20;

/// The sending worker, and the time at which the engine sent.
pub(crate) type Origin = (usize, u64);

/// The threads of one worker meet here: those of its shards, the engine's, and those of its connections.
#[derive(Debug)]
pub(crate) struct Post {
    pub(crate) shards: Shards,
    /// Names of the workers.
    pub(crate) names: Vec<String>,
    pub(crate) me: usize,
    pub(crate) silence: Duration,
    pub(crate) stall: Duration,
    state: Mutex<State>,
    /// By own shard: something has come, or there is room, or the run has failed.
    changed: Vec<Condvar>,
    /// The run has failed, or the engine has ended.
    ended: Condvar,
    engine: OnceLock<Thread>,
}

#[derive(Debug)]
struct State {
    outbox: VecDeque<Parcel>,
    outbox_bytes: usize,
    /// By own shard.
    inboxes: Vec<Inbox>,
    /// Parcels that have come and are not taken.
    untaken: BTreeMap<Origin, usize>,
    /// Own shards that have not left.
    open: usize,
    failure: Option<LostWorker>,
    /// Whether the engine has ended.
    finished: bool,
    /// Threads that still have to tell other workers that the run has failed.
    messengers: usize,
}

#[derive(Debug)]
struct Inbox {
    /// By sender.
    queues: Vec<VecDeque<(Origin, Parcel)>>,
    open: bool,
}

/// Why a shard cannot go on.
#[derive(Debug)]
pub(crate) enum Stop {
    Lost(LostWorker),
    /// Nothing moved for as long as `stall`.
    Stalled,
}

impl Post {
    pub(crate) fn new(
        shards: Shards,
        names: Vec<String>,
        me: usize,
        silence: Duration,
        stall: Duration,
    ) -> Self {
        let own = shards.iter().filter(|shard| shard.index() % names.len() == me).count();
        let inbox = || Inbox { queues: shards.iter().map(|_| VecDeque::new()).collect(), open: true };
        let state = State {
            outbox: VecDeque::new(),
            outbox_bytes: 0,
            inboxes: (0..own).map(|_| inbox()).collect(),
            untaken: BTreeMap::new(),
            open: own,
            failure: None,
            finished: false,
            messengers: 0,
        };
        Self {
            shards,
            names,
            me,
            silence,
            stall,
            state: Mutex::new(state),
            changed: (0..own).map(|_| Condvar::new()).collect(),
            ended: Condvar::new(),
            engine: OnceLock::new(),
        }
    }

    pub(crate) fn workers(&self) -> usize {
        self.names.len()
    }

    /// The worker that hosts a shard.
    pub(crate) fn host(&self, shard: usize) -> usize {
        shard % self.workers()
    }

    /// The shards that this worker hosts, in order.
    pub(crate) fn own(&self) -> impl Iterator<Item = Shard> {
        self.shards.iter().filter(|shard| self.host(shard.index()) == self.me)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing is left half done when a thread panics while it holds the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    // What shards do.

    /// Hands over what there is room for, and takes up to a parcel of each shard that has not ended the round. Waits until there is
    /// either.
    pub(crate) fn pass(
        &self,
        own: usize,
        ready: &mut VecDeque<Parcel>,
        taken: &mut Vec<Origin>,
        arrivals: &Arrivals,
    ) -> Result<Vec<(Shard, Origin, Parcel)>, Stop> {
        let started = Instant::now();
        let mut state = self.lock();
        self.settle(&mut state, taken);
        loop {
            if let Some(lost) = &state.failure {
                return Err(Stop::Lost(lost.clone()));
            }
            let mut sent = false;
            while state.outbox_bytes < OUTBOX
                && let Some(parcel) = ready.pop_front()
            {
                state.outbox_bytes += parcel.bytes().len();
                state.outbox.push_back(parcel);
                sent = true;
            }
            if sent {
                self.wake_engine();
            }
            let mut came = Vec::new();
            if let Some(inbox) = state.inboxes.get_mut(own) {
                came.extend(arrivals.missing().filter_map(|from| {
                    let (origin, parcel) = inbox.queues.get_mut(from.index())?.pop_front()?;
                    Some((from, origin, parcel))
                }));
            }
            if sent || !came.is_empty() {
                return Ok(came);
            }
            let remaining = self.stall.saturating_sub(started.elapsed());
            let Some(changed) = self.changed.get(own).filter(|_| !remaining.is_zero()) else {
                return Err(Stop::Stalled);
            };
            state = changed.wait_timeout(state, remaining).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Parcels have been taken: the engine may ask the senders for more.
    pub(crate) fn take(&self, taken: &mut Vec<Origin>) {
        if !taken.is_empty() {
            self.settle(&mut self.lock(), taken);
        }
    }

    fn settle(&self, state: &mut State, taken: &mut Vec<Origin>) {
        let mut empty = false;
        for origin in taken.drain(..) {
            if let Some(count) = state.untaken.get_mut(&origin) {
                *count -= 1;
                if *count == 0 {
                    state.untaken.remove(&origin);
                    empty = true;
                }
            }
        }
        if empty {
            self.wake_engine();
        }
    }

    /// A shard leaves with its last parcels. What comes for it from now on is dropped.
    pub(crate) fn leave(&self, own: usize, last: impl Iterator<Item = Parcel>) {
        let mut state = self.lock();
        for parcel in last {
            state.outbox_bytes += parcel.bytes().len();
            state.outbox.push_back(parcel);
        }
        let Some(inbox) = state.inboxes.get_mut(own) else { return };
        if std::mem::take(&mut inbox.open) {
            let mut left: Vec<Origin> =
                inbox.queues.iter_mut().flat_map(|queue| queue.drain(..)).map(|(origin, _)| origin).collect();
            state.open -= 1;
            self.settle(&mut state, &mut left);
        }
        self.wake_engine();
    }

    // What the engine does.

    pub(crate) fn set_engine(&self, thread: Thread) {
        // There is one engine in a run.
        let _ = self.engine.set(thread);
    }

    fn wake_engine(&self) {
        if let Some(engine) = self.engine.get() {
            engine.unpark();
        }
    }

    /// The next parcel to send, if `may` allows it.
    pub(crate) fn next_parcel(&self, may: impl FnOnce(&Parcel) -> bool) -> Option<Parcel> {
        let mut state = self.lock();
        if !state.outbox.front().is_some_and(may) {
            return None;
        }
        let parcel = state.outbox.pop_front()?;
        let full = state.outbox_bytes >= OUTBOX;
        state.outbox_bytes = state.outbox_bytes.saturating_sub(parcel.bytes().len());
        if full && state.outbox_bytes < OUTBOX {
            self.changed.iter().for_each(Condvar::notify_all);
        }
        Some(parcel)
    }

    pub(crate) fn deliver(&self, origin: Origin, from: usize, own: usize, parcel: Parcel) {
        let mut state = self.lock();
        let inbox = state.inboxes.get_mut(own).filter(|inbox| inbox.open);
        if let Some(queue) = inbox.and_then(|inbox| inbox.queues.get_mut(from)) {
            queue.push_back((origin, parcel));
            *state.untaken.entry(origin).or_default() += 1;
            self.changed.iter().skip(own).take(1).for_each(Condvar::notify_all);
        }
    }

    /// Whether everything that came from there at that time is taken.
    pub(crate) fn is_taken(&self, origin: Origin) -> bool {
        !self.lock().untaken.contains_key(&origin)
    }

    /// Whether no own shard will send any more.
    pub(crate) fn all_left(&self) -> bool {
        let state = self.lock();
        state.open == 0 && state.outbox.is_empty()
    }

    pub(crate) fn finish(&self) {
        self.lock().finished = true;
        self.ended.notify_all();
    }

    // What connections do.

    /// A worker is lost, and with it the run. The first loss counts.
    pub(crate) fn lose(&self, worker: usize, reason: LossReason) {
        let name = self.names.get(worker).cloned().unwrap_or_default();
        let mut state = self.lock();
        state.failure.get_or_insert(LostWorker { worker, name, reason });
        drop(state);
        self.changed.iter().for_each(Condvar::notify_all);
        self.ended.notify_all();
        self.wake_engine();
    }

    pub(crate) fn failure(&self) -> Option<LostWorker> {
        self.lock().failure.clone()
    }

    /// Waits for a failure; none after that time, or when the engine has ended.
    pub(crate) fn wait_for_failure(&self, longest: Duration) -> Option<LostWorker> {
        let state = self.lock();
        let goes_on = |state: &mut State| state.failure.is_none() && !state.finished;
        let waited = self.ended.wait_timeout_while(state, longest, goes_on);
        waited.unwrap_or_else(PoisonError::into_inner).0.failure.clone()
    }

    /// Waits until the engine has ended or the run has failed.
    pub(crate) fn wait_for_end(&self) -> Result<(), LostWorker> {
        let state = self.lock();
        let goes_on = |state: &mut State| state.failure.is_none() && !state.finished;
        let state = self.ended.wait_while(state, goes_on).unwrap_or_else(PoisonError::into_inner);
        state.failure.clone().map_or(Ok(()), Err)
    }

    pub(crate) fn add_messenger(&self) {
        self.lock().messengers += 1;
    }

    pub(crate) fn messenger_ends(&self) {
        self.lock().messengers -= 1;
        self.ended.notify_all();
    }

    /// Waits until the other workers have been told of a failure, as far as they can be.
    pub(crate) fn wait_for_messengers(&self, longest: Duration) {
        let state = self.lock();
        // A worker that was lost may never be told: its messenger waits for room in a connection.
        drop(self.ended.wait_timeout_while(state, longest, |state| state.messengers > 0));
    }
}
