//! Instants of the ledger's one clock, and spans of time. They are different types, so that neither is taken for the other.

use std::ops::{Add, Sub};

use serde::{Deserialize, Serialize};

/// A span of time, in milliseconds.
pub type Millis = i64;

/// A point in time: milliseconds since the Unix epoch, of the ledger's one clock.
///
/// Stores and messages that keep plain numbers write 0 for "never" and "none"; that is [`UnixMillis::NONE`], which lies before every
/// instant of a clock, so that "runs until then" is false of it without a case of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UnixMillis(i64);

impl UnixMillis {
    /// No instant: never, or not known.
    pub const NONE: Self = Self(0);

    /// Before all others.
    pub const MIN: Self = Self(i64::MIN);

    /// After all others.
    pub const MAX: Self = Self(i64::MAX);

    /// An instant, given in milliseconds after the epoch.
    #[must_use]
    pub const fn new(millis: i64) -> Self {
        Self(millis)
    }

    /// The milliseconds since the epoch, for what keeps plain numbers.
    #[must_use]
    pub const fn get(self) -> i64 {
        self.0
    }

    /// Whether it is [`UnixMillis::NONE`].
    #[must_use]
    pub const fn is_none(self) -> bool {
        self.0 == 0
    }

    /// Whether it is an instant.
    #[must_use]
    pub const fn is_some(self) -> bool {
        self.0 != 0
    }

    /// The instant, unless it is [`UnixMillis::NONE`].
    #[must_use]
    pub fn known(self) -> Option<Self> {
        self.is_some().then_some(self)
    }

    /// The instant a span later, or the last one.
    #[must_use]
    pub const fn saturating_add(self, span: Millis) -> Self {
        Self(self.0.saturating_add(span))
    }

    /// The instant a span earlier, or the first one.
    #[must_use]
    pub const fn saturating_sub(self, span: Millis) -> Self {
        Self(self.0.saturating_sub(span))
    }

    /// How long it is since an earlier instant; negative if that lies ahead.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Millis {
        self.0.saturating_sub(earlier.0)
    }
}

impl Add<Millis> for UnixMillis {
    type Output = Self;

    fn add(self, span: Millis) -> Self {
        Self(self.0 + span)
    }
}

impl Sub<Millis> for UnixMillis {
    type Output = Self;

    fn sub(self, span: Millis) -> Self {
        Self(self.0 - span)
    }
}

impl Sub for UnixMillis {
    type Output = Millis;

    fn sub(self, earlier: Self) -> Millis {
        self.0 - earlier.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_and_a_span_make_an_instant_and_two_instants_a_span() {
        let at = UnixMillis::new(1_000);
        assert_eq!((at + 500, at - 500), (UnixMillis::new(1_500), UnixMillis::new(500)));
        assert_eq!((at - UnixMillis::new(400), UnixMillis::new(400).since(at)), (600, -600));
        assert_eq!((UnixMillis::MAX.saturating_add(1), UnixMillis::MIN.saturating_sub(1)), (UnixMillis::MAX, UnixMillis::MIN));
        assert_eq!(UnixMillis::MAX.since(UnixMillis::MIN), i64::MAX);
    }

    #[test]
    fn none_is_before_every_instant_of_a_clock() {
        assert!(UnixMillis::NONE.is_none() && UnixMillis::NONE < UnixMillis::new(1));
        assert_eq!((UnixMillis::NONE.known(), UnixMillis::new(1).known()), (None, Some(UnixMillis::new(1))));
    }
}
