//! Errors as gRPC statuses: the only place that makes one.
//!
//! Each carries an ErrorInfo of the domain "tollgate"; its reason is part of the API. Details that help a program (BadRequest,
//! ResourceInfo, PreconditionFailure, RetryInfo) stand beside it. What an error says is decided in [`crate::service::error`].

use std::collections::HashMap;

use prost::Message;
use tonic::metadata::MetadataValue;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, FieldViolation, StatusExt};

use super::deadline::Stage;
use super::wire::{Position, Subject};
use crate::billing::BillingError;
use crate::domain::outcome::Refusal;
use crate::ledger::LedgerError;
use crate::service::error::{Error, Kind, Missing, Subject as About, Violation};

/// The domain of every ErrorInfo.
pub const DOMAIN: &str = "tollgate";

/// Tells clients that retry by themselves when to: <https://github.com/grpc/proposal/blob/master/A6-client-retries.md>.
const PUSHBACK: &str = "grpc-retry-pushback-ms";

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        let Error { kind, reason, text, metadata, subject, violations, retry_after } = error;
        let metadata: HashMap<String, String> = metadata.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        let mut details = ErrorDetails::with_error_info(reason, DOMAIN, metadata);
        match subject {
            Some(About::Resource(resource, name)) => {
                details.set_resource_info(format!("tollgate.v1/{resource}"), name, "", text.clone());
            }
            Some(About::State(subject)) => {
                details.add_precondition_failure_violation(reason, subject, text.clone());
            }
            None => {}
        }
        if kind == Kind::Invalid && reason != "MALFORMED_MESSAGE" {
            details.set_bad_request(
                violations.into_iter().map(|violation| FieldViolation::new(violation.field, violation.rule)).collect::<Vec<_>>(),
            );
        }
        if let Some(after) = retry_after {
            details.set_retry_info(Some(after));
        }
        let mut status = Self::with_error_details(code_of(kind), text, details);
        if let Some(pushback) = retry_after.and_then(|after| MetadataValue::try_from(after.as_millis().to_string()).ok()) {
            status.metadata_mut().insert(PUSHBACK, pushback);
        }
        status
    }
}

fn code_of(kind: Kind) -> Code {
    match kind {
        Kind::Invalid => Code::InvalidArgument,
        Kind::NotFound => Code::NotFound,
        Kind::AlreadyExists => Code::AlreadyExists,
        Kind::Precondition => Code::FailedPrecondition,
        Kind::Exhausted => Code::ResourceExhausted,
        Kind::Unavailable => Code::Unavailable,
        Kind::Unsupported => Code::Unimplemented,
        Kind::Internal => Code::Internal,
    }
}

/// The fields of a request that are wrong.
#[must_use]
pub fn invalid(violations: Vec<FieldViolation>, place: Position) -> Status {
    let named = |FieldViolation { field, description, .. }| Violation { field: format!("{place}{field}"), rule: description };
    Error::invalid(violations.into_iter().map(named).collect()).into()
}

/// A command was refused.
#[must_use]
pub fn refused(refusal: Refusal, subject: &Subject) -> Status {
    let least_scale = if refusal == Refusal::TooManyDecimals { 1 } else { 0 };
    let suspects = subject.amounts().into_iter().filter(|(_, quote)| quote.scale() >= least_scale);
    let rule = crate::service::error::text_of(refusal);
    let amounts = suspects.map(|(field, _)| Violation { field: format!("{}{field}", subject.place), rule: rule.to_owned() });
    Error::refused(refusal, &subject.command, amounts.collect()).into()
}

/// The original of a refund, or of a reversal, is not there.
#[must_use]
pub fn missing_original(missing: Missing, subject: &Subject) -> Status {
    Error::missing_original(missing, &subject.command).into()
}

/// The ledger gave no answer.
#[must_use]
pub fn no_answer(error: &LedgerError) -> Status {
    Error::from(error).into()
}

/// The billing store gave no answer to what was asked of an account, an invoice, or nothing in particular.
#[must_use]
pub fn no_bills(error: &BillingError, name: &str) -> Status {
    match error {
        BillingError::NotFound(_) => invoice_not_found(name),
        error => Error::from(error).into(),
    }
}

/// This service runs without a billing store.
#[must_use]
pub fn billing_not_configured() -> Status {
    Error::precondition("BILLING_NOT_CONFIGURED", "billing", "this service runs without a billing store").into()
}

/// There is no such document, or, of a payment, the account has no such invoice.
#[must_use]
pub fn invoice_not_found(number: &str) -> Status {
    Error::invoice_not_found(number).into()
}

/// More is to be written off than is due.
#[must_use]
pub fn exceeds_amount_due(account: &str, due: &str) -> Status {
    let text = format!("no more can be written off than is due: {due}");
    let error = Error::precondition("EXCEEDS_AMOUNT_DUE", format!("accounts/{account}"), text);
    error.with("account_id", account).with("amount_due", due).into()
}

/// There is no closed month to tell a credit limit from.
#[must_use]
pub fn no_history(account: &str) -> Status {
    let text = "there is no closed month of charges to estimate a limit from; name a limit";
    Error::precondition("NO_HISTORY", format!("accounts/{account}"), text).with("account_id", account).into()
}

/// A document cannot be written in the form that was asked for.
#[must_use]
pub fn no_form(reason: &dyn std::fmt::Display) -> Status {
    tracing::error!(%reason, "a document cannot be written");
    Error::new(Kind::Internal, "FORM_FAILED", "the document cannot be written in this form").into()
}

/// A bound of this process is reached.
#[must_use]
pub fn overloaded(text: &str) -> Status {
    Error::overloaded(text).into()
}

/// The caller's time is nearly over, and there is no answer yet.
#[must_use]
pub fn out_of_time(stage: Stage) -> Status {
    match stage {
        Stage::Looking => no_answer(&LedgerError::not_done("there was no answer within the caller's deadline")),
        Stage::AskingBilling => no_bills(&BillingError::unavailable("there was no answer within the caller's deadline"), ""),
        Stage::Sent => no_answer(&LedgerError::unknown("there was no answer within the caller's deadline")),
    }
}

/// What is told instead, if tonic could not take a message: too large, or not one at all.
#[must_use]
pub fn of_message(status: &Status, most: usize) -> Option<Status> {
    match status.code() {
        Code::OutOfRange => Some(message_too_large(most)),
        Code::Internal if status.details().is_empty() => {
            Some(Error::new(Kind::Invalid, "MALFORMED_MESSAGE", "the message is not one of this call").into())
        }
        _ => None,
    }
}

/// A message is larger than is taken.
fn message_too_large(most: usize) -> Status {
    Error::new(Kind::Exhausted, "MESSAGE_TOO_LARGE", format!("a message must have at most {most} bytes")).into()
}

/// A batch has more commands than are taken.
#[must_use]
pub fn batch_too_large(most: usize) -> Status {
    Error::new(Kind::Exhausted, "BATCH_TOO_LARGE", format!("a batch must have at most {most} commands")).into()
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
