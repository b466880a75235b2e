//! The results: medians over the trials with the least and the most, as a table or as JSON.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::cli::table::Listing;
use serde::Serialize;
use serde_json::{Value, json};

use super::audit::Audit;
use super::measure::{Latencies, Measure, Outcomes};
use super::mix::Kind;
use super::options::{LoadOptions, Output};
use crate::cli::table::table;

/// How many mismatches are printed in full.
const SHOWN_MISMATCHES: usize = 20;

/// The latencies that are reported, by their names.
const QUANTILES: [(&str, f64); 6] = [("p50", 0.5), ("p90", 0.9), ("p95", 0.95), ("p99", 0.99), ("p99.9", 0.999), ("max", 1.0)];

/// The median of several trials, and how far they were apart.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Spread {
    /// The median; of an even number, the mean of the two in the middle.
    pub median: f64,
    /// The least.
    pub min: f64,
    /// The most.
    pub max: f64,
}

impl Spread {
    /// Of some numbers.
    pub fn of(numbers: impl IntoIterator<Item = f64>) -> Self {
        let mut numbers: Vec<f64> = numbers.into_iter().collect();
        numbers.sort_by(f64::total_cmp);
        let at = |place: usize| numbers.get(place).copied().unwrap_or_default();
        let last = numbers.len().saturating_sub(1);
        Self { median: f64::midpoint(at(last / 2), at(last.div_ceil(2))), min: at(0), max: at(last) }
    }
}

/// Latencies in microseconds, by the names of [`QUANTILES`].
type Quantiles = BTreeMap<&'static str, Spread>;

fn quantiles(trials: &[Latencies]) -> Quantiles {
    let micros = |quantile| Spread::of(trials.iter().map(|trial| trial.at(quantile).as_secs_f64() * 1e6));
    QUANTILES.into_iter().map(|(name, quantile)| (name, micros(quantile))).collect()
}

/// One kind of command over all trials.
#[derive(Clone, Debug, Serialize)]
pub struct OperationSummary {
    /// How many were sent within the measured time, and answered.
    pub count: u64,
    /// Latencies in microseconds, of the trials that have any.
    pub latency_us: Quantiles,
}

impl OperationSummary {
    fn all_of(trials: &[Measure]) -> BTreeMap<Kind, Self> {
        let mut by_kind: BTreeMap<Kind, Vec<Latencies>> = BTreeMap::new();
        for (kind, latencies) in trials.iter().flat_map(Measure::by_kind) {
            by_kind.entry(kind).or_default().push(latencies);
        }
        let summed = |trials: Vec<Latencies>| Self { count: trials.iter().map(Latencies::count).sum(), latency_us: quantiles(&trials) };
        by_kind.into_iter().map(|(kind, trials)| (kind, summed(trials))).collect()
    }
}

/// What all trials of a load came to.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// Operations answered a second.
    pub rate: Spread,
    /// The same of those that were answered within their deadline, if they had one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate_in_time: Option<Spread>,
    /// Latencies in microseconds.
    pub latency_us: Quantiles,
    /// The same by operation: of a reservation, its authorize and its final debit apart.
    #[serde(serialize_with = "by_name")]
    pub operations: BTreeMap<Kind, OperationSummary>,
    /// Operations answered within the measured time, over all trials.
    pub measured: u64,
    /// Operations of the open loop that were due and never sent.
    pub not_sent: u64,
    /// How often which error came.
    pub errors: BTreeMap<String, u64>,
    #[serde(skip)]
    outcomes: Outcomes,
}

impl Summary {
    /// Of the trials of one load.
    pub fn of(trials: &[Measure]) -> anyhow::Result<Self> {
        let latencies = trials.iter().map(Measure::latencies).collect::<anyhow::Result<Vec<_>>>()?;
        let (mut outcomes, mut errors) = (Outcomes::new(), BTreeMap::new());
        for trial in trials {
            trial.outcomes.iter().for_each(|(key, count)| *outcomes.entry(*key).or_default() += count);
            trial.errors.iter().for_each(|(kind, count)| *errors.entry(kind.clone()).or_default() += count);
        }
        Ok(Self {
            rate: Spread::of(trials.iter().map(Measure::rate)),
            rate_in_time: trials.iter().map(Measure::rate_in_time).collect::<Option<Vec<_>>>().map(Spread::of),
            latency_us: quantiles(&latencies),
            operations: OperationSummary::all_of(trials),
            measured: trials.iter().map(Measure::finished).sum(),
            not_sent: trials.iter().map(|trial| trial.not_sent).sum(),
            errors,
            outcomes,
        })
    }

    /// How many failed, the warm-ups included.
    pub fn failed(&self) -> u64 {
        self.errors.values().sum()
    }

    fn as_json(&self) -> Value {
        let outcomes: BTreeMap<_, _> =
            self.outcomes.iter().map(|((kind, outcome), count)| (format!("{} {outcome}", kind.name()), count)).collect();
        let mut value = json!(self);
        if let Some(fields) = value.as_object_mut() {
            fields.insert("outcomes".to_owned(), json!(outcomes));
        }
        value
    }

    fn speeds(&self) -> Listing {
        let mut table = table(["", "median", "least", "most"], 1);
        let rate = self.rate;
        table.add_row(["answered a second".to_owned(), thousands(rate.median), thousands(rate.min), thousands(rate.max)]);
        if let Some(rate) = self.rate_in_time {
            table.add_row(["in time".to_owned(), thousands(rate.median), thousands(rate.min), thousands(rate.max)]);
        }
        for (name, _) in QUANTILES {
            let Some(spread) = self.latency_us.get(name) else { continue };
            table.add_row([format!("latency {name}"), micros(spread.median), micros(spread.min), micros(spread.max)]);
        }
        table
    }

