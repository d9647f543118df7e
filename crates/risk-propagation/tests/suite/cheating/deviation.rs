//! What a bank may do differently, and what it can see when it decides.

use std::cell::RefCell;

use num_bigint::{BigInt, BigUint};
use rand_chacha::ChaCha20Rng;

use subrosa_paillier::{Blinded, Blinder, Ciphertext, PublicKey};
use subrosa_risk_propagation::steps::agreement::senders;
use subrosa_risk_propagation::steps::disclosure;
use subrosa_risk_propagation::steps::messages::{Declaration, Resume, Sizes};
use subrosa_risk_propagation::steps::scores::Encrypted;
use subrosa_risk_propagation::{Agreed, Plan, RunSeed};
use subrosa_threshold_decryption::KeyShare;
use subrosa_transport::{PartyId, PerParty};

/// What the banks agreed on, and where the deviating one is.
#[derive(Clone)]
pub struct Progress {
    /// The session in which the run began.
    pub run: [u8; 32],
    /// Of its own randomness.
    pub seed: RunSeed,
    pub agreed: Agreed,
    pub plan: Plan,
    /// What each bank declared in R5.
    pub accounts: Vec<usize>,
    /// Ciphertexts that these take.
    pub counts: Vec<usize>,
    pub chunks: Vec<usize>,
    /// As the library numbers its checkpoints.
    pub position: u32,
    pub scores: Encrypted,
    pub packed: Vec<Ciphertext>,
    /// The session in which they were packed.
    pub packed_in: [u8; 32],
}

impl Progress {
    /// The foreign part of the first reached account's final score.
    pub fn first_product(&self, key: &PublicKey) -> Option<Ciphertext> {
        let account = *senders::disclosed(self.agreed.network(), &self.plan).unwrap().first()?;
        Some(key.wrap(&self.scores.mixed(account as usize)?))
    }
}

/// What a hook can see and use.
pub struct View<'a> {
    pub me: PartyId,
    pub key: &'a PublicKey,
    pub share: &'a KeyShare,
    pub blinder: &'a Blinder,
    pub progress: &'a Progress,
    pub rng: &'a RefCell<ChaCha20Rng>,
}

impl View<'_> {
    pub fn plan(&self) -> &Plan {
        &self.progress.plan
    }

    pub fn agreed(&self) -> &Agreed {
        &self.progress.agreed
    }

    pub fn blind(&self, ciphertext: &Ciphertext) -> Blinded<Ciphertext> {
        self.blinder.blind(ciphertext, &mut *self.rng.borrow_mut()).unwrap()
    }

    pub fn encrypt(&self, plaintext: impl Into<BigInt>) -> Blinded<Ciphertext> {
        self.blind(&self.key.encrypt_unblinded(&plaintext.into()).unwrap())
    }

    /// 2^`bits` times what a ciphertext holds.
    pub fn shifted(&self, ciphertext: &Ciphertext, bits: usize) -> Ciphertext {
        self.key.vartime_mul_plain(ciphertext, &(BigInt::from(1) << bits)).unwrap()
    }

    /// What two ciphertexts hold together.
    pub fn sum(&self, one: &Ciphertext, other: &Ciphertext) -> Ciphertext {
        self.key.add(one, other).unwrap()
    }

    /// Where the ciphertexts of `owner` begin in the list of noise of `adder`.
    pub fn start(&self, adder: PartyId, owner: PartyId) -> usize {
        let before = self.progress.counts.iter().take(owner.index()).enumerate();
        before.filter(|(party, _)| *party != adder.index()).map(|(_, count)| count).sum()
    }
}

/// Reads what another bank has said already in the round in which this one is about to speak.
pub type Hear<'a> = dyn FnMut(PartyId) -> Vec<Ciphertext> + 'a;

/// The bytes of what another bank has said already in the round in which this one is about to speak.
pub type Payload<'a> = dyn FnMut(PartyId) -> Vec<u8> + 'a;

