//! One document: where it stands, the document as its customer sees it, its files, its credit notes, and what can be done about it.
//!
//! The document is shown in a frame, by a response with a policy of its own: documents bring their style along, which no page of the
//! console may, and a name or a text in one must not be able to do anything in the console, whatever a template lets through.

use askama::Template;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Redirect, Response};
use domain::money::Units;
use http::StatusCode;

use super::invoices::{Standing, kind_key, path_of_document, title_of};
use super::links::Links;
use super::mails::{Row as MailRow, few};
use super::organizations::path_of;
use super::you::Done;
use crate::Console;
use crate::downloads::{framed, kept};
use crate::failure::Failure;
use crate::fields::{FieldError, Fields};
use crate::navigation::INVOICES;
use crate::page::{Page, render};
use crate::visitor::Visitor;
use access::Permission;
use billing::document::DocumentKind;
use billing::sending::mail_queries::MailFilter;
use billing::{DocumentFilter, DocumentState, StoredDocument, id_of, name_of};
use service::documents::DocumentName;
use service::papers::Form;
use service::sending::MailQuery;

/// How many of an account's credit notes are looked through.
const NOTES: usize = 200;

/// How many of its mails are shown.
const MAILS: usize = 20;

/// The page.
#[derive(Template)]
#[template(path = "invoice.html")]
struct Invoice {
    page: Page,
    id: String,
    href: String,
    kind: &'static str,
    standing: Standing,
    account: String,
    customer: String,
    organization: String,
    /// The key of a name, and what it is.
    particulars: Vec<(&'static str, String)>,
    held_reason: String,
    waits_for: String,
    is_kept: bool,
    missing_glyphs: String,
    /// The document that it corrects, or its credit notes: number, address, amount.
    notes: Vec<(String, String, String)>,
    refers_to: String,
    digest: String,
    can_approve: bool,
    can_retry: bool,
    request: String,
    /// What was sent of it, if it is issued.
    mails: Vec<MailRow>,
    can_credit: bool,
    can_send: bool,
    can_remind: bool,
    links: Links,
    /// Of a form that is shown again: what was filled in, and what is wrong with it.
    fields: Fields,
    wrong: Vec<FieldError>,
    refused: String,
}

/// The document of a name in an address: its number, or its id.
pub(super) fn named(name: &str) -> DocumentName {
    id_of(name).map_or_else(|| DocumentName::Number(name.to_owned()), DocumentName::Id)
}

/// Shows the page.
pub async fn show(
    State(console): State<Console>,
    visitor: Visitor,
    Path(name): Path<String>,
    Query(Done { done }): Query<Done>,
) -> Result<Response, Failure> {
    let context = visitor.context();
    let stored = console.use_cases.handle(&context, console.use_cases.document(&context, &named(&name))).await?;
    render(&page(&console, &visitor, &stored, &done).await?)
}

/// The page again, with what was wrong with one of its forms.
pub(super) async fn refused(
    console: &Console,
    visitor: &Visitor,
    stored: &StoredDocument,
    fields: Fields,
    wrong: Vec<FieldError>,
    refused: String,
) -> Result<Response, Failure> {
    let status = if wrong.is_empty() { StatusCode::CONFLICT } else { StatusCode::UNPROCESSABLE_ENTITY };
    let page = Invoice { fields, wrong, refused, ..page(console, visitor, stored, "").await? };
    Ok((status, render(&page)?).into_response())
}

async fn page(console: &Console, visitor: &Visitor, stored: &StoredDocument, done: &str) -> Result<Invoice, Failure> {
    let (locale, document) = (&visitor.locale, &stored.document);
    let standing = Standing::of(stored, console.use_cases.clock().now());
    let money = |units| format!("{}\u{a0}{}", locale.units(units, document.decimals, document.minor_digits), document.currency);
    let is_issued = stored.state == DocumentState::Issued;
    let mut particulars = vec![
        ("period", format!("{} – {}", locale.day(document.period_from), locale.day(document.period_to - 1))),
        ("document-total", money(document.total)),
    ];
    if is_issued {
        particulars.push(("issued-on", locale.day(document.issued_at)));
        if document.kind == DocumentKind::Invoice {
            particulars.push(("due-on", document.due_at.map(|at| locale.day(at)).unwrap_or_default()));
            particulars.push(("open-amount", money(stored.open_amount)));
        }
    }
    if !document.tax_contained().is_zero() {
        particulars.push(("tax-contained", money(document.tax_contained())));
    }
    let may_send = visitor.may_on(Permission::SendMail, &document.account);
    let may_approve = visitor.principal.may_everywhere(Permission::ApproveInvoices);
    Ok(Invoice {
        page: Page::new(visitor, INVOICES, title_of(locale, stored)).after(done),
        id: name_of(stored.id),
        href: path_of_document(stored.id),
        kind: kind_key(document.kind),
        standing,
        account: document.account.to_string(),
        customer: document.customer.name.clone(),
        organization: path_of(&document.account),
        particulars,
        held_reason: stored.held_reason.clone(),
        waits_for: stored.waits_for.clone(),
        is_kept: stored.is_kept,
        missing_glyphs: stored.missing_glyphs.iter().collect(),
        notes: if is_issued { notes(console, visitor, stored).await? } else { Vec::new() },
        refers_to: document.refers_to.clone(),
        digest: stored.digest.clone(),
        can_approve: may_approve && stored.needs_approval,
        can_retry: may_approve && stored.state == DocumentState::Held,
        request: console.new_request(),
        mails: if is_issued { mails(console, visitor, stored.id).await } else { Vec::new() },
        can_credit: is_issued
            && stored.is_kept
            && document.kind == DocumentKind::Invoice
            && visitor.may_on(Permission::Refund, &document.account),
        can_send: may_send && is_issued && stored.is_kept,
        can_remind: may_send && is_issued && stored.is_kept && stored.open_amount > Units::ZERO,
        links: Links::of(console, visitor, stored).await,
        fields: Fields::default(),
        wrong: Vec::new(),
        refused: String::new(),
    })
}

async fn mails(console: &Console, visitor: &Visitor, id: i64) -> Vec<MailRow> {
    let filter = MailFilter { document: Some(id), ..MailFilter::default() };
    few(console, visitor, MailQuery { filter, number: String::new() }, MAILS).await
}

/// The credit notes that refer to an issued document.
async fn notes(console: &Console, visitor: &Visitor, stored: &StoredDocument) -> Result<Vec<(String, String, String)>, Failure> {
    if stored.document.kind == DocumentKind::CreditNote {
        return Ok(Vec::new());
    }
    let filter = DocumentFilter {
        account: Some(stored.document.account.clone()),
        kind: Some(DocumentKind::CreditNote),
        ..DocumentFilter::default()
    };
    let context = visitor.context();
    let listing = console.use_cases.list_documents(&context, filter, None, NOTES);
    let (page, _) = console.use_cases.handle(&context, listing).await?;
    let notes = page.documents.iter().filter(|note| note.document.refers_to == stored.document.number);
    let written = notes.map(|note| {
        let of = &note.document;
        let amount = visitor.locale.units(of.total, of.decimals, of.minor_digits);
        (title_of(&visitor.locale, note), path_of_document(note.id), format!("{amount}\u{a0}{}", of.currency))
    });
    Ok(written.collect())
}

/// Sends the document as a file: "html" for the frame, "pdf", "csv" with its usage records, or "json".
pub async fn file(
    State(console): State<Console>,
    visitor: Visitor,
    Path((name, form)): Path<(String, String)>,
) -> Result<Response, Failure> {
    let form = match form.as_str() {
        "html" => Form::Html,
        "pdf" => Form::Pdf,
        "csv" => Form::Csv,
        "json" => Form::Json,
        _ => return Err(Failure::not_found()),
    };
    let context = visitor.context();
    let name = named(&name);
    let writing = console.use_cases.document_file(&context, &name, form, true);
    let file = console.use_cases.handle(&context, writing).await?;
    Ok(if form == Form::Html { framed(file) } else { kept(file) })
}

/// Works the document out again, which is held back.
pub async fn retry(State(console): State<Console>, visitor: Visitor, Path(name): Path<String>) -> Result<Redirect, Failure> {
    let id = id_of(&name).ok_or_else(Failure::not_found)?;
    let context = visitor.context();
    let (retried, _) = console.use_cases.handle(&context, console.use_cases.retry_held(&context, Some(id), 0)).await?;
    let is_good = retried.iter().all(|one| one.held_reason.is_empty());
    Ok(Redirect::to(&format!("{}?done={}", path_of_document(id), if is_good { "retried" } else { "retried-held" })))
}
