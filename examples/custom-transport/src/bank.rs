//! One bank's part: the protocols, which know nothing of HTTP. This is what it would look like over any transport.

use std::time::Duration;

use subrosa_distributed_paillier::{self as keygen, KeygenError, KeygenParameters};
use subrosa_risk_propagation::{self as propagation, Error, Network, Outcome, Settings, Stage};
use subrosa_transport::{Limits, Session, SessionError, Traffic, Transport};

/// Why a bank failed.
#[derive(Debug, thiserror::Error)]
pub enum BankError {
    /// The session could not be opened.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// No key.
    #[error("key generation: {0}")]
    Keygen(#[from] KeygenError),
    /// No scores.
    #[error(transparent)]
    Propagation(#[from] Error),
}

/// Generates a key with the other banks and propagates risk with them. Blocks; `progress` is told what begins.
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
    let patience = Limits::new().with_timeout(Duration::from_secs(600));
    let parties = u32::try_from(transport.roster().len()).unwrap_or(u32::MAX);

    progress("key generation".to_owned());
    let parameters = KeygenParameters::insecure(parties, (parties - 1) / 2, key_bits)?;
    let fields = parameters.session_parameters();
    let mut session = Session::open(&mut *transport, keygen::PROTOCOL, &fields, patience.clone(), &mut rng)?;
    let share = keygen::generate(&mut session, &parameters, &mut rng, |_| ())?;
    let mut traffic = session.counters().total();

    let fields = propagation::parameters(share.key(), network.columns(), settings);
    let mut session = Session::open(&mut *transport, propagation::PROTOCOL, &fields, patience, &mut rng)?;
    let outcome =
        propagation::propagate(&mut session, &share, network, settings, &mut rng, &mut |event| match event
            .stage
        {
            Stage::Iterate { number, of } => progress(format!("iteration {number} of {of}")),
            Stage::Decrypt { ciphertexts } => progress(format!("decryption of {ciphertexts} ciphertexts")),
            _ => {}
        })?;
    traffic += session.counters().total();
    Ok((outcome, traffic))
}
