//! Why a use case gave no answer, or refused: one error for all protocols, which only render it.
//!
//! Each has a reason in capitals, which is part of the API, a text for people, and what helps a program: the fields that are wrong, what
//! it is about, and when to try again. The text is made from what is known of the outcome alone: nothing was done, or nobody knows.
//! What a store says of itself goes to the log, never to a caller.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use crate::billing::BillingError;
use crate::domain::account::Account;
use crate::domain::command::{Action, Command};
use crate::domain::money::format_units;
use crate::domain::outcome::Refusal;
use crate::lanes::offload::NotRun;
use crate::ledger::LedgerError;
use crate::telemetry::logs::Repeated;

const RETRY_STORE: Duration = Duration::from_millis(500);
const RETRY_JOURNAL: Duration = Duration::from_secs(5);
const RETRY_OVERLOAD: Duration = Duration::from_millis(100);

/// What kind of error it is: what a caller has to do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The request is wrong, whatever the state of things.
    Invalid,
    /// What it is about does not exist.
    NotFound,
    /// What it would make exists.
    AlreadyExists,
    /// The state of things does not allow it.
    Precondition,
    /// A bound is reached.
    Exhausted,
    /// It cannot be answered now, or the answer is lost: repeat it.
    Unavailable,
    /// There is no such operation, or not in this form.
    Unsupported,
    /// The service, or what it has stored, is at fault.
    Internal,
}

/// What an error is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// A resource: "account", "reservation", "charge", "payment", "invoice"; and its name.
    Resource(&'static str, String),
    /// What is in a state that does not allow it: "accounts/acme".
    State(String),
}

/// A field of a request, and what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Its path in the request; empty: the request as a whole.
    pub field: String,
    /// What would be right.
    pub rule: String,
}

/// Why a use case gave no answer, or refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// Its kind.
    pub kind: Kind,
    /// Its reason, in capitals.
    pub reason: &'static str,
    /// For people.
    pub text: String,
    /// What it says to programs beside its reason.
    pub metadata: BTreeMap<&'static str, String>,
    /// What it is about.
    pub subject: Option<Subject>,
    /// Which fields are wrong.
    pub violations: Vec<Violation>,
    /// When to try again.
    pub retry_after: Option<Duration>,
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} ({})", self.text, self.reason)
    }
}

impl std::error::Error for Error {}

/// The original of a refund or of a reversal, which is not there (any more).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// There never was one.
    NeverWas,
    /// It was not found as far back as the journal is searched.
    NoLongerKnown,
}

impl Error {
    /// An error without further details.
    pub fn new(kind: Kind, reason: &'static str, text: impl Into<String>) -> Self {
        let (metadata, violations) = (BTreeMap::new(), Vec::new());
        Self { kind, reason, text: text.into(), metadata, subject: None, violations, retry_after: None }
    }

    /// A state that does not allow it.
    pub fn precondition(reason: &'static str, about: impl Into<String>, text: impl Into<String>) -> Self {
        Self { subject: Some(Subject::State(about.into())), ..Self::new(Kind::Precondition, reason, text) }
    }

    /// What is not there.
    pub fn not_found(reason: &'static str, resource: &'static str, name: &str, text: impl Into<String>) -> Self {
        Self { subject: Some(Subject::Resource(resource, name.to_owned())), ..Self::new(Kind::NotFound, reason, text) }
    }

    /// What cannot be answered now.
    pub fn unavailable(reason: &'static str, text: impl Into<String>, retry_after: Duration) -> Self {
        Self { retry_after: Some(retry_after), ..Self::new(Kind::Unavailable, reason, text) }
    }

    /// The same with one more thing for programs.
    #[must_use]
    pub fn with(mut self, key: &'static str, value: impl Into<String>) -> Self {
        self.metadata.insert(key, value.into());
        self
    }

    /// The fields of a request that are wrong.
    #[must_use]
    pub fn invalid(violations: Vec<Violation>) -> Self {
        Self::invalid_because("INVALID_REQUEST", violations)
    }

