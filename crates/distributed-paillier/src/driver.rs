use std::time::Instant;

use num_bigint::BigUint;
use rand_core::CryptoRng;
use subrosa_arith::Modulus;
use subrosa_paillier::PublicKey;
use subrosa_shamir::Triple;
use subrosa_threshold_decryption::{KeyShare, ProofContext};
use subrosa_transport::{PartyId, PerParty, Protocol, Session, Transport};

use crate::candidates::{self, BatchSecrets, Candidate, Factors, Sampler};
use crate::decryption_key::{Attempts, KeyFound, Verdict};
use crate::messages::CandidateShares;
use crate::{KeygenError, KeygenParameters, Progress, biprimality, product, sharing};

/// Name and version of the protocol, for [`Session::open`].
pub const PROTOCOL: Protocol = Protocol { name: "subrosa/distributed-paillier", version: 2 };

/// Generates a key among the parties of `session` and returns this party's share of it.
///
/// The session must have been opened with [`PROTOCOL`] and
/// [`session_parameters`](KeygenParameters::session_parameters). When an error ends the protocol here, the others are
/// told why. `progress` is called after each batch and at the end of each part.
///
/// Steps K1 to K10 are in `docs/protocols/key-generation.md`.
///
/// # Errors
/// [`KeygenError`]; its [`culprits`](KeygenError::culprits) names who is to blame, as far as that can be told.
#[doc(alias("DKG", "distributed key generation", "keygen"))]
pub fn generate<T: Transport + ?Sized>(
    session: &mut Session<'_, T>,
    parameters: &KeygenParameters,
    rng: &mut impl CryptoRng,
    mut progress: impl FnMut(Progress),
) -> Result<KeyShare, KeygenError> {
    session.guard(|session| {
        let expected = parameters.access().parties();
        let found = session.roster().len();
        if found != expected as usize {
            return Err(KeygenError::Roster { expected, found });
        }
        let mut run = Run {
            session,
            parameters,
            progress: &mut progress,
            started: Instant::now(),
            tried: 0,
            sieved: 0,
        };
        let (n, found) = run.find_key(rng)?;
        run.share_key(n, found, rng)
    })
}

/// A batch after K4.
struct Batch {
    /// My summands.
    secrets: BatchSecrets,
    /// What all dealt me in K1.
    shares: PerParty<CandidateShares>,
    /// Places and moduli of those that passed the first test.
    winners: Vec<(usize, Modulus)>,
}

struct Run<'r, 's, T: Transport + ?Sized> {
    session: &'r mut Session<'s, T>,
    parameters: &'r KeygenParameters,
    progress: &'r mut dyn FnMut(Progress),
    started: Instant,
    tried: u64,
    sieved: u64,
}

impl<T: Transport + ?Sized> Run<'_, '_, T> {
    fn me(&self) -> PartyId {
        self.session.me()
    }

    /// K1 to K7, batch after batch until a modulus is accepted.
    fn find_key(&mut self, rng: &mut impl CryptoRng) -> Result<(BigUint, KeyFound), KeygenError> {
        let sampler = Sampler::new(self.parameters, self.me())?;
        while self.tried < self.parameters.greatest_candidates() {
            let Batch { secrets, shares, winners } = self.batch(&sampler, rng)?;
            for (index, modulus) in winners {
                let Some(candidate) = secrets.candidate(index) else { continue };
                if !self.test_further(candidate, &modulus)? {
                    continue;
                }
                let factors = candidates::factors(self.parameters, self.me(), &shares, index)?;
                self.check_product(&factors, modulus.value(), rng)?;
                (self.progress)(Progress::Modulus { tried: self.tried });
                if let Some(found) = self.find_decryption_key(candidate, modulus.value(), rng)? {
                    return Ok((modulus.value().clone(), found));
                }
            }
        }
        Err(KeygenError::Exhausted { candidates: self.tried })
    }

