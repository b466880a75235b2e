//! The least that a debit in SQLite can be: one row changed, two inserted (request id and usage record), a number of debits in a transaction,
//! each transaction synced. Every value differs from the one before: SQLite does not write a page that stays as it was.

use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Args;
use rusqlite::{Connection, params};

use super::Common;
use crate::cli::bench::measure::Measure;
use crate::cli::bench::mix::Kind;

const SCHEMA: &str = "
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = FULL;
    CREATE TABLE accounts (id INTEGER PRIMARY KEY, balance INTEGER NOT NULL, sequence INTEGER NOT NULL);
    CREATE TABLE requests (id TEXT PRIMARY KEY, outcome INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE usage (id INTEGER PRIMARY KEY, account INTEGER NOT NULL, request TEXT NOT NULL, cents INTEGER NOT NULL, item TEXT NOT NULL);
";

/// Where, and in which transactions.
#[derive(Args, Debug)]
pub struct SqliteOptions {
    /// A file that does not exist yet.
    #[arg(long, value_name = "PATH")]
    store: PathBuf,
    /// Debits in one transaction.
    #[arg(long, default_value = "64", value_name = "COUNT")]
    batch: u64,
    #[command(flatten)]
    common: Common,
}

/// Measures it.
pub fn run(options: &SqliteOptions) -> anyhow::Result<Measure> {
    let mut connection = prepare(&options.store, options.common.accounts.get())?;
    let (picker, mut random) = (options.common.picker()?, rand::rng());
    let (window, end) = options.common.window();
    let mut measure = Measure::new(window)?;
    let mut number: u64 = 0;
    loop {
        let began = Instant::now();
        if began >= end {
            return Ok(measure);
        }
        let transaction = connection.transaction()?;
        {
            let mut change = transaction
                .prepare_cached("UPDATE accounts SET balance = balance - ?2, sequence = sequence + 1 WHERE id = ?1 AND balance >= ?2")?;
            let mut keep = transaction.prepare_cached("INSERT INTO requests (id, outcome) VALUES (?1, ?2)")?;
            let mut record = transaction.prepare_cached("INSERT INTO usage (account, request, cents, item) VALUES (?1, ?2, ?3, ?4)")?;
            for _ in 0..options.batch {
                number += 1;
                let (account, cents) = (picker.pick(&mut random), 1 + number % 99);
                let request = format!("request-{number}");
                change.execute(params![account, cents])?;
                keep.execute(params![request, cents])?;
                record.execute(params![account, request, cents, "sms-domestic"])?;
            }
        }
        transaction.commit()?;
        measure.time(Kind::Debit, began, Instant::now(), options.batch);
    }
}

fn prepare(store: &Path, accounts: u32) -> anyhow::Result<Connection> {
    anyhow::ensure!(!store.exists(), "{} exists already", store.display());
    let mut connection = Connection::open(store)?;
    connection.execute_batch(SCHEMA)?;
    let transaction = connection.transaction()?;
    for account in 0..accounts {
        transaction.prepare_cached("INSERT INTO accounts VALUES (?1, 100000000000000, 0)")?.execute([account])?;
    }
    transaction.commit()?;
    Ok(connection)
}
