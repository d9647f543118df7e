//! Log lines on standard error.
//!
//! Log lines hold no secret and no score. They consist of names, sizes and stages. Types that hold a secret print
//! `<redacted>`.

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
