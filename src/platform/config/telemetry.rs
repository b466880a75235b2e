//! Telemetry of the service.

use clap::{Args, ValueEnum};

/// What the service tells of itself.
#[derive(Args, Clone, Debug, PartialEq)]
#[command(next_help_heading = "Telemetry")]
pub struct TelemetryOptions {
    /// What is logged to stderr: a level, or directives such as "info,tollgate=debug".
    #[arg(long, env = "TOLLGATE_LOG", default_value = "info", value_name = "FILTER")]
    pub log: String,
    /// How: text for people, JSON for machines; auto: text on a terminal, JSON elsewhere.
    #[arg(long, env = "TOLLGATE_LOG_FORMAT", value_enum, default_value_t = LogFormat::Auto, value_name = "FORMAT")]
    pub log_format: LogFormat,
    /// Send traces and metrics here by OTLP over gRPC, for instance http://localhost:4317.
    #[arg(long, env = "TOLLGATE_OTLP_ENDPOINT", hide_env_values = true, value_name = "URL")]
    pub otlp_endpoint: Option<String>,
    /// Which part of the calls is traced, 0 to 1, where the caller did not decide [default: OTEL_TRACES_SAMPLER, else 0.01].
    #[arg(long, env = "TOLLGATE_TRACE_RATIO", value_parser = parse_ratio, value_name = "RATIO")]
    pub trace_ratio: Option<f64>,
    /// Whether account ids stand in logs as they are, or hashed: 16 digits of their SHA-256.
    #[arg(long, env = "TOLLGATE_LOG_ACCOUNT_IDS", value_enum, default_value_t = LogAccountIds::Plain, value_name = "HOW")]
    pub log_account_ids: LogAccountIds,
}

impl Default for TelemetryOptions {
    fn default() -> Self {
        Self {
            log: "info".to_owned(),
            log_format: LogFormat::Auto,
            log_account_ids: LogAccountIds::Plain,
            otlp_endpoint: None,
            trace_ratio: None,
        }
    }
}

/// How logs are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Text on a terminal, JSON elsewhere.
    Auto,
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// How account ids stand in logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogAccountIds {
    /// As they are.
    Plain,
    /// Hashed.
    Hashed,
}

/// A variable of OpenTelemetry's own environment, if it says something.
#[expect(clippy::disallowed_methods, reason = "these are named by OpenTelemetry's specification, and have no options beside them")]
pub(crate) fn opentelemetry(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn parse_ratio(text: &str) -> Result<f64, String> {
    let ratio: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if (0.0..=1.0).contains(&ratio) { Ok(ratio) } else { Err("not within 0 and 1".to_owned()) }
}
