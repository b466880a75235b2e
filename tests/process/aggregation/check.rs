//! What SQL holds is what the journal says, exactly: entries, totals, accounts.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use rust_decimal::Decimal;
use sqlx::Row;
use tollgate::billing::bills::issue;
use tollgate::billing::change::Change;
use tollgate::billing::document::{DocumentKind, Issuer};
use tollgate::billing::issuer::{CategoryRate, MAIN};
use tollgate::billing::projection::rows::{read_account, read_total};
use tollgate::billing::record::{COLUMNS, Record};
use tollgate::billing::retention::RetentionSettings;
use tollgate::billing::verify::verify;
use tollgate::billing::{Billing, DocumentFilter, DocumentState, StoredDocument};
use tollgate::domain::entry::EntryKind;
use tollgate::domain::ids::AccountId;
use tollgate::domain::money::Units;
use tollgate::domain::time::UnixMillis;
use tollgate::ledger::Ledger;

/// When the documents that nobody has issued yet are: 2100-01-01.
const LATER: UnixMillis = UnixMillis::new(4_102_444_800_000);

/// Waits until the closes of idle accounts have been written, and everything that is journaled is committed.
pub async fn until_caught_up(billing: &Billing, ledger: &Ledger) {
    let deadline = Instant::now() + Duration::from_secs(60);
    let month = ledger.clock().period_start(ledger.clock().now());
    loop {
        let closed = sqlx::query("SELECT CAST(COUNT(*) AS BIGINT) FROM partitions WHERE closed_until >= $1").bind(month.get());
        let closed = closed.fetch_one(billing.store().pool()).await.map_or(0, |row| row.try_get::<i64, _>(0).unwrap_or(0));
        let mut left = 0;
        for partition in 0..ledger.partitions() {
            left += ledger.engine().journal_span(partition).await.unwrap().next;
        }
        // While the database is away, nothing is known.
        if let Ok(row) = sqlx::query("SELECT CAST(SUM(next_sequence) AS BIGINT) FROM partitions").fetch_one(billing.store().pool()).await
            && row.try_get::<i64, _>(0).unwrap_or(0) as u64 == left
            && closed == i64::from(ledger.partitions())
        {
            return;
        }
        assert!(Instant::now() < deadline, "the aggregator does not catch up: {left} entries");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

pub async fn records(billing: &Billing) -> Vec<Record> {
    let sql = format!("SELECT {COLUMNS} FROM entries ORDER BY partition, sequence");
    let rows = sqlx::query(sqlx::AssertSqlSafe(sql)).fetch_all(billing.store().pool()).await.unwrap();
    rows.iter().map(|row| Record::from_row(row).unwrap()).collect()
}

/// Compares everything in SQL with the ledger; returns how many entries that were. The journal must not have been trimmed.
pub async fn everything_agrees(billing: &Billing, ledger: &Ledger) -> usize {
    let records = records(billing).await;
    let mut journal = Vec::new();
    for partition in 0..ledger.partitions() {
        for block in ledger.engine().blocks_after(partition, 0, 10_000_000).await.unwrap() {
            let entries = (block.first_sequence..).zip(block.entries);
            journal.extend(entries.map(|(sequence, entry)| Record { partition, sequence, previous: None, entry }));
        }
    }
    assert_eq!(records.len(), journal.len(), "as many entries in SQL as in the journal");
    for (record, journaled) in records.iter().zip(&journal) {
        assert_eq!(Record { previous: None, ..record.clone() }, *journaled);
    }
    each_entry_follows_its_accounts_last(billing, &records).await;
    totals_and_accounts_agree(billing, ledger, &records).await;
    each_charge_is_on_one_line(billing, &records).await;
    let instants = crate::paper_support::is_sound_at_every_instant(billing).await;
    println!("{instants} instants with something open");
    let findings = verify(billing, ledger, &[], &RetentionSettings::default(), |_, _, _| {}).await.unwrap();
    assert_eq!(findings.differences, [], "verify agrees");
    records.len()
}

/// An account's entries are found along their chain.
async fn each_entry_follows_its_accounts_last(billing: &Billing, records: &[Record]) {
    let mut accounts: BTreeMap<&str, Vec<Record>> = BTreeMap::new();
    for record in records {
        accounts.entry(&record.entry.account).or_default().push(record.clone());
    }
    for (account, mut newest_first) in accounts {
        newest_first.reverse();
        assert_eq!(billing.entries(&AccountId::from(account), None, 1_000_000).await.unwrap(), newest_first);
        let before = newest_first.get(1).map(|record| record.sequence);
        assert_eq!(
            billing.entries(&AccountId::from(account), before, 3).await.unwrap(),
            newest_first.iter().skip(2).take(3).cloned().collect::<Vec<_>>()
        );
    }
}

/// Every bill that was cut has one document, every charge of it is on exactly one of its lines, and no number is skipped or used twice.
pub async fn each_charge_is_on_one_line(billing: &Billing, records: &[Record]) {
    all_is_issued(billing).await;
    let mut charges: BTreeMap<(AccountId, u32), (i64, Units)> = BTreeMap::new();
    for Record { entry, .. } in records.iter().filter(|record| record.entry.kind().is_charge()) {
        let (count, amount) = charges.entry((entry.account.clone(), entry.bill)).or_default();
        *count += 1;
        *amount += entry.amount();
    }
    let cut = |kind| matches!(kind, EntryKind::PeriodClosed | EntryKind::FinalBilled | EntryKind::ChargedOwnBill);
    let mut bills: BTreeSet<_> =
        records.iter().filter(|record| cut(record.entry.kind())).map(|record| (record.entry.account.clone(), record.entry.bill)).collect();
    let (mut after, mut numbers) = (None, BTreeSet::new());
    loop {
        let page = billing.documents_in_full(DocumentFilter::default(), after, 500).await.unwrap();
        let Some(last) = page.last() else { break };
        after = Some(last.id);
        for StoredDocument { state, held_reason, document, .. } in page {
            assert_eq!((state, held_reason.as_str()), (DocumentState::Issued, ""), "{document:?}");
            assert!(numbers.insert(document.number.clone()), "{} is used twice", document.number);
            if document.kind == DocumentKind::CreditNote {
                continue;
            }
            let bill = (document.account.clone(), document.bill);
            assert!(bills.remove(&bill), "{bill:?} was cut, and billed once");
            let lines = document.items.iter().chain(&document.deducted).filter(|line| line.amount > Units::ZERO);
            let on_lines = lines.fold((0, Units::ZERO), |(count, amount), line| (count + line.count, amount + line.amount));
            assert_eq!(on_lines, charges.get(&bill).copied().unwrap_or_default(), "{bill:?}: each charge is on one line");
        }
    }
    // A bill of which there is nothing to say has none.
    bills.retain(|bill| charges.contains_key(bill));
    assert!(bills.is_empty(), "{bills:?} were cut, and have no document");
    for prefix in ["INV-", "STM-", "CRN-"] {
        let places: Vec<u64> =
            numbers.iter().filter_map(|number| number.strip_prefix(prefix)).map(|place| place.parse().unwrap()).collect();
        assert_eq!(places, (1..=places.len() as u64).collect::<Vec<_>>(), "no number of {prefix} is skipped");
    }
    println!("{} documents", numbers.len());
}

/// Issues all drafts, at 19 %.
pub async fn all_is_issued(billing: &Billing) {
    let change = |request_id: &str| Change {
        request_id: request_id.into(),
        actor: "test".into(),
        on_behalf_of: String::new(),
        origin: Default::default(),
        first_sent_at: None,
        reason: "it is checked".into(),
        at: LATER,
        valid_from: Some(jiff::civil::date(2000, 1, 1)),
    };
    let issuer = Issuer { name: "Tollgate Ltd".into(), ..Issuer::default() };
    billing.set_issuer(MAIN, &issuer, &change("issuer")).await.unwrap();
    let rate = CategoryRate { category: None, rate: "19".parse().unwrap() };
    billing.set_tax_rate(MAIN, rate, &change("tax")).await.unwrap();
    while issue(billing.store(), billing.settings(), LATER).await.unwrap() > 0 {}
}

/// Totals are the sums of the entries, accounts are as the ledger has them.
pub async fn totals_and_accounts_agree(billing: &Billing, ledger: &Ledger, records: &[Record]) {
    let mut expected: BTreeMap<_, (Units, Option<Decimal>, i64)> = BTreeMap::new();
    for Record { entry, .. } in records.iter().filter(|record| record.entry.kind().moves_money()) {
        let category = entry.metadata.category.map_or(0, |category| category as u8);
        let key = (entry.account.clone(), entry.bill, entry.kind(), category, entry.metadata.item.clone(), entry.metadata.unit.clone());
        let total = expected.entry(key).or_default();
        total.0 += entry.amount();
        if let Ok(quantity) = entry.metadata.quantity.parse::<Decimal>() {
            total.1 = Some(total.1.unwrap_or_default() + quantity);
        }
        total.2 += 1;
    }
    let rows = sqlx::query("SELECT * FROM totals").fetch_all(billing.store().pool()).await.unwrap();
    let found: BTreeMap<_, _> = rows
        .iter()
        .map(|row| {
            let (key, total) = read_total(row).unwrap();
            ((key.account, key.bill, key.kind, key.category, key.item, key.unit), (total.amount, total.quantity, total.count))
        })
        .collect();
    assert_eq!(found, expected, "totals are the sums of the entries");

    let rows = sqlx::query("SELECT * FROM accounts").fetch_all(billing.store().pool()).await.unwrap();
    for row in &rows {
        let id: String = row.try_get("account").unwrap();
        let kept = read_account(row).unwrap();
        let found = ledger.engine().load(kept.partition, vec![id.clone().into()]).await.unwrap().pop().flatten();
        let (account, profile) = found.unwrap_or_else(|| panic!("{id} is in SQL and not in the ledger"));
        assert_eq!(
            (
                kept.account.balance,
                kept.account.unbilled,
                kept.account.sequence,
                kept.account.open_bill,
                kept.account.last_bill,
                kept.account.mode,
                kept.account.status
            ),
            (account.balance, account.unbilled, account.sequence, account.open_bill, account.last_bill, account.mode, account.status),
            "{id}"
        );
        assert_eq!(
            (
                kept.account.permanent_limit,
                kept.account.temporary_limit,
                kept.account.temporary_until,
                kept.account.non_usage_billing,
                kept.name
            ),
            (account.permanent_limit, account.temporary_limit, account.temporary_until, account.non_usage_billing, profile.name),
            "{id}"
        );
        assert_eq!((kept.low_credit_threshold, kept.created_at), (profile.low_credit_threshold, profile.created_at), "{id}");
    }
    let created = records.iter().filter(|record| record.entry.kind() == EntryKind::Created).count();
    assert_eq!(rows.len(), created, "as many accounts as were created");
}
