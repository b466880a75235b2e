//! Networks: as settings name them, and of peers.

use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use ipnet::{IpNet, Ipv4Net};

/// A network, `10.0.0.0/8`, or one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network(IpNet);

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let network = text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
        let network = network.map_err(|_| "must be an address or a network, such as 10.1.2.3 or 10.0.0.0/8".to_owned())?;
        let network = canonical(network);
        if network.prefix_len() == 0 {
            return Err("must not be all addresses: what anybody says would be believed".to_owned());
        }
        Ok(Self(network))
    }
}

/// Addresses of IPv4 are known as such, however they are written.
fn canonical(network: IpNet) -> IpNet {
    let of_ipv4 = match network.addr().to_canonical() {
        IpAddr::V4(address) => network.prefix_len().checked_sub(96).and_then(|length| Ipv4Net::new(address, length).ok()),
        IpAddr::V6(_) => None,
    };
    of_ipv4.map_or(network, IpNet::from)
}

impl Network {
    /// Whether an address belongs to it.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(&address)
    }
}

impl std::fmt::Display for Network {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(formatter)
    }
}

/// Whose address it is: in IPv6, one peer has a whole network of 64 bits.
#[must_use]
pub fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_addresses_or_less_than_all() {
        assert_eq!("127.0.0.1".parse::<Network>().unwrap().to_string(), "127.0.0.1/32");
        assert_eq!("::ffff:10.0.0.0/104".parse::<Network>().unwrap().to_string(), "10.0.0.0/8");
        for wrong in ["0.0.0.0/0", "::/0", "::ffff:0.0.0.0/96", "localhost", "10.0.0.0/33", ""] {
            assert!(wrong.parse::<Network>().is_err(), "{wrong}");
        }
    }
}
