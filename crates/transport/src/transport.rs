//! The [`Transport`] trait and its error.

use crate::{Deadline, PartyId, Roster};

/// The greatest frame that a transport carries unless it says otherwise: 64 MiB.
pub const DEFAULT_MAX_FRAME: usize = 64 << 20;

/// One party's end of a network among the parties of a roster. Calls block.
///
/// # Laws
/// Every implementation keeps these laws. [`crate::conformance`] checks what can be checked from outside.
///
/// - **T1, identity.** The sender of a frame is known from the channel on which it came, never from its bytes.
/// - **T2, privacy.** Nobody else can read what passes between two parties, or change it unnoticed.
/// - **T3, order.** Frames from one party to another arrive whole, in the order sent, exactly once. Between
///   different pairs there is no order.
/// - **T4, limit.** A frame longer than [`max_frame`](Transport::max_frame) is refused: when sending, with an error;
///   when receiving, before memory is allocated for it.
/// - **T5, no waiting to send.** `send` does not wait until the peer calls `receive`.
/// - **T6, deadline.** `receive` returns by its deadline. A deadline that has passed yields a frame that is there
///   already, or [`Fault::TimedOut`] at once.
/// - **T7, errors.** Every error names the peer. After an error other than [`Fault::TimedOut`], [`Fault::TooLarge`] or
///   a wrong party, that peer stays failed. A time-out changes nothing: the frame may still come, and the next call
///   returns it.
///
/// A time-out is not final, so a session can look at several peers in turn while it waits for any of them. The session
/// gives a peer up when the round's deadline passes.
///
/// # Example
/// A network in one process, made of channels of the standard library. [`crate::MemoryNetwork`] is such a network with
/// fault injection.
///
/// ```
/// use std::collections::BTreeMap;
/// use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
///
/// use subrosa_transport::{Deadline, Fault, PartyId, Roster, Transport, TransportError};
///
/// struct Pipes {
///     roster: Roster,
///     to: BTreeMap<PartyId, Sender<Vec<u8>>>,
///     from: BTreeMap<PartyId, Receiver<Vec<u8>>>,
/// }
///
/// impl Pipes {
///     fn error(&self, peer: PartyId, fault: Fault) -> TransportError {
///         let mine = peer == self.roster.me();
///         TransportError::new(&self.roster, peer, if mine { Fault::Myself } else { fault })
///     }
/// }
///
/// impl Transport for Pipes {
///     fn roster(&self) -> &Roster {
///         &self.roster
///     }
///
///     fn send(&mut self, to: PartyId, frame: &[u8]) -> Result<(), TransportError> {
///         let pipe = self.to.get(&to).ok_or_else(|| self.error(to, Fault::UnknownParty))?;
///         if frame.len() > self.max_frame() {
///             let (bytes, limit) = (frame.len() as u64, self.max_frame() as u64);
///             return Err(self.error(to, Fault::TooLarge { bytes, limit }));
///         }
///         pipe.send(frame.to_vec()).map_err(|_| self.error(to, Fault::Disconnected))
///     }
///
///     fn receive(&mut self, from: PartyId, deadline: Deadline) -> Result<Vec<u8>, TransportError> {
///         let pipe = self.from.get(&from).ok_or_else(|| self.error(from, Fault::UnknownParty))?;
///         pipe.recv_timeout(deadline.remaining()).map_err(|error| {
///             let timed_out = error == RecvTimeoutError::Timeout;
///             self.error(from, if timed_out { Fault::TimedOut } else { Fault::Disconnected })
///         })
///     }
/// }
///
/// fn network(names: &[&str]) -> Vec<Pipes> {
///     let parties = (0..names.len() as u16).map(PartyId::new);
///     let empty = |me| Pipes { roster: Roster::new(names.to_vec(), me).unwrap(), to: BTreeMap::new(), from: BTreeMap::new() };
///     let mut all: Vec<Pipes> = parties.map(empty).collect();
///     for one in 0..all.len() {
///         for other in (0..all.len()).filter(|other| *other != one) {
///             let (sender, receiver) = channel();
///             let (here, there) = (all[one].roster.me(), all[other].roster.me());
///             all[one].to.insert(there, sender);
///             all[other].from.insert(here, receiver);
///         }
///     }
///     all
/// }
///
/// let mut parties = network(&["amber", "birch"]);
/// let (amber, birch) = (PartyId::new(0), PartyId::new(1));
/// parties[0].send(birch, b"hello")?;
/// let soon = Deadline::after(std::time::Duration::from_secs(1));
/// assert_eq!(parties[1].receive(amber, soon)?, b"hello");
/// # let options = subrosa_transport::conformance::Options::default().with_largest(1 << 20);
/// # subrosa_transport::conformance::check_all_with(&options, network).unwrap();
/// # Ok::<(), TransportError>(())
/// ```
pub trait Transport {
    /// Returns the names and channel identities of all parties, and which of them this party is.
    fn roster(&self) -> &Roster;

