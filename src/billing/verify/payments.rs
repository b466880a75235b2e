//! Whether what paid invoices is what was paid: allocations against their sums, against what is open, and against what came in.

use std::collections::{HashMap, HashSet};

use futures_util::TryStreamExt;
use sqlx::{AnyConnection, Row};

use super::allocation_heads::AllocationHeads;
use super::{Findings, Place, VerifyError};
use crate::bills::allocations::{AllocationRow, is_credit};
use crate::digest::{DigestSum, Fields};
use crate::layouts::Layouts;
use crate::record::{narrow, number};
use crate::store::Columns;
use domain::account::Mode;
use domain::entry::Entry;
use domain::ids::{AccountId, RequestId};
use domain::money::Units;
use domain::time::UnixMillis;

/// Compares all allocations.
pub(super) async fn compare(
    connection: &mut AnyConnection,
    credited: &Credited,
    heads: &mut AllocationHeads,
    layouts: &Layouts,
    findings: &mut Findings,
) -> Result<(), VerifyError> {
    paid_is_what_was_allocated(connection, findings).await?;
    payables_are_what_documents_say(connection, findings).await?;
    sums_are_of_what_is_open(connection, findings).await?;
    credits_are_what_came_in(connection, credited, findings).await?;
    set_aside_is_what_was_changed(connection, findings).await?;
    receivables_tie_to_the_ledger(connection, findings).await?;
    nothing_was_changed_by_hand(connection, heads, layouts, findings).await
}

async fn paid_is_what_was_allocated(connection: &mut AnyConnection, findings: &mut Findings) -> Result<(), VerifyError> {
    let of_invoices = "SELECT payables.account, payables.document, CAST(payables.total - payables.open_amount AS BIGINT) AS paid, \
                       CAST(COALESCE(SUM(allocations.amount), 0) AS BIGINT) AS allocated FROM payables \
                       LEFT JOIN allocations ON allocations.document = payables.document \
                       GROUP BY payables.account, payables.document, payables.total, payables.open_amount \
                       HAVING payables.total - payables.open_amount <> COALESCE(SUM(allocations.amount), 0)";
    let of_credits = "SELECT credits.account, credits.sequence, CAST(credits.allocated AS BIGINT) AS paid, \
                      CAST(COALESCE(SUM(allocations.amount), 0) AS BIGINT) AS allocated FROM credits \
                      LEFT JOIN allocations ON allocations.account = credits.account AND allocations.credit = credits.sequence \
                      GROUP BY credits.account, credits.sequence, credits.allocated \
                      HAVING credits.allocated <> COALESCE(SUM(allocations.amount), 0)";
    for (what, sql) in [("document", of_invoices), ("credit", of_credits)] {
        let mut rows = sqlx::query(sql).fetch(&mut *connection);
        while let Some(row) = rows.try_next().await? {
            let (account, number): (String, i64) = (row.try_get(0)?, row.try_get(1)?);
            let (paid, allocated): (i64, i64) = (row.try_get(2)?, row.try_get(3)?);
            let problem = format!("says that {paid} is paid, and its allocations say {allocated}");
            findings.add(Place::Documents, None, format!("{account} {what} {number}"), problem);
        }
    }
    Ok(())
}

/// What is set aside of a credit is what entries and operators have changed of it.
async fn set_aside_is_what_was_changed(connection: &mut AnyConnection, findings: &mut Findings) -> Result<(), VerifyError> {
    let sql = "SELECT account, credit, CAST(SUM(noted) AS BIGINT) AS noted, CAST(SUM(changed) AS BIGINT) AS changed FROM ( \
               SELECT account, sequence AS credit, set_aside AS noted, 0 AS changed FROM credits WHERE set_aside <> 0 UNION ALL \
               SELECT account, credit, 0, amount FROM set_asides) AS compared \
               GROUP BY account, credit HAVING SUM(noted) <> SUM(changed)";
    let mut rows = sqlx::query(sql).fetch(connection);
    while let Some(row) = rows.try_next().await? {
        let (account, credit): (String, i64) = (row.try_get("account")?, row.try_get("credit")?);
        let (noted, changed): (i64, i64) = (row.units("noted")?.get(), row.units("changed")?.get());
        let problem = format!("says that {noted} is set aside, and what changed it says {changed}");
        findings.add(Place::Documents, None, format!("{account} credit {credit}"), problem);
    }
    Ok(())
}

