//! A document as a file, sent in parts.

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use tonic::Status;

use super::read;
use crate::billing::document::{Document, DocumentKind};
use crate::billing::forms::{self, Denomination, UsageWriter};
use crate::billing::{Billing, Record, StoredDocument, name_of};
use crate::domain::entry::Entry;
use crate::grpc::front::Front;
use crate::grpc::wire::Position;
use crate::grpc::{status, v1};
use crate::service::issuing;
use crate::service::papers;

/// How many usage records are read at once.
const RECORDS: usize = 1000;

/// How large a part is.
const PART_BYTES: usize = 64 * 1024;

/// A file.
#[derive(Debug)]
pub struct File {
    content_type: &'static str,
    name: String,
    content: Bytes,
}

impl From<papers::File> for File {
    fn from(file: papers::File) -> Self {
        Self { content_type: file.content_type, name: file.name, content: file.content.into() }
    }
}

/// Writes a document as a file.
pub async fn write(front: &Front, request: v1::GetInvoiceFileRequest) -> Result<File, Status> {
    let for_spreadsheets = request.for_spreadsheets;
    let (name, form) = front.read(request, Position::default(), |reader, request| {
        let form = reader.choice("form", request.form).unwrap_or(v1::InvoiceForm::Unspecified);
        if form == v1::InvoiceForm::Unspecified {
            reader.refuse("form", "must be INVOICE_FORM_JSON, _CSV, _HTML or _PDF");
        }
        (read::document_name(reader, request.number, request.document_id), form)
    })?;
    let billing = front.billing().await?;
    let stored = issuing::document(billing, &name, front.ledger.clock().now()).await?;
    let document = &stored.document;
    let (content_type, ending, content) = match form {
        v1::InvoiceForm::Json | v1::InvoiceForm::Unspecified => ("application/json", "json", forms::json(document).map(String::into_bytes)),
        v1::InvoiceForm::Csv => ("text/csv; charset=utf-8", "csv", Ok(usage(billing, &stored, for_spreadsheets).await?)),
        v1::InvoiceForm::Html => ("text/html; charset=utf-8", "html", forms::html(document).map(String::into_bytes)),
        v1::InvoiceForm::Pdf => ("application/pdf", "pdf", forms::pdf(document)),
    };
    let content = content.map_err(|error| status::no_form(&error))?.into();
    let label = if document.number.is_empty() { format!("draft-{}", name_of(stored.id)) } else { document.number.clone() };
    Ok(File { content_type, name: format!("{label}.{ending}"), content })
}

/// The usage records that a document bills.
async fn usage(billing: &Billing, stored: &StoredDocument, is_for_spreadsheets: bool) -> Result<Vec<u8>, Status> {
    let document = &stored.document;
    let Document { currency, decimals, minor_digits, .. } = document;
    let denomination = Denomination { currency: currency.clone(), decimals: *decimals, minor_digits: *minor_digits };
    let mut rows = UsageWriter::new(Vec::new(), is_for_spreadsheets).map_err(|error| status::no_form(&error))?;
    let found = match document.kind {
        // A credit note is about its refunds, whatever bill they fall into.
        DocumentKind::CreditNote => billing.refunds_of_note(stored.id).await,
        // The bill's last entry may have been accepted at the very instant of its cut.
        _ => billing.usage_of(&document.account, document.period_from, document.period_to + 1).await,
    };
    let mut places = found.map_err(|error| status::no_bills(&error, ""))?;
    // What an earlier document billed stands on its credit note, and on no other document.
    let on_notes = billing.refunds_on_notes(&document.account, document.bill).await.map_err(|error| status::no_bills(&error, ""))?;
    let is_of_bill = |entry: &Entry| entry.bill == document.bill && !on_notes.contains(&entry.account_sequence);
    let is_listed = |entry: &Entry| document.kind == DocumentKind::CreditNote || is_of_bill(entry);
    loop {
        let records = billing.records(&mut places, RECORDS).await.map_err(|error| status::no_bills(&error, ""))?;
        if records.is_empty() {
            break;
        }
        for Record { partition, sequence, entry, .. } in records.iter().filter(|record| is_listed(&record.entry)) {
            rows.write(*partition, *sequence, entry, &denomination).map_err(|error| status::no_form(&error))?;
        }
    }
    rows.finish().map_err(|error| status::no_form(&error))
}

impl File {
    /// Its parts: the first says what it is.
    pub fn into_parts(self) -> impl Stream<Item = Result<v1::GetInvoiceFileResponse, Status>> + Send {
        let first = (self.content_type.to_owned(), self.name);
        stream::unfold((Some(first), self.content), |(first, mut rest)| async move {
            if first.is_none() && rest.is_empty() {
                return None;
            }
            let content = rest.split_to(rest.len().min(PART_BYTES)).to_vec();
            let (content_type, file_name) = first.unwrap_or_default();
            Some((Ok(v1::GetInvoiceFileResponse { content_type, file_name, content }), (None, rest)))
        })
    }

    /// The same of a paper that is no numbered document.
    pub fn into_paper_parts(self) -> impl Stream<Item = Result<v1::GetAccountFileResponse, Status>> + Send {
        self.into_parts().map(|part| {
            part.map(|part| v1::GetAccountFileResponse {
                content_type: part.content_type,
                file_name: part.file_name,
                content: part.content,
            })
        })
    }
}
