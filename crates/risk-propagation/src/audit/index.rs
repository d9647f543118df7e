//! What sessions a record holds, and of which runs they are.

use std::collections::BTreeMap;
use std::io::{Read, Seek};

use super::replay::{Heading, is_abort};
use crate::record::{Kind, Reader, RecordError};
use crate::steps::messages::Resume;
use subrosa_transport::{HEADER_BYTES, Message, PartyId, Roster, round_tag};

/// Most entries of a record: those of some hundred runs.
const MOST_ENTRIES: u64 = 1 << 22;

/// A session of a record.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Recorded {
    /// Its id; zeros where it was not opened.
    pub id: [u8; 32],
    /// The session in which its run began; `None` where it ended before the banks knew.
    pub run: Option<[u8; 32]>,
    /// The run and the state of it in which this bank said it was stopped.
    pub(crate) claimed: Option<([u8; 32], u32)>,
    /// Its first entry in the record.
    pub(crate) first_entry: u64,
    /// The hash of each entry.
    pub hashes: Vec<[u8; 32]>,
    /// This bank's transcript before each step of the session in which it sent something: the hash of all broadcasts before.
    pub transcripts: BTreeMap<u32, [u8; 32]>,
}

/// The sessions of a record.
#[derive(Debug, Clone)]
pub struct Index(Vec<Recorded>);

/// What was said in R0a of one session.
#[derive(Default)]
struct Claims {
    mine: Option<Resume>,
    theirs: BTreeMap<PartyId, Resume>,
}

impl Index {
    /// Reads a whole record of the bank by which the roster is seen.
    ///
    /// # Errors
    /// [`RecordError`].
    pub fn read<R: Read + Seek>(frames: &mut Reader<R>, roster: &Roster) -> Result<Self, RecordError> {
        frames.rewind()?;
        let mut sessions: Vec<Recorded> = Vec::new();
        let mut claims = Claims::default();
        let mut entries = 0;
        while let Some(entry) = frames.next()? {
            if entry.kind == Kind::Begin {
                finish(sessions.last_mut(), std::mem::take(&mut claims), roster);
                let hashes = Vec::new();
                sessions.push(Recorded {
                    id: [0; 32],
                    run: None,
                    claimed: None,
                    first_entry: entries,
                    hashes,
                    transcripts: BTreeMap::new(),
                });
            }
            entries += 1;
            if entries > MOST_ENTRIES {
                return Err(RecordError::TooLong);
            }
            let Some(session) = sessions.last_mut() else {
                return Err(RecordError::Damaged { entry: 0 });
            };
            let before = session.hashes.last().copied().unwrap_or_default();
            session.hashes.push(entry.hash(&before));
            let Some(heading) = Heading::of(&entry.bytes).filter(|_| entry.kind != Kind::Begin) else {
                continue;
            };
            // Frames of an earlier session may come first; those that are sent are of this one.
            if entry.kind == Kind::Sent && session.id == [0; 32] {
                session.id = heading.session;
            }
            if entry.kind == Kind::Sent && heading.session != [0; 32] && !is_abort(&entry.bytes) {
                session.transcripts.entry(heading.step).or_insert(heading.transcript);
            }
            if heading.tag == round_tag(Resume::ROUND)
                && heading.session == session.id
                && heading.is_message()
            {
                let resume = postcard::from_bytes::<Resume>(entry.bytes.get(HEADER_BYTES..).unwrap_or(&[]));
                match (resume, entry.kind) {
                    (Ok(resume), Kind::Sent) => claims.mine = Some(resume),
                    (Ok(resume), _) if entry.peer != roster.me() && roster.contains(entry.peer) => {
                        claims.theirs.insert(entry.peer, resume);
                    }
                    _ => {}
                }
            }
        }
        finish(sessions.last_mut(), claims, roster);
        frames.rewind()?;
        Ok(Self(sessions))
    }

    /// The sessions in their order.
    #[must_use]
    pub fn sessions(&self) -> &[Recorded] {
        &self.0
    }

    /// The sessions of a run, and of those that were given up for it, in their order.
    #[must_use]
    pub fn sessions_of(&self, run: [u8; 32]) -> Vec<&Recorded> {
        let mut runs = vec![run];
        // Each was claimed in a session before the one in which the next began, so this ends.
        while let Some(last) = runs.last()
            && let Some(first) = self.0.iter().find(|session| session.run == Some(*last))
            && let Some((before, _)) = first.claimed.filter(|(before, _)| !runs.contains(before))
        {
            runs.push(before);
        }
        self.0.iter().filter(|session| session.run.is_some_and(|run| runs.contains(&run))).collect()
    }

    /// The sessions in which runs began, in their order.
    #[must_use]
    pub fn runs(&self) -> Vec<[u8; 32]> {
        let mut runs = Vec::new();
        for run in self.0.iter().filter_map(|session| session.run) {
            if !runs.contains(&run) {
                runs.push(run);
            }
        }
        runs
    }
}

/// A session goes on with a run if all say so of the same one; else it begins a run. It does neither before all have spoken.
fn finish(session: Option<&mut Recorded>, claims: Claims, roster: &Roster) {
    let (Some(session), Some(mine)) = (session, claims.mine) else { return };
    if claims.theirs.len() + 1 < roster.len() {
        return;
    }
    session.claimed = mine.run.map(|run| (run, mine.position));
    let all = claims.theirs.values().all(|theirs| theirs.run == mine.run);
    session.run = mine.run.filter(|_| all).or(Some(session.id));
}
