//! Whether every bill that the ledger cut has its document, and the documents add up.

use futures_util::TryStreamExt;
use sqlx::{AnyConnection, AssertSqlSafe, Row};

use super::{Findings, Place, VerifyError};
use crate::document::Document;
use crate::kinds::{BILLS, ITEMS};
use domain::money::Units;

/// Compares all documents.
pub(super) async fn compare(connection: &mut AnyConnection, findings: &mut Findings) -> Result<(), VerifyError> {
    every_bill_has_its_document(connection, findings).await?;
    every_document_adds_up(connection, findings).await
}

async fn every_bill_has_its_document(connection: &mut AnyConnection, findings: &mut Findings) -> Result<(), VerifyError> {
    let sql = format!(
        "SELECT entries.account, entries.bill FROM entries LEFT JOIN documents ON documents.account = entries.account \
         AND documents.bill = entries.bill AND documents.kind <> 'credit_note' WHERE entries.kind IN ({BILLS}) AND documents.id IS NULL \
         AND (entries.amount <> 0 OR EXISTS (SELECT 1 FROM totals WHERE totals.account = entries.account AND totals.bill = entries.bill \
         AND totals.kind IN ({ITEMS})))"
    );
    let mut rows = sqlx::query(AssertSqlSafe(sql)).fetch(connection);
    while let Some(row) = rows.try_next().await? {
        let (account, bill): (String, i64) = (row.try_get(0)?, row.try_get(1)?);
        findings.add(Place::Documents, None, format!("{account} bill {bill}"), "was cut, and has no document");
    }
    Ok(())
}

async fn every_document_adds_up(connection: &mut AnyConnection, findings: &mut Findings) -> Result<(), VerifyError> {
    // A document's id is the place of the entry that cut its bill: sequence and partition.
    let sql = format!(
        "SELECT documents.id, documents.account, documents.bill, documents.held_reason, documents.content, \
         COALESCE(issued.dropped_at, 0) AS dropped_at, entries.amount AS closed FROM documents \
         LEFT JOIN issued ON issued.document = documents.id LEFT JOIN entries ON entries.partition = documents.id % 65536 AND entries.sequence = documents.id / 65536 \
         AND entries.account = documents.account AND entries.bill = documents.bill AND entries.kind IN ({BILLS}) \
         WHERE documents.kind <> 'credit_note'"
    );
    let mut rows = sqlx::query(AssertSqlSafe(sql)).fetch(connection);
    while let Some(row) = rows.try_next().await? {
        findings.bills += 1;
        let (account, bill): (String, i64) = (row.try_get("account")?, row.try_get("bill")?);
        let (held, content): (String, String) = (row.try_get("held_reason")?, row.try_get("content")?);
        let problem = match (serde_json::from_str::<Document>(&content), row.try_get::<Option<i64>, _>("closed")?) {
            _ if !held.is_empty() => Some(format!("is held back: {held}")),
            (_, None) => Some("has a document, and was never cut".to_owned()),
            (Err(error), _) => Some(format!("has a document that cannot be read: {error}")),
            (Ok(document), Some(closed)) => sums(&document, Units::new(closed), row.try_get::<i64, _>("dropped_at")? == 0),
        };
        if let Some(problem) = problem {
            findings.add(Place::Documents, None, format!("{account} bill {bill}"), problem);
        }
    }
    Ok(())
}

/// What does not add up in a document whose bill closed so much. One that is no longer kept has no lines.
fn sums(document: &Document, closed: Units, has_lines: bool) -> Option<String> {
    let items = if has_lines { document.items.iter().map(|item| item.amount).sum() } else { document.items_total };
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
