//! Reads the requests of AccountService that change something.

use prost_types::Timestamp;

use super::charging::needed_mode;
use super::limits::limit_change;
use super::reader::{FieldReader, Sign};
use crate::domain::account::NonUsageBilling;
use crate::domain::command::{Action, Command, Create, Metadata, Reversal};
use crate::domain::money::MAX_DECIMALS;
use crate::domain::payment::PaymentDetails;
use crate::grpc::v1;
use crate::grpc::v1::update_account_request::LowCredit;

/// Reads a CreateAccountRequest.
pub fn create(reader: &mut FieldReader, request: v1::CreateAccountRequest) -> Command {
    let name = reader.text("name", request.name, 1..=200);
    let (currency, minor_digits) = reader.new_currency(&request.currency_code);
    let mode = needed_mode(reader, request.mode);
    let decimals = decimals(reader, request.decimals, minor_digits);
    let limit = limit_change(reader, request.credit_limit);
    let low_credit_threshold = reader.optional_amount("low_credit_threshold", request.low_credit_threshold, Sign::NotNegative);
    let non_usage_billing = non_usage_billing(reader, request.non_usage_billing).unwrap_or(NonUsageBilling::Consolidated);
    let mut metadata = Metadata::default();
    reader.operator(request.operator, false, &mut metadata);
    let first_sent_at = reader.instant("first_sent_at", request.first_sent_at);
    let action = Action::Create(Create {
        name,
        currency,
        minor_digits,
        decimals,
        mode,
        limit,
        low_credit_threshold,
        non_usage_billing,
        allow_unusable: request.allow_unusable,
    });
    Command { first_sent_at, metadata, ..reader.command(request.account_id, request.request_id, action) }
}

fn decimals(reader: &mut FieldReader, decimals: Option<i32>, minor_digits: u8) -> u8 {
    let Some(decimals) = decimals else { return (minor_digits + 4).min(MAX_DECIMALS) };
    match u8::try_from(decimals) {
        Ok(decimals) if (minor_digits..=MAX_DECIMALS).contains(&decimals) => decimals,
        _ => {
            reader.refuse("decimals", format!("must be {minor_digits} (the currency's minor unit) to {MAX_DECIMALS}"));
            MAX_DECIMALS
        }
    }
}

fn non_usage_billing(reader: &mut FieldReader, number: i32) -> Option<NonUsageBilling> {
    match reader.choice("non_usage_billing", number)? {
        v1::NonUsageBilling::Consolidated => Some(NonUsageBilling::Consolidated),
        v1::NonUsageBilling::OneByOne => Some(NonUsageBilling::OneByOne),
        v1::NonUsageBilling::Unspecified => None,
    }
}

/// Reads an UpdateAccountRequest.
pub fn update(reader: &mut FieldReader, request: v1::UpdateAccountRequest) -> Command {
    if request.name.is_none() && request.low_credit.is_none() && request.non_usage_billing == 0 {
        reader.refuse("", "must change something: name, low_credit or non_usage_billing");
    }
    let name = request.name.map(|name| reader.text("name", name, 1..=200));
    let low_credit_threshold = match request.low_credit {
        None => None,
        Some(LowCredit::LowCreditThreshold(threshold)) => {
            Some(reader.optional_amount("low_credit_threshold", Some(threshold), Sign::NotNegative))
        }
        Some(LowCredit::RemoveLowCreditThreshold(true)) => Some(None),
        Some(LowCredit::RemoveLowCreditThreshold(false)) => {
            reader.refuse("remove_low_credit_threshold", "must be true, or absent");
            None
        }
    };
    let non_usage_billing = non_usage_billing(reader, request.non_usage_billing);
    let mut metadata = Metadata::default();
    reader.operator(request.operator, false, &mut metadata);
    let first_sent_at = reader.instant("first_sent_at", request.first_sent_at);
    let action = Action::Update { name, low_credit_threshold, non_usage_billing };
    Command { first_sent_at, metadata, ..reader.command(request.account_id, request.request_id, action) }
}

/// Reads a TopUpRequest.
pub fn top_up(reader: &mut FieldReader, request: v1::TopUpRequest) -> Command {
    let amount = reader.amount("amount", request.amount, Sign::Positive);
    let first_sent_at = reader.instant("first_sent_at", request.first_sent_at);
    let mut metadata = Metadata::default();
    reader.operator(request.operator, false, &mut metadata);
    payment_details(reader, request.details, &mut metadata);
    Command { first_sent_at, metadata, ..reader.command(request.account_id, request.request_id, Action::TopUp { amount }) }
}

