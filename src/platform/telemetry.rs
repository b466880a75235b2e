//! Telemetry: logs, traces and metrics.
//!
//! [`start`] sets up [`logs`] on stderr and, if an endpoint is given, the export of [`traces`] and metrics by OTLP; [`Telemetry::stop`] sends what is left, within
//! [`FLUSH_LIMIT`]. [`crate::rpc`] measures calls, [`metrics`](mod@metrics) counts, [`endpoint`] shows the counts.

mod collector;
pub mod endpoint;
mod export;
pub mod logs;
pub mod method;
pub mod metrics;
pub mod personal;
mod resource;
pub mod traces;

use std::time::Duration;

use anyhow::Context;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::TelemetryOptions;
use export::Export;
pub use metrics::{BatchTimer, Metrics, metrics};

/// How long the last traces and metrics may take to be sent when the process stops.
pub const FLUSH_LIMIT: Duration = Duration::from_secs(3);

/// The process's telemetry, until it is stopped.
pub struct Telemetry {
    export: Option<Export>,
}

/// Starts logging and tracing for the whole process. Needed once, at its start.
pub fn start(options: &TelemetryOptions) -> anyhow::Result<Telemetry> {
    personal::set(options.log_account_ids);
    tracing_subscriber::registry().with(logs::layer(options)?).try_init().context("logging was set up before")?;
    Ok(Telemetry { export: Export::start(options)? })
}

/// Refuses what [`start`] refuses.
pub fn check(options: &TelemetryOptions) -> anyhow::Result<()> {
    logs::check(options).and_then(|()| resource::check(options))
}

impl Telemetry {
    /// Sends the traces and metrics that are left, and writes the last lines of the log. Blocks, for [`FLUSH_LIMIT`] and a second at most.
    pub fn stop(self) {
        if let Some(export) = self.export {
            export.stop(FLUSH_LIMIT);
        }
        logs::flush();
    }
}
