//! Proxies in front of the service, and what is believed of what they say of a request: where it comes from (`X-Forwarded-For`), and whether
//! the client has called over TLS (`X-Forwarded-Proto`). Of peers that are not named as proxies, nothing is.
//!
//! By which name the service was called is a setting, and in `Host`: a proxy that does not know `X-Forwarded-Host` or `Forwarded` passes on
//! what a client has sent as such.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use http::{Extensions, HeaderMap, HeaderValue};

use super::socket::Peer;
use crate::network::Network;

const FOR: &str = "x-forwarded-for";
const SCHEME: &str = "x-forwarded-proto";

/// How many proxies in a row are looked at.
const HOPS: usize = 16;

/// How a client has called a proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// Without TLS.
    Http,
    /// With it.
    Https,
}

/// Where a request comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Client {
    /// From the peer itself.
    Peer,
    /// From there, by way of a proxy.
    Address(IpAddr),
    /// By way of a proxy, which does not say from where, or not so that it can be read.
    Unknown,
}

/// The proxies that are believed. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct TrustedProxies(Arc<[Network]>);

impl TrustedProxies {
    /// Those of these networks.
    #[must_use]
    pub fn new(networks: &[Network]) -> Self {
        Self(networks.into())
    }

    /// The networks that they are in.
    #[must_use]
    pub fn networks(&self) -> &[Network] {
        &self.0
    }

    fn trusts(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(address))
    }

    /// Where a request comes from, as a trusted proxy says it.
    fn client(&self, peer: IpAddr, headers: &HeaderMap) -> Client {
        if self.0.is_empty() || !self.trusts(peer) || !headers.contains_key(FOR) {
            return Client::Peer;
        }
        let mut client = Client::Unknown;
        // Each proxy has added the address of its peer at the end, so that the last that is no proxy's was seen, not claimed.
        for hop in from_the_last(headers, FOR).take(HOPS) {
            let Some(address) = hop.and_then(address) else { break };
            client = Client::Address(address);
            if !self.trusts(address) {
                break;
            }
        }
        client
    }

    /// The peer as whom a request is to be treated: where it comes from, without the certificate of the proxy. It has none either, if the
    /// proxy passes on a call, and nobody can read whose.
    #[must_use]
    pub fn seen_through(&self, peer: &Peer, headers: &HeaderMap) -> Option<Peer> {
        let address = match self.client(peer.address.ip(), headers) {
            Client::Peer => return None,
            Client::Address(client) => SocketAddr::new(client, 0),
            Client::Unknown => peer.address,
        };
        Some(Peer { source: peer.source, calls: Arc::clone(&peer.calls), address, certificate: None, is_proxied: true, is_local: false })
    }

    /// Puts into a request of HTTP what is believed: its [`Peer`], and its [`Scheme`] where a proxy says it.
    pub fn apply(&self, peer: &Peer, headers: &HeaderMap, extensions: &mut Extensions) {
        if !self.0.is_empty()
            && self.trusts(peer.address.ip())
            && let Some(scheme) = from_the_last(headers, SCHEME).next()
        {
            let is_https = scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case("https"));
            extensions.insert(if is_https { Scheme::Https } else { Scheme::Http });
        }
        extensions.insert(self.seen_through(peer, headers).unwrap_or_else(|| peer.clone()));
    }
}

/// Whether a request says that it was forwarded, whether it is believed or not.
#[must_use]
pub fn is_forwarded(headers: &HeaderMap) -> bool {
    headers.contains_key(FOR) || headers.contains_key("forwarded")
}

/// The parts of all headers of a name, the last one first; `None` for one that is no text. A client chooses what stands in front of what a proxy
/// has added, so that one part must not spoil another.
fn from_the_last<'a>(headers: &'a HeaderMap, name: &'static str) -> impl Iterator<Item = Option<&'a str>> {
    let values: Vec<&[u8]> = headers.get_all(name).iter().map(HeaderValue::as_bytes).collect();
    let parts = values.into_iter().rev().flat_map(|value| value.rsplit(|byte| *byte == b','));
    parts.map(|part| std::str::from_utf8(part).ok().map(str::trim))
}

/// An address as proxies write it: with a port or without, of IPv6 in brackets or not.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    bare.parse().or_else(|_| text.parse().map(|address: SocketAddr| address.ip())).ok().map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxies(networks: &[&str]) -> TrustedProxies {
        let networks: Vec<Network> = networks.iter().map(|network| network.parse().unwrap()).collect();
        TrustedProxies::new(&networks)
    }

    fn headers(values: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(FOR, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn the_last_address_that_no_proxy_has_is_believed_and_only_of_a_proxy() {
        let trusted = proxies(&["10.0.0.0/8", "fd00::1"]);
        let seen = |peer: &str, values: &[&str]| trusted.client(peer.parse().unwrap(), &headers(values));
        let found = |text: &str| Client::Address(text.parse().unwrap());
        assert_eq!(seen("192.0.2.1", &["198.51.100.7"]), Client::Peer, "anybody can say so");
        assert_eq!(seen("10.0.0.1", &[]), Client::Peer, "it calls for itself");
        assert_eq!(seen("10.0.0.1", &["198.51.100.7"]), found("198.51.100.7"));
        assert_eq!(seen("::ffff:10.0.0.1", &["198.51.100.7"]), found("198.51.100.7"));
        // What the client itself has claimed stands in front.
        assert_eq!(seen("10.0.0.1", &["127.0.0.1, 198.51.100.7, 10.9.9.9"]), found("198.51.100.7"));
        assert_eq!(seen("10.0.0.1", &["127.0.0.1", "198.51.100.7"]), found("198.51.100.7"));
        assert_eq!(seen("10.0.0.1", &["198.51.100.7, unknown, 10.9.9.9"]), found("10.9.9.9"), "behind what cannot be read");
        assert_eq!(seen("10.0.0.1", &["10.1.1.1, 10.2.2.2"]), found("10.1.1.1"));
        assert_eq!(seen("fd00::1", &["[2001:db8::7]:4711"]), found("2001:db8::7"));
        assert_eq!(seen("fd00::1", &["198.51.100.7:80"]), found("198.51.100.7"));
        assert_eq!(seen("fd00::2", &["198.51.100.7"]), Client::Peer);
        let nobody = TrustedProxies::default();
        assert_eq!(nobody.client("127.0.0.1".parse().unwrap(), &headers(&["198.51.100.7"])), Client::Peer);
    }

    #[test]
    fn a_client_behind_a_proxy_is_never_mistaken_for_the_proxy() {
        let trusted = proxies(&["10.0.0.0/8"]);
        let seen = |value: &[u8]| {
            let mut headers = HeaderMap::new();
            headers.append(FOR, HeaderValue::from_bytes(value).unwrap());
            trusted.client("10.0.0.1".parse().unwrap(), &headers)
        };
        // What the client has claimed is no text.
        assert_eq!(seen(b"\xff, 198.51.100.7"), Client::Address("198.51.100.7".parse().unwrap()));
        for unreadable in [b"198.51.100.7, \xff".as_slice(), b"unknown", b"_hidden", b"unix:", b""] {
            assert_eq!(seen(unreadable), Client::Unknown, "{unreadable:?}");
        }
    }
}
