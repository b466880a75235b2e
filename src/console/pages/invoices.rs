//! Invoices: the list of documents by state, month, organization and text; drafts are approved here, one or many at once, and those that
//! are held back are worked out again.

mod file;

use std::collections::HashMap;

use askama::Template;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Redirect, Response};
use http::StatusCode;
use serde::{Deserialize, Serialize};

pub use file::download;

use super::months::{first_of, months};
use super::organizations::path_of;
use crate::Console;
use crate::failure::Failure;
use crate::fields::{FieldError, FieldReader, Fields, FormRequest};
use crate::locale::Locale;
use crate::navigation::INVOICES;
use crate::page::{Page, render};
use crate::visitor::Visitor;
use access::Permission;
use billing::change::Change;
use billing::document::DocumentKind;
use billing::review::{Approved, DraftFilter};
use billing::sending::documents::SendingFilter;
use billing::sending::mail_queries::DocumentSending;
use billing::{DocumentFilter, DocumentPage, DocumentState, StoredDocument, id_of, name_of};
use domain::ids::AccountId;
use domain::money::DecimalAmount;
use domain::time::UnixMillis;

/// How many rows a page has, and how many can be chosen.
pub(super) const ROWS: usize = 50;

/// The states that are looked for, by the keys of their names; the empty one: all.
const STATES: [&str; 8] = ["", "to-approve", "draft", "issued", "open", "overdue", "paid", "held"];

/// The query string of the page.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct PageQuery {
    #[serde(default, skip_serializing_if = "String::is_empty")]
    state: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    kind: String,
    /// The month whose bills they are: "2026-10".
    #[serde(default, skip_serializing_if = "String::is_empty")]
    month: String,
    /// The id of an organization.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    account: String,
    /// A part of a number or of a customer's name.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    q: String,
    /// The state of the mail.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    sending: String,
    /// What they come to.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    total: String,
    /// Behind which document the page begins.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    after: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    done: String,
}

/// The page.
#[derive(Template)]
#[template(path = "invoices.html")]
struct Invoices {
    page: Page,
    wanted: PageQuery,
    /// The states: the key of the name, the address, whether it is the one that is shown.
    states: Vec<(&'static str, String, bool)>,
    months: Vec<(String, String)>,
    rows: Vec<Row>,
    /// The address of the next page; empty if there is none.
    next: String,
    /// The address of the file.
    file: String,
    /// The address without the organization.
    without_account: String,
    /// Whether texts are only found where numbers and names begin so.
    finds_beginnings: bool,
    /// The states of mail that can be chosen: the value, and the key of its name.
    sendings: Vec<(&'static str, &'static str)>,
    /// Whether rows can be chosen, to be approved, or to be sent.
    can_choose: bool,
    can_approve: bool,
    can_send: bool,
    /// Whether all drafts can be approved at once: this list shows all that would be.
    can_approve_all: bool,
    can_retry: bool,
    /// The request id of the form.
    request: String,
    /// When the page was made.
    now: UnixMillis,
    wrong: Vec<FieldError>,
}

struct Row {
    id: String,
    href: String,
    /// The number; before there is one, what stands for it.
    title: String,
    kind: String,
    customer: String,
    organization: String,
    cut: String,
    due: String,
    standing: Standing,
    total: String,
    open: String,
    needs_approval: bool,
    /// Whether the visitor may send it.
    can_be_sent: bool,
    /// The key of how far its mail is; empty if it was never to be sent.
    sending: &'static str,
    /// Why it is held back, or what it waits for.
    remark: String,
}

/// Where a document stands, for people: the key of its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing(pub &'static str);

impl Standing {
    /// That of a document.
    #[must_use]
    pub fn of(stored: &StoredDocument, now: UnixMillis) -> Self {
        let is_invoice = stored.document.kind == DocumentKind::Invoice;
        Self(match stored.state {
            DocumentState::Held => "held",
            DocumentState::Draft if stored.needs_approval => "to-approve",
            DocumentState::Draft => "draft",
            DocumentState::Issued if !is_invoice => "issued",
            DocumentState::Issued if stored.open_amount.is_zero() => "paid",
            DocumentState::Issued if stored.document.due_at.is_some_and(|due_at| due_at < now) => "overdue",
            DocumentState::Issued => "open",
        })
    }

    /// The key of its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        name_of_state(self.0)
    }

