//! Errors as gRPC statuses: the only place that makes one.
//!
//! Each carries an ErrorInfo of the domain "tollgate"; its reason is part of the API. Details that help a program (BadRequest,
//! ResourceInfo, PreconditionFailure, RetryInfo) stand beside it. What the store says of itself goes to the log, never to a caller.

use std::collections::HashMap;
use std::time::Duration;

use prost::Message;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, FieldViolation, StatusExt};

use super::wire::{Position, Subject};
use crate::billing::BillingError;
use crate::domain::command::Action;
use crate::domain::outcome::Refusal;
use crate::ledger::LedgerError;

/// The domain of every ErrorInfo.
pub const DOMAIN: &str = "tollgate";
const RETRY_STORE: Duration = Duration::from_millis(500);
const RETRY_JOURNAL: Duration = Duration::from_secs(5);
const RETRY_OVERLOAD: Duration = Duration::from_millis(100);

/// What kind of thing is missing, or there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Resource {
    Account,
    Reservation,
    Charge,
    Payment,
    Invoice,
}

impl Resource {
    fn name(self) -> &'static str {
        match self {
            Self::Account => "account",
            Self::Reservation => "reservation",
            Self::Charge => "charge",
            Self::Payment => "payment",
            Self::Invoice => "invoice",
        }
    }
}

/// The original of a refund or of a reversal, which is not there (any more).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// There never was one.
    NeverWas,
    /// It was not found as far back as the journal is searched.
    NoLongerKnown,
}

/// The fields of a request that are wrong.
#[must_use]
pub fn invalid(violations: Vec<FieldViolation>, place: Position) -> Status {
    invalid_because("INVALID_REQUEST", HashMap::new(), violations, place)
}

fn invalid_because(reason: &str, metadata: HashMap<String, String>, mut violations: Vec<FieldViolation>, place: Position) -> Status {
    for violation in &mut violations {
        violation.field.insert_str(0, &place.to_string());
    }
    let message = match violations.as_slice() {
        [] => "the request is invalid".to_owned(),
        [one] => format!("{} {}", shown(&one.field), one.description),
        [one, others @ ..] => format!("{} {} (and {} more)", shown(&one.field), one.description, others.len()),
    };
    let mut details = info(reason, metadata);
    details.set_bad_request(violations);
    Status::with_error_details(Code::InvalidArgument, message, details)
}

/// The name of a field; the request itself has none.
fn shown(field: &str) -> &str {
    if field.is_empty() { "the request" } else { field }
}

/// A command was refused.
#[must_use]
pub fn refused(refusal: Refusal, subject: &Subject) -> Status {
    let metadata = metadata_of(subject);
    let reason = refusal.reason();
    match refusal {
        Refusal::AccountNotFound => {
            resource(Code::NotFound, reason, metadata, Resource::Account, &subject.command.account, "there is no such account")
        }
        Refusal::AccountExists => {
            resource(Code::AlreadyExists, reason, metadata, Resource::Account, &subject.command.account, "the account exists")
        }
        Refusal::ReservationNotFound => {
            let name = subject.command.action.refers_to().unwrap_or_default();
            resource(Code::NotFound, reason, metadata, Resource::Reservation, name, "there is no such reservation")
        }
        Refusal::RequestIdReused => plain(Code::Aborted, reason, metadata, text_of(refusal)),
        Refusal::TooManyReservations => plain(Code::ResourceExhausted, reason, metadata, text_of(refusal)),
        Refusal::TooManyDecimals => {
            invalid_because(reason, metadata, amounts_with(subject, |scale| scale > 0, text_of(refusal)), subject.place)
        }
        Refusal::AmountOutOfRange => invalid_because(reason, metadata, amounts_with(subject, |_| true, text_of(refusal)), subject.place),
        Refusal::NotInMinorUnits => invalid_because(reason, metadata, amounts_with(subject, |_| true, text_of(refusal)), subject.place),
        Refusal::ChargeNotFound => missing_original(Missing::NeverWas, subject),
        Refusal::StoreCorrupt | Refusal::OriginalNeeded | Refusal::BillNeeded => plain(Code::Internal, reason, metadata, text_of(refusal)),
        _ => precondition(reason, metadata, &format!("accounts/{}", subject.command.account), text_of(refusal)),
    }
}

