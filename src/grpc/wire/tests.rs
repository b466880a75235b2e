//! What is refused at the edge, and at which field.

use proptest::prelude::*;
use prost_types::{Duration, Timestamp};

use super::reader::{FieldReader, MAX_VIOLATIONS};
use super::{accounts, charging};
use crate::domain::command::{Action, Command, Reserve};
use crate::domain::money::{DecimalAmount, Units};
use crate::domain::time::UnixMillis;
use crate::grpc::v1;
use crate::grpc::v1::credit_limit_change::Temporary;
use crate::grpc::v1::debit_request::Remainder;
use crate::grpc::v1::temporary_credit_limit::End;
use crate::grpc::v1::update_account_request::LowCredit;

const NOW: UnixMillis = UnixMillis::new(1_800_000_000_000);

fn read<Q>(request: Q, read: fn(&mut FieldReader, Q) -> Command) -> Result<Command, Vec<String>> {
    let mut reader = FieldReader::new(NOW);
    let command = read(&mut reader, request);
    reader.finish(command).map_err(|violations| violations.into_iter().map(|violation| violation.field).collect())
}

fn refused<Q>(request: Q, reads: fn(&mut FieldReader, Q) -> Command) -> Vec<String> {
    read(request, reads).err().unwrap_or_default()
}

fn money(amount: &str) -> Option<v1::Money> {
    Some(v1::Money { amount: amount.into(), currency_code: String::new() })
}

fn money_in(amount: &str, code: &str) -> Option<v1::Money> {
    Some(v1::Money { amount: amount.into(), currency_code: code.into() })
}

fn operator() -> Option<v1::Operator> {
    Some(v1::Operator { actor: "ann".into(), reason: "asked to".into() })
}

fn authorize() -> v1::AuthorizeRequest {
    v1::AuthorizeRequest {
        account_id: "acme".into(),
        request_id: "r1".into(),
        reserve: Some(v1::Reserve { amount: money("5"), ..Default::default() }),
        ..Default::default()
    }
}

fn debit() -> v1::DebitRequest {
    v1::DebitRequest { account_id: "acme".into(), request_id: "r1".into(), amount: money("5"), ..Default::default() }
}

fn create() -> v1::CreateAccountRequest {
    v1::CreateAccountRequest {
        account_id: "acme".into(),
        request_id: "r1".into(),
        name: "Acme".into(),
        currency_code: "USD".into(),
        mode: v1::PaymentMode::Prepaid.into(),
        ..Default::default()
    }
}

fn limit(temporary: Temporary) -> Option<v1::CreditLimitChange> {
    Some(v1::CreditLimitChange { permanent: None, temporary: Some(temporary) })
}

fn temporary(end: Option<End>) -> Temporary {
    Temporary::SetTemporary(v1::TemporaryCreditLimit { limit: money("10"), end })
}

#[test]
fn a_request_within_its_bounds_becomes_a_command_with_defaults() {
    let command = read(authorize(), charging::authorize).unwrap();
    let wanted = Reserve { amount: DecimalAmount::new(5, 0), minimum: None, validity: 600_000, grace: 600_000 };
    assert_eq!(command.action, Action::Authorize(wanted));
    let Action::Create(created) = read(create(), accounts::create).unwrap().action else { panic!("another action") };
    assert_eq!((created.minor_digits, created.decimals), (2, 6));
    let yen = v1::CreateAccountRequest { currency_code: "JPY".into(), ..create() };
    let Action::Create(created) = read(yen, accounts::create).unwrap().action else { panic!("another action") };
    assert_eq!((created.minor_digits, created.decimals), (0, 4));
}

#[test]
fn ids_out_of_bounds_are_refused() {
    for id in ["", "-acme", "ac me", "acmé", "a\0", &"a".repeat(129)] {
        assert_eq!(refused(v1::AuthorizeRequest { account_id: id.into(), ..authorize() }, charging::authorize), ["account_id"], "{id:?}");
    }
    for id in ["", "r 1", "ré", "r\n", &"r".repeat(129)] {
        assert_eq!(refused(v1::AuthorizeRequest { request_id: id.into(), ..authorize() }, charging::authorize), ["request_id"], "{id:?}");
    }
}

