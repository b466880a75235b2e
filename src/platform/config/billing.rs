//! Settings of billing: where its store is, how it is filled, and what stands on every document.

use std::convert::Infallible;
use std::fmt;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use clap::Args;

use super::{LinkOptions, MetricsListen, RetentionOptions, SmtpOptions, StoreOptions, TelemetryOptions, TlsOptions};

/// How many committed entries stay in the journal, unless told otherwise.
const DEFAULT_TAIL: u64 = 80_000;

/// How many entries the journal may hold, unless told otherwise.
const DEFAULT_HIGH_WATER: u64 = 10_000_000;

/// How many idle accounts may be closed in a second, unless told otherwise.
const DEFAULT_CLOSES: NonZeroU32 = NonZeroU32::MIN.saturating_add(1_999);

const LEASES: std::ops::RangeInclusive<Duration> = Duration::from_millis(500)..=Duration::from_mins(10);

/// The billing store, and how the journal gets there.
#[derive(Args, Clone, Debug, PartialEq)]
#[command(next_help_heading = "Billing")]
pub struct BillingOptions {
    /// Where usage records, invoices and payments are kept: `postgres://[user[:password]@]host[:port]/database` or `sqlite://path`; "off":
    /// nowhere, and with --redis usage records are discarded without billing, but for the newest entries of the journal. Put a password
    /// into the environment, not on the command line [default: a file beside the store of the embedded engine; with --redis it must be given]
    #[arg(long, env = "TOLLGATE_BILLING", hide_env_values = true, value_name = "URL|off")]
    pub billing: Option<BillingUrl>,
    /// For how long a partition stays claimed by an aggregator that gives no sign of life, 500ms to 10m.
    #[arg(long, env = "TOLLGATE_AGGREGATION_LEASE", default_value = "10s", value_parser = parse_lease, value_name = "DURATION")]
    pub aggregation_lease: Duration,
    /// How many committed entries stay in the journal of the store, of each partition an equal share; on Redis with --billing off: how many
    /// there are at all.
    #[arg(long, env = "TOLLGATE_JOURNAL_TAIL", default_value_t = DEFAULT_TAIL, value_name = "COUNT")]
    pub journal_tail: u64,
    /// For how long committed entries stay in the journal besides, so that a backup of the billing store may be so old: at most 4 million
    /// entries, of each partition an equal share.
    #[arg(long, env = "TOLLGATE_JOURNAL_KEEP", value_parser = humantime::parse_duration, default_value = "0s", value_name = "DURATION")]
    pub journal_keep: Duration,
    /// How many idle accounts of the store may be closed in a second, after the end of a month: of each partition an equal share.
    #[arg(long, env = "TOLLGATE_CLOSES_PER_SECOND", default_value_t = DEFAULT_CLOSES, value_name = "COUNT")]
    pub closes_per_second: NonZeroU32,
    /// What documents are like.
    #[command(flatten)]
    pub documents: DocumentOptions,
    /// How long audit records and documents are kept.
    #[command(flatten)]
    pub retention: RetentionOptions,
    /// What is no longer set here.
    #[command(flatten)]
    pub former: FormerOptions,
}

/// What documents are like, from now on.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
#[command(next_help_heading = "Documents")]
pub struct DocumentOptions {
    /// In how many days an invoice is to be paid.
    #[arg(long, env = "TOLLGATE_DUE_DAYS", default_value_t = 14, value_name = "DAYS")]
    pub due_days: u16,
    /// Prefix of the numbers of invoices.
    #[arg(long, env = "TOLLGATE_INVOICE_PREFIX", default_value = "INV-", value_name = "TEXT")]
    pub invoice_prefix: String,
    /// Prefix of the numbers of statements.
    #[arg(long, env = "TOLLGATE_STATEMENT_PREFIX", default_value = "STM-", value_name = "TEXT")]
    pub statement_prefix: String,
    /// Prefix of the numbers of credit notes.
    #[arg(long, env = "TOLLGATE_CREDIT_NOTE_PREFIX", default_value = "CRN-", value_name = "TEXT")]
    pub credit_note_prefix: String,
    /// Folders with the fonts of PDFs for scripts that the fonts built in do not have (Chinese, Japanese, Korean, Thai and others); may be
    /// given several times [default: /usr/share/fonts and /usr/local/share/fonts]
    #[arg(long, env = "TOLLGATE_FONTS", value_delimiter = ':', value_name = "FOLDER")]
    pub fonts: Vec<PathBuf>,
}

