//! Progress bars on a terminal; nothing elsewhere.

use indicatif::{ProgressBar, ProgressStyle};

use crate::bank::Setup;
use subrosa_distributed_paillier::KeygenStage;
use subrosa_risk_propagation::{Event, Stage};

/// One bar for key generation, one for the propagation, driven by the first bank.
pub(crate) struct Bars {
    keygen: ProgressBar,
    steps: ProgressBar,
}

impl Bars {
    pub(crate) fn new(setup: &Setup) -> Self {
        let bar = |template: &str| {
            let style =
                ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
            ProgressBar::new(1).with_style(style)
        };
        let keygen = bar("key of {prefix} bits  [{bar:30}] {msg} ({elapsed})");
        keygen.set_prefix(setup.key_bits.to_string());
        Self { keygen, steps: bar("propagation       [{bar:30}] {msg} ({elapsed})") }
    }

    /// The number of candidates is geometric: the bar creeps towards its end and never claims to know it.
    pub(crate) fn keygen(&self, stage: KeygenStage) {
        match stage {
            KeygenStage::Candidates { tried, expected, .. } => {
                let share = 1.0 - (-to_float(tried) / expected.max(1.0)).exp();
                self.keygen.set_length(1000);
                self.keygen.set_position(thousandths(share));
                self.keygen.set_message(format!("{tried} candidates, about {expected:.0} expected"));
            }
            KeygenStage::Modulus { tried } => {
                self.keygen.set_message(format!("modulus found after {tried} candidates, sharing its key"));
            }
            _ => {
                self.keygen.set_position(1000);
                self.keygen.finish();
            }
        }
    }

    pub(crate) fn stage(&self, event: &Event<'_>) {
        match event.stage {
            Stage::Agree => {
                self.steps.reset();
                self.steps.set_message("comparing transfers");
            }
            Stage::Encrypt { plan, .. } => {
                self.steps.set_length(plan.steps().len() as u64 + 2);
                self.steps.set_message("encrypting");
            }
            Stage::Iterate { number, of } => {
                self.steps.set_position(number as u64);
                self.steps.set_message(format!("iteration {number} of {of}"));
            }
            Stage::Decrypt { .. } => {
                self.steps.inc(1);
                self.steps.set_message("decrypting");
            }
            _ => {
                self.steps.set_message("done");
                self.steps.finish();
            }
        }
    }

    /// Leaves the bars as they are.
    pub(crate) fn finish(&self) {
        self.keygen.abandon();
        self.steps.abandon();
    }
}

#[expect(clippy::cast_precision_loss, reason = "only drawn")]
fn to_float(count: u64) -> f64 {
    count as f64
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 1000, only drawn")]
fn thousandths(share: f64) -> u64 {
    (share.clamp(0.0, 1.0) * 1000.0) as u64
}
