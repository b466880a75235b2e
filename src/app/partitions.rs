//! Looks at each partition once a second: whether its time is ahead of the clock, and whether a step of it was torn.

use std::time::Duration;

use tokio::time::Instant;

use super::ahead::Ahead;
use super::found::Found;
use crate::ledger::Ledger;
use crate::telemetry::metrics;

const LOOK: Duration = Duration::from_secs(1);

/// What is known of the partitions.
pub struct Partitions {
    ahead: Ahead,
    /// Whether a step of a partition was torn.
    torn: Vec<bool>,
    next_look: Instant,
    found: Found,
}

impl Partitions {
    /// Has not looked yet.
    pub fn new(count: u16, is_ahead_served: bool) -> Self {
        let ahead = Ahead::new(count, is_ahead_served);
        Self { ahead, torn: vec![false; usize::from(count)], next_look: Instant::now(), found: Found::default() }
    }

    /// Looks, if it is time to. While one of them cannot be looked at, all are as they were.
    pub async fn look(&mut self, ledger: &Ledger) -> &Found {
        let now = Instant::now();
        if now < self.next_look {
            return &self.found;
        }
        self.next_look = now + LOOK;
        let mut found = Found::default();
        for (number, was_torn) in (0..).zip(&mut self.torn) {
            let Ok(span) = ledger.engine().journal_span(number).await else { return &self.found };
            self.ahead.see(number, span.now - ledger.clock().now(), now, &mut found);
            metrics().set_torn(number, span.is_torn);
            if span.is_torn {
                found.is_any_torn = true;
                found.warnings.push(torn(number, span.next));
            }
            if std::mem::replace(was_torn, span.is_torn) != span.is_torn {
                match span.is_torn {
                    true => tracing::error!(partition = number, entry = span.next, "a step was torn: tollgate reconcile finishes it"),
                    false => tracing::info!(partition = number, "the step that was torn is finished"),
                }
            }
        }
        // As long as one decides, its customers are served.
        if self.torn.iter().all(|is_torn| *is_torn) {
            found.problem.get_or_insert_with(|| "a step of every partition was torn: tollgate reconcile finishes it".to_owned());
        }
        self.found = found;
        &self.found
    }
}

fn torn(partition: u16, entry: u64) -> String {
    format!("a step of partition {partition} was torn at entry {entry}, and nothing is decided there: tollgate reconcile finishes it")
}
