//! The SQL of the embedded ledger.
//!
//! Profiles, reservations and sums given back are rows that are written over. Request ids are random keys, and the accounts of a batch lie
//! anywhere: tables would scatter them over all their pages, and each page touched is written whole. So each batch appends its own as one
//! row to a log, and the logs are read back into memory at start. Of request ids there are two logs, one window long each: when the
//! window is over, the younger takes the place of the older, which is deleted in slices ([`super::forgotten`]). The log of accounts is
//! short: when it has [`MAX_LOGGED`] records, what is in it goes to the rows of the accounts, each once, and it begins anew.

use std::cell::RefCell;
use std::collections::HashSet;
use std::path::Path;

use anyhow::{Context, bail, ensure};
use rusqlite::{Connection, OpenFlags, Transaction, ffi, params};

use crate::codec::journal::encode_block;
use crate::codec::{
    decode_account, decode_idempotency_record, decode_profile, decode_refund_key, decode_refunded, decode_reservation, encode_account,
    encode_idempotency_record, encode_profile, encode_refund_key, encode_refunded, encode_reservation,
};
use crate::model::{Changes, PartitionState};
use crate::{
    Found, IdempotencyKey, Identity, LedgerError, LedgerId, NamePlace, Opening, Purpose, ReservationPlace, StoreSettings, fold_name,
};
use domain::ids::AccountId;
use domain::rules::IdempotencyRecord;

/// The version of tables and records. A store of another version is refused.
pub(super) const FORMAT_VERSION: i64 = 3;

/// How many records the log of accounts may hold. The more, the fewer rows are written, and the longer a step waits when they are.
const MAX_LOGGED: usize = 32_768;

const TABLES: &str = "
    CREATE TABLE settings (settings TEXT NOT NULL);
    CREATE TABLE state (id INTEGER PRIMARY KEY CHECK (id = 0), sequence INTEGER NOT NULL, last_block BLOB NOT NULL,
                        now INTEGER NOT NULL, rotated_at INTEGER NOT NULL, legacy_until INTEGER NOT NULL,
                        refunds_dropped_until INTEGER NOT NULL, reserved_until INTEGER NOT NULL,
                        older_reserved_until INTEGER NOT NULL);
    CREATE TABLE accounts (id TEXT PRIMARY KEY, record BLOB NOT NULL) WITHOUT ROWID;
    CREATE TABLE changed_accounts (id INTEGER PRIMARY KEY, records BLOB NOT NULL);
    CREATE TABLE profiles (id TEXT PRIMARY KEY, record BLOB NOT NULL) WITHOUT ROWID;
    CREATE TABLE reservations (key BLOB PRIMARY KEY, record BLOB NOT NULL) WITHOUT ROWID;
    CREATE TABLE requests (id INTEGER PRIMARY KEY, records BLOB NOT NULL);
    CREATE TABLE older_requests (id INTEGER PRIMARY KEY, records BLOB NOT NULL);
    CREATE TABLE refunds (key BLOB PRIMARY KEY, record BLOB NOT NULL) WITHOUT ROWID;
    CREATE TABLE journal (first_sequence INTEGER PRIMARY KEY, block BLOB NOT NULL);
    INSERT INTO state VALUES (0, 0, zeroblob(16), 0, 0, 0, 0, 0, 0);
";

/// The file's settings and identity.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
struct Stored {
    /// The ledger's id; `None` if the file is of an earlier version.
    #[serde(default)]
    ledger: Option<LedgerId>,
    #[serde(default)]
    purpose: Purpose,
    #[serde(flatten)]
    settings: StoreSettings,
}

/// The ledger that a file holds, read without a claim on it.
pub(super) fn find(path: &Path) -> anyhow::Result<Found> {
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    super::file::version(&connection, path, false)?;
    let stored = connection.query_row("SELECT settings FROM settings", [], |row| row.get::<_, String>(0));
    let stored: Stored =
        serde_json::from_str(&stored.with_context(|| format!("{} holds no ledger that can be read now", path.display()))?)?;
    Ok(Found { id: stored.ledger, purpose: stored.purpose })
}

/// The file.
#[derive(Debug)]
pub(super) struct Store {
    connection: Connection,
    log: RefCell<AccountLog>,
}

/// What the log of accounts holds.
#[derive(Debug, Default)]
struct AccountLog {
    /// How many records.
    count: usize,
    accounts: HashSet<String>,
}

