//! Progress of a protocol.

use crate::Traffic;

/// Reported by a protocol when a stage begins.
///
/// ```
/// use subrosa_transport::Event;
///
/// fn log<S: std::fmt::Debug>(event: &Event<S>) {
///     eprintln!("{:?}, {} bytes sent", event.stage, event.traffic.bytes_sent);
/// }
/// # log(&Event::new("multiply", Default::default()));
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Event<S> {
    /// The stage that begins. Each protocol has its own type.
    pub stage: S,
    /// Bytes and messages that the session has sent and received so far.
    pub traffic: Traffic,
}

impl<S> Event<S> {
    /// Creates an event.
    #[must_use]
    pub fn new(stage: S, traffic: Traffic) -> Self {
        Self { stage, traffic }
    }
}
