//! Lists of acts that were asked for.

use sqlx::{AssertSqlSafe, Row};

use super::{Approval, COLUMNS, read};
use crate::scope::Scope;
use crate::store::Columns;
use crate::{Billing, BillingError};
use domain::ids::AccountId;
use domain::time::UnixMillis;

/// Which acts to list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ApprovalFilter {
    /// Only those that wait.
    pub is_waiting: bool,
    /// On this account; `None` for all.
    pub account: Option<AccountId>,
    /// Only accounts in this scope; `None` for all.
    pub scope: Option<Scope>,
}

impl ApprovalFilter {
    /// The condition in SQL, with its values. An act whose time is over waits no longer, whether that is noted yet or not.
    fn condition(&self, now: UnixMillis) -> (String, Vec<String>) {
        let (mut conditions, mut values) = (Vec::new(), Vec::new());
        let mut place = |value: String| {
            values.push(value);
            format!("${}", values.len())
        };
        if self.is_waiting {
            conditions.push(format!("state = 'waiting' AND ends_at > {}", now.get()));
        }
        if let Some(account) = &self.account {
            conditions.push(format!("account = {}", place(account.to_string())));
        }
        if let Some(scope) = &self.scope {
            conditions.push(scope.condition("account", place));
        }
        if conditions.is_empty() { ("1 = 1".to_owned(), values) } else { (conditions.join(" AND "), values) }
    }
}

impl Billing {
    /// Acts that were asked for, newest first, before a number.
    pub async fn approvals(
        &self,
        filter: &ApprovalFilter,
        before: Option<i64>,
        count: usize,
        now: UnixMillis,
    ) -> Result<Vec<Approval>, BillingError> {
        let (condition, values) = filter.condition(now);
        let (before, count) = (before.unwrap_or(i64::MAX), i64::try_from(count).unwrap_or(i64::MAX));
        let sql = format!("SELECT {COLUMNS} FROM approvals WHERE {condition} AND id < {before} ORDER BY id DESC LIMIT {count}");
        let query = values.into_iter().fold(sqlx::query(AssertSqlSafe(sql)), sqlx::query::Query::bind);
        query.fetch_all(self.store().pool()).await?.iter().map(read).collect()
    }

    /// How many acts wait on all accounts, and since when the oldest does.
    pub async fn approvals_waiting_since(&self, now: UnixMillis) -> Result<(i64, Option<UnixMillis>), BillingError> {
        let sql = "SELECT CAST(COUNT(*) AS BIGINT), CAST(COALESCE(MIN(asked_at), 0) AS BIGINT) FROM approvals \
                   WHERE state = 'waiting' AND ends_at > $1";
        let row = sqlx::query(sql).bind(now.get()).fetch_one(self.store().pool()).await?;
        Ok((row.try_get(0)?, row.instant(1)?.known()))
    }

    /// How many acts wait.
    pub async fn waiting_approvals(&self, filter: &ApprovalFilter, now: UnixMillis) -> Result<i64, BillingError> {
        let (condition, values) = ApprovalFilter { is_waiting: true, ..filter.clone() }.condition(now);
        let sql = format!("SELECT CAST(COUNT(*) AS BIGINT) FROM approvals WHERE {condition}");
        let query = values.into_iter().fold(sqlx::query(AssertSqlSafe(sql)), sqlx::query::Query::bind);
        Ok(query.fetch_one(self.store().pool()).await?.try_get(0)?)
    }
}
