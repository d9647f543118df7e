//! The in-memory network keeps the laws, and the suite notices a transport that breaks any of them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "test code")]

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    thread::sleep,
    time::Duration,
};

use subrosa_transport::{
    Deadline, Fault, MemoryNetwork, MemoryTransport, PartyId, Roster, Transport, TransportError,
    conformance::{self, Law, Options},
};

const LIMIT: usize = 1 << 16;

fn memory(names: &[&str]) -> Vec<MemoryTransport> {
    MemoryNetwork::builder(names.iter().copied()).max_frame(LIMIT).build().unwrap()
}

#[test]
fn the_memory_network_conforms() {
    conformance::check_all(memory).unwrap();
}

#[test]
fn the_memory_network_conforms_with_its_default_limit() {
    conformance::check_all(|names| MemoryNetwork::builder(names.iter().copied()).build().unwrap()).unwrap();
}

#[test]
fn the_memory_network_conforms_with_delays() {
    conformance::check_all(|names| {
        MemoryNetwork::builder(names.iter().copied())
            .max_frame(1 << 16)
            .latency(Duration::from_millis(2))
            .bandwidth(1_000_000_000)
            .shuffled(5, Duration::from_millis(3))
            .build()
            .unwrap()
    })
    .unwrap();
}

#[test]
fn boxes_and_references_conform() {
    conformance::check_all(|names| -> Vec<Box<dyn Transport + Send>> {
        memory(names).into_iter().map(|transport| Box::new(transport) as _).collect()
    })
    .unwrap();
    conformance::check_all(|names| -> Vec<&'static mut (dyn Transport + Send)> {
        // Never dropped: nobody leaves this network.
        memory(names).into_iter().map(|transport| Box::leak(Box::new(transport)) as _).collect()
    })
    .unwrap();
}

/// How a transport is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Defect {
    None,
    /// Every third frame is swapped with the one before.
    Reorders,
    Duplicates,
    Loses,
    /// The last byte of long frames is lost.
    Cuts,
    /// Empty frames are swallowed.
    SwallowsEmpty,
    /// Bits change on the way.
    Corrupts,
    /// Whoever has a frame for me is taken for whoever I asked for.
    MixesSenders,
    /// Everybody gets everything.
    Broadcasts,
    /// One queue for all senders: the wrong one in front is an error.
    OneQueue,
    NoLimit,
    /// A frame as long as the limit is refused.
    LimitTooLow,
    /// The over-long frame is refused, but the connection is broken too.
    LimitIsFatal,
    /// `send` waits for the frame to be taken.
    SendWaits,
    IgnoresDeadline,
    GivesUpEarly,
    /// A deadline that has passed is an error even if a frame is there.
    PassedDeadlineIsBlind,
    TimeoutIsFinal,
    NamesAnother,
    ErrorsHeal,
    /// What was sent before leaving is lost.
    ForgetsLastWords,
    AcceptsAnybody,
    WrongRoster,
}

struct Defective {
    inner: MemoryTransport,
    defect: Defect,
    sent: HashMap<PartyId, Vec<Vec<u8>>>,
    stale: HashMap<PartyId, TransportError>,
    received: HashMap<PartyId, usize>,
    roster: Roster,
    /// Frames received, by sender and receiver; shared by the whole network.
    taken: Arc<Mutex<HashMap<(PartyId, PartyId), usize>>>,
}

fn defective(defect: Defect) -> impl FnMut(&[&str]) -> Vec<Defective> {
    move |names| {
        let networks = if defect == Defect::NoLimit {
            MemoryNetwork::builder(names.iter().copied()).build().unwrap()
        } else {
            memory(names)
        };
        let taken = Arc::new(Mutex::new(HashMap::new()));
        let wrap = |inner: MemoryTransport| {
            let mut roster = inner.roster().clone();
            if defect == Defect::WrongRoster {
                roster = roster.seen_by(PartyId::new(0)).unwrap();
            }
            Defective {
                inner,
                defect,
                sent: HashMap::new(),
                stale: HashMap::new(),
                received: HashMap::new(),
                roster,
                taken: Arc::clone(&taken),
            }
        };
        networks.into_iter().map(wrap).collect()
    }
}

impl Defective {
    fn error(&self, peer: PartyId, fault: Fault) -> TransportError {
        TransportError::new(&self.roster, peer, fault)
    }
}

impl Transport for Defective {
    fn roster(&self) -> &Roster {
        &self.roster
    }

    fn max_frame(&self) -> usize {
        LIMIT
    }

