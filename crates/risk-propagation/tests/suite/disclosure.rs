//! Noise and ranges of what is decrypted.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "test code")]

use num_bigint::{BigInt, BigUint};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng as _, SeedableRng};

use crate::common::Raw;
use subrosa_arith::sample;
use subrosa_paillier::{Blinder, Ciphertext, PrivateKey, Randomness};
use subrosa_risk_propagation::Violation;
use subrosa_risk_propagation::steps::agreement::senders;
use subrosa_risk_propagation::steps::disclosure::{self, Ceilings, Committed};
use subrosa_risk_propagation::steps::scores::Encrypted;
use subrosa_risk_propagation::{Agreed, Error, NetworkSizes, Plan, Settings, plaintext};
use subrosa_transport::PartyId;

const BITS: usize = 512;

fn private_key() -> PrivateKey {
    PrivateKey::generate_insecure(BITS as u64, &mut ChaCha20Rng::seed_from_u64(7)).unwrap()
}

fn plan(columns: usize, noise_contributors: usize, iterations: u32) -> Plan {
    let sizes = NetworkSizes {
        key_bits: BITS,
        columns,
        in_degree_bits: 3,
        active_periods: vec![true],
        noise_contributors,
    };
    Plan::new(&sizes, &Settings { iterations, accuracy: 1e-4, ..Settings::default() }).unwrap()
}

/// Every account of north receives from east, some also from north.
fn agreed(scores: [u8; 3]) -> Vec<Agreed> {
    let accounts = scores.iter().map(|score| (0..7).map(|account| (account, *score)).collect()).collect();
    let foreign =
        (0..7).flat_map(|account| [(1, account, 0, account, 5), (2, account, 0, (account + 2) % 7, 3)]);
    // Accounts of east and west pay themselves, so that theirs stay what they are.
    let kept = (0..7).flat_map(|account| [(1, account, 1, account, 1), (2, account, 2, account, 1)]);
    let own = (0..4).map(|account| (0, account, 0, account + 1, 9)).chain(kept);
    Agreed::among(Raw::consistent(3, accounts, vec![foreign.chain(own).collect()]).networks()).unwrap()
}

/// The noise as it was before the room above it was filled: one draw for each slot, the highest first.
fn slots_alone(count: usize, plan: &Plan, rng: &mut ChaCha20Rng) -> Vec<BigUint> {
    let split = |rng: &mut ChaCha20Rng| {
        let mut seed = [0; 32];
        rng.fill_bytes(&mut seed);
        ChaCha20Rng::from_seed(seed)
    };
    let streams: Vec<ChaCha20Rng> = (0..count).map(|_| split(rng)).collect();
    let draw = |mut rng: ChaCha20Rng| {
        (0..plan.accounts_per_ciphertext() * plan.columns()).fold(BigUint::ZERO, |sum, _| {
            (sum << plan.slot_bits()) + sample::random_bits(&mut rng, u64::from(plan.noise_bits()))
        })
    };
    streams.into_iter().map(draw).collect()
}

#[test]
fn used_slots_hold_the_noise_that_they_held_before_the_room_was_filled() {
    let private = private_key();
    let key = private.public();
    let blinder = Blinder::new(key, Randomness::Short, 1 << 16).unwrap();
    for (columns, noise_contributors) in [(1, 2), (2, 2), (1, 4), (1, 1)] {
        let plan = plan(columns, noise_contributors, 3);
        let per = plan.accounts_per_ciphertext();
        let used: Vec<usize> = (0..=per).chain(disclosure::used_slots(3 * per + 1, &plan)).collect();
        assert_eq!(used[per + 1..], [per, per, per, 1]);
        let seed = 40 + columns as u64;
        let noise = disclosure::noise(&used, &plan, &blinder, &mut ChaCha20Rng::seed_from_u64(seed)).unwrap();
        let before = slots_alone(used.len(), &plan, &mut ChaCha20Rng::seed_from_u64(seed));
        for ((noise, before), used) in noise.iter().zip(before).zip(used) {
            let whole = private.decrypt(noise).unwrap();
            let n = BigInt::from(key.n().clone());
            let whole = ((whole + &n) % &n).to_biguint().unwrap();
            let low = used * columns * plan.slot_bits();
            let mask = (BigUint::from(1_u8) << low) - 1_u8;
            assert_eq!(&whole & &mask, before & mask);
            // Those of all contributors together stay below N.
            assert!((whole + 1_u8) * noise_contributors <= *key.n());
        }
    }
}

