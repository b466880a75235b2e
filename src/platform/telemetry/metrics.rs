//! The metrics of this process, as handles that cost an index to find.
//!
//! Nothing on the way of a request hashes or allocates: each series is made when it is first needed, and kept in a table. All labels
//! are from closed sets, so no caller can make series grow.

mod aggregation;
mod approvals;
mod callers;
mod calls;
mod connections;
mod decisions;
mod drafts;
mod lazy_metric;
mod ledger;
mod mail;
pub(super) mod otlp;
mod process;
mod redis;
mod registrar;
mod retention;
mod text;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{LazyLock, OnceLock};
use std::time::{Duration, Instant};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Unit;

pub use aggregation::AggregationMetrics;
pub use approvals::ApprovalMetrics;
pub use callers::CallerMetrics;
pub use calls::{CallMetrics, code_name};
pub use connections::ConnectionMetrics;
pub use decisions::DecisionMetrics;
pub use drafts::DraftMetrics;
pub use ledger::LedgerMetrics;
pub use mail::{MailCounts, MailMetrics};
use process::ProcessMetrics;
pub use redis::{RedisFigures, RedisMetrics};
use registrar::{Described, Registrar};
pub use retention::RetentionMetrics;
pub use text::TextFormat;

const SECONDS: [f64; 15] = [0.0001, 0.000_25, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];
const COMMANDS: [f64; 10] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0];

/// The metrics of this process.
#[must_use]
pub fn metrics() -> &'static Metrics {
    static METRICS: LazyLock<Metrics> = LazyLock::new(Metrics::new);
    &METRICS
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PartitionLabels {
    partition: u16,
}

/// The metrics of this process.
pub struct Metrics {
    registry: Registrar,
    pub calls: CallMetrics,
    /// Outcomes of commands.
    pub decisions: DecisionMetrics,
    /// Sizes of the ledger.
    pub ledger: LedgerMetrics,
    batch_commands: Histogram,
    batch_seconds: Histogram,
    store_up: Gauge,
    waiting: Gauge,
    aggregated: Counter,
    /// Of the aggregator's work and its store.
    pub aggregation: AggregationMetrics,
    pub redis: RedisMetrics,
    process: ProcessMetrics,
    lag_entries: Family<PartitionLabels, Gauge>,
    lag_seconds: Family<PartitionLabels, Gauge<f64, AtomicU64>>,
    stopped: Family<PartitionLabels, Gauge>,
    owned: Family<PartitionLabels, Gauge>,
    journal: Family<PartitionLabels, Gauge>,
    journal_high_water: Family<PartitionLabels, Gauge>,
    journal_refusals: Family<PartitionLabels, Counter>,
    usage_discarded: Gauge,
    held_series: Gauge,
    failing_steps: Family<PartitionLabels, Gauge>,
    /// Of what waits on its way to paper.
    pub drafts: DraftMetrics,
    /// Acts that wait for a second person.
    pub approvals: ApprovalMetrics,
    /// What is no longer kept.
    pub retention: RetentionMetrics,
    pub mail: MailMetrics,
    discarded: Family<PartitionLabels, Counter>,
    ahead: Family<PartitionLabels, Gauge<f64, AtomicU64>>,
    serving_ahead: Gauge,
    partition_up: Family<PartitionLabels, Gauge>,
    torn: Family<PartitionLabels, Gauge>,
    damaged_records: Counter,
    letters_without_font: Counter,
    log_dropped: Counter,
    /// Of connections, and who is let in.
    pub connections: ConnectionMetrics,
    pub callers: CallerMetrics,
    longest_poll: Gauge<f64, AtomicU64>,
    longest_poll_nanos: AtomicU64,
}

