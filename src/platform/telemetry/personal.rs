//! Customer data in logs: an account's id, and never more; hashed, if that is set.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};

use sha2::{Digest, Sha256};

use crate::config::LogAccountIds;

static HASHED: AtomicBool = AtomicBool::new(false);

/// Sets how account ids are written.
pub(super) fn set(how: LogAccountIds) {
    HASHED.store(how == LogAccountIds::Hashed, Ordering::Relaxed);
}

/// An account's id, as it is written to a log or a trace.
#[derive(Clone, Copy, Debug)]
pub struct LoggedAccount<'a>(pub &'a str);

impl fmt::Display for LoggedAccount<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match HASHED.load(Ordering::Relaxed) {
            true => hash(self.0, formatter),
            false => formatter.write_str(self.0),
        }
    }
}

/// The same digits as `printf %s ID | sha256sum | cut -c -16`, so that who knows the id finds its lines.
fn hash(id: &str, to: &mut impl fmt::Write) -> fmt::Result {
    Sha256::digest(id).iter().take(8).try_for_each(|byte| write!(to, "{byte:02x}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hashed_id_is_found_by_who_knows_the_id() {
        let mut text = String::new();
        hash("acme", &mut text).unwrap();
        assert_eq!(text, "822b33ad87c148a0");
    }
}
