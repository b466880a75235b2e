//! Metrics of mail: what waits, what was taken, and what needs a look.

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Unit;

use super::registrar::Registrar;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TryLabels {
    outcome: &'static str,
}

/// What waits, what was taken, and what needs a look.
#[derive(Default)]
pub struct MailMetrics {
    waiting: Gauge,
    failed: Gauge,
    bounced: Gauge,
    unknown: Gauge,
    oldest: Gauge<f64, AtomicU64>,
    held: Gauge,
    tries: Family<TryLabels, Counter>,
    sent: Counter,
}

/// How many mails are in which state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MailCounts {
    /// To be sent, or tried again.
    pub waiting: i64,
    /// Failed for good.
    pub failed: i64,
    /// Came back.
    pub bounced: i64,
    /// Unknown whether they were sent.
    pub unknown: i64,
    /// For how long the oldest waits, in milliseconds.
    pub oldest_millis: i64,
}

impl MailMetrics {
    pub(super) fn register(&self, registry: &mut Registrar) {
        registry.register("tollgate_mail_waiting", "Mails that are to be sent, or tried again", self.waiting.clone());
        registry.register("tollgate_mail_failed", "Mails that failed for good", self.failed.clone());
        registry.register("tollgate_mail_bounced", "Mails that came back", self.bounced.clone());
        registry.register("tollgate_mail_unknown", "Mails that the server may have taken: an operator decides", self.unknown.clone());
        let oldest = self.oldest.clone();
        registry.register_with_unit("tollgate_mail_oldest", "For how long the oldest mail waits", Unit::Seconds, oldest);
        registry.register("tollgate_mail_held", "Whether no mail is sent, because the billing store may be a copy", self.held.clone());
        registry.register("tollgate_mail_tries", "Attempts to send a mail, by result", self.tries.clone());
        registry.register("tollgate_mail_sent", "Mails that the server has taken", self.sent.clone());
    }

    /// Sets how many mails are in each state.
    pub fn set_counts(&self, counts: MailCounts) {
        self.waiting.set(counts.waiting);
        self.failed.set(counts.failed);
        self.bounced.set(counts.bounced);
        self.unknown.set(counts.unknown);
        self.oldest.set(counts.oldest_millis as f64 / 1000.0);
    }

    /// Whether no mail is sent, because the billing store may be a copy.
    pub fn set_held(&self, is_held: bool) {
        self.held.set(i64::from(is_held));
    }

    /// A mail was tried.
    pub fn tried(&self, outcome: &'static str) {
        self.tries.get_or_create_owned(&TryLabels { outcome }).inc();
        if outcome == "sent" {
            self.sent.inc();
        }
    }
}
