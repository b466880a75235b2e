//! The aggregator: shares the partitions with other processes, reads the journal of its own, and commits it step by step.
//!
//! One task ([`worker`]) for each claimed partition; one that keeps the claims, here. Every process gets its share; a process that has
//! too many gives one back, one that has too few takes what is free; what a dead one held is free when its lease is over. A partition
//! whose journal does not go on as it must is stopped for everybody, and the others go on.

mod period_close;
mod retention;
mod worker;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::document::DocumentKind;
use super::partitions::{self, Claim};
use super::retention::RetentionSettings;
use super::status::{PartitionStatus, Status};
use super::{Billing, BillingError, bills};
use domain::time::Millis;
use ledger::Ledger;
use platform::telemetry::metrics;

/// How long a statement that keeps claims may take.
const CLAIM_LIMIT: Duration = Duration::from_secs(20);

/// How long a step under way may take to end when the aggregator stops.
const STOP_LIMIT: Duration = Duration::from_secs(5);

/// How often good drafts are looked for that nobody told of.
const ISSUE_INTERVAL: Duration = Duration::from_secs(5);

/// How often overdue invoices are counted, which takes a look at each that is not paid.
const OVERDUE_INTERVAL: Duration = Duration::from_secs(60);

/// After how many failures in a row something is reported to operators as a problem.
pub(super) const FAILURES_TOLD: usize = 3;

/// How the aggregator works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AggregatorOptions {
    /// For how long a claim holds without a sign of life.
    pub lease: Duration,
    /// How many committed entries stay in the journal: of each partition an equal share.
    pub journal_tail: u64,
    /// For how long committed entries stay in it besides.
    pub journal_keep: Duration,
    /// How many idle accounts may be closed in a second: of each partition an equal share.
    pub closes_per_second: u32,
    /// How long audit records and documents are kept.
    pub retention: RetentionSettings,
}

impl AggregatorOptions {
    fn lease_millis(&self) -> Millis {
        Millis::try_from(self.lease.as_millis()).unwrap_or(Millis::MAX)
    }
}

impl Default for AggregatorOptions {
    fn default() -> Self {
        let (lease, journal_keep) = (Duration::from_secs(10), Duration::ZERO);
        Self { lease, journal_tail: 80_000, journal_keep, closes_per_second: 2_000, retention: RetentionSettings::default() }
    }
}

/// The aggregator of one process.
pub struct Aggregator {
    shared: Arc<Shared>,
    owner: String,
}

/// What all tasks of an aggregator have in common.
pub(super) struct Shared {
    pub ledger: Ledger,
    pub billing: Billing,
    pub options: AggregatorOptions,
    pub status: Status,
    /// Told when a step may have drafted documents.
    pub drafted: Notify,
}

