//! The wallet of an organization, as it is shown: figures, and one bar of what usable credit is made of.

use crate::locale::Locale;
use domain::account::{Mode, Status};
use domain::money::Units;
use ledger::ListedAccount;
use service::credit::Credit;

/// How wide the bar is, in its own units.
const WIDTH: i64 = 1_000;

/// A part of the bar.
pub struct Part {
    /// The key of its name, and its class.
    pub name: &'static str,
    /// Where it begins, and how wide it is.
    pub from: i64,
    /// How wide it is.
    pub width: i64,
    pub amount: String,
}

pub struct Wallet {
    /// The key of the mode's name.
    pub mode: &'static str,
    /// The key of the status's name.
    pub status: &'static str,
    /// The figures.
    pub usable: String,
    pub balance: String,
    /// Credit limit.
    pub limit: String,
    /// When a temporary limit ends; empty if there is none.
    pub limit_ends: String,
    pub unbilled: String,
    pub reserved: String,
    pub due: String,
    /// Whether something is due.
    pub is_due: bool,
    /// Whether it is postpaid.
    pub is_postpaid: bool,
    /// Whether the balance is below zero.
    pub is_negative: bool,
    /// Whether credit is low.
    pub is_low: bool,
    /// The bar.
    pub parts: Vec<Part>,
}

impl Wallet {
    /// That of an account.
    #[must_use]
    pub fn new(locale: &Locale, listed: &ListedAccount) -> Self {
        let credit = Credit::at(&listed.account, listed.now);
        let money = |units| locale.money(credit.unit, units);
        let is_postpaid = credit.mode == Mode::Postpaid;
        Self {
            mode: mode_key(credit.mode),
            status: status_key(credit.status),
            usable: money(credit.usable),
            balance: money(credit.balance),
            limit: money(credit.limit),
            limit_ends: credit.limit_expires_at.map(|at| locale.instant(at)).unwrap_or_default(),
            unbilled: money(credit.unbilled),
            reserved: money(credit.reserved),
            due: money(credit.amount_due),
            is_due: credit.amount_due > Units::ZERO,
            is_postpaid,
            is_negative: credit.balance < Units::ZERO,
            is_low: credit.is_low(listed.profile.low_credit_threshold),
            parts: parts(&credit, money),
        }
    }
}

/// The parts of the bar, by use: of balance and limit, first what is used, then what is left of each.
fn parts(credit: &Credit, money: impl Fn(Units) -> String) -> Vec<Part> {
    let own = credit.balance.or_zero();
    let debt = if credit.mode == Mode::Prepaid { credit.balance.saturating_neg().or_zero() } else { Units::ZERO };
    let used = credit.unbilled.saturating_add(credit.reserved);
    // A customer's own money is used before the limit is.
    let left_of_own = own.saturating_sub(used).or_zero();
    let left_of_limit = credit.usable.saturating_sub(left_of_own).or_zero();
    let amounts = [
        ("own-money", left_of_own),
        ("credit-limit", left_of_limit),
        ("reserved", credit.reserved),
        ("unbilled", credit.unbilled),
        ("debt", debt),
    ];
    let total = amounts.iter().fold(Units::ZERO, |sum, (_, amount)| sum.saturating_add(*amount)).max(Units::ONE);
    let mut from = 0;
    let mut parts = Vec::new();
    for (name, amount) in amounts.into_iter().filter(|(_, amount)| *amount > Units::ZERO) {
        let share = i128::from(amount.get()) * i128::from(WIDTH) / i128::from(total.get());
        let width = i64::try_from(share).unwrap_or(WIDTH).max(4);
        parts.push(Part { name, from, width, amount: money(amount) });
        from += width;
    }
    parts
}

/// The key of a mode's name.
#[must_use]
pub fn mode_key(mode: Mode) -> &'static str {
    match mode {
        Mode::Prepaid => "prepaid",
        Mode::Postpaid => "postpaid",
    }
}

/// The key of a status's name.
#[must_use]
pub fn status_key(status: Status) -> &'static str {
    match status {
        Status::Active => "active",
        Status::Suspended => "suspended",
        Status::Closed => "closed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::account::{Account, Currency, NonUsageBilling};
    use domain::time::UnixMillis;

    fn bar(account: Account) -> Vec<(&'static str, i64)> {
        parts(&Credit::at(&account, UnixMillis::NONE), |_| String::new()).into_iter().map(|part| (part.name, part.width)).collect()
    }

    #[test]
    fn the_bar_shows_what_usable_credit_is_made_of() {
        let opened = |mode| Account::opened(mode, NonUsageBilling::Consolidated, (Currency::parse("EUR").unwrap(), 2, 2));
        let prepaid =
            Account { balance: Units::new(60), permanent_limit: Units::new(100), reserved: Units::new(40), ..opened(Mode::Prepaid) };
        assert_eq!(bar(prepaid), [("own-money", 125), ("credit-limit", 625), ("reserved", 250)]);
        // The customer lives on the limit.
        let indebted = Account { balance: Units::new(-25), permanent_limit: Units::new(100), ..opened(Mode::Prepaid) };
        assert_eq!(bar(indebted), [("credit-limit", 750), ("debt", 250)]);
        // What is due of a postpaid account takes nothing away.
        let postpaid =
            Account { balance: Units::new(-500), permanent_limit: Units::new(100), unbilled: Units::new(25), ..opened(Mode::Postpaid) };
        assert_eq!(bar(postpaid), [("credit-limit", 750), ("unbilled", 250)]);
        assert_eq!(bar(opened(Mode::Prepaid)), []);
    }
}
