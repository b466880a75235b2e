//! Aggregates one claimed partition: reads the next blocks, checks that they follow, commits them, and trims behind them.
//!
//! While there is a backlog, the next run of blocks is read as one is being committed. Whatever fails is tried again, from where the store
//! says that it is; only a journal that does not go on as it must is an end.

use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::time::timeout;

use super::{FAILURES_TOLD, Shared, pause};
use crate::aggregate::{StepError, commit};
use crate::partitions::{self, Claim};
use crate::projection::{JournalFault, follow};
use crate::{BillingError, traces};
use domain::time::Millis;
use ledger::{Block, LedgerError, Trimmer};
use platform::telemetry::metrics;
use platform::telemetry::traces::within;

/// About how many entries one step takes: with more of them, more come to one change of an account and of a total.
const STEP_ENTRIES: usize = 32_768;

/// A step of fewer entries says that there is no backlog. The next one waits a little, so that a steady trickle is not committed entry by
/// entry: each commit costs the store a sync, and the machine what charging may need.
const FEW_ENTRIES: usize = 1_024;

/// The most blocks in one step: each may hold hundreds of entries, though those before it held one.
const STEP_BLOCKS: usize = 1_024;

/// How long to wait where there is nothing to read, or was little.
const IDLE: Duration = Duration::from_millis(50);

/// How long a step may take, before its outcome counts as unknown.
const STEP_LIMIT: Duration = Duration::from_secs(60);

/// How long it may take to write down that steps fail.
const TOLD_LIMIT: Duration = Duration::from_secs(2);

/// How often the end of the journal is compared with what was committed.
const ANCHOR_INTERVAL: Duration = Duration::from_secs(1);

/// The most entries of all partitions that are kept because of their age. It is below the bound of the journal, which they must not fill.
const MOST_KEPT: u64 = 4_000_000;

/// How often the journal is trimmed at most.
const TRIM_INTERVAL: Duration = Duration::from_secs(1);

/// How long to wait after failures: longer and longer.
const RETRY: [Duration; 4] = [Duration::from_millis(50), Duration::from_millis(250), Duration::from_secs(1), Duration::from_secs(3)];

/// The work on one partition.
pub(super) struct Worker<'a> {
    shared: &'a Shared,
    claim: Claim,
    /// What was read already, to be committed next.
    ahead: Vec<Block>,
    /// How many blocks to read at once.
    blocks: usize,
    anchored_at: Option<Instant>,
    trimmed_at: Option<Instant>,
    /// Whether a step's outcome is unknown.
    is_uncertain: bool,
    /// How many rounds have failed, one after another.
    failures: usize,
    /// What operators may have been told: why they fail.
    told: Option<String>,
}

/// The result of a round.
enum Round {
    /// Something was committed, and there is more.
    Behind,
    /// There was little to commit, or nothing.
    CaughtUp,
}

/// Why a round failed.
enum Failed {
    /// The partition is somebody else's.
    Lost,
    /// The journal does not go on as it must.
    Broken(JournalFault),
    /// What the stores hold makes no sense.
    Corrupt(String),
    /// Something is away.
    Away(String),
}

impl From<LedgerError> for Failed {
    fn from(error: LedgerError) -> Self {
        match error {
            LedgerError::Corrupt(_) => Self::Corrupt(error.to_string()),
            LedgerError::NotDone(_)
            | LedgerError::Unknown(_)
            | LedgerError::NotDurable(_)
            | LedgerError::Busy
            | LedgerError::JournalFull
            | LedgerError::Full => Self::Away(error.to_string()),
        }
    }
}

impl From<BillingError> for Failed {
    fn from(error: BillingError) -> Self {
        match error {
            BillingError::Unavailable(_) => Self::Away(error.to_string()),
            _ => Self::Corrupt(error.to_string()),
        }
    }
}

impl From<StepError> for Failed {
    fn from(error: StepError) -> Self {
        match error {
            StepError::Lost => Self::Lost,
            StepError::Broken(broken) => Self::Broken(broken),
            StepError::Billing(error) => error.into(),
        }
    }
}

impl<'a> Worker<'a> {
    pub(super) fn new(shared: &'a Shared, claim: Claim) -> Self {
        Self {
            shared,
            claim,
            ahead: Vec::new(),
            blocks: 64,
            anchored_at: None,
            trimmed_at: None,
            is_uncertain: false,
            failures: 0,
            told: Some(String::new()),
        }
    }

    /// After a failure: what was read is forgotten, and the next try comes later and later.
    fn back_off(&mut self) -> Duration {
        self.ahead.clear();
        // It may have been too much at once.
        self.blocks = (self.blocks / 4).max(1);
        self.failures += 1;
        metrics().aggregation.count_step_error(self.claim.partition);
        RETRY.get(self.failures - 1).copied().unwrap_or(Duration::from_secs(5))
    }

