use rand_core::CryptoRng;

use super::messages::{ReshareCommitments, ReshareShare, ShareRange};
use super::{Refresh, RenewalError, Resharing};
use crate::{KeyShare, ThresholdKey};
use subrosa_encoding::Hex;
use subrosa_transport::{Limits, Parameters, PartyId, PerParty, Protocol, Session, SessionError, Transport};

/// Name and version of the refresh, for [`Session::open`].
pub const REFRESH_PROTOCOL: Protocol = Protocol { name: "subrosa/refresh", version: 1 };
/// Name and version of the resharing, for [`Session::open`].
pub const RESHARE_PROTOCOL: Protocol = Protocol { name: "subrosa/reshare", version: 1 };

/// What the parties of a renewal compare: the key with its epoch.
fn key_parameters(key: &ThresholdKey) -> Parameters {
    Parameters::new()
        .with("key", key.public().id())
        .with("epoch", key.lineage().epoch())
        .with("key digest", Hex(&key.digest()))
}

/// The refresh as a protocol: F1 to F4 among the parties of a transport's roster, which are those of the key in its order.
impl Refresh {
    /// Sets this party's time-outs and sizes. They do not concern a session that the caller opened.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// What the parties compare when their session opens: the key with its epoch.
    #[must_use]
    pub fn parameters(&self) -> Parameters {
        key_parameters(self.old_key())
    }

    /// Opens a session for this protocol with these parameters.
    ///
    /// # Errors
    /// As [`Session::open`].
    pub fn open<T: Transport>(
        &self,
        transport: T,
        rng: &mut impl CryptoRng,
    ) -> Result<Session<T>, SessionError> {
        Session::open(transport, REFRESH_PROTOCOL, &self.parameters(), self.limits.clone(), rng)
    }

    /// Opens a session and refreshes the shares of all parties.
    ///
    /// All parties take part, because an absent party would keep a share that no longer fits. If an error ends the
    /// protocol, the others are told why, and every old share stays valid.
    ///
    /// ```
    /// use subrosa_paillier::PrivateKey;
    /// use subrosa_threshold_decryption::renewal::{Refresh, RenewalError};
    /// use subrosa_threshold_decryption::{AccessStructure, dealer};
    /// use subrosa_transport::testing::run_parties;
    ///
    /// let mut rng = rand::rng();
    /// let shares = dealer::deal(&PrivateKey::generate_insecure(256, &mut rng)?, AccessStructure::new(3, 1)?, &mut rng)?;
    /// let renewed = run_parties(3, |me, transport| {
    ///     let share = &shares[me.index()];
    ///     Refresh::new(share.key())?.run(share, transport, &mut rand::rng())
    /// });
    /// for share in renewed {
    ///     assert_eq!(share?.key().lineage().epoch(), 1); // the key is the same, the share is not
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`RenewalError`]; its [`culprits`](RenewalError::culprits) names who is to blame, as far as that can be told.
    pub fn run<T: Transport>(
        &self,
        share: &KeyShare,
        transport: T,
        rng: &mut impl CryptoRng,
    ) -> Result<KeyShare, RenewalError> {
        let mut session = self.open(transport, rng)?;
        self.run_in(&mut session, share, rng)
    }

    /// As [`run`](Self::run), in a session that the caller opened.
    ///
    /// # Errors
    /// As [`run`](Self::run); a session for another protocol or with other parameters.
    pub fn run_in<T: Transport>(
        &self,
        session: &mut Session<T>,
        share: &KeyShare,
        rng: &mut impl CryptoRng,
    ) -> Result<KeyShare, RenewalError> {
        session.expect(REFRESH_PROTOCOL, &self.parameters())?;
        refresh(session, share, self, rng)
    }
}

