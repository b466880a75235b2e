//! Accounts by what they are and how their credit stands, sorted as asked.
//!
//! The smallest of the sets that are asked for leads, if it is small, and what it holds is sorted. If none is small, all are gone through
//! in the order that is asked for, along its index: where much is found, a page is soon full.

use crate::store::Columns;
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row};

use super::{Comparison, Found, Key, Place, SearchText, Statement};
use crate::position::position;
use crate::scope::Scope;
use crate::store::Dialect;
use crate::{Billing, BillingError};
use domain::account::{Currency, Mode, Status};
use domain::time::UnixMillis;

/// A set of more accounts than this is not sorted: it is met soon enough along the order.
const SMALL: i64 = 20_000;

/// Which accounts are asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only those of this mode.
    pub mode: Option<Mode>,
    /// Only those of this status.
    pub status: Option<Status>,
    /// Only those in this currency.
    pub currency: Option<Currency>,
    /// Only those whose credit is low.
    pub is_low: bool,
    /// Only those that owe something: their balance is below zero.
    pub is_owing: bool,
}

/// What accounts are ordered by. Those that are alike come in the order of their ids.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OrderBy {
    /// Their folded names.
    #[default]
    Name,
    /// Usable credit, now.
    UsableCredit,
    Balance,
    AmountDue,
}

/// An order of accounts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Order {
    /// By what.
    pub by: OrderBy,
    /// The last first.
    pub is_descending: bool,
}

/// Accounts to be found.
#[derive(Clone, Copy, Debug)]
pub struct Query<'a> {
    /// What they are called; empty: anything.
    pub text: &'a str,
    /// How that is compared.
    pub comparison: Comparison,
    /// Which of them.
    pub filter: Filter,
    pub order: Order,
    /// Only these.
    pub scope: Option<&'a Scope>,
    /// Credit is that of this instant.
    pub now: UnixMillis,
}

/// A set that accounts are asked to be in.
struct Set {
    /// For SQLite: the index that it is read from.
    index: &'static str,
    condition: String,
}

impl Billing {
    /// Accounts behind a place, in an order.
    pub async fn find_accounts(&self, query: &Query<'_>, after: Option<&Place>, count: usize) -> Result<Found, BillingError> {
        if query.filter == Filter::default() && query.order == Order::default() {
            return self.search(query.text, query.comparison, query.scope, after, count).await;
        }
        let dialect = self.store().dialect();
        let mut transaction = self.store().begin_reading().await?;
        let connection = &mut *transaction;
        let position = position(connection).await?;
        let leader = query.leader(dialect, connection).await?;
        let rows = query.statement(dialect, leader.as_ref(), after, count).rows(connection).await?;
        let places = rows.iter().map(|row| query.order.place(row)).collect::<Result<_, _>>()?;
        let comparison = query.wanted().map_or(query.comparison, |wanted| wanted.comparison());
        Ok(Found { places, comparison, position })
    }
}

impl Order {
    /// Whether this is what it orders by.
    #[must_use]
    pub fn has(self, key: &Key) -> bool {
        matches!(key, Key::Name(_)) == (self.by == OrderBy::Name)
    }

    fn place(self, row: &AnyRow) -> Result<Place, BillingError> {
        let key = match self.by {
            OrderBy::Name => Key::Name(row.try_get("sort_key")?),
            _ => Key::Amount(row.try_get("sort_key")?),
        };
        Ok(Place { key, account: row.account_id("account")? })
    }
}

