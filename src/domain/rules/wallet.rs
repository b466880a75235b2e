//! Rules of operators' commands: open, change, fund, limit, convert, suspend and close an account.

use super::{Decided, Fingerprint, LoadedState, StepTime, Transition, both};
use crate::account::{Account, ERASED_NAME, Mode, Profile, Status};
use crate::command::{Action, Command, Create, LimitChange, TemporaryChange, Until};
use crate::entry::{EntryData, Limits};
use crate::money::{DecimalAmount, Units};
use crate::outcome::{Refusal, Verdict};
use crate::time::UnixMillis;

/// Opens an account, empty.
pub(super) fn create(
    create: &Create,
    loaded: &LoadedState<'_>,
    command: &Command,
    fingerprint: &Fingerprint,
    step_time: &StepTime,
) -> Result<Decided, Refusal> {
    let blank = Account::opened(create.mode, create.non_usage_billing, (create.currency, create.decimals, create.minor_digits));
    let mut transition = Transition::open(blank, loaded, command, fingerprint, step_time);
    let threshold = create.low_credit_threshold.map(|threshold| transition.units(threshold)).transpose();
    let (limit, low_credit_threshold) = both(Limit::of(&create.limit, &transition), threshold)?;
    let limits = limit.applied(&transition)?;
    transition.record(EntryData::Created { limits, settings: command.action.settings() });
    refuse_unusable(&transition, create.allow_unusable)?;
    let profile = Profile { name: create.name.clone(), low_credit_threshold, created_at: transition.now() };
    let decision = transition.decision(Verdict::Done, Units::ZERO);
    Ok(transition.accept(decision).with(|writes| writes.profile = Some(profile)))
}

/// A change of limit, in units.
struct Limit {
    permanent: Option<Units>,
    temporary: Option<(Units, Option<Until>)>,
}

impl Limit {
    fn of(writes: &LimitChange, transition: &Transition<'_>) -> Result<Self, Refusal> {
        let permanent = writes.permanent.map(|amount| transition.units(amount)).transpose();
        let temporary = match writes.temporary {
            TemporaryChange::Keep => Ok(None),
            TemporaryChange::Remove => Ok(Some((Units::ZERO, None))),
            TemporaryChange::Set { amount, until } => transition.units(amount).map(|amount| Some((amount, Some(until)))),
        };
        let (permanent, temporary) = both(permanent, temporary)?;
        Ok(Self { permanent, temporary })
    }

    /// The limits of the account, changed.
    fn applied(&self, transition: &Transition<'_>) -> Result<Limits, Refusal> {
        let mut limits = transition.account.limits();
        limits.permanent = self.permanent.unwrap_or(limits.permanent);
        if let Some((temporary, until)) = self.temporary {
            limits.temporary = temporary;
            limits.temporary_until = match until {
                None => UnixMillis::NONE,
                Some(Until::Instant(instant)) if instant <= transition.now() => return Err(Refusal::LimitEndsInPast),
                Some(Until::Instant(instant)) => instant,
                Some(Until::After(duration)) => transition.now() + duration,
            };
        }
        Ok(limits)
    }
}

fn refuse_unusable(transition: &Transition<'_>, is_allowed: bool) -> Result<(), Refusal> {
    if !is_allowed && transition.account.is_unusable_postpaid(transition.now()) { Err(Refusal::WouldBeUnusable) } else { Ok(()) }
}

/// Sets or removes the credit limit.
pub(super) fn set_credit_limit(mut transition: Transition<'_>, writes: &LimitChange, allow_unusable: bool) -> Result<Decided, Refusal> {
    let limit = Limit::of(writes, &transition)?;
    transition.refuse_closed()?;
    let limits = limit.applied(&transition)?;
    transition.record(EntryData::LimitSet { limits });
    refuse_unusable(&transition, allow_unusable)?;
    let decision = transition.decision(Verdict::Done, Units::ZERO);
    Ok(transition.accept(decision))
}

/// Changes the payment mode, in one step, with transactions in flight: open reservations stay open and settle under the new mode.
///
/// To postpaid, nothing is cut: what was left is an overpayment, a debt an amount due. To prepaid, the final bill is cut at once.
pub(super) fn convert(mut transition: Transition<'_>, mode: Mode, writes: &LimitChange, allow_unusable: bool) -> Result<Decided, Refusal> {
    let limit = Limit::of(writes, &transition)?;
    transition.refuse_closed()?;
    let usable_before = transition.usable();
    if transition.account.mode == mode {
        return Ok(transition.leave(Verdict::Unchanged, usable_before));
    }
    if mode == Mode::Prepaid && transition.account.period_end.is_some() {
        transition.cut_final_bill();
    }
    transition.record(EntryData::Converted { mode });
    let limits = limit.applied(&transition)?;
    if !writes.is_none() {
        transition.record(EntryData::LimitSet { limits });
    }
    refuse_unusable(&transition, allow_unusable)?;
    let decision = transition.decision(Verdict::Done, usable_before);
    Ok(transition.accept(decision))
}

