//! Key files, and how all banks come to hold shares of the same key.
//!
//! A fresh share is first written to a pending file beside the key file (`….pending`). It replaces the key file when all banks
//! have reported that their share is on disk. A bank that is killed at any moment therefore leaves either no key at any bank or
//! one that all banks can use. The same holds when a new key replaces one that has served its run.
//!
//! The public part of each key stays in a file of its own (`….FINGERPRINT.public`), for auditors of its run.

mod files;
mod meeting;
mod passphrase;

pub(crate) use files::KeyFiles;
pub use files::{KeyFileError, public_key_file, read_public_key};
pub use meeting::{HeldKey, MeetingError};
pub(crate) use meeting::{KeyUsage, MEETING, NextStep, meet};
pub use passphrase::Passphrase;
