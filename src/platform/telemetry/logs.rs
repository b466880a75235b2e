//! Logs on stderr, written by a thread of their own: a stderr that nobody reads costs lines, which are counted, and never holds up a call.
//!
//! At most [`WAITING_LINES`] lines wait. What fails thousands of times a second is logged once a second, with how often it happened:
//! [`Repeated`].

use std::io::IsTerminal;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{LazyLock, Mutex, OnceLock, PoisonError};
use std::time::Instant;

use anyhow::Context;
use tracing_appender::non_blocking::{ErrorCounter, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::reload::{self, Handle};
use tracing_subscriber::{EnvFilter, Layer, Registry};

use crate::config::{LogFormat, TelemetryOptions};

/// How many lines wait for stderr to take them.
pub const WAITING_LINES: usize = 4096;

static DROPPED: OnceLock<ErrorCounter> = OnceLock::new();
static FILTER: OnceLock<Handle<EnvFilter, Registry>> = OnceLock::new();
static WRITER: Mutex<Option<WorkerGuard>> = Mutex::new(None);

/// The layer that writes logs.
pub(super) fn layer(options: &TelemetryOptions) -> anyhow::Result<Box<dyn Layer<Registry> + Send + Sync>> {
    let (filter, handle) = reload::Layer::new(filter_of(&options.log)?);
    let _ = FILTER.set(handle);
    let is_terminal = std::io::stderr().is_terminal();
    let builder = NonBlockingBuilder::default().buffered_lines_limit(WAITING_LINES).lossy(true).thread_name("log");
    let (writer, guard) = builder.finish(std::io::stderr());
    let _ = DROPPED.set(writer.error_counter());
    *WRITER.lock().unwrap_or_else(PoisonError::into_inner) = Some(guard);
    let format = tracing_subscriber::fmt::layer().with_writer(writer);
    let is_json = match options.log_format {
        LogFormat::Auto => !is_terminal,
        LogFormat::Text => false,
        LogFormat::Json => true,
    };
    Ok(match (is_json, is_terminal) {
        (true, _) => format.json().flatten_event(true).with_filter(filter).boxed(),
        // Left alone, colours follow NO_COLOR.
        (false, true) => format.with_filter(filter).boxed(),
        (false, false) => format.with_ansi(false).with_filter(filter).boxed(),
    })
}

/// A pool opens a connection in place of one that was lost, and what cannot be opened is an error of the caller's. Of exports that fail, the first
/// is said, with its reason, by `collector`.
const QUIET: &str = "sqlx_core=warn,opentelemetry-otlp=error";

/// Refuses a filter that is none.
pub fn check(options: &TelemetryOptions) -> anyhow::Result<()> {
    filter_of(&options.log).map(drop)
}

fn filter_of(text: &str) -> anyhow::Result<EnvFilter> {
    EnvFilter::try_new(format!("{QUIET},{text}")).context("--log takes a level, or directives such as info,tollgate=debug")
}

/// Logs by another filter from now on.
pub fn follow(filter: &str) -> anyhow::Result<()> {
    let filter = filter_of(filter)?;
    FILTER.get().context("nothing is logged")?.reload(filter).context("the filter of the log cannot be changed")
}

/// Writes the lines that wait, for about a second at most. Nothing is logged after it.
pub fn flush() {
    drop(WRITER.lock().unwrap_or_else(PoisonError::into_inner).take());
}

/// How many lines were dropped, because stderr did not take them.
#[must_use]
pub fn dropped_lines() -> u64 {
    DROPPED.get().map_or(0, |counter| counter.dropped_lines() as u64)
}

/// A failure that may happen to each of thousands of calls. One for each place that logs one.
#[derive(Debug, Default)]
pub struct Repeated {
    /// The second in which it was last told, counted from 1.
    told_in: AtomicU64,
    untold: AtomicU64,
}

impl Repeated {
    /// None has happened yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { told_in: AtomicU64::new(0), untold: AtomicU64::new(0) }
    }

    /// It has happened. Returns how often since it was last told, if it is to be told now.
    pub fn times(&self) -> Option<u64> {
        static START: LazyLock<Instant> = LazyLock::new(Instant::now);
        self.times_in(START.elapsed().as_secs() + 1)
    }

    fn times_in(&self, second: u64) -> Option<u64> {
        self.untold.fetch_add(1, Ordering::Relaxed);
        let told_in = self.told_in.load(Ordering::Relaxed);
        let is_mine = told_in != second && self.told_in.compare_exchange(told_in, second, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        is_mine.then(|| self.untold.swap(0, Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repeated_failure_is_told_once_a_second_with_its_count() {
        let failure = Repeated::new();
        let told: Vec<_> = [1, 1, 1, 2, 2, 9].into_iter().map(|second| failure.times_in(second)).collect();
        assert_eq!(told, [Some(1), None, None, Some(3), None, Some(2)]);
    }
}
