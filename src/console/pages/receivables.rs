//! Finance › Receivables: what is not yet paid, by age, all of one position of the journal, at which it ties to the ledger; of now, or as it
//! was when a day ended.

use std::collections::BTreeMap;

use askama::Template;
use axum::extract::{Query, State};
use axum::response::Response;
use http::StatusCode;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::organizations::path_of;
use crate::Console;
use crate::downloads::csv_list;
use crate::failure::Failure;
use crate::locale::Locale;
use crate::navigation::RECEIVABLES;
use crate::page::{Page, render};
use crate::visitor::Visitor;
use billing::AccountReceivables;
use domain::money::{MAX_DECIMALS, Units, format_units};
use service::error::{Error, Kind};
use service::receivables::ReceivablesPage;

/// How many rows a page has.
const ROWS: usize = 50;

/// How many organizations are read at once: totals are of these, at one position.
const MOST: usize = 5_000;

/// Where the list is as a file.
const FILE: &str = "/finance/receivables.csv";

/// What stands in the columns: what is due in all; and what it is made of: not due yet, by age, on no invoice yet, paid and not allocated.
const COLUMNS: usize = 8;

/// The query string of the page.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct PageQuery {
    #[serde(default, skip_serializing_if = "String::is_empty")]
    currency: String,
    /// When this day ended: "2026-10-31". Empty: now.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    as_of: String,
    /// Which page it is, from zero.
    #[serde(default, skip_serializing_if = "is_first")]
    page: usize,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes fields by reference")]
fn is_first(page: &usize) -> bool {
    *page == 0
}

impl PageQuery {
    /// The day that was asked for, or that there is no such day.
    fn day(&self) -> Result<Option<Date>, NoSuchDay> {
        if self.as_of.is_empty() { Ok(None) } else { self.as_of.parse().map(Some).map_err(|_| NoSuchDay) }
    }

    /// The address of what is shown so, on a page of the list or as its file.
    fn href(&self, path: &str) -> String {
        let query = serde_urlencoded::to_string(self).unwrap_or_default();
        if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") }
    }
}

/// What was asked for is no day, or none that there is anything to show of.
struct NoSuchDay;

/// The page.
#[derive(Template)]
#[template(path = "receivables.html")]
struct Receivables {
    page: Page,
    wanted: PageQuery,
    /// The last day that can be asked for.
    today: String,
    /// Whether there is nothing to show of the day.
    is_wrong: bool,
    /// The address of the file.
    file: String,
    /// Each currency, and the address of what is owed in it.
    currencies: Vec<(String, String)>,
    /// The same of all.
    all: String,
    /// What each currency sums up to: the currency, and the columns.
    totals: Vec<(String, [Amount; COLUMNS])>,
    rows: Vec<Row>,
    count: usize,
    /// The address of the next page; empty if there is none.
    next: String,
    /// Whether there are more than are read at once.
    has_more: bool,
    /// Whether it is of an earlier day.
    is_past: bool,
    as_of: String,
    /// The position of the journal: partition and entry.
    position: Vec<(u16, u64)>,
}

struct Row {
    id: String,
    name: String,
    href: String,
    invoices: String,
    currency: String,
    amounts: [Amount; COLUMNS],
    reopened: String,
}

/// An amount in a cell.
struct Amount {
    text: String,
    is_zero: bool,
    is_negative: bool,
}

impl Amount {
    fn new(locale: &Locale, units: Units, decimals: u8, minor_digits: u8) -> Self {
        Self { text: locale.units(units, decimals, minor_digits), is_zero: units.is_zero(), is_negative: units < Units::ZERO }
    }
}

/// What stands in the columns of an account.
fn columns(of: &AccountReceivables) -> [Units; COLUMNS] {
    let [not_due, first, second, third, older] = of.buckets;
    [of.total(), not_due, first, second, third, older, of.not_invoiced, -of.unallocated]
}

/// How much of it is overdue.
fn overdue(of: &AccountReceivables) -> Units {
    of.buckets.iter().skip(1).sum()
}

