//! A transport that gives a session the recorded frames of the others, and compares what it sends with what was sent.

use std::cell::Cell;
use std::collections::VecDeque;
use std::io::Read;

use rand_core::{TryCryptoRng, TryRng};

use crate::record::{Entry, Kind, Reader, RecordError};
use crate::steps::messages::{Digests, Finished, NoiseChunk, OfferChunk, ScoreChunk, SelectionBits};
use subrosa_threshold_decryption::protocol::Announcement;
use subrosa_transport::{
    Deadline, Fault, HEADER_BYTES, Message, PartyId, Roster, Transport, TransportError, round_tag,
};

/// Bytes of frames that wait while a frame of another bank is looked for.
const MOST_WAITING: usize = 1 << 30;

/// What a frame says of itself; see the description of frames in `subrosa-transport`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Heading {
    kind: u8,
    pub(super) step: u32,
    pub(super) session: [u8; 32],
    pub(super) transcript: [u8; 32],
    pub(super) tag: [u8; 8],
}

impl Heading {
    pub(super) fn of(frame: &[u8]) -> Option<Self> {
        let header = frame.first_chunk::<HEADER_BYTES>()?;
        Some(Self {
            kind: *header.get(5)?,
            step: u32::from_le_bytes(*header.get(8..)?.first_chunk()?),
            session: *header.get(12..)?.first_chunk()?,
            transcript: *header.get(44..)?.first_chunk()?,
            tag: *header.get(76..)?.first_chunk()?,
        })
    }

    pub(super) fn is_message(self) -> bool {
        self.kind == 1
    }

    fn is_abort(self) -> bool {
        self.kind == 3
    }

    /// Whether the message is for its receiver alone. Others enter everybody's transcript.
    fn is_personal(self) -> bool {
        let rounds =
            [Digests::ROUND, OfferChunk::ROUND, SelectionBits::ROUND, ScoreChunk::ROUND, Finished::ROUND];
        rounds.iter().any(|round| round_tag(round) == self.tag)
    }
}

/// Whether a frame says that its sender gives up.
pub(super) fn is_abort(frame: &[u8]) -> bool {
    Heading::of(frame).is_some_and(Heading::is_abort)
}

/// Whether a frame holds an announcement or noise.
fn is_shown(frame: &[u8]) -> bool {
    let rounds = [Announcement::ROUND, NoiseChunk::ROUND].map(round_tag);
    Heading::of(frame).is_some_and(|heading| rounds.contains(&heading.tag))
}

/// A message that is not what it should be.
pub(super) struct Found {
    pub(super) to: PartyId,
    /// The iteration, from 1; 0 outside.
    pub(super) iteration: usize,
    /// How many messages of the same round went to the same bank before, in the same iteration.
    pub(super) chunk: usize,
    pub(super) expected: Vec<u8>,
    pub(super) sent: Vec<u8>,
}

/// How a replayed session ended.
pub(super) struct Ending {
    pub(super) found: Vec<Found>,
    /// Frames that were sent and not asked for.
    pub(super) leftover: Vec<(PartyId, Vec<u8>)>,
    /// What the bank told when it gave up.
    pub(super) gave_up: Option<String>,
    /// The record ended before the session did.
    pub(super) over: bool,
    /// The bank sent something else to all, after which nothing can be compared.
    pub(super) parted: bool,
    /// The record cannot be read.
    pub(super) failed: Option<RecordError>,
}

pub(super) struct Replay<'a, R> {
    roster: Roster,
    frames: &'a mut Reader<R>,
    iteration: &'a Cell<usize>,
    /// Entries of the record that were read.
    place: &'a mut u64,
    /// The first entry of the next session, or the end, was met.
    at_end: bool,
    begun: bool,
    sent: Vec<VecDeque<Vec<u8>>>,
    received: Vec<VecDeque<Vec<u8>>>,
    waiting: usize,
    /// Messages of one round to each bank in one iteration.
    counts: Vec<(usize, [u8; 8], usize)>,
    found: Vec<Found>,
    gave_up: Option<String>,
    over: bool,
    /// A bank is waited for, and the record has no frame of it.
    dry: bool,
    /// What comes now is not compared any more.
    ending: bool,
    /// Transcripts part, so that nothing more can be compared.
    parted: bool,
    failed: Option<RecordError>,
}

