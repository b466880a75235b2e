//! What is loaded is bounded, and pays what would be paid if all were loaded.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test")]

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use sqlx::Executor;

use super::super::load as load_bills;
use super::*;
use crate::bills::apply::Rounding;
use crate::record::Record;
use crate::store::{Store, sqlite_url};
use domain::account::Mode;
use domain::command::Metadata;
use domain::entry::{ChargedFrom, Entry, EntryData};
use domain::ids::{AccountId, RequestId};
use domain::time::UnixMillis;

const CENT: Units = Units::new(10_000);

/// An account with a number of open invoices, each of some cents, the oldest with the lowest number.
async fn store_with(count: i64, folder: &std::path::Path) -> Store {
    let store = Store::open(&sqlite_url(&folder.join("billing.db"))).await.unwrap();
    let sql = format!(
        "INSERT INTO accounts (account, partition, name, currency, decimals, minor_digits, mode, status, non_usage_billing, permanent_limit,
            temporary_limit, temporary_until, balance, unbilled, reserved, account_sequence, bill, last_bill, low_credit_threshold, created_at,
            last_sequence) VALUES ('acme', 0, 'Acme', 'EUR', 6, 2, 2, 1, 2, 0, 0, 0, 0, 0, 0, 1, 1, 1, -1, 0, 1);
         WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {count})
         INSERT INTO payables (document, account, cut_at, total, open_amount) SELECT n, 'acme', n / 2, 100 * {CENT}, (1 + n % 90) * {CENT} FROM numbers;
         INSERT INTO issued (document, number, issued_at, due_at, tax_contained, tax_on_deducted, frozen, folded)
            SELECT document, 'INV-' || document, 0, 0, 0, 0, '', 'x' FROM payables;
         INSERT INTO open_sums (account, open_count, open_amount) SELECT account, COUNT(*), SUM(open_amount) FROM payables GROUP BY account;
         UPDATE accounts SET balance = -(SELECT SUM(open_amount) FROM payables)"
    );
    store.pool().execute(sqlx::AssertSqlSafe(sql)).await.unwrap();
    store
}

fn own_bill(amount: Units) -> EntryData {
    EntryData::Charged { from: ChargedFrom::OwnBill, amount, reservation: None, overdraft: Units::ZERO }
}

fn record(data: EntryData, sequence: u64, invoices: &[&str]) -> Record {
    let entry = Entry {
        data,
        account: "acme".into(),
        request_id: format!("r-{sequence}").into(),
        account_sequence: sequence,
        time: UnixMillis::new(1_000_000),
        mode: Mode::Postpaid,
        bill: u32::try_from(sequence).unwrap(),
        // Deep in debt: no credit is left over.
        balance: -100_000_000 * CENT,
        unbilled: Units::ZERO,
        reserved: Units::ZERO,
        fingerprint: Default::default(),
        metadata: Metadata { invoices: invoices.iter().map(|number| (*number).to_owned()).collect(), ..Metadata::default() },
        refers_to: RequestId::default(),
    };
    Record { partition: 0, sequence, previous: None, entry }
}

async fn worked_out(store: &Store, records: &[Record], all: bool) -> LoadedBills {
    let acme = AccountId::from("acme");
    let mut load_plan = LoadPlan::of(records);
    if all {
        load_plan.all_open.insert(&acme);
    }
    let mut loaded_bills = load_bills(&mut store.pool().acquire().await.unwrap(), store.dialect(), &load_plan).await.unwrap();
    for record in records {
        loaded_bills.take(record, Rounding::default()).unwrap();
    }
    loaded_bills
}

/// How many invoices were loaded; those that the records made are not stored yet.
fn loaded(loaded_bills: &LoadedBills) -> usize {
    loaded_bills.accounts["acme"].receivables.invoices.iter().filter(|invoice| invoice.stored.is_some()).count()
}

#[tokio::test]
async fn a_charge_loads_none_of_50_000_open_invoices_and_a_payment_as_many_as_it_pays() {
    let folder = tempfile::tempdir().unwrap();
    let store = store_with(50_000, folder.path()).await;
    let charge = worked_out(&store, &[record(own_bill(7 * CENT), 2, &[])], false).await;
    assert_eq!(loaded(&charge), 0);
    assert_eq!(charge.accounts["acme"].open().0, 50_001);
    // 2 + 3 + 4 cents are those of the oldest; the fourth comes in the same page.
    let payment = worked_out(&store, &[record(EntryData::PaymentRecorded { amount: 9 * CENT }, 2, &[])], false).await;
    assert_eq!((loaded(&payment), payment.accounts["acme"].open().0), (4, 49_997));
    let named = worked_out(&store, &[record(EntryData::PaymentRecorded { amount: CENT }, 2, &["INV-40000"])], false).await;
    assert_eq!(loaded(&named), 5);
    assert_eq!(named.made_allocations.iter().map(|made| made.allocation.document).collect::<Vec<_>>(), [40_000]);
}

#[tokio::test]
async fn what_is_paid_does_not_depend_on_how_much_is_loaded() {
    let folder = tempfile::tempdir().unwrap();
    let store = store_with(60, folder.path()).await;
    let seed = rand::random::<u64>();
    let mut random = SmallRng::seed_from_u64(seed);
    for _ in 0..100 {
        let mut records = Vec::new();
        for sequence in 2..2 + random.random_range(1..6) {
            let number = format!("INV-{}", random.random_range(1..70));
            let amount = Units::new(random.random_range(1..400) * CENT.get() / 2);
            records.push(match random.random_range(0..4) {
                0 => record(own_bill(amount - amount % CENT + CENT), sequence, &[]),
                1 => record(EntryData::PaymentRecorded { amount }, sequence, &[&number]),
                2 => record(EntryData::Adjusted { amount }, sequence, &[]),
                _ => record(EntryData::ToppedUp { amount }, sequence, &[]),
            });
        }
        let [bounded, whole] = [worked_out(&store, &records, false).await, worked_out(&store, &records, true).await];
        let allocated = |loaded_bills: &LoadedBills| {
            loaded_bills.made_allocations.iter().map(|made| (made.sequence, made.allocation)).collect::<Vec<_>>()
        };
        assert_eq!(allocated(&bounded), allocated(&whole), "seed {seed}: {records:#?}");
        assert_eq!(bounded.accounts["acme"].open(), whole.accounts["acme"].open(), "seed {seed}");
    }
}
