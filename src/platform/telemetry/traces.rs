//! Traces: spans by OpenTelemetry of what is sampled, and nothing at all of the rest.
//!
//! Whether a call is sampled is decided once, where it comes in: its caller says so, else the ratio does. A call that is not has no span, so
//! nothing below it has one either: it costs a look at a header. What happens later and elsewhere (the step of the aggregation, the
//! document, the mail) is recorded where it is linked to a call that was: by the [`SpanReference`] that went with the journal entry.

use std::collections::BTreeSet;
use std::fmt;
use std::future::Future;
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::Context as _;
use http::{HeaderMap, HeaderValue};
use opentelemetry::propagation::{Extractor, TextMapPropagator};
use opentelemetry::trace::{
    FutureExt, Link, SpanContext, SpanId, Status, TraceContextExt, TraceFlags, TraceId, TraceState, Tracer, TracerProvider,
};
use opentelemetry::{Context, ContextGuard, KeyValue, Value};
use opentelemetry_otlp::{SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{Sampler, SdkTracer, SdkTracerProvider};

use super::collector::Collector;
use crate::config::{TelemetryOptions, opentelemetry};

pub use opentelemetry::trace::SpanKind;

/// How many links a span has at most, as in the SDK.
pub const MAX_LINKS: usize = 128;

/// Which part of the calls is sampled where neither the caller nor a setting says so.
const DEFAULT_RATIO: f64 = 0.01;

const TRACEPARENT: &str = "traceparent";

/// Where the last two digits of a `traceparent` end: those of its flags.
const FLAGS_END: usize = 54;

static SAMPLED: OnceLock<Sampling> = OnceLock::new();

struct Sampling {
    tracer: SdkTracer,
    ratio: f64,
}

/// Starts to export. `timeout` is how long one export may take, if the environment does not say it.
pub(super) fn start(
    options: &TelemetryOptions,
    endpoint: &str,
    timeout: Option<Duration>,
    resource: Resource,
) -> anyhow::Result<SdkTracerProvider> {
    let ratio = ratio(options, opentelemetry)?;
    let exporter = SpanExporter::builder().with_tonic().with_endpoint(endpoint);
    let exporter = timeout.into_iter().fold(exporter, WithExportConfig::with_timeout);
    let exporter = exporter.build().context("traces cannot be exported")?;
    let provider = SdkTracerProvider::builder()
        .with_batch_exporter(Collector::new(exporter, "traces", endpoint))
        // What has a span was sampled before.
        .with_sampler(Sampler::AlwaysOn)
        .with_resource(resource)
        .build();
    let _ = SAMPLED.set(Sampling { tracer: provider.tracer("tollgate"), ratio });
    Ok(provider)
}

/// Which part of the calls is sampled: by the setting, else by OpenTelemetry's environment.
fn ratio(options: &TelemetryOptions, environment: impl Fn(&str) -> Option<String>) -> anyhow::Result<f64> {
    if let Some(ratio) = options.trace_ratio {
        return Ok(ratio);
    }
    let argument = environment("OTEL_TRACES_SAMPLER_ARG").filter(|text| !text.is_empty());
    match environment("OTEL_TRACES_SAMPLER").as_deref() {
        None | Some("") => Ok(DEFAULT_RATIO),
        Some("always_on" | "parentbased_always_on") => Ok(1.0),
        Some("always_off" | "parentbased_always_off") => Ok(0.0),
        Some("traceidratio" | "parentbased_traceidratio") => {
            let ratio = argument.map_or(Ok(1.0), |text| text.parse::<f64>());
            ratio.ok().filter(|ratio| (0.0..=1.0).contains(ratio)).context("OTEL_TRACES_SAMPLER_ARG must be a number within 0 and 1")
        }
        Some(other) => anyhow::bail!(
            "OTEL_TRACES_SAMPLER is {other:?}: it must be always_on, always_off, traceidratio, or one of these behind parentbased_"
        ),
    }
}

/// A span's place: its trace, and itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SpanReference {
    pub trace_id: u128,
    pub span_id: u64,
}

