//! Accounts by what people know of them: a part of a name, of the name on documents, of the id or the tax id, whatever accents and case.
//!
//! Each account has a row of folded texts. The step that takes in an entry that names the account writes its part of the row, and
//! a change of billing details writes the other, so that neither overwrites the other's. [`prepare`] makes the index for parts; [`fold()`] folds;
//! [`documents`] finds documents in the same way, and [`totals`] by what they come to.

pub mod documents;
pub mod filtered;
pub mod fold;
mod index;
pub mod prepare;
pub mod totals;

use crate::store::Columns;
use domain::ids::AccountId;
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, AssertSqlSafe, Row};

use super::document::Party;
use super::position::position;
use super::scope::Scope;
use super::store::Dialect;
use super::store::rows::{Table, Type, Value};
use super::{Billing, BillingError, JournalPosition};
use fold::{fold, fold_tax_id};

/// The fewest characters of a part that the index knows: trigrams.
const INDEXED_CHARACTERS: usize = 3;

/// Where SQLite finds more than this, it goes through all in their order, instead of sorting what it has found.
const SORTED: i64 = 2_000;

/// What comes behind all that begins with a text.
const BEHIND: char = '\u{10ffff}';

const NAMES: Table = Table {
    name: "account_search",
    columns: &[("account", Type::Text), ("folded_id", Type::Text), ("name", Type::Text)],
    on_conflict: "ON CONFLICT (account) DO UPDATE SET name = excluded.name",
};

const DETAILS: Table = Table {
    name: "account_search",
    columns: &[("account", Type::Text), ("folded_id", Type::Text), ("billing_name", Type::Text), ("tax_ids", Type::Text)],
    on_conflict: "ON CONFLICT (account) DO UPDATE SET billing_name = excluded.billing_name, tax_ids = excluded.tax_ids",
};

/// How accounts are compared with what is searched for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// All words are parts of the account's texts.
    Parts,
    /// The whole begins its id, its name, or its name on documents.
    Beginning,
}

/// What accounts are ordered by: of one of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Key {
    /// Its folded name.
    Name(String),
    /// An amount, in thousandths of its currency's unit.
    Amount(i64),
}

/// Where an account is in an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// What it is ordered by.
    pub key: Key,
    /// Its id.
    pub account: AccountId,
}

/// The places found, in their order, as far as asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The accounts.
    pub places: Vec<Place>,
    /// How they were compared.
    pub comparison: Comparison,
    /// What the store had taken in of the journal.
    pub position: JournalPosition,
}

/// Writes how accounts are called. They come in the order of their ids.
pub(super) async fn write_names<'a>(
    connection: &mut AnyConnection,
    dialect: Dialect,
    names: impl Iterator<Item = (&'a str, &'a str)>,
) -> Result<(), BillingError> {
    NAMES.insert(connection, dialect, names.map(|(id, name)| vec![id.into(), fold(id).into(), fold(name).into()])).await
}

/// Writes what an account's billing details are found by.
pub(super) async fn write_details(
    connection: &mut AnyConnection,
    dialect: Dialect,
    account: &AccountId,
    customer: &Party,
) -> Result<(), BillingError> {
    let row = vec![account.into(), fold(account).into(), fold(&customer.name).into(), fold_tax_id(&customer.tax_id).into()];
    DETAILS.insert(connection, dialect, std::iter::once(row)).await
}

impl Billing {
    /// Whether all accounts can be searched, and how; `None` if those from before are still being taken in.
    pub async fn searchable(&self) -> Result<Option<Comparison>, BillingError> {
        let mut connection = self.store().pool().acquire().await?;
        let sql = "SELECT is_filled FROM account_search_fill WHERE is_filled = 1";
        if sqlx::query(sql).fetch_optional(&mut *connection).await?.is_none() {
            return Ok(None);
        }
        let has_index = index::has_index(&mut connection, self.store().dialect(), "account_search_parts").await?;
        Ok(Some(if has_index { Comparison::Parts } else { Comparison::Beginning }))
    }

