//! Reads the requests of BillingService.

use std::ops::Range;

use jiff::civil::Date;
use prost_types::Timestamp;

use crate::billing::document::LANGUAGES;
use crate::billing::document::{DocumentKind, Party};
use crate::billing::sending::documents::SendingFilter;
use crate::billing::sending::mail_queries::DocumentSending;
use crate::billing::{DocumentFilter, DocumentState, id_of};
use crate::domain::command::{Action, Command, Metadata, Reversal};
use crate::domain::ids::AccountId;
use crate::domain::money::DecimalAmount;
use crate::domain::time::UnixMillis;
use crate::grpc::wire::accounts::{by_hand, payment_details};
use crate::grpc::wire::reader::{FieldReader, MAX_ID_CHARACTERS, Sign};
use crate::grpc::{page_token, v1};
use crate::service::documents::DocumentName;
use crate::service::papers::Form;

/// How many invoices a payment may name.
const MAX_NAMED: usize = 100;

/// Which documents to list.
pub struct Listing {
    /// Which.
    pub filter: DocumentFilter,
    /// How many.
    pub count: usize,
    pub after: Option<i64>,
    /// The request fields that page tokens are bound to.
    pub query: Vec<String>,
}

/// Reads a ListInvoicesRequest.
pub fn invoices(reader: &mut FieldReader, request: v1::ListInvoicesRequest) -> Listing {
    let v1::ListInvoicesRequest { account_id, kind, state, unpaid_only, page_size, page_token, .. } = request;
    let mut query = vec!["invoices".to_owned(), account_id.clone(), kind.to_string(), state.to_string(), unpaid_only.to_string()];
    let mut span = |reader: &mut FieldReader, names: [&str; 2], from: Option<Timestamp>, to: Option<Timestamp>| {
        let is_asked = from.is_some() || to.is_some();
        let (from, to) = (reader.instant(names[0], from).unwrap_or_default(), reader.instant(names[1], to).unwrap_or(UnixMillis::MAX));
        if from > to {
            reader.refuse(names[1], format!("must not lie before {}", names[0]));
        }
        query.push(format!("{} {}", from.get(), to.get()));
        is_asked.then_some((from, to))
    };
    let cut = span(reader, ["cut_from", "cut_to"], request.cut_from, request.cut_to);
    let mut due = span(reader, ["due_from", "due_to"], request.due_from, request.due_to);
    query.push(request.overdue_only.to_string());
    let text = reader.text("text", request.text, 0..=200);
    query.push(text.clone());
    query.push(request.sending.to_string());
    query.push(request.total.clone());
    let total = (!request.total.is_empty()).then(|| DecimalAmount::parse(&request.total)).transpose();
    let total = total.unwrap_or_else(|error| {
        reader.refuse("total", error.to_string());
        None
    });
    if request.overdue_only {
        let (from, to) = due.unwrap_or((UnixMillis::NONE, UnixMillis::MAX));
        due = Some((from, to.min(reader.now())));
    }
    let words: Vec<_> = query.iter().map(String::as_str).collect();
    let after = page_token::read::<u64>(reader, "page_token", &words, &page_token).and_then(|id| i64::try_from(id).ok());
    let filter = DocumentFilter {
        account: optional_account(reader, account_id),
        kind: reader.choice("kind", kind).and_then(document_kind),
        state: reader.choice("state", state).and_then(document_state),
        unpaid_only: unpaid_only || request.overdue_only,
        cut,
        due,
        text: (!text.is_empty()).then_some(text),
        sending: reader.choice("sending", request.sending).and_then(sending_filter),
        total,
        scope: None,
        ..DocumentFilter::default()
    };
    Listing { filter, count: reader.page_size(page_size), after, query }
}

/// An account to which a list is limited, if it is.
pub fn optional_account(reader: &mut FieldReader, id: String) -> Option<AccountId> {
    (!id.is_empty()).then(|| reader.account_id(id))
}

fn sending_filter(sending: v1::DocumentSending) -> Option<SendingFilter> {
    Some(match sending {
        v1::DocumentSending::Unspecified => return None,
        v1::DocumentSending::Never => SendingFilter::Never,
        v1::DocumentSending::Off => SendingFilter::Is(DocumentSending::Off),
        v1::DocumentSending::Sent => SendingFilter::Is(DocumentSending::Sent),
        v1::DocumentSending::Waiting => SendingFilter::Is(DocumentSending::Waiting),
        v1::DocumentSending::Failed => SendingFilter::Is(DocumentSending::Failed),
        v1::DocumentSending::Bounced => SendingFilter::Is(DocumentSending::Bounced),
        v1::DocumentSending::Unknown => SendingFilter::Is(DocumentSending::Unknown),
    })
}

pub(super) fn document_kind(kind: v1::InvoiceKind) -> Option<DocumentKind> {
    match kind {
        v1::InvoiceKind::Unspecified => None,
        v1::InvoiceKind::Invoice => Some(DocumentKind::Invoice),
        v1::InvoiceKind::Statement => Some(DocumentKind::Statement),
        v1::InvoiceKind::CreditNote => Some(DocumentKind::CreditNote),
    }
}

fn document_state(state: v1::InvoiceState) -> Option<DocumentState> {
    match state {
        v1::InvoiceState::Unspecified => None,
        v1::InvoiceState::Draft => Some(DocumentState::Draft),
        v1::InvoiceState::Issued => Some(DocumentState::Issued),
        v1::InvoiceState::Held => Some(DocumentState::Held),
    }
}

/// How many lines of a document a page has, at most and unless fewer are asked for.
const LINES: usize = 1000;