/// What a bank does differently: nothing, but for the methods that are written anew.
pub trait Deviation: Send {
    /// Where to go on, if this is not the first attempt.
    fn remembered(&mut self) -> Option<Progress> {
        None
    }

    /// R0a.
    fn resume(&mut self, honest: Resume) -> Resume {
        honest
    }

    /// R1.
    fn sizes(&mut self, honest: Sizes) -> Sizes {
        honest
    }

    /// R3, to one bank: period and name of each sender.
    fn offer(&mut self, _to: PartyId, honest: Vec<(u32, String)>) -> Vec<(u32, String)> {
        honest
    }

    /// R5. Ciphertexts above the honest number are filled up with encryptions of 0 in R7.
    fn declaration(&mut self, _: &Plan, honest: Declaration) -> Declaration {
        honest
    }

    /// A state is complete; false leaves the run.
    fn reached(&mut self, _: &Progress) -> bool {
        true
    }

    /// R6, to one bank: the scores of these own accounts.
    fn scores(
        &mut self,
        _: &View<'_>,
        _step: usize,
        _to: PartyId,
        _accounts: &[u32],
        honest: Vec<Blinded<Ciphertext>>,
    ) -> Vec<Blinded<Ciphertext>> {
        honest
    }

    /// R6, from one bank.
    fn received(&mut self, _step: usize, _from: PartyId, _: &[Ciphertext]) {}

    /// What it commits to in R7a and announces in R7; `None` leaves the run.
    fn announcement(
        &mut self,
        _: &View<'_>,
        honest: Vec<Blinded<Ciphertext>>,
        _: &mut Hear<'_>,
    ) -> Option<Vec<Blinded<Ciphertext>>> {
        Some(honest)
    }

    /// R7a: the hash.
    fn commitment(&mut self, honest: [u8; 32], _: &mut Payload<'_>) -> [u8; 32] {
        honest
    }

    /// R7b: the salt of the hash in R7a.
    fn salt(&mut self, honest: [u8; 32], _: &mut Payload<'_>) -> [u8; 32] {
        honest
    }

    /// What it announces in R7, if that is not what it committed to; `None` leaves the run.
    fn shown_announcement(
        &mut self,
        _: &View<'_>,
        committed: Vec<Blinded<Ciphertext>>,
        _: &mut Hear<'_>,
    ) -> Option<Vec<Blinded<Ciphertext>>> {
        Some(committed)
    }

    /// What all banks announced.
    fn announced(&mut self, _: &PerParty<Vec<Ciphertext>>) {}

    /// What it commits to in R7b and sends in R8.
    fn noise(
        &mut self,
        _: &View<'_>,
        honest: Vec<Blinded<Ciphertext>>,
        _: &mut Hear<'_>,
    ) -> Vec<Blinded<Ciphertext>> {
        honest
    }

    /// What it sends in R8, if that is not what it committed to.
    fn shown_noise(
        &mut self,
        _: &View<'_>,
        committed: Vec<Blinded<Ciphertext>>,
        _: &mut Hear<'_>,
    ) -> Vec<Blinded<Ciphertext>> {
        committed
    }

    /// R9, towards one bank.
    fn partials(&mut self, _: &View<'_>, _owner: PartyId, honest: Vec<BigUint>) -> Vec<BigUint> {
        honest
    }

    /// R10; false leaves without a word.
    fn says_that_it_is_done(&self) -> bool {
        true
    }
}

/// A declaration of so many ciphertexts more than there are.
pub fn more(plan: &Plan, honest: Declaration, ciphertexts: usize) -> Declaration {
    let all = disclosure::ciphertexts(honest.accounts as usize, plan) + ciphertexts;
    Declaration { accounts: u32::try_from(all * plan.accounts_per_ciphertext()).unwrap(), ..honest }
}

/// A bank that follows the protocol.
pub struct Honest;

impl Deviation for Honest {}
