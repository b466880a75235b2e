//! Acknowledged operations, added up for each account that will be checked; and operations whose outcome is unknown.
//!
//! An operation counts when its answer came, once. One without an answer is kept, and repeated at the end under its request id: the
//! service then says what it had decided, or decides.

use std::collections::{BTreeSet, HashMap};

use super::answer::{Failure, Millionths, Outcome};
use super::mix::Kind;
use super::operation::{Operation, RESERVED_CENTS};

/// What each reservation is of.
const RESERVED: Millionths = RESERVED_CENTS as Millionths * 10_000;

/// Totals of the acknowledged operations on one account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AcknowledgedTotals {
    /// The sum of charges.
    pub charged: Millionths,
    /// Their number.
    pub charges: u64,
    /// The sum of what was given back of them.
    pub refunded: Millionths,
    /// How often.
    pub refunds: u64,
    /// The sum of reservations that were made and not settled.
    pub reserved: Millionths,
    /// How often the mode was changed.
    pub conversions: u64,
}

impl AcknowledgedTotals {
    fn add(&mut self, kind: Kind, outcome: Outcome) {
        match outcome {
            Outcome::Charged(units) => {
                self.charged += units;
                self.charges += 1;
                if kind == Kind::Settle {
                    self.reserved -= RESERVED;
                }
            }
            Outcome::Reported(units, reserved) => {
                self.charged += units;
                self.charges += 1;
                self.reserved += reserved - RESERVED;
            }
            Outcome::Reserved(units) => self.reserved += units,
            Outcome::Released => self.reserved -= RESERVED,
            Outcome::Refunded(units) => {
                self.refunded += units;
                self.refunds += 1;
            }
            Outcome::Converted => self.conversions += 1,
            Outcome::Unchanged | Outcome::Declined | Outcome::Read => {}
        }
    }

    fn merge(&mut self, other: &Self) {
        self.charged += other.charged;
        self.charges += other.charges;
        self.refunded += other.refunded;
        self.refunds += other.refunds;
        self.reserved += other.reserved;
        self.conversions += other.conversions;
    }
}

/// The books of one thread, or of all.
#[derive(Clone, Debug, Default)]
pub struct Books {
    told: HashMap<u32, AcknowledgedTotals>,
    unknown: Vec<Operation>,
}

impl Books {
    /// Empty ones for the accounts that will be checked.
    pub fn new(checked: &BTreeSet<u32>) -> Self {
        Self { told: checked.iter().map(|account| (*account, AcknowledgedTotals::default())).collect(), unknown: Vec::new() }
    }

    /// Enters an answer.
    pub fn enter(&mut self, operation: &Operation, answer: &Result<Outcome, Failure>) {
        match answer {
            Ok(outcome) => {
                if let Some(told) = self.told.get_mut(&operation.account) {
                    told.add(operation.kind, *outcome);
                }
            }
            Err(failure) if failure.is_unknown => self.unknown.push(*operation),
            Err(_) => {}
        }
    }

    /// Adds another thread's.
    pub fn merge(&mut self, other: Self) {
        for (account, told) in other.told {
            self.told.entry(account).or_default().merge(&told);
        }
        self.unknown.extend(other.unknown);
    }

    /// Returns the acknowledged totals of an account.
    pub fn told(&self, account: u32) -> AcknowledgedTotals {
        self.told.get(&account).copied().unwrap_or_default()
    }

    /// Takes out the operations whose outcome is unknown.
    pub fn take_unknown(&mut self) -> Vec<Operation> {
        std::mem::take(&mut self.unknown)
    }

    /// How many operations have no known outcome.
    pub fn unknown(&self) -> usize {
        self.unknown.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn operation(kind: Kind, account: u32) -> Operation {
        Operation { kind, account, number: 1, cents: 20, first: 1, to_postpaid: false, rest: &[] }
    }

    #[test]
    fn what_was_told_adds_up() {
        let mut books = Books::new(&BTreeSet::from([0, 1]));
        books.enter(&operation(Kind::Debit, 0), &Ok(Outcome::Charged(200_000)));
        books.enter(&operation(Kind::Authorize, 0), &Ok(Outcome::Reserved(1_500_000)));
        books.enter(&operation(Kind::Decline, 0), &Ok(Outcome::Declined));
        let mut others = Books::new(&BTreeSet::from([0, 1]));
        others.enter(&operation(Kind::Report, 0), &Ok(Outcome::Reported(100_000, 1_500_000)));
        others.enter(&operation(Kind::Refund, 0), &Ok(Outcome::Refunded(200_000)));
        others.enter(&operation(Kind::Settle, 0), &Ok(Outcome::Charged(300_000)));
        others.enter(&operation(Kind::Convert, 1), &Ok(Outcome::Converted));
        others.enter(&operation(Kind::Debit, 2), &Ok(Outcome::Charged(1)));
        books.merge(others);
        assert_eq!(
            books.told(0),
            AcknowledgedTotals { charged: 600_000, charges: 3, refunded: 200_000, refunds: 1, reserved: 0, conversions: 0 }
        );
        assert_eq!(books.told(1), AcknowledgedTotals { conversions: 1, ..AcknowledgedTotals::default() });
        assert_eq!(books.told(2), AcknowledgedTotals::default());
    }

    #[test]
    fn an_unknown_outcome_counts_when_it_is_known_and_once() {
        let mut books = Books::new(&BTreeSet::from([0]));
        let debit = operation(Kind::Debit, 0);
        books.enter(&debit, &Err(Failure::timeout()));
        assert_eq!((books.unknown(), books.told(0)), (1, AcknowledgedTotals::default()));
        for operation in books.take_unknown() {
            books.enter(&operation, &Ok(Outcome::Charged(200_000)));
        }
        assert_eq!((books.unknown(), books.told(0).charges), (0, 1));
        books.enter(&debit, &Err(Failure { kind: "refused".into(), is_unknown: false }));
        assert_eq!((books.unknown(), books.told(0).charges), (0, 1));
    }
}
