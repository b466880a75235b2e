//! The kinds of entry, by the numbers that are stored.

/// The kind of an entry; see [`super::EntryData`] for what each means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum EntryKind {
    Created = 1,
    Updated = 2,
    ChargedBalance = 3,
    ChargedUnbilled = 4,
    ChargedOwnBill = 5,
    RefundedBalance = 6,
    RefundedUnbilled = 7,
    ToppedUp = 8,
    PaymentReversed = 9,
    Withdrawn = 10,
    Adjusted = 11,
    LimitSet = 12,
    Converted = 13,
    PeriodClosed = 14,
    FinalBilled = 15,
    Rounded = 16,
    Suspended = 17,
    Resumed = 18,
    Closed = 19,
    Reserved = 20,
    ReservationExtended = 21,
    Released = 22,
    PaymentRecorded = 23,
    WrittenOff = 24,
    WriteOffReversed = 25,
    AmountDueRounded = 26,
    Reopened = 27,
    NotItemized = 28,
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
