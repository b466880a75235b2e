//! Why a use case gave no answer, or refused: one error for all protocols, which only render it.
//!
//! Each has a reason in capitals, which is part of the API, a text for people, and what helps a program: the fields that are wrong, what
//! it is about, and when to try again. The text is made from what is known of the outcome alone: nothing was done, or that is unknown.
//! What a store says of itself is the error's cause: it is logged once, where a protocol renders the error, and never shown to a caller.

mod refusals;
mod stores;

use std::collections::BTreeMap;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use access::Reached;
use platform::telemetry::logs::Repeated;
pub use refusals::{Missing, text_of};

const RETRY_STORE: Duration = Duration::from_millis(500);
const RETRY_OVERLOAD: Duration = Duration::from_millis(100);

/// Another process takes calls already, or this one will soon.
const RETRY_ELSEWHERE: Duration = Duration::from_millis(100);

/// The kind of an error: what a caller has to do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The request is wrong, whatever the state of things.
    Invalid,
    /// What it is about does not exist.
    NotFound,
    /// What it would make exists.
    AlreadyExists,
    /// The caller is unknown.
    Unauthenticated,
    /// The caller may not do it.
    Denied,
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
    /// The subject is in a state that does not allow it: "accounts/acme".
    State(String),
}

/// A field of a request, and what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Its path in the request; empty for the request as a whole.
    pub field: String,
    /// What would be right.
    pub rule: String,
}

/// What went wrong behind an error, for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Cause {
    event: &'static str,
    detail: Arc<str>,
}

/// Why a use case gave no answer, or refused. It is a pointer, because errors are rare and results are many.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error(Box<Parts>);

/// What an error consists of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parts {
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
    cause: Option<Cause>,
}

impl Deref for Error {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

impl DerefMut for Error {
    fn deref_mut(&mut self) -> &mut Parts {
        &mut self.0
    }
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} ({})", self.text, self.reason)
    }
}

impl std::error::Error for Error {}

impl Error {
    /// An error without further details.
    pub fn new(kind: Kind, reason: &'static str, text: impl Into<String>) -> Self {
        let (metadata, violations) = (BTreeMap::new(), Vec::new());
        Self(Box::new(Parts { kind, reason, text: text.into(), metadata, subject: None, violations, retry_after: None, cause: None }))
    }

    fn because(mut self, event: &'static str, detail: &Arc<str>) -> Self {
        self.cause = Some(Cause { event, detail: Arc::clone(detail) });
        self
    }

    pub(super) fn of(mut self, subject: Subject) -> Self {
        self.subject = Some(subject);
        self
    }

    fn retried_after(mut self, time: Duration) -> Self {
        self.retry_after = Some(time);
        self
    }

    /// Whether the outcome of the request is unknown, or may change a moment later.
    #[must_use]
    pub fn leaves_open(&self) -> bool {
        matches!(self.kind, Kind::Unavailable | Kind::Exhausted | Kind::Internal)
    }

    /// Logs the cause, if there is one; that of one kind at most once a second, with how often it happened.
    pub fn log(&self) {
        static SEEN: Mutex<BTreeMap<&'static str, Repeated>> = Mutex::new(BTreeMap::new());
        let Some(Cause { event, detail: reason }) = &self.cause else { return };
        let times = SEEN.lock().unwrap_or_else(PoisonError::into_inner).entry(event).or_default().times();
        match (times, self.kind) {
            (None, _) => {}
            (Some(times), Kind::Unavailable) => tracing::warn!(%reason, times, "{event}"),
            (Some(times), _) => tracing::error!(%reason, times, "{event}"),
        }
    }

    /// A state that does not allow it.
    pub fn precondition(reason: &'static str, about: impl Into<String>, text: impl Into<String>) -> Self {
        Self::new(Kind::Precondition, reason, text).of(Subject::State(about.into()))
    }

    /// What the caller may not do.
    pub fn denied(reason: &'static str, text: impl Into<String>) -> Self {
        Self::new(Kind::Denied, reason, text)
    }

    /// The caller has to say who it is.
    #[must_use]
    pub fn credentials_required() -> Self {
        let text =
            "this service needs credentials: the header authorization with \"Bearer \" and a key or a token, or a client certificate";
        Self::new(Kind::Unauthenticated, "CREDENTIALS_REQUIRED", text)
    }

    /// What the caller presented lets nobody in.
    #[must_use]
    pub fn credentials_invalid() -> Self {
        Self::new(Kind::Unauthenticated, "CREDENTIALS_INVALID", "the credentials are not valid")
    }

    /// The credentials of a stream no longer hold: nothing more is read of it.
    #[must_use]
    pub fn credentials_ended() -> Self {
        let text = "the credentials of this stream have expired, were revoked, or are granted nothing any more: the stream ends";
        Self::new(Kind::Unauthenticated, "CREDENTIALS_ENDED", text)
    }

