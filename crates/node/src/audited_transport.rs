//! A transport that listens in: it notes every round for the audit trail, tells the log when a connection is lost or comes
//! back, and ends the run when the bank is told to stop.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use subrosa_encoding::Hasher;
use subrosa_risk_propagation::record::Kind;
use subrosa_transport::tls::TlsTransport;
use subrosa_transport::{
    Deadline, FRAME_VERSION, Fault, HEADER_BYTES, Parameters, PartyId, Protocol, Roster, Transport,
    TransportError,
};

use crate::audit::{AuditError, Event, Flow, Trail, hex};

/// How soon a wait ends after the bank was told to stop, and after how long without a connection the log hears of it.
const GLANCE: Duration = Duration::from_millis(200);

/// The words by which the other banks learn that this one was told to stop.
pub const STOPPED: &str = "this bank was told to stop";

/// What a frame says of itself; see the description of frames in `subrosa-transport`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Heading {
    session: [u8; 32],
    step: u32,
    /// The sender gives up. Of a party that does, the transcript may be that of the step before.
    abort: bool,
    tag: [u8; 8],
    transcript: [u8; 32],
}

impl Heading {
    fn of(frame: &[u8]) -> Option<Self> {
        let header = frame.first_chunk::<HEADER_BYTES>()?;
        if header[..4] != *b"SUBR" || header[4] != FRAME_VERSION {
            return None;
        }
        Some(Self {
            step: u32::from_le_bytes(*header[8..].first_chunk()?),
            abort: header[5] == 3,
            session: *header[12..].first_chunk()?,
            transcript: *header[44..].first_chunk()?,
            tag: *header[76..].first_chunk()?,
        })
    }
}

#[derive(Debug)]
struct Tally {
    frames: u64,
    bytes: u64,
    hasher: Hasher,
}

/// One round as it happens.
#[derive(Debug)]
struct Round {
    heading: Heading,
    sent: BTreeMap<PartyId, Tally>,
    received: BTreeMap<PartyId, Tally>,
    recorded: bool,
}

/// See the module's page.
#[derive(Debug)]
pub struct Wire<'a> {
    inner: TlsTransport,
    stop: Arc<AtomicBool>,
    trail: Option<&'a mut Trail>,
    round: Option<Round>,
    /// The session that is being opened: protocol and parameters.
    announced: Option<(String, BTreeMap<String, String>)>,
    /// Who is without connection, since when, and whether the log knows.
    lost: BTreeMap<PartyId, (Instant, bool)>,
    /// The trail could not be written; the run ends, since a run without its trail is not wanted.
    broken: Option<AuditError>,
    /// The frames of the present session are recorded.
    recording: bool,
}

impl<'a> Wire<'a> {
    /// Listens in on `inner`. Once `stop` is set, waiting ends with an error.
    pub fn new(inner: TlsTransport, stop: Arc<AtomicBool>, trail: Option<&'a mut Trail>) -> Self {
        Self {
            inner,
            stop,
            trail,
            round: None,
            announced: None,
            lost: BTreeMap::new(),
            broken: None,
            recording: false,
        }
    }

    /// A session is about to be opened. The trail has it as soon as its id is there, also if it fails later. With `record`, its
    /// frames are recorded where the trail has a record.
    pub fn announce(&mut self, protocol: Protocol, fields: &Parameters, record: bool) {
        self.recording = record;
        if let Err(error) = self.begin_record(protocol) {
            self.broken.get_or_insert(error);
        }
        let fields = fields.fields().map(|(name, value)| (name.to_owned(), value.to_owned()));
        self.announced = Some((protocol.name.to_owned(), fields.collect()));
    }

    fn begin_record(&mut self, protocol: Protocol) -> Result<(), AuditError> {
        self.end_round()?;
        match &mut self.trail {
            Some(trail) if self.recording => trail.begin_record(protocol.name),
            _ => Ok(()),
        }
    }

    /// Adds a line to the audit trail, if there is one.
    ///
    /// # Errors
    /// [`AuditError`].
    pub fn note(&mut self, event: Event) -> Result<(), AuditError> {
        self.finish()?;
        self.trail.as_mut().map_or(Ok(()), |trail| trail.write(event))
    }

    /// Writes down the round that is going on: the last one, where the run fails in it.
    ///
    /// # Errors
    /// [`AuditError`], also where a line before could not be written.
    pub fn finish(&mut self) -> Result<(), AuditError> {
        if let Some(error) = self.broken.take() {
            return Err(error);
        }
        self.end_round()
    }

    fn end_round(&mut self) -> Result<(), AuditError> {
        let (Some(round), Some(trail)) = (self.round.take(), &mut self.trail) else { return Ok(()) };
        let frames = if round.recorded { trail.record_hash()?.unwrap_or_default() } else { String::new() };
        let roster = self.inner.roster();
        let flows = |tallies: BTreeMap<PartyId, Tally>| {
            let flow = |(party, tally): (PartyId, Tally)| {
                let keyed_hash = hex(&tally.hasher.finish());
                let flow = Flow { frames: tally.frames, bytes: tally.bytes, keyed_hash };
                (roster.name(party).to_owned(), flow)
            };
            tallies.into_iter().map(flow).collect()
        };
        let Heading { session, step, abort, tag, transcript } = round.heading;
        trail.write(Event::Round {
            session: hex(&session),
            step,
            abort,
            tag: hex(&tag),
            transcript: hex(&transcript),
            sent: flows(round.sent),
            received: flows(round.received),
            frames,
        })
    }

