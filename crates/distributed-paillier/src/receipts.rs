//! Additions to the broadcasts of key generation, so that no party can deny what it dealt. The broadcast before a
//! dealing carries commitments. The one after it carries complaints.
//!
//! The dealer answers a complaint: it publishes the message, and all parties compare it with its commitment. If the
//! message fits, the run goes on with it. Either the dealer or the receiver is corrupted, so the corrupted parties knew
//! the message before.

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::dealing::{Commitment, Seed};
use subrosa_transport::{Malformed, Message, PartyId};

/// A broadcast that commits to the dealing after it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(bound(serialize = "M: Serialize", deserialize = "M: DeserializeOwned"))]
pub struct Committed<M> {
    /// The broadcast itself.
    pub message: M,
    /// The commitment.
    pub commitment: Commitment,
}

/// The shape of an addition to a message of shape `S`.
#[derive(Clone, Debug)]
pub struct Riding<S> {
    /// The shape of the message.
    pub inner: S,
    /// How many parties there are.
    pub parties: u32,
}

impl<M: Message<Shape: Sized>> Message for Committed<M> {
    const ROUND: &'static str = M::ROUND;
    type Shape = Riding<M::Shape>;

    fn max_bytes(shape: &Self::Shape) -> usize {
        M::max_bytes(&shape.inner).saturating_add(Commitment::max_bytes(shape.parties))
    }

    fn check(&self, shape: &Self::Shape) -> Result<(), Malformed> {
        self.message.check(&shape.inner)?;
        self.commitment.check(shape.parties)
    }
}

/// A commitment in a round of its own: before the first batch, and before an attempt after the first.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Nothing;

impl Message for Nothing {
    const ROUND: &'static str = "keygen/commitments";
    type Shape = ();

    fn max_bytes((): &()) -> usize {
        0
    }
}

/// The broadcast after a dealing.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(bound(serialize = "M: Serialize", deserialize = "M: DeserializeOwned"))]
pub enum Receipted<M> {
    /// All dealings to the sender fit their commitments. The sender's message follows from them.
    Complete(M),
    /// The dealings of these parties to the sender do not fit their commitments.
    Disputed(Vec<u16>),
    /// All dealings fit, but their sum is out of range.
    OutOfRange,
}

impl<M: Message<Shape: Sized>> Message for Receipted<M> {
    const ROUND: &'static str = M::ROUND;
    type Shape = Riding<M::Shape>;

    fn max_bytes(shape: &Self::Shape) -> usize {
        M::max_bytes(&shape.inner).max(3 * shape.parties as usize + 5).saturating_add(1)
    }

    fn check(&self, shape: &Self::Shape) -> Result<(), Malformed> {
        match self {
            Self::Complete(message) => message.check(&shape.inner),
            Self::Disputed(dealers) => {
                let ascending = dealers.windows(2).all(|pair| pair[0] < pair[1]);
                let known = dealers.last().is_some_and(|&last| u32::from(last) < shape.parties);
                if ascending && known { Ok(()) } else { Err(Malformed::new("a complaint about no party")) }
            }
            Self::OutOfRange => Ok(()),
        }
    }
}

impl<M> Receipted<M> {
    /// The dealers that the sender complains about.
    pub fn complaints(&self) -> &[u16] {
        match self {
            Self::Disputed(dealers) => dealers,
            Self::Complete(_) | Self::OutOfRange => &[],
        }
    }
}

/// The answer to complaints: the messages for those who complained.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(bound(serialize = "M: Serialize", deserialize = "M: DeserializeOwned"))]
pub struct Published<M> {
    /// One for each complaint, in the order of those who complained.
    pub messages: Vec<M>,
}

/// The shape of [`Published`].
#[derive(Clone, Debug)]
pub struct PublishedShape<S> {
    /// The shape of a message.
    pub inner: S,
    /// How many complaints there are about the sender.
    pub count: usize,
}

impl<M: Message<Shape: Sized>> Message for Published<M> {
    const ROUND: &'static str = "keygen/published";
    type Shape = PublishedShape<M::Shape>;

    fn max_bytes(shape: &Self::Shape) -> usize {
        M::max_bytes(&shape.inner).saturating_mul(shape.count).saturating_add(10)
    }

    fn check(&self, shape: &Self::Shape) -> Result<(), Malformed> {
        if self.messages.len() != shape.count {
            return Err(Malformed::new("it does not answer every complaint about it"));
        }
        self.messages.iter().try_for_each(|message| message.check(&shape.inner))
    }
}

/// The message of a party that complained, after the complaints are answered.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(bound(serialize = "M: Serialize", deserialize = "M: DeserializeOwned"))]
pub struct Late<M>(pub Option<Receipted<M>>);

impl<M: Message<Shape: Sized>> Message for Late<M> {
    const ROUND: &'static str = "keygen/late";
    /// `None` for those who did not complain.
    type Shape = Option<Riding<M::Shape>>;

    fn max_bytes(shape: &Self::Shape) -> usize {
        shape.as_ref().map_or(1, |shape| Receipted::<M>::max_bytes(shape).saturating_add(1))
    }

    fn check(&self, shape: &Self::Shape) -> Result<(), Malformed> {
        match (&self.0, shape) {
            (None, None) => Ok(()),
            (Some(message), Some(shape)) if message.complaints().is_empty() => message.check(shape),
            _ => Err(Malformed::new("a second complaint, or a message that was not owed")),
        }
    }
}

/// The seeds of dealings, opened in the order in which they were committed to.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Opening {
    /// The seeds.
    pub seeds: Vec<Seed>,
}

impl Message for Opening {
    const ROUND: &'static str = "keygen/opening";
    /// How many.
    type Shape = usize;

    fn max_bytes(count: &usize) -> usize {
        32usize.saturating_mul(*count).saturating_add(10)
    }

    fn check(&self, count: &usize) -> Result<(), Malformed> {
        if self.seeds.len() == *count { Ok(()) } else { Err(Malformed::new("another number of seeds")) }
    }
}

/// The parties with these places in the roster.
pub(crate) fn parties(places: &[u16]) -> impl Iterator<Item = PartyId> + '_ {
    places.iter().map(|&place| PartyId::new(place))
}
