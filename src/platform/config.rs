//! Settings: one struct for each concern, from the command line or `TOLLGATE_*` in the environment.
//!
//! [`ServeOptions::default`] is what an empty command line gives (a test keeps it so), so a program that runs the service within its own
//! process starts from there. [`ServeOptions::validate`] says what does not go together. Nothing here opens or connects anything.

mod audit;
mod billing;
mod callers;
mod checks;
mod console;
mod listen;
mod public;
mod retention;
mod secret;
mod sign_in;
mod smtp;
mod store;
mod telemetry;
mod tls;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use crate::durability::Durability;
use crate::network::Network;
use clap::Args;
use jiff::tz::TimeZone;

pub use audit::AuditOptions;
pub use billing::{AggregateOptions, BillingOptions, BillingUrl, DocumentOptions, HighWater, JournalOptions, StoresOptions};
pub use callers::CallerOptions;
pub use console::ConsoleOptions;
pub use listen::MetricsListen;
pub use public::{LinkOptions, PublicOptions};
pub use retention::RetentionOptions;
pub use secret::Secret;
pub use sign_in::SignInOptions;
pub use smtp::{SmtpOptions, SmtpServer, SmtpTls, SmtpUrl};
pub use store::{CreateOptions, Purpose, RedisTlsOptions, RedisUrl};
pub(crate) use telemetry::opentelemetry;
pub use telemetry::{LogAccountIds, LogFormat, TelemetryOptions};
pub use tls::{ClientAuth, TlsOptions};

/// Where the embedded engine keeps its store, unless told otherwise.
pub const DEFAULT_STORE: &str = "tollgate.db";

const MAX_PARTITIONS: u16 = 1024;
const DEFAULT_LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 7600);
const DEFAULT_METRICS_LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 7601);
const DAY: Duration = Duration::from_hours(24);
const REQUEST_WINDOWS: std::ops::RangeInclusive<Duration> = Duration::from_mins(1)..=Duration::from_hours(24 * 31);

/// The settings of a service.
#[derive(Args, Clone, Debug, Default, PartialEq)]
pub struct ServeOptions {
    /// Where it listens.
    #[command(flatten)]
    pub network: NetworkOptions,
    /// The web console.
    #[command(flatten)]
    pub console: ConsoleOptions,
    /// Settings of signing in to it.
    #[command(flatten)]
    pub sign_in: SignInOptions,
    /// The listener for customers.
    #[command(flatten)]
    pub public: PublicOptions,
    /// The listeners' certificate, and whether they ask clients for one.
    #[command(flatten)]
    pub tls: TlsOptions,
    /// Where the ledger is kept.
    #[command(flatten)]
    pub store: StoreOptions,
    /// Whether it may be created.
    #[command(flatten)]
    pub create: CreateOptions,
    /// Where billing is kept, and how the journal gets there.
    #[command(flatten)]
    pub billing: BillingOptions,
    /// What it does with the journal.
    #[command(flatten)]
    pub journal: JournalOptions,
    /// The mail server.
    #[command(flatten)]
    pub smtp: SmtpOptions,
    /// What it records of who did what.
    #[command(flatten)]
    pub audit: AuditOptions,
    /// How much it does at once.
    #[command(flatten)]
    pub load: LoadOptions,
    /// How much of it each caller may have.
    #[command(flatten)]
    pub callers: CallerOptions,
    /// What it tells of itself.
    #[command(flatten)]
    pub telemetry: TelemetryOptions,
    /// Count as ready though the time of a partition is more than a minute ahead of the clock. It stands until the clock has caught up:
    /// till then reservations, temporary limits and billing periods end late.
    #[arg(long, env = "TOLLGATE_SERVE_AHEAD", help_heading = "Store")]
    pub serve_ahead: bool,
}

