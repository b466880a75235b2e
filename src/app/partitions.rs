//! What is known of each partition: whether it can be used, and, looked at once a second, whether its time is ahead of the clock, whether a
//! step of it was torn, and when a sweep has something to do. Partitions fail alone: as long as one decides, its customers are served. What the last sweep of one has
//! found stands until it is swept again: of many, some are swept at each look.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::readiness_report::ReadinessReport;
use super::time_ahead::TimeAheadLog;
use crate::domain::time::UnixMillis;
use crate::ledger::{JournalSpan, Ledger, LedgerError};
use crate::telemetry::metrics;

/// How often a partition is swept where nothing is due: a store may answer, and write nothing.
const SWEEP: Duration = Duration::from_secs(5);

/// The journals' spans as last read, until they are taken in.
#[derive(Debug, Default)]
pub struct Spans(Mutex<BTreeMap<u16, JournalSpan>>);

impl Spans {
    /// Notes what a look has found.
    pub fn see(&self, partition: u16, span: JournalSpan) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(partition, span);
    }

    fn take(&self) -> BTreeMap<u16, JournalSpan> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The state of the partitions.
pub struct Partitions {
    ahead: TimeAheadLog,
    /// The results of the last checks of each.
    states: Vec<State>,
    /// Which partition is swept next.
    turn: usize,
}

/// The state of a partition.
#[derive(Clone, Debug, Default)]
struct State {
    /// Why it could not be swept the last time.
    unswept: Option<String>,
    /// Whether it could be used; unknown before the first look.
    was_up: Option<bool>,
    /// When it was swept last, and what the clock said that was asked which to sweep; and from when on a sweep has something to do.
    swept_at: Option<Instant>,
    swept_by: UnixMillis,
    due_from: UnixMillis,
    /// The entry at which a step was torn, if one was.
    torn: Option<u64>,
    /// Which else it was found to be in.
    found: ReadinessReport,
}

impl Partitions {
    /// Starts without a result.
    pub fn new(count: u16, is_ahead_served: bool) -> Self {
        let ahead = TimeAheadLog::new(count, is_ahead_served);
        Self { ahead, states: vec![State::default(); usize::from(count)], turn: 0 }
    }

    /// Returns the partitions to sweep now: up to `most` usable ones, in turn, where something is due, the last sweep failed, or
    /// the last sweep was long ago.
    pub fn next_to_sweep(&mut self, states: &[Result<(), String>], most: usize, now: UnixMillis) -> Vec<u16> {
        let count = states.len();
        let turns = (0..count).map(|step| (self.turn + step) % count.max(1));
        let is_wanted = |number: &usize| {
            states.get(*number).is_some_and(Result::is_ok) && self.states.get(*number).is_some_and(|known| known.wants_sweep(now))
        };
        let next: Vec<_> = turns.filter(is_wanted).take(most).collect();
        for number in &next {
            if let Some(known) = self.states.get_mut(*number) {
                known.swept_by = now;
            }
        }
        self.turn = next.last().map_or(self.turn, |last| last + 1);
        next.into_iter().filter_map(|number| u16::try_from(number).ok()).collect()
    }

    /// Notes what came of a sweep.
    pub fn swept(&mut self, partition: u16, result: &Result<bool, LedgerError>) {
        let Some(known) = self.states.get_mut(usize::from(partition)) else { return };
        known.unswept = match result {
            // What is corrupt is found by the look at the partitions, too, and the rest of the partition may be of use.
            Ok(_) | Err(LedgerError::Corrupt(_)) => None,
            Err(error) => Some(error.to_string()),
        };
        known.swept_at = Some(Instant::now());
        if matches!(result, Ok(false)) {
            // Until the next look at its journal says otherwise.
            known.due_from = UnixMillis::MAX;
        }
    }

