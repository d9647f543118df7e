//! A bank that goes through the protocol by the public steps and does one thing of its own choice differently.
//!
//! It does R0 to R10 as `docs/protocols/risk-propagation.md` has them, with a hook before whatever it sends.

use std::cell::RefCell;
use std::error::Error as StdError;
use std::time::Duration;

use num_bigint::{BigInt, BigUint};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use super::deviation::{Deviation, Progress, View};
use super::wire::{Asked, Frame, Partials, Peeking, Proven};
use subrosa_paillier::{Blinded, Blinder, Ciphertext, CiphertextBatch, Randomness};
use subrosa_risk_propagation::steps::agreement::periods;
use subrosa_risk_propagation::steps::agreement::senders;
use subrosa_risk_propagation::steps::agreement::{self, Offer, Selection};
use subrosa_risk_propagation::steps::disclosure;
use subrosa_risk_propagation::steps::disclosure::{Ceilings, Committed, commitment, noise_context};
use subrosa_risk_propagation::steps::in_degree_bits;
use subrosa_risk_propagation::steps::messages::links::Links;
use subrosa_risk_propagation::steps::messages::{
    BatchShape, Commitment, Declaration, Digests, Finished, NoiseChunk, NoiseCommitment, NoiseShape,
    OfferChunk, PlanValues, Resume, ScoreChunk, SelectionBits, Sizes,
};
use subrosa_risk_propagation::steps::randomness::Purpose;
use subrosa_risk_propagation::steps::scores::{Encrypted, Received};
use subrosa_risk_propagation::{
    BankId, Network, NetworkSizes, PROTOCOL, Plan, RunSeed, Settings, parameters,
};
use subrosa_threshold_decryption::protocol::{self as decryption, Checks};
use subrosa_threshold_decryption::{Combiner, KeyShare, PartialDecryption, ProofContext};
use subrosa_transport::{Limits, MemoryTransport, PartyId, PerParty, Session};

pub type Stop = Box<dyn StdError + Send + Sync>;

/// What the deviating bank has in the end.
pub struct Spoils {
    /// Plaintexts of what it announced, in [0, N).
    pub plaintexts: Vec<BigInt>,
    /// The scores of its accounts, if its own ciphertexts hold them.
    pub scores: Option<Vec<f64>>,
    pub plan: Plan,
    /// Every frame that it sent or received.
    pub frames: Vec<Frame>,
}

/// What an auditor gets of a deviating bank.
pub struct Evidence {
    pub frames: Vec<Frame>,
    pub seed: RunSeed,
}

/// The deviating bank's side of a run.
pub fn deviate(
    transport: MemoryTransport,
    share: &KeyShare,
    network: Network,
    settings: &Settings,
    seed: u64,
    deviation: &mut dyn Deviation,
) -> (Result<Spoils, Stop>, Evidence) {
    let wire = Peeking::new(transport);
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    let fresh = RunSeed::draw(&mut rng);
    let seed = deviation.remembered().map_or(fresh, |progress| progress.seed);
    let result = go(&mut wire.clone(), share, network, settings, rng, seed.clone(), deviation);
    (result, Evidence { frames: wire.record(), seed })
}

fn go(
    wire: &mut Peeking,
    share: &KeyShare,
    network: Network,
    settings: &Settings,
    mut rng: ChaCha20Rng,
    seed: RunSeed,
    deviation: &mut dyn Deviation,
) -> Result<Spoils, Stop> {
    let eyes = wire.clone();
    let fields = parameters(share.key(), network.columns(), settings);
    let timeout = Limits::new().with_timeout(Duration::from_secs(20));
    let mut session = Session::open(wire, PROTOCOL, &fields, timeout, &mut rng)?;
    let blinder = Blinder::new(share.key().public(), Randomness::Short, 1 << 16)?;
    let links = Links::new(session.id(), session.roster());
    let rng = RefCell::new(rng);
    let mut bank = Bank { session: &mut session, eyes, share, blinder, seed, links, rng, deviation };
    match bank.run(network, settings) {
        Ok(spoils) => Ok(spoils),
        Err(error) => {
            bank.session.abort(&error.to_string(), &[]);
            Err(error)
        }
    }
}

struct Bank<'a, 's> {
    session: &'a mut Session<&'s mut Peeking>,
    eyes: Peeking,
    share: &'a KeyShare,
    blinder: Blinder,
    /// Of a run that begins.
    seed: RunSeed,
    links: Links,
    /// For what it does not owe to anybody.
    rng: RefCell<ChaCha20Rng>,
    deviation: &'a mut dyn Deviation,
}

