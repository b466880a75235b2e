//! The coming document of an account as of now, with all that it would be issued with but a number and dates.

use std::cmp::Ordering;

use sqlx::{AnyConnection, Row};

use super::apply::preview::preview;
use super::taxes::Terms;
use crate::document::{Document, DocumentKind, OpenInvoice};
use crate::issuer::NO_ISSUER;
use crate::position::{JournalPosition, position};
use crate::store::Columns;
use crate::{Billing, BillingError, issuer, items};
use domain::ids::AccountId;
use domain::time::UnixMillis;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ComingDocument {
    /// As it would be issued; `None` if so far there is nothing to say.
    pub document: Option<Document>,
    /// What it would wait for; empty if for nothing.
    pub waits_for: String,
    /// Why it would be held back; empty if it would not.
    pub held_reason: String,
    /// The journal position that this reflects.
    pub position: JournalPosition,
}

impl Billing {
    /// The coming document of an account, cut when `cut_at` says, which is given when the open bill began (0 if it has not). Nothing is
    /// written.
    pub async fn coming_document(
        &self,
        account: &AccountId,
        now: UnixMillis,
        cut_at: impl Fn(UnixMillis) -> UnixMillis,
    ) -> Result<ComingDocument, BillingError> {
        let mut transaction = self.store().begin_reading().await?;
        let connection = &mut *transaction;
        let found = preview(connection, self.store().dialect(), account, cut_at).await?;
        let mut coming =
            ComingDocument { document: None, waits_for: String::new(), held_reason: String::new(), position: position(connection).await? };
        if let (Some(draft), Some(_)) = (found.draft, found.begun_at) {
            let mut document = draft.document;
            coming.held_reason = draft.held_reason;
            document.customer = self.customer(account).await?;
            coming.waits_for = self.complete_coming(connection, &mut document, found.created_at, now).await?;
            coming.document = Some(document);
        }
        transaction.commit().await?;
        if let Some(document) = &mut coming.document {
            self.load_logo(&mut document.issuer).await?;
        }
        Ok(coming)
    }

    /// Adds what a document gets when it is issued; returns what it would wait for.
    async fn complete_coming(
        &self,
        connection: &mut AnyConnection,
        document: &mut Document,
        created_at: UnixMillis,
        now: UnixMillis,
    ) -> Result<String, BillingError> {
        document.time_zone.clone_from(&self.settings().time_zone);
        let codes = document.all_items().map(|item| item.item.as_str()).filter(|item| !item.is_empty()).collect();
        let names = items::names(connection, self.store(), issuer::MAIN, &codes).await?;
        let names = names.of(&document.customer.language, document.all_items().map(|item| item.item.as_str()));
        for item in document.items.iter_mut().chain(&mut document.deducted) {
            item.name = names.get(&item.item).cloned().unwrap_or_default();
        }
        if document.kind == DocumentKind::Statement {
            document.open_invoices = open_invoices(connection, &document.account).await?;
        }
        let Some(terms) = Terms::load(connection, self.settings(), now).await? else { return Ok(NO_ISSUER.to_owned()) };
        document.issuer.clone_from(&terms.issuer);
        let begun_at = created_at.max(final_bill_before(connection, document).await?);
        document.period_from = terms.period_from(document, begun_at)?;
        match terms.of_coming_document(connection, self.store(), document).await? {
            Ok(taxes) => {
                (document.taxes, document.deducted_taxes) = (taxes.charged, taxes.deducted);
                document.exemption = taxes.exemption;
                Ok(String::new())
            }
            Err(waits_for) => Ok(waits_for),
        }
    }
}

/// When the last final bill before a document was cut; 0 if there is none.
async fn final_bill_before(connection: &mut AnyConnection, document: &Document) -> Result<UnixMillis, BillingError> {
    let sql = "SELECT CAST(COALESCE(MAX(cut_at), 0) AS BIGINT) FROM documents WHERE account = $1 AND cause = 'conversion' AND cut_at < $2";
    let query = sqlx::query(sql).bind(document.account.to_string()).bind(document.period_to.get());
    Ok(query.fetch_one(connection).await?.instant(0)?)
}

/// What is open of an account's issued invoices, the earliest due date first.
async fn open_invoices(connection: &mut AnyConnection, account: &AccountId) -> Result<Vec<OpenInvoice>, BillingError> {
    let sql = "SELECT issued.number, issued.due_at, payables.open_amount FROM payables \
               JOIN issued ON issued.document = payables.document WHERE payables.account = $1 AND payables.open_amount > 0";
    let rows = sqlx::query(sql).bind(account.to_string()).fetch_all(connection).await?;
    let read = |row: &sqlx::any::AnyRow| {
        Ok(OpenInvoice { number: row.try_get("number")?, due_at: row.instant("due_at")?, open: row.units("open_amount")? })
    };
    let mut open = rows.iter().map(read).collect::<Result<Vec<_>, BillingError>>()?;
    open.sort_by(|left, right| left.due_at.cmp(&right.due_at).then_with(|| -> Ordering { left.number.cmp(&right.number) }));
    Ok(open)
}
