//! Why a cluster does not come about or ends.

use std::sync::Arc;
use std::time::Duration;
use std::{fmt, io};

use subrosa_risk_propagation::shards::Shard;
use subrosa_transport::FailureKind;

/// A list of workers or limits that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The number of workers.
    #[error("a cluster has 1 to {most} workers, not {workers}")]
    Workers {
        /// The number.
        workers: usize,
        /// The greatest number.
        most: usize,
    },
    /// Two workers with the same name.
    #[error("two workers are called `{name}`")]
    EqualNames {
        /// The name.
        name: String,
    },
    /// Two workers with the same certificate, so that either could pass for the other.
    #[error("`{first}` and `{second}` have the same certificate")]
    EqualCertificates {
        /// One worker.
        first: String,
        /// The other.
        second: String,
    },
    /// This worker is not in the list.
    #[error("the worker `{name}` is not in the list")]
    Unknown {
        /// The name.
        name: String,
    },
    /// Fewer shards than workers: some would have nothing to do.
    #[error("{shards} shards are too few for {workers} workers")]
    FewShards {
        /// Number of shards.
        shards: usize,
        /// Number of workers.
        workers: usize,
    },
    /// A time limit that is too short.
    #[error("the limit `{limit}` is below {least:?}")]
    Limit {
        /// The field of [`Limits`](crate::Limits).
        limit: &'static str,
        /// The least value.
        least: Duration,
    },
}

/// What two workers that meet must have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Common {
    /// The version of what workers send each other.
    Version,
    /// The number of workers.
    Workers,
    /// The certificates of the workers and their order.
    Certificates,
    /// The number of shards.
    Shards,
}

impl fmt::Display for Common {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Version => "version of the protocol",
            Self::Workers => "number of workers",
            Self::Certificates => "list of certificates",
            Self::Shards => "number of shards",
        })
    }
}

/// Why a connection between two workers did not come about. In the text "it" is the other worker.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectProblem {
    /// Nothing is known.
    #[error("it has not come")]
    NotCome,
    /// It has not come, and a connection that did not prove who it is was refused.
    #[error("it has not come; somebody was refused")]
    SomebodyRefused(#[source] Arc<ConnectProblem>),
    /// The address cannot be resolved or reached.
    #[error("{address} cannot be reached")]
    Unreachable {
        /// The address.
        address: String,
        /// The system's answer.
        source: Arc<io::Error>,
    },
    /// TLS failed: most likely one of the two has another certificate than agreed.
    #[error("the TLS handshake failed")]
    Tls(#[source] Arc<io::Error>),
    /// It closed the connection, or fell silent, before it said who it is.
    #[error("it did not greet")]
    NoGreeting(#[source] Arc<io::Error>),
    /// It greets in another way.
    #[error("it greets with another worker's number or in another language")]
    NotAGreeting,
    /// It is of an earlier generation.
    #[error("it is of generation {theirs}, and this worker is of generation {mine}")]
    EarlierGeneration {
        /// Its generation.
        theirs: u64,
        /// The generation here.
        mine: u64,
    },
}

/// A worker that is not connected.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Missing {
    /// Its place in the list.
    pub worker: usize,
    /// Its name.
    pub name: String,
    /// What is known of the reason.
    pub problem: ConnectProblem,
}

/// A worker that was lost in a run.
#[derive(Clone, Debug, thiserror::Error)]
#[error("worker {worker} (`{name}`) {reason}")]
#[non_exhaustive]
pub struct LostWorker {
    /// Its place in the list.
    pub worker: usize,
    /// Its name.
    pub name: String,
    /// How it was lost.
    pub reason: LossReason,
}

/// How a worker was lost. The text is a phrase whose subject is the worker.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LossReason {
    /// Its process ended, or its machine.
    #[error("closed its connection")]
    Closed,
    /// Nothing came from it, not even a sign of life.
    #[error("has been silent for {limit:?}")]
    Silent {
        /// The limit.
        limit: Duration,
    },
    /// The connection failed.
    #[error("has a connection that failed")]
    Io(#[source] Arc<io::Error>),
    /// It sent what no worker sends.
    #[error("sent bytes that do not decode: {0}")]
    Malformed(&'static str),
    /// Another worker lost it.
    #[error("was lost by worker {by}")]
    Reported {
        /// The place of the worker that says so.
        by: usize,
    },
    /// The engine in its process failed.
    #[error("gave up: its engine failed")]
    GaveUp,
}

/// Why the run of a worker ended without results.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClusterError {
    /// The configuration contradicts itself.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A certificate or key is not usable.
    #[error("a certificate or key is not usable")]
    Certificate(#[from] rustls::Error),
    /// The listening socket or a thread could not be had.
    #[error("the operating system refused")]
    Io(#[from] io::Error),
    /// Not all workers were connected in time.
    #[error("not connected in time: {}", list(.0))]
    NotConnected(Vec<Missing>),
    /// Another worker is of a later generation: the cluster was started anew without this process.
    #[error("worker {worker} (`{name}`) is of generation {theirs}, and this worker is of generation {mine}")]
    LaterGeneration {
        /// The other worker.
        worker: usize,
        /// Its name.
        name: String,
        /// Its generation.
        theirs: u64,
        /// The generation here.
        mine: u64,
    },
    /// Another worker was started with another configuration or version.
    #[error("worker {worker} (`{name}`) has another {differs}")]
    Differs {
        /// The other worker.
        worker: usize,
        /// Its name.
        name: String,
        /// What differs.
        differs: Common,
    },
    /// A worker was lost. The bank's workers must all be started again.
    #[error("a worker was lost")]
    Lost(#[source] LostWorker),
    /// The job of a shard panicked.
    #[error("the job of {shard} panicked")]
    Panicked {
        /// The shard.
        shard: Shard,
    },
    /// The engine failed: a mistake in this library or in the engine.
    #[error("internal error: {place}")]
    Internal {
        /// Where.
        place: &'static str,
    },
}

impl ClusterError {
    /// Whose failure it is.
    #[must_use]
    pub fn kind(&self) -> FailureKind {
        match self {
            Self::Config(_) | Self::Certificate(_) => FailureKind::Input,
            Self::Io(_) | Self::NotConnected(_) | Self::Lost(_) => FailureKind::Network,
            Self::LaterGeneration { .. } | Self::Differs { .. } => FailureKind::Limits,
            Self::Panicked { .. } => FailureKind::Misuse,
            Self::Internal { .. } => FailureKind::Internal,
        }
    }

    /// The places of the workers that it concerns.
    #[must_use]
    pub fn workers(&self) -> Vec<usize> {
        match self {
            Self::NotConnected(missing) => missing.iter().map(|missing| missing.worker).collect(),
            Self::LaterGeneration { worker, .. } | Self::Differs { worker, .. } => vec![*worker],
            Self::Lost(lost) => vec![lost.worker],
            Self::Config(_)
            | Self::Certificate(_)
            | Self::Io(_)
            | Self::Panicked { .. }
            | Self::Internal { .. } => Vec::new(),
        }
    }
}

fn list(missing: &[Missing]) -> String {
    let one = |missing: &Missing| {
        let problem = subrosa_transport::with_causes(&missing.problem);
        format!("worker {} (`{}`: {problem})", missing.worker, missing.name)
    };
    missing.iter().map(one).collect::<Vec<_>>().join(", ")
}
