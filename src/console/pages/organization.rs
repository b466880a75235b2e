//! The page of an organization: its wallet, what is reserved, what happened last, its documents and payments, and what can be done.

use askama::Template;
use axum::extract::{Path, Query, State};
use axum::response::Response;

use super::chart::Chart;
use super::entries::{Row as EntryRow, rows};
use super::invoices::path_of_document;
use super::mails::{Row as MailRow, few};
use super::notes::{self, Row as NoteRow};
use super::organizations::path_of;
use super::wallet::Wallet;
use super::you::Done;
use crate::Console;
use crate::acts::Act;
use crate::failure::Failure;
use crate::navigation::ORGANIZATIONS;
use crate::page::{Page, render};
use crate::payment_act::path_of_payment;
use crate::visitor::Visitor;
use access::Permission;
use billing::document::{DocumentKind, Party};
use billing::payments::PaymentFilter;
use billing::sending::mail_queries::MailFilter;
use billing::{DocumentFilter, DocumentState};
use domain::account::{Mode, Status};
use domain::ids::AccountId;
use domain::money::Units;
use ledger::{EntryFilter, ListedAccount};
use service::credit::Unit;
use service::error::Error;
use service::sending::MailQuery;

/// How many of each are shown.
const FEW: usize = 10;
const FEW_NOTES: usize = 3;

/// The page.
#[derive(Template)]
#[template(path = "organization.html")]
struct Organization {
    page: Page,
    id: String,
    href: String,
    wallet: Wallet,
    /// The key of the button that converts; empty if the visitor may not.
    convert: &'static str,
    acts: Vec<Act>,
    reservations: Vec<Reservation>,
    has_more_reservations: bool,
    may_release: bool,
    may_refund: bool,
    entries: Vec<EntryRow>,
    /// What the billing store has; `None` if it is away, or there is none, or it is not for the visitor.
    papers: Option<Papers>,
    has_billing: bool,
    customer: Option<Party>,
    may_set_details: bool,
    may_read_tax: bool,
    may_read_audit: bool,
    /// What was sent to it.
    mails: Vec<MailRow>,
    /// How its credit went; `None` if nobody here knows, or it is too new.
    chart: Option<Chart>,
    /// The latest notes; `None` if they are not for the visitor, or the billing store is away.
    notes: Option<Vec<NoteRow>>,
    /// To whom mail goes, or that none does; empty if nobody here knows.
    sending: String,
}

struct Reservation {
    id: String,
    amount: String,
    report_by: String,
    expires_at: String,
}

struct Papers {
    documents: Vec<Document>,
    payments: Vec<Payment>,
}

struct Document {
    href: String,
    number: String,
    kind: &'static str,
    day: String,
    total: String,
    open: String,
    /// The key of its state.
    state: &'static str,
}

struct Payment {
    href: String,
    id: String,
    day: String,
    amount: String,
    unallocated: String,
    kind: &'static str,
}

/// Shows the page.
pub async fn show(
    State(console): State<Console>,
    visitor: Visitor,
    Path(id): Path<AccountId>,
    Query(Done { done }): Query<Done>,
) -> Result<Response, Failure> {
    let (context, use_cases) = (visitor.context(), &console.use_cases);
    let locale = &visitor.locale;
    let read = async {
        let listed = use_cases.account(&context, id.clone()).await?;
        let (_, reserved) = use_cases.list_reservations(&context, &id, None, FEW).await?;
        let entries = use_cases.list_entries(&context, &id, &EntryFilter::default(), None, FEW).await?;
        Ok::<_, Error>((listed, reserved, entries))
    };
    let (listed, reserved, found) = use_cases.handle(&context, read).await?;
    let unit = Unit::of(&listed.account);
    let reservations = reserved.reservations.into_iter().map(|one| Reservation {
        amount: locale.money(unit, one.amount),
        report_by: locale.instant(one.report_by),
        expires_at: locale.instant(one.expires_at),
        id: one.request_id.into(),
    });
    let is_convertible = listed.account.status != Status::Closed && visitor.may_on(Permission::Convert, &id);
    let convert = match listed.account.mode {
        _ if !is_convertible => "",
        Mode::Prepaid => "convert-to-postpaid",
        Mode::Postpaid => "convert-to-prepaid",
    };
    let may_read_details = console.has_billing && visitor.may_on(Permission::ReadBillingDetails, &id);
    render(&Organization {
        page: Page::new(&visitor, ORGANIZATIONS, listed.profile.name.as_str()).after(&done),
        href: path_of(&id),
        wallet: Wallet::new(locale, &listed),
        convert,
        acts: Act::BUTTONS.into_iter().filter(|act| act.is_possible(&visitor, &id, listed.account.status)).collect(),
        reservations: reservations.collect(),
        has_more_reservations: reserved.next.is_some(),
        may_release: visitor.may_on(Permission::Charge, &id),
        may_refund: visitor.may_on(Permission::Refund, &id),
        entries: rows(locale, unit, found.page.entries),
        papers: papers(&console, &visitor, &listed).await,
        has_billing: console.has_billing,
        customer: if may_read_details { use_cases.customer(&context, &id).await.ok() } else { None },
        may_read_audit: console.has_billing && visitor.may_on(Permission::ReadAudit, &id),
        mails: if console.has_billing { mails(&console, &visitor, &id).await } else { Vec::new() },
        sending: if may_read_details { sending(&console, &visitor, &id).await } else { String::new() },
        chart: if console.has_billing { chart(&console, &visitor, &id).await } else { None },
        notes: if console.has_billing { noted(&console, &visitor, &id).await } else { None },
        may_set_details: visitor.may_on(Permission::SetBillingDetails, &id),
        may_read_tax: visitor.may_on(Permission::ReadSettings, &id),
        id: id.into(),
    })
}

