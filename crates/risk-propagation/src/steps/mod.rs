//! The steps of the protocol as functions without networking, for applications with an event loop of their own.
//!
//! [`Propagation`](crate::Propagation) takes them in a [`Session`](subrosa_transport::Session). Whoever sends the messages in another
//! way takes the same steps in the same order; `docs/protocols/risk-propagation.md` has their numbers, and says what each message
//! reveals and which check it needs.
//!
//! | steps | here |
//! | --- | --- |
//! | R0: parameters; where a run that was stopped goes on | [`parameters`](crate::parameters), [`sequence`] |
//! | R1: sizes, periods, plan | [`agreement::periods`], [`Plan`](crate::Plan), [`in_degree_bits`] |
//! | R2 to R4: transfers, offers, selections | [`agreement`] |
//! | R5: declarations; which scores are withheld | [`agreement::senders`] |
//! | R6: the iteration | [`scores`] |
//! | R6b: hashes of personal messages | [`messages::links`] |
//! | R7 to R9: packing, commitments, noise, disclosure | [`disclosure`] |
//! | all: messages and their checks, randomness | [`messages`], [`randomness`] |
//!
//! # Security
//! The functions check what they are given and nothing else. The order of the steps, the confirmation of broadcasts, the
//! commitments of R7a and R7b and the states that are saved before anything is shown are what keeps other banks from learning more:
//! follow [`sequence`].

pub mod agreement;
pub mod disclosure;
pub mod messages;
pub mod randomness;
pub mod scores;
pub mod sequence;

#[doc(inline)]
pub use crate::plan::in_degree_bits;
