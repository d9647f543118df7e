//! Every opened product is masked: an attack by one party that only looks, which succeeds without the zero sharings
//! and fails with them.
#![allow(clippy::unwrap_used, clippy::needless_range_loop, reason = "test code")]

use num_bigint::BigUint;
use num_traits::Zero;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;

use crate::attack::factoring::{View, attack, interpolate};
use crate::steps::tools::{
    BETA, Challenges, GCD_BETAS, GCD_MASKS, KEY_MASK, M, SMALL_MASKS, TRIPLES, U, W, ZEROS,
};
use crate::steps::{Attack, Numbers, Run, Scene, Setup};
use subrosa_distributed_paillier::KeygenParameters;
use subrosa_distributed_paillier::candidates::{self, BatchSecrets, Sampler};
use subrosa_distributed_paillier::messages::{WinnerAnswers, WinnerProducts, WinnerShares};
use subrosa_distributed_paillier::winner::GCD_OPENINGS;
use subrosa_transport::{Message, PartyId, PerParty};

const PARTIES: usize = 3;
const ATTACKER: usize = 1;

fn party(index: usize) -> PartyId {
    PartyId::new(u16::try_from(index).unwrap())
}

fn rng(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}

/// Runs K1 and K2 for a batch and gives the attacker's view of each candidate, with p and q for comparison.
fn candidate_views(masked: bool) -> (BigUint, Vec<(View, BigUint, BigUint)>) {
    let parameters = KeygenParameters::insecure(3, 1, 256).unwrap().with_batch(20);
    let prime = candidates::share_shape(&parameters).bound;
    let mut secrets: Vec<BatchSecrets> = Vec::new();
    let mut sent = Vec::new();
    for index in 0..PARTIES {
        let me = party(index);
        let sampler = Sampler::new(&parameters, me).unwrap();
        let (secret, messages) =
            candidates::deal(&parameters, &sampler, me, 0, &mut rng(index as u64)).unwrap();
        secrets.push(secret);
        sent.push(messages.into_vec());
    }
    if !masked {
        for value in
            sent.iter_mut().flatten().flat_map(|message| message.values.iter_mut().skip(2).step_by(3))
        {
            *value = BigUint::zero();
        }
    }
    let received: Vec<PerParty<_>> = (0..PARTIES)
        .map(|to| PerParty::from_vec(sent.iter().map(|messages| messages[to].clone()).collect()))
        .collect();
    let opened: Vec<_> = (0..PARTIES)
        .map(|index| candidates::multiply(&parameters, party(index), &received[index]).unwrap())
        .collect();
    let moduli = candidates::open(&parameters, &PerParty::from_vec(opened.clone())).unwrap();
    let views = (0..parameters.batch()).map(|candidate| {
        let total = |kind: usize| {
            received[ATTACKER].values().map(|m| &m.values[3 * candidate + kind]).sum::<BigUint>() % &prime
        };
        let view = View {
            me: party(ATTACKER).number(),
            a_share: total(0),
            b_share: total(1),
            opened: opened.iter().map(|m| m.values[candidate].clone()).collect(),
        };
        let part = |of: fn(&candidates::Candidate) -> &BigUint| {
            secrets.iter().map(|s| of(s.candidate(candidate).unwrap())).sum::<BigUint>()
        };
        let (p, q) = (part(|c| c.p().expose()), part(|c| c.q().expose()));
        assert_eq!(moduli[candidate], &p * &q);
        (view, p, q)
    });
    let views = views.collect();
    (prime, views)
}

#[test]
fn an_unmasked_candidate_gives_its_factors_to_every_party() {
    let (prime, views) = candidate_views(false);
    for (view, p, q) in &views {
        // Its own two shares tell the attacker which root belongs to which factor.
        let found = attack(&prime, view);
        assert!(found.contains(p), "the attack must work where there is no mask");
        let swapped = View {
            me: view.me,
            a_share: view.b_share.clone(),
            b_share: view.a_share.clone(),
            opened: view.opened.clone(),
        };
        assert!(attack(&prime, &swapped).contains(q));
    }
}

#[test]
fn a_masked_candidate_does_not() {
    let (prime, views) = candidate_views(true);
    for (view, p, q) in &views {
        for found in attack(&prime, view) {
            assert!(found != *p && found != *q);
        }
    }
}

/// What is left out of everybody's dealings in W1.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Without {
    Nothing,
    /// The zeros of u and of each w, and the s of degree 2t of both triples.
    Zeros,
    /// Those, r and every ρ.
    Masks,
}

