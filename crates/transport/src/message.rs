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
    /// The name of the round, such as `"candidates/shares"`: the same in every version that speaks together.
    const ROUND: &'static str;

    /// The public state that a message is checked against, such as counts and bounds; `()` where all is fixed.
    type Shape: ?Sized;

    /// The greatest length of the encoded message, in bytes.
    fn max_bytes(shape: &Self::Shape) -> usize;

    /// Whether a decoded message conforms: counts, ranges, group membership.
    ///
    /// # Errors
    /// What is wrong, in words that hold no secret.
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
    /// A refusal with this reason, which must hold no secret: it is sent to all parties.
    pub fn new(reason: impl Into<String>) -> Self {
        Self(reason.into())
    }
}
