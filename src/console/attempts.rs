//! Slows down the guessing of passwords: by user and address, by user, and by address. It is kept in memory, and bounded.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How many failures are free: of a user at an address, of a user wherever it is, of an address for all users together.
const FREE: [u32; 3] = [5, 50, 20];

/// The longest wait.
const MOST: Duration = Duration::from_mins(15);

/// How long a failure is remembered.
const REMEMBERED: Duration = Duration::from_hours(1);

/// How many users and addresses are remembered.
const MAX_KEYS: usize = 20_000;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Key {
    UserAt(String, IpAddr),
    User(String),
    Address(IpAddr),
}

struct Failures {
    count: u32,
    last: Instant,
}

/// Attempts to sign in that failed.
#[derive(Default)]
pub struct Attempts(Mutex<HashMap<Key, Failures>>);

impl Attempts {
    /// How long somebody has to wait before the next attempt; `None` means not at all.
    #[must_use]
    pub fn wait(&self, user: &str, address: IpAddr) -> Option<Duration> {
        let failures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let waits = keys(user, address).into_iter().zip(FREE).filter_map(|(key, free)| {
            let Failures { count, last } = failures.get(&key)?;
            let beyond = count.checked_sub(free)?;
            let pause = Duration::from_secs(1 << beyond.min(10)).min(MOST);
            pause.checked_sub(last.elapsed())
        });
        waits.max().filter(|wait| !wait.is_zero())
    }

    /// Notes an attempt before it is looked at, so that many at once are counted; [`Attempts::forgive`] takes it back.
    pub fn note(&self, user: &str, address: IpAddr) {
        let mut failures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if failures.len() >= MAX_KEYS {
            failures.retain(|_, failures| now.duration_since(failures.last) < REMEMBERED);
        }
        if failures.len() >= MAX_KEYS {
            // Somebody who fills it up must not be able to switch it off: the half that is quiet longest goes.
            let mut times: Vec<Instant> = failures.values().map(|failures| failures.last).collect();
            let median = *times.select_nth_unstable(MAX_KEYS / 2).1;
            failures.retain(|_, failures| failures.last > median);
        }
        for key in keys(user, address) {
            let one = failures.entry(key).or_insert(Failures { count: 0, last: now });
            if now.duration_since(one.last) >= REMEMBERED {
                one.count = 0;
            }
            (one.count, one.last) = (one.count.saturating_add(1), now);
        }
    }

    /// Takes an attempt back that did not fail, and has not succeeded yet.
    pub fn take_back(&self, user: &str, address: IpAddr) {
        let mut failures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for key in keys(user, address) {
            if let Some(one) = failures.get_mut(&key) {
                one.count = one.count.saturating_sub(1);
            }
        }
    }

    /// Forgets the failures of a user that has signed in; of its address, only this attempt.
    pub fn forgive(&self, user: &str, address: IpAddr) {
        let mut failures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let [at, of_user, of_address] = keys(user, address);
        failures.remove(&at);
        failures.remove(&of_user);
        if let Some(one) = failures.get_mut(&of_address) {
            one.count = one.count.saturating_sub(1);
        }
    }
}

/// How many characters of a name count.
const LONGEST_NAME: usize = 64;

fn keys(user: &str, address: IpAddr) -> [Key; 3] {
    let user: String = user.chars().take(LONGEST_NAME).flat_map(char::to_lowercase).collect();
    // One customer of a provider has a whole /64.
    let address = match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6((u128::from(address) & !u128::from(u64::MAX)).into()),
        address => address,
    };
    [Key::UserAt(user.clone(), address), Key::User(user), Key::Address(address)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_one_network_are_one_and_who_fills_the_memory_is_still_counted() {
        let attempts = Attempts::default();
        for number in 0..60 {
            attempts.note("alice", format!("2001:db8::{number:x}").parse().unwrap());
        }
        assert!(attempts.wait("bob", "2001:db8::ffff".parse().unwrap()).is_some());
        assert_eq!(attempts.wait("bob", "2001:db8:0:1::1".parse().unwrap()), None);
        for number in 0..MAX_KEYS {
            attempts.note(&format!("user-{number}"), [10, 1, (number >> 8) as u8, number as u8].into());
        }
        let here = "10.9.9.9".parse().unwrap();
        for _ in 0..7 {
            attempts.note("carol", here);
        }
        assert!(attempts.wait("carol", here).is_some());
        assert!(attempts.0.lock().unwrap().len() <= MAX_KEYS + 2);
    }

    #[test]
    fn who_guesses_waits_and_who_is_somewhere_else_does_not() {
        let attempts = Attempts::default();
        let (here, there) = ("10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap());
        for _ in 0..4 {
            attempts.note("alice", here);
        }
        assert_eq!(attempts.wait("alice", here), None);
        for _ in 0..4 {
            attempts.note("ALICE", here);
        }
        assert!(attempts.wait("alice", here).unwrap() > Duration::from_secs(6));
        assert_eq!(attempts.wait("alice", there), None);
        attempts.forgive("alice", here);
        assert_eq!(attempts.wait("alice", here), None);
        // A password that is right makes nothing good of codes that were wrong.
        for _ in 0..8 {
            attempts.note("bob", there);
            attempts.note("bob", there);
            attempts.take_back("bob", there);
        }
        assert!(attempts.wait("bob", there).is_some());
        // An address that tries many users waits with each of them.
        for number in 0..25 {
            attempts.note(&format!("user-{number}"), here);
        }
        assert!(attempts.wait("somebody", here).is_some());
        assert_eq!(attempts.wait("somebody", there), None);
    }
}
