//! Proxies in front of the service, and what is believed of what they say of a request: where it comes from (`X-Forwarded-For`), and whether
//! the client has called over TLS (`X-Forwarded-Proto`). Of peers that are not named as proxies, nothing is.
//!
//! By which name the service was called is a setting, and in `Host`: a proxy that does not know `X-Forwarded-Host` or `Forwarded` passes on
//! what a client has sent as such.

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;

use http::{Extensions, HeaderMap};
use ipnet::IpNet;

use super::socket::Peer;

const FOR: &str = "x-forwarded-for";
const SCHEME: &str = "x-forwarded-proto";

/// How many proxies in a row are looked at.
const HOPS: usize = 16;

/// A network of proxies: `10.0.0.0/8`, or one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network(IpNet);

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let network = text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
        let network = network.map_err(|_| "must be an address or a network, such as 10.1.2.3 or 10.0.0.0/8".to_owned())?;
        if network.prefix_len() == 0 {
            return Err("must not be all addresses: what anybody says would be believed".to_owned());
        }
        Ok(Self(network))
    }
}

impl std::fmt::Display for Network {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(formatter)
    }
}

/// How a client has called a proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// Without TLS.
    Http,
    /// With it.
    Https,
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

    fn trusts(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.0.contains(&address))
    }

    /// Where a request comes from, as a trusted proxy says it; `None` if its peer is none, or says nothing.
    fn client(&self, peer: IpAddr, headers: &HeaderMap) -> Option<IpAddr> {
        if self.0.is_empty() || !self.trusts(peer) {
            return None;
        }
        let mut client = None;
        // Each proxy has added the address of its peer at the end, so that the last that is no proxy's was seen, not claimed.
        for hop in from_the_last(headers, FOR).take(HOPS) {
            let Some(address) = address(hop) else { break };
            client = Some(address);
            if !self.trusts(address) {
                break;
            }
        }
        client
    }

    /// The peer as whom a request is to be treated: where it comes from, without the certificate of the proxy.
    #[must_use]
    pub fn seen_through(&self, peer: &Peer, headers: &HeaderMap) -> Option<Peer> {
        let client = self.client(peer.address.ip(), headers)?;
        let address = SocketAddr::new(client, 0);
        Some(Peer { source: peer.source, address, certificate: None, is_proxied: true })
    }

    /// Puts into a request of HTTP what is believed: its [`Peer`], and its [`Scheme`] where a proxy says it.
    pub fn apply(&self, peer: &Peer, headers: &HeaderMap, extensions: &mut Extensions) {
        if !self.0.is_empty()
            && self.trusts(peer.address.ip())
            && let Some(scheme) = from_the_last(headers, SCHEME).next()
        {
            extensions.insert(if scheme.eq_ignore_ascii_case("https") { Scheme::Https } else { Scheme::Http });
        }
        extensions.insert(self.seen_through(peer, headers).unwrap_or_else(|| peer.clone()));
    }
}

/// Whether a request says that it was forwarded, whether it is believed or not.
#[must_use]
pub fn is_forwarded(headers: &HeaderMap) -> bool {
    headers.contains_key(FOR) || headers.contains_key("forwarded")
}

/// The parts of all headers of a name, the last first.
fn from_the_last<'a>(headers: &'a HeaderMap, name: &'static str) -> impl Iterator<Item = &'a str> {
    let values: Vec<&str> = headers.get_all(name).iter().map(|value| value.to_str().unwrap_or_default()).collect();
    values.into_iter().rev().flat_map(|value| value.rsplit(',')).map(str::trim)
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
    fn the_last_address_that_is_no_proxys_is_believed_and_only_of_a_proxy() {
        let trusted = proxies(&["10.0.0.0/8", "fd00::1"]);
        let seen = |peer: &str, values: &[&str]| trusted.client(peer.parse().unwrap(), &headers(values)).map(|found| found.to_string());
        let found = |text: &str| Some(text.to_owned());
        assert_eq!(seen("192.0.2.1", &["198.51.100.7"]), None, "anybody can say so");
        assert_eq!(seen("10.0.0.1", &[]), None, "it calls for itself");
        assert_eq!(seen("10.0.0.1", &["198.51.100.7"]), found("198.51.100.7"));
        assert_eq!(seen("::ffff:10.0.0.1", &["198.51.100.7"]), found("198.51.100.7"));
        // What the client itself has claimed stands in front.
        assert_eq!(seen("10.0.0.1", &["127.0.0.1, 198.51.100.7, 10.9.9.9"]), found("198.51.100.7"));
        assert_eq!(seen("10.0.0.1", &["127.0.0.1", "198.51.100.7"]), found("198.51.100.7"));
        assert_eq!(seen("10.0.0.1", &["198.51.100.7, unknown, 10.9.9.9"]), found("10.9.9.9"), "behind what cannot be read");
        assert_eq!(seen("10.0.0.1", &["10.1.1.1, 10.2.2.2"]), found("10.1.1.1"));
        assert_eq!(seen("fd00::1", &["[2001:db8::7]:4711"]), found("2001:db8::7"));
        assert_eq!(seen("fd00::1", &["198.51.100.7:80"]), found("198.51.100.7"));
        assert_eq!(seen("fd00::2", &["198.51.100.7"]), None);
        assert_eq!(TrustedProxies::default().client("127.0.0.1".parse().unwrap(), &headers(&["198.51.100.7"])), None);
    }

    #[test]
    fn networks_are_addresses_or_less_than_all() {
        assert_eq!("127.0.0.1".parse::<Network>().unwrap().to_string(), "127.0.0.1/32");
        for wrong in ["0.0.0.0/0", "::/0", "localhost", "10.0.0.0/33", ""] {
            assert!(wrong.parse::<Network>().is_err(), "{wrong}");
        }
    }
}
