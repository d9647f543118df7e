//! Wall time, processor time and traffic by phase.

use std::time::{Duration, Instant};

use cpu_time::ThreadTime;
use serde::Serialize;

use subrosa_transport::Traffic;

/// What one bank spent on one phase.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Phase {
    /// `keygen`, `agree`, `encrypt`, `iteration 1`, …, `decrypt`.
    pub(crate) name: String,
    /// The bank.
    pub(crate) party: String,
    pub(crate) wall_s: f64,
    /// Time of all threads of this bank's pool.
    pub(crate) cpu_s: f64,
    pub(crate) bytes_sent: u64,
    /// Messages sent.
    pub(crate) messages: u64,
}

struct Running {
    name: String,
    wall: Instant,
    cpu: Duration,
    traffic: Traffic,
}

/// Collects the phases of one bank. To be used inside the bank's pool.
pub(crate) struct Recorder {
    party: String,
    done: Vec<Phase>,
    running: Option<Running>,
}

impl Recorder {
    pub(crate) fn new(party: &str) -> Self {
        Self { party: party.to_owned(), done: Vec::new(), running: None }
    }

    /// Ends the phase that runs, if any, and begins the next.
    pub(crate) fn begin(&mut self, name: &str, traffic: Traffic) {
        self.end(traffic);
        self.running =
            Some(Running { name: name.to_owned(), wall: Instant::now(), cpu: pool_time(), traffic });
    }

    /// Ends the phase that runs, if any.
    pub(crate) fn end(&mut self, traffic: Traffic) {
        if let Some(running) = self.running.take() {
            self.done.push(Phase {
                name: running.name,
                party: self.party.clone(),
                wall_s: running.wall.elapsed().as_secs_f64(),
                cpu_s: pool_time().saturating_sub(running.cpu).as_secs_f64(),
                bytes_sent: traffic.bytes_sent.saturating_sub(running.traffic.bytes_sent),
                messages: traffic.messages_sent.saturating_sub(running.traffic.messages_sent),
            });
        }
    }

    pub(crate) fn into_phases(self) -> Vec<Phase> {
        self.done
    }
}

/// Processor time of all threads of the current pool since they started.
fn pool_time() -> Duration {
    rayon::broadcast(|_| ThreadTime::try_now().map(|time| time.as_duration()).unwrap_or_default())
        .into_iter()
        .sum()
}
