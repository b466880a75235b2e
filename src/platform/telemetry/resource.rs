//! What OpenTelemetry calls the resource: which process this is; and where it exports to. Its environment goes before what is said here.

use anyhow::ensure;
use opentelemetry::KeyValue;
use opentelemetry_sdk::Resource;

use crate::config::{TelemetryOptions, opentelemetry};

/// Where a signal (`TRACES`, `METRICS`) is exported to: by the setting, else by OpenTelemetry's environment. `None` means nowhere.
pub fn endpoint(options: &TelemetryOptions, signal: &str) -> Option<String> {
    if opentelemetry("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true"))
        || opentelemetry(&format!("OTEL_{signal}_EXPORTER")).is_some_and(|exporter| exporter == "none")
    {
        return None;
    }
    let own = opentelemetry(&format!("OTEL_EXPORTER_OTLP_{signal}_ENDPOINT"));
    own.or_else(|| options.otlp_endpoint.clone()).or_else(|| opentelemetry("OTEL_EXPORTER_OTLP_ENDPOINT"))
}

/// Refuses an endpoint that is none. It may have a password, and is not shown.
pub fn check(options: &TelemetryOptions) -> anyhow::Result<()> {
    for endpoint in ["TRACES", "METRICS"].iter().filter_map(|signal| endpoint(options, signal)) {
        let is_sound = |url: http::Uri| url.host().is_some() && matches!(url.scheme_str(), Some("http" | "https"));
        ensure!(
            endpoint.parse().is_ok_and(is_sound),
            "--otlp-endpoint (or OpenTelemetry's own variable) takes a URL such as http://localhost:4317"
        );
    }
    Ok(())
}

/// Whether the environment says how long an export may take.
pub fn has_timeout(signal: &str) -> bool {
    let names = [&format!("OTEL_EXPORTER_OTLP_{signal}_TIMEOUT"), "OTEL_EXPORTER_OTLP_TIMEOUT"];
    names.into_iter().any(|name| opentelemetry(name).is_some())
}

/// The variable that asks for another protocol than gRPC, and what it asks for.
pub fn other_protocol(signal: &str) -> Option<(String, String)> {
    let names = [format!("OTEL_EXPORTER_OTLP_{signal}_PROTOCOL"), "OTEL_EXPORTER_OTLP_PROTOCOL".to_owned()];
    let (name, protocol) = names.into_iter().find_map(|name| opentelemetry(&name).map(|protocol| (name, protocol)))?;
    (protocol != "grpc").then_some((name, protocol))
}

pub fn of_process() -> Resource {
    let from_environment = Resource::builder().build();
    let instance = format!("{:032x}", rand::random::<u128>());
    let own = [
        KeyValue::new("service.name", "tollgate"),
        KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
        KeyValue::new("service.instance.id", instance),
        KeyValue::new("process.pid", i64::from(std::process::id())),
        KeyValue::new("host.name", rustix::system::uname().nodename().to_string_lossy().into_owned()),
    ];
    // The SDK's own name for a service that has none is no name.
    let is_given = |name: &opentelemetry::Key| {
        from_environment.get(name).is_some_and(|value| !(name.as_str() == "service.name" && value.as_str().starts_with("unknown_service")))
    };
    let missing = own.into_iter().filter(|own| !is_given(&own.key));
    Resource::builder().with_attributes(missing).build()
}