    /// Fields that are wrong for a reason of their own.
    #[must_use]
    pub fn invalid_because(reason: &'static str, violations: Vec<Violation>) -> Self {
        let name = |field: &str| if field.is_empty() { "the request".to_owned() } else { field.to_owned() };
        let text = match violations.as_slice() {
            [] => "the request is invalid".to_owned(),
            [one] => format!("{} {}", name(&one.field), one.rule),
            [one, others @ ..] => format!("{} {} (and {} more)", name(&one.field), one.rule, others.len()),
        };
        Self { violations, ..Self::new(Kind::Invalid, reason, text) }
    }

    /// A command was refused. Of one whose amounts are wrong, `amounts` are the fields.
    #[must_use]
    pub fn refused(refusal: Refusal, command: &Command, amounts: Vec<Violation>) -> Self {
        let (reason, text) = (refusal.reason(), text_of(refusal));
        let error = match refusal {
            Refusal::AccountNotFound => Self::not_found(reason, "account", &command.account, text),
            Refusal::AccountExists => Self { kind: Kind::AlreadyExists, ..Self::not_found(reason, "account", &command.account, text) },
            Refusal::ReservationNotFound => Self::not_found(reason, "reservation", command.action.refers_to().unwrap_or_default(), text),
            Refusal::TooManyReservations => Self::new(Kind::Exhausted, reason, text),
            Refusal::TooManyDecimals | Refusal::AmountOutOfRange | Refusal::NotInMinorUnits => Self::invalid_because(reason, amounts),
            Refusal::StoreFull => Self::unavailable(reason, text, RETRY_STORE),
            Refusal::ChargeNotFound => return Self::missing_original(Missing::NeverWas, command),
            Refusal::StoreCorrupt | Refusal::OriginalNeeded | Refusal::BillNeeded | Refusal::Deferred => {
                Self::new(Kind::Internal, reason, text)
            }
            _ => Self::precondition(reason, format!("accounts/{}", command.account), text),
        };
        error.about(command)
    }

    /// The same with what the account says of it: what is due, or which its minor unit is. The account is read after the decision.
    #[must_use]
    pub fn explained_by(mut self, account: &Account) -> Self {
        let show = |units| format!("{} {}", format_units(units, account.decimals, account.minor_digits), account.currency.code());
        match self.reason {
            "EXCEEDS_AMOUNT_DUE" => {
                let due = show(account.debt());
                self.text = format!("{}: {due}", self.text);
                self.with("amount_due", due)
            }
            "NOT_IN_MINOR_UNITS" => {
                let minor_unit = show(account.minor_unit());
                for violation in &mut self.violations {
                    violation.rule = format!("{}: {minor_unit}", violation.rule);
                }
                self.text = format!("{}: {minor_unit}", self.text);
                self.with("minor_unit", minor_unit)
            }
            _ => self,
        }
    }

    /// The original of a refund, or of a reversal, is not there.
    #[must_use]
    pub fn missing_original(missing: Missing, command: &Command) -> Self {
        let name = command.action.refers_to().unwrap_or_default();
        let (found, forgotten, resource) = match command.action {
            Action::ReversePayment(_) => ("PAYMENT_NOT_FOUND", "PAYMENT_NO_LONGER_KNOWN", "payment"),
            Action::ReverseWriteOff(_) => ("WRITE_OFF_NOT_FOUND", "WRITE_OFF_NO_LONGER_KNOWN", "write-off"),
            _ => ("CHARGE_NOT_FOUND", "CHARGE_NO_LONGER_KNOWN", "charge"),
        };
        let error = match missing {
            Missing::NeverWas => Self::not_found(found, resource, name, format!("the account has no such {resource}")),
            Missing::NoLongerKnown => {
                let text = format!("the {resource} was not found as far back as the journal is searched");
                Self::precondition(forgotten, format!("accounts/{}", command.account), text)
            }
        };
        error.about(command)
    }

