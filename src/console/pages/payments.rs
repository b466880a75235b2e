//! Finance › Payments: what was paid in, and how far it pays invoices; one payment with all that it pays and that took it back, and its
//! receipt.

use askama::Template;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::months::{first_of, months};
use super::organizations::path_of;
use super::you::Done;
use crate::Console;
use crate::downloads::{ROWS_AT_ONCE, csv_list, framed, kept};
use crate::failure::Failure;
use crate::locale::Locale;
use crate::navigation::PAYMENTS;
use crate::page::{Page, render};
use crate::payment_act::{PaymentAct, path_of_payment};
use crate::visitor::Visitor;
use access::Permission;
use billing::payments::{Payment, PaymentCursor, PaymentFilter, PaymentInFull};
use domain::entry::EntryKind;
use domain::ids::{AccountId, RequestId};
use domain::money::{Units, format_units};
use domain::time::UnixMillis;
use service::papers::{Form, Paper};
use service::payments::PaymentPage;

/// How many rows a page has.
const ROWS: usize = 50;

/// The query string of the page.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct PageQuery {
    /// The month in which it was received: "2026-10".
    #[serde(default, skip_serializing_if = "String::is_empty")]
    month: String,
    /// The id of an organization.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    account: String,
    /// How it was paid.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    method: String,
    /// Not empty: only what does not pay invoices as a whole.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    unallocated: String,
    /// Behind which payment the page begins: when it was received, and its place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    received: Option<UnixMillis>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    place: Option<i64>,
}

/// The list.
#[derive(Template)]
#[template(path = "payments.html")]
struct Payments {
    page: Page,
    wanted: PageQuery,
    months: Vec<(String, String)>,
    rows: Vec<Row>,
    next: String,
    file: String,
    can_import: bool,
}

struct Row {
    href: String,
    account: String,
    organization: String,
    id: String,
    received: String,
    kind: &'static str,
    method: String,
    reference: String,
    amount: String,
    unallocated: String,
    reversed: String,
}

#[derive(Template)]
#[template(path = "payment.html")]
struct OnePayment {
    page: Page,
    row: Row,
    /// The key of a name, and what it is.
    particulars: Vec<(&'static str, String)>,
    parts: Vec<Part>,
    reversals: Vec<Part>,
    acts: Vec<PaymentAct>,
}

/// What a payment pays, or what took it back.
struct Part {
    what: String,
    at: String,
    amount: String,
    is_negative: bool,
    who: String,
}

impl PageQuery {
    fn filter(&self, console: &Console) -> PaymentFilter {
        let said = |text: &str| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
        let clock = console.use_cases.clock();
        let first = first_of(&self.month);
        let next = first.and_then(|first| first.last_of_month().tomorrow().ok());
        let start = |day: Option<Date>| day.and_then(|day| clock.start_of_day(day));
        PaymentFilter {
            account: said(&self.account).map(AccountId::from),
            received_from: start(first),
            received_to: start(next),
            method: said(&self.method),
            unallocated_only: !self.unallocated.is_empty(),
            scope: None,
        }
    }

    fn after(&self) -> Option<PaymentCursor> {
        Some((self.received?, self.place?))
    }

    fn behind(&self, place: Option<PaymentCursor>) -> Self {
        Self { received: place.map(|place| place.0), place: place.map(|place| place.1), ..self.clone() }
    }

    fn query(&self) -> String {
        serde_urlencoded::to_string(self).unwrap_or_default()
    }

    /// Whether anything is left out.
    pub fn is_narrow(&self) -> bool {
        [&self.month, &self.account, &self.method, &self.unallocated].iter().any(|text| !text.trim().is_empty())
    }
}

/// Shows the list.
pub async fn show(State(console): State<Console>, visitor: Visitor, Query(wanted): Query<PageQuery>) -> Result<Response, Failure> {
    let found = find(&console, &visitor, &wanted, wanted.after(), ROWS).await?;
    let (locale, clock) = (&visitor.locale, console.use_cases.clock());
    let next = found.next.map(|place| format!("{PAYMENTS}?{}", wanted.behind(Some(place)).query())).unwrap_or_default();
    render(&Payments {
        page: Page::new(&visitor, PAYMENTS, locale.text("payments-title")),
        months: months(locale, clock.day_of(clock.now()), &wanted.month),
        rows: found.payments.iter().map(|payment| Row::new(locale, payment)).collect(),
        next,
        can_import: visitor.may(Permission::RecordPayments),
        file: format!("{PAYMENTS}.csv?{}", wanted.behind(None).query()),
        wanted,
    })
}

async fn find(
    console: &Console,
    visitor: &Visitor,
    wanted: &PageQuery,
    after: Option<PaymentCursor>,
    count: usize,
) -> Result<PaymentPage, Failure> {
    let (context, filter) = (visitor.context(), wanted.filter(console));
    Ok(console.use_cases.handle(&context, console.use_cases.list_payments(&context, &filter, after, count)).await?)
}

/// The key of a kind's name.
fn kind_key(kind: EntryKind) -> &'static str {
    if kind == EntryKind::PaymentRecorded { "payment-payment" } else { "payment-top-up" }
}

