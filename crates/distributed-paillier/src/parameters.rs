use num_bigint::BigUint;
use num_integer::Integer;
use num_traits::One;

use crate::KeygenError;
use subrosa_arith::sieve::{TrialDivision, primes_below};
use subrosa_shamir::{ProductRing, ShareRing};
use subrosa_threshold_decryption::AccessStructure;
use subrosa_transport::{Parameters, PartyId};

/// Whether a key is meant to be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecurityLevel {
    /// Keys of at least 2048 bits.
    Secure,
    /// Keys from 256 bits, for tests and demonstrations: they can be factored.
    Insecure,
}

/// e^−4 = 1.8 %.
const AUDIT_FACTOR: f64 = 4.0;
const LEAST_SECURE_BITS: u64 = 2048;
const LEAST_BITS: u64 = 256;
const GREATEST_BITS: u64 = 8192;

/// Number of parties, and kind of key. Equal at all parties.
///
/// ```
/// use subrosa_distributed_paillier::KeygenParameters;
///
/// let parameters = KeygenParameters::new(3, 1, 2048)?;
/// assert!((8_000.0..8_010.0).contains(&parameters.expected_candidates()));
/// assert!(KeygenParameters::new(3, 1, 1024).is_err()); // too short to be secure
/// assert!(KeygenParameters::new(4, 2, 2048).is_err()); // 2t + 1 ≤ n does not hold
/// # Ok::<(), subrosa_distributed_paillier::KeygenError>(())
/// ```
#[derive(Debug)]
pub struct KeygenParameters {
    access: AccessStructure,
    key_bits: u64,
    batch: usize,
    sieve: TrialDivision,
    rounds: usize,
    /// After how many candidates rejected ones are audited.
    audit_after: u64,
    small_primes: Vec<(u32, PartyId)>,
    winner_ring: ProductRing,
}

impl KeygenParameters {
    /// Parameters for a key of `key_bits` bits (at least 2048, even) among `parties` of whom up to `threshold` may be
    /// corrupted.
    ///
    /// # Errors
    /// [`KeygenError::KeySize`] for a size that is odd, too small or too large; [`KeygenError::Key`] unless
    /// 1 ≤ t and 2t + 1 ≤ n.
    pub fn new(parties: u32, threshold: u32, key_bits: u64) -> Result<Self, KeygenError> {
        Self::with_level(parties, threshold, key_bits, SecurityLevel::Secure)
    }

