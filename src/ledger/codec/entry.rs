//! The data of an entry as numbers: what the journal and the billing store keep of it, beside its settings.
//!
//! Each kind has an amount; some have two details, and what gives something back has three numbers more. What is not there is zero, so what
//! can be there and be zero is stored as one more: what is left of a reservation.

use super::Undecodable;
use domain::account::Mode;
use domain::entry::{ChargedFrom, EntryData, EntryKind, GivenBack, Limits, RefundedTo, Settings};
use domain::money::Units;
use domain::time::UnixMillis;

/// An entry's data, as stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntryNumbers {
    pub kind: EntryKind,
    pub amount: Units,
    /// Two more numbers of a created account, a charge, a refund, a reversal, limits, a reservation or a gap.
    pub details: [i64; 2],
    /// Of a refund or a reversal: the original's sequence, the rounding, what was refunded of the bill.
    pub given_back: [i64; 3],
}

impl EntryNumbers {
    /// Packs an entry's data.
    #[must_use]
    pub fn of(data: &EntryData) -> Self {
        let of_limits = |limits: &Limits| [limits.temporary.get(), limits.temporary_until.get()];
        let details = match data {
            EntryData::Created { limits, .. } | EntryData::LimitSet { limits } => of_limits(limits),
            EntryData::Charged { reservation, overdraft, .. } => {
                [reservation.map_or(0, |left| left.get().saturating_add(1)), overdraft.get()]
            }
            EntryData::Reserved { report_by, expires_at, .. } | EntryData::ReservationExtended { report_by, expires_at, .. } => {
                [report_by.get(), expires_at.get()]
            }
            EntryData::NotItemized { to_unbilled, was_cut, .. } | EntryData::NotItemizedUnbilled { to_unbilled, was_cut, .. } => {
                [to_unbilled.get(), i64::from(*was_cut)]
            }
            _ => data.given_back().map_or([0, 0], |given_back| [given_back.total.get(), i64::from(given_back.bill)]),
        };
        let given_back = data.given_back().map_or([0; 3], |given_back| {
            let original = given_back.original.map_or(0, |sequence| i64::try_from(sequence).unwrap_or(i64::MAX));
            [original, given_back.rounding.get(), given_back.of_bill.map_or(0, Units::get)]
        });
        Self { kind: data.kind(), amount: data.amount(), details, given_back }
    }

    /// The inverse of [`EntryNumbers::of`], with the mode and the settings that are stored beside the numbers.
    pub fn data(self, mode: Mode, settings: Settings) -> Result<EntryData, Undecodable> {
        let has_settings = settings != Settings::default();
        let data = self.read(mode, settings).ok_or(Undecodable("data of an entry"))?;
        // What this kind does not have would be lost.
        let is_whole = Self::of(&data) == self && (data.settings().is_some() || !has_settings);
        is_whole.then_some(data).ok_or(Undecodable("data of an entry of its kind"))
    }