impl Bank<'_, '_> {
    fn run(&mut self, network: Network, settings: &Settings) -> Result<Spoils, Stop> {
        let remembered = self.deviation.remembered();
        let run = remembered.as_ref().map(|progress| progress.run);
        let position = remembered.as_ref().map_or(0, |progress| progress.position);
        self.session.broadcast(&self.deviation.resume(Resume { run, position }), &())?;
        let mut progress = match remembered {
            Some(progress) => progress,
            None => self.agree(network, settings)?,
        };
        self.iterate(&mut progress)?;
        let mut spoils = self.disclose(&progress, settings.checks)?;
        if self.deviation.says_that_it_is_done() {
            // Hears what the others say as well, if they do.
            let others = self.session.roster().len() - 1;
            let _ = self.session.collect(|_| Some(Finished {}), |_| true, others, &());
            spoils.frames = self.eyes.record();
        }
        Ok(spoils)
    }

    fn keep(&mut self, progress: &Progress) -> Result<(), Stop> {
        if self.deviation.reached(progress) { Ok(()) } else { Err("I leave".into()) }
    }

    /// R1 to R5, with lists that fit one message.
    fn agree(&mut self, network: Network, settings: &Settings) -> Result<Progress, Stop> {
        let banks: Vec<BankId> = network.banks().iter().collect();
        let bank_of = |party: PartyId| banks[party.index()];
        let offers: Vec<Offer> =
            banks.iter().map(|&bank| agreement::offer(&network, bank).unwrap()).collect();
        let sizes = self.deviation.sizes(Sizes {
            activity: network.activity(),
            in_degree_bits: in_degree_bits(network.greatest_in_degree()),
            offer_chunks: u32::from(offers.iter().any(|offer| offer.periods.iter().any(|p| !p.is_empty()))),
        });
        let all = self.session.broadcast(&sizes, &())?;
        let activity: Vec<&[u8]> = all.values().map(|sizes| sizes.activity.as_slice()).collect();
        let active_periods = periods::counted(&periods::agree(&activity, settings)?);
        let periods = active_periods.len();
        let sizes = NetworkSizes {
            key_bits: usize::try_from(self.share.key().public().bits())?,
            columns: network.columns().len(),
            in_degree_bits: all.values().map(|sizes| sizes.in_degree_bits).max().unwrap_or(0),
            active_periods,
            noise_contributors: banks.len() - 1,
        };
        let plan = Plan::new(&sizes, settings)?;
        let values: Vec<u64> = plan.fields().into_iter().map(|(_, value)| value).collect();
        self.session.broadcast(&PlanValues { values: values.clone() }, &values.len())?;
        if network.periods().len() != periods {
            return Err("this bank wants to have all periods".into());
        }
        // R2
        let (own, salt) = (network.own(), *self.session.id());
        let seed = self.seed.clone();
        let input_hash = seed.input_hash(&network);
        let digests = |party: PartyId| Digests {
            sent: agreement::digests(&network, own, bank_of(party), &salt).unwrap(),
            received: agreement::digests(&network, bank_of(party), own, &salt).unwrap(),
        };
        let links = &mut self.links;
        let sent =
            self.session.exchange(|party| Some(links.sent(party, digests(party))), |_| true, &periods)?;
        sent.present().for_each(|(party, message)| links.received(party, message));
        // R3
        let mut theirs = vec![Offer { periods: vec![Vec::new(); periods] }; banks.len()];
        for _ in 0..all.values().map(|sizes| sizes.offer_chunks).max().unwrap_or(0) {
            let deviation = &mut *self.deviation;
            let mut offered = |party: PartyId| {
                let periods = (0..).zip(&offers[party.index()].periods);
                let senders =
                    periods.flat_map(|(period, names)| names.iter().map(move |name| (period, name.clone())));
                OfferChunk { senders: deviation.offer(party, senders.collect()) }
            };
            let messages =
                self.session.exchange(|party| Some(links.sent(party, offered(party))), |_| true, &periods)?;
            for (party, message) in messages.present() {
                links.received(party, message);
                for (period, name) in &message.senders {
                    theirs[party.index()].periods[*period as usize].push(name.clone());
                }
            }
        }
        // R4
        let (selected, selections) = agreement::select(network, &theirs)?;
        let bits = |party: PartyId| {
            let wanted = selections[party.index()].periods.concat();
            let byte = |eight: &[bool]| (0..).zip(eight).map(|(bit, wanted)| u8::from(*wanted) << bit).sum();
            let place = (party.index() as u64).to_le_bytes();
            let salt = seed.derive(Purpose::Link, &[&salt, &place]).salt();
            SelectionBits { bits: wanted.chunks(8).map(byte).collect(), salt }
        };
        let me = self.session.me();
        let count = |offer: &Offer| offer.periods.iter().map(Vec::len).sum::<usize>();
        let longest = theirs.iter().map(count).max().unwrap_or(0);
        let shape = |party: PartyId| if party == me { longest } else { count(&offers[party.index()]) };
        let outgoing = |party| Some(links.sent(party, bits(party)));
        let answers = self.session.exchange_shaped(outgoing, |_| true, shape)?;
        answers.present().for_each(|(party, message)| links.received(party, message));
        self.session.broadcast(&links.message(), &banks.len())?;
        let unpack = |(party, message): (PartyId, Option<SelectionBits>)| {
            let bytes = message.map_or(Vec::new(), |message| message.bits);
            let mut all = bytes.into_iter().flat_map(|byte| (0..8).map(move |bit| byte >> bit & 1 == 1));
            let mut take = |names: &Vec<String>| all.by_ref().take(names.len()).collect();
            Selection { periods: offers[party.index()].periods.iter().map(&mut take).collect() }
        };
        let answers: Vec<Selection> = answers.into_iter().map(unpack).collect();
        let agreed = selected.finish(&offers, &answers)?;
        // R5
        let own = senders::disclosed(agreed.network(), &plan).unwrap().len();
        let sends = |period: usize| banks.iter().any(|&bank| !agreed.exports(period, bank).is_empty());
        let declaration = self.deviation.declaration(
            &plan,
            Declaration {
                accounts: u32::try_from(own)?,
                score_chunks: (0..periods).map(|period| u32::from(sends(period))).collect(),
                seed_hash: seed.digest(),
                input_hash,
            },
        );
        let all = self.session.broadcast(&declaration, &periods)?;
        let most = |period: usize| all.values().map(|all| all.score_chunks[period]).max().unwrap_or(0);
        let progress = Progress {
            run: *self.session.id(),
            seed,
            accounts: all.values().map(|all| all.accounts as usize).collect(),
            counts: all.values().map(|all| disclosure::ciphertexts(all.accounts as usize, &plan)).collect(),
            chunks: (0..periods).map(|period| most(period) as usize).collect(),
            position: 0,
            scores: Encrypted::initial(&agreed, &plan).unwrap(),
            packed: Vec::new(),
            packed_in: [0; 32],
            agreed,
            plan,
        };
        self.keep(&progress)?;
        Ok(progress)
    }

