//! Faults for tests: what happens to a frame, and ready-made interceptors.

use crate::PartyId;

/// What happens to a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Action {
    /// It arrives, with the changes that the interceptor made.
    Deliver,
    /// It is lost.
    Drop,
    /// It arrives twice.
    Duplicate,
    /// These frames arrive instead of it.
    Replace(Vec<Vec<u8>>),
    /// It arrives right after the next frame that is delivered on its pair; never, if there is none.
    Hold,
    /// It is lost, and its pair is cut in its direction. The sender's calls fail from now on. The receiver's calls fail
    /// when it has received what came before.
    Disconnect,
}

/// Selects a frame by sender, receiver and its number on that pair, counted from zero.
fn meant(pair: (PartyId, PartyId, u64), from: PartyId, to: PartyId, nth: u64) -> bool {
    pair == (from, to, nth)
}

/// An interceptor function; see [`super::Interceptor`].
pub trait Fate: Fn(PartyId, PartyId, u64, &mut Vec<u8>) -> Action + Send + Sync + 'static {}

impl<F: Fn(PartyId, PartyId, u64, &mut Vec<u8>) -> Action + Send + Sync + 'static> Fate for F {}

/// Loses everything that `party` sends after its first `frames` frames to each other party.
pub fn silence_after(party: PartyId, frames: u64) -> impl Fate {
    move |from, _, number, _: &mut Vec<u8>| {
        if from == party && number >= frames { Action::Drop } else { Action::Deliver }
    }
}

/// Cuts every pair from `party` after its first `frames` frames to each other party.
pub fn disconnect_after(party: PartyId, frames: u64) -> impl Fate {
    move |from, _, number, _: &mut Vec<u8>| {
        if from == party && number >= frames { Action::Disconnect } else { Action::Deliver }
    }
}

/// Holds the `nth` frame from one party to another until the next one has passed.
pub fn hold(from: PartyId, to: PartyId, nth: u64) -> impl Fate {
    move |sender, receiver, number, _: &mut Vec<u8>| {
        if meant((sender, receiver, number), from, to, nth) { Action::Hold } else { Action::Deliver }
    }
}

/// Delivers the `nth` frame from one party to another twice.
pub fn duplicate(from: PartyId, to: PartyId, nth: u64) -> impl Fate {
    move |sender, receiver, number, _: &mut Vec<u8>| {
        if meant((sender, receiver, number), from, to, nth) { Action::Duplicate } else { Action::Deliver }
    }
}

/// Cuts the `nth` frame from one party to another to its first `length` bytes.
pub fn truncate(from: PartyId, to: PartyId, nth: u64, length: usize) -> impl Fate {
    move |sender, receiver, number, frame: &mut Vec<u8>| {
        if meant((sender, receiver, number), from, to, nth) {
            frame.truncate(length);
        }
        Action::Deliver
    }
}

/// Flips one bit of the `nth` frame from one party to another. A frame without this bit stays as it is.
pub fn flip_bit(from: PartyId, to: PartyId, nth: u64, bit: usize) -> impl Fate {
    move |sender, receiver, number, frame: &mut Vec<u8>| {
        if meant((sender, receiver, number), from, to, nth)
            && let Some(byte) = frame.get_mut(bit / 8)
        {
            *byte ^= 1 << (bit % 8);
        }
        Action::Deliver
    }
}

/// Puts `frame` in the place of the `nth` frame from one party to another.
pub fn replace(from: PartyId, to: PartyId, nth: u64, frame: Vec<u8>) -> impl Fate {
    move |sender, receiver, number, _: &mut Vec<u8>| {
        if meant((sender, receiver, number), from, to, nth) {
            Action::Replace(vec![frame.clone()])
        } else {
            Action::Deliver
        }
    }
}

/// Delivers `frame` before the `nth` frame from one party to another.
pub fn inject(from: PartyId, to: PartyId, nth: u64, frame: Vec<u8>) -> impl Fate {
    move |sender, receiver, number, genuine: &mut Vec<u8>| {
        if meant((sender, receiver, number), from, to, nth) {
            Action::Replace(vec![frame.clone(), std::mem::take(genuine)])
        } else {
            Action::Deliver
        }
    }
}