impl Store {
    /// Opens it; creates it only if `opening` says so.
    pub(super) fn open(path: &Path, settings: &StoreSettings, opening: Opening) -> anyhow::Result<(Self, Identity)> {
        let is_new = !path.exists();
        ensure!(!is_new || opening.purpose().is_some(), "there is no ledger: {} does not exist", path.display());
        let mut flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        flags.set(OpenFlags::SQLITE_OPEN_CREATE, is_new);
        let mut connection = Connection::open_with_flags(path, flags).with_context(|| format!("cannot open {}", path.display()))?;
        let in_use = || format!("cannot use {}: is another tollgate running on it?", path.display());
        connection.busy_timeout(std::time::Duration::from_millis(200))?;
        connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
        let version = super::file::version(&connection, path, is_new)?;
        connection.pragma_update(None, "journal_mode", "WAL").with_context(in_use)?;
        // The journal and the balances are what was acknowledged: they are on disk before the answer goes out.
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.set_prepared_statement_cache_capacity(32);
        let version = if version == 2 && !matches!(opening, Opening::Existing) {
            super::migrate::migrate(&mut connection, settings).with_context(in_use)?
        } else {
            version
        };
        let stored = match version {
            0 => {
                let purpose = opening.purpose().unwrap_or_default();
                let stored = Stored { ledger: Some(LedgerId::random()), purpose, settings: settings.clone() };
                let transaction = connection.transaction().with_context(in_use)?;
                transaction.execute_batch(TABLES).with_context(in_use)?;
                transaction.execute("INSERT INTO settings VALUES (?1)", [serde_json::to_string(&stored)?])?;
                transaction.pragma_update(None, "user_version", FORMAT_VERSION)?;
                transaction.commit()?;
                stored
            }
            FORMAT_VERSION => {
                let stored: String = connection.query_row("SELECT settings FROM settings", [], |row| row.get(0))?;
                let stored: Stored = serde_json::from_str(&stored)?;
                stored.settings.check(settings).with_context(|| format!("cannot use {}", path.display()))?;
                stored
            }
            other => bail!("{} has format version {other}, and this is a tollgate for version {FORMAT_VERSION}", path.display()),
        };
        let store = Self { connection, log: RefCell::default() };
        let id = match stored.ledger {
            Some(id) => id,
            None => {
                let id = opening.new_id()?;
                store.set_id(id)?;
                tracing::info!(ledger = %id, "the ledger was given an id");
                id
            }
        };
        let identity = Identity { id, purpose: stored.purpose, place: path.display().to_string().into() };
        Ok((store, identity))
    }

    /// Makes it this ledger.
    pub(super) fn set_id(&self, id: LedgerId) -> anyhow::Result<()> {
        let stored: String = self.connection.query_row("SELECT settings FROM settings", [], |row| row.get(0))?;
        let stored = Stored { ledger: Some(id), ..serde_json::from_str(&stored)? };
        self.connection.execute("UPDATE settings SET settings = ?1", [serde_json::to_string(&stored)?])?;
        Ok(())
    }

    /// Reads everything but the journal.
    pub(super) fn load(&self) -> anyhow::Result<PartitionState> {
        let connection = &self.connection;
        let mut log = AccountLog::default();
        let mut partition_state = PartitionState { state: super::state::load(connection)?, ..PartitionState::default() };
        each(connection, "SELECT id, record FROM accounts", |id: String, record| {
            partition_state.accounts.insert(id.into(), decode_account(record)?);
            Ok(())
        })?;
        each(connection, "SELECT id, records FROM changed_accounts ORDER BY id", |_: i64, records| {
            read_accounts(records, |id, record| {
                log.count += 1;
                log.accounts.insert(id.to_owned());
                partition_state.accounts.insert(id.into(), decode_account(record)?);
                Ok(())
            })
        })?;
        each(connection, "SELECT id, record FROM profiles", |id: String, record| {
            let profile = decode_profile(record)?;
            partition_state.names.insert(NamePlace { folded_name: fold_name(&profile.name), account: id.clone().into() });
            partition_state.profiles.insert(id.into(), profile);
            Ok(())
        })?;
        each(connection, "SELECT key, record FROM reservations", |key: [u8; 16], record| {
            let (key, reservation) = (IdempotencyKey(key), decode_reservation(record)?);
            partition_state.expiries.insert((reservation.expires_at, key));
            partition_state.by_account.insert((reservation.account.clone(), ReservationPlace::of(key, &reservation)));
            partition_state.reservations.insert(key, reservation);
            Ok(())
        })?;
        for (table, requests) in [("requests", &mut partition_state.requests), ("older_requests", &mut partition_state.older_requests)] {
            each(connection, &format!("SELECT id, records FROM {table} ORDER BY id"), |_: i64, records| {
                read_requests(records, |key, remembered| {
                    requests.insert(key, remembered.into());
                })
            })?;
        }
        each(connection, "SELECT key, record FROM refunds", |key: Vec<u8>, record| {
            partition_state.refunds.insert(decode_refund_key(&key)?, decode_refunded(record)?);
            Ok(())
        })?;
        self.log.replace(log);
        Ok(partition_state)
    }

