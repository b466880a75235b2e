//! Where the ledger is kept, and what for: the URL of a Redis, and whether a ledger may be created.

use std::convert::Infallible;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};

use crate::redis_place::RedisPlace;

/// Whether a ledger is created where there is none.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
#[command(next_help_heading = "Store")]
pub struct CreateOptions {
    /// Create the ledger if there is none, unless the billing store knows one that was lost. Without it, an empty Redis is refused; the
    /// embedded engine creates its file where neither that nor the billing store's is there.
    #[arg(long, env = "TOLLGATE_CREATE")]
    pub create: bool,
    /// What a ledger that is created is for.
    #[arg(skip)]
    pub purpose: Purpose,
}

/// What a ledger was created for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Purpose {
    /// Charging customers.
    #[default]
    Charging,
    /// `tollgate demo`, which makes up customers and moves the time.
    Demo,
    /// `tollgate bench`, which makes thousands of accounts.
    Bench,
}

impl Purpose {
    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Charging => "charging",
            Self::Demo => "demo",
            Self::Bench => "bench",
        }
    }
}

/// TLS to Redis, by `rediss://`.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
#[command(next_help_heading = "Store")]
pub struct RedisTlsOptions {
    /// With --redis rediss://: trust the authorities in this PEM file [default: those of this machine]
    #[arg(long, env = "TOLLGATE_REDIS_CA", value_name = "FILE", requires = "redis")]
    pub redis_ca: Option<PathBuf>,
    /// With --redis rediss://: show the client certificate in this PEM file. Read for each new connection, as its key is.
    #[arg(long, env = "TOLLGATE_REDIS_CERT", value_name = "FILE", requires = "redis_key")]
    pub redis_cert: Option<PathBuf>,
    /// The private key of the client certificate, a PEM file that only its owner can read.
    #[arg(long, env = "TOLLGATE_REDIS_KEY", value_name = "FILE", requires = "redis_cert")]
    pub redis_key: Option<PathBuf>,
    /// With --redis rediss://: the name that Redis's certificate must have [default: the host of the URL]
    #[arg(long, env = "TOLLGATE_REDIS_SERVER_NAME", value_name = "NAME", requires = "redis")]
    pub redis_server_name: Option<String>,
}

/// The URL of a Redis, which may hold a password: shown without it.
///
/// Anything parses, because clap repeats what does not parse in its message; `ServeOptions::validate` refuses what is no such URL.
#[derive(Clone, PartialEq, Eq)]
pub struct RedisUrl(String);

impl RedisUrl {
    /// The URL with its secrets: for connecting, not for logs.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Whether it is reached over TLS.
    #[must_use]
    pub fn is_tls(&self) -> bool {
        self.0.starts_with("rediss")
    }

    pub(super) fn validate(&self) -> anyhow::Result<()> {
        anyhow::ensure!(
            RedisPlace::parse(&self.0).is_some(),
            "--redis takes redis://[user:password@]host[:port][,host[:port]...][/database], the same with rediss:// for TLS, \
             redis+unix:///path, or redis+sentinel://[user:password@]host[:port][,...]/primary[/database]"
        );
        Ok(())
    }
}

impl FromStr for RedisUrl {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for RedisUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match RedisPlace::parse(&self.0) {
            Some(place) => place.fmt(formatter),
            None => formatter.write_str("a Redis"),
        }
    }
}

impl fmt::Debug for RedisUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "RedisUrl({self})")
    }
}