    /// As [`new`](Self::new), from 256 bits.
    ///
    /// # Security
    /// For tests and demonstrations only: keys under 2048 bits can be factored.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn insecure(parties: u32, threshold: u32, key_bits: u64) -> Result<Self, KeygenError> {
        Self::with_level(parties, threshold, key_bits, SecurityLevel::Insecure)
    }

    /// The parameters for a key of this size and level.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn with_level(
        parties: u32,
        threshold: u32,
        key_bits: u64,
        level: SecurityLevel,
    ) -> Result<Self, KeygenError> {
        let access = AccessStructure::new(parties, threshold)?;
        let least = match level {
            SecurityLevel::Secure => LEAST_SECURE_BITS,
            SecurityLevel::Insecure => LEAST_BITS,
        };
        if key_bits < least || key_bits > GREATEST_BITS || key_bits.is_odd() {
            return Err(KeygenError::KeySize { bits: key_bits, least, greatest: GREATEST_BITS });
        }
        let winner_ring = ProductRing::new(candidate_field(key_bits), lift_field(key_bits))?;
        let mut parameters = Self {
            access,
            key_bits,
            batch: default_batch(key_bits),
            sieve: TrialDivision::new(default_sieve_bound(key_bits)),
            rounds: 80,
            small_primes: assign_small_primes(access, key_bits),
            winner_ring,
            audit_after: 0,
        };
        parameters.audit_after = parameters.bound(AUDIT_FACTOR);
        Ok(parameters)
    }

    /// Sets how many candidates are drawn, multiplied and tested together, from 1 to 8,192. Every batch takes three
    /// rounds, so a larger batch is better on slow networks. A smaller batch wastes less of the last one.
    #[must_use]
    pub fn with_batch(mut self, candidates: usize) -> Self {
        self.batch = candidates.clamp(1, 8_192);
        self
    }

    /// Returns the sieve bound. Before the first test, candidates are divided by every prime below it.
    #[must_use]
    pub fn with_sieve_bound(mut self, bound: u32) -> Self {
        self.sieve = TrialDivision::new(bound.clamp(256, 1 << 24));
        self
    }

    /// Sets the number of candidates without success after which all rejected ones are opened and computed again. The
    /// default is four times the expected number, which two of a hundred honest runs reach.
    #[must_use]
    pub fn with_audit_after(mut self, candidates: u64) -> Self {
        self.audit_after = candidates.max(1);
        self
    }

    /// After how many candidates rejected ones are audited.
    pub fn audit_after(&self) -> u64 {
        self.audit_after
    }

    /// All parties, in roster order.
    pub(crate) fn parties(&self) -> Vec<PartyId> {
        parties(self.access).collect()
    }

    /// n and t.
    pub fn access(&self) -> AccessStructure {
        self.access
    }

    /// Bits of the modulus.
    pub fn key_bits(&self) -> u64 {
        self.key_bits
    }

    /// Candidates in a batch.
    pub fn batch(&self) -> usize {
        self.batch
    }

    /// How many tests a survivor of the first one must pass; each lets a wrong modulus through with probability at
    /// most one half.
    pub fn rounds(&self) -> usize {
        self.rounds
    }

    pub(crate) fn sieve(&self) -> &TrialDivision {
        &self.sieve
    }

    /// The first odd primes, whose product M has at most min(100, k/16) bits, and who answers for each.
    pub(crate) fn small_primes(&self) -> &[(u32, PartyId)] {
        &self.small_primes
    }

    /// The field modulo P₁, of the candidates.
    pub(crate) fn candidate_field(&self) -> &ShareRing {
        self.winner_ring.first()
    }

    /// The integers modulo Q = P₁·P₃, of the winner.
    pub(crate) fn winner_ring(&self) -> &ProductRing {
        &self.winner_ring
    }

    /// Returns the leader for a candidate: the party that plays the part of party 1 of the paper. The parties take
    /// turns.
    pub(crate) fn leader(&self, candidate: u64) -> PartyId {
        let leader = candidate % u64::from(self.access.parties());
        // There are at most 100 parties: the other bytes of the remainder are 0.
        let [low, high, ..] = leader.to_le_bytes();
        PartyId::new(u16::from_le_bytes([low, high]))
    }

    /// What the parties compare when their session opens.
    pub fn session_parameters(&self) -> Parameters {
        Parameters::new()
            .with("parties", self.access.parties())
            .with("threshold", self.access.threshold())
            .with("key_bits", self.key_bits)
            .with("batch", self.batch)
            .with("sieve_bound", self.sieve.bound())
            .with("rounds", self.rounds)
            .with("audit_after", self.audit_after)
    }

    /// How many candidates are expected until one is a product of two primes.
    ///
    /// A number near x without small factors up to those of M is a prime with probability
    /// `∏ ℓ/(ℓ−1) / ln x`; both factors must be.
    pub fn expected_candidates(&self) -> f64 {
        let log = key_half_log(self.key_bits);
        let boost: f64 = self.small_primes.iter().map(|&(l, _)| f64::from(l) / f64::from(l - 1)).product();
        (log / (2.0 * boost)).powi(2)
    }

    /// After how many candidates to give up: a bound that an honest run passes with probability below 2^−50.
    pub fn greatest_candidates(&self) -> u64 {
        // P(more than c·mean) = e^−c; e^−36 < 2^−51.
        self.bound(36.0)
    }

    /// So many times the expected number of candidates.
    fn bound(&self, factor: f64) -> u64 {
        let bound = (factor * self.expected_candidates()).ceil();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most a few million")]
        let bound = bound as u64;
        bound.max(1000)
    }
}

/// ln of a typical prime factor, which lies in [¾, 1)·2^(k/2).
fn key_half_log(key_bits: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "key sizes are below 2^14")]
    let half = key_bits as f64 / 2.0;
    half * std::f64::consts::LN_2 - 0.13
}

/// For common sizes k: the least c such that 2^(k+2) + c, and the least c such that 2^(k+202) + c, is a prime.
/// Searching for them each time would take seconds.
const FIELDS: [(u64, u32, u32); 9] = [
    (256, 73, 127),
    (384, 235, 73),
    (512, 169, 19),
    (768, 63, 459),
    (1024, 537, 75),
    (1536, 579, 2697),
    (2048, 1435, 613),
    (3072, 309, 3103),
    (4096, 6357, 3747),
];

/// P₁, the field of the candidates: every product of two factors is below 2^k.
fn candidate_field(key_bits: u64) -> ShareRing {
    field(key_bits + 2, FIELDS.iter().find(|entry| entry.0 == key_bits).map(|entry| entry.1))
}

/// P₃, the field to which the winner's factors are lifted. No value that passes the checks of W3 wraps around modulo
/// P₁·P₃.
fn lift_field(key_bits: u64) -> ShareRing {
    field(key_bits + 202, FIELDS.iter().find(|entry| entry.0 == key_bits).map(|entry| entry.2))
}

fn field(bits: u64, offset: Option<u32>) -> ShareRing {
    let power = BigUint::one() << bits;
    match offset {
        Some(offset) => ShareRing::assume_prime(power + offset),
        None => ShareRing::above(&power),
    }
}

fn default_batch(key_bits: u64) -> usize {
    match key_bits {
        0..=767 => 128,
        768..=1535 => 256,
        _ => 512,
    }
}

fn default_sieve_bound(key_bits: u64) -> u32 {
    match key_bits {
        0..=767 => 1 << 13,
        768..=1535 => 1 << 15,
        _ => 1 << 17,
    }
}

