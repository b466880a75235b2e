//! Whether a partition may be used: whether its store is still the one that was opened, and the clocks agree. Each look tells it to all connections of the process: a Redis may be emptied,
//! and filled with another ledger, while they stay connected.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::LedgerError;

/// The result of the last check. Cheap to clone; all clones are one.
#[derive(Clone, Debug, Default)]
pub struct LastCheck(Arc<State>);

#[derive(Debug, Default)]
struct State {
    /// All that is looked at while nothing is wrong.
    is_lost: AtomicBool,
    reason: Mutex<Arc<str>>,
}

impl LastCheck {
    /// Refuses to use what the last look has refused.
    pub fn ensure(&self) -> Result<(), LedgerError> {
        if !self.0.is_lost.load(Ordering::Relaxed) {
            return Ok(());
        }
        Err(LedgerError::NotDone(Arc::clone(&self.0.reason.lock().unwrap_or_else(PoisonError::into_inner))))
    }

    /// Whether the last look has found nothing wrong.
    pub fn is_fine(&self) -> bool {
        !self.0.is_lost.load(Ordering::Relaxed)
    }

    /// Notes what a look has found.
    pub fn set(&self, found: &Result<(), String>) {
        if let Err(reason) = found {
            *self.0.reason.lock().unwrap_or_else(PoisonError::into_inner) = reason.as_str().into();
        }
        self.0.is_lost.store(found.is_err(), Ordering::Relaxed);
    }
}

/// The result of the last check of each partition: whether it is the ledger's, and whether its server's clock agrees.
#[derive(Clone, Debug)]
pub(super) struct Checks {
    pub(super) stores: Arc<[LastCheck]>,
    pub(super) clocks: Arc<[LastCheck]>,
}

impl Checks {
    pub(super) fn new(partitions: u16) -> Self {
        let new = || (0..partitions).map(|_| LastCheck::default()).collect();
        Self { stores: new(), clocks: new() }
    }
}

/// Refuses to use a partition that the last look has refused.
pub(super) fn ensure(checks: &[LastCheck], partition: u16) -> Result<(), LedgerError> {
    checks.get(usize::from(partition)).map_or(Ok(()), LastCheck::ensure)
}
