//! The bills that entries cut.

use sqlx::AnyConnection;

use super::BillingError;
use super::record::Record;
use super::settings::BillingSettings;
use super::store::Store;
use crate::domain::account::Millis;

/// Takes in records, in journal order, after their entries, totals and accounts were written in the same transaction.
pub async fn apply(_connection: &mut AnyConnection, _records: &[Record]) -> Result<(), BillingError> {
    Ok(())
}

/// Numbers the drafts that are good; answers how many it issued.
pub async fn issue(_store: &Store, _settings: &BillingSettings, _now: Millis) -> Result<usize, BillingError> {
    Ok(0)
}
