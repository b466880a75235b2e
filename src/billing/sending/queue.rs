//! The queue of mail: claimed under a fence, and the outcome of each.
//!
//! The order is what makes it at most once: claimed; [`Billing::begin_data`] before the server can have taken it; then [`Billing::end_mail`].
//! A claim that nobody keeps up is over with its lease: if the server can't have taken the mail it waits again, else it is unknown.

use sqlx::{AnyConnection, AssertSqlSafe, Row};

use super::settings::SendingSettings;
use super::{Mail, MailKind, MailState, low_credit, mail_queries, outbox, settings, shortened};
use crate::issuer::MAIN;
use crate::store::Columns;
use crate::{Billing, BillingError};
use domain::time::{Millis, UnixMillis};

/// The outcome of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AttemptOutcome {
    /// The server has taken it.
    Sent,
    /// It has not: it is tried again after this many milliseconds.
    Later(Millis),
    /// It never will.
    Failed,
    /// Unknown whether the server took it.
    Unknown,
}

/// Counts of waiting and failed mails.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueueCounts {
    /// How many mails are in each state of which there may be something to do, and when the oldest was to be sent first.
    pub states: Vec<(MailState, i64, UnixMillis)>,
}

impl QueueCounts {
    /// How many are in a state.
    #[must_use]
    pub fn count(&self, state: MailState) -> i64 {
        self.states.iter().find(|(of, ..)| *of == state).map_or(0, |(_, count, _)| *count)
    }

    /// How many wait for their first attempt, if the oldest of them was to be sent so long ago; otherwise 0.
    #[must_use]
    pub fn late(&self, since: UnixMillis) -> i64 {
        let waiting = self.states.iter().find(|(state, ..)| *state == MailState::Waiting);
        waiting.filter(|(.., oldest)| *oldest < since).map_or(0, |(_, count, _)| *count)
    }

    /// When the oldest that is to be sent was to be sent first; 0 if there is none.
    #[must_use]
    pub fn oldest(&self) -> UnixMillis {
        let of = [MailState::Waiting, MailState::Sending, MailState::Deferred];
        self.states.iter().filter(|(state, ..)| of.contains(state)).map(|(.., oldest)| *oldest).min().unwrap_or_default()
    }
}

impl Billing {
    /// The mails whose turn it is, the first in front: their ids and recipients.
    pub async fn due_mails(&self, count: i64) -> Result<Vec<(String, String)>, BillingError> {
        let sql = format!(
            "SELECT id, recipient FROM mails WHERE state IN ('waiting', 'deferred') AND next_at <= {} ORDER BY next_at, id LIMIT $1",
            self.store().now_sql()
        );
        let rows = sqlx::query(AssertSqlSafe(sql)).bind(count).fetch_all(self.store().pool()).await?;
        rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
    }

    /// Claims a mail for so long. `None` if others were faster, it is not to be sent any more, or nothing is.
    pub async fn claim_mail(&self, id: &str, lease: Millis, now: UnixMillis) -> Result<Option<Mail>, BillingError> {
        let mut transaction = self.store().begin().await?;
        let connection = &mut *transaction;
        let database_now = self.store().now_sql();
        let claim = format!(
            "UPDATE mails SET state = 'sending', phase = 0, fence = fence + 1, attempts = attempts + 1, lease_until = {database_now} + $1, \
             changed_at = $2 WHERE id = $3 AND state IN ('waiting', 'deferred') AND next_at <= {database_now} \
             AND EXISTS (SELECT 1 FROM sending WHERE issuer = $4 AND is_enabled = 1) \
             AND NOT EXISTS (SELECT 1 FROM sending_place WHERE issuer = $4 AND held_since > 0)"
        );
        let query = sqlx::query(AssertSqlSafe(claim)).bind(lease).bind(now.get()).bind(id.to_owned()).bind(MAIN);
        if query.execute(&mut *connection).await?.rows_affected() == 0 {
            return Ok(None);
        }
        let Some(mail) = mail_queries::find(connection, id).await? else { return Ok(None) };
        // Looked at here, where it is claimed: what was paid by now is not reminded of.
        let obstacle = obstacle(connection, &mail, now).await?;
        if let Some(why) = obstacle {
            let sql = "UPDATE mails SET state = 'off', detail = $1 WHERE id = $2";
            sqlx::query(sql).bind(why).bind(id.to_owned()).execute(&mut *connection).await?;
        }
        transaction.commit().await?;
        Ok(obstacle.is_none().then_some(mail))
    }

    /// Renews a claim. Returns whether it still holds.
    pub async fn prolong_mail(&self, mail: &Mail, lease: Millis) -> Result<bool, BillingError> {
        self.keep(mail, "phase", lease).await
    }

    /// Says that the server may take the mail from now on. Returns whether the claim still holds; if not, it must not be given to the server.
    pub async fn begin_data(&self, mail: &Mail, lease: Millis) -> Result<bool, BillingError> {
        self.keep(mail, "1", lease).await
    }

    async fn keep(&self, mail: &Mail, phase: &'static str, lease: Millis) -> Result<bool, BillingError> {
        let now = self.store().now_sql();
        // A claim whose lease is over may be found to be so at any moment.
        let sql = format!(
            "UPDATE mails SET phase = {phase}, lease_until = {now} + $1 WHERE id = $2 AND fence = $3 AND state = 'sending' \
             AND lease_until >= {now}"
        );
        let query = sqlx::query(AssertSqlSafe(sql)).bind(lease).bind(mail.id.clone()).bind(mail.fence);
        Ok(query.execute(self.store().pool()).await?.rows_affected() == 1)
    }

