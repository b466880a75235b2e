//! The account's record, and the formulas of usable credit.

use super::money::{MAX_COMMANDED_UNITS, Units, minor_unit};
use super::time::UnixMillis;
use crate::ids::{AccountId, RequestId};

/// What an account is called whose name was erased.
pub const ERASED_NAME: &str = "erased";

/// Payment mode: prepaid or postpaid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Mode {
    /// Credit is bought in advance and charged in real time.
    Prepaid = 1,
    /// Charges are billed once a month, within a credit limit.
    Postpaid = 2,
}

/// Lifecycle of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Status {
    /// Accepts all commands.
    Active = 1,
    /// Suspended: refuses new reservations and charges; open reservations settle, and credits are accepted.
    Suspended = 2,
    /// Accepts nothing but being reopened or erased.
    Closed = 3,
}

/// How subscriptions, hardware and services of a postpaid account are billed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum NonUsageBilling {
    /// On the monthly bill, with everything else.
    Consolidated = 1,
    /// Each is its own bill, in the step that charges it.
    OneByOne = 2,
}

/// Category of a charge. Only [`Category::Usage`] is always on the monthly bill.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Category {
    /// Calls, messages, data, API calls.
    Usage = 1,
    /// A recurring fee.
    Subscription = 2,
    /// Goods.
    Hardware = 3,
    /// Work done.
    Service = 4,
}

/// An ISO 4217 alphabetic code: three capital letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Currency([u8; 3]);

impl Currency {
    /// No currency, as ISO 4217 writes it. No account has it: it stands in a request that is refused.
    pub const NONE: Self = Self(*b"XXX");

    /// Reads a code.
    #[must_use]
    pub fn parse(code: &str) -> Option<Self> {
        code.as_bytes().try_into().ok().and_then(Self::of_letters)
    }

    fn of_letters(letters: [u8; 3]) -> Option<Self> {
        letters.iter().all(u8::is_ascii_uppercase).then_some(Self(letters))
    }

    /// The three letters.
    #[must_use]
    pub fn code(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// The letters as one number, for stores that keep numbers.
    #[must_use]
    pub fn to_number(self) -> u32 {
        let [a, b, c] = self.0;
        u32::from_be_bytes([0, a, b, c])
    }

    /// The inverse of [`Currency::to_number`]; `None` if it is the number of no code.
    #[must_use]
    pub fn from_number(number: u32) -> Option<Self> {
        let [0, a, b, c] = number.to_be_bytes() else { return None };
        Self::of_letters([a, b, c])
    }
}

/// The hot record of an account: all that a charge must see. Amounts are in units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Account {
    /// Whether it takes commands.
    pub status: Status,
    /// Payment mode: prepaid or postpaid.
    pub mode: Mode,
    /// How charges other than usage are billed.
    pub non_usage_billing: NonUsageBilling,
    /// Digits behind the point of one unit.
    pub decimals: u8,
    /// Digits behind the point of the currency's minor unit (ISO 4217).
    pub minor_digits: u8,
    /// The currency of all its amounts.
    pub currency: Currency,
    /// Prepaid: money left. Postpaid: minus the amount due.
    pub balance: Units,
    /// Postpaid charges since the last bill.
    pub unbilled: Units,
    /// The sum of open reservations.
    pub reserved: Units,
    /// The permanent credit limit.
    pub permanent_limit: Units,
    /// The temporary credit limit; counts while `temporary_until` lies ahead.
    pub temporary_limit: Units,
    /// From this instant on the temporary limit counts for nothing; [`UnixMillis::NONE`] if there is none.
    pub temporary_until: UnixMillis,
    /// The number of the last money entry.
    pub sequence: u64,
    /// The number of the bill that is open now.
    pub open_bill: u32,
    /// The highest number given to a bill, open or cut.
    pub last_bill: u32,
    /// When the open bill is to be closed; [`UnixMillis::NONE`] if it has no money entries, so nothing is to be closed.
    pub period_end: UnixMillis,
    /// How many reservations are open.
    pub open_reservations: u32,
}

impl Account {
    /// A new account, empty and without a limit. Of the denomination: currency, decimals, minor digits.
    #[must_use]
    pub fn opened(mode: Mode, non_usage_billing: NonUsageBilling, denomination: (Currency, u8, u8)) -> Self {
        let (currency, decimals, minor_digits) = denomination;
        Self {
            status: Status::Active,
            mode,
            non_usage_billing,
            decimals,
            minor_digits,
            currency,
            balance: Units::ZERO,
            unbilled: Units::ZERO,
            reserved: Units::ZERO,
            permanent_limit: Units::ZERO,
            temporary_limit: Units::ZERO,
            temporary_until: UnixMillis::NONE,
            sequence: 0,
            open_bill: 1,
            last_bill: 1,
            period_end: UnixMillis::NONE,
            open_reservations: 0,
        }
    }

    /// How far the account may borrow at `now`: the larger of the permanent limit and the temporary one while it runs.
    #[must_use]
    pub fn credit_limit(&self, now: UnixMillis) -> Units {
        if now < self.temporary_until { self.permanent_limit.max(self.temporary_limit) } else { self.permanent_limit }
    }

    /// The most that the next transaction may cost.
    ///
    /// Prepaid: `balance + limit - reserved`. Postpaid: `limit + max(0, balance) - unbilled - reserved`, so that an unpaid invoice
    /// (a balance below zero) never reduces it.
    #[must_use]
    pub fn usable_credit(&self, now: UnixMillis) -> Units {
        match self.mode {
            Mode::Prepaid => self.balance.saturating_add(self.credit_limit(now)).saturating_sub(self.reserved),
            Mode::Postpaid => {
                self.credit_limit(now).saturating_add(self.balance.or_zero()).saturating_sub(self.unbilled).saturating_sub(self.reserved)
            }
        }
    }