    /// K1 to K4 for one batch.
    fn batch(&mut self, sampler: &Sampler, rng: &mut impl CryptoRng) -> Result<Batch, KeygenError> {
        let (me, first) = (self.me(), self.tried);
        let (secrets, messages) = candidates::deal(self.parameters, sampler, me, first, rng)?;
        let shares = self.session.exchange_all(messages, &candidates::share_shape(self.parameters))?;
        let products = candidates::multiply(self.parameters, me, &shares)?;
        let products = self.session.broadcast(&products, &candidates::product_shape(self.parameters))?;
        let moduli = candidates::open(self.parameters, &products)?;
        let survivors = biprimality::prepare(&moduli, &candidates::sieve(self.parameters, &moduli))?;
        let test = biprimality::first_test(self.parameters, me, &secrets, &survivors)?;
        let tests =
            self.session.broadcast(&test, &biprimality::first_shape(self.parameters, survivors.len()))?;
        let passed = biprimality::passed(self.parameters, first, &survivors, &tests)?;
        self.tried += self.parameters.batch() as u64;
        self.sieved += survivors.len() as u64;
        (self.progress)(Progress::Candidates {
            tried: self.tried,
            expected: self.parameters.expected_candidates(),
            sieved: self.sieved,
            elapsed: self.started.elapsed(),
        });
        let winners = survivors.into_iter().zip(passed).filter(|(_, passed)| *passed);
        let winners = winners.map(|(sieved, _)| (sieved.index, sieved.modulus)).collect();
        Ok(Batch { secrets, shares, winners })
    }

    /// K5.
    fn test_further(&mut self, candidate: &Candidate, modulus: &Modulus) -> Result<bool, KeygenError> {
        let id = *self.session.id();
        let tests = biprimality::further_tests(self.parameters, self.me(), &id, candidate, modulus)?;
        let tests = self.session.broadcast(&tests, &biprimality::further_shape(self.parameters))?;
        biprimality::all_passed(self.parameters, candidate.number(), modulus, &tests)
    }

    /// K5a.
    fn check_product(
        &mut self,
        factors: &Factors,
        n: &BigUint,
        rng: &mut impl CryptoRng,
    ) -> Result<(), KeygenError> {
        let (me, parameters) = (self.me(), self.parameters);
        let messages = product::deal(parameters, rng)?;
        let dealt = self.session.exchange_all(messages, &product::shape(parameters, Triple::VALUES))?;
        let (triple, m) = product::triple(parameters, me, &dealt)?;
        let products = self.session.broadcast(&m, &product::shape(parameters, 1))?;
        let transcript = self.session.transcript();
        let (check, differences) = product::begin(parameters, &transcript, n, factors, triple, &products)?;
        let differences = self.session.broadcast(&differences, &product::shape(parameters, 2))?;
        let zero = product::zero(parameters, me, n, check, &differences)?;
        let zeros = self.session.broadcast(&zero, &product::shape(parameters, 1))?;
        product::decide(parameters, &zeros)
    }

    /// K6 and K7, as often as it takes.
    fn find_decryption_key(
        &mut self,
        candidate: &Candidate,
        n: &BigUint,
        rng: &mut impl CryptoRng,
    ) -> Result<Option<KeyFound>, KeygenError> {
        let mut attempts = Attempts::new(self.parameters, self.me(), candidate, n)?;
        loop {
            let (dealt, messages) = attempts.deal(rng)?;
            let shares = self.session.exchange_all(messages, &attempts.share_shape())?;
            let (openings, residue) = attempts.open(&dealt, &shares)?;
            drop(shares);
            let openings = self.session.broadcast(&openings, &attempts.opening_shape())?;
            let residues = self.session.broadcast(&residue, &attempts.residue_shape())?;
            match attempts.decide(dealt, &openings, &residues)? {
                Verdict::Accepted(found) => return Ok(Some(found)),
                Verdict::Rejected => return Ok(None),
                Verdict::Again => {}
            }
        }
    }

    /// K8 to K10.
    fn share_key(
        &mut self,
        n: BigUint,
        found: KeyFound,
        rng: &mut impl CryptoRng,
    ) -> Result<KeyShare, KeygenError> {
        let me = self.me();
        let messages = sharing::deal(self.parameters, &found.summand, rng)?;
        let shares = self.session.exchange_all(messages, &sharing::share_shape(self.parameters))?;
        // The parameters decided already whether a small key is accepted.
        let public = PublicKey::insecure(n)?;
        let (share, verification) = sharing::total(self.parameters, me, &public, shares)?;
        let shape = sharing::verification_shape(&public);
        let verification = self.session.broadcast(&verification, &shape)?;
        let share = sharing::finish(self.parameters, me, public, found.theta, share, verification)?;
        let trial = sharing::try_decrypt(&share)?;
        let context = ProofContext::of(self.session);
        let proof = sharing::prove_trial(&share, &context, &trial, rng)?;
        let trial = self.session.broadcast(&trial, &shape)?;
        let proofs = self.session.broadcast(&proof, share.key())?;
        sharing::check_proofs(share.key(), &context, &trial, &proofs)?;
        sharing::check_trial(share.key(), trial)?;
        // Nobody keeps a key before everyone saw the same broadcasts.
        self.session.confirm()?;
        (self.progress)(Progress::Shared);
        Ok(share)
    }
}
