//! What is asked of documents.

use sqlx::any::{AnyArguments, AnyRow};
use sqlx::query::Query;
use sqlx::{Any, AssertSqlSafe, Row};

use crate::document::Document;
use crate::document_id::name_of;
use crate::frozen::Frozen;
use crate::issuer::NO_ISSUER;
use crate::record::narrow;
use crate::review::Review;
use crate::scope::Scope;
use crate::sending::mail_queries::DocumentSending;
use crate::store::Columns;
use crate::{Billing, BillingError};
use domain::money::Units;

/// Where a document stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DocumentState {
    /// It is good, and waits for its number.
    Draft,
    /// It has its number, and never changes any more.
    Issued,
    /// It does not add up; it takes no number until somebody has found out why.
    Held,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredDocument {
    /// Its place: unique, and the same for ever.
    pub id: i64,
    /// Where it stands.
    pub state: DocumentState,
    /// Why it is held back; empty if it is not.
    pub held_reason: String,
    /// What a draft waits for before it is issued; empty if for its turn.
    pub waits_for: String,
    /// Whether it is a draft that waits for somebody to approve it.
    pub needs_approval: bool,
    pub document: Document,
    /// What is not paid of it.
    pub open_amount: Units,
    /// Of an issued document: its digest, of its content and the document before it in its series.
    pub digest: String,
    /// Of one that is not issued, where its content was looked at: the letters that no font has.
    pub missing_glyphs: Vec<char>,
    /// Whether it is kept; if not, its lines and its customer are gone, and it is shown only while it is owed again.
    pub is_kept: bool,
    /// How far its mail is, where that was looked at; `None` if it was never to be sent.
    pub sending: Option<DocumentSending>,
}

impl StoredDocument {
    /// Whether it is shown. One that is no longer kept is, while something of it is owed, as after a payment that was reversed.
    #[must_use]
    pub fn is_shown(&self) -> bool {
        self.is_kept || self.open_amount > Units::ZERO
    }
}

impl StoredDocument {
    /// One that is not issued, for its turn to come: a draft, or held back if there is a reason.
    #[must_use]
    pub fn draft(document: Document, held_reason: String) -> Self {
        Self {
            id: 0,
            state: if held_reason.is_empty() { DocumentState::Draft } else { DocumentState::Held },
            held_reason,
            waits_for: String::new(),
            needs_approval: false,
            document,
            open_amount: Units::ZERO,
            digest: String::new(),
            missing_glyphs: Vec::new(),
            is_kept: true,
            sending: None,
        }
    }
}

/// What is read of a document beside its content.
pub(super) const COLUMNS: &str = "documents.id, documents.held_reason, COALESCE(issued.number, '') AS number, COALESCE(issued.issued_at, 0) AS issued_at, \
     COALESCE(issued.due_at, 0) AS due_at, COALESCE(issued.tax_contained, 0) AS tax_contained, \
     COALESCE(issued.tax_on_deducted, 0) AS tax_on_deducted, COALESCE(issued.frozen, '') AS frozen, \
     COALESCE(issued.customer, '') AS customer, COALESCE(issued.dropped_at, 0) AS dropped_at, COALESCE(issued.digest, '') AS digest, \
     COALESCE(payables.open_amount, 0) AS open_amount, COALESCE(drafts.waits_for, '') AS waits_for, \
     COALESCE(drafts.approved_at, 0) AS approved_at, documents.cut_at, \
     CASE WHEN documents.refers_to <> 0 AND original.document IS NULL THEN CAST(1 AS BIGINT) ELSE CAST(0 AS BIGINT) END AS lacks_original, \
     COALESCE((SELECT review FROM issuing WHERE issuer = 'main'), '') AS review, \
     COALESCE((SELECT grace_hours FROM issuing WHERE issuer = 'main'), 0) AS grace_hours, \
     CASE WHEN EXISTS (SELECT 1 FROM issuers) THEN 1 ELSE 0 END AS has_issuer";

/// The condition in SQL under which a document is a draft that waits for somebody to approve it.
pub(super) const NEEDS_APPROVAL: &str = "documents.held_reason = '' AND issued.document IS NULL AND drafts.approved_at = 0 \
     AND COALESCE((SELECT review FROM issuing WHERE issuer = 'main'), '') NOT IN ('', 'at_once')";