/// Where the service listens, and how it stops.
#[derive(Args, Clone, Debug, PartialEq)]
#[command(next_help_heading = "Network")]
pub struct NetworkOptions {
    /// Where to serve gRPC.
    #[arg(long, env = "TOLLGATE_LISTEN", default_value_t = DEFAULT_LISTEN, value_name = "ADDRESS")]
    pub listen: SocketAddr,
    /// Where to serve /metrics and /healthz over HTTP; "off": nowhere.
    #[arg(long, env = "TOLLGATE_METRICS_LISTEN", default_value_t = MetricsListen::default(), value_name = "ADDRESS|off")]
    pub metrics_listen: MetricsListen,
    /// Serve HTTP/JSON here too, on loopback only: POST /v1/charging/debit, and /openapi.json [default: nowhere]
    #[arg(long, env = "TOLLGATE_HTTP_LISTEN", value_name = "ADDRESS")]
    pub http_listen: Option<SocketAddr>,
    /// The URL that HTTP/JSON is called by, where it is not its address: that of a proxy. Other names are refused.
    #[arg(long, env = "TOLLGATE_HTTP_URL", value_name = "URL")]
    pub http_url: Option<String>,
    /// Believe these proxies, by address or network, where calls come from (X-Forwarded-For) and whether they came over TLS
    /// (X-Forwarded-Proto); may be given several times [default: nobody is believed]
    #[arg(long, env = "TOLLGATE_TRUSTED_PROXIES", value_delimiter = ',', value_name = "ADDRESS|NETWORK")]
    pub trusted_proxies: Vec<Network>,
    /// Serve health alone here, over gRPC and HTTP (/healthz, /livez), without TLS or credentials: for a kubelet [default: nowhere]
    #[arg(long, env = "TOLLGATE_HEALTH_LISTEN", value_name = "ADDRESS")]
    pub health_listen: Option<SocketAddr>,
    /// Show /metrics only to callers who may read the state of the aggregation (read_aggregation). Health needs no credentials.
    #[arg(long, env = "TOLLGATE_METRICS_CREDENTIALS")]
    pub metrics_credentials: bool,
    /// Let in only those whom this file names; `tollgate access` writes it. While it names nobody, everybody who reaches a listener may do
    /// everything, and listeners must be on loopback [default: everybody is let in]
    #[arg(long, env = "TOLLGATE_ACCESS_FILE", value_name = "PATH")]
    pub access_file: Option<PathBuf>,
    /// Listen beyond this machine without TLS or without --access-file: anyone who reaches the address may then listen in, or do everything.
    #[arg(long, env = "TOLLGATE_INSECURE")]
    pub insecure: bool,
    /// How long calls under way may take to end when the service stops.
    #[arg(long, env = "TOLLGATE_SHUTDOWN_GRACE", value_parser = humantime::parse_duration, default_value = "10s", value_name = "DURATION")]
    pub shutdown_grace: Duration,
}