    /// Reports a failure that repeats: here, and, if possible, in the billing store.
    async fn failed(&mut self, reason: &str) {
        if self.failures < FAILURES_TOLD {
            return;
        }
        let Shared { billing, status, ledger, .. } = self.shared;
        status.set_failing(self.claim.partition, self.failures, Some(reason));
        if self.told.as_deref() != Some(reason) {
            self.told = Some(reason.to_owned());
            let write = partitions::set_failing(billing.store(), self.claim.partition, reason, ledger.clock().now());
            if !matches!(timeout(TOLD_LIMIT, write).await, Ok(Ok(()))) {
                tracing::debug!(partition = self.claim.partition, "that its step fails could not be written down");
            }
        }
    }

    async fn succeeded(&mut self) {
        let Shared { billing, status, ledger, .. } = self.shared;
        if self.failures >= FAILURES_TOLD || self.told.is_some() {
            status.set_failing(self.claim.partition, 0, None);
            let write = partitions::set_failing(billing.store(), self.claim.partition, "", ledger.clock().now());
            if matches!(timeout(TOLD_LIMIT, write).await, Ok(Ok(()))) {
                self.told = None;
            }
        }
        self.failures = 0;
    }

    /// Works until it is told to stop, or the partition is lost or stopped.
    pub(super) async fn run(mut self, mut stopped: watch::Receiver<bool>) {
        let partition = self.claim.partition;
        metrics().aggregation.begin(partition);
        while !*stopped.borrow() {
            let wait = match self.round().await {
                Ok(Round::Behind) => {
                    self.succeeded().await;
                    continue;
                }
                Ok(Round::CaughtUp) => {
                    self.succeeded().await;
                    IDLE
                }
                Err(Failed::Lost) => {
                    tracing::warn!(partition, fence = self.claim.fence, "the partition is another process's now");
                    return;
                }
                Err(Failed::Broken(broken)) => match self.stop(broken.name(), &broken.to_string()).await {
                    true => return,
                    false => self.back_off(),
                },
                Err(Failed::Corrupt(reason)) => match self.stop("corrupt", &reason).await {
                    true => return,
                    false => self.back_off(),
                },
                Err(Failed::Away(reason)) => {
                    tracing::warn!(partition, reason, "a step of the aggregation failed, and is tried again");
                    let wait = self.back_off();
                    self.failed(&reason).await;
                    wait
                }
            };
            if pause(wait, &mut stopped).await {
                return;
            }
        }
    }

    /// Reads, checks, commits.
    async fn round(&mut self) -> Result<Round, Failed> {
        let Shared { ledger, billing, status, .. } = self.shared;
        let store = billing.store();
        let partition = self.claim.partition;
        if self.is_uncertain {
            self.claim.position = partitions::position(store, &self.claim).await?.ok_or(Failed::Lost)?;
            self.is_uncertain = false;
        }
        let from = self.claim.position;
        if self.anchored_at.is_none() {
            self.check_anchor().await?;
        }
        let mut blocks = std::mem::take(&mut self.ahead);
        if blocks.is_empty() {
            blocks = ledger.engine().blocks_after(partition, from.next_sequence - 1, self.blocks).await?;
        }
        if blocks.is_empty() {
            if self.anchored_at.is_none_or(|at| at.elapsed() >= ANCHOR_INTERVAL) {
                self.check_anchor().await?;
            }
            self.trim().await;
            return Ok(Round::CaughtUp);
        }
        let mut rest = blocks.split_off(blocks_of_step(&blocks));
        let block_count = blocks.len();
        let (mut records, to) = follow(partition, from, blocks).map_err(Failed::Broken)?;
        self.blocks = (block_count * STEP_ENTRIES / records.len().max(1)).clamp(1, STEP_BLOCKS);
        self.is_uncertain = true;
        let started = Instant::now();
        let lease = self.shared.options.lease_millis();
        let is_behind = records.len() >= FEW_ENTRIES;
        let span = traces::of_step(partition, &records);
        let commit = within(span.as_ref(), timeout(STEP_LIMIT, commit(store, &self.claim, &to, lease, &mut records)));
        let ahead = async {
            if is_behind && blocks_of_step(&rest) == rest.len() {
                let end = rest.last().map_or(to.next_sequence, Block::end);
                rest.extend(ledger.engine().blocks_after(partition, end - 1, self.blocks).await.unwrap_or_default());
            }
            rest
        };
        let (committed, ahead) = tokio::join!(commit, ahead);
        if let Some(span) = span.filter(|_| !matches!(committed, Ok(Ok(())))) {
            span.fail("not_committed");
        }
        match committed {
            Ok(Err(StepError::Lost)) => {
                // It may be this process's own earlier step, of which the answer was lost; the store knows.
                let stored = partitions::position(store, &self.claim).await?.ok_or(Failed::Lost)?;
                self.is_uncertain = false;
                if stored == from {
                    return Err(Failed::Lost);
                }
                self.claim.position = stored;
                return Ok(Round::Behind);
            }
            Ok(committed) => committed?,
            Err(_) => return Err(Failed::Away("a step took too long".to_owned())),
        }
        self.is_uncertain = false;
        self.claim.position = to;
        self.ahead = ahead;
        metrics().aggregation.step(started.elapsed());
        status.committed(partition, records.len(), to.next_sequence - 1);
        if records.iter().any(|record| record.may_draft()) {
            self.shared.drafted.notify_one();
        }
        if self.trimmed_at.is_none_or(|at| at.elapsed() >= TRIM_INTERVAL) {
            self.trim().await;
        }
        Ok(if is_behind { Round::Behind } else { Round::CaughtUp })
    }

