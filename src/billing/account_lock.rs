//! Who writes of an account's customer, and who erases the account, come one after the other.

use sqlx::AnyConnection;

use super::BillingError;
use super::store::Dialect;
use domain::ids::AccountId;

/// Has erasing the account wait until what this transaction writes of it is there to erase; and waits for an erasure under way.
pub async fn lock(connection: &mut AnyConnection, dialect: Dialect, account: &AccountId) -> Result<(), BillingError> {
    // SQLite has one writer at a time.
    if dialect == Dialect::Postgres {
        let sql = "SELECT 1 FROM accounts WHERE account = $1 FOR UPDATE";
        sqlx::query(sql).bind(account.to_string()).fetch_optional(connection).await?;
    }
    Ok(())
}