/// What organizations behind one owe, in the order of their ids.
async fn read(console: &Console, visitor: &Visitor, as_of: Option<Date>, after: Option<&str>) -> Result<ReceivablesPage, Error> {
    let context = visitor.context();
    console.use_cases.handle(&context, console.use_cases.list_receivables(&context, None, as_of, after, MOST)).await
}

/// By currency, what is overdue first.
fn sort(receivables: &mut [AccountReceivables]) {
    receivables.sort_by(|one, other| {
        let key = |of: &AccountReceivables| (of.currency.clone(), std::cmp::Reverse((overdue(of), of.total())));
        key(one).cmp(&key(other)).then_with(|| one.account.cmp(&other.account))
    });
}

/// Shows the page.
pub async fn show(State(console): State<Console>, visitor: Visitor, Query(wanted): Query<PageQuery>) -> Result<Response, Failure> {
    let found = match wanted.day() {
        Ok(day) => match read(&console, &visitor, day, None).await {
            // Who asks for nothing can ask for nothing wrong.
            Err(error) if error.kind == Kind::Invalid && day.is_some() => Err(NoSuchDay),
            found => Ok(found?),
        },
        Err(no_such_day) => Err(no_such_day),
    };
    let is_wrong = found.is_err();
    let mut response = page(&console, &visitor, wanted, found.unwrap_or_default(), is_wrong)?;
    if is_wrong {
        *response.status_mut() = StatusCode::BAD_REQUEST;
    }
    Ok(response)
}

fn page(console: &Console, visitor: &Visitor, wanted: PageQuery, found: ReceivablesPage, is_wrong: bool) -> Result<Response, Failure> {
    let (clock, locale) = (console.use_cases.clock(), &visitor.locale);
    let now = clock.now();
    let ReceivablesPage { mut receivables, next_after, position } = found;
    sort(&mut receivables);
    let totals: Vec<_> = totals(locale, &receivables).into_iter().collect();
    let in_currency = |currency: &str| PageQuery { currency: currency.to_owned(), page: 0, ..wanted.clone() };
    let currencies = totals.iter().map(|(currency, _)| (currency.clone(), in_currency(currency).href(RECEIVABLES))).collect();
    let is_shown = |of: &&AccountReceivables| wanted.currency.is_empty() || of.currency == wanted.currency;
    let shown: Vec<_> = receivables.iter().filter(is_shown).collect();
    let rows = shown.iter().skip(wanted.page.saturating_mul(ROWS)).take(ROWS).map(|of| Row::new(locale, of)).collect();
    let following = PageQuery { page: wanted.page.saturating_add(1), ..wanted.clone() };
    let has_next = shown.len() > following.page.saturating_mul(ROWS);
    let past = wanted.day().ok().flatten().filter(|day| *day != clock.day_of(now));
    render(&Receivables {
        page: Page::new(visitor, RECEIVABLES, locale.text("receivables")),
        today: clock.day_of(now).to_string(),
        is_wrong,
        file: PageQuery { page: 0, ..wanted.clone() }.href(FILE),
        currencies,
        all: in_currency("").href(RECEIVABLES),
        totals: totals.into_iter().filter(|(currency, _)| wanted.currency.is_empty() || *currency == wanted.currency).collect(),
        rows,
        count: shown.len(),
        next: if has_next { following.href(RECEIVABLES) } else { String::new() },
        has_more: next_after.is_some(),
        is_past: past.is_some(),
        as_of: past.map_or_else(|| locale.instant(now), |day| locale.date(day)),
        position,
        wanted,
    })
}

/// What all of a currency sums up to. Accounts of one currency may have different decimals.
fn totals(locale: &Locale, receivables: &[AccountReceivables]) -> BTreeMap<String, [Amount; COLUMNS]> {
    let mut sums: BTreeMap<String, (u8, [Units; COLUMNS])> = BTreeMap::new();
    for of in receivables {
        let finer = 10_i64.pow(u32::from(MAX_DECIMALS.saturating_sub(of.decimals)));
        let (_, sum) = sums.entry(of.currency.clone()).or_insert((of.minor_digits, [Units::ZERO; COLUMNS]));
        for (sum, units) in sum.iter_mut().zip(columns(of)) {
            *sum = sum.saturating_add(units.saturating_mul(finer));
        }
    }
    let written = sums
        .into_iter()
        .map(|(currency, (minor_digits, sum))| (currency, sum.map(|units| Amount::new(locale, units, MAX_DECIMALS, minor_digits))));
    written.collect()
}

