//! Many rows at once: in one statement each.
//!
//! PostgreSQL takes a column as one array, written as text and cast, and a column that says the same in each row as one value: most
//! columns of most entries are empty. So a statement has one parameter for each column, its text says only which of them are alike, and
//! it is parsed and planned once however many rows there are. SQLite takes rows of parameters.

use std::borrow::Cow;
use std::fmt::Write;

use sqlx::any::AnyRow;
use sqlx::query::Query;
use sqlx::{Any, AnyConnection, AssertSqlSafe};

use super::Dialect;
use crate::BillingError;
use domain::ids::{AccountId, RequestId};
use domain::money::Units;
use domain::time::UnixMillis;

/// The most rows in one statement to PostgreSQL.
const POSTGRES_ROWS: usize = 4_096;

/// The most rows in one statement to SQLite.
const SQLITE_ROWS: usize = 64;

/// The type of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// BIGINT.
    Number,
    Text,
}

/// One value of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// BIGINT.
    Number(i64),
    /// BIGINT, or NULL.
    Optional(Option<i64>),
    Text(Cow<'a, str>),
}

impl Value<'_> {
    fn into_owned(self) -> Value<'static> {
        match self {
            Self::Number(number) => Value::Number(number),
            Self::Optional(number) => Value::Optional(number),
            Self::Text(text) => Value::Text(text.into_owned().into()),
        }
    }
}

impl From<i64> for Value<'_> {
    fn from(number: i64) -> Self {
        Self::Number(number)
    }
}

impl From<UnixMillis> for Value<'_> {
    fn from(at: UnixMillis) -> Self {
        Self::Number(at.get())
    }
}

impl From<Units> for Value<'_> {
    fn from(amount: Units) -> Self {
        Self::Number(amount.get())
    }
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(text.into())
    }
}

impl<'a> From<&'a AccountId> for Value<'a> {
    fn from(account: &'a AccountId) -> Self {
        account.as_str().into()
    }
}

impl<'a> From<&'a RequestId> for Value<'a> {
    fn from(request_id: &'a RequestId) -> Self {
        request_id.as_str().into()
    }
}

impl From<String> for Value<'_> {
    fn from(text: String) -> Self {
        Self::Text(text.into())
    }
}

/// A table, or a part of its columns.
#[derive(Debug)]
pub struct Table {
    pub name: &'static str,
    /// Its columns, in the order of the values of a row.
    pub columns: &'static [(&'static str, Type)],
    /// What follows the rows of an insert: what to do on a conflict.
    pub on_conflict: &'static str,
}

