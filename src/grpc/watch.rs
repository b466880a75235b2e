//! `WatchUsableCredit`: an account's credit now, then each change, for as long as someone reads.
//!
//! A message is made only when the reader takes it, so a slow reader misses steps in between, never the last one. Announcements are
//! hints: the account is read again after each, when its temporary limit or its billing period ends, and at least every
//! [`RENEWAL`], which also renews the store's lease on announcing. Nothing is said twice.

use std::time::Duration;

use futures_util::{Stream, StreamExt, stream};
use tokio::sync::OwnedSemaphorePermit;
use tonic::Status;

use super::front::Front;
use super::status;
use super::v1::{ThresholdCrossing, WatchUsableCreditResponse};
use super::wire::render;
use crate::domain::account::{Account, Millis};
use crate::ledger::watch::Watch;

/// How long nothing is read at most.
pub const RENEWAL: Duration = Duration::from_secs(15);

/// One watch.
struct Watcher {
    front: Front,
    account: String,
    changes: Watch,
    last: WatchUsableCreditResponse,
    reread_after: Duration,
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
    let (first, reread_after) = look(&front, &account).await?;
    let watcher = Watcher { front, account, changes, last: first.clone(), reread_after, _permit: permit };
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
            tokio::select! {
                biased;
                () = self.front.stopping.cancelled() => return Err(status::stopping()),
                _ = tokio::time::timeout(self.reread_after, self.changes.changed()) => {}
            }
            let (mut message, reread_after) = look(&self.front, &self.account).await?;
            self.reread_after = reread_after;
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

/// The account as it is, without a crossing, and how long that may be taken to hold.
async fn look(front: &Front, account: &str) -> Result<(WatchUsableCreditResponse, Duration), Status> {
    let outcome = front.observe(account, true).await?;
    let profile = front.ledger.profile(account).await.map_err(|error| status::no_answer(&error))?;
    let now = front.ledger.clock().now();
    let threshold = profile.and_then(|profile| profile.low_credit_threshold);
    let message = WatchUsableCreditResponse {
        credit: Some(render::credit(&outcome.account, now)),
        crossing: ThresholdCrossing::Unspecified.into(),
        is_low: threshold.is_some_and(|threshold| outcome.account.usable_credit(now) < threshold),
    };
    Ok((message, holds_for(&outcome.account, now)))
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
