//! Failed authentications, by address: the more of them, the longer an address waits for its next refusal. Who is let in never waits.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use platform::network::network_of;

/// The most addresses that are tracked. All others count as one.
const ADDRESSES: usize = 10_000;

/// How many failures cost nothing: a key that was mistyped, or has just expired.
const FREE: u32 = 3;

/// How long the first refusal after that is held back; each further one twice as long, up to the longest.
const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(5);

/// After how long without a failure an address is forgotten.
const FORGOTTEN: Duration = Duration::from_mins(5);

/// Counts of failed attempts.
#[derive(Debug, Default)]
pub struct Failures(Mutex<HashMap<Option<IpAddr>, Failed>>);

#[derive(Clone, Copy, Debug)]
struct Failed {
    times: u32,
    last: Instant,
}

impl Failures {
    /// Notes a failure, and returns for how long its refusal is to be held back.
    pub fn note(&self, address: IpAddr) -> Duration {
        self.note_at(address, Instant::now())
    }

    fn note_at(&self, address: IpAddr, now: Instant) -> Duration {
        let is_recent = |failed: &Failed| now.saturating_duration_since(failed.last) < FORGOTTEN;
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut address = Some(network_of(address));
        if table.len() >= ADDRESSES && !table.contains_key(&address) {
            table.retain(|_, failed| is_recent(failed));
            if table.len() >= ADDRESSES {
                address = None;
            }
        }
        let failed = table.entry(address).or_insert(Failed { times: 0, last: now });
        let times = if is_recent(failed) { failed.times.saturating_add(1) } else { 1 };
        *failed = Failed { times, last: now };
        match times.checked_sub(FREE + 1) {
            None => Duration::ZERO,
            Some(doublings) => FIRST.saturating_mul(1 << doublings.min(16)).min(LONGEST),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_of_an_address_are_held_back_longer_and_longer_and_those_of_others_are_not() {
        let (failures, now) = (Failures::default(), Instant::now());
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        let delays: Vec<_> = (0..11).map(|_| failures.note_at(address("127.0.0.1"), now).as_millis()).collect();
        assert_eq!(delays, [0, 0, 0, 100, 200, 400, 800, 1600, 3200, 5000, 5000]);
        assert_eq!(failures.note_at(address("::ffff:127.0.0.1"), now), LONGEST, "it is the same one");
        assert_eq!(failures.note_at(address("127.0.0.2"), now), Duration::ZERO);
        for host in ["2001:db8::1", "2001:db8::2", "2001:db8::3"] {
            assert_eq!(failures.note_at(address(host), now), Duration::ZERO);
        }
        assert_eq!(failures.note_at(address("2001:db8::4"), now), FIRST, "one peer has many addresses in IPv6");
        assert_eq!(failures.note_at(address("127.0.0.1"), now + FORGOTTEN), Duration::ZERO);
    }

    #[test]
    fn a_peer_with_more_addresses_than_are_told_apart_is_slowed_all_the_same() {
        let (failures, now) = (Failures::default(), Instant::now());
        let mut delay = Duration::ZERO;
        for number in 0..u32::try_from(ADDRESSES).unwrap() + 20 {
            delay = failures.note_at(IpAddr::V4(number.into()), now);
        }
        assert_eq!(delay, LONGEST);
        assert!(failures.0.lock().unwrap().len() <= ADDRESSES + 1);
    }
}
