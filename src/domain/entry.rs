//! Journal entries: one for each accepted change.

mod kind;

use super::account::{Currency, Mode, NonUsageBilling};
use super::metadata::Metadata;
use super::money::DecimalAmount;
use super::time::UnixMillis;
use crate::ids::{AccountId, RequestId};
use crate::money::Units;

pub use kind::EntryKind;

/// A digest of what the caller asked for, to tell a repetition from a reuse of its request id.
pub type Fingerprint = [u8; 8];

/// The record of one accepted change of one account.
///
/// What changed is [`EntryData`]; the rest is the same for every entry: whose it is, when it was accepted, and how the account stood
/// afterwards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What changed.
    pub data: EntryData,
    pub account: AccountId,
    /// The `request_id` of the command; empty for a period close and its rounding.
    pub request_id: RequestId,
    /// The account's own number of this entry. Entries that move no money have none: 0.
    pub account_sequence: u64,
    /// When the ledger accepted it; of a period close: the boundary.
    pub time: UnixMillis,
    /// The mode that it was accepted in; of a conversion: the new one.
    pub mode: Mode,
    /// The bill that it falls into; of a close: the bill that it cuts.
    pub bill: u32,
    /// The balance after it.
    pub balance: Units,
    /// The unbilled amount after it.
    pub unbilled: Units,
    /// What is reserved after it.
    pub reserved: Units,
    /// The digest of what was sent; zero for a period close and its rounding. With it, a restored store knows a repetition from a reuse.
    pub fingerprint: Fingerprint,
    /// Metadata from the caller, and what the entry refers to.
    pub metadata: Metadata,
    /// The `request_id` of the earlier command that this one refers to; else empty.
    pub refers_to: RequestId,
}

/// What an entry records, with the data of its kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntryData {
    /// The account was created.
    Created { limits: Limits, settings: Settings },
    /// Settings changed.
    Updated { settings: Settings },
    /// A charge. `reservation` is what is left of the one that it was charged against, if that stays open; `overdraft` is how far an
    /// already consumed charge went beyond usable credit.
    Charged { from: ChargedFrom, amount: Units, reservation: Option<Units>, overdraft: Units },
    /// A refund. `amount` is what is credited; see [`EntryData::taken_off`].
    Refunded { to: RefundedTo, amount: Units, given_back: GivenBack },
    /// A top-up, added to the balance.
    ToppedUp { amount: Units },
    /// A top-up or a payment taken back from the balance.
    PaymentReversed { amount: Units, given_back: GivenBack },
    /// A withdrawal from the balance.
    Withdrawn { amount: Units },
    /// A correction of the balance, signed.
    Adjusted { amount: Units },
    /// The credit limit changed.
    LimitSet { limits: Limits },
    /// The payment mode changed.
    Converted { mode: Mode },
    /// The period ended: what was billed moved from the unbilled amount to the balance.
    PeriodClosed { billed: Units },
    /// A conversion to prepaid cut the final bill. As above.
    FinalBilled { billed: Units },
    /// A bill was rounded to the minor unit: added to the balance, signed.
    Rounded { amount: Units },
    /// The account was suspended.
    Suspended,
    /// The account was resumed.
    Resumed,
    /// The account was closed.
    Closed,
    /// An amount was reserved.
    Reserved { amount: Units, report_by: UnixMillis, expires_at: UnixMillis },
    /// A reservation was replaced by a new amount under the same name.
    ReservationExtended { amount: Units, report_by: UnixMillis, expires_at: UnixMillis },
    /// A reservation was released: what was given back of it.
    Released { amount: Units },
    /// A payment of invoices, added to the balance.
    PaymentRecorded { amount: Units },
    /// A debt was given up: added to the balance.
    WrittenOff { amount: Units },
    /// A write-off was taken back from the balance.
    WriteOffReversed { amount: Units, given_back: GivenBack },
    /// What is due after a cut was rounded to the minor unit, or what was left below one at the closing of the account was rounded off.
    /// Added to the balance, signed.
    AmountDueRounded { amount: Units },
    /// A closed account was opened again.
    Reopened,
    /// How an account changed within a gap that the billing store accepted: no ledger writes it.
    NotItemized { to_balance: Units, to_unbilled: Units, was_cut: bool, settings: Settings },
    /// The same of its open bill: `amount` of the bill is not itemized.
    NotItemizedUnbilled { amount: Units, to_unbilled: Units, was_cut: bool, settings: Settings },
}

