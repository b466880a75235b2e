//! `tollgate aggregate`: takes the journal into the billing store, until SIGINT or SIGTERM; a second one ends it at once.

use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context;
use indicatif::{ProgressBar, ProgressStyle};
use tokio::sync::watch;
use tokio::time::sleep;

use super::serve::{INTERRUPTED, Signals, exit_on_panic};
use crate::app::aggregate;
use crate::billing::status::Status;
use crate::config::AggregateOptions;
use crate::telemetry;

/// From this many entries on, a backlog is worth a progress bar.
const BACKLOG: u64 = 10_000;

/// How often a bar moves.
const REDRAW: Duration = Duration::from_millis(100);

/// How often the log tells of a backlog, where there is no terminal.
const TELL: Duration = Duration::from_secs(10);

/// Runs the aggregator.
pub fn run(options: &AggregateOptions) -> anyhow::Result<ExitCode> {
    let telemetry = telemetry::start(&options.telemetry)?;
    exit_on_panic();
    if let Some(path) = &options.store.test_clock {
        tracing::warn!(path = %path.display(), "test clock in use, read from a file: do not bill real customers");
    }
    // Reading the journal and writing the billing store are two threads' work.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().context("cannot start a runtime")?;
    let result = runtime.block_on(async {
        let mut signals = Signals::listen()?;
        let (stop, stopped) = watch::channel(false);
        let working = aggregate(options, stopped, show);
        tokio::pin!(working);
        tokio::select! {
            ended = &mut working => return ended,
            () = signals.next() => stop.send_replace(true),
        };
        tokio::select! {
            ended = &mut working => ended,
            () = signals.another() => {
                tracing::warn!("stopped at once");
                telemetry::logs::flush();
                std::process::exit(INTERRUPTED)
            }
        }
    });
    telemetry.stop();
    result.map(|()| ExitCode::SUCCESS)
}

/// Shows how a backlog is worked off: a bar on a terminal, else lines in the log.
async fn show(status: Status) {
    let is_terminal = std::io::stderr().is_terminal();
    loop {
        if status.lag_entries() >= BACKLOG {
            if is_terminal {
                show_bar(&status).await;
            } else {
                tell(&status).await;
            }
        }
        sleep(REDRAW).await;
    }
}

async fn show_bar(status: &Status) {
    let bar = ProgressBar::new(0);
    let style = "{spinner} {human_pos} of {human_len} journal entries  {wide_bar}  {per_sec}  {eta} left";
    bar.set_style(ProgressStyle::with_template(style).unwrap_or_else(|_| ProgressStyle::default_bar()));
    let start = status.committed_entries();
    loop {
        let (done, left) = (status.committed_entries().saturating_sub(start), status.lag_entries());
        bar.set_length(done + left);
        bar.set_position(done);
        match status.problem() {
            Some(problem) => bar.set_message(problem),
            None => bar.set_message(""),
        }
        // Under load, a few entries are always under way.
        if left < BACKLOG / 10 {
            bar.finish_and_clear();
            tracing::info!(entries = done, "the backlog was worked off");
            return;
        }
        sleep(REDRAW).await;
    }
}

async fn tell(status: &Status) {
    let (mut before, mut told_at) = (status.committed_entries(), Instant::now());
    while status.lag_entries() >= BACKLOG / 10 {
        sleep(TELL).await;
        let done = status.committed_entries();
        let per_second = (done - before) as f64 / told_at.elapsed().as_secs_f64();
        tracing::info!(left = status.lag_entries(), per_second = per_second.round(), "working off a backlog");
        (before, told_at) = (done, Instant::now());
    }
}
