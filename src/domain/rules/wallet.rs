//! What an operator does: open, change, fund, limit, convert, suspend and close an account.

use super::{Desk, Fingerprint, Moment, Step, Touched, both};
use crate::account::{Account, Mode, Profile, Status};
use crate::command::{Action, Command, Create, LimitChange, TemporaryChange, Until};
use crate::entry::{EntryData, Limits, Settings};
use crate::money::Quote;
use crate::outcome::{Refusal, Verdict};

/// Opens an account, empty.
pub(super) fn create(
    create: &Create,
    touched: &Touched<'_>,
    command: &Command,
    fingerprint: &Fingerprint,
    moment: &Moment,
) -> Result<Step, Refusal> {
    let blank = Account::opened(create.mode, create.non_usage_billing, (create.currency, create.decimals, create.minor_digits));
    let mut desk = Desk::open(blank, touched, command, fingerprint, moment);
    let threshold = create.low_credit_threshold.map(|threshold| desk.units(threshold)).transpose();
    let (limit, low_credit_threshold) = both(Limit::of(&create.limit, &desk), threshold)?;
    let limits = limit.applied(&desk)?;
    desk.record(EntryData::Created { limits, settings: Settings::of(&command.action) });
    refuse_unusable(&desk, create.allow_unusable)?;
    let profile = Profile { name: create.name.clone(), low_credit_threshold, created_at: desk.now() };
    let decision = desk.decision(Verdict::Done, 0);
    Ok(desk.accept(decision).with(|change| change.profile = Some(profile)))
}

/// A change of limit, in units.
struct Limit {
    permanent: Option<i64>,
    temporary: Option<(i64, Option<Until>)>,
}

impl Limit {
    fn of(change: &LimitChange, desk: &Desk<'_>) -> Result<Self, Refusal> {
        let permanent = change.permanent.map(|amount| desk.units(amount)).transpose();
        let temporary = match change.temporary {
            TemporaryChange::Keep => Ok(None),
            TemporaryChange::Remove => Ok(Some((0, None))),
            TemporaryChange::Set { amount, until } => desk.units(amount).map(|amount| Some((amount, Some(until)))),
        };
        let (permanent, temporary) = both(permanent, temporary)?;
        Ok(Self { permanent, temporary })
    }

    /// The limits of the account, changed.
    fn applied(&self, desk: &Desk<'_>) -> Result<Limits, Refusal> {
        let mut limits = desk.account.limits();
        limits.permanent = self.permanent.unwrap_or(limits.permanent);
        if let Some((temporary, until)) = self.temporary {
            limits.temporary = temporary;
            limits.temporary_until = match until {
                None => 0,
                Some(Until::Instant(instant)) if instant <= desk.now() => return Err(Refusal::LimitEndsInPast),
                Some(Until::Instant(instant)) => instant,
                Some(Until::After(duration)) => desk.now() + duration,
            };
        }
        Ok(limits)
    }
}

fn refuse_unusable(desk: &Desk<'_>, is_allowed: bool) -> Result<(), Refusal> {
    if !is_allowed && desk.account.is_unusable_postpaid(desk.now()) { Err(Refusal::WouldBeUnusable) } else { Ok(()) }
}

/// Sets or removes the credit limit.
pub(super) fn set_credit_limit(mut desk: Desk<'_>, change: &LimitChange, allow_unusable: bool) -> Result<Step, Refusal> {
    let limit = Limit::of(change, &desk)?;
    desk.refuse_closed()?;
    let limits = limit.applied(&desk)?;
    desk.record(EntryData::LimitSet { limits });
    refuse_unusable(&desk, allow_unusable)?;
    let decision = desk.decision(Verdict::Done, 0);
    Ok(desk.accept(decision))
}

/// Changes the payment mode, in one step, with transactions in flight: open reservations stay open and settle under the new mode.
///
/// To postpaid, nothing is cut: what was left is an overpayment, a debt an amount due. To prepaid, the final bill is cut at once.
pub(super) fn convert(mut desk: Desk<'_>, mode: Mode, change: &LimitChange, allow_unusable: bool) -> Result<Step, Refusal> {
    let limit = Limit::of(change, &desk)?;
    desk.refuse_closed()?;
    let usable_before = desk.usable();
    if desk.account.mode == mode {
        return Ok(desk.leave(Verdict::Unchanged, usable_before));
    }
    if mode == Mode::Prepaid && desk.account.period_end != 0 {
        desk.cut_final_bill();
    }
    desk.record(EntryData::Converted { mode });
    let limits = limit.applied(&desk)?;
    if !change.is_none() {
        desk.record(EntryData::LimitSet { limits });
    }
    refuse_unusable(&desk, allow_unusable)?;
    let decision = desk.decision(Verdict::Done, usable_before);
    Ok(desk.accept(decision))
}

