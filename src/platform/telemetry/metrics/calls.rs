//! Metrics of calls, by the names of OpenTelemetry's semantic conventions: how long they took, by their codes, and how many are under way.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::exemplar::HistogramWithExemplars;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;

use prometheus_client::registry::Unit;
use tonic::Code;

use super::registrar::Registrar;
use super::{SECONDS, Table, otlp};
use crate::telemetry::method::Method;
use crate::telemetry::traces::SpanReference;

/// The names of gRPC codes, by their numbers.
const CODES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// The name of a code of gRPC, as its specification writes it.
#[must_use]
pub fn code_name(code: Code) -> &'static str {
    CODES.get(usize::try_from(i32::from(code)).unwrap_or(usize::MAX)).unwrap_or(&"UNKNOWN")
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CallLabels {
    rpc_method: &'static str,
    rpc_response_status_code: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct MethodLabels {
    rpc_method: &'static str,
}

/// What an exemplar names: a trace in which a call took so long.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TraceLabels {
    trace_id: String,
    span_id: String,
}

type Durations = HistogramWithExemplars<TraceLabels>;

/// Calls that have ended, and those under way.
pub struct CallMetrics {
    durations: Family<CallLabels, Durations>,
    duration_table: Table<Durations>,
    in_flight: Family<MethodLabels, Gauge>,
    in_flight_table: Table<Gauge>,
}

impl Default for CallMetrics {
    fn default() -> Self {
        Self {
            durations: Family::new_with_constructor(|| Durations::new(SECONDS.into_iter())),
            duration_table: Table::new(Method::count(), CODES.len()),
            in_flight: Family::default(),
            in_flight_table: Table::new(Method::count(), 1),
        }
    }
}

impl CallMetrics {
    pub(super) fn register(&self, registry: &mut Registrar) {
        let durations = self.durations.clone();
        registry.register_with_unit("rpc_server_call_duration", "Calls, until their last byte", Unit::Seconds, durations);
        registry.register("tollgate_calls_in_flight", "Calls and streams under way", self.in_flight.clone());
    }

    /// Counts a call that begins.
    pub fn started(&self, method: Method) {
        self.change_in_flight(method, 1);
    }

    /// Measures a call that has ended; one that was traced is an exemplar of how long they take.
    pub fn ended(&self, method: Method, code: Code, duration: Duration, trace: Option<SpanReference>) {
        self.change_in_flight(method, -1);
        let histogram = self.duration_table.get(method.index(), code as usize, || {
            let labels = CallLabels { rpc_method: method.full_name(), rpc_response_status_code: code_name(code) };
            self.durations.get_or_create_owned(&labels)
        });
        if let Some(histogram) = histogram {
            let trace = trace.map(|SpanReference { trace_id, span_id }| TraceLabels {
                trace_id: format!("{trace_id:032x}"),
                span_id: format!("{span_id:016x}"),
            });
            histogram.observe(duration.as_secs_f64(), trace, None);
            let labels = [("rpc_method", method.full_name()), ("rpc_response_status_code", code_name(code))];
            otlp::observe("rpc_server_call_duration_seconds", duration.as_secs_f64(), &labels);
        }
    }

    fn change_in_flight(&self, method: Method, by: i64) {
        let labels = MethodLabels { rpc_method: method.full_name() };
        if let Some(gauge) = self.in_flight_table.get(method.index(), 0, || self.in_flight.get_or_create_owned(&labels)) {
            gauge.inc_by(by);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_its_name() {
        for (number, name) in CODES.iter().enumerate() {
            let code = format!("{:?}", Code::from_i32(i32::try_from(number).unwrap()));
            let name = name.replace('_', "").to_lowercase();
            assert_eq!(code.to_lowercase(), name);
        }
    }
}
