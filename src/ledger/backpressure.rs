//! How full the journals are: what is done about one that nobody takes in.
//!
//! Where a billing store is to read it, nothing is begun any more above a bound: what settles, releases or credits goes on, until an
//! aggregator has come along. Where there is none, the journal is trimmed to its tail, and what is trimmed was never read.
//!
//! The bounds are the store's: what its memory holds does not grow with the number of partitions. Above them, those partitions are held back
//! that have more than an equal share, so that one that nobody takes in holds up no other.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::timeout;

use super::{Engine, JournalSpan, Trimmer};
use domain::command::{Action, Command, RemainderPolicy};
use platform::telemetry::metrics;

/// From this part of the bound on, the log warns.
const WARN_PERCENT: u64 = 70;

/// How long a look at one journal may take: the next one of all others waits for it.
const LOOK_LIMIT: Duration = Duration::from_secs(3);

/// How many entries are trimmed in one step.
const TRIMMED_AT_ONCE: u64 = 50_000;

/// How much the journal of all partitions may hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JournalBounds {
    /// More entries than this: nothing is begun any more. `None` if it may hold any number.
    pub high_water: Option<u64>,
    /// Nobody reads it: it is trimmed to this many entries. `None` if its reader trims it.
    pub unread_tail: Option<u64>,
}

/// Which journals are full. Cheap to clone; all clones are one.
#[derive(Clone, Debug, Default)]
pub struct Backpressure(Arc<Gate>);

#[derive(Debug, Default)]
struct Gate {
    /// Whether any is: all that is looked at while none is.
    is_any_full: AtomicBool,
    /// Whether it was said that they fill.
    is_filling: AtomicBool,
    partitions: Box<[Journal]>,
    bounds: JournalBounds,
}

#[derive(Debug, Default)]
struct Journal {
    /// How many entries the last look has found.
    entries: AtomicU64,
    is_full: AtomicBool,
}

impl Backpressure {
    /// Backpressure for the journals of a number of partitions.
    #[must_use]
    pub fn new(partitions: u16, bounds: JournalBounds) -> Self {
        if let Some(most) = bounds.high_water {
            for number in 0..partitions {
                metrics().set_journal_high_water(number, most);
                metrics().count_journal_refusals(number, 0);
            }
        }
        metrics().set_usage_discarded(bounds.unread_tail.is_some());
        let partitions = (0..partitions).map(|_| Journal::default()).collect();
        Self(Arc::new(Gate { partitions, bounds, ..Gate::default() }))
    }

    #[must_use]
    pub fn bounds(&self) -> JournalBounds {
        self.0.bounds
    }

    /// Looks at the journals, all at the same time, and trims those that nobody reads. One that cannot be looked at stays as it was. What is
    /// found of others is shown to `seen`.
    pub async fn look(&self, engine: &dyn Engine, seen: impl Fn(u16, JournalSpan)) {
        let seen = &seen;
        let looks = (0..).zip(&self.0.partitions).map(|(number, journal)| async move {
            let Ok(Some(entries)) = timeout(LOOK_LIMIT, self.look_at(engine, number, seen)).await else { return };
            metrics().set_journal_entries(number, entries);
            journal.entries.store(entries, Ordering::Relaxed);
            // None waits for another, which may not answer.
            self.judge();
        });
        join_all(looks).await;
    }

    /// Finds which partitions are held back.
    fn judge(&self) {
        let Gate { is_any_full, is_filling, partitions, bounds } = &*self.0;
        let Some(most) = bounds.high_water else { return };
        let all = partitions.iter().map(|journal| journal.entries.load(Ordering::Relaxed)).fold(0, u64::saturating_add);
        let share = most / u64::try_from(partitions.len()).unwrap_or(1).max(1);
        let mut is_any = false;
        for (number, journal) in (0_u16..).zip(partitions) {
            let entries = journal.entries.load(Ordering::Relaxed);
            is_any |= journal.hold_back(number, all > most && entries > share, entries, most);
        }
        is_any_full.store(is_any, Ordering::Relaxed);
        let fills = all >= most / 100 * WARN_PERCENT + most % 100 * WARN_PERCENT / 100;
        if is_filling.swap(fills, Ordering::Relaxed) != fills && fills && !is_any {
            tracing::warn!(entries = all, most, "the journal is filling: above the bound, new charges are refused");
        }
    }

