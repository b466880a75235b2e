//! Finance › Organization Management: finds organizations. The billing store finds which; each row is read live from the ledger.

use askama::Template;
use axum::extract::{Query, State};
use axum::response::Response;
use serde::{Deserialize, Serialize};

use super::wallet::{mode_key, status_key};
use crate::Console;
use crate::downloads::{ROWS_AT_ONCE, csv_list};
use crate::failure::Failure;
use crate::locale::Locale;
use crate::navigation::ORGANIZATIONS;
use crate::page::{Page, render};
use crate::visitor::Visitor;
use access::Permission;
use billing::search::filtered::{Filter, Order, OrderBy};
use billing::search::{Key, Place};
use domain::account::{Mode, Status};
use ledger::{AccountFilter, ListedAccount, NamePlace};
use service::credit::Credit;
use service::error::Error;
use service::search::{AccountSearch, Cursor, SearchMethod};

/// How many rows a page has.
const ROWS: usize = 50;

/// How many accounts are read to fill a page: those that no longer match are left out.
const LOOKED_AT: usize = 2_000;

/// The orders that the page offers, as its address says them.
const ORDERS: [(&str, Order); 7] = [
    ("name", Order { by: OrderBy::Name, is_descending: false }),
    ("name-desc", Order { by: OrderBy::Name, is_descending: true }),
    ("usable", Order { by: OrderBy::UsableCredit, is_descending: false }),
    ("usable-desc", Order { by: OrderBy::UsableCredit, is_descending: true }),
    ("balance", Order { by: OrderBy::Balance, is_descending: false }),
    ("balance-desc", Order { by: OrderBy::Balance, is_descending: true }),
    ("due-desc", Order { by: OrderBy::AmountDue, is_descending: true }),
];

/// The query string of the page.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct PageQuery {
    #[serde(default, skip_serializing_if = "String::is_empty")]
    q: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    mode: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    status: String,
    /// Which credit: low, owing, or whatever.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    credit: String,
    /// In which order.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    sort: String,
    /// Behind which account the page begins: how it was found, what it is ordered by, its id.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    way: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    key: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    after: String,
}

/// The page.
#[derive(Template)]
#[template(path = "organizations.html")]
struct Organizations {
    page: Page,
    wanted: PageQuery,
    rows: Vec<Row>,
    /// The address of the next page; empty if there is none.
    next: String,
    /// The address of the file.
    file: String,
    /// Whether names are only found by their beginnings.
    finds_beginnings: bool,
    has_billing: bool,
    /// The orders to choose from, and which it is.
    orders: Vec<(&'static str, String, bool)>,
    /// The columns that one can sort by.
    columns: Vec<Column>,
    /// Up to which position of the journal the billing store knew the accounts: for each partition; empty if it was not asked.
    position: String,
}

/// The head of a column.
struct Column {
    name: &'static str,
    is_figure: bool,
    is_wide: bool,
    /// The page in the order of this column; empty: there is none.
    href: String,
    /// How the page is ordered by it now: as ARIA says it; empty: it is not.
    sort: &'static str,
}

struct Row {
    id: String,
    href: String,
    name: String,
    credit: Credit,
    mode: &'static str,
    status: &'static str,
    balance: String,
    limit: String,
    limit_ends: String,
    usable: String,
    unbilled: String,
    due: String,
    is_low: bool,
}

struct Found {
    accounts: Vec<ListedAccount>,
    way: SearchMethod,
    next: Option<Cursor>,
    position: String,
}

impl PageQuery {
    fn search(&self) -> AccountSearch {
        let mode = match self.mode.as_str() {
            "prepaid" => Some(Mode::Prepaid),
            "postpaid" => Some(Mode::Postpaid),
            _ => None,
        };
        let status = match self.status.as_str() {
            "active" => Some(Status::Active),
            "suspended" => Some(Status::Suspended),
            "closed" => Some(Status::Closed),
            _ => None,
        };
        let filter = Filter { mode, status, currency: None, is_low: self.credit == "low", is_owing: self.credit == "owing" };
        AccountSearch { text: self.q.clone(), filter, order: self.order().1 }
    }

    fn order(&self) -> (&'static str, Order) {
        ORDERS.into_iter().find(|(key, _)| *key == self.sort).unwrap_or(ORDERS[0])
    }

    fn cursor(&self) -> Option<Cursor> {
        let way = match self.way.as_str() {
            "parts" => SearchMethod::Parts,
            "beginning" => SearchMethod::Beginning,
            "ledger" => SearchMethod::Ledger,
            _ => return None,
        };
        let key = match self.order().1.by {
            OrderBy::Name => Key::Name(self.key.clone()),
            _ => Key::Amount(self.key.parse().ok()?),
        };
        Some(Cursor { way, after: Place { key, account: self.after.as_str().into() } })
    }

