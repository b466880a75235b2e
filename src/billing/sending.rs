//! Mail to customers: what is to be sent, and the state of each mail. Who talks to a mail server is the crate above, `delivery`.
//!
//! A row of `mails` is written by the transaction that issues a document or takes a payment in ([`outbox`]). A process claims it under a
//! fence ([`queue`]), says so before the server can have taken it, and writes down the outcome: so each is taken at most once,
//! whichever process dies, and what cannot be known is marked unknown. [`copy_guard`] keeps a copy of the store from sending again.

pub mod by_hand;
pub mod copy_guard;
pub mod documents;
pub mod low_credit;
pub mod mail_queries;
pub mod outbox;
pub mod queue;
pub mod settings;
pub mod templates;

use sqlx::Row;
use sqlx::any::AnyRow;

use crate::BillingError;
use crate::store::Columns;
use domain::ids::AccountId;
use domain::time::UnixMillis;

macro_rules! named {
    ($(#[doc = $what:literal])+ $name:ident, $called:literal: $($(#[doc = $doc:literal])+ $case:ident = $text:literal,)+) => {
        $(#[doc = $what])+
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name {
            $($(#[doc = $doc])+ $case,)+
        }

        impl $name {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$case,)+];

            /// Its name in stores and in JSON.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$case => $text,)+
                }
            }

            /// The one of that name.
            #[must_use]
            pub fn of_name(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|one| one.name() == name)
            }

            fn read(name: &str) -> Result<Self, BillingError> {
                Self::of_name(name).ok_or_else(|| BillingError::corrupt(format!(concat!($called, " {:?}"), name)))
            }
        }
    };
}

named! {
    /// What a mail is about.
    MailKind, "the kind of mail":
    /// A document.
    Document = "document",
    /// The receipt of a payment.
    Receipt = "receipt",
    /// A reminder of an invoice.
    Reminder = "reminder",
    /// That an account's credit runs low.
    LowCredit = "low_credit",
}

named! {
    /// What became of a mail.
    MailState, "the state of mail":
    /// It is to be sent.
    Waiting = "waiting",
    /// A process is at it.
    Sending = "sending",
    /// The server has taken it.
    Sent = "sent",
    /// It failed, and is tried again.
    Deferred = "deferred",
    /// It failed for good.
    Failed = "failed",
    /// The server took it, and it came back.
    Bounced = "bounced",
    /// Unknown whether the server took it: an operator decides.
    Unknown = "unknown",
    /// It is not sent: that is switched off.
    Off = "off",
}

/// A mail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mail {
    /// A digest of what is sent, to whom, and on which occasion.
    pub id: String,
    /// What it is about.
    pub kind: MailKind,
    /// The document; 0 for none.
    pub document: i64,
    /// The number of the document; empty if it is about none.
    pub number: String,
    /// The payment: the account's number of it; 0 for none.
    pub credit: i64,
    pub account: AccountId,
    /// To whom; empty if no address was known.
    pub recipient: String,
    /// What it is sent for: empty if it is sent automatically.
    pub occasion: String,
    /// What became of it.
    pub state: MailState,
    /// How often it was tried.
    pub attempts: i64,
    /// When it is tried next, by the database's time; 0 if at once, or not at all.
    pub next_at: UnixMillis,
    /// When it was to be sent first.
    pub created_at: UnixMillis,
    /// When that became of it.
    pub changed_at: UnixMillis,
    /// When the server took it; 0 if it has not.
    pub sent_at: UnixMillis,
    /// The server's last reply, or why it is as it is.
    pub detail: String,
    /// The fence of the last claim.
    pub fence: i64,
}

/// What is read of a mail.
const COLUMNS: &str = "mails.*, COALESCE((SELECT issued.number FROM issued WHERE issued.document = mails.document), '') AS number";

impl Mail {
    /// The domain of the recipient, in lower case.
    #[must_use]
    pub fn domain(&self) -> String {
        domain_of(&self.recipient)
    }

    fn read(row: &AnyRow) -> Result<Self, BillingError> {
        let state = MailState::read(&row.try_get::<String, _>("state")?)?;
        Ok(Self {
            id: row.try_get("id")?,
            kind: MailKind::read(&row.try_get::<String, _>("kind")?)?,
            document: row.try_get("document")?,
            number: row.try_get("number")?,
            credit: row.try_get("credit")?,
            account: row.account_id("account")?,
            recipient: row.try_get("recipient")?,
            occasion: row.try_get("occasion")?,
            state,
            attempts: row.try_get("attempts")?,
            next_at: if state == MailState::Deferred { row.instant("next_at")? } else { UnixMillis::NONE },
            created_at: row.instant("created_at")?,
            changed_at: row.instant("changed_at")?,
            sent_at: row.instant("sent_at")?,
            detail: row.try_get("detail")?,
            fence: row.try_get("fence")?,
        })
    }
}

/// The domain of an address, in lower case.
#[must_use]
pub fn domain_of(address: &str) -> String {
    address.rsplit('@').next().unwrap_or_default().to_lowercase()
}

/// Cuts what a server says to what is kept of it.
fn shortened(text: &str) -> String {
    const MOST: usize = 500;
    text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).take(MOST).collect()
}
