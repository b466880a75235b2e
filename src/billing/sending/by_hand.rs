//! What operators do with mail: send a document, send it again, resolve mails with unknown delivery, hand a bounce in. Each is on record, once for its
//! request.

use crate::store::Columns;
use sqlx::{AnyConnection, AssertSqlSafe, Row};

use super::outbox::{MAILS, Subject, whom};
use super::settings::{self, LONGEST_TEXT, MOST_RECIPIENTS, is_address};
use super::{COLUMNS, Mail, MailKind, MailState, mail_queries, shortened};
use crate::audit::{self, Act};
use crate::change::Applied;
use crate::change::Change;
use crate::digest::Fields;
use crate::{Billing, BillingError};
use domain::ids::AccountId;
use domain::time::UnixMillis;

/// What an operator says of a mail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// The customer has it.
    Sent,
    /// It is to be sent, or tried, again.
    Again,
    /// It is not to be sent.
    Drop,
}

/// The outcome of a request about mail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MailOutcome {
    /// It was done: now, or before.
    Done(Applied, Vec<Mail>),
    /// Mail is switched off for the service.
    SwitchedOff,
    /// The document was sent, or is to be; it can be sent again.
    AlreadySent,
    /// Nobody is known to send it to.
    NoRecipient,
    /// Nothing is open of what somebody is to be reminded of.
    NothingOpen,
    /// The mail is in a state in which that makes no sense.
    Impossible(MailState),
    /// There is no such mail.
    NotFound,
}

impl Billing {
    /// Sends an issued document, or a reminder of it: to these addresses, or to those of its account. `again`: though it was sent before.
    pub async fn send_document(
        &self,
        number: &str,
        recipients: &[String],
        again: bool,
        kind: MailKind,
        change: &Change,
    ) -> Result<MailOutcome, BillingError> {
        let is_reminder = kind == MailKind::Reminder;
        let is_wrong = |address: &String| address.len() > LONGEST_TEXT || !is_address(address);
        if recipients.len() > MOST_RECIPIENTS || recipients.iter().any(is_wrong) {
            let problem = format!("must be at most {MOST_RECIPIENTS} addresses such as accounts@customer.example");
            return Err(BillingError::Invalid { field: "recipients", problem });
        }
        let mut transaction = self.store().begin().await?;
        let connection = &mut *transaction;
        let sql = "SELECT issued.document, issued.digest, documents.account FROM issued JOIN documents ON documents.id = issued.document \
                   WHERE issued.number = $1";
        let row = sqlx::query(sql).bind(number.to_owned()).fetch_optional(&mut *connection).await?;
        let row = row.ok_or(BillingError::NotFound("document"))?;
        let (document, digest, account): (i64, String, AccountId) = (row.try_get(0)?, row.try_get(1)?, row.account_id(2)?);
        // Addresses are personal: they are known by their digest.
        let to = recipients.iter().fold(Fields::of("recipients").text(&change.request_id), |fields, one| fields.text(one)).hex();
        let what = match (kind, again) {
            (MailKind::Reminder, _) => "remind",
            (_, true) => "resend",
            (_, false) => "send",
        };
        let asked = [what, number, &to];
        let occasion = change.request_id.clone();
        if Self::note(connection, &format!("mail of {number}"), &change.asked(&asked), change).await? == Applied::Before {
            let mails = of_occasion(connection, document, &occasion).await?;
            return Ok(MailOutcome::Done(Applied::Before, mails));
        }
        if !settings::settings(&mut *connection).await?.is_enabled {
            return Ok(MailOutcome::SwitchedOff);
        }
        let sql = "SELECT id FROM mails WHERE document = $1 AND kind = 'document' \
                   AND state IN ('waiting', 'sending', 'sent', 'deferred', 'unknown') LIMIT 1";
        if !again && !is_reminder && sqlx::query(sql).bind(document).fetch_optional(&mut *connection).await?.is_some() {
            return Ok(MailOutcome::AlreadySent);
        }
        let sql = "SELECT 1 FROM payables WHERE document = $1 AND open_amount > 0";
        if is_reminder && sqlx::query(sql).bind(document).fetch_optional(&mut *connection).await?.is_none() {
            return Ok(MailOutcome::NothingOpen);
        }
        let (sending, email) = whom(connection, &account).await?;
        let known = sending.recipients(&email);
        let to = if recipients.is_empty() { known } else { recipients.iter().map(String::as_str).collect() };
        if to.is_empty() {
            return Ok(MailOutcome::NoRecipient);
        }
        let subject = Subject { kind, document, credit: 0, digest: &digest, account: &account, occasion: &occasion };
        let rows = to.into_iter().map(|recipient| subject.row(recipient, MailState::Waiting, "", change.at));
        MAILS.insert(connection, self.store().dialect(), rows).await?;
        let mails = of_occasion(connection, document, &occasion).await?;
        let act = Act::of("invoice.sent_by_hand", change).on(&account).with("number", number).with("again", again && !is_reminder);
        let act = if is_reminder { act.with("kind", kind.name()) } else { act };
        let act = act.with("mails", mails.iter().map(|mail| mail.id.clone()).collect::<Vec<_>>());
        let act = act.with_personal("recipients", mails.iter().map(|mail| mail.recipient.clone()).collect::<Vec<_>>());
        audit::write(connection, self.store().dialect(), audit::SERVICE, &[act]).await?;
        transaction.commit().await?;
        Ok(MailOutcome::Done(Applied::Now, mails))
    }