    /// Writes down what came of a claimed mail. That the server took it is written even where it was thought to be unknown meanwhile.
    pub async fn end_mail(&self, mail: &Mail, tried: &AttemptOutcome, detail: &str, now: UnixMillis) -> Result<(), BillingError> {
        let SendingSettings { resend_unknown, .. } = self.sending().await?;
        let (state, wait) = match tried {
            AttemptOutcome::Sent => (MailState::Sent, 0),
            AttemptOutcome::Later(wait) => (MailState::Deferred, *wait),
            AttemptOutcome::Failed => (MailState::Failed, 0),
            AttemptOutcome::Unknown if resend_unknown => (MailState::Deferred, 60_000),
            AttemptOutcome::Unknown => (MailState::Unknown, 0),
        };
        let from = if state == MailState::Sent { "state IN ('sending', 'unknown', 'deferred')" } else { "state = 'sending'" };
        let sql = format!(
            "UPDATE mails SET state = $1, next_at = {} + $2, changed_at = $3, sent_at = $4, detail = $5, lease_until = 0 \
             WHERE id = $6 AND fence = $7 AND {from}",
            self.store().now_sql()
        );
        let sent_at = if state == MailState::Sent { now } else { UnixMillis::NONE };
        let query =
            sqlx::query(AssertSqlSafe(sql)).bind(state.name()).bind(wait).bind(now.get()).bind(sent_at.get()).bind(shortened(detail));
        query.bind(mail.id.clone()).bind(mail.fence).execute(self.store().pool()).await?;
        Ok(())
    }

    /// Takes mails from processes whose lease is over. Returns how many are unknown by that.
    pub async fn free_mails(&self, now: UnixMillis) -> Result<u64, BillingError> {
        let SendingSettings { resend_unknown, .. } = self.sending().await?;
        let database_now = self.store().now_sql();
        let over = format!("state = 'sending' AND lease_until < {database_now}");
        let again = if resend_unknown { "1 = 1" } else { "phase = 0" };
        let sql = format!(
            "UPDATE mails SET state = 'deferred', next_at = {database_now}, changed_at = $1, \
             detail = 'the process that was sending it is gone' WHERE {over} AND {again}"
        );
        sqlx::query(AssertSqlSafe(sql)).bind(now.get()).execute(self.store().pool()).await?;
        let sql = format!(
            "UPDATE mails SET state = 'unknown', changed_at = $1, \
             detail = 'the process that was sending it is gone, and the server may have taken it' WHERE {over} AND phase = 1"
        );
        Ok(sqlx::query(AssertSqlSafe(sql)).bind(now.get()).execute(self.store().pool()).await?.rows_affected())
    }

    /// Puts reminders into the outbox whose day has come. Returns how many.
    pub async fn put_reminders(&self, now: UnixMillis) -> Result<u64, BillingError> {
        if self.sending().await?.reminders.is_empty() {
            return Ok(0);
        }
        let mut transaction = self.store().begin().await?;
        let count = outbox::put_reminders(&mut transaction, self.store(), now).await?;
        transaction.commit().await?;
        Ok(count)
    }

    /// Counts of waiting and failed mails.
    pub async fn mail_tally(&self) -> Result<QueueCounts, BillingError> {
        let sql = "SELECT state, CAST(COUNT(*) AS BIGINT) AS count, CAST(MIN(created_at) AS BIGINT) AS oldest FROM mails \
                   WHERE state IN ('waiting', 'sending', 'deferred', 'failed', 'bounced', 'unknown') GROUP BY state";
        let rows = sqlx::query(sql).fetch_all(self.store().pool()).await?;
        let read = |row: &sqlx::any::AnyRow| {
            Ok((MailState::read(&row.try_get::<String, _>("state")?)?, row.try_get("count")?, row.instant("oldest")?))
        };
        Ok(QueueCounts { states: rows.iter().map(read).collect::<Result<_, BillingError>>()? })
    }
}

/// Why a mail is not to be sent any more; `None` if it is.
async fn obstacle(connection: &mut AnyConnection, mail: &Mail, now: UnixMillis) -> Result<Option<&'static str>, BillingError> {
    let switch = match mail.kind {
        // An operator asked for it.
        MailKind::Document if !mail.occasion.is_empty() => return Ok(None),
        MailKind::Document => {
            let sql = "SELECT kind FROM documents WHERE id = $1";
            let row = sqlx::query(sql).bind(mail.document).fetch_one(&mut *connection).await?;
            row.try_get::<String, _>(0)?
        }
        MailKind::Receipt => "receipt".to_owned(),
        MailKind::LowCredit => {
            if let Some(why) = low_credit::obstacle(connection, &mail.account, now).await? {
                return Ok(Some(why));
            }
            low_credit::SWITCH.to_owned()
        }
        MailKind::Reminder => {
            let sql = "SELECT open_amount FROM payables WHERE document = $1";
            let row = sqlx::query(sql).bind(mail.document).fetch_optional(&mut *connection).await?;
            let open = row.map_or(Ok(0), |row| row.try_get::<i64, _>(0))?;
            if open <= 0 {
                return Ok(Some("it was paid before the reminder went out"));
            }
            "reminder".to_owned()
        }
    };
    if mail.kind == MailKind::Receipt && !settings::settings(&mut *connection).await?.receipts {
        return Ok(Some("receipts were switched off before it went out"));
    }
    let (sending, _) = outbox::whom(connection, &mail.account).await?;
    Ok(sending.is_off(&switch).then_some("it was switched off for the account before it went out"))
}
