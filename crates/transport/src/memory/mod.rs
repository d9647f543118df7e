//! A network inside one process, for tests, examples and measurements. It can have latency, bandwidth, shuffled arrival
//! and faults.

mod faults;
mod link;

use std::{fmt, sync::Arc, time::Duration};

pub use faults::{
    Action, Fate, disconnect_after, duplicate, flip_bit, hold, inject, replace, silence_after, truncate,
};

use crate::{DEFAULT_MAX_FRAME, Deadline, Fault, PartyId, Roster, RosterError, Transport, TransportError};
use link::{Inbox, LinkModel, Outbox, link};

/// Decides what happens to each frame. It is called with the sender, the receiver, the frame's number on that ordered
/// pair (from zero) and the frame, which it may change.
pub type Interceptor = dyn Fn(PartyId, PartyId, u64, &mut Vec<u8>) -> Action + Send + Sync;

/// Builds networks inside one process.
///
/// ```
/// use std::time::Duration;
/// use subrosa_transport::{Deadline, MemoryNetwork, PartyId, Transport};
///
/// let mut parties = MemoryNetwork::builder(["anna", "bert"]).latency(Duration::from_millis(1)).build()?;
/// parties[0].send(PartyId::new(1), b"hello")?;
/// let frame = parties[1].receive(PartyId::new(0), Deadline::after(Duration::from_secs(5)))?;
/// assert_eq!(frame, b"hello");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct MemoryNetwork;

impl MemoryNetwork {
    /// Starts building a network among parties of these names.
    pub fn builder(names: impl IntoIterator<Item = impl Into<String>>) -> MemoryNetworkBuilder {
        MemoryNetworkBuilder {
            names: names.into_iter().map(Into::into).collect(),
            model: LinkModel::default(),
            max_frame: DEFAULT_MAX_FRAME,
            interceptors: Vec::new(),
        }
    }

    /// Creates a network of `n` parties called `party-1`, `party-2` and so on, without delay or faults.
    ///
    /// # Errors
    /// `n` below 2 or above 1024.
    pub fn of(n: usize) -> Result<Vec<MemoryTransport>, RosterError> {
        Self::builder((1..=n).map(|number| format!("party-{number}"))).build()
    }
}

/// The properties of a network to be built; see [`MemoryNetwork::builder`].
#[must_use = "call `build` to get the network"]
pub struct MemoryNetworkBuilder {
    names: Vec<String>,
    model: LinkModel,
    max_frame: usize,
    interceptors: Vec<Arc<Interceptor>>,
}

impl fmt::Debug for MemoryNetworkBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryNetworkBuilder")
            .field("names", &self.names)
            .field("model", &self.model)
            .field("max_frame", &self.max_frame)
            .field("interceptors", &self.interceptors.len())
            .finish()
    }
}

impl MemoryNetworkBuilder {
    /// Sets the latency of every frame in one direction. Default none.
    pub fn latency(mut self, one_way: Duration) -> Self {
        self.model.latency = one_way;
        self
    }

    /// Sets the bandwidth of each link in each direction, in bits per second. Zero means unlimited, which is the
    /// default.
    pub fn bandwidth(mut self, bits_per_second: u64) -> Self {
        self.model.bits_per_second = bits_per_second;
        self
    }

    /// Delays every frame by a random time up to `longest`, so that frames of different pairs overtake each other.
    /// Frames of one pair stay in order. The same seed gives the same delays.
    pub fn shuffled(mut self, seed: u64, longest: Duration) -> Self {
        self.model.seed = seed;
        self.model.jitter = longest;
        self
    }

    /// Sets the greatest frame, in bytes. Default 64 MiB.
    pub fn max_frame(mut self, bytes: usize) -> Self {
        self.max_frame = bytes;
        self
    }

    /// Lets `interceptor` decide what happens to every frame. Several interceptors are called in the order in which
    /// they were added, until one does not deliver.
    pub fn intercept(
        mut self,
        interceptor: impl Fn(PartyId, PartyId, u64, &mut Vec<u8>) -> Action + Send + Sync + 'static,
    ) -> Self {
        self.interceptors.push(Arc::new(interceptor));
        self
    }

    /// Builds the network: one transport for each party, in roster order.
    ///
    /// # Errors
    /// The names do not make a roster.
    pub fn build(self) -> Result<Vec<MemoryTransport>, RosterError> {
        let roster = Roster::new(self.names, PartyId::new(0))?;
        let interceptors: Arc<[Arc<Interceptor>]> = self.interceptors.into();
        let mut transports = Vec::with_capacity(roster.len());
        for me in roster.parties() {
            transports.push(MemoryTransport {
                roster: roster.seen_by(me)?,
                max_frame: self.max_frame,
                interceptors: Arc::clone(&interceptors),
                outboxes: roster.parties().map(|_| None).collect(),
                inboxes: roster.parties().map(|_| None).collect(),
            });
        }
        for from in roster.parties() {
            for to in roster.parties().filter(|&to| to != from) {
                let (outbox, inbox) = link(self.model, from, to);
                transports[from.index()].outboxes[to.index()] = Some(outbox);
                transports[to.index()].inboxes[from.index()] = Some(inbox);
            }
        }
        Ok(transports)
    }
}

/// One party's end of a network inside one process.
///
/// Dropping it disconnects the party: the others still receive what it sent before, then
/// [`Fault::Disconnected`].
pub struct MemoryTransport {
    roster: Roster,
    max_frame: usize,
    interceptors: Arc<[Arc<Interceptor>]>,
    /// By receiver; `None` for me.
    outboxes: Vec<Option<Outbox>>,
    /// By sender; `None` for me.
    inboxes: Vec<Option<Inbox>>,
}

impl fmt::Debug for MemoryTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryTransport").field("me", &self.roster.me()).finish_non_exhaustive()
    }
}

impl MemoryTransport {
    fn wrong_party(&self, party: PartyId) -> Fault {
        if party == self.roster.me() { Fault::Myself } else { Fault::UnknownParty }
    }
}

impl Transport for MemoryTransport {
    fn roster(&self) -> &Roster {
        &self.roster
    }

    fn send(&mut self, to: PartyId, frame: &[u8]) -> Result<(), TransportError> {
        let refuse = |fault| Err(TransportError::new(&self.roster, to, fault));
        if frame.len() > self.max_frame {
            return refuse(Fault::TooLarge { bytes: frame.len() as u64, limit: self.max_frame as u64 });
        }
        let me = self.roster.me();
        let Some(Some(outbox)) = self.outboxes.get_mut(to.index()) else {
            return refuse(self.wrong_party(to));
        };
        let mut frame = frame.to_vec();
        let number = outbox.count();
        let action = self
            .interceptors
            .iter()
            .map(|interceptor| interceptor(me, to, number, &mut frame))
            .find(|action| !matches!(action, Action::Deliver))
            .unwrap_or(Action::Deliver);
        match outbox.carry(frame, action) {
            Ok(()) => Ok(()),
            Err(fault) => refuse(fault),
        }
    }

    fn receive(&mut self, from: PartyId, deadline: Deadline) -> Result<Vec<u8>, TransportError> {
        let fault = match self.inboxes.get_mut(from.index()) {
            Some(Some(inbox)) => match inbox.receive(deadline) {
                Ok(frame) => return Ok(frame),
                Err(fault) => fault,
            },
            _ => self.wrong_party(from),
        };
        Err(TransportError::new(&self.roster, from, fault))
    }

    fn max_frame(&self) -> usize {
        self.max_frame
    }
}
