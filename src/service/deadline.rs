//! Until when a caller waits, and how far its request has come.

use std::time::Duration;

use tokio::time::Instant;

/// Which part of the caller's time may go by before the first piece of an answer is passed on.
const FIRST_PIECE: f64 = 0.95;

/// Until when a caller waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadline {
    begun: Instant,
    at: Instant,
}

/// How far a request has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Stage {
    /// It has only read.
    Looking = 0,
    /// It waits for the billing store, and has done nothing.
    AskingBilling = 1,
    /// Its command was sent.
    Sent = 2,
}

impl Deadline {
    /// The deadline of a caller that waits for a time from now on; `None` if that is too long to be one.
    #[must_use]
    pub fn after(given: Duration) -> Option<Self> {
        let begun = Instant::now();
        Some(Self { begun, at: begun.checked_add(given)? })
    }

    /// When the first piece of an answer must be there to be passed on in time.
    #[must_use]
    pub fn first_piece_by(self) -> Instant {
        self.after_part(FIRST_PIECE)
    }

    /// When this part of the caller's time is over.
    pub(super) fn after_part(self, part: f64) -> Instant {
        self.begun + (self.at - self.begun).mul_f64(part)
    }
}

impl Stage {
    pub(super) fn numbered(number: u8) -> Self {
        [Self::Sent, Self::AskingBilling].into_iter().find(|stage| *stage as u8 == number).unwrap_or(Self::Looking)
    }
}
