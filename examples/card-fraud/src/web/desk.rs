//! The four steps with the bank's server. All calls block.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::exchange::Connection;
use crate::journal::{SHOWN_BYTES, Sight, first_bytes};
use crate::table::{FEATURE_NAMES, Purchase};
use crate::train::CLASSES;
use crate::web::bank::Bank;
use crate::web::form::Form;
use crate::web::problem::Problem;
use crate::web::session::{Key, Session, Taken};
use subrosa_decision_tree::ClientKey;
use subrosa_transport::with_causes;

/// Timeout for the bank's own report on a query, after its answer has come.
const JOURNAL_GRACE: Duration = Duration::from_millis(500);

/// Number of an answer's last bytes that are shown.
const ANSWER_SHOWN: usize = 64;

/// Where a query's parts begin: what everybody may know (kind, version, parameter set, the schema's id), the seed of
/// the public masks, and the ciphertexts' bodies.
const PARTS: [usize; 3] = [0, 40, 72];

/// The card holder's side of the page.
#[derive(Debug)]
pub struct Desk {
    bank: Bank,
    /// Time that the bank may take.
    grace: Duration,
    idle: Duration,
    session: Mutex<Session>,
}

/// How things stand.
#[derive(Debug, Serialize)]
pub struct State {
    bank: BankView,
    /// The card holder's process.
    process: u32,
    key: Option<KeyView>,
    expired: bool,
    /// Time without use after which a key is wiped, in seconds.
    idle_seconds: u64,
}

/// The bank as the page shows it.
#[derive(Debug, Serialize)]
pub struct BankView {
    address: String,
    process: Option<u32>,
    ended: bool,
    /// Where it has just been asked.
    answers: Option<bool>,
}

/// Step 1 as the page shows it. Of the key it shows only the size.
#[derive(Debug, Serialize)]
pub struct KeyView {
    bits: usize,
    parameters: String,
    milliseconds: f64,
}

/// Step 2 as the page shows it.
#[derive(Debug, Serialize)]
pub struct EncryptedView {
    number: u64,
    /// What stays with the card holder: each feature with its value.
    plain: Vec<(&'static str, f64)>,
    /// What will leave.
    bytes: usize,
    first: String,
    /// Where the parts of a query begin.
    parts: [usize; 3],
    milliseconds: f64,
}

/// Step 3 as the page shows it.
#[derive(Debug, Serialize)]
pub struct AnsweredView {
    sent_bytes: usize,
    answer_bytes: usize,
    /// The answer's last bytes: what stands before them is public.
    last: String,
    /// Time including the way there and back.
    milliseconds: f64,
    /// The bank's own report, if it gives one.
    bank_saw: Option<Sight>,
}

/// Step 4 as the page shows it.
#[derive(Debug, Serialize)]
pub struct VerdictView {
    verdict: &'static str,
    milliseconds: f64,
    total_milliseconds: f64,
}

impl Desk {
    /// Creates a desk without a key. The bank may take `grace` for a reply. A key is wiped after `idle` without use.
    pub fn new(bank: Bank, grace: Duration, idle: Duration) -> Self {
        Self { bank, grace, idle, session: Mutex::new(Session::new(idle, Instant::now())) }
    }

    /// Wipes a key that has not been used for too long.
    pub fn tidy(&self) {
        self.session().forget_if_idle(Instant::now());
    }

    /// How things stand.
    pub fn state(&self) -> State {
        self.state_with(None)
    }

    /// Returns the state, and whether the bank answers.
    pub fn look_for_bank(&self) -> State {
        self.state_with(Some(self.connect().is_ok()))
    }

    fn state_with(&self, answers: Option<bool>) -> State {
        self.tidy();
        let status = self.bank.status();
        let session = self.session();
        State {
            bank: BankView { address: status.address, process: status.process, ended: status.ended, answers },
            process: std::process::id(),
            key: session.key().map(KeyView::of),
            expired: session.has_expired(),
            idle_seconds: self.idle.as_secs(),
        }
    }

    /// Starts the bank's server again, if this program started it and it has ended.
    ///
    /// # Errors
    /// [`Problem::NotOurBank`]; [`Problem::Other`] where it does not start.
    pub fn start_bank(&self) -> Result<(), Problem> {
        match self.bank.start_again() {
            Ok(true) => Ok(()),
            Ok(false) => Err(Problem::NotOurBank),
            Err(error) => Err(Problem::Other(with_causes(&error))),
        }
    }

    /// Step 1: asks the bank for its terms and makes a key for them.
    ///
    /// # Errors
    /// [`Problem::BankAway`].
    pub fn make_key(&self) -> Result<KeyView, Problem> {
        let terms = self.connect()?.terms().clone();
        let start = Instant::now();
        let key = ClientKey::generate(terms.parameters, &mut rand::rng());
        let key = Key { key, terms, took: start.elapsed() };
        let view = KeyView::of(&key);
        self.session().set_key(key, Instant::now());
        Ok(view)
    }