    /// There is no such document, or, of a payment, the account has no such invoice.
    #[must_use]
    pub fn invoice_not_found(number: &str) -> Self {
        Self::not_found("INVOICE_NOT_FOUND", "invoice", number, "there is no such invoice").with("number", number)
    }

    /// A document cannot be written in the form that was asked for.
    #[must_use]
    pub fn no_form(reason: &dyn fmt::Display) -> Self {
        static FAILED: Repeated = Repeated::new();
        if let Some(times) = FAILED.times() {
            tracing::error!(%reason, times, "a document cannot be written");
        }
        Self::new(Kind::Internal, "FORM_FAILED", "the document cannot be written in this form")
    }

    /// A bound of this process is reached.
    #[must_use]
    pub fn overloaded(text: &str) -> Self {
        Self { retry_after: Some(RETRY_OVERLOAD), ..Self::new(Kind::Exhausted, "OVERLOADED", text) }
    }

    /// Nothing was done, because the store cannot be used.
    #[must_use]
    pub fn store_unavailable() -> Self {
        Self::unavailable("STORE_UNAVAILABLE", "the store is unavailable: nothing was done", RETRY_STORE)
    }

    /// The command was sent, and there is no answer to it.
    #[must_use]
    pub fn outcome_unknown() -> Self {
        let text = "the answer is lost: the outcome is unknown; repeat the request with the same request_id to learn it";
        Self::unavailable("OUTCOME_UNKNOWN", text, RETRY_OVERLOAD)
    }

    /// The names of account, request and original, for programs.
    fn about(self, command: &Command) -> Self {
        let mut error = self.with("account_id", &command.account);
        if !command.request_id.is_empty() {
            error = error.with("request_id", &command.request_id);
        }
        let key = match command.action {
            Action::Refund(_) => "charge_id",
            Action::ReversePayment(_) => "payment_id",
            Action::ReverseWriteOff(_) => "write_off_id",
            _ => "reservation_id",
        };
        match command.action.refers_to() {
            Some(original) => error.with(key, original),
            None => error,
        }
    }
}

impl From<&LedgerError> for Error {
    fn from(error: &LedgerError) -> Self {
        match error {
            LedgerError::NotDone(reason) => {
                static UNAVAILABLE: Repeated = Repeated::new();
                if let Some(times) = UNAVAILABLE.times() {
                    tracing::warn!(%reason, times, "the store is unavailable");
                }
                Self::store_unavailable()
            }
            LedgerError::Unknown(reason) => {
                static UNKNOWN: Repeated = Repeated::new();
                if let Some(times) = UNKNOWN.times() {
                    tracing::warn!(%reason, times, "the outcome of a command is unknown");
                }
                Self::outcome_unknown()
            }
            LedgerError::Busy => Self::overloaded("too many commands are waiting"),
            LedgerError::JournalFull => {
                let text = "the journal is full, because the billing store has not taken it in: nothing was done, and nothing new is \
                            approved until it has; what is under way may be settled";
                Self::unavailable("JOURNAL_FULL", text, RETRY_JOURNAL)
            }
            LedgerError::Full => Self::unavailable("STORE_FULL", text_of(Refusal::StoreFull), RETRY_STORE),
            LedgerError::Corrupt(reason) => {
                static CORRUPT: Repeated = Repeated::new();
                if let Some(times) = CORRUPT.times() {
                    tracing::error!(%reason, times, "the store holds what this version cannot read");
                }
                Self::new(Kind::Internal, "STORE_CORRUPT", "the store holds what this version cannot read: nothing was done")
            }
        }
    }
}

