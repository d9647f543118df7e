//! Who takes part in the attacks, how a run with cheaters goes, and what is true in it.

use std::collections::HashMap;
use std::io::Cursor;
use std::path::Path;
use std::sync::{LazyLock, Mutex};
use std::time::Duration;

use num_bigint::{BigInt, BigUint};
use num_traits::ToPrimitive;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use super::bank::{Evidence, Spoils, Stop, deviate};
use super::deviation::Deviation;
use super::wire::Frame;
use crate::common::{Raw, bank_name};
use subrosa_paillier::PrivateKey;
use subrosa_risk_propagation::audit::{Index, Recomputed, Subject, recompute};
use subrosa_risk_propagation::plaintext::{self, Reference};
use subrosa_risk_propagation::record::{Kind, Reader, Record, Seeds};
use subrosa_risk_propagation::steps::agreement::senders;
use subrosa_risk_propagation::steps::scores::{Encrypted, Received};
use subrosa_risk_propagation::{
    Agreed, Error, FileStore, Network, Outcome, PROTOCOL, Plan, Propagation, Settings, parameters,
};
use subrosa_threshold_decryption::{AccessStructure, KeyShare, dealer};
use subrosa_transport::testing::run_network;
use subrosa_transport::{Limits, MemoryNetwork, MemoryTransport, PartyId, Roster, Session, with_causes};

pub const NORTH: PartyId = PartyId::new(0);
pub const EAST: PartyId = PartyId::new(1);
/// The cheater, in most tests.
pub const WEST: PartyId = PartyId::new(2);
/// A bank that takes west's side.
pub const SOUTH: PartyId = PartyId::new(3);

/// Long enough that a few accounts share a ciphertext, and some room is left above them.
const BITS: u64 = 768;

/// Three banks, of which north and east pay west and one another; north's accounts 3 and 4 never deal with west.
pub fn three() -> Raw {
    let accounts = vec![
        vec![(0, 91), (1, 12), (2, 50), (3, 77), (4, 25)],
        vec![(0, 66), (1, 1), (2, 30)],
        vec![(0, 10), (1, 20), (2, 5)],
    ];
    let rows = vec![
        (0, 0, 2, 0, 500),
        (0, 1, 2, 0, 300),
        (0, 2, 2, 1, 30),
        (0, 1, 2, 2, 40),
        (1, 0, 2, 0, 200),
        (1, 1, 2, 1, 70),
        (1, 0, 0, 3, 4_321),
        (1, 2, 0, 3, 1_234),
        (1, 1, 0, 4, 77),
        (0, 3, 1, 2, 900),
        (0, 4, 0, 0, 10),
        (2, 2, 0, 1, 1_000),
        (1, 2, 0, 1, 98_765),
    ];
    Raw::consistent(3, accounts, vec![rows])
}

/// [`three`] and two more, so that two may pool what they see.
pub fn five() -> Raw {
    let mut raw = three();
    let mut rows: Vec<_> = raw.rows.iter().flat_map(|files| files[0].clone()).collect();
    rows.extend([(3, 0, 2, 0, 11), (4, 0, 2, 1, 12)]);
    rows.sort_unstable();
    rows.dedup();
    raw.accounts.extend([vec![(0, 40)], vec![(0, 80)]]);
    Raw::consistent(5, raw.accounts, vec![rows])
}

/// With what each bank of [`five`] may have, and no more.
pub fn settings() -> Settings {
    let accounts = [("north", 5), ("east", 3), ("west", 3)];
    let most_accounts = accounts.map(|(bank, most)| (bank.to_owned(), most)).into();
    Settings { most_accounts, ..uncapped() }
}

/// [`settings`] without an agreement on numbers of accounts.
pub fn uncapped() -> Settings {
    Settings { iterations: 3, ..Settings::default() }
}

/// A dealt key for n banks, of which ⌊(n − 1)/2⌋ may pool what they see.
pub fn shares(banks: usize) -> Vec<KeyShare> {
    static KEYS: LazyLock<Mutex<HashMap<usize, Vec<KeyShare>>>> = LazyLock::new(Mutex::default);
    let deal = || {
        let mut rng = ChaCha20Rng::seed_from_u64(banks as u64);
        let private = PrivateKey::generate_insecure(BITS, &mut rng).unwrap();
        let parties = u32::try_from(banks).unwrap();
        dealer::deal(&private, AccessStructure::new(parties, (parties - 1) / 2).unwrap(), &mut rng).unwrap()
    };
    KEYS.lock().unwrap().entry(banks).or_insert_with(deal).clone()
}