/// What there was to pay of an invoice is its total.
async fn payables_are_what_documents_say(connection: &mut AnyConnection, findings: &mut Findings) -> Result<(), VerifyError> {
    let sql = "SELECT documents.account, documents.id, documents.total, COALESCE(payables.total, 0) FROM documents \
               LEFT JOIN payables ON payables.document = documents.id AND payables.account = documents.account \
               WHERE documents.kind = 'invoice' AND documents.total > 0 AND documents.total <> COALESCE(payables.total, 0)";
    let mut rows = sqlx::query(sql).fetch(connection);
    while let Some(row) = rows.try_next().await? {
        let (account, document): (String, i64) = (row.try_get(0)?, row.try_get(1)?);
        let (total, payable): (i64, i64) = (row.try_get(2)?, row.try_get(3)?);
        let problem = format!("has the total {total}, and {payable} was to be paid of it");
        findings.add(Place::Documents, None, format!("{account} document {document}"), problem);
    }
    Ok(())
}

/// What postpaid accounts owe that is on no document is what their balance says beside open invoices and what is set aside.
async fn receivables_tie_to_the_ledger(connection: &mut AnyConnection, findings: &mut Findings) -> Result<(), VerifyError> {
    let sql = "SELECT accounts.account, accounts.mode, accounts.balance, COALESCE(dues.amount, 0) AS due, \
               CAST(COALESCE((SELECT SUM(open_amount) FROM payables WHERE payables.account = accounts.account AND open_amount > 0), 0) \
               AS BIGINT) AS open, \
               CAST(COALESCE((SELECT SUM(set_aside) FROM credits WHERE credits.account = accounts.account AND set_aside > 0), 0) \
               AS BIGINT) AS set_aside FROM accounts LEFT JOIN dues ON dues.account = accounts.account";
    let mut rows = sqlx::query(sql).fetch(connection);
    while let Some(row) = rows.try_next().await? {
        let (balance, open, set_aside): (i64, i64, i64) =
            (row.units("balance")?.get(), row.units("open")?.get(), row.units("set_aside")?.get());
        let (mode, due): (i64, i64) = (row.try_get("mode")?, row.units("due")?.get());
        let expected = if mode == Mode::Postpaid as i64 { (set_aside - balance - open).max(0) } else { 0 };
        if due != expected {
            let problem = format!("owes {expected} that is on no document, and {due} is noted");
            findings.add(Place::Documents, None, row.try_get::<String, _>("account")?, problem);
        }
    }
    Ok(())
}

/// The credits that the entries brought in: of each account how many, and the sum of their digests.
#[derive(Debug, Default)]
pub(super) struct Credited(HashMap<AccountId, DigestSum>);

impl Credited {
    /// Takes in an entry, which may bring in a credit.
    pub fn take(&mut self, entry: &Entry) {
        if is_credit(entry) {
            let digest = credit_digest(number(entry.account_sequence), &entry.request_id, entry.time, entry.amount());
            self.0.entry(entry.account.clone()).or_default().add(digest);
        }
    }
}

fn credit_digest(sequence: i64, request_id: &RequestId, time: UnixMillis, amount: Units) -> [u8; 32] {
    Fields::of("credit").number(sequence).text(request_id).number(time.get()).number(amount.get()).bytes()
}

/// What is summed up for each account is what is open of its invoices.
async fn sums_are_of_what_is_open(connection: &mut AnyConnection, findings: &mut Findings) -> Result<(), VerifyError> {
    let sql = "SELECT account, CAST(SUM(number) AS BIGINT) AS number, CAST(SUM(amount) AS BIGINT) AS amount FROM ( \
               SELECT account, open_count AS number, open_amount AS amount FROM open_sums UNION ALL \
               SELECT account, -1, -open_amount FROM payables WHERE open_amount > 0) AS compared \
               GROUP BY account HAVING SUM(number) <> 0 OR SUM(amount) <> 0";
    let mut rows = sqlx::query(sql).fetch(connection);
    while let Some(row) = rows.try_next().await? {
        let (number, amount): (i64, i64) = (row.try_get("number")?, row.units("amount")?.get());
        let problem = format!("has a sum of its open invoices that is too high by {amount} and by {number} of them");
        findings.add(Place::Documents, None, row.try_get::<String, _>("account")?, problem);
    }
    Ok(())
}

