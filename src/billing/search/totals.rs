//! Documents by what they come to, in whatever currency.
//!
//! A total is kept in units of its account, and accounts differ in their decimals: documents are found by each number of units that the amount
//! can be, and then held against the decimals of their account.

use sqlx::{AnyConnection, AssertSqlSafe, Row};

use super::SORTED;
use crate::BillingError;
use crate::store::Dialect;
use domain::money::{DecimalAmount, MAX_DECIMALS};

/// How documents of the total are met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum QueryPlan {
    /// PostgreSQL decides along what.
    Planned,
    /// For SQLite: they are few, and read from the index.
    Few,
    /// For SQLite: they are many, and soon met on the way.
    Many,
}

/// The total that documents are searched for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TotalQuery {
    /// Decimals, and the units that the total is where an account has these.
    units: Vec<(u8, i64)>,
    plan: QueryPlan,
}

impl TotalQuery {
    /// Looks how the store can find documents of a total.
    pub async fn new(connection: &mut AnyConnection, dialect: Dialect, total: DecimalAmount) -> Result<Self, BillingError> {
        let units = (0..=MAX_DECIMALS).filter_map(|decimals| Some((decimals, total.to_units(decimals).ok()?.get())));
        let mut query = Self { units: units.collect(), plan: QueryPlan::Planned };
        if dialect == Dialect::Sqlite {
            query.plan = if query.is_common(connection).await? { QueryPlan::Many } else { QueryPlan::Few };
        }
        Ok(query)
    }

    /// For SQLite: whether sorting all that is found takes longer than going through documents in order.
    async fn is_common(&self, connection: &mut AnyConnection) -> Result<bool, BillingError> {
        let sql = format!("SELECT COUNT(*) FROM (SELECT 1 FROM documents WHERE total IN ({}) LIMIT {SORTED})", self.all_units());
        Ok(sqlx::query(AssertSqlSafe(sql)).persistent(false).fetch_one(connection).await?.try_get::<i64, _>(0)? == SORTED)
    }

    fn all_units(&self) -> String {
        self.units.iter().map(|(_, units)| units.to_string()).collect::<Vec<_>>().join(", ")
    }

    /// For SQLite: whether they are few, so that they are read and sorted.
    #[must_use]
    pub fn is_of_few(&self) -> bool {
        self.plan == QueryPlan::Few
    }

    /// The conditions.
    #[must_use]
    pub fn conditions(&self) -> Vec<String> {
        // The sign keeps SQLite from reading all of them from the index.
        let sign = if self.plan == QueryPlan::Many { "+" } else { "" };
        let cases: String = self.units.iter().map(|(decimals, units)| format!(" WHEN {decimals} THEN documents.total = {units}")).collect();
        vec![
            format!("{sign}documents.total IN ({})", self.all_units()),
            // Not a comparison with what is selected: PostgreSQL would take it for a condition that hardly any row meets, and plan by that.
            format!("(SELECT CASE decimals{cases} ELSE FALSE END FROM accounts WHERE accounts.account = documents.account)"),
        ]
    }
}
