//! Erases what is personal of an account: its name, its billing details, and what callers sent along. Amounts, times and ids stay, and so do
//! issued documents, which the law keeps. Chains of digests still hold: of what is personal they cover a salted digest, beside its text.

use serde_json::Value as Json;
use sqlx::{AnyConnection, AssertSqlSafe, Row};

use super::audit::{self, Act};
use super::change::{Applied, Change};
use super::document::Party;
use super::record::narrow;
use super::retention::{self, RetainedKind};
use super::{Billing, BillingError, search};
use domain::account::ERASED_NAME;
use domain::entry::{Entry, EntryKind};
use domain::ids::AccountId;
use domain::metadata::Metadata;

/// Whether a stored entry is that of the journal, perhaps without what was erased of it since.
pub fn is_same(stored: &Entry, journal: &Entry) -> bool {
    let is_left = || {
        let metadata = Metadata { description: String::new(), attributes: Vec::new(), reason: String::new(), ..journal.metadata.clone() };
        *stored == Entry { metadata, ..journal.clone() }
    };
    stored == journal || is_left()
}

/// The outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Erased {
    /// It was erased, now or before.
    Applied(Applied),
    /// There are documents to issue, invoices that are open, or mail under way: these need to know whom they are for.
    Unsettled,
}

/// What still needs to know whom it is for.
const UNSETTLED: [&str; 5] = [
    "SELECT CAST(COUNT(*) AS BIGINT) FROM documents WHERE account = $1 AND NOT EXISTS (SELECT 1 FROM issued WHERE document = documents.id)",
    // What was used stands on the bill that is open, which is yet to become a document, at the end of its period.
    "SELECT CAST(COUNT(*) AS BIGINT) FROM totals JOIN accounts ON accounts.account = totals.account AND totals.bill >= accounts.bill \
     WHERE totals.account = $1 AND totals.kind IN ({usage})",
    "SELECT CAST(COUNT(*) AS BIGINT) FROM adjustments JOIN accounts ON accounts.account = adjustments.account \
     AND adjustments.bill >= accounts.bill WHERE adjustments.account = $1",
    "SELECT CAST(COUNT(*) AS BIGINT) FROM payables WHERE account = $1 AND open_amount > 0",
    "SELECT CAST(COUNT(*) AS BIGINT) FROM mails WHERE account = $1 AND state IN ('waiting', 'sending', 'deferred')",
];

/// The columns that are erased of an account, but for names within settings and audit records.
const ERASE: [&str; 22] = [
    "UPDATE entries SET description = '', attributes = '', reason = '' WHERE account = $1",
    "UPDATE lost_entries SET description = '', attributes = '', reason = '' WHERE account = $1",
    "UPDATE totals SET description = '' WHERE account = $1",
    "UPDATE refunds SET description = '' WHERE account = $1",
    "UPDATE uncredited_refunds SET description = '' WHERE account = $1",
    "UPDATE adjustments SET reason = '' WHERE account = $1",
    "UPDATE credits SET reference = '', remark = '', reason = '' WHERE account = $1",
    "UPDATE allocations_by_hand SET reason = '' WHERE account = $1",
    // Waits for who writes of the account (`account_lock`), before what these write is erased.
    "UPDATE accounts SET name = 'erased' WHERE account = $1",
    "UPDATE setting_changes SET reason = '' WHERE subject = 'account ' || $1",
    "UPDATE setting_changes SET reason = '' WHERE subject = 'notes of ' || $1",
    "UPDATE setting_changes SET reason = '' WHERE subject IN (SELECT 'mail ' || id FROM mails WHERE account = $1)",
    "UPDATE setting_changes SET reason = '' WHERE subject IN (SELECT 'mail of ' || issued.number FROM issued \
     JOIN documents ON documents.id = issued.document WHERE documents.account = $1)",
    "UPDATE setting_changes SET reason = '' WHERE subject IN (SELECT 'links of ' || issued.number FROM issued \
     JOIN documents ON documents.id = issued.document WHERE documents.account = $1)",
    "UPDATE mails SET recipient = '', detail = '' WHERE account = $1",
    "DELETE FROM document_links WHERE account = $1",
    "DELETE FROM low_credit WHERE account = $1",
    // What waits for approval can no longer be done: the account is closed.
    "DELETE FROM approvals WHERE account = $1",
    "DELETE FROM account_notes WHERE account = $1",
    "DELETE FROM account_sending WHERE account = $1",
    "DELETE FROM exemptions WHERE account = $1",
    "DELETE FROM customers WHERE account = $1",
];

