//! Whether a partition's journal is so full that nothing may be added to it that can wait.
//!
//! What settles, releases or credits goes on; what begins something new is refused, until an aggregator has come along.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::Engine;
use crate::domain::command::{Action, Command, Then};
use crate::telemetry::metrics;

/// Which journals are full. Cheap to clone; all clones are one.
#[derive(Clone, Debug, Default)]
pub struct JournalGate(Arc<Gate>);

#[derive(Debug, Default)]
struct Gate {
    /// Whether any is: all that is looked at while none is.
    is_any_full: AtomicBool,
    partitions: Box<[AtomicBool]>,
    most: Option<u64>,
}

impl JournalGate {
    /// A gate that closes where a journal holds more than so many entries; None: it never does.
    #[must_use]
    pub fn new(partitions: u16, most: Option<u64>) -> Self {
        let partitions = (0..partitions).map(|_| AtomicBool::new(false)).collect();
        Self(Arc::new(Gate { is_any_full: AtomicBool::new(false), partitions, most }))
    }

    /// Looks at the journals. One that cannot be looked at stays as it was.
    pub async fn look(&self, engine: &dyn Engine) {
        let Some(most) = self.0.most else { return };
        for (number, is_full) in (0..).zip(&self.0.partitions) {
            let Ok(span) = engine.journal_span(number).await else { continue };
            let entries = span.next.saturating_sub(span.first);
            metrics().set_journal_entries(number, entries);
            let is_above = entries > most;
            if is_full.swap(is_above, Ordering::Relaxed) != is_above {
                if is_above {
                    tracing::error!(
                        partition = number,
                        entries,
                        most,
                        "the journal is full: new charges are refused until it is aggregated"
                    );
                } else {
                    tracing::info!(partition = number, entries, "the journal is no longer full");
                }
            }
        }
        self.0.is_any_full.store(self.0.partitions.iter().any(|is_full| is_full.load(Ordering::Relaxed)), Ordering::Relaxed);
    }

    /// Whether a command must wait until the journal of its partition is aggregated.
    #[must_use]
    pub fn refuses(&self, partition: u16, command: &Command) -> bool {
        self.0.is_any_full.load(Ordering::Relaxed)
            && self.0.partitions.get(usize::from(partition)).is_some_and(|is_full| is_full.load(Ordering::Relaxed))
            && begins_something(&command.action)
    }
}

/// Whether it is a new authorization, a direct debit, or a report that reserves anew.
fn begins_something(action: &Action) -> bool {
    match action {
        Action::Authorize(_) => true,
        Action::Debit(debit) => debit.reservation.is_none() || matches!(debit.then, Then::Reserve(_)),
        _ => false,
    }
}