fn refresh<T: Transport>(
    session: &mut Session<T>,
    share: &KeyShare,
    refresh: &Refresh,
    rng: &mut impl CryptoRng,
) -> Result<KeyShare, RenewalError> {
    session.guard(|session| {
        if session.roster().len() != share.key().access().parties() as usize || session.me() != share.party()
        {
            return Err(RenewalError::Roster { reason: "its parties are not those of the key" });
        }
        let (commitments, shares) = refresh.deal(rng);
        let commitments = session.broadcast(&commitments, &refresh.commitment_shape())?;
        // The personal messages carry the hash of the broadcasts, so the values are compared with commitments that are
        // equal at all parties.
        let shares = session.exchange_all(shares, &refresh.share_range())?;
        let renewed = refresh.finish(share, &commitments, &shares)?;
        session.confirm()?;
        Ok(renewed)
    })
}

/// Which parties of a session deal, and which receive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seats {
    /// The parties of the session that are the dealers, in the order of [`Resharing::dealers`].
    pub dealers: Vec<PartyId>,
    /// The parties of the session that are the new parties, in the order of the new roster.
    pub receivers: Vec<PartyId>,
}

impl Seats {
    fn check<T: Transport>(
        &self,
        session: &Session<T>,
        resharing: &Resharing,
        share: Option<&KeyShare>,
    ) -> Result<(), RenewalError> {
        let refuse = |reason| Err(RenewalError::Roster { reason });
        let distinct = |parties: &[PartyId]| {
            let set: std::collections::BTreeSet<_> = parties.iter().collect();
            set.len() == parties.len() && parties.iter().all(|&party| session.roster().contains(party))
        };
        if self.dealers.len() != resharing.dealers().len()
            || self.receivers.len() != resharing.access().parties() as usize
            || !distinct(&self.dealers)
            || !distinct(&self.receivers)
        {
            return refuse("the seats are not those of the resharing");
        }
        let mine = self.place(&self.dealers, session.me()).and_then(|place| resharing.dealers().get(place));
        match (mine, share) {
            (Some(&old), Some(share)) if share.party() == old => Ok(()),
            (None, _) => Ok(()),
            _ => refuse("a dealer needs its own share"),
        }
    }

    fn place(&self, seats: &[PartyId], party: PartyId) -> Option<usize> {
        seats.iter().position(|&seat| seat == party)
    }
}

/// The resharing as a protocol: G1 to G4 among the parties of a transport's roster, old and new ones.
impl Resharing {
    /// Sets this party's time-outs and sizes. They do not concern a session that the caller opened.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// What the parties compare when their session opens: the key with its epoch, who deals, who receives, and the new
    /// threshold.
    #[must_use]
    pub fn parameters(&self, seats: &Seats) -> Parameters {
        let places = |parties: &[PartyId]| {
            let places: Vec<String> = parties.iter().map(|party| party.number().to_string()).collect();
            places.join(" ")
        };
        key_parameters(self.old_key())
            .with("old dealers", places(self.dealers()))
            .with("dealers", places(&seats.dealers))
            .with("receivers", places(&seats.receivers))
            .with("threshold", self.access().threshold())
    }

    /// Opens a session for this protocol with these parameters.
    ///
    /// # Errors
    /// As [`Session::open`].
    pub fn open<T: Transport>(
        &self,
        seats: &Seats,
        transport: T,
        rng: &mut impl CryptoRng,
    ) -> Result<Session<T>, SessionError> {
        Session::open(transport, RESHARE_PROTOCOL, &self.parameters(seats), self.limits.clone(), rng)
    }

    /// Opens a session and reshares the key.
    ///
    /// Every dealer gives its old share. Returns the new share of a party that receives one. If a dealer fails, the
    /// others can reshare with another dealer. If an error ends the protocol, the others are told why, and every old
    /// share stays valid.
    ///
    /// # Errors
    /// [`RenewalError`]; its [`culprits`](RenewalError::culprits) are parties of the session.
    pub fn run<T: Transport>(
        &self,
        seats: &Seats,
        share: Option<&KeyShare>,
        transport: T,
        rng: &mut impl CryptoRng,
    ) -> Result<Option<KeyShare>, RenewalError> {
        let mut session = self.open(seats, transport, rng)?;
        self.run_in(&mut session, seats, share, rng)
    }

