//! What is true of the paper at every instant, whatever has happened: told from the billing store alone.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "test support; each test uses a part")]

use std::collections::BTreeMap;

use sqlx::any::AnyRow;
use sqlx::{AssertSqlSafe, Row};
use tollgate::billing::Billing;
use tollgate::billing::document::Document;
use tollgate::domain::entry::EntryKind;
use tollgate::domain::money::Units;

/// An invoice, as far as it has come.
struct Invoice {
    total: i64,
    open: i64,
}

/// An account, as far as it has come.
#[derive(Default)]
struct Account {
    minor_unit: i64,
    /// How many entries so far moved fractions of a minor unit.
    fractions: i64,
    /// By document. In the order of the entries that cut them.
    invoices: BTreeMap<i64, Invoice>,
}

impl Account {
    /// What is open of an invoice is in minor units, and never more than the invoice.
    fn is_sound(&self, name: &str, sequence: i64) {
        for (document, Invoice { total, open }) in &self.invoices {
            assert_eq!(open % self.minor_unit, 0, "{name}, entry {sequence}: {open} is open of document {document}");
            assert_eq!(total % self.minor_unit, 0, "{name}, entry {sequence}: document {document} comes to {total}");
            assert!((0..=*total).contains(open), "{name}, entry {sequence}: {open} of {total} is open of document {document}");
        }
    }

    /// `balance = unallocated - open - due and not yet on a document`: beside open invoices, of each credit less than a minor unit is
    /// unallocated.
    fn credits_have_paid(&self, name: &str, sequence: i64, balance: i64) {
        let open: i64 = self.invoices.values().map(|invoice| invoice.open).sum();
        let bound = self.minor_unit * (1 + self.fractions);
        assert!(open == 0 || balance + open < bound, "{name}, entry {sequence}: {balance} with {open} open has not paid it");
    }
}

async fn rows(billing: &Billing, sql: &str) -> Vec<AnyRow> {
    sqlx::query(AssertSqlSafe(sql.to_owned())).fetch_all(billing.store().pool()).await.unwrap()
}

fn text(row: &AnyRow, column: &str) -> String {
    row.try_get(column).unwrap()
}

fn number(row: &AnyRow, column: &str) -> i64 {
    row.try_get(column).unwrap()
}

/// Lives through all entries again, and holds every account to it after each; returns how many instants that were with something open.
pub async fn is_sound_at_every_instant(billing: &Billing) -> usize {
    let mut accounts: BTreeMap<String, Account> = BTreeMap::new();
    for row in rows(billing, "SELECT account, decimals, minor_digits FROM accounts").await {
        let digits = u32::try_from(number(&row, "decimals") - number(&row, "minor_digits")).unwrap();
        accounts.insert(text(&row, "account"), Account { minor_unit: 10_i64.pow(digits), ..Account::default() });
    }
    // Invoices by the place of the entry that cut them, allocations by the entry that led to them.
    let payables = rows(billing, "SELECT document, total, open_amount FROM payables").await;
    let payables: BTreeMap<i64, (i64, i64)> =
        payables.iter().map(|row| (number(row, "document"), (number(row, "total"), number(row, "open_amount")))).collect();
    let mut allocations: BTreeMap<(String, i64), Vec<(i64, i64)>> = BTreeMap::new();
    for row in rows(billing, "SELECT account, sequence, document, amount FROM allocations").await {
        let made = allocations.entry((text(&row, "account"), number(&row, "sequence"))).or_default();
        made.push((number(&row, "document"), number(&row, "amount")));
    }
    let entries = "SELECT account, account_sequence, partition, sequence, kind, amount, balance FROM entries WHERE account_sequence > 0 \
                   ORDER BY account, account_sequence";
    let entries = rows(billing, entries).await;
    let mut instants = 0;
    for (place, row) in entries.iter().enumerate() {
        let (name, sequence) = (text(row, "account"), number(row, "account_sequence"));
        let account = accounts.get_mut(&name).unwrap();
        let cut = (number(row, "sequence") << 16) | number(row, "partition");
        if let Some((total, _)) = payables.get(&cut) {
            account.invoices.insert(cut, Invoice { total: *total, open: *total });
        }
        for (document, amount) in allocations.remove(&(name.clone(), sequence)).unwrap_or_default() {
            account.invoices.get_mut(&document).unwrap().open -= amount;
        }
        account.is_sound(&name, sequence);
        let is_of_money = ![EntryKind::ChargedUnbilled, EntryKind::RefundedUnbilled].map(|kind| kind as i64).contains(&number(row, "kind"));
        account.fractions += i64::from(is_of_money && number(row, "amount") % account.minor_unit != 0);
        // What a cut rounds belongs to it.
        let next = entries.get(place + 1).filter(|next| text(next, "account") == name).map(|next| number(next, "kind"));
        let is_whole = next.is_none_or(|kind| ![EntryKind::Rounded, EntryKind::AmountDueRounded].map(|kind| kind as i64).contains(&kind));
        if is_whole {
            account.credits_have_paid(&name, sequence, number(row, "balance"));
            instants += usize::from(account.invoices.values().any(|invoice| invoice.open > 0));
        }
    }
    assert!(allocations.is_empty(), "each allocation has its entry: {allocations:?}");
    for (document, (_, open)) in payables {
        let invoice = accounts.values().find_map(|account| account.invoices.get(&document));
        assert_eq!(invoice.unwrap_or_else(|| panic!("no entry cut document {document}")).open, open, "document {document}");
    }
    notes_are_at_most_their_document(billing, &accounts).await;
    instants
}

/// What is credited of a document is in minor units, and in all at most what it charged.
async fn notes_are_at_most_their_document(billing: &Billing, accounts: &BTreeMap<String, Account>) {
    let mut credited: BTreeMap<i64, Units> = BTreeMap::new();
    let documents = rows(billing, "SELECT id, account, refers_to, content FROM documents ORDER BY id").await;
    let read = |row: &AnyRow| -> Document { serde_json::from_str(&text(row, "content")).unwrap() };
    for row in documents.iter().filter(|row| number(row, "refers_to") != 0) {
        let metadata = read(row);
        assert!(
            metadata.total > Units::ZERO && metadata.total % Units::new(accounts[metadata.account.as_str()].minor_unit) == Units::ZERO,
            "{metadata:?}"
        );
        let lines: Units = metadata.items.iter().map(|item| item.amount).sum();
        assert_eq!(lines + metadata.rounding, metadata.total, "a note adds up: {metadata:?}");
        *credited.entry(number(row, "refers_to")).or_default() += metadata.total;
    }
    for row in &documents {
        let credited = credited.remove(&number(row, "id")).unwrap_or_default();
        let document = read(row);
        assert!(credited <= document.charged(), "{credited} is credited of {document:?}");
    }
    assert!(credited.is_empty(), "each note refers to a document: {credited:?}");
}
