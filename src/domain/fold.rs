//! Applies entries to accounts: the only place where entries turn into amounts.
//!
//! The rules record an entry and apply it here in one step. Rebuilding a ledger, aggregating and verifying apply the same entries again, so
//! they cannot come to other amounts.

use super::account::{Account, Status};
use super::entry::{ChargedFrom, EntryData, Limits, Movement};
use super::time::UnixMillis;
use crate::money::Units;

/// What an account's own record does not tell of an entry that is applied to it.
#[derive(Clone, Copy, Debug, Default)]
pub struct EntryContext {
    /// The bill that the entry falls into.
    pub bill: u32,
    /// What was left of the open reservation that the entry refers to. `None` if it refers to none, or to one that is not open any more.
    pub reservation: Option<Units>,
    /// The end of the billing period of the entry's time, in case that it is the first of a bill.
    pub period_end: UnixMillis,
}

impl Account {
    /// Applies an entry. Sums stop at the largest number: [`Account::is_within_range`] then says so.
    pub fn apply(&mut self, data: &EntryData, context: &EntryContext) {
        let Movement { balance, unbilled } = data.movement();
        self.balance = self.balance.saturating_add(balance);
        self.unbilled = self.unbilled.saturating_add(unbilled);
        if data.kind().moves_money() {
            self.sequence += 1;
            if self.period_end.is_none() && self.joins_open_bill(data, context.bill) {
                self.period_end = context.period_end;
            }
        }
        match data {
            EntryData::Created { limits, settings } => {
                self.set_limits(limits);
                self.non_usage_billing = settings.non_usage_billing.unwrap_or(self.non_usage_billing);
            }
            EntryData::Updated { settings } => {
                self.non_usage_billing = settings.non_usage_billing.unwrap_or(self.non_usage_billing);
            }
            EntryData::LimitSet { limits } => self.set_limits(limits),
            EntryData::Charged { from, reservation: left, .. } => {
                if *from == ChargedFrom::OwnBill {
                    self.last_bill += 1;
                }
                self.charge_reservation(context.reservation, *left);
            }
            EntryData::Reserved { amount, .. } | EntryData::ReservationExtended { amount, .. } => {
                self.reserved = self.reserved.saturating_add(*amount);
                self.open_reservations += 1;
            }
            EntryData::Released { .. } => self.charge_reservation(context.reservation, None),
            EntryData::Converted { mode } => self.mode = *mode,
            EntryData::PeriodClosed { .. } | EntryData::FinalBilled { .. } => {
                self.last_bill += 1;
                self.open_bill = self.last_bill;
                self.period_end = UnixMillis::NONE;
            }
            EntryData::Suspended => self.status = Status::Suspended,
            EntryData::Resumed | EntryData::Reopened => self.status = Status::Active,
            EntryData::Closed => self.status = Status::Closed,
            EntryData::Refunded { .. }
            | EntryData::ToppedUp { .. }
            | EntryData::PaymentReversed { .. }
            | EntryData::Withdrawn { .. }
            | EntryData::Adjusted { .. }
            | EntryData::Rounded { .. }
            | EntryData::PaymentRecorded { .. }
            | EntryData::WrittenOff { .. }
            | EntryData::WriteOffReversed { .. }
            | EntryData::AmountDueRounded { .. }
            | EntryData::NotItemized { .. }
            | EntryData::NotItemizedUnbilled { .. } => {}
        }
    }

    /// Whether an entry is one of the open bill, which it begins if it is the first. Rounding belongs to the bill that was cut, but for the
    /// rounding at the closing of an account.
    fn joins_open_bill(&self, data: &EntryData, bill: u32) -> bool {
        match data {
            EntryData::Charged { from: ChargedFrom::OwnBill, .. }
            | EntryData::Rounded { .. }
            | EntryData::PeriodClosed { .. }
            | EntryData::FinalBilled { .. }
            | EntryData::NotItemized { .. }
            | EntryData::NotItemizedUnbilled { .. } => false,
            EntryData::AmountDueRounded { .. } => bill == self.open_bill,
            _ => true,
        }
    }

    /// Takes from a reservation what it had, but for what is left of it; without anything left, it ends.
    fn charge_reservation(&mut self, before: Option<Units>, left: Option<Units>) {
        let Some(before) = before else { return };
        self.reserved = self.reserved.saturating_sub(before).saturating_add(left.unwrap_or_default());
        if left.is_none() {
            self.open_reservations = self.open_reservations.saturating_sub(1);
        }
    }

    /// The limits, as an entry records them.
    #[must_use]
    pub fn limits(&self) -> Limits {
        Limits { permanent: self.permanent_limit, temporary: self.temporary_limit, temporary_until: self.temporary_until }
    }

    /// Replaces the limits.
    pub fn set_limits(&mut self, limits: &Limits) {
        let Limits { permanent, temporary, temporary_until } = *limits;
        (self.permanent_limit, self.temporary_limit, self.temporary_until) = (permanent, temporary, temporary_until);
    }
}
