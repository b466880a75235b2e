//! Acts that may need a second person: what of a command counts, and how much of it. From which figure on is a setting.

use super::account::Account;
use super::command::{Action, LimitChange, TemporaryChange, Until};
use super::money::DecimalAmount;
use super::time::UnixMillis;

/// An act that may need a second person.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum GuardedAct {
    /// A debt is given up.
    WriteOff,
    /// A balance is corrected, up or down.
    Adjust,
    /// A credit limit is raised: alone, with a conversion, or of a new account.
    RaiseLimit,
}

/// How much of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// This amount, which is not negative.
    Amount(DecimalAmount),
    /// All that there is, which is not known before the step.
    AllThereIs,
}

impl GuardedAct {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::WriteOff, Self::Adjust, Self::RaiseLimit];

    /// Its name, as it is stored and shown.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::WriteOff => "write_off",
            Self::Adjust => "adjust",
            Self::RaiseLimit => "raise_limit",
        }
    }

    /// The act of a name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|act| act.name() == name)
    }

    /// The one that a command may be, as far as its action alone tells.
    #[must_use]
    pub fn of(action: &Action) -> Option<Self> {
        match action {
            Action::WriteOff { .. } => Some(Self::WriteOff),
            Action::Adjust { .. } => Some(Self::Adjust),
            _ => limit_of(action).filter(|limit| !limit.is_none()).map(|_| Self::RaiseLimit),
        }
    }
}

impl Extent {
    /// How much of it a command is, on an account as it is now; `None` if it raises nothing. An account that is yet to be created has no limit.
    ///
    /// A limit counts as a whole, not by how much it grows: else many small steps would lead anywhere. A temporary limit is a raise unless
    /// it only lowers or shortens the one that runs.
    #[must_use]
    pub fn of(action: &Action, account: Option<&Account>, now: UnixMillis) -> Option<Self> {
        match action {
            Action::WriteOff { amount } => Some(amount.map_or(Self::AllThereIs, Self::Amount)),
            Action::Adjust { amount } => Some(Self::Amount(DecimalAmount::new(amount.mantissa().saturating_abs(), amount.scale()))),
            _ => raised_to(limit_of(action)?, account, now).map(Self::Amount),
        }
    }

    /// Whether it is above a figure. All that there is always is.
    #[must_use]
    pub fn exceeds(self, figure: DecimalAmount) -> bool {
        match self {
            Self::Amount(amount) => amount.exceeds(figure),
            Self::AllThereIs => true,
        }
    }

    /// The amount; `None` means all that there is.
    #[must_use]
    pub fn amount(self) -> Option<DecimalAmount> {
        match self {
            Self::Amount(amount) => Some(amount),
            Self::AllThereIs => None,
        }
    }
}

/// The change of the limit in a command.
fn limit_of(action: &Action) -> Option<&LimitChange> {
    match action {
        Action::SetCreditLimit { limit, .. } | Action::Convert { limit, .. } => Some(limit),
        Action::Create(create) => Some(&create.limit),
        _ => None,
    }
}