/// A task that works on a partition.
struct Work {
    claim: Claim,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Aggregator {
    /// An aggregator, which does nothing until it is run.
    #[must_use]
    pub fn new(ledger: Ledger, billing: Billing, options: AggregatorOptions) -> Self {
        let shared = Shared { ledger, billing, options, status: Status::default(), drafted: Notify::new() };
        Self { shared: Arc::new(shared), owner: uuid::Uuid::new_v4().to_string() }
    }

    /// How far it has come.
    #[must_use]
    pub fn status(&self) -> Status {
        self.shared.status.clone()
    }

    /// Works until it is told to stop, or there is no use in going on: the billing store is another ledger's, or of another version.
    pub async fn run(self, mut stopped: watch::Receiver<bool>) -> Result<(), BillingError> {
        let mut works = BTreeMap::new();
        let issuing = tokio::spawn(issue(Arc::clone(&self.shared), stopped.clone()));
        let result = loop {
            match self.prepare().await {
                Ok(()) => {
                    // Only now: nothing is dropped from a store that is another ledger's.
                    let keeping = tokio::spawn(retention::run(Arc::clone(&self.shared), stopped.clone()));
                    let kept = self.keep_claims(&mut works, &mut stopped).await;
                    keeping.abort();
                    break kept;
                }
                Err(error) => match self.shared.billing.store().explain(error).await {
                    BillingError::Unavailable(reason) => self.shared.status.set_store(Err(reason.to_string())),
                    error => break Err(error),
                },
            }
            if pause(self.round(), &mut stopped).await {
                break Ok(());
            }
        };
        for work in works.values() {
            work.stop.send_replace(true);
        }
        for (_, work) in works {
            let abort = work.task.abort_handle();
            if timeout(STOP_LIMIT, work.task).await.is_err() {
                // What it had not committed is rolled back.
                abort.abort();
            }
        }
        issuing.abort();
        // An aggregator that stops cleanly leaves its partitions free; else they are when the lease is over.
        let _ = timeout(STOP_LIMIT, partitions::leave(self.shared.billing.store(), &self.owner)).await;
        result
    }

    /// How long from one look at the claims to the next.
    fn round(&self) -> Duration {
        (self.shared.options.lease / 5).clamp(Duration::from_millis(50), Duration::from_secs(2))
    }

    async fn prepare(&self) -> Result<(), BillingError> {
        self.shared.billing.bring_up_to_date().await?;
        // Before anything is claimed: an aggregator of another ledger would stop the partitions for everybody.
        self.shared.billing.take_ledger(&self.shared.ledger).await?;
        partitions::initialize(self.shared.billing.store(), self.shared.ledger.partitions()).await?;
        self.shared.billing.check_is_current(&self.shared.ledger).await?;
        for partition in 0..self.shared.ledger.partitions() {
            self.shared.ledger.engine().note_reader(partition, true).await.map_err(BillingError::unavailable)?;
        }
        if self.shared.ledger.engine().is_exclusive() {
            // Who holds a claim has had the ledger's store, which is this process's now: it was killed.
            partitions::free_all(self.shared.billing.store()).await?;
        }
        Ok(())
    }

    async fn keep_claims(&self, works: &mut BTreeMap<u16, Work>, stopped: &mut watch::Receiver<bool>) -> Result<(), BillingError> {
        loop {
            let kept = timeout(CLAIM_LIMIT, self.keep(works))
                .await
                .unwrap_or_else(|_| Err(BillingError::unavailable(format!("no reply within {CLAIM_LIMIT:?}"))));
            match kept {
                Ok(()) => self.shared.status.set_store(Ok(())),
                Err(error) => match self.shared.billing.store().explain(error).await {
                    BillingError::Unavailable(reason) => self.shared.status.set_store(Err(reason.to_string())),
                    error => return Err(error),
                },
            }
            if pause(self.round(), stopped).await {
                return Ok(());
            }
        }
    }

    /// One round: says that it is alive, keeps what it has, takes or gives one partition, and looks how far all are behind.
    async fn keep(&self, works: &mut BTreeMap<u16, Work>) -> Result<(), BillingError> {
        let Shared { billing, options, .. } = &*self.shared;
        let store = billing.store();
        let lease = options.lease_millis();
        partitions::check_number(store, self.shared.ledger.partitions()).await?;
        let workers = partitions::be_alive(store, &self.owner, lease).await?;
        let own = partitions::renew(store, &self.owner, lease).await?;
        works.retain(|partition, work| {
            let is_kept = own.contains(&(*partition, work.claim.fence)) && !work.task.is_finished();
            if !is_kept {
                work.stop.send_replace(true);
            }
            is_kept
        });
        // What it holds by a claim that no task works under any more (it ended on its own) is given back, to be claimed anew.
        for (partition, fence) in &own {
            if works.get(partition).is_none_or(|work| work.claim.fence != *fence) {
                partitions::release(store, *partition, *fence).await?;
            }
        }
        let share = share(&workers, &self.owner, usize::from(self.shared.ledger.partitions()));
        while works.len() < share {
            let Some(claim) = partitions::claim(store, &self.owner, lease, self.shared.ledger.partitions()).await? else { break };
            works.insert(claim.partition, self.start(claim));
        }
        if works.len() > share
            && let Some((_, work)) = works.pop_last()
        {
            work.stop.send_replace(true);
            let _ = work.task.await;
            partitions::release(store, work.claim.partition, work.claim.fence).await?;
        }
        self.look(works).await
    }

    fn start(&self, claim: Claim) -> Work {
        tracing::info!(partition = claim.partition, fence = claim.fence, next = claim.position.next_sequence, "aggregating a partition");
        let (stop, stopped) = watch::channel(false);
        let shared = Arc::clone(&self.shared);
        let task = tokio::spawn(async move {
            let closing = period_close::run(&shared, claim);
            tokio::select! {
                () = worker::Worker::new(&shared, claim).run(stopped) => {}
                () = closing => {}
            }
        });
        Work { claim, stop, task }
    }

    /// Measures how far all partitions are behind, whichever process works on them.
    async fn look(&self, works: &BTreeMap<u16, Work>) -> Result<(), BillingError> {
        let Shared { ledger, billing, status, .. } = &*self.shared;
        for partition in partitions::all(billing.store()).await? {
            let number = partition.partition;
            let committed = partition.position.next_sequence.saturating_sub(1);
            let Ok(span) = ledger.engine().journal_span(number).await else { continue };
            let lag_entries = span.next.saturating_sub(partition.position.next_sequence);
            let mut lag_millis = 0;
            if lag_entries > 0
                && let Ok(blocks) = ledger.engine().blocks_after(number, committed, 1).await
                && let Some(block) = blocks.first()
            {
                lag_millis = (ledger.clock().now() - block.time).max(0);
            }
            let stopped = partition.stopped.map(|stopped| stopped.reason);
            let is_own = works.contains_key(&number);
            status.set(number, PartitionStatus { lag_entries, lag_millis, committed, is_own, stopped, failing: None });
        }
        Ok(())
    }
}

/// How many partitions a process is to work on, so that all are shared as evenly as they can be, and everybody agrees.
fn share(workers: &[String], own: &str, partitions: usize) -> usize {
    let rank = workers.iter().position(|worker| worker == own).unwrap_or(0);
    let count = workers.len().max(1);
    partitions / count + usize::from(rank < partitions % count)
}

/// Issues drafts when they are made, and from time to time, in a loop.
async fn issue(shared: Arc<Shared>, mut stopped: watch::Receiver<bool>) {
    let mut failures = 0;
    // Shown at 0, so that the first one is an increase.
    DocumentKind::ALL.into_iter().for_each(|kind| metrics().drafts.count_issued(kind.name(), 0));
    let mut counted_overdue_at: Option<Instant> = None;
    loop {
        tokio::select! {
            () = shared.drafted.notified() => {}
            () = sleep(ISSUE_INTERVAL) => {}
            _ = stopped.wait_for(|is_stopped| *is_stopped) => return,
        }
        // That the store is away is reported elsewhere.
        if let Ok(held) = shared.billing.held_series().await {
            shared.status.set_held_series(held.into_iter().map(|series| series.prefix).collect());
        }
        let now = shared.ledger.clock().now();
        if counted_overdue_at.is_none_or(|at| at.elapsed() >= OVERDUE_INTERVAL)
            && let Ok(overdue) = shared.billing.overdue_invoices(now).await
        {
            metrics().drafts.set_overdue(overdue);
            counted_overdue_at = Some(Instant::now());
        }
        let issued = match bills::issue(shared.billing.store(), shared.billing.settings(), now).await {
            Ok(issued) => shared.billing.backlog(now).await.map(|backlog| (issued, backlog)),
            Err(error) => Err(error),
        };
        match issued {
            Ok((issued, backlog)) => {
                failures = 0;
                shared.status.set_issuing(None);
                shared.status.set_backlog(backlog, now);
                if issued > 0 {
                    tracing::info!(issued, "documents were issued");
                }
            }
            Err(error) => {
                failures += 1;
                if failures >= FAILURES_TOLD {
                    shared.status.set_issuing(Some(error.to_string()));
                }
                match error {
                    // That the store is away is reported elsewhere.
                    BillingError::Unavailable(reason) => tracing::debug!(%reason, "no documents were issued"),
                    error => tracing::error!(%error, "documents cannot be issued"),
                }
            }
        }
    }
}

/// Waits; returns whether it was told to stop.
pub(super) async fn pause(duration: Duration, stopped: &mut watch::Receiver<bool>) -> bool {
    tokio::select! {
        () = sleep(duration) => false,
        _ = stopped.wait_for(|is_stopped| *is_stopped) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_partition_is_in_exactly_one_share() {
        for count in 1..7 {
            let workers: Vec<String> = (0..count).map(|number| format!("worker-{number}")).collect();
            for partitions in [1, 4, 5, 64] {
                let shares: Vec<_> = workers.iter().map(|worker| share(&workers, worker, partitions)).collect();
                assert_eq!(shares.iter().sum::<usize>(), partitions);
                assert!(shares.iter().max().unwrap() - shares.iter().min().unwrap() <= 1);
            }
        }
    }
}