impl Query<'_> {
    fn wanted(&self) -> Option<SearchText> {
        (!self.text.trim().is_empty()).then(|| SearchText::new(self.text, self.comparison))
    }

    /// The smallest of the sets, if it is small: what finds it.
    async fn leader(&self, dialect: Dialect, connection: &mut AnyConnection) -> Result<Option<Leader>, BillingError> {
        let mut smallest: Option<(i64, Leader)> = None;
        for leader in self.leaders() {
            let mut statement = Statement::new("SELECT CAST(COUNT(*) AS BIGINT) FROM (SELECT 1 FROM ");
            leader.write(dialect, &mut statement);
            let limit = statement.number(SMALL);
            statement.sql += &format!(" LIMIT {limit}) AS some_of_them");
            let rows = statement.rows(connection).await?;
            let found = rows.first().map_or(Ok(0), |row| row.try_get::<i64, _>(0))?;
            if found < smallest.as_ref().map_or(SMALL, |(least, _)| *least) {
                smallest = Some((found, leader));
            }
        }
        Ok(smallest.map(|(_, leader)| leader))
    }

    fn leaders(&self) -> Vec<Leader> {
        let Filter { mode, status, currency, is_low, is_owing } = self.filter;
        let mut sets = Vec::new();
        if is_low {
            sets.push(Set { index: "accounts_low", condition: "may_be_low = 1".to_owned() });
        }
        if is_owing {
            sets.push(Set { index: "accounts_owing", condition: "balance < 0".to_owned() });
        }
        // In the order of an amount, those of a mode and a status lie by themselves.
        if self.order.by == OrderBy::Name && (mode.is_some() || status.is_some()) {
            // All modes are named where none is, so that the index is used.
            let modes =
                mode.map_or_else(|| format!("{}, {}", Mode::Prepaid as i64, Mode::Postpaid as i64), |mode| (mode as i64).to_string());
            let status = status.map_or_else(String::new, |status| format!(" AND status = {}", status as i64));
            sets.push(Set { index: "accounts_by_mode", condition: format!("mode IN ({modes}){status}") });
        }
        if let Some(currency) = currency {
            // A code is three letters.
            sets.push(Set { index: "accounts_by_currency", condition: format!("currency = '{}'", currency.code()) });
        }
        sets.into_iter().map(Leader::Set).chain(self.wanted().map(Leader::Text)).collect()
    }

    fn statement(&self, dialect: Dialect, leader: Option<&Leader>, after: Option<&Place>, count: usize) -> Statement {
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        let mut statement = Statement::new("");
        let page = Page { after, count, is_descending: self.order.is_descending };
        if let Some(leader) = leader {
            statement.sql += "WITH chosen AS MATERIALIZED (SELECT account FROM ";
            leader.write(dialect, &mut statement);
            let key = self.key(&mut statement);
            let by_account = equal(dialect, "accounts.account", "chosen.account", "default");
            statement.sql += &format!(
                ") SELECT accounts.account, {key} AS sort_key FROM chosen CROSS JOIN accounts CROSS JOIN account_search \
                 WHERE {by_account} AND account_search.account = chosen.account{}",
                if dialect == Dialect::Postgres { " COLLATE \"C\"" } else { "" }
            );
            self.conditions(dialect, &mut statement, !matches!(leader, Leader::Text(_)));
            page.write(dialect, &mut statement, &key);
            return statement;
        }
        let index = |name: &str| if dialect == Dialect::Sqlite { format!(" INDEXED BY {name}") } else { String::new() };
        let walk = |statement: &mut Statement, Way { key, along, condition }: &Way| {
            statement.sql += &format!("SELECT accounts.account, {key} AS sort_key FROM accounts{}", index(along));
            if self.wanted().is_some() {
                let by_account = equal(dialect, "account_search.account", "accounts.account", "C");
                statement.sql += &format!(" JOIN account_search ON {by_account}");
            }
            statement.sql += &format!(" WHERE {condition}");
            self.conditions(dialect, statement, true);
            page.write(dialect, statement, key);
        };
        match self.order.by {
            OrderBy::Name => {
                let by_account = equal(dialect, "accounts.account", "account_search.account", "default");
                statement.sql += &format!(
                    "SELECT accounts.account, account_search.name AS sort_key FROM account_search{} CROSS JOIN accounts WHERE {by_account}",
                    index("account_search_by_name")
                );
                self.conditions(dialect, &mut statement, true);
                page.write(dialect, &mut statement, "account_search.name");
            }
            OrderBy::UsableCredit | OrderBy::Balance | OrderBy::AmountDue => {
                statement.sql += "SELECT account, sort_key FROM (";
                for (number, way) in self.ways().iter().enumerate() {
                    statement.sql += if number == 0 { "SELECT * FROM (" } else { " UNION ALL SELECT * FROM (" };
                    walk(&mut statement, way);
                    statement.sql += &format!(") AS way_{number}");
                }
                let (direction, collation, place) = (page.direction(), collation(dialect), statement.number(count));
                statement.sql += &format!(") AS ways ORDER BY sort_key{direction}, account{collation}{direction} LIMIT {place}");
            }
        }
        statement
    }

    /// The ways along indices on which all accounts lie in the order of an amount, each in its own: each index begins with the mode and the
    /// status, so that nobody who asks for one goes through accounts of another.
    fn ways(&self) -> Vec<Way> {
        let Filter { mode, status, is_low, is_owing, .. } = self.filter;
        let modes = mode.map_or_else(|| vec![Mode::Prepaid, Mode::Postpaid], |mode| vec![mode]);
        let statuses = status.map_or_else(|| vec![Status::Active, Status::Suspended, Status::Closed], |status| vec![status]);
        let of_kinds = |key, along, more: &str| -> Vec<Way> {
            let kinds = modes.iter().flat_map(|mode| statuses.iter().map(move |status| (*mode as i64, *status as i64)));
            kinds.map(|(mode, status)| Way { key, along, condition: format!("mode = {mode} AND status = {status}{more}") }).collect()
        };
        match self.order.by {
            OrderBy::UsableCredit => {
                let now = self.now.get();
                let steady = format!("temporary_until <= {now}");
                let mut ways = match is_low {
                    true => vec![Way { key: "usable_order", along: "accounts_low", condition: steady }],
                    false => of_kinds("usable_order", "accounts_by_kind_usable", &format!(" AND {steady}")),
                };
                let raised = format!(" AND temporary_until > 0 AND temporary_until > {now}");
                ways.extend(of_kinds("raised_order", "accounts_by_kind_raised", &raised));
                ways
            }
            OrderBy::Balance if is_owing => vec![Way { key: "balance_order", along: "accounts_owing", condition: "TRUE".to_owned() }],
            OrderBy::Balance => of_kinds("balance_order", "accounts_by_kind_balance", ""),
            OrderBy::AmountDue => of_kinds("due_order", "accounts_by_kind_due", ""),
            // Names have an index of their own, in another table.
            OrderBy::Name => Vec::new(),
        }
    }

    /// What an account that was found is sorted by.
    fn key(&self, statement: &mut Statement) -> String {
        match self.order.by {
            OrderBy::Name => "account_search.name".to_owned(),
            OrderBy::UsableCredit => {
                let now = statement.number(self.now.get());
                format!("CASE WHEN temporary_until > {now} THEN raised_order ELSE usable_order END")
            }
            OrderBy::Balance => "balance_order".to_owned(),
            OrderBy::AmountDue => "due_order".to_owned(),
        }
    }

    fn conditions(&self, dialect: Dialect, statement: &mut Statement, with_text: bool) {
        let Filter { mode, status, currency, is_low, is_owing } = self.filter;
        if let Some(mode) = mode {
            statement.sql += &format!(" AND mode = {}", mode as i64);
        }
        if let Some(status) = status {
            statement.sql += &format!(" AND status = {}", status as i64);
        }
        if let Some(currency) = currency {
            let place = statement.text(currency.code().to_owned());
            statement.sql += &format!(" AND currency = {place}");
        }
        if is_low {
            statement.sql += " AND may_be_low = 1";
        }
        if is_owing {
            statement.sql += " AND balance < 0";
        }
        match self.wanted() {
            Some(wanted) if with_text => wanted.condition(dialect, statement),
            Some(SearchText::Parts(_, short)) if dialect == Dialect::Sqlite => statement.parts(&short),
            _ => {}
        }
        if let Some(scope) = self.scope {
            let condition = scope.condition("accounts.account", |account| statement.text(account));
            statement.sql += &format!(" AND {condition}");
        }
    }
}

