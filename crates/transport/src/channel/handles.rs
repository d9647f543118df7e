//! The handles of the application.

use std::{
    fmt,
    future::poll_fn,
    ops::Deref,
    sync::Arc,
    task::{Context, Poll},
};

use super::link::Link;
use crate::session::clean;
use crate::{Deadline, Fault, PartyId, wiped::Wiped};

/// The application's handles for one peer. A task that reads and a task that writes can each take one: `let Peer {
/// incoming, outgoing, .. } = peer;`.
#[derive(Debug)]
#[non_exhaustive]
pub struct Peer {
    /// The peer.
    pub party: PartyId,
    /// Its name in the roster.
    pub name: String,
    /// Takes the frames that come from the peer.
    pub incoming: Incoming,
    /// Yields the frames for the peer.
    pub outgoing: Outgoing,
}

impl Peer {
    pub(super) fn new(party: PartyId, name: String, link: &Arc<Link>) -> Self {
        let incoming = Incoming { party, pusher: Arc::new(Pusher(Arc::clone(link))) };
        Self { party, name, incoming, outgoing: Outgoing { party, link: Arc::clone(link) } }
    }
}

/// Takes the frames that come from one peer, and hands them to the protocol in the order of the calls.
///
/// A clone is another handle of the same peer. When the last clone is dropped, the peer counts as disconnected.
#[derive(Clone)]
pub struct Incoming {
    party: PartyId,
    pusher: Arc<Pusher>,
}

/// Shared by the clones of a handle.
struct Pusher(Arc<Link>);

impl Drop for Pusher {
    fn drop(&mut self) {
        self.0.end(Fault::Disconnected);
    }
}

impl fmt::Debug for Incoming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without the frames, which carry shares.
        f.debug_struct("Incoming").field("party", &self.party).finish_non_exhaustive()
    }
}

impl Incoming {
    /// The peer.
    pub fn party(&self) -> PartyId {
        self.party
    }

    /// Returns the greatest frame in bytes. The application refuses a longer announced length before it allocates
    /// memory.
    pub fn max_frame(&self) -> usize {
        self.pusher.0.limits().max_frame
    }

    /// Hands over a frame, and waits while there is no room for it. A task that waits here and does not read lets the
    /// network slow the peer down.
    ///
    /// If the future is dropped before it is ready, the frame was not handed over, and is wiped.
    ///
    /// # Errors
    /// [`PushRefusal::TooLarge`], which ends the peer; [`PushRefusal::Closed`].
    pub async fn push(&self, frame: Vec<u8>) -> Result<(), Refused> {
        let mut frame = Wiped::new(frame);
        let pushed = poll_fn(|context| self.pusher.0.poll_push(&mut frame, context)).await;
        pushed.map_err(|reason| Refused { reason, frame })
    }

    /// Hands over a frame without waiting.
    ///
    /// A frame that is refused as [`PushRefusal::Full`] must be pushed again before any other frame of this peer. To
    /// give the frame up, end the peer with [`Incoming::fail`].
    ///
    /// # Errors
    /// [`PushRefusal::Full`]; [`PushRefusal::TooLarge`], which ends the peer; [`PushRefusal::Closed`].
    pub fn try_push(&self, frame: Vec<u8>) -> Result<(), Refused> {
        self.blocking_push(frame, Deadline::now())
    }

    /// Hands over a frame, and blocks while there is no room for it, until the deadline. For threads.
    ///
    /// # Errors
    /// As [`Incoming::try_push`]; [`PushRefusal::Full`] once the deadline has passed.
    pub fn blocking_push(&self, frame: Vec<u8>, deadline: Deadline) -> Result<(), Refused> {
        let mut frame = Wiped::new(frame);
        self.pusher.0.push(&mut frame, deadline).map_err(|reason| Refused { reason, frame })
    }

    /// Ends the peer: its connection was closed. The protocol still receives what was pushed before, then
    /// [`Fault::Disconnected`].
    ///
    /// A peer that has ended stays ended, with the first reason.
    pub fn disconnect(&self) {
        self.pusher.0.end(Fault::Disconnected);
    }

    /// Ends the peer as [`Incoming::disconnect`] does, with [`Fault::Failed`] and a reason, such as an error of the
    /// operating system. The reason's subject is the connection. Control characters are replaced, and a long reason is cut.
    ///
    /// # Security
    /// The reason goes into errors, and errors may reach logs and all parties. It must hold no secret.
    pub fn fail(&self, reason: impl AsRef<str>) {
        self.pusher.0.end(Fault::Failed(clean(reason.as_ref())));
    }