    /// The account's net position with its provider.
    #[must_use]
    pub fn current_balance(&self) -> Units {
        self.balance.saturating_sub(self.unbilled)
    }

    /// What was billed and not yet paid.
    #[must_use]
    pub fn amount_due(&self) -> Units {
        match self.mode {
            Mode::Prepaid => Units::ZERO,
            Mode::Postpaid => self.debt(),
        }
    }

    /// The debt: how far the balance is below zero, in either mode.
    #[must_use]
    pub fn debt(&self) -> Units {
        self.balance.saturating_neg().or_zero()
    }

    /// The currency's minor unit, in the account's units.
    #[must_use]
    pub fn minor_unit(&self) -> Units {
        minor_unit(self.decimals, self.minor_digits)
    }

    /// The customer's own money: what a withdrawal may take.
    #[must_use]
    pub fn withdrawable(&self) -> Units {
        self.current_balance().saturating_sub(self.reserved).or_zero()
    }

    /// Whether a postpaid account could make no transaction at all: no limit and no overpayment.
    #[must_use]
    pub fn is_unusable_postpaid(&self, now: UnixMillis) -> bool {
        self.mode == Mode::Postpaid && self.credit_limit(now).is_zero() && !self.balance.is_positive()
    }

    /// Whether a charge of this category is a bill of its own.
    #[must_use]
    pub fn bills_on_its_own(&self, category: Category) -> bool {
        self.mode == Mode::Postpaid && self.non_usage_billing == NonUsageBilling::OneByOne && category != Category::Usage
    }

    /// Whether every amount is within what commands may reach, so that closing the bill stays within what can be kept.
    #[must_use]
    pub fn is_within_range(&self) -> bool {
        let within = |units: Units| (-MAX_COMMANDED_UNITS..=MAX_COMMANDED_UNITS).contains(&units);
        within(self.balance) && within(self.unbilled) && within(self.reserved) && within(self.current_balance())
    }
}

/// Fields kept apart from the hot record, because no charge needs them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// Name of the customer.
    pub name: String,
    /// Below this usable credit, watchers are warned that credit is low; units. `None` for never.
    pub low_credit_threshold: Option<Units>,
    /// When the account was created.
    pub created_at: UnixMillis,
}

/// An amount set aside for a transaction under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reservation {
    /// The account that it belongs to.
    pub account: AccountId,
    /// The `request_id` of the Authorize that made it: its name.
    pub request_id: RequestId,
    /// The remainder, in units.
    pub amount: Units,
    /// When the client must report.
    pub report_by: UnixMillis,
    /// From this instant on it is gone.
    pub expires_at: UnixMillis,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample_account(mode: Mode) -> Account {
        Account::opened(mode, NonUsageBilling::Consolidated, (Currency::parse("USD").unwrap(), 6, 2))
    }

    fn whole(amount: i64) -> Units {
        Units::new(amount * 1_000_000)
    }

    #[test]
    fn a_prepaid_customer_can_use_balance_and_limit() {
        let account = Account { balance: Units::new(86_101_480), permanent_limit: whole(2000), ..sample_account(Mode::Prepaid) };
        assert_eq!(account.usable_credit(UnixMillis::NONE), Units::new(2_086_101_480));
    }

    #[test]
    fn a_prepaid_customer_below_zero_lives_on_the_limit() {
        let account = Account { balance: Units::new(-8_670_000), permanent_limit: whole(100), ..sample_account(Mode::Prepaid) };
        assert_eq!(account.usable_credit(UnixMillis::NONE), Units::new(91_330_000));
    }

    #[test]
    fn an_unpaid_invoice_costs_a_postpaid_customer_nothing() {
        let account = Account { balance: whole(-1200), permanent_limit: whole(1000), ..sample_account(Mode::Postpaid) };
        assert_eq!((account.usable_credit(UnixMillis::NONE), account.amount_due()), (whole(1000), whole(1200)));
    }

    #[test]
    fn an_overpayment_raises_usable_credit() {
        let account = Account { balance: whole(424), permanent_limit: whole(2400), ..sample_account(Mode::Postpaid) };
        assert_eq!(account.usable_credit(UnixMillis::NONE), whole(2824));
        let used = Account { unbilled: whole(500), ..account };
        assert_eq!(used.usable_credit(UnixMillis::NONE), whole(2324));
        let closed = Account { balance: whole(-76), unbilled: Units::ZERO, ..account };
        assert_eq!((closed.usable_credit(UnixMillis::NONE), closed.amount_due()), (whole(2400), whole(76)));
    }

    #[test]
    fn a_temporary_limit_counts_for_nothing_from_its_end_on() {
        let account = Account {
            permanent_limit: Units::new(10),
            temporary_limit: Units::new(30),
            temporary_until: UnixMillis::new(1000),
            ..sample_account(Mode::Prepaid)
        };
        assert_eq!(account.credit_limit(UnixMillis::new(999)), Units::new(30));
        assert_eq!(account.credit_limit(UnixMillis::new(1000)), Units::new(10));
    }

    #[test]
    fn a_temporary_limit_below_the_permanent_one_takes_nothing_away() {
        let account = Account {
            permanent_limit: Units::new(50),
            temporary_limit: Units::new(30),
            temporary_until: UnixMillis::new(1000),
            ..sample_account(Mode::Prepaid)
        };
        assert_eq!(account.credit_limit(UnixMillis::NONE), Units::new(50));
    }
}
