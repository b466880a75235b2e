//! Whether mail is sent, from whom, and which; and what differs for an account.

use crate::store::Columns;
use domain::ids::AccountId;
use serde::{Deserialize, Serialize};
use sqlx::{AnyConnection, Row};

use crate::audit::{self, Act, json_of};
use crate::change::Applied;
use crate::change::Change;
use crate::digest::Fields;
use crate::issuer::{MAIN, Setting};
use crate::store::Store;
use crate::store::rows::{Table, Type};
use crate::{Billing, BillingError, account_lock};

/// The most addresses of an account.
pub const MOST_RECIPIENTS: usize = 10;

/// The most reminders of an invoice.
pub const MOST_REMINDERS: usize = 10;

/// The furthest day of a reminder from the due date.
pub const FURTHEST_REMINDER: i16 = 365;

/// The largest attachment that can be allowed, in bytes.
pub const MOST_ATTACHED: u32 = 25_000_000;

/// For how many days a link to a document works at most.
pub const MOST_LINK_DAYS: u16 = 730;

/// The most hours for which customers are not told again that their credit runs low.
pub const MOST_LOW_CREDIT_HOURS: u16 = 720;

/// The longest text of a setting, in bytes.
pub const LONGEST_TEXT: usize = 200;

/// How mail is sent, of an issuer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SendingSettings {
    /// Whether any is.
    pub is_enabled: bool,
    /// The sender: "Nordlicht <billing@nordlicht.example>".
    pub from: String,
    /// Where replies go; empty if to the sender.
    pub reply_to: String,
    /// Whom operators ask who are unsure whether a customer got an invoice.
    pub contact: String,
    /// Whether documents are sent that come to nothing.
    pub zero_documents: bool,
    /// The most bytes that are attached; of a larger document the mail has a link, if there are links.
    pub attachment_limit: u32,
    /// Whether mails have a link to their document.
    pub links: bool,
    /// For how many days a link works.
    pub link_days: u16,
    /// Whether payments are answered by a receipt.
    pub receipts: bool,
    /// Whether customers are told that their credit runs low.
    pub low_credit: bool,
    /// For how many hours they are not told again.
    pub low_credit_hours: u16,
    /// Whether mails with unknown delivery are sent again automatically.
    pub resend_unknown: bool,
    /// When unpaid invoices are reminded of: days after the due date; below zero: before it.
    pub reminders: Vec<i16>,
}

impl Default for SendingSettings {
    fn default() -> Self {
        Self {
            is_enabled: false,
            from: String::new(),
            reply_to: String::new(),
            contact: String::new(),
            zero_documents: false,
            attachment_limit: 5_000_000,
            links: false,
            link_days: 90,
            receipts: false,
            low_credit: false,
            low_credit_hours: 24,
            resend_unknown: false,
            reminders: Vec::new(),
        }
    }
}

/// What is asked of how mail is sent. What a client leaves out that was made before there was such a setting stays as it is.
#[derive(Clone, Debug, Serialize)]
pub struct SendingChange {
    /// How mail is to be sent, but for what follows.
    pub settings: SendingSettings,
    /// Whether mails have a link to their document.
    pub links: Option<bool>,
    /// For how many days a link works.
    pub link_days: Option<u16>,
    /// Whether customers are told that their credit runs low.
    pub low_credit: Option<bool>,
    /// For how many hours they are not told again.
    pub low_credit_hours: Option<u16>,
}

impl SendingChange {
    fn of(&self, now: &SendingSettings) -> SendingSettings {
        SendingSettings {
            links: self.links.unwrap_or(now.links),
            link_days: self.link_days.unwrap_or(now.link_days),
            low_credit: self.low_credit.unwrap_or(now.low_credit),
            low_credit_hours: self.low_credit_hours.unwrap_or(now.low_credit_hours),
            ..self.settings.clone()
        }
    }
}

impl From<SendingSettings> for SendingChange {
    fn from(settings: SendingSettings) -> Self {
        Self {
            links: Some(settings.links),
            link_days: Some(settings.link_days),
            low_credit: Some(settings.low_credit),
            low_credit_hours: Some(settings.low_credit_hours),
            settings,
        }
    }
}

/// Settings that an account overrides.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AccountSending {
    /// Whether none is sent.
    pub is_off: bool,
    /// To whom; empty if to the address of the billing details.
    pub recipients: Vec<String>,
    /// What is not sent: "invoice", "statement", "credit_note", "receipt", "reminder", "low_credit".
    pub off: Vec<String>,
}

/// What can be switched off for an account.
pub const SWITCHES: [&str; 6] = ["invoice", "statement", "credit_note", "receipt", "reminder", "low_credit"];

impl AccountSending {
    /// Whether something is switched off.
    #[must_use]
    pub fn is_off(&self, switch: &str) -> bool {
        self.is_off || self.off.iter().any(|off| off == switch)
    }

    /// To whom mail goes, of an account with this address in its billing details.
    #[must_use]
    pub fn recipients<'a>(&'a self, of_details: &'a str) -> Vec<&'a str> {
        match self.recipients.is_empty() {
            true => Some(of_details).filter(|address| !address.is_empty()).into_iter().collect(),
            false => self.recipients.iter().map(String::as_str).collect(),
        }
    }
}