/// Where the ledger is kept, and how a new store is set up.
#[derive(Args, Clone, Debug, PartialEq)]
#[command(next_help_heading = "Store")]
pub struct StoreOptions {
    /// Keep the ledger in Redis: `redis://[user:password@]host[:port][,host[:port]...][/database]` (a cluster is found by any of its
    /// nodes), the same with `rediss://` for TLS, `redis+unix:///path`, or
    /// `redis+sentinel://[user:password@]host[:port][,...]/name[/database]`. Put a password into the environment, not on the command line.
    #[arg(long, env = "TOLLGATE_REDIS", hide_env_values = true, value_name = "URL", conflicts_with = "store")]
    pub redis: Option<RedisUrl>,
    /// TLS to it.
    #[command(flatten)]
    pub redis_tls: RedisTlsOptions,
    /// Keep the ledger in this file, by the embedded engine [default: tollgate.db, unless --redis is given]
    #[arg(long, env = "TOLLGATE_STORE", value_name = "PATH")]
    pub store: Option<PathBuf>,
    /// Prefix of the store's keys in Redis.
    #[arg(long, env = "TOLLGATE_STORE_NAME", default_value = "tollgate", value_name = "NAME")]
    pub store_name: String,
    /// How many partitions the store in Redis has; fixed when it is initialized [default: as many as it has; a new one 4, or 8 in a cluster]
    #[arg(long, env = "TOLLGATE_PARTITIONS", value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..=i64::from(MAX_PARTITIONS)))]
    pub partitions: Option<u16>,
    /// The IANA time zone whose calendar months are the billing periods; fixed when the store is initialized.
    #[arg(long, env = "TOLLGATE_BILLING_TIME_ZONE", default_value = "UTC", value_parser = parse_time_zone, value_name = "ZONE")]
    pub billing_time_zone: TimeZone,
    /// How long request ids are remembered at least, 1m to 31d; fixed when the store is initialized.
    #[arg(long, env = "TOLLGATE_REQUEST_WINDOW", default_value = "24h", value_parser = parse_request_window, value_name = "DURATION")]
    pub request_window: Duration,
    /// How long Redis may take to answer.
    #[arg(long, env = "TOLLGATE_REDIS_TIMEOUT", value_parser = humantime::parse_duration, default_value = "1s", value_name = "DURATION")]
    pub redis_timeout: Duration,
    /// What an acknowledgement proves: that the store has it (engine), that it is on the store's disk (disk; of a Redis, `appendfsync
    /// always`), that N replicas have it, too (`replicas:N`), or that it is on the disks of the store and of N replicas (`replicas-disk:N`;
    /// Redis 7.2 or newer, or Valkey). Servers that cannot prove it are refused.
    #[arg(long, env = "TOLLGATE_DURABILITY", default_value_t, value_name = "engine|disk|replicas:N|replicas-disk:N")]
    pub durability: Durability,
    /// How long replicas may take; what they do not have then is answered by UNAVAILABLE, DURABILITY_UNKNOWN.
    #[arg(long, env = "TOLLGATE_DURABILITY_TIMEOUT", value_parser = humantime::parse_duration, default_value = "300ms", value_name = "DURATION")]
    pub durability_timeout: Duration,
    /// Where one lonely command follows another: for how long to look out for its answer without sleep; 0s: never. Waking up can take
    /// longer than an answer.
    #[arg(long, env = "TOLLGATE_REDIS_BUSY_POLL", value_parser = humantime::parse_duration, default_value = "0s", value_name = "DURATION")]
    pub redis_busy_poll: Duration,
    /// For tests, on loopback only: the time is what this file says (RFC 3339), read again a few times a second.
    #[arg(long, env = "TOLLGATE_TEST_CLOCK", value_name = "PATH")]
    pub test_clock: Option<PathBuf>,
}

/// The least age at which connections are made anew.
const MIN_CONNECTION_AGE: Duration = Duration::from_secs(1);

/// How much the service does at once.
#[derive(Args, Clone, Debug, PartialEq)]
#[command(next_help_heading = "Load")]
pub struct LoadOptions {
    /// How many threads serve calls [default: half of the cores]
    #[arg(long, env = "TOLLGATE_LANES", value_name = "COUNT")]
    pub lanes: Option<NonZeroUsize>,
    /// How many calls may wait for their answer, over all lanes; more are refused at once (RESOURCE_EXHAUSTED).
    #[arg(long, env = "TOLLGATE_MAX_CONCURRENT_REQUESTS", default_value = "10000", value_name = "COUNT")]
    pub max_concurrent_requests: NonZeroUsize,
    /// How many connections may be open; more are closed at once.
    #[arg(long, env = "TOLLGATE_MAX_CONNECTIONS", default_value = "4096", value_name = "COUNT")]
    pub max_connections: NonZeroUsize,
    /// After how long a connection is to be made anew (GOAWAY; calls under way end), give or take 10 %, so that load spreads over processes
    /// that were added [default: never]
    #[arg(long, env = "TOLLGATE_MAX_CONNECTION_AGE", value_parser = parse_connection_age, value_name = "DURATION")]
    pub max_connection_age: Option<Duration>,
    /// How long streams may stay on such a connection before it is closed.
    #[arg(
        long,
        env = "TOLLGATE_MAX_CONNECTION_AGE_GRACE",
        value_parser = humantime::parse_duration,
        default_value = "5m",
        value_name = "DURATION"
    )]
    pub max_connection_age_grace: Duration,
}

