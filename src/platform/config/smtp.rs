//! The mail server that takes the mail: where it is, and how much it is given at once. Its password is never on the command line.

use std::convert::Infallible;
use std::fmt;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use clap::Args;
use percent_encoding::percent_decode_str;
use url::Url;

use super::Secret;

/// The mail server. Without one, mail waits.
#[derive(Args, Clone, Debug, PartialEq)]
#[command(next_help_heading = "Mail")]
pub struct SmtpOptions {
    /// Give mail to this server: `smtp://[user@]host[:587][?tls=required|opportunistic|none]`, or `smtps://[user@]host[:465]`. The user's
    /// password is in TOLLGATE_SMTP_PASSWORD, or in a file [default: none; mail waits]
    #[arg(long, env = "TOLLGATE_SMTP_URL", value_name = "URL")]
    pub smtp_url: Option<SmtpUrl>,
    /// The user's password: from the environment, or from a file by TOLLGATE_SMTP_PASSWORD_FILE. It is refused on the command line, which
    /// everybody on this machine can read.
    #[arg(long, env = "TOLLGATE_SMTP_PASSWORD", hide_env_values = true, value_name = "PASSWORD")]
    pub smtp_password: Option<Secret>,
    /// Accept a certificate of the mail server that these authorities have signed, in a PEM file, besides those that this machine trusts.
    #[arg(long, env = "TOLLGATE_SMTP_CA", value_name = "FILE")]
    pub smtp_ca: Option<PathBuf>,
    /// How many mails the server is given in a second.
    #[arg(long, env = "TOLLGATE_SMTP_RATE", default_value = "10", value_name = "COUNT")]
    pub smtp_rate: NonZeroU32,
    /// How many mails are under way at once, each over a connection of its own.
    #[arg(long, env = "TOLLGATE_SMTP_CONNECTIONS", default_value = "4", value_name = "COUNT")]
    pub smtp_connections: NonZeroU32,
    /// How many mails are under way at once to one domain.
    #[arg(long, env = "TOLLGATE_SMTP_PER_DOMAIN", default_value = "2", value_name = "COUNT")]
    pub smtp_per_domain: NonZeroU32,
    /// How long to wait before a mail that failed is tried again; twice as long each time, up to 4 hours.
    #[arg(long, env = "TOLLGATE_SMTP_RETRY", value_parser = humantime::parse_duration, default_value = "1m", value_name = "DURATION")]
    pub smtp_retry: Duration,
}

impl Default for SmtpOptions {
    fn default() -> Self {
        Self {
            smtp_url: None,
            smtp_password: None,
            smtp_ca: None,
            smtp_rate: NonZeroU32::MIN.saturating_add(9),
            smtp_connections: NonZeroU32::MIN.saturating_add(3),
            smtp_per_domain: NonZeroU32::MIN.saturating_add(1),
            smtp_retry: Duration::from_mins(1),
        }
    }
}

/// Whether the way to the mail server is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SmtpTls {
    /// From the first byte.
    Implicit,
    /// By STARTTLS, or not at all.
    Required,
    /// By STARTTLS, if the server has it.
    Opportunistic,
    /// Never.
    None,
}

/// A mail server.
#[derive(Clone, PartialEq, Eq)]
pub struct SmtpServer {
    /// Its name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Whether the way to it is encrypted.
    pub tls: SmtpTls,
    /// The user and the password to sign in with; `None` if nobody signs in.
    pub login: Option<(String, String)>,
}

impl fmt::Debug for SmtpServer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "SmtpServer({}:{})", self.host, self.port)
    }
}

impl SmtpOptions {
    /// The mail server; `None` if there is none. Reads the password.
    pub fn server(&self) -> anyhow::Result<Option<SmtpServer>> {
        let Some(url) = &self.smtp_url else { return Ok(None) };
        let (mut server, user) = url.read()?;
        if let Some(user) = user {
            let password = self.smtp_password.clone().with_context(|| {
                format!("--smtp-url names the user {user}, and no password is given: TOLLGATE_SMTP_PASSWORD, or a file by TOLLGATE_SMTP_PASSWORD_FILE")
            })?;
            ensure!(
                server.tls != SmtpTls::None || is_loopback(&server.host),
                "--smtp-url {url} would send the password for everybody to read: tls must not be none"
            );
            server.login = Some((user, password.reveal().to_owned()));
        }
        Ok(Some(server))
    }

