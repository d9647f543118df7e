//! The protocol among the banks: takes the steps R0 to R10 of `docs/protocols/risk-propagation.md` in a [`Session`].

use rand_core::CryptoRng;

use super::agree::{self, Terms};
use super::decrypt::Decryption;
use super::exchange::{Outgoing, exchange_scores};
use super::outcome::{Outcome, PassedOver, outcome};
use super::resume::{self, Keeper, Loaded, Seen, Start};
use super::role::Role;
use super::stage::{Event, Stage};
use crate::checkpoint::CheckpointStore;
use crate::checkpoint::format::{Run, State};
use crate::error::Error;
use crate::network::Network;
use crate::plan::{Plan, Settings};
use crate::steps::agreement::periods::{self, PeriodActivity};
use crate::steps::agreement::{Agreed, senders};
use crate::steps::disclosure;
use crate::steps::messages::Finished;
use crate::steps::messages::links::Links;
use crate::steps::scores::Encrypted;
use crate::steps::sequence::{Phase, Sequence};
use subrosa_paillier::Blinder;
use subrosa_transport::{PartyId, Roster, Session, Transport};

/// What all banks agreed on, and where this one is.
struct Begun {
    agreed: Agreed,
    plan: Plan,
    periods: Vec<PeriodActivity>,
    run: Run,
    position: u32,
    state: State,
    /// What was sent to single banks in this session.
    links: Links,
    /// What this bank had heard before the run was stopped.
    seen: Seen,
    /// Banks for which all begin anew.
    anew_for: Vec<PartyId>,
}

/// What a bank has when the protocol has ended. An error here is one of which the others do not hear.
pub(crate) type Verdict = Result<Outcome, Error>;

