//! The differences that a comparison finds, in words for people.

use domain::account::{Account, Profile, Reservation};
use domain::money::{Units, format_units};
use domain::time::UnixMillis;

use crate::projection::{AccountState, Total};
use crate::words::words;

/// Describes each field that differs: what it is and what it should be. All fields of the type are named, so that none is forgotten.
macro_rules! differing {
    ($type:ident, $found:expr, $expected:expr, $($field:ident: $show:expr),* $(; apart: $apart:ident)? $(,)?) => {{
        let $type { $($field: _,)* $($apart: _)? } = $found;
        let mut differing = Vec::new();
        $(if $found.$field != $expected.$field {
            let name = stringify!($field).replace('_', " ");
            differing.push(format!("{name} is {}, and should be {}", $show(&$found.$field), $show(&$expected.$field)));
        })*
        differing.join("; ")
    }};
}

/// An instant, in milliseconds since the Unix epoch.
fn instant(at: &UnixMillis) -> String {
    at.get().to_string()
}

/// How one account differs from another.
pub(super) fn of_account(found: &Account, expected: &Account) -> String {
    let amount = |units: &Units| format_units(*units, expected.decimals, expected.minor_digits);
    differing!(
        Account, found, expected,
        status: words, mode: words, non_usage_billing: words, decimals: ToString::to_string, minor_digits: ToString::to_string,
        currency: |currency: &domain::account::Currency| currency.code().to_owned(),
        balance: amount, unbilled: amount, reserved: amount, permanent_limit: amount, temporary_limit: amount,
        temporary_until: instant, sequence: ToString::to_string, open_bill: ToString::to_string,
        last_bill: ToString::to_string, period_end: instant, open_reservations: ToString::to_string,
    )
}

/// How an account in SQL differs from another.
pub(super) fn of_state(found: &AccountState, expected: &AccountState) -> String {
    let Account { decimals, minor_digits, .. } = expected.account;
    let amount = |units: &Units| format_units(*units, decimals, minor_digits);
    let threshold = |units: &Option<Units>| units.as_ref().map_or_else(|| "none".to_owned(), amount);
    let of_account = of_account(&found.account, &expected.account);
    let others = differing!(
        AccountState, found, expected,
        partition: ToString::to_string, name: |name: &String| format!("{name:?}"),
        low_credit_threshold: threshold, created_at: instant, last_sequence: ToString::to_string; apart: account
    );
    [of_account, others].into_iter().filter(|words| !words.is_empty()).collect::<Vec<_>>().join("; ")
}

/// How the settings of an account differ from others.
pub(super) fn of_profile(found: &Profile, expected: &Profile) -> String {
    let threshold = |units: &Option<Units>| units.map_or_else(|| "none".to_owned(), |units| format!("{units} units"));
    differing!(
        Profile, found, expected,
        name: |name: &String| format!("{name:?}"), low_credit_threshold: threshold, created_at: instant,
    )
}

/// How a running total differs from another; amounts are in the account's smallest units.
pub(super) fn of_total(found: &Total, expected: &Total) -> String {
    let optional = |value: &Option<rust_decimal::Decimal>| value.map_or_else(|| "none".to_owned(), |value| value.to_string());
    differing!(
        Total, found, expected,
        amount: |units: &Units| format!("{units} units"), quantity: optional, count: ToString::to_string, first_at: instant,
        last_at: instant, description: |text: &String| format!("{text:?}"), unit_price: optional,
    )
}

/// Reservations, by their names and amounts in the account's smallest units.
pub(super) fn of_reservations<'a>(reservations: impl IntoIterator<Item = &'a Reservation>) -> String {
    let each: Vec<_> = reservations.into_iter().map(|one| format!("{} of {} units", one.request_id, one.amount)).collect();
    if each.is_empty() { "none".to_owned() } else { each.join(", ") }
}

#[cfg(test)]
mod tests {
    use domain::account::{Currency, Mode, NonUsageBilling};

    use super::*;

    #[test]
    fn only_what_differs_is_said_with_amounts_as_decimals() {
        let expected = Account::opened(Mode::Prepaid, NonUsageBilling::Consolidated, (Currency::parse("EUR").unwrap(), 4, 2));
        let found = Account { balance: Units::new(-15_050), mode: Mode::Postpaid, ..expected };
        assert_eq!(of_account(&found, &expected), "mode is postpaid, and should be prepaid; balance is -1.505, and should be 0.00");
    }
}
