//! Fills the outbox, within the transaction that issues a document or takes a payment in: what is issued is sent, whichever process dies,
//! and what is not issued is not.
//!
//! While sending is switched off for the whole service there are no rows: nothing that was issued then is sent later.

use sqlx::{AnyConnection, Row};

use super::settings::{self, AccountSending, SendingSettings, of_accounts};
use super::{MailKind, MailState};
use crate::BillingError;
use crate::document::DocumentKind;
use crate::store::rows::{Table, Type, Value};
use crate::store::{Columns, Dialect, Store};
use domain::ids::AccountId;
use domain::time::{Millis, UnixMillis};

/// That a mail is there already is no error: it is the same one.
pub(super) const MAILS: Table = Table {
    name: "mails",
    columns: &[
        ("id", Type::Text),
        ("kind", Type::Text),
        ("document", Type::Number),
        ("credit", Type::Number),
        ("account", Type::Text),
        ("recipient", Type::Text),
        ("occasion", Type::Text),
        ("state", Type::Text),
        ("phase", Type::Number),
        ("fence", Type::Number),
        ("lease_until", Type::Number),
        ("attempts", Type::Number),
        ("next_at", Type::Number),
        ("created_at", Type::Number),
        ("changed_at", Type::Number),
        ("sent_at", Type::Number),
        ("detail", Type::Text),
    ],
    on_conflict: "ON CONFLICT (id) DO NOTHING",
};

/// A document that was just issued.
pub(crate) struct IssuedDocument<'a> {
    pub id: i64,
    /// Its digest in its series.
    pub digest: String,
    pub account: &'a AccountId,
    pub kind: DocumentKind,
    /// The address of its billing details.
    pub email: &'a str,
    /// Whether it comes to nothing.
    pub is_zero: bool,
}

/// What a mail is about.
#[derive(Clone, Copy)]
pub(super) struct Subject<'a> {
    pub kind: MailKind,
    pub document: i64,
    pub credit: i64,
    /// Identifies it among all others of its kind, in this store and in others.
    pub digest: &'a str,
    pub account: &'a AccountId,
    pub occasion: &'a str,
}

impl Subject<'_> {
    /// The digest of all that, and the recipient.
    fn id(&self, recipient: &str) -> String {
        let mut hasher = blake3::Hasher::new_derive_key("tollgate mail");
        for part in [self.kind.name(), self.digest, self.account, &recipient.to_lowercase(), self.occasion] {
            hasher.update(&(part.len() as u64).to_be_bytes());
            hasher.update(part.as_bytes());
        }
        hasher.finalize().to_hex().chars().take(40).collect()
    }

    pub fn row<'r>(&self, recipient: &str, state: MailState, detail: &str, now: UnixMillis) -> Vec<Value<'r>> {
        vec![
            self.id(recipient).into(),
            self.kind.name().into(),
            self.document.into(),
            self.credit.into(),
            self.account.to_string().into(),
            recipient.to_owned().into(),
            self.occasion.to_owned().into(),
            state.name().into(),
            0.into(),
            0.into(),
            0.into(),
            0.into(),
            0.into(),
            now.into(),
            now.into(),
            0.into(),
            detail.to_owned().into(),
        ]
    }

    /// The rows of it: one for each recipient, or one that says why there is none.
    pub fn rows<'r>(&self, switch: &str, sending: &AccountSending, email: &str, now: UnixMillis) -> Vec<Vec<Value<'r>>> {
        if sending.is_off(switch) {
            return vec![self.row("", MailState::Off, "switched off for the account", now)];
        }
        let recipients = sending.recipients(email);
        if recipients.is_empty() {
            let why = "no address is known: set one by `tollgate account details` or `tollgate sending set --account`";
            return vec![self.row("", MailState::Failed, why, now)];
        }
        recipients.into_iter().map(|recipient| self.row(recipient, MailState::Waiting, "", now)).collect()
    }
}

/// Puts documents that were just issued into the outbox.
pub(crate) async fn put_documents(
    connection: &mut AnyConnection,
    store: &Store,
    issued: &[IssuedDocument<'_>],
    now: UnixMillis,
) -> Result<(), BillingError> {
    let settings = settings::settings(&mut *connection).await?;
    if !settings.is_enabled || issued.is_empty() {
        return Ok(());
    }
    let accounts: Vec<&AccountId> = issued.iter().map(|document| document.account).collect();
    let of_accounts = of_accounts(&mut *connection, store, &accounts).await?;
    let usual = AccountSending::default();
    let mut rows = Vec::new();
    for document in issued {
        let sending = of_accounts.get(document.account).unwrap_or(&usual);
        let IssuedDocument { id, digest, account, .. } = document;
        let subject = Subject { kind: MailKind::Document, document: *id, credit: 0, digest, account, occasion: "" };
        match document.is_zero && !settings.zero_documents {
            true => rows.push(subject.row("", MailState::Off, "it comes to nothing, and such documents are not sent", now)),
            false => rows.extend(subject.rows(document.kind.name(), sending, document.email, now)),
        }
    }
    MAILS.insert(connection, store.dialect(), rows.into_iter()).await
}

/// A payment that was just taken in.
pub(crate) struct TakenPayment<'a> {
    pub account: &'a AccountId,
    /// The account's number of it.
    pub sequence: i64,
    /// The place of its entry in the journal.
    pub entry: i64,
    /// When it was accepted.
    pub at: UnixMillis,
}

