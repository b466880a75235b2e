//! Metrics of callers: who is not let in, and who wants more than its share. None has a label for each caller, of whom there may be many.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;

use super::registrar::Registrar;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LimitLabels {
    limit: &'static str,
}

/// What a process has no more of: calls at once, open streams, open watches; or time, where so much waits that a deadline would be missed.
pub const OVERLOADS: [&str; 5] = ["requests", "streams", "watches", "wait", "thread"];

#[derive(Default)]
pub struct CallerMetrics {
    over: Gauge,
    refused: Family<LimitLabels, Counter>,
    failed: Counter,
    refused_of_all: Family<LimitLabels, Counter>,
}

impl CallerMetrics {
    pub(super) fn register(&self, registry: &mut Registrar) {
        registry.register("tollgate_callers_over_their_share", "Callers that were refused more in the last 10 s", self.over.clone());
        registry.register("tollgate_caller_limit_refusals", "Calls refused because their caller had its share", self.refused.clone());
        let help = "Calls refused because the process had as many as it may, or could not answer within their deadline";
        registry.register("tollgate_calls_refused", help, self.refused_of_all.clone());
        // Shown at 0, so that the first one is an increase.
        for limit in OVERLOADS {
            self.refused_of_all.get_or_create_owned(&LimitLabels { limit });
        }
        registry.register("tollgate_authentications_failed", "Calls with credentials that let nobody in", self.failed.clone());
    }

    /// Counts a call that was refused, because the process had as many as it may.
    pub fn count_overload(&self, limit: &'static str) {
        self.refused_of_all.get_or_create_owned(&LimitLabels { limit }).inc();
    }

    /// Sets how many callers were refused more lately.
    pub fn set_over_their_share(&self, callers: usize) {
        self.over.set(i64::try_from(callers).unwrap_or(i64::MAX));
    }

    /// Counts a call that was refused, because its caller had its share.
    pub fn count_over_its_share(&self, limit: &'static str) {
        self.refused.get_or_create_owned(&LimitLabels { limit }).inc();
    }

    /// Counts a call whose credentials let nobody in.
    pub fn count_failed_authentication(&self) {
        self.failed.inc();
    }
}
