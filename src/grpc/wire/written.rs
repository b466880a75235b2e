//! The answer to a direct debit, written straight to bytes: what [`render::debit`] and prost make of it, without the eleven strings in between.
//!
//! All others (declines, reservations) are rendered.

use prost::Message;

use super::render;
use crate::domain::account::Account;
use crate::domain::command::{Action, RemainderPolicy};
use crate::domain::money::{Units, with_formatted};
use crate::domain::outcome::Verdict;
use crate::service::commands::Decided;
use crate::service::credit::{Credit, Unit};

/// How many bytes most answers have at most, with what stands before them.
pub const USUAL_BYTES: usize = 256;

/// Appends a DebitResponse.
pub fn put_debit(decided: &Decided, bytes: &mut Vec<u8>) {
    let is_reserving = matches!(&decided.command.action, Action::Debit(debit) if matches!(debit.then, RemainderPolicy::Reserve(_)));
    if decided.decision.verdict == Verdict::Declined || decided.decision.reservation.is_some() || is_reserving {
        return render::debit(decided).encode_raw(bytes);
    }
    let account = &decided.outcome.account;
    put_message(bytes, 1, |bytes| {
        put_money(bytes, 1, account, decided.decision.amount);
        put_money(bytes, 2, account, decided.decision.overdraft);
    });
    put_message(bytes, 3, |bytes| put_credit(bytes, &Credit::at(account, decided.outcome.now)));
    put_number(bytes, 4, i32::from(decided.outcome.replayed));
}

fn put_money(bytes: &mut Vec<u8>, field: u8, account: &Account, units: Units) {
    put_message(bytes, field, |bytes| {
        put_amount(bytes, 1, Unit::of(account), units);
        put_text(bytes, 2, account.currency.code());
    });
}

fn put_credit(bytes: &mut Vec<u8>, credit: &Credit) {
    put_number(bytes, 1, render::mode(credit.mode).into());
    put_number(bytes, 2, render::status(credit.status).into());
    put_text(bytes, 3, credit.unit.currency.code());
    for (field, units) in [(4, credit.balance), (5, credit.unbilled), (6, credit.amount_due), (7, credit.reserved), (8, credit.limit)] {
        put_amount(bytes, field, credit.unit, units);
    }
    if let Some(at) = credit.limit_expires_at {
        put_message(bytes, 9, |bytes| render::instant(at).encode_raw(bytes));
    }
    put_amount(bytes, 10, credit.unit, credit.usable);
    put_amount(bytes, 11, credit.unit, credit.current_balance);
}

fn put_amount(bytes: &mut Vec<u8>, field: u8, unit: Unit, units: Units) {
    with_formatted(units, unit.decimals, unit.minor_digits, |text| put_text(bytes, field, text));
}

/// Appends a text, or a message's bytes, of at most 15 fields.
fn put_text(bytes: &mut Vec<u8>, field: u8, text: &str) {
    put_message(bytes, field, |bytes| bytes.extend_from_slice(text.as_bytes()));
}

/// Appends a number that is not negative; a zero is left out.
fn put_number(bytes: &mut Vec<u8>, field: u8, number: i32) {
    if number != 0 {
        bytes.push(field << 3);
        prost::encoding::encode_varint(u64::from(number.unsigned_abs()), bytes);
    }
}

