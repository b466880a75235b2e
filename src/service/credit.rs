//! An account's credit at an instant, as every protocol shows it.

use domain::account::{Account, Currency, Mode, Status};
use domain::money::{Units, format_units};
use domain::time::UnixMillis;

/// An account's credit at an instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Credit {
    /// The payment mode.
    pub mode: Mode,
    /// Lifecycle of the account.
    pub status: Status,
    /// Currency and decimals of the amounts.
    pub unit: Unit,
    pub balance: Units,
    /// Postpaid charges since the last bill.
    pub unbilled: Units,
    /// What was billed and not yet paid.
    pub amount_due: Units,
    /// The sum of open reservations.
    pub reserved: Units,
    /// How far the account may borrow.
    pub limit: Units,
    /// When a temporary limit ends, if it is what counts.
    pub limit_expires_at: Option<UnixMillis>,
    /// The most that the next transaction may cost.
    pub usable: Units,
    /// The net position with the provider.
    pub current_balance: Units,
}

/// The currency and decimals of an account's amounts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unit {
    pub currency: Currency,
    /// The decimals of the account.
    pub decimals: u8,
    /// The decimals of the currency's minor unit.
    pub minor_digits: u8,
}

impl Credit {
    /// The credit of an account.
    #[must_use]
    pub fn at(account: &Account, now: UnixMillis) -> Self {
        let is_temporary = now < account.temporary_until && account.temporary_limit > account.permanent_limit;
        Self {
            mode: account.mode,
            status: account.status,
            unit: Unit::of(account),
            balance: account.balance,
            unbilled: account.unbilled,
            amount_due: account.amount_due(),
            reserved: account.reserved,
            limit: account.credit_limit(now),
            limit_expires_at: is_temporary.then_some(account.temporary_until),
            usable: account.usable_credit(now),
            current_balance: account.current_balance(),
        }
    }
}

impl Credit {
    /// Whether it is low: nothing is usable, or less than the account's threshold. A closed account needs none.
    #[must_use]
    pub fn is_low(&self, threshold: Option<Units>) -> bool {
        self.status != Status::Closed && (self.usable <= Units::ZERO || threshold.is_some_and(|threshold| self.usable < threshold))
    }
}

impl Unit {
    /// What an account counts in.
    #[must_use]
    pub fn of(account: &Account) -> Self {
        Self { currency: account.currency, decimals: account.decimals, minor_digits: account.minor_digits }
    }

    /// An amount, as text.
    #[must_use]
    pub fn amount(self, units: Units) -> String {
        format_units(units, self.decimals, self.minor_digits)
    }

    /// An amount with its currency, for people.
    #[must_use]
    pub fn show(self, units: Units) -> String {
        format!("{} {}", self.amount(units), self.currency.code())
    }
}