impl Metrics {
    fn new() -> Self {
        let metrics = Self {
            registry: Registrar::default(),
            calls: CallMetrics::default(),
            decisions: DecisionMetrics::default(),
            ledger: LedgerMetrics::default(),
            batch_commands: Histogram::new(COMMANDS),
            batch_seconds: Histogram::new(SECONDS),
            store_up: Gauge::default(),
            waiting: Gauge::default(),
            aggregated: Counter::default(),
            aggregation: AggregationMetrics::default(),
            redis: RedisMetrics::default(),
            process: ProcessMetrics::default(),
            lag_entries: Family::default(),
            lag_seconds: Family::default(),
            stopped: Family::default(),
            owned: Family::default(),
            journal: Family::default(),
            journal_high_water: Family::default(),
            journal_refusals: Family::default(),
            usage_discarded: Gauge::default(),
            held_series: Gauge::default(),
            failing_steps: Family::default(),
            drafts: DraftMetrics::default(),
            approvals: ApprovalMetrics::default(),
            retention: RetentionMetrics::default(),
            mail: MailMetrics::default(),
            discarded: Family::default(),
            ahead: Family::default(),
            serving_ahead: Gauge::default(),
            partition_up: Family::default(),
            torn: Family::default(),
            damaged_records: Counter::default(),
            letters_without_font: Counter::default(),
            log_dropped: Counter::default(),
            connections: ConnectionMetrics::default(),
            callers: CallerMetrics::default(),
            longest_poll: Gauge::default(),
            longest_poll_nanos: AtomicU64::default(),
        };
        metrics.register()
    }

    fn register(mut self) -> Self {
        let registry = &mut self.registry;
        registry.register("tollgate_build", "Version of the running build", Info::new([("version", env!("CARGO_PKG_VERSION"))]));
        self.process.register(registry);
        self.calls.register(registry);
        self.aggregation.register(registry);
        self.redis.register(registry);
        self.decisions.register(registry);
        self.ledger.register(registry);
        registry.register("tollgate_batch_commands", "Commands in a batch", self.batch_commands.clone());
        registry.register_with_unit("tollgate_batch_duration", "Time to complete a batch", Unit::Seconds, self.batch_seconds.clone());
        registry.register("tollgate_store_up", "Whether the store answers and agrees on the time", self.store_up.clone());
        registry.register("tollgate_commands_waiting", "Commands that wait for their batch to leave", self.waiting.clone());
        registry.register("tollgate_aggregated_entries", "Journal entries committed to the billing store", self.aggregated.clone());
        let (entries, seconds) = (self.lag_entries.clone(), self.lag_seconds.clone());
        registry.register("tollgate_aggregation_lag_entries", "Journal entries that are not committed yet", entries);
        registry.register_with_unit(
            "tollgate_aggregation_lag",
            "Age of the oldest journal entry that is not committed yet",
            Unit::Seconds,
            seconds,
        );
        registry.register("tollgate_journal_entries", "Entries that the journal of a partition holds", self.journal.clone());
        let (high_water, refusals) = (self.journal_high_water.clone(), self.journal_refusals.clone());
        registry.register("tollgate_journal_high_water_entries", "Entries above which new charges are refused", high_water);
        registry.register("tollgate_journal_full_refusals", "Commands refused because the journal is full", refusals);
        let discards = self.usage_discarded.clone();
        registry.register("tollgate_usage_discarded", "Whether usage records are deleted unread: there is no billing store", discards);
        let held = "Series of numbers in which nothing is issued, because it is not known how they go on behind a gap";
        registry.register("tollgate_held_series", held, self.held_series.clone());
        let failing = "How often the step of a partition's aggregation has failed in a row";
        registry.register("tollgate_aggregation_failing_steps", failing, self.failing_steps.clone());
        self.drafts.register(registry);
        self.approvals.register(registry);
        self.retention.register(registry);
        self.mail.register(registry);
        registry.register("tollgate_discarded_entries", "Journal entries deleted unread", self.discarded.clone());
        let (ahead, serving_ahead) = (self.ahead.clone(), self.serving_ahead.clone());
        registry.register_with_unit("tollgate_partition_ahead", "How far a partition's time is ahead of the clock", Unit::Seconds, ahead);
        registry.register("tollgate_partition_up", "Whether a partition can be used", self.partition_up.clone());
        registry.register(
            "tollgate_partition_torn",
            "Whether a step of a partition was torn, so that nothing is decided there",
            self.torn.clone(),
        );
        registry.register("tollgate_serve_ahead", "Whether --serve-ahead was given", serving_ahead);
        let (stopped, owned) = (self.stopped.clone(), self.owned.clone());
        registry.register(
            "tollgate_aggregation_stopped",
            "Whether a partition's aggregation stands still until an operator looks",
            stopped,
        );
        registry.register("tollgate_damaged_records", "Damaged records of accounts that a reading left out", self.damaged_records.clone());
        let help = "Letters of PDFs that no font has: their codes were printed";
        registry.register("tollgate_letters_without_font", help, self.letters_without_font.clone());
        registry.register("tollgate_log_lines_dropped", "Lines of the log that stderr did not take", self.log_dropped.clone());
        self.connections.register(registry);
        self.callers.register(registry);
        let longest = self.longest_poll.clone();
        let what = "The most processor time that a lane was held up by one piece of work, since the start";
        registry.register_with_unit("tollgate_lane_longest_poll", what, Unit::Seconds, longest);
        registry.register("tollgate_aggregation_owned", "Whether this process aggregates the partition", owned);
        self
    }

