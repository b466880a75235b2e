//! A file of an earlier format is brought to this one when it is opened, in one transaction.

use rusqlite::Connection;

use super::store::FORMAT_VERSION;
use crate::StoreSettings;
use crate::codec::decode_reservation;
use domain::time::UnixMillis;

/// From format version 2. What was given back was kept by request id. By sequence, it is only known to the billing store: that is asked.
const MIGRATE: &str = "
    ALTER TABLE state ADD COLUMN legacy_until INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE state ADD COLUMN refunds_dropped_until INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE state ADD COLUMN reserved_until INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE state ADD COLUMN older_reserved_until INTEGER NOT NULL DEFAULT 0;
    UPDATE state SET refunds_dropped_until = sequence WHERE EXISTS (SELECT 1 FROM undone);
    CREATE TABLE refunds (key BLOB PRIMARY KEY, record BLOB NOT NULL) WITHOUT ROWID;
    DROP TABLE undone;
";

/// Brings a file of format version 2 to this one. Fingerprints of then are known for as long as they may be remembered.
pub(super) fn migrate(connection: &mut Connection, settings: &StoreSettings) -> anyhow::Result<i64> {
    let transaction = connection.transaction()?;
    transaction.execute_batch(MIGRATE)?;
    let now = platform::clock::system_now();
    transaction.execute("UPDATE state SET legacy_until = max(now, ?1) + 2 * ?2", [now.get(), settings.window])?;
    // Until when reservations are open that any id is needed for.
    let reserved_until = latest_expiry(&transaction)?;
    transaction.execute("UPDATE state SET reserved_until = max(now, ?1), older_reserved_until = max(now, ?1)", [reserved_until.get()])?;
    transaction.pragma_update(None, "user_version", FORMAT_VERSION)?;
    transaction.commit()?;
    tracing::info!(version = FORMAT_VERSION, "the store was brought to this format version");
    Ok(FORMAT_VERSION)
}

fn latest_expiry(connection: &Connection) -> anyhow::Result<UnixMillis> {
    let mut statement = connection.prepare("SELECT record FROM reservations")?;
    let mut rows = statement.query([])?;
    let mut latest = UnixMillis::NONE;
    while let Some(row) = rows.next()? {
        latest = latest.max(decode_reservation(row.get_ref(0)?.as_blob()?)?.expires_at);
    }
    Ok(latest)
}
