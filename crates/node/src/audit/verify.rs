//! Checking trails: one by itself, and those of several banks against each other.

use std::collections::BTreeMap;

use super::{Event, Flow, Line, Record, chained, hex};

/// A trail whose every line is bound to the ones before it.
#[derive(Debug, Clone)]
pub struct Report {
    /// All records.
    pub records: Vec<Record>,
    /// The hash of the last line; zeros for an empty trail.
    pub hash: [u8; 32],
    /// The hash of each line.
    hashes: Vec<[u8; 32]>,
}

/// Why a trail is not to be trusted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct Untrue {
    /// Counted from 1.
    pub line: usize,
    /// What is wrong.
    pub problem: String,
}

/// Checks every line of a trail.
///
/// Lines cut off at the end do not show, unless the trail's last hash is known from elsewhere.
///
/// # Errors
/// The first line that is not what it should be.
pub fn verify(text: &str) -> Result<Report, Untrue> {
    let mut report = Report { records: Vec::new(), hash: [0; 32], hashes: Vec::new() };
    for (index, text) in text.split_inclusive('\n').enumerate() {
        let untrue = |problem: String| Untrue { line: index + 1, problem };
        let Some(text) = text.strip_suffix('\n') else {
            let problem = "it has no end: the bank was killed while it wrote it, or is writing it just now. The bank \
                           drops such a line when it starts again; all lines before it are whole";
            return Err(untrue(problem.into()));
        };
        let line: Line =
            serde_json::from_str(text).map_err(|_| untrue("it is not a line of a trail".into()))?;
        let hash = chained(&report.hash, line.record.get());
        if line.hash != hex(&hash) {
            return Err(untrue("it was changed, or lines before it were changed, added or removed".into()));
        }
        let record: Record = serde_json::from_str(line.record.get())
            .map_err(|error| untrue(format!("its record is not one of this version: {error}")))?;
        if record.number != index as u64 {
            return Err(untrue(format!("its number is {}, it should be {index}", record.number)));
        }
        report.records.push(record);
        report.hashes.push(hash);
        report.hash = hash;
    }
    Ok(report)
}

impl Report {
    /// This bank's name, from the first line that tells it.
    pub fn bank(&self) -> Option<&str> {
        self.events().find_map(|event| match event {
            Event::Started { bank, .. } => Some(bank.as_str()),
            _ => None,
        })
    }

    fn events(&self) -> impl Iterator<Item = &Event> {
        self.records.iter().map(|record| &record.event)
    }

    /// The line that has this hash, counted from 1: all lines up to it are as they were when the hash was told.
    pub fn line_of(&self, hash: &str) -> Option<usize> {
        let told = hash.trim().to_ascii_lowercase();
        self.hashes.iter().position(|hash| hex(hash) == told).map(|index| index + 1)
    }

    /// How the last run ended; `None` if it has no end, which means that the process was killed or still runs.
    pub fn outcome(&self) -> Option<&str> {
        match self.events().last() {
            Some(Event::Ended { outcome }) => Some(outcome),
            _ => None,
        }
    }

    /// Whether the last input that the trail commits to is this one.
    pub fn commits_to(&self, commitment: &str) -> bool {
        let last = self.events().filter_map(|event| match event {
            Event::Input { commitment } => Some(commitment.as_str()),
            _ => None,
        });
        last.last() == Some(commitment)
    }

    /// Sessions that were opened: id, and protocol with its parameters.
    fn sessions(&self) -> BTreeMap<&str, (&str, &BTreeMap<String, String>)> {
        let sessions = self.events().filter_map(|event| match event {
            Event::Session { protocol, session, parameters } => {
                Some((session.as_str(), (protocol.as_str(), parameters)))
            }
            _ => None,
        });
        sessions.collect()
    }

    /// Rounds by session, step and whether somebody gave up; what came in several lines is added up.
    fn rounds(&self) -> BTreeMap<(&str, u32, bool), Totals<'_>> {
        let mut rounds: BTreeMap<(&str, u32, bool), Totals<'_>> = BTreeMap::new();
        for event in self.events() {
            let Event::Round { session, step, abort, transcript, sent, received, .. } = event else {
                continue;
            };
            if session.bytes().all(|digit| digit == b'0') {
                continue; // sessions that are being opened cannot be told from each other
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

    /// A summary for people.
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
        text + &format!("\n  last hash: {}", hex(&self.hash))
    }
}

#[derive(Debug, Default)]
struct Totals<'a> {
    transcript: &'a str,
    /// Frames and bytes by bank.
    sent: BTreeMap<&'a str, (u64, u64)>,
    received: BTreeMap<&'a str, (u64, u64)>,
}

/// Checks trails of several banks against each other: sessions that two of them list have the same parameters, the same
/// broadcasts, and what one sent the other received.
///
/// # Returns
/// Every contradiction, in words. A round that only one bank lists is none: the other may have been killed.
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
                // Two that give up may do so before and after a broadcast.
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