    /// Queues a frame for a party and returns without waiting for it to be received.
    ///
    /// # Errors
    /// The party is this one or not in the roster; the frame is longer than [`max_frame`](Transport::max_frame); the
    /// connection to the party is gone.
    fn send(&mut self, to: PartyId, frame: &[u8]) -> Result<(), TransportError>;

    /// Receives the next frame from a party.
    ///
    /// # Errors
    /// [`Fault::TimedOut`] by the deadline; the party is this one or not in the roster; the connection to the party is
    /// gone and every frame that arrived before has been delivered.
    fn receive(&mut self, from: PartyId, deadline: Deadline) -> Result<Vec<u8>, TransportError>;

    /// Returns the greatest length of a frame in bytes, in both directions.
    fn max_frame(&self) -> usize {
        DEFAULT_MAX_FRAME
    }
}

/// Transports behind a pointer.
macro_rules! forward {
    ($($to:ty),*) => {$(
        impl<T: Transport + ?Sized> Transport for $to {
            fn roster(&self) -> &Roster {
                (**self).roster()
            }

            fn send(&mut self, to: PartyId, frame: &[u8]) -> Result<(), TransportError> {
                (**self).send(to, frame)
            }

            fn receive(&mut self, from: PartyId, deadline: Deadline) -> Result<Vec<u8>, TransportError> {
                (**self).receive(from, deadline)
            }

            fn max_frame(&self) -> usize {
                (**self).max_frame()
            }
        }
    )*};
}

forward!(&mut T, Box<T>);

/// What went wrong with one peer. The text is a phrase whose subject is the peer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// Nothing arrived by the deadline.
    #[error("did not answer in time")]
    TimedOut,
    /// The peer, or the network between, closed the connection.
    #[error("is disconnected")]
    Disconnected,
    /// A frame is over the limit.
    #[error("cannot be sent or sent a frame of {bytes} bytes, more than the limit of {limit}")]
    TooLarge {
        /// The frame's length or announced length.
        bytes: u64,
        /// The transport's limit.
        limit: u64,
    },
    /// The roster has no such party.
    #[error("is not in the roster")]
    UnknownParty,
    /// A frame to or from oneself.
    #[error("is this party itself")]
    Myself,
    /// The peer broke the transport's own rules.
    #[error("broke the transport's rules: {0}")]
    Broken(String),
    /// This side has stopped waiting for the peer, for a reason of its own.
    #[error("is not waited for any more: {0}")]
    NotAwaited(String),
    /// Another failure of the connection, such as an error of the operating system.
    #[error("cannot be reached: {0}")]
    Failed(String),
}

/// An error of a transport: what went wrong, and with whom.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name} {fault}")]
pub struct TransportError {
    peer: PartyId,
    name: String,
    fault: Fault,
}

impl TransportError {
    /// Creates the error of `fault` with `peer`. The roster supplies the name.
    pub fn new(roster: &Roster, peer: PartyId, fault: Fault) -> Self {
        Self { peer, name: roster.name(peer).to_owned(), fault }
    }

    /// The peer.
    pub fn peer(&self) -> PartyId {
        self.peer
    }

    /// The peer's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What went wrong.
    pub fn fault(&self) -> &Fault {
        &self.fault
    }

    /// Returns whether the peer only did not answer in time.
    pub fn is_timeout(&self) -> bool {
        self.fault == Fault::TimedOut
    }

    pub(crate) fn into_fault(self) -> Fault {
        self.fault
    }
}
