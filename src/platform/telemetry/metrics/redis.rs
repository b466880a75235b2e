//! Metrics of Redis, as this process sees it. Where the ledger is not in Redis, there are none.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Unit;

use super::lazy_metric::LazyMetric;
use super::registrar::Registrar;
use super::{SECONDS, gauge_of, otlp};

/// Figures that Redis reports.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RedisFigures {
    /// The memory it uses, in bytes.
    pub memory_used: u64,
    /// The most that it may use; 0 for any amount.
    pub memory_max: u64,
    /// How many clients are connected.
    pub clients: u64,
    /// How many replicas are connected.
    pub replicas: u64,
    /// Whether it keeps an append-only file.
    pub is_aof_on: bool,
    /// Whether the last write to the append-only file, and the last save in the background, succeeded.
    pub is_persisting: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Server {
    node: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reply {
    reply: String,
}

/// Redis: its connections, how fast it returns, its memory and what it keeps on disk.
pub struct RedisMetrics {
    up: Family<Server, Gauge>,
    not_run: Family<Reply, Counter>,
    topology: Counter,
    short: Counter,
    connections: LazyMetric<Gauge>,
    lost: LazyMetric<Counter>,
    round_trips: Histogram,
    clock_offset: LazyMetric<Gauge<f64, AtomicU64>>,
    memory_used: LazyMetric<Gauge>,
    memory_max: LazyMetric<Gauge>,
    clients: LazyMetric<Gauge>,
    replicas: LazyMetric<Gauge>,
    aof: LazyMetric<Gauge>,
    persisting: LazyMetric<Gauge>,
}

impl Default for RedisMetrics {
    fn default() -> Self {
        Self {
            up: Family::default(),
            not_run: Family::default(),
            topology: Counter::default(),
            short: Counter::default(),
            connections: LazyMetric::default(),
            lost: LazyMetric::default(),
            round_trips: Histogram::new(SECONDS),
            clock_offset: LazyMetric::default(),
            memory_used: LazyMetric::default(),
            memory_max: LazyMetric::default(),
            clients: LazyMetric::default(),
            replicas: LazyMetric::default(),
            aof: LazyMetric::default(),
            persisting: LazyMetric::default(),
        }
    }
}

impl RedisMetrics {
    pub(super) fn register(&self, registry: &mut Registrar) {
        registry.register("tollgate_redis_up", "Whether a server that has partitions can be used", self.up.clone());
        let help = "Replies by which a server refused to run something, so that it was sent again, by their first word";
        registry.register("tollgate_redis_not_run", help, self.not_run.clone());
        let help = "How often the servers of a cluster, or sentinels, were asked where things are";
        registry.register("tollgate_redis_topology_refreshes", help, self.topology.clone());
        let help = "Steps whose durability was not proved in time";
        registry.register("tollgate_durability_short", help, self.short.clone());
        registry.register("tollgate_redis_connections", "This process's connections to Redis", self.connections.clone());
        registry.register("tollgate_redis_connections_lost", "Connections to Redis that were lost", self.lost.clone());
        let help = "How long Redis took to tell the time, which it is asked all the time";
        registry.register_with_unit("tollgate_redis_round_trip", help, Unit::Seconds, self.round_trips.clone());
        let help = "How far this machine's clock is ahead of Redis's";
        registry.register_with_unit("tollgate_clock_offset", help, Unit::Seconds, self.clock_offset.clone());
        registry.register_with_unit("tollgate_redis_memory_used", "Memory that Redis uses", Unit::Bytes, self.memory_used.clone());
        let help = "The most memory that Redis may use; 0: any amount";
        registry.register_with_unit("tollgate_redis_memory_max", help, Unit::Bytes, self.memory_max.clone());
        registry.register("tollgate_redis_clients", "Clients connected to Redis", self.clients.clone());
        registry.register("tollgate_redis_replicas", "Replicas connected to Redis", self.replicas.clone());
        registry.register("tollgate_redis_aof_enabled", "Whether Redis keeps an append-only file", self.aof.clone());
        let help = "Whether Redis's last write to its append-only file and its last save succeeded";
        registry.register("tollgate_redis_persistence_ok", help, self.persisting.clone());
    }

    /// Notes whether a server can be used.
    pub fn set_up(&self, server: &str, is_up: bool) {
        self.up.get_or_create(&Server { node: server.to_owned() }).set(i64::from(is_up));
    }

    /// Shows a server no more: it has no partitions.
    pub fn forget(&self, server: &str) {
        self.up.remove(&Server { node: server.to_owned() });
    }

    /// Counts a reply by which a server refused to run something.
    pub fn count_not_run(&self, reply: &str) {
        self.not_run.get_or_create(&Reply { reply: reply.to_owned() }).inc();
    }

    /// Counts a question where the servers are.
    pub fn asked_for_topology(&self) {
        self.topology.inc();
    }

    /// Counts a step that too few replicas have had in time.
    pub fn count_short(&self) {
        self.short.inc();
    }

    /// Counts a connection that was made, and is there.
    pub fn connected(&self) {
        self.connections.get().inc();
        // Shown at 0, so that the first loss is an increase.
        let _ = self.lost.get();
    }

    /// Counts a connection that was lost.
    pub fn disconnected(&self, is_lost: bool) {
        self.connections.get().dec();
        self.lost.get().inc_by(u64::from(is_lost));
    }

    /// Notes how long Redis took to tell the time, and how far it is from this machine's.
    pub fn told_time(&self, took: Duration, machine_is_ahead_millis: i64) {
        self.round_trips.observe(took.as_secs_f64());
        otlp::observe("tollgate_redis_round_trip_seconds", took.as_secs_f64(), &[]);
        self.clock_offset.get().set(machine_is_ahead_millis as f64 / 1000.0);
    }

    /// Notes what Redis says of itself.
    pub fn set_figures(&self, figures: RedisFigures) {
        self.memory_used.get().set(gauge_of(figures.memory_used));
        self.memory_max.get().set(gauge_of(figures.memory_max));
        self.clients.get().set(gauge_of(figures.clients));
        self.replicas.get().set(gauge_of(figures.replicas));
        self.aof.get().set(i64::from(figures.is_aof_on));
        self.persisting.get().set(i64::from(figures.is_persisting));
    }
}
