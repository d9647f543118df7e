//! What a worker process does when anything in it panics.

use std::panic::{self, PanicHookInfo};
use std::process;
use std::thread;

/// Exit code of a process that has called [`exit_on_panic`] and in which a thread panicked.
pub const EXIT_CODE: i32 = 4;

/// From now on, a panic of any thread prints one line to standard error and ends the process with [`EXIT_CODE`].
///
/// For the `main` function of a worker process. The engine's threads may panic while others wait for them, and may panic again while they
/// are cleaned up, which would abort the process. The other workers notice that this one has gone.
pub fn exit_on_panic() {
    panic::set_hook(Box::new(|info| {
        eprintln!("{}", line(info));
        process::exit(EXIT_CODE);
    }));
}

fn line(info: &PanicHookInfo<'_>) -> String {
    let text = info.payload_as_str().unwrap_or("(no text)").replace('\n', " ");
    let thread = thread::current().name().unwrap_or("(no name)").to_owned();
    let place = info.location().map(|place| format!(" at {}:{}", place.file(), place.line()));
    format!("thread `{thread}` panicked{}: {text}", place.unwrap_or_default())
}