    /// R6 and the packing of R7.
    fn iterate(&mut self, progress: &mut Progress) -> Result<(), Stop> {
        let Self { share, blinder, rng, links, .. } = self;
        let (key, rng, me) = (share.key().public(), &*rng, self.session.me());
        let banks: Vec<BankId> = progress.agreed.network().banks().iter().collect();
        let steps = progress.plan.steps().to_vec();
        for (number, step) in steps.iter().enumerate().skip(progress.position as usize) {
            let exported = progress.agreed.exported(step.period);
            let streams = progress.seed.scores(self.session.id(), number);
            let made = progress.scores.encrypt_with(blinder, &exported, &streams)?;
            let mut received = Received::new(&progress.agreed);
            for chunk in 0..progress.chunks[step.period] {
                let view = View { me, key, share, blinder, progress, rng };
                let deviation = &mut *self.deviation;
                let outgoing = |party: PartyId| {
                    let accounts = view.agreed().exports(step.period, banks[party.index()]);
                    let pick = |account: &u32| made[exported.binary_search(account).unwrap()].clone();
                    let honest = accounts.iter().map(pick).collect();
                    let mut sent = deviation.scores(&view, number, party, accounts, honest);
                    if chunk > 0 {
                        sent.clear();
                    }
                    let batch = CiphertextBatch::new(key, &sent).unwrap();
                    Some(links.sent(party, ScoreChunk { batch }))
                };
                let owed = |party: PartyId| {
                    view.agreed().imports(step.period, banks[party.index()]).len() * usize::from(chunk == 0)
                };
                let shape = |party: PartyId| BatchShape {
                    key: key.clone(),
                    count: if party == me { exported.len() } else { owed(party) },
                };
                let answers = self.session.exchange_shaped(outgoing, |_| true, shape)?;
                for (party, answer) in answers {
                    let Some(answer) = answer else { continue };
                    links.received(party, &answer);
                    let ciphertexts = answer.batch.accept(key)?;
                    self.deviation.received(number, party, &ciphertexts);
                    let places = progress.agreed.imports(step.period, banks[party.index()]);
                    let places = if chunk == 0 { places } else { &[] };
                    received.insert(key, places, ciphertexts).unwrap();
                }
            }
            self.session.broadcast(&links.message(), &banks.len())?;
            progress.scores.advance(&progress.agreed, &progress.plan, key, *step, received).unwrap();
            progress.position = u32::try_from(number + 1)?;
            if number + 1 < steps.len() && !self.deviation.reached(progress) {
                return Err("I leave".into());
            }
        }
        let packed = u32::try_from(steps.len() + 1)?;
        if progress.position < packed {
            let reached = senders::disclosed(progress.agreed.network(), &progress.plan).unwrap();
            progress.packed = disclosure::pack(&progress.scores, &reached, &progress.plan, key).unwrap();
            progress.packed_in = *self.session.id();
            progress.position = packed;
            self.keep(progress)?;
        }
        Ok(())
    }