impl Row {
    fn new(locale: &Locale, of: &AccountReceivables) -> Self {
        let amount = |units| Amount::new(locale, units, of.decimals, of.minor_digits);
        let query = serde_urlencoded::to_string([("state", "open"), ("account", of.account.as_str())]).unwrap_or_default();
        let reopened = of.reopened.iter().filter(|one| !one.invoice.is_empty()).map(|one| one.invoice.as_str());
        Self {
            id: of.account.to_string(),
            name: if of.name.is_empty() { of.account.to_string() } else { of.name.clone() },
            href: path_of(&of.account),
            invoices: format!("/invoices?{query}"),
            currency: of.currency.clone(),
            amounts: columns(of).map(amount),
            reopened: reopened.collect::<Vec<_>>().join(", "),
        }
    }
}

/// Sends the list as CSV, for machines: in the order of the page, or of ids if there are more than it shows.
pub async fn download(State(console): State<Console>, visitor: Visitor, Query(wanted): Query<PageQuery>) -> Result<Response, Failure> {
    let header = [
        "account",
        "name",
        "currency",
        "total",
        "not_due",
        "overdue_1_to_30",
        "overdue_31_to_60",
        "overdue_61_to_90",
        "overdue_over_90",
        "not_invoiced",
        "unallocated",
    ];
    csv_list(&console, &visitor, "receivables.csv", &header, move |console, visitor, after: Option<String>| {
        let (currency, day) = (wanted.currency.clone(), wanted.day());
        async move {
            let day = day.map_err(|_| Error::invalid_field("as_of", "must be a day such as 2026-07-01"))?;
            let ReceivablesPage { mut receivables, next_after, .. } = read(&console, &visitor, day, after.as_deref()).await?;
            if after.is_none() && next_after.is_none() {
                sort(&mut receivables);
            }
            let is_shown = |of: &&AccountReceivables| currency.is_empty() || of.currency == currency;
            Ok((receivables.iter().filter(is_shown).map(record).collect(), next_after))
        }
    })
    .await
}

fn record(of: &AccountReceivables) -> Vec<String> {
    let amounts = columns(of).map(|units| format_units(units, of.decimals, of.minor_digits));
    [of.account.to_string(), of.name.clone(), of.currency.clone()].into_iter().chain(amounts).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::texts::Language;
    use jiff::tz::TimeZone;

    fn owing(account: &str, currency: &str, decimals: u8, buckets: [Units; 5], unallocated: Units) -> AccountReceivables {
        let (account, currency, reopened) = (account.to_owned(), currency.to_owned(), Vec::new());
        let name = account.clone();
        AccountReceivables {
            account: account.into(),
            name,
            currency,
            decimals,
            minor_digits: 2,
            buckets,
            not_invoiced: Units::ZERO,
            unallocated,
            reopened,
        }
    }

    #[test]
    fn totals_are_by_currency_whatever_the_decimals_of_the_accounts() {
        let locale = Locale::new(Language::English, TimeZone::UTC);
        let found = totals(
            &locale,
            &[
                owing("a", "EUR", 2, [Units::new(1_050), Units::ZERO, Units::ZERO, Units::ZERO, Units::new(99)], Units::ZERO),
                owing("b", "EUR", 5, [Units::new(250_000), Units::ZERO, Units::new(1), Units::ZERO, Units::ZERO], Units::new(100_000)),
                owing("c", "USD", 2, [Units::ZERO, Units::new(700), Units::ZERO, Units::ZERO, Units::ZERO], Units::ZERO),
            ],
        );
        let texts = |currency: &str| found[currency].iter().map(|amount| amount.text.clone()).collect::<Vec<_>>();
        assert_eq!(texts("EUR"), ["12.99001", "13.00", "0.00", "0.00001", "0.00", "0.99", "0.00", "−1.00"]);
        assert_eq!(texts("USD"), ["7.00", "0.00", "7.00", "0.00", "0.00", "0.00", "0.00", "0.00"]);
    }
}
