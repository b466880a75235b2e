//! Why billing gave no answer.

use std::sync::Arc;

/// Why the billing store gave no answer, or no good one.
#[derive(Clone, Debug, thiserror::Error)]
pub enum BillingError {
    /// The store is unavailable. What was written may or may not be kept; repeating a step is harmless.
    #[error("the billing store is unavailable: {0}")]
    Unavailable(Arc<str>),
    /// There is no such thing.
    #[error("there is no such {0}")]
    NotFound(&'static str),
    /// A field of what was asked for is wrong.
    #[error("{field} {problem}")]
    Invalid {
        /// Which.
        field: &'static str,
        /// The error, and what would be right.
        problem: String,
    },
    /// It is another ledger's.
    #[error("{0}")]
    Foreign(Arc<str>),
    /// A request id comes again with other content.
    #[error("the request_id was used for something else")]
    RequestIdReused,
    /// What the store holds makes no sense to this version.
    #[error("the billing store holds what this version cannot read: {0}")]
    Corrupt(Arc<str>),
}

/// What the pool says when it gave up; why is to be found out by [`super::store::Store::explain`].
pub(super) const NO_CONNECTION: &str = "there was no connection to it in time";

impl BillingError {
    /// The store is unavailable.
    pub fn unavailable(reason: impl std::fmt::Display) -> Self {
        Self::Unavailable(reason.to_string().into())
    }

    /// The store holds nothing of any ledger.
    pub fn no_ledger(reason: impl std::fmt::Display) -> Self {
        Self::Foreign(format!("the billing store knows no ledger: {reason}").into())
    }

    /// The store's content makes no sense.
    pub fn corrupt(reason: impl std::fmt::Display) -> Self {
        Self::Corrupt(reason.to_string().into())
    }
}

impl From<sqlx::Error> for BillingError {
    fn from(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::PoolTimedOut => Self::unavailable(NO_CONNECTION),
            sqlx::Error::ColumnNotFound(_)
            | sqlx::Error::ColumnDecode { .. }
            | sqlx::Error::ColumnIndexOutOfBounds { .. }
            | sqlx::Error::Decode(_)
            | sqlx::Error::RowNotFound
            | sqlx::Error::TypeNotFound { .. } => Self::corrupt(error),
            // What may not be there twice, or must be there, or must be so, is not.
            sqlx::Error::Database(database) if database.kind() != sqlx::error::ErrorKind::Other => Self::corrupt(error),
            _ => Self::unavailable(error),
        }
    }
}
