//! Drops data whose retention period has passed, in the aggregator: some at a time, with a rest after each, so that no step waits for long.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::{FAILURES_TOLD, Shared, pause};
use crate::retention::audit::{self, Slice};
use crate::retention::term::{self, Verdict};
use crate::retention::{RetainedKind, documents, entries, note_kept_since};
use crate::store::Columns;
use crate::{Billing, BillingError};
use domain::ids::AccountId;
use domain::time::{Millis, UnixMillis};
use platform::telemetry::metrics;

/// How often it is looked whether a new day or year has begun.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// After how long all is looked through again though none has: what was needed then may not be any more.
const AGAIN: Duration = Duration::from_hours(1);

/// The rest after each slice.
const REST: Duration = Duration::from_millis(100);

/// How far this machine's clock and the database's may differ.
const MAX_CLOCK_DIFFERENCE: Millis = 60_000;

/// How much later it may be than the newest entry that the store has: a clock that is wrong before anything is charged by it deletes nothing.
const BEHIND_ENTRIES: Millis = 24 * 3_600_000;

/// Progress of retention in this process.
#[derive(Default)]
struct RetentionProgress {
    /// The last one that found nothing to wait for: when it was, and since when each is kept.
    done: Option<(Instant, [Option<UnixMillis>; RetainedKind::ALL.len()])>,
    /// Whether this process has set its term of each.
    has_set: [bool; RetainedKind::ALL.len()],
    /// The last logged reason why nothing is dropped.
    said: String,
    /// Whether something is wrong.
    is_wrong: bool,
}

/// Runs the loop.
pub(crate) async fn run(shared: Arc<Shared>, mut stopped: watch::Receiver<bool>) {
    for what in RetainedKind::ALL {
        metrics().retention.count_dropped(what.name(), 0);
    }
    let (mut failures, mut looks): (usize, RetentionProgress) = (0, RetentionProgress::default());
    while !pause(LOOK_EVERY, &mut stopped).await {
        match pass(&shared, &mut looks).await {
            Ok(()) => failures = 0,
            Err(error) => {
                failures += 1;
                match error {
                    // That the store is away is reported elsewhere.
                    BillingError::Unavailable(reason) => tracing::debug!(%reason, "nothing is dropped: the billing store is unavailable"),
                    error => tracing::error!(%error, "cannot drop data whose retention period has passed"),
                }
            }
        }
        metrics().retention.set_fails(failures >= FAILURES_TOLD || looks.is_wrong);
    }
}

/// One look at all, unless it was done lately.
async fn pass(shared: &Shared, looks: &mut RetentionProgress) -> Result<(), BillingError> {
    let (billing, settings, now) = (&shared.billing, &shared.options.retention, shared.ledger.clock().now());
    let newest = match newest_entry(billing).await {
        // What is done stays done while the store is away.
        Err(BillingError::Unavailable(_)) if looks.done.is_some() => return Ok(()),
        newest => newest?,
    };
    let known = now.min(newest + BEHIND_ENTRIES);
    let mut since = [None; RetainedKind::ALL.len()];
    for (since, what) in since.iter_mut().zip(RetainedKind::ALL) {
        *since = billing.kept_since(settings, what, known)?;
    }
    if looks.done.is_some_and(|(at, before)| before == since && at.elapsed() < AGAIN) {
        return Ok(());
    }
    let (mut waits, mut result) = (Vec::new(), Ok(()));
    for ((what, has_set), since) in RetainedKind::ALL.into_iter().zip(&mut looks.has_set).zip(since) {
        let given = settings.given(what);
        let given = given.as_deref();
        if given.is_none() && term::in_force(billing.store(), what).await?.term.is_empty() {
            continue;
        }
        if let Some(doubt) = doubt(shared, now).await? {
            waits.push((format!("{}: {doubt}", what.name()), true));
            continue;
        }
        let verdict = term::judge(billing.store(), what, given, !*has_set, now).await?;
        *has_set = true;
        match verdict {
            Verdict::Goes => {
                // What cannot be dropped of one keeps none of the other.
                if let Some(before) = since {
                    result = result.and(drop_old(billing, what, given, before, now).await);
                }
            }
            Verdict::Stays => {}
            Verdict::Waits(why, is_wrong) => waits.push((why, is_wrong)),
        }
    }
    looks.done = (waits.is_empty() && result.is_ok()).then(|| (Instant::now(), since));
    looks.say(&waits);
    result
}

