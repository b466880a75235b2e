//! Which accounts, and which entries, a list is to hold.

use domain::account::{Account, Currency, Mode, Status};
use domain::entry::{Entry, EntryKind};
use domain::time::UnixMillis;

/// Which accounts. By default all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AccountFilter {
    /// Only of this mode.
    pub mode: Option<Mode>,
    /// Only of this status.
    pub status: Option<Status>,
    /// Only in this currency.
    pub currency: Option<Currency>,
}

impl AccountFilter {
    /// Whether it leaves none out.
    #[must_use]
    pub fn is_all(&self) -> bool {
        *self == Self::default()
    }

    /// Whether an account is among them.
    #[must_use]
    pub fn accepts(&self, account: &Account) -> bool {
        self.mode.is_none_or(|mode| mode == account.mode)
            && self.status.is_none_or(|status| status == account.status)
            && self.currency.is_none_or(|currency| currency == account.currency)
    }
}

/// Which entries of an account. By default all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EntryFilter {
    /// Only of these kinds; empty for all.
    pub kinds: Vec<EntryKind>,
    /// Only what was accepted at or after this.
    pub from: Option<UnixMillis>,
    /// Only what was accepted before this.
    pub to: Option<UnixMillis>,
}

impl EntryFilter {
    /// Whether it leaves none out.
    #[must_use]
    pub fn is_all(&self) -> bool {
        *self == Self::default()
    }

    /// Whether an entry is among them.
    #[must_use]
    pub fn accepts(&self, entry: &Entry) -> bool {
        (self.kinds.is_empty() || self.kinds.contains(&entry.kind())) && !self.is_over(entry) && self.to.is_none_or(|to| entry.time < to)
    }

    /// Whether neither an entry nor any before it of the same account is among them: an account's entries are in the order of their time.
    #[must_use]
    pub fn is_over(&self, entry: &Entry) -> bool {
        self.from.is_some_and(|from| entry.time < from)
    }
}