    /// As [`run`](Self::run), in a session that the caller opened.
    ///
    /// # Errors
    /// As [`run`](Self::run); a session for another protocol or with other parameters.
    pub fn run_in<T: Transport>(
        &self,
        session: &mut Session<T>,
        seats: &Seats,
        share: Option<&KeyShare>,
        rng: &mut impl CryptoRng,
    ) -> Result<Option<KeyShare>, RenewalError> {
        session.expect(RESHARE_PROTOCOL, &self.parameters(seats))?;
        reshare(session, self, seats, share, rng)
    }
}

fn reshare<T: Transport>(
    session: &mut Session<T>,
    resharing: &Resharing,
    seats: &Seats,
    share: Option<&KeyShare>,
    rng: &mut impl CryptoRng,
) -> Result<Option<KeyShare>, RenewalError> {
    session.guard(|session| {
        seats.check(session, resharing, share)?;
        let me = session.me();
        let deals = |party: PartyId| seats.place(&seats.dealers, party);
        let (mine, mut dealt) = match share.filter(|_| deals(me).is_some()) {
            Some(share) => {
                let (commitments, shares) = resharing.deal(share, rng)?;
                (commitments, shares.into_vec().into_iter().map(Some).collect())
            }
            None => (ReshareCommitments { values: vec![] }, vec![]),
        };
        let shape = |party: PartyId| resharing.commitment_shape(deals(party).is_some());
        let commitments = session.broadcast_shaped(&mine, shape)?;
        let mut take = |party: PartyId| {
            let place = seats.place(&seats.receivers, party)?;
            dealt.get_mut(place).and_then(Option::take)
        };
        let own = take(me);
        let place = seats.place(&seats.receivers, me);
        let range =
            |party: PartyId| deals(party).map_or(ShareRange::EMPTY, |place| resharing.share_range(place));
        let expected = |party: PartyId| place.is_some() && deals(party).is_some();
        let mut received = session.exchange_shaped(take, expected, range)?;
        if let (Some(own), Some(entry)) = (own, received.get_mut(me)) {
            *entry = Some(own);
        }
        let commitments = in_order(&seats.dealers, commitments.map(Some))?;
        let renewed = match place {
            None => {
                resharing.key(&commitments)?;
                None
            }
            Some(place) => {
                let shares: Vec<ReshareShare> = in_order(&seats.dealers, received)?;
                let internal = |_| RenewalError::Internal { place: "reshare: a seat's number is too large" };
                let me = PartyId::new(u16::try_from(place).map_err(internal)?);
                let share = resharing.receive(me, &commitments, &shares);
                Some(share.map_err(|error| seat_culprit(error, resharing, seats))?)
            }
        };
        session.confirm()?;
        Ok(renewed)
    })
}

/// The dealers' messages, in their order.
fn in_order<M>(dealers: &[PartyId], messages: PerParty<Option<M>>) -> Result<Vec<M>, RenewalError> {
    let mut messages = messages.into_vec();
    let taken = dealers.iter().map(|dealer| messages.get_mut(dealer.index()).and_then(Option::take));
    taken.collect::<Option<_>>().ok_or(RenewalError::Dealers)
}

/// Names the party of the session instead of the party of the old key.
fn seat_culprit(error: RenewalError, resharing: &Resharing, seats: &Seats) -> RenewalError {
    match error {
        RenewalError::BadDealer { dealer, reason } => {
            let place = resharing.dealers().iter().position(|&old| old == dealer);
            match place.and_then(|place| seats.dealers.get(place)) {
                Some(&dealer) => RenewalError::BadDealer { dealer, reason },
                // Its place in the old key names another party of this session.
                None => RenewalError::Internal { place: "reshare: who is to blame has no seat" },
            }
        }
        other => other,
    }
}
