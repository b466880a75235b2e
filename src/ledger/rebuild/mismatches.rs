//! What entries contradict.

use domain::ids::AccountId;

/// What an entry says does not follow from those before it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("entry {sequence} of account {account:?}: {what}")]
pub struct Inconsistency {
    /// The partition's sequence of the entry.
    pub sequence: u64,
    pub account: AccountId,
    /// What differs, for people.
    pub what: String,
}

/// What contradicts, gathered.
pub(super) struct Mismatches<'a> {
    pub sequence: u64,
    pub account: &'a AccountId,
    pub found: Vec<Inconsistency>,
}

impl Mismatches<'_> {
    pub fn add(&mut self, what: impl Into<String>) {
        self.found.push(Inconsistency { sequence: self.sequence, account: self.account.to_owned(), what: what.into() });
    }

    pub fn unless_equal<T: PartialEq + std::fmt::Display>(&mut self, what: &str, expected: T, found: T) {
        if expected != found {
            self.add(format!("{what} is {found}, and should be {expected}"));
        }
    }
}
