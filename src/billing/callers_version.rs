//! The version of what is known of callers: it counts each change, so that copies are made again.

use sqlx::{AnyConnection, Row};

use super::BillingError;

pub(super) async fn count_change(connection: &mut AnyConnection) -> Result<(), BillingError> {
    sqlx::query("UPDATE callers_version SET version = version + 1 WHERE id = 1").execute(connection).await?;
    Ok(())
}

pub(super) async fn version(connection: &mut AnyConnection) -> Result<i64, BillingError> {
    Ok(sqlx::query("SELECT version FROM callers_version WHERE id = 1").fetch_one(connection).await?.try_get(0)?)
}
