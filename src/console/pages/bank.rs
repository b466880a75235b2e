//! Finance › Payments › Bank statement: a file is read, each line is taken for what its text says, a person confirms, and it is booked.
//!
//! Nothing is kept between the steps: the form of the second holds the file, and what is booked is known by its digest.

use askama::Template;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;

use super::organizations::path_of;
use crate::Console;
use crate::failure::Failure;
use crate::fields::{FieldError, Fields};
use crate::locale::Locale;
use crate::navigation::PAYMENTS;
use crate::page::{Page, render};
use crate::visitor::Visitor;
use service::bank::{Booked, Line, Matched, OpenInvoice, Problem, Proposal, Statement, Unreadable, read};
use service::error::{Error, Kind};

/// The page of each step.
#[derive(Template)]
#[template(path = "bank.html")]
struct Bank {
    page: Page,
    /// The key of what is wrong with the file, and where; empty for nothing.
    problem: String,
    wrong: Vec<FieldError>,
    /// The file, once there is one.
    file: String,
    request: String,
    rows: Vec<Row>,
    others: usize,
    /// Whether it is booked, as far as it was chosen.
    is_done: bool,
    booked: usize,
}

/// A line.
struct Row {
    digest: String,
    day: String,
    payer: String,
    text: String,
    amount: String,
    /// The key of what is known of it, and how that is coloured.
    state: &'static str,
    colour: &'static str,
    /// More of it, for people; empty for nothing.
    remark: String,
    /// The address of the organization that it is booked on; empty for none.
    organization: String,
    /// What it is for, as a person can change it.
    target: String,
    can_book: bool,
    is_ticked: bool,
}

/// Shows the form for the file.
pub async fn show(visitor: Visitor) -> Result<Response, Failure> {
    render(&Bank::new(&visitor))
}

impl Bank {
    fn new(visitor: &Visitor) -> Self {
        Self {
            page: Page::new(visitor, PAYMENTS, visitor.locale.text("bank-statement")),
            problem: String::new(),
            wrong: Vec::new(),
            file: String::new(),
            request: String::new(),
            rows: Vec::new(),
            others: 0,
            is_done: false,
            booked: 0,
        }
    }
}

/// Reads the file, and shows what each line is taken for.
pub async fn propose(State(console): State<Console>, visitor: Visitor, fields: Fields) -> Result<Response, Failure> {
    let file = fields.whole("file");
    let statement = match read(file) {
        Ok(statement) => statement,
        Err(unreadable) => return refused(&visitor, &unreadable),
    };
    let (context, use_cases) = (visitor.context(), &console.use_cases);
    let proposals = use_cases.handle(&context, use_cases.propose_bookings(&context, &statement.lines)).await?;
    let rows = statement.lines.iter().zip(proposals).map(|(line, proposal)| Row::proposed(&visitor.locale, line, proposal));
    render(&Bank {
        file: file.to_owned(),
        request: console.new_request(),
        rows: rows.collect(),
        others: statement.others,
        ..Bank::new(&visitor)
    })
}

fn refused(visitor: &Visitor, unreadable: &Unreadable) -> Result<Response, Failure> {
    let Unreadable { problem, place } = unreadable;
    let locale = &visitor.locale;
    let (key, value) = match problem {
        Problem::TooLarge => ("bank-too-large", ""),
        Problem::UnknownFormat => ("bank-unknown-format", ""),
        Problem::Missing(what) => ("bank-missing", *what),
        Problem::Day => ("bank-day", ""),
        Problem::Amount => ("bank-amount", ""),
        Problem::Currency => ("bank-currency", ""),
    };
    let place = if *place == 0 { String::new() } else { locale.text_with("bank-place", &[("value", &place.to_string())]) };
    let problem = format!("{place} {}", locale.text_with(key, &[("value", value)])).trim().to_owned();
    Ok((StatusCode::UNPROCESSABLE_ENTITY, render(&Bank { problem, ..Bank::new(visitor) })?).into_response())
}

/// Books the lines that were chosen, one after another. Sent again, it goes on where it stopped.
pub async fn book(State(console): State<Console>, visitor: Visitor, fields: Fields) -> Result<Response, Failure> {
    let statement = match read(fields.whole("file")) {
        Ok(statement) => statement,
        Err(unreadable) => return refused(&visitor, &unreadable),
    };
    let (mut rows, mut booked) = (Vec::new(), 0);
    let Statement { lines, others } = statement;
    for line in lines.iter().filter(|line| fields.all("book").any(|digest| digest == line.digest)) {
        let said = fields.get(&format!("for-{}", line.digest));
        let became = book_one(&console, &visitor, line, said).await?;
        booked += usize::from(became == Booked::Done);
        rows.push(Row::booked(&visitor.locale, line, said, became));
    }
    if rows.is_empty() {
        let wrong = vec![FieldError { field: "book", text: visitor.locale.text("wrong-none-chosen") }];
        let (context, use_cases) = (visitor.context(), &console.use_cases);
        let proposals = use_cases.handle(&context, use_cases.propose_bookings(&context, &lines)).await?;
        let rows = lines.iter().zip(proposals).map(|(line, proposal)| Row::proposed(&visitor.locale, line, proposal)).collect();
        let (file, request) = (fields.whole("file").to_owned(), console.new_request());
        return Ok((StatusCode::UNPROCESSABLE_ENTITY, render(&Bank { wrong, file, request, rows, others, ..Bank::new(&visitor) })?)
            .into_response());
    }
    render(&Bank { rows, booked, is_done: true, ..Bank::new(&visitor) })
}

