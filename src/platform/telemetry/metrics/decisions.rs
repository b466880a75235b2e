//! Metrics of the outcomes of commands.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;

use super::Table;
use super::registrar::Registrar;
use domain::command::Kind;
use domain::money::Units;
use domain::outcome::{Answer, Refusal, Verdict};

/// What can become of a command, but for refusals, which follow by their reason.
const OUTCOMES: [&str; 5] = ["done", "declined", "unchanged", "replayed", "unavailable"];
const UNAVAILABLE: usize = 4;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DecisionLabels {
    command: &'static str,
    outcome: String,
}

/// Commands, by result.
pub struct DecisionMetrics {
    count: Family<DecisionLabels, Counter>,
    table: Table<Counter>,
    overdrafts: Counter,
}

impl Default for DecisionMetrics {
    fn default() -> Self {
        let count: Family<DecisionLabels, Counter> = Family::default();
        // Shown at 0, so that the first one is an increase.
        for kind in Kind::ALL {
            count.get_or_create_owned(&DecisionLabels { command: kind.name(), outcome: outcome_name(UNAVAILABLE) });
        }
        Self { count, table: Table::new(Kind::ALL.len(), OUTCOMES.len() + Refusal::ALL.len()), overdrafts: Counter::default() }
    }
}

impl DecisionMetrics {
    pub(super) fn register(&self, registry: &mut Registrar) {
        registry.register("tollgate_decisions", "Commands, by result", self.count.clone());
        let help = "Charges of what was consumed already that went beyond usable credit";
        registry.register("tollgate_overdrafts", help, self.overdrafts.clone());
    }

    /// Counts a command that was decided; `None` if the ledger gave no answer.
    pub fn decided(&self, kind: Kind, answer: Option<&Answer>) {
        let outcome = outcome_index(answer);
        let counter = self.table.get(kind as usize - 1, outcome, || {
            self.count.get_or_create_owned(&DecisionLabels { command: kind.name(), outcome: outcome_name(outcome) })
        });
        if let Some(counter) = counter {
            counter.inc();
        }
        if answer.is_some_and(is_new_overdraft) {
            self.overdrafts.inc();
        }
    }
}

fn is_new_overdraft(answer: &Answer) -> bool {
    answer.as_ref().is_ok_and(|outcome| !outcome.replayed && outcome.decision.is_some_and(|decision| decision.overdraft > Units::ZERO))
}

fn outcome_index(answer: Option<&Answer>) -> usize {
    match answer {
        None => UNAVAILABLE,
        Some(Ok(outcome)) if outcome.replayed => 3,
        Some(Ok(outcome)) => match outcome.decision.map(|decision| decision.verdict) {
            None | Some(Verdict::Done) => 0,
            Some(Verdict::Declined) => 1,
            Some(Verdict::Unchanged) => 2,
        },
        Some(Err(refusal)) => OUTCOMES.len() + Refusal::ALL.iter().position(|other| other == refusal).unwrap_or_default(),
    }
}

fn outcome_name(index: usize) -> String {
    match (OUTCOMES.get(index), index.checked_sub(OUTCOMES.len()).and_then(|index| Refusal::ALL.get(index))) {
        (Some(name), _) => (*name).to_owned(),
        (None, Some(refusal)) => format!("refused:{}", refusal.reason()),
        (None, None) => "unknown".to_owned(),
    }
}