    /// Writes what steps have changed, in one transaction; returns whether there was anything to write.
    pub(super) fn write(&self, partition_state: &PartitionState, all_changes: &[Changes]) -> Result<bool, LedgerError> {
        if all_changes.iter().all(Changes::is_empty) {
            return Ok(false);
        }
        let accounts: HashSet<&str> = all_changes.iter().flat_map(|changes| &changes.accounts).map(AccountId::as_str).collect();
        let mut log = self.log.borrow_mut();
        let full_log = (log.count + accounts.len() > MAX_LOGGED).then_some(&*log);
        let transaction = self.fill(partition_state, all_changes, &accounts, full_log).map_err(LedgerError::not_done)?;
        transaction.commit().map_err(|error| match error.sqlite_error() {
            // The commit mark is what is written last, so it was not.
            Some(cause) if [ffi::SQLITE_FULL, ffi::SQLITE_IOERR_WRITE].contains(&cause.extended_code) => LedgerError::not_done(error),
            // It may have been, and be found after a crash.
            _ => LedgerError::unknown(error),
        })?;
        if full_log.is_some() {
            *log = AccountLog::default();
        } else {
            log.count += accounts.len();
            for id in accounts {
                if !log.accounts.contains(id) {
                    log.accounts.insert(id.to_owned());
                }
            }
        }
        Ok(true)
    }

    /// A transaction with what steps have changed. Dropped, it is rolled back.
    fn fill(
        &self,
        partition_state: &PartitionState,
        all_changes: &[Changes],
        accounts: &HashSet<&str>,
        full_log: Option<&AccountLog>,
    ) -> rusqlite::Result<Transaction<'_>> {
        self.roll_back()?;
        let transaction = self.connection.unchecked_transaction()?;
        for changes in all_changes {
            write_changes(&transaction, partition_state, changes)?;
        }
        if !accounts.is_empty() {
            log_accounts(&transaction, partition_state, accounts)?;
        }
        if let Some(log) = full_log {
            let ids: HashSet<&str> = log.accounts.iter().map(String::as_str).chain(accounts.iter().copied()).collect();
            write_accounts(&transaction, partition_state, &ids)?;
        }
        super::state::write(&transaction, &partition_state.state)?;
        Ok(transaction)
    }

    /// The connection, to copy from.
    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Ends what a failed attempt may have left open.
    pub(super) fn roll_back(&self) -> rusqlite::Result<()> {
        if self.connection.is_autocommit() { Ok(()) } else { self.connection.execute_batch("ROLLBACK") }
    }

    /// Tries to write, and changes nothing by it.
    pub(super) fn probe(&self) -> rusqlite::Result<()> {
        self.roll_back()?;
        self.connection.pragma_update(None, "user_version", FORMAT_VERSION)
    }

    /// Closes the file, with all that was written in it: none of it is left in the write-ahead log beside it.
    pub(super) fn close(self) -> rusqlite::Result<()> {
        let checkpointed = self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
        checkpointed.and(self.connection.close().map_err(|(_, error)| error))
    }
}