/// The highest limit that is set, if any is set above the one that there is: what raises nothing now may do so when it is approved.
fn raised_to(limit: &LimitChange, account: Option<&Account>, now: UnixMillis) -> Option<DecimalAmount> {
    let held = |units, account: &Account| DecimalAmount::of_units(units, account.decimals);
    let permanent = limit.permanent.filter(|amount| match account {
        Some(account) => amount.exceeds(held(account.permanent_limit, account)),
        None => amount.exceeds(DecimalAmount::ZERO),
    });
    let temporary = match limit.temporary {
        TemporaryChange::Keep | TemporaryChange::Remove => None,
        TemporaryChange::Set { amount, until } => {
            let ends = match until {
                Until::Instant(at) => at,
                Until::After(span) => now.saturating_add(span),
            };
            let is_lower = account.is_some_and(|account| {
                account.temporary_until > now && ends <= account.temporary_until && !amount.exceeds(held(account.temporary_limit, account))
            });
            Some(amount).filter(|_| !is_lower)
        }
    };
    permanent.or(temporary)?;
    let set = match limit.temporary {
        TemporaryChange::Set { amount, .. } => Some(amount),
        TemporaryChange::Keep | TemporaryChange::Remove => None,
    };
    [limit.permanent, set].into_iter().flatten().reduce(|most, other| if other.exceeds(most) { other } else { most })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::{Currency, Mode, NonUsageBilling};
    use crate::money::Units;

    fn amount(text: &str) -> DecimalAmount {
        DecimalAmount::parse(text).unwrap()
    }

    fn account(permanent: i64, temporary: i64, until: UnixMillis) -> Account {
        let opened = Account::opened(Mode::Prepaid, NonUsageBilling::Consolidated, (Currency::parse("EUR").unwrap(), 2, 2));
        Account { permanent_limit: Units::new(permanent), temporary_limit: Units::new(temporary), temporary_until: until, ..opened }
    }

    fn limit(permanent: Option<&str>, temporary: Option<(&str, Until)>) -> Action {
        let temporary = temporary.map_or(TemporaryChange::Keep, |(text, until)| TemporaryChange::Set { amount: amount(text), until });
        Action::SetCreditLimit { limit: LimitChange { permanent: permanent.map(amount), temporary }, allow_unusable: false }
    }

    fn of(action: &Action, account: &Account) -> Option<Extent> {
        Extent::of(action, Some(account), UnixMillis::new(1_000))
    }

    #[test]
    fn a_limit_counts_as_a_whole_and_only_if_it_is_raised() {
        let held = account(600_000, 0, UnixMillis::NONE);
        assert_eq!(of(&limit(Some("6000.01"), None), &held), Some(Extent::Amount(amount("6000.01"))));
        for text in ["6000", "0"] {
            assert_eq!(of(&limit(Some(text), None), &held), None, "{text}");
        }
        assert_eq!(Extent::of(&limit(Some("0.01"), None), None, UnixMillis::NONE), Some(Extent::Amount(amount("0.01"))));
    }

    #[test]
    fn a_temporary_limit_is_raised_unless_it_lowers_or_shortens_the_one_that_runs() {
        let held = account(0, 600_000, UnixMillis::new(5_000));
        for lower in [
            ("6000", Until::Instant(UnixMillis::new(5_000))),
            ("5999.99", Until::After(4_000)),
            ("0", Until::Instant(UnixMillis::new(2_000))),
        ] {
            assert_eq!(of(&limit(None, Some(lower)), &held), None, "{lower:?}");
        }
        for higher in [
            ("6000.01", Until::Instant(UnixMillis::new(5_000))),
            ("6000", Until::Instant(UnixMillis::new(5_001))),
            ("6000", Until::After(4_001)),
        ] {
            assert_eq!(of(&limit(None, Some(higher)), &held), Some(Extent::Amount(amount(higher.0))), "{higher:?}");
        }
        // One that has ended is none.
        let ended = account(0, 600_000, UnixMillis::new(1_000));
        assert_eq!(of(&limit(None, Some(("1", Until::Instant(UnixMillis::new(900))))), &ended), Some(Extent::Amount(amount("1"))));
    }

    #[test]
    fn once_any_limit_is_raised_the_highest_that_is_set_counts() {
        // By the time that it is approved, the temporary one may last longer than the one that runs.
        let held = account(500_000, 1_000_000, UnixMillis::new(30_000));
        let both = limit(Some("5000.01"), Some(("10000", Until::After(28_000))));
        assert_eq!(of(&both, &held), Some(Extent::Amount(amount("10000"))));
        let lower = limit(Some("5000"), Some(("10000", Until::After(28_000))));
        assert_eq!(of(&lower, &held), None);
        let permanent = limit(Some("10000"), Some(("5000.01", Until::After(30_000))));
        assert_eq!(of(&permanent, &account(1_000_000, 0, UnixMillis::NONE)), Some(Extent::Amount(amount("10000"))));
    }

    #[test]
    fn adjustments_count_either_way_and_a_write_off_that_says_no_amount_is_above_any_figure() {
        let held = account(0, 0, UnixMillis::NONE);
        assert_eq!(of(&Action::Adjust { amount: amount("-7.5") }, &held), Some(Extent::Amount(amount("7.5"))));
        let all = of(&Action::WriteOff { amount: None }, &held);
        assert!(all.is_some_and(|all| all.exceeds(amount("1000000"))));
        assert_eq!(GuardedAct::of(&Action::Suspend), None);
        assert_eq!(GuardedAct::of(&limit(None, None)), None);
    }
}
