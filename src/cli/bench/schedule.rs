//! The open loop: when each send is due, whatever became of those before it; and a timer fine enough to keep to that.
//!
//! tokio's timer counts milliseconds, which at 50,000 calls a second would send them in lumps of 50.

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use anyhow::Context;
use rustix::time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime};
use tokio::io::unix::AsyncFd;

/// When sends are due: the k-th at `start + k / rate`.
#[derive(Clone, Copy, Debug)]
pub struct Schedule {
    start: Instant,
    rate: f64,
    next: u64,
}

impl Schedule {
    /// Sends `rate` a second from `start` on.
    pub fn new(start: Instant, rate: f64) -> Self {
        Self { start, rate, next: 0 }
    }

    /// When the next one is due.
    pub fn due(&self) -> Instant {
        // From the start each time, so that rounding does not add up.
        self.start + Duration::from_secs_f64(self.next as f64 / self.rate)
    }

    /// The next one was sent.
    pub fn advance(&mut self) {
        self.next += 1;
    }

    /// How many of those due before `end` were not sent.
    pub fn left_before(&self, end: Instant) -> u64 {
        let all = (end.saturating_duration_since(self.start).as_secs_f64() * self.rate).ceil() as u64;
        all.saturating_sub(self.next)
    }
}

/// A timer of microseconds, on the runtime that polls it.
pub struct Timer(AsyncFd<OwnedFd>);

impl Timer {
    /// On the current runtime.
    #[allow(deprecated, reason = "its successor is unsafe, for the sake of handles that may close their descriptor; an OwnedFd does not")]
    pub fn new() -> anyhow::Result<Self> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let timer = timerfd_create(TimerfdClockId::Monotonic, flags).context("cannot make a timer")?;
        Ok(Self(AsyncFd::new(timer).context("cannot wait for a timer")?))
    }

    /// Waits until an instant.
    pub async fn until(&self, instant: Instant) -> anyhow::Result<()> {
        loop {
            let left = instant.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            let it_value = Timespec::try_from(left).context("an instant too far ahead")?;
            let once = Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value };
            timerfd_settime(self.0.get_ref(), TimerfdTimerFlags::empty(), &once).context("cannot set a timer")?;
            let mut ready = self.0.readable().await.context("cannot wait for a timer")?;
            // A wait that was given up may have left its expiry behind; then this one looks at the time again.
            let _ = rustix::io::read(self.0.get_ref(), &mut [0; 8]);
            ready.clear_ready();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sends_are_due_at_a_constant_rate_whatever_happened_before() {
        let start = Instant::now();
        let mut schedule = Schedule::new(start, 3.0);
        let mut due = Vec::new();
        for _ in 0..7 {
            due.push(schedule.due().duration_since(start).as_millis());
            schedule.advance();
        }
        assert_eq!(due, [0, 333, 666, 1000, 1333, 1666, 2000]);
    }

    #[test]
    fn what_a_stall_kept_from_being_sent_is_counted() {
        let start = Instant::now();
        let mut schedule = Schedule::new(start, 10.0);
        assert_eq!(schedule.left_before(start + Duration::from_secs(2)), 20);
        (0..15).for_each(|_| schedule.advance());
        assert_eq!(schedule.left_before(start + Duration::from_secs(2)), 5);
        assert_eq!(schedule.left_before(start), 0);
    }

    #[tokio::test]
    async fn the_timer_is_finer_than_a_millisecond() {
        let timer = Timer::new().unwrap();
        let started = Instant::now();
        for step in 1..=20 {
            timer.until(started + Duration::from_micros(200) * step).await.unwrap();
        }
        assert!(started.elapsed() >= Duration::from_millis(4));
    }
}