    /// Returns the number of frames of this peer that any of its handles refused.
    pub fn refused(&self) -> u64 {
        self.pusher.0.refused()
    }
}

/// Yields the frames for one peer in the order in which the protocol sent them, each once.
///
/// When it is dropped, sending to the peer fails with [`Fault::Disconnected`], and the frames that it has not yielded
/// are wiped.
pub struct Outgoing {
    party: PartyId,
    link: Arc<Link>,
}

impl fmt::Debug for Outgoing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without the frames, which carry shares.
        f.debug_struct("Outgoing").field("party", &self.party).finish_non_exhaustive()
    }
}

impl Drop for Outgoing {
    fn drop(&mut self) {
        self.link.abandon();
    }
}

impl Outgoing {
    /// The peer.
    pub fn party(&self) -> PartyId {
        self.party
    }

    /// Waits for the next frame. Returns `None` at the end, when the transport was dropped or the peer has ended and
    /// every frame was yielded.
    ///
    /// If the future is dropped before it is ready, no frame is lost.
    pub async fn next(&mut self) -> Option<Frame> {
        poll_fn(|context| self.poll_next(context)).await
    }

    /// Polls as [`Outgoing::next`], for streams and futures of the caller. The waker of the latest call is woken.
    pub fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Frame>> {
        self.link.poll_take(context).map(|frame| frame.map(Frame))
    }

    /// Returns the next frame, if there is one already.
    ///
    /// # Errors
    /// [`NoFrame::Yet`]; [`NoFrame::Ended`].
    pub fn try_next(&mut self) -> Result<Frame, NoFrame> {
        self.blocking_next(Deadline::now())
    }

    /// Returns the next frame, and blocks until the deadline. For threads.
    ///
    /// # Errors
    /// [`NoFrame::Yet`] once the deadline has passed; [`NoFrame::Ended`].
    pub fn blocking_next(&mut self, deadline: Deadline) -> Result<Frame, NoFrame> {
        self.link.take(deadline).map(Frame)
    }
}

/// A frame for a peer. Its bytes are wiped when it is dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Frame(Wiped);

impl Frame {
    /// Returns the bytes. They are not wiped any more.
    #[must_use]
    pub fn into_vec(mut self) -> Vec<u8> {
        std::mem::take(&mut *self.0)
    }
}

impl Deref for Frame {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl AsRef<[u8]> for Frame {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Frames carry shares.
        write!(f, "Frame({} bytes, <redacted>)", self.0.len())
    }
}

/// Why [`Outgoing`] has no frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum NoFrame {
    /// There is no frame at present.
    #[error("no frame waits at present")]
    Yet,
    /// No frame will come: the transport was dropped, or the peer has ended.
    #[error("no more frames will come")]
    Ended,
}

/// Why a frame was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum PushRefusal {
    /// There is no room for it until the protocol has received frames of this peer.
    #[error("{waiting} bytes wait for the protocol, of {limit} allowed")]
    Full {
        /// Size that the waiting frames count for, in bytes.
        waiting: usize,
        /// [`max_unread`](super::ChannelLimits::max_unread), or the room for one frame if that is more.
        limit: usize,
    },
    /// It is over the limit. This ends the peer, which the protocol sees as [`Fault::Broken`].
    #[error("a frame of {bytes} bytes is over the limit of {limit}")]
    TooLarge {
        /// The frame's length.
        bytes: usize,
        /// The transport's limit.
        limit: usize,
    },
    /// Nobody will receive it: the peer has ended, or the transport was dropped.
    #[error("nobody receives frames of this peer any more")]
    Closed,
}

/// A frame that was refused, and why.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Refused {
    reason: PushRefusal,
    frame: Wiped,
}

impl Refused {
    /// Why.
    pub fn reason(&self) -> PushRefusal {
        self.reason
    }

    /// Returns the frame, to push it again.
    #[must_use]
    pub fn into_frame(mut self) -> Vec<u8> {
        std::mem::take(&mut *self.frame)
    }
}

impl fmt::Debug for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without the frame, which carries shares.
        f.debug_struct("Refused").field("reason", &self.reason).finish_non_exhaustive()
    }
}
