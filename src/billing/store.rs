//! The billing store: PostgreSQL, or SQLite for the embedded default; and the little in which the two differ.
//!
//! All goes through sqlx's `Any`, within what both understand alike: BIGINT and TEXT, parameters numbered by hand, casts around SUM, no
//! FOR UPDATE. [`rows`] writes and looks up many rows at once.

mod columns;
mod foreign;
mod migrations;
mod probe;
pub mod rows;

pub use columns::Columns;

use std::fmt;
use std::future::ready;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Once};
use std::time::Duration;

use sqlx::any::AnyPoolOptions;
use sqlx::{Any, AnyConnection, AnyPool, ConnectOptions, Connection, Executor, Row, Transaction};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, sleep, timeout};

use self::migrations::{MIGRATIONS, has_migrations, version};
use super::BillingError;
use super::error::NO_CONNECTION;
use domain::time::UnixMillis;

/// The place that a backup says it is at: nowhere.
pub(crate) const COPY: &str = "a copy";

/// How many connections one process opens.
const MAX_CONNECTIONS: u32 = 8;

/// How many of them work on many accounts has at once.
const OF_MANY: usize = 3;

/// How long to wait for a connection.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long to look for why there is no connection.
const EXPLANATION_LIMIT: Duration = Duration::from_secs(2);

/// How long a caller waits for the tables to be made.
const TABLES_PATIENCE: Duration = Duration::from_secs(2);

/// How often to look whether they are.
const TABLES_PAUSE: Duration = Duration::from_millis(20);

/// How long to wait in SQLite for other writers: it serves them in no order, so one may be passed over for a while.
const WRITER_PATIENCE: Duration = Duration::from_secs(30);

/// Which database it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    Postgres,
    Sqlite,
}

/// The billing store. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    pool: AnyPool,
    dialect: Dialect,
    place: Arc<str>,
    many: Arc<Semaphore>,
    /// Once the tables were seen to be up to date.
    is_ready: Arc<AtomicBool>,
}

impl fmt::Debug for Store {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The pool's options hold the password.
        formatter.debug_struct("Store").field("dialect", &self.dialect).finish_non_exhaustive()
    }
}

impl Store {
    /// Connects to `postgres://…`, or opens or makes `sqlite://path`, and brings the tables up to date. Several processes may do so at once.
    pub async fn open(url: &str) -> Result<Self, BillingError> {
        let store = Self::connect_lazily(url)?;
        match store.migrate().await {
            Ok(()) => Ok(store),
            Err(error) => Err(store.explain(error).await),
        }
    }

    /// The same of a store that is there. One that has no tables is refused, and stays as it is.
    pub async fn open_existing(url: &str) -> Result<Self, BillingError> {
        let store = Self::connect(url, false)?;
        if let Some(path) = url.strip_prefix("sqlite://")
            && !Path::new(path).exists()
        {
            return Err(BillingError::no_ledger(format!("{path} does not exist")));
        }
        match store.migrate_existing().await {
            Ok(()) => Ok(store),
            Err(error) => Err(store.explain(error).await),
        }
    }

    async fn migrate_existing(&self) -> Result<(), BillingError> {
        if self.is_new().await? {
            self.check_new().await?;
            foreign::check(&mut *self.pool.acquire().await?, self).await?;
            return Err(BillingError::no_ledger(format!("{} has no tables of tollgate", self.place)));
        }
        self.migrate().await
    }

    /// The same error, with its cause if it is that there was no connection: the pool does not say why a server refuses one.
    pub async fn explain(&self, error: BillingError) -> BillingError {
        if !matches!(&error, BillingError::Unavailable(reason) if **reason == *NO_CONNECTION) {
            return error;
        }
        let connecting = async {
            let mut connection = self.pool.connect_options().connect().await?;
            prepare(&mut connection, self.dialect).await?;
            connection.close().await
        };
        match timeout(EXPLANATION_LIMIT, connecting).await {
            Ok(Ok(())) => error,
            Ok(Err(cause)) => BillingError::unavailable(format!("no connection to {}: {cause}", self.place)),
            Err(_) => BillingError::unavailable(format!("no connection to {}: no reply within {EXPLANATION_LIMIT:?}", self.place)),
        }
    }

