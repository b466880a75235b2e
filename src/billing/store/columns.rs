//! Columns as what they mean: SQL keeps plain numbers and texts.

use sqlx::any::AnyRow;
use sqlx::{ColumnIndex, Row};

use domain::ids::{AccountId, RequestId};
use domain::money::Units;
use domain::time::UnixMillis;

/// Reads a column as what it means.
pub trait Columns {
    fn instant(&self, column: impl ColumnIndex<AnyRow>) -> Result<UnixMillis, sqlx::Error>;

    /// An amount.
    fn units(&self, column: impl ColumnIndex<AnyRow>) -> Result<Units, sqlx::Error>;

    fn account_id(&self, column: impl ColumnIndex<AnyRow>) -> Result<AccountId, sqlx::Error>;

    fn request_id(&self, column: impl ColumnIndex<AnyRow>) -> Result<RequestId, sqlx::Error>;
}

impl Columns for AnyRow {
    fn instant(&self, column: impl ColumnIndex<AnyRow>) -> Result<UnixMillis, sqlx::Error> {
        self.try_get(column).map(UnixMillis::new)
    }

    fn units(&self, column: impl ColumnIndex<AnyRow>) -> Result<Units, sqlx::Error> {
        self.try_get(column).map(Units::new)
    }

    fn account_id(&self, column: impl ColumnIndex<AnyRow>) -> Result<AccountId, sqlx::Error> {
        self.try_get(column).map(AccountId::new)
    }

    fn request_id(&self, column: impl ColumnIndex<AnyRow>) -> Result<RequestId, sqlx::Error> {
        self.try_get(column).map(RequestId::new)
    }
}
