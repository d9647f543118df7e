//! Values that come out as the deviating party wants, given those of its peers.

use num_bigint::BigUint;
use num_integer::Integer;

use super::script::{Dealing, Scene, Script};
use subrosa_arith::{Modulus, jacobi::jacobi, sieve::primes_below};
use subrosa_distributed_paillier::messages::{
    CandidateShares, FirstTest, FurtherTests, ProductShares, WinnerAnswers, WinnerShares,
};
use subrosa_distributed_paillier::receipts::{Committed, Receipted};
use subrosa_distributed_paillier::winner::RANGE_REPETITIONS;
use subrosa_encoding::Hasher;
use subrosa_shamir::ShareRing;
use subrosa_transport::PartyId;

/// The share with which all shares together open as `target`, and what they would open as with `honest` in its place.
pub fn steer(
    modulus: &BigUint,
    parties: u32,
    me: PartyId,
    others: &[(PartyId, BigUint)],
    honest: &BigUint,
    target: &BigUint,
) -> (BigUint, BigUint) {
    let points: Vec<u32> = (1..=parties).collect();
    let lagrange = ShareRing::assume_prime(modulus.clone()).lagrange(&points, 0).unwrap();
    let sum: BigUint = others.iter().map(|(party, value)| &lagrange[party.index()] * value).sum();
    let mine = &lagrange[me.index()];
    let opening = (&sum + mine * honest) % modulus;
    (((target + modulus - sum % modulus) * mine.modinv(modulus).unwrap()).mod_floor(modulus), opening)
}

/// The value with which `v_lead` = ∏ others.
pub fn fit(modulus: &Modulus, leader: PartyId, me: PartyId, others: &[(PartyId, BigUint)]) -> BigUint {
    let (mut product, mut top) = (modulus.one(), modulus.one());
    for (party, value) in others {
        modulus.mul_assign(if *party == leader { &mut top } else { &mut product }, &modulus.residue(value));
    }
    let fitting =
        if leader == me { product } else { modulus.mul(&top, &modulus.vartime_invert(&product).unwrap()) };
    modulus.to_uint(&fitting)
}

/// K2: what a candidate opens as is `target`, and no longer what its summands give, which `opened` is told.
pub fn chooses(
    script: &mut Script,
    index: usize,
    target: BigUint,
    mut opened: impl FnMut(BigUint) + 'static,
) {
    script.sends(move |scene, message: &mut Receipted<ProductShares>| {
        let Receipted::Complete(mine) = message else { return };
        let value = |message| match message {
            Receipted::<ProductShares>::Complete(products) => Some(products.values[index].clone()),
            Receipted::Disputed(_) | Receipted::OutOfRange => None,
        };
        let others = scene.peek().into_iter().filter_map(|(peer, message)| Some((peer, value(message)?)));
        let others: Vec<_> = others.collect();
        let modulus = scene.candidate_modulus();
        let (share, honest) =
            steer(&modulus, scene.parties(), scene.me, &others, &mine.values[index], &target);
        mine.values[index] = share;
        opened(honest);
    });
}

/// K4: the first survivor of the first batch passes, whatever it is.
pub fn forges_first_test(script: &mut Script) {
    script.sends(|scene, mine: &mut Committed<FirstTest>| {
        if let (0, Some(sieved)) = (scene.first, scene.survivors.first()) {
            let others = scene.peek::<Committed<FirstTest>>().into_iter();
            let others: Vec<_> =
                others.map(|(peer, theirs)| (peer, theirs.message.values[0].clone())).collect();
            mine.message.values[0] = fit(&sieved.modulus, scene.leader(sieved.index), scene.me, &others);
        }
    });
}

/// K4 and K5: the first survivor of the first batch passes every test, whatever it is.
pub fn forges_tests(script: &mut Script) {
    forges_first_test(script);
    script.sends(|scene, mine: &mut Committed<FurtherTests>| {
        let Some((index, modulus)) = &scene.candidate else { return };
        if scene.survivors.first().is_none_or(|sieved| sieved.index != *index) || scene.first > 0 {
            return;
        }
        let others = scene.peek::<Committed<FurtherTests>>();
        for (round, value) in mine.message.values.iter_mut().enumerate() {
            let others: Vec<_> =
                others.iter().map(|(peer, theirs)| (*peer, theirs.message.values[round].clone())).collect();
            *value = fit(modulus, scene.leader(*index), scene.me, &others);
        }
    });
}

