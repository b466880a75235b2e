//! The forms of a statement of account: JSON, CSV, a page, and a PDF. It belongs to no series; it is named by its span.

use std::borrow::Cow;

use serde::Serialize;

use super::compose::{issuer, localize, party};
use super::csv::for_spreadsheet;
use super::dates::{Dates, timestamp};
use super::page_model::{Fact, Group, Line, PageModel, Part, Sum, Summary, Table, Vocabulary, Weight};
use super::texts::Texts;
use super::texts::clean;
use super::{FormError, Imprint};
use crate::account_statement::{AccountStatement, LineKind, StatementLine};
use domain::money::Units;

/// The name of the layout of its JSON.
const FORMAT: &str = "tollgate.account_statement/1";

#[derive(Serialize)]
struct StatementForm<'a> {
    format: &'static str,
    account: &'a str,
    issuer: &'a str,
    customer: &'a str,
    currency: &'a str,
    time_zone: &'a str,
    from: String,
    /// The first instant that is not part of it.
    to: String,
    opening: String,
    lines: Vec<LineForm<'a>>,
    closing: String,
    open_invoices: String,
    unallocated: String,
    /// Up to which entry of each partition the journal was taken in: "partition-sequence".
    positions: Vec<String>,
}

#[derive(Serialize)]
struct LineForm<'a> {
    at: String,
    kind: &'static str,
    reference: Option<&'a str>,
    description: Option<&'a str>,
    count: i64,
    amount: String,
    balance: String,
}

/// The statement for machines.
///
/// # Errors
/// Only if JSON itself fails.
pub fn json(imprint: &Imprint, statement: &AccountStatement) -> Result<String, FormError> {
    let plain = |units| imprint.money.plain(units);
    let lines = statement.lines.iter().map(|line| LineForm {
        at: timestamp(line.at).to_string(),
        kind: line.kind.name(),
        reference: Some(line.reference.as_str()).filter(|text| !text.is_empty()),
        description: Some(line.description.as_str()).filter(|text| !text.is_empty()),
        count: line.count,
        amount: plain(line.amount),
        balance: plain(line.balance),
    });
    let form = StatementForm {
        format: FORMAT,
        account: &statement.account,
        issuer: &imprint.issuer.name,
        customer: &imprint.customer.name,
        currency: &statement.currency,
        time_zone: &imprint.time_zone,
        from: timestamp(statement.span[0]).to_string(),
        to: timestamp(statement.span[1]).to_string(),
        opening: plain(statement.opening),
        lines: lines.collect(),
        closing: plain(statement.closing),
        open_invoices: plain(statement.open),
        unallocated: plain(statement.unallocated()),
        positions: statement.position.iter().map(|(partition, sequence)| format!("{partition}-{sequence}")).collect(),
    };
    Ok(serde_json::to_string_pretty(&form)? + "\n")
}

/// The statement's lines as CSV, with its opening and its closing.
///
/// # Errors
/// If CSV itself fails.
pub fn csv(imprint: &Imprint, statement: &AccountStatement, is_for_spreadsheets: bool) -> Result<Vec<u8>, FormError> {
    let plain = |units| imprint.money.plain(units);
    let mut rows = ::csv::Writer::from_writer(Vec::new());
    rows.write_record(["account", "time", "kind", "reference", "description", "count", "amount", "balance", "currency"])?;
    let mut row = |at, kind: &str, line: Option<&StatementLine>, balance: Units| {
        let time = timestamp(at).to_string();
        let (count, amount) = line.map(|line| (line.count.to_string(), plain(line.amount))).unwrap_or_default();
        let (reference, description) = line.map_or(("", ""), |line| (&line.reference, &line.description));
        let text = |text| cell(text, is_for_spreadsheets);
        let fields = [
            text(&statement.account),
            time.into(),
            kind.into(),
            text(reference),
            text(description),
            count.into(),
            amount.into(),
            plain(balance).into(),
            text(&statement.currency),
        ];
        rows.write_record(fields.iter().map(|field| field.as_bytes()))
    };
    row(statement.span[0], "opening", None, statement.opening)?;
    for line in &statement.lines {
        row(line.at, line.kind.name(), Some(line), line.balance)?;
    }
    row(statement.span[1], "closing", None, statement.closing)?;
    rows.into_inner().map_err(|error| FormError::Csv(error.into_error().into()))
}

fn cell(text: &str, is_for_spreadsheets: bool) -> Cow<'_, str> {
    if is_for_spreadsheets { for_spreadsheet(text) } else { Cow::Borrowed(text) }
}

/// The statement as an HTML page of its own.
///
/// # Errors
/// If the time zone is not known.
pub fn html(imprint: &Imprint, statement: &AccountStatement) -> Result<String, FormError> {
    super::html::write(&page_model(imprint, statement)?)
}

/// The statement as PDF/A-2b, A4.
///
/// # Errors
/// If the time zone is not known.
pub fn pdf(imprint: &Imprint, statement: &AccountStatement) -> Result<Vec<u8>, FormError> {
    let page_model = page_model(imprint, statement)?;
    super::pdf::write(&page_model, &imprint.bare_document(&page_model.number))
}

