//! Takes lines, customer and names off issued documents. Number, dates, sums, taxes and digest stay: series have no gap, what paid what
//! still adds up, and a late credit note finds its taxes. What an account has that does not pay,
//! and what is being mailed, is kept.

use sqlx::any::AnyRow;
use sqlx::{AnyConnection, AssertSqlSafe, Row};

use super::evidence::{self, DroppedDocuments};
use super::{RetainedKind, instant, note_dropped};
use crate::BillingError;
use crate::audit::{SERVICE, lock, write};
use crate::document::Document;
use crate::frozen::Frozen;
use crate::search::documents::folded;
use crate::series::digest::{Covered, customer_digest};
use crate::store::Store;
use domain::time::UnixMillis;

/// How many documents go in one transaction.
const SLICE: i64 = 100;

/// What may go: it is old enough, and proves itself by a digest.
const IS_OLD: &str = "issued.dropped_at = 0 AND issued.issued_at < $1 AND issued.digest <> ''";

/// What nothing needs any more.
///
/// As long as an account has not paid an invoice, all its documents are: one that is not paid refers to others, and they to it.
const IS_SETTLED: &str = "NOT EXISTS (SELECT 1 FROM payables JOIN documents AS own ON own.account = payables.account \
                          WHERE own.id = issued.document AND payables.open_amount > 0) \
                          AND NOT EXISTS (SELECT 1 FROM mails WHERE mails.document = issued.document \
                          AND mails.state IN ('waiting', 'sending', 'deferred'))";

/// Behind which document the next slice begins: when it was issued, and its id.
pub type Place = (UnixMillis, i64);

/// The result of a slice.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Slice {
    /// How many went.
    pub dropped: u64,
    /// Those that do not prove themselves, and stay.
    pub broken: Vec<String>,
    /// Where it goes on; `None` if there is no more.
    pub next: Option<Place>,
}

/// Drops the oldest documents behind a place that were issued before an instant.
pub async fn drop_slice(store: &Store, before: UnixMillis, after: Place, now: UnixMillis) -> Result<Slice, BillingError> {
    let mut transaction = store.begin().await?;
    let connection = &mut *transaction;
    super::lock(connection, RetainedKind::Documents).await?;
    let sql = format!(
        "SELECT {}, COALESCE((SELECT earlier.digest FROM issued AS earlier WHERE earlier.prefix = issued.prefix \
         AND earlier.place < issued.place AND earlier.digest <> '' ORDER BY earlier.place DESC LIMIT 1), '') AS previous \
         FROM issued JOIN documents ON documents.id = issued.document \
         WHERE {IS_OLD} AND {IS_SETTLED} AND (issued.issued_at, issued.document) > ($2, $3) \
         ORDER BY issued.issued_at, issued.document LIMIT $4",
        Covered::COLUMNS
    );
    let rows = sqlx::query(AssertSqlSafe(sql))
        .bind(before.get())
        .bind(after.0.get())
        .bind(after.1)
        .bind(SLICE)
        .fetch_all(&mut *connection)
        .await?;
    let (mut slice, mut numbers, mut rests) = (Slice::default(), Vec::new(), Vec::new());
    for row in &rows {
        let Some(covered) = Covered::from_row(row)? else { continue };
        slice.next = Some((covered.issued_at, covered.document));
        if proves_itself(row, &covered)? {
            if let Some(rest) = drop_one(connection, &covered, now).await? {
                numbers.push(covered.number.clone());
                rests.push(rest.digest_of_rest(&row.try_get::<String, _>("digest")?, now));
            }
        } else {
            slice.broken.push(covered.number);
        }
    }
    slice.dropped = numbers.len() as u64;
    if !numbers.is_empty() {
        note_dropped(connection, RetainedKind::Documents, i64::try_from(numbers.len()).unwrap_or(i64::MAX), now).await?;
        lock(connection, SERVICE).await?;
        let mut dropped = DroppedDocuments { at: now, ..evidence::of_documents(connection).await? };
        rests.into_iter().for_each(|rest| dropped.left.add(rest));
        let act = dropped.act(now).with("count", numbers.len()).with("before", instant(before)).with("numbers", numbers);
        write(connection, store.dialect(), SERVICE, &[act]).await?;
    }
    transaction.commit().await?;
    Ok(slice)
}