impl Billing {
    /// Whether nothing needs to know any more whom the account is of.
    pub async fn is_settled(&self, account: &AccountId) -> Result<bool, BillingError> {
        is_settled(&mut *self.store().pool().acquire().await?, account).await
    }

    /// The partition's sequence of an account's last entry that is none of erasing it; 0 if there is none.
    pub async fn last_before_erasing(&self, account: &AccountId) -> Result<u64, BillingError> {
        let sql = "SELECT COALESCE(MAX(sequence), 0) AS last FROM entries WHERE account = $1 AND request_id NOT LIKE 'erase:%'";
        let row = sqlx::query(sql).bind(account.to_string()).fetch_one(self.store().pool()).await?;
        narrow(&row, "last")
    }

    /// Erases what is personal of an account whose entries are all here, once for each request.
    pub async fn erase_account(&self, account: &AccountId, change: &Change) -> Result<Erased, BillingError> {
        let dialect = self.store().dialect();
        let mut transaction = self.store().begin().await?;
        let connection = &mut *transaction;
        for what in RetainedKind::ALL {
            retention::lock(connection, what).await?;
        }
        if Self::note(connection, &format!("erasing {account}"), &change.asked(&["erase"]), change).await? == Applied::Before {
            return Ok(Erased::Applied(Applied::Before));
        }
        if !is_settled(connection, account).await? {
            return Ok(Erased::Unsettled);
        }
        for table in ["entries", "lost_entries"] {
            erase_names(connection, table, account).await?;
        }
        for sql in ERASE {
            sqlx::query(sql).bind(account.to_string()).execute(&mut *connection).await?;
        }
        search::write_names(connection, dialect, std::iter::once((account.as_str(), ERASED_NAME))).await?;
        search::write_details(connection, dialect, account, &Party::default()).await?;
        // Before its records, as who drops them does.
        audit::lock(connection, audit::SERVICE).await?;
        let erase = "UPDATE audit SET personal = '', salt = '' WHERE account = $1 AND personal <> ''";
        let records = sqlx::query(erase).bind(account.to_string()).execute(&mut *connection).await?.rows_affected();
        let act = Act::of("account.erased", change).on(account).with("audit_records", records);
        audit::write(connection, dialect, audit::SERVICE, &[act]).await?;
        transaction.commit().await?;
        Ok(Erased::Applied(Applied::Now))
    }
}

async fn is_settled(connection: &mut AnyConnection, account: &AccountId) -> Result<bool, BillingError> {
    let is_usage = |kind: &EntryKind| kind.is_charge() || kind.is_refund() || kind.is_of_gap();
    let usage: Vec<String> = EntryKind::ALL.into_iter().filter(is_usage).map(|kind| (kind as u8).to_string()).collect();
    for sql in UNSETTLED {
        let sql = AssertSqlSafe(sql.replace("{usage}", &usage.join(", ")));
        if sqlx::query(sql).bind(account.to_string()).fetch_one(&mut *connection).await?.try_get::<i64, _>(0)? > 0 {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Erases the names within an account's settings: what each of its entries has set.
async fn erase_names(connection: &mut AnyConnection, table: &'static str, account: &AccountId) -> Result<(), BillingError> {
    let sql = format!("SELECT DISTINCT settings FROM {table} WHERE account = $1 AND settings LIKE '%\"name\"%'");
    for row in sqlx::query(AssertSqlSafe(sql)).bind(account.to_string()).fetch_all(&mut *connection).await? {
        let text: String = row.try_get(0)?;
        let mut settings: Json = serde_json::from_str(&text).map_err(BillingError::corrupt)?;
        if let Some(name) = settings.get_mut("name") {
            *name = Json::from(ERASED_NAME);
        }
        let sql = format!("UPDATE {table} SET settings = $2 WHERE account = $1 AND settings = $3");
        let query = sqlx::query(AssertSqlSafe(sql)).bind(account.to_string()).bind(settings.to_string()).bind(text);
        query.execute(&mut *connection).await?;
    }
    Ok(())
}
