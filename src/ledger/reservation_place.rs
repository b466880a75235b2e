//! Where a page of reservations ends.

use domain::account::Reservation;
use domain::time::UnixMillis;

use crate::idempotency_key::IdempotencyKey;

/// A place in the list of an account's open reservations: in the order in which they expire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ReservationPlace {
    /// When it expires.
    pub expires_at: UnixMillis,
    /// The key of the request that made it.
    pub key: IdempotencyKey,
}

impl ReservationPlace {
    /// The place of a reservation.
    #[must_use]
    pub fn of(key: IdempotencyKey, reservation: &Reservation) -> Self {
        Self { expires_at: reservation.expires_at, key }
    }

    /// Behind all that have expired at `now`.
    #[must_use]
    pub fn behind_expired(now: UnixMillis) -> Self {
        Self { expires_at: now, key: IdempotencyKey([u8::MAX; 16]) }
    }
}
