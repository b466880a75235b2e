//! Finance › Receivables: what is not yet paid, by age, all of one position of the journal, at which it ties to the ledger; of now, or as it
//! was when a day ended.

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
use billing::receivables::{ReceivablesOrder, ReceivablesPlace, ReceivablesTotal};
use domain::money::{MAX_DECIMALS, Units, format_units};
use service::error::{Error, Kind};
use service::receivables::{OrderedPage, ReceivablesQuery};

/// How many rows a page has.
const ROWS: usize = 50;

/// How many organizations are read at once for a file.
const AT_ONCE: usize = 5_000;

/// The orders that the page offers, as its address says them.
const ORDERS: [(&str, ReceivablesOrder); 2] = [("oldest", ReceivablesOrder::OldestFirst), ("largest", ReceivablesOrder::LargestFirst)];

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
    /// In which order.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    sort: String,
    /// Behind which account the page begins: what it is ordered by, and its id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key: Option<i64>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    after: String,
}

impl PageQuery {
    /// The day that was asked for, or that there is no such day.
    fn day(&self) -> Result<Option<Date>, NoSuchDay> {
        if self.as_of.is_empty() { Ok(None) } else { self.as_of.parse().map(Some).map_err(|_| NoSuchDay) }
    }

    fn order(&self) -> (&'static str, ReceivablesOrder) {
        ORDERS.into_iter().find(|(key, _)| *key == self.sort).unwrap_or(ORDERS[0])
    }

    /// What is asked for.
    fn query(&self) -> Result<ReceivablesQuery, NoSuchDay> {
        let after = self.key.map(|key| ReceivablesPlace { key, account: self.after.clone() });
        Ok(ReceivablesQuery { as_of: self.day()?, order: self.order().1, currency: self.currency.clone(), after })
    }

