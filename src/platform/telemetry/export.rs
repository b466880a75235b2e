//! The export of traces and metrics by OTLP over gRPC. It has a thread of its own, because stopping it blocks until its runtime has sent what
//! is left.

use std::time::{Duration, Instant};

use anyhow::Context;
use opentelemetry_sdk::metrics::SdkMeterProvider;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tokio::runtime::{self, Runtime};

use super::metrics::otlp;
use super::{resource, traces};
use crate::config::TelemetryOptions;

/// How long one export may take, where the environment does not say otherwise.
const TIMEOUT: Duration = Duration::from_secs(5);

pub struct Export {
    traces: Option<SdkTracerProvider>,
    metrics: Option<SdkMeterProvider>,
    runtime: Runtime,
}

impl Export {
    /// Starts to export what has an endpoint.
    pub fn start(options: &TelemetryOptions) -> anyhow::Result<Option<Self>> {
        let endpoints = ["TRACES", "METRICS"].map(|signal| resource::endpoint(options, signal));
        if endpoints.iter().all(Option::is_none) {
            return Ok(None);
        }
        for (signal, _) in ["TRACES", "METRICS"].into_iter().zip(&endpoints).filter(|(_, endpoint)| endpoint.is_some()) {
            if let Some((name, protocol)) = resource::other_protocol(signal) {
                tracing::warn!(
                    signal,
                    "{name} is {protocol:?}: OTLP is exported by gRPC, to an endpoint that takes it (port 4317, mostly)"
                );
            }
        }
        resource::check(options)?;
        let runtime = runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("otlp")
            .enable_all()
            .build()
            .context("cannot start the runtime for OTLP")?;
        let entered = runtime.enter();
        let (resource, [of_traces, of_metrics]) = (resource::of_process(), endpoints);
        let timeout = |signal| (!resource::has_timeout(signal)).then_some(TIMEOUT);
        let start = |endpoint: &String| traces::start(options, endpoint, timeout("TRACES"), resource.clone());
        let traces = of_traces.as_ref().map(start).transpose()?;
        let start = |endpoint: &String| otlp::start(endpoint, timeout("METRICS"), resource.clone());
        let metrics = of_metrics.as_ref().map(start).transpose()?;
        drop(entered);
        Ok(Some(Self { traces, metrics, runtime }))
    }

    /// Sends what is left, for so long at most.
    pub fn stop(self, limit: Duration) {
        let until = Instant::now() + limit;
        let left = || until.saturating_duration_since(Instant::now());
        if let Some(Err(error)) = self.traces.map(|traces| traces.shutdown_with_timeout(left())) {
            tracing::warn!(%error, "the last traces were not sent");
        }
        if let Some(Err(error)) = self.metrics.map(|metrics| metrics.shutdown_with_timeout(left())) {
            tracing::warn!(%error, "the last metrics were not sent");
        }
        self.runtime.shutdown_background();
    }
}