impl Row {
    fn new(locale: &Locale, of: &Payment) -> Self {
        let amount = |units| locale.units(units, of.decimals, of.minor_digits);
        let unless_zero = |units: Units| if units.is_zero() { String::new() } else { amount(units) };
        Self {
            href: path_of_payment(&of.account, &of.request_id),
            account: of.account.to_string(),
            organization: path_of(&of.account),
            id: of.request_id.to_string(),
            received: locale.day(of.received_at),
            kind: kind_key(of.kind),
            method: of.details.method.clone(),
            reference: of.details.reference.clone(),
            amount: format!("{}\u{a0}{}", amount(of.amount), of.currency),
            unallocated: unless_zero(of.unallocated()),
            reversed: unless_zero(of.reversed),
        }
    }
}

/// Shows a payment.
pub async fn one(
    State(console): State<Console>,
    visitor: Visitor,
    Path((account, id)): Path<(AccountId, RequestId)>,
    Query(Done { done }): Query<Done>,
) -> Result<Response, Failure> {
    let (context, locale) = (visitor.context(), &visitor.locale);
    let found = console.use_cases.handle(&context, console.use_cases.payment(&context, &account, &id)).await?;
    let PaymentInFull { payment, parts, reversals } = found;
    let amount = |units| locale.units(units, payment.decimals, payment.minor_digits);
    let who = |actor: &str, reason: &str| [actor, reason].into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join(": ");
    let part = |what: &str, at: UnixMillis, units: Units, who: String| Part {
        what: what.to_owned(),
        at: locale.instant(at),
        amount: amount(units),
        is_negative: units < Units::ZERO,
        who,
    };
    let mut particulars = vec![
        ("received-on", locale.day(payment.received_at)),
        ("recorded-at", locale.instant(payment.accepted_at)),
        ("paid-in", format!("{}\u{a0}{}", amount(payment.amount), payment.currency)),
        ("pays-of-invoices", amount(payment.allocated)),
        ("not-allocated", amount(payment.unallocated())),
    ];
    let said = [
        ("taken-back", if payment.reversed.is_zero() { String::new() } else { amount(payment.reversed) }),
        ("set-aside", if payment.set_aside.is_zero() { String::new() } else { amount(payment.set_aside) }),
        ("payment-method", payment.details.method.clone()),
        ("payment-reference", payment.details.reference.clone()),
        ("payment-remark", payment.details.remark.clone()),
        ("recorded-by", who(&payment.actor, &payment.reason)),
    ];
    particulars.extend(said.into_iter().filter(|(_, text)| !text.is_empty()));
    render(&OnePayment {
        page: Page::new(&visitor, PAYMENTS, locale.text_with("payment-called", &[("value", &payment.request_id)])).after(&done),
        acts: PaymentAct::ALL.into_iter().filter(|act| act.is_possible(&visitor, &payment)).collect(),
        row: Row::new(locale, &payment),
        particulars,
        parts: parts.iter().map(|one| part(&one.invoice, one.at, one.amount, who(&one.actor, &one.reason))).collect(),
        reversals: reversals.iter().map(|one| part(&one.request_id, one.at, -one.amount, who(&one.actor, &one.reason))).collect(),
    })
}

/// Sends the receipt: "html" for the frame, "pdf" or "json".
pub async fn receipt(
    State(console): State<Console>,
    visitor: Visitor,
    Path((account, id, form)): Path<(AccountId, RequestId, String)>,
) -> Result<Response, Failure> {
    let form = match form.as_str() {
        "html" => Form::Html,
        "pdf" => Form::Pdf,
        "json" => Form::Json,
        _ => return Err(Failure::not_found()),
    };
    let context = visitor.context();
    let writing = console.use_cases.account_file(&context, &account, Paper::Receipt(id), form, false);
    let file = console.use_cases.handle(&context, writing).await?;
    Ok(if form == Form::Html { framed(file) } else { kept(file) })
}

/// Sends the list as CSV, for machines.
pub async fn download(State(console): State<Console>, visitor: Visitor, Query(wanted): Query<PageQuery>) -> Result<Response, Failure> {
    let header = [
        "account",
        "id",
        "kind",
        "received_at",
        "recorded_at",
        "currency",
        "amount",
        "allocated",
        "reversed",
        "unallocated",
        "method",
        "reference",
        "remark",
    ];
    csv_list(&console, &visitor, "payments.csv", &header, move |console, visitor, after| {
        let wanted = wanted.clone();
        async move {
            let found = find(&console, &visitor, &wanted, after, ROWS_AT_ONCE).await?;
            Ok((found.payments.into_iter().map(|of| record(&visitor.locale, of)).collect(), found.next))
        }
    })
    .await
}

fn record(locale: &Locale, of: Payment) -> Vec<String> {
    let amount = |units| format_units(units, of.decimals, of.minor_digits);
    let kind = if of.kind == EntryKind::PaymentRecorded { "payment" } else { "top_up" };
    let (received, recorded) = (locale.machine(of.received_at), locale.machine(of.accepted_at));
    let (paid, allocated, reversed, rest) = (amount(of.amount), amount(of.allocated), amount(of.reversed), amount(of.unallocated()));
    let details = of.details;
    let named = [of.account.into(), of.request_id.into(), kind.to_owned(), received, recorded, of.currency];
    named.into_iter().chain([paid, allocated, reversed, rest, details.method, details.reference, details.remark]).collect()
}
