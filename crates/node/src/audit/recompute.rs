//! A run computed again from what a bank kept: trail, record of frames and seeds beside it, and its data.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use subrosa_encoding::parse_hex;
use subrosa_risk_propagation::audit::{self as library, End, Index, Recomputed, Recorded, Subject};
use subrosa_risk_propagation::record::{Reader, Seeds};
use subrosa_risk_propagation::{Banks, data, parameters};
use subrosa_threshold_decryption::ThresholdKey;
use subrosa_transport::{PartyId, Roster};

use super::{Event, Record, Report, compare, frames_file, hex, seeds_file, verify};
use crate::config::Config;
use crate::keys::{public_file, read_public};

/// Broadcasts that the trail of a bank which was killed may lack at the end.
const MOST_LOST: usize = 2;

/// The longest trail that is read, in bytes.
const MOST_BYTES: u64 = 1 << 30;

/// What a bank hands to its auditor, beside its configuration.
#[derive(Debug, Clone, Default)]
pub struct Evidence {
    /// The folder that holds the bank's folder of accounts and transfers; that of the configuration, if none is given.
    pub input: Option<PathBuf>,
    /// The trail.
    pub trail: PathBuf,
    /// The record of frames; the file beside the trail, if none is given.
    pub frames: Option<PathBuf>,
    /// The seeds; the file beside the trail, if none is given.
    pub seeds: Option<PathBuf>,
    /// The trail's last hash as it was told at the end of the run.
    pub last_hash: Option<String>,
    /// The session in which the run began, in hexadecimal; the last run, if none is given.
    pub run: Option<String>,
    /// The public part of the key; the file beside the configuration's key file, if none is given.
    pub key: Option<PathBuf>,
    /// Trails of other banks.
    pub peers: Vec<PathBuf>,
}

type Failure = Box<dyn std::error::Error>;

/// Computes a run of the bank again. `tell` gets one line for each thing that was found.
///
/// # Returns
/// Whether the bank did what its data and its seed say, as far as its record goes.
///
/// # Errors
/// Files that cannot be used, with their names.
pub fn recompute(config: &Config, evidence: &Evidence, tell: &mut dyn FnMut(&str)) -> Result<bool, Failure> {
    let trail = read(&evidence.trail)?;
    let mut good = match &evidence.last_hash {
        Some(hash) if trail.line_of(hash).is_none() => {
            tell("no line of the trail has the hash that was told: lines were changed or cut off");
            false
        }
        _ => true,
    };
    let roster = roster(&trail).ok_or_else(|| named(&evidence.trail, "it does not say who takes part"))?;
    let frames = evidence.frames.clone().unwrap_or_else(|| frames_file(&evidence.trail));
    let seeds = evidence.seeds.clone().unwrap_or_else(|| seeds_file(&evidence.trail));
    let seeds = Seeds::read(&seeds).map_err(|error| named(&seeds, error))?;
    let file = File::open(&frames).map_err(|error| named(&frames, error))?;
    let mut reader = Reader::new(BufReader::new(file)).map_err(|error| named(&frames, error))?;
    let index = Index::read(&mut reader, &roster).map_err(|error| named(&frames, error))?;
    let run = match &evidence.run {
        Some(digits) => parse_hex(digits).ok_or("--run takes the 64 hexadecimal digits of a session")?,
        None => *index.runs().last().ok_or_else(|| named(&frames, "it holds no run"))?,
    };

    let banks = Banks::new(config.banks())?;
    let input = evidence.input.as_deref().unwrap_or(&config.data);
    let network = data::read_bank(input, &banks, &config.name)?;
    let sessions = index.sessions_of(run);
    for line in check_record(&trail, &sessions) {
        tell(&line);
        good = false;
    }
    let key = key_of(config, evidence, agreed(&trail, &sessions, "key"))?;
    let fields = parameters(&key, network.columns(), &config.settings);
    for (name, value) in fields.fields() {
        let Some(agreed) = agreed(&trail, &sessions, name).filter(|agreed| *agreed != value) else {
            continue;
        };
        tell(&format!("the run had {name} = {agreed}, the configuration says {value}"));
        good = false;
    }
    if !good {
        // What follows would be differences that follow from these.
        return Ok(false);
    }
    let subject =
        Subject { network: &network, settings: &config.settings, key: &key, roster: &roster, seeds: &seeds };
    let recomputed =
        library::recompute(&subject, &mut reader, Some(run)).map_err(|error| named(&frames, error))?;
    for attempt in &recomputed.attempts {
        tell(&format!("session {}: {}", hex(&attempt.session), words(&attempt.end)));
    }
    for difference in &recomputed.differences {
        tell(&format!("session {}…, {difference}", hex(&difference.session[..4])));
    }
    let mut trails = vec![trail];
    for peer in &evidence.peers {
        trails.push(read(peer)?);
    }
    let mut contradictions = compare(&trails);
    let complete: Vec<&Recorded> =
        sessions.into_iter().filter(|session| is_complete(&recomputed, session)).collect();
    for (file, peer) in evidence.peers.iter().zip(&trails[1..]) {
        for (place, session) in complete.iter().enumerate() {
            // Of a session that was stopped at the end, a bank that was killed may lack the last lines.
            let lost = if place + 1 == complete.len() { 0 } else { MOST_LOST };
            contradictions.extend(check_seen(session, peer, file, lost));
        }
    }
    contradictions.iter().for_each(|line| tell(line));
    if evidence.peers.is_empty() {
        tell("not compared with what other banks saw: give their trails with --peers");
    }
    Ok(recomputed.differences.is_empty() && contradictions.is_empty())
}

