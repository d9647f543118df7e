//! Every opened product is masked: an attack by one party that only looks, which succeeds without the zero sharings
//! and fails with them.
//!
//! Without a mask the opened values of N = p·q lie on H(X) = P(X)·Q(X) with P(0) = p and Q(0) = q, both of degree t.
//! For t = 1 the roots of H are those of P and of Q, so that a party which knows its own share P(j) has
//! p = P(j)/(1 − j/root).
#![allow(clippy::unwrap_used, clippy::needless_range_loop, reason = "test code")]

use num_bigint::{BigInt, BigUint};
use num_integer::Integer;
use num_traits::{One, Zero};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use subrosa_distributed_paillier::KeygenParameters;
use subrosa_distributed_paillier::candidates::{self, BatchSecrets, Sampler};
use subrosa_distributed_paillier::decryption_key::Attempts;
use subrosa_shamir::PrimeField;
use subrosa_transport::{PartyId, PerParty};

const PARTIES: usize = 3;
const ATTACKER: usize = 1;

fn party(index: usize) -> PartyId {
    PartyId::new(u16::try_from(index).unwrap())
}

/// What one attacker holds after the opening: its shares of both factors, and all opened values.
struct View {
    a_share: BigUint,
    b_share: BigUint,
    opened: Vec<BigUint>,
}

/// Both possible values of the first factor, as the attacker computes them from its view.
fn attack(prime: &BigUint, view: &View) -> Vec<BigUint> {
    let points: Vec<BigUint> = (1..=3u32).map(BigUint::from).collect();
    let [c, b, a] = interpolate(prime, &points, &view.opened);
    // Roots of aX² + bX + c in the field.
    let four = BigUint::from(4u32);
    let discriminant = (&b * &b + prime * &four * prime - &four * &a % prime * &c) % prime;
    let Some(root) = square_root(prime, &discriminant) else { return vec![] };
    let two_a = (&a * 2u32 % prime).modinv(prime).unwrap();
    let me = BigUint::from(party(ATTACKER).number());
    [root.clone(), prime - &root]
        .iter()
        .filter_map(|r| {
            let x = (prime - &b + r) % prime * &two_a % prime;
            let ratio = &me * x.modinv(prime)? % prime;
            Some(&view.a_share * ((prime + 1u32 - ratio) % prime).modinv(prime)? % prime)
        })
        .collect()
}

/// The coefficients of the polynomial of degree 2 through three points.
fn interpolate(prime: &BigUint, xs: &[BigUint], ys: &[BigUint]) -> [BigUint; 3] {
    let mut result = [BigUint::zero(), BigUint::zero(), BigUint::zero()];
    for j in 0..3 {
        let others: Vec<&BigUint> = (0..3).filter(|&i| i != j).map(|i| &xs[i]).collect();
        let mut denominator = BigUint::one();
        for other in &others {
            denominator = denominator * (prime + &xs[j] - *other) % prime;
        }
        let scale = &ys[j] * denominator.modinv(prime).unwrap() % prime;
        let terms = [others[0] * others[1], prime * 2u32 - others[0] - others[1], BigUint::one()];
        for (coefficient, term) in result.iter_mut().zip(terms) {
            *coefficient = (&*coefficient + &scale * term) % prime;
        }
    }
    result
}