    fn behind(&self, cursor: &Cursor) -> Self {
        let way = match cursor.way {
            SearchMethod::Parts => "parts",
            SearchMethod::Beginning => "beginning",
            SearchMethod::Ledger => "ledger",
        };
        let key = match &cursor.after.key {
            Key::Name(name) => name.clone(),
            Key::Amount(amount) => amount.to_string(),
        };
        Self { way: way.to_owned(), key, after: cursor.after.account.to_string(), ..self.clone() }
    }

    fn at_start(&self) -> Self {
        Self { way: String::new(), key: String::new(), after: String::new(), ..self.clone() }
    }

    fn query(&self) -> String {
        serde_urlencoded::to_string(self).unwrap_or_default()
    }

    /// The head of a column; a click on it sorts by it, and a second one the other way round. `orders` has the first of these first.
    fn column(&self, name: &'static str, is_figure: bool, is_wide: bool, orders: [&'static str; 2]) -> Column {
        let shown = self.order().0;
        let next = if shown == orders[0] { orders[1] } else { orders[0] };
        let href = if next.is_empty() { String::new() } else { self.at_start().sorted(next) };
        let sort = match (orders.contains(&shown), self.order().1.is_descending) {
            (false, _) => "",
            (true, false) => "ascending",
            (true, true) => "descending",
        };
        Column { name, is_figure, is_wide, href, sort }
    }

    fn sorted(self, sort: &str) -> String {
        format!("{ORGANIZATIONS}?{}", Self { sort: sort.to_owned(), ..self }.query())
    }

    /// Whether anything is left out.
    pub fn is_narrow(&self) -> bool {
        [&self.q, &self.mode, &self.status, &self.credit].iter().any(|chosen| !chosen.trim().is_empty())
    }
}

/// Shows the page.
pub async fn show(State(console): State<Console>, visitor: Visitor, Query(wanted): Query<PageQuery>) -> Result<Response, Failure> {
    let found = find(&console, &visitor, &wanted, wanted.cursor(), ROWS).await?;
    let next = found.next.as_ref().map(|cursor| format!("{ORGANIZATIONS}?{}", wanted.behind(cursor).query())).unwrap_or_default();
    let no_order = ["", ""];
    let orders = |orders| if console.has_billing { orders } else { no_order };
    render(&Organizations {
        page: Page::new(&visitor, ORGANIZATIONS, visitor.locale.text("organizations")),
        rows: found.accounts.into_iter().map(|account| Row::new(&visitor.locale, account)).collect(),
        next,
        file: format!("{ORGANIZATIONS}.csv?{}", wanted.at_start().query()),
        finds_beginnings: found.way != SearchMethod::Parts && !wanted.q.trim().is_empty(),
        has_billing: console.has_billing,
        orders: ORDERS.iter().map(|(key, _)| (*key, visitor.locale.text(&format!("sort-{key}")), *key == wanted.order().0)).collect(),
        columns: vec![
            wanted.column("organization", false, false, orders(["name", "name-desc"])),
            wanted.column("payment-mode", false, false, no_order),
            wanted.column("balance", true, true, orders(["balance", "balance-desc"])),
            wanted.column("credit-limit", true, true, no_order),
            wanted.column("unbilled", true, true, no_order),
            wanted.column("amount-due", true, true, orders(["due-desc", "due-desc"])),
            wanted.column("usable-credit", true, false, orders(["usable", "usable-desc"])),
        ],
        position: found.position,
        wanted,
    })
}