/// Reads a GetInvoiceRequest: the name, and which lines.
pub fn lines_of_invoice(reader: &mut FieldReader, request: v1::GetInvoiceRequest) -> (DocumentName, Range<usize>) {
    let v1::GetInvoiceRequest { number, document_id, page_size, page_token } = request;
    let name = document_name(reader, number, document_id);
    let first = page_token::read::<u64>(reader, "page_token", &["lines", &name.to_string()], &page_token);
    let first = first.and_then(|first| usize::try_from(first).ok()).unwrap_or(0);
    let count = if page_size == 0 { LINES } else { reader.page_size(page_size) };
    (name, first..first.saturating_add(count))
}

/// The name of a document: its number, or its id.
pub fn document_name(reader: &mut FieldReader, number: String, id: String) -> DocumentName {
    match (number.is_empty(), id.is_empty()) {
        (true, false) => DocumentName::Id(document_id(reader, "document_id", &id)),
        (false, false) => {
            reader.refuse("document_id", "must be empty if number is given");
            DocumentName::Number(number)
        }
        (_, true) => DocumentName::Number(reader.identifier("number", number)),
    }
}

pub fn document_id(reader: &mut FieldReader, field: &str, text: &str) -> i64 {
    id_of(text).unwrap_or_else(|| {
        reader.refuse(field, "must be the document_id of a document, such as 0-42");
        0
    })
}

/// What a file is written as.
pub fn form(reader: &mut FieldReader, number: i32) -> Form {
    match reader.choice("form", number) {
        Some(v1::InvoiceForm::Json) => Form::Json,
        Some(v1::InvoiceForm::Csv) => Form::Csv,
        Some(v1::InvoiceForm::Html) => Form::Html,
        Some(v1::InvoiceForm::Pdf) => Form::Pdf,
        Some(v1::InvoiceForm::Unspecified) | None => {
            reader.refuse("form", "must be INVOICE_FORM_JSON, _CSV, _HTML or _PDF");
            Form::Json
        }
    }
}

/// The request fields that page tokens of receivables are bound to.
#[must_use]
pub fn receivables_query<'a>(account: &'a str, as_of_day: &'a str) -> [&'a str; 3] {
    ["receivables", account, as_of_day]
}

/// Reads a ListReceivablesRequest: the account, as of which day, how many, after which.
pub fn receivables(
    reader: &mut FieldReader,
    request: v1::ListReceivablesRequest,
) -> (Option<AccountId>, Option<Date>, usize, Option<String>) {
    let query = receivables_query(&request.account_id, &request.as_of_day);
    let after = page_token::read(reader, "page_token", &query, &request.page_token);
    let as_of = reader.day("as_of_day", &request.as_of_day);
    (optional_account(reader, request.account_id), as_of, reader.page_size(request.page_size), after)
}

/// Reads whom documents are for.
pub fn customer(reader: &mut FieldReader, party: Option<v1::Party>) -> Party {
    let Some(party) = party else {
        reader.refuse("customer", "must be given");
        return Party::default();
    };
    reader.within("customer", |reader| {
        if party.address.len() > 8 {
            reader.refuse("address", "must be at most 8 lines");
        }
        Party {
            name: reader.text("name", party.name, 0..=200),
            address: party.address.into_iter().take(8).map(|line| reader.text("address", line, 0..=200)).collect(),
            tax_id: reader.text("tax_id", party.tax_id, 0..=64),
            email: reader.text("email", party.email, 0..=200),
            language: language(reader, party.language),
        }
    })
}

/// A language that documents can be written in; may be absent.
pub(super) fn language(reader: &mut FieldReader, code: String) -> String {
    if !code.is_empty() && !LANGUAGES.contains(&code.as_str()) {
        reader.refuse("language", format!("must be empty, or one of {}", LANGUAGES.join(", ")));
    }
    code
}

/// Reads a RecordPaymentRequest.
pub fn payment(reader: &mut FieldReader, request: v1::RecordPaymentRequest) -> Command {
    let amount = reader.amount("amount", request.amount, Sign::Positive);
    let invoices = request.invoice_numbers;
    if invoices.len() > MAX_NAMED {
        reader.refuse("invoice_numbers", format!("must be at most {MAX_NAMED}"));
    }
    let is_number = |number: &String| (1..=MAX_ID_CHARACTERS).contains(&number.len()) && number.bytes().all(|byte| byte.is_ascii_graphic());
    if !invoices.iter().take(MAX_NAMED).all(is_number) {
        reader.refuse("invoice_numbers", "must each be 1 to 128 visible ASCII characters");
    }
    let first_sent_at = reader.instant("first_sent_at", request.first_sent_at);
    let mut metadata = Metadata::default();
    reader.operator(request.operator, false, &mut metadata);
    payment_details(reader, request.details, &mut metadata);
    let action = Action::RecordPayment { amount, invoices };
    Command { first_sent_at, metadata, ..reader.command(request.account_id, request.request_id, action) }
}

/// Reads a WriteOffRequest.
pub fn write_off(reader: &mut FieldReader, request: v1::WriteOffRequest) -> Command {
    let amount = reader.optional_amount("amount", request.amount, Sign::Positive);
    by_hand(reader, request.account_id, request.request_id, request.operator, request.first_sent_at, Action::WriteOff { amount })
}

/// Reads a ReverseWriteOffRequest.
pub fn reverse_write_off(reader: &mut FieldReader, request: v1::ReverseWriteOffRequest) -> Command {
    let original = reader.request_id("write_off_id", request.write_off_id);
    let amount = reader.optional_amount("amount", request.amount, Sign::Positive);
    let action = Action::ReverseWriteOff(Reversal::of(original, amount));
    by_hand(reader, request.account_id, request.request_id, request.operator, request.first_sent_at, action)
}
