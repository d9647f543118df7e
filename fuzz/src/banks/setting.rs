//! Small banks with a dealt key.

use std::sync::LazyLock;
use std::time::Duration;

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;

use subrosa_paillier::PrivateKey;
use subrosa_risk_propagation::synthetic::{NetworkShape, generate};
use subrosa_risk_propagation::{Network, Settings as Choices};
use subrosa_threshold_decryption::{AccessStructure, KeyShare, dealer};
use subrosa_transport::Limits;

pub(super) struct Setting {
    pub(super) shares: Vec<KeyShare>,
    pub(super) networks: Vec<Network>,
    pub(super) choices: Choices,
}

pub(super) static SETTING: LazyLock<Setting> = LazyLock::new(|| {
    let private = PrivateKey::generate_insecure(512, &mut seeded(3)).unwrap();
    let shares = dealer::deal(&private, AccessStructure::new(3, 1).unwrap(), &mut seeded(4)).unwrap();
    let shape =
        NetworkShape { accounts: 12, transfers: 40, chains: 1, chain_length: 3, ..NetworkShape::default() };
    let shape = NetworkShape { banks: (1..=3).map(|n| format!("party-{n}")).collect(), ..shape };
    let networks = generate(&shape, &mut seeded(5)).unwrap().networks().unwrap();
    Setting { shares, networks, choices: Choices { iterations: 2, accuracy: 1e-3, ..Choices::default() } }
});

pub(super) fn long_limits() -> Limits {
    Limits::new().with_timeout(Duration::from_millis(200)).with_max_frame(1 << 20)
}

pub(super) fn seeded(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}