/// Reads what is said of a payment into the note of its command.
pub fn payment_details(reader: &mut FieldReader, details: Option<v1::PaymentDetails>, metadata: &mut Metadata) {
    let Some(v1::PaymentDetails { received_on, method, reference, remark }) = details else { return };
    let details = reader.within("details", |reader| {
        let received_at = reader.day("received_on", &received_on).map(|day| reader.start_of_day(day));
        if received_at.is_some_and(|at| at > reader.now()) {
            reader.refuse("received_on", "must not be after today");
        }
        PaymentDetails {
            received_at,
            method: reader.word("method", method, 32),
            reference: reader.text("reference", reference, 0..=140),
            remark: reader.text("remark", remark, 0..=200),
        }
    });
    details.write_to(metadata);
}

/// Reads a ReversePaymentRequest.
pub fn reverse_payment(reader: &mut FieldReader, request: v1::ReversePaymentRequest) -> Command {
    let original = reader.request_id("payment_id", request.payment_id);
    let amount = reader.optional_amount("amount", request.amount, Sign::Positive);
    let action = Action::ReversePayment(Reversal::of(original, amount));
    by_hand(reader, request.account_id, request.request_id, request.operator, request.first_sent_at, action)
}

/// Reads a WithdrawRequest.
pub fn withdraw(reader: &mut FieldReader, request: v1::WithdrawRequest) -> Command {
    let amount = reader.amount("amount", request.amount, Sign::Positive);
    by_hand(
        reader,
        request.account_id,
        request.request_id,
        request.operator,
        request.first_sent_at,
        Action::Withdraw { amount, is_paid_out: false },
    )
}

/// Reads an AdjustBalanceRequest.
pub fn adjust(reader: &mut FieldReader, request: v1::AdjustBalanceRequest) -> Command {
    let amount = reader.amount("amount", request.amount, Sign::NotZero);
    by_hand(reader, request.account_id, request.request_id, request.operator, request.first_sent_at, Action::Adjust { amount })
}

/// Reads a SetCreditLimitRequest.
pub fn set_credit_limit(reader: &mut FieldReader, request: v1::SetCreditLimitRequest) -> Command {
    if request.credit_limit.as_ref().is_none_or(|change| change.permanent.is_none() && change.temporary.is_none()) {
        reader.refuse("credit_limit", "must change something: permanent, set_temporary or remove_temporary");
    }
    let limit = limit_change(reader, request.credit_limit);
    let action = Action::SetCreditLimit { limit, allow_unusable: request.allow_unusable };
    by_hand(reader, request.account_id, request.request_id, request.operator, request.first_sent_at, action)
}

/// Reads a SuspendAccountRequest.
pub fn suspend(reader: &mut FieldReader, request: v1::SuspendAccountRequest) -> Command {
    by_hand(reader, request.account_id, request.request_id, request.operator, request.first_sent_at, Action::Suspend)
}

/// Reads a ResumeAccountRequest.
pub fn resume(reader: &mut FieldReader, request: v1::ResumeAccountRequest) -> Command {
    by_hand(reader, request.account_id, request.request_id, request.operator, request.first_sent_at, Action::Resume)
}

/// Reads a CloseAccountRequest.
pub fn close(reader: &mut FieldReader, request: v1::CloseAccountRequest) -> Command {
    by_hand(reader, request.account_id, request.request_id, request.operator, request.first_sent_at, Action::Close)
}

/// Reads a ReopenAccountRequest.
pub fn reopen(reader: &mut FieldReader, request: v1::ReopenAccountRequest) -> Command {
    by_hand(reader, request.account_id, request.request_id, request.operator, request.first_sent_at, Action::Reopen)
}

/// A command that somebody gives by hand, and must say why.
pub fn by_hand(
    reader: &mut FieldReader,
    account: String,
    request_id: String,
    operator: Option<v1::Operator>,
    first_sent_at: Option<Timestamp>,
    action: Action,
) -> Command {
    let mut metadata = Metadata::default();
    reader.operator(operator, true, &mut metadata);
    let first_sent_at = reader.instant("first_sent_at", first_sent_at);
    Command { first_sent_at, metadata, ..reader.command(account, request_id, action) }
}