fn parse_connection_age(text: &str) -> Result<Duration, String> {
    let age = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    if age >= MIN_CONNECTION_AGE { Ok(age) } else { Err(format!("a connection must live for {MIN_CONNECTION_AGE:?} at least")) }
}

impl Default for NetworkOptions {
    fn default() -> Self {
        Self {
            listen: DEFAULT_LISTEN,
            metrics_listen: MetricsListen::default(),
            http_listen: None,
            http_url: None,
            trusted_proxies: Vec::new(),
            health_listen: None,
            metrics_credentials: false,
            access_file: None,
            insecure: false,
            shutdown_grace: Duration::from_secs(10),
        }
    }
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            redis: None,
            redis_tls: RedisTlsOptions::default(),
            store: None,
            store_name: "tollgate".to_owned(),
            partitions: None,
            billing_time_zone: TimeZone::UTC,
            request_window: DAY,
            redis_timeout: Duration::from_secs(1),
            durability: Durability::Engine,
            durability_timeout: Duration::from_millis(300),
            redis_busy_poll: Duration::ZERO,
            test_clock: None,
        }
    }
}

impl Default for LoadOptions {
    fn default() -> Self {
        let count = |count| NonZeroUsize::new(count).unwrap_or(NonZeroUsize::MIN);
        Self {
            lanes: None,
            max_concurrent_requests: count(10_000),
            max_connections: count(4096),
            max_connection_age: None,
            max_connection_age_grace: Duration::from_mins(5),
        }
    }
}

impl ServeOptions {
    /// The first listener for calls that other machines can reach.
    #[must_use]
    pub fn reachable_listener(&self) -> Option<SocketAddr> {
        let listeners = [Some(self.network.listen), self.network.http_listen];
        listeners.into_iter().flatten().find(|address| !address.ip().to_canonical().is_loopback())
    }

    /// Whether other machines can reach a listener that keys or passwords are sent to.
    #[must_use]
    pub fn takes_secrets_from_elsewhere(&self) -> bool {
        let is_reachable = |address: SocketAddr| !address.ip().to_canonical().is_loopback();
        let MetricsListen(metrics) = self.network.metrics_listen;
        self.reachable_listener().is_some()
            || self.console().is_some_and(|(address, _)| is_reachable(address))
            || (self.network.metrics_credentials && metrics.is_some_and(is_reachable))
    }

    /// The URL of the billing store, if there is to be one.
    #[must_use]
    pub fn billing_url(&self) -> Option<String> {
        self.billing.url(self.store.embedded_path().as_deref())
    }

    /// Whether this process aggregates.
    #[must_use]
    pub fn aggregates(&self) -> bool {
        self.billing_url().is_some() && (self.store.redis.is_none() || self.journal.aggregate)
    }
}

impl StoreOptions {
    /// The file of the embedded engine, if that is used.
    #[must_use]
    pub fn embedded_path(&self) -> Option<PathBuf> {
        self.redis.is_none().then(|| self.path())
    }

    /// The file of the embedded engine.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.store.clone().unwrap_or_else(|| PathBuf::from(DEFAULT_STORE))
    }

    /// The name of the billing time zone.
    #[must_use]
    pub fn billing_time_zone_name(&self) -> &str {
        self.billing_time_zone.iana_name().unwrap_or("UTC")
    }

    /// Refuses conflicting settings before anything is opened.
    pub fn validate(&self) -> anyhow::Result<()> {
        match &self.redis {
            Some(url) => {
                url.validate()?;
                anyhow::ensure!(
                    url.is_tls() || self.redis_tls == RedisTlsOptions::default(),
                    "--redis-ca, --redis-cert and --redis-server-name are for TLS: --redis rediss://..."
                );
                anyhow::ensure!(
                    self.redis_tls.redis_cert.is_some() == self.redis_tls.redis_key.is_some(),
                    "--redis-cert and --redis-key belong together"
                );
                anyhow::ensure!(
                    self.durability.replicas().is_none() || self.durability_timeout < self.redis_timeout,
                    "--durability-timeout must be below --redis-timeout"
                );
                anyhow::ensure!(
                    self.durability_timeout >= Duration::from_millis(1),
                    "--durability-timeout must be 1ms at least: none would wait for ever"
                );
                Ok(())
            }
            None => {
                anyhow::ensure!(
                    self.partitions.is_none_or(|count| count == 1),
                    "--partitions is for a store in Redis: the embedded engine has one partition"
                );
                anyhow::ensure!(
                    self.durability.replicas().is_none(),
                    "--durability {} is for a store in Redis: the embedded engine has no replicas",
                    self.durability
                );
                Ok(())
            }
        }
    }
}

