//! Undoes what a record led to: for entries that the ledger has lost. What was issued stays for ever, so it is asked for first.

use sqlx::{AnyConnection, AssertSqlSafe, Row};

use super::allocations;
use crate::BillingError;
use crate::document_id::document_id;
use crate::record::{Record, number};
use crate::sending::outbox;
use domain::account::Mode;
use domain::entry::{Entry, EntryKind};
use domain::ids::AccountId;
use domain::money::Units;

/// The numbers of documents that were issued because of these records.
pub async fn issued_of(connection: &mut AnyConnection, records: &[Record]) -> Result<Vec<String>, BillingError> {
    let mut numbers = Vec::new();
    for record in records.iter().filter(|record| record.may_draft()) {
        let query = sqlx::query("SELECT number FROM issued WHERE document = $1").bind(document_id(record));
        numbers.extend(query.fetch_optional(&mut *connection).await?.map(|row| row.try_get::<String, _>(0)).transpose()?);
    }
    Ok(numbers)
}

/// Undoes what one record led to. Of several, the last comes first.
pub async fn forget(connection: &mut AnyConnection, record: &Record) -> Result<(), BillingError> {
    let entry = &record.entry;
    if !entry.kind().moves_money() {
        return Ok(());
    }
    let (account, sequence) = (&entry.account, number(entry.account_sequence));
    undo_payments(connection, account, sequence).await?;
    if matches!(entry.kind(), EntryKind::PaymentReversed | EntryKind::WriteOffReversed) {
        let last = "SELECT MAX(sequence) FROM credits WHERE account = $2 AND request_id = $3";
        let sql = format!("UPDATE credits SET reversed = reversed - $1 WHERE account = $2 AND sequence = ({last})");
        let query = sqlx::query(AssertSqlSafe(sql)).bind(entry.amount().get()).bind(account.to_string()).bind(entry.refers_to.to_string());
        query.execute(&mut *connection).await?;
    }
    for table in ["credits", "refunds", "adjustments", "uncredited_refunds"] {
        let sql = format!("DELETE FROM {table} WHERE account = $1 AND sequence = $2");
        sqlx::query(AssertSqlSafe(sql)).bind(account.to_string()).bind(sequence).execute(&mut *connection).await?;
    }
    outbox::forget_receipts(connection, account, sequence).await?;
    if record.may_draft() {
        let sql = "UPDATE uncredited_refunds SET note = 0 WHERE note = $1 AND note <> 0";
        sqlx::query(sql).bind(document_id(record)).execute(&mut *connection).await?;
        for (table, column) in [("drafts", "document"), ("payables", "document"), ("document_links", "document"), ("documents", "id")] {
            let sql = format!("DELETE FROM {table} WHERE {column} = $1");
            sqlx::query(AssertSqlSafe(sql)).bind(document_id(record)).execute(&mut *connection).await?;
        }
    }
    Ok(())
}

/// Undoes what operators did by hand with an account's credits after an entry of its partition: it was done with what is lost behind that
/// entry. Returns how many acts it undid; each of them can be asked for again, under the same request id.
pub async fn forget_by_hand(connection: &mut AnyConnection, account: &AccountId, after: i64) -> Result<u64, BillingError> {
    let sql = "SELECT number FROM allocations_by_hand WHERE account = $1 AND after_entry > $2";
    let acts = sqlx::query(sql).bind(account.to_string()).bind(after).fetch_all(&mut *connection).await?;
    for row in &acts {
        undo_payments(connection, account, -row.try_get::<i64, _>(0)?).await?;
    }
    let sql = "DELETE FROM allocations_by_hand WHERE account = $1 AND after_entry > $2";
    Ok(sqlx::query(sql).bind(account.to_string()).bind(after).execute(connection).await?.rows_affected())
}

/// Undoes what an entry, or an operator, had credits pay, and set aside of them.
async fn undo_payments(connection: &mut AnyConnection, account: &AccountId, sequence: i64) -> Result<(), BillingError> {
    undo_allocations(connection, account, sequence).await?;
    let change = "SELECT amount FROM set_asides WHERE set_asides.account = $1 AND set_asides.sequence = $2 AND credit = credits.sequence";
    let sql = format!("UPDATE credits SET set_aside = set_aside - ({change}) WHERE account = $1 AND EXISTS ({change})");
    sqlx::query(AssertSqlSafe(sql)).bind(account.to_string()).bind(sequence).execute(&mut *connection).await?;
    let sql = "DELETE FROM set_asides WHERE account = $1 AND sequence = $2";
    sqlx::query(sql).bind(account.to_string()).bind(sequence).execute(connection).await?;
    Ok(())
}

