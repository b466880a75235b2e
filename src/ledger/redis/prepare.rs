//! What a store must be like before a command is sent to it.
//!
//! Checked at each start, and on each new connection: a Redis that came back empty, or was replaced by another, is refused.

use anyhow::{Context, bail};
use redis::AsyncConnectionConfig;
use redis::aio::MultiplexedConnection;

use super::RedisOptions;
use super::keys::{PartitionKeys, settings_key};
use super::script::{FORMAT_VERSION, INITIALIZE};
use crate::ledger::StoreSettings;

/// The oldest Redis that knows all that the script uses.
const OLDEST_REDIS: u32 = 7;

/// What a store must hold.
#[derive(Clone, Debug)]
pub struct Expected {
    settings_key: String,
    settings: StoreSettings,
    partitions: Vec<PartitionKeys>,
}

/// The settings as stored.
#[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub(super) struct Stored {
    pub(super) format_version: u32,
    /// Whether a restoration is under way: parts of the store are missing.
    #[serde(default)]
    pub(super) is_being_restored: bool,
    #[serde(flatten)]
    pub(super) settings: StoreSettings,
}

impl Expected {
    /// Of a store of that name.
    #[must_use]
    pub fn new(store_name: &str, settings: &StoreSettings, partitions: &[PartitionKeys]) -> Self {
        Self { settings_key: settings_key(store_name), settings: settings.clone(), partitions: partitions.to_vec() }
    }
}

/// Initializes the store if there is none of that name.
pub async fn initialize(options: &RedisOptions, expected: &Expected) -> anyhow::Result<()> {
    let client = redis::Client::open(options.connection_info()?)?;
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(options.response_timeout))
        .set_response_timeout(Some(options.response_timeout));
    let mut connection = client.get_multiplexed_async_connection_with_config(&config).await.context("cannot connect to Redis")?;
    check_server(&mut connection).await?;
    let text: Option<String> = redis::cmd("GET").arg(&expected.settings_key).query_async(&mut connection).await?;
    if text.is_some() {
        return Ok(());
    }
    for partition in &expected.partitions {
        let mut command = redis::cmd("EVAL");
        command.arg(&INITIALIZE.text).arg(partition.all.len()).arg(&partition.all);
        command.exec_async(&mut connection).await.context("cannot initialize the store")?;
    }
    // Last, so that a store with settings is whole. Whoever initializes at the same time writes the same, or is told by the check.
    let stored =
        serde_json::to_string(&Stored { format_version: FORMAT_VERSION, is_being_restored: false, settings: expected.settings.clone() })?;
    redis::cmd("SET").arg(&expected.settings_key).arg(stored).arg("NX").exec_async(&mut connection).await?;
    tracing::info!(settings = ?expected.settings, "initialized an empty store in Redis");
    Ok(())
}

/// Refuses a server or a store that is not as it must be.
pub async fn check(mut connection: MultiplexedConnection, expected: Expected) -> anyhow::Result<()> {
    check_server(&mut connection).await?;
    let text: Option<String> = redis::cmd("GET").arg(&expected.settings_key).query_async(&mut connection).await?;
    let Some(text) = text else { bail!("Redis has lost the store: there is no {}", expected.settings_key) };
    let stored: Stored =
        serde_json::from_str(&text).with_context(|| format!("{} holds what this version cannot read", expected.settings_key))?;
    if stored.format_version != FORMAT_VERSION {
        bail!("the store has format version {}, and this is a tollgate for version {FORMAT_VERSION}", stored.format_version);
    }
    if stored.is_being_restored {
        bail!("the store is being restored; if nobody does, that was interrupted: run tollgate restore again");
    }
    if stored.settings != expected.settings {
        bail!(
            "the store was initialized with other settings: {:?}; this tollgate was started with {:?}",
            stored.settings,
            expected.settings
        );
    }
    for partition in &expected.partitions {
        let found: usize = redis::cmd("EXISTS").arg(&partition.all).query_async(&mut connection).await?;
        if found != partition.all.len() {
            bail!("Redis has lost a part of the store: {} of {} keys of a partition are there", found, partition.all.len());
        }
    }
    Ok(())
}

pub(super) async fn check_server(connection: &mut MultiplexedConnection) -> anyhow::Result<()> {
    let memory: String = redis::cmd("INFO").arg("memory").query_async(connection).await?;
    let server: String = redis::cmd("INFO").arg("server").query_async(connection).await?;
    if let Some(policy) = field(&memory, "maxmemory_policy")
        && policy != "noeviction"
    {
        bail!("Redis's maxmemory-policy is {policy}: it would delete accounts and unbilled usage; it must be noeviction");
    }
    let version = field(&server, "redis_version").unwrap_or("unknown");
    let major = version.split('.').next().and_then(|major| major.parse::<u32>().ok());
    if major.is_none_or(|major| major < OLDEST_REDIS) {
        bail!("Redis is of version {version}; {OLDEST_REDIS}.0 or newer is needed");
    }
    Ok(())
}

/// A field of what INFO answers.
fn field<'a>(info: &'a str, name: &str) -> Option<&'a str> {
    info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
}
