//! The credit limit that an account would need in postpaid, from its own history: the published guideline.
//!
//! The largest of the last three closed months, rounded up to whole units of the currency. What counts is what is unbilled until the
//! month ends: with separate invoices for subscriptions, hardware and services, usage alone; else all transactions.

use super::MonthOfCharges;
use domain::account::{Category, NonUsageBilling};
use domain::money::Units;

/// How many closed months are looked at.
const MONTHS: usize = 3;

/// Which charges count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Basis {
    /// Usage alone.
    Usage,
    /// All of them.
    AllTransactions,
}

/// An estimate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suggestion {
    /// The limit, in units; none without history.
    pub limit: Option<Units>,
    /// Which charges counted.
    pub basis: Basis,
    /// The months that it was told from, the newest first, and what counted of each.
    pub months: Vec<(MonthOfCharges, Units)>,
}

/// Estimates the limit of an account that keeps that many decimals.
#[must_use]
pub fn suggest(mut history: Vec<MonthOfCharges>, non_usage_billing: NonUsageBilling, decimals: u8) -> Suggestion {
    let basis = match non_usage_billing {
        NonUsageBilling::Consolidated => Basis::AllTransactions,
        NonUsageBilling::OneByOne => Basis::Usage,
    };
    history.sort_by_key(|month| std::cmp::Reverse(month.from));
    history.truncate(MONTHS);
    let months: Vec<_> = history
        .into_iter()
        .map(|month| {
            let counted = match basis {
                Basis::Usage => of_category(&month, Category::Usage),
                Basis::AllTransactions => month.by_category.iter().sum(),
            };
            (month, counted)
        })
        .collect();
    let limit = months
        .iter()
        .map(|(_, counted)| *counted)
        .max()
        .filter(|largest| *largest > Units::ZERO)
        .map(|largest| round_up(largest, decimals));
    Suggestion { limit, basis, months }
}

/// What a month's charges of one category came to.
#[must_use]
pub fn of_category(month: &MonthOfCharges, category: Category) -> Units {
    let [usage, subscription, hardware, service] = month.by_category;
    match category {
        Category::Usage => usage,
        Category::Subscription => subscription,
        Category::Hardware => hardware,
        Category::Service => service,
    }
}

/// Rounds a positive amount up to a whole unit of the currency.
fn round_up(units: Units, decimals: u8) -> Units {
    let whole = 10_i64.pow(u32::from(decimals));
    match units.rem_euclid(Units::new(whole)) {
        Units::ZERO => units,
        rest => units - rest + Units::new(whole),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::time::UnixMillis;

    fn month(from: i64, by_category: [Units; 4]) -> MonthOfCharges {
        MonthOfCharges { from: UnixMillis::new(from), to: UnixMillis::new(from + 1), by_category }
    }

    #[test]
    fn the_largest_of_the_last_three_months_counts_rounded_up() {
        let history = vec![
            month(1, [Units::new(999_000), Units::ZERO, Units::ZERO, Units::ZERO]),
            month(4, [Units::new(12_001), Units::new(500), Units::ZERO, Units::ZERO]),
            month(2, [Units::new(11_000), Units::ZERO, Units::ZERO, Units::ZERO]),
            month(3, [Units::ZERO, Units::ZERO, Units::ZERO, Units::ZERO]),
        ];
        let all = suggest(history.clone(), NonUsageBilling::Consolidated, 2);
        assert_eq!((all.limit, all.basis), (Some(Units::new(12_600)), Basis::AllTransactions));
        assert_eq!(
            all.months.iter().map(|(month, counted)| (month.from.get(), *counted)).collect::<Vec<_>>(),
            [(4, Units::new(12_501)), (3, Units::ZERO), (2, Units::new(11_000))]
        );
        let usage = suggest(history, NonUsageBilling::OneByOne, 2);
        assert_eq!((usage.limit, usage.basis), (Some(Units::new(12_100)), Basis::Usage));
    }

    #[test]
    fn without_history_there_is_no_suggestion() {
        assert_eq!(suggest(Vec::new(), NonUsageBilling::Consolidated, 2).limit, None);
        assert_eq!(
            suggest(vec![month(1, [Units::new(-5), Units::ZERO, Units::ZERO, Units::ZERO])], NonUsageBilling::Consolidated, 2).limit,
            None
        );
    }

    #[test]
    fn a_whole_amount_stays() {
        assert_eq!(
            suggest(vec![month(1, [Units::new(500_000_000), Units::ZERO, Units::ZERO, Units::ZERO])], NonUsageBilling::Consolidated, 6)
                .limit,
            Some(Units::new(500_000_000))
        );
        assert_eq!(
            suggest(vec![month(1, [Units::new(7), Units::ZERO, Units::ZERO, Units::ZERO])], NonUsageBilling::Consolidated, 0).limit,
            Some(Units::new(7))
        );
    }
}