pub type Cheats<'a> = Vec<(PartyId, &'a mut dyn Deviation)>;

/// How a run ended, for each bank that follows the protocol and each that does not.
pub struct Run {
    pub honest: Vec<(PartyId, Result<Outcome, Error>)>,
    pub cheats: Vec<(PartyId, Result<Spoils, Stop>)>,
    /// What an auditor gets of those that do not follow the protocol.
    evidence: Vec<(PartyId, Evidence)>,
    networks: Vec<Network>,
    settings: Settings,
}

/// One run. `folder` holds the honest banks' checkpoints; without it they have none.
pub fn run_in(raw: &Raw, settings: &Settings, cheats: Cheats<'_>, seed: u64, folder: Option<&Path>) -> Run {
    let wires = MemoryNetwork::builder((0..raw.banks).map(bank_name)).build().unwrap();
    run_over(wires, raw, settings, cheats, seed, folder)
}

/// [`run_in`] over a network of the caller's.
pub fn run_over(
    wires: Vec<MemoryTransport>,
    raw: &Raw,
    settings: &Settings,
    cheats: Cheats<'_>,
    seed: u64,
    folder: Option<&Path>,
) -> Run {
    enum End {
        Honest(Box<Result<Outcome, Error>>),
        Cheat(Box<(Result<Spoils, Stop>, Evidence)>),
    }
    let networks = raw.networks();
    let shares = shares(raw.banks);
    let cheats: Mutex<HashMap<PartyId, _>> = Mutex::new(cheats.into_iter().collect());
    let ends = run_network(wires, |me, wire| {
        let (network, share) = (networks[me.index()].clone(), &shares[me.index()]);
        let seed = 100 * seed + me.index() as u64;
        let cheat = cheats.lock().unwrap().remove(&me);
        match cheat {
            Some(cheat) => End::Cheat(Box::new(deviate(wire, share, network, settings, seed, cheat))),
            None => End::Honest(Box::new(follow(wire, share, network, settings, seed, folder))),
        }
    });
    let mut run = Run {
        honest: Vec::new(),
        cheats: Vec::new(),
        evidence: Vec::new(),
        networks,
        settings: settings.clone(),
    };
    for (party, end) in (0..).map(PartyId::new).zip(ends) {
        match end {
            End::Honest(result) => run.honest.push((party, *result)),
            End::Cheat(end) => {
                let (result, evidence) = *end;
                run.cheats.push((party, result));
                run.evidence.push((party, evidence));
            }
        }
    }
    run
}

/// A run without checkpoints, with one cheater: west.
pub fn run(raw: &Raw, west: &mut dyn Deviation, seed: u64) -> Run {
    run_in(raw, &settings(), vec![(WEST, west)], seed, None)
}

/// [`run`] without an agreement on numbers of accounts.
pub fn run_uncapped(raw: &Raw, west: &mut dyn Deviation, seed: u64) -> Run {
    run_in(raw, &uncapped(), vec![(WEST, west)], seed, None)
}

/// The shipped protocol.
fn follow(
    mut wire: MemoryTransport,
    share: &KeyShare,
    network: Network,
    settings: &Settings,
    seed: u64,
    folder: Option<&Path>,
) -> Result<Outcome, Error> {
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    let fields = parameters(share.key(), network.columns(), settings);
    let timeout = Limits::new().with_timeout(Duration::from_secs(20));
    let name = network.bank().to_owned();
    let mut session = Session::open(&mut wire, PROTOCOL, &fields, timeout, &mut rng)?;
    match folder {
        None => Propagation::new(share, network).settings(settings.clone()).run_in(&mut session, &mut rng),
        Some(folder) => {
            let mut store = FileStore::open(folder.join(name))?;
            let outcome = Propagation::new(share, network)
                .settings(settings.clone())
                .checkpoints(&mut store)
                .run_in(&mut session, &mut rng)?;
            outcome.commit(&mut store)?;
            Ok(outcome)
        }
    }
}

impl Run {
    /// Nobody noticed: all honest banks end with scores, and they are right.
    pub fn assert_unnoticed(&self) {
        assert!(self.largest_error() <= self.settings.accuracy, "{}", self.largest_error());
    }

