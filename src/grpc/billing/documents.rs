//! Documents: listed, looked at in pages of lines, and written as files.

use super::super::call::read as taken;
use super::super::{page_token, pages};
use super::{read, render};
use crate::grpc::v1;
use crate::service::UseCases;
use crate::service::context::RequestContext;
use crate::service::error::Error;
use crate::service::papers::File;

/// Documents, in pages.
pub async fn list(
    use_cases: &UseCases,
    context: &RequestContext,
    request: v1::ListInvoicesRequest,
) -> Result<v1::ListInvoicesResponse, Error> {
    let listing = taken(use_cases, request, read::invoices)?;
    let (page, has_more) = use_cases.list_documents(context, listing.filter, listing.after, listing.count).await?;
    let ids: Vec<_> = page.documents.iter().map(|stored| stored.id).collect();
    let last = ids.last().copied().filter(|_| has_more);
    let (invoices, next) = pages::page(page.documents.into_iter().map(render::invoice).collect(), &ids, last);
    let query: Vec<_> = listing.query.iter().map(String::as_str).collect();
    let next = next.and_then(|id| u64::try_from(id).ok());
    let next_page_token = next.map(|cursor| page_token::encode(&query, &cursor)).unwrap_or_default();
    Ok(v1::ListInvoicesResponse { invoices, next_page_token, compared_beginnings: page.compared_beginnings })
}

/// A document, with a page of its lines.
pub async fn get(use_cases: &UseCases, context: &RequestContext, request: v1::GetInvoiceRequest) -> Result<v1::GetInvoiceResponse, Error> {
    let (name, lines) = taken(use_cases, request, read::lines_of_invoice)?;
    let mut found = use_cases.document(context, &name).await?;
    let next = found.document.keep_lines(lines).and_then(|next| u64::try_from(next).ok());
    let next_page_token = next.map(|next| page_token::encode(&["lines", &name.to_string()], &next)).unwrap_or_default();
    Ok(v1::GetInvoiceResponse { invoice: Some(render::invoice(found)), next_page_token })
}

/// A document as a file.
pub async fn file(use_cases: &UseCases, context: &RequestContext, request: v1::GetInvoiceFileRequest) -> Result<File, Error> {
    let is_for_spreadsheets = request.for_spreadsheets;
    let (name, form) = taken(use_cases, request, |reader, request| {
        let form = read::form(reader, request.form);
        (read::document_name(reader, request.number, request.document_id), form)
    })?;
    use_cases.document_file(context, &name, form, is_for_spreadsheets).await
}