    fn read(self, mode: Mode, settings: Settings) -> Option<EntryData> {
        let Self { kind, amount, details: [first, second], given_back: [original, rounding, of_bill] } = self;
        let limits = Limits { permanent: amount, temporary: Units::new(first), temporary_until: UnixMillis::new(second) };
        let charged = |from| {
            let reservation = if first == 0 { None } else { Some(Units::new(first.checked_sub(1)?)) };
            Some(EntryData::Charged { from, amount, reservation, overdraft: Units::new(second) })
        };
        let (report_by, expires_at) = (UnixMillis::new(first), UnixMillis::new(second));
        let given_back = || {
            Some(GivenBack {
                original: Some(u64::try_from(original).ok()?).filter(|sequence| *sequence != 0),
                total: Units::new(first),
                rounding: Units::new(rounding),
                bill: u32::try_from(second).ok()?,
                of_bill: Some(Units::new(of_bill)).filter(|sum| !sum.is_zero()),
            })
        };
        Some(match kind {
            EntryKind::Created => EntryData::Created { limits, settings },
            EntryKind::Updated => EntryData::Updated { settings },
            EntryKind::ChargedBalance => charged(ChargedFrom::Balance)?,
            EntryKind::ChargedUnbilled => charged(ChargedFrom::Unbilled)?,
            EntryKind::ChargedOwnBill => charged(ChargedFrom::OwnBill)?,
            EntryKind::RefundedBalance => EntryData::Refunded { to: RefundedTo::Balance, amount, given_back: given_back()? },
            EntryKind::RefundedUnbilled => EntryData::Refunded { to: RefundedTo::Unbilled, amount, given_back: given_back()? },
            EntryKind::ToppedUp => EntryData::ToppedUp { amount },
            EntryKind::PaymentReversed => EntryData::PaymentReversed { amount, given_back: given_back()? },
            EntryKind::Withdrawn => EntryData::Withdrawn { amount },
            EntryKind::Adjusted => EntryData::Adjusted { amount },
            EntryKind::LimitSet => EntryData::LimitSet { limits },
            EntryKind::Converted => EntryData::Converted { mode },
            EntryKind::PeriodClosed => EntryData::PeriodClosed { billed: amount },
            EntryKind::FinalBilled => EntryData::FinalBilled { billed: amount },
            EntryKind::Rounded => EntryData::Rounded { amount },
            EntryKind::Suspended => EntryData::Suspended,
            EntryKind::Resumed => EntryData::Resumed,
            EntryKind::Closed => EntryData::Closed,
            EntryKind::Reserved => EntryData::Reserved { amount, report_by, expires_at },
            EntryKind::ReservationExtended => EntryData::ReservationExtended { amount, report_by, expires_at },
            EntryKind::Released => EntryData::Released { amount },
            EntryKind::PaymentRecorded => EntryData::PaymentRecorded { amount },
            EntryKind::WrittenOff => EntryData::WrittenOff { amount },
            EntryKind::WriteOffReversed => EntryData::WriteOffReversed { amount, given_back: given_back()? },
            EntryKind::AmountDueRounded => EntryData::AmountDueRounded { amount },
            EntryKind::Reopened => EntryData::Reopened,
            EntryKind::NotItemized => {
                EntryData::NotItemized { to_balance: amount, to_unbilled: Units::new(first), was_cut: second != 0, settings }
            }
            EntryKind::NotItemizedUnbilled => {
                EntryData::NotItemizedUnbilled { amount, to_unbilled: Units::new(first), was_cut: second != 0, settings }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ODD: EntryNumbers = EntryNumbers { kind: EntryKind::Created, amount: Units::new(7), details: [3, 1], given_back: [5, -2, 9] };

    #[test]
    fn each_kind_keeps_all_that_it_has_and_refuses_what_it_has_not() {
        for kind in EntryKind::ALL {
            let fits = |numbers: EntryNumbers| {
                let read = numbers.data(Mode::Postpaid, Settings::default());
                read.map(|data| assert_eq!((data.kind(), EntryNumbers::of(&data)), (kind, numbers))).is_ok()
            };
            let all = EntryNumbers { kind, ..ODD };
            let gives_back = kind.is_refund() || matches!(kind, EntryKind::PaymentReversed | EntryKind::WriteOffReversed);
            let has_details = gives_back
                || kind.is_charge()
                || kind.is_of_gap()
                || matches!(kind, EntryKind::Created | EntryKind::LimitSet | EntryKind::Reserved | EntryKind::ReservationExtended);
            let has_amount = has_details || (kind.moves_money() || matches!(kind, EntryKind::Released));
            assert_eq!(fits(all), gives_back, "{kind:?}");
            assert_eq!(fits(EntryNumbers { given_back: [0; 3], ..all }), has_details, "{kind:?}");
            assert_eq!(fits(EntryNumbers { given_back: [0; 3], details: [0; 2], ..all }), has_amount, "{kind:?}");
            assert!(fits(EntryNumbers { given_back: [0; 3], details: [0; 2], amount: Units::ZERO, kind }), "{kind:?}");
        }
    }

    #[test]
    fn a_reservation_with_nothing_left_is_still_open() {
        let open = EntryData::Charged {
            from: ChargedFrom::Balance,
            amount: Units::new(5),
            reservation: Some(Units::ZERO),
            overdraft: Units::ZERO,
        };
        assert_eq!(EntryNumbers::of(&open).details, [1, 0]);
        assert_eq!(EntryNumbers::of(&open).data(Mode::Prepaid, Settings::default()), Ok(open));
        let settled = EntryData::Charged { from: ChargedFrom::Balance, amount: Units::new(5), reservation: None, overdraft: Units::ZERO };
        assert_eq!(EntryNumbers::of(&settled).details, [0, 0]);
    }

    #[test]
    fn settings_of_an_entry_that_has_none_are_refused() {
        let settings = Settings { name: Some("Acme".into()), ..Settings::default() };
        let numbers = EntryNumbers { kind: EntryKind::Suspended, amount: Units::ZERO, details: [0; 2], given_back: [0; 3] };
        assert!(numbers.data(Mode::Prepaid, settings.clone()).is_err());
        assert_eq!(
            EntryNumbers { kind: EntryKind::Updated, ..numbers }.data(Mode::Prepaid, settings.clone()),
            Ok(EntryData::Updated { settings })
        );
    }
}
