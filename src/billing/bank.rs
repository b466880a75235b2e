//! Which lines of bank statements are booked: each is claimed for an account before its payment is recorded, so that no other account
//! gets it, and a repetition goes to the same one under the same request id.

use std::collections::HashMap;

use sqlx::Row;

use super::store::rows::{Table, Type};
use super::{Billing, BillingError};
use domain::account::Millis;

/// A line that is booked, or about to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BookedLine {
    /// On which account.
    pub account: String,
    /// When that began.
    pub at: Millis,
}

/// What a claim comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    /// Nobody had claimed it.
    New,
    /// It was claimed before.
    Known(BookedLine),
}

const LINES: Table = Table { name: "bank_lines", columns: &[("digest", Type::Text)], on_conflict: "" };

impl Billing {
    /// Which of these lines are claimed.
    pub async fn booked_lines(&self, digests: &[&str]) -> Result<HashMap<String, BookedLine>, BillingError> {
        let keys: Vec<_> = digests.iter().map(|digest| vec![(*digest).into()]).collect();
        let mut connection = self.store().pool().acquire().await?;
        let rows = LINES.find(&mut connection, self.store().dialect(), "digest, account, begun_at", &keys).await?;
        let read = |row: &sqlx::any::AnyRow| {
            let line = BookedLine { account: row.try_get("account")?, at: row.try_get("begun_at")? };
            Ok((row.try_get("digest")?, line))
        };
        rows.iter().map(read).collect()
    }

    /// Claims a line for an account.
    pub async fn claim_line(&self, digest: &str, line: &BookedLine, actor: &str) -> Result<Claim, BillingError> {
        let mut transaction = self.store().begin().await?;
        let connection = &mut *transaction;
        let sql = "INSERT INTO bank_lines (digest, account, begun_at, actor, attempts) VALUES ($1, $2, $3, $4, 1) \
                   ON CONFLICT (digest) DO NOTHING";
        let query = sqlx::query(sql).bind(digest.to_owned()).bind(line.account.clone()).bind(line.at).bind(actor.to_owned());
        let is_new = query.execute(&mut *connection).await?.rows_affected() > 0;
        let claim = if is_new {
            Claim::New
        } else {
            // That it is tried again is known before it is, so that the first try does not free it meanwhile.
            let sql = "UPDATE bank_lines SET attempts = attempts + 1 WHERE digest = $1 RETURNING account, begun_at";
            let row = sqlx::query(sql).bind(digest.to_owned()).fetch_one(&mut *connection).await?;
            Claim::Known(BookedLine { account: row.try_get("account")?, at: row.try_get("begun_at")? })
        };
        transaction.commit().await?;
        Ok(claim)
    }

    /// Frees a line whose only try was refused.
    pub async fn free_line(&self, digest: &str) -> Result<(), BillingError> {
        let sql = "DELETE FROM bank_lines WHERE digest = $1 AND attempts = 1";
        sqlx::query(sql).bind(digest.to_owned()).execute(self.store().pool()).await?;
        Ok(())
    }
}
