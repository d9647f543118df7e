//! Key, purchase and answer, and the order in which they come about.
//!
//! Each step discards the results of later steps: a new key discards the purchase, and a new purchase discards the answer.
//! Each purchase has a number, so that a second tab cannot confuse two purchases.

use std::time::{Duration, Instant};

use crate::web::problem::Problem;
use subrosa_decision_tree::service::Terms;
use subrosa_decision_tree::{Answer, ClientKey, Query};

/// What the card holder's process holds for the page.
#[derive(Debug)]
pub struct Session {
    /// How long a key may lie unused.
    idle: Duration,
    last_use: Instant,
    /// The number of the last purchase.
    number: u64,
    key: Option<Key>,
    /// Whether the last key was wiped because nobody used it.
    expired: bool,
    purchase: Option<Purchase>,
    answer: Option<Answered>,
}

/// A secret key, for the bank's terms.
///
/// # Security
/// It is wiped when it is replaced, when it has not been used for a while, and when the process ends in order. It is
/// never sent to the page.
#[derive(Debug)]
pub struct Key {
    /// The key.
    pub key: ClientKey,
    /// What the bank asks for.
    pub terms: Terms,
    /// How long it took to draw.
    pub took: Duration,
}

#[derive(Debug)]
struct Purchase {
    query: Query,
    took: Duration,
}

#[derive(Debug)]
struct Answered {
    answer: Answer,
    took: Duration,
}

/// What is to be asked.
#[derive(Debug)]
pub struct Asking {
    /// The encrypted purchase.
    pub query: Query,
    /// The terms that it was made for.
    pub terms: Terms,
}

/// How long each step took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// Making the key.
    pub key: Duration,
    /// Encrypting.
    pub encrypt: Duration,
    /// Asking, with the way there and back.
    pub ask: Duration,
    /// Decrypting.
    pub decrypt: Duration,
}

impl Taken {
    /// All four together.
    pub fn total(&self) -> Duration {
        self.key + self.encrypt + self.ask + self.decrypt
    }
}

impl Session {
    /// Nothing yet. A key is wiped when it has not been used for `idle`.
    pub fn new(idle: Duration, now: Instant) -> Self {
        Self { idle, last_use: now, number: 0, key: None, expired: false, purchase: None, answer: None }
    }

    /// Wipes everything if it has not been used for too long.
    pub fn forget_if_idle(&mut self, now: Instant) {
        if self.key.is_some() && now.saturating_duration_since(self.last_use) >= self.idle {
            self.forget();
            self.expired = true;
        }
    }

    fn forget(&mut self) {
        (self.key, self.purchase, self.answer) = (None, None, None);
    }

    /// The key, if there is one.
    pub fn key(&self) -> Option<&Key> {
        self.key.as_ref()
    }

    /// Whether the last key was wiped because it was not used.
    pub fn has_expired(&self) -> bool {
        self.expired
    }

    /// Step 1: takes a new key.
    pub fn set_key(&mut self, key: Key, now: Instant) {
        self.forget();
        (self.key, self.expired, self.last_use) = (Some(key), false, now);
    }

    /// The key for a step that needs it.
    ///
    /// # Errors
    /// [`Problem::KeyMissing`]; [`Problem::KeyExpired`].
    fn use_key(&mut self, now: Instant) -> Result<&Key, Problem> {
        self.forget_if_idle(now);
        self.last_use = now;
        let missing = if self.expired { Problem::KeyExpired(self.idle) } else { Problem::KeyMissing };
        self.key.as_ref().ok_or(missing)
    }

    /// Step 2: encrypts, by `encrypt`, and gives the purchase its number.
    ///
    /// # Errors
    /// As [`Problem::KeyMissing`] and [`Problem::KeyExpired`] say, and from `encrypt`; what was there stays then.
    pub fn encrypt(
        &mut self,
        now: Instant,
        encrypt: impl FnOnce(&Key) -> Result<Query, Problem>,
    ) -> Result<(u64, &Query, Duration), Problem> {
        let key = self.use_key(now)?;
        let start = Instant::now();
        let query = encrypt(key)?;
        let took = start.elapsed();
        self.number += 1;
        self.answer = None;
        let purchase = self.purchase.insert(Purchase { query, took });
        Ok((self.number, &purchase.query, took))
    }

