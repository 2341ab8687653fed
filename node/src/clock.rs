//! The time.

use jiff::Timestamp;

/// The time now.
///
/// A local build may be told by a file to be so many seconds ahead: a key that counts from a time hours away
/// is tried out without waiting for it.
#[must_use]
pub fn now() -> Timestamp {
    let now = Timestamp::now();
    #[cfg(feature = "local")]
    let now = now.saturating_add(jiff::SignedDuration::from_secs(seconds_ahead())).unwrap_or(now);
    now
}

#[cfg(feature = "local")]
#[expect(clippy::disallowed_methods, reason = "a local build's own way")]
fn seconds_ahead() -> i64 {
    let file = std::env::var_os("KEYBOOT_NODE_SECONDS_AHEAD_FILE");
    let text = file.and_then(|file| std::fs::read_to_string(file).ok());
    text.and_then(|text| text.trim().parse().ok()).unwrap_or_default()
}