#[test]
fn what_is_to_be_reserved_is_held_to_its_bounds() {
    let seconds = |seconds| Some(Duration { seconds, nanos: 0 });
    let reserve = v1::Reserve { amount: money("5"), ..Default::default() };
    let table = [
        (v1::Reserve { amount: None, ..reserve.clone() }, "reserve.amount"),
        (v1::Reserve { amount: money("0"), ..reserve.clone() }, "reserve.amount.amount"),
        (v1::Reserve { amount: money("-1"), ..reserve.clone() }, "reserve.amount.amount"),
        (v1::Reserve { amount: money("1e3"), ..reserve.clone() }, "reserve.amount.amount"),
        (v1::Reserve { amount: money("0.1234567"), ..reserve.clone() }, "reserve.amount.amount"),
        (v1::Reserve { amount: money_in("5", "usd"), ..reserve.clone() }, "reserve.amount.currency_code"),
        (v1::Reserve { minimum: money("5.01"), ..reserve.clone() }, "reserve.minimum.amount"),
        (v1::Reserve { minimum: money("0"), ..reserve.clone() }, "reserve.minimum.amount"),
        (v1::Reserve { validity: seconds(0), ..reserve.clone() }, "reserve.validity"),
        (v1::Reserve { validity: seconds(86_401), ..reserve.clone() }, "reserve.validity"),
        (v1::Reserve { validity: Some(Duration { seconds: 1, nanos: -1 }), ..reserve.clone() }, "reserve.validity"),
        (v1::Reserve { grace: seconds(-1), ..reserve.clone() }, "reserve.grace"),
        (v1::Reserve { grace: seconds(i64::MAX), ..reserve.clone() }, "reserve.grace"),
    ];
    for (reserve, field) in table {
        assert_eq!(refused(v1::AuthorizeRequest { reserve: Some(reserve), ..authorize() }, charging::authorize), [field]);
    }
}

#[test]
fn all_amounts_of_a_request_are_in_one_currency() {
    let reserve = v1::Reserve { amount: money_in("5", "USD"), minimum: money_in("1", "EUR"), ..Default::default() };
    let fields = refused(v1::AuthorizeRequest { reserve: Some(reserve), ..authorize() }, charging::authorize);
    assert_eq!(fields, ["reserve.minimum.currency_code"]);
    let threshold = v1::CreateAccountRequest { low_credit_threshold: money_in("5", "EUR"), ..create() };
    assert_eq!(refused(threshold, accounts::create), ["low_credit_threshold.currency_code"]);
    let command = read(v1::DebitRequest { amount: money_in("5", "USD"), ..debit() }, charging::debit).unwrap();
    assert_eq!(command.currency.unwrap().code(), "USD");
}

#[test]
fn a_debit_is_held_to_its_bounds() {
    let named = v1::DebitRequest { reservation_id: "a1".into(), ..debit() };
    let table = [
        (v1::DebitRequest { amount: money("-0.01"), ..debit() }, "amount.amount"),
        (v1::DebitRequest { amount: None, ..debit() }, "amount"),
        (v1::DebitRequest { remainder: Some(Remainder::Keep(true)), ..debit() }, "reservation_id"),
        (v1::DebitRequest { remainder: Some(Remainder::Keep(false)), ..named.clone() }, "keep"),
        (v1::DebitRequest { remainder: Some(Remainder::Reserve(Box::default())), ..named.clone() }, "reserve.amount"),
        (v1::DebitRequest { excess_policy: 9, ..debit() }, "excess_policy"),
        (v1::DebitRequest { reservation_id: "a 1".into(), ..debit() }, "reservation_id"),
        (v1::DebitRequest { first_sent_at: Some(Timestamp { seconds: -1, nanos: 0 }), ..debit() }, "first_sent_at"),
        (v1::DebitRequest { first_sent_at: Some(Timestamp { seconds: 253_402_300_800, nanos: 0 }), ..debit() }, "first_sent_at"),
        (v1::DebitRequest { first_sent_at: Some(Timestamp { seconds: 1, nanos: 1_000_000_000 }), ..debit() }, "first_sent_at"),
    ];
    for (request, field) in table {
        assert_eq!(refused(request, charging::debit), [field]);
    }
    assert!(read(v1::DebitRequest { amount: money("0"), ..debit() }, charging::debit).is_ok());
}

