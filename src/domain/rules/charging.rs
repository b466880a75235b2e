//! Rules of transactions: authorize, debit, release.

use super::{Decided, MAX_OPEN_RESERVATIONS, ReservationChange, ReservationEnd, Transition, both};
use crate::account::{Mode, Reservation, Status};
use crate::command::{Debit, ExcessPolicy, Kind, RemainderPolicy, Reserve};
use crate::entry::{ChargedFrom, EntryData, EntryKind};
use crate::ids::RequestId;
use crate::money::{Units, round_half_up};
use crate::outcome::{Charged, Grant, Refusal, ReserveVerdict, Verdict};
use crate::time::{Millis, UnixMillis};

/// An amount to reserve, in units.
struct UnitsToReserve {
    amount: Units,
    minimum: Option<Units>,
    report_after: Millis,
    expires_after: Millis,
}

impl UnitsToReserve {
    fn of(reserve: &Reserve, transition: &Transition<'_>) -> Result<Self, Refusal> {
        let minimum = reserve.minimum.map(|minimum| transition.units(minimum)).transpose();
        let (amount, minimum) = both(transition.units(reserve.amount), minimum)?;
        Ok(Self { amount, minimum, report_after: reserve.validity, expires_after: reserve.validity + reserve.grace })
    }

    /// All of it, or what there is down to the minimum; else what is missing.
    fn grant(&self, usable: Units, now: UnixMillis) -> Result<Grant, Units> {
        let amount = match self.minimum {
            _ if usable >= self.amount => self.amount,
            Some(minimum) if usable >= minimum => usable,
            minimum => return Err(minimum.unwrap_or(self.amount) - usable),
        };
        Ok(Grant { amount, report_by: now + self.report_after, expires_at: now + self.expires_after, is_final_unit: amount < self.amount })
    }
}

/// Sets an amount aside under the command's own name.
pub(super) fn authorize(mut transition: Transition<'_>, reserve: &Reserve) -> Result<Decided, Refusal> {
    let wanted = UnitsToReserve::of(reserve, &transition)?;
    transition.refuse_closed()?;
    transition.refuse_suspended()?;
    if transition.account.open_reservations >= MAX_OPEN_RESERVATIONS {
        return Err(Refusal::TooManyReservations);
    }
    let grant = match wanted.grant(transition.usable(), transition.now()) {
        Ok(grant) => grant,
        Err(shortfall) => return Ok(transition.leave(Verdict::Declined, shortfall)),
    };
    let Grant { amount, report_by, expires_at, .. } = grant;
    transition.record(EntryData::Reserved { amount, report_by, expires_at });
    transition.refuse_out_of_range()?;
    let mut decision = transition.decision(Verdict::Done, grant.amount);
    decision.reservation = Some(grant);
    let name = transition.command.request_id.clone();
    let made = reservation(&transition, name, &grant);
    Ok(transition.accept(decision).with(|writes| writes.reservation = ReservationChange::Put(made)))
}

fn reservation(transition: &Transition<'_>, request_id: RequestId, grant: &Grant) -> Reservation {
    Reservation {
        account: transition.command.account.clone(),
        request_id,
        amount: grant.amount,
        report_by: grant.report_by,
        expires_at: grant.expires_at,
    }
}

/// Why there is no open reservation of the name that the command gives.
fn gone(transition: &Transition<'_>) -> Refusal {
    match transition.loaded.original {
        Some(original) if original.decision.kind == Kind::Authorize && original.decision.verdict == Verdict::Done => match original.ended {
            ReservationEnd::Settled => Refusal::ReservationSettled,
            ReservationEnd::Released => Refusal::ReservationReleased,
            ReservationEnd::Not => Refusal::ReservationExpired,
        },
        _ => Refusal::ReservationNotFound,
    }
}

