//! The fold of blocks, by examples.

use super::*;
use crate::record::sample_record;
use crate::store::{Store, sqlite_url};
use domain::account::{Mode, Status};
use domain::command::Metadata;
use domain::entry::ChargedFrom::{self, OwnBill, Unbilled};
use domain::entry::{EntryData, Limits};

fn block(first_sequence: u64, id: u8, previous: u8, count: usize) -> Block {
    let entries = vec![sample_record().entry; count];
    Block { first_sequence, id: [id; 16], previous: [previous; 16], time: UnixMillis::new(7), entries }
}

#[test]
fn a_chain_is_followed_to_its_end() {
    let (records, position) = follow(2, Position::BEGINNING, vec![block(1, 1, 0, 3), block(4, 2, 1, 2)]).unwrap();
    assert_eq!(records.iter().map(|record| record.sequence).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
    assert_eq!(position, Position { next_sequence: 6, last_block: [2; 16], last_time: UnixMillis::new(7) });
}

#[test]
fn a_gap_a_repeat_and_a_fork_are_told_apart() {
    let broken = |blocks| follow(0, Position::BEGINNING, blocks).unwrap_err();
    assert_eq!(broken(vec![block(2, 1, 0, 1)]), JournalFault::Gap { expected: 1, found: 2 });
    assert_eq!(broken(vec![block(1, 1, 0, 3), block(3, 2, 1, 1)]), JournalFault::Repeat { expected: 4, found: 3 });
    assert_eq!(broken(vec![block(1, 1, 0, 3), block(4, 2, 9, 1)]), JournalFault::Fork { sequence: 4 });
}

/// Entries of an account, each following from the one before.
fn record(sequence: u64, data: EntryData, account_sequence: u64, after: (i64, i64), bill: u32) -> Record {
    let full = sample_record();
    let metadata = Metadata { quantity: "1.50".into(), ..full.entry.metadata };
    let (balance, unbilled) = after;
    let mode = Mode::Postpaid;
    Record {
        partition: 3,
        sequence,
        previous: None,
        entry: Entry {
            data,
            account_sequence,
            balance: Units::new(balance),
            unbilled: Units::new(unbilled),
            bill,
            metadata,
            mode,
            ..full.entry
        },
    }
}

fn created(limit: Units) -> EntryData {
    let settings = sample_record().entry.data.settings().cloned().unwrap();
    EntryData::Created { limits: Limits { permanent: limit, ..Limits::default() }, settings }
}

fn charged(from: ChargedFrom, amount: Units) -> EntryData {
    EntryData::Charged { from, amount, reservation: None, overdraft: Units::ZERO }
}

#[test]
fn totals_and_accounts_follow_from_the_entries() {
    let mut projection = Projection::default();
    let mut records = [
        record(1, created(Units::new(500)), 0, (0, 0), 1),
        record(2, charged(Unbilled, Units::new(30)), 1, (0, 30), 1),
        record(3, charged(Unbilled, Units::new(12)), 2, (0, 42), 1),
        record(4, charged(OwnBill, Units::new(8)), 3, (-8, 42), 2),
        record(5, EntryData::PeriodClosed { billed: Units::new(42) }, 4, (-50, 0), 1),
        record(6, EntryData::PaymentRecorded { amount: Units::new(50) }, 5, (0, 0), 3),
        record(7, EntryData::Suspended, 0, (0, 0), 3),
    ];
    let changed = projection.take(&mut records).unwrap();
    assert_eq!(changed.len(), 4);
    assert_eq!(records.map(|record| record.previous), [0, 1, 2, 3, 4, 5, 6].map(Some));
    let charged = projection.totals.iter().find(|(key, _)| key.kind == EntryKind::ChargedUnbilled).unwrap().1;
    assert_eq!((charged.amount, charged.count, charged.quantity), (Units::new(42), 2, Some(Decimal::new(3, 0))));
    let state = projection.accounts.get("acme/7").unwrap();
    let account = &state.account;
    assert_eq!((account.balance, account.unbilled, account.sequence, state.last_sequence), (Units::ZERO, Units::ZERO, 5, 7));
    assert_eq!((account.open_bill, account.last_bill, account.status, account.permanent_limit), (3, 3, Status::Suspended, Units::new(500)));
    assert_eq!((state.name.as_str(), state.low_credit_threshold), ("Acme", Some(Units::new(1_500_000))));
}

#[test]
fn a_unit_has_a_price_while_all_charges_agree_on_it() {
    let charge = |sequence: i64, amount: Units, quantity: &str| {
        let mut record = record(2, charged(Unbilled, amount), 1, (0, amount.get()), 1);
        (record.entry.metadata.quantity, record.entry.account_sequence) = (quantity.to_owned(), sequence.unsigned_abs());
        record.entry
    };
    let price = |charges: &[(i64, &str)]| {
        let mut entries = charges.iter().map(|(amount, quantity)| charge(1, Units::new(*amount), quantity));
        let mut total = Total::of(&entries.next().unwrap());
        entries.for_each(|entry| total.add(&entry));
        total.unit_price.map(|price| price.to_string())
    };
    assert_eq!(price(&[(30, "1.5"), (100, "5"), (0, "0.0")]), None, "of nothing there is no price");
    assert_eq!(price(&[(30, "1.5"), (100, "5")]).as_deref(), Some("20"));
    assert_eq!(price(&[(1, "8")]), None, "the account has no smaller unit");
    assert_eq!(price(&[(10, "3")]), None, "a third has no decimal");
    assert_eq!(price(&[(30, "1.5"), (100, "4")]), None);
    assert_eq!(price(&[(250, ""), (250, "")]).as_deref(), Some("250"));
    assert_eq!(price(&[(250, ""), (250, "1")]), None, "one says how much it is of, and one does not");
    assert_eq!(price(&[(250, ""), (251, ""), (250, "")]), None, "what has differed once stays so");
}

#[test]
fn an_entry_that_does_not_follow_from_its_account_is_found() {
    let created = record(1, created(Units::new(500)), 0, (0, 0), 1);
    for wrong in [
        record(2, charged(Unbilled, Units::new(30)), 2, (0, 30), 1),
        record(2, charged(Unbilled, Units::new(30)), 1, (0, 31), 1),
        record(2, charged(Unbilled, Units::new(30)), 1, (-30, 0), 1),
    ] {
        let broken = Projection::default().take(&mut [created.clone(), wrong]).unwrap_err();
        assert!(matches!(broken, JournalFault::Account { sequence: 2, .. }), "{broken}");
    }
    let unknown = Projection::default().take(&mut [record(1, EntryData::ToppedUp { amount: Units::new(5) }, 1, (5, 0), 1)]).unwrap_err();
    assert!(unknown.to_string().contains("never created"));
}

#[tokio::test]
async fn a_charge_of_an_account_with_50_000_items_loads_one_total() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&sqlite_url(&folder.path().join("billing.db"))).await.unwrap();
    let charge = record(2, charged(Unbilled, Units::new(30)), 1, (0, 30), 1);
    let key = TotalKey::of(&charge.entry).unwrap();
    let mut connection = store.pool().acquire().await.unwrap();
    let mut stored = Projection::default();
    for number in 0..50_000 {
        let key = TotalKey { item: format!("item-{number}"), ..key.clone() };
        stored.totals.insert(key, Total::of(&charge.entry));
    }
    stored.totals.insert(key.clone(), Total::of(&charge.entry));
    rows::write(&mut connection, store.dialect(), &stored).await.unwrap();
    let loaded = rows::load(&mut connection, store.dialect(), &[charge]).await.unwrap();
    assert_eq!(loaded.totals.keys().collect::<Vec<_>>(), [&key]);
}
