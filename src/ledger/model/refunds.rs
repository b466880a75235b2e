//! For how long a partition keeps what was given back of a charge: at least as long as the charge may be remembered, or its entry be in no
//! reader's hands. Who gives something back later looks the sum up.

use std::collections::BTreeMap;
use std::ops::Bound;

use super::undo::Before;
use super::{Changes, PartitionState};
use domain::rules::{RefundKey, Refunded};
use domain::time::Millis;

/// For how many windows a sum that was given back is kept at least: for as long as an id may be remembered.
pub const REFUND_WINDOWS: i64 = 2;

/// How many sums that were given back are looked at in one slice.
pub const REFUND_SLICE: usize = 500;

impl PartitionState {
    /// What is kept of what was given back.
    #[must_use]
    pub fn refunds(&self) -> &BTreeMap<RefundKey, Refunded> {
        &self.refunds
    }

    /// Drops, of a slice of the sums that were given back, those whose last entry lies below the sequence and that are old enough.
    /// `cursor` is where the slice begins, and then where the next one does; `None` means with the first.
    pub fn drop_refunds(&mut self, below: u64, window: Millis, cursor: &mut Option<RefundKey>) -> Changes {
        let mut changes = Changes { before: vec![Before::State(self.state)], ..Changes::default() };
        let begin = cursor.take().map_or(Bound::Unbounded, Bound::Excluded);
        let mut slice = self.refunds.range((begin, Bound::Unbounded)).take(REFUND_SLICE + 1).peekable();
        let mut looked_at = 0;
        while let Some((key, refunded)) = slice.next() {
            looked_at += 1;
            let until = self.state.now.saturating_sub(REFUND_WINDOWS.saturating_mul(window));
            if refunded.sequence < below && refunded.time <= until {
                changes.refunds.push(key.clone());
            }
            if looked_at == REFUND_SLICE {
                *cursor = slice.peek().map(|_| key.clone());
                break;
            }
        }
        for key in &changes.refunds {
            let refunded = self.refunds.remove(key);
            let dropped_until = &mut self.state.refunds_dropped_until;
            *dropped_until = refunded.map_or(*dropped_until, |refunded| refunded.sequence.max(*dropped_until));
            changes.before.push(Before::Refunded(key.clone(), refunded));
        }
        changes
    }

    /// Up to which entry sums that were given back may have been dropped.
    #[must_use]
    pub fn refunds_dropped_until(&self) -> u64 {
        self.state.refunds_dropped_until
    }
}
