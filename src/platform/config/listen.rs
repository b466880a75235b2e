//! A listener that there need not be.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

use super::DEFAULT_METRICS_LISTEN;

/// Where to serve metrics, if anywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MetricsListen(pub Option<SocketAddr>);

impl Default for MetricsListen {
    fn default() -> Self {
        Self(Some(DEFAULT_METRICS_LISTEN))
    }
}

impl FromStr for MetricsListen {
    type Err = std::net::AddrParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "off" { Ok(Self(None)) } else { text.parse().map(|address| Self(Some(address))) }
    }
}

impl fmt::Display for MetricsListen {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(address) => address.fmt(formatter),
            None => formatter.write_str("off"),
        }
    }
}