    /// Step 3 begins: what to ask about purchase `number`.
    ///
    /// # Errors
    /// [`Problem::KeyMissing`], [`Problem::KeyExpired`], [`Problem::PurchaseMissing`], [`Problem::Replaced`].
    pub fn asking(&mut self, number: u64, now: Instant) -> Result<Asking, Problem> {
        let terms = self.use_key(now)?.terms.clone();
        let query = self.purchase(number)?.query.clone();
        Ok(Asking { query, terms })
    }

    /// Step 3 ends: the bank's answer about purchase `number`, for which the page waited `took`.
    ///
    /// # Errors
    /// [`Problem::PurchaseMissing`] and [`Problem::Replaced`], where the purchase has changed meanwhile.
    pub fn set_answer(&mut self, number: u64, answer: Answer, took: Duration) -> Result<(), Problem> {
        self.purchase(number)?;
        self.answer = Some(Answered { answer, took });
        Ok(())
    }

    /// Step 4: decrypts, by `decrypt`, the answer about purchase `number`.
    ///
    /// # Errors
    /// As [`Self::asking`], and [`Problem::AnswerMissing`], and from `decrypt`.
    pub fn decrypt<T>(
        &mut self,
        number: u64,
        now: Instant,
        decrypt: impl FnOnce(&ClientKey, &Answer) -> Result<T, Problem>,
    ) -> Result<(T, Taken), Problem> {
        self.use_key(now)?;
        let encrypt = self.purchase(number)?.took;
        let answered = self.answer.as_ref().ok_or(Problem::AnswerMissing)?;
        let key = self.key.as_ref().ok_or(Problem::KeyMissing)?;
        let start = Instant::now();
        let verdict = decrypt(&key.key, &answered.answer)?;
        Ok((verdict, Taken { key: key.took, encrypt, ask: answered.took, decrypt: start.elapsed() }))
    }