    /// The same from its beginning.
    fn first(&self) -> Self {
        Self { key: None, after: String::new(), ..self.clone() }
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
    /// The orders to choose from, and which it is.
    orders: Vec<(&'static str, String, bool)>,
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
    /// Whether more owed something on an earlier day than are shown and summed up.
    is_cut_off: bool,
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

/// Shows the page.
pub async fn show(State(console): State<Console>, visitor: Visitor, Query(wanted): Query<PageQuery>) -> Result<Response, Failure> {
    let found = match wanted.query() {
        Ok(query) => {
            let context = visitor.context();
            let reading = console.use_cases.receivables_in_order(&context, &query, ROWS, true);
            match console.use_cases.handle(&context, reading).await {
                // Who asks for nothing can ask for nothing wrong.
                Err(error) if error.kind == Kind::Invalid && query.as_of.is_some() => Err(NoSuchDay),
                found => Ok(found?),
            }
        }
        Err(no_such_day) => Err(no_such_day),
    };
    let is_wrong = found.is_err();
    let mut response = page(&console, &visitor, wanted, found.unwrap_or_default(), is_wrong)?;
    if is_wrong {
        *response.status_mut() = StatusCode::BAD_REQUEST;
    }
    Ok(response)
}

fn page(console: &Console, visitor: &Visitor, wanted: PageQuery, found: OrderedPage, is_wrong: bool) -> Result<Response, Failure> {
    let (clock, locale) = (console.use_cases.clock(), &visitor.locale);
    let now = clock.now();
    let OrderedPage { receivables, totals, next, is_cut_off, position } = found;
    let in_currency = |currency: &str| PageQuery { currency: currency.to_owned(), ..wanted.first() };
    let currencies = totals.keys().map(|currency| (currency.clone(), in_currency(currency).href(RECEIVABLES))).collect();
    let shown = totals.iter().filter(|(currency, _)| wanted.currency.is_empty() || **currency == wanted.currency);
    let count = shown.clone().map(|(_, total)| total.accounts).sum();
    let next = next.map(|place| PageQuery { key: Some(place.key), after: place.account, ..wanted.clone() }.href(RECEIVABLES));
    let past = wanted.day().ok().flatten().filter(|day| *day != clock.day_of(now));
    render(&Receivables {
        page: Page::new(visitor, RECEIVABLES, locale.text("receivables")),
        today: clock.day_of(now).to_string(),
        is_wrong,
        file: wanted.first().href(FILE),
        orders: ORDERS.iter().map(|(key, _)| (*key, locale.text(&format!("sort-{key}")), *key == wanted.order().0)).collect(),
        currencies,
        all: in_currency("").href(RECEIVABLES),
        totals: shown.map(|(currency, total)| (currency.clone(), written(locale, total))).collect(),
        rows: receivables.iter().map(|of| Row::new(locale, of)).collect(),
        count,
        next: next.unwrap_or_default(),
        is_cut_off,
        is_past: past.is_some(),
        as_of: past.map_or_else(|| locale.instant(now), |day| locale.date(day)),
        position,
        wanted,
    })
}

/// What stands in the columns of a total.
fn written(locale: &Locale, total: &ReceivablesTotal) -> [Amount; COLUMNS] {
    let [not_due, first, second, third, older] = total.buckets;
    let columns = [total.total(), not_due, first, second, third, older, total.not_invoiced, -total.unallocated];
    columns.map(|units| Amount::new(locale, units, MAX_DECIMALS, total.minor_digits))
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

/// Sends the list as CSV, for machines: in the order of the page; of an earlier day, in that of ids if there are more than it shows.
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
    csv_list(&console, &visitor, "receivables.csv", &header, move |console, visitor, after| {
        let query = wanted.query();
        async move {
            let query = query.map_err(|_| Error::invalid_field("as_of", "must be a day such as 2026-07-01"))?;
            let (rows, next) = rows_of_file(&console, &visitor, query, after).await?;
            Ok((rows.iter().map(record).collect(), next))
        }
    })
    .await
}

/// The next rows of the file, and where it goes on.
async fn rows_of_file(
    console: &Console,
    visitor: &Visitor,
    query: ReceivablesQuery,
    after: Option<ReceivablesPlace>,
) -> Result<(Vec<AccountReceivables>, Option<ReceivablesPlace>), Error> {
    let (context, use_cases) = (visitor.context(), &console.use_cases);
    if query.as_of.is_none() {
        let query = ReceivablesQuery { after, ..query };
        let page = use_cases.handle(&context, use_cases.receivables_in_order(&context, &query, AT_ONCE, false)).await?;
        return Ok((page.receivables, page.next));
    }
    let behind = after.as_ref().map(|place| place.account.as_str());
    let page = use_cases.handle(&context, use_cases.list_receivables(&context, None, query.as_of, behind, AT_ONCE)).await?;
    let (mut rows, next) = (page.receivables, page.next_after);
    if after.is_none() && next.is_none() {
        rows.sort_by_cached_key(|of| query.order.place(of));
    }
    rows.retain(|of| query.currency.is_empty() || of.currency == query.currency);
    Ok((rows, next.map(|account| ReceivablesPlace { key: 0, account })))
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
            oldest_due_at: None,
            reopened,
        }
    }

    #[test]
    fn totals_are_by_currency_whatever_the_decimals_of_the_accounts() {
        let locale = Locale::new(Language::English, TimeZone::UTC);
        let found = ReceivablesTotal::by_currency(&[
            owing("a", "EUR", 2, [Units::new(1_050), Units::ZERO, Units::ZERO, Units::ZERO, Units::new(99)], Units::ZERO),
            owing("b", "EUR", 5, [Units::new(250_000), Units::ZERO, Units::new(1), Units::ZERO, Units::ZERO], Units::new(100_000)),
            owing("c", "USD", 2, [Units::ZERO, Units::new(700), Units::ZERO, Units::ZERO, Units::ZERO], Units::ZERO),
        ]);
        let texts = |currency: &str| written(&locale, &found[currency]).iter().map(|amount| amount.text.clone()).collect::<Vec<_>>();
        assert_eq!(texts("EUR"), ["12.99001", "13.00", "0.00", "0.00001", "0.00", "0.99", "0.00", "−1.00"]);
        assert_eq!(texts("USD"), ["7.00", "0.00", "7.00", "0.00", "0.00", "0.00", "0.00", "0.00"]);
    }
}