    /// How it is coloured.
    #[must_use]
    pub fn colour(self) -> &'static str {
        match self.0 {
            "held" | "overdue" => "bad",
            "to-approve" => "warn",
            "open" => "postpaid",
            "paid" => "good",
            _ => "",
        }
    }
}

/// The key of a state's name.
fn name_of_state(state: &str) -> &'static str {
    match state {
        "to-approve" => "invoices-to-approve",
        "draft" => "invoices-draft",
        "issued" => "invoices-issued",
        "open" => "invoices-open",
        "overdue" => "invoices-overdue",
        "paid" => "invoices-paid",
        "held" => "invoices-held",
        _ => "invoices-all",
    }
}

/// The key of a kind's name.
#[must_use]
pub fn kind_key(kind: DocumentKind) -> &'static str {
    match kind {
        DocumentKind::Invoice => "kind-invoice",
        DocumentKind::Statement => "kind-statement",
        DocumentKind::CreditNote => "kind-credit-note",
    }
}

/// The key of how far the mail of a document is.
fn key_of_sending(sending: DocumentSending) -> &'static str {
    match sending {
        DocumentSending::Off => "mail-off",
        DocumentSending::Sent => "mail-sent",
        DocumentSending::Waiting => "mail-waiting",
        DocumentSending::Failed => "mail-failed",
        DocumentSending::Bounced => "mail-bounced",
        DocumentSending::Unknown => "mail-unknown",
    }
}

fn key_of_wanted(wanted: SendingFilter) -> &'static str {
    match wanted {
        SendingFilter::Never => "mail-never",
        SendingFilter::Is(sending) => key_of_sending(sending),
    }
}

/// The path of a document's page.
#[must_use]
pub fn path_of_document(id: i64) -> String {
    format!("{INVOICES}/{}", name_of(id))
}

/// What a document is called: by its number, or, before it has one, by its id.
#[must_use]
pub fn title_of(locale: &Locale, stored: &StoredDocument) -> String {
    match stored.document.number.as_str() {
        "" => locale.text_with("draft-called", &[("value", &name_of(stored.id))]),
        number => number.to_owned(),
    }
}

/// A change made by a form of the console.
#[must_use]
pub fn change_of(console: &Console, visitor: &Visitor, request: FormRequest, reason: String) -> Change {
    Change {
        request_id: request.id.into(),
        actor: visitor.principal.name.clone(),
        on_behalf_of: String::new(),
        reason,
        at: console.use_cases.clock().now(),
        origin: visitor.context().origin(),
        first_sent_at: request.first_sent_at,
        valid_from: None,
    }
}

impl PageQuery {
    fn filter(&self, console: &Console) -> DocumentFilter {
        let mut filter = DocumentFilter {
            account: Some(self.account.as_str()).filter(|account| !account.is_empty()).map(AccountId::from),
            kind: DocumentKind::ALL.into_iter().find(|kind| kind.name() == self.kind),
            cut: self.span(console),
            sending: SendingFilter::of_name(&self.sending),
            text: Some(self.q.trim().to_owned()).filter(|text| !text.is_empty()),
            ..DocumentFilter::default()
        };
        match self.state.as_str() {
            "to-approve" => filter.to_approve_only = true,
            "draft" => filter.state = Some(DocumentState::Draft),
            "issued" => filter.state = Some(DocumentState::Issued),
            "held" => filter.state = Some(DocumentState::Held),
            "paid" => filter.paid_only = true,
            "open" => (filter.unpaid_only, filter.state) = (true, Some(DocumentState::Issued)),
            "overdue" => (filter.unpaid_only, filter.due) = (true, Some((UnixMillis::new(1), console.use_cases.clock().now()))),
            _ => {}
        }
        filter
    }

    /// What they come to, if that is said.
    fn total(&self, locale: &Locale) -> Result<Option<DecimalAmount>, FieldError> {
        let text = self.total.trim();
        let wrong = || FieldError { field: "total", text: locale.text("wrong-amount") };
        if text.is_empty() { Ok(None) } else { locale.read_amount(text).ok_or_else(wrong).map(Some) }
    }

    /// From when to when the bills of the month were cut: the last one at the very end of it.
    fn span(&self, console: &Console) -> Option<(UnixMillis, UnixMillis)> {
        let first = first_of(&self.month)?;
        let clock = console.use_cases.clock();
        let next = first.last_of_month().tomorrow().ok()?;
        Some((clock.start_of_day(first)? + 1, clock.start_of_day(next)? + 1))
    }

