//! What is recorded: one journal entry for each accepted change.

use super::account::{Currency, NonUsageBilling};
use super::account::{Millis, Mode};
use super::command::{Action, Note};
use super::money::Quote;
use super::rules::Fingerprint;

/// The record of one accepted change of one account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What changed.
    pub kind: EntryKind,
    /// The account.
    pub account: String,
    /// The `request_id` of the command; empty for a period close and its rounding.
    pub request_id: String,
    /// The account's own number of this entry. Entries that move no money have none: 0.
    pub account_sequence: u64,
    /// When the ledger accepted it; of a period close: the boundary.
    pub time: Millis,
    /// The mode that it was accepted in; of a conversion: the new one.
    pub mode: Mode,
    /// The bill that it falls into; of a close: the bill that it cuts.
    pub bill: u32,
    /// How much, in units; see [`EntryKind`].
    pub amount: i64,
    /// The balance after it.
    pub balance: i64,
    /// The unbilled amount after it.
    pub unbilled: i64,
    /// What is reserved after it.
    pub reserved: i64,
    /// Two more numbers; see [`EntryKind`].
    pub details: [i64; 2],
    /// What it says of what it gives back, of a refund or a reversal.
    pub given_back: GivenBack,
    /// The digest of what was sent; zero for a period close and its rounding. With it, a restored store knows a repetition from a reuse.
    pub fingerprint: Fingerprint,
    /// What the caller sent along, and what the entry refers to.
    pub note: Note,
    /// The `request_id` of the earlier command that this one refers to; else empty.
    pub refers_to: String,
    /// The settings that it made, of [`EntryKind::Created`] and [`EntryKind::Updated`].
    pub settings: Settings,
}

/// What a refund or a reversal says besides. Entries of format version 2 do not say it: zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GivenBack {
    /// The partition's sequence of the entry that is given back.
    pub original: u64,
    /// What moved the balance beyond what was taken off the charge: a billed charge is credited in minor units. Signed.
    pub rounding: i64,
    /// What was refunded of the bill of the charge so far, since it was cut, measured by the charges; 0: it is not of a bill with others.
    pub of_bill: i64,
}

impl Entry {
    /// What a refund or a reversal takes off what it gives back.
    #[must_use]
    pub fn taken_off(&self) -> i64 {
        self.amount - self.given_back.rounding
    }
}

/// The settings of an account that a command sets, as sent; what is None was not set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// The name.
    pub name: Option<String>,
    /// The low-credit threshold; `Some(None)`: removed.
    pub low_credit_threshold: Option<Option<Quote>>,
    /// How charges other than usage are billed.
    pub non_usage_billing: Option<NonUsageBilling>,
    /// Currency, decimals and minor digits: only at creation.
    pub denomination: Option<(Currency, u8, u8)>,
}

impl Settings {
    /// The settings that a command sets.
    #[must_use]
    pub fn of(action: &Action) -> Self {
        match action {
            Action::Create(create) => Self {
                name: Some(create.name.clone()),
                low_credit_threshold: Some(create.low_credit_threshold),
                non_usage_billing: Some(create.non_usage_billing),
                denomination: Some((create.currency, create.decimals, create.minor_digits)),
            },
            Action::Update { name, low_credit_threshold, non_usage_billing } => Self {
                name: name.clone(),
                low_credit_threshold: *low_credit_threshold,
                non_usage_billing: *non_usage_billing,
                denomination: None,
            },
            _ => Self::default(),
        }
    }
}

/// The kinds of entry. `amount` and `details` mean, in this order:
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum EntryKind {
    /// The account was created. amount: permanent limit; details: temporary limit, its end.
    Created = 1,
    /// Settings changed. amount: 0.
    Updated = 2,
    /// Usage, prepaid: taken from the balance. amount: the charge; details: one more than is left in the reservation (0: none is open), overdraft.
    ChargedBalance = 3,
    /// Usage, postpaid: added to the unbilled amount. As above.
    ChargedUnbilled = 4,
    /// A charge that is its own bill: taken from the balance. As above.
    ChargedOwnBill = 5,
    /// A refund to the balance. amount: what is credited; details: refunded of the charge so far, the charge's bill.
    RefundedBalance = 6,
    /// A refund that lowers the unbilled amount. As above.
    RefundedUnbilled = 7,
    /// A top-up. amount: added to the balance.
    ToppedUp = 8,
    /// A top-up or a payment taken back. amount: taken from the balance; details: reversed of it so far.
    PaymentReversed = 9,
    /// A withdrawal. amount: taken from the balance.
    Withdrawn = 10,
    /// A correction. amount: added to the balance, signed.
    Adjusted = 11,
    /// The credit limit changed. amount: permanent limit; details: temporary limit, its end.
    LimitSet = 12,
    /// The mode changed. amount: 0.
    Converted = 13,
    /// The period ended. amount: what moved from unbilled to balance.
    PeriodClosed = 14,
    /// A conversion to prepaid cut the final bill. amount: what moved from unbilled to balance.
    FinalBilled = 15,
    /// A bill was rounded to the minor unit. amount: added to the balance, signed.
    Rounded = 16,
    /// The account was suspended. amount: 0.
    Suspended = 17,
    /// The account was resumed. amount: 0.
    Resumed = 18,
    /// The account was closed. amount: 0.
    Closed = 19,
    /// An amount was reserved. amount: what is reserved; details: report by, expires at.
    Reserved = 20,
    /// A reservation was replaced by a new amount under the same name. As above.
    ReservationExtended = 21,
    /// A reservation was released. amount: what was given back.
    Released = 22,
    /// A payment of invoices. amount: added to the balance.
    PaymentRecorded = 23,
    /// A debt was given up. amount: added to the balance.
    WrittenOff = 24,
    /// A write-off was taken back. amount: taken from the balance; details: reversed of it so far.
    WriteOffReversed = 25,
    /// What is due after a cut was rounded to the minor unit, or what was left below one at the closing of the account was rounded off.
    /// amount: added to the balance, signed.
    AmountDueRounded = 26,
    /// A closed account was opened again. amount: 0.
    Reopened = 27,
    /// What became of an account within a gap that the billing store accepted: no ledger writes it. amount: added to the balance, signed;
    /// details: added to the unbilled amount, 1 if a bill was cut meanwhile.
    NotItemized = 28,
    /// The same of its open bill. amount: what of the bill is not itemized; details: as above.
    NotItemizedUnbilled = 29,
}

