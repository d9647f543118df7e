//! Checking one trail by itself, and the trails of several banks against each other.

use std::collections::BTreeMap;

use super::line::{Line, chained};
use super::{Event, Flow, Record, hex};

/// A trail that verified: each line is bound to the lines before it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Report {
    /// All records.
    pub records: Vec<Record>,
    /// The hash of the last line; zeros for an empty trail.
    pub(super) hash: [u8; 32],
    /// The hash of each line.
    hashes: Vec<[u8; 32]>,
}

/// A line of a trail that does not verify.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[error("line {line}: {problem}")]
pub struct TrailError {
    /// Number of the line, counted from 1.
    pub line: usize,
    /// What is wrong with it.
    pub problem: String,
}

/// Checks every line of a trail.
///
/// # Errors
/// [`TrailError`] for the first line that was changed, or before which lines were changed, added or removed.
///
/// # Security
/// Lines that were cut off at the end are not detected. Compare a last hash that is known from elsewhere with
/// [`Report::line_of`].
pub fn verify(text: &str) -> Result<Report, TrailError> {
    let mut report = Report { records: Vec::new(), hash: [0; 32], hashes: Vec::new() };
    for (index, text) in text.split_inclusive('\n').enumerate() {
        let error_at = |problem: String| TrailError { line: index + 1, problem };
        let Some(text) = text.strip_suffix('\n') else {
            let problem = "it has no end: the bank was killed while it wrote it, or is writing it just now. The bank \
                           drops such a line when it starts again; all lines before it are whole";
            return Err(error_at(problem.into()));
        };
        let line: Line =
            serde_json::from_str(text).map_err(|_| error_at("it is not a line of a trail".into()))?;
        let hash = chained(&report.hash, line.record.get());
        if line.hash != hex(&hash) {
            return Err(error_at("it was changed, or lines before it were changed, added or removed".into()));
        }
        let record: Record = serde_json::from_str(line.record.get())
            .map_err(|error| error_at(format!("its record is not one of this version: {error}")))?;
        if record.number != index as u64 {
            return Err(error_at(format!("its number is {}, it should be {index}", record.number)));
        }
        report.records.push(record);
        report.hashes.push(hash);
        report.hash = hash;
    }
    Ok(report)
}

impl Report {
    /// Returns the name of the bank that wrote the trail.
    pub fn bank(&self) -> Option<&str> {
        self.events().find_map(|event| match event {
            Event::Started { bank, .. } => Some(bank.as_str()),
            _ => None,
        })
    }

    /// Returns the hash of the last line, in hexadecimal; zeros for an empty trail.
    #[must_use]
    pub fn last_hash(&self) -> String {
        hex(&self.hash)
    }

    fn events(&self) -> impl Iterator<Item = &Event> {
        self.records.iter().map(|record| &record.event)
    }

    /// Finds the line that has this hash, counted from 1. All lines up to it are as they were when the hash was logged.
    pub fn line_of(&self, hash: &str) -> Option<usize> {
        let known = hash.trim().to_ascii_lowercase();
        self.hashes.iter().position(|hash| hex(hash) == known).map(|index| index + 1)
    }

    /// Returns how the last run ended. `None` means that the process was killed or still runs.
    pub fn outcome(&self) -> Option<&str> {
        match self.events().last() {
            Some(Event::Ended { outcome }) => Some(outcome),
            _ => None,
        }
    }

    /// Whether the commitment to the input of the last run is this one.
    pub fn commits_to(&self, commitment: &str) -> bool {
        let last = self.events().filter_map(|event| match event {
            Event::Input { commitment } => Some(commitment.as_str()),
            _ => None,
        });
        last.last() == Some(commitment)
    }

    /// Sessions that were opened: protocol and parameters by id.
    fn sessions(&self) -> BTreeMap<&str, (&str, &BTreeMap<String, String>)> {
        let sessions = self.events().filter_map(|event| match event {
            Event::Session { protocol, session, parameters } => {
                Some((session.as_str(), (protocol.as_str(), parameters)))
            }
            _ => None,
        });
        sessions.collect()
    }

