//! The bank's server that the page asks: a remote server, or a process that this program starts.
//!
//! The started process runs this program as `serve`. It makes up its data and trains its tree. Neither passes through the
//! card holder's process. The started process reads a pipe that only the card holder's process holds. It stops when the
//! pipe closes, so it also stops when the card holder's process is killed.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::journal::Sight;
use crate::{Error, Result};

/// How long a server that was told to stop may take before it is killed.
const STOPPING: Duration = Duration::from_secs(5);
/// How long a process whose connections fail may take to be seen as ended.
const ENDING: Duration = Duration::from_millis(500);
/// How many of its last entries are kept.
const KEPT: usize = 16;

/// What the bank of our own makes up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Made {
    /// How many purchases it trains on.
    pub rows: usize,
    /// Their seed.
    pub seed: u64,
}

/// The bank's server.
#[derive(Debug)]
pub enum Bank {
    /// Started by somebody else.
    Elsewhere {
        /// Its address.
        address: String,
    },
    /// A process of our own.
    Own {
        /// What it is started with.
        made: Made,
        /// The process, running or not.
        process: Mutex<Process>,
    },
}

/// What the page is told of the bank.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// Where the bank is, or was.
    pub address: String,
    /// The process, where it is our own.
    pub process: Option<u32>,
    /// Whether it was our own and has ended.
    pub ended: bool,
}

impl Bank {
    /// Starts a process of our own and waits until it has trained and listens.
    ///
    /// # Errors
    /// [`Error::Data`] where it does not start.
    pub fn start(made: Made) -> Result<Self> {
        Ok(Self::Own { made, process: Mutex::new(Process::start(made)?) })
    }

    /// Where it is.
    pub fn status(&self) -> Status {
        match self {
            Self::Elsewhere { address } => Status { address: address.clone(), process: None, ended: false },
            Self::Own { process, .. } => {
                let mut process = lock(process);
                let ended = process.has_ended();
                Status { address: process.address.clone(), process: Some(process.child.id()), ended }
            }
        }
    }

    /// Where it is after a request to it has failed: where our own is about to end, it is waited for.
    pub fn status_after_failure(&self) -> Status {
        let deadline = Instant::now() + ENDING;
        loop {
            let status = self.status();
            if status.process.is_none() || status.ended || Instant::now() >= deadline {
                return status;
            }
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Starts our own again if it has ended; its address changes. Returns whether the bank is our own.
    ///
    /// # Errors
    /// [`Error::Data`] where it does not start.
    pub fn start_again(&self) -> Result<bool> {
        let Self::Own { made, process } = self else { return Ok(false) };
        let mut process = lock(process);
        if process.has_ended() {
            *process = Process::start(*made)?;
        }
        Ok(true)
    }

    /// What our own bank says of a query with these first bytes (see [`crate::journal::first_bytes`]), if it says so
    /// within `grace`. A bank elsewhere says nothing.
    pub fn sight(&self, first: &str, grace: Duration) -> Option<Sight> {
        let Self::Own { process, .. } = self else { return None };
        let journal = Arc::clone(&lock(process).journal);
        journal.find(first, grace)
    }
}

/// Entries that a reading thread adds.
#[derive(Debug, Default)]
struct Journal {
    entries: Mutex<VecDeque<Sight>>,
    added: Condvar,
}

impl Journal {
    fn add(&self, sight: Sight) {
        let mut entries = lock(&self.entries);
        if entries.len() == KEPT {
            entries.pop_front();
        }
        entries.push_back(sight);
        self.added.notify_all();
    }

    fn find(&self, first: &str, grace: Duration) -> Option<Sight> {
        let find =
            |entries: &VecDeque<Sight>| entries.iter().rev().find(|sight| sight.first == first).cloned();
        let entries = lock(&self.entries);
        let absent = |entries: &mut VecDeque<Sight>| find(entries).is_none();
        let (entries, _) =
            self.added.wait_timeout_while(entries, grace, absent).unwrap_or_else(PoisonError::into_inner);
        find(&entries)
    }
}

/// A bank's server that ends with this value.
#[derive(Debug)]
pub struct Process {
    child: Child,
    /// It stops when this closes.
    input: Option<ChildStdin>,
    address: String,
    journal: Arc<Journal>,
}

impl Process {
    fn start(made: Made) -> Result<Self> {
        let fault = |reason: &str| Error::Data(format!("the bank's server does not start: {reason}"));
        let program = std::env::current_exe().map_err(|error| fault(&error.to_string()))?;
        let mut command = Command::new(program);
        command.args(["serve", "--made-up", "--listen", "127.0.0.1:0", "--attached", "--journal"]);
        command.args(["--rows", &made.rows.to_string(), "--seed", &made.seed.to_string()]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().map_err(|error| fault(&error.to_string()))?;
        let (input, output) = (child.stdin.take(), child.stdout.take());
        let journal = Arc::new(Journal::default());
        let mut process = Self { child, input, address: String::new(), journal: Arc::clone(&journal) };
        let lines = output.map(|output| BufReader::new(output).lines().map_while(std::result::Result::ok));
        let mut lines = lines.ok_or_else(|| fault("it has no output"))?;
        let address = lines.find_map(|line| line.strip_prefix("listening on ").map(str::to_owned));
        process.address = address.ok_or_else(|| fault("it ended before it listened"))?;
        thread::spawn(move || {
            lines.filter_map(|line| Sight::from_line(&line)).for_each(|sight| journal.add(sight));
        });
        Ok(process)
    }

    fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.input.take());
        let deadline = Instant::now() + STOPPING;
        while !self.has_ended() && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(10));
        }
        // Neither fails but where it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Nothing that is guarded here is left half changed.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sight(first: &str) -> Sight {
        Sight {
            address: "127.0.0.1".to_owned(),
            unix_milliseconds: 1,
            bytes: 2,
            first: first.to_owned(),
            microseconds: 3,
            answer_bytes: 4,
        }
    }

    #[test]
    fn entries_are_found_also_when_they_come_late() {
        let journal = Arc::new(Journal::default());
        assert_eq!(journal.find("aa", Duration::ZERO), None);
        journal.add(sight("aa"));
        assert_eq!(journal.find("aa", Duration::ZERO), Some(sight("aa")));
        let late = Arc::clone(&journal);
        let adding = thread::spawn(move || {
            thread::sleep(Duration::from_millis(50));
            late.add(sight("bb"));
        });
        assert_eq!(journal.find("bb", Duration::from_secs(20)), Some(sight("bb")));
        adding.join().unwrap();
        (0..KEPT).for_each(|number| journal.add(sight(&number.to_string())));
        assert_eq!(journal.find("aa", Duration::ZERO), None);
        assert_eq!(journal.entries.lock().unwrap().len(), KEPT);
    }

    #[test]
    fn a_bank_elsewhere_is_not_started_and_says_nothing() {
        let bank = Bank::Elsewhere { address: "127.0.0.1:9".to_owned() };
        assert!(!bank.start_again().unwrap());
        assert_eq!(bank.sight("aa", Duration::from_secs(60)), None);
        let status = Status { address: "127.0.0.1:9".to_owned(), process: None, ended: false };
        assert_eq!(bank.status(), status);
    }
}
