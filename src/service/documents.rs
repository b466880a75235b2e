//! Documents: invoices, statements and credit notes, listed, looked at, and written as files; and whom they are for.

use std::collections::HashMap;
use std::fmt;

use super::UseCases;
use super::context::RequestContext;
use super::error::Error;
use super::papers::{File, Form};
use super::taken_in::once_taken_in;
use access::Permission;
use billing::change::Applied;
use billing::change::Change;
use billing::document::{Document, DocumentKind, Party};
use billing::rendering::{self, Denomination, UsageWriter};
use billing::{Billing, BillingError, DocumentFilter, DocumentPage, DocumentState, Record, StoredDocument, name_of};
use domain::entry::Entry;
use domain::ids::AccountId;

/// How many usage records are read at once.
const RECORDS: usize = 1000;

/// How a document is named: by the number that it was issued under, or, before that, by its id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DocumentName {
    Number(String),
    Id(i64),
}

impl fmt::Display for DocumentName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => formatter.write_str(number),
            Self::Id(id) => formatter.write_str(&name_of(*id)),
        }
    }
}

impl UseCases {
    /// Documents that match, after the one with that id; and whether there are more.
    pub async fn list_documents(
        &self,
        context: &RequestContext,
        mut filter: DocumentFilter,
        after: Option<i64>,
        count: usize,
    ) -> Result<(DocumentPage, bool), Error> {
        filter.scope = context.scope(Permission::ReadDocuments, filter.account.as_deref())?;
        let mut page = self.billing(context).await?.documents(filter, after, count + 1).await?;
        let has_more = page.documents.len() > count;
        page.documents.truncate(count);
        let ids: Vec<_> = page.documents.iter().filter(|stored| stored.state == DocumentState::Issued).map(|stored| stored.id).collect();
        let sending = self.billing(context).await?.sending_of(&ids).await?;
        for stored in &mut page.documents {
            stored.sending = sending.get(&stored.id).copied();
        }
        Ok((page, has_more))
    }

    /// What the accounts of documents are called now. A document that is not issued yet, or no longer kept, does not say whom it is for.
    pub async fn names_of_accounts(
        &self,
        context: &RequestContext,
        documents: &[StoredDocument],
    ) -> Result<HashMap<AccountId, String>, Error> {
        let mut accounts: Vec<_> = documents.iter().map(|stored| stored.document.account.clone()).collect();
        accounts.sort();
        accounts.dedup();
        accounts.retain(|account| context.caller.may_on(Permission::ReadDocuments, account));
        Ok(self.billing(context).await?.names_of_accounts(&accounts).await?)
    }

    /// The document of that name. One that is not issued yet comes as it would be issued now, but for number and dates.
    pub async fn document(&self, context: &RequestContext, name: &DocumentName) -> Result<StoredDocument, Error> {
        let billing = self.billing(context).await?;
        // One that is not for the caller's eyes is none.
        let scope = context.scope(Permission::ReadDocuments, None)?;
        let found = match name {
            DocumentName::Number(number) => billing.document(number, scope.as_ref()).await,
            DocumentName::Id(id) => billing.document_of_id(*id, scope.as_ref()).await,
        };
        let completed = match found {
            Ok(stored) if !stored.is_shown() => return Err(Error::invoice_not_kept(&name.to_string())),
            Ok(stored) => billing.complete(stored, self.clock().now()).await,
            Err(error) => Err(error),
        };
        let completed = completed.inspect(|stored| self.tell_of_read(context, "GetInvoice", &stored.document.account));
        let mut stored = completed.map_err(|error| match error {
            BillingError::NotFound(_) => Error::invoice_not_found(&name.to_string()),
            error => error.into(),
        })?;
        stored.sending = billing.sending_of(&[stored.id]).await?.remove(&stored.id);
        if stored.state != DocumentState::Issued {
            stored.missing_glyphs = rendering::missing_glyphs(&stored.document).map_err(|error| Error::no_form(&error))?;
        }
        Ok(stored)
    }

    /// Writes a document as a file.
    pub async fn document_file(
        &self,
        context: &RequestContext,
        name: &DocumentName,
        form: Form,
        is_for_spreadsheets: bool,
    ) -> Result<File, Error> {
        let stored = self.document(context, name).await?;
        if !stored.is_kept {
            return Err(Error::invoice_not_kept(&name.to_string()));
        }
        let document = &stored.document;
        let content = match form {
            Form::Json => rendering::json(document).map(String::into_bytes),
            Form::Csv => Ok(usage(self.billing(context).await?, &stored, is_for_spreadsheets).await?),
            Form::Html => rendering::html(document).map(String::into_bytes),
            Form::Pdf => rendering::pdf(document),
        };
        let content = content.map_err(|error| Error::no_form(&error))?;
        let label = if document.number.is_empty() { format!("draft-{}", name_of(stored.id)) } else { document.number.clone() };
        Ok(File::new(&label, form, content))
    }

    /// The recipient of an account's documents.
    pub async fn customer(&self, context: &RequestContext, account: &AccountId) -> Result<Party, Error> {
        context.require(Permission::ReadBillingDetails, account)?;
        self.tell_of_read(context, "GetBillingDetails", account);
        self.look_at(account).await?;
        let billing = self.billing(context).await?;
        once_taken_in(|| billing.customer(account)).await
    }

    /// Sets whom documents of an account are for.
    pub async fn set_customer(
        &self,
        context: &RequestContext,
        account: &AccountId,
        customer: Party,
        change: &Change,
    ) -> Result<Applied, Error> {
        context.require(Permission::SetBillingDetails, account)?;
        let change = &context.signed_if_said(change)?;
        self.look_at(account).await?;
        Ok(self.billing(context).await?.set_customer(account, customer, change).await?)
    }
}

/// The usage records that a document bills.
async fn usage(billing: &Billing, stored: &StoredDocument, is_for_spreadsheets: bool) -> Result<Vec<u8>, Error> {
    let document = &stored.document;
    let Document { currency, decimals, minor_digits, .. } = document;
    let denomination = Denomination { currency: currency.clone(), decimals: *decimals, minor_digits: *minor_digits };
    let mut rows = UsageWriter::new(Vec::new(), is_for_spreadsheets).map_err(|error| Error::no_form(&error))?;
    let found = match document.kind {
        // A credit note is about its refunds, whatever bill they fall into.
        DocumentKind::CreditNote => billing.refunds_of_note(stored.id).await,
        // The bill's last entry may have been accepted at the very instant of its cut.
        _ => billing.usage_of(&document.account, document.period_from, document.period_to + 1).await,
    };
    let mut places = found?;
    // What an earlier document billed stands on its credit note, and on no other document.
    let on_notes = billing.refunds_on_notes(&document.account, document.bill).await?;
    let is_of_bill = |entry: &Entry| entry.bill == document.bill && !on_notes.contains(&entry.account_sequence);
    let is_listed = |entry: &Entry| document.kind == DocumentKind::CreditNote || is_of_bill(entry);
    loop {
        let records = billing.records(&mut places, RECORDS).await?;
        if records.is_empty() {
            break;
        }
        for Record { partition, sequence, entry, .. } in records.iter().filter(|record| is_listed(&record.entry)) {
            rows.write(*partition, *sequence, entry, &denomination).map_err(|error| Error::no_form(&error))?;
        }
    }
    rows.finish().map_err(|error| Error::no_form(&error))
}
