//! `WatchUsableCredit`: an account's credit now, then each change, for as long as someone reads.
//!
//! A message is made only when the reader takes it, so a slow reader misses steps in between, never the last one. Announcements are
//! hints: the account is read again after each, when its temporary limit or its billing period ends, and at least every
//! [`RENEWAL`], which also renews the store's lease on announcing. It is read once for all who watch it. Nothing is said twice.

use std::time::Duration;

use futures_util::{Stream, StreamExt, stream};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, sleep_until};
use tonic::Status;

use super::front::{Front, observation};
use super::status;
use super::v1::{ThresholdCrossing, WatchUsableCreditResponse};
use super::wire::{Position, Subject, render};
use crate::domain::account::{Account, Millis};
use crate::ledger::watch::Watch;

/// How long nothing is read at most.
pub const RENEWAL: Duration = Duration::from_secs(15);

/// One watch.
struct Watcher {
    front: Front,
    changes: Watch,
    last: WatchUsableCreditResponse,
    begun: Instant,
    /// When it must be read again, whatever is announced.
    holds_until: Instant,
    _permit: OwnedSemaphorePermit,
}

/// Watches an account. Fails at once if there is no such account.
pub async fn watch(
    front: Front,
    account: String,
) -> Result<impl Stream<Item = Result<WatchUsableCreditResponse, Status>> + Send + use<>, Status> {
    let permit = front.gate.watch()?;
    // Waiting begins before the first look, so that no change falls between the two.
    let changes = front.ledger.watch(&account);
    let begun = Instant::now();
    let (first, holds_until) = look(&front, &changes, begun).await?;
    let watcher = Watcher { front, changes, begun, last: first.clone(), holds_until, _permit: permit };
    let later = stream::unfold(Some(watcher), |watcher| async move {
        let mut watcher = watcher?;
        match watcher.next().await {
            Ok(message) => Some((Ok(message), Some(watcher))),
            Err(status) => Some((Err(status), None)),
        }
    });
    Ok(stream::iter([Ok(first)]).chain(later))
}

impl Watcher {
    /// Waits for the next message that says something new.
    async fn next(&mut self) -> Result<WatchUsableCreditResponse, Status> {
        loop {
            let not_before = tokio::select! {
                biased;
                () = self.front.stopping.cancelled() => return Err(status::stopping()),
                () = self.changes.changed() => None,
                () = sleep_until(self.holds_until) => Some(self.holds_until),
            };
            let (mut message, holds_until) = look(&self.front, &self.changes, not_before.unwrap_or(self.begun)).await?;
            self.holds_until = holds_until;
            if message == self.last {
                continue;
            }
            let before = std::mem::replace(&mut self.last, message.clone());
            message.set_crossing(crossing(before.is_low, message.is_low));
            return Ok(message);
        }
    }
}

fn crossing(was_low: bool, is_low: bool) -> ThresholdCrossing {
    match (was_low, is_low) {
        (false, true) => ThresholdCrossing::FellBelow,
        (true, false) => ThresholdCrossing::RoseAbove,
        _ => ThresholdCrossing::Unspecified,
    }
}

/// The account as it is, without a crossing, and until when that may be taken to hold.
async fn look(front: &Front, watch: &Watch, not_before: Instant) -> Result<(WatchUsableCreditResponse, Instant), Status> {
    let found = front.ledger.look(watch, not_before).await.map_err(|error| status::no_answer(&error))?;
    let subject = || Subject::new(observation(watch.account().to_owned()), Position::default());
    let found = found.map_err(|refusal| status::refused(refusal, &subject()))?;
    // The partition's time may be ahead of this process's.
    let now = found.now;
    let message = WatchUsableCreditResponse {
        credit: Some(render::credit(&found.account, now)),
        crossing: ThresholdCrossing::Unspecified.into(),
        is_low: found.low_credit_threshold.is_some_and(|threshold| found.account.usable_credit(now) < threshold),
    };
    Ok((message, found.at + holds_for(&found.account, now)))
}

/// Until when the credit changes by itself, if that is before the next renewal.
fn holds_for(account: &Account, now: Millis) -> Duration {
    [account.temporary_until, account.period_end]
        .into_iter()
        .filter(|end| *end > now)
        .filter_map(|end| u64::try_from(end - now).ok())
        .map(Duration::from_millis)
        .fold(RENEWAL, Duration::min)
}
