//! Closes the periods of accounts that nobody has touched in the new month, so that they get their bills too.
//!
//! A paced scan of the partition, after each end of a billing period; it pauses while the journal is behind, so that it never slows
//! what it feeds. Done twice, it finds nothing: a close is written once.

use std::time::Duration;

use futures_util::{StreamExt, stream};
use tokio::time::sleep;

use super::Shared;
use crate::partitions::{self, Claim};
use domain::command::{Action, Command, Metadata};
use domain::ids::{AccountId, RequestId};
use domain::time::UnixMillis;
use ledger::LedgerError;
use ledger::redis::MAX_CLOCK_DIFFERENCE;
use platform::telemetry::metrics;

/// How often the calendar is looked at.
const LOOK: Duration = Duration::from_millis(500);

/// How many accounts are looked at in one page.
const PAGE: usize = 100;

/// How many closes are under way at once.
const AT_ONCE: usize = 16;

/// The scan waits while more entries than this are not committed yet.
const MOST_LAG: u64 = 50_000;

/// Scans after each end of a billing period. Runs until dropped.
pub(super) async fn run(shared: &Shared, mut claim: Claim) {
    loop {
        let boundary = due_boundary(shared);
        if boundary > claim.closed_until {
            metrics().aggregation.set_month_end(claim.partition, true);
            match scan(shared, &claim).await {
                Ok(closed) => {
                    if closed > 0 {
                        tracing::info!(partition = claim.partition, closed, "the period of idle accounts was closed");
                    }
                    match partitions::set_closed_until(shared.billing.store(), &claim, boundary).await {
                        Ok(()) => {
                            claim.closed_until = boundary;
                            metrics().aggregation.set_month_end(claim.partition, false);
                        }
                        Err(error) => tracing::warn!(partition = claim.partition, %error, "a finished scan was not written down"),
                    }
                }
                Err(error) => tracing::warn!(partition = claim.partition, %error, "the scan for idle accounts begins anew"),
            }
        }
        sleep(LOOK).await;
    }
}

/// The last end of a billing period that is so long ago that no process's clock is still before it.
fn due_boundary(shared: &Shared) -> UnixMillis {
    let clock = shared.ledger.clock();
    let grace = if clock.is_manual() { 0 } else { 2 * MAX_CLOCK_DIFFERENCE };
    clock.period_start(clock.now() - grace)
}

/// Closes the periods of all accounts whose period is over.
async fn scan(shared: &Shared, claim: &Claim) -> Result<usize, LedgerError> {
    let Shared { ledger, options, status, .. } = shared;
    let (mut cursor, mut closed, mut looked_at) = (None, 0, 0);
    loop {
        while status.lag_of(claim.partition) > MOST_LAG {
            sleep(LOOK).await;
        }
        let page = ledger.engine().due_accounts(claim.partition, cursor, PAGE, ledger.clock().now()).await?;
        let count = page.accounts.len();
        let mut closing = stream::iter(page.accounts).map(|account| close(shared, account)).buffer_unordered(AT_ONCE);
        while let Some(result) = closing.next().await {
            result?;
            closed += 1;
            metrics().aggregation.count_month_end_close(claim.partition);
        }
        looked_at += PAGE as u64;
        metrics().aggregation.set_month_end_looked_at(claim.partition, looked_at);
        cursor = page.next;
        if cursor.is_none() {
            return Ok(closed);
        }
        // Looking is cheap, closing is what is paced; but nobody scans a million accounts in one go either.
        // All partitions may be scanned at the same time.
        let share = f64::from(options.closes_per_second.max(1)) / f64::from(ledger.partitions().max(1));
        sleep(Duration::from_millis(2) + Duration::from_secs_f64(count as f64 / share)).await;
    }
}

async fn close(shared: &Shared, account: AccountId) -> Result<(), LedgerError> {
    let command = Command {
        account,
        request_id: RequestId::default(),
        first_sent_at: None,
        currency: None,
        action: Action::ClosePeriod,
        metadata: Metadata::default(),
    };
    // A refusal means that there is no such account (any more).
    shared.ledger.submit(command).await.map(|_| ())
}
