//! The share of a caller: how many requests a second and how many calls at once it may have, so that others keep theirs.

use domain::time::Millis;
use std::collections::HashMap;
use std::fmt;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};

use platform::clock::system_now;

/// How many shares are kept. Those of the access file are bounded by its size; beyond, those that nobody uses are dropped.
const KEPT: usize = 10_000;

/// For how long a caller counts as over its share after it was refused, in milliseconds.
const OVER_FOR: Millis = 10_000;

/// The limits of a caller; an absent one means unlimited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bounds {
    /// Requests a second. As many may come at once.
    pub requests_per_second: Option<NonZeroU32>,
    /// Calls at once.
    pub concurrent_calls: Option<NonZeroU32>,
}

impl Bounds {
    /// These, and where they have none, those.
    #[must_use]
    pub fn or(self, others: Self) -> Self {
        Self {
            requests_per_second: self.requests_per_second.or(others.requests_per_second),
            concurrent_calls: self.concurrent_calls.or(others.concurrent_calls),
        }
    }

    /// What a caller may have to whom each of these is granted: the more of each.
    #[must_use]
    pub fn or_more(self, other: Self) -> Self {
        Self {
            requests_per_second: self.requests_per_second.max(other.requests_per_second),
            concurrent_calls: self.concurrent_calls.max(other.concurrent_calls),
        }
    }
}

/// Which bound of its share a caller has reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reached {
    /// That of requests a second; there is room for the next one after this time.
    Rate(Duration),
    /// That of calls at once.
    Calls,
}

impl Reached {
    /// The name of the limit.
    #[must_use]
    pub fn limit(self) -> &'static str {
        match self {
            Self::Rate(_) => "requests_per_second",
            Self::Calls => "concurrent_calls",
        }
    }
}

/// The limits of a caller, and how much of them is in use. Shared by all uses of the same credential.
pub struct Share {
    bounds: Bounds,
    rate: Option<DefaultDirectRateLimiter>,
    calls: AtomicU32,
    /// When something was last refused.
    refused_at: AtomicI64,
}

impl fmt::Debug for Share {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Share").field("bounds", &self.bounds).field("calls", &self.calls).finish_non_exhaustive()
    }
}

impl Default for Share {
    /// Without bounds.
    fn default() -> Self {
        Self::new(Bounds::default())
    }
}

impl Share {
    /// Within these bounds; nothing of it is in use.
    #[must_use]
    pub fn new(bounds: Bounds) -> Self {
        let rate = bounds.requests_per_second.map(|count| RateLimiter::direct(Quota::per_second(count)));
        Self { bounds, rate, calls: AtomicU32::new(0), refused_at: AtomicI64::new(i64::MIN) }
    }

    /// Takes a request from what this second has.
    pub fn take_request(&self) -> Result<(), Reached> {
        let Some(rate) = &self.rate else { return Ok(()) };
        rate.check().map_err(|until| self.refused(Reached::Rate(until.wait_time_from(DefaultClock::default().now()))))
    }

    /// Begins a call, which lasts until what is returned is dropped.
    pub fn begin_call(self: &Arc<Self>) -> Result<Option<Call>, Reached> {
        let Some(most) = self.bounds.concurrent_calls else { return Ok(None) };
        let begun = self.calls.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |calls| (calls < most.get()).then_some(calls + 1));
        match begun {
            Ok(_) => Ok(Some(Call(Arc::clone(self)))),
            Err(_) => Err(self.refused(Reached::Calls)),
        }
    }

    fn refused(&self, reached: Reached) -> Reached {
        self.refused_at.store(system_now().get(), Ordering::Relaxed);
        reached
    }
}

/// A call under way.
#[derive(Debug)]
pub struct Call(Arc<Share>);

impl Drop for Call {
    fn drop(&mut self) {
        self.0.calls.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The shares of all callers.
#[derive(Debug, Default)]
pub struct Shares {
    defaults: Mutex<Bounds>,
    known: Mutex<HashMap<String, Arc<Share>>>,
}

impl Shares {
    /// Sets what callers may have whose grants do not say it. It holds for those that are looked up from now on.
    pub fn set_defaults(&self, bounds: Bounds) {
        *self.defaults.lock().unwrap_or_else(PoisonError::into_inner) = bounds;
    }

    /// The share of a caller, by what tells it from others. It goes on where it was unless its bounds have changed.
    pub fn of(&self, caller: String, own: Bounds) -> Arc<Share> {
        let bounds = own.or(*self.defaults.lock().unwrap_or_else(PoisonError::into_inner));
        if bounds == Bounds::default() {
            return Arc::default();
        }
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= KEPT {
            known.retain(|_, share| Arc::strong_count(share) > 1);
        }
        let share = known.entry(caller).or_insert_with(|| Arc::new(Share::new(bounds)));
        if share.bounds != bounds {
            *share = Arc::new(Share::new(bounds));
        }
        Arc::clone(share)
    }

    /// How many callers were refused something lately, because they had their share.
    #[must_use]
    pub fn callers_over(&self) -> usize {
        let since = (system_now() - OVER_FOR).get();
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.values().filter(|share| share.refused_at.load(Ordering::Relaxed) >= since).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bounds(requests: u32, calls: u32) -> Bounds {
        Bounds { requests_per_second: NonZeroU32::new(requests), concurrent_calls: NonZeroU32::new(calls) }
    }

    #[test]
    fn a_caller_has_its_share_and_no_more() {
        let share = Arc::new(Share::new(bounds(2, 1)));
        assert!(share.take_request().is_ok() && share.take_request().is_ok());
        let Err(Reached::Rate(wait)) = share.take_request() else { panic!("a third request within a second") };
        assert!(wait > Duration::ZERO && wait <= Duration::from_millis(500), "{wait:?}");
        let call = share.begin_call().unwrap();
        assert_eq!(share.begin_call().unwrap_err(), Reached::Calls);
        drop(call);
        assert!(share.begin_call().is_ok());
    }

    #[test]
    fn a_share_goes_on_until_its_bounds_change_and_the_default_is_what_a_grant_does_not_say() {
        let shares = Shares::default();
        assert_eq!(shares.of("a".into(), Bounds::default()).bounds, Bounds::default());
        shares.set_defaults(bounds(5, 0));
        let first = shares.of("a".into(), bounds(0, 1));
        assert_eq!(first.bounds, bounds(5, 1));
        assert!(Arc::ptr_eq(&first, &shares.of("a".into(), bounds(0, 1))));
        assert!(!Arc::ptr_eq(&first, &shares.of("b".into(), bounds(0, 1))));
        assert_eq!(shares.callers_over(), 0);
        let _call = first.begin_call().unwrap();
        first.begin_call().unwrap_err();
        assert_eq!(shares.callers_over(), 1);
        assert!(!Arc::ptr_eq(&first, &shares.of("a".into(), bounds(6, 1))));
    }

    #[test]
    fn shares_that_nobody_uses_are_dropped_when_there_are_many() {
        let shares = Shares::default();
        let used = shares.of("used".into(), bounds(1, 1));
        for number in 0..2 * KEPT {
            shares.of(number.to_string(), bounds(1, 1));
        }
        assert!(shares.known.lock().unwrap().len() <= KEPT + 1);
        assert!(Arc::ptr_eq(&used, &shares.of("used".into(), bounds(1, 1))));
    }
}