/// Charges, directly or against a reservation.
pub(super) fn debit(mut transition: Transition<'_>, debit: &Debit) -> Result<Decided, Refusal> {
    let wanted = match &debit.then {
        RemainderPolicy::Reserve(reserve) => Some(UnitsToReserve::of(reserve, &transition)),
        RemainderPolicy::Settle | RemainderPolicy::Keep => None,
    };
    let (amount, wanted) = both(transition.units(debit.amount), wanted.transpose())?;
    transition.refuse_closed()?;
    let is_consumed = debit.excess == ExcessPolicy::AlreadyConsumed;
    if debit.reservation.is_none() && !is_consumed {
        transition.refuse_suspended()?;
    }
    let open = debit.reservation.as_ref().and(transition.loaded.reservation);
    if debit.reservation.is_some() && open.is_none() {
        let reason = gone(&transition);
        // What was used beside one that was settled or released is a direct charge.
        if !is_consumed || reason != Refusal::ReservationExpired {
            return Err(reason);
        }
    }
    let held = open.map_or(Units::ZERO, |reservation| reservation.amount);
    let is_own_bill = transition.account.bills_on_its_own(debit.category);
    let price =
        if is_own_bill { amount.max(round_half_up(amount, transition.account.decimals, transition.account.minor_digits)) } else { amount };
    let excess = (price - held).or_zero();
    let usable = transition.usable();
    let mut overdraft = Units::ZERO;
    if excess.is_positive() && usable < excess {
        if !is_consumed {
            return Ok(transition.leave(Verdict::Declined, excess - usable));
        }
        overdraft = excess - usable.or_zero();
    }

    let kept = (held - price).or_zero();
    let keeps = open.is_some() && debit.then == RemainderPolicy::Keep;
    let from = match transition.account.mode {
        _ if is_own_bill => ChargedFrom::OwnBill,
        Mode::Postpaid => ChargedFrom::Unbilled,
        Mode::Prepaid => ChargedFrom::Balance,
    };
    let data = EntryData::Charged { from, amount, reservation: keeps.then_some(kept), overdraft };
    let charged = charge(&mut transition, open.map(|open| open.amount), data);
    transition.refuse_out_of_range()?;

    let mut decision = transition.decision(Verdict::Done, amount);
    decision.overdraft = overdraft;
    decision.charged = Some(charged);
    let name = debit.reservation.clone().unwrap_or_default();
    let reservation_change = match (open, wanted) {
        (Some(open), None) if keeps => {
            let grant = Grant { amount: kept, report_by: open.report_by, expires_at: open.expires_at, is_final_unit: false };
            decision.reservation = Some(grant);
            ReservationChange::Put(reservation(&transition, name, &grant))
        }
        (_, Some(wanted)) => match reserve_again(&mut transition, &wanted)? {
            Ok(grant) => {
                decision.reserve = ReserveVerdict::Granted;
                decision.reservation = Some(grant);
                ReservationChange::Put(reservation(&transition, name, &grant))
            }
            Err(verdict) => {
                decision.reserve = verdict;
                if open.is_some() { ReservationChange::End(ReservationEnd::Settled) } else { ReservationChange::Keep }
            }
        },
        (Some(_), None) => ReservationChange::End(ReservationEnd::Settled),
        (None, None) => ReservationChange::Keep,
    };
    Ok(transition.accept(decision).with(|writes| writes.reservation = reservation_change))
}

/// Records a charge; a bill of its own is rounded in the same step. Returns where it went.
fn charge(transition: &mut Transition<'_>, reservation: Option<Units>, data: EntryData) -> Charged {
    let (kind, amount) = (data.kind(), data.amount());
    if kind != EntryKind::ChargedOwnBill {
        let bill = transition.account.open_bill;
        transition.record_in(bill, reservation, data);
        return Charged { kind, bill };
    }
    let bill = transition.account.last_bill + 1;
    transition.record_in(bill, reservation, data);
    let rounding = amount - round_half_up(amount, transition.account.decimals, transition.account.minor_digits);
    if !rounding.is_zero() {
        transition.record_in(bill, None, EntryData::Rounded { amount: rounding });
    }
    Charged { kind, bill }
}

/// Reserves anew after a report, under the same name: it replaces, never adds. The report stands whatever comes of it.
fn reserve_again(transition: &mut Transition<'_>, wanted: &UnitsToReserve) -> Result<Result<Grant, ReserveVerdict>, Refusal> {
    if transition.account.status == Status::Suspended {
        return Ok(Err(ReserveVerdict::Suspended));
    }
    if transition.account.open_reservations >= MAX_OPEN_RESERVATIONS {
        return Ok(Err(ReserveVerdict::TooMany));
    }
    match wanted.grant(transition.usable(), transition.now()) {
        Err(shortfall) => Ok(Err(ReserveVerdict::Declined { shortfall })),
        Ok(grant) => {
            let Grant { amount, report_by, expires_at, .. } = grant;
            transition.record(EntryData::ReservationExtended { amount, report_by, expires_at });
            transition.refuse_out_of_range()?;
            Ok(Ok(grant))
        }
    }
}

/// Releases a reservation.
pub(super) fn release(mut transition: Transition<'_>) -> Result<Decided, Refusal> {
    transition.refuse_closed()?;
    let Some(open) = transition.loaded.reservation else { return Err(gone(&transition)) };
    transition.record_against(Some(open.amount), EntryData::Released { amount: open.amount });
    let decision = transition.decision(Verdict::Done, open.amount);
    Ok(transition.accept(decision).with(|writes| writes.reservation = ReservationChange::End(ReservationEnd::Released)))
}