impl SpanReference {
    /// Parses what [`fmt::Display`] writes.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (trace_id, span_id) = text.split_once('-')?;
        let (trace_id, span_id) = (u128::from_str_radix(trace_id, 16).ok()?, u64::from_str_radix(span_id, 16).ok()?);
        (trace_id != 0 && span_id != 0).then_some(Self { trace_id, span_id })
    }

    fn of(context: &SpanContext) -> Self {
        Self { trace_id: u128::from_be_bytes(context.trace_id().to_bytes()), span_id: u64::from_be_bytes(context.span_id().to_bytes()) }
    }

    fn context(self) -> SpanContext {
        let (trace_id, span_id) = (TraceId::from(self.trace_id), SpanId::from(self.span_id));
        SpanContext::new(trace_id, span_id, TraceFlags::SAMPLED, true, TraceState::default())
    }
}

impl fmt::Display for SpanReference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:032x}-{:016x}", self.trace_id, self.span_id)
    }
}

/// A span that is recorded, until it is dropped.
#[derive(Debug)]
pub struct Span(Context);

impl Span {
    /// The span of a call, if it is sampled. Its parent is the caller's.
    #[must_use]
    pub fn of_call(name: &'static str, headers: &HeaderMap) -> Option<Self> {
        let sampling = SAMPLED.get()?;
        let parent = sampling.parent(headers)?;
        Some(sampling.start(name, SpanKind::Server, Vec::new(), &parent))
    }

    /// A span within the current one, if there is one.
    #[must_use]
    pub fn child(name: &'static str, kind: SpanKind) -> Option<Self> {
        let sampling = SAMPLED.get()?;
        let parent = Context::map_current(|current| current.has_active_span().then(|| current.clone()))?;
        Some(sampling.start(name, kind, Vec::new(), &parent))
    }

    /// A span of what was done for all of these: within the one, or linked to each. `None` if there are none.
    #[must_use]
    pub fn of_batch(name: &'static str, places: &[SpanReference]) -> Option<Self> {
        match places {
            [] => None,
            // Many commands may be of one call.
            [first, others @ ..] if others.iter().all(|place| place == first) => Self::under(name, SpanKind::Internal, *first),
            _ => Self::linked(name, &places.iter().copied().collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>()),
        }
    }

    /// A span that begins a trace, linked to the first of these; `None` if there are none.
    #[must_use]
    pub fn linked(name: &'static str, places: &[SpanReference]) -> Option<Self> {
        let sampling = SAMPLED.get().filter(|_| !places.is_empty())?;
        let links = places.iter().take(MAX_LINKS).map(|place| Link::with_context(place.context())).collect();
        Some(sampling.start(name, SpanKind::Internal, links, &Context::new()))
    }

    /// A span within one that may have ended, perhaps in another process.
    #[must_use]
    pub fn under(name: &'static str, kind: SpanKind, parent: SpanReference) -> Option<Self> {
        let parent = Context::new().with_remote_span_context(parent.context());
        Some(SAMPLED.get()?.start(name, kind, Vec::new(), &parent))
    }

    #[must_use]
    pub fn place(&self) -> SpanReference {
        SpanReference::of(self.0.span().span_context())
    }

    /// Sets an attribute.
    pub fn set(&self, name: &'static str, value: impl Into<Value>) {
        self.0.span().set_attribute(KeyValue::new(name, value));
    }

    /// It failed, by an error of this name.
    pub fn fail(&self, error: impl Into<Value>) {
        self.set("error.type", error);
        self.0.span().set_status(Status::error(""));
    }

    /// Makes it the current one of this thread, until the guard is dropped.
    #[must_use]
    pub fn enter(&self) -> ContextGuard {
        self.0.clone().attach()
    }
}

/// Runs a future within a span, if there is one.
pub async fn within<T>(span: Option<&Span>, work: impl Future<Output = T>) -> T {
    match span {
        Some(Span(context)) => work.with_context(context.clone()).await,
        None => work.await,
    }
}

/// The current span's place, if there is one.
#[must_use]
pub fn current() -> Option<SpanReference> {
    Context::map_current(|current| current.has_active_span().then(|| SpanReference::of(current.span().span_context())))
}