fn page_model(imprint: &Imprint, statement: &AccountStatement) -> Result<PageModel, FormError> {
    let texts = Texts::of(&imprint.customer.language);
    let dates = Dates::in_zone(&imprint.time_zone, &texts)?;
    let period = dates.period(statement.span[0], statement.span[1]);
    let note = match statement.closing.signum() {
        -1 => "balance-owed",
        1 => "balance-in-favour",
        _ => "balance-settled",
    };
    let summary = Summary {
        label: texts.text("closing-balance"),
        amount: texts.number(&imprint.money.shown(statement.closing)),
        note: texts.text(note),
    };
    let mut part = movements(imprint, statement, &dates, &texts);
    localize(&mut part, &texts);
    let fact = |label: String, value: String| Fact { label, value };
    let mut notes = vec![texts.text("account-statement-note"), texts.with("dates-of-zone", &[("zone", &clean(&imprint.time_zone))])];
    notes.extend(imprint.issuer.footer.iter().map(|line| clean(line)));
    Ok(PageModel {
        language: texts.language(),
        words: Vocabulary {
            item: texts.text("what"),
            used: texts.text("line-date"),
            quantity: texts.with("amount-in", &[("currency", &statement.currency)]),
            unit: String::new(),
            ..Vocabulary::of(&texts)
        },
        title: texts.text("account-statement"),
        number: period.clone(),
        subtitle: String::new(),
        issuer: issuer(&imprint.issuer, &texts),
        logo: imprint.issuer.logo.clone(),
        customer: party(&imprint.customer, &texts),
        facts: vec![fact(texts.text("statement-period"), period), fact(texts.text("account"), clean(&statement.account))],
        summary,
        parts: vec![part],
        notes,
    })
}

fn movements(imprint: &Imprint, statement: &AccountStatement, dates: &Dates<'_>, texts: &Texts) -> Part {
    let money = &imprint.money;
    let [opening, closing] = [statement.opening, statement.closing];
    let amounts = money.digits_for(statement.lines.iter().map(|line| line.amount));
    let column = money.digits_for(statement.lines.iter().map(|line| line.balance).chain([opening, closing]));
    let with_year = !dates.is_of_one_year(statement.span[0], statement.span[1]);
    let line = |name: String, description: String, at, amount: Option<Units>, balance| Line {
        name,
        description,
        used: dates.uses(at, at, with_year),
        count: String::new(),
        quantity: amount.map(|amount| money.line(amount, amounts).text).unwrap_or_default(),
        unit: String::new(),
        unit_price: String::new(),
        amount: money.line(balance, column),
    };
    let mut lines = vec![line(texts.text("opening-balance"), String::new(), statement.span[0], None, opening)];
    lines.extend(statement.lines.iter().map(|of| {
        let (name, description) = named(of, texts);
        line(name, description, of.at, Some(of.amount), of.balance)
    }));
    let total = |label: &str, amount, weight| Sum { label: texts.text(label), amount: money.total(amount, column), weight };
    let mut sums = vec![total("closing-balance", closing, Weight::Strong)];
    if !statement.open.is_zero() {
        sums.push(total("open-of-invoices", -statement.open, Weight::Aside));
    }
    match closing + statement.open {
        Units::ZERO => {}
        unallocated if unallocated.is_positive() => sums.push(total("paid-in-unallocated", unallocated, Weight::Aside)),
        due => sums.push(total("due-not-invoiced", due, Weight::Aside)),
    }
    Part {
        heading: texts.text("movements"),
        introduction: String::new(),
        table: Some(Table {
            has_counts: false,
            has_quantities: true,
            has_unit_prices: false,
            groups: vec![Group { heading: String::new(), lines, subtotal: None }],
        }),
        amount_heading: texts.with("balance-in", &[("currency", &money.currency)]),
        sums,
    }
}

/// What a line is called, and what is said about it.
fn named(line: &StatementLine, texts: &Texts) -> (String, String) {
    let (reference, description) = (clean(&line.reference), clean(&line.description));
    let about = |text: &str| if description.is_empty() { text.to_owned() } else { description.clone() };
    match line.kind {
        LineKind::Invoice if reference.is_empty() => (texts.text("line-invoice"), String::new()),
        LineKind::Invoice => (texts.with("open-invoice", &[("number", &reference)]), description),
        LineKind::Credit if line.is_document => (texts.with("line-credit-note", &[("number", &reference)]), description),
        LineKind::Credit => (texts.text("line-refund"), about(&reference)),
        LineKind::Payment => (texts.text("line-payment"), about(&reference)),
        LineKind::PaymentReversed => (texts.text("line-payment-reversed"), about(&reference)),
        LineKind::Correction => (texts.text("line-correction"), about(&reference)),
        LineKind::WriteOff => (texts.text("line-write-off"), about(&reference)),
        LineKind::WriteOffReversed => (texts.text("line-write-off-reversed"), about(&reference)),
        LineKind::Withdrawal => (texts.text("line-withdrawal"), about(&reference)),
        LineKind::Charges => (texts.with("line-charges", &[("count", &line.count.to_string())]), String::new()),
        LineKind::Rounding => (texts.text("rounding"), String::new()),
        LineKind::NotItemized => (texts.text("not-itemized"), String::new()),
    }
}
