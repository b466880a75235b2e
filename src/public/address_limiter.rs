//! How many requests an address may make: in bounded memory, whatever addresses come.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::net::IpAddr;
use std::num::NonZeroU32;

use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use platform::network::network_of;

/// How many requests at once, and how many in each second after that. A page takes three; a company may have one address.
const BURST: NonZeroU32 = NonZeroU32::MIN.saturating_add(89);
const PER_SECOND: NonZeroU32 = NonZeroU32::MIN.saturating_add(1);

/// How many addresses are told apart; more share.
const PLACES: u64 = 1 << 16;

/// Limits the requests of each address.
pub struct AddressLimiter {
    places: RandomState,
    limiter: DefaultKeyedRateLimiter<u64>,
}

impl Default for AddressLimiter {
    fn default() -> Self {
        Self { places: RandomState::new(), limiter: RateLimiter::keyed(Quota::per_second(PER_SECOND).allow_burst(BURST)) }
    }
}

impl AddressLimiter {
    /// Counts a request, and returns whether it is let through.
    pub fn lets_through(&self, address: IpAddr) -> bool {
        self.limiter.check_key(&(self.places.hash_one(network_of(address)) % PLACES)).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_tries_links_is_slowed_down_and_nobody_else() {
        let limiter = AddressLimiter::default();
        let let_through = (0..300).filter(|number| limiter.lets_through(format!("2001:db8::{number:x}").parse().unwrap())).count();
        assert!((90..200).contains(&let_through), "{let_through}");
        assert!(limiter.lets_through("192.0.2.1".parse().unwrap()));
    }
}
