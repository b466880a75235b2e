//! Drafts with all that is needed to issue them.

use sqlx::any::AnyRow;
use sqlx::{AnyConnection, AssertSqlSafe, Row};

use super::customers;
use crate::BillingError;
use crate::document::{Document, DocumentKind, Party};
use crate::series::digest::Covered;
use crate::store::Columns;
use domain::time::UnixMillis;

/// How many documents one transaction issues.
const BATCH: i64 = 200;

/// A draft that can be issued.
pub(super) struct Ready {
    pub id: i64,
    pub cut_at: UnixMillis,
    pub document: Document,
    /// As it is stored, beside what tells it from others.
    pub covered: Covered,
    pub customer: Party,
    pub refers_to: String,
    /// The document that a credit note corrects; 0 if it is none.
    pub corrects: i64,
    /// When the account was created, or its final bill before this one was cut.
    pub begun_at: UnixMillis,
}

const COLUMNS: &str = "documents.id, documents.cut_at, documents.account, documents.bill, documents.kind, documents.cause, documents.total, \
                       documents.amount_to_pay, documents.content, documents.refers_to AS corrects, \
                       COALESCE(original.number, '') AS refers_to, COALESCE(accounts.created_at, 0) AS created_at, \
                       COALESCE((SELECT MAX(final.cut_at) FROM documents AS final WHERE final.account = documents.account \
                                 AND final.cause = 'conversion' AND final.cut_at < documents.cut_at), 0) AS final_at, \
                       COALESCE(accounts.name, '') AS account_name, COALESCE(customers.name, '') AS name, \
                       COALESCE(customers.address, '[]') AS address, COALESCE(customers.tax_id, '') AS tax_id, \
                       COALESCE(customers.email, '') AS email, COALESCE(customers.language, '') AS language";

const BESIDE: &str = "LEFT JOIN issued AS original ON original.document = documents.refers_to \
                      LEFT JOIN accounts ON accounts.account = documents.account \
                      LEFT JOIN customers ON customers.account = documents.account";

/// The next drafts of a kind that can be issued, under a condition.
pub(super) async fn next(connection: &mut AnyConnection, kind: DocumentKind, condition: &str) -> Result<Vec<Ready>, BillingError> {
    // A credit note waits until its invoice has a number.
    let sql = format!(
        "SELECT {COLUMNS} FROM drafts JOIN documents ON documents.id = drafts.document {BESIDE} \
         WHERE drafts.kind = $1 AND drafts.waits_for = '' AND {condition} AND (documents.refers_to = 0 OR original.document IS NOT NULL) \
         ORDER BY drafts.cut_at, drafts.document LIMIT $2"
    );
    let rows = sqlx::query(AssertSqlSafe(sql)).bind(kind.name()).bind(BATCH).fetch_all(connection).await?;
    rows.iter().map(ready).collect()
}

/// A document that is not issued yet, whatever it waits for.
pub(super) async fn one(connection: &mut AnyConnection, id: i64) -> Result<Ready, BillingError> {
    let sql = format!("SELECT {COLUMNS} FROM documents {BESIDE} WHERE documents.id = $1");
    let row = sqlx::query(AssertSqlSafe(sql)).bind(id).fetch_optional(connection).await?;
    row.as_ref().map_or(Err(BillingError::NotFound("document")), ready)
}

fn ready(row: &AnyRow) -> Result<Ready, BillingError> {
    let content: String = row.try_get("content")?;
    let mut customer = customers::read(row)?;
    if customer.name.is_empty() {
        customer.name = row.try_get("account_name")?;
    }
    let document = serde_json::from_str(&content).map_err(BillingError::corrupt)?;
    let covered = Covered {
        document: row.try_get("id")?,
        account: row.account_id("account")?,
        bill: row.try_get("bill")?,
        kind: row.try_get("kind")?,
        cause: row.try_get("cause")?,
        cut_at: row.instant("cut_at")?,
        total: row.units("total")?,
        amount_to_pay: row.units("amount_to_pay")?,
        refers_to: row.try_get("corrects")?,
        content,
        ..Covered::default()
    };
    Ok(Ready {
        id: covered.document,
        cut_at: covered.cut_at,
        document,
        covered,
        customer,
        refers_to: row.try_get("refers_to")?,
        corrects: row.try_get("corrects")?,
        begun_at: row.instant("created_at")?.max(row.instant("final_at")?),
    })
}
