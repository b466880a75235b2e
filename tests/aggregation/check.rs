//! What SQL holds is what the journal says, exactly: entries, totals, accounts.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rust_decimal::Decimal;
use sqlx::Row;
use tollgate::billing::aggregate::step::{read_account, read_total};
use tollgate::billing::record::{COLUMNS, Record};
use tollgate::billing::store::Store;
use tollgate::domain::entry::EntryKind;
use tollgate::ledger::Ledger;

/// Waits until everything that is journaled is committed.
pub async fn until_caught_up(store: &Store, ledger: &Ledger) {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let mut left = 0;
        for partition in 0..ledger.partitions() {
            left += ledger.engine().journal_span(partition).await.unwrap().next;
        }
        // While the database is away, nothing is known.
        if let Ok(row) = sqlx::query("SELECT CAST(SUM(next_sequence) AS BIGINT) FROM partitions").fetch_one(store.pool()).await
            && row.try_get::<i64, _>(0).unwrap_or(0) as u64 == left
        {
            return;
        }
        assert!(Instant::now() < deadline, "the aggregator does not catch up: {left} entries");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

pub async fn records(store: &Store) -> Vec<Record> {
    let sql = format!("SELECT {COLUMNS} FROM entries ORDER BY partition, sequence");
    let rows = sqlx::query(sqlx::AssertSqlSafe(sql)).fetch_all(store.pool()).await.unwrap();
    rows.iter().map(|row| Record::from_row(row).unwrap()).collect()
}

/// Holds everything in SQL against the ledger; answers how many entries that were. The journal must not have been trimmed.
pub async fn everything_agrees(store: &Store, ledger: &Ledger) -> usize {
    let records = records(store).await;
    let mut journal = Vec::new();
    for partition in 0..ledger.partitions() {
        for block in ledger.engine().blocks_after(partition, 0, 10_000_000).await.unwrap() {
            let entries = (block.first_sequence..).zip(block.entries);
            journal.extend(entries.map(|(sequence, entry)| Record { partition, sequence, entry }));
        }
    }
    assert_eq!(records.len(), journal.len(), "as many entries in SQL as in the journal");
    for (record, journaled) in records.iter().zip(&journal) {
        assert_eq!(record, journaled);
    }
    totals_and_accounts_agree(store, ledger, &records).await;
    records.len()
}

/// Totals are the sums of the entries, accounts are as the ledger has them.
pub async fn totals_and_accounts_agree(store: &Store, ledger: &Ledger, records: &[Record]) {
    let mut expected: BTreeMap<_, (i64, Option<Decimal>, i64)> = BTreeMap::new();
    for Record { entry, .. } in records.iter().filter(|record| record.entry.kind.moves_money()) {
        let category = entry.note.category.map_or(0, |category| category as u8);
        let key = (entry.account.clone(), entry.bill, entry.kind, category, entry.note.item.clone(), entry.note.unit.clone());
        let total = expected.entry(key).or_default();
        total.0 += entry.amount;
        if let Ok(quantity) = entry.note.quantity.parse::<Decimal>() {
            total.1 = Some(total.1.unwrap_or_default() + quantity);
        }
        total.2 += 1;
    }
    let rows = sqlx::query("SELECT * FROM totals").fetch_all(store.pool()).await.unwrap();
    let found: BTreeMap<_, _> = rows
        .iter()
        .map(|row| {
            let (key, total) = read_total(row).unwrap();
            ((key.account, key.bill, key.kind, key.category, key.item, key.unit), (total.amount, total.quantity, total.count))
        })
        .collect();
    assert_eq!(found, expected, "totals are the sums of the entries");

    let rows = sqlx::query("SELECT * FROM accounts").fetch_all(store.pool()).await.unwrap();
    for row in &rows {
        let id: String = row.try_get("account").unwrap();
        let kept = read_account(row).unwrap();
        let found = ledger.engine().load(kept.partition, vec![id.clone()]).await.unwrap().pop().flatten();
        let (account, profile) = found.unwrap_or_else(|| panic!("{id} is in SQL and not in the ledger"));
        assert_eq!(
            (kept.balance, kept.unbilled, kept.account_sequence, kept.bill, kept.last_bill, kept.mode, kept.status),
            (account.balance, account.unbilled, account.sequence, account.open_bill, account.last_bill, account.mode, account.status),
            "{id}"
        );
        assert_eq!(
            (kept.permanent_limit, kept.temporary_limit, kept.temporary_until, kept.non_usage_billing, kept.name),
            (account.permanent_limit, account.temporary_limit, account.temporary_until, account.non_usage_billing, profile.name),
            "{id}"
        );
        assert_eq!((kept.low_credit_threshold, kept.created_at), (profile.low_credit_threshold, profile.created_at), "{id}");
    }
    let created = records.iter().filter(|record| record.entry.kind == EntryKind::Created).count();
    assert_eq!(rows.len(), created, "as many accounts as were created");
}
