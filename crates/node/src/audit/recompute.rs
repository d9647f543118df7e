//! Recomputing a run from what a bank kept: its trail, the record of frames and the seeds beside it, and its data.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use super::{Event, Record, Report, compare, frames_file, hex, seeds_file, verify};
use crate::NodeConfig;
use crate::keys::{KeyFileError, public_key_file, read_public_key};
use subrosa_risk_propagation::audit::{self as propagation_audit, End, Index, Recomputed, Recorded, Subject};
use subrosa_risk_propagation::record::{Reader, Seeds};
use subrosa_risk_propagation::{self as propagation, Banks, data, parameters};
use subrosa_threshold_decryption::ThresholdKey;
use subrosa_transport::{PartyId, Roster};

/// Greatest number of broadcasts that the trail of a bank that was killed may lack at its end.
const MOST_LOST: usize = 2;

/// Greatest length of a trail, in bytes.
const MOST_BYTES: u64 = 1 << 30;

/// What a bank gives to its auditor beside its configuration.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Evidence {
    /// Folder that holds the bank's folder of accounts and transfers. Default: that of the configuration.
    pub input: Option<PathBuf>,
    /// The trail.
    pub trail: PathBuf,
    /// Record of frames. Default: the file beside the trail.
    pub frames: Option<PathBuf>,
    /// Seeds of the runs. Default: the file beside the trail.
    pub seeds: Option<PathBuf>,
    /// Last hash of the trail, in hexadecimal, as it was logged at the end of the run.
    pub last_hash: Option<String>,
    /// Id of the session in which the run began. Default: the last run.
    pub run: Option<[u8; 32]>,
    /// File of the public part of the key. Default: the file beside the configuration's key file.
    pub key: Option<PathBuf>,
    /// Trails of other banks.
    pub peers: Vec<PathBuf>,
}

impl Evidence {
    /// Creates evidence with the files beside a trail.
    pub fn new(trail: impl Into<PathBuf>) -> Self {
        Self {
            input: None,
            trail: trail.into(),
            frames: None,
            seeds: None,
            last_hash: None,
            run: None,
            key: None,
            peers: Vec::new(),
        }
    }
}

/// Why a run cannot be recomputed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecomputeError {
    /// A file cannot be used.
    #[error("{} cannot be used", file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// Cause.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The file of the key's public part cannot be used.
    #[error(transparent)]
    KeyFile(#[from] KeyFileError),
    /// The bank's data or names cannot be used.
    #[error(transparent)]
    Propagation(#[from] propagation::Error),
}

/// The result of recomputing a run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recomputation {
    /// How far each session of the run was recomputed, in words.
    pub sessions: Vec<String>,
    /// Every deviation, in words, with session, step and peer.
    pub deviations: Vec<String>,
    /// Whether nothing was compared with the trails of other banks, because none was given.
    ///
    /// # Security
    /// Only this comparison shows that the recorded frames of the other banks are genuine.
    pub lacks_peers: bool,
}

impl Recomputation {
    /// Whether the bank did what its data and its seed say, as far as its record goes.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.deviations.is_empty()
    }
}

