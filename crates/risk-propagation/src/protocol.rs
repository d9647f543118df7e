//! The protocol among the banks: connects the steps R0 to R10 of `docs/protocols/risk-propagation.md` to a [`Session`].

use rand_chacha::ChaCha20Rng;
use rand_core::{CryptoRng, SeedableRng};
use subrosa_arith::hash::Hasher;
use subrosa_paillier::{Blinded, Blinder, Ciphertext, CiphertextBatch, PublicKey, Randomness};
use subrosa_threshold_decryption::{KeyShare, ThresholdKey, protocol as decryption};
use subrosa_transport::{
    Failure, Parameters, PartyId, PerParty, Protocol, Roster, Session, Traffic, Transport,
};

use crate::agreement::{self, Agreed, Offer, Selection};
use crate::banks::BankId;
use crate::checkpoint::CheckpointStore;
use crate::checkpoint::format::{Digest, Run, Seed, State};
use crate::disclosure;
use crate::encrypted::{self, Encrypted, Received};
use crate::error::Error;
use crate::messages::{
    BatchShape, CHUNK, Declaration, Digests, Finished, NoiseChunk, OfferChunk, PlanValues, ScoreChunk,
    SelectionBits, Sizes,
};
use crate::network::Network;
use crate::plan::{NetworkSizes, Plan, in_degree_bits};
use crate::resume::{self, Keeper, Loaded, Positions};
use crate::settings::{Mismatch, Settings, Step};

/// Name and version of the protocol, for [`Session::open`].
pub const PROTOCOL: Protocol = Protocol { name: "subrosa/risk-propagation", version: 2 };

/// Room for the table that makes blinding fast; the best table for a key of 2,048 bits takes a fifth of it.
pub(crate) const TABLE_BYTES: usize = 16 << 20;

/// Step R0: the parameters of a session, which must be equal at all banks.
#[must_use]
pub fn parameters(key: &ThresholdKey, columns: &[String], settings: &Settings) -> Parameters {
    let mut hash = Hasher::new("subrosa/risk-propagation/columns", 1);
    for column in columns {
        hash = hash.field("column", column.as_bytes());
    }
    let columns_hash: String = hash.finish().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    let mut delta = settings.delta.to_string();
    if delta.len() > 200 {
        let hash = Hasher::new("subrosa/risk-propagation/delta", 1).field("delta", delta.as_bytes()).finish();
        delta = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    }
    Parameters::new()
        .with("key", key.public().id())
        .with("key_bits", key.public().bits())
        .with("parties", key.access().parties())
        .with("threshold", key.access().threshold())
        .with("risk_types", columns.len())
        .with("risk_types_hash", columns_hash)
        .with("iterations", settings.iterations)
        .with("delta", delta)
        .with("accuracy", settings.accuracy)
        .with("mismatch", settings.mismatch)
}

/// What a run is about to do.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Stage<'a> {
    /// R1 to R5: sizes, hashes, offers, selections, declarations.
    Agree,
    /// The plan is made; the first scores are encrypted.
    Encrypt {
        /// The plan of the run.
        plan: &'a Plan,
    },
    /// R6: an iteration, the encryption of its scores included except for the first.
    Iterate {
        /// Which, from 1.
        number: usize,
        /// Out of how many.
        of: usize,
    },
    /// R7 to R9.
    Decrypt {
        /// Own ciphertexts to be decrypted.
        ciphertexts: usize,
    },
    /// All is done.
    Done,
}

/// Told to the caller whenever a stage begins.
#[derive(Debug, Clone, Copy)]
pub struct Event<'a> {
    /// The stage that begins.
    pub stage: Stage<'a>,
    /// What the session sent and received until now.
    pub traffic: Traffic,
}

/// What a run brought.
#[derive(Clone)]
#[non_exhaustive]
pub struct Outcome {
    /// The network of which all banks agreed.
    pub agreed: Agreed,
    /// The plan that was followed.
    pub plan: Plan,
    /// Final scores of the own accounts: one row of risk types for each, in the network's order.
    pub scores: Vec<f64>,
    /// Accounts whose scores were decrypted.
    pub decrypted_accounts: usize,
    /// Ciphertexts that were decrypted for them.
    pub ciphertexts: usize,
    /// Parties that did not take part in the decryption, with the reasons.
    pub absent: Vec<Failure>,
}

