//! A transport whose frames the application carries. It is for applications with their own networking, in tasks of an
//! asynchronous runtime or in threads.
//!
//! The protocol blocks on a thread with a [`ChannelTransport`]. For each peer the application holds a [`Peer`], a pair
//! of handles: [`Outgoing`] yields the frames for the peer, [`Incoming`] takes the frames from it. Both can be awaited in
//! any runtime, and both have calls that block until a deadline, for threads. The crate itself needs no runtime.
//!
//! ```
//! use std::{thread, time::Duration};
//! use subrosa_transport::{
//!     ChannelTransport, Deadline, PartyId, Roster, Transport,
//!     channel::{ChannelLimits, Peer},
//! };
//!
//! let roster = Roster::new(["anna", "bert"], PartyId::new(0))?;
//! let (mut transport, peers) = ChannelTransport::new(roster, ChannelLimits::default());
//! // Here bert sends every frame back; an application writes them to bert's connection, and reads from it.
//! for Peer { incoming, mut outgoing, .. } in peers {
//!     thread::spawn(move || {
//!         while let Ok(frame) = outgoing.blocking_next(Deadline::after(Duration::from_secs(5))) {
//!             incoming.blocking_push(frame.into_vec(), Deadline::after(Duration::from_secs(5))).unwrap();
//!         }
//!     });
//! }
//! transport.send(PartyId::new(1), b"hello")?;
//! assert_eq!(transport.receive(PartyId::new(1), Deadline::after(Duration::from_secs(5)))?, b"hello");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What the application owes
//! - **Identity** (law T1). It gives a [`Peer`] the connection on which that party has proved who it is.
//! - **Privacy** (T2). The connection is encrypted and authenticated, such as mutual TLS.
//! - **Order** (T3). It carries the frames of a pair whole, in order, exactly once. A connection that breaks with frames
//!   under way ends the peer, unless the application numbers frames and sends them again.
//! - **Limit** (T4). It compares an announced length with [`Incoming::max_frame`] before it allocates memory.
//!
//! The transport keeps the other laws, and the conformance suite checks all of them together with the application's
//! networking.
//!
//! # How a peer ends
//! | what happens | the protocol sees | the handles see |
//! | --- | --- | --- |
//! | [`Incoming::disconnect`], or the last [`Incoming`] of the peer is dropped | `send` fails with [`Fault::Disconnected`]; so does `receive`, after the frames that were pushed before | [`Outgoing`] yields the frames that were sent before, then the end |
//! | [`Incoming::fail`] | the same with [`Fault::Failed`] and the reason | the same |
//! | a frame over the limit is pushed | the same with [`Fault::Broken`] | the push is refused with [`PushRefusal::TooLarge`] |
//! | [`Outgoing`] is dropped | `send` fails with [`Fault::Disconnected`]; `receive` goes on | [`Incoming`] goes on |
//! | more than [`ChannelLimits::max_unsent`] bytes wait | `send` fails with [`Fault::Failed`]; so does `receive`, after the frames that were pushed before | the waiting frames are dropped, then the end |
//! | the transport is dropped | – | [`Outgoing`] yields the frames that were sent before, then the end; pushes are refused with [`PushRefusal::Closed`] |

mod handles;
mod link;

use std::{fmt, sync::Arc};

pub use handles::{Frame, Incoming, NoFrame, Outgoing, Peer, PushRefusal, Refused};

use crate::{DEFAULT_MAX_FRAME, Deadline, Fault, PartyId, Roster, Transport, TransportError, wiped::cost};
use link::Link;

/// Sizes of a [`ChannelTransport`]. Each waiting frame counts for its length and 64 bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ChannelLimits {
    /// The greatest frame in bytes, in both directions; equal at all parties. Default 64 MiB.
    pub max_frame: usize,
    /// Greatest size of the frames for one peer that its [`Outgoing`] has not yielded, in bytes. More ends the peer. At
    /// least one frame of `max_frame` bytes always fits. Default 1 GiB.
    pub max_unsent: usize,
    /// Greatest size of the frames from one peer that the protocol has not received, in bytes. More frames are refused
    /// or wait. At least one frame of `max_frame` bytes always fits. Default 256 MiB.
    pub max_unread: usize,
}