    fn send(&mut self, to: PartyId, frame: &[u8]) -> Result<(), TransportError> {
        if let Some(error) = self.stale.get(&to) {
            return Err(error.clone());
        }
        let sent = self.sent.entry(to).or_default();
        sent.push(frame.to_vec());
        let count = sent.len();
        match self.defect {
            Defect::Reorders if count % 3 == 1 => Ok(()),
            Defect::Reorders if count % 3 == 2 => {
                let before = sent[count - 2].clone();
                self.inner.send(to, frame)?;
                self.inner.send(to, &before)
            }
            Defect::Duplicates => {
                self.inner.send(to, frame)?;
                if count == 5 { self.inner.send(to, frame) } else { Ok(()) }
            }
            Defect::Loses if count == 5 => Ok(()),
            Defect::Cuts if frame.len() > 1000 => self.inner.send(to, &frame[1..]),
            Defect::SwallowsEmpty if frame.is_empty() => Ok(()),
            Defect::Corrupts if frame.len() > 1000 => {
                let mut frame = frame.to_vec();
                frame[999] ^= 1;
                self.inner.send(to, &frame)
            }
            Defect::Broadcasts => {
                for party in self.roster.others() {
                    self.inner.send(party, frame)?;
                }
                Ok(())
            }
            Defect::LimitTooLow if frame.len() >= LIMIT => {
                Err(self.error(to, Fault::TooLarge { bytes: LIMIT as u64, limit: LIMIT as u64 }))
            }
            Defect::LimitIsFatal if frame.len() > LIMIT => {
                self.stale.insert(to, self.error(to, Fault::Disconnected));
                self.inner.send(to, frame)
            }
            Defect::SendWaits if count > 8 => {
                self.inner.send(to, frame)?;
                // A window of eight frames.
                let me = self.roster.me();
                while self.taken.lock().unwrap().get(&(me, to)).copied().unwrap_or(0) + 8 < count {
                    sleep(Duration::from_millis(1));
                }
                Ok(())
            }
            Defect::AcceptsAnybody if to == self.roster.me() => Ok(()),
            _ => self.inner.send(to, frame),
        }
    }

    fn receive(&mut self, from: PartyId, deadline: Deadline) -> Result<Vec<u8>, TransportError> {
        if let Some(error) = self.stale.get(&from) {
            return Err(error.clone());
        }
        let result = match self.defect {
            Defect::MixesSenders => {
                let others: Vec<PartyId> = self.roster.others().collect();
                let take = |party| self.inner.receive(party, Deadline::after(Duration::from_millis(5))).ok();
                match others.into_iter().find_map(take) {
                    Some(frame) => Ok(frame),
                    None => self.inner.receive(from, deadline),
                }
            }
            Defect::OneQueue => {
                let others: Vec<PartyId> = self.roster.others().collect();
                let first =
                    others.iter().copied().find(|&party| self.received.get(&party).is_none_or(|&n| n < 3));
                match first {
                    Some(first) if others.len() > 1 && first != from => {
                        Err(self.error(from, Fault::Disconnected))
                    }
                    _ => self.inner.receive(from, deadline),
                }
            }
            Defect::IgnoresDeadline => self.inner.receive(from, Deadline::after(Duration::from_secs(3600))),
            Defect::GivesUpEarly => self.inner.receive(from, Deadline::now()),
            Defect::PassedDeadlineIsBlind if deadline.has_passed() => Err(self.error(from, Fault::TimedOut)),
            Defect::ForgetsLastWords => match self.inner.receive(from, deadline) {
                // What is there is only given while the sender lives.
                Ok(frame) if self.inner.send(from, b"alive?").is_ok() => Ok(frame),
                Ok(_) => Err(self.error(from, Fault::Disconnected)),
                Err(error) => Err(error),
            },
            _ => self.inner.receive(from, deadline),
        };
        if result.is_ok() {
            *self.received.entry(from).or_default() += 1;
            *self.taken.lock().unwrap().entry((from, self.roster.me())).or_default() += 1;
        }
        result.map_err(|error| match self.defect {
            Defect::TimeoutIsFinal => {
                self.stale.insert(from, error.clone());
                error
            }
            Defect::NamesAnother => {
                let me = self.roster.me();
                TransportError::new(&self.roster, me, error.fault().clone())
            }
            Defect::ErrorsHeal if *error.fault() == Fault::Disconnected => {
                let seen = self.received.entry(from).or_default();
                *seen += 1;
                if seen.is_multiple_of(2) { self.error(from, Fault::TimedOut) } else { error }
            }
            _ => error,
        })
    }
}

fn options() -> Options {
    Options::default().with_timeout(Duration::from_secs(2)).with_silence(Duration::from_millis(30))
}

#[test]
fn the_wrapper_without_a_defect_conforms() {
    conformance::check_all_with(&options(), defective(Defect::None)).unwrap();
}

#[test]
fn every_defect_is_found() {
    let cases = [
        (Defect::Reorders, Law::Order),
        (Defect::Duplicates, Law::Order),
        (Defect::Loses, Law::Order),
        (Defect::Cuts, Law::Order),
        (Defect::SwallowsEmpty, Law::Order),
        (Defect::Corrupts, Law::Order),
        (Defect::MixesSenders, Law::Identity),
        (Defect::Broadcasts, Law::Privacy),
        (Defect::OneQueue, Law::Order),
        (Defect::NoLimit, Law::Limit),
        (Defect::LimitTooLow, Law::Limit),
        (Defect::LimitIsFatal, Law::Limit),
        (Defect::SendWaits, Law::NoWaiting),
        (Defect::IgnoresDeadline, Law::Deadline),
        (Defect::GivesUpEarly, Law::Deadline),
        (Defect::PassedDeadlineIsBlind, Law::Deadline),
        (Defect::TimeoutIsFinal, Law::Errors),
        (Defect::NamesAnother, Law::Errors),
        (Defect::ErrorsHeal, Law::Errors),
        (Defect::ForgetsLastWords, Law::Errors),
        (Defect::AcceptsAnybody, Law::Errors),
        (Defect::WrongRoster, Law::Roster),
    ];
    // A check waits in vain for what a defect has lost, so all run at the same time.
    let check = |(defect, law): (Defect, Law)| {
        let failures = conformance::check_all_with(&options(), defective(defect))
            .expect_err(&format!("{defect:?} was not noticed"));
        assert!(failures.0.iter().any(|broken| broken.law == law), "{defect:?}: {failures}");
    };
    std::thread::scope(|scope| cases.iter().for_each(|&case| drop(scope.spawn(move || check(case)))));
}