/// Changes the name, the low-credit threshold, the billing of charges other than usage.
pub(super) fn update(mut desk: Desk<'_>) -> Result<Step, Refusal> {
    let Action::Update { name, low_credit_threshold, .. } = &desk.command.action else {
        return Err(Refusal::AccountNotFound);
    };
    let threshold = match low_credit_threshold {
        Some(Some(threshold)) => Some(Some(desk.units(*threshold)?)),
        Some(None) => Some(None),
        None => None,
    };
    desk.refuse_closed()?;
    let Some(before) = desk.touched.profile else { return Err(Refusal::AccountNotFound) };
    let profile = Profile {
        name: name.clone().unwrap_or_else(|| before.name.clone()),
        low_credit_threshold: threshold.unwrap_or(before.low_credit_threshold),
        created_at: before.created_at,
    };
    desk.record(EntryData::Updated { settings: Settings::of(&desk.command.action) });
    let decision = desk.decision(Verdict::Done, 0);
    Ok(desk.accept(decision).with(|change| change.profile = Some(profile)))
}

/// Adds money that the customer paid in advance. A debt is cleared by arithmetic alone.
pub(super) fn top_up(desk: Desk<'_>, amount: Quote) -> Result<Step, Refusal> {
    let amount = desk.units(amount)?;
    desk.refuse_closed()?;
    move_balance(desk, EntryData::ToppedUp { amount })
}

/// Adds money that the customer paid on invoices.
pub(super) fn record_payment(desk: Desk<'_>, amount: Quote) -> Result<Step, Refusal> {
    let amount = desk.minor_units(amount)?;
    desk.refuse_closed()?;
    move_balance(desk, EntryData::PaymentRecorded { amount })
}

/// Gives up a debt: an amount of it, or all that is due, to the last decimal; never more.
pub(super) fn write_off(desk: Desk<'_>, amount: Option<Quote>) -> Result<Step, Refusal> {
    let asked = amount.map(|amount| desk.minor_units(amount)).transpose()?;
    desk.refuse_closed()?;
    let due = desk.account.debt();
    let amount = asked.unwrap_or(due);
    if amount > due || amount <= 0 {
        return Err(Refusal::ExceedsAmountDue);
    }
    move_balance(desk, EntryData::WrittenOff { amount })
}

/// Corrects the balance.
pub(super) fn adjust(desk: Desk<'_>, amount: Quote) -> Result<Step, Refusal> {
    let amount = desk.units(amount)?;
    desk.refuse_closed()?;
    move_balance(desk, EntryData::Adjusted { amount })
}

/// Pays out the customer's own money, never the limit.
pub(super) fn withdraw(desk: Desk<'_>, amount: Quote) -> Result<Step, Refusal> {
    let amount = desk.minor_units(amount)?;
    desk.refuse_closed()?;
    desk.refuse_suspended()?;
    let own = desk.account.withdrawable();
    if amount > own {
        return Ok(desk.leave(Verdict::Declined, amount - own));
    }
    move_balance(desk, EntryData::Withdrawn { amount })
}

fn move_balance(mut desk: Desk<'_>, data: EntryData) -> Result<Step, Refusal> {
    let amount = data.amount();
    desk.record(data);
    desk.refuse_out_of_range()?;
    let decision = desk.decision(Verdict::Done, amount);
    Ok(desk.accept(decision))
}

/// Lets nothing new happen.
pub(super) fn suspend(desk: Desk<'_>) -> Result<Step, Refusal> {
    desk.refuse_closed()?;
    set_status(desk, Status::Suspended, EntryData::Suspended)
}

/// Lets it happen again.
pub(super) fn resume(desk: Desk<'_>) -> Result<Step, Refusal> {
    desk.refuse_closed()?;
    set_status(desk, Status::Active, EntryData::Resumed)
}

/// Ends the account: it must hold no money and owe none, but for less than one minor unit, and have nothing under way.
pub(super) fn close(mut desk: Desk<'_>) -> Result<Step, Refusal> {
    desk.refuse_closed()?;
    let left = desk.account.balance;
    if left.unsigned_abs() >= desk.account.minor_unit().unsigned_abs() || desk.account.unbilled != 0 {
        return Err(Refusal::AccountNotEmpty);
    }
    if desk.account.open_reservations > 0 {
        return Err(Refusal::ReservationsOpen);
    }
    if left != 0 {
        desk.record(EntryData::AmountDueRounded { amount: -left });
    }
    set_status(desk, Status::Closed, EntryData::Closed)
}

/// Lets a closed account be used again.
pub(super) fn reopen(desk: Desk<'_>) -> Result<Step, Refusal> {
    if desk.account.status != Status::Closed {
        return Err(Refusal::AccountNotClosed);
    }
    set_status(desk, Status::Active, EntryData::Reopened)
}

fn set_status(mut desk: Desk<'_>, status: Status, data: EntryData) -> Result<Step, Refusal> {
    if desk.account.status == status {
        return Ok(desk.leave(Verdict::Unchanged, 0));
    }
    desk.record(data);
    let decision = desk.decision(Verdict::Done, 0);
    Ok(desk.accept(decision))
}