impl Default for ChannelLimits {
    fn default() -> Self {
        Self { max_frame: DEFAULT_MAX_FRAME, max_unsent: 1 << 30, max_unread: 256 << 20 }
    }
}

impl ChannelLimits {
    /// Sets the greatest frame, in bytes.
    #[must_use]
    pub fn with_max_frame(mut self, bytes: usize) -> Self {
        self.max_frame = bytes;
        self
    }

    /// Sets the greatest size of the waiting frames for one peer, in bytes.
    #[must_use]
    pub fn with_max_unsent(mut self, bytes: usize) -> Self {
        self.max_unsent = bytes;
        self
    }

    /// Sets the greatest size of the waiting frames from one peer, in bytes.
    #[must_use]
    pub fn with_max_unread(mut self, bytes: usize) -> Self {
        self.max_unread = bytes;
        self
    }

    /// Returns the limits with room for at least one frame.
    fn widened(mut self) -> Self {
        self.max_unsent = self.max_unsent.max(cost(self.max_frame));
        self.max_unread = self.max_unread.max(cost(self.max_frame));
        self
    }
}

/// The protocol's end of a network that the application provides. See the [module's page](self).
///
/// Frames can be sent before a peer is connected. They wait until its [`Outgoing`] yields them. Dropping the transport
/// does not wait. The handles still yield what was sent.
pub struct ChannelTransport {
    roster: Roster,
    max_frame: usize,
    /// By party; `None` for me.
    links: Vec<Option<Arc<Link>>>,
}

impl fmt::Debug for ChannelTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChannelTransport").field("me", &self.roster.me()).finish_non_exhaustive()
    }
}

impl ChannelTransport {
    /// Creates the transport, and for each other party the handles of the application, in roster order.
    ///
    /// A peer whose handles are dropped counts as disconnected.
    #[must_use]
    pub fn new(roster: Roster, limits: ChannelLimits) -> (Self, Vec<Peer>) {
        let limits = limits.widened();
        let max_frame = limits.max_frame;
        let me = roster.me();
        let links: Vec<_> = roster
            .parties()
            .map(|party| (party != me).then(|| Arc::new(Link::new(limits.clone()))))
            .collect();
        let peers = roster
            .parties()
            .zip(&links)
            .filter_map(|(party, link)| {
                let name = roster.name(party).to_owned();
                link.as_ref().map(|link| Peer::new(party, name, link))
            })
            .collect();
        (Self { roster, max_frame, links }, peers)
    }

    /// Returns the number of frames from a peer that were refused, because there was no room, they were over the limit,
    /// or the peer had ended. It is zero for this party and for a party that the roster does not have.
    pub fn refused(&self, peer: PartyId) -> u64 {
        self.links.get(peer.index()).and_then(Option::as_ref).map_or(0, |link| link.refused())
    }

    fn link(&self, peer: PartyId) -> Result<&Link, Fault> {
        match self.links.get(peer.index()) {
            Some(Some(link)) => Ok(link),
            Some(None) => Err(Fault::Myself),
            None => Err(Fault::UnknownParty),
        }
    }
}

impl Transport for ChannelTransport {
    fn roster(&self) -> &Roster {
        &self.roster
    }

    fn send(&mut self, to: PartyId, frame: &[u8]) -> Result<(), TransportError> {
        let sent = self.link(to).and_then(|link| link.send(frame));
        sent.map_err(|fault| TransportError::new(&self.roster, to, fault))
    }

    fn receive(&mut self, from: PartyId, deadline: Deadline) -> Result<Vec<u8>, TransportError> {
        let received = self.link(from).and_then(|link| link.receive(deadline));
        received.map_err(|fault| TransportError::new(&self.roster, from, fault))
    }

    fn max_frame(&self) -> usize {
        self.max_frame
    }
}

impl Drop for ChannelTransport {
    fn drop(&mut self) {
        self.links.iter().flatten().for_each(|link| link.leave());
    }
}
