//! The ledger's one clock, and the calendar of billing periods.
//!
//! The time is the store's: a monotonic clock of this process, set again and again by what the store says (Redis, or the system's clock). Everything that needs the time is handed a
//! [`Clock`]; nothing else reads the system's. A manual clock stands still until it is set: tests and the demonstration move it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use jiff::tz::TimeZone;

use domain::time::{Millis, UnixMillis};

/// A clock, cheap to clone; all clones tell the same time.
#[derive(Clone, Debug)]
pub struct Clock {
    source: Arc<Source>,
    calendar: Arc<Calendar>,
}

#[derive(Debug)]
enum Source {
    /// The monotonic clock, and what to add to it.
    Running { started: Instant, epoch_at_start: AtomicI64 },
    /// What it was last set to.
    Manual(AtomicI64),
}

/// A time zone whose calendar months are the billing periods.
#[derive(Debug)]
struct Calendar {
    zone: TimeZone,
    /// The last answer: the two next boundaries after `from`, valid until the first of them.
    from: AtomicI64,
    ends: [AtomicI64; 2],
}

impl Clock {
    /// The running clock of this machine, until [`Clock::set`] says otherwise.
    #[must_use]
    pub fn running(zone: TimeZone) -> Self {
        let source = Source::Running { started: Instant::now(), epoch_at_start: AtomicI64::new(system_now().get()) };
        Self { source: Arc::new(source), calendar: Arc::new(Calendar::new(zone)) }
    }

    /// A clock that is moved by hand: it stands at `now` until it is set.
    #[must_use]
    pub fn manual(now: UnixMillis, zone: TimeZone) -> Self {
        Self { source: Arc::new(Source::Manual(AtomicI64::new(now.get()))), calendar: Arc::new(Calendar::new(zone)) }
    }

    /// The billing time zone.
    #[must_use]
    pub fn zone(&self) -> TimeZone {
        self.calendar.zone.clone()
    }

    /// Which day of its month an instant is, in the billing time zone: from 1 on.
    #[must_use]
    pub fn day_of_month(&self, at: UnixMillis) -> i8 {
        Timestamp::from_millisecond(at.get()).map_or(1, |at| at.to_zoned(self.calendar.zone.clone()).day())
    }

    /// The time.
    #[must_use]
    pub fn now(&self) -> UnixMillis {
        UnixMillis::new(match &*self.source {
            Source::Running { started, epoch_at_start } => epoch_at_start.load(Ordering::Relaxed) + elapsed_millis(*started),
            Source::Manual(now) => now.load(Ordering::Relaxed),
        })
    }

    /// Sets the time.
    pub fn set(&self, now: UnixMillis) {
        match &*self.source {
            Source::Running { started, epoch_at_start } => epoch_at_start.store(now.get() - elapsed_millis(*started), Ordering::Relaxed),
            Source::Manual(manual) => manual.store(now.get(), Ordering::Relaxed),
        }
    }

    /// Sets a running clock by the system's, which may have been set, or have gone on while the machine slept; returns by how much that
    /// moved it. It may go back: what must not, keeps its own latest instant, as each partition does.
    pub fn follow_system(&self) -> Millis {
        if self.is_manual() {
            return 0;
        }
        let (now, system) = (self.now(), system_now());
        self.set(system);
        system - now
    }

    /// Whether it stands until it is set.
    #[must_use]
    pub fn is_manual(&self) -> bool {
        matches!(&*self.source, Source::Manual(_))
    }

    /// The first instant of a day of the billing time zone; `None` if the calendar does not have it.
    #[must_use]
    pub fn start_of_day(&self, day: jiff::civil::Date) -> Option<UnixMillis> {
        day.to_zoned(self.calendar.zone.clone()).ok().map(|at| UnixMillis::new(at.timestamp().as_millisecond()))
    }

    /// The day of an instant, in the billing time zone.
    #[must_use]
    pub fn day_of(&self, at: UnixMillis) -> jiff::civil::Date {
        let at = Timestamp::from_millisecond(at.get()).unwrap_or_default();
        at.to_zoned(self.calendar.zone.clone()).date()
    }

