//! Metrics of retention: what is no longer kept.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;

use super::registrar::Registrar;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct WhatLabels {
    what: &'static str,
}

/// What is no longer kept, and whether that fails.
#[derive(Default)]
pub struct RetentionMetrics {
    dropped: Family<WhatLabels, Counter>,
    fails: Gauge,
}

impl RetentionMetrics {
    pub(super) fn register(&self, registry: &mut Registrar) {
        let help = "Audit records, documents and details of entries that this process has dropped, because their term was over";
        registry.register("tollgate_retention_dropped", help, self.dropped.clone());
        registry.register("tollgate_retention_fails", "Whether deletions keep failing", self.fails.clone());
    }

    pub fn count_dropped(&self, what: &'static str, count: u64) {
        self.dropped.get_or_create_owned(&WhatLabels { what }).inc_by(count);
    }

    /// Whether it fails, again and again.
    pub fn set_fails(&self, fails: bool) {
        self.fails.set(i64::from(fails));
    }
}
