//! One bank as a process of its own. See `README.md` beside this file.

#![forbid(unsafe_code)]

mod command;
mod logging;

use std::process::ExitCode;

fn main() -> ExitCode {
    command::main()
}
