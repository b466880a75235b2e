//! What a transaction asks: authorize, debit, release.

use super::{Desk, Ended, MAX_OPEN_RESERVATIONS, ReservationChange, Step, both};
use crate::account::{Mode, Reservation, Status};
use crate::command::{Debit, Excess, Kind, Reserve, Then};
use crate::entry::{ChargedFrom, EntryData, EntryKind};
use crate::money::round_half_up;
use crate::outcome::{Charged, Grant, Refusal, ReserveVerdict, Verdict};

/// An amount to reserve, in units.
struct Wanted {
    amount: i64,
    minimum: Option<i64>,
    report_after: i64,
    expires_after: i64,
}

impl Wanted {
    fn of(reserve: &Reserve, desk: &Desk<'_>) -> Result<Self, Refusal> {
        let minimum = reserve.minimum.map(|minimum| desk.units(minimum)).transpose();
        let (amount, minimum) = both(desk.units(reserve.amount), minimum)?;
        Ok(Self { amount, minimum, report_after: reserve.validity, expires_after: reserve.validity + reserve.grace })
    }

    /// All of it, or what there is down to the minimum; else what is missing.
    fn grant(&self, usable: i64, now: i64) -> Result<Grant, i64> {
        let amount = match self.minimum {
            _ if usable >= self.amount => self.amount,
            Some(minimum) if usable >= minimum => usable,
            minimum => return Err(minimum.unwrap_or(self.amount) - usable),
        };
        Ok(Grant { amount, report_by: now + self.report_after, expires_at: now + self.expires_after, is_final_unit: amount < self.amount })
    }
}

/// Sets an amount aside under the command's own name.
pub(super) fn authorize(mut desk: Desk<'_>, reserve: &Reserve) -> Result<Step, Refusal> {
    let wanted = Wanted::of(reserve, &desk)?;
    desk.refuse_closed()?;
    desk.refuse_suspended()?;
    if desk.account.open_reservations >= MAX_OPEN_RESERVATIONS {
        return Err(Refusal::TooManyReservations);
    }
    let grant = match wanted.grant(desk.usable(), desk.now()) {
        Ok(grant) => grant,
        Err(shortfall) => return Ok(desk.leave(Verdict::Declined, shortfall)),
    };
    let Grant { amount, report_by, expires_at, .. } = grant;
    desk.record(EntryData::Reserved { amount, report_by, expires_at });
    desk.refuse_out_of_range()?;
    let mut decision = desk.decision(Verdict::Done, grant.amount);
    decision.reservation = Some(grant);
    let name = desk.command.request_id.clone();
    let made = reservation(&desk, name, &grant);
    Ok(desk.accept(decision).with(|change| change.reservation = ReservationChange::Put(made)))
}

fn reservation(desk: &Desk<'_>, request_id: String, grant: &Grant) -> Reservation {
    Reservation {
        account: desk.command.account.clone(),
        request_id,
        amount: grant.amount,
        report_by: grant.report_by,
        expires_at: grant.expires_at,
    }
}

/// Why there is no open reservation of the name that the command gives.
fn gone(desk: &Desk<'_>) -> Refusal {
    match desk.touched.original {
        Some(original) if original.decision.kind == Kind::Authorize && original.decision.verdict == Verdict::Done => match original.ended {
            Ended::Settled => Refusal::ReservationSettled,
            Ended::Released => Refusal::ReservationReleased,
            Ended::Not => Refusal::ReservationExpired,
        },
        _ => Refusal::ReservationNotFound,
    }
}

