//! Many rows at once: in one statement each, of the same text however many there are.
//!
//! PostgreSQL takes a column as one array, written as text and cast; so a statement is parsed and planned once, and has one parameter
//! for each column. SQLite takes rows of parameters.

use std::borrow::Cow;
use std::fmt::Write;

use sqlx::any::AnyRow;
use sqlx::query::Query;
use sqlx::{Any, AnyConnection, AssertSqlSafe};

use super::Dialect;
use crate::billing::BillingError;

/// The most rows in one statement to PostgreSQL.
const POSTGRES_ROWS: usize = 1_000;

/// The most rows in one statement to SQLite.
const SQLITE_ROWS: usize = 64;

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// BIGINT.
    Number,
    /// TEXT.
    Text,
}

/// One value of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// BIGINT.
    Number(i64),
    /// BIGINT, or NULL.
    Optional(Option<i64>),
    /// TEXT.
    Text(Cow<'a, str>),
}

impl From<i64> for Value<'_> {
    fn from(number: i64) -> Self {
        Self::Number(number)
    }
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(text.into())
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
    /// Its name.
    pub name: &'static str,
    /// Its columns, in the order of the values of a row.
    pub columns: &'static [(&'static str, Type)],
    /// What follows the rows of an insert: what to do on a conflict.
    pub on_conflict: &'static str,
}

impl Table {
    /// Inserts rows.
    pub async fn insert(&self, connection: &mut AnyConnection, dialect: Dialect, rows: &[Vec<Value<'_>>]) -> Result<(), BillingError> {
        let names: Vec<&str> = self.columns.iter().map(|(name, _)| *name).collect();
        for chunk in rows.chunks(rows_at_once(dialect)) {
            let sql =
                format!("INSERT INTO {} ({}) {} {}", self.name, names.join(", "), self.rows_sql(dialect, chunk.len()), self.on_conflict);
            self.bind(dialect, sqlx::query(AssertSqlSafe(sql)), chunk).execute(&mut *connection).await?;
        }
        Ok(())
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
            let rows = self.rows_sql(dialect, chunk.len());
            let sql = format!("SELECT {selected} FROM {} WHERE ({}) IN ({rows})", self.name, names.join(", "));
            found.extend(self.bind(dialect, sqlx::query(AssertSqlSafe(sql)), chunk).fetch_all(&mut *connection).await?);
        }
        Ok(found)
    }

    /// Rows of parameters.
    fn rows_sql(&self, dialect: Dialect, rows: usize) -> String {
        match dialect {
            Dialect::Postgres => {
                let arrays = (1..).zip(self.columns).map(|(number, (_, kind))| match kind {
                    Type::Number => format!("CAST(${number} AS BIGINT[])"),
                    Type::Text => format!("CAST(${number} AS TEXT[])"),
                });
                format!("SELECT * FROM unnest({})", arrays.collect::<Vec<_>>().join(", "))
            }
            // Without numbers: SQLite looks for the name of each numbered one among all others, whenever one is bound.
            Dialect::Sqlite => {
                let row = format!("({})", vec!["?"; self.columns.len()].join(", "));
                format!("VALUES {}", vec![row; rows].join(", "))
            }
        }
    }

    fn bind<'q>(
        &self,
        dialect: Dialect,
        mut query: Query<'q, Any, sqlx::any::AnyArguments>,
        rows: &[Vec<Value<'_>>],
    ) -> Query<'q, Any, sqlx::any::AnyArguments> {
        match dialect {
            Dialect::Postgres => {
                for place in 0..self.columns.len() {
                    query = query.bind(array(rows.iter().filter_map(|row| row.get(place))));
                }
            }
            Dialect::Sqlite => {
                for value in rows.iter().flatten() {
                    query = match value {
                        Value::Number(number) => query.bind(*number),
                        Value::Optional(number) => query.bind(*number),
                        Value::Text(text) => query.bind(text.as_ref().to_owned()),
                    };
                }
            }
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
    fn texts_of_an_array_are_quoted() {
        let values = [Value::from("plain"), Value::from(""), Value::from("a\"b\\c,{}"), Value::from("NULL")];
        assert_eq!(array(values.iter()), r#"{"plain","","a\"b\\c,{}","NULL"}"#);
        assert_eq!(array([Value::Number(-1), Value::Optional(None), Value::Optional(Some(7))].iter()), "{-1,NULL,7}");
    }
}