    /// All metrics, in a format of Prometheus's.
    pub fn encode(&self, format: TextFormat) -> Result<String, std::fmt::Error> {
        self.process.look();
        self.log_dropped.inner().store(super::logs::dropped_lines(), Ordering::Relaxed);
        self.registry.encode(format)
    }

    /// What there is to show, though some of it may have no series yet.
    pub(super) fn described(&self) -> &[Described] {
        self.registry.described()
    }

    /// A batch goes out.
    pub fn start_batch(&self, commands: usize) -> BatchTimer {
        self.batch_commands.observe(commands as f64);
        otlp::observe("tollgate_batch_commands", commands as f64, &[]);
        BatchTimer { started: Instant::now() }
    }

    /// Changes the number of waiting commands.
    pub fn add_waiting(&self, commands: i64) {
        self.waiting.inc_by(commands);
    }

    /// Counts journal entries that were committed to the billing store.
    pub fn add_aggregated(&self, entries: usize) {
        self.aggregated.inc_by(entries as u64);
    }

    /// Sets how many entries the journal of a partition holds.
    pub fn set_journal_entries(&self, partition: u16, entries: u64) {
        self.journal.get_or_create_owned(&PartitionLabels { partition }).set(gauge_of(entries));
    }

    /// Sets how many entries the journal of a partition may hold.
    pub fn set_journal_high_water(&self, partition: u16, entries: u64) {
        self.journal_high_water.get_or_create_owned(&PartitionLabels { partition }).set(gauge_of(entries));
    }

    /// Counts commands that were refused because the journal of their partition is full: with 0, that there are none yet.
    pub fn count_journal_refusals(&self, partition: u16, commands: u64) {
        self.journal_refusals.get_or_create_owned(&PartitionLabels { partition }).inc_by(commands);
    }

    /// Whether usage records are deleted unread.
    pub fn set_usage_discarded(&self, are_discarded: bool) {
        self.usage_discarded.set(i64::from(are_discarded));
    }

