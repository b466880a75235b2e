//! Metrics of the aggregator's work and of its store.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Unit;

use super::lazy_metric::LazyMetric;
use super::registrar::Registrar;
use super::{PartitionLabels, SECONDS, gauge_of, otlp};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StateLabels {
    state: &'static str,
}

/// Steps, the billing store, and the end of months.
pub struct AggregationMetrics {
    is_up: LazyMetric<Gauge>,
    store_is_up: LazyMetric<Gauge>,
    store_seconds: Histogram,
    connections: Family<StateLabels, Gauge>,
    step_seconds: Histogram,
    step_errors: Family<PartitionLabels, Counter>,
    month_end: Family<PartitionLabels, Gauge>,
    month_end_looked_at: Family<PartitionLabels, Gauge>,
    month_end_closes: Family<PartitionLabels, Counter>,
}

impl Default for AggregationMetrics {
    fn default() -> Self {
        Self {
            is_up: LazyMetric::default(),
            store_is_up: LazyMetric::default(),
            store_seconds: Histogram::new(SECONDS),
            connections: Family::default(),
            step_seconds: Histogram::new(SECONDS),
            step_errors: Family::default(),
            month_end: Family::default(),
            month_end_looked_at: Family::default(),
            month_end_closes: Family::default(),
        }
    }
}

impl AggregationMetrics {
    pub(super) fn register(&self, registry: &mut Registrar) {
        let help = "Whether this process's aggregation goes on everywhere; of a process without, there is none";
        registry.register("tollgate_aggregation_up", help, self.is_up.clone());
        let help = "Whether the billing store answers; of a process without, there is none";
        registry.register("tollgate_billing_store_up", help, self.store_is_up.clone());
        let help = "How long the billing store took for the smallest question";
        registry.register_with_unit("tollgate_billing_store_round_trip", help, Unit::Seconds, self.store_seconds.clone());
        registry.register("tollgate_billing_store_connections", "Connections to the billing store", self.connections.clone());
        let steps = self.step_seconds.clone();
        registry.register_with_unit("tollgate_aggregation_step_duration", "Steps that committed something", Unit::Seconds, steps);
        registry.register("tollgate_aggregation_step_errors", "Steps that failed", self.step_errors.clone());
        let help = "Whether idle accounts of a partition are looked for whose month is over";
        registry.register("tollgate_month_end_scanning", help, self.month_end.clone());
        let help = "About how many accounts of a partition this month's scan has looked at";
        registry.register("tollgate_month_end_looked_at_accounts", help, self.month_end_looked_at.clone());
        let help = "Idle accounts whose month was closed";
        registry.register("tollgate_month_end_closed_accounts", help, self.month_end_closes.clone());
    }

    /// Sets whether this process's aggregation goes on everywhere.
    pub fn set_up(&self, is_up: bool) {
        self.is_up.get().set(i64::from(is_up));
    }

    /// Sets whether the billing store answers.
    pub fn set_store_up(&self, is_up: bool) {
        self.store_is_up.get().set(i64::from(is_up));
    }

    /// Notes how long the billing store took to answer, and its connections.
    pub fn store_answered(&self, took: Duration, used: usize, idle: usize) {
        self.store_seconds.observe(took.as_secs_f64());
        otlp::observe("tollgate_billing_store_round_trip_seconds", took.as_secs_f64(), &[]);
        for (state, count) in [("used", used), ("idle", idle)] {
            self.connections.get_or_create_owned(&StateLabels { state }).set(i64::try_from(count).unwrap_or(i64::MAX));
        }
    }

    /// A partition is worked on: shown at 0, so that the first error is an increase.
    pub fn begin(&self, partition: u16) {
        let labels = PartitionLabels { partition };
        self.step_errors.get_or_create_owned(&labels);
        self.month_end_closes.get_or_create_owned(&labels);
        self.month_end.get_or_create_owned(&labels).set(0);
    }

    /// Measures a step that committed something.
    pub fn step(&self, took: Duration) {
        self.step_seconds.observe(took.as_secs_f64());
        otlp::observe("tollgate_aggregation_step_duration_seconds", took.as_secs_f64(), &[]);
    }

    /// Counts a step that failed.
    pub fn count_step_error(&self, partition: u16) {
        self.step_errors.get_or_create_owned(&PartitionLabels { partition }).inc();
    }

    /// Sets whether a partition is scanned for idle accounts after the end of a month.
    pub fn set_month_end(&self, partition: u16, is_scanning: bool) {
        self.month_end.get_or_create_owned(&PartitionLabels { partition }).set(i64::from(is_scanning));
    }

    /// Sets how many accounts of a partition were looked at after the end of a month.
    pub fn set_month_end_looked_at(&self, partition: u16, accounts: u64) {
        self.month_end_looked_at.get_or_create_owned(&PartitionLabels { partition }).set(gauge_of(accounts));
    }

    /// Counts an idle account whose month was closed.
    pub fn count_month_end_close(&self, partition: u16) {
        self.month_end_closes.get_or_create_owned(&PartitionLabels { partition }).inc();
    }
}
