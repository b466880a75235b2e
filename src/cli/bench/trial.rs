//! One trial: its threads, its measured time, and the line that says how it goes.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::Context;
use indicatif::{ProgressBar, ProgressStyle};

use super::books::Books;
use super::measure::{Measure, Window};
use super::worker::{Progress, Shared, Worker};
use super::{streamed, unary};
use crate::lanes::start_thread;

/// How often the progress line is written.
const GLANCE: Duration = Duration::from_millis(100);

/// Over how many glances the rate on it is taken.
const RATE_GLANCES: u32 = 10;

/// Time for the threads to connect.
const HEAD_START: Duration = Duration::from_millis(100);

/// What a trial is like, beside what the options say.
#[derive(Clone, Debug)]
pub struct Trial {
    /// Its name in the progress line.
    pub name: String,
    /// Operations a second; `None` for closed loop.
    pub rate: Option<f64>,
}

/// Runs a trial, and enters into the books what the clients were told.
pub fn run(shared: &Arc<Shared>, trial: &Trial, checked: &BTreeSet<u32>, books: &mut Books) -> anyhow::Result<Measure> {
    let options = &shared.options;
    let start = Instant::now() + HEAD_START;
    let begin = start + options.warm_up;
    let duration = match (options.calls, trial.rate) {
        (None, _) => Some(options.duration),
        (Some(calls), Some(rate)) => Some(Duration::from_secs_f64(calls.get() as f64 / rate)),
        (Some(_), None) => None,
    };
    let window = Window { begin, end: duration.map(|duration| begin + duration) };
    let budget = options.calls.filter(|_| duration.is_none()).map(|calls| Arc::new(AtomicU64::new(calls.get())));
    let threads = options.threads.get();
    let mut running = Vec::with_capacity(threads);
    for number in 0..threads {
        let rate = trial.rate.map(|rate| rate / threads as f64);
        let mut worker = Worker::new(Arc::clone(shared), start, window, rate, Books::new(checked))?;
        worker.budget = budget.clone();
        let worker = Arc::new(worker);
        let part = Part {
            connections: share(options.connections.get(), threads, number),
            concurrency: share(options.concurrency.get(), threads, number),
            place: number as f64 / threads as f64,
        };
        let at_work = Arc::clone(&worker);
        running.push((worker, start_thread(&format!("load-{number}"), move || part.work(at_work))?));
    }
    watch(&shared.progress, trial, window, &running);
    let mut measure = Measure::new(window)?.by(options.deadline);
    for (worker, thread) in running {
        thread.join().map_err(|_| anyhow::anyhow!("a thread of the load generator panicked"))??;
        let worker = Arc::into_inner(worker).context("a thread of the load generator left something behind")?;
        let notes = worker.into_notes();
        measure.merge(&notes.measure)?;
        books.merge(notes.books);
    }
    Ok(measure)
}

/// A thread's share of the load.
struct Part {
    connections: usize,
    concurrency: usize,
    /// Where in the common beat of all threads its own sends lie, 0 to 1.
    place: f64,
}

impl Part {
    async fn work(self, worker: Arc<Worker>) -> anyhow::Result<()> {
        let mut channels = Vec::with_capacity(self.connections);
        for _ in 0..self.connections {
            channels.push(worker.connect().await?);
        }
        tokio::time::sleep_until(worker.start.into()).await;
        if worker.shared.options.stream {
            streamed::run(worker, self.place, channels).await
        } else {
            unary::run(worker, self.place, channels, self.concurrency).await
        }
    }
}

/// The part of a whole that one of several gets; the first get what is left over.
fn share(whole: usize, parts: usize, number: usize) -> usize {
    whole / parts + usize::from(number < whole % parts)
}

type Running = [(Arc<Worker>, JoinHandle<anyhow::Result<()>>)];

/// Writes the progress line until all threads have ended; only on a terminal.
fn watch(progress: &Progress, trial: &Trial, window: Window, running: &Running) {
    let style = ProgressStyle::with_template("{spinner} {msg}").unwrap_or_else(|_| ProgressStyle::default_spinner());
    let line = ProgressBar::new_spinner().with_style(style);
    let (mut before, mut rate) = (progress.answered.load(Ordering::Relaxed), 0.0);
    let mut since = Instant::now();
    for glance in 1_u32.. {
        if running.iter().all(|(_, thread)| thread.is_finished()) {
            break;
        }
        std::thread::sleep(GLANCE);
        let answered = progress.answered.load(Ordering::Relaxed);
        if glance % RATE_GLANCES == 0 {
            rate = (answered - before) as f64 / since.elapsed().as_secs_f64();
            (before, since) = (answered, Instant::now());
        }
        let now = Instant::now();
        let phase = match window.end {
            _ if now < window.begin => "warm-up".to_owned(),
            Some(end) => format!("{:.0} s left", end.saturating_duration_since(now).as_secs_f64()),
            None => format!("{:.0} s", now.saturating_duration_since(window.begin).as_secs_f64()),
        };
        let failed = progress.failed.load(Ordering::Relaxed);
        line.set_message(format!("{}: {phase}, {rate:.0} a second, {answered} answered so far, {failed} failed", trial.name));
        line.tick();
    }
    line.finish_and_clear();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_add_up() {
        for (whole, parts) in [(4, 1), (5, 2), (3, 4), (256, 3)] {
            assert_eq!((0..parts).map(|number| share(whole, parts, number)).sum::<usize>(), whole);
        }
    }
}