/// Sets an attribute of the current span, if there is one.
pub fn note(name: &'static str, value: &str) {
    Context::map_current(|current| {
        if current.has_active_span() {
            current.span().set_attribute(KeyValue::new(name, value.to_owned()));
        }
    });
}

/// Whether this process exports traces.
#[must_use]
pub fn are_exported() -> bool {
    SAMPLED.get().is_some()
}

impl Sampling {
    fn start(&self, name: &'static str, kind: SpanKind, links: Vec<Link>, parent: &Context) -> Span {
        let builder = self.tracer.span_builder(name).with_kind(kind).with_links(links);
        Span(Context::new().with_span(self.tracer.build_with_context(builder, parent)))
    }

    /// What a call's span is within, if it is sampled.
    fn parent(&self, headers: &HeaderMap) -> Option<Context> {
        let root = || (self.ratio > 0.0 && rand::random::<f64>() < self.ratio).then(Context::new);
        let Some(flags) = headers.get(TRACEPARENT).and_then(|header| header.as_bytes().get(FLAGS_END)) else { return root() };
        if char::from(*flags).to_digit(16).is_some_and(|flags| flags & 1 == 0) {
            return None;
        }
        let parent = TraceContextPropagator::new().extract_with_context(&Context::new(), &Carrier(headers));
        if parent.span().span_context().is_valid() { Some(parent) } else { root() }
    }
}

/// The headers of a request, as a carrier of its trace.
struct Carrier<'a>(&'a HeaderMap);

impl Extractor for Carrier<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(HeaderValue::to_str).and_then(Result::ok)
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(http::HeaderName::as_str).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ratio_is_the_settings_else_that_of_opentelemetrys_environment() {
        let options = |trace_ratio| TelemetryOptions { trace_ratio, ..TelemetryOptions::default() };
        let with = |sampler: &'static str, argument: &'static str| {
            move |name: &str| Some(if name == "OTEL_TRACES_SAMPLER" { sampler } else { argument }.to_owned())
        };
        assert_eq!(ratio(&options(None), |_| None).unwrap(), 0.01);
        assert_eq!(ratio(&options(None), with("parentbased_traceidratio", "0.25")).unwrap(), 0.25);
        assert_eq!(ratio(&options(None), with("always_on", "")).unwrap(), 1.0);
        assert_eq!(ratio(&options(Some(0.5)), with("always_on", "")).unwrap(), 0.5);
        assert!(ratio(&options(None), with("traceidratio", "2")).is_err());
        assert!(ratio(&options(None), with("jaeger_remote", "")).is_err());
    }

    #[test]
    fn a_place_is_read_as_it_is_written() {
        let place = SpanReference { trace_id: 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736, span_id: 0x00f0_67aa_0ba9_02b7 };
        assert_eq!(place.to_string(), "4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7");
        assert_eq!(SpanReference::parse(&place.to_string()), Some(place));
        assert_eq!(SpanReference::of(&place.context()), place);
        assert_eq!(SpanReference::parse("0-0"), None);
    }

    #[test]
    fn what_no_process_exports_has_no_span() {
        let mut headers = HeaderMap::new();
        headers.insert(TRACEPARENT, HeaderValue::from_static("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"));
        assert!(Span::of_call("call", &headers).is_none());
        assert!(Span::child("child", SpanKind::Internal).is_none());
        assert!(current().is_none());
    }

    #[test]
    fn the_callers_decision_goes_before_the_ratio() {
        let provider = SdkTracerProvider::builder().build();
        let sampling = |ratio| Sampling { tracer: provider.tracer("test"), ratio };
        let headers =
            |value: &'static str| HeaderMap::from_iter([(http::HeaderName::from_static(TRACEPARENT), HeaderValue::from_static(value))]);
        let sampled = headers("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
        let parent = sampling(0.0).parent(&sampled).unwrap();
        assert_eq!(SpanReference::of(parent.span().span_context()).span_id, 0x00f0_67aa_0ba9_02b7);
        assert!(sampling(1.0).parent(&headers("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00")).is_none());
        for none in [HeaderMap::new(), headers("00-zz-zz-01")] {
            assert!(sampling(0.0).parent(&none).is_none());
            assert!(!sampling(1.0).parent(&none).unwrap().has_active_span());
        }
    }
}