fn write_changes(transaction: &Transaction<'_>, partition_state: &PartitionState, changes: &Changes) -> rusqlite::Result<()> {
    if changes.is_rotated {
        transaction.execute_batch(super::forgotten::ROTATE)?;
    }
    for id in &changes.profiles {
        if let Some(profile) = partition_state.profiles.get(id) {
            transaction
                .prepare_cached("INSERT INTO profiles VALUES (?1, ?2) ON CONFLICT DO UPDATE SET record = excluded.record")?
                .execute(params![id.as_str(), encode_profile(id, profile)])?;
        }
    }
    for key in &changes.reservations {
        match partition_state.reservations.get(key) {
            Some(reservation) => transaction
                .prepare_cached("INSERT INTO reservations VALUES (?1, ?2) ON CONFLICT DO UPDATE SET record = excluded.record")?
                .execute(params![key.0, encode_reservation(reservation)])?,
            None => transaction.prepare_cached("DELETE FROM reservations WHERE key = ?1")?.execute([key.0])?,
        };
    }
    let mut records = Vec::with_capacity(changes.requests.len() * 56);
    for key in &changes.requests {
        if let Some(remembered) = partition_state.remembered(*key) {
            write_request(&mut records, *key, &remembered);
        }
    }
    if !records.is_empty() {
        transaction.prepare_cached("INSERT INTO requests (records) VALUES (?1)")?.execute([records])?;
    }
    for key in &changes.refunds {
        let field = encode_refund_key(key);
        match partition_state.refunds.get(key) {
            Some(refunded) => transaction
                .prepare_cached("INSERT INTO refunds VALUES (?1, ?2) ON CONFLICT DO UPDATE SET record = excluded.record")?
                .execute(params![field, encode_refunded(refunded)])?,
            None => transaction.prepare_cached("DELETE FROM refunds WHERE key = ?1")?.execute([field])?,
        };
    }
    if let Some(block) = &changes.block {
        transaction.prepare_cached("INSERT INTO journal VALUES (?1, ?2)")?.execute(params![block.first_sequence, encode_block(block)])?;
    }
    Ok(())
}

/// Appends the accounts to their log, as they are now.
fn log_accounts(transaction: &Transaction<'_>, partition_state: &PartitionState, ids: &HashSet<&str>) -> rusqlite::Result<()> {
    let mut records = Vec::with_capacity(ids.len() * 96);
    for id in ids {
        if let Some(account) = partition_state.accounts.get(*id) {
            for part in [id.as_bytes(), &encode_account(account)] {
                records.push(u8::try_from(part.len()).unwrap_or(u8::MAX));
                records.extend_from_slice(part);
            }
        }
    }
    transaction.prepare_cached("INSERT INTO changed_accounts (records) VALUES (?1)")?.execute([records])?;
    Ok(())
}

/// Writes the accounts to their rows, and empties their log.
fn write_accounts(transaction: &Transaction<'_>, partition_state: &PartitionState, ids: &HashSet<&str>) -> rusqlite::Result<()> {
    let mut put = transaction.prepare_cached("INSERT INTO accounts VALUES (?1, ?2) ON CONFLICT DO UPDATE SET record = excluded.record")?;
    for id in ids {
        if let Some(account) = partition_state.accounts.get(*id) {
            put.execute(params![id, encode_account(account)])?;
        }
    }
    transaction.execute("DELETE FROM changed_accounts", [])?;
    Ok(())
}

/// An account in the log: the length of its id, its id, the length of its record, its record.
fn read_accounts(mut records: &[u8], mut take: impl FnMut(&str, &[u8]) -> anyhow::Result<()>) -> anyhow::Result<()> {
    while !records.is_empty() {
        let id = next_part(&mut records)?;
        take(std::str::from_utf8(id)?, next_part(&mut records)?)?;
    }
    Ok(())
}

fn next_part<'a>(records: &mut &'a [u8]) -> anyhow::Result<&'a [u8]> {
    let (length, rest) = records.split_first().context("a log of accounts is cut short")?;
    let (part, rest) = rest.split_at_checked(usize::from(*length)).context("a log of accounts is cut short")?;
    *records = rest;
    Ok(part)
}

/// A request in the log: its key, the length of its record, its record.
fn write_request(records: &mut Vec<u8>, key: IdempotencyKey, remembered: &IdempotencyRecord) {
    let record = encode_idempotency_record(remembered);
    records.extend_from_slice(&key.0);
    records.push(u8::try_from(record.len()).unwrap_or(u8::MAX));
    records.extend_from_slice(&record);
}

fn read_requests(mut records: &[u8], mut take: impl FnMut(IdempotencyKey, IdempotencyRecord)) -> anyhow::Result<()> {
    while let Some((key, rest)) = records.split_first_chunk::<16>() {
        let (length, rest) = rest.split_first().context("a log of requests is cut short")?;
        let (record, rest) = rest.split_at_checked(usize::from(*length)).context("a log of requests is cut short")?;
        take(IdempotencyKey(*key), decode_idempotency_record(record)?);
        records = rest;
    }
    if records.is_empty() { Ok(()) } else { bail!("a log of requests is cut short") }
}

fn each<K: rusqlite::types::FromSql>(
    connection: &Connection,
    sql: &str,
    mut take: impl FnMut(K, &[u8]) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut statement = connection.prepare(sql)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        take(row.get(0)?, row.get_ref(1)?.as_blob()?)?;
    }
    Ok(())
}