impl From<&BillingError> for Error {
    fn from(error: &BillingError) -> Self {
        match error {
            BillingError::Unavailable(reason) => {
                static UNAVAILABLE: Repeated = Repeated::new();
                if let Some(times) = UNAVAILABLE.times() {
                    tracing::warn!(%reason, times, "the billing store is unavailable");
                }
                let text = "the billing store is unavailable; charging goes on, and repeating the request is safe";
                Self::unavailable("BILLING_UNAVAILABLE", text, RETRY_STORE)
            }
            BillingError::NotFound(_) => Self::invoice_not_found(""),
            BillingError::Invalid { field, problem } => {
                Self::invalid(vec![Violation { field: (*field).to_owned(), rule: problem.clone() }])
            }
            BillingError::Foreign(reason) => {
                static FOREIGN: Repeated = Repeated::new();
                if let Some(times) = FOREIGN.times() {
                    tracing::error!(%reason, times, "the billing store is another ledger's");
                }
                Self::precondition("BILLING_OF_ANOTHER_LEDGER", "billing", "the billing store is another ledger's; charging goes on")
            }
            BillingError::RequestIdReused => {
                let refusal = Refusal::RequestIdReused;
                Self::new(Kind::Precondition, refusal.reason(), text_of(refusal))
            }
            BillingError::Corrupt(reason) => {
                static CORRUPT: Repeated = Repeated::new();
                if let Some(times) = CORRUPT.times() {
                    tracing::error!(%reason, times, "the billing store holds what this version cannot read");
                }
                Self::new(Kind::Internal, "BILLING_CORRUPT", "the billing store holds what this version cannot read")
            }
        }
    }
}

impl From<NotRun> for Error {
    fn from(reason: NotRun) -> Self {
        match reason {
            NotRun::Overloaded => Self::overloaded("too much work of this kind is waiting"),
            NotRun::GivenUp => Self::outcome_unknown(),
        }
    }
}

/// A refusal, for people.
#[must_use]
pub fn text_of(refusal: Refusal) -> &'static str {
    match refusal {
        Refusal::RequestIdReused => "the request_id was used for something else",
        Refusal::RequestTooOld => "the request was first sent before the window in which request ids are remembered",
        Refusal::AccountExists => "the account exists",
        Refusal::AccountNotFound => "there is no such account",
        Refusal::CurrencyMismatch => "the account is in another currency",
        Refusal::TooManyDecimals => "must have at most as many decimals as the account",
        Refusal::AmountOutOfRange => "must be within what the account can hold: at most 2^51 of its smallest units",
        Refusal::AccountClosed => "the account is closed",
        Refusal::AccountSuspended => "the account is suspended",
        Refusal::ReservationNotFound => "there is no such reservation",
        Refusal::ReservationSettled => "the reservation was settled by a final debit",
        Refusal::ReservationReleased => "the reservation was released",
        Refusal::ReservationExpired => "the reservation has expired",
        Refusal::TooManyReservations => "the account has as many open reservations as it may",
        Refusal::ExceedsOriginal => "more than what is left of the original",
        Refusal::LimitEndsInPast => "the temporary limit would end before it begins",
        Refusal::WouldBeUnusable => {
            "a postpaid account with no limit and no overpayment can make no transaction; set a limit, or allow_unusable"
        }
        Refusal::AccountNotEmpty => "the account has a balance or an unbilled amount",
        Refusal::ReservationsOpen => "the account has open reservations",
        Refusal::BalanceOutOfRange => "an amount of the account would leave the range that is kept exactly",
        Refusal::ExceedsAmountDue => "no more can be written off than is due",
        Refusal::NotInMinorUnits => "must be a whole number of the currency's minor units",
        Refusal::SentInFuture => "first_sent_at is ahead of the service's clock",
        Refusal::StoreCorrupt => "the store holds what this version cannot read: nothing was done",
        Refusal::OriginalNeeded => "the service did not look up what the request refers to: nothing was done",
        Refusal::Deferred => "the service did not ask again after what was due of other accounts: nothing was done",
        Refusal::BillNeeded => "the service did not look up the bill of the charge: nothing was done",
        Refusal::ChargeNotFound => "the account has no such charge",
        Refusal::AccountNotClosed => "the account is not closed",
        Refusal::StoreFull => "the ledger's store has no memory left: nothing was done",
    }
}