impl std::fmt::Debug for Outcome {
    // Redacted: the scores are the bank's secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Outcome(<redacted>, {} scores)", self.scores.len())
    }
}

/// Runs the whole propagation with the other banks of a session.
///
/// # Arguments
/// `session` was opened with [`PROTOCOL`] and [`parameters`]. Its roster, the network's banks and the parties of the key
/// are the same in the same order. `progress` is called at the beginning of every [`Stage`]. The work is done in the
/// current rayon pool.
///
/// # Errors
/// [`Error::Roster`] before the first message; [`Error::Plan`] for a run that does not fit the key;
/// [`Error::Mismatch`] for two banks that disagree; [`Error::Session`], [`Error::Peer`] or [`Error::Decryption`] for banks
/// that fail. All banks are told.
///
/// # Security
/// See `docs/security.md` and `docs/protocols/risk-propagation.md` for who learns what. Passive security: false inputs
/// are not noticed. Do not repeat a run on the same data for the asking: each run narrows what the noise hides.
pub fn propagate<T: Transport + ?Sized>(
    session: &mut Session<'_, T>,
    share: &KeyShare,
    network: Network,
    settings: &Settings,
    rng: &mut impl CryptoRng,
    progress: &mut dyn FnMut(&Event<'_>),
) -> Result<Outcome, Error> {
    session.guard(|session| run(session, share, network, settings, None, rng, progress))
}

/// [`propagate`] with checkpoints: if the run is stopped at any moment, opening a new session and calling this again with the
/// same input and the same store goes on at the last state that all banks have.
///
/// A run of which all banks have their scores removes its checkpoints. Where some bank has not said so, they stay: call this
/// again if it comes back, or [`recover`] if it does not.
///
/// # Errors
/// As [`propagate`]; [`Error::Checkpoint`] for a checkpoint that cannot be used or written.
///
/// # Security
/// As [`propagate`]. A run that goes on sends the noise of the first attempt again, so that stopping and resuming it tells
/// nothing more. A run in which noise was sent is never started over unless its checkpoints are removed by hand.
pub fn propagate_with<T: Transport + ?Sized>(
    session: &mut Session<'_, T>,
    share: &KeyShare,
    network: Network,
    settings: &Settings,
    checkpoints: &mut dyn CheckpointStore,
    rng: &mut impl CryptoRng,
    progress: &mut dyn FnMut(&Event<'_>),
) -> Result<Outcome, Error> {
    session.guard(|session| run(session, share, network, settings, Some(checkpoints), rng, progress))
}

/// The outcome of a run that had ended for this bank when it was stopped; `None` if it had not. Needs no other bank and leaves
/// the checkpoints as they are.
///
/// # Errors
/// [`Error::Checkpoint`] for a checkpoint that cannot be used; [`Error::Plaintext`].
pub fn recover(
    roster: &Roster,
    share: &KeyShare,
    network: Network,
    settings: &Settings,
    checkpoints: &mut dyn CheckpointStore,
) -> Result<Option<Outcome>, Error> {
    check_roster(roster, share, &network)?;
    let keeper = Keeper::new(Some(checkpoints), share, roster, &network, settings);
    let Some(latest) = keeper.latest(share, &network, settings)? else { return Ok(None) };
    if latest.position < Positions::new(&latest.plan).disclosed() {
        return Ok(None);
    }
    let agreed = resume::restore(network, &latest.run);
    outcome(agreed, latest.plan, &latest.state, Vec::new()).map(Some)
}

/// What all banks agreed on, and where this one is.
struct Begun {
    agreed: Agreed,
    plan: Plan,
    run: Run,
    position: u32,
    state: State,
    /// Hashes of the announcements that were answered with noise before the run was stopped.
    announced: Vec<Digest>,
}

fn run<T: Transport + ?Sized>(
    session: &mut Session<'_, T>,
    share: &KeyShare,
    network: Network,
    settings: &Settings,
    checkpoints: Option<&mut dyn CheckpointStore>,
    rng: &mut impl CryptoRng,
    progress: &mut dyn FnMut(&Event<'_>),
) -> Result<Outcome, Error> {
    check_roster(session.roster(), share, &network)?;
    let mut tell = |session: &Session<'_, T>, stage: Stage<'_>| {
        progress(&Event { stage, traffic: session.counters().total() });
    };
    tell(session, Stage::Agree);
    let mut keeper = Keeper::new(checkpoints, share, session.roster(), &network, settings);
    let begun = begin(session, &mut keeper, share, network, settings, rng)?;
    let Begun { agreed, plan, run, position, mut state, announced } = begun;
    let positions = Positions::new(&plan);
    let reached = encrypted::reached(&agreed, &plan);
    let own = disclosure::ciphertexts(reached.len(), &plan);

    tell(session, Stage::Encrypt { plan: &plan });
    let key = share.key().public();
    let blinder = Blinder::new(key, Randomness::Short, TABLE_BYTES)?;
    let last = plan.steps().len();
    for (index, step) in plan.steps().iter().enumerate().skip(position as usize) {
        let (number, of) = (index + 1, last);
        let first = index == position as usize;
        if !first {
            tell(session, Stage::Iterate { number, of });
        }
        let exported = agreed.exported(step.period);
        let blinded = state.scores.encrypt(&blinder, &exported, rng)?;
        if first {
            tell(session, Stage::Iterate { number, of });
        }
        let received = exchange_scores(session, &agreed, key, *step, &exported, &blinded, &run)?;
        drop(blinded);
        state.scores = state.scores.advance(&agreed, &plan, key, *step, received);
        // A bank to which nobody pays would otherwise run ahead of the others, and of the states that they can go back to.
        session.confirm()?;
        if number < of {
            keeper.save(u32::try_from(number).unwrap_or(u32::MAX), share, &run, &state)?;
        }
    }

    tell(session, Stage::Decrypt { ciphertexts: own });
    if position < positions.packed() {
        state.packed = disclosure::pack(&state.scores, &reached, &plan, key);
        state.blinding = resume::seed(rng);
        state.scores.forget_mixed();
        keeper.save(positions.packed(), share, &run, &state)?;
    }
    let mut absent = Vec::new();
    if position < positions.disclosed() {
        absent = decrypt(session, share, &plan, &blinder, &run, &mut state, &announced, &mut keeper)?;
        keeper.save(positions.disclosed(), share, &run, &state)?;
    } else {
        session.confirm()?;
    }
    let outcome = outcome(agreed, plan, &state, absent)?;
    finish(session, &mut keeper)?;
    tell(session, Stage::Done);
    Ok(outcome)
}

/// The first round, and R1 to R5 unless all banks have been through them.
fn begin<T: Transport + ?Sized>(
    session: &mut Session<'_, T>,
    keeper: &mut Keeper<'_>,
    share: &KeyShare,
    network: Network,
    settings: &Settings,
    rng: &mut impl CryptoRng,
) -> Result<Begun, Error> {
    if let Some((Loaded { position, run, plan, state }, announced)) =
        keeper.meet(session, share, &network, settings)?
    {
        let agreed = resume::restore(network, &run);
        return Ok(Begun { agreed, plan, run, position, state, announced });
    }
    let (agreed, plan, sizes) = agree(session, share.key(), network, settings)?;
    let own = disclosure::ciphertexts(encrypted::reached(&agreed, &plan).len(), &plan);
    let (counts, chunks) = declare(session, &agreed, own)?;
    let (exports, imports) = agreed.lists();
    let run = Run {
        id: *session.id(),
        noise: resume::seed(rng),
        sizes,
        exports: exports.clone(),
        imports: imports.clone(),
        counts,
        chunks,
    };
    let state = State::new(Encrypted::initial(&agreed, &plan));
    keeper.clear()?;
    keeper.save(0, share, &run, &state)?;
    Ok(Begun { agreed, plan, run, position: 0, state, announced: Vec::new() })
}

/// The end of R9: scores from plaintexts.
fn outcome(agreed: Agreed, plan: Plan, state: &State, absent: Vec<Failure>) -> Result<Outcome, Error> {
    let reached = encrypted::reached(&agreed, &plan);
    let scores = disclosure::disclose(&state.scores, &reached, &state.plaintexts, &plan)?;
    let ciphertexts = state.plaintexts.len();
    Ok(Outcome { agreed, plan, scores, decrypted_accounts: reached.len(), ciphertexts, absent })
}

/// R10: says that this bank is done; once all have, its checkpoints go.
fn finish<T: Transport + ?Sized>(session: &mut Session<'_, T>, keeper: &mut Keeper<'_>) -> Result<(), Error> {
    let enough = if keeper.is_active() { session.roster().len() - 1 } else { 0 };
    // A bank that does not answer may need the others again. This one has what it came for.
    match session.collect(|_| Some(Finished {}), |_| true, enough, &()) {
        Ok(_) => Ok(keeper.clear()?),
        Err(_) => Ok(()),
    }
}

/// Whether session, key and network are of the same banks in the same order.
fn check_roster(roster: &Roster, share: &KeyShare, network: &Network) -> Result<(), Error> {
    let banks = network.banks();
    if roster.len() != banks.len() || roster.len() != share.key().access().parties() as usize {
        return Err(Error::Roster(format!(
            "the session has {} parties, the network {} banks and the key {} shares",
            roster.len(),
            banks.len(),
            share.key().access().parties()
        )));
    }
    for (party, bank) in roster.parties().zip(banks.iter()) {
        if roster.name(party) != banks.name(bank) {
            let (session, network) = (roster.name(party), banks.name(bank));
            return Err(Error::Roster(format!(
                "the session has `{session}` where the network has `{network}`"
            )));
        }
    }
    if roster.me().index() != network.own().index() || share.party() != roster.me() {
        return Err(Error::Roster("session, key share and network are not of the same bank".to_owned()));
    }
    Ok(())
}

/// The bank of a party: banks and parties stand in the same order.
fn bank_of(agreed: &Network, party: PartyId) -> Result<BankId, Error> {
    let bank = agreed.banks().get(party.index());
    bank.ok_or_else(|| Error::Roster(format!("{party} is no bank of the network")))
}

fn blame(roster: &Roster, party: PartyId, reason: impl Into<String>) -> Error {
    Error::Peer { party, bank: roster.name(party).to_owned(), reason: reason.into() }
}

/// Steps R1 to R4.
fn agree<T: Transport + ?Sized>(
    session: &mut Session<'_, T>,
    key: &ThresholdKey,
    mut network: Network,
    settings: &Settings,
) -> Result<(Agreed, Plan, NetworkSizes), Error> {
    let banks: Vec<BankId> = network.banks().iter().collect();
    let mut offers: Vec<Offer> = banks.iter().map(|&bank| agreement::offer(&network, bank)).collect();

    // R1
    let chunks = offers.iter().map(|offer| chunks_of(offered(offer))).max().unwrap_or(0);
    let mine = Sizes {
        active: network.periods().iter().map(|period| period.is_active()).collect(),
        in_degree_bits: in_degree_bits(network.greatest_in_degree()),
        offer_chunks: chunks,
    };
    let sizes = session.broadcast(&mine, &())?;
    let periods = sizes.values().map(|sizes| sizes.active.len()).max().unwrap_or(0);
    let active = |period: usize| sizes.values().any(|sizes| sizes.active.get(period) == Some(&true));
    let sizes_of_all = NetworkSizes {
        key_bits: usize::try_from(key.public().bits()).unwrap_or(usize::MAX),
        columns: network.columns().len(),
        in_degree_bits: sizes.values().map(|sizes| sizes.in_degree_bits).max().unwrap_or(0),
        active_periods: (0..periods).map(active).collect(),
        adders: banks.len() - 1,
    };
    let plan = Plan::new(&sizes_of_all, settings)?;
    compare_plans(session, &plan)?;
    network.extend_periods(periods);
    for offer in &mut offers {
        offer.periods.resize(periods, Vec::new());
    }

    if settings.mismatch == Mismatch::Refuse {
        compare_digests(session, &network)?;
    }
    let chunks = sizes.values().map(|sizes| sizes.offer_chunks).max().unwrap_or(0);
    let theirs = exchange_offers(session, &offers, periods, chunks)?;
    let roster = session.roster().clone();
    let disagreement = |error: agreement::Disagreement| match party_of(&roster, error.bank) {
        Some(party) => blame(&roster, party, error.reason),
        None => Error::Roster(error.reason.to_owned()),
    };
    let (selected, selections) = agreement::select(network, &theirs).map_err(disagreement)?;
    let answers = exchange_selections(session, &offers, &selections)?;
    let agreed = selected.finish(&offers, &answers).map_err(disagreement)?;
    Ok((agreed, plan, sizes_of_all))
}

/// The end of R1: whether all banks derive the same plan.
fn compare_plans<T: Transport + ?Sized>(session: &mut Session<'_, T>, plan: &Plan) -> Result<(), Error> {
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

/// Messages that a list of this length takes.
fn chunks_of(length: usize) -> u32 {
    u32::try_from(length.div_ceil(CHUNK)).unwrap_or(u32::MAX)
}

/// R2: compares the hashes of the transfers between every two banks.
fn compare_digests<T: Transport + ?Sized>(
    session: &mut Session<'_, T>,
    network: &Network,
) -> Result<(), Error> {
    let own = network.own();
    let periods = network.periods().len();
    let salt = *session.id();
    let digests = |party: PartyId| -> Option<Digests> {
        let other = network.banks().get(party.index())?;
        Some(Digests {
            sent: agreement::digests(network, own, other, &salt),
            received: agreement::digests(network, other, own, &salt),
        })
    };
    let mine: Vec<Option<Digests>> = session.roster().parties().map(digests).collect();
    let outgoing = |party: PartyId| mine.get(party.index()).cloned().flatten();
    let theirs = session.exchange(outgoing, |_| true, &periods)?;
    for (party, theirs) in theirs.present() {
        let Some(mine) = outgoing(party) else { continue };
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

/// R3: what every bank offers me, by bank.
fn exchange_offers<T: Transport + ?Sized>(
    session: &mut Session<'_, T>,
    offers: &[Offer],
    periods: usize,
    chunks: u32,
) -> Result<Vec<Offer>, Error> {
    let flat: Vec<Vec<(u32, &String)>> = offers
        .iter()
        .map(|offer| {
            let periods = (0_u32..).zip(&offer.periods);
            periods.flat_map(|(period, names)| names.iter().map(move |name| (period, name))).collect()
        })
        .collect();
    let mut theirs = vec![Offer { periods: vec![Vec::new(); periods] }; offers.len()];
    for chunk in 0..chunks as usize {
        let outgoing = |party: PartyId| {
            let senders = flat.get(party.index())?.iter().skip(chunk * CHUNK).take(CHUNK);
            Some(OfferChunk { senders: senders.map(|(period, name)| (*period, (*name).clone())).collect() })
        };
        for (party, message) in session.exchange(outgoing, |_| true, &periods)? {
            let Some(offer) = theirs.get_mut(party.index()) else { continue };
            for (period, name) in message.map(|message| message.senders).unwrap_or_default() {
                if let Some(names) = offer.periods.get_mut(period as usize) {
                    names.push(name);
                }
            }
        }
    }
    Ok(theirs)
}

/// R4: what every bank selects among my offers, by bank.
fn exchange_selections<T: Transport + ?Sized>(
    session: &mut Session<'_, T>,
    offers: &[Offer],
    selections: &[Selection],
) -> Result<Vec<Selection>, Error> {
    let me = session.me();
    let counts = |selection: &Selection| selection.periods.iter().map(Vec::len).sum::<usize>();
    let longest = selections.iter().map(counts).max().unwrap_or(0);
    let offered: Vec<usize> = offers.iter().map(offered).collect();
    let outgoing = |party: PartyId| {
        let wanted: Vec<bool> = selections.get(party.index())?.periods.concat();
        let byte = |eight: &[bool]| (0..).zip(eight).map(|(bit, wanted)| u8::from(*wanted) << bit).sum();
        Some(SelectionBits { bits: wanted.chunks(8).map(byte).collect() })
    };
    let shape = |party: PartyId| match party == me {
        true => longest,
        false => offered.get(party.index()).copied().unwrap_or(0),
    };
    let received = session.exchange_shaped(outgoing, |_| true, shape)?;
    let unpack = |(party, message): (PartyId, Option<SelectionBits>)| {
        let bits = message.map(|message| message.bits).unwrap_or_default();
        let mut all =
            (0..).map(|index: usize| bits.get(index / 8).is_some_and(|byte| byte >> (index % 8) & 1 == 1));
        let mut take = |names: &Vec<String>| all.by_ref().take(names.len()).collect();
        let periods = offers.get(party.index()).map_or(&[][..], |offer| &offer.periods);
        Selection { periods: periods.iter().map(&mut take).collect() }
    };
    Ok(received.into_iter().map(unpack).collect())
}

/// R5: what all banks declare: ciphertexts of each bank, and for each period the messages that an iteration takes.
fn declare<T: Transport + ?Sized>(
    session: &mut Session<'_, T>,
    agreed: &Agreed,
    ciphertexts: usize,
) -> Result<(Vec<u64>, Vec<u64>), Error> {
    let network = agreed.network();
    let periods = network.periods().len();
    let longest = |period| {
        let lists = network.banks().iter().map(|bank| agreed.exports(period, bank).len());
        chunks_of(lists.max().unwrap_or(0))
    };
    let mine = Declaration {
        ciphertexts: u32::try_from(ciphertexts)
            .map_err(|_| Error::Roster("more than 2^32 ciphertexts".to_owned()))?,
        score_chunks: (0..periods).map(longest).collect(),
    };
    let all = session.broadcast(&mine, &periods)?;
    for (party, theirs) in all.iter() {
        let bank = bank_of(network, party)?;
        let owed = |period: usize| chunks_of(agreed.imports(period, bank).len());
        if (0..periods)
            .any(|period| theirs.score_chunks.get(period).is_none_or(|chunks| *chunks < owed(period)))
        {
            return Err(blame(session.roster(), party, "it declares fewer scores than it owes"));
        }
    }
    let most = |period: usize| all.values().filter_map(|d| d.score_chunks.get(period)).max().copied();
    let chunks = (0..periods).map(|period| u64::from(most(period).unwrap_or(0))).collect();
    Ok((all.values().map(|declaration| u64::from(declaration.ciphertexts)).collect(), chunks))
}

/// R6: sends the scores that other banks need and takes theirs.
fn exchange_scores<T: Transport + ?Sized>(
    session: &mut Session<'_, T>,
    agreed: &Agreed,
    key: &PublicKey,
    step: Step,
    exported: &[u32],
    blinded: &[Blinded<Ciphertext>],
    run: &Run,
) -> Result<Received, Error> {
    let me = session.me();
    let network = agreed.network();
    let roster = session.roster().clone();
    let banks: Vec<BankId> = network.banks().iter().collect();
    let mut received = Received::new(agreed);
    let chunks = run.chunks.get(step.period).copied().unwrap_or(0);
    for chunk in 0..usize::try_from(chunks).unwrap_or(usize::MAX) {
        let batch = |&bank: &BankId| -> Result<Option<ScoreChunk>, Error> {
            let accounts = piece(agreed.exports(step.period, bank), chunk);
            let place = |account| exported.binary_search(account).ok();
            let ciphertexts = accounts.iter().filter_map(|account| blinded.get(place(account)?));
            let batch = CiphertextBatch::new(key, ciphertexts)?;
            Ok((!batch.is_empty()).then_some(ScoreChunk { batch }))
        };
        let mut outgoing: Vec<Option<ScoreChunk>> = banks.iter().map(batch).collect::<Result<_, Error>>()?;
        let expected = |party: PartyId| {
            banks.get(party.index()).map_or(&[][..], |&bank| piece(agreed.imports(step.period, bank), chunk))
        };
        let shape = |party: PartyId| BatchShape {
            key: key.clone(),
            count: if party == me { CHUNK } else { expected(party).len() },
        };
        let messages = session.exchange_shaped(
            |party| outgoing.get_mut(party.index()).and_then(Option::take),
            |party| !expected(party).is_empty(),
            shape,
        )?;
        for (party, message) in messages {
            let Some(message) = message else { continue };
            let ciphertexts =
                message.batch.accept(key).map_err(|error| blame(&roster, party, error.to_string()))?;
            received.insert(key, expected(party), ciphertexts);
        }
    }
    Ok(received)
}

/// The part of a list that belongs to one message.
fn piece<X>(list: &[X], chunk: usize) -> &[X] {
    let start = chunk.saturating_mul(CHUNK).min(list.len());
    list.get(start..list.len().min(start + CHUNK)).unwrap_or(&[])
}

/// R7 to R9: puts my plaintexts into `state`; the parties that were passed over.
#[expect(clippy::too_many_arguments, reason = "one caller, and each is used in another round")]
fn decrypt<T: Transport + ?Sized>(
    session: &mut Session<'_, T>,
    share: &KeyShare,
    plan: &Plan,
    blinder: &Blinder,
    run: &Run,
    state: &mut State,
    announced: &[Digest],
    keeper: &mut Keeper<'_>,
) -> Result<Vec<Failure>, Error> {
    let counts: PerParty<usize> =
        PerParty::from_vec(run.counts.iter().map(|count| usize::try_from(*count).unwrap_or(0)).collect());
    if counts.values().all(|count| *count == 0) {
        session.confirm()?;
        return Ok(Vec::new());
    }
    let key = share.key().public();
    // R7
    let packed = disclosure::blind(&state.packed, blinder, &mut generator(&state.blinding))?;
    let batches = decryption::announce(session, key, &packed, &counts)?;
    state.announced = batches.values().map(|batch| announcement(batch)).collect();
    // Noise covers one set of ciphertexts only: the difference of two under the same noise would be bare.
    if let Some(party) = resume::changed(announced, &state.announced) {
        let reason = "it announces other ciphertexts than before the run was stopped";
        let party = resume::party_at(session.roster(), party);
        return Err(
            party.map_or(Error::Roster(reason.to_owned()), |party| blame(session.roster(), party, reason))
        );
    }
    keeper.save(Positions::new(plan).announced(), share, run, state)?;
    // R8
    let total: usize = counts.values().sum();
    let others = |party: PartyId| total - counts.get(party).copied().unwrap_or(0);
    let mine = disclosure::noise(others(session.me()), plan, blinder, &mut generator(&run.noise))?;
    let noise = broadcast_noise(session, key, &mine, &others)?;
    let mut noisy = Vec::with_capacity(batches.len());
    for (owner, batch) in batches.iter() {
        // Where the owner's ciphertexts lie in the list of each adder, which leaves the adder's own out.
        let parts: Vec<&[Ciphertext]> = noise
            .iter()
            .filter(|(adder, _)| *adder != owner)
            .filter_map(|(adder, list)| {
                let before = counts.iter().filter(|(party, _)| *party < owner && *party != adder);
                let start: usize = before.map(|(_, count)| count).sum();
                list.get(start..start + batch.len())
            })
            .collect();
        noisy.push(disclosure::add_noise(key, batch, &parts)?);
    }
    session.confirm()?;
    // R9
    let decrypted = decryption::decrypt_towards(session, share, &PerParty::from_vec(noisy))?;
    state.plaintexts = decrypted.plaintexts;
    Ok(decrypted.absent)
}

fn generator(seed: &Seed) -> ChaCha20Rng {
    ChaCha20Rng::from_seed(**seed)
}

/// Hash of what a bank announced.
fn announcement(batch: &[Ciphertext]) -> Digest {
    let hash = Hasher::new("subrosa/risk-propagation/announced", 1);
    hash.uints("ciphertexts", batch.iter().map(Ciphertext::value)).finish()
}

/// R8: everybody's noise, checked. `count` is how many ciphertexts each party owes.
fn broadcast_noise<T: Transport + ?Sized>(
    session: &mut Session<'_, T>,
    key: &PublicKey,
    mine: &[Blinded<Ciphertext>],
    count: &impl Fn(PartyId) -> usize,
) -> Result<PerParty<Vec<Ciphertext>>, Error> {
    let roster = session.roster().clone();
    let mut all: Vec<Vec<Ciphertext>> = vec![Vec::new(); roster.len()];
    let longest = roster.parties().map(count).max().unwrap_or(0);
    for start in (0..longest).step_by(CHUNK) {
        let batch = CiphertextBatch::new(key, piece(mine, start / CHUNK))?;
        let shape = |party: PartyId| BatchShape {
            key: key.clone(),
            count: count(party).saturating_sub(start).min(CHUNK),
        };
        for (party, message) in session.broadcast_shaped(&NoiseChunk { batch }, shape)? {
            let ciphertexts =
                message.batch.accept(key).map_err(|error| blame(&roster, party, error.to_string()))?;
            if let Some(list) = all.get_mut(party.index()) {
                list.extend(ciphertexts);
            }
        }
    }
    Ok(PerParty::from_vec(all))
}