/// The protocol; without a verdict for an auditor, who reads nothing.
pub(crate) fn run<T: Transport>(
    session: &mut Session<T>,
    share: &Role<'_>,
    network: Network,
    settings: &Settings,
    checkpoints: Option<&mut dyn CheckpointStore>,
    rng: &mut impl CryptoRng,
    progress: &mut dyn FnMut(&Event<'_>),
) -> Result<Option<Verdict>, Error> {
    check_roster(session.roster(), share, &network)?;
    check_accounts(&network, settings)?;
    tell(session, progress, Stage::Agree);
    let mut keeper = Keeper::new(checkpoints, share, session.roster(), &network, settings);
    let begun = begin(session, &mut keeper, share, network, settings, rng)?;
    let Begun { agreed, plan, periods, run, position, mut state, mut links, seen, anew_for } = begun;
    let withheld = senders::withheld(agreed.network(), &plan)?.len();
    tell(session, progress, Stage::Encrypt { plan: &plan, periods: &periods, withheld });
    let blinder = Blinder::with_default_table(share.key().public())?;
    let disclosed = senders::disclosed(agreed.network(), &plan)?;
    let ciphertexts = disclosure::ciphertexts(disclosed.len(), &plan);

    let mut decryption = Decryption::new(share, settings.checks, &plan, &blinder, &run, &seen);
    let mut encrypted = false;
    let mut decrypts = false;
    let mut passed_over = Some(PassedOver::default());
    let mut complete = false;
    for next in Sequence::new(&plan, run.has_ciphertexts()).phases_from(position) {
        if !decrypts && !matches!(next.phase, Phase::Iterate { .. }) {
            tell(session, progress, Stage::Decrypt { ciphertexts });
            decrypts = true;
        }
        match next.phase {
            Phase::Iterate { number, step } => {
                let mut outgoing = Outgoing::new(&agreed, step, run.seed.scores(session.id(), number - 1))?;
                if !encrypted {
                    // Reported as a stage of its own.
                    outgoing.encrypt_all(&state.scores, &blinder)?;
                    encrypted = true;
                }
                tell(session, progress, Stage::Iterate { number, of: plan.steps().len() });
                let received = exchange_scores(session, &mut links, outgoing, &state.scores, &blinder, &run)?;
                // R6b. By this a bank to which nobody pays does not run ahead of the others, and of the states that they can
                // go back to.
                links.compare(session)?;
                state.scores.advance(&agreed, &plan, blinder.key(), step, received)?;
            }
            Phase::Pack => {
                state.packed = disclosure::pack(&state.scores, &disclosed, &plan, blinder.key())?;
                state.packed_in = *session.id();
                state.scores.forget_mixed();
            }
            Phase::Commit => decryption.commit(session, &mut state)?,
            Phase::Announce => decryption.announce(session, &mut state)?,
            Phase::Decrypt => passed_over = decryption.decrypt(session, &mut state)?,
            Phase::Confirm => session.confirm()?,
            Phase::Finish => complete = finish(session, &keeper),
        }
        if let Some(position) = next.saved_at {
            keeper.save(position, share, &run, &state)?;
        }
        if passed_over.is_none() {
            return Ok(None);
        }
    }
    tell(session, progress, Stage::Done);
    let (Some(passed_over), Role::Bank(_)) = (passed_over, share) else { return Ok(None) };
    // Only now: whether there are scores is nobody else's affair.
    let outcome = outcome(agreed, plan, periods, &state, passed_over, share.key());
    Ok(Some(outcome.map(|outcome| Outcome { anew_for, complete, ..outcome })))
}

fn tell<T: Transport>(session: &Session<T>, progress: &mut dyn FnMut(&Event<'_>), stage: Stage<'_>) {
    progress(&Event::new(stage, session.counters().total()));
}

/// The first round, and R1 to R5 unless all banks have been through them.
fn begin<T: Transport>(
    session: &mut Session<T>,
    keeper: &mut Keeper<'_>,
    share: &Role<'_>,
    network: Network,
    settings: &Settings,
    rng: &mut impl CryptoRng,
) -> Result<Begun, Error> {
    let mut links = Links::new(session.id(), session.roster());
    let key = share.key().public().id();
    let anew_for = match keeper.meet(session, share, &network, settings)? {
        Start::Anew { asked_by } => {
            keeper.check_unused(key, settings, session.roster(), &asked_by)?;
            asked_by
        }
        Start::GoOn(loaded, seen) => {
            let Loaded { position, run, plan, state } = *loaded;
            keeper.use_key(key, &run.id, settings)?;
            let agreed = resume::restore(network, &run)?;
            let periods = periods::agree(&run.activity, settings)?;
            let anew_for = Vec::new();
            return Ok(Begun { agreed, plan, periods, run, position, state, links, seen, anew_for });
        }
    };
    let seed = share.seed(session.id(), rng)?;
    let hashes = [seed.digest(), seed.input_hash(&network)];
    keeper.keep_seed(session.id(), &seed)?;
    let Terms { agreed, plan, sizes, activity } =
        agree::agree(session, &mut links, &seed, share.key(), network, settings)?;
    let periods = periods::agree(&activity, settings)?;
    let own = senders::disclosed(agreed.network(), &plan)?.len();
    let (accounts, chunks) = agree::declare(session, &agreed, own, hashes, settings)?;
    let (exports, imports) = agreed.lists();
    let run = Run {
        id: *session.id(),
        seed,
        sizes,
        activity,
        exports: exports.clone(),
        imports: imports.clone(),
        accounts,
        chunks,
    };
    let state = State::new(Encrypted::initial(&agreed, &plan)?);
    keeper.clear()?;
    keeper.save(0, share, &run, &state)?;
    keeper.use_key(key, &run.id, settings)?;
    let seen = Seen::default();
    Ok(Begun { agreed, plan, periods, run, position: 0, state, links, seen, anew_for })
}

/// R10: says that this bank has its plaintexts; whether all have said so.
fn finish<T: Transport>(session: &mut Session<T>, keeper: &Keeper<'_>) -> bool {
    let enough = if keeper.is_active() { session.roster().len() - 1 } else { 0 };
    // A bank that does not answer may need the others again. This one has what it came for.
    let heard = session.collect(|_| Some(Finished {}), |_| true, enough, &()).is_ok();
    heard && keeper.is_active()
}

/// Whether session, key and network are of the same banks in the same order.
pub(super) fn check_roster(roster: &Roster, share: &Role<'_>, network: &Network) -> Result<(), Error> {
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
    let other = matches!(share, Role::Bank(share) if share.party() != roster.me());
    if roster.me().index() != network.own().index() || other {
        return Err(Error::Roster("session, key share and network are not of the same bank".to_owned()));
    }
    Ok(())
}

/// Whether the banks for which a number of accounts was agreed are there, and the own accounts are no more than that.
fn check_accounts(network: &Network, settings: &Settings) -> Result<(), Error> {
    if let Some(name) = settings.most_accounts.keys().find(|name| network.banks().find(name).is_none()) {
        return Err(Error::Roster(format!("accounts were agreed for `{name}`, which takes no part")));
    }
    let (accounts, agreed) = (network.account_count(), settings.agreed_accounts(network.bank()));
    match agreed {
        Some(most) if accounts > most as usize => Err(Error::TooManyAccounts { accounts, most }),
        _ => Ok(()),
    }
}