    /// The store, without a look at it: connections are made when they are needed, and tables are taken to be there.
    pub fn connect_lazily(url: &str) -> Result<Self, BillingError> {
        Self::connect(url, true)
    }

    fn connect(url: &str, may_create: bool) -> Result<Self, BillingError> {
        static DRIVERS: Once = Once::new();
        DRIVERS.call_once(sqlx::any::install_default_drivers);
        let place: Arc<str> = platform::config::BillingUrl::of(url).to_string().into();
        if let Some(path) = url.strip_prefix("sqlite://") {
            foreign::check_file(path)?;
        }
        let (dialect, url) = read_url(url, may_create)?;
        let pool = AnyPoolOptions::new()
            .max_connections(MAX_CONNECTIONS)
            .acquire_timeout(PATIENCE)
            .after_connect(move |connection, _| Box::pin(prepare(connection, dialect)))
            // SQLite ends a transaction itself when the disk is full; sqlx would take the connection to be in it for ever.
            .before_acquire(|connection, _| Box::pin(ready(Ok(!connection.is_in_transaction()))))
            .connect_lazy(&url)
            .map_err(|error| BillingError::Invalid { field: "--billing", problem: format!("is not a URL that can be used: {error}") })?;
        Ok(Self { pool, dialect, place, many: Arc::new(Semaphore::new(OF_MANY)), is_ready: Arc::default() })
    }

    /// Where it is, for people: without a password.
    #[must_use]
    pub fn place(&self) -> &str {
        &self.place
    }

    /// Which database it is.
    #[must_use]
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// For reading, and for single statements.
    #[must_use]
    pub fn pool(&self) -> &AnyPool {
        &self.pool
    }

