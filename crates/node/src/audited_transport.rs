//! A transport that writes every round to the audit trail, logs lost connections, and ends the run when the bank is to stop.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::audit::{AuditError, Event, Flow, Trail, hex};
use subrosa_encoding::Hasher;
use subrosa_risk_propagation::record::Kind;
use subrosa_transport::tls::TlsTransport;
use subrosa_transport::{
    Deadline, FRAME_VERSION, Fault, HEADER_BYTES, Parameters, PartyId, Protocol, Roster, Transport,
    TransportError,
};

/// Interval in which a wait looks for a stop. A connection that is lost for longer is logged.
const POLL: Duration = Duration::from_millis(200);

/// The reason that the other banks receive when this bank is to stop.
const STOPPED: &str = "this bank was told to stop";

/// The header of a frame; see the description of frames in `subrosa-transport`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Heading {
    session: [u8; 32],
    step: u32,
    /// Whether the sender aborts. Its transcript may then be that of the step before.
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

/// The round that is going on.
#[derive(Debug)]
struct Round {
    heading: Heading,
    sent: BTreeMap<PartyId, Tally>,
    received: BTreeMap<PartyId, Tally>,
    recorded: bool,
}

/// See the module's documentation.
#[derive(Debug)]
pub(crate) struct AuditedTransport<'a> {
    inner: TlsTransport,
    stop: Arc<AtomicBool>,
    trail: Option<&'a mut Trail>,
    round: Option<Round>,
    /// The session that is being opened: protocol and parameters.
    announced: Option<(String, BTreeMap<String, String>)>,
    /// Banks without a connection: since when, and whether it was logged.
    lost: BTreeMap<PartyId, (Instant, bool)>,
    /// Why the trail could not be written. The run then ends, because a run needs its trail.
    broken: Option<AuditError>,
    /// Whether the frames of the present session are recorded.
    recording: bool,
}

impl<'a> AuditedTransport<'a> {
    /// Observes `inner`. Once `stop` is set, waiting ends with an error.
    pub(crate) fn new(inner: TlsTransport, stop: Arc<AtomicBool>, trail: Option<&'a mut Trail>) -> Self {
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

    /// Announces a session before it is opened. The trail gets its line when the id is known, even if the session fails later.
    /// With `record`, its frames are recorded if the trail has a record.
    pub(crate) fn announce(&mut self, protocol: Protocol, fields: &Parameters, record: bool) {
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
    pub(crate) fn note(&mut self, event: Event) -> Result<(), AuditError> {
        self.finish()?;
        self.trail.as_mut().map_or(Ok(()), |trail| trail.write(event))
    }

    /// Writes the line of the round that is going on, such as the round in which a run failed. Returns an error also if an earlier
    /// line could not be written.
    pub(crate) fn finish(&mut self) -> Result<(), AuditError> {
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

    /// Writes the line of the session that was announced, before its first round.
    fn begin_session(&mut self, heading: &Heading) -> Result<(), AuditError> {
        if heading.session == [0; 32] {
            return Ok(());
        }
        let (Some((protocol, parameters)), Some(trail)) = (self.announced.take(), &mut self.trail) else {
            return Ok(());
        };
        trail.write(Event::Session { protocol, session: hex(&heading.session), parameters })
    }

    /// Counts a frame in its round. The frames of a round arrive together; late ones get a line of their own.
    fn count(&mut self, party: PartyId, frame: &[u8], sent: bool) -> Result<(), AuditError> {
        let Some(secret) = self.trail.as_ref().map(|trail| trail.secret().clone()) else { return Ok(()) };
        let Some(mut heading) = Heading::of(frame) else { return Ok(()) };
        let place = |heading: &Heading| (heading.session, heading.step, heading.abort);
        let same = |round: &Round| place(&round.heading) == place(&heading);
        match &self.round {
            Some(round) if same(round) => heading = round.heading,
            _ => {
                self.end_round()?;
                // A session's first frame with its id is one of this bank. Frames of others may be left over from an earlier session.
                if sent {
                    self.begin_session(&heading)?;
                }
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
            hasher: Hasher::new("subrosa/bank-node/audit-frames", 1).field("secret", secret.key()),
        };
        let tally = tallies.entry(party).or_insert_with(fresh);
        tally.frames += 1;
        tally.bytes += frame.len() as u64;
        tally.hasher = std::mem::replace(&mut tally.hasher, Hasher::new("", 0)).field("frame", frame);
        Ok(())
    }

    fn noted(&mut self, party: PartyId, frame: &[u8], sent: bool) -> Result<(), TransportError> {
        // The lines of earlier rounds come first: they have the hash of the record up to there.
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

    /// Logs that a connection is lost or back, unless it comes back at once.
    fn log_connection(&mut self, party: PartyId) {
        let bank = self.inner.roster().name(party);
        if self.inner.is_connected(party) {
            if let Some((_, true)) = self.lost.remove(&party) {
                tracing::info!(bank, "the connection is back");
            }
            return;
        }
        let (since, logged) = self.lost.entry(party).or_insert_with(|| (Instant::now(), false));
        if !*logged && since.elapsed() >= POLL {
            *logged = true;
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

impl Transport for AuditedTransport<'_> {
    fn roster(&self) -> &Roster {
        self.inner.roster()
    }

    fn max_frame(&self) -> usize {
        self.inner.max_frame()
    }

    fn send(&mut self, to: PartyId, frame: &[u8]) -> Result<(), TransportError> {
        // A stop does not prevent sending: the reason is sent last.
        self.inner.send(to, frame)?;
        self.noted(to, frame, true)
    }

    fn receive(&mut self, from: PartyId, deadline: Deadline) -> Result<Vec<u8>, TransportError> {
        loop {
            self.check_stop(from)?;
            match self.inner.receive(from, deadline.or_sooner(Deadline::after(POLL))) {
                Ok(frame) => {
                    self.noted(from, &frame, false)?;
                    return Ok(frame);
                }
                Err(error) if error.is_timeout() => {
                    // A session that waits for several banks waits for each of them only for a moment.
                    self.log_connection(from);
                    if deadline.has_passed() {
                        return Err(error);
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }
}
