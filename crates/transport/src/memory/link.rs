//! One direction between two parties.

use std::{
    sync::mpsc::{Receiver, RecvTimeoutError, Sender, TryRecvError, channel},
    time::{Duration, Instant},
};

use super::Action;
use crate::{Deadline, Fault, PartyId};

/// How frames travel.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct LinkModel {
    pub(super) latency: Duration,
    /// Zero for unlimited.
    pub(super) bits_per_second: u64,
    /// The longest random delay.
    pub(super) jitter: Duration,
    pub(super) seed: u64,
}

#[derive(Debug)]
struct Parcel {
    /// Time of arrival.
    at: Instant,
    frame: Vec<u8>,
}

/// The sender's end.
#[derive(Debug)]
pub(super) struct Outbox {
    model: LinkModel,
    /// `None` once the link is cut.
    channel: Option<Sender<Parcel>>,
    /// The number of the next frame.
    count: u64,
    /// Time at which the link has sent all queued frames.
    free_at: Instant,
    /// Time of arrival of the latest frame. No frame overtakes it.
    last_at: Instant,
    random: u64,
    /// Frames that wait for the next one.
    held: Vec<Vec<u8>>,
}

/// The receiver's end.
#[derive(Debug)]
pub(super) struct Inbox {
    channel: Receiver<Parcel>,
    /// A frame that was taken from the channel and has not arrived yet.
    next: Option<Parcel>,
    disconnected: bool,
}

pub(super) fn link(model: LinkModel, from: PartyId, to: PartyId) -> (Outbox, Inbox) {
    let (sender, receiver) = channel();
    let now = Instant::now();
    // Every link has delays of its own.
    let random = model.seed ^ ((from.index() as u64) << 32) ^ ((to.index() as u64) << 48);
    let outbox = Outbox {
        model,
        channel: Some(sender),
        count: 0,
        free_at: now,
        last_at: now,
        random,
        held: Vec::new(),
    };
    (outbox, Inbox { channel: receiver, next: None, disconnected: false })
}

impl Outbox {
    /// Takes the number of the next frame.
    pub(super) fn count(&mut self) -> u64 {
        let number = self.count;
        self.count += 1;
        number
    }

    pub(super) fn carry(&mut self, frame: Vec<u8>, action: Action) -> Result<(), Fault> {
        if self.channel.is_none() {
            return Err(Fault::Disconnected);
        }
        match action {
            Action::Deliver => self.dispatch(frame)?,
            Action::Drop => return Ok(()),
            Action::Duplicate => {
                self.dispatch(frame.clone())?;
                self.dispatch(frame)?;
            }
            Action::Replace(frames) => {
                for frame in frames {
                    self.dispatch(frame)?;
                }
            }
            Action::Hold => {
                self.held.push(frame);
                return Ok(());
            }
            Action::Disconnect => {
                self.channel = None;
                return Err(Fault::Disconnected);
            }
        }
        for frame in std::mem::take(&mut self.held) {
            self.dispatch(frame)?;
        }
        Ok(())
    }

    fn dispatch(&mut self, frame: Vec<u8>) -> Result<(), Fault> {
        let now = Instant::now();
        let bits = (frame.len() as u64).saturating_mul(8);
        let nanoseconds = u128::from(bits) * 1_000_000_000;
        let busy = nanoseconds.checked_div(u128::from(self.model.bits_per_second)).unwrap_or(0);
        let busy = Duration::from_nanos(u64::try_from(busy).unwrap_or(u64::MAX));
        self.free_at = later(self.free_at.max(now), busy);
        let at = later(later(self.free_at, self.model.latency), self.random_delay()).max(self.last_at);
        self.last_at = at;
        let channel = self.channel.as_ref().ok_or(Fault::Disconnected)?;
        channel.send(Parcel { at, frame }).map_err(|_| Fault::Disconnected)
    }

    /// `SplitMix64` (Steele, Lea, Flood 2014): good enough to shuffle, and the same for the same seed everywhere.
    fn random_delay(&mut self) -> Duration {
        if self.model.jitter.is_zero() {
            return Duration::ZERO;
        }
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        // The upper 32 bits as a fraction of the longest delay.
        let nanoseconds = (self.model.jitter.as_nanos() * u128::from(z >> 32)) >> 32;
        Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX))
    }
}

fn later(instant: Instant, by: Duration) -> Instant {
    instant.checked_add(by).unwrap_or(instant)
}

impl Inbox {
    pub(super) fn receive(&mut self, deadline: Deadline) -> Result<Vec<u8>, Fault> {
        if self.next.is_none() {
            self.next = Some(self.take(deadline)?);
        }
        // Filled just above.
        let Some(parcel) = self.next.take() else { return Err(Fault::TimedOut) };
        let now = Instant::now();
        if parcel.at > now {
            if parcel.at > deadline.instant() {
                self.next = Some(parcel);
                std::thread::sleep(deadline.remaining());
                return Err(Fault::TimedOut);
            }
            std::thread::sleep(parcel.at.saturating_duration_since(now));
        }
        Ok(parcel.frame)
    }

    fn take(&mut self, deadline: Deadline) -> Result<Parcel, Fault> {
        if self.disconnected {
            return Err(Fault::Disconnected);
        }
        let remaining = deadline.remaining();
        let result = if remaining.is_zero() {
            self.channel.try_recv().map_err(|error| match error {
                TryRecvError::Empty => Fault::TimedOut,
                TryRecvError::Disconnected => Fault::Disconnected,
            })
        } else {
            self.channel.recv_timeout(remaining).map_err(|error| match error {
                RecvTimeoutError::Timeout => Fault::TimedOut,
                RecvTimeoutError::Disconnected => Fault::Disconnected,
            })
        };
        self.disconnected = matches!(result, Err(Fault::Disconnected));
        result
    }
}