    /// The health of the partitions. The service is usable as long as one partition is.
    pub fn look(&mut self, ledger: &Ledger, checked: Vec<Result<(), String>>) -> ReadinessReport {
        let unswept = self.states.iter().map(|known| known.unswept.clone().map_or(Ok(()), Err));
        let states: Vec<_> = checked.into_iter().zip(unswept).map(|(checked, swept)| checked.and(swept)).collect();
        let has_one_clock = ledger.engine().has_one_clock();
        let mut found = ReadinessReport::default();
        let mut changes = Changes::default();
        let mut first_problem = None;
        let mut is_any_of_use = false;
        for (number, (known, state)) in (0..).zip(self.states.iter_mut().zip(states)) {
            let is_up = state.is_ok();
            metrics().set_partition_up(number, is_up);
            let was_up = known.was_up.replace(is_up);
            match &state {
                Ok(()) if was_up == Some(false) => changes.up.push(number),
                Err(reason) if was_up != Some(false) => changes.down.entry(reason.clone()).or_default().push(number),
                _ => {}
            }
            // What was found before it went down says nothing any more.
            let problem = known.found.problem.as_ref().filter(|_| is_up);
            if let Err(reason) = &state {
                found.warnings.push(format!("partition {number} is down: {reason}"));
            }
            if let Some(loss) = ledger.engine().loss(number) {
                found.is_any_lost = true;
                found.warnings.push(loss);
            }
            if let Some(entry) = known.torn {
                found.is_any_torn = true;
                found.warnings.push(torn(number, entry));
            }
            if has_one_clock {
                // A clock that was wrong was so for all of them.
                found.problem = found.problem.or_else(|| problem.cloned());
            }
            first_problem = first_problem.or_else(|| state.err().or_else(|| problem.cloned()));
            found.warnings.extend(known.found.warnings.iter().cloned());
            is_any_of_use |= is_up && problem.is_none() && known.torn.is_none();
        }
        changes.tell();
        if !is_any_of_use {
            let reason = first_problem.unwrap_or_else(|| "a step of every partition was torn: tollgate reconcile finishes it".to_owned());
            found.problem.get_or_insert(reason);
        }
        found
    }

    /// Takes in what the looks at the journals have found since. A partition that could not be looked at is as it was.
    pub fn take_in(&mut self, ledger: &Ledger, spans: &Spans) {
        let now = Instant::now();
        for (number, span) in spans.take() {
            let Some(known) = self.states.get_mut(usize::from(number)) else { continue };
            known.due_from = span.due_from;
            known.found = ReadinessReport::default();
            self.ahead.see(number, span.now - ledger.clock().now(), now, &mut known.found);
            metrics().set_torn(number, span.is_torn);
            let was_torn = std::mem::replace(&mut known.torn, span.torn());
            if was_torn.is_some() != span.is_torn {
                match span.is_torn {
                    true => tracing::error!(partition = number, entry = span.next, "a step was torn: tollgate reconcile finishes it"),
                    false => tracing::info!(partition = number, "the step that was torn is finished"),
                }
            }
        }
    }
}

/// The partitions that went down or came up since the last look. Those with the same cause share one log line.
#[derive(Default)]
struct Changes {
    up: Vec<u16>,
    /// By the reason.
    down: BTreeMap<String, Vec<u16>>,
}

impl Changes {
    fn tell(&self) {
        let listed = |partitions: &[u16]| partitions.iter().map(u16::to_string).collect::<Vec<_>>().join(", ");
        if !self.up.is_empty() {
            tracing::info!(partitions = listed(&self.up), "partitions are up again");
        }
        for (reason, partitions) in &self.down {
            tracing::error!(partitions = listed(partitions), reason, "partitions are down");
        }
    }
}

impl State {
    fn wants_sweep(&self, now: UnixMillis) -> bool {
        self.unswept.is_some()
            || self.due_from <= now
            || self.swept_at.is_none_or(|at| at.elapsed() >= SWEEP)
            || has_jumped(self.swept_by, now)
    }
}

/// Whether the clock was set, so that what was known to be due no longer holds.
fn has_jumped(from: UnixMillis, to: UnixMillis) -> bool {
    u128::from(to.since(from).unsigned_abs()) >= 2 * SWEEP.as_millis()
}

fn torn(partition: u16, entry: u64) -> String {
    format!("a step of partition {partition} was torn at entry {entry}, and nothing is decided there: tollgate reconcile finishes it")
}
