//! How far aggregation has come, as this process sees it: for metrics, health and progress bars.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::backlog::{Backlog, WaitsFor};
use domain::time::{Millis, UnixMillis};
use platform::telemetry::metrics;

/// The status of one partition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PartitionStatus {
    /// Entries that are journaled and not committed yet.
    pub lag_entries: u64,
    /// How old the first of them is.
    pub lag_millis: Millis,
    /// The sequence up to which all is committed.
    pub committed: u64,
    /// Whether this process works on it.
    pub is_own: bool,
    /// Why it is stopped; `None` if it is not.
    pub stopped: Option<String>,
    /// Why its step fails again and again in this process; `None` if it does not.
    pub failing: Option<String>,
}

#[derive(Debug, Default)]
struct State {
    partitions: BTreeMap<u16, PartitionStatus>,
    store_error: Option<String>,
    /// Series of numbers in which nothing is issued until an operator says how they go on.
    held_series: Vec<String>,
    committed_entries: u64,
    issuing_error: Option<String>,
    backlog: Backlog,
}

impl State {
    /// Failures that repeat.
    fn failure(&self) -> Option<String> {
        let failing = self.partitions.iter().find_map(|(number, status)| Some((number, status.failing.as_ref()?)));
        match (failing, &self.issuing_error) {
            (Some((number, reason)), _) => Some(format!("the step of partition {number} fails again and again: {reason}")),
            (None, Some(reason)) => Some(format!("documents cannot be issued: {reason}")),
            (None, None) => None,
        }
    }

    fn waiting_series(&self) -> Option<String> {
        let series = (!self.held_series.is_empty()).then(|| self.held_series.join(", "))?;
        Some(format!(
            "the numbers of {series} are not known behind a gap, and nothing is issued in them until `tollgate reconcile --next-number`"
        ))
    }
}

/// The status of all partitions. Cheap to clone; all clones are one.
#[derive(Clone, Debug, Default)]
pub struct Status(Arc<Mutex<State>>);

impl Status {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All partitions that were looked at.
    #[must_use]
    pub fn partitions(&self) -> BTreeMap<u16, PartitionStatus> {
        self.state().partitions.clone()
    }

    /// Entries that are journaled and not committed yet, in all partitions.
    #[must_use]
    pub fn lag_entries(&self) -> u64 {
        self.state().partitions.values().map(|partition| partition.lag_entries).sum()
    }

    /// How many entries this process has committed.
    #[must_use]
    pub fn committed_entries(&self) -> u64 {
        self.state().committed_entries
    }

    /// How far a partition is behind.
    #[must_use]
    pub fn lag_of(&self, partition: u16) -> u64 {
        self.state().partitions.get(&partition).map_or(0, |status| status.lag_entries)
    }

    /// Why aggregation, or the issuing of documents, does not go on somewhere; `None` if it does, everywhere.
    #[must_use]
    pub fn problem(&self) -> Option<String> {
        let state = self.state();
        let stopped = state.partitions.iter().find_map(|(number, status)| Some((number, status.stopped.as_ref()?)));
        match (&state.store_error, stopped) {
            (Some(error), _) => Some(error.clone()),
            (None, Some((number, reason))) => Some(format!("partition {number} is stopped: {reason}")),
            (None, None) => state.failure().or_else(|| state.waiting_series()),
        }
    }

    /// What an operator should do something about, though all goes on.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        self.state().backlog.warnings()
    }

    /// Documents that are not issued yet.
    pub(super) fn set_backlog(&self, backlog: Backlog, now: UnixMillis) {
        for waits_for in WaitsFor::ALL {
            let queue = backlog.queue(waits_for);
            metrics().drafts.set_waiting(waits_for.name(), queue.count, queue.age(now));
        }
        metrics().drafts.set_held(backlog.held.count, backlog.held.age(now));
        let mut state = self.state();
        if state.backlog.held.count < backlog.held.count {
            tracing::error!(held = backlog.held.count, "documents are held back: tollgate invoice list --state held");
        }
        state.backlog = backlog;
    }

    /// Whether documents can be issued; else why they cannot, again and again.
    pub(super) fn set_issuing(&self, error: Option<String>) {
        metrics().drafts.set_issuing_fails(error.is_some());
        self.state().issuing_error = error;
    }

    /// Whether a partition's step fails again and again, and why.
    pub(super) fn set_failing(&self, partition: u16, failures: usize, reason: Option<&str>) {
        metrics().set_failing_steps(partition, failures);
        self.state().partitions.entry(partition).or_default().failing = reason.map(str::to_owned);
    }

    /// What a look at a partition has found.
    pub(super) fn set(&self, partition: u16, status: PartitionStatus) {
        metrics().set_aggregation(partition, status.lag_entries, status.lag_millis, status.stopped.is_some(), status.is_own);
        let mut state = self.state();
        // Only its worker knows whether its step fails.
        let failing = state.partitions.get(&partition).and_then(|known| known.failing.clone()).filter(|_| status.is_own);
        state.partitions.insert(partition, PartitionStatus { failing, ..status });
    }

    /// So much was committed.
    pub(super) fn committed(&self, partition: u16, entries: usize, committed: u64) {
        metrics().add_aggregated(entries);
        let mut state = self.state();
        state.committed_entries += entries as u64;
        let status = state.partitions.entry(partition).or_default();
        status.committed = committed;
        status.lag_entries = status.lag_entries.saturating_sub(entries as u64);
    }

    /// Notes that a partition is stopped.
    pub(super) fn stopped(&self, partition: u16, reason: &str) {
        let mut status = self.state().partitions.get(&partition).cloned().unwrap_or_default();
        status.stopped = Some(reason.to_owned());
        self.set(partition, status);
    }

    /// In these series of numbers nothing is issued until an operator says how they go on. Logged when that changes.
    pub(super) fn set_held_series(&self, series: Vec<String>) {
        metrics().set_held_series(series.len());
        let mut state = self.state();
        if state.held_series != series && !series.is_empty() {
            let series = series.join(", ");
            tracing::error!(series, "nothing is issued in these series behind a gap, until `tollgate reconcile --next-number`");
        }
        state.held_series = series;
    }

    /// Aggregation has ended, and nobody goes on with it here.
    pub fn fail(&self, problem: &str) {
        self.state().store_error = Some(problem.to_owned());
    }

    /// Whether the stores answer; else what one of them says. Logged when that changes.
    pub(super) fn set_store(&self, result: Result<(), String>) {
        let error = result.err();
        let mut state = self.state();
        match (&state.store_error, &error) {
            (None, Some(error)) => tracing::error!(error, "aggregation waits for a store"),
            (Some(_), None) => tracing::info!("aggregation goes on"),
            _ => {}
        }
        state.store_error = error;
    }
}