    /// Waits for a turn of work on many accounts, which uses one connection at a time: it leaves others to those who wait for a page.
    pub async fn turn_of_many(&self) -> Result<SemaphorePermit<'_>, BillingError> {
        self.many.acquire().await.map_err(BillingError::unavailable)
    }

    /// Begins a transaction that will write. In SQLite it waits here for its turn, not in its middle, where waiting is no use.
    pub async fn begin(&self) -> Result<Transaction<'static, Any>, BillingError> {
        Ok(match self.dialect {
            Dialect::Postgres => self.pool.begin().await?,
            Dialect::Sqlite => self.pool.begin_with("BEGIN IMMEDIATE").await?,
        })
    }

    /// Begins a transaction that only reads: all of it sees the store as it is at one instant.
    pub async fn begin_reading(&self) -> Result<Transaction<'static, Any>, BillingError> {
        Ok(match self.dialect {
            Dialect::Postgres => self.pool.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?,
            Dialect::Sqlite => self.pool.begin().await?,
        })
    }

    /// An expression for the database's own time, in milliseconds: what leases are measured by, because all processes share it.
    #[must_use]
    pub fn now_sql(&self) -> &'static str {
        match self.dialect {
            Dialect::Postgres => "CAST(floor(extract(epoch FROM clock_timestamp()) * 1000) AS BIGINT)",
            Dialect::Sqlite => "CAST((julianday('now') - 2440587.5) * 86400000 AS BIGINT)",
        }
    }

    /// The database's own time.
    pub async fn now(&self) -> Result<UnixMillis, BillingError> {
        let sql = format!("SELECT {}", self.now_sql());
        Ok(sqlx::query(sqlx::AssertSqlSafe(sql)).fetch_one(&self.pool).await?.instant(0)?)
    }

    /// Writes a copy of an SQLite store, as it is at one instant, into a new file. Nobody waits for it.
    pub async fn copy_to(&self, path: &Path) -> Result<(), BillingError> {
        sqlx::query("VACUUM INTO $1").bind(path.display().to_string()).execute(&self.pool).await?;
        // A service that goes on from the copy must not send again what is sent from here.
        let (_, url) = read_url(&sqlite_url(path), false)?;
        let mut copy = AnyConnection::connect(&url).await?;
        sqlx::query("UPDATE sending_place SET place = $1").bind(COPY).execute(&mut copy).await?;
        copy.close().await?;
        Ok(())
    }

    /// Closes all connections. In SQLite, all that was written is then in the file itself.
    pub async fn close(&self) {
        if self.dialect == Dialect::Sqlite
            && let Err(error) = self.pool.execute("PRAGMA wal_checkpoint(TRUNCATE)").await
        {
            tracing::debug!(%error, "the billing store's log was not emptied");
        }
        self.pool.close().await;
    }

    /// Whether no tables were made in it yet.
    async fn is_new(&self) -> Result<bool, BillingError> {
        Ok(!has_migrations(&mut *self.pool.acquire().await?, self.dialect).await?)
    }

    /// Refuses a database that nothing was kept in yet and that cannot keep every name. One that is in use is only complained of.
    pub async fn check_new(&self) -> Result<(), BillingError> {
        match self.encoding_problem().await? {
            Some(problem) if self.is_new().await? => Err(BillingError::Invalid { field: "--billing", problem }),
            _ => Ok(()),
        }
    }

    /// What is wrong with how the database keeps texts: it must take every name, of whatever script. `None` for nothing.
    pub async fn encoding_problem(&self) -> Result<Option<String>, BillingError> {
        if self.dialect == Dialect::Sqlite {
            return Ok(None);
        }
        let encoding: String = sqlx::query("SHOW server_encoding").fetch_one(&self.pool).await?.try_get(0)?;
        Ok((encoding != "UTF8").then(|| {
            format!(
                "the billing store's database keeps texts as {encoding}, which cannot keep every name: it must be UTF8 (createdb \
                 --template=template0 --encoding=UTF8; bring what is there over by pg_dump and psql)"
            )
        }))
    }

    /// Waits for a moment until the tables are up to date: a service may be asked before an aggregator has made them.
    pub async fn ready(&self) -> Result<(), BillingError> {
        let deadline = Instant::now() + TABLES_PATIENCE;
        while !self.is_ready.load(Ordering::Relaxed) {
            // The connection is not kept while it waits: the process that makes the tables needs one.
            match self.tables_version().await {
                Ok(version) if version == MIGRATIONS.len() => self.is_ready.store(true, Ordering::Relaxed),
                Ok(_) | Err(BillingError::Unavailable(_)) if Instant::now() < deadline => sleep(TABLES_PAUSE).await,
                Ok(_) => {
                    let what = "no aggregator has brought its tables up to date yet: `tollgate aggregate`, or `serve --aggregate`, does";
                    return Err(BillingError::unavailable(what));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// How many migrations the tables have seen; 0 where there are none yet.
    async fn tables_version(&self) -> Result<usize, BillingError> {
        let mut connection = self.pool.acquire().await?;
        if has_migrations(&mut connection, self.dialect).await? { version(&mut connection).await } else { Ok(0) }
    }
}

/// The URL of a billing store in a file.
#[must_use]
pub fn sqlite_url(path: &Path) -> String {
    format!("sqlite://{}", path.display())
}

/// Which database a URL means, and the URL as the driver takes it.
fn read_url(url: &str, may_create: bool) -> Result<(Dialect, String), BillingError> {
    if url.starts_with("postgres://") || url.starts_with("postgresql://") {
        return Ok((Dialect::Postgres, url.to_owned()));
    }
    let Some(path) = url.strip_prefix("sqlite://").filter(|path| !path.is_empty()) else {
        let problem = "must be postgres://[user[:password]@]host[:port]/database or sqlite://path".to_owned();
        return Err(BillingError::Invalid { field: "--billing", problem });
    };
    // A relative path would be taken for a host by URL parsers.
    let path = std::path::absolute(path).map_err(BillingError::unavailable)?;
    let mut encoded = String::new();
    for byte in path.display().to_string().bytes() {
        if byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    let mode = if may_create { "rwc" } else { "rw" };
    Ok((Dialect::Sqlite, format!("sqlite://{encoded}?mode={mode}")))
}

async fn prepare(connection: &mut AnyConnection, dialect: Dialect) -> sqlx::Result<()> {
    match dialect {
        // A process that stalls in the middle of a transaction must not keep others from what it has locked.
        Dialect::Postgres => {
            connection.execute("SET idle_in_transaction_session_timeout = '10s'").await?;
        }
        Dialect::Sqlite => {
            let wait = format!("PRAGMA busy_timeout = {}", WRITER_PATIENCE.as_millis());
            connection.execute(sqlx::AssertSqlSafe(wait)).await?;
            connection.execute("PRAGMA journal_mode = WAL").await?;
            // The journal is trimmed behind what is committed here, so it must be on disk.
            connection.execute("PRAGMA synchronous = FULL").await?;
            connection.execute("PRAGMA foreign_keys = ON").await?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_transaction_that_sqlite_ended_itself_stops_nobody() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&sqlite_url(&folder.path().join("billing.db"))).await.unwrap();
        let mut ended = Vec::new();
        for _ in 0..MAX_CONNECTIONS {
            ended.push(store.begin().await.unwrap());
            ended.last_mut().unwrap().execute("ROLLBACK").await.unwrap();
        }
        drop(ended);
        store.begin().await.unwrap().commit().await.unwrap();
    }

    #[tokio::test]
    async fn tables_are_made_once_however_many_ask_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let url = sqlite_url(&folder.path().join("with space & more?.db"));
        let opened = futures_util::future::join_all((0..4).map(|_| Store::open(&url))).await;
        for store in opened {
            let store = store.unwrap();
            let rows = sqlx::query("SELECT version FROM migrations").fetch_all(store.pool()).await.unwrap();
            assert_eq!(rows.len(), MIGRATIONS.len());
            assert!((store.now().await.unwrap() - platform::clock::system_now()).abs() < 10_000);
        }
        assert!(folder.path().join("with space & more?.db").exists());
    }

    #[tokio::test]
    async fn tables_of_a_later_version_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let url = sqlite_url(&folder.path().join("later.db"));
        let store = Store::open(&url).await.unwrap();
        sqlx::query("INSERT INTO migrations (version) VALUES (99)").execute(store.pool()).await.unwrap();
        assert!(matches!(Store::open(&url).await, Err(BillingError::Corrupt(_))));
        assert!(matches!(Store::connect_lazily(&url).unwrap().ready().await, Err(BillingError::Corrupt(_))));
    }

    #[tokio::test]
    async fn a_caller_that_asks_before_the_tables_are_made_waits_for_them() {
        let folder = tempfile::tempdir().unwrap();
        let url = sqlite_url(&folder.path().join("early.db"));
        let early = Store::connect_lazily(&url).unwrap();
        let mut ready = std::pin::pin!(early.ready());
        assert!(futures_util::poll!(ready.as_mut()).is_pending());
        let (is_ready, opened) = tokio::join!(ready, Store::open(&url));
        assert_eq!((is_ready.is_ok(), opened.is_ok()), (true, true));
        sqlx::query("SELECT kind FROM entries").fetch_all(early.pool()).await.unwrap();
    }

    #[tokio::test]
    async fn a_caller_that_waits_for_tables_in_vain_gets_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::connect_lazily(&sqlite_url(&folder.path().join("empty.db"))).unwrap();
        let told = store.ready().await.unwrap_err().to_string();
        assert!(told.contains("no aggregator") && told.contains("tollgate aggregate"), "{told}");
    }

    #[test]
    fn only_urls_of_the_two_are_taken() {
        for url in ["mysql://a/b", "sqlite:", "sqlite://", "tollgate.db", ""] {
            assert!(matches!(read_url(url, true), Err(BillingError::Invalid { .. })), "{url}");
        }
        assert_eq!(read_url("sqlite:///tmp/a b", true).unwrap(), (Dialect::Sqlite, "sqlite:///tmp/a%20b?mode=rwc".to_owned()));
    }
}
