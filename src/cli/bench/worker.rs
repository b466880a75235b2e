//! One thread that generates load: a current-thread runtime, its share of the connections, and what it sends and notes.
//!
//! What its tasks share is behind a mutex that is never contended, since they all run on this thread.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rand::RngExt;
use rand::rngs::SmallRng;

use super::super::client::{Connection, connect_by, endpoint};
use super::accounts::Picker;
use super::answer::{Failure, Outcome};
use super::books::Books;
use super::measure::{Measure, Window};
use super::mix::{Kind, Mix, Sequence};
use super::operation::{Operation, Writer};
use super::options::LoadOptions;
use super::schedule::Schedule;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// A connection that is silent for so long is asked whether it is still there.
const KEEPALIVE: Duration = Duration::from_secs(5);

/// So that a stream of batches never waits for a window.
const WINDOW_BYTES: u32 = 4 << 20;

/// What all threads of a run share.
pub struct Shared {
    /// What was asked for.
    pub options: LoadOptions,
    /// Writes requests.
    pub writer: Writer,
    /// Returns the next account.
    pub picker: Picker,
    /// The next request's number.
    pub numbers: AtomicU64,
    /// For the progress line.
    pub progress: Progress,
}

/// How far a run is.
#[derive(Debug, Default)]
pub struct Progress {
    /// Operations answered.
    pub answered: AtomicU64,
    /// Operations that failed.
    pub failed: AtomicU64,
}

/// One trial of one thread.
pub struct Worker {
    /// What all share.
    pub shared: Arc<Shared>,
    /// When the warm-up begins.
    pub start: Instant,
    /// When it is measured.
    pub window: Window,
    /// How many operations a second this thread sends; `None` for closed loop.
    pub rate: Option<f64>,
    /// How many may be measured over all threads; `None` means until the end of the window.
    pub budget: Option<Arc<AtomicU64>>,
    notes: Mutex<Notes>,
}

/// What a thread notes.
pub struct Notes {
    mix: Mix,
    random: SmallRng,
    is_postpaid: HashMap<u32, bool>,
    /// What is measured.
    pub measure: Measure,
    /// The acknowledged outcomes.
    pub books: Books,
}

impl Worker {
    /// A thread's part of a trial.
    pub fn new(shared: Arc<Shared>, start: Instant, window: Window, rate: Option<f64>, books: Books) -> anyhow::Result<Self> {
        let mix = shared.options.mix.clone();
        let measure = Measure::new(window)?.by(shared.options.deadline);
        let notes = Notes { mix, random: rand::make_rng(), is_postpaid: HashMap::new(), measure, books };
        Ok(Self { shared, start, window, rate, budget: None, notes: Mutex::new(notes) })
    }

    /// What it notes.
    pub fn notes(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What it noted.
    pub fn into_notes(self) -> Notes {
        self.notes.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    /// Connects once.
    pub async fn connect(&self) -> anyhow::Result<Connection> {
        let server = &self.shared.options.server;
        let endpoint = endpoint(server)?
            .connect_timeout(CONNECT_TIMEOUT)
            .http2_keep_alive_interval(KEEPALIVE)
            .initial_stream_window_size(WINDOW_BYTES)
            .initial_connection_window_size(WINDOW_BYTES);
        connect_by(endpoint, server).await
    }

    /// How many of `wanted` operations may be sent now; 0 if no more at all.
    pub fn take(&self, now: Instant, wanted: u64) -> u64 {
        if self.window.end.is_some_and(|end| now >= end) {
            return 0;
        }
        match &self.budget {
            Some(budget) if now >= self.window.begin => {
                let spend = |left: u64| Some(left - left.min(wanted));
                budget.fetch_update(Ordering::Relaxed, Ordering::Relaxed, spend).map_or(0, |left| left.min(wanted))
            }
            _ => wanted,
        }
    }

    /// When this thread's sends are due, `batch` operations each; `None` for closed loop. Sends of several threads do not coincide.
    pub fn schedule(&self, batch: u64, place: f64) -> Option<Schedule> {
        let rate = self.rate? / batch as f64;
        Some(Schedule::new(self.start + Duration::from_secs_f64(place / rate), rate))
    }

    /// What to send next.
    pub fn next(&self) -> Operation {
        let mut notes = self.notes();
        let notes = &mut *notes;
        let (kind, rest) =
            notes.mix.pick(&mut notes.random).split_first().map_or((Kind::Debit, Sequence::default()), |(kind, rest)| (*kind, rest));
        let account = self.shared.picker.pick(&mut notes.random);
        let to_postpaid = kind == Kind::Convert && {
            let is_postpaid = notes.is_postpaid.entry(account).or_default();
            *is_postpaid = !*is_postpaid;
            *is_postpaid
        };
        let cents = notes.random.random_range(1..100);
        let number = self.number();
        Operation { kind, account, number, cents, first: number, to_postpaid, rest }
    }

    /// A number that no other request has.
    pub fn number(&self) -> u64 {
        self.shared.numbers.fetch_add(1, Ordering::Relaxed)
    }

    /// Notes the answer to an operation.
    pub fn note(&self, operation: &Operation, began: Instant, answer: &Result<Outcome, Failure>) {
        let mut notes = self.notes();
        if answer.is_ok() {
            notes.measure.time(operation.kind, began, Instant::now(), 1);
        }
        notes.enter(operation, answer);
        self.progress(1, u64::from(answer.is_err()));
    }

    /// Notes the answers to operations that were sent together.
    pub fn note_together(&self, answered: &[(Operation, Result<Outcome, Failure>)], began: Instant) {
        let (mut notes, ended) = (self.notes(), Instant::now());
        for (operation, answer) in answered {
            if answer.is_ok() {
                notes.measure.time(operation.kind, began, ended, 1);
            }
            notes.enter(operation, answer);
        }
        let failed = answered.iter().filter(|(_, answer)| answer.is_err()).count();
        self.progress(answered.len() as u64, failed as u64);
    }

    /// Moves the progress line.
    pub fn progress(&self, answered: u64, failed: u64) {
        self.shared.progress.answered.fetch_add(answered, Ordering::Relaxed);
        if failed > 0 {
            self.shared.progress.failed.fetch_add(failed, Ordering::Relaxed);
        }
    }
}

impl Notes {
    /// Enters an answer into the books, and counts it.
    pub fn enter(&mut self, operation: &Operation, answer: &Result<Outcome, Failure>) {
        self.books.enter(operation, answer);
        self.measure.count(operation.kind, answer);
    }
}