/// Recomputes a run of a bank, and compares every message with the one that was sent. No share of the key and no passphrase is
/// needed.
///
/// # Errors
/// [`RecomputeError`] names the file that cannot be used.
pub fn recompute(config: &NodeConfig, evidence: &Evidence) -> Result<Recomputation, RecomputeError> {
    let mut result = Recomputation::default();
    let trail = read(&evidence.trail)?;
    if evidence.last_hash.as_ref().is_some_and(|hash| trail.line_of(hash).is_none()) {
        let problem = "no line of the trail has the hash that was told: lines were changed or cut off";
        result.deviations.push(problem.to_owned());
    }
    let roster = roster(&trail).ok_or_else(|| named(&evidence.trail, "it does not say who takes part"))?;
    let frames = evidence.frames.clone().unwrap_or_else(|| frames_file(&evidence.trail));
    let seeds = evidence.seeds.clone().unwrap_or_else(|| seeds_file(&evidence.trail));
    let seeds = Seeds::read(&seeds).map_err(|error| named(&seeds, error))?;
    let file = File::open(&frames).map_err(|error| named(&frames, error))?;
    let mut reader = Reader::new(BufReader::new(file)).map_err(|error| named(&frames, error))?;
    let index = Index::read(&mut reader, &roster).map_err(|error| named(&frames, error))?;
    let run = match evidence.run {
        Some(run) => run,
        None => *index.runs().last().ok_or_else(|| named(&frames, "it holds no run"))?,
    };

    let banks = Banks::new(config.banks()).map_err(propagation::Error::from)?;
    let input = evidence.input.as_deref().unwrap_or(&config.data);
    let network = data::read_bank(input, &banks, &config.name)?;
    let sessions = index.sessions_of(run);
    result.deviations.extend(check_record(&trail, &sessions));
    let key = key_of(config, evidence, agreed(&trail, &sessions, "key"))?;
    let fields = parameters(&key, network.columns(), &config.settings);
    for (name, value) in fields.fields() {
        let Some(agreed) = agreed(&trail, &sessions, name).filter(|agreed| *agreed != value) else {
            continue;
        };
        let problem = format!("the run had {name} = {agreed}, the configuration says {value}");
        result.deviations.push(problem);
    }
    if !result.is_clean() {
        // All further deviations would follow from these.
        return Ok(result);
    }
    let subject =
        Subject { network: &network, settings: &config.settings, key: &key, roster: &roster, seeds: &seeds };
    let recomputed = propagation_audit::recompute(&subject, &mut reader, Some(run))
        .map_err(|error| named(&frames, error))?;
    for attempt in &recomputed.attempts {
        result.sessions.push(format!("session {}: {}", hex(&attempt.session), words(&attempt.end)));
    }
    for difference in &recomputed.differences {
        result.deviations.push(format!("session {}…, {difference}", hex(&difference.session[..4])));
    }
    let mut trails = vec![trail];
    for peer in &evidence.peers {
        trails.push(read(peer)?);
    }
    result.deviations.extend(compare(&trails));
    let complete: Vec<&Recorded> =
        sessions.into_iter().filter(|session| is_complete(&recomputed, session)).collect();
    for (file, peer) in evidence.peers.iter().zip(&trails[1..]) {
        for (place, session) in complete.iter().enumerate() {
            // A bank that was killed may lack the last lines of the last session.
            let lost = if place + 1 == complete.len() { 0 } else { MOST_LOST };
            result.deviations.extend(check_seen(session, peer, file, lost));
        }
    }
    result.lacks_peers = evidence.peers.is_empty();
    Ok(result)
}

/// Reads the public part of the key of a run. The trail has its fingerprint.
fn key_of(
    config: &NodeConfig,
    evidence: &Evidence,
    agreed: Option<&str>,
) -> Result<ThresholdKey, RecomputeError> {
    let file = match (&evidence.key, agreed) {
        (Some(file), _) => file.clone(),
        (None, Some(key)) if key.bytes().all(|digit| digit.is_ascii_hexdigit()) => {
            public_key_file(&config.key_file, key)
        }
        (None, _) => return Err(named(&evidence.trail, "it does not say which key the run had")),
    };
    Ok(read_public_key(&file)?)
}

fn named(file: &Path, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> RecomputeError {
    RecomputeError::File { file: file.to_owned(), source: source.into() }
}

fn read(file: &Path) -> Result<Report, RecomputeError> {
    let length = std::fs::metadata(file).map_err(|error| named(file, error))?.len();
    if length > MOST_BYTES {
        return Err(named(file, format!("it is longer than {MOST_BYTES} bytes")));
    }
    let text = std::fs::read_to_string(file).map_err(|error| named(file, error))?;
    verify(&text).map_err(|error| named(file, error))
}

/// The roster that the trail lists last, seen by the bank whose trail it is.
fn roster(trail: &Report) -> Option<Roster> {
    let started = trail.records.iter().rev().find_map(|record| match &record.event {
        Event::Started { bank, roster, .. } => Some((bank, roster)),
        _ => None,
    });
    let (bank, members) = started?;
    let me = members.iter().position(|member| member.name == *bank)?;
    let identity = |digits: &str| -> Option<Vec<u8>> {
        let pairs = digits.as_bytes().chunks(2);
        pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
    };
    let parties: Option<Vec<(String, Vec<u8>)>> =
        members.iter().map(|member| Some((member.name.clone(), identity(&member.identity)?))).collect();
    Roster::with_identities(parties?, PartyId::new(u16::try_from(me).ok()?)).ok()
}

/// The value of a parameter on which the banks agreed in a session of the run.
fn agreed<'a>(trail: &'a Report, sessions: &[&Recorded], name: &str) -> Option<&'a str> {
    let ids: Vec<String> = sessions.iter().map(|session| hex(&session.id)).collect();
    trail.records.iter().find_map(|record| match &record.event {
        Event::Session { session, parameters, .. } if ids.contains(session) => {
            parameters.get(name).map(String::as_str)
        }
        _ => None,
    })
}