impl<'a, R: Read> Replay<'a, R> {
    /// Replays the session whose first entry comes next.
    pub(super) fn new(
        roster: Roster,
        frames: &'a mut Reader<R>,
        iteration: &'a Cell<usize>,
        place: &'a mut u64,
    ) -> Self {
        let parties = roster.len();
        Self {
            roster,
            frames,
            iteration,
            place,
            at_end: false,
            begun: false,
            sent: vec![VecDeque::new(); parties],
            received: vec![VecDeque::new(); parties],
            waiting: 0,
            counts: vec![(0, [0; 8], 0); parties],
            found: Vec::new(),
            gave_up: None,
            over: false,
            dry: false,
            ending: false,
            parted: false,
            failed: None,
        }
    }

    /// Reads one more entry of this session; false at its end.
    fn pull(&mut self) -> Result<bool, RecordError> {
        if self.at_end {
            return Ok(false);
        }
        let Some(Entry { kind, peer, bytes }) = self.frames.next_of_session(self.begun)? else {
            self.at_end = true;
            return Ok(false);
        };
        *self.place += 1;
        self.begun = true;
        // What was shown later tells what stood behind the hashes of R7a and R7b.
        if self.ending && self.parted && !(kind == Kind::Sent && is_shown(&bytes)) {
            return Ok(true);
        }
        let queues = match kind {
            Kind::Begin => return Ok(true),
            Kind::Sent => &mut self.sent,
            Kind::Received => &mut self.received,
        };
        let damaged = RecordError::Damaged { entry: *self.place - 1 };
        let Some(queue) = queues.get_mut(peer.index()) else { return Err(damaged) };
        self.waiting += bytes.len();
        if self.waiting > MOST_WAITING {
            return Err(damaged);
        }
        queue.push_back(bytes);
        Ok(true)
    }

    fn next(&mut self, kind: Kind, peer: PartyId) -> Result<Option<Vec<u8>>, RecordError> {
        loop {
            let queues = if kind == Kind::Sent { &mut self.sent } else { &mut self.received };
            if let Some(frame) = queues.get_mut(peer.index()).and_then(VecDeque::pop_front) {
                self.waiting = self.waiting.saturating_sub(frame.len());
                return Ok(Some(frame));
            }
            if !self.pull()? {
                return Ok(None);
            }
        }
    }

    /// The nonce in the bank's own greeting: its last 32 bytes.
    pub(super) fn nonce(&mut self) -> Result<[u8; 32], RecordError> {
        let Some(peer) = self.roster.others().next() else { return Ok([0; 32]) };
        let Some(frame) = self.next(Kind::Sent, peer)? else { return Ok([0; 32]) };
        let nonce = frame.last_chunk().copied().unwrap_or_default();
        if let Some(queue) = self.sent.get_mut(peer.index()) {
            self.waiting += frame.len();
            queue.push_front(frame);
        }
        Ok(nonce)
    }

    /// What came of it. Reads the session to its end.
    pub(super) fn end(mut self) -> Result<Ending, RecordError> {
        self.ending = true;
        while self.failed.is_none() && self.pull()? {}
        let sent = self.roster.parties().zip(self.sent);
        let leftover =
            sent.flat_map(|(to, frames)| frames.into_iter().map(move |frame| (to, frame))).collect();
        let Self { found, gave_up, over, dry, parted, failed, .. } = self;
        Ok(Ending { found, leftover, gave_up, over: over || dry, parted, failed })
    }

    fn stops(&self, peer: PartyId) -> TransportError {
        let fault = Fault::NotAwaited("the recomputation ends here".to_owned());
        TransportError::new(&self.roster, peer, fault)
    }

