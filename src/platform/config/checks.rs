//! What does not go together in the settings of a service: all of it, so that one look is enough.

use std::net::{IpAddr, SocketAddr};

use anyhow::{bail, ensure};

use super::{MetricsListen, NetworkOptions, ServeOptions};

impl ServeOptions {
    /// Refuses conflicting settings before anything is opened.
    pub fn validate(&self) -> anyhow::Result<()> {
        let problems: Vec<String> = self.problems().iter().map(|problem| format!("{problem:#}")).collect();
        ensure!(problems.is_empty(), "{}", problems.join("\n"));
        Ok(())
    }

    /// What does not go together.
    #[must_use]
    pub fn problems(&self) -> Vec<anyhow::Error> {
        let NetworkOptions { listen, metrics_listen: MetricsListen(metrics), .. } = self.network;
        let checks = [
            self.check_audit(),
            self.check_reachable("--listen", Some(listen)),
            self.check_reachable("--metrics-listen", metrics),
            self.check_http(),
            self.check_ports(),
            self.validate_console(),
            self.check_sign_in(),
            self.check_reachable("--public-listen", self.public.public_listen),
            self.validate_public(),
            self.store.validate(),
            self.billing.check_is_said(&self.store),
            self.billing.validate(),
            self.smtp.validate(),
            self.check_journal(),
        ];
        checks.into_iter().filter_map(Result::err).collect()
    }

    fn check_audit(&self) -> anyhow::Result<()> {
        ensure!(
            self.audit.audit_log.is_none() || self.billing_url().is_none(),
            "--audit-log is for --billing off: audit records are kept in the billing store, and tollgate audit lists them"
        );
        Ok(())
    }

    fn check_reachable(&self, option: &str, address: Option<SocketAddr>) -> anyhow::Result<()> {
        let Some(address) = address.filter(|address| !is_loopback(address)) else { return Ok(()) };
        ensure!(
            self.network.insecure || self.tls.tls_cert.is_some(),
            "{option} {address} can be reached from other machines: give --tls-cert and --tls-key, listen on 127.0.0.1, or pass --insecure if \
             the network keeps others out"
        );
        ensure!(self.store.test_clock.is_none(), "--test-clock is for tests on one machine: it cannot be used with {option} {address}");
        Ok(())
    }

    fn check_http(&self) -> anyhow::Result<()> {
        if let Some(address) = self.network.http_listen.filter(|address| !is_loopback(address)) {
            bail!("--http-listen {address} can be reached from other machines: listen on 127.0.0.1, behind a proxy that speaks TLS");
        }
        ensure!(
            self.network.http_url.as_deref().is_none_or(is_site),
            "--http-url must be a scheme and a host, such as https://api.example.org"
        );
        Ok(())
    }

    /// Refuses one port for two listeners. The console's is only asked for if somebody says so.
    fn check_ports(&self) -> anyhow::Result<()> {
        let NetworkOptions { listen, metrics_listen: MetricsListen(metrics), http_listen, health_listen, .. } = self.network;
        let console = self.console.console.and_then(|MetricsListen(address)| address);
        let listeners = [
            ("--listen", Some(listen)),
            ("--metrics-listen", metrics),
            ("--http-listen", http_listen),
            ("--health-listen", health_listen),
            ("--console", console),
            ("--public-listen", self.public.public_listen),
        ];
        let mut taken: Vec<(&str, SocketAddr)> = Vec::new();
        for (option, address) in listeners.into_iter().filter_map(|(option, address)| Some((option, address?))) {
            if let Some((other, its)) = taken.iter().find(|(_, its)| collide(its, &address)) {
                bail!("{option} {address} and {other} {its} are the same port: give each one of its own");
            }
            taken.push((option, address));
        }
        Ok(())
    }

    fn check_journal(&self) -> anyhow::Result<()> {
        ensure!(
            !self.journal.aggregate || self.billing_url().is_some(),
            "--aggregate needs a billing store to aggregate to: give --billing postgres://..."
        );
        ensure!(
            self.journal.journal_high_water.0.is_none_or(|most| most > self.billing.journal_tail),
            "--journal-high-water must be above --journal-tail: what stays in the journal would fill it"
        );
        Ok(())
    }
}

/// Whether a URL is a scheme and a host, and nothing more.
pub(super) fn is_site(url: &str) -> bool {
    let host = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte);
    host.is_some_and(|host| !host.is_empty() && host.bytes().all(is_plain))
}

fn is_loopback(address: &SocketAddr) -> bool {
    address.ip().to_canonical().is_loopback()
}

/// Whether only one of two listeners can have its address. Port 0 is any that is free.
fn collide(one: &SocketAddr, other: &SocketAddr) -> bool {
    let (one_ip, other_ip) = (one.ip().to_canonical(), other.ip().to_canonical());
    // `[::]` takes the port of IPv4, too; `0.0.0.0` leaves that of IPv6 alone.
    let takes = |ip: IpAddr, other: IpAddr| ip.is_unspecified() && (ip.is_ipv6() || other.is_ipv4());
    one.port() != 0 && one.port() == other.port() && (one_ip == other_ip || takes(one_ip, other_ip) || takes(other_ip, one_ip))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_port_is_for_one_listener() {
        let address = |text: &str| text.parse::<SocketAddr>().unwrap();
        for (one, other, expected) in [
            ("127.0.0.1:7600", "127.0.0.1:7600", true),
            ("127.0.0.1:7600", "127.0.0.2:7600", false),
            ("0.0.0.0:7600", "127.0.0.2:7600", true),
            ("0.0.0.0:7600", "[::1]:7600", false),
            ("[::1]:7600", "0.0.0.0:7600", false),
            ("[::]:7600", "0.0.0.0:7600", true),
            ("127.0.0.1:7600", "[::]:7600", true),
            ("[::ffff:127.0.0.1]:7600", "127.0.0.1:7600", true),
            ("127.0.0.1:0", "127.0.0.1:0", false),
        ] {
            assert_eq!(collide(&address(one), &address(other)), expected, "{one} {other}");
        }
    }
}
