//! What a run will cost a bank, counted from its network before anything is computed.
//!
//! Counts are exact where they say so and estimates otherwise: how long a product takes depends on the weights, of which a
//! forecast assumes that they are as long as the plan allows.

use std::time::{Duration, Instant};

use num_bigint::BigInt;
use rand_core::CryptoRng;

use crate::error::Error;
use crate::plan::Plan;
use crate::steps::agreement::Agreed;
use crate::steps::agreement::senders;
use crate::steps::disclosure;
use crate::steps::messages::CHUNK;
use crate::steps::randomness::Streams;
use crate::steps::scores::{blocks, is_hub, uses, window};
use subrosa_arith::{GROUP, Residue, SecretInt, sample};
use subrosa_paillier::{Blinder, DEFAULT_TABLE_BYTES, PublicKey};
use subrosa_transport::DEFAULT_WINDOW;

/// What a partial decryption takes with its part in the proofs that are made and verified, as measured.
const WITH_PROOFS: f64 = 1.066;

/// What a run costs one bank.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Forecast {
    /// Own accounts.
    pub accounts: usize,
    /// Own accounts whose scores are withheld, since too few foreign senders determine them. Exact.
    pub withheld: usize,
    /// Ciphertexts that are blinded: scores that are sent, packed ones, noise. Exact.
    pub blindings: u64,
    /// Partial decryptions, each a power with the key share: of the own ciphertexts and, as with proofs, of those of t other
    /// banks, for the largest t. An estimate where banks have different numbers; more where a bank fails.
    pub partial_decryptions: u64,
    /// Multiplications and squarings modulo N² in the iterations and in packing. An estimate, usually somewhat too high.
    pub multiplications: u64,
    /// Own ciphertexts that are decrypted. Exact.
    pub ciphertexts: usize,
    /// Bytes of ciphertexts that the bank sends, but for partial decryptions exact; names, headers, hashes and proofs come on top.
    pub bytes_sent: u64,
    /// Bytes of memory for ciphertexts, tables and scores at the worst moment. An estimate; the network comes on top.
    pub memory: u64,
}

impl Forecast {
    /// Counts what a run costs the bank of `agreed`. `others` is how many ciphertexts all other banks hand in together.
    ///
    /// # Errors
    /// [`Error::Internal`] where plan and network do not belong together.
    pub fn new(agreed: &Agreed, plan: &Plan, others: usize) -> Result<Self, Error> {
        let network = agreed.network();
        let ciphertext = (plan.key_bits() as u64 * 2).div_ceil(64) * 8;
        let disclosed = senders::disclosed(network, plan)?.len();
        let own = disclosure::ciphertexts(disclosed, plan);
        let table = DEFAULT_TABLE_BYTES as u64 / 4;
        let mut forecast = Self {
            accounts: network.account_count(),
            withheld: senders::withheld(network, plan)?.len(),
            ciphertexts: own,
            ..Self::default()
        };
        let mut mixed = vec![false; network.account_count()];
        for &step in plan.steps() {
            let sent: usize =
                network.banks().iter().map(|bank| agreed.exports(step.period, bank).len()).sum();
            let exported = agreed.exported(step.period).len() as u64;
            forecast.blindings += exported;
            forecast.bytes_sent += sent as u64 * ciphertext;

            let bits = u64::from(plan.weight_bits());
            // Beyond the own accounts are the foreign ones.
            let arrives = |node: usize| mixed.get(node).copied().unwrap_or(true);
            let mut next = mixed.clone();
            let mut largest = 0;
            for block in blocks(agreed, step.period)? {
                let (hubs, others): (Vec<usize>, Vec<usize>) =
                    block.clone().partition(|account| is_hub(network, step.period, *account));
                for &hub in &hubs {
                    let (senders, _) = network.edges_of(step.period, hub)?;
                    let terms = senders.iter().filter(|sender| arrives(sender.index())).count() as u64;
                    // In windows of 8 bits, one multiplication in each.
                    forecast.multiplications += terms * bits.div_ceil(8);
                }
                let uses = uses(agreed, step, others, arrives)?;
                let entries: u64 = uses.iter().map(|(_, uses)| 1 << (window(*uses) - 1)).sum();
                let terms: u64 =
                    uses.iter().map(|(_, uses)| u64::from(*uses) * bits / u64::from(window(*uses) + 1)).sum();
                forecast.multiplications += entries + terms;
                largest = largest.max(entries);
                for account in block {
                    let (senders, _) = network.edges_of(step.period, account)?;
                    if arrives(account) || senders.iter().any(|sender| arrives(sender.index())) {
                        forecast.multiplications += bits;
                        if let Some(next) = next.get_mut(account) {
                            *next = true;
                        }
                    }
                }
            }
            let count = |mixed: &[bool]| mixed.iter().filter(|mixed| **mixed).count() as u64;
            let imports = network.banks().iter().map(|bank| agreed.imports(step.period, bank).len());
            let imported = imports.sum::<usize>();
            let held = imported as u64 + count(&mixed);
            let rows = 2 * mixed.len() as u64 * ((plan.slot_bits() * plan.columns()) as u64).div_ceil(64) * 8;
            // Chunks on their way, one way and the other: they leave as the iteration begins.
            let window = DEFAULT_WINDOW * CHUNK * plan.noise_contributors();
            let moving = sent.min(window) + imported.min(window);
            let most = held + exported.max(largest + count(&next)) + moving as u64;
            forecast.memory = forecast.memory.max(table + rows + most * ciphertext);
            mixed = next;
        }
        let width = (plan.slot_bits() * plan.columns()) as u64;
        forecast.multiplications += disclosed.saturating_sub(own) as u64 * width + disclosed as u64;
        forecast.blindings += (own + others) as u64;
        let receivers = plan.noise_contributors();
        // 2t is at most the number of other banks.
        let helped = (others * (receivers / 2)).div_ceil(receivers.max(1));
        forecast.partial_decryptions = (own + helped) as u64;
        // Announcement and noise go to everybody, partial decryptions to their owners.
        forecast.bytes_sent += ciphertext * (receivers * (own + others) + helped) as u64;
        Ok(forecast)
    }