    /// Compares a frame with the one that was sent.
    fn compare(&mut self, to: PartyId, mine: &[u8]) -> Result<bool, RecordError> {
        let abort = is_abort(mine);
        let Some(theirs) = self.next(Kind::Sent, to)? else {
            self.over |= !abort;
            return Ok(abort);
        };
        let heading = Heading::of(&theirs);
        if is_abort(&theirs) {
            self.gave_up.get_or_insert_with(|| reason(&theirs));
            return Ok(abort);
        }
        if abort {
            // The bank went on where the protocol ends.
            if let Some(queue) = self.sent.get_mut(to.index()) {
                self.waiting += theirs.len();
                queue.push_front(theirs);
            }
            return Ok(true);
        }
        let (iteration, tag) =
            (self.iteration.get(), Heading::of(mine).map_or([0; 8], |heading| heading.tag));
        let mut chunk = 0;
        if let Some(count) = self.counts.get_mut(to.index()) {
            let before = if (count.0, count.1) == (iteration, tag) { count.2 } else { 0 };
            *count = (iteration, tag, before + 1);
            chunk = before;
        }
        if mine != theirs {
            let same_place = mine.get(..HEADER_BYTES) == theirs.get(..HEADER_BYTES);
            self.parted |= !(same_place && heading.is_some_and(Heading::is_personal));
            self.found.push(Found { to, iteration, chunk, expected: mine.to_vec(), sent: theirs });
        }
        Ok(true)
    }
}

impl<R: Read> Transport for Replay<'_, R> {
    fn roster(&self) -> &Roster {
        &self.roster
    }

    fn send(&mut self, to: PartyId, frame: &[u8]) -> Result<(), TransportError> {
        if self.failed.is_some() || self.over || self.gave_up.is_some() {
            return Err(self.stops(to));
        }
        // To the others of a deviating broadcast, the bank may have sent the right one, or yet another one.
        if self.parted && is_abort(frame) {
            return Ok(());
        }
        match self.compare(to, frame) {
            Ok(true) => Ok(()),
            Ok(false) => Err(self.stops(to)),
            Err(error) => {
                self.failed = Some(error);
                Err(self.stops(to))
            }
        }
    }

    fn receive(&mut self, from: PartyId, deadline: Deadline) -> Result<Vec<u8>, TransportError> {
        if self.failed.is_some() || self.parted || self.gave_up.is_some() {
            return Err(self.stops(from));
        }
        // What the bank met later was not there yet: nobody is found to be ahead of it who was not.
        let waits = self.received.get(from.index()).is_some_and(|frames| !frames.is_empty());
        if deadline.has_passed() && !waits && !self.at_end {
            return Err(TransportError::new(&self.roster, from, Fault::TimedOut));
        }
        match self.next(Kind::Received, from) {
            Ok(Some(frame)) => Ok(frame),
            Ok(None) => {
                self.dry = true;
                Err(TransportError::new(&self.roster, from, Fault::Disconnected))
            }
            Err(error) => {
                self.failed = Some(error);
                Err(self.stops(from))
            }
        }
    }
}

/// The reason in the frame of a bank that gives up: a text with its length in front.
fn reason(frame: &[u8]) -> String {
    let payload = frame.get(HEADER_BYTES..).unwrap_or(&[]);
    let text = postcard::take_from_bytes::<String>(payload).map_or(String::new(), |(text, _)| text);
    text.chars().filter(|c| !c.is_control()).take(512).collect()
}

/// Gives the nonce of a recorded greeting, and nothing else.
pub(super) struct Nonce(VecDeque<u8>);

impl Nonce {
    pub(super) fn new(nonce: [u8; 32]) -> Self {
        Self(nonce.into())
    }
}

impl TryRng for Nonce {
    type Error = std::convert::Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Self::Error> {
        bytes.fill_with(|| self.0.pop_front().unwrap_or(0));
        Ok(())
    }
}

impl TryCryptoRng for Nonce {}
