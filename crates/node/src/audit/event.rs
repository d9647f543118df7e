//! What the lines of a trail hold.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The frames between this bank and another bank in one direction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flow {
    /// Number of frames.
    pub frames: u64,
    /// Length of the frames in bytes, with the headers of the session.
    pub bytes: u64,
    /// Keyed hash over all frames, in hexadecimal.
    pub keyed_hash: String,
}

/// A bank of the roster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Name of the bank.
    pub name: String,
    /// Identity of the bank in the network, in hexadecimal.
    pub identity: String,
}

/// An event of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
#[serde(tag = "event", rename_all = "snake_case", deny_unknown_fields)]
pub enum Event {
    /// The run began.
    Started {
        /// Version of this crate.
        version: String,
        /// Name of this bank.
        bank: String,
        /// The task.
        command: String,
        /// All banks in the order of the roster.
        roster: Vec<Member>,
    },
    /// The last line was cut short, as by a crash in the middle of writing, and was dropped.
    Repaired {
        /// Length of the dropped line.
        dropped_bytes: u64,
    },
    /// The input of the computation.
    Input {
        /// Keyed hash of all files, see [`TrailSecret::commitment`](super::TrailSecret::commitment).
        commitment: String,
    },
    /// A session has an id. Its rounds follow, and show whether all banks have the same id.
    Session {
        /// Name of the protocol.
        protocol: String,
        /// Id of the session, which binds protocol, parameters, roster and the nonces of all banks.
        session: String,
        /// The parameters on which all banks agreed.
        parameters: BTreeMap<String, String>,
    },
    /// A round ended.
    Round {
        /// Id of the session; zeros while it is being opened.
        session: String,
        /// Number of the round in the session.
        step: u32,
        /// Whether these are not the messages of the round but reasons for aborting in it.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        abort: bool,
        /// Tag of the round's name, which every frame carries.
        tag: String,
        /// Hash of all broadcasts before this round.
        transcript: String,
        /// Frames that were sent, by bank.
        sent: BTreeMap<String, Flow>,
        /// Frames that were received, by bank.
        received: BTreeMap<String, Flow>,
        /// Hash of the record of frames after this round; empty if no frames are recorded.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        frames: String,
    },
    /// A phase succeeded.
    Done {
        /// `keygen` or `propagation`.
        phase: String,
        /// Public facts, such as the fingerprint of the key.
        facts: BTreeMap<String, String>,
    },
    /// A phase failed.
    Failed {
        /// `keygen` or `propagation`.
        phase: String,
        /// The reason that was reported to the other banks.
        reason: String,
    },
    /// The run ended.
    Ended {
        /// `success`, `failure` or `stopped`.
        outcome: String,
    },
}

/// An event with its number and time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Number of the record, counted from 0.
    pub number: u64,
    /// Time in UTC, by this bank's clock.
    pub time: String,
    /// The event.
    #[serde(flatten)]
    pub event: Event,
}
