//! The queues between the protocol and the handles of one peer.

use std::{
    collections::VecDeque,
    mem,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use super::{ChannelLimits, NoFrame, PushRefusal};
use crate::{
    Deadline, Fault,
    wiped::{Wiped, cost},
};

/// Frames in both directions. The protocol waits here on one side, threads and tasks of the application on the other.
pub(super) struct Link {
    limits: ChannelLimits,
    state: Mutex<State>,
    /// For the threads that wait; tasks leave a waker.
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// Frames that were pushed and not received.
    inbox: Queue,
    /// Frames that were sent and not taken.
    outbox: Queue,
    /// Why the peer has ended. Nothing more comes from it, and nothing can be sent to it.
    over: Option<Fault>,
    /// Nobody takes frames to the peer any more.
    untaken: bool,
    /// The transport was dropped.
    left: bool,
    /// Counts pushes that were refused.
    refused: u64,
    /// Tasks that wait for room in the inbox.
    pushers: Vec<Waker>,
    /// The task that waits for a frame in the outbox.
    taker: Option<Waker>,
}

/// Frames with the memory that they count for.
#[derive(Default)]
struct Queue {
    frames: VecDeque<Wiped>,
    bytes: usize,
}

impl Queue {
    fn has_room(&self, length: usize, limit: usize) -> bool {
        self.bytes.saturating_add(cost(length)) <= limit
    }

    fn push(&mut self, frame: Wiped) {
        self.bytes = self.bytes.saturating_add(cost(frame.len()));
        self.frames.push_back(frame);
    }

    fn pop(&mut self) -> Option<Wiped> {
        let frame = self.frames.pop_front()?;
        self.bytes = self.bytes.saturating_sub(cost(frame.len()));
        Some(frame)
    }
}

impl State {
    /// All threads and tasks that wait on the application's side.
    fn waiting(&mut self) -> Vec<Waker> {
        let mut wakers = mem::take(&mut self.pushers);
        wakers.extend(self.taker.take());
        wakers
    }

    /// Takes a frame, or returns why not; the frame then stays where it is. A push that can wait for room is not
    /// counted as refused.
    fn accept(&mut self, frame: &mut Wiped, limits: &ChannelLimits) -> Result<(), PushRefusal> {
        if self.over.is_some() || self.left {
            return Err(PushRefusal::Closed);
        }
        if frame.len() > limits.max_frame {
            return Err(PushRefusal::TooLarge { bytes: frame.len(), limit: limits.max_frame });
        }
        if !self.inbox.has_room(frame.len(), limits.max_unread) {
            return Err(PushRefusal::Full { waiting: self.inbox.bytes, limit: limits.max_unread });
        }
        self.inbox.push(mem::take(frame));
        Ok(())
    }

    fn next(&mut self) -> Result<Wiped, NoFrame> {
        match self.outbox.pop() {
            Some(frame) => Ok(frame),
            None if self.over.is_some() || self.left => Err(NoFrame::Ended),
            None => Err(NoFrame::Yet),
        }
    }
}

impl Link {
    pub(super) fn new(limits: ChannelLimits) -> Self {
        Self { limits, state: Mutex::default(), changed: Condvar::new() }
    }

    pub(super) fn limits(&self) -> &ChannelLimits {
        &self.limits
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A thread that panics while it holds the lock leaves nothing half done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>, deadline: Deadline) -> MutexGuard<'a, State> {
        self.changed.wait_timeout(state, deadline.remaining()).unwrap_or_else(PoisonError::into_inner).0
    }

    /// Tells threads and tasks that something has changed. The lock is not held, because wakers are foreign code.
    fn wake(&self, state: MutexGuard<'_, State>, wakers: impl IntoIterator<Item = Waker>) {
        drop(state);
        self.changed.notify_all();
        wakers.into_iter().for_each(Waker::wake);
    }

    /// For the protocol: queues a frame.
    pub(super) fn send(&self, frame: &[u8]) -> Result<(), Fault> {
        let limit = self.limits.max_frame;
        if frame.len() > limit {
            return Err(Fault::TooLarge { bytes: frame.len() as u64, limit: limit as u64 });
        }
        let mut state = self.lock();
        if let Some(fault) = &state.over {
            return Err(fault.clone());
        }
        if state.untaken {
            return Err(Fault::Disconnected);
        }
        if !state.outbox.has_room(frame.len(), self.limits.max_unsent) {
            let waiting = state.outbox.bytes;
            let fault = Fault::Failed(format!("{waiting} bytes of frames wait for it, no more are kept"));
            state.over = Some(fault.clone());
            state.outbox = Queue::default();
            let wakers = state.waiting();
            self.wake(state, wakers);
            return Err(fault);
        }
        state.outbox.push(frame.to_vec().into());
        let taker = state.taker.take();
        self.wake(state, taker);
        Ok(())
    }

    /// For the protocol: the next frame that was pushed.
    pub(super) fn receive(&self, deadline: Deadline) -> Result<Vec<u8>, Fault> {
        let mut state = self.lock();
        loop {
            if let Some(mut frame) = state.inbox.pop() {
                let pushers = mem::take(&mut state.pushers);
                self.wake(state, pushers);
                return Ok(mem::take(&mut *frame));
            }
            if let Some(fault) = &state.over {
                return Err(fault.clone());
            }
            if deadline.has_passed() {
                return Err(Fault::TimedOut);
            }
            state = self.wait(state, deadline);
        }
    }

    /// Marks that the transport was dropped. The frames that it sent are still taken.
    pub(super) fn leave(&self) {
        let mut state = self.lock();
        state.left = true;
        state.inbox = Queue::default();
        let wakers = state.waiting();
        self.wake(state, wakers);
    }

    pub(super) fn refused(&self) -> u64 {
        self.lock().refused
    }

    /// For the application: hands a frame to the protocol, by the deadline. The frame is taken out of its place unless
    /// it is refused.
    pub(super) fn push(&self, frame: &mut Wiped, deadline: Deadline) -> Result<(), PushRefusal> {
        let mut state = self.lock();
        loop {
            match state.accept(frame, &self.limits) {
                Err(PushRefusal::Full { .. }) if !deadline.has_passed() => state = self.wait(state, deadline),
                done => return self.pushed(state, done),
            }
        }
    }

    /// As [`Link::push`], for a task.
    pub(super) fn poll_push(
        &self,
        frame: &mut Wiped,
        context: &mut Context<'_>,
    ) -> Poll<Result<(), PushRefusal>> {
        let mut state = self.lock();
        match state.accept(frame, &self.limits) {
            Err(PushRefusal::Full { .. }) => {
                if !state.pushers.iter().any(|waker| waker.will_wake(context.waker())) {
                    state.pushers.push(context.waker().clone());
                }
                Poll::Pending
            }
            done => Poll::Ready(self.pushed(state, done)),
        }
    }

    fn pushed(
        &self,
        mut state: MutexGuard<'_, State>,
        done: Result<(), PushRefusal>,
    ) -> Result<(), PushRefusal> {
        let mut wakers = Vec::new();
        if let Err(refusal) = &done {
            state.refused = state.refused.saturating_add(1);
            if let PushRefusal::TooLarge { bytes, limit } = refusal {
                // A frame is missing from now on, so the peer cannot go on.
                let rule = format!("it sent a frame of {bytes} bytes, more than the limit of {limit}");
                state.over.get_or_insert(Fault::Broken(rule));
                wakers = state.waiting();
            }
        }
        self.wake(state, wakers);
        done
    }

    /// The peer has ended. The first reason stays.
    pub(super) fn end(&self, fault: Fault) {
        let mut state = self.lock();
        state.over.get_or_insert(fault);
        let wakers = state.waiting();
        self.wake(state, wakers);
    }

    /// For the application: the next frame for the peer, by the deadline.
    pub(super) fn take(&self, deadline: Deadline) -> Result<Wiped, NoFrame> {
        let mut state = self.lock();
        loop {
            match state.next() {
                Err(NoFrame::Yet) if !deadline.has_passed() => state = self.wait(state, deadline),
                next => return next,
            }
        }
    }

    /// As [`Link::take`], for a task.
    pub(super) fn poll_take(&self, context: &mut Context<'_>) -> Poll<Option<Wiped>> {
        let mut state = self.lock();
        match state.next() {
            Ok(frame) => Poll::Ready(Some(frame)),
            Err(NoFrame::Ended) => Poll::Ready(None),
            Err(NoFrame::Yet) => {
                state.taker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }

    /// Nobody takes frames to the peer any more.
    pub(super) fn abandon(&self) {
        let mut state = self.lock();
        state.untaken = true;
        state.outbox = Queue::default();
    }
}