    /// Step 2: encrypts. Nothing is sent.
    ///
    /// # Errors
    /// [`Problem::KeyMissing`], [`Problem::KeyExpired`], [`Problem::Form`].
    pub fn encrypt(&self, form: &Form) -> Result<EncryptedView, Problem> {
        let mut session = self.session();
        let mut purchase = Purchase::default();
        let (number, query, took) = session.encrypt(Instant::now(), |key| {
            purchase = form.purchase()?;
            let query = key.key.encrypt(&key.terms.schema, &purchase, &mut rand::rng());
            query.map_err(|error| Problem::Other(with_causes(&error)))
        })?;
        let bytes = query.to_bytes();
        Ok(EncryptedView {
            number,
            plain: FEATURE_NAMES.into_iter().zip(purchase).collect(),
            bytes: bytes.len(),
            first: first_bytes(&bytes),
            parts: PARTS,
            milliseconds: milliseconds(took),
        })
    }

    /// Step 3: sends purchase `number` and waits for the answer.
    ///
    /// # Errors
    /// As [`Session::asking`]; [`Problem::BankAway`]; [`Problem::BankChanged`].
    pub fn ask(&self, number: u64) -> Result<AnsweredView, Problem> {
        let asking = self.session().asking(number, Instant::now())?;
        let start = Instant::now();
        let mut connection = self.connect()?;
        if *connection.terms() != asking.terms {
            return Err(Problem::BankChanged);
        }
        let answer = connection.ask(&asking.query).map_err(|error| self.problem(error))?;
        let took = start.elapsed();
        let (sent, received) = (asking.query.to_bytes(), answer.to_bytes());
        self.session().set_answer(number, answer, took)?;
        Ok(AnsweredView {
            sent_bytes: sent.len(),
            answer_bytes: received.len(),
            last: first_bytes(
                received.get(received.len().saturating_sub(ANSWER_SHOWN)..).unwrap_or_default(),
            ),
            milliseconds: milliseconds(took),
            bank_saw: self.bank.sight(&first_bytes(&sent), JOURNAL_GRACE),
        })
    }

    /// Step 4: decrypts the answer about purchase `number`.
    ///
    /// # Errors
    /// As [`Session::decrypt`].
    pub fn decrypt(&self, number: u64) -> Result<VerdictView, Problem> {
        let (class, taken) = self.session().decrypt(number, Instant::now(), |key, answer| {
            let verdict = key.decrypt(answer).map_err(|error| Problem::Other(with_causes(&error)))?;
            let name = verdict.class().and_then(|class| CLASSES.get(class).copied());
            name.ok_or_else(|| Problem::Other("the answer is no verdict".to_owned()))
        })?;
        let Taken { decrypt, .. } = taken;
        Ok(VerdictView {
            verdict: class,
            milliseconds: milliseconds(decrypt),
            total_milliseconds: milliseconds(taken.total()),
        })
    }

    fn connect(&self) -> Result<Connection, Problem> {
        let address = self.bank.status().address;
        Connection::open(&address, self.grace).map_err(|error| self.problem(error))
    }

    fn problem(&self, error: crate::Error) -> Problem {
        let status = self.bank.status_after_failure();
        Problem::of(error, &status.address, status.ended)
    }

    fn session(&self) -> MutexGuard<'_, Session> {
        // A step that panicked changed either nothing or everything.
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl KeyView {
    fn of(key: &Key) -> Self {
        let parameters = key.key.parameters();
        let bits = parameters.key_bits();
        Self { bits, parameters: format!("{parameters:?}"), milliseconds: milliseconds(key.took) }
    }
}

/// Rounded to microseconds. More digits have no meaning.
fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

const _: () = assert!(PARTS[2] < SHOWN_BYTES, "the page shows something of the ciphertexts");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::FEATURE_NAMES;
    use subrosa_decision_tree::model::Precision;
    use subrosa_decision_tree::{Feature, ParameterSet, Schema};

    /// What the page says of a query's first bytes.
    #[test]
    fn a_query_is_a_public_head_a_fresh_seed_and_ciphertexts() {
        let features = FEATURE_NAMES.map(Feature::binary).to_vec();
        let (schema, mut rng) = (Schema::new(features, vec![], Precision::Double).unwrap(), rand::rng());
        let key = ClientKey::generate(ParameterSet::Standard, &mut rng);
        let row = [1.0, 2.0, 3.0, 1.0, 0.0, 0.0, 1.0];
        let [one, other] = [(); 2].map(|()| key.encrypt(&schema, &row, &mut rng).unwrap().to_bytes());
        assert_eq!(one.len(), other.len());
        let [_, seed, bodies] = PARTS;
        assert_eq!(one[..seed], other[..seed]);
        assert_eq!(one[8..seed], schema.id().as_bytes()[..]);
        assert_ne!(one[seed..bodies], other[seed..bodies]);
        // Of unrelated bytes, one in 256 is equal by chance.
        let alike = one[bodies..].iter().zip(&other[bodies..]).filter(|(a, b)| a == b).count();
        assert!(alike < (one.len() - bodies) / 100, "{alike}");
    }

    #[test]
    fn times_are_rounded_to_microseconds() {
        assert_eq!(milliseconds(Duration::from_nanos(1_234_567)).to_string(), "1.235");
    }
}