/// The original of a refund, or of a reversal, is not there.
#[must_use]
pub fn missing_original(missing: Missing, subject: &Subject) -> Status {
    let name = subject.command.action.refers_to().unwrap_or_default();
    let metadata = metadata_of(subject);
    let is_payment = matches!(subject.command.action, Action::ReversePayment(_));
    match (missing, is_payment) {
        (Missing::NeverWas, true) => {
            resource(Code::NotFound, "PAYMENT_NOT_FOUND", metadata, Resource::Payment, name, "the account has no such payment")
        }
        (Missing::NeverWas, false) => {
            resource(Code::NotFound, "CHARGE_NOT_FOUND", metadata, Resource::Charge, name, "the account has no such charge")
        }
        (Missing::NoLongerKnown, is_payment) => {
            let (reason, resource) =
                if is_payment { ("PAYMENT_NO_LONGER_KNOWN", Resource::Payment) } else { ("CHARGE_NO_LONGER_KNOWN", Resource::Charge) };
            let text = format!("the {} was not found as far back as the journal is searched", resource.name());
            precondition(reason, metadata, &format!("accounts/{}", subject.command.account), &text)
        }
    }
}

/// The ledger gave no answer.
#[must_use]
pub fn no_answer(error: &LedgerError) -> Status {
    match error {
        LedgerError::Unavailable(reason) => {
            tracing::warn!(%reason, "the store is unavailable");
            let text = "the store is unavailable: nothing was approved; repeating the request with the same request_id is safe";
            retry(Code::Unavailable, "STORE_UNAVAILABLE", text, RETRY_STORE)
        }
        LedgerError::Busy => overloaded("too many commands are waiting"),
        LedgerError::JournalFull => {
            let text = "the journal is full, because the billing store has not taken it in: nothing new is approved until it has; what is \
                        under way may be settled";
            retry(Code::Unavailable, "JOURNAL_FULL", text, RETRY_JOURNAL)
        }
        LedgerError::Corrupt(reason) => {
            tracing::error!(%reason, "the store holds what this version cannot read");
            plain(Code::Internal, "STORE_CORRUPT", HashMap::new(), "the store holds what this version cannot read; nothing was approved")
        }
    }
}

/// The billing store gave no answer to what was asked of an account, an invoice, or nothing in particular.
#[must_use]
pub fn no_bills(error: &BillingError, name: &str) -> Status {
    match error {
        BillingError::Unavailable(reason) => {
            tracing::warn!(%reason, "the billing store is unavailable");
            let text = "the billing store is unavailable; charging goes on, and repeating the request is safe";
            retry(Code::Unavailable, "BILLING_UNAVAILABLE", text, RETRY_STORE)
        }
        BillingError::NotFound(_) => invoice_not_found(name),
        BillingError::Invalid { field, problem } => invalid(vec![FieldViolation::new(*field, problem)], Position::default()),
        BillingError::Corrupt(reason) => {
            tracing::error!(%reason, "the billing store holds what this version cannot read");
            plain(Code::Internal, "BILLING_CORRUPT", HashMap::new(), "the billing store holds what this version cannot read")
        }
    }
}

/// This service runs without a billing store.
#[must_use]
pub fn billing_not_configured() -> Status {
    precondition("BILLING_NOT_CONFIGURED", HashMap::new(), "billing", "this service runs without a billing store")
}

/// There is no such document, or, of a payment, the account has no such invoice.
#[must_use]
pub fn invoice_not_found(number: &str) -> Status {
    let metadata = HashMap::from([("number".to_owned(), number.to_owned())]);
    resource(Code::NotFound, "INVOICE_NOT_FOUND", metadata, Resource::Invoice, number, "there is no such invoice")
}

/// More is to be written off than is due.
#[must_use]
pub fn exceeds_amount_due(account: &str, due: &str) -> Status {
    let metadata = HashMap::from([("account_id".to_owned(), account.to_owned()), ("amount_due".to_owned(), due.to_owned())]);
    let text = format!("no more can be written off than is due: {due}");
    precondition("EXCEEDS_AMOUNT_DUE", metadata, &format!("accounts/{account}"), &text)
}

/// There is no closed month to tell a credit limit from.
#[must_use]
pub fn no_history(account: &str) -> Status {
    let metadata = HashMap::from([("account_id".to_owned(), account.to_owned())]);
    let text = "there is no closed month of charges to estimate a limit from; name a limit";
    precondition("NO_HISTORY", metadata, &format!("accounts/{account}"), text)
}

/// A document cannot be written in the form that was asked for.
#[must_use]
pub fn no_form(reason: &dyn std::fmt::Display) -> Status {
    tracing::error!(%reason, "a document cannot be written");
    plain(Code::Internal, "FORM_FAILED", HashMap::new(), "the document cannot be written in this form")
}