/// The public part of the key of a run, of which the trail has the fingerprint.
fn key_of(config: &Config, evidence: &Evidence, agreed: Option<&str>) -> Result<ThresholdKey, Failure> {
    let file = match (&evidence.key, agreed) {
        (Some(file), _) => file.clone(),
        (None, Some(key)) if key.bytes().all(|digit| digit.is_ascii_hexdigit()) => {
            public_file(&config.key_file, key)
        }
        (None, _) => return Err(named(&evidence.trail, "it does not say which key the run had")),
    };
    Ok(read_public(&file)?)
}

fn named(file: &Path, problem: impl std::fmt::Display) -> Failure {
    format!("{}: {problem}", file.display()).into()
}

fn read(file: &Path) -> Result<Report, Failure> {
    let length = std::fs::metadata(file).map_err(|error| named(file, error))?.len();
    if length > MOST_BYTES {
        return Err(named(file, format!("it is longer than {MOST_BYTES} bytes")));
    }
    let text = std::fs::read_to_string(file).map_err(|error| named(file, error))?;
    verify(&text).map_err(|untrue| named(file, untrue))
}

/// All banks as the trail lists them last, seen by the one whose trail it is.
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

/// The value of a parameter on which the banks had agreed in a session of the run.
fn agreed<'a>(trail: &'a Report, sessions: &[&Recorded], name: &str) -> Option<&'a str> {
    let ids: Vec<String> = sessions.iter().map(|session| hex(&session.id)).collect();
    trail.records.iter().find_map(|record| match &record.event {
        Event::Session { session, parameters, .. } if ids.contains(session) => {
            parameters.get(name).map(String::as_str)
        }
        _ => None,
    })
}

/// Whether the record holds the frames to which the trail commits; what is wrong, in words.
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
        // What is computed again is what the other banks saw, if the trail's transcripts are the record's.
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

/// Whether a session went as far as R9.
fn is_complete(recomputed: &Recomputed, session: &Recorded) -> bool {
    let reached = |end: &End| matches!(end, End::Decrypted { .. } | End::Finished);
    recomputed.attempts.iter().any(|attempt| attempt.session == session.id && reached(&attempt.end))
}

/// Whether another bank saw all broadcasts of a session, but for so many at its end; what it did not, in words.
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
            format!("computed again from R0 to R8; {proven} proofs of R9 looked at")
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
