//! Steps R1 to R5: from every bank's own view to the network, the plan and the sizes of which all of them agree.

use super::offers::exchange_offers;
use crate::banks::BankId;
use crate::error::Error;
use crate::network::{Digest, Network};
use crate::plan::{Mismatch, Settings};
use crate::plan::{NetworkSizes, Plan, PlanError, in_degree_bits};
use crate::steps::agreement::periods;
use crate::steps::agreement::{self, Agreed, Offer, Selection};
use crate::steps::messages::links::Links;
use crate::steps::messages::{CHUNK, Declaration, Digests, PlanValues, SelectionBits, Sizes};
use crate::steps::randomness::{Purpose, RunSeed};
use subrosa_threshold_decryption::ThresholdKey;
use subrosa_transport::{PartyId, PerParty, Roster, Session, Transport};

/// What all banks know after R4.
pub(super) struct Terms {
    pub(super) agreed: Agreed,
    pub(super) plan: Plan,
    pub(super) sizes: NetworkSizes,
    /// What each bank told of its periods in R1.
    pub(super) activity: Vec<Vec<u8>>,
}

/// Steps R1 to R4.
pub(super) fn agree<T: Transport>(
    session: &mut Session<T>,
    links: &mut Links,
    seed: &RunSeed,
    key: &ThresholdKey,
    mut network: Network,
    settings: &Settings,
) -> Result<Terms, Error> {
    if let Some(agreed) = settings.periods.map(|periods| periods as usize)
        && network.periods().len() > agreed
    {
        return Err(PlanError::Periods { found: network.periods().len(), agreed }.into());
    }
    let banks: Vec<BankId> = network.banks().iter().collect();
    let offer = |&bank: &BankId| agreement::offer(&network, bank);
    let mut offers = banks.iter().map(offer).collect::<Result<Vec<Offer>, Error>>()?;

    // R1
    let chunks = offers.iter().map(|offer| chunks_of(offered(offer))).max().unwrap_or(0);
    let mine = Sizes {
        activity: network.activity(),
        in_degree_bits: in_degree_bits(network.greatest_in_degree()),
        offer_chunks: chunks,
    };
    let sizes = session.broadcast(&mine, &())?;
    let roster = session.roster().clone();
    check_periods(&roster, &sizes, settings)?;
    let activity: Vec<Vec<u8>> = sizes.values().map(|sizes| sizes.activity.clone()).collect();
    let key_bits = usize::try_from(key.public().bits());
    let key_bits = key_bits.map_err(|_| Error::Internal { place: "the key has more bits than memory" })?;
    let plan_of = |without: Option<PartyId>| -> Result<_, PlanError> {
        let left = || sizes.iter().filter(|(party, _)| Some(*party) != without).map(|(_, sizes)| sizes);
        let activity: Vec<&[u8]> = left().map(|sizes| sizes.activity.as_slice()).collect();
        let sizes = NetworkSizes {
            key_bits,
            columns: network.columns().len(),
            in_degree_bits: left().map(|sizes| sizes.in_degree_bits).max().unwrap_or(0),
            active_periods: periods::counted(&periods::agree(&activity, settings)?),
            noise_contributors: banks.len() - 1,
        };
        Ok((Plan::new(&sizes, settings)?, sizes))
    };
    let (plan, sizes_of_all) =
        plan_of(None).map_err(|error| unplannable(&roster, error, |party| plan_of(Some(party)).is_ok()))?;
    let periods = sizes_of_all.active_periods.len();
    // No account has more senders than there are accounts.
    let agreed = |party| settings.agreed_accounts(roster.name(party)).map(u64::from);
    let accounts_in_all: Option<u64> = roster.parties().map(agreed).sum();
    for (party, sizes) in sizes.iter().filter(|(party, _)| *party != session.me()) {
        let most = settings.accounts_of(roster.name(party));
        if let Some(all) = accounts_in_all
            && 1_u64.checked_shl(sizes.in_degree_bits).is_none_or(|bound| bound >= 2 * all.max(1))
        {
            let reason =
                format!("it has accounts of more senders than the {all} accounts that were agreed in all");
            return Err(Error::peer(&roster, party, reason));
        }
        // A bound on both sides: none is exceeded where it is more than can be counted.
        if sizes.offer_chunks > chunks_of(most.saturating_mul(periods)) {
            return Err(too_much(&roster, party, "it offers more", settings));
        }
    }
    compare_plans(session, &plan)?;
    network.extend_periods(periods);
    for offer in &mut offers {
        offer.periods.resize(periods, Vec::new());
    }

    if settings.mismatch == Mismatch::Refuse {
        compare_digests(session, links, &network)?;
    }
    let chunks = sizes.values().map(|sizes| sizes.offer_chunks).max().unwrap_or(0);
    let theirs = exchange_offers(session, links, &offers, periods, chunks, settings)?;
    let disagreement = |error: Error| match error {
        Error::Disagreement(error) => match party_of(&roster, error.bank) {
            Some(party) => Error::peer(&roster, party, error.reason),
            None => error.into(),
        },
        other => other,
    };
    let (selected, selections) = agreement::select(network, &theirs).map_err(disagreement)?;
    let answers = exchange_selections(session, links, seed, &offers, &selections)?;
    // R6b
    links.compare(session)?;
    let agreed = selected.finish(&offers, &answers).map_err(disagreement)?;
    Ok(Terms { agreed, plan, sizes: sizes_of_all, activity })
}

