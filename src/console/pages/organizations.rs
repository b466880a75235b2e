//! Finance › Organization Management: finds organizations. The billing store finds which; each row is read live from the ledger.

use askama::Template;
use axum::extract::{Query, State};
use axum::response::Response;
use serde::{Deserialize, Serialize};

use super::wallet::{is_low, mode_key, status_key};
use crate::Console;
use crate::downloads::csv_file;
use crate::failure::Failure;
use crate::locale::Locale;
use crate::navigation::ORGANIZATIONS;
use crate::page::{Page, render};
use crate::visitor::Visitor;
use access::Permission;
use domain::account::{Mode, Status};
use ledger::{AccountFilter, ListedAccount, NamePlace};
use service::credit::Credit;
use service::error::Error;
use service::search::{Cursor, Way};

/// How many rows a page has, and a file at most.
const ROWS: usize = 50;
const MOST_IN_FILE: usize = 10_000;

/// How many accounts a page with a filter looks at, before it says that there may be more.
const LOOKED_AT: usize = 2_000;

/// What is looked for, as the address says it.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct Wanted {
    #[serde(default, skip_serializing_if = "String::is_empty")]
    q: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    mode: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    status: String,
    /// Behind which account the page begins: how it was found, its folded name, its id.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    way: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    name: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    after: String,
}

/// The page.
#[derive(Template)]
#[template(path = "organizations.html")]
struct Organizations {
    page: Page,
    wanted: Wanted,
    rows: Vec<Row>,
    /// The address of the next page; empty if there is none.
    next: String,
    /// The address of the file.
    file: String,
    /// Whether names are only found by their beginnings.
    finds_beginnings: bool,
    has_billing: bool,
}

/// A row.
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

/// What was found.
struct Found {
    accounts: Vec<ListedAccount>,
    way: Way,
    next: Option<Cursor>,
}

impl Wanted {
    fn filter(&self) -> AccountFilter {
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
        AccountFilter { mode, status, currency: None }
    }

    fn cursor(&self) -> Option<Cursor> {
        let way = match self.way.as_str() {
            "parts" => Way::Parts,
            "beginning" => Way::Beginning,
            "ledger" => Way::Ledger,
            _ => return None,
        };
        Some(Cursor { way, after: NamePlace { folded_name: self.name.clone(), account: self.after.clone() } })
    }

    fn behind(&self, cursor: &Cursor) -> Self {
        let way = match cursor.way {
            Way::Parts => "parts",
            Way::Beginning => "beginning",
            Way::Ledger => "ledger",
        };
        let NamePlace { folded_name, account } = cursor.after.clone();
        Self { way: way.to_owned(), name: folded_name, after: account, ..self.clone() }
    }

    fn query(&self) -> String {
        serde_urlencoded::to_string(self).unwrap_or_default()
    }

    /// Whether anything is left out.
    pub fn is_narrow(&self) -> bool {
        !self.q.trim().is_empty() || !self.mode.is_empty() || !self.status.is_empty()
    }
}

/// Shows the page.
pub async fn show(State(console): State<Console>, visitor: Visitor, Query(wanted): Query<Wanted>) -> Result<Response, Failure> {
    let found = find(&console, &visitor, &wanted, wanted.cursor(), ROWS).await?;
    let next = found.next.as_ref().map(|cursor| format!("{ORGANIZATIONS}?{}", wanted.behind(cursor).query())).unwrap_or_default();
    let from_start = Wanted { way: String::new(), name: String::new(), after: String::new(), ..wanted.clone() };
    render(&Organizations {
        page: Page::new(&visitor, ORGANIZATIONS, visitor.locale.text("organizations")),
        rows: found.accounts.into_iter().map(|account| Row::new(&visitor.locale, account)).collect(),
        next,
        file: format!("{ORGANIZATIONS}.csv?{}", from_start.query()),
        finds_beginnings: found.way != Way::Parts && !wanted.q.trim().is_empty(),
        has_billing: console.has_billing,
        wanted,
    })
}