    /// Processor time of all threads together, for a machine that was calibrated.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    pub fn processor_time(&self, machine: &Calibration) -> Duration {
        let seconds = self.blindings as f64 * machine.blinding
            + self.partial_decryptions as f64 * machine.partial_decryption * WITH_PROOFS
            + self.multiplications as f64 * machine.multiplication;
        Duration::from_secs_f64(seconds)
    }
}

impl std::fmt::Display for Forecast {
    #[expect(clippy::cast_precision_loss, reason = "shown with one digit")]
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "accounts                  {}", self.accounts)?;
        if self.withheld > 0 {
            writeln!(f, "scores withheld           {}", self.withheld)?;
        }
        writeln!(f, "blindings                 {}", self.blindings)?;
        writeln!(f, "multiplications           about {}", self.multiplications)?;
        writeln!(f, "own ciphertexts to read   {}", self.ciphertexts)?;
        writeln!(f, "partial decryptions       {}", self.partial_decryptions)?;
        writeln!(f, "ciphertexts sent          {:.1} MB", self.bytes_sent as f64 / 1e6)?;
        write!(f, "memory                    about {:.1} MB and the network", self.memory as f64 / 1e6)
    }
}

/// How fast one thread of a machine is, in seconds for each, where eight are computed together as in a run.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Calibration {
    /// A multiplication modulo N².
    pub multiplication: f64,
    /// Blinding a ciphertext.
    pub blinding: f64,
    /// A partial decryption.
    pub partial_decryption: f64,
}

impl Calibration {
    /// Measures for about `budget`, on one thread. What else the machine does at the time counts too.
    ///
    /// # Errors
    /// [`Error::Paillier`] where the blinding table does not fit, which it does for every key.
    #[expect(clippy::cast_precision_loss, reason = "eight")]
    pub fn measure(key: &PublicKey, budget: Duration, rng: &mut impl CryptoRng) -> Result<Self, Error> {
        let third = budget / 3;
        let modulus = key.modulus_squared();
        let mut draw = || modulus.residue(&sample::random_below(rng, modulus.value()));
        let factors: Vec<Residue> = (0..GROUP).map(|_| draw()).collect();
        let pairs: Vec<_> = factors.iter().zip(factors.iter().rev()).collect();
        let each = 1.0 / GROUP as f64;
        let multiplication = repeat(third, || drop(modulus.mul_batch(&pairs))) * each;
        let blinder = Blinder::with_default_table(key)?;
        let trivial = key.encrypt_unblinded(&BigInt::from(1))?;
        let streams = Streams::draw(rng);
        let mut generators: Vec<_> = (0..).map(|number| streams.stream(number)).take(GROUP).collect();
        let mut failed = None;
        let blinding = repeat(third, || {
            for randomiser in blinder.randomisers(&mut generators) {
                failed = blinder.blind_with(&trivial, randomiser).err().or(failed.take());
            }
        }) * each;
        if let Some(error) = failed {
            return Err(error.into());
        }
        // About the length of a share for a few parties.
        let share = SecretInt::random_bits(rng, 2 * key.bits() + 100);
        let partial_decryption = repeat(third, || drop(modulus.pow_batch(&factors, &share))) * each;
        Ok(Self { multiplication, blinding, partial_decryption })
    }
}

/// Seconds for one of as many runs as fit the time, at least one.
fn repeat(time: Duration, mut job: impl FnMut()) -> f64 {
    let (start, mut runs) = (Instant::now(), 0_u32);
    loop {
        job();
        runs += 1;
        if start.elapsed() >= time {
            return start.elapsed().as_secs_f64() / f64::from(runs);
        }
    }
}
