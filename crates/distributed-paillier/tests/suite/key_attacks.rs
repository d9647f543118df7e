//! Lies about the decryption key: another mask r than was dealt, another constant in K8, another residue in K9.
#![allow(clippy::unwrap_used, clippy::panic, reason = "test code")]

use num_bigint::{BigInt, BigUint};
use num_traits::{One, Zero};

use crate::steps::{Attack, End, Failed, Numbers, Run, Scene, Setup, tools};
use subrosa_distributed_paillier::messages::{
    IntegerShareMessage, TrialProof, VerificationKey, WinnerProducts, WinnerShares, WinnerZeros,
};
use subrosa_distributed_paillier::winner::KeyFound;
use subrosa_transport::{Message, PartyId};

const ME: PartyId = PartyId::new(1);
/// Δ of three parties.
const DELTA: u32 = 6;

/// What the attacker adds, in the order of the steps.
#[derive(Default)]
struct Lie {
    /// To the sharing of r in W1.
    mask: BigInt,
    /// To u, as all open it in W2.
    opening: BigInt,
    /// To every share of K8.
    constant: BigInt,
    /// To the share of party 1 alone in K8.
    share: BigInt,
    /// To the residue in K9.
    residue: BigInt,
    /// What θ comes out as, instead.
    theta: Option<BigUint>,
    u: BigUint,
}

impl Attack for Lie {
    fn deal(&mut self, scene: &Scene<'_>, round: &str, _from: PartyId, messages: &mut [Numbers<'_>]) {
        if round == WinnerShares::ROUND {
            for lists in messages.iter_mut() {
                tools::add(&mut lists[1][tools::KEY_MASK], &self.mask, &scene.setup.q);
            }
        }
    }

    fn publish(&mut self, scene: &Scene<'_>, round: &str, messages: &mut [Numbers<'_>]) {
        if round == WinnerProducts::ROUND {
            tools::shift(&scene.setup.q, ME, messages, tools::U, &self.opening);
            let values: Vec<&BigUint> = messages.iter().map(|lists| &lists[0][tools::U]).collect();
            self.u = tools::interpolate(&scene.setup.q, &values);
        }
        if round == VerificationKey::ROUND {
            let n = scene.modulus.as_ref().unwrap().value();
            if let Some(theta) = &self.theta {
                let others = messages.iter().enumerate().filter(|(index, _)| *index != ME.index());
                let others: BigUint = others.map(|(_, lists)| &lists[1][0]).sum();
                messages[ME.index()][1][0] = BigUint::zero();
                let wanted = BigInt::from(self.u.clone()) - BigInt::from(others + theta);
                tools::add(&mut messages[ME.index()][1][0], &wanted, n);
            }
            tools::add(&mut messages[ME.index()][1][0], &self.residue, n);
        }
    }

    fn deal_key(
        &mut self,
        _scene: &Scene<'_>,
        _from: PartyId,
        _found: &[KeyFound],
        messages: &mut [IntegerShareMessage],
    ) {
        messages[0].value += &self.share;
        for message in messages {
            message.value += &self.constant;
        }
    }
}

/// Where the attacker leads, and where it does not.
fn setups() -> [Setup; 2] {
    [true, false]
        .map(|leads| Setup::find(3, 1, 51, |setup| setup.is_good() && (setup.leader() == ME) == leads))
}

fn generate(setup: &Setup, mut lie: Lie) -> Result<End, Failed> {
    Run::new(setup, 0, &[ME], &mut lie).generate()
}

#[test]
fn any_element_of_the_ring_as_mask_is_out_of_range_or_no_product() {
    for setup in setups() {
        let any: BigInt = (&setup.q / 3u32).into();
        let failed = generate(&setup, Lie { mask: any.clone(), ..Lie::default() }).unwrap_err();
        failed.assert(WinnerProducts::ROUND, None, "an opening of the winner is out of range");
        // Its product check would hold, but u is too large; brought back into its range, u is not the product.
        let hidden = Lie { mask: any.clone(), opening: -any + 12_345, ..Lie::default() };
        let failed = generate(&setup, hidden).unwrap_err();
        failed.assert(WinnerZeros::ROUND, None, "u or w is not the product that it should be");
    }
}

#[test]
fn a_mask_that_was_not_dealt_fails_the_trial_decryption() {
    for setup in setups() {
        for by in [BigInt::one(), BigInt::one() << 590u32, -BigInt::one()] {
            let failed = generate(&setup, Lie { mask: by.clone(), ..Lie::default() }).unwrap_err();
            failed.assert(TrialProof::ROUND, None, "");
            let fitting = Lie { mask: by.clone(), residue: by.clone(), ..Lie::default() };
            generate(&setup, fitting).unwrap_err().assert(TrialProof::ROUND, None, "");
            // With all that follows from it, it is just another mask.
            let other =
                Lie { mask: by.clone(), residue: by.clone(), constant: -by * DELTA, ..Lie::default() };
            assert!(matches!(generate(&setup, other), Ok(End::Key(_))));
        }
    }
}

#[test]
fn another_constant_fails_the_trial_decryption_whatever_residue_goes_with_it() {
    for setup in setups() {
        let n: BigInt = setup.factors().iter().product::<BigUint>().into();
        let constants = [BigInt::one(), -BigInt::one(), n.clone(), &n - 1, &n * 720, BigInt::one() << 256u32];
        for constant in constants.iter().map(|e| e * DELTA).chain([BigInt::one()]) {
            let residue = -&constant / DELTA;
            for residue in [residue, BigInt::zero()] {
                let lie = Lie { constant: constant.clone(), residue, ..Lie::default() };
                generate(&setup, lie).unwrap_err().assert(TrialProof::ROUND, None, "");
            }
        }
    }
}

#[test]
fn a_wrong_residue_fails_the_trial_decryption() {
    for setup in setups() {
        for residue in [BigInt::one(), -BigInt::one(), BigInt::one() << 200u32] {
            let failed = generate(&setup, Lie { residue, ..Lie::default() }).unwrap_err();
            failed.assert(TrialProof::ROUND, None, "a trial decryption gave a wrong plaintext");
        }
        let theta = |theta: u32| Lie { theta: Some(theta.into()), ..Lie::default() };
        let failed = generate(&setup, theta(1)).unwrap_err();
        failed.assert(TrialProof::ROUND, None, "a trial decryption gave a wrong plaintext");
        // Seeing the others' residues first, the attacker can make θ what it likes.
        let failed = generate(&setup, theta(0)).unwrap_err();
        failed.assert(VerificationKey::ROUND, None, "θ is no unit modulo N");
    }
}

#[test]
fn a_wrong_share_contradicts_the_others() {
    for setup in setups() {
        for share in [BigInt::one(), BigInt::from(-DELTA.cast_signed())] {
            let failed = generate(&setup, Lie { share, ..Lie::default() }).unwrap_err();
            failed.assert(TrialProof::ROUND, None, "");
        }
        // Only who gets it notices a share that makes the sum negative; then it leaves.
        let negative = -(BigInt::one() << 590u32) * 1_000u32;
        let failed = generate(&setup, Lie { share: negative, ..Lie::default() }).unwrap_err();
        assert_eq!(failed.round, IntegerShareMessage::ROUND);
        let [(party, error)] = &failed.errors[..] else { panic!("{failed:?}") };
        assert!(*party == PartyId::new(0) && error.culprits().is_empty(), "{error}");
    }
}
