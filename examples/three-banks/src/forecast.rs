//! What `--plan` prints: the plan on which the banks will agree, and what the run will cost each of them.

use std::io::Write;
use std::time::Duration;

use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use crate::Failure;
use subrosa_arith::sample;
use subrosa_arith::sieve::TrialDivision;
use subrosa_paillier::PublicKey;
use subrosa_risk_propagation::steps::agreement::senders;
use subrosa_risk_propagation::steps::disclosure;
use subrosa_risk_propagation::{Agreed, Calibration, Error, Forecast, Network, Plan, Settings};

/// How long this machine's speed is measured.
const CALIBRATION: Duration = Duration::from_secs(2);

/// Prints plan and costs.
pub(crate) fn print(
    out: &mut impl Write,
    networks: &[Network],
    plan: &Plan,
    settings: &Settings,
) -> Result<(), Failure> {
    writeln!(out, "{plan}")?;
    if settings.mismatch == subrosa_risk_propagation::Mismatch::Refuse {
        writeln!(out, "\n(costs as if the banks' lists of transfers agreed)")?;
    }
    let agreed = Agreed::among(networks.to_vec())?;
    let ciphertexts = |agreed: &Agreed| -> Result<usize, Error> {
        Ok(disclosure::ciphertexts(senders::disclosed(agreed.network(), plan)?.len(), plan))
    };
    let all: usize = agreed.iter().map(ciphertexts).sum::<Result<_, Error>>()?;
    let machine = calibrate(plan.key_bits())?;
    let mut total = Duration::ZERO;
    for agreed in &agreed {
        let forecast = Forecast::new(agreed, plan, all - ciphertexts(agreed)?)?;
        let time = forecast.processor_time(&machine);
        total += time;
        writeln!(out, "\n{}\n{forecast}", agreed.network().bank())?;
        writeln!(out, "processor time            about {:.1} s on this machine", time.as_secs_f64())?;
    }
    writeln!(out, "\nprocessor time of all     about {:.1} s, key generation apart", total.as_secs_f64())?;
    Ok(())
}

/// The machine's speed with a modulus of the key's length. It is no key: nobody needs to know its factors.
fn calibrate(key_bits: usize) -> Result<Calibration, Failure> {
    let mut rng = ChaCha20Rng::from_rng(&mut rand::rng());
    let bits = u64::try_from(key_bits).unwrap_or(u64::MAX);
    // Like a real modulus it has no small factor, which it could share with the hash that blinding begins with.
    let small = TrialDivision::new(1 << 16);
    let n = loop {
        let mut n = sample::random_bits(&mut rng, bits);
        n.set_bit(bits.saturating_sub(1), true);
        n.set_bit(0, true);
        if small.has_small_factor(&n).is_none() {
            break n;
        }
    };
    let key = PublicKey::insecure(n).map_err(Error::from)?;
    Ok(Calibration::measure(&key, CALIBRATION, &mut rng)?)
}