    pub(super) fn address(&self) -> String {
        format!("{INVOICES}?{}", serde_urlencoded::to_string(self).unwrap_or_default())
    }

    /// The same from the beginning.
    pub(super) fn anew(&self) -> Self {
        Self { after: String::new(), done: String::new(), ..self.clone() }
    }

    /// The list, as the form to approve says it.
    #[must_use]
    pub fn query(&self) -> String {
        serde_urlencoded::to_string(self.anew()).unwrap_or_default()
    }

    /// Whether anything is left out.
    pub fn is_narrow(&self) -> bool {
        let narrowing = [&self.state, &self.kind, &self.month, &self.account, &self.q, &self.sending, &self.total];
        narrowing.iter().any(|text| !text.trim().is_empty())
    }

    /// Whether what is looked for has no number yet, by which it could be found.
    pub fn has_no_numbers(&self) -> bool {
        !self.q.trim().is_empty() && ["to-approve", "draft", "held"].contains(&self.state.as_str())
    }
}

/// Shows the page.
pub async fn show(State(console): State<Console>, visitor: Visitor, Query(wanted): Query<PageQuery>) -> Result<Response, Failure> {
    page(&console, &visitor, wanted, Vec::new()).await
}

pub(super) async fn page(console: &Console, visitor: &Visitor, wanted: PageQuery, mut wrong: Vec<FieldError>) -> Result<Response, Failure> {
    let (found, has_more) = find(console, visitor, &wanted, id_of(&wanted.after), ROWS).await?;
    let (locale, now) = (&visitor.locale, console.use_cases.clock().now());
    wrong.extend(wanted.total(locale).err());
    let last = found.documents.last().filter(|_| has_more).map(|last| name_of(last.id));
    let may_approve = visitor.principal.may_everywhere(Permission::ApproveInvoices);
    let names = names(console, visitor, &found.documents).await?;
    let may_send =
        |stored: &StoredDocument| stored.state == DocumentState::Issued && visitor.may_on(Permission::SendMail, &stored.document.account);
    let rows = found.documents.iter().map(|stored| Row { can_be_sent: may_send(stored), ..Row::new(locale, stored, &names, now) });
    let rows: Vec<_> = rows.collect();
    let from_start = wanted.anew();
    let at = |state: &str| PageQuery { state: state.to_owned(), ..from_start.clone() }.address();
    let states = STATES.iter().map(|state| (name_of_state(state), at(state), *state == wanted.state));
    let can_approve = may_approve && rows.iter().any(|row| row.needs_approval);
    render(&Invoices {
        page: Page::new(visitor, INVOICES, locale.text("invoices")).after(&wanted.done),
        states: states.collect(),
        months: months(locale, console.use_cases.clock().day_of(now), &wanted.month),
        next: last.map(|after| PageQuery { after, ..from_start.clone() }.address()).unwrap_or_default(),
        file: from_start.address().replacen('?', ".csv?", 1),
        without_account: PageQuery { account: String::new(), ..from_start }.address(),
        finds_beginnings: found.compared_beginnings && !wanted.q.trim().is_empty(),
        sendings: SendingFilter::ALL.map(|wanted| (wanted.name(), key_of_wanted(wanted))).to_vec(),
        can_choose: can_approve || rows.iter().any(|row| row.can_be_sent),
        can_send: rows.iter().any(|row| row.can_be_sent),
        can_approve,
        can_approve_all: can_approve
            && wanted.month.is_empty()
            && [&wanted.q, &wanted.sending, &wanted.total].iter().all(|text| text.trim().is_empty()),
        can_retry: may_approve && rows.iter().any(|row| row.standing.0 == "held"),
        request: console.new_request(),
        now,
        rows,
        wanted,
        wrong,
    })
}

async fn find(
    console: &Console,
    visitor: &Visitor,
    wanted: &PageQuery,
    after: Option<i64>,
    count: usize,
) -> Result<(DocumentPage, bool), Failure> {
    let Ok(total) = wanted.total(&visitor.locale) else { return Ok((DocumentPage::default(), false)) };
    let (context, filter) = (visitor.context(), DocumentFilter { total, ..wanted.filter(console) });
    Ok(console.use_cases.handle(&context, console.use_cases.list_documents(&context, filter, after, count)).await?)
}