/// Takes masks away from everybody, and keeps what each party got and published in W1 to W3.
struct Look {
    without: Without,
    /// By dealer and receiver, lifts and values.
    dealt: Vec<Vec<[Vec<BigUint>; 2]>>,
    /// The sums of what each got in K1: of all pᵢ and of all qᵢ.
    factors: Vec<[BigUint; 2]>,
    products: Vec<Vec<BigUint>>,
    differences: Vec<Vec<BigUint>>,
    x: BigUint,
}

impl Look {
    fn at(setup: &Setup, seed: u64, without: Without) -> Self {
        let (dealt, factors) = (vec![], vec![[BigUint::zero(), BigUint::zero()]; PARTIES]);
        let mut look =
            Self { without, dealt, factors, products: vec![], differences: vec![], x: BigUint::zero() };
        let all: Vec<_> = (0..PARTIES).map(party).collect();
        let ended = Run::new(setup, seed, &all, &mut look).untested();
        assert_eq!(ended.is_ok(), without == Without::Nothing);
        look
    }

    /// What the attacker got in all of one place.
    fn total(&self, modulus: &BigUint, to: usize, place: usize) -> BigUint {
        self.dealt.iter().map(|messages| &messages[to][1][place]).sum::<BigUint>() % modulus
    }

    /// Everybody's value in W2 at a place.
    fn opened(&self, modulus: &BigUint, place: usize) -> Vec<BigUint> {
        self.products.iter().map(|values| &values[place] % modulus).collect()
    }

    /// A party's share of φ modulo P₁.
    fn totient(&self, setup: &Setup, n: &BigUint, to: usize) -> BigUint {
        let [p, q] = &self.factors[to];
        (n + 1u32 + &setup.p1 * 2u32 - p - q) % &setup.p1
    }
}

impl Attack for Look {
    fn deal(&mut self, scene: &Scene<'_>, round: &str, _from: PartyId, messages: &mut [Numbers<'_>]) {
        let setup = scene.setup;
        if round != WinnerShares::ROUND {
            for (lists, factors) in messages.iter().zip(&mut self.factors) {
                for (kind, sum) in factors.iter_mut().enumerate() {
                    *sum = (&*sum + &lists[0][3 * setup.index + kind]) % &setup.p1;
                }
            }
            return;
        }
        let mut removed = vec![];
        if self.without != Without::Nothing {
            removed.extend((ZEROS..=ZEROS + GCD_OPENINGS).chain([TRIPLES + 3, TRIPLES + 7]));
        }
        if self.without == Without::Masks {
            removed.extend((GCD_MASKS..SMALL_MASKS).chain([KEY_MASK]));
        }
        for lists in messages.iter_mut() {
            removed.iter().for_each(|&place| lists[1][place] = BigUint::zero());
        }
        self.dealt.push(messages.iter().map(|lists| [lists[0].clone(), lists[1].clone()]).collect());
    }

    fn publish(&mut self, scene: &Scene<'_>, round: &str, messages: &mut [Numbers<'_>]) {
        if round == WinnerProducts::ROUND {
            self.products = messages.iter().map(|lists| lists[0].clone()).collect();
        }
        if round == WinnerAnswers::ROUND {
            self.differences = messages.iter().map(|lists| lists[2].clone()).collect();
            self.x = Challenges::new(scene).x;
        }
    }
}

/// Place in W2, first factor and second factor of each opening: φ and β, φ and each β′, a and b of both triples.
fn openings() -> Vec<(usize, Option<usize>, usize)> {
    let w = (0..GCD_OPENINGS).map(|j| (W + j, None, GCD_BETAS + j));
    let triples = (0..2).map(|which| (M + which, Some(TRIPLES + 4 * which), TRIPLES + 4 * which + 1));
    std::iter::once((U, None, BETA)).chain(w).chain(triples).collect()
}

/// Whether the attacker finds p or φ, modulo P₁ and so over the integers, by factoring the polynomial of each opening.
fn found(setup: &Setup, without: Without) -> Vec<bool> {
    let look = Look::at(setup, 0, without);
    let ([p, q], prime) = (setup.factors(), &setup.p1);
    let (n, totient) = (&p * &q, (&p - 1u32) * (&q - 1u32));
    let attack_at = |(place, first, second): (usize, Option<usize>, usize)| {
        let a_share = match first {
            None => look.totient(setup, &n, ATTACKER),
            Some(first) => look.total(prime, ATTACKER, first),
        };
        let b_share = look.total(prime, ATTACKER, second);
        let (me, opened) = (party(ATTACKER).number(), look.opened(prime, place));
        let factors = attack(prime, &View { me, a_share, b_share, opened });
        if first.is_none() {
            return factors.contains(&totient);
        }
        // δ = x·p − a, and for the other triple x·φ − a, are open in W3.
        let (delta, secret) = if place == M { (0, &p) } else { (2, &totient) };
        let line: Vec<_> = look.differences.iter().map(|values| &values[delta]).collect();
        let delta = crate::steps::tools::interpolate(&setup.q, &line);
        let back = (&look.x % prime).modinv(prime).unwrap();
        factors.iter().any(|a| (&delta + a) * &back % prime == *secret)
    };
    openings().into_iter().map(attack_at).collect()
}

