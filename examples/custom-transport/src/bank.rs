//! One bank's part: it runs the protocols. This code does not depend on HTTP, and is the same over any transport.

use std::time::Duration;

use subrosa_distributed_paillier::{Keygen, KeygenError, KeygenParameters};
use subrosa_risk_propagation::{Error, Network, Outcome, Propagation, Settings, Stage};
use subrosa_transport::{Limits, Traffic, Transport};

/// Why a bank failed.
#[derive(Debug, thiserror::Error)]
pub enum BankError {
    /// Key generation failed.
    #[error("key generation failed")]
    Keygen(#[from] KeygenError),
    /// The propagation failed.
    #[error(transparent)]
    Propagation(#[from] Error),
}

/// Generates a key with the other banks and propagates risk with them. Blocks. `progress` receives each stage when it
/// begins.
///
/// # Errors
/// See [`BankError`].
pub fn run(
    transport: &mut impl Transport,
    network: Network,
    key_bits: u64,
    settings: &Settings,
    mut progress: impl FnMut(String),
) -> Result<(Outcome, Traffic), BankError> {
    let mut rng = rand::rng();
    let limits = Limits::new().with_timeout(Duration::from_secs(600));
    let parties = u32::try_from(transport.roster().len()).unwrap_or(u32::MAX);
    let (mut keygen, mut rest) = (Traffic::default(), Traffic::default());

    progress("key generation".to_owned());
    let parameters = KeygenParameters::insecure(parties, (parties - 1) / 2, key_bits)?;
    let share = Keygen::new(&parameters)
        .limits(limits.clone())
        .progress(|event| keygen = event.traffic)
        .run(&mut *transport, &mut rng)?;
    let outcome = Propagation::new(&share, network)
        .settings(settings.clone())
        .limits(limits)
        .progress(|event| {
            rest = event.traffic;
            match event.stage {
                Stage::Iterate { number, of } => progress(format!("iteration {number} of {of}")),
                Stage::Decrypt { ciphertexts } => {
                    progress(format!("decryption of {ciphertexts} ciphertexts"));
                }
                _ => {}
            }
        })
        .run(transport, &mut rng)?;
    let mut traffic = keygen;
    traffic += rest;
    Ok((outcome, traffic))
}
