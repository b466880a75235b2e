//! Issued documents by what people know of them: a part of the number, or of the customer's name as it is printed.
//!
//! A document is found by columns of its own row, written when it is issued. Lists of documents ([`super::super::bills`]) join them: this
//! says under which condition a document is found, and along what.

use sqlx::{AnyConnection, Row};

use super::fold::fold;
use super::index::has_index;
use super::{INDEXED_CHARACTERS, SORTED, like, range};
use crate::BillingError;
use crate::document::Party;
use crate::store::rows::{Table, Type};
use crate::store::{Dialect, Store};

/// The most words of a text.
const MOST_WORDS: usize = 10;

/// How many documents are taken in at once.
const DOCUMENTS_AT_ONCE: i64 = 2_000;

/// The rows of SQLite's index that match.
const MATCHING: &str = "(SELECT rowid AS number FROM issued_parts WHERE issued_parts MATCH $1) AS matching";

const FOLDED: Table =
    Table { name: "issued", columns: &[("document", Type::Number), ("folded_name", Type::Text), ("folded", Type::Text)], on_conflict: "" };

/// What a document is found by: the name; the number and the name.
#[must_use]
pub fn folded(number: &str, name: &str) -> [String; 2] {
    let name = fold(name);
    let all = format!("{}\n{name}", fold(number));
    [name, all]
}

/// Takes in what was issued by an earlier version, some at a time, so that it can be interrupted.
pub async fn fill(store: &Store) -> Result<(), BillingError> {
    let mut count = 0;
    while !is_filled(&mut *store.pool().acquire().await?).await? {
        let mut transaction = store.begin().await?;
        let connection = &mut *transaction;
        store.lock_migrations(connection).await?;
        let sql = "SELECT document, number, customer FROM issued WHERE folded = '' ORDER BY document LIMIT $1";
        let rows = sqlx::query(sql).bind(DOCUMENTS_AT_ONCE).fetch_all(&mut *connection).await?;
        let mut changed = Vec::with_capacity(rows.len());
        for row in &rows {
            let (number, customer): (String, String) = (row.try_get("number")?, row.try_get("customer")?);
            // Whom it was for may have been erased.
            let name = serde_json::from_str::<Party>(&customer).map(|customer| customer.name).unwrap_or_default();
            let [name, all] = folded(&number, &name);
            changed.push(vec![row.try_get::<i64, _>("document")?.into(), name.into(), all.into()]);
        }
        FOLDED.update(connection, store.dialect(), changed.into_iter()).await?;
        transaction.commit().await?;
        count += rows.len();
    }
    if count > 0 {
        tracing::info!(count, "documents from before can be searched");
    }
    Ok(())
}

async fn is_filled(connection: &mut AnyConnection) -> Result<bool, BillingError> {
    let sql = "SELECT document FROM issued WHERE folded = '' LIMIT 1";
    Ok(sqlx::query(sql).fetch_optional(connection).await?.is_none())
}

/// How documents are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum QueryPlan {
    /// PostgreSQL decides along what.
    Parts,
    /// For SQLite: few are found by the index.
    Few,
    /// For SQLite: many would be found; it looks at each on the way.
    Many,
    /// There is no index for parts.
    Beginning,
}

/// The text that documents are searched for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DocumentQuery {
    long: Vec<String>,
    short: Vec<String>,
    whole: String,
    way: QueryPlan,
}

impl DocumentQuery {
    /// Reads a text, and looks how the store can find it. `is_leading`: the list may be read along what is found.
    pub async fn new(connection: &mut AnyConnection, dialect: Dialect, text: &str, is_leading: bool) -> Result<Self, BillingError> {
        let whole = fold(text);
        let words = whole.split(' ').filter(|word| !word.is_empty()).map(str::to_owned);
        let (long, short): (Vec<_>, Vec<_>) = words.partition(|word| word.chars().count() >= INDEXED_CHARACTERS);
        if long.is_empty() || long.len() + short.len() > MOST_WORDS {
            let problem = format!("must be at most {MOST_WORDS} words, one of them of at least {INDEXED_CHARACTERS} characters");
            return Err(BillingError::Invalid { field: "text", problem });
        }
        if !is_filled(connection).await? {
            return Err(BillingError::unavailable("documents from before there was search are still being taken in"));
        }
        let mut wanted = Self { long, short, whole, way: QueryPlan::Beginning };
        if has_index(connection, dialect, "issued_parts").await? {
            wanted.way = match dialect {
                Dialect::Postgres => QueryPlan::Parts,
                Dialect::Sqlite if is_leading && !wanted.is_common(connection).await? => QueryPlan::Few,
                Dialect::Sqlite => QueryPlan::Many,
            };
        }
        Ok(wanted)
    }

    /// For SQLite: whether sorting all that is found takes longer than going through documents in order.
    async fn is_common(&self, connection: &mut AnyConnection) -> Result<bool, BillingError> {
        let sql = format!("SELECT COUNT(*) FROM (SELECT 1 FROM {MATCHING} LIMIT {SORTED})");
        let row = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(self.phrases()).fetch_one(connection).await?;
        Ok(row.try_get::<i64, _>(0)? == SORTED)
    }

    fn phrases(&self) -> String {
        let phrases: Vec<_> = self.long.iter().map(|word| format!("\"{}\"", word.replace('"', "\"\""))).collect();
        phrases.join(" ")
    }

    /// What [`MATCHING`] is given, if the list is read along that.
    #[must_use]
    pub fn leading(&self) -> Option<String> {
        (self.way == QueryPlan::Few).then(|| self.phrases())
    }

    /// Whether documents lead, and what they are found by is looked at on the way: the planner of SQLite would sort all.
    #[must_use]
    pub fn is_walking(&self) -> bool {
        self.way == QueryPlan::Many
    }

    /// Whether only beginnings are compared.
    #[must_use]
    pub fn is_of_beginnings(&self) -> bool {
        self.way == QueryPlan::Beginning
    }

    /// The conditions; `place` keeps a value, and returns how it is named.
    pub fn conditions(&self, mut place: impl FnMut(String) -> String) -> Vec<String> {
        let words = self.long.iter().chain(&self.short);
        match self.way {
            QueryPlan::Parts => words.map(|word| format!("issued.folded LIKE {}", place(like(word)))).collect(),
            QueryPlan::Few => self.short.iter().map(|word| format!("instr(issued.folded, {}) > 0", place(word.clone()))).collect(),
            QueryPlan::Many => words.map(|word| format!("instr(issued.folded, {}) > 0", place(word.clone()))).collect(),
            QueryPlan::Beginning => {
                let [from, to] = range(&self.whole).map(&mut place);
                let begins = |column: &str| format!("({column} >= {from} AND {column} < {to})");
                vec![format!("({} OR {})", begins("issued.folded"), begins("issued.folded_name"))]
            }
        }
    }
}
