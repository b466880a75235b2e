//! The same metrics by OTLP, under the same names. Counters and gauges are read from what `/metrics` shows, when the exporter asks; durations
//! and sizes are counted a second time while something is exported, because histograms cannot be read.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context;
use opentelemetry::KeyValue;
use opentelemetry::metrics::{AsyncInstrument, Histogram, Meter, MeterProvider};
use opentelemetry_otlp::{MetricExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::metrics::SdkMeterProvider;
use prometheus_client::metrics::MetricType;

use super::registrar::Described;
use super::{COMMANDS, SECONDS, TextFormat, metrics};
use crate::telemetry::collector::Collector;

/// For how long what was read is good: an export asks for one metric after another.
const GOOD_FOR: Duration = Duration::from_millis(100);

static HISTOGRAMS: OnceLock<HashMap<String, Histogram<f64>>> = OnceLock::new();

/// Starts to export. `timeout` is how long one export may take, if the environment does not say it.
pub fn start(endpoint: &str, timeout: Option<Duration>, resource: Resource) -> anyhow::Result<SdkMeterProvider> {
    let exporter = MetricExporter::builder().with_tonic().with_endpoint(endpoint);
    let exporter = timeout.into_iter().fold(exporter, WithExportConfig::with_timeout);
    let exporter = Collector::new(exporter.build().context("metrics cannot be exported")?, "metrics", endpoint);
    let provider = SdkMeterProvider::builder().with_periodic_exporter(exporter).with_resource(resource).build();
    let meter = provider.meter("tollgate");
    let mut histograms = HashMap::new();
    for described in metrics().described().iter().cloned() {
        match described.kind {
            MetricType::Histogram => {
                histograms.insert(described.name.clone(), histogram(&meter, described));
            }
            MetricType::Counter => {
                let Described { name, help, unit, .. } = described.clone();
                let counter = meter.f64_observable_counter(name).with_description(help).with_unit(unit);
                counter.with_callback(move |observer| read(&described.name, observer)).build();
            }
            MetricType::Gauge | MetricType::Info | MetricType::Unknown => {
                let Described { name, help, unit, .. } = described.clone();
                let gauge = meter.f64_observable_gauge(name).with_description(help).with_unit(unit);
                gauge.with_callback(move |observer| read(&described.name, observer)).build();
            }
        }
    }
    let _ = HISTOGRAMS.set(histograms);
    Ok(provider)
}

fn histogram(meter: &Meter, Described { name, help, unit, .. }: Described) -> Histogram<f64> {
    let bounds = if unit.is_empty() { COMMANDS.to_vec() } else { SECONDS.to_vec() };
    meter.f64_histogram(name).with_description(help).with_unit(unit).with_boundaries(bounds).build()
}

/// Counts a value in the histogram of that name, if metrics are exported.
pub fn observe(name: &str, value: f64, labels: &[(&'static str, &'static str)]) {
    if let Some(histogram) = HISTOGRAMS.get().and_then(|histograms| histograms.get(name)) {
        let labels: Vec<_> = labels.iter().map(|(name, value)| KeyValue::new(*name, *value)).collect();
        histogram.record(value, &labels);
    }
}

type Samples = HashMap<String, Vec<(Vec<KeyValue>, f64)>>;

fn read(name: &str, observer: &dyn AsyncInstrument<f64>) {
    for (labels, value) in shown().get(name).into_iter().flatten() {
        observer.observe(*value, labels);
    }
}

/// What `/metrics` shows now.
fn shown() -> Arc<Samples> {
    static LAST: Mutex<Option<(Instant, Arc<Samples>)>> = Mutex::new(None);
    let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, samples)) = last.as_ref().filter(|(at, _)| at.elapsed() < GOOD_FOR) {
        return Arc::clone(samples);
    }
    let samples = Arc::new(parse(&metrics().encode(TextFormat::Classic).unwrap_or_default()));
    *last = Some((Instant::now(), Arc::clone(&samples)));
    samples
}

/// The samples of a text, by their names. No label of ours has a quote or a comma in it.
fn parse(text: &str) -> Samples {
    let mut samples = Samples::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let Some((series, value)) = line.rsplit_once(' ') else { continue };
        let (name, labels) = series.split_once('{').unwrap_or((series, ""));
        let labels = labels.trim_end_matches('}').split(',').filter_map(|label| label.split_once('='));
        let labels = labels.map(|(name, value)| KeyValue::new(name.to_owned(), value.trim_matches('"').to_owned())).collect();
        if let Ok(value) = value.parse() {
            samples.entry(name.to_owned()).or_default().push((labels, value));
        }
    }
    samples
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_read_with_their_labels() {
        let samples = parse("# TYPE a_total counter\na_total{b=\"c\",d=\"refused:NO\"} 3\na_total{b=\"e\",d=\"\"} 0.5\nup 1\n");
        let label = |name: &'static str, value: &'static str| KeyValue::new(name, value);
        assert_eq!(samples["up"], [(vec![], 1.0)]);
        let wanted = [(vec![label("b", "c"), label("d", "refused:NO")], 3.0), (vec![label("b", "e"), label("d", "")], 0.5)];
        assert_eq!(samples["a_total"], wanted);
    }
}