/// Tonelli and Shanks.
fn square_root(prime: &BigUint, square: &BigUint) -> Option<BigUint> {
    let one = BigUint::one();
    let half = (prime - 1u32) >> 1u32;
    if square.modpow(&half, prime) != one {
        return None;
    }
    let (mut odd, mut twos) = (prime - 1u32, 0u32);
    while odd.is_even() {
        odd >>= 1u32;
        twos += 1;
    }
    let non_residue = (2u32..).map(BigUint::from).find(|x| x.modpow(&half, prime) == prime - 1u32)?;
    let mut c = non_residue.modpow(&odd, prime);
    let mut t = square.modpow(&odd, prime);
    let mut root = square.modpow(&((&odd + 1u32) >> 1u32), prime);
    while !t.is_one() {
        let mut order = 0;
        let mut power = t.clone();
        while !power.is_one() {
            power = &power * &power % prime;
            order += 1;
        }
        let b = c.modpow(&(&one << (twos - order - 1)), prime);
        root = root * &b % prime;
        c = &b * &b % prime;
        t = t * &c % prime;
        twos = order;
    }
    Some(root)
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

/// The openings of the decryption key: the attacker looks for φ, and so for p + q.
fn totient_found(masked: bool) -> bool {
    let parameters = KeygenParameters::insecure(3, 1, 256).unwrap().with_batch(1);
    let secrets: Vec<_> = (0..PARTIES)
        .map(|index| {
            let sampler = Sampler::new(&parameters, party(index)).unwrap();
            candidates::deal(&parameters, &sampler, party(index), 0, &mut rng(60 + index as u64)).unwrap().0
        })
        .collect();
    let candidate = |index: usize| secrets[index].candidate(0).unwrap();
    let p: BigUint = (0..PARTIES).map(|index| candidate(index).p().expose()).sum();
    let q: BigUint = (0..PARTIES).map(|index| candidate(index).q().expose()).sum();
    let n = &p * &q;
    let attempts: Vec<_> = (0..PARTIES)
        .map(|index| Attempts::new(&parameters, party(index), candidate(index), &n).unwrap())
        .collect();
    let prime = attempts[0].share_shape().bound;
    let (dealt, mut sent): (Vec<_>, Vec<_>) = attempts
        .iter()
        .enumerate()
        .map(|(index, attempt)| {
            let (dealt, messages) = attempt.deal(&mut rng(70 + index as u64)).unwrap();
            (dealt, messages.into_vec())
        })
        .unzip();
    if !masked {
        // Places 2 and 3 of a message mask w: the sharing of ρ and the zero sharing.
        for message in sent.iter_mut().flatten() {
            message.values[2] = BigUint::zero();
            message.values[3] = BigUint::zero();
        }
    }
    let received: Vec<PerParty<_>> = (0..PARTIES)
        .map(|to| PerParty::from_vec(sent.iter().map(|messages| messages[to].clone()).collect()))
        .collect();
    let opened = (0..PARTIES)
        .map(|index| attempts[index].open(&dealt[index], &received[index]).unwrap().0.values[0].clone())
        .collect();
    let total =
        |place: usize| received[ATTACKER].values().map(|m| &m.values[place]).sum::<BigUint>() % &prime;
    let view = View { a_share: total(0), b_share: total(1), opened };
    let totient = (p - 1u32) * (q - 1u32);
    attack(&prime, &view).contains(&totient)
}

#[test]
fn an_unmasked_opening_of_the_decryption_key_gives_the_totient_away_and_a_masked_one_does_not() {
    assert!(totient_found(false), "the attack must work where there is no mask");
    assert!(!totient_found(true));
}

/// Attempts of all parties for the first candidate that they draw, whatever its modulus is.
fn with_attempts<R>(k: u64, seed: u64, f: impl FnOnce(&PrimeField, &BigUint, &[Attempts<'_>]) -> R) -> R {
    let parameters = KeygenParameters::insecure(3, 1, k).unwrap().with_batch(1);
    let secrets: Vec<_> = (0..PARTIES)
        .map(|index| {
            let sampler = Sampler::new(&parameters, party(index)).unwrap();
            candidates::deal(&parameters, &sampler, party(index), 0, &mut rng(seed + index as u64)).unwrap().0
        })
        .collect();
    let candidate = |index: usize| secrets[index].candidate(0).unwrap();
    let p: BigUint = (0..PARTIES).map(|index| candidate(index).p().expose()).sum();
    let q: BigUint = (0..PARTIES).map(|index| candidate(index).q().expose()).sum();
    let n = p * q;
    let attempts: Vec<_> = (0..PARTIES)
        .map(|index| Attempts::new(&parameters, party(index), candidate(index), &n).unwrap())
        .collect();
    let field = PrimeField::assume_prime(attempts[0].share_shape().bound);
    f(&field, &n, &attempts)
}

/// What is published are products plus a sharing of zero whose degree is that of a product. The masks ρ and r alone,
/// of half that degree, would leave the product's upper coefficients to be read.
#[test]
fn both_openings_of_the_decryption_key_add_a_zero_sharing_of_full_degree() {
    with_attempts(256, 80, |field, n, attempts| {
        let prime = field.prime();
        let (dealt, sent): (Vec<_>, Vec<_>) = attempts
            .iter()
            .enumerate()
            .map(|(index, attempt)| {
                let (dealt, messages) = attempt.deal(&mut rng(90 + index as u64)).unwrap();
                (dealt, messages.into_vec())
            })
            .unzip();
        // Every party's own zero sharings: value 0 at 0, and an X² coefficient that is not 0.
        let points: Vec<BigUint> = (1..=3u32).map(BigUint::from).collect();
        for messages in &sent {
            for place in [3, 6] {
                let values: Vec<BigUint> = messages.iter().map(|m| m.values[place].clone()).collect();
                let [constant, _, square] = interpolate(prime, &points, &values);
                assert!(constant.is_zero() && !square.is_zero());
            }
        }
        for (index, attempt) in attempts.iter().enumerate() {
            let mine = PerParty::from_vec(sent.iter().map(|messages| messages[index].clone()).collect());
            let total = |place: usize| mine.values().map(|m| &m.values[place]).sum::<BigUint>() % prime;
            let [phi, beta, rho, zero, second_beta, r, second_zero] = std::array::from_fn(total);
            let published = attempt.open(&dealt[index], &mine).unwrap().0.values.clone();
            let w = (&phi * beta + (n - 1u32) * rho + zero) % prime;
            let u = (&phi * second_beta + r + second_zero) % prime;
            assert_eq!(published, [w, u]);
        }
    });
}

/// The masks are drawn from the whole of the ranges that hide what is opened to 2^−80.
#[test]
fn masks_fill_the_ranges_that_hide_what_is_opened() {
    let k = 256u64;
    with_attempts(k, 110, |field, n, attempts| {
        let mut widest = vec![BigUint::zero(); 7];
        for seed in 0..40 {
            let (_, sent) = attempts[0].deal(&mut rng(200 + seed)).unwrap();
            for (place, widest) in widest.iter_mut().enumerate() {
                let shares: Vec<(u32, &BigUint)> =
                    sent.iter().map(|(party, m)| (party.number(), &m.values[place])).collect();
                // Places 3 and 6 share 0 with degree 2t, the others their secret with degree t.
                let degree = if place == 3 || place == 6 { 2 } else { 1 };
                let secret = field.reconstruct(&shares, degree).unwrap();
                *widest = secret.max(widest.clone());
            }
        }
        // Of 40 uniform draws the greatest is above half the range but for one time in 2^40.
        let three = |bits: u64| BigUint::from(3u32) << bits;
        for (place, bound) in [(1, n.clone()), (2, three(k + 80 + 2)), (4, n.clone()), (5, three(2 * k + 80))]
        {
            assert!(widest[place] < bound, "place {place}");
            assert!(&widest[place] * 2u32 > bound, "place {place}");
        }
        assert!(widest[3].is_zero() && widest[6].is_zero());
    });
}

/// An opening that wrapped around would be another number over the integers.
#[test]
fn the_field_holds_every_opening_without_wrapping_around() {
    for (n, t, k) in [(3u32, 1, 256u64), (7, 3, 256), (5, 2, 2048)] {
        let parameters = KeygenParameters::insecure(n, t, k).unwrap();
        let two_k = |extra: u64| BigInt::one() << (2 * k + extra);
        // u < n·2^k·2^k + n·(n·2^(2k+σ)), w < n·2^k·2^k + 2^k·n·(n·2^(k+σ+2)), σ = 80.
        let (u, w) = (two_k(0) * n + two_k(80) * n * n, two_k(0) * n + two_k(82) * n * n);
        let prime = BigInt::from(key_prime(&parameters));
        assert!(u < prime && w < prime, "n {n} k {k}");
    }
}

fn key_prime(parameters: &KeygenParameters) -> BigUint {
    let sampler = Sampler::new(parameters, party(0)).unwrap();
    let n = BigUint::one() << (parameters.key_bits() - 1);
    let (secrets, _) = candidates::deal(parameters, &sampler, party(0), 0, &mut rng(1)).unwrap();
    Attempts::new(parameters, party(0), secrets.candidate(0).unwrap(), &n).unwrap().share_shape().bound
}
