//! What an operator does: open, change, fund, limit, convert, suspend and close an account.

use super::{Desk, Fingerprint, Moment, Step, Touched, both, plus};
use crate::account::{Account, Millis, Mode, Profile, Status};
use crate::command::{Action, Command, Create, LimitChange, TemporaryChange, Until};
use crate::entry::EntryKind;
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
    limit.set(&mut desk)?;
    refuse_unusable(&desk, create.allow_unusable)?;
    let Account { permanent_limit, temporary_limit, temporary_until, .. } = desk.account;
    desk.record(EntryKind::Created, permanent_limit, [temporary_limit, temporary_until]);
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

    fn set(&self, desk: &mut Desk<'_>) -> Result<(), Refusal> {
        if let Some(permanent) = self.permanent {
            desk.account.permanent_limit = permanent;
        }
        if let Some((temporary, until)) = self.temporary {
            let ends: Millis = match until {
                None => 0,
                Some(Until::Instant(instant)) if instant <= desk.now() => return Err(Refusal::LimitEndsInPast),
                Some(Until::Instant(instant)) => instant,
                Some(Until::After(duration)) => desk.now() + duration,
            };
            desk.account.temporary_limit = temporary;
            desk.account.temporary_until = ends;
        }
        Ok(())
    }
}

fn refuse_unusable(desk: &Desk<'_>, is_allowed: bool) -> Result<(), Refusal> {
    if !is_allowed && desk.account.is_unusable_postpaid(desk.now()) { Err(Refusal::WouldBeUnusable) } else { Ok(()) }
}

/// Sets or removes the credit limit.
pub(super) fn set_credit_limit(mut desk: Desk<'_>, change: &LimitChange, allow_unusable: bool) -> Result<Step, Refusal> {
    let limit = Limit::of(change, &desk)?;
    desk.refuse_closed()?;
    limit.set(&mut desk)?;
    refuse_unusable(&desk, allow_unusable)?;
    record_limit(&mut desk);
    let decision = desk.decision(Verdict::Done, 0);
    Ok(desk.accept(decision))
}

fn record_limit(desk: &mut Desk<'_>) {
    let Account { permanent_limit, temporary_limit, temporary_until, .. } = desk.account;
    desk.record(EntryKind::LimitSet, permanent_limit, [temporary_limit, temporary_until]);
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
    desk.account.mode = mode;
    desk.record(EntryKind::Converted, 0, [0, 0]);
    limit.set(&mut desk)?;
    if !change.is_none() {
        record_limit(&mut desk);
    }
    refuse_unusable(&desk, allow_unusable)?;
    let decision = desk.decision(Verdict::Done, usable_before);
    Ok(desk.accept(decision))
}

/// Changes the name, the low-credit threshold, the billing of charges other than usage.
pub(super) fn update(mut desk: Desk<'_>) -> Result<Step, Refusal> {
    let Action::Update { name, low_credit_threshold, non_usage_billing } = &desk.command.action else {
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
    desk.account.non_usage_billing = non_usage_billing.unwrap_or(desk.account.non_usage_billing);
    desk.record(EntryKind::Updated, 0, [0, 0]);
    let decision = desk.decision(Verdict::Done, 0);
    Ok(desk.accept(decision).with(|change| change.profile = Some(profile)))
}

/// Adds money that the customer paid in advance. A debt is cleared by arithmetic alone.
pub(super) fn top_up(desk: Desk<'_>, amount: Quote) -> Result<Step, Refusal> {
    let amount = desk.units(amount)?;
    desk.refuse_closed()?;
    move_balance(desk, EntryKind::ToppedUp, amount, amount)
}

/// Adds money that the customer paid on invoices.
pub(super) fn record_payment(desk: Desk<'_>, amount: Quote) -> Result<Step, Refusal> {
    let amount = desk.minor_units(amount)?;
    desk.refuse_closed()?;
    move_balance(desk, EntryKind::PaymentRecorded, amount, amount)
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
    move_balance(desk, EntryKind::WrittenOff, amount, amount)
}

/// Corrects the balance.
pub(super) fn adjust(desk: Desk<'_>, amount: Quote) -> Result<Step, Refusal> {
    let amount = desk.units(amount)?;
    desk.refuse_closed()?;
    move_balance(desk, EntryKind::Adjusted, amount, amount)
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
    move_balance(desk, EntryKind::Withdrawn, amount, -amount)
}

fn move_balance(mut desk: Desk<'_>, kind: EntryKind, amount: i64, change: i64) -> Result<Step, Refusal> {
    desk.account.balance = plus(desk.account.balance, change)?;
    desk.refuse_out_of_range()?;
    desk.record(kind, amount, [0, 0]);
    let decision = desk.decision(Verdict::Done, amount);
    Ok(desk.accept(decision))
}

/// Lets nothing new happen.
pub(super) fn suspend(desk: Desk<'_>) -> Result<Step, Refusal> {
    desk.refuse_closed()?;
    set_status(desk, Status::Suspended, EntryKind::Suspended)
}

/// Lets it happen again.
pub(super) fn resume(desk: Desk<'_>) -> Result<Step, Refusal> {
    desk.refuse_closed()?;
    set_status(desk, Status::Active, EntryKind::Resumed)
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
        desk.account.balance = 0;
        desk.record(EntryKind::AmountDueRounded, -left, [0, 0]);
    }
    set_status(desk, Status::Closed, EntryKind::Closed)
}

/// Lets a closed account be used again.
pub(super) fn reopen(desk: Desk<'_>) -> Result<Step, Refusal> {
    if desk.account.status != Status::Closed {
        return Err(Refusal::AccountNotClosed);
    }
    set_status(desk, Status::Active, EntryKind::Reopened)
}

fn set_status(mut desk: Desk<'_>, status: Status, kind: EntryKind) -> Result<Step, Refusal> {
    if desk.account.status == status {
        return Ok(desk.leave(Verdict::Unchanged, 0));
    }
    desk.account.status = status;
    desk.record(kind, 0, [0, 0]);
    let decision = desk.decision(Verdict::Done, 0);
    Ok(desk.accept(decision))
}
