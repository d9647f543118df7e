//! A candidate, drawn and dealt in K1.

use num_bigint::BigUint;
use num_integer::Integer;
use num_traits::One;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;

use super::parties;
use subrosa_arith::{Modulus, prime::is_probable_prime};
use subrosa_distributed_paillier::KeygenParameters;
use subrosa_distributed_paillier::candidates::{self, BatchSecrets, Candidate, Sampler};
use subrosa_distributed_paillier::messages::CandidateShares;
use subrosa_distributed_paillier::winner::Winner;
use subrosa_transport::{PartyId, PerParty};

/// Candidates in a batch.
pub const BATCH: usize = 32;

/// A candidate that all parties drew by the steps.
pub struct Setup {
    pub parameters: KeygenParameters,
    /// The candidate's place in its batch.
    pub index: usize,
    /// The least factor, the greatest factor and the modulus of the ring of W1 to W4.
    pub p1: BigUint,
    pub p3: BigUint,
    pub q: BigUint,
    /// Bounds of the two kinds of answers in W3.
    pub answer_bounds: [BigUint; 2],
    pub seed: u64,
    /// The number of the batch's first candidate.
    pub first: u64,
    /// What each party drew for the batch, and what it dealt.
    pub secrets: Vec<BatchSecrets>,
    pub sent: Vec<PerParty<CandidateShares>>,
}

impl Setup {
    /// The batch whose first candidate has the number `first`.
    pub fn draw((n, t, k): (u32, u32, u64), seed: u64, first: u64) -> Self {
        let parameters = KeygenParameters::insecure(n, t, k).unwrap().with_batch(BATCH);
        let deal = |me: PartyId| {
            let mut rng = ChaCha20Rng::seed_from_u64((seed << 40) + (first << 8) + me.index() as u64);
            let sampler = Sampler::new(&parameters, me).unwrap();
            candidates::deal(&parameters, &sampler, me, first, &mut rng).unwrap()
        };
        let (secrets, sent): (Vec<_>, Vec<_>) = parties(n).map(deal).unzip();
        // The ring depends on the parameters alone.
        let any = Modulus::new(&((BigUint::one() << (k - 1)) + 1u32)).unwrap();
        let shares = PerParty::from_vec(sent.iter().map(|messages| messages.as_slice()[0].clone()).collect());
        let (me, candidate) = (PartyId::new(0), secrets[0].candidate(0).unwrap());
        let factors = candidates::factors(&parameters, me, &shares, 0).unwrap();
        let winner = Winner::new(&parameters, me, candidate, &any, &factors).unwrap();
        let [lifts, values] = winner.share_shape();
        let [small, wide, _] = winner.answer_shape();
        let p1 = candidates::share_shape(&parameters).bound;
        let (p3, q, answer_bounds) = (lifts.bound, values.bound, [small.bound, wide.bound]);
        Self { parameters, index: 0, p1, p3, q, answer_bounds, seed, first, secrets, sent }
    }

    /// The first candidate that suits, with keys of 256 bits.
    pub fn find(n: u32, t: u32, seed: u64, suits: impl Fn(&Self) -> bool) -> Self {
        for batch in 0u64.. {
            let mut setup = Self::draw((n, t, 256), seed, batch * BATCH as u64);
            for index in 0..BATCH {
                setup.index = index;
                if suits(&setup) {
                    return setup;
                }
            }
        }
        unreachable!()
    }

    /// The first candidate that makes a key.
    pub fn good(n: u32, t: u32, seed: u64) -> Self {
        Self::find(n, t, seed, Self::is_good)
    }

    /// Primes whose p − 1 and q − 1 have a common factor that is not in M: with this seed there are some early.
    pub fn with_common_factor() -> Self {
        let primes = |setup: &Self| setup.factors().iter().all(is_probable_prime);
        Self::find(3, 1, 16, |setup| !setup.common_factor().is_one() && primes(setup))
    }

    /// Whether both factors are primes, and (p−1)/2 and (q−1)/2 have no common factor.
    pub fn is_good(&self) -> bool {
        self.common_factor().is_one() && self.factors().iter().all(is_probable_prime)
    }

    /// gcd((p−1)/2, (q−1)/2).
    pub fn common_factor(&self) -> BigUint {
        let [p, q] = self.factors();
        (p >> 1u32).gcd(&(q >> 1u32))
    }

    pub fn number(&self) -> u64 {
        self.first + self.index as u64
    }

    pub fn leader(&self) -> PartyId {
        let leader = self.number() % u64::from(self.parties());
        PartyId::new(u16::try_from(leader).unwrap())
    }

    pub fn parties(&self) -> u32 {
        self.parameters.access().parties()
    }

    pub fn candidate(&self, party: PartyId) -> &Candidate {
        self.secrets[party.index()].candidate(self.index).unwrap()
    }

    /// p and q.
    pub fn factors(&self) -> [BigUint; 2] {
        let sum = |of: fn(&Candidate) -> &BigUint| {
            parties(self.parties()).map(|party| of(self.candidate(party))).sum()
        };
        [sum(|candidate| candidate.p().expose()), sum(|candidate| candidate.q().expose())]
    }
}