    /// Totals of rounds by session, step, and whether a bank aborted. A round may have several lines.
    fn rounds(&self) -> BTreeMap<(&str, u32, bool), Totals<'_>> {
        let mut rounds: BTreeMap<(&str, u32, bool), Totals<'_>> = BTreeMap::new();
        for event in self.events() {
            let Event::Round { session, step, abort, transcript, sent, received, .. } = event else {
                continue;
            };
            if session.bytes().all(|digit| digit == b'0') {
                continue; // sessions that are being opened cannot be distinguished
            }
            let totals = rounds.entry((session, *step, *abort)).or_default();
            totals.transcript = transcript;
            for (flows, sums) in [(sent, &mut totals.sent), (received, &mut totals.received)] {
                for (bank, Flow { frames, bytes, .. }) in flows {
                    let sum = sums.entry(bank.as_str()).or_default();
                    *sum = (sum.0 + frames, sum.1 + bytes);
                }
            }
        }
        rounds
    }

    /// Summarises the trail in some lines of text.
    pub fn summary(&self) -> String {
        let rounds = self.rounds();
        let bytes = |flows: &BTreeMap<&str, (u64, u64)>| flows.values().map(|(_, bytes)| bytes).sum::<u64>();
        let sent: u64 = rounds.values().map(|totals| bytes(&totals.sent)).sum();
        let received: u64 = rounds.values().map(|totals| bytes(&totals.received)).sum();
        let mut text = format!(
            "{} lines of bank `{}`, {} sessions, {} rounds, {} bytes sent, {} received, last run: {}",
            self.records.len(),
            self.bank().unwrap_or("?"),
            self.sessions().len(),
            rounds.len(),
            sent,
            received,
            self.outcome().unwrap_or("no end recorded"),
        );
        for event in self.events() {
            match event {
                Event::Done { phase, .. } => text += &format!("\n  {phase}: done"),
                Event::Failed { phase, reason } => text += &format!("\n  {phase}: failed: {reason}"),
                Event::Input { commitment } => text += &format!("\n  input: {commitment}"),
                _ => {}
            }
        }
        text + &format!("\n  last hash: {}", self.last_hash())
    }
}

#[derive(Debug, Default)]
struct Totals<'a> {
    transcript: &'a str,
    /// Frames and bytes by bank.
    sent: BTreeMap<&'a str, (u64, u64)>,
    received: BTreeMap<&'a str, (u64, u64)>,
}

/// Compares the trails of several banks. In sessions that two trails list, the parameters and broadcasts must be equal, and each
/// bank must have received what the other sent.
///
/// # Returns
/// Every contradiction, in words, with the names of the banks. A round that only one bank lists is no contradiction: the other
/// bank may have been killed.
#[must_use]
pub fn compare(reports: &[Report]) -> Vec<String> {
    let mut problems = Vec::new();
    for (index, here) in reports.iter().enumerate() {
        for there in reports.iter().skip(index + 1) {
            let (Some(one), Some(other)) = (here.bank(), there.bank()) else { continue };
            let sessions = there.sessions();
            for (id, session) in here.sessions() {
                if sessions.get(id).is_some_and(|theirs| *theirs != session) {
                    problems.push(format!("{one} and {other} list other parameters for session {id}"));
                }
            }
            let theirs = there.rounds();
            for ((session, step, abort), mine) in here.rounds() {
                let Some(theirs) = theirs.get(&(session, step, abort)) else { continue };
                let place = format!("session {}…, round {step}", &session[..8.min(session.len())]);
                // Of two banks that abort, one may do so before a broadcast and the other after it.
                if mine.transcript != theirs.transcript && !abort {
                    problems.push(format!("{place}: {one} and {other} saw other broadcasts before"));
                }
                for (from, to, sent, received) in [
                    (one, other, mine.sent.get(other), theirs.received.get(one)),
                    (other, one, theirs.sent.get(one), mine.received.get(other)),
                ] {
                    // What was sent last may not have arrived.
                    if received.is_some() && sent != received {
                        problems.push(format!("{place}: what {from} sent is not what {to} received"));
                    }
                }
            }
        }
    }
    problems
}