    /// In how many series of numbers nothing is issued.
    pub fn set_held_series(&self, count: usize) {
        self.held_series.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// Counts journal entries that were deleted unread.
    pub fn add_discarded(&self, partition: u16, entries: u64) {
        self.discarded.get_or_create_owned(&PartitionLabels { partition }).inc_by(entries);
    }

    /// How far a partition's time is ahead of the clock.
    pub fn set_ahead(&self, partition: u16, millis: i64) {
        self.ahead.get_or_create_owned(&PartitionLabels { partition }).set(millis as f64 / 1000.0);
    }

    /// Whether a partition can be used.
    pub fn set_partition_up(&self, partition: u16, is_up: bool) {
        self.partition_up.get_or_create_owned(&PartitionLabels { partition }).set(i64::from(is_up));
    }

    /// Whether a step of a partition was torn.
    pub fn set_torn(&self, partition: u16, is_torn: bool) {
        self.torn.get_or_create_owned(&PartitionLabels { partition }).set(i64::from(is_torn));
    }

    /// Whether partitions whose time is far ahead are served.
    pub fn set_serving_ahead(&self, is_served: bool) {
        self.serving_ahead.set(i64::from(is_served));
    }

    /// How far the aggregation of a partition has come.
    pub fn set_aggregation(&self, partition: u16, lag_entries: u64, lag_millis: i64, is_stopped: bool, is_owned: bool) {
        let labels = PartitionLabels { partition };
        self.lag_entries.get_or_create_owned(&labels).set(gauge_of(lag_entries));
        self.lag_seconds.get_or_create_owned(&labels).set(lag_millis as f64 / 1000.0);
        self.stopped.get_or_create_owned(&labels).set(i64::from(is_stopped));
        self.owned.get_or_create_owned(&labels).set(i64::from(is_owned));
    }

    /// A PDF was written with the codes of letters that no font has.
    pub fn count_letters_without_font(&self, letters: usize) {
        self.letters_without_font.inc_by(letters as u64);
    }

    /// So often the step of a partition's aggregation has failed in a row.
    pub fn set_failing_steps(&self, partition: u16, failures: usize) {
        self.failing_steps.get_or_create_owned(&PartitionLabels { partition }).set(i64::try_from(failures).unwrap_or(i64::MAX));
    }

    /// A reading has left out a record that is damaged.
    pub fn count_damaged_record(&self) {
        self.damaged_records.inc();
    }

    /// A lane was held up for so long.
    pub fn lane_poll(&self, duration: Duration) {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        let longest = self.longest_poll_nanos.fetch_max(nanos, Ordering::Relaxed).max(nanos);
        self.longest_poll.set(longest as f64 / 1e9);
    }

    /// Whether the store answers and agrees on the time.
    pub fn set_store_up(&self, is_up: bool) {
        self.store_up.set(i64::from(is_up));
    }
}

/// A count, as a gauge holds it.
fn gauge_of(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// Times one batch.
pub struct BatchTimer {
    started: Instant,
}

impl BatchTimer {
    /// It came back. One without an answer says nothing of the store's speed, and is not counted.
    pub fn finish(self, is_answered: bool) {
        if is_answered {
            let seconds = self.started.elapsed().as_secs_f64();
            metrics().batch_seconds.observe(seconds);
            otlp::observe("tollgate_batch_duration_seconds", seconds, &[]);
        }
    }
}

/// Handles by two indices, made when they are first needed.
struct Table<T> {
    columns: usize,
    handles: Vec<OnceLock<T>>,
}

impl<T> Table<T> {
    fn new(rows: usize, columns: usize) -> Self {
        Self { columns, handles: (0..rows * columns).map(|_| OnceLock::new()).collect() }
    }

    fn get(&self, row: usize, column: usize, make: impl FnOnce() -> T) -> Option<&T> {
        self.handles.get(row * self.columns + column).map(|handle| handle.get_or_init(make))
    }
}

#[cfg(test)]
mod tests {
    use domain::command::Kind;
    use domain::outcome::Refusal;
    use tonic::Code;

    use super::*;
    use crate::telemetry::method::Method;

    #[test]
    fn what_is_counted_is_shown() {
        // One of its own: other tests of this process count in the global one.
        let metrics = Metrics::new();
        for (path, code) in [("/tollgate.v1.ChargingService/Debit", Code::Ok), ("/nobody/Knows", Code::Unimplemented)] {
            metrics.calls.started(Method::of_path(path));
            metrics.calls.ended(Method::of_path(path), code, Duration::from_millis(2), None);
        }
        metrics.calls.started(Method::of_path("/tollgate.v1.ChargingService/Charge"));
        metrics.decisions.decided(Kind::Debit, Some(&Err(Refusal::AccountSuspended)));
        metrics.decisions.decided(Kind::Close, None);
        metrics.start_batch(3).finish(true);
        let text = metrics.encode(TextFormat::OpenMetrics).unwrap();
        for line in [
            r#"rpc_server_call_duration_seconds_count{rpc_method="tollgate.v1.ChargingService/Debit",rpc_response_status_code="OK"} 1"#,
            r#"rpc_server_call_duration_seconds_count{rpc_method="_OTHER",rpc_response_status_code="UNIMPLEMENTED"} 1"#,
            r#"tollgate_decisions_total{command="debit",outcome="refused:ACCOUNT_SUSPENDED"} 1"#,
            r#"tollgate_decisions_total{command="close",outcome="unavailable"} 1"#,
            r#"tollgate_build_info{version=""#,
            "tollgate_batch_duration_seconds_count",
            "tollgate_batch_commands_bucket",
            "tollgate_store_up 0",
            r#"tollgate_calls_in_flight{rpc_method="tollgate.v1.ChargingService/Charge"} 1"#,
            r#"tollgate_calls_in_flight{rpc_method="tollgate.v1.ChargingService/Debit"} 0"#,
            // A counter is there before its first event: the first is an increase, too.
            r#"tollgate_decisions_total{command="debit",outcome="unavailable"} 0"#,
            "process_cpu_seconds_total 0.",
            "process_resident_memory_bytes ",
            "process_open_fds ",
        ] {
            assert!(text.contains(line), "{line} is not in:\n{text}");
        }
        // What does not apply to this process has no series.
        for name in ["\ntollgate_billing_store_up ", "\ntollgate_redis_memory_used_bytes "] {
            assert!(!text.contains(name), "{name} is in:\n{text}");
        }
    }
}
