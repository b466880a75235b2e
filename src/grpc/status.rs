//! Errors as gRPC statuses: the only place that makes one.
//!
//! Each carries an ErrorInfo of the domain "tollgate"; its reason is part of the API. Details that help a program (BadRequest,
//! ResourceInfo, PreconditionFailure, RetryInfo) stand beside it. What an error says is decided in [`crate::service::error`].

use std::collections::HashMap;

use prost::Message;
use tonic::metadata::MetadataValue;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, FieldViolation, StatusExt};

use crate::service::error::{Error, Kind, Parts, Subject};

/// The domain of every ErrorInfo.
pub const DOMAIN: &str = "tollgate";

/// The most bytes of details: they travel in a header, and many clients take 8 KiB of headers at most.
const MOST_DETAILS: usize = 4096;

/// The most bytes of a text for people.
const MOST_TEXT: usize = 1024;

/// Tells clients that retry by themselves when to: <https://github.com/grpc/proposal/blob/master/A6-client-retries.md>.
const PUSHBACK: &str = "grpc-retry-pushback-ms";

/// An error as a status. Its cause is logged here, once.
#[must_use]
pub fn of(mut error: Error) -> Status {
    error.log();
    cut(&mut error.text, MOST_TEXT);
    loop {
        let status = written(&error);
        if status.details().len() <= MOST_DETAILS || !shorten(&mut error) {
            return status;
        }
    }
}

/// An error as it is.
fn written(error: &Error) -> Status {
    let Parts { kind, reason, text, metadata, subject, violations, retry_after, .. } = &**error;
    let metadata: HashMap<String, String> = metadata.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
    let mut details = ErrorDetails::with_error_info(*reason, DOMAIN, metadata);
    match subject {
        Some(Subject::Resource(resource, name)) => {
            details.set_resource_info(format!("tollgate.v1/{resource}"), name, "", text);
        }
        Some(Subject::State(subject)) => {
            details.add_precondition_failure_violation(*reason, subject, text);
        }
        None => {}
    }
    if !violations.is_empty() {
        let wrong = violations.iter().map(|violation| FieldViolation::new(&violation.field, &violation.rule));
        details.set_bad_request(wrong.collect::<Vec<_>>());
    }
    if let Some(after) = retry_after {
        details.set_retry_info(Some(*after));
    }
    let mut status = Status::with_error_details(code_of(*kind), text, details);
    if let Some(pushback) = retry_after.and_then(|after| MetadataValue::try_from(after.as_millis().to_string()).ok()) {
        status.metadata_mut().insert(PUSHBACK, pushback);
    }
    status
}

/// Leaves the last of several violations out, or halves the longest text; false: there is nothing left to shorten.
fn shorten(error: &mut Error) -> bool {
    let error = &mut **error;
    if error.violations.len() > 1 {
        return error.violations.pop().is_some();
    }
    let subject = error.subject.iter_mut().map(|subject| match subject {
        Subject::Resource(_, name) | Subject::State(name) => name,
    });
    let violations = error.violations.iter_mut().flat_map(|violation| [&mut violation.field, &mut violation.rule]);
    let texts = error.metadata.values_mut().chain(subject).chain(violations).chain(std::iter::once(&mut error.text));
    let Some(longest) = texts.max_by_key(|text| text.len()).filter(|text| text.len() > 16) else { return false };
    let half = longest.len() / 2;
    cut(longest, half);
    true
}

/// Cuts a text to a number of bytes.
fn cut(text: &mut String, most: usize) {
    text.truncate(text.floor_char_boundary(most));
}

fn code_of(kind: Kind) -> Code {
    match kind {
        Kind::Invalid => Code::InvalidArgument,
        Kind::NotFound => Code::NotFound,
        Kind::AlreadyExists => Code::AlreadyExists,
        Kind::Unauthenticated => Code::Unauthenticated,
        Kind::Denied => Code::PermissionDenied,
        Kind::Precondition => Code::FailedPrecondition,
        Kind::Exhausted => Code::ResourceExhausted,
        Kind::Unavailable => Code::Unavailable,
        Kind::Unsupported => Code::Unimplemented,
        Kind::Internal => Code::Internal,
    }
}

/// Returns what replaces a status that is not of our making, because a message cannot be taken, or there is no such method: each error
/// has an ErrorInfo. `None` if it is ours, or no error.
#[must_use]
pub fn completed(status: &Status, most: usize) -> Option<Status> {
    if status.code() == Code::Ok || !status.details().is_empty() {
        return None;
    }
    let error = match status.code() {
        Code::OutOfRange | Code::ResourceExhausted => return Some(message_too_large(most)),
        Code::Internal => Error::new(Kind::Invalid, "MALFORMED_MESSAGE", "the message is not one of this call"),
        Code::Unimplemented if status.message().contains("compressed") => {
            Error::new(Kind::Unsupported, "UNSUPPORTED_ENCODING", "messages may be compressed by gzip only")
        }
        Code::Unimplemented => Error::new(Kind::Unsupported, "UNKNOWN_METHOD", "there is no such service or method"),
        Code::NotFound => Error::new(Kind::NotFound, "UNKNOWN_NAME", status.message()),
        code => {
            let details = ErrorDetails::with_error_info("CALL_FAILED", DOMAIN, HashMap::new());
            return Some(Status::with_error_details(code, status.message(), details));
        }
    };
    let mut completed = of(error);
    if let Some(accepted) = status.metadata().get("grpc-accept-encoding") {
        completed.metadata_mut().insert("grpc-accept-encoding", accepted.clone());
    }
    Some(completed)
}

/// A message is larger than is taken.
fn message_too_large(most: usize) -> Status {
    of(Error::new(Kind::Exhausted, "MESSAGE_TOO_LARGE", format!("a message must have at most {most} bytes")))
}

/// An error as it stands in a batch's outcomes, details included.
#[must_use]
pub fn as_outcome(error: Error) -> tonic_types::Status {
    let status = of(error);
    tonic_types::Status::decode(status.details()).ok().filter(|decoded| decoded.code != 0).unwrap_or_else(|| tonic_types::Status {
        code: status.code().into(),
        message: status.message().to_owned(),
        details: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::error::Violation;

    #[test]
    fn details_fit_a_header() {
        let long = |character: char| character.to_string().repeat(3000);
        let violations = (0..20).map(|_| Violation { field: long('a'), rule: long('ü') }).collect();
        let error = Error::invalid(violations).with("account_id", long('日'));
        let status = of(error);
        assert!(status.details().len() <= MOST_DETAILS && status.message().len() <= MOST_TEXT);
        assert_eq!(status.get_details_error_info().unwrap().reason, "INVALID_REQUEST");
        assert_eq!(status.get_details_bad_request().unwrap().field_violations.len(), 1);
    }

    #[test]
    fn every_error_that_is_not_ours_gets_a_reason() {
        for code in (1..=16).map(Code::from_i32) {
            let completed = completed(&Status::new(code, "whatever"), 1).unwrap();
            assert_eq!(completed.get_details_error_info().unwrap().domain, DOMAIN, "{code:?}");
        }
        assert!(completed(&Status::ok(""), 1).is_none() && completed(&of(Error::stopping()), 1).is_none());
    }
}
