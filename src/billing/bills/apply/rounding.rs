//! The rounding entries behind a cut.

use crate::record::Record;
use domain::entry::EntryKind;
use domain::money::Units;

/// What the entries behind a cut add to the balance: the less there is to pay.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Rounding {
    /// Of the bill's sum.
    pub bill: Units,
    /// Of what is due after it.
    pub due: Units,
}

impl Rounding {
    /// What is rounded of the bill that the record at this place cuts.
    pub fn behind(records: &[Record], place: usize) -> Self {
        let mut rounding = Self::default();
        let Some((record, behind)) = records.get(place..).and_then(<[Record]>::split_first) else { return rounding };
        for Record { entry, .. } in behind {
            let belongs = entry.account == record.entry.account && entry.bill == record.entry.bill;
            match entry.kind() {
                EntryKind::Rounded if belongs => rounding.bill += entry.amount(),
                EntryKind::AmountDueRounded if belongs => rounding.due += entry.amount(),
                _ => break,
            }
        }
        rounding
    }
}