/// Where a charge was taken from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChargedFrom {
    /// From the balance of a prepaid account.
    Balance,
    /// On the open bill of a postpaid account: added to the unbilled amount.
    Unbilled,
    /// From the balance, as a bill of its own.
    OwnBill,
}

/// Where a refund went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefundedTo {
    Balance,
    /// Off the open bill: the unbilled amount is less.
    Unbilled,
}

/// The limits of an account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// The permanent credit limit.
    pub permanent: Units,
    /// The temporary credit limit.
    pub temporary: Units,
    /// When that ends; [`UnixMillis::NONE`] if there is none.
    pub temporary_until: UnixMillis,
}

/// What a refund or a reversal says of what it gives back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GivenBack {
    /// The partition's sequence of the original, the entry that is given back. Entries of format version 2 do not say it.
    pub original: Option<u64>,
    /// How much was given back of the original so far, this one included.
    pub total: Units,
    /// What moved the balance beyond what was taken off the charge: a billed charge is credited in minor units. Signed.
    pub rounding: Units,
    /// The bill of the original.
    pub bill: u32,
    /// What was refunded of that bill so far, since it was cut, measured by the charges; `None` if it is not of a bill with others.
    pub of_bill: Option<Units>,
}

/// What an entry does to the amounts of its account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Movement {
    /// Added to the balance, signed.
    pub balance: Units,
    /// Added to the unbilled amount, signed.
    pub unbilled: Units,
}

impl EntryData {
    #[must_use]
    pub fn kind(&self) -> EntryKind {
        match self {
            Self::Created { .. } => EntryKind::Created,
            Self::Updated { .. } => EntryKind::Updated,
            Self::Charged { from: ChargedFrom::Balance, .. } => EntryKind::ChargedBalance,
            Self::Charged { from: ChargedFrom::Unbilled, .. } => EntryKind::ChargedUnbilled,
            Self::Charged { from: ChargedFrom::OwnBill, .. } => EntryKind::ChargedOwnBill,
            Self::Refunded { to: RefundedTo::Balance, .. } => EntryKind::RefundedBalance,
            Self::Refunded { to: RefundedTo::Unbilled, .. } => EntryKind::RefundedUnbilled,
            Self::ToppedUp { .. } => EntryKind::ToppedUp,
            Self::PaymentReversed { .. } => EntryKind::PaymentReversed,
            Self::Withdrawn { .. } => EntryKind::Withdrawn,
            Self::Adjusted { .. } => EntryKind::Adjusted,
            Self::LimitSet { .. } => EntryKind::LimitSet,
            Self::Converted { .. } => EntryKind::Converted,
            Self::PeriodClosed { .. } => EntryKind::PeriodClosed,
            Self::FinalBilled { .. } => EntryKind::FinalBilled,
            Self::Rounded { .. } => EntryKind::Rounded,
            Self::Suspended => EntryKind::Suspended,
            Self::Resumed => EntryKind::Resumed,
            Self::Closed => EntryKind::Closed,
            Self::Reserved { .. } => EntryKind::Reserved,
            Self::ReservationExtended { .. } => EntryKind::ReservationExtended,
            Self::Released { .. } => EntryKind::Released,
            Self::PaymentRecorded { .. } => EntryKind::PaymentRecorded,
            Self::WrittenOff { .. } => EntryKind::WrittenOff,
            Self::WriteOffReversed { .. } => EntryKind::WriteOffReversed,
            Self::AmountDueRounded { .. } => EntryKind::AmountDueRounded,
            Self::Reopened => EntryKind::Reopened,
            Self::NotItemized { .. } => EntryKind::NotItemized,
            Self::NotItemizedUnbilled { .. } => EntryKind::NotItemizedUnbilled,
        }
    }

    /// The amount that lists and totals show: what it moved, reserved or released; of limits, the permanent one. Else zero.
    #[must_use]
    pub fn amount(&self) -> Units {
        match self {
            Self::Created { limits, .. } | Self::LimitSet { limits } => limits.permanent,
            Self::Charged { amount, .. }
            | Self::Refunded { amount, .. }
            | Self::ToppedUp { amount }
            | Self::PaymentReversed { amount, .. }
            | Self::Withdrawn { amount }
            | Self::Adjusted { amount }
            | Self::PeriodClosed { billed: amount }
            | Self::FinalBilled { billed: amount }
            | Self::Rounded { amount }
            | Self::Reserved { amount, .. }
            | Self::ReservationExtended { amount, .. }
            | Self::Released { amount }
            | Self::PaymentRecorded { amount }
            | Self::WrittenOff { amount }
            | Self::WriteOffReversed { amount, .. }
            | Self::AmountDueRounded { amount }
            | Self::NotItemized { to_balance: amount, .. }
            | Self::NotItemizedUnbilled { amount, .. } => *amount,
            Self::Updated { .. } | Self::Converted { .. } | Self::Suspended | Self::Resumed | Self::Closed | Self::Reopened => Units::ZERO,
        }
    }

