//! Peers that flood a connection with streams that they reset: for a while, the next connections from their address wait.
//!
//! A server closes a connection on which streams are opened and reset in floods. Opening another costs the peer nothing, and the thread that takes
//! it in as much as hundreds of calls. Connections that it has already are served as ever, and so are those of proxies that are trusted: one
//! of their clients would hold up the others.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::proxies::TrustedProxies;
use crate::network::network_of;
use crate::telemetry::logs::Repeated;

/// How long a connection waits.
pub const PAUSE: Duration = Duration::from_secs(1);

/// For how long after a flood those of its address do.
const REMEMBERED: Duration = Duration::from_secs(10);

/// The most addresses that are remembered.
const ADDRESSES: usize = 10_000;

static FLOODED: Repeated = Repeated::new();

/// The addresses of such peers.
#[derive(Debug, Default)]
pub struct Flooders {
    /// When each last flooded a connection.
    flooded: Mutex<HashMap<IpAddr, Instant>>,
    proxies: TrustedProxies,
}

impl Flooders {
    /// None yet; these proxies never are.
    #[must_use]
    pub fn except(proxies: TrustedProxies) -> Self {
        Self { proxies, ..Self::default() }
    }

    /// Notes that a peer has flooded a connection.
    pub fn note(&self, address: IpAddr) {
        if self.proxies.trusts(address) {
            return;
        }
        self.note_at(address, Instant::now());
        if let Some(times) = FLOODED.times() {
            tracing::warn!(%address, times, "a connection was closed: its peer floods it with streams that it resets; its next connections have to wait");
        }
    }

    fn note_at(&self, address: IpAddr, now: Instant) {
        let mut flooded = self.flooded.lock().unwrap_or_else(PoisonError::into_inner);
        let network = network_of(address);
        if flooded.len() >= ADDRESSES && !flooded.contains_key(&network) {
            flooded.retain(|_, last| is_recent(*last, now));
            if flooded.len() >= ADDRESSES {
                return;
            }
        }
        flooded.insert(network, now);
    }

    /// Whether connections of a peer have to wait.
    #[must_use]
    pub fn has(&self, address: IpAddr) -> bool {
        self.has_at(address, Instant::now())
    }

    fn has_at(&self, address: IpAddr, now: Instant) -> bool {
        let flooded = self.flooded.lock().unwrap_or_else(PoisonError::into_inner);
        flooded.get(&network_of(address)).is_some_and(|last| is_recent(*last, now))
    }
}

fn is_recent(last: Instant, now: Instant) -> bool {
    now.saturating_duration_since(last) < REMEMBERED
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_of_a_peer_that_floods_wait_for_a_while_from_all_its_addresses_and_no_others_do() {
        let (flooders, now) = (Flooders::default(), Instant::now());
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        flooders.note_at(address("2001:db8::1"), now);
        flooders.note_at(address("192.0.2.1"), now);
        for (text, waits) in [("2001:db8::2", true), ("::ffff:192.0.2.1", true), ("192.0.2.2", false), ("2001:db8:0:1::1", false)] {
            assert_eq!(flooders.has_at(address(text), now), waits, "{text}");
        }
        assert!(!flooders.has_at(address("192.0.2.1"), now + REMEMBERED));
    }

    #[test]
    fn a_trusted_proxy_never_waits_whatever_its_clients_do() {
        let flooders = Flooders::except(TrustedProxies::new(&["10.0.0.0/8".parse().unwrap()]));
        for (text, waits) in [("10.1.2.3", false), ("11.1.2.3", true)] {
            let address = text.parse().unwrap();
            flooders.note(address);
            assert_eq!(flooders.has(address), waits, "{text}");
        }
    }

    #[test]
    fn however_many_addresses_flood_few_are_remembered() {
        let (flooders, now) = (Flooders::default(), Instant::now());
        (0..2 * ADDRESSES as u32).for_each(|number| flooders.note_at(IpAddr::V4(number.into()), now));
        assert_eq!(flooders.flooded.lock().unwrap().len(), ADDRESSES);
        flooders.note_at(IpAddr::V4(u32::MAX.into()), now + REMEMBERED);
        assert_eq!(flooders.flooded.lock().unwrap().len(), 1);
    }
}