    /// Refuses wrong settings before anything is opened.
    pub fn validate(&self) -> anyhow::Result<()> {
        if let Some(url) = &self.smtp_url {
            url.read()?;
        }
        ensure!(!self.smtp_retry.is_zero(), "--smtp-retry must be more than 0s");
        Ok(())
    }
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// The URL of a mail server.
#[derive(Clone, PartialEq, Eq)]
pub struct SmtpUrl(String);

impl SmtpUrl {
    /// The server, and the user to sign in as.
    fn read(&self) -> anyhow::Result<(SmtpServer, Option<String>)> {
        const TAKES: &str = "--smtp-url takes smtp://[user@]host[:port][?tls=required|opportunistic|none], or smtps://[user@]host[:port]";
        let url = Url::parse(&self.0).ok().filter(|url| ["smtp", "smtps"].contains(&url.scheme())).context(TAKES)?;
        ensure!(
            url.password().is_none(),
            "--smtp-url has a password in it, which everybody on this machine can read: put it into TOLLGATE_SMTP_PASSWORD, or a file"
        );
        let host = url.host_str().context(TAKES)?.to_owned();
        ensure!(["", "/"].contains(&url.path()), TAKES);
        let mut tls = if url.scheme() == "smtps" { SmtpTls::Implicit } else { SmtpTls::Required };
        for (name, value) in url.query_pairs() {
            tls = match (url.scheme(), &*name, &*value) {
                ("smtp", "tls", "required") => SmtpTls::Required,
                ("smtp", "tls", "opportunistic") => SmtpTls::Opportunistic,
                ("smtp", "tls", "none") => SmtpTls::None,
                _ => bail!(TAKES),
            };
        }
        let port = url.port().unwrap_or(if tls == SmtpTls::Implicit { 465 } else { 587 });
        // Users are often addresses: "%40" is "@".
        let user = Some(percent_decode_str(url.username()).decode_utf8_lossy().into_owned()).filter(|user| !user.is_empty());
        Ok((SmtpServer { host, port, tls, login: None }, user))
    }
}

impl FromStr for SmtpUrl {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for SmtpUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.read() {
            Ok((server, _)) => write!(formatter, "{}:{}", server.host, server.port),
            Err(_) => formatter.write_str("a mail server"),
        }
    }
}

impl fmt::Debug for SmtpUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "SmtpUrl({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(url: &str) -> anyhow::Result<(SmtpServer, Option<String>)> {
        SmtpUrl(url.to_owned()).read()
    }

    #[test]
    fn a_url_says_where_and_how() {
        let (server, user) = read("smtp://billing%40nordlicht.example@mail.example").unwrap();
        assert_eq!((server.host.as_str(), server.port, server.tls), ("mail.example", 587, SmtpTls::Required));
        assert_eq!(user.unwrap(), "billing@nordlicht.example");
        let (server, user) = read("smtps://mail.example").unwrap();
        assert_eq!((server.port, server.tls, user), (465, SmtpTls::Implicit, None));
        assert_eq!(read("smtp://127.0.0.1:25?tls=none").unwrap().0.tls, SmtpTls::None);
    }

    #[test]
    fn a_wrong_url_is_refused_and_no_password_is_shown() {
        for wrong in [
            "mail.example",
            "http://mail.example",
            "smtp://a:hunter2@mail.example",
            "smtps://a?tls=none",
            "smtp://a?tls=maybe",
            "smtp://a/b",
        ] {
            let error = read(wrong).unwrap_err().to_string();
            assert!(!error.contains("hunter2"), "{error}");
            assert!(!format!("{:?} {}", SmtpUrl(wrong.to_owned()), SmtpUrl(wrong.to_owned())).contains("hunter2"));
        }
    }

    #[test]
    fn a_password_goes_over_no_open_way() {
        let options = |url: &str| SmtpOptions {
            smtp_url: Some(SmtpUrl(url.to_owned())),
            smtp_password: Some("hunter2".parse().unwrap()),
            ..SmtpOptions::default()
        };
        assert!(!format!("{:?}", options("smtp://a@mail.example")).contains("hunter2"));
        assert!(options("smtp://a@mail.example?tls=none").server().is_err());
        let server = options("smtp://a@mail.example").server().unwrap().unwrap();
        assert_eq!(server.login, Some(("a".to_owned(), "hunter2".to_owned())));
        assert!(!format!("{server:?}").contains("hunter2"));
    }
}
