//! The collector, as the log knows it: that it does not take something is said once, and so is that it takes it again.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::Uri;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::metrics::Temporality;
use opentelemetry_sdk::metrics::data::ResourceMetrics;
use opentelemetry_sdk::metrics::exporter::PushMetricExporter;
use opentelemetry_sdk::trace::{SpanData, SpanExporter};

/// An exporter of one signal, whose failures are said here: the SDK would log each, without saying where it tried.
#[derive(Debug)]
pub struct Collector<E> {
    exporter: E,
    /// What it takes: traces, or metrics.
    signal: &'static str,
    /// Where it is, without the credentials that a URL may have.
    place: String,
    has_failed: AtomicBool,
}

impl<E> Collector<E> {
    pub fn new(exporter: E, signal: &'static str, endpoint: &str) -> Self {
        Self { exporter, signal, place: place(endpoint), has_failed: AtomicBool::new(false) }
    }

    /// Says what has changed. Returns success, so that the SDK says nothing.
    fn noted(&self, result: OTelSdkResult) -> OTelSdkResult {
        let (signal, collector) = (self.signal, self.place.as_str());
        let had_failed = self.has_failed.swap(result.is_err(), Ordering::Relaxed);
        match result {
            Err(error) if !had_failed => tracing::warn!(collector, %error, "the collector does not take {signal}"),
            Ok(()) if had_failed => tracing::info!(collector, "the collector takes {signal} again"),
            _ => {}
        }
        Ok(())
    }
}

/// Host and port of an endpoint.
fn place(endpoint: &str) -> String {
    let uri = endpoint.parse::<Uri>().unwrap_or_default();
    match (uri.host(), uri.port_u16()) {
        (Some(host), Some(port)) => format!("{host}:{port}"),
        (host, _) => host.unwrap_or_default().to_owned(),
    }
}

impl<E: SpanExporter> SpanExporter for Collector<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        self.noted(self.exporter.export(batch).await)
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn shutdown(&self) -> OTelSdkResult {
        self.exporter.shutdown()
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

impl<E: PushMetricExporter> PushMetricExporter for Collector<E> {
    async fn export(&self, metrics: &ResourceMetrics) -> OTelSdkResult {
        self.noted(self.exporter.export(metrics).await)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn temporality(&self) -> Temporality {
        self.exporter.temporality()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_has_no_credentials() {
        assert_eq!(place("http://tollgate:hush@collector:4317/path"), "collector:4317");
        assert_eq!(place("https://collector.example"), "collector.example");
        assert_eq!(place("http://[::1]:4317"), "[::1]:4317");
    }
}