/// Whether a document is what its digests say, behind the one before it.
fn proves_itself(row: &AnyRow, covered: &Covered) -> Result<bool, BillingError> {
    let (previous, digest): (String, String) = (row.try_get("previous")?, row.try_get("digest")?);
    let (customer, salt): (String, String) = (row.try_get("customer")?, row.try_get("customer_salt")?);
    let is_erased = customer.is_empty() && salt.is_empty();
    Ok(covered.digest(&previous) == digest && (is_erased || customer_digest(&salt, &customer) == covered.customer_digest))
}

/// Returns what is left of it; `None` if another process was faster.
async fn drop_one(connection: &mut AnyConnection, covered: &Covered, now: UnixMillis) -> Result<Option<Covered>, BillingError> {
    let mut document: Document = serde_json::from_str(&covered.content).map_err(BillingError::corrupt)?;
    let mut frozen = Frozen::read(&covered.frozen)?;
    // The tax of documents from before rates had days is worked out from their lines.
    let mut whole = document.clone();
    frozen.clone().thaw(&mut whole, covered.tax_contained, covered.tax_on_deducted, "")?;
    (frozen.taxes, frozen.deducted_taxes) = (whole.taxes, whole.deducted_taxes);
    frozen.tax_rate.clear();
    frozen.names.clear();
    (frozen.customer, frozen.open_invoices) = (None, Vec::new());
    let frozen = serde_json::to_string(&frozen).map_err(BillingError::corrupt)?;
    let [folded_name, folded] = folded(&covered.number, "");
    let sql = "UPDATE issued SET dropped_at = $1, frozen = $2, customer = '', customer_salt = '', folded_name = $3, folded = $4 \
               WHERE document = $5 AND dropped_at = 0";
    let query = sqlx::query(sql).bind(now.get()).bind(frozen.clone()).bind(folded_name).bind(folded).bind(covered.document);
    if query.execute(&mut *connection).await?.rows_affected() == 0 {
        return Ok(None);
    }
    document.drop_lines();
    // Somebody wrote it, and of whom it speaks nobody knows.
    document.reason.clear();
    let content = serde_json::to_string(&document).map_err(BillingError::corrupt)?;
    let sql = "UPDATE documents SET content = $1, summary = $1 WHERE id = $2";
    sqlx::query(sql).bind(content.clone()).bind(covered.document).execute(&mut *connection).await?;
    for sql in ["UPDATE mails SET recipient = '', detail = '' WHERE document = $1", "DELETE FROM document_links WHERE document = $1"] {
        sqlx::query(sql).bind(covered.document).execute(&mut *connection).await?;
    }
    Ok(Some(Covered { content, frozen, ..covered.clone() }))
}

/// How many would go, how many are as old and needed, how many there are, and how many have gone.
pub(super) async fn preview(store: &Store, before: Option<UnixMillis>) -> Result<[i64; 4], BillingError> {
    let before = before.unwrap_or(UnixMillis::MIN);
    let count = async |sql: String| -> Result<i64, BillingError> {
        Ok(sqlx::query(AssertSqlSafe(sql)).bind(before.get()).fetch_one(store.pool()).await?.try_get(0)?)
    };
    let due = count(format!("SELECT CAST(COUNT(*) AS BIGINT) FROM issued WHERE {IS_OLD} AND {IS_SETTLED}")).await?;
    let needed = count(format!("SELECT CAST(COUNT(*) AS BIGINT) FROM issued WHERE {IS_OLD} AND NOT ({IS_SETTLED})")).await?;
    let sql = "SELECT CAST(COUNT(*) AS BIGINT), CAST(COALESCE(SUM(CASE WHEN dropped_at = 0 THEN 0 ELSE 1 END), 0) AS BIGINT) FROM issued";
    let row = sqlx::query(sql).fetch_one(store.pool()).await?;
    let (all, dropped): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
    Ok([due, needed, all - dropped, dropped])
}