const ACCOUNTS: Table = Table { name: "account_sending", columns: &[("account", Type::Text)], on_conflict: "" };

/// How mail is sent.
pub(crate) async fn settings(connection: &mut AnyConnection) -> Result<SendingSettings, BillingError> {
    let sql = "SELECT is_enabled, content FROM sending WHERE issuer = $1";
    let Some(row) = sqlx::query(sql).bind(MAIN).fetch_optional(connection).await? else { return Ok(SendingSettings::default()) };
    let content: String = row.try_get("content")?;
    let settings: SendingSettings = serde_json::from_str(&content).map_err(BillingError::corrupt)?;
    Ok(SendingSettings { is_enabled: row.try_get::<i64, _>("is_enabled")? == 1, ..settings })
}

/// What differs for accounts: for those that are not found, nothing.
pub(super) async fn of_accounts(
    connection: &mut AnyConnection,
    store: &Store,
    accounts: &[&AccountId],
) -> Result<std::collections::HashMap<AccountId, AccountSending>, BillingError> {
    let mut accounts = accounts.to_vec();
    accounts.sort_unstable();
    accounts.dedup();
    let keys: Vec<_> = accounts.iter().map(|account| vec![(*account).into()]).collect();
    let rows = ACCOUNTS.find(connection, store.dialect(), "account, content", &keys).await?;
    let read = |row: &sqlx::any::AnyRow| {
        let content: String = row.try_get("content")?;
        Ok((row.account_id("account")?, serde_json::from_str(&content).map_err(BillingError::corrupt)?))
    };
    rows.iter().map(read).collect()
}

impl Billing {
    /// How mail is sent.
    pub async fn sending(&self) -> Result<SendingSettings, BillingError> {
        settings(&mut *self.store().pool().acquire().await?).await
    }

    /// Sets how mail is sent.
    pub async fn set_sending(&self, asked: &SendingChange, change: &Change) -> Result<Applied, BillingError> {
        let settings = &asked.of(&self.sending().await?);
        check(settings)?;
        if settings.is_enabled {
            // From here on, a copy is known to be one.
            self.check_sending_place(change.at).await?;
        }
        let content = serde_json::to_string(settings).map_err(BillingError::corrupt)?;
        let is_enabled = i64::from(settings.is_enabled);
        let write = "INSERT INTO sending (issuer, is_enabled, content) VALUES ($1, $2, $3) \
                     ON CONFLICT (issuer) DO UPDATE SET is_enabled = excluded.is_enabled, content = excluded.content";
        let query = sqlx::query(write).bind(MAIN).bind(is_enabled).bind(content.clone());
        let setting = Setting {
            subject: "sending".to_owned(),
            asked: change.asked(&["sending", &serde_json::to_string(asked).map_err(BillingError::corrupt)?]),
            act: Act::of("sending.set", change).with("after", json_of(&content)),
            default: json_of(&serde_json::to_string(&SendingSettings::default()).map_err(BillingError::corrupt)?),
            account: None,
            before: sqlx::query("SELECT content FROM sending WHERE issuer = $1").bind(MAIN),
        };
        self.change(setting, change, query).await
    }

    /// Settings that an account overrides.
    pub async fn account_sending(&self, account: &AccountId) -> Result<AccountSending, BillingError> {
        let mut found = of_accounts(&mut *self.store().pool().acquire().await?, self.store(), &[account]).await?;
        Ok(found.remove(account).unwrap_or_default())
    }

    /// Sets what differs for an account.
    pub async fn set_account_sending(
        &self,
        account: &AccountId,
        sending: &AccountSending,
        change: &Change,
    ) -> Result<Applied, BillingError> {
        check_account(sending)?;
        let content = serde_json::to_string(sending).map_err(BillingError::corrupt)?;
        let mut transaction = self.store().begin().await?;
        let connection = &mut *transaction;
        account_lock::lock(connection, self.store().dialect(), account).await?;
        // Addresses are personal: what is asked for is known by its digest.
        let asked = Fields::of("account sending").text(&change.request_id).text(&content).hex();
        let noted = Self::note(connection, &format!("account {account}"), &change.asked(&["sending", &asked]), change).await?;
        if noted == Applied::Before {
            return Ok(Applied::Before);
        }
        let before = "SELECT content FROM account_sending WHERE account = $1";
        let before = sqlx::query(before).bind(account.to_string()).fetch_optional(&mut *connection).await?;
        let before: Option<String> = before.map(|row| row.try_get(0)).transpose()?;
        let write = "INSERT INTO account_sending (account, content) VALUES ($1, $2) \
                     ON CONFLICT (account) DO UPDATE SET content = excluded.content";
        sqlx::query(write).bind(account.to_string()).bind(content.clone()).execute(&mut *connection).await?;
        let act = Act::of("account_sending.set", change).on(account).with_personal("after", json_of(&content));
        let act = act.with_personal("before", before.as_deref().map(json_of));
        audit::write(connection, self.store().dialect(), audit::SERVICE, &[act]).await?;
        transaction.commit().await?;
        Ok(Applied::Now)
    }
}