#[test]
fn usage_is_held_to_its_bounds() {
    let usage = v1::Usage::default;
    let attributes = |key: &str, value: &str| std::collections::BTreeMap::from([(key.to_owned(), value.to_owned())]);
    let many = (0..17).map(|index| (index.to_string(), String::new())).collect();
    let table = [
        (v1::Usage { item: "sms domestic".into(), ..usage() }, "usage.item"),
        (v1::Usage { item: "x".repeat(65), ..usage() }, "usage.item"),
        (v1::Usage { description: "a\tb".into(), ..usage() }, "usage.description"),
        (v1::Usage { description: "é".repeat(257), ..usage() }, "usage.description"),
        (v1::Usage { quantity: "-1".into(), ..usage() }, "usage.quantity"),
        (v1::Usage { quantity: "1.".into(), ..usage() }, "usage.quantity"),
        (v1::Usage { quantity: "1".repeat(33), ..usage() }, "usage.quantity"),
        (v1::Usage { unit: "x".repeat(33), ..usage() }, "usage.unit"),
        (v1::Usage { category: 5, ..usage() }, "usage.category"),
        (v1::Usage { occurred_at: Some(Timestamp { seconds: 0, nanos: -1 }), ..usage() }, "usage.occurred_at"),
        (v1::Usage { attributes: many, ..usage() }, "usage.attributes"),
        (v1::Usage { attributes: attributes("", "v"), ..usage() }, "usage.attributes[\"\"]"),
        (v1::Usage { attributes: attributes("k", &"v".repeat(257)), ..usage() }, "usage.attributes[\"k\"]"),
        (v1::Usage { attributes: attributes("k", "\0"), ..usage() }, "usage.attributes[\"k\"]"),
    ];
    for (usage, field) in table {
        assert_eq!(refused(v1::DebitRequest { usage: Some(usage), ..debit() }, charging::debit), [field]);
    }
}

#[test]
fn a_new_account_is_held_to_its_bounds() {
    let table = [
        (v1::CreateAccountRequest { name: String::new(), ..create() }, "name"),
        (v1::CreateAccountRequest { name: "n".repeat(201), ..create() }, "name"),
        (v1::CreateAccountRequest { name: "a\u{7f}".into(), ..create() }, "name"),
        (v1::CreateAccountRequest { currency_code: "XXX".into(), ..create() }, "currency_code"),
        (v1::CreateAccountRequest { currency_code: "XAU".into(), ..create() }, "currency_code"),
        (v1::CreateAccountRequest { currency_code: "usd".into(), ..create() }, "currency_code"),
        (v1::CreateAccountRequest { mode: 0, ..create() }, "mode"),
        (v1::CreateAccountRequest { mode: 3, ..create() }, "mode"),
        (v1::CreateAccountRequest { decimals: Some(1), ..create() }, "decimals"),
        (v1::CreateAccountRequest { decimals: Some(7), ..create() }, "decimals"),
        (v1::CreateAccountRequest { decimals: Some(i32::MIN), ..create() }, "decimals"),
        (v1::CreateAccountRequest { non_usage_billing: 3, ..create() }, "non_usage_billing"),
        (v1::CreateAccountRequest { low_credit_threshold: money("-1"), ..create() }, "low_credit_threshold.amount"),
        (v1::CreateAccountRequest { credit_limit: limit(Temporary::RemoveTemporary(false)), ..create() }, "credit_limit.remove_temporary"),
        (v1::CreateAccountRequest { credit_limit: limit(temporary(None)), ..create() }, "credit_limit.set_temporary"),
        (v1::CreateAccountRequest { credit_limit: limit(temporary(Some(End::Days(0)))), ..create() }, "credit_limit.set_temporary.days"),
        (v1::CreateAccountRequest { credit_limit: limit(temporary(Some(End::Days(3651)))), ..create() }, "credit_limit.set_temporary.days"),
        (
            v1::CreateAccountRequest {
                credit_limit: limit(temporary(Some(End::Until(Timestamp { seconds: NOW.get() / 1000 + 3651 * 86_400, nanos: 0 })))),
                ..create()
            },
            "credit_limit.set_temporary.until",
        ),
        (
            v1::CreateAccountRequest { operator: Some(v1::Operator { actor: "ann".into(), reason: "".into() }), ..create() },
            "operator.reason",
        ),
    ];
    for (request, field) in table {
        assert_eq!(refused(request, accounts::create), [field]);
    }
}