/// R1: whether no bank tells of more periods than were agreed.
fn check_periods(roster: &Roster, sizes: &PerParty<Sizes>, settings: &Settings) -> Result<(), Error> {
    let Some(agreed) = settings.periods else { return Ok(()) };
    match sizes.iter().find(|(_, sizes)| sizes.activity.len() > agreed as usize) {
        None => Ok(()),
        Some((party, sizes)) => {
            let reason = format!("it has {} periods where the settings say {agreed}", sizes.activity.len());
            Err(Error::peer(roster, party, reason))
        }
    }
}

/// The answer to sizes of which no plan can be made: names each other bank without whose sizes there would be one. If this
/// bank's own are among those, it names nobody.
fn unplannable(roster: &Roster, error: PlanError, without: impl Fn(PartyId) -> bool) -> Error {
    let culprits: Vec<PartyId> = roster.parties().filter(|party| without(*party)).collect();
    if culprits.is_empty() || culprits.contains(&roster.me()) {
        return error.into();
    }
    let banks = culprits.iter().map(|party| roster.name(*party).to_owned()).collect();
    Error::Unplannable { source: error, banks, culprits }
}

/// The answer to a bank that declares more than was agreed, or than this one is ready for.
pub(super) fn too_much(roster: &Roster, party: PartyId, what: &str, settings: &Settings) -> Error {
    let own = settings.max_accounts;
    let reason = match settings.agreed_accounts(roster.name(party)) {
        Some(most) if most <= own => {
            format!("{what} than the {most} accounts that were agreed (most_accounts)")
        }
        _ => format!("{what} than the {own} accounts that max_accounts allows"),
    };
    Error::peer(roster, party, reason)
}

/// The end of R1: whether all banks derive the same plan.
fn compare_plans<T: Transport>(session: &mut Session<T>, plan: &Plan) -> Result<(), Error> {
    let fields = plan.fields();
    let mine = PlanValues { values: fields.iter().map(|(_, value)| *value).collect() };
    let all = session.broadcast(&mine, &fields.len())?;
    for (party, theirs) in all.iter() {
        for (&(field, ours), &theirs) in fields.iter().zip(&theirs.values) {
            if ours != theirs {
                let bank = session.roster().name(party).to_owned();
                return Err(Error::PlanDiffers { bank, field: field.to_owned(), ours, theirs });
            }
        }
    }
    Ok(())
}

fn party_of(roster: &Roster, bank: BankId) -> Option<PartyId> {
    roster.parties().nth(bank.index())
}

fn offered(offer: &Offer) -> usize {
    offer.periods.iter().map(Vec::len).sum()
}

/// Messages that a list of this length takes. No list in memory takes 2^32; a bound stays one.
fn chunks_of(length: usize) -> u32 {
    u32::try_from(length.div_ceil(CHUNK)).unwrap_or(u32::MAX)
}

/// R2: compares the hashes of the transfers between every two banks.
fn compare_digests<T: Transport>(
    session: &mut Session<T>,
    links: &mut Links,
    network: &Network,
) -> Result<(), Error> {
    let own = network.own();
    let periods = network.periods().len();
    let salt = *session.id();
    let digests = |party: PartyId| -> Result<Digests, Error> {
        let other = bank_of(network, party)?;
        Ok(Digests {
            sent: agreement::digests(network, own, other, &salt)?,
            received: agreement::digests(network, other, own, &salt)?,
        })
    };
    let mine = session.roster().parties().map(digests).collect::<Result<Vec<Digests>, Error>>()?;
    let outgoing = |party: PartyId| mine.get(party.index()).cloned();
    let theirs = session.exchange(
        |party| outgoing(party).map(|message| links.sent(party, message)),
        |_| true,
        &periods,
    )?;
    for (party, theirs) in theirs.present() {
        links.received(party, theirs);
        let mine = outgoing(party).ok_or(Error::Internal { place: "a party has no digests" })?;
        let other = network.banks().name(bank_of(network, party)?).to_owned();
        for period in 0..periods {
            let mismatch = |from: &str, to: &str| Error::Mismatch {
                ours: network.bank().to_owned(),
                theirs: other.clone(),
                from: from.to_owned(),
                to: to.to_owned(),
                period,
            };
            if mine.sent.get(period) != theirs.received.get(period) {
                return Err(mismatch(network.bank(), &other));
            }
            if mine.received.get(period) != theirs.sent.get(period) {
                return Err(mismatch(&other, network.bank()));
            }
        }
    }
    Ok(())
}

