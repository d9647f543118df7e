//! A score that the bank is not to have, as a single foreign sender determines it.

use super::deviation::{Deviation, Hear, Honest, View};
use super::scene::{Truth, WEST, run_in, settings, slots, three, unit, without_noise};
use subrosa_paillier::Blinded;
use subrosa_paillier::Ciphertext;
use subrosa_risk_propagation::Settings;
use subrosa_risk_propagation::steps::disclosure;

/// Hands in the withheld account 2 in the place of account 1.
struct Covets;

impl Deviation for Covets {
    fn announcement(
        &mut self,
        view: &View<'_>,
        _: Vec<Blinded<Ciphertext>>,
        _: &mut Hear<'_>,
    ) -> Option<Vec<Blinded<Ciphertext>>> {
        let packed = disclosure::pack(&view.progress.scores, &[0, 2], view.plan(), view.key).unwrap();
        Some(packed.iter().map(|ciphertext| view.blind(ciphertext)).collect())
    }
}

#[test]
fn a_withheld_account_handed_in_is_read_and_found_by_recomputation() {
    let raw = three();
    let settings = Settings { min_foreign_senders: 2, ..settings() };
    let honest = run_in(&raw, &settings, vec![(WEST, &mut Honest)], 111, None);
    honest.assert_clean(WEST, &[]);
    let run = run_in(&raw, &settings, vec![(WEST, &mut Covets)], 111, None);
    for (_, result) in &run.honest {
        assert!(!result.as_ref().unwrap().withheld.is_empty());
    }
    // The others have what they would have had.
    let north = |run: &super::scene::Run| run.honest[0].1.as_ref().unwrap().scores.clone();
    let pairs = north(&run).into_iter().zip(north(&honest));
    assert!(pairs.into_iter().all(|(one, other)| (one - other).abs() <= settings.accuracy));
    let plan = &run.spoils().plan;
    let truth = Truth::of(&raw, plan);
    assert_eq!(truth.reached(WEST), [0, 1]);
    let read = without_noise(&slots(&run.spoils().plaintexts[0], plan)[1], plan);
    let expected = unit(&truth.foreign_part(WEST, 2), plan.final_scale());
    assert!((read - expected).abs() < 1e-6, "{read} {expected}");
    run.assert_found(WEST, "R7a", 0, &["0", "1"]);
}