#[test]
fn an_unmasked_opening_of_the_winner_gives_its_factors_to_every_party() {
    let setup = Setup::good(3, 1, 3);
    assert_eq!(found(&setup, Without::Masks), [true; 3 + GCD_OPENINGS], "the attacks must work");
    assert_eq!(found(&setup, Without::Nothing), [false; 3 + GCD_OPENINGS]);
    // r and ρ have half the degree: they hide φ from this attack, but not from the next.
    let mut triples_alone = [false; 3 + GCD_OPENINGS];
    triples_alone[M..].fill(true);
    assert_eq!(found(&setup, Without::Zeros), triples_alone);
}

/// The upper coefficient of the polynomial of u, or of a w, is that of φ times that of β, if r and ρ alone are added. So a
/// party can tell whether a number that it guesses is φ: then β is as small as it should be.
fn confirms(look: &Look, setup: &Setup, guess: &BigUint, opening: usize) -> bool {
    // Modulo P₃, where β is small.
    let (prime, n) = (&setup.p3, setup.factors().iter().product::<BigUint>());
    let lifts: BigUint = look.dealt.iter().flat_map(|messages| &messages[ATTACKER][0]).sum();
    let totient = (n.clone() + 1u32 + prime * 6u32 - lifts * 4u32 % prime - 6u32) % prime;
    let (place, _, second) = openings()[opening];
    let [_, _, upper] = interpolate(prime, &look.opened(prime, place));
    let me = BigUint::from(party(ATTACKER).number());
    let slope = (totient + prime - guess) * me.modinv(prime).unwrap() % prime;
    let beta =
        look.total(prime, ATTACKER, second) + prime - upper * slope.modinv(prime).unwrap() * me % prime;
    beta % prime < n * 3u32
}

#[test]
fn masks_of_half_the_degree_let_a_guess_of_the_totient_be_confirmed() {
    let setup = Setup::good(3, 1, 3);
    let [p, q] = setup.factors();
    let totient = (p - 1u32) * (q - 1u32);
    for (without, works) in [(Without::Zeros, true), (Without::Nothing, false)] {
        let look = Look::at(&setup, 0, without);
        for opening in 0..=GCD_OPENINGS {
            assert_eq!(confirms(&look, &setup, &totient, opening), works);
            assert!(!confirms(&look, &setup, &(&totient + 4u32), opening));
        }
    }
}

/// Modulo P₁ and modulo P₃, which together are Q: φ·β + r + 0, φ·β′ + (N−1)·ρ + 0 and ab − s, for every party and place.
#[test]
fn products_are_published_with_their_masks_and_nothing_else() {
    let setup = Setup::good(3, 1, 4);
    let look = Look::at(&setup, 0, Without::Nothing);
    let n: BigUint = setup.factors().iter().product();
    for (me, published) in look.products.iter().enumerate() {
        let lifted: BigUint = look.dealt.iter().flat_map(|messages| &messages[me][0]).sum();
        let lifted = (&n + 1u32 + &setup.p3 * 6u32 - lifted * 4u32 % &setup.p3 - 6u32) % &setup.p3;
        for (prime, totient) in [(&setup.p1, look.totient(&setup, &n, me)), (&setup.p3, lifted)] {
            let total = |place: usize| look.total(prime, me, place);
            let u = &totient * total(BETA) + total(KEY_MASK) + total(ZEROS);
            let w = |j: usize| {
                let mask = (&n - 1u32) * total(GCD_MASKS + j);
                &totient * total(GCD_BETAS + j) + mask + total(ZEROS + 1 + j)
            };
            let m = |first: usize| total(first) * total(first + 1) + prime - total(first + 3);
            let expected: Vec<_> = std::iter::once(u)
                .chain((0..GCD_OPENINGS).map(w))
                .chain([m(TRIPLES), m(TRIPLES + 4)])
                .map(|value| value % prime)
                .collect();
            assert_eq!(published.iter().map(|value| value % prime).collect::<Vec<_>>(), expected);
        }
    }
}
