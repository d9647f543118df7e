//! Log lines on standard error.
//!
//! Nothing that is logged holds a secret or a score: types that hold any print `<redacted>`, and sizes and names of what
//! is going on are all that the lines are made of.

use tracing::Level;

use bank_node::config::{LogFormat, LogLevel};

/// Begins to log.
pub(crate) fn start(format: LogFormat, level: LogLevel) {
    let level = match level {
        LogLevel::Error => Level::ERROR,
        LogLevel::Warn => Level::WARN,
        LogLevel::Info => Level::INFO,
        LogLevel::Debug => Level::DEBUG,
    };
    let lines =
        tracing_subscriber::fmt().with_max_level(level).with_writer(std::io::stderr).with_target(false);
    match format {
        LogFormat::Readable => lines.with_ansi(false).init(),
        LogFormat::Json => lines.json().flatten_event(true).init(),
    }
}
