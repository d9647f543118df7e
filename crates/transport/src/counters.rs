//! Counters of frames and bytes.

use std::{collections::BTreeMap, ops::AddAssign};

use serde::Serialize;

use crate::PartyId;

/// Frames and bytes in both directions. Bytes include the session's frame header, but not what a transport adds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Traffic {
    /// Bytes handed to the transport.
    pub bytes_sent: u64,
    /// Bytes taken from the transport.
    pub bytes_received: u64,
    /// Frames handed to the transport.
    pub messages_sent: u64,
    /// Frames taken from the transport.
    pub messages_received: u64,
}

impl Traffic {
    fn since(self, earlier: Self) -> Self {
        Self {
            bytes_sent: self.bytes_sent.saturating_sub(earlier.bytes_sent),
            bytes_received: self.bytes_received.saturating_sub(earlier.bytes_received),
            messages_sent: self.messages_sent.saturating_sub(earlier.messages_sent),
            messages_received: self.messages_received.saturating_sub(earlier.messages_received),
        }
    }

    fn is_zero(self) -> bool {
        self == Self::default()
    }
}

impl AddAssign for Traffic {
    fn add_assign(&mut self, other: Self) {
        self.bytes_sent += other.bytes_sent;
        self.bytes_received += other.bytes_received;
        self.messages_sent += other.messages_sent;
        self.messages_received += other.messages_received;
    }
}

/// The traffic of a session: in all, with each peer, and in each named round.
///
/// A clone is a snapshot. [`Counters::since`] subtracts a snapshot, which gives the traffic of a phase.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counters {
    total: Traffic,
    peers: Vec<Traffic>,
    rounds: BTreeMap<&'static str, Traffic>,
    steps: u64,
}

impl Counters {
    pub(crate) fn new(parties: usize) -> Self {
        Self { peers: vec![Traffic::default(); parties], ..Self::default() }
    }

    /// Returns all traffic.
    pub fn total(&self) -> Traffic {
        self.total
    }

    /// Returns the traffic with one peer. It is zero for this party itself.
    pub fn peer(&self, party: PartyId) -> Traffic {
        self.peers.get(party.index()).copied().unwrap_or_default()
    }

    /// Returns the traffic of the rounds with this name, or zero if there was none.
    pub fn round(&self, name: &str) -> Traffic {
        self.rounds.get(name).copied().unwrap_or_default()
    }

    /// Returns the names of all rounds with their traffic, ordered by name.
    pub fn rounds(&self) -> impl Iterator<Item = (&'static str, Traffic)> + '_ {
        self.rounds.iter().map(|(&name, &traffic)| (name, traffic))
    }

    /// Returns the number of steps, which are the rounds in which all parties took part.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// Returns the traffic since `earlier`, a snapshot of the same session.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let peer = |(index, traffic): (usize, &Traffic)| {
            traffic.since(earlier.peers.get(index).copied().unwrap_or_default())
        };
        Self {
            total: self.total.since(earlier.total),
            peers: self.peers.iter().enumerate().map(peer).collect(),
            rounds: self
                .rounds
                .iter()
                .map(|(&name, traffic)| (name, traffic.since(earlier.round(name))))
                .filter(|(_, traffic)| !traffic.is_zero())
                .collect(),
            steps: self.steps.saturating_sub(earlier.steps),
        }
    }

    /// Adds the traffic of another session among the same parties.
    pub fn add(&mut self, other: &Self) {
        self.total += other.total;
        if self.peers.len() < other.peers.len() {
            self.peers.resize(other.peers.len(), Traffic::default());
        }
        for (mine, theirs) in self.peers.iter_mut().zip(&other.peers) {
            *mine += *theirs;
        }
        for (&name, &traffic) in &other.rounds {
            *self.rounds.entry(name).or_default() += traffic;
        }
        self.steps += other.steps;
    }

    pub(crate) fn count_step(&mut self) {
        self.steps += 1;
    }

    pub(crate) fn count_sent(&mut self, to: PartyId, round: &'static str, bytes: usize) {
        self.count(to, round, Traffic { bytes_sent: bytes as u64, messages_sent: 1, ..Traffic::default() });
    }

    pub(crate) fn count_received(&mut self, from: PartyId, round: &'static str, bytes: usize) {
        self.count(
            from,
            round,
            Traffic { bytes_received: bytes as u64, messages_received: 1, ..Traffic::default() },
        );
    }

    fn count(&mut self, peer: PartyId, round: &'static str, traffic: Traffic) {
        self.total += traffic;
        if let Some(mine) = self.peers.get_mut(peer.index()) {
            *mine += traffic;
        }
        *self.rounds.entry(round).or_default() += traffic;
    }
}