    /// How many entries the journal of a partition holds, once it is trimmed.
    async fn look_at(&self, engine: &dyn Engine, partition: u16, seen: &impl Fn(u16, JournalSpan)) -> Option<u64> {
        let mut span = engine.journal_span(partition).await.ok()?;
        seen(partition, span);
        let Some(tail) = self.0.bounds.unread_tail else { return Some(span.next.saturating_sub(span.first)) };
        let tail = tail.div_ceil(u64::try_from(self.0.partitions.len()).unwrap_or(1).max(1));
        loop {
            let surplus = span.next.saturating_sub(span.first).saturating_sub(tail);
            if surplus == 0 {
                break;
            }
            if let Err(error) = engine.trim(partition, span.first + surplus.min(TRIMMED_AT_ONCE), Trimmer::Stranger).await {
                tracing::warn!(partition, %error, "the journal was not trimmed");
                break;
            }
            let trimmed = engine.journal_span(partition).await.ok()?;
            let discarded = trimmed.first.saturating_sub(span.first);
            metrics().add_discarded(partition, discarded);
            span = trimmed;
            // Only whole blocks go.
            if discarded == 0 {
                break;
            }
        }
        Some(span.next.saturating_sub(span.first))
    }

    /// Whether a command must wait until the journal of its partition is aggregated.
    #[must_use]
    pub fn refuses(&self, partition: u16, command: &Command) -> bool {
        self.0.is_any_full.load(Ordering::Relaxed)
            && self.0.partitions.get(usize::from(partition)).is_some_and(|journal| journal.is_full.load(Ordering::Relaxed))
            && begins_something(&command.action)
    }
}

impl Journal {
    /// Holds the partition back, or no more, and says so. Returns whether it does.
    fn hold_back(&self, partition: u16, is_full: bool, entries: u64, most: u64) -> bool {
        if self.is_full.swap(is_full, Ordering::Relaxed) != is_full {
            if is_full {
                tracing::error!(partition, entries, most, "the journal is full: new charges are refused until it is aggregated");
            } else {
                tracing::info!(partition, entries, most, "the journal is no longer full");
            }
        }
        is_full
    }
}

/// Whether it is a new authorization, a direct debit, or a report that reserves anew.
fn begins_something(action: &Action) -> bool {
    match action {
        Action::Authorize(_) => true,
        Action::Debit(debit) => debit.reservation.is_none() || matches!(debit.then, RemainderPolicy::Reserve(_)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Which partitions of a store that may hold 80 entries are held back.
    fn held_back(entries: [u64; 4]) -> Vec<usize> {
        let gate = Backpressure::new(4, JournalBounds { high_water: Some(80), unread_tail: None });
        entries.iter().zip(&gate.0.partitions).for_each(|(entries, journal)| journal.entries.store(*entries, Ordering::Relaxed));
        gate.judge();
        let is_full = |journal: &Journal| journal.is_full.load(Ordering::Relaxed);
        gate.0.partitions.iter().enumerate().filter(|(_, journal)| is_full(journal)).map(|(number, _)| number).collect()
    }

    #[test]
    fn above_the_bound_of_the_store_those_are_held_back_that_have_more_than_their_share() {
        assert_eq!(held_back([80, 0, 0, 0]), [0; 0], "one may have all of it");
        assert_eq!(held_back([81, 0, 0, 0]), [0]);
        assert_eq!(held_back([70, 20, 0, 0]), [0]);
        assert_eq!(held_back([41, 41, 2, 2]), [0, 1]);
        assert_eq!(held_back([20, 20, 20, 20]), [0; 0]);
        assert_eq!(held_back([21, 20, 20, 20]), [0]);
    }
}
