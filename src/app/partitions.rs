//! What is known of each partition: whether it can be used, and, looked at once a second, whether its time is ahead of the clock, and
//! whether a step of it was torn. Partitions fail alone: as long as one decides, its customers are served. What the last sweep of one has
//! found stands until it is swept again: of many, some are swept at each look.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::{Instant, timeout};

use super::ahead::Ahead;
use super::found::Found;
use crate::ledger::{Ledger, LedgerError};
use crate::telemetry::metrics;

const LOOK: Duration = Duration::from_secs(1);

/// What is known of the partitions.
pub struct Partitions {
    ahead: Ahead,
    /// What the last looks have found of each.
    states: Vec<State>,
    next_look: Instant,
    /// Which partition is swept next.
    turn: usize,
}

/// What is known of a partition.
#[derive(Clone, Debug, Default)]
struct State {
    /// Why it could not be swept the last time.
    unswept: Option<String>,
    /// Whether it could be used; nobody knows before the first look.
    was_up: Option<bool>,
    /// The entry at which a step was torn, if one was.
    torn: Option<u64>,
    /// Which else it was found to be in.
    found: Found,
}

impl Partitions {
    /// Has not looked yet.
    pub fn new(count: u16, is_ahead_served: bool) -> Self {
        let ahead = Ahead::new(count, is_ahead_served);
        Self { ahead, states: vec![State::default(); usize::from(count)], next_look: Instant::now(), turn: 0 }
    }

    /// Which partitions are to be swept now: so many of those that can be used, in turn.
    pub fn next_to_sweep(&mut self, states: &[Result<(), String>], most: usize) -> Vec<u16> {
        let count = states.len();
        let turns = (0..count).map(|step| (self.turn + step) % count.max(1));
        let next: Vec<_> = turns.filter(|number| states.get(*number).is_some_and(Result::is_ok)).take(most).collect();
        self.turn = next.last().map_or(0, |last| last + 1);
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
    }

    /// Looks, if it is time to. A partition that cannot be looked at is as it was. As long as one can be used, the service can.
    pub async fn look(&mut self, ledger: &Ledger, checked: Vec<Result<(), String>>, patience: Duration) -> Found {
        let unswept = self.states.iter().map(|known| known.unswept.clone().map_or(Ok(()), Err));
        let states: Vec<_> = checked.into_iter().zip(unswept).map(|(checked, swept)| checked.and(swept)).collect();
        let now = Instant::now();
        if now >= self.next_look {
            self.next_look = now + LOOK;
            self.look_at_journals(ledger, &states, patience).await;
        }
        let has_one_clock = ledger.engine().has_one_clock();
        let mut found = Found::default();
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

    async fn look_at_journals(&mut self, ledger: &Ledger, states: &[Result<(), String>], patience: Duration) {
        let up = (0..).zip(states).filter(|(_, state)| state.is_ok()).map(|(number, _)| number);
        let looks = up.map(|number: u16| async move { (number, timeout(patience, ledger.engine().journal_span(number)).await) });
        let now = Instant::now();
        for (number, span) in join_all(looks).await {
            let (Ok(Ok(span)), Some(known)) = (span, self.states.get_mut(usize::from(number))) else { continue };
            known.found = Found::default();
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

/// Which partitions have gone down or come up at a look. What has one cause is told by one line.
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

fn torn(partition: u16, entry: u64) -> String {
    format!("a step of partition {partition} was torn at entry {entry}, and nothing is decided there: tollgate reconcile finishes it")
}