    fn purchase(&self, number: u64) -> Result<&Purchase, Problem> {
        let purchase = self.purchase.as_ref().ok_or(Problem::PurchaseMissing)?;
        if number == self.number { Ok(purchase) } else { Err(Problem::Replaced) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generate::purchases;
    use crate::train::{Labelled, TrainOptions, train};
    use subrosa_decision_tree::{Evaluator, ParameterSet};

    const IDLE: Duration = Duration::from_secs(900);
    const DEAR: [f64; 7] = [3.0, 1.0, 20.0, 1.0, 1.0, 0.0, 1.0];

    fn evaluator() -> Evaluator {
        let (rows, labels) = purchases(2_000, 3);
        let trained = train(&Labelled { rows, labels }, &TrainOptions::default()).unwrap();
        Evaluator::new(trained.quantized, ParameterSet::Standard).unwrap()
    }

    fn key(evaluator: &Evaluator) -> Key {
        let parameters = evaluator.parameters();
        let terms = Terms { schema: evaluator.model().schema().clone(), parameters };
        Key { key: ClientKey::generate(parameters, &mut rand::rng()), terms, took: Duration::from_millis(1) }
    }

    fn encrypt(key: &Key) -> Result<Query, Problem> {
        Ok(key.key.encrypt(&key.terms.schema, &DEAR, &mut rand::rng()).unwrap())
    }

    fn class(key: &ClientKey, answer: &Answer) -> Result<Option<usize>, Problem> {
        Ok(key.decrypt(answer).unwrap().class())
    }

    #[test]
    fn four_steps_in_order_give_the_verdict() {
        let (evaluator, now) = (evaluator(), Instant::now());
        let mut session = Session::new(IDLE, now);
        session.set_key(key(&evaluator), now);
        let number = session.encrypt(now, encrypt).unwrap().0;
        let asking = session.asking(number, now).unwrap();
        let answer = evaluator.evaluate(&asking.query, &mut rand::rng()).unwrap();
        session.set_answer(number, answer, Duration::from_millis(5)).unwrap();
        let (verdict, taken) = session.decrypt(number, now, class).unwrap();
        assert_eq!(verdict, Some(1));
        assert!(taken.total() >= Duration::from_millis(6) && !taken.encrypt.is_zero());
    }

    #[test]
    fn steps_out_of_order_say_what_is_missing() {
        let (evaluator, now) = (evaluator(), Instant::now());
        let mut session = Session::new(IDLE, now);
        assert_eq!(session.encrypt(now, encrypt).unwrap_err(), Problem::KeyMissing);
        assert_eq!(session.asking(0, now).unwrap_err(), Problem::KeyMissing);
        assert_eq!(session.decrypt(0, now, class).unwrap_err(), Problem::KeyMissing);
        session.set_key(key(&evaluator), now);
        assert_eq!(session.asking(0, now).unwrap_err(), Problem::PurchaseMissing);
        assert_eq!(session.decrypt(0, now, class).unwrap_err(), Problem::PurchaseMissing);
        let number = session.encrypt(now, encrypt).unwrap().0;
        assert_eq!(session.decrypt(number, now, class).unwrap_err(), Problem::AnswerMissing);
    }

    #[test]
    fn a_new_purchase_or_key_replaces_what_rested_on_the_old_one() {
        let (evaluator, now) = (evaluator(), Instant::now());
        let mut session = Session::new(IDLE, now);
        session.set_key(key(&evaluator), now);
        let old = session.encrypt(now, encrypt).unwrap().0;
        let answer = evaluator.evaluate(&session.asking(old, now).unwrap().query, &mut rand::rng()).unwrap();
        let new = session.encrypt(now, encrypt).unwrap().0;
        assert_eq!(session.asking(old, now).unwrap_err(), Problem::Replaced);
        // An answer that comes too late is not taken for the new purchase's.
        assert_eq!(session.set_answer(old, answer.clone(), IDLE).unwrap_err(), Problem::Replaced);
        assert_eq!(session.decrypt(new, now, class).unwrap_err(), Problem::AnswerMissing);
        session.set_answer(new, answer, IDLE).unwrap();
        session.set_key(key(&evaluator), now);
        assert_eq!(session.asking(new, now).unwrap_err(), Problem::PurchaseMissing);
        // A purchase that cannot be encrypted leaves the one before it in place.
        let kept = session.encrypt(now, encrypt).unwrap().0;
        assert!(session.encrypt(now, |_| Err(Problem::Other("no".into()))).is_err());
        assert!(session.asking(kept, now).is_ok());
    }

    #[test]
    fn a_key_that_nobody_uses_is_wiped_and_the_page_is_told() {
        let (evaluator, now) = (evaluator(), Instant::now());
        let mut session = Session::new(IDLE, now);
        session.set_key(key(&evaluator), now);
        // Each use counts anew.
        let number = session.encrypt(now + IDLE / 2, encrypt).unwrap().0;
        assert!(session.asking(number, now + IDLE).is_ok());
        session.forget_if_idle(now + IDLE * 2 - Duration::from_secs(1));
        assert!(session.key().is_some());
        session.forget_if_idle(now + IDLE * 2);
        assert!(session.key().is_none() && session.has_expired());
        let later = now + IDLE * 3;
        assert_eq!(session.asking(number, later).unwrap_err(), Problem::KeyExpired(IDLE));
        session.set_key(key(&evaluator), later);
        assert!(!session.has_expired());
        // Also where no timer has looked.
        assert_eq!(session.encrypt(later + IDLE, encrypt).unwrap_err(), Problem::KeyExpired(IDLE));
    }
}
