//! Drops what is older than it is to be kept, in the aggregator: some at a time, with a rest after each, so that no step waits for long.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::audit::{self, Slice};
use super::{Kept, documents, entries, note_term};
use crate::aggregator::{FAILURES_TOLD, Shared, pause};
use crate::{Billing, BillingError};
use domain::account::Millis;
use platform::telemetry::metrics;

/// How often it is looked whether a new day or year has begun.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// After how long all is looked through again though none has: what was needed then may not be any more.
const AGAIN: Duration = Duration::from_hours(1);

/// The rest after each slice.
const REST: Duration = Duration::from_millis(100);

/// A look at all: when it was, and since when each is kept.
type Look = (Instant, [Option<Millis>; Kept::ALL.len()]);

/// Does so for ever.
pub(crate) async fn keep(shared: Arc<Shared>, mut stopped: watch::Receiver<bool>) {
    for what in Kept::ALL {
        metrics().retention.count_dropped(what.name(), 0);
    }
    let (mut failures, mut done): (usize, Option<Look>) = (0, None);
    while !pause(LOOK_EVERY, &mut stopped).await {
        match pass(&shared, done).await {
            Ok(passed) => (failures, done) = (0, Some(passed)),
            Err(error) => {
                failures += 1;
                match error {
                    // That the store is away is reported elsewhere.
                    BillingError::Unavailable(reason) => tracing::debug!(%reason, "nothing is dropped that is older than it is to be kept"),
                    error => tracing::error!(%error, "what is older than it is to be kept cannot be dropped"),
                }
            }
        }
        metrics().retention.set_fails(failures >= FAILURES_TOLD);
    }
}

/// One look at all, unless it was done lately.
async fn pass(shared: &Shared, done: Option<Look>) -> Result<Look, BillingError> {
    let (billing, now) = (&shared.billing, shared.ledger.clock().now());
    let mut since = [None; Kept::ALL.len()];
    for (since, what) in since.iter_mut().zip(Kept::ALL) {
        *since = billing.kept_since(&shared.options.retention, what, now)?;
    }
    if let Some((at, before)) = done
        && before == since
        && (at.elapsed() < AGAIN || since == [None; Kept::ALL.len()])
    {
        return Ok((at, before));
    }
    billing.store().ready().await?;
    for (what, before) in Kept::ALL.into_iter().zip(since) {
        if let Some(before) = before {
            let broken = drop_all(billing, what, before, now).await?;
            if !broken.is_empty() {
                let (what, broken) = (what.name(), broken.join(", "));
                tracing::error!(what, broken, "does not prove itself, and is kept until `tollgate verify` shows why");
            }
        }
        note_term(billing, what, &shared.options.retention.term(what), before).await?;
    }
    Ok((Instant::now(), since))
}

/// Drops all that is old enough. Returns what does not prove itself.
async fn drop_all(billing: &Billing, what: Kept, before: Millis, now: Millis) -> Result<Vec<String>, BillingError> {
    let store = billing.store();
    let mut broken = Vec::new();
    let count = |dropped: u64| metrics().retention.count_dropped(what.name(), dropped);
    match what {
        Kept::AuditRecords => {
            for chain in audit::chains(store).await? {
                loop {
                    match audit::drop_slice(store, chain, before, now).await? {
                        Slice::Dropped(dropped) => count(dropped),
                        Slice::Done => break,
                        Slice::Broken(place) => {
                            broken.push(format!("record {place} of chain {chain}"));
                            break;
                        }
                    }
                    tokio::time::sleep(REST).await;
                }
            }
        }
        Kept::Documents => {
            let mut after = (Millis::MIN, 0);
            loop {
                let slice = documents::drop_slice(store, before, after, now).await?;
                count(slice.dropped);
                broken.extend(slice.broken);
                let Some(next) = slice.next else { break };
                after = next;
                tokio::time::sleep(REST).await;
            }
        }
        Kept::EntryDetails => {
            let mut after = (String::new(), 0, 0);
            loop {
                let (dropped, next) = entries::drop_no_longer_needed(store, before, &after, now).await?;
                count(dropped);
                let Some(next) = next else { break };
                after = next;
                tokio::time::sleep(REST).await;
            }
            for partition in entries::partitions(store).await? {
                while let Some(dropped) = entries::drop_slice(store, partition, before, now).await? {
                    count(dropped);
                    tokio::time::sleep(REST).await;
                }
            }
            loop {
                let dropped = entries::drop_others(store, before, now).await?;
                count(dropped);
                if dropped == 0 {
                    break;
                }
                tokio::time::sleep(REST).await;
            }
        }
    }
    Ok(broken)
}
