//! One restoration at a time: a second would replace what the first has noted of where accounts go, or empty partitions that are in use again.
//!
//! What says that there is one goes with its process, however that ends: a lock of a connection to PostgreSQL, and of the folder of a SQLite
//! file. (A lock on that file itself would be SQLite's own affair.)

use std::fs::{File, TryLockError};
use std::path::Path;
use std::time::Duration;

use sqlx::{AnyConnection, Row};
use tokio::time::{Instant, sleep};

use crate::store::Dialect;
use crate::{Billing, BillingError};

/// The advisory lock of PostgreSQL: of this database only.
const LOCK: i64 = 0x746f_6c6c_7265_7374;

/// For how long it is waited for another to end: that one which was killed is gone may take a moment to be known.
const PATIENCE: Duration = Duration::from_secs(5);
const LOOK: Duration = Duration::from_millis(100);

/// As long as it is there, no other restoration from the billing store begins.
#[derive(Debug)]
pub(super) struct RestorationLock {
    /// That holds the lock of the database.
    connection: Option<Box<AnyConnection>>,
    /// That holds the lock of the folder.
    _folder: Option<File>,
}

impl RestorationLock {
    /// Waits for a moment until no other restoration is under way.
    pub(super) async fn claim(billing: &Billing) -> Result<Self, BillingError> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let claimed = match billing.store().dialect() {
                Dialect::Postgres => Self::lock_database(billing).await?,
                Dialect::Sqlite => Self::lock_folder(billing).await?,
            };
            match claimed {
                Some(lock) => return Ok(lock),
                None if Instant::now() >= deadline => {
                    let problem = "is being restored from by another process: wait until that has ended, or end it".to_owned();
                    return Err(BillingError::Invalid { field: "--billing", problem });
                }
                None => sleep(LOOK).await,
            }
        }
    }

    async fn lock_database(billing: &Billing) -> Result<Option<Self>, BillingError> {
        let mut connection = billing.store().pool().acquire().await?;
        let sql = "SELECT CAST(CAST(pg_try_advisory_lock($1) AS INTEGER) AS BIGINT)";
        let is_locked: i64 = sqlx::query(sql).bind(LOCK).fetch_one(&mut *connection).await?.try_get(0)?;
        // The pool must neither use it for others nor close it.
        Ok((is_locked == 1).then(|| Self { connection: Some(Box::new(connection.detach())), _folder: None }))
    }

    async fn lock_folder(billing: &Billing) -> Result<Option<Self>, BillingError> {
        let sql = "SELECT CAST(file AS TEXT) FROM pragma_database_list WHERE name = 'main'";
        let file: String = sqlx::query(sql).fetch_one(billing.store().pool()).await?.try_get(0)?;
        let folder = File::open(Path::new(&file).parent().unwrap_or(Path::new("."))).map_err(BillingError::unavailable)?;
        match folder.try_lock() {
            Ok(()) => Ok(Some(Self { connection: None, _folder: Some(folder) })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(BillingError::unavailable(error)),
        }
    }

    /// Refuses to go on where the lock is lost, because its connection is.
    pub(super) async fn check(&mut self) -> Result<(), BillingError> {
        if let Some(connection) = &mut self.connection {
            sqlx::query("SELECT 1").execute(&mut **connection).await?;
        }
        Ok(())
    }
}
