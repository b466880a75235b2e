//! Kinds of entry in SQL: lists of their numbers, by name. In a statement, `kind IN ({PAYMENTS})` becomes `kind IN (8, 23)`.
//!
//! SQLite uses a partial index only if a statement repeats its condition, so some lists are those of an index: a test holds them to the
//! migrations.

use std::fmt;

use domain::entry::EntryKind::{self, *};

/// A list of kinds; it displays as their numbers.
#[derive(Clone, Copy, Debug)]
pub struct Kinds(pub &'static [EntryKind]);

impl fmt::Display for Kinds {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        list(self.0.iter().copied()).fmt(formatter)
    }
}

/// The numbers of kinds that are chosen when the statement is made.
#[must_use]
pub fn list(kinds: impl Iterator<Item = EntryKind>) -> String {
    kinds.map(|kind| (kind as u8).to_string()).collect::<Vec<_>>().join(", ")
}

/// Usage records: charges and refunds.
pub const USAGE: Kinds = Kinds(&[ChargedBalance, ChargedUnbilled, ChargedOwnBill, RefundedBalance, RefundedUnbilled]);

/// Charges that a bill of a postpaid account holds as items to pay.
pub const CHARGES_TO_PAY: Kinds = Kinds(&[ChargedUnbilled, ChargedOwnBill]);

/// What the items of a bill sum up: charges, and refunds within the bill.
pub const ITEMS: Kinds = Kinds(&[ChargedBalance, ChargedUnbilled, ChargedOwnBill, RefundedUnbilled]);

/// Charges of a prepaid balance.
pub const CHARGED_BALANCE: Kinds = Kinds(&[ChargedBalance]);

/// What can be given back: the condition of the index `entries_by_request`.
pub const ORIGINALS: Kinds = Kinds(&[ChargedBalance, ChargedUnbilled, ChargedOwnBill, ToppedUp, PaymentRecorded, WrittenOff]);

/// What gives something back: the condition of the index `entries_that_give_back`.
pub const GIVING_BACK: Kinds = Kinds(&[RefundedBalance, RefundedUnbilled, PaymentReversed, WriteOffReversed]);

/// Refunds that are credited: the condition of the index `entries_that_credit`.
pub const REFUNDED_BALANCE: Kinds = Kinds(&[RefundedBalance]);

/// Money that came in: the condition of the indexes of payments.
pub const PAYMENTS: Kinds = Kinds(&[ToppedUp, PaymentRecorded]);

/// Payments that were taken back.
pub const REVERSED_PAYMENTS: Kinds = Kinds(&[PaymentReversed]);

/// Debts that were given up.
pub const WRITTEN_OFF: Kinds = Kinds(&[WrittenOff]);

/// Debts that were given up, and those of them that were taken back.
pub const WRITE_OFFS: Kinds = Kinds(&[WrittenOff, WriteOffReversed]);

/// What acts that may need a second person leave: the condition of the index `entries_of_guarded_acts`.
pub const GUARDED: Kinds = Kinds(&[Created, Adjusted, LimitSet, Converted, WrittenOff]);

/// Conversions to the other payment mode: the condition of the index `entries_that_convert`.
pub const CONVERSIONS: Kinds = Kinds(&[Converted]);

/// The cut of a bill with all its items.
pub const CUTS: Kinds = Kinds(&[PeriodClosed, FinalBilled]);

/// What a document is made of: a cut, or a charge that is its own bill.
pub const BILLS: Kinds = Kinds(&[ChargedOwnBill, PeriodClosed, FinalBilled]);

/// Entries that may bear an earlier time than those before them: the close of a period, and its rounding.
pub const DATED_BACK: Kinds = Kinds(&[PeriodClosed, Rounded, AmountDueRounded]);

#[cfg(test)]
mod tests {
    use super::*;

    /// The condition of an index, as the last migration that makes it has it.
    fn condition(index: &str) -> String {
        let migrations = [
            include_str!("migrations/0001_entries.sql"),
            include_str!("migrations/0007_refunds.sql"),
            include_str!("migrations/0012_payments.sql"),
            include_str!("migrations/0032_approved_entries.sql"),
            include_str!("migrations/0045_conversions.sql"),
        ];
        let text = migrations.concat();
        let (_, made) = text.rsplit_once(&format!("CREATE INDEX {index} ON ")).unwrap();
        let (statement, _) = made.split_once(';').unwrap();
        let (_, condition) = statement.split_once("WHERE ").unwrap();
        condition.split(" AND ").next().unwrap().to_owned()
    }

    #[test]
    fn lists_of_indexes_are_those_of_the_migrations() {
        assert_eq!(condition("entries_by_request"), format!("kind IN ({ORIGINALS})"));
        assert_eq!(condition("entries_that_give_back"), format!("kind IN ({GIVING_BACK})"));
        assert_eq!(condition("entries_of_guarded_acts"), format!("kind IN ({GUARDED})"));
        assert_eq!(condition("entries_that_convert"), format!("kind = {CONVERSIONS}"));
        assert_eq!(condition("entries_that_credit"), format!("kind = {REFUNDED_BALANCE}"));
        for index in ["payments_by_day", "payments_of_account", "payments_by_method", "payments_unallocated"] {
            assert_eq!(condition(index), format!("kind IN ({PAYMENTS})"));
        }
    }
}
