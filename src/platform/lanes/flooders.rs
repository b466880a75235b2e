//! Peers that flood a connection with streams that they reset: for a while, the next connections from their address wait.
//!
//! A server closes a connection on which streams are opened and reset in floods. Opening another costs the peer nothing, and the thread that takes
//! it in as much as hundreds of calls. Connections that it has already are served as ever, and so are those of proxies that are trusted: one
//! of their clients would hold up the others. A few floods cost nothing: a client gives up all its calls at once, too, when it has waited for too long.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::network::{Network, network_of};
use crate::telemetry::logs::Repeated;

/// How many floods cost an address nothing.
pub const FREE: u32 = 16;

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
    flooded: Mutex<HashMap<IpAddr, Floods>>,
    /// Whose connections never wait.
    proxies: Vec<Network>,
}

#[derive(Clone, Copy, Debug)]
struct Floods {
    times: u32,
    last: Instant,
}

impl Floods {
    fn are_recent(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.last) < REMEMBERED
    }
}

impl Flooders {
    /// None yet; these proxies never are.
    #[must_use]
    pub fn except(proxies: &[Network]) -> Self {
        Self { proxies: proxies.to_vec(), ..Self::default() }
    }

    /// Notes that a peer has flooded a connection.
    pub fn note(&self, address: IpAddr) {
        if self.proxies.iter().any(|network| network.contains(address.to_canonical())) {
            return;
        }
        self.note_at(address, Instant::now());
        if let Some(times) = FLOODED.times() {
            tracing::warn!(%address, times, "a connection was closed, because its peer floods it with streams that it resets; if that goes on, its next connections have to wait");
        }
    }

    fn note_at(&self, address: IpAddr, now: Instant) {
        let mut flooded = self.flooded.lock().unwrap_or_else(PoisonError::into_inner);
        let network = network_of(address);
        if flooded.len() >= ADDRESSES && !flooded.contains_key(&network) {
            flooded.retain(|_, floods| floods.are_recent(now));
            if flooded.len() >= ADDRESSES {
                return;
            }
        }
        let before = flooded.get(&network).filter(|floods| floods.are_recent(now)).map_or(0, |floods| floods.times);
        flooded.insert(network, Floods { times: before.saturating_add(1), last: now });
    }

    /// Whether connections of a peer have to wait.
    #[must_use]
    pub fn has(&self, address: IpAddr) -> bool {
        self.has_at(address, Instant::now())
    }

    fn has_at(&self, address: IpAddr, now: Instant) -> bool {
        let flooded = self.flooded.lock().unwrap_or_else(PoisonError::into_inner);
        flooded.get(&network_of(address)).is_some_and(|floods| floods.times > FREE && floods.are_recent(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_of_a_peer_that_floods_wait_for_a_while_from_all_its_addresses_and_no_others_do() {
        let (flooders, now) = (Flooders::default(), Instant::now());
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        let both = ["2001:db8::1", "192.0.2.1"].map(address);
        (0..FREE).for_each(|_| both.into_iter().for_each(|address| flooders.note_at(address, now)));
        assert!(!both.into_iter().any(|address| flooders.has_at(address, now)), "a few are free");
        both.into_iter().for_each(|address| flooders.note_at(address, now));
        for (text, waits) in [("2001:db8::2", true), ("::ffff:192.0.2.1", true), ("192.0.2.2", false), ("2001:db8:0:1::1", false)] {
            assert_eq!(flooders.has_at(address(text), now), waits, "{text}");
        }
        let later = now + REMEMBERED;
        assert!(!flooders.has_at(both[1], later));
        flooders.note_at(both[1], later);
        assert!(!flooders.has_at(both[1], later), "they count anew");
    }

    #[test]
    fn a_trusted_proxy_never_waits_whatever_its_clients_do() {
        let flooders = Flooders::except(&["10.0.0.0/8".parse().unwrap()]);
        for (text, waits) in [("10.1.2.3", false), ("11.1.2.3", true)] {
            let address = text.parse().unwrap();
            (0..=FREE).for_each(|_| flooders.note(address));
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