/// A way along an index.
struct Way {
    /// What accounts are sorted by on it.
    key: &'static str,
    /// For SQLite: the index.
    along: &'static str,
    /// Which accounts lie on it.
    condition: String,
}

/// The condition by which a small set is found.
enum Leader {
    Set(Set),
    Text(SearchText),
}

impl Leader {
    /// What it is read from, with its condition.
    fn write(&self, dialect: Dialect, statement: &mut Statement) {
        match (self, dialect) {
            (Self::Set(Set { condition, .. }), Dialect::Postgres) => statement.sql += &format!("accounts WHERE {condition}"),
            (Self::Set(Set { index, condition }), Dialect::Sqlite) => {
                statement.sql += &format!("accounts INDEXED BY {index} WHERE {condition}");
            }
            (Self::Text(wanted), Dialect::Postgres) => {
                statement.sql += "account_search WHERE TRUE";
                wanted.condition(dialect, statement);
            }
            (Self::Text(wanted), Dialect::Sqlite) => {
                wanted.matching(statement, "UNION");
                statement.sql += " AS matching CROSS JOIN account_search ON account_search.number = matching.number";
            }
        }
    }
}

/// Which part of the list is wanted.
struct Page<'a> {
    after: Option<&'a Place>,
    count: i64,
    is_descending: bool,
}

impl Page<'_> {
    fn direction(&self) -> &'static str {
        if self.is_descending { " DESC" } else { "" }
    }

    fn write(&self, dialect: Dialect, statement: &mut Statement, key: &str) {
        // The names' index is that of account_search, whose accounts have their order by themselves.
        let account = if key == "account_search.name" {
            "account_search.account".to_owned()
        } else {
            format!("accounts.account{}", collation(dialect))
        };
        if let Some(Place { key: behind, account: last }) = self.after {
            let behind = match behind {
                Key::Name(name) => statement.text(name.clone()),
                Key::Amount(amount) => statement.number(*amount),
            };
            let last = statement.text(last.to_string());
            let sign = if self.is_descending { '<' } else { '>' };
            statement.sql += &format!(" AND ({key}, {account}) {sign} ({behind}, {last})");
        }
        let (direction, place) = (self.direction(), statement.number(self.count));
        statement.sql += &format!(" ORDER BY {key}{direction}, {account}{direction} LIMIT {place}");
    }
}

/// Ids in the order of their bytes: SQLite has no other.
fn collation(dialect: Dialect) -> &'static str {
    if dialect == Dialect::Postgres { " COLLATE \"C\"" } else { "" }
}

/// That an id of one table is that of another, in the collation of the index of the first: PostgreSQL uses it in no other.
fn equal(dialect: Dialect, column: &str, other: &str, collation: &str) -> String {
    match dialect {
        Dialect::Postgres => format!("{column} = {other} COLLATE \"{collation}\""),
        Dialect::Sqlite => format!("{column} = {other}"),
    }
}

#[cfg(test)]
mod tests;
