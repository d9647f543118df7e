//! Times as text.

use time::OffsetDateTime;

/// Formats a time as `2026-11-21 22:17:06 UTC`.
pub(crate) fn readable(time: OffsetDateTime) -> String {
    let (date, clock) = (time.date(), time.time());
    format!("{date} {:02}:{:02}:{:02} UTC", clock.hour(), clock.minute(), clock.second())
}

/// Formats the present moment as `2026-11-21T22:17:06.123Z`.
pub(crate) fn now() -> String {
    let now = OffsetDateTime::now_utc();
    let (date, clock) = (now.date(), now.time());
    let (hour, minute, second, milli) = clock.as_hms_milli();
    format!("{date}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z")
}
