//! Errors of commands, and exit codes.
//!
//! | exit code | what it means |
//! | --- | --- |
//! | 0 | done; also: it was so already, or was done by an earlier request of the same id |
//! | 1 | refused or declined, and nothing was changed; stderr says why |
//! | 2 | no such command line |
//! | 3 | no answer: the service is not there, or cannot reach its store; repeating with the same `--request-id` is safe |

use std::fmt;

use serde_json::{Value, json};
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::billing::BillingError;
use crate::http::problem::Problem;
use crate::ledger::LedgerError;
use crate::telemetry::metrics::code_name;

/// What the process exits with, if it was told no.
pub const REFUSED: u8 = 1;

/// What the process exits with, if there was no answer.
pub const UNAVAILABLE: u8 = 3;

/// Why a command did not do what it was told.
#[derive(Debug)]
pub struct Failure {
    exit_code: u8,
    text: String,
    /// What HTTP/JSON says of it, if a call failed.
    problem: Option<Value>,
}

impl Failure {
    /// The answer was no.
    #[must_use]
    pub fn refused(text: impl Into<String>) -> Self {
        Self { exit_code: REFUSED, text: text.into(), problem: None }
    }

    /// There was no answer.
    #[must_use]
    pub fn unavailable(text: impl Into<String>) -> Self {
        Self { exit_code: UNAVAILABLE, text: text.into(), problem: None }
    }

    /// The result of a call.
    #[must_use]
    pub fn of_call(status: &Status) -> Self {
        let details = status.get_error_details();
        let reason = details.error_info().map(|info| info.reason.as_str());
        let mut text = status.message().to_owned();
        if let Some(resource) = details.resource_info().filter(|resource| !resource.resource_name.is_empty()) {
            text += &format!(": {}", resource.resource_name);
        }
        text += &match reason {
            Some(reason) => format!(" ({reason})"),
            // It comes from the connection, whose innermost error says why: that a certificate is required, for instance.
            None => match innermost(status) {
                Some(why) => format!(": {why} ({})", code_name(status.code())),
                None => format!(" ({})", code_name(status.code())),
            },
        };
        for violation in details.bad_request().into_iter().flat_map(|request| &request.field_violations) {
            text += &format!("\n  {} {}", violation.field, violation.description);
        }
        let exit_code = if is_no_answer(status.code(), reason) { UNAVAILABLE } else { REFUSED };
        Self { exit_code, text, problem: Some(Problem::of(status).into_body()) }
    }
}

/// What an error has come from.
fn innermost(error: &dyn std::error::Error) -> Option<String> {
    let mut source = error.source()?;
    while let Some(further) = source.source() {
        source = further;
    }
    Some(source.to_string())
}

/// Whether a status says that nothing was decided. The service gives each of its errors a reason; what has none comes from the
/// connection.
fn is_no_answer(code: Code, reason: Option<&str>) -> bool {
    match reason {
        Some(reason) => code == Code::Unavailable || reason == "OVERLOADED",
        None => {
            matches!(code, Code::Unavailable | Code::Unknown | Code::Cancelled | Code::DeadlineExceeded | Code::Internal | Code::Aborted)
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

impl std::error::Error for Failure {}

/// Why ledger and billing store could not be opened: refused, or a store was unavailable.
#[must_use]
pub fn stores_failure(error: anyhow::Error) -> Failure {
    let is_no_answer = error.chain().any(|cause| {
        cause.is::<redis::RedisError>()
            || cause.is::<rusqlite::Error>()
            || matches!(cause.downcast_ref(), Some(BillingError::Unavailable(_)))
            || matches!(cause.downcast_ref(), Some(LedgerError::NotDone(_) | LedgerError::Unknown(_) | LedgerError::NotDurable(_)))
    });
    let text = format!("{error:#}");
    if is_no_answer { Failure::unavailable(text) } else { Failure::refused(text) }
}

/// What the process exits with because of an error.
#[must_use]
pub fn exit_code(error: &anyhow::Error) -> u8 {
    error.chain().find_map(|cause| cause.downcast_ref::<Failure>()).map_or(REFUSED, |failure| failure.exit_code)
}

/// An error for programs: the problem of RFC 9457 that HTTP/JSON returns; of what did not come from a call, its text.
pub fn problem(error: &anyhow::Error) -> Value {
    let problem = error.chain().find_map(|cause| cause.downcast_ref::<Failure>()?.problem.clone());
    problem.unwrap_or_else(|| {
        let title = if exit_code(error) == UNAVAILABLE { "No answer" } else { "Refused" };
        json!({ "type": "about:blank", "title": title, "detail": format!("{error:#}") })
    })
}

/// A status, for people.
pub fn explain(status: Status) -> anyhow::Error {
    Failure::of_call(&status).into()
}

#[cfg(test)]
mod tests {
    use anyhow::Context;

    use super::*;

    #[test]
    fn no_answer_is_told_from_a_refusal() {
        let gone: anyhow::Result<()> = Err(Failure::of_call(&Status::unavailable("transport error")).into());
        assert_eq!(exit_code(&gone.context("while asking").unwrap_err()), UNAVAILABLE);
        assert_eq!(exit_code(&Failure::of_call(&Status::not_found("there is no such account")).into()), REFUSED);
        assert_eq!(exit_code(&anyhow::anyhow!("a file cannot be read")), REFUSED);
    }
}
