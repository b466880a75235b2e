//! Where metrics are registered. It also keeps what each is called and means, which is exported by OTLP before it has a series.

use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Metric, Registry, Unit};

use super::text::{TextFormat, encode};

/// The description of a metric.
#[derive(Clone, Debug)]
pub struct Described {
    /// The name of its samples.
    pub name: String,
    /// What it means.
    pub help: &'static str,
    /// Its unit, as UCUM writes it; empty for none.
    pub unit: &'static str,
    /// Its type.
    pub kind: MetricType,
}

/// All metrics.
#[derive(Debug, Default)]
pub struct Registrar {
    registry: Registry,
    described: Vec<Described>,
}

impl Registrar {
    pub fn register(&mut self, name: &str, help: &'static str, metric: impl Metric) {
        self.describe(name.to_owned(), help, "", metric.metric_type());
        self.registry.register(name, help, metric);
    }

    pub fn register_with_unit(&mut self, name: &str, help: &'static str, unit: Unit, metric: impl Metric) {
        let ucum = match unit {
            Unit::Seconds => "s",
            Unit::Bytes => "By",
            _ => "",
        };
        self.describe(format!("{name}_{}", unit.as_str()), help, ucum, metric.metric_type());
        self.registry.register_with_unit(name, help, unit, metric);
    }

    fn describe(&mut self, name: String, help: &'static str, unit: &'static str, kind: MetricType) {
        let suffix = match kind {
            MetricType::Counter => "_total",
            MetricType::Info => "_info",
            MetricType::Gauge | MetricType::Histogram | MetricType::Unknown => "",
        };
        self.described.push(Described { name: name + suffix, help, unit, kind });
    }

    pub fn described(&self) -> &[Described] {
        &self.described
    }

    pub fn encode(&self, format: TextFormat) -> Result<String, std::fmt::Error> {
        encode(&self.registry, format)
    }
}