/// A bound of this process is reached.
#[must_use]
pub fn overloaded(text: &str) -> Status {
    retry(Code::ResourceExhausted, "OVERLOADED", text, RETRY_OVERLOAD)
}

/// The caller's time is nearly over, and there is no answer yet.
#[must_use]
pub fn out_of_time() -> Status {
    let text = "there was no answer within the caller's deadline: the outcome is unknown; repeating the request with the same request_id is \
                safe, and tells it";
    retry(Code::Unavailable, "OUTCOME_UNKNOWN", text, RETRY_OVERLOAD)
}

/// What is told instead, if tonic could not take a message: too large, or not one at all.
#[must_use]
pub fn of_message(status: &Status, most: usize) -> Option<Status> {
    match status.code() {
        Code::OutOfRange => Some(message_too_large(most)),
        Code::Internal if status.details().is_empty() => {
            let text = "the message is not one of this call";
            Some(plain(Code::InvalidArgument, "MALFORMED_MESSAGE", HashMap::new(), text))
        }
        _ => None,
    }
}

/// A message is larger than is taken.
fn message_too_large(most: usize) -> Status {
    plain(Code::ResourceExhausted, "MESSAGE_TOO_LARGE", HashMap::new(), &format!("a message must have at most {most} bytes"))
}

/// A batch has more commands than are taken.
#[must_use]
pub fn batch_too_large(most: usize) -> Status {
    plain(Code::ResourceExhausted, "BATCH_TOO_LARGE", HashMap::new(), &format!("a batch must have at most {most} commands"))
}

/// A status as it stands in a batch's outcomes, details included.
#[must_use]
pub fn as_outcome(status: &Status) -> tonic_types::Status {
    tonic_types::Status::decode(status.details()).ok().filter(|decoded| decoded.code != 0).unwrap_or_else(|| tonic_types::Status {
        code: status.code().into(),
        message: status.message().to_owned(),
        details: Vec::new(),
    })
}

fn metadata_of(subject: &Subject) -> HashMap<String, String> {
    let mut metadata = HashMap::from([("account_id".to_owned(), subject.command.account.clone())]);
    if !subject.command.request_id.is_empty() {
        metadata.insert("request_id".to_owned(), subject.command.request_id.clone());
    }
    let key = match subject.command.action {
        Action::Refund(_) => "charge_id",
        Action::ReversePayment(_) => "payment_id",
        _ => "reservation_id",
    };
    if let Some(original) = subject.command.action.refers_to() {
        metadata.insert(key.to_owned(), original.to_owned());
    }
    metadata
}

fn amounts_with(subject: &Subject, is_suspect: impl Fn(u8) -> bool, rule: &str) -> Vec<FieldViolation> {
    let suspects = subject.amounts().into_iter().filter(|(_, quote)| is_suspect(quote.scale()));
    suspects.map(|(field, _)| FieldViolation::new(field, rule)).collect()
}

fn info(reason: &str, metadata: HashMap<String, String>) -> ErrorDetails {
    ErrorDetails::with_error_info(reason, DOMAIN, metadata)
}

fn plain(code: Code, reason: &str, metadata: HashMap<String, String>, text: &str) -> Status {
    Status::with_error_details(code, text, info(reason, metadata))
}

fn precondition(reason: &str, metadata: HashMap<String, String>, subject: &str, text: &str) -> Status {
    let mut details = info(reason, metadata);
    details.add_precondition_failure_violation(reason, subject, text);
    Status::with_error_details(Code::FailedPrecondition, text, details)
}

fn retry(code: Code, reason: &str, text: &str, after: Duration) -> Status {
    let mut details = info(reason, HashMap::new());
    details.set_retry_info(Some(after));
    Status::with_error_details(code, text, details)
}

fn resource(code: Code, reason: &str, metadata: HashMap<String, String>, kind: Resource, name: &str, text: &str) -> Status {
    let mut details = info(reason, metadata);
    details.set_resource_info(format!("tollgate.v1/{}", kind.name()), name, "", text);
    Status::with_error_details(code, text, details)
}

/// A refusal, for people.
fn text_of(refusal: Refusal) -> &'static str {
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
        Refusal::StoreCorrupt => "the store holds what this version cannot read; nothing was done",
        Refusal::OriginalNeeded => "the service did not look up what the request refers to; nothing was done",
        Refusal::BillNeeded => "the service did not look up the bill of the charge; nothing was done",
        Refusal::ChargeNotFound => "the account has no such charge",
        Refusal::AccountNotClosed => "the account is not closed",
    }
}
