//! The reply to an operation: an outcome, a refusal, or nothing that tells whether it was done.

use rust_decimal::Decimal;
use tonic::{Code, Status};
use tonic_types::{RpcStatusExt, StatusExt};

use super::checked::{Amount, OutcomeKind};
use super::mix::Kind;
use crate::grpc::v1::{
    AuthorizeResponse, ConvertResponse, DebitResponse, Money, RefundResponse, ReleaseResponse, authorize_response, debit_response,
};

/// Millionths: what amounts are added up in.
pub type Millionths = i64;

/// An outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// So much was charged.
    Charged(Millionths),
    /// So much was charged of a reservation, and so much reserved anew.
    Reported(Millionths, Millionths),
    /// So much was reserved.
    Reserved(Millionths),
    /// A reservation was given back.
    Released,
    /// So much of a charge was given back.
    Refunded(Millionths),
    /// The mode was changed.
    Converted,
    /// The mode was that already.
    Unchanged,
    /// There was not enough credit.
    Declined,
    /// It was read.
    Read,
}

impl Outcome {
    /// For people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Charged(_) => "charged",
            Self::Reported(..) => "reported",
            Self::Reserved(_) => "reserved",
            Self::Released => "released",
            Self::Refunded(_) => "refunded",
            Self::Converted => "converted",
            Self::Unchanged => "unchanged",
            Self::Declined => "declined",
            Self::Read => "read",
        }
    }

    /// Whether what follows of a sequence has something to go on.
    pub fn goes_on(self) -> bool {
        !matches!(self, Self::Declined)
    }
}

/// No outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The failure: code and reason.
    pub kind: String,
    /// Whether the operation may have been done anyway.
    pub is_unknown: bool,
}

impl Failure {
    /// No answer came in time.
    pub fn timeout() -> Self {
        Self { kind: "no answer in time".to_owned(), is_unknown: true }
    }

    /// An answer that makes no sense.
    pub fn nonsense() -> Self {
        Self { kind: "an answer without an outcome".to_owned(), is_unknown: false }
    }

    fn of(code: Code, status: &impl StatusDetails) -> Self {
        let reason = status.reason().map_or_else(String::new, |reason| format!(" {reason}"));
        let retry = if code == Code::ResourceExhausted && status.says_when_to_retry() { ", with RetryInfo" } else { "" };
        Self { kind: format!("{code:?}{reason}{retry}"), is_unknown: leaves_unknown(code) }
    }
}

impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        Self::of(status.code(), &status)
    }
}

/// What a failure says beside its code: that of a call, or of a command in a batch.
trait StatusDetails {
    fn reason(&self) -> Option<String>;
    fn says_when_to_retry(&self) -> bool;
}

impl StatusDetails for Status {
    fn reason(&self) -> Option<String> {
        self.get_details_error_info().map(|info| info.reason)
    }

    fn says_when_to_retry(&self) -> bool {
        self.get_details_retry_info().is_some_and(|info| info.retry_delay.is_some())
    }
}

impl StatusDetails for tonic_types::Status {
    fn reason(&self) -> Option<String> {
        self.get_details_error_info().map(|info| info.reason)
    }

    fn says_when_to_retry(&self) -> bool {
        self.get_details_retry_info().is_some_and(|info| info.retry_delay.is_some())
    }
}

/// Whether a call that ended so may have had its effect.
fn leaves_unknown(code: Code) -> bool {
    matches!(code, Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled | Code::Unknown | Code::Internal | Code::DataLoss)
}

/// The outcome of a debit of that kind.
pub fn debit(kind: Kind, answer: &DebitResponse) -> Result<Outcome, Failure> {
    match &answer.outcome {
        Some(debit_response::Outcome::Charged(charged)) => {
            let reserved = charged.reservation.as_ref().map(|reservation| units(reservation.amount.as_ref())).transpose()?;
            Ok(charge(kind, units(charged.amount.as_ref())?, reserved))
        }
        Some(debit_response::Outcome::Declined(_)) => Ok(Outcome::Declined),
        None => Err(Failure::nonsense()),
    }
}