/// All parties, in roster order.
fn parties(access: AccessStructure) -> impl Iterator<Item = PartyId> {
    (0..access.parties()).filter_map(|index| u16::try_from(index).ok()).map(PartyId::new)
}

/// The first odd primes up to min(100, k/16) bits in all, each given to the party that answers for the fewest bits.
///
/// The party to which a prime is given knows p and q modulo it. A coalition of t parties thus knows about t/n of the
/// bits of M about each factor, so M is small.
fn assign_small_primes(access: AccessStructure, key_bits: u64) -> Vec<(u32, PartyId)> {
    let limit = (key_bits / 16).min(100);
    let mut product = BigUint::one();
    // The computation uses integers instead of logarithms, so that it gives the same on all processors.
    let mut loads: Vec<_> = parties(access).map(|party| (party, BigUint::one())).collect();
    let mut assigned = Vec::new();
    for prime in primes_below(512).into_iter().filter(|&prime| prime > 2) {
        product *= prime;
        if product.bits() > limit {
            break;
        }
        let Some((lightest, load)) = loads.iter_mut().min_by(|a, b| a.1.cmp(&b.1)) else { break };
        *load *= prime;
        assigned.push((prime, *lightest));
    }
    assigned
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_what_cannot_be_secure() {
        for (n, t) in [(2, 1), (3, 0), (4, 2), (1, 0), (0, 0), (3, u32::MAX)] {
            assert!(matches!(KeygenParameters::new(n, t, 2048), Err(KeygenError::Key(_))), "n {n} t {t}");
        }
        for bits in [0, 1024, 2046, 2049, 8194] {
            let refused = KeygenParameters::new(3, 1, bits);
            assert!(matches!(refused, Err(KeygenError::KeySize { .. })), "{bits} bits");
        }
        assert!(KeygenParameters::insecure(3, 1, 257).is_err());
        assert!(KeygenParameters::insecure(3, 1, 254).is_err());
    }

    #[test]
    fn expects_the_known_number_of_candidates() {
        // For 2048 bits M has 100 bits at most and about 8,000 candidates are needed; for 512 bits about 784.
        let large = KeygenParameters::new(3, 1, 2048).unwrap().expected_candidates();
        assert!((7_500.0..8_500.0).contains(&large), "{large}");
        let small = KeygenParameters::insecure(3, 1, 512).unwrap().expected_candidates();
        assert!((740.0..830.0).contains(&small), "{small}");
    }

    #[test]
    fn the_known_fields_are_the_ones_that_a_search_finds() {
        for (bits, candidate, lift) in FIELDS.into_iter().filter(|entry| entry.0 <= 1024) {
            let above = |bits: u64| ShareRing::above(&(BigUint::one() << bits));
            assert_eq!(candidate_field(bits), above(bits + 2), "{candidate}");
            assert_eq!(lift_field(bits), above(bits + 202), "{lift}");
        }
        for (bits, ..) in FIELDS {
            for field in [candidate_field(bits), lift_field(bits)] {
                assert!(ShareRing::prime(field.modulus().clone()).is_ok(), "{bits}");
            }
        }
    }

    #[test]
    fn the_lead_takes_turns() {
        let parameters = KeygenParameters::insecure(3, 1, 256).unwrap();
        let leads: Vec<usize> = (0..7).map(|candidate| parameters.leader(candidate).index()).collect();
        assert_eq!(leads, [0, 1, 2, 0, 1, 2, 0]);
    }

    /// Parties that differ in one of these would fail in the middle of a run, or make fewer tests.
    #[test]
    fn everything_that_must_be_equal_is_compared_at_the_start() {
        let parameters = || KeygenParameters::insecure(5, 1, 256).unwrap();
        let same = parameters().session_parameters();
        assert_eq!(parameters().session_parameters(), same);
        let mut fewer_rounds = parameters();
        fewer_rounds.rounds -= 1;
        let others = [
            KeygenParameters::insecure(5, 2, 256).unwrap(),
            KeygenParameters::insecure(7, 1, 256).unwrap(),
            KeygenParameters::insecure(5, 1, 258).unwrap(),
            parameters().with_batch(7),
            parameters().with_sieve_bound(300),
            parameters().with_audit_after(300),
            fewer_rounds,
        ];
        for other in others {
            assert_ne!(other.session_parameters(), same, "{other:?}");
        }
    }

    #[test]
    fn small_primes_are_dealt_evenly() {
        let parameters = KeygenParameters::new(3, 1, 2048).unwrap();
        let product: f64 = parameters.small_primes().iter().map(|&(l, _)| f64::from(l).log2()).sum();
        for party in 0..3 {
            let mine = parameters.small_primes().iter().filter(|(_, p)| p.index() == party);
            let bits: f64 = mine.map(|&(l, _)| f64::from(l).log2()).sum();
            assert!((bits - product / 3.0).abs() < 6.0, "party {party} has {bits} of {product} bits");
        }
    }
}
