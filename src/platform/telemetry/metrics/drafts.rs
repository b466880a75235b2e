//! Metrics of documents: what waits on its way to paper, what is held back, what was issued, and what of it is overdue.

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Unit;

use super::registrar::Registrar;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DraftLabels {
    waits_for: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindLabels {
    kind: &'static str,
}

/// What waits, what is held back, what was issued, and what of it is overdue.
#[derive(Default)]
pub struct DraftMetrics {
    count: Family<DraftLabels, Gauge>,
    age: Family<DraftLabels, Gauge<f64, AtomicU64>>,
    held: Gauge,
    held_age: Gauge<f64, AtomicU64>,
    issuing_fails: Gauge,
    issued: Family<KindLabels, Counter>,
    overdue: Gauge,
}

impl DraftMetrics {
    pub(super) fn register(&self, registry: &mut Registrar) {
        registry.register("tollgate_drafts", "Documents that are not issued yet, by reason", self.count.clone());
        registry.register_with_unit(
            "tollgate_drafts_oldest",
            "Age of the oldest document that is not issued yet",
            Unit::Seconds,
            self.age.clone(),
        );
        registry.register("tollgate_held_documents", "Documents held back: they do not add up", self.held.clone());
        let oldest = self.held_age.clone();
        registry.register_with_unit("tollgate_held_documents_oldest", "Age of the oldest document held back", Unit::Seconds, oldest);
        registry.register("tollgate_issuing_fails", "Whether documents cannot be issued, again and again", self.issuing_fails.clone());
        registry.register("tollgate_documents_issued", "Documents that this process has issued", self.issued.clone());
        registry.register("tollgate_overdue_invoices", "Invoices that are not paid, and were due", self.overdue.clone());
    }

    /// Sets how many documents are not issued yet for a reason, and how long ago the oldest was cut.
    pub fn set_waiting(&self, waits_for: &'static str, count: i64, age_millis: i64) {
        let labels = DraftLabels { waits_for };
        self.count.get_or_create_owned(&labels).set(count);
        self.age.get_or_create_owned(&labels).set(age_millis as f64 / 1000.0);
    }

    /// Sets how many documents are held back, and how long ago the oldest was cut.
    pub fn set_held(&self, count: i64, age_millis: i64) {
        self.held.set(count);
        self.held_age.set(age_millis as f64 / 1000.0);
    }

    /// Counts documents that were issued.
    pub fn count_issued(&self, kind: &'static str, documents: usize) {
        self.issued.get_or_create_owned(&KindLabels { kind }).inc_by(documents as u64);
    }

    /// Sets how many invoices are overdue.
    pub fn set_overdue(&self, invoices: i64) {
        self.overdue.set(invoices);
    }

    /// Whether documents cannot be issued, again and again.
    pub fn set_issuing_fails(&self, fails: bool) {
        self.issuing_fails.set(i64::from(fails));
    }
}
