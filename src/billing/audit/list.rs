//! Lists of audit records: newest first, along an index of what is asked for.

use sqlx::AssertSqlSafe;

use super::{AuditRecord, COLUMNS, Outcome, Stored};
use crate::scope::Scope;
use crate::{Billing, BillingError};
use domain::ids::AccountId;
use domain::time::UnixMillis;

/// Which records to list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// Of this account; `None` for all.
    pub account: Option<AccountId>,
    /// By this caller; `None` for all.
    pub actor: Option<String>,
    /// Of this action; `None` for all.
    pub action: Option<String>,
    /// With this outcome; `None` for any.
    pub outcome: Option<Outcome>,
    /// At or after this.
    pub from: Option<UnixMillis>,
    /// Before this.
    pub to: Option<UnixMillis>,
    /// Only accounts in this scope; `None` for all, and what is about no account.
    pub scope: Option<Scope>,
}

/// Where a list goes on: the time, the chain and the place of its last record.
pub type AuditCursor = (UnixMillis, i64, i64);

/// A value of a statement.
enum Value {
    Number(i64),
    Text(String),
}

impl Billing {
    /// Audit records, newest first, behind a place.
    pub async fn audit_records(
        &self,
        filter: &AuditFilter,
        after: Option<AuditCursor>,
        count: usize,
    ) -> Result<Vec<AuditRecord>, BillingError> {
        let (mut conditions, mut values) = (Vec::new(), Vec::new());
        let mut place = |value: Value| {
            values.push(value);
            format!("${}", values.len())
        };
        for (column, text) in
            [("account", filter.account.as_deref()), ("actor", filter.actor.as_deref()), ("action", filter.action.as_deref())]
        {
            if let Some(text) = text {
                conditions.push(format!("{column} = {}", place(Value::Text(text.to_owned()))));
            }
        }
        if let Some(outcome) = filter.outcome {
            conditions.push(format!("outcome = '{}'", outcome.name()));
            if outcome != Outcome::Done {
                // The index's own condition: SQLite uses it only if that is repeated.
                conditions.push("outcome <> 'DONE'".to_owned());
            }
        }
        if let Some(from) = filter.from {
            conditions.push(format!("at >= {}", place(Value::Number(from.get()))));
        }
        if let Some(to) = filter.to {
            conditions.push(format!("at < {}", place(Value::Number(to.get()))));
        }
        if let Some(scope) = &filter.scope {
            conditions.push(scope.condition("account", |account| place(Value::Text(account))));
        }
        if let Some((at, chain, number)) = after {
            let places = [at.get(), chain, number].map(|number| place(Value::Number(number)));
            conditions.push(format!("(at, chain, place) < ({})", places.join(", ")));
        }
        let limit = place(Value::Number(i64::try_from(count).unwrap_or(i64::MAX)));
        let condition = if conditions.is_empty() { "1 = 1".to_owned() } else { conditions.join(" AND ") };
        let sql = format!("SELECT {COLUMNS} FROM audit WHERE {condition} ORDER BY at DESC, chain DESC, place DESC LIMIT {limit}");
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for value in values {
            query = match value {
                Value::Number(number) => query.bind(number),
                Value::Text(text) => query.bind(text),
            };
        }
        let rows = query.fetch_all(self.store().pool()).await?;
        rows.iter().map(|row| Stored::from_row(row)?.into_record()).collect()
    }
}