    /// Accounts behind a place, in the order of their names and ids. Where no word is as long as what the index knows, they are compared
    /// by how they begin.
    async fn search(
        &self,
        text: &str,
        comparison: Comparison,
        scope: Option<&Scope>,
        after: Option<&Place>,
        count: usize,
    ) -> Result<Found, BillingError> {
        let dialect = self.store().dialect();
        let wanted = SearchText::new(text, comparison);
        let mut transaction = self.store().begin_reading().await?;
        let connection = &mut *transaction;
        let position = position(connection).await?;
        let mut statement = wanted.statement(dialect);
        if dialect == Dialect::Sqlite && wanted.is_common(connection).await? {
            statement = wanted.walking();
        }
        if let Some(scope) = scope {
            let condition = scope.condition("account_search.account", |account| statement.text(account));
            statement.sql += &format!(" AND {condition}");
        }
        statement.page(after, count);
        let rows = statement.rows(connection).await?;
        let place = |row: &AnyRow| Ok(Place { key: Key::Name(row.try_get("name")?), account: row.account_id("account")? });
        let places = rows.iter().map(place).collect::<Result<_, BillingError>>()?;
        Ok(Found { places, comparison: wanted.comparison(), position })
    }
}

/// The text that is searched for, folded.
enum SearchText {
    /// Parts that the index knows, and others.
    Parts(Vec<String>, Vec<String>),
    Beginning(String),
}

impl SearchText {
    fn new(text: &str, comparison: Comparison) -> Self {
        let folded = fold(text);
        let words = folded.split(' ').filter(|word| !word.is_empty()).map(str::to_owned);
        let (long, short): (Vec<_>, Vec<_>) = words.partition(|word| word.chars().count() >= INDEXED_CHARACTERS);
        match comparison {
            Comparison::Parts if !long.is_empty() => Self::Parts(long, short),
            _ => Self::Beginning(folded),
        }
    }

    fn comparison(&self) -> Comparison {
        match self {
            Self::Parts(..) => Comparison::Parts,
            Self::Beginning(_) => Comparison::Beginning,
        }
    }

    /// Finds accounts by an index.
    fn statement(&self, dialect: Dialect) -> Statement {
        let mut statement = Statement::new("SELECT account_search.account, account_search.name FROM ");
        match dialect {
            Dialect::Postgres => {
                statement.sql += "account_search WHERE TRUE";
                self.condition(dialect, &mut statement);
            }
            Dialect::Sqlite => {
                self.matching(&mut statement, "UNION");
                // CROSS: what was found leads, and not the order.
                statement.sql += " AS matching CROSS JOIN account_search ON account_search.number = matching.number WHERE TRUE";
                if let Self::Parts(_, short) = self {
                    statement.parts(short);
                }
            }
        }
        statement
    }

    /// The condition that a row is found. PostgreSQL may find rows by it; SQLite only checks those that it has.
    fn condition(&self, dialect: Dialect, statement: &mut Statement) {
        match (self, dialect) {
            (Self::Parts(long, short), Dialect::Postgres) => {
                for word in long.iter().chain(short) {
                    let place = statement.text(like(word));
                    statement.sql += &format!(" AND folded LIKE {place}");
                }
            }
            (Self::Parts(long, short), Dialect::Sqlite) => {
                statement.parts(long);
                statement.parts(short);
            }
            (Self::Beginning(text), _) => {
                statement.sql += " AND (";
                // Of what has a sign before it, SQLite uses no index.
                statement.beginnings(text, if dialect == Dialect::Sqlite { "+" } else { "" }, " OR ");
                statement.sql += ")";
            }
        }
    }

    /// For SQLite: what the index finds, in no order.
    fn matching(&self, statement: &mut Statement, union: &str) {
        match self {
            Self::Parts(long, _) => {
                let phrases: Vec<_> = long.iter().map(|word| format!("\"{}\"", word.replace('"', "\"\""))).collect();
                let place = statement.text(phrases.join(" "));
                let from = "SELECT rowid AS number FROM account_search_parts WHERE account_search_parts MATCH";
                statement.sql += &format!("({from} {place})");
            }
            Self::Beginning(text) => {
                statement.sql += "(SELECT number FROM account_search WHERE ";
                statement.beginnings(text, "", &format!(" {union} SELECT number FROM account_search WHERE "));
                statement.sql += ")";
            }
        }
    }

