//! Log messages where the time of a partition is ahead of the clock, as after a Redis or a machine whose clock was fast for a while.
//!
//! Such a time stands until the clock has caught up. Charges go on, but what ends by time (reservations, limits, periods) ends late: so it
//! is said, and where it is more than a minute, the service does not count as ready unless an operator says that it shall.

use std::time::Duration;

use tokio::time::Instant;

use super::readiness_report::ReadinessReport;
use crate::domain::time::Millis;
use crate::telemetry::metrics;

/// Up to this, nothing is logged: clocks are set by a little now and then.
const TOLERATED: Millis = 2_000;

/// From where on the service is not ready.
const SERVED: Millis = 60_000;

/// How often the same message is repeated.
const SAY_AGAIN: Duration = Duration::from_mins(1);

/// When each partition was last logged to be ahead.
pub struct TimeAheadLog {
    /// An operator wants them served anyway.
    is_served: bool,
    partitions: Vec<Partition>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Partition {
    said_at: Option<Instant>,
}

impl TimeAheadLog {
    /// Starts with nothing logged.
    pub fn new(partitions: u16, is_served: bool) -> Self {
        metrics().set_serving_ahead(is_served);
        Self { is_served, partitions: vec![Partition::default(); usize::from(partitions)] }
    }

    /// Reports how far the time of a partition is ahead of the clock: to the log, the metrics and the readiness.
    pub fn see(&mut self, partition: u16, ahead: Millis, now: Instant, found: &mut ReadinessReport) {
        let ahead = ahead.max(0);
        metrics().set_ahead(partition, ahead);
        if let Some(said) = self.partitions.get_mut(usize::from(partition)) {
            said.say(partition, ahead, self.is_served, now);
        }
        found.add_ahead(partition, ahead, self.is_served);
    }
}

impl Partition {
    fn say(&mut self, partition: u16, ahead: Millis, is_served: bool, now: Instant) {
        let seconds = ahead / 1000;
        if ahead <= TOLERATED {
            if self.said_at.take().is_some() {
                tracing::info!(partition, "the clock has caught up with the time of a partition");
            }
        } else if self.said_at.is_none_or(|said_at| now - said_at >= SAY_AGAIN) {
            self.said_at = Some(now);
            if ahead > SERVED && is_served {
                tracing::error!(partition, seconds, "a partition's time is ahead of the clock; serving it anyway because of --serve-ahead");
            } else {
                tracing::error!(
                    partition,
                    seconds,
                    "a partition's time is ahead of the clock: its time does not advance until the clock has caught up"
                );
            }
        }
    }
}

impl ReadinessReport {
    fn add_ahead(&mut self, partition: u16, ahead: Millis, is_served: bool) {
        if ahead <= TOLERATED {
            return;
        }
        let text = format!("the time of partition {partition} is {} s ahead of the clock", ahead / 1000);
        if ahead > SERVED && !is_served && self.problem.is_none() {
            self.problem = Some(format!("{text}: wait until the clock has caught up, or start with --serve-ahead"));
        }
        self.warnings.push(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_seconds_are_nothing_and_more_than_a_minute_is_not_served() {
        let look = |ahead, is_served| {
            let mut found = ReadinessReport::default();
            found.add_ahead(3, ahead, is_served);
            (found.warnings.len(), found.problem.is_some())
        };
        assert_eq!(look(2_000, false), (0, false));
        assert_eq!(look(2_001, false), (1, false));
        assert_eq!(look(60_000, false), (1, false));
        assert_eq!(look(60_001, false), (1, true));
        assert_eq!(look(60_001, true), (1, false));
    }
}