    /// The greatest error of a score of an honest bank. All have scores.
    pub fn largest_error(&self) -> f64 {
        let reference = plaintext::reference(&self.networks, &self.settings).unwrap();
        let error = |(party, result): &(PartyId, Result<Outcome, Error>)| {
            let scores = &result.as_ref().unwrap_or_else(|error| panic!("{party}: {error}")).scores;
            plaintext::largest_difference(
                std::slice::from_ref(scores),
                std::slice::from_ref(&reference[party.index()]),
            )
        };
        self.honest.iter().map(error).fold(0.0, f64::max)
    }

    /// All honest banks end with an error, and `culprits` are those at which the errors point.
    pub fn assert_stopped(&self, culprits: &[PartyId]) {
        for (party, result) in &self.honest {
            let Err(error) = result else { panic!("{party} has scores") };
            assert_eq!(error.culprits(), culprits, "{party}: {error}");
        }
    }

    /// One bank finds that what it decrypted cannot be scores. Nobody else hears of it: all other honest banks have scores.
    pub fn assert_out_of_range(&self, bank: PartyId) {
        for (party, result) in &self.honest {
            match result {
                Err(Error::Range(_)) if *party == bank => {}
                Ok(_) if *party != bank => {}
                other => panic!("{party}: {other:?}"),
            }
        }
    }

    /// The errors of the honest banks.
    pub fn errors(&self) -> Vec<String> {
        self.honest.iter().filter_map(|(_, result)| Some(with_causes(result.as_ref().err()?))).collect()
    }

    /// What an honest bank shows for one of its accounts.
    pub fn score(&self, bank: PartyId, account: usize) -> f64 {
        let (_, result) = self.honest.iter().find(|(party, _)| *party == bank).unwrap();
        result.as_ref().unwrap().scores[account]
    }

    /// What west has.
    pub fn spoils(&self) -> &Spoils {
        let (_, result) = self.cheats.iter().find(|(party, _)| *party == WEST).unwrap();
        result.as_ref().unwrap_or_else(|error| panic!("west: {error}"))
    }

    /// What an auditor finds of a bank that did not follow the protocol, in this run and in the attempts before it.
    pub fn recomputed(&self, party: PartyId, before: &[&Self]) -> Recomputed {
        let shares = shares(self.networks.len());
        let names = (0..self.networks.len()).map(bank_name);
        let roster = Roster::new(names, party).unwrap();
        let mut record = Record::new(Vec::new()).unwrap();
        let mut seeds = Seeds::default();
        for run in before.iter().chain(&[self]) {
            let (_, evidence) = run.evidence.iter().find(|(cheat, _)| *cheat == party).unwrap();
            record.begin(PROTOCOL.name).unwrap();
            for Frame { peer, sent, bytes } in &evidence.frames {
                record.frame(if *sent { Kind::Sent } else { Kind::Received }, *peer, bytes).unwrap();
            }
            // Of the run that it began, or went on with.
            let so_far = [record.clone().into_inner()].concat();
            let index = Index::read(&mut Reader::new(Cursor::new(so_far)).unwrap(), &roster).unwrap();
            if let Some(began) = index.sessions().last().and_then(|session| session.run) {
                seeds.insert(began, evidence.seed.clone());
            }
        }
        let subject = Subject {
            network: &self.networks[party.index()],
            settings: &self.settings,
            key: shares[0].key(),
            roster: &roster,
            seeds: &seeds,
        };
        recompute(&subject, &mut Reader::new(Cursor::new(record.into_inner())).unwrap(), None).unwrap()
    }

    /// Recomputation names what a bank did first: step, iteration and accounts.
    pub fn assert_found(&self, party: PartyId, step: &str, iteration: usize, accounts: &[&str]) {
        self.assert_found_after(&[], party, step, iteration, accounts);
    }

    /// [`Run::assert_found`] where the bank had been stopped before.
    pub fn assert_found_after(
        &self,
        before: &[&Self],
        party: PartyId,
        step: &str,
        iteration: usize,
        accounts: &[&str],
    ) {
        let recomputed = self.recomputed(party, before);
        let told: Vec<String> = recomputed.differences.iter().map(ToString::to_string).collect();
        let Some(first) = recomputed.differences.first() else { panic!("{:?}", recomputed.attempts) };
        assert_eq!((first.step, first.iteration), (step, iteration), "{told:?}");
        assert_eq!(first.accounts, accounts, "{told:?}");
    }