/// A credit is what its entry says.
async fn credits_are_what_came_in(connection: &mut AnyConnection, credited: &Credited, findings: &mut Findings) -> Result<(), VerifyError> {
    let sql = "SELECT account, sequence, request_id, time, amount FROM credits ORDER BY account";
    let mut rows = sqlx::query(sql).fetch(connection);
    let mut seen = HashSet::new();
    let mut of: Option<(AccountId, DigestSum)> = None;
    let mut tell = |of: Option<(AccountId, DigestSum)>| {
        let Some((account, sum)) = of else { return };
        if credited.0.get(&account) != Some(&sum) {
            findings.add(Place::Documents, None, account.as_str(), "has credits that are not what was paid in");
        }
        seen.insert(account);
    };
    while let Some(row) = rows.try_next().await? {
        let account = row.account_id("account")?;
        if of.as_ref().is_none_or(|(last, _)| *last != account) {
            tell(of.replace((account, DigestSum::default())));
        }
        let request_id = row.request_id("request_id")?;
        if let Some((_, sum)) = &mut of {
            sum.add(credit_digest(row.try_get("sequence")?, &request_id, row.instant("time")?, row.units("amount")?));
        }
    }
    tell(of);
    for account in credited.0.keys().filter(|account| !seen.contains(*account)) {
        findings.add(Place::Documents, None, account.as_str(), "has no credits, though something was paid in");
    }
    Ok(())
}

/// The digests of each account's allocations add up to what was noted when they were written.
async fn nothing_was_changed_by_hand(
    connection: &mut AnyConnection,
    heads: &mut AllocationHeads,
    layouts: &Layouts,
    findings: &mut Findings,
) -> Result<(), VerifyError> {
    let sql = "SELECT COALESCE(allocations.account, allocation_sums.account) AS of_account, allocations.*, \
               COALESCE(allocation_sums.count, 0) AS count, COALESCE(allocation_sums.digest, '') AS digest, \
               COALESCE(accounts.partition, 0) AS partition, COALESCE(allocations_by_hand.after_entry, 0) AS after_entry \
               FROM allocations LEFT JOIN allocation_sums ON allocation_sums.account = allocations.account \
               LEFT JOIN accounts ON accounts.account = allocations.account \
               LEFT JOIN allocations_by_hand ON allocations_by_hand.account = allocations.account \
               AND allocations_by_hand.number = -allocations.sequence ORDER BY allocations.account";
    let mut of: Option<(AccountId, DigestSum, String, i64)> = None;
    let mut rows = sqlx::query(sql).fetch(&mut *connection);
    while let Some(row) = rows.try_next().await? {
        let allocation = AllocationRow::from_row(&row)?;
        if of.as_ref().is_none_or(|(account, ..)| *account != allocation.account) {
            tell(of.take(), findings);
            of = Some((allocation.account.clone(), DigestSum::default(), row.try_get("digest")?, row.try_get("count")?));
        }
        if let Some((_, sum, ..)) = &mut of {
            sum.add(allocation.digest());
        }
        let after_entry: u64 = narrow(&row, "after_entry")?;
        let home = layouts.home(&allocation.account, after_entry + 1, narrow(&row, "partition")?);
        heads.add(home.partition, &allocation, after_entry);
    }
    drop(rows);
    tell(of, findings);
    let sql = "SELECT account FROM allocation_sums WHERE count <> 0 \
               AND NOT EXISTS (SELECT 1 FROM allocations WHERE allocations.account = allocation_sums.account)";
    for row in sqlx::query(sql).fetch_all(connection).await? {
        findings.add(Place::Documents, None, row.try_get::<String, _>(0)?, "has no allocations any more");
    }
    Ok(())
}

fn tell(of: Option<(AccountId, DigestSum, String, i64)>, findings: &mut Findings) {
    let Some((account, sum, digest, count)) = of else { return };
    if sum.count != count {
        findings.add(Place::Documents, None, account, format!("has {} allocations, and {count} were written", sum.count));
    } else if sum.hex() != digest {
        findings.add(Place::Documents, None, account, "has allocations that are not as they were written");
    }
}