/// Appends what is written, with its length before it. That takes one byte of nearly all.
pub fn put_message(bytes: &mut Vec<u8>, field: u8, write: impl FnOnce(&mut Vec<u8>)) {
    bytes.extend_from_slice(&[field << 3 | 2, 0]);
    let begin = bytes.len();
    write(bytes);
    let length = bytes.len() - begin;
    match u8::try_from(length) {
        Ok(short) if short < 0x80 => {
            if let Some(place) = bytes.get_mut(begin - 1) {
                *place = short;
            }
        }
        _ => {
            let mut prefix = Vec::with_capacity(10);
            prost::encoding::encode_varint(length as u64, &mut prefix);
            bytes.splice(begin - 1..begin, prefix);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::account::{Category, Currency, Mode, NonUsageBilling, Status};
    use crate::domain::command::{Command, Debit, ExcessPolicy, Kind, Metadata, Reserve};
    use crate::domain::money::DecimalAmount;
    use crate::domain::outcome::{Decision, Grant, Outcome, ReserveVerdict};
    use crate::domain::time::UnixMillis;

    const MOST: std::ops::Range<i64> = -(1 << 53)..1 << 53;

    prop_compose! {
        fn account()(
            moving in (MOST, 0..1_i64 << 53, 0..1_i64 << 53, 0..1_i64 << 53),
            temporary in (0..1_i64 << 53, 0..20_i64),
            decimals in 0..=6_u8, minor_digits in 0..=3_u8,
            mode in prop_oneof![Just(Mode::Prepaid), Just(Mode::Postpaid)],
            status in prop_oneof![Just(Status::Active), Just(Status::Suspended), Just(Status::Closed)],
        ) -> Account {
            let (balance, unbilled, reserved, permanent_limit) = moving;
            let (temporary_limit, temporary_until) = temporary;
            Account {
                balance: Units::new(balance), unbilled: Units::new(unbilled), reserved: Units::new(reserved), permanent_limit: Units::new(permanent_limit), temporary_limit: Units::new(temporary_limit), temporary_until: UnixMillis::new(temporary_until), decimals, mode, status,
                minor_digits: minor_digits.min(decimals), sequence: 7, period_end: UnixMillis::NONE, open_bill: 1, last_bill: 1, open_reservations: 0,
                non_usage_billing: NonUsageBilling::Consolidated, currency: Currency::parse("EUR").unwrap(),
            }
        }
    }

    fn decided(
        account: Account,
        amounts: (i64, i64),
        verdict: Verdict,
        is_reserving: bool,
        has_reservation: bool,
        replayed: bool,
    ) -> Decided {
        let reserve = Reserve { amount: DecimalAmount::new(5, 0), minimum: None, validity: 1, grace: 1 };
        let then = if is_reserving { RemainderPolicy::Reserve(reserve) } else { RemainderPolicy::Settle };
        let debit = Debit {
            amount: DecimalAmount::new(1, 0),
            category: Category::Usage,
            reservation: Some("r".into()),
            then,
            excess: ExcessPolicy::WithinUsableCredit,
        };
        let grant =
            Grant { amount: Units::new(5), report_by: UnixMillis::new(1_000), expires_at: UnixMillis::new(2_000), is_final_unit: true };
        let decision = Decision {
            kind: Kind::Debit,
            verdict,
            amount: Units::new(amounts.0),
            overdraft: Units::new(amounts.1),
            reservation: has_reservation.then_some(grant),
            reserve: ReserveVerdict::TooMany,
            credit_rounding: Units::ZERO,
            charged: None,
            sequence: 3,
        };
        let command = Command {
            account: "acme".into(),
            request_id: "r1".into(),
            first_sent_at: None,
            currency: None,
            action: Action::Debit(debit),
            metadata: Metadata::default(),
        };
        Decided {
            command: command.into(),
            outcome: Outcome { decision: Some(decision), replayed, account, now: UnixMillis::new(10) },
            decision,
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_what_is_rendered(
            account in account(), amounts in (0..1_i64 << 53, 0..1_i64 << 53),
            verdict in prop_oneof![Just(Verdict::Done), Just(Verdict::Declined), Just(Verdict::Unchanged)],
            is_reserving: bool, has_reservation: bool, replayed: bool,
        ) {
            let decided = decided(account, amounts, verdict, is_reserving, has_reservation, replayed);
            let mut bytes = Vec::new();
            put_debit(&decided, &mut bytes);
            prop_assert_eq!(bytes, render::debit(&decided).encode_to_vec());
        }
    }

    #[test]
    fn the_length_of_a_long_message_takes_two_bytes() {
        let mut bytes = Vec::new();
        put_text(&mut bytes, 1, &"a".repeat(300));
        assert_eq!(bytes.get(..4), Some(&[10, 0xAC, 2, b'a'][..]));
        assert_eq!(bytes.len(), 303);
    }
}
