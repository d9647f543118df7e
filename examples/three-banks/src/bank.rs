//! One bank's side of the run.

use std::time::Duration;

use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use crate::phases::{Phase, Recorder};
use crate::progress::Bars;
use subrosa_distributed_paillier::{Keygen, KeygenError, KeygenParameters, SecurityLevel};
use subrosa_risk_propagation::{Error, Network, Outcome, Propagation, Settings, Stage};
use subrosa_transport::{FailureKind, Limits, MemoryTransport, Traffic};

/// How long a bank waits for another. All work is done in this process, so waiting is computing.
const ROUND_TIMEOUT: Duration = Duration::from_secs(6 * 3600);

/// What all banks are started with.
#[derive(Debug)]
pub(crate) struct Setup {
    pub(crate) settings: Settings,
    pub(crate) parties: u32,
    pub(crate) threshold: u32,
    pub(crate) key_bits: u64,
    pub(crate) level: SecurityLevel,
    pub(crate) seed: Option<u64>,
    /// Threads of each bank.
    pub(crate) threads: usize,
}

/// What a bank has in the end.
pub(crate) struct Finished {
    pub(crate) outcome: Outcome,
    pub(crate) phases: Vec<Phase>,
}

/// Why a bank failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BankError {
    #[error("key generation failed")]
    Keygen(#[from] KeygenError),
    #[error(transparent)]
    Propagation(#[from] Error),
    #[error("no threads for the computation")]
    Threads(#[from] rayon::ThreadPoolBuildError),
}

impl BankError {
    /// Whether this bank only heard of a failure from another one.
    pub(crate) fn is_told(&self) -> bool {
        let kind = match self {
            Self::Propagation(error) => error.kind(),
            Self::Keygen(error) => error.kind(),
            Self::Threads(_) => return false,
        };
        // When a bank leaves early, the others see first that its line is cut.
        matches!(kind, FailureKind::Abort | FailureKind::Network)
    }
}

/// Runs one bank: key generation and propagation, in a thread pool of its own.
pub(crate) fn run(
    setup: &Setup,
    mut wire: MemoryTransport,
    network: Network,
    bars: &Bars,
) -> Result<Finished, BankError> {
    let name = network.bank().to_owned();
    let pool = rayon::ThreadPoolBuilder::new().num_threads(setup.threads).build()?;
    pool.install(move || {
        let mut rng = randomness(setup.seed, network.own().index());
        let mut recorder = Recorder::new(&name);
        let first = network.own().index() == 0;
        let limits = Limits::new().with_timeout(ROUND_TIMEOUT);

        recorder.begin("keygen", Traffic::default());
        let parameters =
            KeygenParameters::with_level(setup.parties, setup.threshold, setup.key_bits, setup.level)?;
        let mut traffic = Traffic::default();
        let keygen = Keygen::new(&parameters).limits(limits.clone()).progress(|event| {
            traffic = event.traffic;
            if first {
                bars.keygen(event.stage);
            }
        });
        let share = keygen.run(&mut wire, &mut rng)?;
        recorder.end(traffic);

        let propagation = Propagation::new(&share, network).settings(setup.settings.clone()).limits(limits);
        let propagation = propagation.progress(|event| {
            match event.stage {
                Stage::Agree => recorder.begin("agree", Traffic::default()),
                Stage::Encrypt { .. } => recorder.begin("encrypt", event.traffic),
                Stage::Iterate { number, .. } => {
                    recorder.begin(&format!("iteration {number}"), event.traffic);
                }
                Stage::Decrypt { .. } => recorder.begin("decrypt", event.traffic),
                _ => recorder.end(event.traffic),
            }
            if first {
                bars.stage(event);
            }
        });
        let outcome = propagation.run(&mut wire, &mut rng)?;
        Ok(Finished { outcome, phases: recorder.into_phases() })
    })
}

/// The bank's own generator: from the system, or from the insecure seed and the bank's place.
fn randomness(seed: Option<u64>, place: usize) -> ChaCha20Rng {
    match seed {
        None => ChaCha20Rng::from_rng(&mut rand::rng()),
        Some(seed) => {
            let mut rng = ChaCha20Rng::seed_from_u64(seed);
            rng.set_stream(place as u64);
            rng
        }
    }
}
