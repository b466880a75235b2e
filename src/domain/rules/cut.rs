//! The cut of a bill: at the end of its period, or by a conversion to prepaid.

use crate::account::{Account, Mode};
use crate::entry::EntryData;
use crate::money::{Units, round_half_up};
use crate::time::UnixMillis;

/// The cut of a bill: what is unbilled moves to the balance. Its sum is rounded to the minor unit, and then, of a postpaid account, what is
/// due: money that is to be paid exists in minor units only. Each rounding has an entry of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    pub bill: u32,
    /// The end of its period.
    pub boundary: UnixMillis,
    /// What moves from the unbilled amount to the balance.
    pub billed: Units,
    /// The rounding of the bill's sum, added to the balance.
    pub rounding: Units,
    /// The rounding of what is due after it, added to the balance.
    pub due_rounding: Units,
}

impl Cut {
    /// The cut of the open bill.
    #[must_use]
    pub fn of(account: &Account) -> Self {
        let rounded = |units: Units| round_half_up(units, account.decimals, account.minor_digits);
        let billed = account.unbilled;
        let rounding = billed - rounded(billed);
        let due = if account.mode == Mode::Postpaid { (billed - rounding - account.balance).or_zero() } else { Units::ZERO };
        Self { bill: account.open_bill, boundary: account.period_end, billed, rounding, due_rounding: due - rounded(due) }
    }

    /// What is recorded of it.
    pub fn entries(self, is_final: bool) -> impl Iterator<Item = EntryData> {
        let Self { billed, rounding, due_rounding, .. } = self;
        let cut = if is_final { EntryData::FinalBilled { billed } } else { EntryData::PeriodClosed { billed } };
        let rounded = (!rounding.is_zero()).then_some(EntryData::Rounded { amount: rounding });
        let due_rounded = (!due_rounding.is_zero()).then_some(EntryData::AmountDueRounded { amount: due_rounding });
        std::iter::once(cut).chain(rounded).chain(due_rounded)
    }
}
