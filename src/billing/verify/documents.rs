//! Whether every bill that the ledger cut has its document, the documents add up, and what paid them is what was paid.

use sqlx::{AnyConnection, AssertSqlSafe, Row};

use super::{Findings, PAGE, Place, VerifyError};
use crate::billing::document::Document;
use crate::billing::{BillingError, BillingSettings};
use crate::domain::entry::EntryKind;

/// The kinds of entry that cut a bill.
const CUTS: [EntryKind; 3] = [EntryKind::ChargedOwnBill, EntryKind::PeriodClosed, EntryKind::FinalBilled];

/// Compares all documents.
pub(super) async fn compare(
    connection: &mut AnyConnection,
    settings: &BillingSettings,
    findings: &mut Findings,
) -> Result<(), VerifyError> {
    every_bill_has_its_document(connection, findings).await?;
    every_document_adds_up(connection, findings).await?;
    payments_are_what_was_allocated(connection, findings).await?;
    for prefix in [&settings.prefixes.invoice, &settings.prefixes.statement, &settings.prefixes.credit_note] {
        numbers_have_no_gaps(connection, prefix, findings).await?;
    }
    Ok(())
}

fn cuts() -> String {
    CUTS.map(|kind| (kind as i64).to_string()).join(", ")
}

async fn every_bill_has_its_document(connection: &mut AnyConnection, findings: &mut Findings) -> Result<(), VerifyError> {
    let sql = format!(
        "SELECT entries.account, entries.bill FROM entries LEFT JOIN documents ON documents.account = entries.account \
         AND documents.bill = entries.bill AND documents.kind <> 'credit_note' WHERE entries.kind IN ({}) AND documents.id IS NULL \
         AND (entries.amount <> 0 OR EXISTS (SELECT 1 FROM totals WHERE totals.account = entries.account AND totals.bill = entries.bill \
         AND totals.kind IN (3, 4, 5, 7)))",
        cuts()
    );
    for row in sqlx::query(AssertSqlSafe(sql)).fetch_all(connection).await? {
        let (account, bill): (String, i64) = (row.try_get(0)?, row.try_get(1)?);
        findings.add(Place::Documents, None, format!("{account} bill {bill}"), "was cut, and has no document");
    }
    Ok(())
}

async fn every_document_adds_up(connection: &mut AnyConnection, findings: &mut Findings) -> Result<(), VerifyError> {
    let mut after = i64::MIN;
    // A document's id is the place of the entry that cut its bill: sequence and partition.
    let sql = format!(
        "SELECT documents.id, documents.account, documents.bill, documents.held_reason, documents.content, entries.amount AS closed \
         FROM documents LEFT JOIN entries ON entries.partition = documents.id % 65536 AND entries.sequence = documents.id / 65536 \
         AND entries.account = documents.account AND entries.bill = documents.bill AND entries.kind IN ({}) \
         WHERE documents.kind <> 'credit_note' AND documents.id > $1 ORDER BY documents.id LIMIT $2",
        cuts()
    );
    loop {
        let rows = sqlx::query(AssertSqlSafe(sql.clone())).bind(after).bind(PAGE).fetch_all(&mut *connection).await?;
        let Some(last) = rows.last() else { return Ok(()) };
        after = last.try_get("id")?;
        for row in &rows {
            findings.bills += 1;
            let (account, bill): (String, i64) = (row.try_get("account")?, row.try_get("bill")?);
            let (held, content): (String, String) = (row.try_get("held_reason")?, row.try_get("content")?);
            let document: Document = serde_json::from_str(&content).map_err(BillingError::corrupt)?;
            let problem = match row.try_get::<Option<i64>, _>("closed")? {
                _ if !held.is_empty() => Some(format!("is held back: {held}")),
                None => Some("has a document, and was never cut".to_owned()),
                Some(closed) => sums(&document, closed),
            };
            if let Some(problem) = problem {
                findings.add(Place::Documents, None, format!("{account} bill {bill}"), problem);
            }
        }
    }
}

/// What does not add up in a document whose bill closed so much.
fn sums(document: &Document, closed: i64) -> Option<String> {
    let items: i64 = document.items.iter().map(|item| item.amount).sum();
    let total = document.items_total + document.rounding + document.brought_forward;
    let pairs = [
        ("the items", items, document.items_total),
        ("what the ledger closed", closed, document.items_total),
        ("the total", total, document.total),
        ("the amount to pay", document.total - document.credit_applied, document.amount_to_pay),
    ];
    let wrong = pairs.into_iter().find(|(_, expected, found)| expected != found);
    wrong.map(|(what, expected, found)| format!("{what}: the document says {found}, and it should be {expected}"))
}

async fn payments_are_what_was_allocated(connection: &mut AnyConnection, findings: &mut Findings) -> Result<(), VerifyError> {
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
        for row in sqlx::query(sql).fetch_all(&mut *connection).await? {
            let (account, number): (String, i64) = (row.try_get(0)?, row.try_get(1)?);
            let (paid, allocated): (i64, i64) = (row.try_get(2)?, row.try_get(3)?);
            let problem = format!("says that {paid} is paid, and its allocations say {allocated}");
            findings.add(Place::Documents, None, format!("{account} {what} {number}"), problem);
        }
    }
    Ok(())
}

async fn numbers_have_no_gaps(connection: &mut AnyConnection, prefix: &str, findings: &mut Findings) -> Result<(), VerifyError> {
    let row =
        sqlx::query("SELECT last_place FROM series WHERE prefix = $1").bind(prefix.to_owned()).fetch_optional(&mut *connection).await?;
    let last: i64 = row.map_or(Ok(0), |row| row.try_get(0))?;
    let sql = "SELECT CAST(COUNT(*) AS BIGINT) FROM issued WHERE substr(number, 1, CAST($1 AS INTEGER)) = $2";
    let length = i64::try_from(prefix.chars().count()).unwrap_or(i64::MAX);
    let issued: i64 = sqlx::query(sql).bind(length).bind(prefix.to_owned()).fetch_one(&mut *connection).await?.try_get(0)?;
    let sql = "SELECT CAST(COALESCE(SUM(last_place - first_place + 1), 0) AS BIGINT) FROM skipped_numbers WHERE prefix = $1";
    let skipped: i64 = sqlx::query(sql).bind(prefix.to_owned()).fetch_one(connection).await?.try_get(0)?;
    if issued + skipped != last {
        findings.add(Place::Documents, None, prefix, format!("{issued} numbers are in use, and the last one given is {last}"));
    }
    Ok(())
}
