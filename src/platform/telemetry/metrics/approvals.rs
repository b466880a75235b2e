//! Metrics of acts that wait for a second person.

use std::sync::atomic::AtomicU64;

use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Unit;

use super::registrar::Registrar;

/// How many wait, and for how long the oldest has.
#[derive(Default)]
pub struct ApprovalMetrics {
    waiting: Gauge,
    age: Gauge<f64, AtomicU64>,
}

impl ApprovalMetrics {
    pub(super) fn register(&self, registry: &mut Registrar) {
        registry.register("tollgate_approvals_waiting", "Acts that wait for a second person", self.waiting.clone());
        registry.register_with_unit("tollgate_approvals_oldest", "Age of the oldest waiting act", Unit::Seconds, self.age.clone());
    }

    /// This many wait, and the oldest was asked for this long ago.
    pub fn set(&self, waiting: i64, age_millis: i64) {
        self.waiting.set(waiting);
        self.age.set(age_millis as f64 / 1000.0);
    }
}