/// Charges, directly or against a reservation.
pub(super) fn debit(mut desk: Desk<'_>, debit: &Debit) -> Result<Step, Refusal> {
    let wanted = match &debit.then {
        Then::Reserve(reserve) => Some(Wanted::of(reserve, &desk)),
        Then::Settle | Then::Keep => None,
    };
    let (amount, wanted) = both(desk.units(debit.amount), wanted.transpose())?;
    desk.refuse_closed()?;
    let is_consumed = debit.excess == Excess::AlreadyConsumed;
    if debit.reservation.is_none() && !is_consumed {
        desk.refuse_suspended()?;
    }
    let open = debit.reservation.as_ref().and(desk.touched.reservation);
    if debit.reservation.is_some() && open.is_none() {
        let reason = gone(&desk);
        // What was used beside one that was settled or released is a direct charge.
        if !is_consumed || reason != Refusal::ReservationExpired {
            return Err(reason);
        }
    }
    let held = open.map_or(0, |reservation| reservation.amount);
    let is_own_bill = desk.account.bills_on_its_own(debit.category);
    let price = if is_own_bill { amount.max(round_half_up(amount, desk.account.decimals, desk.account.minor_digits)) } else { amount };
    let excess = (price - held).max(0);
    let usable = desk.usable();
    let mut overdraft = 0;
    if excess > 0 && usable < excess {
        if !is_consumed {
            return Ok(desk.leave(Verdict::Declined, excess - usable));
        }
        overdraft = excess - usable.max(0);
    }

    let kept = (held - price).max(0);
    let keeps = open.is_some() && debit.then == Then::Keep;
    let from = match desk.account.mode {
        _ if is_own_bill => ChargedFrom::OwnBill,
        Mode::Postpaid => ChargedFrom::Unbilled,
        Mode::Prepaid => ChargedFrom::Balance,
    };
    let data = EntryData::Charged { from, amount, reservation: keeps.then_some(kept), overdraft };
    let charged = charge(&mut desk, open.map(|open| open.amount), data);
    desk.refuse_out_of_range()?;

    let mut decision = desk.decision(Verdict::Done, amount);
    decision.overdraft = overdraft;
    decision.charged = Some(charged);
    let name = debit.reservation.clone().unwrap_or_default();
    let reservation_change = match (open, wanted) {
        (Some(open), None) if keeps => {
            let grant = Grant { amount: kept, report_by: open.report_by, expires_at: open.expires_at, is_final_unit: false };
            decision.reservation = Some(grant);
            ReservationChange::Put(reservation(&desk, name, &grant))
        }
        (_, Some(wanted)) => match reserve_again(&mut desk, &wanted)? {
            Ok(grant) => {
                decision.reserve = ReserveVerdict::Granted;
                decision.reservation = Some(grant);
                ReservationChange::Put(reservation(&desk, name, &grant))
            }
            Err(verdict) => {
                decision.reserve = verdict;
                ReservationChange::End(Ended::Settled)
            }
        },
        (Some(_), None) => ReservationChange::End(Ended::Settled),
        (None, None) => ReservationChange::Keep,
    };
    Ok(desk.accept(decision).with(|change| change.reservation = reservation_change))
}

/// Records a charge; a bill of its own is rounded in the same step. Returns where it went.
fn charge(desk: &mut Desk<'_>, reservation: Option<i64>, data: EntryData) -> Charged {
    let (kind, amount) = (data.kind(), data.amount());
    if kind != EntryKind::ChargedOwnBill {
        let bill = desk.account.open_bill;
        desk.record_in(bill, reservation, data);
        return Charged { kind, bill };
    }
    let bill = desk.account.last_bill + 1;
    desk.record_in(bill, reservation, data);
    let rounding = amount - round_half_up(amount, desk.account.decimals, desk.account.minor_digits);
    if rounding != 0 {
        desk.record_in(bill, None, EntryData::Rounded { amount: rounding });
    }
    Charged { kind, bill }
}

/// Reserves anew after a report, under the same name: it replaces, never adds. The report stands whatever comes of it.
fn reserve_again(desk: &mut Desk<'_>, wanted: &Wanted) -> Result<Result<Grant, ReserveVerdict>, Refusal> {
    if desk.account.status == Status::Suspended {
        return Ok(Err(ReserveVerdict::Suspended));
    }
    if desk.account.open_reservations >= MAX_OPEN_RESERVATIONS {
        return Ok(Err(ReserveVerdict::TooMany));
    }
    match wanted.grant(desk.usable(), desk.now()) {
        Err(shortfall) => Ok(Err(ReserveVerdict::Declined { shortfall })),
        Ok(grant) => {
            let Grant { amount, report_by, expires_at, .. } = grant;
            desk.record(EntryData::ReservationExtended { amount, report_by, expires_at });
            desk.refuse_out_of_range()?;
            Ok(Ok(grant))
        }
    }
}

/// Gives a reservation back.
pub(super) fn release(mut desk: Desk<'_>) -> Result<Step, Refusal> {
    desk.refuse_closed()?;
    let Some(open) = desk.touched.reservation else { return Err(gone(&desk)) };
    desk.record_against(Some(open.amount), EntryData::Released { amount: open.amount });
    let decision = desk.decision(Verdict::Done, open.amount);
    Ok(desk.accept(decision).with(|change| change.reservation = ReservationChange::End(Ended::Released)))
}