/// Deals other summands than it draws, by as much more as is said for p and for q, and goes on as if it had drawn them: in
/// W1 it lifts them, and in W3 it answers for them as far as an answer has room for them.
pub fn adds_to_summands(script: &mut Script, add: [BigUint; 2]) {
    let (first, lifted) = (add.clone(), add.clone());
    script.deals(move |scene, dealing: &mut Dealing<CandidateShares>| {
        let prime = scene.candidate_modulus();
        for party in scene.everybody() {
            for candidate in dealing.messages[party].values.chunks_mut(3) {
                for (value, add) in candidate.iter_mut().zip(&first) {
                    *value = (&*value + add) % &prime;
                }
            }
        }
    });
    script.deals(move |scene, dealing: &mut Dealing<WinnerShares>| {
        let prime = &scene.winner_moduli.as_ref().unwrap()[0];
        let quarter = BigUint::from(4u32).modinv(prime).unwrap();
        for party in scene.everybody() {
            for (value, add) in dealing.messages[party].lifts.iter_mut().zip(&lifted) {
                *value = (&*value + add * &quarter) % prime;
            }
        }
    });
    script.sends(move |scene, answers: &mut WinnerAnswers| {
        let (index, _) = scene.candidate.as_ref().unwrap();
        let bits = Hasher::new("subrosa/distributed-paillier/winner-challenges", 1)
            .field("transcript", &scene.transcript)
            .u64("candidate", scene.first + *index as u64)
            .field("challenge", b"ranges")
            .expand(2 * RANGE_REPETITIONS);
        let room = scene.parameters.key_bits() / 2;
        for (answer, bits) in answers.small.iter_mut().zip(bits.chunks(2)) {
            let [p, q] = [0, 1].map(|place| u32::from(bits[0] >> place & 1));
            let more = (&add[0] >> 2u32) * p + (&add[1] >> 2u32) * q;
            *answer += if more.bits() < room { more } else { BigUint::ZERO };
        }
    });
}

/// K4 and K5 as they are for summands whose p and q together are `more`, a multiple of 4, than what is drawn.
pub fn tests_of_other_summands(script: &mut Script, more: &BigUint) {
    let (first, further) = (more >> 2u32, more >> 2u32);
    // The exponent of the leader is N + 1 less the summands.
    let shifted = |scene: &Scene<'_>,
                   index: usize,
                   modulus: &Modulus,
                   base: &BigUint,
                   value: &mut BigUint,
                   more: &BigUint| {
        let factor = modulus.vartime_pow(&modulus.residue(base), more);
        let leads = scene.leader(index) == scene.me;
        let factor = if leads { modulus.vartime_invert(&factor).unwrap() } else { factor };
        *value = modulus.to_uint(&modulus.mul(&modulus.residue(value), &factor));
    };
    script.sends(move |scene, mine: &mut Committed<FirstTest>| {
        for (sieved, value) in scene.survivors.iter().zip(&mut mine.message.values) {
            let bases = primes_below(1 << 12).into_iter().skip(1).map(BigUint::from);
            let base = bases.into_iter().find(|base| jacobi(base, sieved.modulus.value()) == 1).unwrap();
            shifted(scene, sieved.index, &sieved.modulus, &base, value, &first);
        }
    });
    script.sends(move |scene, mine: &mut Committed<FurtherTests>| {
        let (index, modulus) = scene.candidate.as_ref().unwrap();
        for (round, value) in mine.message.values.iter_mut().enumerate() {
            let attempts = (0u64..).map(|attempt| {
                Hasher::new("subrosa/distributed-paillier/biprimality-base", 1)
                    .field("session", &scene.id)
                    .uint("n", modulus.value())
                    .u64("round", round as u64)
                    .u64("attempt", attempt)
                    .below(modulus.value())
            });
            let base = attempts.into_iter().find(|base| jacobi(base, modulus.value()) == 1).unwrap();
            shifted(scene, *index, modulus, &base, value, &further);
        }
    });
}
