//! What the URL of a Redis names: one server, several of a cluster, or sentinels and the primary that they know.

use std::fmt;

use redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo, RedisConnectionInfo};

/// The servers that a URL names.
#[derive(Clone, Debug)]
pub struct RedisPlace {
    /// Where they are.
    pub addresses: Vec<ConnectionAddr>,
    /// Who logs in, and to which database.
    pub login: RedisConnectionInfo,
    /// The name by which sentinels know the primary, if these are sentinels.
    pub primary: Option<String>,
    /// Who logs in to sentinels: they know no user of the servers.
    pub sentinel_login: RedisConnectionInfo,
    /// Whether they are reached over TLS.
    pub is_tls: bool,
}

impl RedisPlace {
    /// Reads `redis://[user:password@]host[:port][,host[:port]…][/database]`, the same with `rediss://`, `redis+unix:///path`, or
    /// `redis+sentinel://[user:password@]host[:port][,…]/primary[/database][?sentinel-user=…&sentinel-password=…]`, the same with
    /// `rediss+sentinel://`. `None` if it is none of these.
    #[must_use]
    pub fn parse(url: &str) -> Option<Self> {
        let (scheme, rest) = url.split_once("://")?;
        let is_sentinel = scheme.ends_with("+sentinel");
        match scheme {
            "redis+unix" => return Self::of(vec![url.into_connection_info().ok()?], None, false),
            "redis" | "rediss" | "redis+sentinel" | "rediss+sentinel" => {}
            _ => return None,
        }
        let (login, rest) = rest.rsplit_once('@').map_or(("", rest), |(login, rest)| (login, rest));
        let (hosts, mut path) = rest.split_once('/').unwrap_or((rest, ""));
        let (mut primary, mut sentinel_login) = (None, RedisConnectionInfo::default());
        if is_sentinel {
            let (before, query) = path.split_once('?').unwrap_or((path, ""));
            sentinel_login = login_of(query)?;
            path = before;
            let (name, database) = path.split_once('/').unwrap_or((path, ""));
            if name.is_empty() {
                return None;
            }
            (primary, path) = (Some(name.to_owned()), database);
        }
        let servers = hosts.split(',').map(|host| {
            let login = if login.is_empty() { String::new() } else { format!("{login}@") };
            // An empty host would be that of the next server's misprint.
            let has_name = !host.is_empty() && !host.starts_with(':');
            let port = if is_sentinel && !has_port(host) { ":26379" } else { "" };
            // TLS is made elsewhere; the client only speaks over what it is given.
            has_name.then(|| format!("redis://{login}{host}{port}/{path}").as_str().into_connection_info().ok()).flatten()
        });
        let place = Self::of(servers.collect::<Option<_>>()?, primary, scheme.starts_with("rediss"))?;
        Some(Self { sentinel_login, ..place })
    }

    fn of(servers: Vec<ConnectionInfo>, primary: Option<String>, is_tls: bool) -> Option<Self> {
        let login = servers.first()?.redis_settings().clone();
        let (addresses, sentinel_login) = (servers.iter().map(|server| server.addr().clone()).collect(), RedisConnectionInfo::default());
        Some(Self { addresses, login, primary, sentinel_login, is_tls })
    }
}

/// Who logs in to sentinels, by the part of the URL behind the question mark. `None` if it says something else.
fn login_of(query: &str) -> Option<RedisConnectionInfo> {
    let (mut user, mut password) = ("", "");
    for part in query.split('&').filter(|part| !part.is_empty()) {
        match part.split_once('=')? {
            ("sentinel-user", text) => user = text,
            ("sentinel-password", text) => password = text,
            _ => return None,
        }
    }
    if user.is_empty() && password.is_empty() {
        return Some(RedisConnectionInfo::default());
    }
    // Escaped as in the login of a URL.
    Some(format!("redis://{user}:{password}@sentinel").as_str().into_connection_info().ok()?.redis_settings().clone())
}

/// Whether a host names its port: an address of IPv6 has brackets.
fn has_port(host: &str) -> bool {
    host.rsplit_once(':').is_some_and(|(_, port)| !port.ends_with(']'))
}

impl fmt::Display for RedisPlace {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let addresses: Vec<_> = self.addresses.iter().map(ToString::to_string).collect();
        let (addresses, database) = (addresses.join(", "), self.login.db());
        match &self.primary {
            Some(primary) => write!(formatter, "Redis {primary:?} of the sentinels at {addresses}, database {database}"),
            None => write!(formatter, "Redis at {addresses}, database {database}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_server_seeds_and_sentinels_are_read() {
        let shown = |url: &str| RedisPlace::parse(url).map(|place| (place.to_string(), place.is_tls));
        for (url, expected) in [
            ("redis://user:p@host:6380/3", "Redis at host:6380, database 3"),
            ("redis://a:1,b:2", "Redis at a:1, b:2, database 0"),
            ("redis+unix:///run/redis.sock", "Redis at /run/redis.sock, database 0"),
            ("redis+sentinel://:p@a,b:5/main/2", "Redis \"main\" of the sentinels at a:26379, b:5, database 2"),
        ] {
            assert_eq!(shown(url), Some((expected.to_owned(), false)), "{url}");
        }
        assert_eq!(shown("rediss://a:1,b:2"), Some(("Redis at a:1, b:2, database 0".to_owned(), true)));
        for url in ["http://host", "redis://a:1,,b:2", "redis://", "redis+sentinel://a:1", "redis+sentinel://a:1/", "redis://a:x", "a:1"] {
            assert_eq!(shown(url), None, "{url}");
        }
    }

    #[test]
    fn who_logs_in_to_sentinels_is_said_apart() {
        let login = |url: &str| {
            let place = RedisPlace::parse(url)?;
            let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
            let (servers, sentinels) = (&place.login, &place.sentinel_login);
            Some([servers.username(), servers.password(), sentinels.username(), sentinels.password()].map(text))
        };
        let url = "redis+sentinel://user:p@a,b/main";
        let said = |texts: [&str; 4]| Some(texts.map(str::to_owned));
        assert_eq!(login(url), said(["user", "p", "", ""]));
        assert_eq!(login(&format!("{url}?sentinel-password=s%26s")), said(["user", "p", "", "s&s"]));
        assert_eq!(login(&format!("{url}/2?sentinel-user=w&sentinel-password=s")), said(["user", "p", "w", "s"]));
        assert_eq!(login(&format!("{url}?sentinel-passphrase=s")), None);
        assert!(!RedisPlace::parse(&format!("{url}?sentinel-password=quiet")).unwrap().to_string().contains("quiet"));
    }

    #[test]
    fn who_logs_in_is_the_same_at_every_server() {
        let place = RedisPlace::parse("rediss://user:p%40ss@a:1,b:2/1").unwrap();
        assert_eq!((place.login.username(), place.login.password(), place.login.db()), (Some("user"), Some("p@ss"), 1));
    }
}
