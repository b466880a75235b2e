//! How long a lane is held up by one piece of its work: as processor time, so that a busy machine does not look like a long poll.
//!
//! To read a thread's processor time takes a system call. So it is read at most once in [`SAMPLE_AGE`], and again after a poll that took
//! long by the wall clock: what it took of the processor is known to within that age.

use std::cell::Cell;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

use crate::telemetry::metrics;

/// How old a reading may be when a poll begins.
const SAMPLE_AGE: Duration = Duration::from_millis(1);

/// From how long on a poll is looked into.
const SUSPICIOUS: Duration = Duration::from_millis(2);

/// A reading of both clocks.
#[derive(Clone, Copy)]
struct Sample {
    at: Instant,
    used: Duration,
}

thread_local! {
    static SAMPLE: Cell<Option<Sample>> = const { Cell::new(None) };
}

/// Runs a part of a lane's work that the lane cannot interrupt, and records the longest time that one took.
pub fn watched<T>(work: impl FnOnce() -> T) -> T {
    let started = Instant::now();
    let sample = SAMPLE.get().filter(|sample| started.duration_since(sample.at) < SAMPLE_AGE).unwrap_or_else(|| read(started));
    let value = work();
    let ended = Instant::now();
    let elapsed = ended - started;
    if elapsed >= SUSPICIOUS {
        metrics().lane_poll(elapsed.min(read(ended).used.saturating_sub(sample.used)));
    }
    value
}

fn read(at: Instant) -> Sample {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let used = Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or_default());
    let sample = Sample { at, used };
    SAMPLE.set(Some(sample));
    sample
}