/// What was set at the start once, and is kept in the billing store now.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub struct FormerOptions {
    #[arg(long, env = "TOLLGATE_ISSUER_NAME", hide = true)]
    issuer_name: Option<String>,
    #[arg(long, env = "TOLLGATE_ISSUER_ADDRESS", hide = true)]
    issuer_address: Option<String>,
    #[arg(long, env = "TOLLGATE_ISSUER_TAX_ID", hide = true)]
    issuer_tax_id: Option<String>,
    #[arg(long, env = "TOLLGATE_ISSUER_EMAIL", hide = true)]
    issuer_email: Option<String>,
    #[arg(long, env = "TOLLGATE_TAX_RATE", hide = true)]
    tax_rate: Option<String>,
}

/// What the service does with the journal.
#[derive(Args, Clone, Debug, Default, PartialEq)]
#[command(next_help_heading = "Billing")]
pub struct JournalOptions {
    /// With --redis: aggregate the journal in this process, too. The embedded engine's is aggregated wherever there is a billing store.
    #[arg(long, env = "TOLLGATE_AGGREGATE")]
    pub aggregate: bool,
    /// How many entries the journal of the store may hold, before new authorizations and direct debits are refused (JOURNAL_FULL), in those
    /// partitions that have more than an equal share of it; "off": any number.
    #[arg(long, env = "TOLLGATE_JOURNAL_HIGH_WATER", default_value_t = HighWater::default(), value_name = "COUNT|off")]
    pub journal_high_water: HighWater,
}

/// Where the ledger and the billing store are, for the commands that compare them.
#[derive(Args, Clone, Debug, PartialEq)]
pub struct StoresOptions {
    /// Where the ledger is kept.
    #[command(flatten)]
    pub store: StoreOptions,
    /// Where billing is kept.
    #[command(flatten)]
    pub billing: BillingOptions,
}

/// The settings of an aggregator.
#[derive(Args, Clone, Debug, PartialEq)]
pub struct AggregateOptions {
    /// Where to serve /metrics and /healthz over HTTP; "off": nowhere.
    #[arg(long, env = "TOLLGATE_AGGREGATE_METRICS_LISTEN", default_value = "127.0.0.1:7602", value_name = "ADDRESS|off")]
    pub metrics_listen: MetricsListen,
    /// Serve health alone here, over gRPC and HTTP (/healthz, /livez), without TLS or credentials: for a kubelet [default: nowhere]
    #[arg(long, env = "TOLLGATE_AGGREGATE_HEALTH_LISTEN", value_name = "ADDRESS")]
    pub health_listen: Option<SocketAddr>,
    /// Serve metrics beyond this machine.
    #[arg(long, env = "TOLLGATE_INSECURE")]
    pub insecure: bool,
    /// The listener's certificate, and whether it asks clients for one.
    #[command(flatten)]
    pub tls: TlsOptions,
    /// Where the ledger is kept.
    #[command(flatten)]
    pub store: StoreOptions,
    /// Where billing is kept.
    #[command(flatten)]
    pub billing: BillingOptions,
    /// The mail server.
    #[command(flatten)]
    pub smtp: SmtpOptions,
    /// Where links in mails lead.
    #[command(flatten)]
    pub links: LinkOptions,
    /// What it tells of itself.
    #[command(flatten)]
    pub telemetry: TelemetryOptions,
}

