//! The key under which a request is remembered.

use std::fmt;
use std::hash::{Hash, Hasher};

use crate::digest::digested;
use domain::ids::{AccountId, RequestId};

/// The digest of (account, request id) under which a request, and a reservation, is kept.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct IdempotencyKey(pub [u8; 16]);

impl AsRef<[u8]> for IdempotencyKey {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Hash for IdempotencyKey {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        // A digest is as good a hash as any.
        hasher.write_u64(self.0.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes)));
    }
}

impl IdempotencyKey {
    /// The key of a request id of an account.
    #[must_use]
    pub fn of(account: &AccountId, request_id: &RequestId) -> Self {
        Self::within(account, request_id)
    }

    /// The key of a name that means something only within something else.
    #[must_use]
    pub fn within(whole: &str, name: &str) -> Self {
        Self(digested(|digest| {
            digest.text(whole);
            digest.bytes(name.as_bytes());
        }))
    }
}

impl fmt::Debug for IdempotencyKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_depends_on_where_the_account_id_ends() {
        assert_ne!(IdempotencyKey::of(&"ab".into(), &"c".into()), IdempotencyKey::of(&"a".into(), &"bc".into()));
    }
}
