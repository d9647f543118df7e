//! Checks that compile something; the quick ones are the tests of this package.

#![forbid(unsafe_code)]

use std::process::ExitCode;

use subrosa_checks::{api, features, first_hour};

fn main() -> ExitCode {
    let check = std::env::args().nth(1).unwrap_or_default();
    let outcome = match check.as_str() {
        "api" => api::check(),
        "features" => features::check(),
        "first-hour" => first_hour::check(),
        _ => {
            eprintln!("usage: subrosa-checks api | features | first-hour");
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::FAILURE
        }
    }
}
