//! Partitions that moved to an existing connection, or that a server could not report on when the connection was made.
//!
//! Each is checked before anything is sent to it, as on a new connection: a write would hide that acknowledged blocks have been lost. The
//! first command for a partition triggers its check; an idle partition is checked in the background.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long after a check that failed the next one begins at the earliest.
const PAUSE: Duration = Duration::from_millis(100);

/// When a check failed, and why; `None` if it did not.
type Failed = Option<(Instant, Arc<str>)>;

/// Which partitions wait for a check.
#[derive(Debug)]
pub struct Rechecks {
    waiting: Mutex<Waiting>,
    /// For each partition, held while it is checked: when that failed last, and why.
    failed: Box<[tokio::sync::Mutex<Failed>]>,
}

#[derive(Debug)]
struct Waiting {
    by_partition: Box<[bool]>,
    /// Those for which no check has begun in the background yet.
    new: Vec<u16>,
}

impl Rechecks {
    /// None waits.
    pub fn new(partitions: usize) -> Self {
        let waiting = Mutex::new(Waiting { by_partition: vec![false; partitions].into(), new: Vec::new() });
        Self { waiting, failed: (0..partitions).map(|_| tokio::sync::Mutex::default()).collect() }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns whether a partition must be checked before anything is sent to it.
    pub fn set(&self, partition: usize, must_wait: bool) {
        let mut waiting = self.lock();
        if let Some(waits) = waiting.by_partition.get_mut(partition)
            && !std::mem::replace(waits, must_wait)
            && must_wait
        {
            waiting.new.extend(u16::try_from(partition));
        }
    }

    /// Whether a partition must be checked before anything is sent to it.
    pub fn must_wait(&self, partition: u16) -> bool {
        self.lock().by_partition.get(usize::from(partition)).is_some_and(|waits| *waits)
    }

    /// Those that have begun to wait since the last time.
    pub fn take_new(&self) -> Vec<u16> {
        std::mem::take(&mut self.lock().new)
    }

    /// Checks a partition, one caller at a time, if that is still needed: a caller that waited for another does not repeat the check. Until
    /// it succeeds, nothing may be sent to the partition; the error says why.
    pub async fn once<F: Future<Output = Result<(), Arc<str>>>>(&self, partition: u16, check: impl FnOnce() -> F) -> Result<(), Arc<str>> {
        let Some(failed) = self.failed.get(usize::from(partition)) else { return Ok(()) };
        let mut failed = failed.lock().await;
        if !self.must_wait(partition) {
            return Ok(());
        }
        if let Some((at, reason)) = failed.as_ref()
            && at.elapsed() < PAUSE
        {
            return Err(Arc::clone(reason));
        }
        let checked = check().await;
        *failed = checked.as_ref().err().map(|reason| (Instant::now(), Arc::clone(reason)));
        checked
    }
}