fn check(settings: &SendingSettings) -> Result<(), BillingError> {
    let invalid = |field, problem: String| Err(BillingError::Invalid { field, problem });
    let SendingSettings { is_enabled, from, reply_to, contact, attachment_limit, link_days, low_credit_hours, reminders, .. } = settings;
    for (field, text) in [("from", from), ("reply_to", reply_to), ("contact", contact)] {
        if text.len() > LONGEST_TEXT || text.contains(char::is_control) {
            return invalid(field, format!("must have at most {LONGEST_TEXT} bytes, and no control characters"));
        }
    }
    for (field, mailbox) in [("from", from), ("reply_to", reply_to)] {
        if !mailbox.is_empty() && !is_address(address_of(mailbox)) {
            return invalid(field, "must be an address, or a name and an address: Nordlicht <billing@nordlicht.example>".to_owned());
        }
    }
    if *is_enabled && from.is_empty() {
        return invalid("from", "must be given where invoices are sent".to_owned());
    }
    if *attachment_limit > MOST_ATTACHED {
        return invalid("attachment_limit_bytes", format!("must be at most {MOST_ATTACHED}"));
    }
    if !(1..=MOST_LINK_DAYS).contains(link_days) {
        return invalid("link_days", format!("must be 1 to {MOST_LINK_DAYS}"));
    }
    if !(1..=MOST_LOW_CREDIT_HOURS).contains(low_credit_hours) {
        return invalid("low_credit_hours", format!("must be 1 to {MOST_LOW_CREDIT_HOURS}"));
    }
    let is_wrong = |day: &i16| day.unsigned_abs() > FURTHEST_REMINDER.unsigned_abs();
    if reminders.len() > MOST_REMINDERS || reminders.iter().any(is_wrong) {
        return invalid(
            "reminder_days",
            format!("must be at most {MOST_REMINDERS}, each from -{FURTHEST_REMINDER} to {FURTHEST_REMINDER}"),
        );
    }
    Ok(())
}

fn check_account(sending: &AccountSending) -> Result<(), BillingError> {
    let invalid = |field, problem: String| Err(BillingError::Invalid { field, problem });
    if sending.recipients.len() > MOST_RECIPIENTS {
        return invalid("recipients", format!("must be at most {MOST_RECIPIENTS}"));
    }
    if sending.recipients.iter().any(|address| address.len() > LONGEST_TEXT || !is_address(address)) {
        return invalid("recipients", "must be addresses such as accounts@customer.example".to_owned());
    }
    if sending.off.iter().any(|off| !SWITCHES.contains(&off.as_str())) {
        return invalid("off", format!("must be among {}", SWITCHES.join(", ")));
    }
    Ok(())
}

/// The address of a mailbox: what stands between < and >, or all of it.
#[must_use]
pub fn address_of(mailbox: &str) -> &str {
    let Some((_, rest)) = mailbox.rsplit_once('<') else { return mailbox.trim() };
    rest.strip_suffix('>').unwrap_or_default()
}

/// Whether a text can be an address: what a mail server would refuse anyhow is refused here.
#[must_use]
pub fn is_address(text: &str) -> bool {
    let is_plain = |part: &str| !part.is_empty() && !part.contains(|letter: char| letter.is_control() || letter.is_whitespace());
    text.rsplit_once('@').is_some_and(|(local, domain)| {
        is_plain(local) && is_plain(domain) && !local.contains(['<', '>', ',', ';']) && !domain.contains(['<', '>', ',', ';', '@'])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_sends_mail_says_from_whom() {
        let settings = SendingSettings { is_enabled: true, ..SendingSettings::default() };
        assert!(matches!(check(&settings), Err(BillingError::Invalid { field: "from", .. })));
        for (from, is_right) in
            [("Nordlicht <billing@nordlicht.example>", true), ("a@b", true), ("a", false), ("<a@b", false), ("a b@c", false)]
        {
            let settings = SendingSettings { from: from.to_owned(), ..settings.clone() };
            assert_eq!(check(&settings).is_ok(), is_right, "{from}");
        }
    }

    #[test]
    fn an_account_has_addresses_of_its_own_or_that_of_its_details() {
        let mut sending = AccountSending::default();
        assert_eq!(sending.recipients("a@b"), ["a@b"]);
        assert!(sending.recipients("").is_empty());
        sending.recipients = vec!["x@y".to_owned(), "z@y".to_owned()];
        assert_eq!(sending.recipients("a@b"), ["x@y", "z@y"]);
        assert!(check_account(&sending).is_ok());
        sending.recipients.push("x".to_owned());
        assert!(matches!(check_account(&sending), Err(BillingError::Invalid { field: "recipients", .. })));
        let sending = AccountSending { off: vec!["news".to_owned()], ..AccountSending::default() };
        assert!(matches!(check_account(&sending), Err(BillingError::Invalid { field: "off", .. })));
    }
}