impl LoadOptions {
    /// How many lanes to run.
    #[must_use]
    pub fn lanes(&self) -> usize {
        let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        self.lanes.map_or((cores / 2).max(1), NonZeroUsize::get)
    }
}

fn parse_time_zone(text: &str) -> Result<TimeZone, String> {
    let zone = TimeZone::get(text).map_err(|_| "not the name of an IANA time zone, such as Europe/Berlin".to_owned())?;
    if zone.iana_name().is_some() { Ok(zone) } else { Err("a time zone without a name cannot be kept in the store".to_owned()) }
}

fn parse_request_window(text: &str) -> Result<Duration, String> {
    let window = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    if REQUEST_WINDOWS.contains(&window) { Ok(window) } else { Err("not within 1m and 31d".to_owned()) }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct CommandLine {
        #[command(flatten)]
        options: ServeOptions,
    }

    fn parse(arguments: &[&str]) -> Result<ServeOptions, clap::Error> {
        CommandLine::try_parse_from(std::iter::once(&"tollgate").chain(arguments)).map(|line| line.options)
    }

    #[test]
    fn an_empty_command_line_gives_the_defaults() {
        assert_eq!(parse(&[]).unwrap(), ServeOptions::default());
    }

    #[test]
    fn beyond_this_machine_only_on_purpose() {
        for option in ["--listen", "--metrics-listen"] {
            assert!(parse(&[option, "0.0.0.0:7699"]).unwrap().validate().is_err());
            assert!(parse(&[option, "0.0.0.0:7699", "--insecure"]).unwrap().validate().is_ok());
            assert!(parse(&[option, "0.0.0.0:7699", "--insecure", "--test-clock", "now"]).unwrap().validate().is_err());
            assert!(parse(&[option, "[::1]:7699"]).unwrap().validate().is_ok());
        }
        assert!(parse(&["--http-listen", "0.0.0.0:7602", "--insecure"]).unwrap().validate().is_err());
        assert!(parse(&["--http-listen", "127.0.0.1:7602"]).unwrap().validate().is_ok());
        assert_eq!(parse(&["--metrics-listen", "off"]).unwrap().network.metrics_listen.0, None);
    }

    #[test]
    fn a_password_is_never_shown() {
        for url in ["redis://user:hunter2@host:6380/3", "redis+unix:///run/redis.sock?pass=hunter2", "rediss://:hunter2@host", "hunter2"] {
            let options = parse(&["--redis", url]).unwrap();
            let shown = format!("{options:?} {} {:?}", options.store.redis.as_ref().unwrap(), options.validate());
            assert!(!shown.contains("hunter2"), "{shown}");
        }
        assert_eq!("redis://user:hunter2@host:6380/3".parse::<RedisUrl>().unwrap().to_string(), "Redis at host:6380, database 3");
    }

    #[test]
    fn what_cannot_be_is_refused() {
        for arguments in [
            ["--request-window", "59s"],
            ["--request-window", "32d"],
            ["--billing-time-zone", "Mars/Olympus"],
            ["--trace-ratio", "1.1"],
            ["--lanes", "0"],
            ["--partitions", "0"],
        ] {
            assert!(parse(&arguments).is_err(), "{arguments:?}");
        }
        assert!(parse(&["--redis", "redis://host", "--store", "file"]).is_err());
        assert!(parse(&["--redis", "redis://host", "--redis-ca", "file"]).unwrap().validate().is_err());
        for arguments in [["--redis", "http://host"], ["--partitions", "4"]] {
            assert!(parse(&arguments).unwrap().validate().is_err(), "{arguments:?}");
        }
    }
}