impl Default for BillingOptions {
    fn default() -> Self {
        Self {
            billing: None,
            aggregation_lease: Duration::from_secs(10),
            journal_tail: DEFAULT_TAIL,
            journal_keep: Duration::ZERO,
            closes_per_second: DEFAULT_CLOSES,
            documents: DocumentOptions::default(),
            retention: RetentionOptions::default(),
            former: FormerOptions::default(),
        }
    }
}

impl FormerOptions {
    /// Refuses them: a setting that is ignored would be missed on documents that can't be corrected.
    fn validate(&self) -> anyhow::Result<()> {
        let set_issuer = "the issuer is kept in the billing store: remove it from the start, and use `tollgate issuer set`";
        let set_tax = "rates of tax are kept in the billing store: remove it from the start, and use `tollgate tax set`";
        let former = [
            (&self.issuer_name, "--issuer-name", set_issuer),
            (&self.issuer_address, "--issuer-address", set_issuer),
            (&self.issuer_tax_id, "--issuer-tax-id", set_issuer),
            (&self.issuer_email, "--issuer-email", set_issuer),
            (&self.tax_rate, "--tax-rate", set_tax),
        ];
        for (value, option, instead) in former {
            let variable = option.trim_start_matches('-').replace('-', "_").to_uppercase();
            anyhow::ensure!(value.is_none(), "{option} (TOLLGATE_{variable}) is set, and {instead}");
        }
        Ok(())
    }
}

impl Default for DocumentOptions {
    fn default() -> Self {
        Self {
            due_days: 14,
            invoice_prefix: "INV-".to_owned(),
            statement_prefix: "STM-".to_owned(),
            credit_note_prefix: "CRN-".to_owned(),
            fonts: Vec::new(),
        }
    }
}

impl BillingOptions {
    /// The URL of the billing store, if there is to be one: by default a file beside that of the embedded engine.
    #[must_use]
    pub fn url(&self, embedded: Option<&Path>) -> Option<String> {
        match &self.billing {
            Some(url) if url.is_off() => None,
            Some(url) => Some(url.reveal().to_owned()),
            None => embedded.map(|path| format!("sqlite://{}", path.with_extension("billing.db").display())),
        }
    }

    /// Says what is missing: on Redis, where usage records go is nothing to be guessed.
    pub fn check_is_said(&self, store: &StoreOptions) -> anyhow::Result<()> {
        anyhow::ensure!(
            store.redis.is_none() || self.billing.is_some(),
            "--redis needs --billing: a URL such as postgres://..., where usage records are kept and billed, or \"off\": they are deleted \
             unread. (Who bills elsewhere and wants ExportUsage needs a billing store.)"
        );
        Ok(())
    }

    pub(super) fn validate(&self) -> anyhow::Result<()> {
        if let Some(url) = &self.billing {
            url.validate()?;
            anyhow::ensure!(
                !url.is_off() || self.retention == RetentionOptions::default(),
                "--keep-audit-days, --keep-documents-years and --keep-entry-details-days are of the billing store, and --billing is off"
            );
        }
        for folder in &self.documents.fonts {
            anyhow::ensure!(folder.is_dir(), "--fonts {} is no folder that can be read", folder.display());
        }
        self.former.validate()
    }
}

impl StoresOptions {
    /// Refuses conflicting settings before anything is opened.
    pub fn validate(&self) -> anyhow::Result<()> {
        anyhow::ensure!(self.billing_url().is_some(), "there is no billing store: give --billing postgres://...");
        self.validate_some()
    }

    /// Says the same where there need be no billing store, if that is said.
    pub fn validate_some(&self) -> anyhow::Result<()> {
        self.billing.check_is_said(&self.store)?;
        self.store.validate()?;
        self.billing.validate()
    }

    /// The URL of the billing store, if there is one.
    #[must_use]
    pub fn billing_url(&self) -> Option<String> {
        self.billing.url(self.store.embedded_path().as_deref())
    }
}

