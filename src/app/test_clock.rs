//! A clock that stands at what a file says: for tests of a service that runs as its own process.

use std::path::Path;

use anyhow::Context;
use jiff::Timestamp;

use crate::clock::Clock;
use crate::domain::time::UnixMillis;

/// Reads the instant that the file holds.
pub fn read(path: &Path) -> anyhow::Result<UnixMillis> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read --test-clock {}", path.display()))?;
    let instant: Timestamp = text.trim().parse().with_context(|| format!("--test-clock {} holds no RFC 3339 instant", path.display()))?;
    Ok(UnixMillis::new(instant.as_millisecond()))
}

/// Sets the clock to what the file says, and tells whether that moved it. A file that is being written, or gone, leaves it where it is.
pub fn follow(path: &Path, clock: &Clock) -> bool {
    match read(path) {
        Ok(now) if now != clock.now() => {
            clock.set(now);
            tracing::debug!(now = now.get(), "the test clock was moved");
            true
        }
        Ok(_) => false,
        Err(error) => {
            tracing::debug!("the test clock stays: {error:#}");
            false
        }
    }
}
