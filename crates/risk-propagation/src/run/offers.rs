//! Step R3 on the wire: the senders that one bank offers another.

use super::agree::too_much;
use super::exchange::piece;
use crate::error::Error;
use crate::plan::Settings;
use crate::steps::agreement::Offer;
use crate::steps::messages::OfferChunk;
use crate::steps::messages::links::Links;
use subrosa_transport::{PartyId, PerParty, PersonalStream, Roster, Session, Transport};

/// R3: what every bank offers me, by bank.
pub(super) fn exchange_offers<T: Transport>(
    session: &mut Session<T>,
    links: &mut Links,
    offers: &[Offer],
    periods: usize,
    chunks: u32,
    settings: &Settings,
) -> Result<Vec<Offer>, Error> {
    let mut stream = Offers {
        roster: session.roster().clone(),
        links,
        settings,
        periods,
        mine: offers.iter().map(flat).collect(),
        theirs: vec![Offer { periods: vec![Vec::new(); periods] }; offers.len()],
    };
    session.exchange_stream(chunks as usize, &mut stream)?;
    Ok(stream.theirs)
}

/// The names of an offer, each with its period.
fn flat(offer: &Offer) -> Vec<(u32, &String)> {
    let periods = (0_u32..).zip(&offer.periods);
    periods.flat_map(|(period, names)| names.iter().map(move |name| (period, name))).collect()
}

/// The chunks of R3.
struct Offers<'a> {
    roster: Roster,
    links: &'a mut Links,
    settings: &'a Settings,
    periods: usize,
    /// What I offer to each bank, with the period of each name.
    mine: Vec<Vec<(u32, &'a String)>>,
    theirs: Vec<Offer>,
}

impl PersonalStream for Offers<'_> {
    type Message = OfferChunk;
    type Error = Error;

    fn outgoing(&mut self, chunk: usize, to: PartyId) -> Result<OfferChunk, Error> {
        let place = "a party has nothing offered";
        let mine = self.mine.get(to.index()).ok_or(Error::Internal { place })?;
        let senders = piece(mine, chunk).iter().map(|(period, name)| (*period, (*name).clone()));
        Ok(self.links.sent(to, OfferChunk { senders: senders.collect() }))
    }

    fn shape(&self, _: usize, _: PartyId) -> usize {
        self.periods
    }

    fn take(&mut self, _: usize, messages: PerParty<Option<OfferChunk>>) -> Result<(), Error> {
        self.links.received_all(&messages);
        for (party, message) in messages {
            let offer = self.theirs.get_mut(party.index());
            let offer = offer.ok_or(Error::Internal { place: "a party has no offer" })?;
            // This bank says nothing to itself.
            for (period, name) in message.map(|message| message.senders).unwrap_or_default() {
                let names = offer.periods.get_mut(period as usize);
                let names =
                    names.ok_or(Error::Internal { place: "an offer for a period that is not there" })?;
                // Checked as they come, so that repetitions take no memory.
                if names.last().is_some_and(|last| *last >= name) {
                    let reason = "its offered senders are not in ascending order";
                    return Err(Error::peer(&self.roster, party, reason));
                }
                if names.len() >= self.settings.accounts_of(self.roster.name(party)) {
                    return Err(too_much(&self.roster, party, "it offers more", self.settings));
                }
                names.push(name);
            }
        }
        Ok(())
    }
}