/// R4: what every bank selects among my offers, by bank.
fn exchange_selections<T: Transport>(
    session: &mut Session<T>,
    links: &mut Links,
    seed: &RunSeed,
    offers: &[Offer],
    selections: &[Selection],
) -> Result<Vec<Selection>, Error> {
    let (me, id) = (session.me(), *session.id());
    let counts = |selection: &Selection| selection.periods.iter().map(Vec::len).sum::<usize>();
    let longest = selections.iter().map(counts).max().unwrap_or(0);
    let offered: Vec<usize> = offers.iter().map(offered).collect();
    let outgoing = |party: PartyId| {
        let wanted: Vec<bool> = selections.get(party.index())?.periods.concat();
        let byte = |eight: &[bool]| (0..).zip(eight).map(|(bit, wanted)| u8::from(*wanted) << bit).sum();
        let bits = wanted.chunks(8).map(byte).collect();
        let salt = seed.derive(Purpose::Link, &[&id, &(party.index() as u64).to_le_bytes()]).salt();
        Some(links.sent(party, SelectionBits { bits, salt }))
    };
    let shape = |party: PartyId| match party == me {
        true => longest,
        false => offered.get(party.index()).copied().unwrap_or(0),
    };
    let received = session.exchange_shaped(outgoing, |_| true, shape)?;
    received.present().for_each(|(party, message)| links.received(party, message));
    let unpack = |(party, message): (PartyId, Option<SelectionBits>)| {
        // This bank says nothing to itself, and its own selection is passed over.
        let bits = message.map(|message| message.bits).unwrap_or_default();
        let offered = offered.get(party.index()).copied().unwrap_or(0);
        if party != me && bits.len() != offered.div_ceil(8) {
            return Err(Error::internal("a selection among another number of senders was accepted"));
        }
        let mut all =
            (0..).map(|index: usize| bits.get(index / 8).is_some_and(|byte| byte >> (index % 8) & 1 == 1));
        let mut take = |names: &Vec<String>| all.by_ref().take(names.len()).collect();
        let periods = offers.get(party.index()).map_or(&[][..], |offer| &offer.periods);
        Ok(Selection { periods: periods.iter().map(&mut take).collect() })
    };
    received.into_iter().map(unpack).collect()
}

/// R5: what all banks declare: the reached accounts of each bank, and for each period the messages that an iteration takes.
pub(super) fn declare<T: Transport>(
    session: &mut Session<T>,
    agreed: &Agreed,
    accounts: usize,
    [seed_hash, input_hash]: [Digest; 2],
    settings: &Settings,
) -> Result<(Vec<u64>, Vec<u64>), Error> {
    let network = agreed.network();
    let periods = network.periods().len();
    let longest = |period| {
        let lists = network.banks().iter().map(|bank| agreed.exports(period, bank).len());
        chunks_of(lists.max().unwrap_or(0))
    };
    let mine = Declaration {
        accounts: u32::try_from(accounts)
            .map_err(|_| Error::Internal { place: "more than 2^32 accounts" })?,
        score_chunks: (0..periods).map(longest).collect(),
        seed_hash,
        input_hash,
    };
    let all = session.broadcast(&mine, &periods)?;
    for (party, theirs) in all.iter() {
        let bank = bank_of(network, party)?;
        let owed = |period: usize| chunks_of(agreed.imports(period, bank).len());
        if (0..periods)
            .any(|period| theirs.score_chunks.get(period).is_none_or(|chunks| *chunks < owed(period)))
        {
            return Err(Error::peer(session.roster(), party, "it declares fewer scores than it owes"));
        }
        let most = settings.accounts_of(session.roster().name(party));
        if party == session.me() {
            continue;
        }
        if theirs.accounts as usize > most {
            let what = format!("it declares {} accounts, more", theirs.accounts);
            return Err(too_much(session.roster(), party, &what, settings));
        }
        if theirs.score_chunks.iter().any(|chunks| *chunks > chunks_of(most)) {
            return Err(too_much(session.roster(), party, "it declares scores of more", settings));
        }
    }
    let most = |period: usize| {
        let most = all.values().filter_map(|d| d.score_chunks.get(period)).max().copied();
        most.map(u64::from).ok_or(Error::Internal { place: "a period was not declared" })
    };
    let chunks = (0..periods).map(most).collect::<Result<_, Error>>()?;
    Ok((all.values().map(|declaration| u64::from(declaration.accounts)).collect(), chunks))
}

/// The bank of a party: banks and parties stand in the same order.
fn bank_of(agreed: &Network, party: PartyId) -> Result<BankId, Error> {
    agreed.banks().get(party.index()).ok_or(Error::Internal { place: "a party of the roster has no bank" })
}