    /// An auditor finds nothing.
    pub fn assert_clean(&self, party: PartyId, before: &[&Self]) {
        let recomputed = self.recomputed(party, before);
        let told: Vec<String> = recomputed.differences.iter().map(ToString::to_string).collect();
        assert!(told.is_empty(), "{told:?}");
    }

    /// Whether west has its own accounts' scores, as if it had not cheated.
    pub fn assert_west_has_its_own(&self) {
        let reference = plaintext::reference(&self.networks, &self.settings).unwrap();
        let scores = self.spoils().scores.as_ref().unwrap();
        for (found, expected) in scores.iter().zip(&reference[WEST.index()]) {
            assert!((found - expected).abs() <= self.settings.accuracy, "{found} {expected}");
        }
    }
}

/// What nobody but the banks concerned should know.
pub struct Truth {
    agreed: Vec<Agreed>,
    plan: Plan,
}

impl Truth {
    pub fn of(raw: &Raw, plan: &Plan) -> Self {
        Self { agreed: Agreed::among(raw.networks()).unwrap(), plan: plan.clone() }
    }

    /// The own accounts of `from` whose scores go to `to`, in the order of the wire.
    pub fn sent(&self, from: PartyId, to: PartyId) -> &[u32] {
        let bank = self.agreed[from.index()].network().banks().get(to.index()).unwrap();
        self.agreed[from.index()].exports(0, bank)
    }

    /// The accounts of a bank that foreign money reaches: one for each slot.
    pub fn reached(&self, bank: PartyId) -> Vec<u32> {
        senders::disclosed(self.agreed[bank.index()].network(), &self.plan).unwrap()
    }

    /// An account's score after so many steps, as the whole number that ciphertexts hold.
    pub fn score(&self, bank: PartyId, account: u32, steps: usize) -> BigUint {
        let mut twin = Reference::new(&self.agreed, &self.plan).unwrap();
        while twin.steps_done() < steps {
            assert!(twin.advance().unwrap());
        }
        twin.fixed()[bank.index()].packed(account as usize).unwrap()
    }

    /// The part of an account's final score that comes from other banks.
    pub fn foreign_part(&self, bank: PartyId, account: u32) -> BigUint {
        let agreed = &self.agreed[bank.index()];
        let shares = shares(self.agreed.len());
        let mut own = Encrypted::initial(agreed, &self.plan).unwrap();
        let key = shares[0].key().public();
        let zero = key.encrypt_unblinded(&BigInt::ZERO).unwrap();
        for step in self.plan.steps() {
            let mut received = Received::new(agreed);
            for foreign in 0..u32::try_from(agreed.network().foreign_count()).unwrap() {
                received.insert(key, &[foreign], vec![zero.clone()]).unwrap();
            }
            own.advance(agreed, &self.plan, key, *step, received).unwrap();
        }
        self.score(bank, account, self.plan.steps().len()) - own.plain().packed(account as usize).unwrap()
    }
}

/// The slots of a plaintext, lowest first.
pub fn slots(plaintext: &BigInt, plan: &Plan) -> Vec<BigUint> {
    let whole = plaintext.to_biguint().unwrap();
    let mask = (BigUint::from(1_u8) << plan.slot_bits()) - 1_u8;
    (0..plan.accounts_per_ciphertext()).map(|slot| (&whole >> (slot * plan.slot_bits())) & &mask).collect()
}

/// A whole number of so many units as a fraction of one.
pub fn unit(value: &BigUint, scale: usize) -> f64 {
    let excess = scale.saturating_sub(60);
    (value >> excess).to_f64().unwrap() / f64::exp2((scale - excess).to_f64().unwrap())
}

/// How far an initial score is shifted in its slot so that it stands clear of the noise.
pub fn clear(plan: &Plan) -> usize {
    plan.slot_bits() - plan.score_bits() as usize - 1
}

/// What a slot holds with the mean of the noise taken off.
pub fn without_noise(slot: &BigUint, plan: &Plan) -> f64 {
    let mean = (BigUint::from(plan.noise_contributors()) << plan.noise_bits()) >> 1_u8;
    unit(slot, plan.final_scale()) - unit(&mean, plan.final_scale())
}
