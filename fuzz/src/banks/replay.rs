//! An honest run of a protocol, played again to its first party, with some of the frames spoiled.
//!
//! The first party draws the same random numbers as when the run was recorded, so every round of the protocol is reached.
//! A spoiled broadcast changes that party's transcript; the frames after it are given the transcript that the party
//! itself shows, or the very next one would end the run. So what was spoiled is not only decoded, but also worked with.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Mutex;

use super::spoil::Spoiled;
use subrosa_transport::{
    Deadline, Fault, Limits, PartyId, Roster, Transport, TransportError, testing, testing::run_parties,
};

/// Step, session and transcript in a frame's header; see `subrosa_transport::frame`.
const STEP: std::ops::Range<usize> = 8..12;
const TRANSCRIPT: std::ops::Range<usize> = 12..76;

/// What the first party received from each of the others.
pub(super) struct Recording {
    parties: usize,
    frames: BTreeMap<PartyId, Vec<Vec<u8>>>,
}

/// A transport that keeps what comes.
struct Recorder<'a, T> {
    inner: T,
    frames: &'a Mutex<BTreeMap<PartyId, Vec<Vec<u8>>>>,
}

impl<T: Transport> Transport for Recorder<'_, T> {
    fn roster(&self) -> &Roster {
        self.inner.roster()
    }

    fn send(&mut self, to: PartyId, frame: &[u8]) -> Result<(), TransportError> {
        self.inner.send(to, frame)
    }

    fn receive(&mut self, from: PartyId, deadline: Deadline) -> Result<Vec<u8>, TransportError> {
        let frame = self.inner.receive(from, deadline)?;
        self.frames.lock().unwrap().entry(from).or_default().push(frame.clone());
        Ok(frame)
    }
}

/// What a party does in a protocol, by its place in the roster.
pub(super) type Party<'a> = dyn Fn(usize, &mut dyn Transport, Limits) + Sync + 'a;

impl Recording {
    /// Runs `party` for all parties.
    pub(super) fn new(parties: usize, party: &Party<'_>) -> Self {
        let frames = Mutex::default();
        run_parties(parties, |me, mut transport| match me.index() {
            0 => party(0, &mut Recorder { inner: transport, frames: &frames }, Limits::new()),
            me => party(me, &mut transport, Limits::new()),
        });
        Self { parties, frames: frames.into_inner().unwrap() }
    }

    /// The first party's transport in this run, spoiled as the input says.
    pub(super) fn replay(&self, input: &[u8]) -> Replay<'_> {
        Replay {
            roster: testing::roster(self.parties, PartyId::new(0)).unwrap(),
            recording: self,
            next: BTreeMap::new(),
            again: BTreeMap::new(),
            spoiled: Spoiled::all(input),
            shown: None,
        }
    }
}

/// See [`Recording::replay`].
pub(super) struct Replay<'a> {
    roster: Roster,
    recording: &'a Recording,
    next: BTreeMap<PartyId, usize>,
    /// Frames that come twice.
    again: BTreeMap<PartyId, VecDeque<Vec<u8>>>,
    spoiled: Vec<Spoiled>,
    /// The header of the frame that the first party sent last.
    shown: Option<Vec<u8>>,
}

impl Transport for Replay<'_> {
    fn roster(&self) -> &Roster {
        &self.roster
    }

    fn send(&mut self, _: PartyId, frame: &[u8]) -> Result<(), TransportError> {
        self.shown = frame.get(..TRANSCRIPT.end).map(<[u8]>::to_vec);
        Ok(())
    }

    fn receive(&mut self, from: PartyId, _: Deadline) -> Result<Vec<u8>, TransportError> {
        let again = self.again.entry(from).or_default();
        if let Some(frame) = again.pop_front() {
            return Ok(frame);
        }
        let next = self.next.entry(from).or_default();
        let Some(frame) = self.recording.frames.get(&from).and_then(|frames| frames.get(*next)) else {
            return Err(TransportError::new(&self.roster, from, Fault::Disconnected));
        };
        let mut frame = frame.clone();
        if let Some(shown) = &self.shown
            && frame.get(STEP) == shown.get(STEP)
        {
            frame[TRANSCRIPT].copy_from_slice(&shown[TRANSCRIPT]);
        }
        let nth = *next * (self.recording.parties - 1) + from.index() - 1;
        *next += 1;
        for _ in 1..Spoiled::apply(&self.spoiled, nth, &mut frame) {
            again.push_back(frame.clone());
        }
        Ok(frame)
    }
}
