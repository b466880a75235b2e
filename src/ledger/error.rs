//! Why the ledger gave no answer, and what that says about the command.
//!
//! A caller gets to know what is known, so the engines tell apart what provably was not done from what may have been: a command that was sent,
//! and whose answer is lost, is [`LedgerError::Unknown`], whatever the reason.

use std::sync::Arc;

/// Why the ledger gave no answer. Repeating a command with its request id is safe in each case.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LedgerError {
    /// The store cannot be used. Nothing was done.
    #[error("the ledger's store is unavailable: {0}")]
    NotDone(Arc<str>),
    /// The command was sent, and its answer is lost: it may have been done.
    #[error("the outcome is unknown: {0}")]
    Unknown(Arc<str>),
    /// It was decided, and is not proved to be as durable as was promised: a failure may still undo it.
    #[error("its durability is unknown: {0}")]
    NotDurable(Arc<str>),
    /// Too much is waiting. Nothing was done.
    #[error("too many commands are waiting")]
    Busy,
    /// The journal is full, because nobody aggregates it. Nothing was done.
    #[error("the journal is full")]
    JournalFull,
    /// The store has no memory left. Nothing was done.
    #[error("the ledger's store has no memory left")]
    Full,
    /// What the store holds makes no sense to this version. Nothing was done.
    #[error("the ledger's store holds what this version cannot read: {0}")]
    Corrupt(Arc<str>),
}

impl LedgerError {
    /// The store cannot be used, and nothing was done.
    pub fn not_done(reason: impl std::fmt::Display) -> Self {
        Self::NotDone(reason.to_string().into())
    }

    /// The outcome of the command is unknown.
    pub fn unknown(reason: impl std::fmt::Display) -> Self {
        Self::Unknown(reason.to_string().into())
    }

    /// The store's content makes no sense, and nothing was done.
    pub fn corrupt(reason: impl std::fmt::Display) -> Self {
        Self::Corrupt(reason.to_string().into())
    }

    /// Its name, for those who count or trace it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::NotDone(_) => "not_done",
            Self::Unknown(_) => "unknown",
            Self::NotDurable(_) => "not_durable",
            Self::Busy => "busy",
            Self::JournalFull => "journal_full",
            Self::Full => "full",
            Self::Corrupt(_) => "corrupt",
        }
    }

    /// The same of a read, which changes nothing: its outcome is never unknown.
    #[must_use]
    pub fn of_read(self) -> Self {
        match self {
            Self::Unknown(reason) | Self::NotDurable(reason) => Self::NotDone(reason),
            other => other,
        }
    }

    /// The same of what follows on a step that was done or may have been: "nothing was done" would be untrue.
    #[must_use]
    pub fn after_step(self) -> Self {
        match self {
            Self::NotDone(reason) | Self::Corrupt(reason) => Self::Unknown(reason),
            Self::Busy | Self::JournalFull | Self::Full => Self::unknown(self),
            Self::Unknown(_) | Self::NotDurable(_) => self,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_follows_a_step_is_never_said_to_be_not_done() {
        for error in [LedgerError::not_done("a"), LedgerError::corrupt("a"), LedgerError::Busy, LedgerError::JournalFull, LedgerError::Full]
        {
            assert!(matches!(error.after_step(), LedgerError::Unknown(_)));
        }
        assert!(matches!(LedgerError::unknown("a").of_read(), LedgerError::NotDone(_)));
    }
}
