//! What the journal says of earlier charges, payments and bills: for refunds and reversals that the step cannot decide by what it remembers.

use super::{IdempotencyKey, Ledger, LedgerError};
use domain::command::{OriginalBill, OriginalEntry};
use domain::entry::{Entry, EntryData, EntryKind, GivenBack, RefundedTo};
use domain::ids::{AccountId, RequestId};
use domain::money::Units;

/// The result of a search of the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Searched<T> {
    pub found: Option<T>,
    /// Whether all was looked through that was to be. Else what was not found may be there.
    pub is_whole: bool,
}

impl Ledger {
    /// The bill of a charge that is remembered.
    pub async fn remembered_bill(&self, account: &AccountId, request_id: &RequestId) -> Result<Option<u32>, LedgerError> {
        let remembered = self.engine.remembered(self.partition_of(account), IdempotencyKey::of(account, request_id)).await?;
        Ok(remembered.and_then(|remembered| remembered.decision.charged).map(|charged| charged.bill))
    }

    /// The last charge (payment, write-off) of that request id above a sequence, and what was given back of it: by a bounded search of the
    /// journal, from its end.
    pub async fn original(
        &self,
        account: &AccountId,
        request_id: &RequestId,
        is_wanted: fn(EntryKind) -> bool,
        above: u64,
    ) -> Result<Searched<OriginalEntry>, LedgerError> {
        let mut given_back = Vec::new();
        self.search(account, above, |sequence, entry, known_until| {
            if entry.account != *account {
                return None;
            }
            if gives_back(entry.kind(), is_wanted) && entry.refers_to == *request_id {
                given_back.extend(entry.data.given_back().copied());
            }
            if entry.request_id != *request_id || !is_wanted(entry.kind()) {
                return None;
            }
            // Newest first. Those of format version 2 name no original, and so mean the last of that id.
            let last = given_back.iter().find(|given_back: &&GivenBack| given_back.original.is_none_or(|original| original == sequence));
            let given_back = last.map_or(Units::ZERO, |given_back| given_back.total);
            Some(OriginalEntry { sequence, kind: entry.kind(), amount: entry.amount(), bill: entry.bill, given_back, known_until })
        })
        .await
    }

    /// The sums of a bill that was cut above a sequence: by a bounded search of the journal, from its end.
    pub async fn bill_sums(&self, account: &AccountId, bill: u32, above: u64) -> Result<Searched<OriginalBill>, LedgerError> {
        let (mut refunded, mut of_version_2) = (Units::ZERO, Units::ZERO);
        self.search(account, above, |_, entry, known_until| {
            if entry.account != *account {
                return None;
            }
            match entry.data {
                EntryData::Refunded { to: RefundedTo::Balance, amount, given_back } if given_back.bill == bill => {
                    refunded = refunded.max(given_back.of_bill.unwrap_or_default());
                    of_version_2 += if given_back.original.is_none() { amount } else { Units::ZERO };
                    None
                }
                EntryData::PeriodClosed { billed } | EntryData::FinalBilled { billed } if entry.bill == bill => {
                    let refunded = if refunded.is_positive() { refunded } else { of_version_2 };
                    Some(OriginalBill { bill, billed, refunded, known_until })
                }
                _ => None,
            }
        })
        .await
    }

    /// Looks through the journal from its end down to a sequence, until something is found. It says with each entry up to which sequence
    /// the journal was looked through before.
    async fn search<T>(
        &self,
        account: &AccountId,
        above: u64,
        mut look_at: impl FnMut(u64, &Entry, u64) -> Option<T>,
    ) -> Result<Searched<T>, LedgerError> {
        let (mut found, mut newest, mut oldest) = (None, None, u64::MAX);
        let has_ended = self
            .scan(account, None, |sequence, entry| {
                if sequence <= above {
                    oldest = oldest.min(above + 1);
                    return false;
                }
                oldest = sequence;
                found = look_at(sequence, &entry, *newest.get_or_insert(sequence));
                found.is_none()
            })
            .await?;
        // Down to what others know, or to the beginning of a journal that nothing was cut off of.
        let is_whole = oldest <= above + 1 || (has_ended && oldest == u64::MAX);
        Ok(Searched { found, is_whole })
    }
}

/// Whether an entry of this kind gives back one of the wanted kinds.
fn gives_back(kind: EntryKind, is_wanted: fn(EntryKind) -> bool) -> bool {
    match kind {
        EntryKind::RefundedBalance | EntryKind::RefundedUnbilled => is_wanted(EntryKind::ChargedBalance),
        EntryKind::PaymentReversed => is_wanted(EntryKind::ToppedUp),
        EntryKind::WriteOffReversed => is_wanted(EntryKind::WrittenOff),
        _ => false,
    }
}
