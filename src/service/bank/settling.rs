//! Settles lines whose booking was begun long ago and never confirmed.
//!
//! Each try to book a line says when its claim was made, and the ledger refuses it once that lies before the window in which it remembers
//! request ids. So a claim that is older has no future; and as soon as the billing store has the journal of its account to the end, it has
//! no secret past either: the payment is there, or it was never booked.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::booking::TRY_ENDS_AFTER;
use crate::UseCases;
use crate::error::Error;
use billing::Billing;
use billing::bank::BookedLine;

/// How often it is looked whether the billing store has the journal of before.
const PAUSE: Duration = Duration::from_millis(50);

impl UseCases {
    /// Whether all that can ever come of a claim is in the billing store, which may take some time for that. The clocks of processes may
    /// differ by as long as a try takes.
    pub(super) async fn is_over(&self, billing: &Billing, claimed: &BookedLine, patience: Duration) -> Result<bool, Error> {
        if claimed.at.saturating_add(self.ledger.idempotency_window()).saturating_add(TRY_ENDS_AFTER) >= self.clock().now() {
            return Ok(false);
        }
        let partition = self.ledger.partition_of(&claimed.account);
        let end = self.ledger.engine().journal_span(partition).await?.next;
        let deadline = Instant::now() + patience;
        while billing.next_sequence(partition).await? < end {
            if Instant::now() >= deadline {
                return Ok(false);
            }
            sleep(PAUSE).await;
        }
        Ok(true)
    }
}