impl RetentionProgress {
    /// Logs once why nothing is dropped.
    fn say(&mut self, waits: &[(String, bool)]) {
        self.is_wrong = waits.iter().any(|(_, is_wrong)| *is_wrong);
        let said = waits.iter().map(|(why, _)| why.as_str()).collect::<Vec<_>>().join("; ");
        if said != self.said && !said.is_empty() {
            match self.is_wrong {
                true => tracing::error!("retention is on but nothing was deleted: {said}"),
                false => tracing::warn!("nothing was deleted yet: {said}"),
            }
        }
        self.said = said;
    }
}

/// Why the clock is not to be believed; `None` if it is.
async fn doubt(shared: &Shared, now: UnixMillis) -> Result<Option<String>, BillingError> {
    if let Err(reason) = shared.ledger.check().await {
        return Ok(Some(format!("the ledger cannot be used, and its clock is not believed: {reason}")));
    }
    // A test clock agrees with none.
    let difference = if shared.ledger.clock().is_manual() { 0 } else { now - shared.billing.store().now().await? };
    let is_wrong = difference.abs() > MAX_CLOCK_DIFFERENCE;
    Ok(is_wrong.then(|| format!("the ledger's clock and the billing store's differ by {difference} ms")))
}

/// The time of the newest entry that the store has.
async fn newest_entry(billing: &Billing) -> Result<UnixMillis, BillingError> {
    billing.store().ready().await?;
    let sql = "SELECT CAST(COALESCE(MAX(last_time), 0) AS BIGINT) FROM partitions";
    Ok(sqlx::query(sql).fetch_one(billing.store().pool()).await?.instant(0)?)
}

/// Drops what is older than its term.
async fn drop_old(
    billing: &Billing,
    what: RetainedKind,
    given: Option<&str>,
    before: UnixMillis,
    now: UnixMillis,
) -> Result<(), BillingError> {
    let broken = drop_all(billing, what, given, before, now).await?;
    if !broken.is_empty() {
        let (what, broken) = (what.name(), broken.join(", "));
        tracing::error!(what, broken, "does not prove itself, and is kept until `tollgate verify` shows why");
    }
    note_kept_since(billing, what, before).await
}

/// Drops all that is old enough, as long as its term holds. Returns what does not prove itself.
async fn drop_all(
    billing: &Billing,
    what: RetainedKind,
    given: Option<&str>,
    before: UnixMillis,
    now: UnixMillis,
) -> Result<Vec<String>, BillingError> {
    let store = billing.store();
    let mut broken = Vec::new();
    let count = |dropped: u64| metrics().retention.count_dropped(what.name(), dropped);
    match what {
        RetainedKind::AuditRecords => {
            for chain in audit::chains(store).await? {
                while term::still_holds(store, what, given, now).await? {
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
        RetainedKind::Documents => {
            let mut after = (UnixMillis::MIN, 0);
            while term::still_holds(store, what, given, now).await? {
                let slice = documents::drop_slice(store, before, after, now).await?;
                count(slice.dropped);
                broken.extend(slice.broken);
                let Some(next) = slice.next else { break };
                after = next;
                tokio::time::sleep(REST).await;
            }
        }
        RetainedKind::EntryDetails => {
            let mut after = (AccountId::default(), 0, 0);
            while term::still_holds(store, what, given, now).await? {
                let (dropped, next) = entries::drop_no_longer_needed(store, before, &after, now).await?;
                count(dropped);
                let Some(next) = next else { break };
                after = next;
                tokio::time::sleep(REST).await;
            }
            for partition in entries::partitions(store).await? {
                while term::still_holds(store, what, given, now).await? {
                    let Some(dropped) = entries::drop_slice(store, partition, before, now).await? else { break };
                    count(dropped);
                    tokio::time::sleep(REST).await;
                }
            }
            while term::still_holds(store, what, given, now).await? {
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