/// Changes the name, the low-credit threshold, the billing of charges other than usage. Of a closed account, the name is all that can be
/// changed, and only to be erased.
pub(super) fn update(mut transition: Transition<'_>) -> Result<Decided, Refusal> {
    let (name, threshold) = match &transition.command.action {
        Action::Update { name, low_credit_threshold, .. } => {
            let threshold = match low_credit_threshold {
                Some(Some(threshold)) => Some(Some(transition.units(*threshold)?)),
                Some(None) => Some(None),
                None => None,
            };
            transition.refuse_closed()?;
            (name.clone(), threshold)
        }
        _ => {
            transition.refuse_not_closed()?;
            (Some(ERASED_NAME.to_owned()), None)
        }
    };
    let Some(before) = transition.loaded.profile else { return Err(Refusal::AccountNotFound) };
    let profile = Profile {
        name: name.unwrap_or_else(|| before.name.clone()),
        low_credit_threshold: threshold.unwrap_or(before.low_credit_threshold),
        created_at: before.created_at,
    };
    transition.record(EntryData::Updated { settings: transition.command.action.settings() });
    let decision = transition.decision(Verdict::Done, Units::ZERO);
    Ok(transition.accept(decision).with(|writes| writes.profile = Some(profile)))
}

/// Adds money that the customer paid in advance. A debt is cleared by arithmetic alone.
pub(super) fn top_up(transition: Transition<'_>, amount: DecimalAmount) -> Result<Decided, Refusal> {
    let amount = transition.units(amount)?;
    transition.refuse_closed()?;
    move_balance(transition, EntryData::ToppedUp { amount })
}

/// Adds money that the customer paid on invoices.
pub(super) fn record_payment(transition: Transition<'_>, amount: DecimalAmount) -> Result<Decided, Refusal> {
    let amount = transition.minor_units(amount)?;
    transition.refuse_closed()?;
    move_balance(transition, EntryData::PaymentRecorded { amount })
}

/// Writes off debt: an amount of it, or all that is due, to the last decimal; never more.
pub(super) fn write_off(transition: Transition<'_>, amount: Option<DecimalAmount>) -> Result<Decided, Refusal> {
    let asked = amount.map(|amount| transition.minor_units(amount)).transpose()?;
    transition.refuse_closed()?;
    let due = transition.account.debt();
    let amount = asked.unwrap_or(due);
    if amount > due || !amount.is_positive() {
        return Err(Refusal::ExceedsAmountDue);
    }
    move_balance(transition, EntryData::WrittenOff { amount })
}

/// Corrects the balance.
pub(super) fn adjust(transition: Transition<'_>, amount: DecimalAmount) -> Result<Decided, Refusal> {
    let amount = transition.units(amount)?;
    transition.refuse_closed()?;
    move_balance(transition, EntryData::Adjusted { amount })
}

/// Pays out the customer's own money, never the limit.
pub(super) fn withdraw(transition: Transition<'_>, amount: DecimalAmount, is_paid_out: bool) -> Result<Decided, Refusal> {
    let amount = transition.minor_units(amount)?;
    transition.refuse_closed()?;
    if !is_paid_out {
        transition.refuse_suspended()?;
        let own = transition.account.withdrawable();
        if amount > own {
            return Ok(transition.leave(Verdict::Declined, amount - own));
        }
    }
    move_balance(transition, EntryData::Withdrawn { amount })
}

fn move_balance(mut transition: Transition<'_>, data: EntryData) -> Result<Decided, Refusal> {
    let amount = data.amount();
    transition.record(data);
    transition.refuse_out_of_range()?;
    let decision = transition.decision(Verdict::Done, amount);
    Ok(transition.accept(decision))
}

/// Suspends an account.
pub(super) fn suspend(transition: Transition<'_>) -> Result<Decided, Refusal> {
    transition.refuse_closed()?;
    set_status(transition, Status::Suspended, EntryData::Suspended)
}

/// Resumes a suspended account.
pub(super) fn resume(transition: Transition<'_>) -> Result<Decided, Refusal> {
    transition.refuse_closed()?;
    set_status(transition, Status::Active, EntryData::Resumed)
}

/// Ends the account: it must hold no money and owe none, but for less than one minor unit, and have nothing under way.
pub(super) fn close(mut transition: Transition<'_>) -> Result<Decided, Refusal> {
    transition.refuse_closed()?;
    let left = transition.account.balance;
    if left.saturating_abs() >= transition.account.minor_unit() || !transition.account.unbilled.is_zero() {
        return Err(Refusal::AccountNotEmpty);
    }
    if transition.account.open_reservations > 0 {
        return Err(Refusal::ReservationsOpen);
    }
    if !left.is_zero() {
        transition.record(EntryData::AmountDueRounded { amount: -left });
    }
    set_status(transition, Status::Closed, EntryData::Closed)
}

/// Reopens a closed account.
pub(super) fn reopen(transition: Transition<'_>) -> Result<Decided, Refusal> {
    transition.refuse_not_closed()?;
    set_status(transition, Status::Active, EntryData::Reopened)
}

fn set_status(mut transition: Transition<'_>, status: Status, data: EntryData) -> Result<Decided, Refusal> {
    if transition.account.status == status {
        return Ok(transition.leave(Verdict::Unchanged, Units::ZERO));
    }
    transition.record(data);
    let decision = transition.decision(Verdict::Done, Units::ZERO);
    Ok(transition.accept(decision))
}