/// What the organizations are called whose documents do not say it yet.
async fn names(console: &Console, visitor: &Visitor, documents: &[StoredDocument]) -> Result<HashMap<AccountId, String>, Failure> {
    let context = visitor.context();
    Ok(console.use_cases.handle(&context, console.use_cases.names_of_accounts(&context, documents)).await?)
}

/// The recipient of a document: as it says itself, or, before it is issued, the name of the organization.
fn customer_of(stored: &StoredDocument, names: &HashMap<AccountId, String>) -> String {
    let document = &stored.document;
    let known = [&document.customer.name].into_iter().chain(names.get(&document.account)).find(|name| !name.is_empty());
    known.map_or(document.account.as_str(), String::as_str).to_owned()
}

impl Row {
    fn new(locale: &Locale, stored: &StoredDocument, names: &HashMap<AccountId, String>, now: UnixMillis) -> Self {
        let document = &stored.document;
        let amount = |units| locale.units(units, document.decimals, document.minor_digits);
        let standing = Standing::of(stored, now);
        let remark = match standing.0 {
            "held" => stored.held_reason.clone(),
            "draft" if stored.waits_for.is_empty() => locale.text("waits-for-turn"),
            "draft" => stored.waits_for.clone(),
            _ => String::new(),
        };
        Self {
            id: name_of(stored.id),
            href: path_of_document(stored.id),
            title: title_of(locale, stored),
            kind: locale.text(kind_key(document.kind)),
            customer: customer_of(stored, names),
            organization: path_of(&document.account),
            cut: locale.day(document.period_to - 1),
            due: document.due_at.filter(|_| document.issued_at.is_some()).map(|at| locale.day(at)).unwrap_or_default(),
            standing,
            total: format!("{}\u{a0}{}", amount(document.total), document.currency),
            open: if stored.open_amount.is_zero() { String::new() } else { amount(stored.open_amount) },
            needs_approval: stored.needs_approval,
            can_be_sent: false,
            sending: stored.sending.map_or("", key_of_sending),
            remark,
        }
    }
}

/// Approves the drafts that were chosen, or all that the list is of.
pub async fn approve(State(console): State<Console>, visitor: Visitor, fields: Fields) -> Result<Response, Failure> {
    let wanted: PageQuery = serde_urlencoded::from_str(fields.get("list")).unwrap_or_default();
    let mut reader = FieldReader::new(&fields, &visitor.locale);
    let (request, reason) = (reader.request(), reader.optional_text("reason"));
    let approved = if fields.is_ticked("all") {
        let DocumentFilter { account, kind, .. } = wanted.filter(&console);
        // Only what there was when the page was shown.
        let cut_before = fields.get("before").parse().ok().map(UnixMillis::new);
        if cut_before.is_none() {
            reader.refuse("document", "wrong-none-chosen");
        }
        Approved::Matching(DraftFilter { account, kind, cut_before })
    } else {
        let ids: Vec<_> = fields.all("document").filter_map(id_of).collect();
        if ids.is_empty() {
            reader.refuse("document", "wrong-none-chosen");
        }
        Approved::Named(ids)
    };
    if let Err(wrong) = reader.finish() {
        return Ok((StatusCode::UNPROCESSABLE_ENTITY, page(&console, &visitor, wanted.anew(), wrong).await?).into_response());
    }
    let (context, change) = (visitor.context(), change_of(&console, &visitor, request, reason));
    let approving = console.use_cases.approve_drafts(&context, &approved, &change);
    console.use_cases.handle(&context, approving).await?;
    let back = match id_of(fields.get("back")) {
        Some(id) => format!("{}?done=approved", path_of_document(id)),
        None => PageQuery { done: "approved".to_owned(), ..wanted.anew() }.address(),
    };
    Ok(Redirect::to(&back).into_response())
}

/// Works out again all that is held back, a hundred at a time.
pub async fn retry(State(console): State<Console>, visitor: Visitor) -> Result<Redirect, Failure> {
    let context = visitor.context();
    let (retried, rest) = console.use_cases.handle(&context, console.use_cases.retry_held(&context, None, 0)).await?;
    let is_good = rest.is_none() && retried.iter().all(|one| one.held_reason.is_empty());
    let done = if is_good { "retried" } else { "retried-some" };
    let state = if is_good { String::new() } else { "held".to_owned() };
    Ok(Redirect::to(&PageQuery { state, done: done.to_owned(), ..PageQuery::default() }.address()))
}