    /// The caller has its share of the service.
    #[must_use]
    pub fn over_its_share(reached: Reached) -> Self {
        let (text, wait) = match reached {
            Reached::Rate(wait) => ("this caller sends more requests a second than it may", wait),
            Reached::Calls => ("this caller has as many calls under way as it may", RETRY_OVERLOAD),
        };
        // What is rounded down would be too early.
        let wait = Duration::from_millis(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX).saturating_add(1));
        Self::new(Kind::Exhausted, "CALLER_LIMIT", text).with("limit", reached.limit()).retried_after(wait)
    }

    /// The subject does not exist.
    pub fn not_found(reason: &'static str, resource: &'static str, name: &str, text: impl Into<String>) -> Self {
        Self::new(Kind::NotFound, reason, text).of(Subject::Resource(resource, name.to_owned()))
    }

    /// What cannot be answered now.
    pub fn unavailable(reason: &'static str, text: impl Into<String>, retry_after: Duration) -> Self {
        Self::new(Kind::Unavailable, reason, text).retried_after(retry_after)
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

    /// A field of a request that is wrong, and what would be right.
    #[must_use]
    pub fn invalid_field(field: &str, rule: impl Into<String>) -> Self {
        Self::invalid(vec![Violation { field: field.to_owned(), rule: rule.into() }])
    }

    /// Fields that are wrong for a reason of their own.
    #[must_use]
    pub fn invalid_because(reason: &'static str, violations: Vec<Violation>) -> Self {
        let mut error = Self::new(Kind::Invalid, reason, text_of_violations(&violations));
        error.violations = violations;
        error
    }

    /// The same error where the fields are those of a message within the request; `path` ends with a point.
    #[must_use]
    pub fn within(mut self, path: impl fmt::Display) -> Self {
        if !self.violations.is_empty() {
            for violation in &mut self.violations {
                violation.field = format!("{path}{}", violation.field);
            }
            self.text = text_of_violations(&self.violations);
        }
        self
    }

    /// There is no such document, or, of a payment, the account has no such invoice.
    #[must_use]
    pub fn invoice_not_found(number: &str) -> Self {
        Self::not_found("INVOICE_NOT_FOUND", "invoice", number, "there is no such invoice").with("number", number)
    }

    /// There was such a document, and its term is over.
    #[must_use]
    pub fn invoice_not_kept(number: &str) -> Self {
        let text = "the invoice is no longer kept: its term is over (--keep-documents-years)";
        Self::not_found("INVOICE_NOT_FOUND", "invoice", number, text).with("number", number)
    }

    /// A document cannot be written in the form that was asked for.
    #[must_use]
    pub fn no_form(reason: &dyn fmt::Display) -> Self {
        let error = Self::new(Kind::Internal, "FORM_FAILED", "the document cannot be written in this form");
        error.because("a document cannot be written", &reason.to_string().into())
    }

    /// This service runs without a billing store.
    #[must_use]
    pub fn billing_not_configured() -> Self {
        Self::precondition("BILLING_NOT_CONFIGURED", "billing", "this service runs without a billing store")
    }

    /// There is no closed month from which to estimate a credit limit.
    #[must_use]
    pub fn no_history(account: &str) -> Self {
        let text = "there is no closed month of charges to estimate a limit from; name a limit";
        Self::precondition("NO_HISTORY", format!("accounts/{account}"), text).with("account_id", account)
    }

    /// A batch has more commands than are taken.
    #[must_use]
    pub fn batch_too_large(most: usize) -> Self {
        Self::new(Kind::Exhausted, "BATCH_TOO_LARGE", format!("a batch must have at most {most} commands"))
    }

    /// The service stops: what was read is answered, and nothing more is read.
    #[must_use]
    pub fn stopping() -> Self {
        let text = "the service stops: what it has read is answered, and it reads no more; connect again and go on there";
        Self::unavailable("SERVICE_STOPPING", text, RETRY_ELSEWHERE)
    }

    /// A bound of this process is reached.
    #[must_use]
    pub fn overloaded(text: &str) -> Self {
        Self::new(Kind::Exhausted, "OVERLOADED", text).retried_after(RETRY_OVERLOAD)
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
}

/// The errors of fields, for people.
fn text_of_violations(violations: &[Violation]) -> String {
    let name = |field: &str| if field.is_empty() { "the request".to_owned() } else { field.to_owned() };
    match violations {
        [] => "the request is invalid".to_owned(),
        [one] => format!("{} {}", name(&one.field), one.rule),
        [one, others @ ..] => format!("{} {} (and {} more)", name(&one.field), one.rule, others.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_of_a_command_in_a_batch_is_named_by_its_path() {
        let error = Error::invalid_field("amount.amount", "must be above zero").within("commands[2].debit.");
        assert_eq!(error.text, "commands[2].debit.amount.amount must be above zero");
        let error = Error::store_unavailable().within("commands[2].debit.");
        assert_eq!(error, Error::store_unavailable());
    }
}
