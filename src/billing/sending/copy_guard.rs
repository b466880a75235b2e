//! Keeps a copy of the billing store from sending what its original has sent since the copy was made.
//!
//! The store remembers where it was when mail was last sent from it. If it is elsewhere now (restored from a backup, copied, moved, a
//! standby that took over) nothing is sent until an operator says how to go on: only they know what the original did.

use sqlx::{AssertSqlSafe, Row};

use crate::audit::{self, Act};
use crate::change::Applied;
use crate::change::Change;
use crate::issuer::MAIN;
use crate::store::Columns;
use crate::store::{Dialect, Store};
use crate::{Billing, BillingError};
use domain::time::UnixMillis;

impl Billing {
    /// Checks whether mail may be sent from here: since when it may not, or 0.
    pub async fn check_sending_place(&self, now: UnixMillis) -> Result<UnixMillis, BillingError> {
        let place = place(self.store()).await?;
        let sql = "INSERT INTO sending_place (issuer, place, held_since) VALUES ($1, $2, 0) ON CONFLICT (issuer) DO NOTHING";
        sqlx::query(sql).bind(MAIN).bind(place.clone()).execute(self.store().pool()).await?;
        // One that never sent anything, and is not to, can be copied and moved as one likes.
        let is_of_concern = "EXISTS (SELECT 1 FROM mails) OR EXISTS (SELECT 1 FROM sending WHERE is_enabled = 1)";
        let sql = format!(
            "UPDATE sending_place SET place = $1, held_since = CASE WHEN {is_of_concern} THEN $2 ELSE held_since END \
             WHERE issuer = $3 AND place <> $1"
        );
        let query = sqlx::query(AssertSqlSafe(sql)).bind(place).bind(now.max(UnixMillis::new(1)).get()).bind(MAIN);
        let moved = query.execute(self.store().pool()).await?.rows_affected() > 0;
        let held_since = self.sending_held_since().await?;
        if moved && held_since.is_some() {
            tracing::error!(
                "the billing store may be a copy of one that has sent more: no mail is sent until `tollgate sending go-on` says how"
            );
        }
        Ok(held_since)
    }

    /// Since when nothing is sent because the store may be a copy; 0 if it goes on.
    pub async fn sending_held_since(&self) -> Result<UnixMillis, BillingError> {
        let sql = "SELECT held_since FROM sending_place WHERE issuer = $1";
        let row = sqlx::query(sql).bind(MAIN).fetch_optional(self.store().pool()).await?;
        row.map_or(Ok(UnixMillis::NONE), |row| Ok(row.instant(0)?))
    }

    /// Resumes mail from a store that may be a copy: with waiting mails, or without. Returns how many are not sent.
    pub async fn go_on_sending(&self, with_waiting: bool, change: &Change) -> Result<(Applied, u64), BillingError> {
        let mut transaction = self.store().begin().await?;
        let connection = &mut *transaction;
        let asked = change.asked(&["go on", if with_waiting { "with what waits" } else { "without what waits" }]);
        if Self::note(connection, "sending", &asked, change).await? == Applied::Before {
            return Ok((Applied::Before, 0));
        }
        let mut skipped = 0;
        if !with_waiting {
            let sql = "UPDATE mails SET state = 'off', changed_at = $1, \
                       detail = 'not sent: the billing store may be a copy of one that has sent it' \
                       WHERE state IN ('waiting', 'deferred') OR state = 'sending' AND phase = 0";
            skipped = sqlx::query(sql).bind(change.at.get()).execute(&mut *connection).await?.rows_affected();
            let sql = "UPDATE mails SET state = 'unknown', changed_at = $1, \
                       detail = 'the billing store may be a copy, and the server may have taken it' WHERE state = 'sending'";
            sqlx::query(sql).bind(change.at.get()).execute(&mut *connection).await?;
        }
        let sql = "UPDATE sending_place SET held_since = 0 WHERE issuer = $1";
        sqlx::query(sql).bind(MAIN).execute(&mut *connection).await?;
        let dropped = i64::try_from(skipped).unwrap_or(i64::MAX);
        let act = Act::of("sending.gone_on", change).with("with_waiting", with_waiting).with("dropped", dropped);
        audit::write(connection, self.store().dialect(), audit::SERVICE, &[act]).await?;
        transaction.commit().await?;
        Ok((Applied::Now, skipped))
    }
}

/// Where a store is: the cluster, its timeline, database and table; or the file.
async fn place(store: &Store) -> Result<String, BillingError> {
    match store.dialect() {
        Dialect::Postgres => {
            let sql = "SELECT CAST(control.system_identifier AS TEXT) || '/' || CAST(checkpoint.timeline_id AS TEXT) || '/' || \
                       CAST((SELECT oid FROM pg_database WHERE datname = current_database()) AS TEXT) || '/' || \
                       CAST(CAST(CAST('mails' AS regclass) AS oid) AS TEXT) \
                       FROM pg_control_system() AS control, pg_control_checkpoint() AS checkpoint";
            Ok(sqlx::query(sql).fetch_one(store.pool()).await?.try_get(0)?)
        }
        Dialect::Sqlite => {
            use std::os::unix::fs::MetadataExt;

            let sql = "SELECT file FROM pragma_database_list WHERE name = 'main'";
            let path: String = sqlx::query(sql).fetch_one(store.pool()).await?.try_get(0)?;
            let metadata = std::fs::metadata(&path).map_err(|error| BillingError::unavailable(format!("{path}: {error}")))?;
            Ok(format!("inode {}", metadata.ino()))
        }
    }
}
