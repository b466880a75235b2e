//! How long what waits for a partition will wait, by what its steps took lately.

use std::time::Duration;

/// From how many commands on a step tells what each of them takes. A smaller one, which costs much by itself, tells only that it is not more.
const TELLING: usize = 16;

/// What a command takes of the steps of a partition; nothing while none had many.
#[derive(Debug, Default)]
pub struct Pace {
    each: Duration,
}

impl Pace {
    /// Takes in how long a step with that many commands took.
    pub fn returned(&mut self, commands: usize, took: Duration) {
        let count = u32::try_from(commands.max(1)).unwrap_or(u32::MAX);
        let each = took / count;
        self.each = if commands < TELLING { self.each.min(each) } else { (self.each.saturating_mul(3).saturating_add(each)) / 4 };
    }

    /// How long so many commands take together.
    pub fn of(&self, commands: usize) -> Duration {
        self.each.saturating_mul(u32::try_from(commands).unwrap_or(u32::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_that_took_long_is_soon_forgotten_and_small_ones_promise_no_long_wait() {
        let mut pace = Pace::default();
        // What a lonely command takes says nothing of many.
        pace.returned(1, Duration::from_millis(3));
        assert_eq!(pace.of(1000), Duration::ZERO);
        (0..40).for_each(|_| pace.returned(500, Duration::from_millis(5)));
        assert!((9_000..=10_000).contains(&pace.of(1000).as_micros()), "{:?}", pace.of(1000));
        // A server that stood still for a while: the next commands say that it goes on, however few are let in.
        pace.returned(500, Duration::from_secs(5));
        assert!(pace.of(1000) > Duration::from_secs(2), "{:?}", pace.of(1000));
        pace.returned(4, Duration::from_millis(1));
        assert!(pace.of(1000) <= Duration::from_millis(250), "{:?}", pace.of(1000));
    }
}
