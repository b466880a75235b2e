//! Metrics of connections: how many there are, and which are turned away.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;

use super::registrar::Registrar;

/// Connections, and who is let in.
#[derive(Default)]
pub struct ConnectionMetrics {
    count: Gauge,
    refused: Counter,
    held_back: Counter,
    handshakes_failed: Counter,
    access_open: Gauge,
    insecure: Gauge,
}

impl ConnectionMetrics {
    pub(super) fn register(&self, registry: &mut Registrar) {
        registry.register("tollgate_connections", "Connections, when one was last accepted", self.count.clone());
        registry.register(
            "tollgate_connections_refused",
            "Connections closed at once because --max-connections was reached",
            self.refused.clone(),
        );
        registry.register(
            "tollgate_connections_held_back",
            "Connections that had to wait because others from their address were flooded with streams that were reset",
            self.held_back.clone(),
        );
        registry.register("tollgate_tls_handshakes_failed", "TLS handshakes that failed", self.handshakes_failed.clone());
        registry.register("tollgate_access_open", "Whether everybody who reaches a listener may do everything", self.access_open.clone());
        registry.register(
            "tollgate_insecure",
            "Whether everybody is let in from other machines, or calls come from there without TLS",
            self.insecure.clone(),
        );
    }

    /// Sets how many connections there are.
    pub fn set_count(&self, connections: usize) {
        self.count.set(i64::try_from(connections).unwrap_or(i64::MAX));
    }

    /// Counts a connection that found no place.
    pub fn count_refused(&self) {
        self.refused.inc();
    }

    /// Counts a connection that has to wait because others from its address were flooded.
    pub fn count_held_back(&self) {
        self.held_back.inc();
    }

    /// Counts a TLS handshake that failed.
    pub fn count_failed_handshake(&self) {
        self.handshakes_failed.inc();
    }

    /// Sets whether everybody who reaches a listener may do everything.
    pub fn set_access_open(&self, is_open: bool) {
        self.access_open.set(i64::from(is_open));
    }

    /// Sets whether everybody is let in from other machines, or calls come from there without TLS.
    pub fn set_insecure(&self, is_insecure: bool) {
        self.insecure.set(i64::from(is_insecure));
    }
}