#[test]
fn noise_fills_the_room_that_no_account_uses() {
    let private = private_key();
    let key = private.public();
    let blinder = Blinder::new(key, Randomness::Short, 1 << 16).unwrap();
    let plan = plan(1, 2, 3);
    assert!(plan.accounts_per_ciphertext() > 3);
    let mut rng = ChaCha20Rng::seed_from_u64(5);
    for used in [0, 1, plan.accounts_per_ciphertext()] {
        let draws = 200_u32;
        let noise = disclosure::noise(&vec![used; draws as usize], &plan, &blinder, &mut rng).unwrap();
        // In 256ths of what each contributor may add.
        let part =
            |noise: &Ciphertext| private.decrypt(noise).unwrap().to_biguint().unwrap() * 512_u32 / key.n();
        let parts = noise.iter().map(|noise| u32::try_from(part(noise)).unwrap());
        let mut quarters = [0; 4];
        for part in parts {
            quarters[part as usize / 64] += 1;
        }
        assert!(
            quarters.iter().all(|count| (draws / 4 - 25..draws / 4 + 25).contains(count)),
            "{quarters:?}"
        );
        // Bits right above the used slots are as good as drawn by a coin.
        let low = (used * plan.slot_bits()) as u64;
        let bits = noise.iter().map(|noise| private.decrypt(noise).unwrap().magnitude().bit(low));
        let ones = u32::try_from(bits.filter(|bit| *bit).count()).unwrap();
        assert!((draws / 2 - 45..draws / 2 + 45).contains(&ones), "{ones}");
    }
}

#[test]
fn ceilings_are_reached_where_all_foreign_scores_are_one() {
    let agreed = agreed([0, 100, 100]);
    for iterations in 1..=3 {
        let plan = plan(1, 2, iterations);
        let ceilings = Ceilings::new(&agreed[0], &plan).unwrap();
        let twin = plaintext::propagate(&agreed, &plan).unwrap().remove(0);
        for account in 0..7 {
            assert_eq!(ceilings.of(account).unwrap(), twin.packed(account).unwrap(), "{account}");
            assert!(ceilings.of(account).unwrap() > BigUint::ZERO);
        }
        assert!(matches!(ceilings.of(7), Err(Error::Internal { .. })));
        assert!(Ceilings::new(&agreed[1], &plan).unwrap().of(0).unwrap() == BigUint::ZERO);
    }
}

/// A bank whose decrypted numbers can be made up.
struct Bank {
    private: PrivateKey,
    agreed: Agreed,
    plan: Plan,
    scores: Encrypted,
    reached: Vec<u32>,
    ceilings: Ceilings,
}

impl Bank {
    fn new() -> Self {
        let (agreed, plan) = (agreed([30, 60, 90]).remove(0), plan(1, 2, 3));
        let scores = Encrypted::initial(&agreed, &plan).unwrap();
        let reached = senders::disclosed(agreed.network(), &plan).unwrap();
        let ceilings = Ceilings::new(&agreed, &plan).unwrap();
        assert_eq!((reached.len(), plan.accounts_per_ciphertext() > 2), (7, true));
        Self { private: private_key(), agreed, plan, scores, reached, ceilings }
    }

    /// The greatest number that an account's slot can hold.
    fn most(&self, account: usize) -> BigUint {
        self.ceilings.of(account).unwrap()
            + ((BigUint::from(1_u8) << self.plan.noise_bits()) - 1_u8) * self.plan.noise_contributors()
    }

    /// Ciphertexts of which every slot holds what `slot` says, with `above` on top of the last of them.
    fn plaintexts(&self, slot: impl Fn(usize) -> BigUint, above: BigUint) -> Vec<BigInt> {
        let per = self.plan.accounts_per_ciphertext();
        let groups: Vec<&[u32]> = self.reached.chunks(per).collect();
        let last = groups.len() - 1;
        let pack = |(index, accounts): (usize, &&[u32])| {
            let top = if index == last { above.clone() } else { BigUint::ZERO };
            let slots = accounts.iter().rev();
            BigInt::from(
                slots.fold(top, |sum, account| (sum << self.plan.slot_bits()) + slot(*account as usize)),
            )
        };
        groups.iter().enumerate().map(pack).collect()
    }

    fn violation(&self, plaintexts: &[BigInt]) -> Option<Violation> {
        let key = self.private.public();
        match disclosure::disclose(&self.scores, &self.reached, plaintexts, &self.ceilings, &self.plan, key) {
            Ok(scores) => {
                assert_eq!(scores.len(), self.agreed.network().account_count());
                None
            }
            Err(Error::Range(violation)) => Some(violation),
            Err(other) => panic!("{other}"),
        }
    }
}