/// Puts the receipts of payments that were just taken in into the outbox, if receipts are sent.
pub(crate) async fn put_receipts(
    connection: &mut AnyConnection,
    dialect: Dialect,
    payments: &[TakenPayment<'_>],
) -> Result<(), BillingError> {
    if payments.is_empty() {
        return Ok(());
    }
    let SendingSettings { is_enabled, receipts, .. } = settings::settings(&mut *connection).await?;
    if !is_enabled || !receipts {
        return Ok(());
    }
    let mut rows = Vec::new();
    for payment in payments {
        let TakenPayment { account, sequence, entry, at } = payment;
        let (sending, email) = whom(&mut *connection, account).await?;
        let digest = entry.to_string();
        let subject = Subject { kind: MailKind::Receipt, document: 0, credit: *sequence, digest: &digest, account, occasion: "" };
        rows.extend(subject.rows("receipt", &sending, &email, *at));
    }
    MAILS.insert(connection, dialect, rows.into_iter()).await
}

/// What differs for an account, and the address of its billing details.
pub(super) async fn whom(connection: &mut AnyConnection, account: &AccountId) -> Result<(AccountSending, String), BillingError> {
    let sql = "SELECT COALESCE((SELECT content FROM account_sending WHERE account = $1), '') AS content, \
                      COALESCE((SELECT email FROM customers WHERE account = $1), '') AS email";
    let row = sqlx::query(sql).bind(account.to_string()).fetch_one(connection).await?;
    let content: String = row.try_get("content")?;
    let sending =
        if content.is_empty() { AccountSending::default() } else { serde_json::from_str(&content).map_err(BillingError::corrupt)? };
    Ok((sending, row.try_get("email")?))
}

/// Takes back the receipts of payments that the ledger has lost, unless they are sent.
pub(crate) async fn forget_receipts(connection: &mut AnyConnection, account: &AccountId, sequence: i64) -> Result<(), BillingError> {
    let sql = "DELETE FROM mails WHERE kind = 'receipt' AND account = $1 AND credit = $2 AND state IN ('waiting', 'deferred', 'off')";
    sqlx::query(sql).bind(account.to_string()).bind(sequence).execute(connection).await?;
    Ok(())
}

/// Puts reminders into the outbox whose day has come: of invoices that are not paid, and that were issued while invoices were sent. A
/// reminder whose day was missed by more than two is not made up for. One that is no longer kept cannot be sent along.
pub(super) async fn put_reminders(connection: &mut AnyConnection, store: &Store, now: UnixMillis) -> Result<u64, BillingError> {
    const DAY: Millis = 86_400_000;
    const MOST: i64 = 200;
    let settings = settings::settings(&mut *connection).await?;
    if !settings.is_enabled {
        return Ok(0);
    }
    let mut count = 0;
    for day in &settings.reminders {
        let occasion = format!("due{day:+}");
        // The due date is the last instant of its day.
        let due = now - Millis::from(*day) * DAY;
        let sql = "SELECT payables.document, payables.account, issued.digest FROM payables \
                   JOIN issued ON issued.document = payables.document \
                   WHERE payables.open_amount > 0 AND issued.dropped_at = 0 AND payables.due_at > $1 AND payables.due_at <= $2 AND issued.issued_at < payables.due_at \
                   AND EXISTS (SELECT 1 FROM mails WHERE mails.document = payables.document AND mails.kind = 'document' \
                               AND mails.state IN ('sent', 'bounced', 'unknown')) \
                   AND NOT EXISTS (SELECT 1 FROM mails WHERE mails.document = payables.document AND mails.kind = 'reminder' \
                                   AND mails.occasion = $3) ORDER BY payables.due_at LIMIT $4";
        let query = sqlx::query(sql).bind((due - 2 * DAY).get()).bind(due.get()).bind(occasion.clone()).bind(MOST);
        let found = query.fetch_all(&mut *connection).await?;
        let mut rows = Vec::new();
        for row in &found {
            let (account, digest): (AccountId, String) = (row.account_id("account")?, row.try_get("digest")?);
            let (sending, email) = whom(&mut *connection, &account).await?;
            let document = row.try_get("document")?;
            let subject =
                Subject { kind: MailKind::Reminder, document, credit: 0, digest: &digest, account: &account, occasion: &occasion };
            rows.extend(subject.rows("reminder", &sending, &email, now));
        }
        count += rows.len() as u64;
        MAILS.insert(&mut *connection, store.dialect(), rows.into_iter()).await?;
    }
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_of_a_mail_is_the_same_at_every_try_and_of_no_other() {
        let of = |digest, account, occasion| Subject { kind: MailKind::Document, document: 1, credit: 0, digest, account, occasion };
        let acme = AccountId::from("acme");
        let id = of("digest", &acme, "").id("A@b.example");
        assert_eq!(id, of("digest", &acme, "").id("a@B.example"));
        assert_eq!(id.len(), 40);
        for other in
            [of("digest", &acme, "").id("c@b"), of("digest", &acme, "again").id("a@b.example"), of("other", &acme, "").id("a@b.example")]
        {
            assert_ne!(id, other);
        }
    }
}
