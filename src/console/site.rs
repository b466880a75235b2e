//! The console's site: the addresses that a browser may name, and how it keeps a session.

use std::net::SocketAddr;

/// Where the console is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// How people open it, without a slash at the end.
    url: String,
    /// What a `Host` header may say.
    hosts: Vec<String>,
    /// Whether browsers speak TLS to it.
    pub is_secure: bool,
    port: u16,
}

impl Site {
    /// A console at an address, known by a URL if one is given.
    #[must_use]
    pub fn new(address: SocketAddr, has_tls: bool, url: Option<&str>) -> Self {
        let mut hosts = vec![address.to_string()];
        if address.ip().is_loopback() {
            hosts.push(format!("localhost:{}", address.port()));
        }
        let scheme = if has_tls { "https" } else { "http" };
        let url = url.map_or_else(|| format!("{scheme}://{address}"), str::to_ascii_lowercase);
        if let Some((scheme, host)) = url.split_once("://") {
            let port = if scheme == "https" { ":443" } else { ":80" };
            hosts.push(host.strip_suffix(port).unwrap_or(host).to_owned());
            hosts.push(host.to_owned());
        }
        Self { is_secure: url.starts_with("https://"), url, hosts, port: address.port() }
    }

    /// The URL of a path.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }

    /// The URL by which a secret signs in.
    #[must_use]
    pub fn sign_in_url(&self, secret: &str) -> String {
        self.url(&format!("/sign-in/link/{secret}"))
    }

    /// Whether it is called so.
    #[must_use]
    pub fn knows(&self, host: &str) -> bool {
        self.hosts.iter().any(|known| known.eq_ignore_ascii_case(host))
    }

    /// Whether pages of an origin are its own.
    #[must_use]
    pub fn is_own_origin(&self, origin: &str) -> bool {
        let scheme = if self.is_secure { "https://" } else { "http://" };
        origin.strip_prefix(scheme).is_some_and(|host| self.knows(host))
    }

    /// The name of its host, without a port.
    #[must_use]
    pub fn host(&self) -> &str {
        let host = self.url.split_once("://").map_or(self.url.as_str(), |(_, host)| host);
        host.rsplit_once(':').filter(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit())).map_or(host, |(host, _)| host)
    }

    /// The name of the session cookie. Cookies know no ports, so the name includes it: several consoles may run on one machine.
    #[must_use]
    pub fn cookie(&self) -> String {
        if self.is_secure { "__Host-tollgate".to_owned() } else { format!("tollgate-{}", self.port) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_known_by_its_address_and_its_url() {
        let local = Site::new("127.0.0.1:7603".parse().unwrap(), false, None);
        assert!(local.knows("127.0.0.1:7603") && local.knows("LocalHost:7603"));
        assert!(!local.knows("localhost") && !local.knows("rebound.example:7603") && !local.knows("localhost:7600"));
        assert!(local.is_own_origin("http://localhost:7603"));
        assert!(!local.is_own_origin("https://localhost:7603") && !local.is_own_origin("null"));
        let public = Site::new("0.0.0.0:443".parse().unwrap(), true, Some("https://console.example.org"));
        assert!(public.knows("console.example.org") && public.is_secure && public.cookie().starts_with("__Host-"));
        assert!(public.is_own_origin("https://console.example.org") && !public.is_own_origin("https://example.org"));
        assert_eq!((local.host(), public.host()), ("127.0.0.1", "console.example.org"));
        assert_eq!(public.sign_in_url("s"), "https://console.example.org/sign-in/link/s");
    }
}