/// Finds accounts, a page of them.
async fn find(console: &Console, visitor: &Visitor, wanted: &PageQuery, mut after: Option<Cursor>, count: usize) -> Result<Found, Failure> {
    let (context, search) = (visitor.context(), wanted.search());
    let use_cases = &console.use_cases;
    use_cases
        .handle(&context, async {
            let is_bound = !visitor.principal.may_everywhere(Permission::ReadAccounts);
            let whatever = AccountSearch::default();
            // Where nobody asks for more, the ledger lists them: it is never behind.
            let is_listed = AccountSearch { text: search.text.trim().to_owned(), ..search.clone() } == whatever
                || (!console.has_billing && search.text.trim().is_empty() && search.order == whatever.order && wanted.credit.is_empty());
            if is_listed && !is_bound {
                let Filter { mode, status, .. } = search.filter;
                let behind = after.map(|Cursor { after: Place { key, account }, .. }| {
                    let folded_name = if let Key::Name(name) = key { name } else { String::new() };
                    NamePlace { folded_name, account }
                });
                let page = use_cases.list_accounts(&context, "", &AccountFilter { mode, status, currency: None }, behind, count).await?;
                let place = |NamePlace { folded_name, account }| Place { key: Key::Name(folded_name), account };
                let next = page.next.map(|after| Cursor { way: SearchMethod::Ledger, after: place(after) });
                return Ok(Found { accounts: page.accounts, way: SearchMethod::Ledger, next, position: String::new() });
            }
            let (mut accounts, mut looked_at) = (Vec::new(), 0);
            loop {
                let rest = count - accounts.len();
                let page = use_cases.search_accounts(&context, &search, after, rest).await?;
                looked_at += rest;
                accounts.extend(page.accounts);
                if accounts.len() >= count || page.next.is_none() || looked_at >= LOOKED_AT.max(count) {
                    let position: Vec<_> = page.position.iter().map(|(_, sequence)| sequence.to_string()).collect();
                    return Ok(Found { accounts, way: page.way, next: page.next, position: position.join(", ") });
                }
                after = page.next;
            }
        })
        .await
        .map_err(|error: Error| error.into())
}

impl Row {
    fn new(locale: &Locale, listed: ListedAccount) -> Self {
        let credit = Credit::at(&listed.account, listed.now);
        let amount = |units| locale.amount(credit.unit, units);
        Self {
            href: path_of(&listed.id),
            id: listed.id.into(),
            name: listed.profile.name,
            mode: mode_key(credit.mode),
            status: status_key(credit.status),
            balance: amount(credit.balance),
            limit: amount(credit.limit),
            limit_ends: credit.limit_expires_at.map(|at| locale.day(at)).unwrap_or_default(),
            usable: locale.money(credit.unit, credit.usable),
            unbilled: amount(credit.unbilled),
            due: amount(credit.amount_due),
            is_low: credit.is_low(listed.profile.low_credit_threshold),
            credit,
        }
    }
}

/// The path of an organization's page. Its id may hold slashes.
#[must_use]
pub fn path_of(id: &str) -> String {
    use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
    format!("{ORGANIZATIONS}/{}", utf8_percent_encode(id, NON_ALPHANUMERIC))
}

/// Sends the list as CSV, for machines: amounts with a point, instants in UTC.
pub async fn download(State(console): State<Console>, visitor: Visitor, Query(wanted): Query<PageQuery>) -> Result<Response, Failure> {
    let header = ["id", "name", "mode", "status", "currency", "balance", "credit_limit", "limit_expires_at", "usable", "unbilled", "due"];
    csv_list(&console, &visitor, "organizations.csv", &header, move |console, visitor, after| {
        let wanted = wanted.clone();
        async move {
            let found = find(&console, &visitor, &wanted, after, ROWS_AT_ONCE).await?;
            Ok((found.accounts.into_iter().map(|listed| record(&visitor.locale, listed)).collect(), found.next))
        }
    })
    .await
}

fn record(locale: &Locale, listed: ListedAccount) -> Vec<String> {
    let credit = Credit::at(&listed.account, listed.now);
    let amount = |units| credit.unit.amount(units);
    let ends = credit.limit_expires_at.map(|at| locale.machine(at)).unwrap_or_default();
    let (mode, status) = (mode_key(credit.mode).to_owned(), status_key(credit.status).to_owned());
    let (currency, balance, limit) = (credit.unit.currency.code().to_owned(), amount(credit.balance), amount(credit.limit));
    let (usable, unbilled, due) = (amount(credit.usable), amount(credit.unbilled), amount(credit.amount_due));
    vec![listed.id.into(), listed.profile.name, mode, status, currency, balance, limit, ends, usable, unbilled, due]
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::*;
    use crate::texts::Language;

    #[test]
    fn a_page_on_which_nothing_matches_any_more_leads_to_the_next() {
        let locale = Locale::new(Language::English, TimeZone::UTC);
        let mut frame = Page::outside(&locale, "");
        frame.user = "alice".to_owned();
        let page = Organizations {
            page: frame,
            wanted: PageQuery { credit: "owing".to_owned(), ..PageQuery::default() },
            rows: Vec::new(),
            next: "/next".to_owned(),
            file: String::new(),
            finds_beginnings: false,
            has_billing: true,
            orders: Vec::new(),
            columns: Vec::new(),
            position: String::new(),
        };
        let html = page.render().unwrap();
        assert!(html.contains("href=\"/next\" rel=\"next\""), "{html}");
        assert!(!html.contains(&locale.text("no-organization-found")), "{html}");
    }
}
