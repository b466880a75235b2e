//! What is asked, as messages of the API, and its answers as the checker reads them.

use rust_decimal::Decimal;
use tollgate::grpc::v1::{self, charge_command::Command, charge_outcome, debit_request::Remainder};
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::checker::evidence::{Answer, Ask, Credit, Debit, Outcome, Then, What};
use crate::service::money;

pub fn decimal(text: &str) -> Decimal {
    text.parse().unwrap()
}

fn amount(money: Option<&v1::Money>) -> Decimal {
    money.map_or(Decimal::ZERO, |money| decimal(&money.amount))
}

pub fn credit_of(credit: &v1::Credit) -> Credit {
    Credit {
        is_postpaid: credit.mode() == v1::PaymentMode::Postpaid,
        balance: decimal(&credit.balance),
        unbilled: decimal(&credit.unbilled),
        reserved: decimal(&credit.reserved),
        limit: decimal(&credit.credit_limit),
        usable: decimal(&credit.usable),
    }
}

pub fn operator() -> Option<v1::Operator> {
    Some(v1::Operator { actor: "tester".into(), reason: "it is tested".into() })
}

fn reserve(amount: Decimal, minimum: Option<Decimal>, lasts: i64) -> v1::Reserve {
    // Half of it to report, half of it as a grace.
    let half = Some(prost_types::Duration { seconds: lasts / 2_000, nanos: 0 });
    let minimum = minimum.and_then(|minimum| money(&minimum.to_string()));
    v1::Reserve { amount: money(&amount.to_string()), minimum, validity: half, grace: half }
}

/// The command that a stream takes, if it is one.
pub fn command(ask: &Ask) -> Option<Command> {
    let (account_id, request_id) = (ask.account.clone(), ask.request.clone());
    Some(match &ask.what {
        What::Authorize { amount, minimum, lasts } => Command::Authorize(v1::AuthorizeRequest {
            account_id,
            request_id,
            reserve: Some(reserve(*amount, *minimum, *lasts)),
            ..Default::default()
        }),
        What::Debit(debit) => Command::Debit(debit_request(account_id, request_id, debit)),
        What::Release { reservation } => {
            Command::Release(v1::ReleaseRequest { account_id, request_id, reservation_id: reservation.clone(), ..Default::default() })
        }
        What::Refund { charge, amount } => Command::Refund(v1::RefundRequest {
            account_id,
            request_id,
            charge_id: charge.clone(),
            amount: amount.and_then(|amount| money(&amount.to_string())),
            ..Default::default()
        }),
        What::Convert { to_postpaid } => {
            let mode = if *to_postpaid { v1::PaymentMode::Postpaid } else { v1::PaymentMode::Prepaid };
            Command::Convert(v1::ConvertRequest {
                account_id,
                request_id,
                mode: mode.into(),
                allow_unusable: true,
                operator: operator(),
                ..Default::default()
            })
        }
        What::Look => Command::GetUsableCredit(v1::GetUsableCreditRequest { account_id }),
        _ => return None,
    })
}

fn debit_request(account_id: String, request_id: String, debit: &Debit) -> v1::DebitRequest {
    let category = if debit.is_hardware { v1::ChargeCategory::Hardware } else { v1::ChargeCategory::Usage };
    let excess = if debit.is_consumed { v1::ExcessPolicy::AlreadyConsumed } else { v1::ExcessPolicy::WithinUsableCredit };
    let remainder = match &debit.then {
        Then::Settle => None,
        Then::Keep => Some(Remainder::Keep(true)),
        Then::Reserve { amount, lasts } => Some(Remainder::Reserve(Box::new(reserve(*amount, None, *lasts)))),
    };
    v1::DebitRequest {
        account_id,
        request_id,
        amount: money(&debit.amount.to_string()),
        reservation_id: debit.against.clone().unwrap_or_default(),
        remainder,
        excess_policy: excess.into(),
        usage: Some(v1::Usage { item: "call".into(), category: category.into(), ..Default::default() }),
        ..Default::default()
    }
}

pub fn done(replayed: bool, outcome: Outcome, credit: Option<&v1::Credit>) -> Answer {
    Answer::Done { replayed, outcome, credit: credit.map(credit_of) }
}

fn declined(decline: &v1::Decline) -> Outcome {
    Outcome::Declined { shortfall: amount(decline.shortfall.as_ref()) }
}

/// The answer to a command.
pub fn answer(outcome: charge_outcome::Outcome) -> Answer {
    use charge_outcome::Outcome as Said;
    match outcome {
        Said::Authorize(said) => {
            let outcome = match said.outcome.as_ref().unwrap() {
                v1::authorize_response::Outcome::Granted(granted) => Outcome::Amount(amount(granted.amount.as_ref())),
                v1::authorize_response::Outcome::Declined(decline) => declined(decline),
            };
            done(said.replayed, outcome, said.credit.as_ref())
        }
        Said::Debit(said) => {
            let outcome = match said.outcome.as_ref().unwrap() {
                v1::debit_response::Outcome::Charged(charged) => Outcome::Amount(amount(charged.amount.as_ref())),
                v1::debit_response::Outcome::Declined(decline) => declined(decline),
            };
            done(said.replayed, outcome, said.credit.as_ref())
        }
        Said::Release(said) => done(said.replayed, Outcome::Amount(amount(said.released.as_ref())), said.credit.as_ref()),
        Said::Refund(said) => done(said.replayed, Outcome::Amount(amount(said.refunded.as_ref())), said.credit.as_ref()),
        Said::Convert(said) => done(said.replayed, changed(said.converted), said.credit.as_ref()),
        Said::GetUsableCredit(said) => done(true, Outcome::Done, said.credit.as_ref()),
        Said::Error(error) => refused(Code::from_i32(error.code), &error.message, reason(&error)),
    }
}

pub fn changed(is_changed: bool) -> Outcome {
    if is_changed { Outcome::Done } else { Outcome::Unchanged }
}

fn reason(error: &tonic_types::pb::Status) -> String {
    let found = tonic_types::StatusExt::get_details_error_info(&Status::with_details(
        Code::from_i32(error.code),
        &error.message,
        prost::Message::encode_to_vec(error).into(),
    ));
    found.map(|info| info.reason).unwrap_or_default()
}

pub fn failed(status: &Status) -> Answer {
    let reason = status.get_details_error_info().map(|info| info.reason).unwrap_or_default();
    refused(status.code(), status.message(), reason)
}

/// What an error says: by its reason, as the API's document has it. Without one it comes from what carried the call.
fn refused(code: Code, message: &str, reason: String) -> Answer {
    match &*reason {
        "" | "OUTCOME_UNKNOWN" | "DURABILITY_UNKNOWN" | "SERVICE_STOPPING" | "CALL_FAILED" => {
            Answer::Unclear(format!("{code:?} {reason} {message}"))
        }
        "STORE_UNAVAILABLE" | "STORE_FULL" | "STORE_CORRUPT" | "JOURNAL_FULL" | "OVERLOADED" | "CALLER_LIMIT" | "BILLING_UNAVAILABLE" => {
            Answer::NotDone(reason)
        }
        _ => Answer::Refused(reason),
    }
}