    /// Decides what becomes of a mail.
    pub async fn decide_mail(&self, id: &str, decision: Decision, change: &Change) -> Result<MailOutcome, BillingError> {
        use MailState::{Deferred, Failed, Unknown, Waiting};

        let mut transaction = self.store().begin().await?;
        let connection = &mut *transaction;
        let asked = match decision {
            Decision::Sent => "sent",
            Decision::Again => "again",
            Decision::Drop => "drop",
        };
        let noted = Self::note(connection, &format!("mail {id}"), &change.asked(&["decide", asked]), change).await?;
        let Some(mail) = mail_queries::find(connection, id).await? else { return Ok(MailOutcome::NotFound) };
        if noted == Applied::Before {
            return Ok(MailOutcome::Done(Applied::Before, vec![mail]));
        }
        let (from, to): (&[MailState], _) = match decision {
            Decision::Sent => (&[Unknown], MailState::Sent),
            Decision::Again => (&[Unknown, Failed, Deferred], Waiting),
            Decision::Drop => (&[Unknown, Failed, Deferred, Waiting], MailState::Off),
        };
        if !from.contains(&mail.state) || (decision == Decision::Again && mail.recipient.is_empty()) {
            return Ok(MailOutcome::Impossible(mail.state));
        }
        let detail = shortened(&format!("decided by {}: {}", change.actor, change.reason));
        let sent_at = if to == MailState::Sent { change.at } else { UnixMillis::NONE };
        // The fence, so that a process that is late with what it knows does not change what was decided.
        let sql = "UPDATE mails SET state = $1, next_at = 0, phase = 0, fence = fence + 1, attempts = 0, changed_at = $2, sent_at = $3, \
                   detail = $4 WHERE id = $5 AND state = $6 AND fence = $7";
        let query = sqlx::query(sql).bind(to.name()).bind(change.at.get()).bind(sent_at.get()).bind(detail).bind(id.to_owned());
        let decided = query.bind(mail.state.name()).bind(mail.fence).execute(&mut *connection).await?.rows_affected();
        if decided == 0 {
            // Somebody else decided, or the server's word came, since it was looked at.
            let now = mail_queries::find(connection, id).await?;
            return Ok(now.map_or(MailOutcome::NotFound, |mail| MailOutcome::Impossible(mail.state)));
        }
        let act = Act::of("mail.decided", change).on(&mail.account).with("mail", id).with("decision", asked);
        let act = act.with("before", mail.state.name());
        audit::write(connection, self.store().dialect(), audit::SERVICE, &[act]).await?;
        let mail = mail_queries::find(connection, id).await?;
        transaction.commit().await?;
        Ok(MailOutcome::Done(Applied::Now, mail.into_iter().collect()))
    }

    /// Marks a mail that came back. Returns it as it is then; `None` if there is none of that id.
    pub async fn bounce_mail(&self, id: &str, why: &str, change: &Change) -> Result<Option<Mail>, BillingError> {
        let mut transaction = self.store().begin().await?;
        let connection = &mut *transaction;
        // It was taken, or nobody knew: now that is known. Of an account that was erased meanwhile, nothing is kept of what the server said.
        let sql = "UPDATE mails SET state = 'bounced', changed_at = $1, detail = CASE WHEN recipient = '' THEN '' ELSE $2 END, \
                   sent_at = CASE WHEN sent_at = 0 THEN $1 ELSE sent_at END WHERE id = $3 AND state IN ('sent', 'unknown', 'sending')";
        let query = sqlx::query(sql).bind(change.at.get()).bind(shortened(why)).bind(id.to_owned());
        let is_changed = query.execute(&mut *connection).await?.rows_affected() > 0;
        let mail = mail_queries::find(connection, id).await?;
        if let Some(mail) = mail.as_ref().filter(|_| is_changed) {
            let act = Act::of("mail.bounced", change).on(&mail.account).with("mail", id);
            let act = if mail.recipient.is_empty() { act } else { act.with_personal("why", shortened(why)) };
            audit::write(connection, self.store().dialect(), audit::SERVICE, &[act]).await?;
        }
        transaction.commit().await?;
        Ok(mail)
    }

    /// The last mail that was sent to an address; `None` if none was.
    pub async fn last_mail_to(&self, recipient: &str) -> Result<Option<Mail>, BillingError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM mails WHERE lower(recipient) = $1 AND state IN ('sent', 'unknown') ORDER BY sent_at DESC LIMIT 1"
        );
        let row = sqlx::query(AssertSqlSafe(sql)).bind(recipient.to_lowercase()).fetch_optional(self.store().pool()).await?;
        row.as_ref().map(Mail::read).transpose()
    }
}

async fn of_occasion(connection: &mut AnyConnection, document: i64, occasion: &str) -> Result<Vec<Mail>, BillingError> {
    let sql = format!("SELECT {COLUMNS} FROM mails WHERE document = $1 AND document <> 0 AND occasion = $2 ORDER BY id");
    let rows = sqlx::query(AssertSqlSafe(sql)).bind(document).bind(occasion.to_owned()).fetch_all(connection).await?;
    rows.iter().map(Mail::read).collect()
}
