//! Operators' notes on an account. They stand on no document, and are erased with the customer.

use sqlx::Row;
use sqlx::any::AnyRow;

use super::audit::{self, Act};
use super::change::{Applied, Change};
use super::digest::Fields;
use super::{Billing, BillingError, account_lock};
use crate::store::Columns;
use domain::ids::AccountId;
use domain::time::UnixMillis;

/// The most notes that an account has at once.
const MOST: i64 = 1_000;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// The id of the request that added it.
    pub id: String,
    /// When that was.
    pub added_at: UnixMillis,
    /// Who added it.
    pub actor: String,
    /// For whom; empty if for nobody else.
    pub on_behalf_of: String,
    /// What it says.
    pub text: String,
}

/// Where a list of notes goes on: behind this one.
pub type NoteCursor = (UnixMillis, String);

impl Billing {
    /// Notes something on an account, once for each request.
    pub async fn add_note(&self, account: &AccountId, text: &str, change: &Change) -> Result<Applied, BillingError> {
        let mut transaction = self.store().begin().await?;
        let connection = &mut *transaction;
        account_lock::lock(connection, self.store().dialect(), account).await?;
        // A note is personal data, so its request is identified by a digest.
        let asked = Fields::of("note").text(&change.request_id).text(text).hex();
        if Self::note(connection, &format!("notes of {account}"), &change.asked(&["note", &asked]), change).await? == Applied::Before {
            return Ok(Applied::Before);
        }
        let count = sqlx::query("SELECT CAST(COUNT(*) AS BIGINT) FROM account_notes WHERE account = $1").bind(account.to_string());
        if count.fetch_one(&mut *connection).await?.try_get::<i64, _>(0)? >= MOST {
            let problem = format!("cannot be added: the account has {MOST} notes. Remove some first");
            return Err(BillingError::Invalid { field: "text", problem });
        }
        let sql = "INSERT INTO account_notes (account, note, added_at, actor, on_behalf_of, text) VALUES ($1, $2, $3, $4, $5, $6)";
        let query = sqlx::query(sql).bind(account.to_string()).bind(change.request_id.to_string()).bind(change.at.get());
        let query = query.bind(change.actor.clone()).bind(change.on_behalf_of.clone()).bind(text.to_owned());
        query.execute(&mut *connection).await?;
        let act = Act::of("note.added", change).on(account).with_personal("text", text);
        audit::write(connection, self.store().dialect(), audit::SERVICE, &[act]).await?;
        transaction.commit().await?;
        Ok(Applied::Now)
    }

    /// Removes a note, once for each request.
    pub async fn remove_note(&self, account: &AccountId, id: &str, change: &Change) -> Result<Applied, BillingError> {
        let mut transaction = self.store().begin().await?;
        let connection = &mut *transaction;
        if Self::note(connection, &format!("notes of {account}"), &change.asked(&["no note", id]), change).await? == Applied::Before {
            return Ok(Applied::Before);
        }
        let sql = "SELECT text FROM account_notes WHERE account = $1 AND note = $2";
        let found = sqlx::query(sql).bind(account.to_string()).bind(id.to_owned()).fetch_optional(&mut *connection).await?;
        let text: String = found.ok_or(BillingError::NotFound("note"))?.try_get("text")?;
        let sql = "DELETE FROM account_notes WHERE account = $1 AND note = $2";
        sqlx::query(sql).bind(account.to_string()).bind(id.to_owned()).execute(&mut *connection).await?;
        let act = Act::of("note.removed", change).on(account).with("note", id).with_personal("before", text);
        audit::write(connection, self.store().dialect(), audit::SERVICE, &[act]).await?;
        transaction.commit().await?;
        Ok(Applied::Now)
    }

    /// Notes on an account, newest first, behind a place.
    pub async fn notes(&self, account: &AccountId, after: Option<&NoteCursor>, count: usize) -> Result<Vec<Note>, BillingError> {
        let sql = "SELECT note, added_at, actor, on_behalf_of, text FROM account_notes \
                   WHERE account = $1 AND (added_at, note) < ($2, $3) ORDER BY added_at DESC, note DESC LIMIT $4";
        let (at, id) = after.cloned().unwrap_or((UnixMillis::MAX, String::new()));
        let query = sqlx::query(sql).bind(account.to_string()).bind(at.get()).bind(id).bind(i64::try_from(count).unwrap_or(i64::MAX));
        let read = |row: &AnyRow| {
            Ok(Note {
                id: row.try_get("note")?,
                added_at: row.instant("added_at")?,
                actor: row.try_get("actor")?,
                on_behalf_of: row.try_get("on_behalf_of")?,
                text: row.try_get("text")?,
            })
        };
        query.fetch_all(self.store().pool()).await?.iter().map(read).collect()
    }
}
