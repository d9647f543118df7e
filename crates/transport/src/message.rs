//! What a round carries.

use serde::{Serialize, de::DeserializeOwned};

/// A message of a round: it names its round, bounds its length and checks itself against public state.
///
/// The wire form is postcard's. A receiver first compares the length with [`max_bytes`](Message::max_bytes), then
/// decodes, refuses leftover bytes, and calls [`check`](Message::check).
///
/// # Security
/// Give `max_bytes` a bound that follows from the protocol's parameters, not one that is merely large. Avoid
/// sequences of elements that take no bytes (`Vec<()>`): their number is not bounded by the frame's length.
///
/// # Example
/// ```
/// use serde::{Deserialize, Serialize};
/// use subrosa_transport::{Malformed, Message};
///
/// #[derive(Serialize, Deserialize)]
/// struct Bids(Vec<u32>);
///
/// impl Message for Bids {
///     const ROUND: &'static str = "auction/bids";
///     type Shape = usize; // how many bids everybody owes
///
///     fn max_bytes(bids: &usize) -> usize {
///         5 + 5 * bids // a varint takes at most 5 bytes
///     }
///
///     fn check(&self, bids: &usize) -> Result<(), Malformed> {
///         if self.0.len() == *bids { Ok(()) } else { Err(Malformed::new("wrong number of bids")) }
///     }
/// }
/// ```
pub trait Message: Serialize + DeserializeOwned {
    /// Name of the round, such as `"candidates/shares"`. It is equal in all versions that can run together.
    const ROUND: &'static str;

    /// The public state that a message is checked against, such as counts and bounds; `()` if nothing varies.
    type Shape: ?Sized;

    /// Returns the greatest length of the encoded message, in bytes.
    fn max_bytes(shape: &Self::Shape) -> usize;

    /// Checks a decoded message: counts, ranges, group membership.
    ///
    /// # Errors
    /// [`Malformed`] says what is wrong. It must hold no secret.
    fn check(&self, shape: &Self::Shape) -> Result<(), Malformed> {
        let _ = shape;
        Ok(())
    }
}

/// Why a message was refused after decoding.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(String);

impl Malformed {
    /// Creates a refusal. The reason is sent to all parties and must hold no secret.
    pub fn new(reason: impl Into<String>) -> Self {
        Self(reason.into())
    }
}