async fn book_one(console: &Console, visitor: &Visitor, line: &Line, said: &str) -> Result<Booked, Failure> {
    let (context, use_cases) = (visitor.context(), &console.use_cases);
    if said.is_empty() {
        return Ok(Booked::Refused(Error::new(Kind::Invalid, "INVALID_REQUEST", visitor.locale.text("bank-no-target"))));
    }
    let booking = async {
        let target = use_cases.booking_target(&context, said).await?;
        use_cases.book_line(&context, line, &target, &visitor.locale.text("bank-statement")).await
    };
    match use_cases.handle(&context, booking).await {
        Ok(became) => Ok(became),
        Err(error) if error.leaves_open() => Err(error.into()),
        Err(error) => Ok(Booked::Refused(error)),
    }
}

/// An amount with two digits behind the point at least, as statements have it.
fn with_cents(amount: &str) -> String {
    match amount.split_once('.') {
        None => format!("{amount}.00"),
        Some((_, fraction)) if fraction.len() == 1 => format!("{amount}0"),
        Some(_) => amount.to_owned(),
    }
}

impl Row {
    fn of(locale: &Locale, line: &Line) -> Self {
        Self {
            digest: line.digest.clone(),
            day: locale.date(line.day),
            payer: line.payer.clone(),
            text: line.text.clone(),
            amount: format!("{}\u{a0}{}", locale.decimal(&with_cents(&line.amount.to_string())), line.currency.code()),
            state: "bank-unmatched",
            colour: "",
            remark: String::new(),
            organization: String::new(),
            target: String::new(),
            can_book: true,
            is_ticked: false,
        }
    }

    fn proposed(locale: &Locale, line: &Line, proposal: Proposal) -> Self {
        let row = Self::of(locale, line);
        match proposal {
            Proposal::Unknown => row,
            Proposal::Booked(found) => Self {
                state: "bank-booked",
                colour: "good",
                organization: path_of_shown(&found.account),
                target: found.account.into(),
                remark: locale.instant(found.at),
                can_book: false,
                ..row
            },
            Proposal::Begun(found) => Self {
                state: "bank-begun",
                colour: "warn",
                can_book: !found.account.is_empty(),
                target: if found.invoice.is_empty() { found.account.into() } else { found.invoice },
                remark: locale.text("bank-begun-text"),
                ..row
            },
            Proposal::Alike { booked, invoice } => {
                let on = if booked.account.is_empty() { "\u{2026}" } else { &booked.account };
                let remark = locale.text_with("bank-alike-text", &[("value", &locale.instant(booked.at)), ("account", on)]);
                let target = invoice.map(|matched| matched.invoice.number).unwrap_or_default();
                Self { state: "bank-alike", colour: "warn", remark, target, ..row }
            }
            Proposal::Invoice(Matched { invoice, is_exact }) => {
                let OpenInvoice { number, account, customer, open, decimals, minor_digits, .. } = invoice;
                let open = locale.units(open, decimals, minor_digits);
                let whom = if customer.is_empty() { account.as_str() } else { customer.as_str() };
                let remark = locale.text_with("bank-open", &[("customer", whom), ("value", &open)]);
                let (state, colour) = if is_exact { ("bank-matched", "good") } else { ("bank-differs", "warn") };
                Self { state, colour, remark, target: number, is_ticked: is_exact, ..row }
            }
        }
    }

    fn booked(locale: &Locale, line: &Line, said: &str, became: Booked) -> Self {
        let row = Self { target: said.to_owned(), can_book: false, ..Self::of(locale, line) };
        match became {
            Booked::Done => Self { state: "bank-booked-now", colour: "good", ..row },
            Booked::Before(found) => {
                let organization = path_of_shown(&found.account);
                Self {
                    state: "bank-booked",
                    colour: "",
                    remark: locale.instant(found.at),
                    target: found.account.into(),
                    organization,
                    ..row
                }
            }
            Booked::Begun(found) => {
                let organization = path_of_shown(&found.account);
                Self {
                    state: "bank-begun",
                    colour: "warn",
                    remark: locale.instant(found.at),
                    target: found.account.into(),
                    organization,
                    ..row
                }
            }
            Booked::Refused(error) => Self { state: "bank-refused", colour: "bad", remark: locale.refusal(&error), ..row },
        }
    }
}

/// Where an account's page is; nowhere if the account is not shown.
fn path_of_shown(account: &str) -> String {
    if account.is_empty() { String::new() } else { path_of(account) }
}