#[test]
fn a_change_by_hand_needs_an_operator_and_something_to_change() {
    let (account_id, request_id) = ("acme".to_owned(), "r1".to_owned());
    let ids = || (account_id.clone(), request_id.clone());
    let (account_id, request_id) = ids();
    let update = v1::UpdateAccountRequest { account_id, request_id, ..Default::default() };
    assert_eq!(refused(update.clone(), accounts::update), [""]);
    let keep = v1::UpdateAccountRequest { low_credit: Some(LowCredit::RemoveLowCreditThreshold(false)), ..update };
    assert_eq!(refused(keep, accounts::update), ["remove_low_credit_threshold"]);
    let (account_id, request_id) = ids();
    let limit = v1::SetCreditLimitRequest { account_id, request_id, operator: operator(), ..Default::default() };
    assert_eq!(refused(limit, accounts::set_credit_limit), ["credit_limit"]);
    let (account_id, request_id) = ids();
    let withdraw = v1::WithdrawRequest { account_id, request_id, amount: money("0"), operator: None, first_sent_at: None };
    assert_eq!(refused(withdraw, accounts::withdraw), ["amount.amount", "operator"]);
    let (account_id, request_id) = ids();
    let adjust = v1::AdjustBalanceRequest { account_id, request_id, amount: money("-0"), operator: operator(), first_sent_at: None };
    assert_eq!(refused(adjust, accounts::adjust), ["amount.amount"]);
    let (account_id, request_id) = ids();
    assert_eq!(
        refused(v1::CloseAccountRequest { account_id, request_id, operator: None, first_sent_at: None }, accounts::close),
        ["operator"]
    );
}

#[test]
fn all_that_is_wrong_is_told_at_once_but_not_without_bound() {
    let fields = refused(v1::AuthorizeRequest::default(), charging::authorize);
    assert_eq!(fields, ["reserve", "reserve.amount", "account_id", "request_id"]);
    let attributes = (0..16).map(|index| (format!("{index} {}", "é".repeat(5000)), "\n".repeat(5000))).collect();
    let usage = v1::Usage { attributes, ..Default::default() };
    let fields = refused(v1::DebitRequest { usage: Some(usage), ..debit() }, charging::debit);
    assert_eq!(fields.len(), MAX_VIOLATIONS);
    assert!(fields.iter().all(|field| field.len() < 100));
}

proptest! {
    #[test]
    fn no_text_in_any_field_makes_reading_panic(text in ".*", amount in "[-0-9.eE+ ]{0,40}", number: i64, nanos: i32, small: i32) {
        let instant = Some(Timestamp { seconds: number, nanos });
        let length = Some(Duration { seconds: number, nanos });
        let usage = v1::Usage {
            item: text.clone(), description: text.clone(), quantity: amount.clone(), unit: text.clone(), category: small,
            occurred_at: instant, attributes: std::collections::BTreeMap::from([(text.clone(), text.clone())]),
        };
        let reserve = v1::Reserve { amount: money_in(&amount, &text), minimum: money(&amount), validity: length, grace: length };
        let request = v1::AuthorizeRequest {
            account_id: text.clone(), request_id: text.clone(), reserve: Some(reserve), first_sent_at: instant, usage: Some(usage),
        };
        let _ = read(request, charging::authorize);
        let change = limit(Temporary::SetTemporary(v1::TemporaryCreditLimit { limit: money(&amount), end: Some(End::Days(small)) }));
        let created = v1::CreateAccountRequest { currency_code: text, decimals: Some(small), credit_limit: change, mode: small, ..create() };
        let _ = read(created, accounts::create);
        let change = limit(temporary(instant.map(End::Until)));
        let _ = read(v1::CreateAccountRequest { credit_limit: change, ..create() }, accounts::create);
    }

    #[test]
    fn an_amount_that_is_read_is_the_amount_that_was_sent(whole in 0_u32..2_000_000_000, fraction in 0_u32..1_000_000) {
        let text = format!("{whole}.{fraction:06}");
        let command = read(v1::DebitRequest { amount: money(&text), ..debit() }, charging::debit).unwrap();
        let Action::Debit(debit) = command.action else { panic!("another action") };
        let units = i64::from(whole) * 1_000_000 + i64::from(fraction);
        prop_assert_eq!(debit.amount.to_units(6), Ok(Units::new(units)));
    }
}