    /// The journal must hold, or go on from, the block that was committed last: else it is another, or has lost its tail.
    async fn check_anchor(&mut self) -> Result<(), Failed> {
        let engine = self.shared.ledger.engine();
        let (partition, position) = (self.claim.partition, self.claim.position);
        let span = engine.journal_span(partition).await?;
        if span.next < position.next_sequence {
            return Err(Failed::Broken(JournalFault::LostTail { expected: position.next_sequence, found: span.next }));
        }
        if let Some(block) = engine.blocks_before(partition, Some(position.next_sequence), 1).await?.first() {
            if block.end() != position.next_sequence {
                return Err(Failed::Broken(JournalFault::Fork { sequence: block.first_sequence }));
            }
            if block.id != position.last_block {
                return Err(Failed::Broken(JournalFault::Fork { sequence: position.next_sequence }));
            }
        }
        self.anchored_at = Some(Instant::now());
        Ok(())
    }

    /// Drops what is committed and not to be kept. What that does not reach now, it will reach later.
    async fn trim(&mut self) {
        if self.trimmed_at.is_some_and(|at| at.elapsed() < TRIM_INTERVAL) {
            return;
        }
        let trimmed = match self.kept_from().await {
            Ok(below) if below > 1 => {
                self.trimmed_at = Some(Instant::now());
                self.shared.ledger.engine().trim(self.claim.partition, below, Trimmer::Reader).await.map(|_| ())
            }
            Ok(_) => Ok(()),
            Err(error) => Err(error),
        };
        if let Err(error) = trimmed {
            tracing::warn!(partition = self.claim.partition, %error, "the journal was not trimmed");
        }
    }

    /// The first entry that is to be kept: for how many there are behind it, or for how young it is.
    async fn kept_from(&self) -> Result<u64, LedgerError> {
        let Shared { ledger, options, .. } = self.shared;
        let next = self.claim.position.next_sequence;
        let share = |entries: u64| entries.div_ceil(u64::from(ledger.partitions().max(1)));
        let below = next.saturating_sub(share(options.journal_tail));
        if options.journal_keep.is_zero() || below <= 1 {
            return Ok(below);
        }
        let engine = ledger.engine();
        let since = ledger.clock().now() - Millis::try_from(options.journal_keep.as_millis()).unwrap_or(Millis::MAX);
        let first = engine.journal_span(self.claim.partition).await?.first;
        // Below `old` all is too old, from `young` on nothing is.
        let (mut old, mut young) = (first.max(next.saturating_sub(share(MOST_KEPT))), below);
        while old < young {
            let middle = old + (young - old) / 2;
            match engine.blocks_after(self.claim.partition, middle - 1, 1).await?.first() {
                Some(block) if block.first_sequence < young && block.time < since => old = block.end(),
                _ => young = middle,
            }
        }
        Ok(young.min(below))
    }

    /// Stops the partition, for everybody. If that cannot be written down now (false), the next round finds the same again.
    async fn stop(&mut self, what: &str, reason: &str) -> bool {
        let partition = self.claim.partition;
        tracing::error!(partition, what, reason, "the aggregation of a partition is stopped");
        self.anchored_at = None;
        match partitions::stop(self.shared.billing.store(), &self.claim, reason, self.shared.ledger.clock().now()).await {
            Ok(_) => {
                self.shared.status.stopped(partition, reason);
                true
            }
            Err(error) => {
                tracing::error!(partition, %error, "that it is stopped could not be written down");
                false
            }
        }
    }
}

/// How many of the blocks one step takes.
fn blocks_of_step(blocks: &[Block]) -> usize {
    let before = blocks.iter().scan(0, |entries, block| Some(std::mem::replace(entries, *entries + block.entries.len())));
    before.take_while(|entries| *entries < STEP_ENTRIES).count()
}