impl EntryKind {
    /// All kinds, in the order of their numbers.
    pub const ALL: [EntryKind; 29] = [
        EntryKind::Created,
        EntryKind::Updated,
        EntryKind::ChargedBalance,
        EntryKind::ChargedUnbilled,
        EntryKind::ChargedOwnBill,
        EntryKind::RefundedBalance,
        EntryKind::RefundedUnbilled,
        EntryKind::ToppedUp,
        EntryKind::PaymentReversed,
        EntryKind::Withdrawn,
        EntryKind::Adjusted,
        EntryKind::LimitSet,
        EntryKind::Converted,
        EntryKind::PeriodClosed,
        EntryKind::FinalBilled,
        EntryKind::Rounded,
        EntryKind::Suspended,
        EntryKind::Resumed,
        EntryKind::Closed,
        EntryKind::Reserved,
        EntryKind::ReservationExtended,
        EntryKind::Released,
        EntryKind::PaymentRecorded,
        EntryKind::WrittenOff,
        EntryKind::WriteOffReversed,
        EntryKind::AmountDueRounded,
        EntryKind::Reopened,
        EntryKind::NotItemized,
        EntryKind::NotItemizedUnbilled,
    ];

    /// The kind with that number.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind as u8 == number)
    }

    /// Whether it is the record of a charge: a usage record.
    #[must_use]
    pub fn is_charge(self) -> bool {
        matches!(self, Self::ChargedBalance | Self::ChargedUnbilled | Self::ChargedOwnBill)
    }

    /// Whether it gives a charge back: the other usage record.
    #[must_use]
    pub fn is_refund(self) -> bool {
        matches!(self, Self::RefundedBalance | Self::RefundedUnbilled)
    }

    /// Whether it is money that came in, and that can be reversed.
    #[must_use]
    pub fn is_payment(self) -> bool {
        matches!(self, Self::ToppedUp | Self::PaymentRecorded)
    }

    /// Whether it is a debt that was given up, and that can be reversed.
    #[must_use]
    pub fn is_write_off(self) -> bool {
        self == Self::WrittenOff
    }

    /// Whether it stands for entries that are not known.
    #[must_use]
    pub fn is_of_gap(self) -> bool {
        matches!(self, Self::NotItemized | Self::NotItemizedUnbilled)
    }

    /// Whether it moves money, and so carries a number of the account's own.
    #[must_use]
    pub fn moves_money(self) -> bool {
        (Self::ChargedBalance as u8..=Self::Adjusted as u8).contains(&(self as u8))
            || matches!(self, Self::PeriodClosed | Self::FinalBilled | Self::Rounded | Self::PaymentRecorded)
            || matches!(self, Self::WrittenOff | Self::WriteOffReversed | Self::AmountDueRounded)
            || self.is_of_gap()
    }
}

impl Entry {
    /// What it did to the balance and to the unbilled amount.
    #[must_use]
    pub fn effect(&self) -> (i64, i64) {
        match self.kind {
            EntryKind::ChargedBalance
            | EntryKind::ChargedOwnBill
            | EntryKind::PaymentReversed
            | EntryKind::Withdrawn
            | EntryKind::WriteOffReversed => (-self.amount, 0),
            EntryKind::RefundedBalance
            | EntryKind::ToppedUp
            | EntryKind::PaymentRecorded
            | EntryKind::Adjusted
            | EntryKind::Rounded
            | EntryKind::WrittenOff
            | EntryKind::AmountDueRounded => (self.amount, 0),
            EntryKind::ChargedUnbilled => (0, self.amount),
            EntryKind::RefundedUnbilled => (0, -self.amount),
            EntryKind::PeriodClosed | EntryKind::FinalBilled => (-self.amount, -self.amount),
            EntryKind::NotItemized => (self.amount, self.details[0]),
            EntryKind::NotItemizedUnbilled => (0, self.details[0]),
            _ => (0, 0),
        }
    }
}
