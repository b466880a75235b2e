//! How full the journals are: what is done about one that nobody takes in.
//!
//! Where a billing store is to read it, nothing is begun any more above a bound: what settles, releases or credits goes on, until an
//! aggregator has come along. Where there is none, the journal is trimmed to its tail, and what is trimmed was never read.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::future::join_all;

use super::{Engine, Trimmer};
use domain::command::{Action, Command, RemainderPolicy};
use platform::telemetry::metrics;

/// From this part of the bound on, the log warns.
const WARN_PERCENT: u64 = 70;

/// How many entries are trimmed in one step.
const TRIMMED_AT_ONCE: u64 = 50_000;

/// How much the journal of a partition may hold.
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
    partitions: Box<[Journal]>,
    bounds: JournalBounds,
}

#[derive(Debug, Default)]
struct Journal {
    is_full: AtomicBool,
    is_filling: AtomicBool,
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
        Self(Arc::new(Gate { is_any_full: AtomicBool::new(false), partitions, bounds }))
    }

    /// The bounds.
    #[must_use]
    pub fn bounds(&self) -> JournalBounds {
        self.0.bounds
    }

    /// Looks at the journals, all at the same time, and trims those that nobody reads. One that cannot be looked at stays as it was.
    pub async fn look(&self, engine: &dyn Engine) {
        let looks = (0..).zip(&self.0.partitions).map(|(number, journal)| async move {
            let Some(entries) = self.look_at(engine, number).await else { return };
            metrics().set_journal_entries(number, entries);
            if let Some(most) = self.0.bounds.high_water {
                journal.tell(number, entries, most);
                if journal.is_full.load(Ordering::Relaxed) {
                    self.0.is_any_full.store(true, Ordering::Relaxed);
                }
            }
        });
        join_all(looks).await;
        let is_any_full = self.0.partitions.iter().any(|journal| journal.is_full.load(Ordering::Relaxed));
        self.0.is_any_full.store(is_any_full, Ordering::Relaxed);
    }

    /// How many entries the journal of a partition holds, once it is trimmed.
    async fn look_at(&self, engine: &dyn Engine, partition: u16) -> Option<u64> {
        let mut span = engine.journal_span(partition).await.ok()?;
        let Some(tail) = self.0.bounds.unread_tail else { return Some(span.next.saturating_sub(span.first)) };
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
    /// Says when it fills, when it is full, and when it is no longer.
    fn tell(&self, partition: u16, entries: u64, most: u64) {
        let is_full = entries > most;
        if self.is_full.swap(is_full, Ordering::Relaxed) != is_full {
            if is_full {
                tracing::error!(partition, entries, most, "the journal is full: new charges are refused until it is aggregated");
            } else {
                tracing::info!(partition, entries, most, "the journal is no longer full");
            }
        }
        let is_filling = entries >= most / 100 * WARN_PERCENT + most % 100 * WARN_PERCENT / 100;
        if self.is_filling.swap(is_filling, Ordering::Relaxed) != is_filling && is_filling && !is_full {
            tracing::warn!(partition, entries, most, "the journal is filling: above the bound, new charges are refused");
        }
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