impl AggregateOptions {
    /// Refuses conflicting settings before anything is opened.
    pub fn validate(&self) -> anyhow::Result<()> {
        if let Some(address) = self.metrics_listen.0.filter(|address| !address.ip().to_canonical().is_loopback()) {
            anyhow::ensure!(
                self.insecure || self.tls.tls_cert.is_some(),
                "--metrics-listen {address} can be reached from other machines: give --tls-cert and --tls-key, or pass --insecure if that is meant"
            );
        }
        anyhow::ensure!(self.billing_url().is_some(), "there is nothing to aggregate to: give --billing postgres://...");
        self.smtp.validate()?;
        self.links.validate()?;
        self.store.validate()?;
        self.billing.validate()
    }

    /// The URL of the billing store, if there is to be one.
    #[must_use]
    pub fn billing_url(&self) -> Option<String> {
        self.billing.url(self.store.embedded_path().as_deref())
    }
}

/// How many entries the journal may hold before new charges are refused; `None` means no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HighWater(pub Option<u64>);

impl Default for HighWater {
    fn default() -> Self {
        Self(Some(DEFAULT_HIGH_WATER))
    }
}

impl FromStr for HighWater {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "off" { Ok(Self(None)) } else { text.parse().map(|entries| Self(Some(entries))) }
    }
}

impl fmt::Display for HighWater {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(entries) => entries.fmt(formatter),
            None => formatter.write_str("off"),
        }
    }
}

/// The URL of a billing store, which may hold a password: shown without it.
#[derive(Clone, PartialEq, Eq)]
pub struct BillingUrl(String);

impl BillingUrl {
    /// This URL.
    #[must_use]
    pub fn of(url: &str) -> Self {
        Self(url.to_owned())
    }

    /// The URL with its secrets: for connecting, not for logs.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Whether there is to be none.
    #[must_use]
    pub fn is_off(&self) -> bool {
        self.0 == "off"
    }

    fn validate(&self) -> anyhow::Result<()> {
        let is_known = ["postgres://", "postgresql://", "sqlite://"].iter().any(|scheme| self.0.starts_with(scheme));
        anyhow::ensure!(
            is_known || self.is_off(),
            "--billing takes postgres://[user[:password]@]host[:port]/database, sqlite://path, or off"
        );
        Ok(())
    }
}

impl FromStr for BillingUrl {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for BillingUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.split_once("://") {
            Some(("sqlite", path)) => write!(formatter, "SQLite in {path}"),
            Some((_, rest)) => {
                // The part behind the last @ of the authority names host and database; parameters may hold secrets, too.
                let rest = rest.split('?').next().unwrap_or_default();
                write!(formatter, "PostgreSQL at {}", rest.rsplit('@').next().unwrap_or_default())
            }
            None => formatter.write_str(if self.is_off() { "off" } else { "a billing store" }),
        }
    }
}

impl fmt::Debug for BillingUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "BillingUrl({self})")
    }
}

fn parse_lease(text: &str) -> Result<Duration, String> {
    let lease = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    if LEASES.contains(&lease) { Ok(lease) } else { Err("not within 500ms and 10m".to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_never_shown() {
        for text in ["postgres://user:hunter2@host:5432/billing?password=hunter2", "mysql://a:hunter2@b/c", "hunter2"] {
            let url: BillingUrl = text.parse().unwrap();
            let shown = format!("{url} {url:?} {:?}", url.validate());
            assert!(!shown.contains("hunter2"), "{shown}");
        }
        let url: BillingUrl = "postgres://user:p%40ss@host/billing".parse().unwrap();
        assert_eq!(url.to_string(), "PostgreSQL at host/billing");
    }

    #[test]
    fn the_default_is_a_file_beside_the_embedded_store() {
        let options = BillingOptions::default();
        assert_eq!(options.url(Some(Path::new("/data/tollgate.db"))).unwrap(), "sqlite:///data/tollgate.billing.db");
        assert_eq!(options.url(None), None);
        let off = BillingOptions { billing: Some("off".parse().unwrap()), ..BillingOptions::default() };
        assert_eq!(off.url(Some(Path::new("tollgate.db"))), None);
    }
}