/// How its credit went. While the billing store is away, the rest of the page is shown anyway.
async fn chart(console: &Console, visitor: &Visitor, id: &AccountId) -> Option<Chart> {
    let history = console.use_cases.credit_history(&visitor.context(), id).await.ok()?;
    Chart::new(&visitor.locale, &history)
}

async fn noted(console: &Console, visitor: &Visitor, id: &AccountId) -> Option<Vec<NoteRow>> {
    if !visitor.may_on(Permission::ReadNotes, id) {
        return None;
    }
    let (found, _) = console.use_cases.list_notes(&visitor.context(), id, None, FEW_NOTES).await.ok()?;
    Some(notes::rows(console, &visitor.locale, found))
}

async fn mails(console: &Console, visitor: &Visitor, id: &AccountId) -> Vec<MailRow> {
    let filter = MailFilter { account: Some(id.to_owned()), ..MailFilter::default() };
    few(console, visitor, MailQuery { filter, number: String::new() }, FEW).await
}

/// What of the account's own settings of mail differs from what is usual, in words.
async fn sending(console: &Console, visitor: &Visitor, id: &AccountId) -> String {
    match console.use_cases.account_sending(&visitor.context(), id).await {
        Ok(sending) if sending.is_off => visitor.locale.text("sent-to-nobody"),
        Ok(sending) if !sending.recipients.is_empty() => visitor.locale.text_with("sent-to", &[("value", &sending.recipients.join(", "))]),
        _ => String::new(),
    }
}

/// Documents and payments. While the billing store is away, the rest of the page is shown anyway.
async fn papers(console: &Console, visitor: &Visitor, listed: &ListedAccount) -> Option<Papers> {
    if !console.has_billing || !visitor.may_on(Permission::ReadDocuments, &listed.id) {
        return None;
    }
    let (context, locale, unit) = (visitor.context(), &visitor.locale, Unit::of(&listed.account));
    let filter = DocumentFilter { account: Some(listed.id.clone()), ..DocumentFilter::default() };
    let (page, _) = console.use_cases.list_documents(&context, filter, None, FEW).await.ok()?;
    let filter = PaymentFilter { account: Some(listed.id.clone()), ..PaymentFilter::default() };
    let paid = console.use_cases.list_payments(&context, &filter, None, FEW).await.ok()?;
    let documents = page.documents.into_iter().map(|stored| {
        let document = stored.document;
        let is_overdue = document.due_at.is_some_and(|due| due <= listed.now);
        let state = match (stored.state, document.kind) {
            (DocumentState::Draft, _) => "draft",
            (DocumentState::Held, _) => "held",
            (DocumentState::Issued, DocumentKind::Invoice) if stored.open_amount.is_zero() => "paid",
            (DocumentState::Issued, DocumentKind::Invoice) if is_overdue => "overdue",
            (DocumentState::Issued, DocumentKind::Invoice) => "open",
            (DocumentState::Issued, _) => "issued",
        };
        Document {
            href: path_of_document(stored.id),
            number: document.number,
            kind: match document.kind {
                DocumentKind::Invoice => "invoice",
                DocumentKind::Statement => "statement",
                DocumentKind::CreditNote => "credit-note",
            },
            day: locale.day(document.period_to),
            total: locale.money(unit, document.total),
            open: if stored.open_amount > Units::ZERO { locale.money(unit, stored.open_amount) } else { String::new() },
            state,
        }
    });
    let payments = paid.payments.into_iter().map(|payment| {
        let left = payment.unallocated() - payment.set_aside;
        Payment {
            href: path_of_payment(&listed.id, &payment.request_id),
            day: locale.day(payment.received_at),
            amount: locale.money(unit, payment.amount),
            unallocated: if left > Units::ZERO { locale.money(unit, left) } else { String::new() },
            kind: if payment.kind == domain::entry::EntryKind::ToppedUp { "top-up" } else { "payment" },
            id: payment.request_id.into(),
        }
    });
    Some(Papers { documents: documents.collect(), payments: payments.collect() })
}
