//! Problems of a step, in plain words, with the remedy that the page offers.

use std::time::Duration;

use axum::http::StatusCode;
use serde::Serialize;

use crate::Error;
use crate::web::form::FieldProblem;
use subrosa_transport::with_causes;

/// Why a step was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// Step 1 has not been taken.
    KeyMissing,
    /// The key was not used for this long and has been wiped.
    KeyExpired(Duration),
    /// Step 2 has not been taken with this key.
    PurchaseMissing,
    /// Step 3 has not been taken for this purchase.
    AnswerMissing,
    /// Another key, purchase or answer has taken the place of the one that was meant.
    Replaced,
    /// Fields that cannot be used.
    Form(Vec<FieldProblem>),
    /// A body that is no request.
    Unreadable(String),
    /// No answer from the bank.
    BankAway {
        /// Where it should be.
        address: String,
        /// What happened instead.
        reason: String,
        /// Whether it was our own and has ended, so that we can start it again.
        ended: bool,
    },
    /// The bank's terms are no longer those that the key and the purchase were made for.
    BankChanged,
    /// The bank's server is not ours, so it cannot be started from here.
    NotOurBank,
    /// Something else.
    Other(String),
}

/// What helps against a problem: the page offers it as a button.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Remedy {
    /// Make a key.
    Key,
    /// Encrypt a purchase.
    Encrypt,
    /// Ask the bank.
    Ask,
    /// Correct the fields.
    Correct,
    /// The same again.
    Retry,
    /// Start the bank's server, then the same again.
    StartBank,
}

/// A problem as the page gets it.
#[derive(Debug, Serialize)]
pub struct View {
    code: &'static str,
    message: String,
    remedy: Option<Remedy>,
    fields: Vec<FieldProblem>,
}

impl Problem {
    /// What this is for a bank at `address` whose server is ours and has `ended`, or not.
    pub(crate) fn of(error: Error, address: &str, ended: bool) -> Self {
        match error {
            Error::Network { reason, .. } => {
                let reason = plain(&reason);
                Self::BankAway { address: address.to_owned(), reason, ended }
            }
            error => Self::Other(with_causes(&error)),
        }
    }

    /// The status of the answer.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::KeyMissing | Self::PurchaseMissing | Self::AnswerMissing | Self::NotOurBank => {
                StatusCode::CONFLICT
            }
            Self::KeyExpired(_) | Self::Replaced | Self::BankChanged => StatusCode::GONE,
            Self::Form(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Unreadable(_) => StatusCode::BAD_REQUEST,
            Self::BankAway { .. } => StatusCode::BAD_GATEWAY,
            Self::Other(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// What the page gets.
    pub fn view(&self) -> View {
        let fields = if let Self::Form(fields) = self { fields.clone() } else { Vec::new() };
        View { code: self.code(), message: self.message(), remedy: self.remedy(), fields }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::KeyMissing => "key-missing",
            Self::KeyExpired(_) => "key-expired",
            Self::PurchaseMissing => "purchase-missing",
            Self::AnswerMissing => "answer-missing",
            Self::Replaced => "replaced",
            Self::Form(_) => "form",
            Self::Unreadable(_) => "unreadable",
            Self::BankAway { .. } => "bank-away",
            Self::BankChanged => "bank-changed",
            Self::NotOurBank => "not-our-bank",
            Self::Other(_) => "other",
        }
    }

    fn message(&self) -> String {
        match self {
            Self::KeyMissing => "There is no key yet. Make one first.".to_owned(),
            Self::KeyExpired(idle) => {
                let after = duration(*idle);
                format!("The key was not used for {after} and has been wiped. Make a new one.")
            }
            Self::PurchaseMissing => "No purchase is encrypted yet. Do that first.".to_owned(),
            Self::AnswerMissing => "There is no answer to decrypt yet. Ask the bank first.".to_owned(),
            Self::Replaced => {
                "This purchase has been replaced by a newer one, perhaps in another tab. Encrypt it \
                               again."
                    .to_owned()
            }
            Self::Form(fields) if fields.len() == 1 => {
                "One value cannot be used; nothing was encrypted.".to_owned()
            }
            Self::Form(fields) => format!("{} values cannot be used; nothing was encrypted.", fields.len()),
            Self::Unreadable(reason) => format!("This request is not one that the page sends: {reason}."),
            Self::BankAway { address, reason, ended: false } => {
                format!("The bank’s server at {address} does not answer: {reason}.")
            }
            Self::BankAway { address, ended: true, .. } => {
                format!("The bank’s server at {address} has stopped.")
            }
            Self::BankChanged => {
                "The bank now asks for another form of query than when the key was made. Make a \
                                  new key."
                    .to_owned()
            }
            Self::NotOurBank => {
                "This bank’s server was started elsewhere and cannot be started from here.".to_owned()
            }
            Self::Other(reason) => format!("Something unexpected happened: {reason}."),
        }
    }

    fn remedy(&self) -> Option<Remedy> {
        match self {
            Self::KeyMissing | Self::KeyExpired(_) | Self::BankChanged => Some(Remedy::Key),
            Self::PurchaseMissing | Self::Replaced => Some(Remedy::Encrypt),
            Self::AnswerMissing => Some(Remedy::Ask),
            Self::Form(_) => Some(Remedy::Correct),
            Self::BankAway { ended: true, .. } => Some(Remedy::StartBank),
            Self::BankAway { ended: false, .. } | Self::Other(_) => Some(Remedy::Retry),
            Self::Unreadable(_) | Self::NotOurBank => None,
        }
    }
}

/// What the operating system says, without its number and with a small initial.
fn plain(reason: &str) -> String {
    let reason = reason.split(" (os error").next().unwrap_or(reason).trim_end_matches('.');
    let mut letters = reason.chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}

fn duration(idle: Duration) -> String {
    match idle.as_secs() {
        60 => "a minute".to_owned(),
        seconds if seconds % 60 == 0 => format!("{} minutes", seconds / 60),
        seconds => format!("{seconds} seconds"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Vec<Problem> {
        let away = |ended| {
            let error = Error::network("x", &"Connection refused (os error 111)");
            Problem::of(error, "127.0.0.1:9", ended)
        };
        let field = FieldProblem { name: "used_chip", message: "No.".to_owned() };
        vec![
            Problem::KeyMissing,
            Problem::KeyExpired(Duration::from_secs(900)),
            Problem::PurchaseMissing,
            Problem::AnswerMissing,
            Problem::Replaced,
            Problem::Form(vec![field]),
            Problem::Unreadable("expected a value".to_owned()),
            away(false),
            away(true),
            Problem::BankChanged,
            Problem::NotOurBank,
            Problem::of(Error::Data("two is odd".to_owned()), "127.0.0.1:9", false),
        ]
    }

    #[test]
    fn every_problem_is_a_sentence_and_an_error() {
        for problem in all() {
            let view = problem.view();
            assert!(view.message.ends_with('.') && !view.message.contains("  "), "{}", view.message);
            assert!(!view.message.contains("os error"), "{}", view.message);
            assert!(problem.status().is_client_error() || problem.status().is_server_error());
        }
    }

    #[test]
    fn a_bank_that_is_away_is_named_with_what_happened() {
        let view = all()[7].view();
        assert_eq!(view.message, "The bank’s server at 127.0.0.1:9 does not answer: connection refused.");
        assert_eq!(view.remedy, Some(Remedy::Retry));
        assert_eq!(all()[8].view().remedy, Some(Remedy::StartBank));
        assert!(all()[1].view().message.contains("15 minutes"));
    }
}