/// The outcome of an authorize.
pub fn authorize(answer: &AuthorizeResponse) -> Result<Outcome, Failure> {
    match &answer.outcome {
        Some(authorize_response::Outcome::Granted(granted)) => Ok(Outcome::Reserved(units(granted.amount.as_ref())?)),
        Some(authorize_response::Outcome::Declined(_)) => Ok(Outcome::Declined),
        None => Err(Failure::nonsense()),
    }
}

/// What was charged, and what is reserved then.
fn charge(kind: Kind, charged: Millionths, reserved: Option<Millionths>) -> Outcome {
    match kind {
        Kind::Report => Outcome::Reported(charged, reserved.unwrap_or_default()),
        _ => Outcome::Charged(charged),
    }
}

/// The outcome of a release.
pub fn release(_: &ReleaseResponse) -> Outcome {
    Outcome::Released
}

/// The outcome of a refund.
pub fn refund(answer: &RefundResponse) -> Result<Outcome, Failure> {
    Ok(Outcome::Refunded(units(answer.credited.as_ref())?))
}

/// The outcome of a convert.
pub fn convert(answer: &ConvertResponse) -> Outcome {
    if answer.converted { Outcome::Converted } else { Outcome::Unchanged }
}

/// The outcome of one command of a stream.
pub fn streamed(kind: Kind, told: Option<&OutcomeKind>) -> Result<Outcome, Failure> {
    let amount = |amount: &Option<Amount>| units_of(amount.as_ref().map_or("", |amount| &amount.amount)).ok_or_else(Failure::nonsense);
    match (kind, told) {
        (Kind::Debit | Kind::Report | Kind::Settle | Kind::Decline, Some(OutcomeKind::Debit(answer))) => {
            match (&answer.charged, &answer.declined) {
                (Some(charged), None) => {
                    let reserved = charged.reservation.as_ref().map(|reservation| amount(&reservation.amount)).transpose()?;
                    Ok(charge(kind, amount(&charged.amount)?, reserved))
                }
                (None, Some(_)) => Ok(Outcome::Declined),
                _ => Err(Failure::nonsense()),
            }
        }
        (Kind::Authorize | Kind::Reserve, Some(OutcomeKind::Authorize(answer))) => match (&answer.granted, &answer.declined) {
            (Some(granted), None) => Ok(Outcome::Reserved(amount(&granted.amount)?)),
            (None, Some(_)) => Ok(Outcome::Declined),
            _ => Err(Failure::nonsense()),
        },
        (Kind::Release, Some(OutcomeKind::Release(_))) => Ok(Outcome::Released),
        (Kind::Refund, Some(OutcomeKind::Refund(answer))) => Ok(Outcome::Refunded(amount(&answer.credited)?)),
        (Kind::Convert, Some(OutcomeKind::Convert(answer))) => Ok(if answer.converted { Outcome::Converted } else { Outcome::Unchanged }),
        (_, Some(OutcomeKind::Error(status))) => Err(Failure::of(Code::from_i32(status.code), status)),
        _ => Err(Failure::nonsense()),
    }
}

/// An amount of an answer.
pub fn units(money: Option<&Money>) -> Result<Millionths, Failure> {
    units_of(money.map_or("", |money| &money.amount)).ok_or_else(Failure::nonsense)
}

/// A decimal, in millionths; `None` if it is no decimal, or has more decimals than the service keeps.
pub fn units_of(text: &str) -> Option<Millionths> {
    let decimal = Decimal::from_str_exact(text).ok()?;
    let missing = 6_u32.checked_sub(decimal.scale())?;
    i64::try_from(decimal.mantissa().checked_mul(10_i128.pow(missing))?).ok()
}

/// An amount, for people.
pub fn decimal(units: Millionths) -> String {
    rust_decimal::Decimal::new(units, 6).normalize().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_exactly() {
        for (text, units) in [("0.37", Some(370_000)), ("-12.000001", Some(-12_000_001)), ("0.0000001", None), ("", None), ("1e3", None)] {
            assert_eq!(units_of(text), units, "{text}");
        }
    }

    #[test]
    fn only_an_answer_that_says_so_is_a_refusal() {
        assert!(Failure::from(Status::unavailable("gone")).is_unknown);
        assert!(Failure::from(Status::deadline_exceeded("late")).is_unknown);
        assert!(!Failure::from(Status::resource_exhausted("busy")).is_unknown);
        assert!(!Failure::from(Status::not_found("who?")).is_unknown);
    }
}