    /// The begin of the billing period that `now` lies in, which is the end of the one before.
    #[must_use]
    pub fn period_start(&self, now: UnixMillis) -> UnixMillis {
        self.calendar.this_month(now)
    }

    /// The next two ends of billing periods after `now`.
    #[must_use]
    pub fn period_ends(&self, now: UnixMillis) -> [UnixMillis; 2] {
        self.calendar.ends(now)
    }
}

/// The system's clock: only to start from, and to hold against the store's.
#[must_use]
#[allow(clippy::disallowed_methods, reason = "the one place that reads it")]
pub fn system_now() -> UnixMillis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).map_or(UnixMillis::MAX, UnixMillis::new)
}

fn elapsed_millis(started: Instant) -> Millis {
    i64::try_from(started.elapsed().as_millis()).unwrap_or(i64::MAX)
}

impl Calendar {
    fn new(zone: TimeZone) -> Self {
        Self { zone, from: AtomicI64::new(i64::MAX), ends: [AtomicI64::new(0), AtomicI64::new(0)] }
    }

    fn ends(&self, now: UnixMillis) -> [UnixMillis; 2] {
        // A racing writer may mix two answers, but only ones of neighbouring months, and each is checked against `now`.
        let [first, second] = [&self.ends[0], &self.ends[1]].map(|end| UnixMillis::new(end.load(Ordering::Relaxed)));
        if self.from.load(Ordering::Acquire) <= now.get() && now < first && first < second {
            return [first, second];
        }
        let first = self.next_month(now);
        let second = self.next_month(first);
        self.from.store(i64::MAX, Ordering::Release);
        self.ends[0].store(first.get(), Ordering::Relaxed);
        self.ends[1].store(second.get(), Ordering::Relaxed);
        self.from.store(now.get(), Ordering::Release);
        [first, second]
    }

    /// The first instant of the calendar month that `now` lies in.
    fn this_month(&self, now: UnixMillis) -> UnixMillis {
        let first = || {
            let date = Timestamp::from_millisecond(now.get()).ok()?.to_zoned(self.zone.clone()).date().first_of_month();
            Some(UnixMillis::new(date.to_zoned(self.zone.clone()).ok()?.timestamp().as_millisecond()))
        };
        first().unwrap_or(UnixMillis::NONE)
    }

    /// The first instant of the calendar month after the one that `now` lies in.
    fn next_month(&self, now: UnixMillis) -> UnixMillis {
        let next = || {
            let date = Timestamp::from_millisecond(now.get()).ok()?.to_zoned(self.zone.clone()).date();
            let first = date.first_of_month().checked_add(jiff::Span::new().months(1)).ok()?;
            Some(UnixMillis::new(first.to_zoned(self.zone.clone()).ok()?.timestamp().as_millisecond()))
        };
        next().unwrap_or(UnixMillis::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn millis(text: &str) -> UnixMillis {
        UnixMillis::new(text.parse::<Timestamp>().unwrap().as_millisecond())
    }

    #[test]
    fn a_billing_period_is_a_calendar_month_of_the_zone() {
        let clock = Clock::manual(millis("2026-10-31T23:30:00Z"), TimeZone::get("Europe/Berlin").unwrap());
        // In Berlin it is November already.
        assert_eq!(clock.period_ends(clock.now()), [millis("2026-11-30T23:00:00Z"), millis("2026-12-31T23:00:00Z")]);
        let utc = Clock::manual(UnixMillis::NONE, TimeZone::UTC);
        assert_eq!(utc.period_ends(millis("2026-10-31T23:59:59.999Z"))[0], millis("2026-11-01T00:00:00Z"));
        assert_eq!(utc.period_ends(millis("2026-11-01T00:00:00Z"))[0], millis("2026-12-01T00:00:00Z"));
        assert_eq!(utc.period_ends(millis("2026-10-01T00:00:00Z"))[0], millis("2026-11-01T00:00:00Z"));
        assert_eq!(clock.period_start(clock.now()), millis("2026-10-31T23:00:00Z"));
        assert_eq!(utc.period_start(millis("2026-11-01T00:00:00Z")), millis("2026-11-01T00:00:00Z"));
        assert_eq!(utc.period_start(millis("2026-10-31T23:59:59.999Z")), millis("2026-10-01T00:00:00Z"));
    }
}