/// Checks that the record holds the frames to which the trail commits. Returns what is wrong, in words.
fn check_record(trail: &Report, sessions: &[&Recorded]) -> Vec<String> {
    let mut problems = Vec::new();
    for recorded in sessions {
        let id = hex(&recorded.id);
        let mut hashes = recorded.hashes.iter();
        let mut lines = 0;
        for record in &trail.records {
            let Event::Round { session, step, frames, .. } = &record.event else { continue };
            if *session != id || frames.is_empty() {
                continue;
            }
            lines += 1;
            if !hashes.by_ref().any(|hash| hex(hash) == *frames) {
                let place = format!("session {}…, round {step}", &id[..8]);
                problems
                    .push(format!("{place}: the record does not hold the frames to which the trail commits"));
                break;
            }
        }
        // The other banks saw what is recomputed if the transcripts of trail and record are equal.
        for record in &trail.records {
            let Event::Round { session, step, abort: false, transcript, .. } = &record.event else {
                continue;
            };
            let recorded = recorded.transcripts.get(step).filter(|_| *session == id);
            if recorded.is_some_and(|recorded| hex(recorded) != *transcript) {
                let place = format!("session {}…, round {step}", &id[..8]);
                problems.push(format!("{place}: the record has another transcript than the trail"));
                break;
            }
        }
        if lines == 0 {
            problems.push(format!("session {id}: the trail commits to no frames of it"));
        }
    }
    problems
}

/// Whether a session reached R9.
fn is_complete(recomputed: &Recomputed, session: &Recorded) -> bool {
    let reached = |end: &End| matches!(end, End::Decrypted { .. } | End::Finished);
    recomputed.attempts.iter().any(|attempt| attempt.session == session.id && reached(&attempt.end))
}

/// Checks that another bank saw all broadcasts of a session except the last `lost`. Returns what is missing, in words.
fn check_seen(recorded: &Recorded, peer: &Report, file: &Path, lost: usize) -> Option<String> {
    let id = hex(&recorded.id);
    let transcript = |record: &Record| match &record.event {
        Event::Round { session, transcript, .. } if *session == id => Some(transcript.clone()),
        _ => None,
    };
    let seen: BTreeSet<String> = peer.records.iter().filter_map(transcript).collect();
    let mut mine: Vec<(&u32, String)> =
        recorded.transcripts.iter().map(|(step, transcript)| (step, hex(transcript))).collect();
    mine.dedup_by(|later, earlier| later.1 == earlier.1);
    let kept = mine.len().saturating_sub(lost);
    let (step, _) = mine.iter().take(kept).find(|(_, transcript)| !seen.contains(transcript))?;
    let place = format!("session {}…, round {step}", &id[..8]);
    Some(format!("{place}: {} does not have the broadcasts before it", file.display()))
}

fn words(end: &End) -> String {
    match end {
        End::Decrypted { proven, unproven: 0 } => {
            format!("computed again from R0 to R8; proofs of R9 looked at: {proven}")
        }
        End::Decrypted { unproven, .. } => {
            format!("computed again from R0 to R8; {unproven} messages of R9 have no proof")
        }
        End::Finished => "computed again; the bank had its scores before".to_owned(),
        End::GaveUp(reason) => format!("computed again until the bank gave up: {reason}"),
        End::Stopped => "computed again until the bank was stopped".to_owned(),
        End::Parted => "computed again until the bank did something else".to_owned(),
        _ => "computed again".to_owned(),
    }
}
