#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
// Marks what needs a feature, on docs.rs.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod counters;
mod deadline;
mod error;
mod event;
mod frame;
mod message;
mod parameters;
mod party;
mod per_party;
mod session;
mod transcript;
mod transport;
mod wiped;

pub mod channel;
pub mod conformance;
pub mod memory;
pub mod testing;
#[cfg(feature = "tls")]
pub mod tls;

pub use channel::ChannelTransport;
pub use counters::{Counters, Traffic};
pub use deadline::Deadline;
pub use error::{Cause, Culprits, Failure, Misuse, SessionError, Violation};
pub use event::Event;
pub use frame::{FRAME_VERSION, HEADER_BYTES, round_tag};
pub use memory::{MemoryNetwork, MemoryTransport};
pub use message::{Malformed, Message};
pub use parameters::{Limits, Parameters, Protocol};
pub use party::{MAX_IDENTITY_BYTES, MAX_NAME_BYTES, MAX_PARTIES, PartyId, Roster, RosterError};
pub use per_party::PerParty;
pub use session::{BroadcastStream, Collected, DEFAULT_WINDOW, PersonalStream, Session};
/// Re-exported: errors of all layers give a kind.
pub use subrosa_failure::{FailureKind, with_causes};
pub use transport::{DEFAULT_MAX_FRAME, Fault, Transport, TransportError};

/// Re-exported: it is in signatures.
#[doc(no_inline)]
pub use rand_core;
