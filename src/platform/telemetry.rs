//! What the service tells of itself: logs, traces and metrics.
//!
//! [`start`] sets up [`logs`] on stderr and, if an endpoint is given, traces by OTLP; [`Telemetry::stop`] sends what is left, within
//! [`FLUSH_LIMIT`]. [`rpc`] measures calls, [`metrics`](mod@metrics) counts, [`endpoint`] shows the counts.

pub mod endpoint;
pub mod logs;
pub mod metrics;
pub mod personal;
pub mod rpc;

use std::time::Duration;

use anyhow::Context;
use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::{SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
use tokio::runtime::{self, Runtime};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::TelemetryOptions;
pub use metrics::{BatchTimer, Metrics, metrics};

/// How long the last traces may take to be sent when the process stops.
pub const FLUSH_LIMIT: Duration = Duration::from_secs(3);

const EXPORT_TIMEOUT: Duration = Duration::from_secs(5);

/// The process's telemetry, until it is stopped.
pub struct Telemetry {
    export: Option<Export>,
}

/// The export of traces. It has a thread of its own, because stopping it blocks until its runtime has sent what is left.
struct Export {
    provider: SdkTracerProvider,
    runtime: Runtime,
}

/// Starts logging and tracing for the whole process. Needed once, at its start.
pub fn start(options: &TelemetryOptions) -> anyhow::Result<Telemetry> {
    personal::set(options.log_account_ids);
    opentelemetry::global::set_text_map_propagator(TraceContextPropagator::new());
    let export = options.otlp_endpoint.as_deref().map(|endpoint| Export::start(endpoint, options.trace_ratio)).transpose()?;
    let traces = export.as_ref().map(|export| {
        // The exporter's own calls have spans as well: only this crate's are exported.
        let ours = Targets::new().with_target("tollgate", LevelFilter::DEBUG);
        let layer = tracing_opentelemetry::layer().with_location(false).with_threads(false).with_tracked_inactivity(false);
        layer.with_tracer(export.provider.tracer("tollgate")).with_filter(ours)
    });
    tracing_subscriber::registry().with(logs::layer(options)?).with(traces).try_init().context("logging was set up before")?;
    Ok(Telemetry { export })
}

impl Telemetry {
    /// Sends the traces that are left, and writes the last lines of the log. Blocks, for [`FLUSH_LIMIT`] and a second at most.
    pub fn stop(self) {
        if let Some(Export { provider, runtime }) = self.export {
            if let Err(error) = provider.shutdown_with_timeout(FLUSH_LIMIT) {
                tracing::warn!(%error, "the last traces were not sent");
            }
            runtime.shutdown_background();
        }
        logs::flush();
    }
}

impl Export {
    fn start(endpoint: &str, ratio: f64) -> anyhow::Result<Self> {
        let runtime = runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("otlp")
            .enable_all()
            .build()
            .context("cannot start the runtime for traces")?;
        let entered = runtime.enter();
        let exporter = SpanExporter::builder()
            .with_tonic()
            .with_endpoint(endpoint)
            .with_timeout(EXPORT_TIMEOUT)
            .build()
            .context("--otlp-endpoint takes a URL such as http://localhost:4317")?;
        drop(entered);
        let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_sampler(Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(ratio))))
            .with_resource(Resource::builder().with_service_name("tollgate").with_attribute(version).build())
            .build();
        Ok(Self { provider, runtime })
    }
}
