//! Decryption as a protocol of its own.

use rand_core::CryptoRng;

use super::{Decrypted, DecryptionSettings, PROTOCOL, announce, decrypt_towards};
use crate::{DecryptionError, DecryptionPolicy, KeyShare, Ledger};
use subrosa_encoding::Hex;
use subrosa_paillier::{Blinded, Ciphertext};
use subrosa_transport::{Limits, Parameters, PerParty, Session, SessionError, Transport};

/// Steps D1 to D3 among the parties of a transport's roster, which are those of the key in its order. Each party
/// announces ciphertexts and reads their plaintexts.
///
/// ```
/// use subrosa_paillier::{Blinder, PrivateKey, Randomness};
/// use subrosa_threshold_decryption::protocol::{Decrypted, Decryption};
/// use subrosa_threshold_decryption::{AccessStructure, DecryptionError, dealer};
/// use subrosa_transport::{PerParty, testing::run_parties};
///
/// // 256 bits protect nothing: they keep this example short.
/// let mut rng = rand::rng();
/// let shares = dealer::deal(&PrivateKey::generate_insecure(256, &mut rng)?, AccessStructure::new(3, 1)?, &mut rng)?;
/// let blinder = Blinder::new(shares[0].key().public(), Randomness::Short, 1 << 16)?;
/// let mine = [blinder.encrypt(&42.into(), &mut rng)?];
/// // The first party has one ciphertext decrypted, the others have none.
/// let counts = PerParty::from_vec(vec![1, 0, 0]);
/// let results: Vec<Result<Decrypted, DecryptionError>> = run_parties(3, |me, transport| {
///     let mine = if me.index() == 0 { &mine[..] } else { &[] };
///     Decryption::new(&shares[me.index()]).run(transport, mine, &counts, &mut rand::rng())
/// });
/// for (result, expected) in results.into_iter().zip([vec![42.into()], vec![], vec![]]) {
///     assert_eq!(result?.plaintexts, expected);
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Security
/// A party that announces a ciphertext learns its plaintext, whoever encrypted it. Agree before on `counts`, and on the
/// ciphertexts that may be announced. A [`policy`](Self::policy) enforces the agreement.
#[derive(Debug)]
#[must_use = "nothing is decrypted before `run`"]
pub struct Decryption<'a> {
    share: &'a KeyShare,
    settings: DecryptionSettings,
    limits: Limits,
    policy: Option<&'a DecryptionPolicy>,
    ledger: Option<&'a mut Ledger>,
}

impl<'a> Decryption<'a> {
    /// Creates a decryption with a share, checked by proofs, with [`Limits::default`] and no policy.
    pub fn new(share: &'a KeyShare) -> Self {
        let (settings, limits) = (DecryptionSettings::new(), Limits::default());
        Self { share, settings, limits, policy: None, ledger: None }
    }

    /// Sets how the others' work is checked, and how long to wait for liars.
    pub fn settings(mut self, settings: DecryptionSettings) -> Self {
        self.settings = settings;
        self
    }

    /// Sets this party's time-outs and sizes. They do not concern a session that the caller opened.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Sets the policy that decides whether each of the others may have its ciphertexts decrypted. Each run begins with
    /// an empty ledger.
    pub fn policy(mut self, policy: &'a DecryptionPolicy) -> Self {
        self.policy = Some(policy);
        self
    }

    /// Sets a policy as [`policy`](Self::policy), with a ledger that is kept for several runs in one session.
    pub fn ledger(mut self, ledger: &'a mut Ledger) -> Self {
        self.ledger = Some(ledger);
        self
    }

    /// What the parties compare when their session opens: the key with its epoch, and the checks.
    #[must_use]
    pub fn parameters(&self) -> Parameters {
        let key = self.share.key();
        Parameters::new()
            .with("key", key.public().id())
            .with("epoch", key.lineage().epoch())
            .with("key digest", Hex(&key.digest()))
            .with("checks", self.settings.checks)
    }

    /// Opens a session for this protocol with these parameters.
    ///
    /// # Errors
    /// As [`Session::open`].
    pub fn open<T: Transport>(
        &self,
        transport: T,
        rng: &mut impl CryptoRng,
    ) -> Result<Session<T>, SessionError> {
        Session::open(transport, PROTOCOL, &self.parameters(), self.limits.clone(), rng)
    }

    /// Opens a session, announces `mine` and returns their plaintexts.
    ///
    /// # Arguments
    /// `counts` is the number of ciphertexts that each party may announce. It is equal at all parties.
    ///
    /// # Errors
    /// As [`announce`] and [`decrypt_towards`].
    pub fn run<T: Transport>(
        self,
        transport: T,
        mine: &[Blinded<Ciphertext>],
        counts: &PerParty<usize>,
        rng: &mut impl CryptoRng,
    ) -> Result<Decrypted, DecryptionError> {
        let mut session = self.open(transport, rng)?;
        self.run_in(&mut session, mine, counts, rng)
    }

    /// Runs as [`run`](Self::run), in a session that the caller opened. If an error ends the protocol, the others are
    /// told why.
    ///
    /// # Errors
    /// As [`run`](Self::run); a session for another protocol or with other parameters.
    pub fn run_in<T: Transport>(
        self,
        session: &mut Session<T>,
        mine: &[Blinded<Ciphertext>],
        counts: &PerParty<usize>,
        rng: &mut impl CryptoRng,
    ) -> Result<Decrypted, DecryptionError> {
        session.expect(PROTOCOL, &self.parameters())?;
        let mut fresh = self.policy.map(|policy| policy.ledger(session.id()));
        let ledger = self.ledger.or(fresh.as_mut());
        session.guard(|session| {
            let batches = announce(session, self.share.key().public(), mine, counts)?;
            decrypt_towards(session, self.share, &batches, &self.settings, ledger, rng)
        })
    }
}