    /// R7 to R9.
    fn disclose(&mut self, progress: &Progress, checks: Checks) -> Result<Spoils, Stop> {
        let Self { share, blinder, rng, eyes, .. } = self;
        let (key, rng, me) = (share.key().public(), &*rng, self.session.me());
        let view = View { me, key, share, blinder, progress, rng };
        let counts = PerParty::from_vec(progress.counts.clone());
        let mut randomness = progress.seed.derive(Purpose::Packed, &[&progress.packed_in]).first();
        let honest = disclosure::blind(&progress.packed, blinder, &mut randomness)?;
        // R7a
        let mut hear = |party: PartyId| eyes.peek(party, "decrypt/announce", key);
        let fill = |mut mine: Vec<Blinded<Ciphertext>>| {
            while mine.len() < counts[me] {
                mine.push(view.encrypt(0));
            }
            mine
        };
        let mine = fill(self.deviation.announcement(&view, honest, &mut hear).ok_or("I leave")?);
        let salt = |what, label: &[u8]| {
            let salt = progress.seed.derive(Purpose::Commitment, &[label]).salt();
            move |mine: &[Blinded<Ciphertext>]| {
                let mine = mine.iter().map(|ciphertext| &**ciphertext);
                (commitment(&progress.run, me, what, &salt, mine), salt)
            }
        };
        let (announcement, announcement_salt) = salt(Committed::Announcement, b"announcement")(&mine);
        let mut payload = |party: PartyId| eyes.payload(party);
        let announcement = self.deviation.commitment(announcement, &mut payload);
        let committed = self.session.broadcast(&Commitment { announcement }, &())?;
        let committed: Vec<[u8; 32]> = committed.values().map(|theirs| theirs.announcement).collect();
        // R7b
        let total: usize = counts.values().sum();
        let owed = |party: PartyId| total - counts[party];
        let context = noise_context(&progress.run, &committed);
        let mut randomness = progress.seed.derive(Purpose::Noise, &[&context]).first();
        let others = progress.accounts.iter().enumerate().filter(|(party, _)| *party != me.index());
        let used = others.flat_map(|(_, accounts)| disclosure::used_slots(*accounts, view.plan()));
        let used: Vec<usize> = used.collect();
        let honest = disclosure::noise(&used, view.plan(), blinder, &mut randomness)?;
        let mut hear = |party: PartyId| eyes.peek(party, "propagate/noise", key);
        let mine_noise = self.deviation.noise(&view, honest, &mut hear);
        let (noise, noise_salt) = salt(Committed::Noise, b"noise")(&mine_noise);
        let salt = self.deviation.salt(announcement_salt, &mut payload);
        self.session.broadcast(&NoiseCommitment { noise, salt }, &())?;
        // R7
        let mut hear = |party: PartyId| eyes.peek(party, "decrypt/announce", key);
        let mine = fill(self.deviation.shown_announcement(&view, mine, &mut hear).ok_or("I leave")?);
        let batches = decryption::announce(self.session, key, &mine, &counts)?;
        self.deviation.announced(&batches);
        // R8
        let mut hear = |party: PartyId| eyes.peek(party, "propagate/noise", key);
        let mine = self.deviation.shown_noise(&view, mine_noise, &mut hear);
        let batch = CiphertextBatch::new(key, &mine)?;
        let shape = |party: PartyId| NoiseShape {
            batch: BatchShape { key: key.clone(), count: owed(party) },
            first: true,
        };
        let messages = self.session.broadcast_shaped(&NoiseChunk { batch, salt: Some(noise_salt) }, shape)?;
        let noise: Vec<Vec<Ciphertext>> =
            messages.into_iter().map(|(_, message)| message.batch.accept(key)).collect::<Result<_, _>>()?;
        let mut noisy = Vec::new();
        for (owner, batch) in batches.iter() {
            let part = |(adder, noise): (PartyId, &Vec<Ciphertext>)| {
                let start = view.start(adder, owner);
                (adder != owner).then(|| noise[start..start + batch.len()].to_vec())
            };
            let parts: Vec<Vec<Ciphertext>> =
                batches.iter().map(|(adder, _)| adder).zip(&noise).filter_map(part).collect();
            let parts: Vec<&[Ciphertext]> = parts.iter().map(Vec::as_slice).collect();
            noisy.push(disclosure::add_noise(key, batch, &parts)?);
        }
        self.session.confirm()?;
        // R9
        let mut plaintexts = Vec::new();
        if total > 0 {
            let deviation = &mut *self.deviation;
            let mut partials = |party: PartyId| {
                let values = share.partially_decrypt(&noisy[party.index()]).unwrap().into_values();
                deviation.partials(&view, party, values)
            };
            let (count, threshold) = (counts[me], share.key().access().threshold() as usize);
            let enough = if count > 0 { threshold } else { 0 };
            let answers: Vec<(PartyId, Vec<BigUint>)> = if let Checks::Proofs(challenges) = checks {
                let context = ProofContext::of(self.session);
                let mut masks = progress.seed.derive(Purpose::Proofs, &[self.session.id()]).first();
                let mut proven = |party: PartyId| {
                    let partial = PartialDecryption::new(me, partials(party));
                    let noisy = &noisy[party.index()];
                    // Of values that are not right, nothing can be proved that holds.
                    let proof = share.prove(&context, noisy, &partial, challenges, &mut masks).ok()?;
                    (!noisy.is_empty()).then(|| Proven { values: partial.into_values(), proof })
                };
                let banks = self.session.roster().len();
                let helps = |helper: PartyId, owner: PartyId| {
                    (1..=threshold).contains(&((helper.index() + banks - owner.index()) % banks))
                };
                let outgoing = |party: PartyId| helps(me, party).then(|| proven(party)).flatten();
                let wait = self.session.limits().round_timeout;
                let first = |party: PartyId| (count > 0 && helps(party, me)).then_some(wait);
                let answers = self.session.collect_within(outgoing, first, |_| &())?.messages;
                let nothing = |_| (count > 0).then_some(Asked { wanted: false });
                let readers = |party: PartyId| (counts[party] > 0).then_some(wait);
                let asked = self.session.collect_within(nothing, readers, |_| &())?.messages;
                let asks = |party: PartyId| asked[party].is_some_and(|asked| asked.wanted);
                let outgoing = |party: PartyId| asks(party).then(|| proven(party)).flatten();
                self.session.collect(outgoing, |_| false, 0, &())?;
                answers.present().map(|(party, message)| (party, message.values.clone())).collect()
            } else {
                let outgoing = |party: PartyId| {
                    let values = partials(party);
                    (!values.is_empty()).then_some(Partials { values })
                };
                let answers = self.session.collect(outgoing, |_| count > 0, enough, &())?.messages;
                answers.present().map(|(party, message)| (party, message.values.clone())).collect()
            };
            let others = answers.into_iter().map(|(party, values)| PartialDecryption::new(party, values));
            if count > 0 {
                let mut quorum = vec![share.partially_decrypt(&noisy[me.index()])?];
                quorum.extend(others.take(threshold));
                let members: Vec<PartyId> = quorum.iter().map(PartialDecryption::party).collect();
                let combined = Combiner::new(share.key(), &members)?.combine(&quorum)?;
                let n = BigInt::from(key.n().clone());
                plaintexts = combined.into_iter().map(|plaintext| (plaintext + &n) % &n).collect();
            }
        }
        let reached = senders::disclosed(progress.agreed.network(), &progress.plan).unwrap();
        let own = plaintexts.get(..progress.packed.len()).unwrap_or(&[]);
        let ceilings = Ceilings::new(&progress.agreed, &progress.plan).unwrap();
        let scores =
            disclosure::disclose(&progress.scores, &reached, own, &ceilings, &progress.plan, key).ok();
        Ok(Spoils { plaintexts, scores, plan: progress.plan.clone(), frames: self.eyes.record() })
    }
}