    /// For SQLite: whether more are found than this, so that sorting them takes longer than going through all in order.
    async fn is_common(&self, connection: &mut AnyConnection) -> Result<bool, BillingError> {
        let mut statement = Statement::new("SELECT COUNT(*) FROM (SELECT 1 FROM ");
        // Twice the same are counted twice: to tell them apart, all would have to be read.
        self.matching(&mut statement, "UNION ALL");
        let place = statement.number(SORTED);
        statement.sql += &format!(" LIMIT {place})");
        let rows = statement.rows(connection).await?;
        Ok(rows.first().map_or(Ok(0), |row| row.try_get::<i64, _>(0))? == SORTED)
    }

    /// For SQLite: goes through all in the order of their names.
    fn walking(&self) -> Statement {
        let from = "SELECT account_search.account, account_search.name FROM account_search INDEXED BY account_search_by_name WHERE TRUE";
        let mut statement = Statement::new(from);
        self.condition(Dialect::Sqlite, &mut statement);
        statement
    }
}

/// A statement that is being put together.
struct Statement {
    sql: String,
    values: Vec<Value<'static>>,
}

impl Statement {
    fn new(sql: &str) -> Self {
        Self { sql: sql.to_owned(), values: Vec::new() }
    }

    fn value(&mut self, value: Value<'static>) -> String {
        self.values.push(value);
        format!("${}", self.values.len())
    }

    fn text(&mut self, text: String) -> String {
        self.value(text.into())
    }

    fn number(&mut self, number: i64) -> String {
        self.value(number.into())
    }

    /// What begins with a text, of each column.
    fn beginnings(&mut self, text: &str, sign: &str, between: &str) {
        let [from, to] = range(text).map(|text| self.text(text));
        let columns = ["name", "folded_id", "billing_name"].map(|column| format!("{sign}account_search.{column}"));
        self.sql += &columns.map(|column| format!("({column} >= {from} AND {column} < {to})")).join(between);
    }

    /// For SQLite: what holds each of these parts.
    fn parts(&mut self, parts: &[String]) {
        for part in parts {
            let place = self.text(part.clone());
            self.sql += &format!(" AND instr(account_search.folded, {place}) > 0");
        }
    }

    fn page(&mut self, after: Option<&Place>, count: usize) {
        if let Some(Place { key: Key::Name(name), account }) = after {
            let (name, account) = (self.text(name.clone()), self.text(account.to_string()));
            self.sql += &format!(" AND (account_search.name, account_search.account) > ({name}, {account})");
        }
        let place = self.number(i64::try_from(count).unwrap_or(i64::MAX));
        self.sql += &format!(" ORDER BY account_search.name, account_search.account LIMIT {place}");
    }

    async fn rows(self, connection: &mut AnyConnection) -> Result<Vec<AnyRow>, BillingError> {
        // Planned for these very words: how many are found decides on the way to find them.
        let mut query = sqlx::query(AssertSqlSafe(self.sql)).persistent(false);
        for value in self.values {
            query = match value {
                Value::Number(number) => query.bind(number),
                Value::Optional(number) => query.bind(number),
                Value::Text(text) => query.bind(text.into_owned()),
            };
        }
        Ok(query.fetch_all(connection).await?)
    }
}

/// From where to where all is that begins with a text.
fn range(text: &str) -> [String; 2] {
    [text.to_owned(), format!("{text}{BEHIND}")]
}

/// A pattern of LIKE: what holds a part, which may itself hold what patterns are made of.
fn like(part: &str) -> String {
    let mut pattern = String::from("%");
    for character in part.chars() {
        if matches!(character, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern + "%"
}

#[cfg(test)]
mod tests;