impl Table {
    /// Inserts rows.
    pub async fn insert<'a>(
        &self,
        connection: &mut AnyConnection,
        dialect: Dialect,
        mut rows: impl Iterator<Item = Vec<Value<'a>>>,
    ) -> Result<(), BillingError> {
        let names: Vec<&str> = self.columns.iter().map(|(name, _)| *name).collect();
        loop {
            let chunk: Vec<_> = rows.by_ref().take(rows_at_once(dialect)).collect();
            if chunk.is_empty() {
                return Ok(());
            }
            let rows = self.rows(dialect, &chunk);
            let sql = format!("INSERT INTO {} ({}) {} {}", self.name, names.join(", "), rows.sql, self.on_conflict);
            rows.bind(sqlx::query(AssertSqlSafe(sql))).execute(&mut *connection).await?;
        }
    }

    /// Changes rows: the first column finds each, and the others are what it has from then on. Returns how many there were.
    pub async fn update<'a>(
        &self,
        connection: &mut AnyConnection,
        dialect: Dialect,
        mut rows: impl Iterator<Item = Vec<Value<'a>>>,
    ) -> Result<u64, BillingError> {
        let mut changed = 0;
        let Some(((key, _), others)) = self.columns.split_first() else { return Ok(changed) };
        let names: Vec<&str> = self.columns.iter().map(|(name, _)| *name).collect();
        loop {
            let chunk: Vec<_> = rows.by_ref().take(rows_at_once(dialect)).collect();
            if chunk.is_empty() {
                return Ok(changed);
            }
            let rows = self.rows(dialect, &chunk);
            let set = |from: &str| others.iter().map(|(name, _)| format!("{name} = {from}{name}")).collect::<Vec<_>>().join(", ");
            // SQLite gives no names to the columns of rows, but in a common table expression.
            let sql = format!(
                "WITH changed ({}) AS ({}) UPDATE {} SET {} FROM changed WHERE {}.{key} = changed.{key}",
                names.join(", "),
                rows.sql,
                self.name,
                set("changed."),
                self.name
            );
            changed += rows.bind(sqlx::query(AssertSqlSafe(sql))).execute(&mut *connection).await?.rows_affected();
        }
    }

    /// The rows whose columns of this table are among the given: `selected` names what to show of them.
    pub async fn find(
        &self,
        connection: &mut AnyConnection,
        dialect: Dialect,
        selected: &str,
        keys: &[Vec<Value<'_>>],
    ) -> Result<Vec<AnyRow>, BillingError> {
        let names: Vec<&str> = self.columns.iter().map(|(name, _)| *name).collect();
        let mut found = Vec::new();
        for chunk in keys.chunks(rows_at_once(dialect)) {
            let rows = self.rows(dialect, chunk);
            let sql = format!("SELECT {selected} FROM {} WHERE ({}) IN ({})", self.name, names.join(", "), rows.sql);
            found.extend(rows.bind(sqlx::query(AssertSqlSafe(sql))).fetch_all(&mut *connection).await?);
        }
        Ok(found)
    }

    fn rows(&self, dialect: Dialect, rows: &[Vec<Value<'_>>]) -> Rows {
        match dialect {
            Dialect::Postgres => self.columns_of(rows),
            Dialect::Sqlite => self.values_of(rows),
        }
    }

    /// For PostgreSQL: column by column, as arrays that run alongside each other.
    fn columns_of(&self, rows: &[Vec<Value<'_>>]) -> Rows {
        let values = |place: usize| rows.iter().filter_map(move |row| row.get(place));
        let mut is_same: Vec<bool> =
            (0..self.columns.len()).map(|place| values(place).all(|value| Some(value) == values(place).next())).collect();
        let is_counted = rows.len() == 1 || is_same.contains(&false);
        if let (false, Some(first)) = (is_counted, is_same.first_mut()) {
            // One array has to say how many rows there are.
            *first = false;
        }
        let columns = (1..).zip(self.columns).zip(&is_same).map(|((number, (_, kind)), is_same)| match (kind, is_same) {
            (Type::Number, true) => format!("CAST(${number} AS BIGINT)"),
            (Type::Text, true) => format!("CAST(${number} AS TEXT)"),
            (Type::Number, false) => format!("unnest(CAST(${number} AS BIGINT[]))"),
            (Type::Text, false) => format!("unnest(CAST(${number} AS TEXT[]))"),
        });
        let parameters = is_same.iter().enumerate().map(|(place, is_same)| match values(place).next() {
            Some(value) if *is_same => value.clone().into_owned(),
            _ => array(values(place)).into(),
        });
        Rows { sql: format!("SELECT {}", columns.collect::<Vec<_>>().join(", ")), parameters: parameters.collect() }
    }

    /// For SQLite: row by row.
    fn values_of(&self, rows: &[Vec<Value<'_>>]) -> Rows {
        // Without numbers: SQLite looks for the name of each numbered one among all others, whenever one is bound.
        let row = format!("({})", vec!["?"; self.columns.len()].join(", "));
        Rows {
            sql: format!("VALUES {}", vec![row; rows.len()].join(", ")),
            parameters: rows.iter().flatten().map(|value| value.clone().into_owned()).collect(),
        }
    }
}

/// Rows of a statement.
struct Rows {
    sql: String,
    parameters: Vec<Value<'static>>,
}

impl Rows {
    fn bind<'q>(self, mut query: Query<'q, Any, sqlx::any::AnyArguments>) -> Query<'q, Any, sqlx::any::AnyArguments> {
        for value in self.parameters {
            query = match value {
                Value::Number(number) => query.bind(number),
                Value::Optional(number) => query.bind(number),
                Value::Text(text) => query.bind(text.into_owned()),
            };
        }
        query
    }
}

fn rows_at_once(dialect: Dialect) -> usize {
    match dialect {
        Dialect::Postgres => POSTGRES_ROWS,
        Dialect::Sqlite => SQLITE_ROWS,
    }
}

/// An array as PostgreSQL reads it: `{1,NULL,2}`, `{"a","say \"b\""}`.
fn array<'a>(values: impl Iterator<Item = &'a Value<'a>>) -> String {
    let mut array = String::from("{");
    for value in values {
        if array.len() > 1 {
            array.push(',');
        }
        match value {
            // Writing to a String cannot fail.
            Value::Number(number) | Value::Optional(Some(number)) => drop(write!(array, "{number}")),
            Value::Optional(None) => array.push_str("NULL"),
            Value::Text(text) => {
                array.push('"');
                for character in text.chars() {
                    if matches!(character, '"' | '\\') {
                        array.push('\\');
                    }
                    array.push(character);
                }
                array.push('"');
            }
        }
    }
    array.push('}');
    array
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_that_is_alike_in_all_rows_is_sent_once() {
        let table = Table { name: "t", columns: &[("a", Type::Number), ("b", Type::Text), ("c", Type::Number)], on_conflict: "" };
        let row = |a: i64, b: &'static str| vec![a.into(), b.into(), Value::Optional(None)];
        let rows = table.columns_of(&[row(1, "x"), row(2, "x")]);
        assert_eq!(rows.sql, "SELECT unnest(CAST($1 AS BIGINT[])), CAST($2 AS TEXT), CAST($3 AS BIGINT)");
        assert_eq!(rows.parameters, [Value::from("{1,2}"), Value::from("x"), Value::Optional(None)]);
        let same = table.columns_of(&[row(1, "x"), row(1, "x")]);
        assert_eq!(same.parameters, [Value::from("{1,1}"), Value::from("x"), Value::Optional(None)]);
        let one = table.columns_of(&[row(1, "x")]);
        assert_eq!(one.sql, "SELECT CAST($1 AS BIGINT), CAST($2 AS TEXT), CAST($3 AS BIGINT)");
    }

    #[test]
    fn texts_of_an_array_are_quoted() {
        let values = [Value::from("plain"), Value::from(""), Value::from("a\"b\\c,{}"), Value::from("NULL")];
        assert_eq!(array(values.iter()), r#"{"plain","","a\"b\\c,{}","NULL"}"#);
        assert_eq!(array([Value::Number(-1), Value::Optional(None), Value::Optional(Some(7))].iter()), "{-1,NULL,7}");
    }
}