/// Finds accounts, a page of them.
async fn find(console: &Console, visitor: &Visitor, wanted: &Wanted, mut after: Option<Cursor>, count: usize) -> Result<Found, Failure> {
    let (context, filter) = (visitor.context(), wanted.filter());
    let use_cases = &console.use_cases;
    use_cases
        .handle(&context, async {
            let is_bound = !visitor.principal.may_everywhere(Permission::ReadAccounts);
            let is_searched = !wanted.q.trim().is_empty();
            if !is_searched && !is_bound {
                let page = use_cases.list_accounts(&context, "", &filter, after.map(|cursor| cursor.after), count).await?;
                let next = page.next.map(|after| Cursor { way: Way::Ledger, after });
                return Ok(Found { accounts: page.accounts, way: Way::Ledger, next });
            }
            let (mut accounts, mut looked_at) = (Vec::new(), 0);
            loop {
                let rest = count - accounts.len();
                let page = match is_searched {
                    true => use_cases.search_accounts(&context, &wanted.q, after, rest).await?,
                    false => use_cases.own_accounts(&context, after, rest).await?,
                };
                looked_at += page.accounts.len();
                accounts.extend(page.accounts.into_iter().filter(|one| is_match(&filter, one)));
                if accounts.len() >= count || page.next.is_none() || looked_at >= LOOKED_AT {
                    return Ok(Found { accounts, way: page.way, next: page.next });
                }
                after = page.next;
            }
        })
        .await
        .map_err(|error: Error| error.into())
}

fn is_match(filter: &AccountFilter, one: &ListedAccount) -> bool {
    filter.mode.is_none_or(|mode| mode == one.account.mode) && filter.status.is_none_or(|status| status == one.account.status)
}

impl Row {
    fn new(locale: &Locale, listed: ListedAccount) -> Self {
        let credit = Credit::at(&listed.account, listed.now);
        let amount = |units| locale.amount(credit.unit, units);
        Self {
            href: path_of(&listed.id),
            id: listed.id,
            name: listed.profile.name,
            mode: mode_key(credit.mode),
            status: status_key(credit.status),
            balance: amount(credit.balance),
            limit: amount(credit.limit),
            limit_ends: credit.limit_expires_at.map(|at| locale.day(at)).unwrap_or_default(),
            usable: locale.money(credit.unit, credit.usable),
            unbilled: amount(credit.unbilled),
            due: amount(credit.amount_due),
            is_low: is_low(&credit, listed.profile.low_credit_threshold),
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
pub async fn download(State(console): State<Console>, visitor: Visitor, Query(wanted): Query<Wanted>) -> Result<Response, Failure> {
    let (mut accounts, mut after) = (Vec::new(), None);
    loop {
        let found = find(&console, &visitor, &wanted, after, 500).await?;
        accounts.extend(found.accounts);
        after = found.next;
        if after.is_none() || accounts.len() >= MOST_IN_FILE {
            break;
        }
    }
    let header = ["id", "name", "mode", "status", "currency", "balance", "credit_limit", "limit_expires_at", "usable", "unbilled", "due"];
    let rows = accounts.into_iter().map(|listed| {
        let credit = Credit::at(&listed.account, listed.now);
        let amount = |units| credit.unit.amount(units);
        let ends = credit.limit_expires_at.map(|at| visitor.locale.machine(at)).unwrap_or_default();
        let (mode, status) = (mode_key(credit.mode).to_owned(), status_key(credit.status).to_owned());
        let (currency, balance, limit) = (credit.unit.currency.code().to_owned(), amount(credit.balance), amount(credit.limit));
        let (usable, unbilled, due) = (amount(credit.usable), amount(credit.unbilled), amount(credit.amount_due));
        vec![listed.id, listed.profile.name, mode, status, currency, balance, limit, ends, usable, unbilled, due]
    });
    Ok(csv_file("organizations.csv", &header, rows))
}