const TABLES: &str = "FROM documents LEFT JOIN issued ON issued.document = documents.id \
                      LEFT JOIN issued AS original ON original.document = documents.refers_to \
                      LEFT JOIN payables ON payables.document = documents.id \
                      LEFT JOIN drafts ON drafts.kind = documents.kind AND drafts.cut_at = documents.cut_at \
                      AND drafts.document = documents.id";

/// What a draft waits for before it is issued; empty if for its turn.
fn waits_for(row: &AnyRow, id: i64) -> Result<String, BillingError> {
    if narrow::<i64>(row, "has_issuer")? == 0 {
        return Ok(NO_ISSUER.to_owned());
    }
    let (waits_for, review): (String, String) = (row.try_get("waits_for")?, row.try_get("review")?);
    if !waits_for.is_empty() {
        return Ok(waits_for);
    }
    if row.try_get::<i64, _>("lacks_original")? != 0 {
        return Ok("the document that it corrects, which is not issued".to_owned());
    }
    if row.try_get::<i64, _>("approved_at")? > 0 {
        return Ok(String::new());
    }
    Ok(Review::read(&review, row.try_get("grace_hours")?)?.waits_for(&name_of(id), row.instant("cut_at")?))
}

impl Billing {
    /// The document with that number, if it is of an account in the scope. One outside it is not looked at: how large it is would be told by the
    /// time that it takes.
    pub async fn document(&self, number: &str, scope: Option<&Scope>) -> Result<StoredDocument, BillingError> {
        self.found("issued.number", |sql| sqlx::query(sql).bind(number.to_owned()), scope).await
    }

    /// The same of the document with that id, whether it has a number or not.
    pub async fn document_of_id(&self, id: i64, scope: Option<&Scope>) -> Result<StoredDocument, BillingError> {
        self.found("documents.id", |sql| sqlx::query(sql).bind(id), scope).await
    }

    async fn found(
        &self,
        column: &str,
        query: impl FnOnce(AssertSqlSafe<String>) -> Query<'static, Any, AnyArguments>,
        scope: Option<&Scope>,
    ) -> Result<StoredDocument, BillingError> {
        let mut accounts = Vec::new();
        let condition = scope.map_or_else(
            || "1 = 1".to_owned(),
            |scope| {
                scope.condition("documents.account", |account| {
                    accounts.push(account);
                    format!("${}", accounts.len() + 1)
                })
            },
        );
        let sql = format!("SELECT {COLUMNS}, documents.content {TABLES} WHERE {column} = $1 AND {condition}");
        let query = accounts.into_iter().fold(query(AssertSqlSafe(sql)), Query::bind);
        let row = query.fetch_optional(self.store().pool()).await?;
        let mut found = row.as_ref().map_or(Err(BillingError::NotFound("document")), stored)?;
        self.load_logo(&mut found.document.issuer).await?;
        Ok(found)
    }
}

pub(super) fn stored(row: &AnyRow) -> Result<StoredDocument, BillingError> {
    let (content, frozen): (String, String) = (row.try_get("content")?, row.try_get("frozen")?);
    let mut document: Document = serde_json::from_str(&content).map_err(BillingError::corrupt)?;
    let held_reason: String = row.try_get("held_reason")?;
    let is_issued = !frozen.is_empty();
    if is_issued {
        document.number = row.try_get("number")?;
        document.issued_at = row.instant("issued_at")?;
        document.due_at = row.instant("due_at")?.known();
        let customer: String = row.try_get("customer")?;
        Frozen::read(&frozen)?.thaw(&mut document, row.units("tax_contained")?, row.units("tax_on_deducted")?, &customer)?;
    }
    let mut stored = StoredDocument::draft(document, held_reason);
    stored.id = row.try_get("id")?;
    if is_issued {
        stored.state = DocumentState::Issued;
    }
    if stored.state == DocumentState::Draft {
        let review: String = row.try_get("review")?;
        let is_reviewed = Review::read(&review, row.try_get("grace_hours")?)? != Review::AtOnce;
        stored.waits_for = waits_for(row, stored.id)?;
        stored.needs_approval = is_reviewed && row.try_get::<i64, _>("approved_at")? == 0;
    }
    stored.open_amount = row.units("open_amount")?;
    stored.digest = row.try_get("digest")?;
    stored.is_kept = row.try_get::<i64, _>("dropped_at")? == 0;
    Ok(stored)
}