    /// Latencies by operation, medians over the trials; none, if there was only one.
    fn by_operation(&self) -> Option<Listing> {
        let mut table = table(["latency of", "count", "p50", "p95", "p99"], 1);
        for (kind, operation) in &self.operations {
            let latency = |name| operation.latency_us.get(name).map_or_else(String::new, |spread| micros(spread.median));
            let name = kind.name().to_owned();
            table.add_row([name, thousands(operation.count as f64), latency("p50"), latency("p95"), latency("p99")]);
        }
        (self.operations.len() > 1).then_some(table)
    }

    fn counts(&self) -> Listing {
        let mut table = table(["with warm-up", "outcome", "count"], 2);
        for ((kind, outcome), count) in &self.outcomes {
            table.add_row([kind.name().to_owned(), (*outcome).to_owned(), thousands(*count as f64)]);
        }
        for (kind, count) in &self.errors {
            table.add_row(["failed".to_owned(), kind.clone(), thousands(*count as f64)]);
        }
        if self.not_sent > 0 {
            table.add_row(["never sent".to_owned(), "the service fell behind the rate".to_owned(), thousands(self.not_sent as f64)]);
        }
        table
    }
}

fn by_name<S: serde::Serializer>(operations: &BTreeMap<Kind, OperationSummary>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(operations.iter().map(|(kind, operation)| (kind.name(), operation)))
}

/// One step of a ladder of rates.
#[derive(Clone, Debug)]
pub struct RateStep {
    /// Operations sent a second.
    pub sent_rate: f64,
    /// The outcome.
    pub summary: Summary,
}

/// The report of a run.
pub struct Report<'a> {
    /// What was asked for.
    pub options: &'a LoadOptions,
    /// With which prefix the accounts may be used again.
    pub prefix: &'a str,
    /// What the load came to; of a ladder with given rates, nothing.
    pub summary: Option<Summary>,
    /// What a ladder came to.
    pub rungs: Vec<RateStep>,
    /// The result of the audit; `None` if it was not asked for.
    pub audit: Option<Audit>,
}

impl Report<'_> {
    /// Prints it.
    pub fn print(&self) {
        match self.options.output {
            Output::Table => self.print_tables(),
            Output::Json => println!("{:#}", self.as_json()),
        }
    }

    fn as_json(&self) -> Value {
        let rungs: Vec<_> =
            self.rungs.iter().map(|rung| json!({ "sent_rate": rung.sent_rate, "result": rung.summary.as_json() })).collect();
        json!({
            "load": self.options.describe(),
            "prefix": self.prefix,
            "trials": self.options.trials,
            "warm_up_seconds": self.options.warm_up.as_secs_f64(),
            "result": self.summary.as_ref().map(Summary::as_json),
            "ladder": rungs,
            "books": self.audit,
            "mismatches": self.audit.as_ref().map(|audit| audit.mismatches.len()),
        })
    }

    fn print_tables(&self) {
        println!("{}", self.options.describe());
        if let Some(summary) = &self.summary {
            println!("{}", summary.speeds());
            summary.by_operation().into_iter().for_each(|table| println!("{table}"));
            println!("{}", summary.counts());
        }
        if !self.rungs.is_empty() {
            println!("{}", ladder(&self.rungs));
        }
        match &self.audit {
            Some(audit) => print_audit(audit),
            None => println!("The books were not checked."),
        }
        println!("To use the same accounts again: --prepared {}", self.prefix);
    }
}

fn ladder(rungs: &[RateStep]) -> Listing {
    let mut table = table(["sent a second", "answered a second", "p50", "p99", "p99.9", "max", "failed", "never sent"], 0);
    for rung in rungs {
        let latency = |name| rung.summary.latency_us.get(name).map_or_else(String::new, |spread| micros(spread.median));
        table.add_row([
            thousands(rung.sent_rate),
            thousands(rung.summary.rate.median),
            latency("p50"),
            latency("p99"),
            latency("p99.9"),
            latency("max"),
            thousands(rung.summary.failed() as f64),
            thousands(rung.summary.not_sent as f64),
        ]);
    }
    table
}

fn print_audit(audit: &Audit) {
    for mismatch in audit.mismatches.iter().take(SHOWN_MISMATCHES) {
        println!("  MISMATCH {mismatch}");
    }
    println!(
        "Books: {} mismatches, over {} accounts and the journals of {} ({} entries).",
        audit.mismatches.len(),
        audit.accounts,
        audit.journals,
        audit.entries
    );
    if audit.found_out + audit.unknown > 0 {
        println!("Unknown outcomes: {} found out by repeating them, {} still unknown.", audit.found_out, audit.unknown);
    }
    if audit.journals_cut_short > 0 {
        println!("Journals longer than --journal-pages, and so not checked: {}.", audit.journals_cut_short);
    }
}

/// A number with its thousands apart.
fn thousands(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut spaced = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            spaced.push(',');
        }
        spaced.push(digit);
    }
    spaced
}

fn micros(micros: f64) -> String {
    format!("{:.3?}", Duration::from_secs_f64(micros / 1e6))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_stands_in_the_middle() {
        assert_eq!(Spread::of([3.0, 1.0, 2.0]), Spread { median: 2.0, min: 1.0, max: 3.0 });
        assert_eq!(Spread::of([4.0, 1.0, 2.0, 3.0]).median, 2.5);
        assert_eq!(Spread::of([7.0]), Spread { median: 7.0, min: 7.0, max: 7.0 });
    }

    #[test]
    fn numbers_are_readable() {
        assert_eq!([0.0, 999.0, 1000.0, 1_234_567.0].map(thousands), ["0", "999", "1,000", "1,234,567"]);
    }
}