    /// Writes down the session that was announced, before its first round.
    fn begin_session(&mut self, heading: &Heading) -> Result<(), AuditError> {
        if heading.session == [0; 32] {
            return Ok(());
        }
        let (Some((protocol, parameters)), Some(trail)) = (self.announced.take(), &mut self.trail) else {
            return Ok(());
        };
        trail.write(Event::Session { protocol, session: hex(&heading.session), parameters })
    }

    /// Adds a frame to its round. Frames of a round come together, but for stragglers, which make a line of their own.
    fn count(&mut self, party: PartyId, frame: &[u8], sent: bool) -> Result<(), AuditError> {
        let Some(secret) = self.trail.as_ref().map(|trail| *trail.secret()) else { return Ok(()) };
        let Some(mut heading) = Heading::of(frame) else { return Ok(()) };
        let place = |heading: &Heading| (heading.session, heading.step, heading.abort);
        let same = |round: &Round| place(&round.heading) == place(&heading);
        match &self.round {
            Some(round) if same(round) => heading = round.heading,
            _ => {
                self.end_round()?;
                self.begin_session(&heading)?;
            }
        }
        let round = self.round.get_or_insert_with(|| Round {
            heading,
            sent: BTreeMap::new(),
            received: BTreeMap::new(),
            recorded: self.recording,
        });
        let tallies = if sent { &mut round.sent } else { &mut round.received };
        let fresh = || Tally {
            frames: 0,
            bytes: 0,
            hasher: Hasher::new("subrosa/bank-node/audit-frames", 1).field("secret", &secret),
        };
        let tally = tallies.entry(party).or_insert_with(fresh);
        tally.frames += 1;
        tally.bytes += frame.len() as u64;
        tally.hasher = std::mem::replace(&mut tally.hasher, Hasher::new("", 0)).field("frame", frame);
        Ok(())
    }

    fn noted(&mut self, party: PartyId, frame: &[u8], sent: bool) -> Result<(), TransportError> {
        // First the lines of the rounds before: they have the hash of the record up to there.
        let mut noted = self.count(party, frame, sent);
        if let (Ok(()), true, Some(trail)) = (&noted, self.recording, &mut self.trail) {
            noted = trail.record(if sent { Kind::Sent } else { Kind::Received }, party, frame);
        }
        if let Err(error) = noted {
            self.broken.get_or_insert(error);
        }
        if self.broken.is_some() {
            let fault = Fault::NotAwaited("this bank cannot write its audit trail".to_owned());
            return Err(TransportError::new(self.inner.roster(), party, fault));
        }
        Ok(())
    }

    /// Tells the log what has become of the connection to a bank that is waited for, unless it comes back at once.
    fn look_at(&mut self, party: PartyId) {
        let bank = self.inner.roster().name(party);
        if self.inner.is_connected(party) {
            if let Some((_, true)) = self.lost.remove(&party) {
                tracing::info!(bank, "the connection is back");
            }
            return;
        }
        let (since, told) = self.lost.entry(party).or_insert_with(|| (Instant::now(), false));
        if !*told && since.elapsed() >= GLANCE {
            *told = true;
            let reason = self.inner.problem(party).map(|problem| problem.with_causes()).unwrap_or_default();
            tracing::warn!(bank, reason, "the connection is lost; waiting for it to come back");
        }
    }

    fn check_stop(&self, party: PartyId) -> Result<(), TransportError> {
        if self.stop.load(Ordering::Relaxed) {
            let fault = Fault::NotAwaited(STOPPED.to_owned());
            return Err(TransportError::new(self.inner.roster(), party, fault));
        }
        Ok(())
    }
}

impl Transport for Wire<'_> {
    fn roster(&self) -> &Roster {
        self.inner.roster()
    }

    fn max_frame(&self) -> usize {
        self.inner.max_frame()
    }

    fn send(&mut self, to: PartyId, frame: &[u8]) -> Result<(), TransportError> {
        // Not stopped here: the last thing to be sent is why.
        self.inner.send(to, frame)?;
        self.noted(to, frame, true)
    }

    fn receive(&mut self, from: PartyId, deadline: Deadline) -> Result<Vec<u8>, TransportError> {
        loop {
            self.check_stop(from)?;
            match self.inner.receive(from, deadline.or_sooner(Deadline::after(GLANCE))) {
                Ok(frame) => {
                    self.noted(from, &frame, false)?;
                    return Ok(frame);
                }
                Err(error) if error.is_timeout() => {
                    // A session that waits for several looks at each of them for a moment only.
                    self.look_at(from);
                    if deadline.has_passed() {
                        return Err(error);
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }
}
