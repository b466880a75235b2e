//! Reads the requests of ChargingService.

use super::limits::limit_change;
use super::reader::{FieldReader, MAX_SHOWN, Sign, is_word};
use crate::domain::account::{Category, Mode};
use crate::domain::command::{Action, Command, Debit, ExcessPolicy, Metadata, RemainderPolicy, Reserve, Reversal};
use crate::grpc::v1;
use crate::grpc::v1::debit_request::Remainder;

const DAY_SECONDS: i64 = 24 * 60 * 60;
const DEFAULT_VALIDITY: i64 = 10 * 60 * 1000;

/// Reads an AuthorizeRequest.
pub fn authorize(reader: &mut FieldReader, request: v1::AuthorizeRequest) -> Command {
    if request.reserve.is_none() {
        reader.refuse("reserve", "must be given");
    }
    let action = Action::Authorize(reserve(reader, request.reserve.unwrap_or_default()));
    let (metadata, _) = usage(reader, request.usage);
    let first_sent_at = reader.instant("first_sent_at", request.first_sent_at);
    Command { first_sent_at, metadata, ..reader.command(request.account_id, request.request_id, action) }
}

fn reserve(reader: &mut FieldReader, reserve: v1::Reserve) -> Reserve {
    reader.within("reserve", |reader| {
        let is_amount_given = reserve.amount.is_some();
        let amount = reader.amount("amount", reserve.amount, Sign::Positive);
        let minimum = reader.optional_amount("minimum", reserve.minimum, Sign::Positive);
        if is_amount_given && !amount.is_zero() && minimum.is_some_and(|minimum| minimum.exceeds(amount)) {
            reader.refuse("minimum.amount", "must be at most the amount");
        }
        let validity = reader.duration("validity", reserve.validity, 1..=DAY_SECONDS, DEFAULT_VALIDITY);
        let grace = reader.duration("grace", reserve.grace, 0..=DAY_SECONDS, validity);
        Reserve { amount, minimum, validity, grace }
    })
}

/// Reads a DebitRequest.
pub fn debit(reader: &mut FieldReader, request: v1::DebitRequest) -> Command {
    let amount = reader.amount("amount", request.amount, Sign::NotNegative);
    let reservation = (!request.reservation_id.is_empty()).then(|| reader.request_id("reservation_id", request.reservation_id));
    if reservation.is_none() && request.remainder.is_some() {
        reader.refuse("reservation_id", "must be given if something is to happen with the rest of a reservation");
    }
    let then = match request.remainder {
        None => RemainderPolicy::Settle,
        Some(Remainder::Keep(true)) => RemainderPolicy::Keep,
        Some(Remainder::Keep(false)) => {
            reader.refuse("keep", "must be true, or absent");
            RemainderPolicy::Keep
        }
        Some(Remainder::Reserve(wanted)) => RemainderPolicy::Reserve(reserve(reader, *wanted)),
    };
    let excess = match reader.choice("excess_policy", request.excess_policy) {
        Some(v1::ExcessPolicy::AlreadyConsumed) => ExcessPolicy::AlreadyConsumed,
        _ => ExcessPolicy::WithinUsableCredit,
    };
    let (metadata, category) = usage(reader, request.usage);
    let first_sent_at = reader.instant("first_sent_at", request.first_sent_at);
    let action = Action::Debit(Debit { amount, category, reservation, then, excess });
    Command { first_sent_at, metadata, ..reader.command(request.account_id, request.request_id, action) }
}

/// Reads a ReleaseRequest.
pub fn release(reader: &mut FieldReader, request: v1::ReleaseRequest) -> Command {
    let reservation = reader.request_id("reservation_id", request.reservation_id);
    let first_sent_at = reader.instant("first_sent_at", request.first_sent_at);
    Command { first_sent_at, ..reader.command(request.account_id, request.request_id, Action::Release { reservation }) }
}

/// Reads a RefundRequest.
pub fn refund(reader: &mut FieldReader, request: v1::RefundRequest) -> Command {
    let original = reader.request_id("charge_id", request.charge_id);
    let amount = reader.optional_amount("amount", request.amount, Sign::Positive);
    let metadata = Metadata { reason: reader.text("reason", request.reason, 0..=512), ..Metadata::default() };
    let first_sent_at = reader.instant("first_sent_at", request.first_sent_at);
    let action = Action::Refund(Reversal::of(original, amount));
    Command { first_sent_at, metadata, ..reader.command(request.account_id, request.request_id, action) }
}

/// Reads a ConvertRequest.
pub fn convert(reader: &mut FieldReader, request: v1::ConvertRequest) -> Command {
    let mode = needed_mode(reader, request.mode);
    let limit = limit_change(reader, request.credit_limit);
    let mut metadata = Metadata::default();
    reader.operator(request.operator, false, &mut metadata);
    let first_sent_at = reader.instant("first_sent_at", request.first_sent_at);
    let action = Action::Convert { mode, limit, allow_unusable: request.allow_unusable };
    Command { first_sent_at, metadata, ..reader.command(request.account_id, request.request_id, action) }
}

/// A payment mode that must be said.
pub fn needed_mode(reader: &mut FieldReader, number: i32) -> Mode {
    match v1::PaymentMode::try_from(number) {
        Ok(v1::PaymentMode::Prepaid) => Mode::Prepaid,
        Ok(v1::PaymentMode::Postpaid) => Mode::Postpaid,
        _ => {
            reader.refuse("mode", "must be PAYMENT_MODE_PREPAID or PAYMENT_MODE_POSTPAID");
            Mode::Prepaid
        }
    }
}

/// What was used, and what the charge is for.
fn usage(reader: &mut FieldReader, usage: Option<v1::Usage>) -> (Metadata, Category) {
    let Some(usage) = usage else { return (Metadata::default(), Category::Usage) };
    reader.within("usage", |reader| {
        let category = match reader.choice("category", usage.category) {
            None | Some(v1::ChargeCategory::Unspecified | v1::ChargeCategory::Usage) => Category::Usage,
            Some(v1::ChargeCategory::Subscription) => Category::Subscription,
            Some(v1::ChargeCategory::Hardware) => Category::Hardware,
            Some(v1::ChargeCategory::Service) => Category::Service,
        };
        let metadata = Metadata {
            category: Some(category),
            item: reader.word("item", usage.item, 64),
            description: reader.text("description", usage.description, 0..=256),
            quantity: reader.quantity("quantity", usage.quantity),
            unit: reader.word("unit", usage.unit, 32),
            occurred_at: reader.instant("occurred_at", usage.occurred_at),
            attributes: attributes(reader, usage.attributes),
            ..Metadata::default()
        };
        (metadata, category)
    })
}

/// Attributes in the order of their keys, so that equal ones have equal fingerprints.
fn attributes(reader: &mut FieldReader, attributes: std::collections::BTreeMap<String, String>) -> Vec<(String, String)> {
    if attributes.len() > 16 {
        reader.refuse("attributes", "must be at most 16");
        return Vec::new();
    }
    for (key, value) in &attributes {
        let field = || format!("attributes[{:?}]", key.chars().take(MAX_SHOWN).collect::<String>());
        if key.is_empty() || key.len() > 64 || !key.bytes().all(is_word) {
            reader.refuse(&field(), "must have a key of 1 to 64 characters out of A-Z a-z 0-9 . _ : / -");
        }
        if value.len() > 4 * 256 || value.chars().count() > 256 || value.chars().any(char::is_control) {
            reader.refuse(&field(), "must be at most 256 characters, none of them a control character");
        }
    }
    attributes.into_iter().collect()
}