#[test]
fn every_slot_has_its_own_range() {
    let bank = Bank::new();
    assert_eq!(bank.violation(&bank.plaintexts(|account| bank.most(account), BigUint::ZERO)), None);
    assert_eq!(bank.violation(&bank.plaintexts(|_| BigUint::ZERO, BigUint::ZERO)), None);
    for bad in 0..7 {
        let slot = |account| bank.most(account) + u8::from(account == bad);
        let found = bank.violation(&bank.plaintexts(slot, BigUint::ZERO)).unwrap();
        let bad = u32::try_from(bad).unwrap();
        assert_eq!((found.scores, found.ciphertexts, found.accounts), (1, 0, vec![bad]));
    }
    // A ceiling is far below 1 where an account receives little from others: what looks like a score is none.
    let one = BigUint::from(1_u8) << bank.plan.final_scale();
    assert!((0..7).all(|account| bank.most(account) < one));
    let found = bank.violation(&bank.plaintexts(|_| one.clone(), BigUint::ZERO)).unwrap();
    assert_eq!(found.accounts, (0..7).collect::<Vec<u32>>());
}

#[test]
fn the_whole_plaintext_has_a_range() {
    let bank = Bank::new();
    let (plan, key) = (&bank.plan, bank.private.public());
    let per = plan.accounts_per_ciphertext();
    let low = ((7 - 1) % per + 1) * plan.slot_bits();
    let most = (key.n() / (BigUint::from(2_u8) << low) - 1_u8) * 2_u8;
    let with = |above: BigUint| bank.violation(&bank.plaintexts(|account| bank.most(account), above));
    assert_eq!(with(most.clone()), None);
    let found = with(most + 1_u8).unwrap();
    assert_eq!((found.scores, found.ciphertexts, found.accounts.len()), (0, 1, 0));
    // Plaintexts next to 0 on either side stand for the same residues.
    let mut plaintexts = bank.plaintexts(|account| bank.most(account), BigUint::ZERO);
    plaintexts[0] -= BigInt::from(key.n().clone());
    assert_eq!(bank.violation(&plaintexts), None);
    let count = plaintexts.len();
    let found = bank.violation(&vec![BigInt::from(-1); count]).unwrap();
    assert!(found.scores > 0, "{found}");
}

#[test]
fn another_number_of_plaintexts_is_refused() {
    let bank = Bank::new();
    let key = bank.private.public();
    let refused =
        disclosure::disclose(&bank.scores, &bank.reached, &[], &bank.ceilings, &bank.plan, key).unwrap_err();
    assert!(matches!(refused, Error::Plaintext(_)), "{refused}");
}

#[test]
fn a_violation_does_not_print_which_accounts_it_is_about() {
    let bank = Bank::new();
    let violation =
        bank.violation(&bank.plaintexts(|_| BigUint::from(1_u8) << bank.plan.final_scale(), BigUint::ZERO));
    let error = Error::Range(violation.unwrap());
    assert!(
        format!("{error:?}").contains("7 scores of 7 accounts are out of range, <redacted>"),
        "{error:?}"
    );
    assert!(error.culprits().is_empty());
}

#[test]
fn a_commitment_is_bound_to_all_that_it_is_about() {
    let key = private_key().public().clone();
    let ciphertexts: Vec<Ciphertext> =
        (3..6).map(|m| key.encrypt_unblinded(&BigInt::from(m)).unwrap()).collect();
    let hash = |run: u8, party: u16, what, salt: u8, list: &[Ciphertext]| {
        disclosure::commitment(&[run; 32], PartyId::new(party), what, &[salt; 32], list)
    };
    let other = [ciphertexts[0].clone(), ciphertexts[2].clone(), ciphertexts[1].clone()];
    let mut all = vec![
        hash(1, 0, Committed::Announcement, 1, &ciphertexts),
        hash(2, 0, Committed::Announcement, 1, &ciphertexts),
        hash(1, 1, Committed::Announcement, 1, &ciphertexts),
        hash(1, 0, Committed::Noise, 1, &ciphertexts),
        hash(1, 0, Committed::Announcement, 2, &ciphertexts),
        hash(1, 0, Committed::Announcement, 1, &ciphertexts[..2]),
        hash(1, 0, Committed::Announcement, 1, &other),
        hash(1, 0, Committed::Announcement, 1, &[]),
        disclosure::noise_context(&[1; 32], &[[1; 32], [2; 32]]),
        disclosure::noise_context(&[1; 32], &[[2; 32], [1; 32]]),
        disclosure::noise_context(&[2; 32], &[[1; 32], [2; 32]]),
    ];
    assert_eq!(all[0], hash(1, 0, Committed::Announcement, 1, &ciphertexts));
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), 11);
}