async fn undo_allocations(connection: &mut AnyConnection, account: &AccountId, sequence: i64) -> Result<(), BillingError> {
    let rows = sqlx::query("SELECT credit, document, amount FROM allocations WHERE account = $1 AND sequence = $2")
        .bind(account.to_string())
        .bind(sequence)
        .fetch_all(&mut *connection)
        .await?;
    for row in rows {
        let (credit, document, amount): (i64, i64, i64) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        let sql = "UPDATE payables SET open_amount = open_amount + $1 WHERE document = $2";
        sqlx::query(sql).bind(amount).bind(document).execute(&mut *connection).await?;
        let sql = "UPDATE credits SET allocated = allocated - $1 WHERE account = $2 AND sequence = $3";
        sqlx::query(sql).bind(amount).bind(account.to_string()).bind(credit).execute(&mut *connection).await?;
    }
    allocations::remove(connection, account, sequence).await
}

/// Works out again what is open of an account's invoices, and what it owes that is on no document yet.
pub async fn due_again(connection: &mut AnyConnection, account: &AccountId) -> Result<(), BillingError> {
    sqlx::query("DELETE FROM open_sums WHERE account = $1").bind(account.to_string()).execute(&mut *connection).await?;
    let sql = "INSERT INTO open_sums (account, open_count, open_amount) \
               SELECT account, CAST(COUNT(*) AS BIGINT), CAST(SUM(open_amount) AS BIGINT) FROM payables \
               WHERE account = $1 AND open_amount > 0 GROUP BY account";
    sqlx::query(sql).bind(account.to_string()).execute(&mut *connection).await?;
    sqlx::query("DELETE FROM dues WHERE account = $1").bind(account.to_string()).execute(&mut *connection).await?;
    let sql = format!(
        "INSERT INTO dues (account, amount) SELECT account, due FROM (SELECT accounts.account, CAST( \
               COALESCE((SELECT SUM(set_aside) FROM credits WHERE credits.account = $1 AND set_aside > 0), 0) - accounts.balance \
               - COALESCE((SELECT SUM(open_amount) FROM payables WHERE payables.account = $1 AND open_amount > 0), 0) AS BIGINT) AS due \
               FROM accounts WHERE accounts.account = $1 AND accounts.mode = {postpaid}) AS debts WHERE due > 0",
        postpaid = Mode::Postpaid as u8
    );
    sqlx::query(AssertSqlSafe(sql)).bind(account.to_string()).execute(connection).await?;
    Ok(())
}

/// Whether an entry says where its account's bills have come to.
#[must_use]
pub fn is_of_end(kind: EntryKind) -> bool {
    use EntryKind::{AmountDueRounded, ChargedOwnBill, Converted, FinalBilled, PeriodClosed, Rounded};
    kind.is_of_gap() || matches!(kind, ChargedOwnBill | Converted | PeriodClosed | FinalBilled | Rounded | AmountDueRounded)
}

/// Writes again where an account's bills have come to, by those of the entries that it still has which say so.
pub async fn end_again(connection: &mut AnyConnection, account: &AccountId, entries: &[Entry]) -> Result<(), BillingError> {
    let sql = "DELETE FROM bill_ends WHERE account = $1";
    sqlx::query(sql).bind(account.to_string()).execute(&mut *connection).await?;
    let Some(End { balance, converted_bill, single_charged, single_rounded }) = End::of(entries) else { return Ok(()) };
    sqlx::query("INSERT INTO bill_ends (account, balance, converted_bill, single_charged, single_rounded) VALUES ($1, $2, $3, $4, $5)")
        .bind(account.to_string())
        .bind(balance.get())
        .bind(i64::from(converted_bill))
        .bind(single_charged.get())
        .bind(single_rounded.get())
        .execute(connection)
        .await?;
    Ok(())
}

/// The end of an account's last bill.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct End {
    pub balance: Units,
    pub converted_bill: u32,
    pub single_charged: Units,
    pub single_rounded: Units,
}

impl End {
    /// `None` if no entry says anything of it.
    pub fn of(entries: &[Entry]) -> Option<Self> {
        let mut end = None;
        let (mut cut_single, mut last_cut) = (false, None);
        for entry in entries {
            let known: &mut Self = match entry.kind() {
                EntryKind::Converted if entry.mode == Mode::Prepaid => continue,
                EntryKind::NotItemized | EntryKind::NotItemizedUnbilled if !entry.data.cut_within_gap() => continue,
                _ => end.get_or_insert_default(),
            };
            match entry.kind() {
                EntryKind::PeriodClosed | EntryKind::FinalBilled => {
                    *known = Self { balance: entry.balance, ..Self::default() };
                    (cut_single, last_cut) = (false, Some(entry.bill));
                }
                EntryKind::NotItemized | EntryKind::NotItemizedUnbilled => {
                    *known = Self { balance: entry.balance - entry.data.movement().balance, ..Self::default() };
                    (cut_single, last_cut) = (false, None);
                }
                EntryKind::ChargedOwnBill => {
                    known.single_charged -= entry.amount();
                    cut_single = true;
                }
                EntryKind::Rounded if cut_single => known.single_rounded += entry.amount(),
                EntryKind::Rounded => known.balance += entry.amount(),
                EntryKind::AmountDueRounded if last_cut == Some(entry.bill) => known.balance += entry.amount(),
                // What the closing of an account rounds off belongs to the open bill.
                EntryKind::AmountDueRounded => {}
                _ => known.converted_bill = entry.bill,
            }
        }
        end
    }
}
