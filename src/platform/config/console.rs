//! Where the web console is served.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use anyhow::ensure;
use clap::Args;

use super::checks::is_site;
use super::{MetricsListen, ServeOptions};

const DEFAULT_CONSOLE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 7603);

/// Where the web console is served, and how people reach it.
#[derive(Args, Clone, Debug, Default, PartialEq)]
#[command(next_help_heading = "Console")]
pub struct ConsoleOptions {
    /// Serve the web console here; "off": nowhere [default: 127.0.0.1:7603 with the embedded engine, unless it is taken; with --redis
    /// nowhere]
    #[arg(long, env = "TOLLGATE_CONSOLE", value_name = "ADDRESS|off")]
    pub console: Option<MetricsListen>,
    /// The URL that people open the console by, where it is not its address. Other names are refused.
    #[arg(long, env = "TOLLGATE_CONSOLE_URL", value_name = "URL")]
    pub console_url: Option<String>,
}

impl ServeOptions {
    /// Where to serve the console, and whether that was not asked for.
    #[must_use]
    pub fn console(&self) -> Option<(SocketAddr, bool)> {
        match self.console.console {
            Some(MetricsListen(address)) => address.map(|address| (address, false)),
            None => self.store.redis.is_none().then_some((DEFAULT_CONSOLE, true)),
        }
    }

    /// Refuses conflicting settings of the console.
    pub(super) fn validate_console(&self) -> anyhow::Result<()> {
        ensure!(
            self.console.console_url.as_deref().is_none_or(is_site),
            "--console-url must be a scheme and a host, such as https://console.example.org"
        );
        let Some((address, _)) = self.console().filter(|(address, _)| !address.ip().to_canonical().is_loopback()) else { return Ok(()) };
        ensure!(
            self.network.insecure || self.tls.tls_cert.is_some(),
            "--console {address} can be reached from other machines: give --tls-cert and --tls-key, listen on 127.0.0.1, or pass --insecure \
             if the network keeps others out"
        );
        ensure!(self.store.test_clock.is_none(), "--test-clock is for tests on one machine: it cannot be used with --console {address}");
        ensure!(
            !address.ip().is_unspecified() || self.console.console_url.is_some(),
            "--console {address} has no name of its own: give --console-url, so that requests by other names are refused"
        );
        Ok(())
    }
}