    /// What it does to the amounts of the account.
    #[must_use]
    pub fn movement(&self) -> Movement {
        let balance = |balance: Units| Movement { balance, unbilled: Units::ZERO };
        let unbilled = |unbilled: Units| Movement { balance: Units::ZERO, unbilled };
        match *self {
            Self::Charged { from: ChargedFrom::Balance | ChargedFrom::OwnBill, amount, .. }
            | Self::PaymentReversed { amount, .. }
            | Self::Withdrawn { amount }
            | Self::WriteOffReversed { amount, .. } => balance(amount.saturating_neg()),
            Self::Refunded { to: RefundedTo::Balance, amount, .. }
            | Self::ToppedUp { amount }
            | Self::PaymentRecorded { amount }
            | Self::Adjusted { amount }
            | Self::Rounded { amount }
            | Self::WrittenOff { amount }
            | Self::AmountDueRounded { amount } => balance(amount),
            Self::Charged { from: ChargedFrom::Unbilled, amount, .. } => unbilled(amount),
            Self::Refunded { to: RefundedTo::Unbilled, amount, .. } => unbilled(amount.saturating_neg()),
            Self::PeriodClosed { billed } | Self::FinalBilled { billed } => {
                Movement { balance: billed.saturating_neg(), unbilled: billed.saturating_neg() }
            }
            Self::NotItemized { to_balance, to_unbilled, .. } => Movement { balance: to_balance, unbilled: to_unbilled },
            Self::NotItemizedUnbilled { to_unbilled, .. } => unbilled(to_unbilled),
            Self::Created { .. }
            | Self::Updated { .. }
            | Self::LimitSet { .. }
            | Self::Converted { .. }
            | Self::Suspended
            | Self::Resumed
            | Self::Closed
            | Self::Reserved { .. }
            | Self::ReservationExtended { .. }
            | Self::Released { .. }
            | Self::Reopened => Movement::default(),
        }
    }

    /// What a refund or a reversal says of what it gives back; other entries give nothing back.
    #[must_use]
    pub fn given_back(&self) -> Option<&GivenBack> {
        match self {
            Self::Refunded { given_back, .. } | Self::PaymentReversed { given_back, .. } | Self::WriteOffReversed { given_back, .. } => {
                Some(given_back)
            }
            _ => None,
        }
    }

    /// What a refund or a reversal takes off the original.
    #[must_use]
    pub fn taken_off(&self) -> Units {
        self.amount() - self.given_back().map_or(Units::ZERO, |given_back| given_back.rounding)
    }

    /// The settings that it made.
    #[must_use]
    pub fn settings(&self) -> Option<&Settings> {
        match self {
            Self::Created { settings, .. }
            | Self::Updated { settings }
            | Self::NotItemized { settings, .. }
            | Self::NotItemizedUnbilled { settings, .. } => Some(settings),
            _ => None,
        }
    }

    /// Whether it stands for a gap in which a bill was cut.
    #[must_use]
    pub fn cut_within_gap(&self) -> bool {
        matches!(self, Self::NotItemized { was_cut: true, .. } | Self::NotItemizedUnbilled { was_cut: true, .. })
    }

    /// The limits that it set.
    #[must_use]
    pub fn limits(&self) -> Option<Limits> {
        match self {
            Self::Created { limits, .. } | Self::LimitSet { limits } => Some(*limits),
            _ => None,
        }
    }
}

impl Entry {
    #[must_use]
    pub fn kind(&self) -> EntryKind {
        self.data.kind()
    }

    /// The amount of its data; see [`EntryData::amount`].
    #[must_use]
    pub fn amount(&self) -> Units {
        self.data.amount()
    }
}

/// The settings of an account that a command sets, as sent; what is None was not set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    pub name: Option<String>,
    /// The low-credit threshold; `Some(None)`: removed.
    pub low_credit_threshold: Option<Option<DecimalAmount>>,
    /// How charges other than usage are billed.
    pub non_usage_billing: Option<NonUsageBilling>,
    /// Currency, decimals and minor digits: only at creation.
    pub denomination: Option<(Currency, u8, u8)>,
}
