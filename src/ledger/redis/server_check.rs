//! What a server must be like, whatever it holds: a primary that is new enough and evicts nothing, and whose user may do all that
//! is needed.

use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::bail;
use redis::aio::MultiplexedConnection;

use super::MAX_CLOCK_DIFFERENCE;
use super::keys::StoreKeys;
use super::script::RIGHTS;
use domain::time::UnixMillis;
use platform::clock::system_now;

/// The oldest Redis that knows all that the script uses.
const OLDEST_REDIS: u32 = 7;

/// Refuses a server that is not as it must be, or whose user may not do what is to be done.
pub(super) async fn check_server(connection: &mut MultiplexedConnection, keys: &StoreKeys) -> anyhow::Result<()> {
    check_rights(connection, keys).await?;
    let info: String = redis::cmd("INFO").arg(&["memory", "server", "replication"]).query_async(connection).await?;
    if let Some(policy) = field(&info, "maxmemory_policy")
        && policy != "noeviction"
    {
        bail!("Redis's maxmemory-policy is {policy}: it would delete accounts and unbilled usage; it must be noeviction");
    }
    let version = field(&info, "redis_version").unwrap_or("unknown");
    let major = version.split('.').next().and_then(|major| major.parse::<u32>().ok());
    if major.is_none_or(|major| major < OLDEST_REDIS) {
        bail!("Redis is of version {version}; {OLDEST_REDIS}.0 or newer is needed");
    }
    if let Some(role) = field(&info, "role")
        && role != "master"
    {
        bail!("the server is a {role} of another Redis, and only a primary can be written to");
    }
    Ok(())
}

/// Refuses a user who may not do all that a ledger needs, before anything is begun that could not be finished. Announcements are hints:
/// that they cannot be made or heard is said once.
async fn check_rights(connection: &mut MultiplexedConnection, keys: &StoreKeys) -> anyhow::Result<()> {
    static IS_SILENCE_TOLD: AtomicBool = AtomicBool::new(false);
    let mut command = redis::cmd("EVAL");
    command.arg(&RIGHTS.text).arg(0);
    match keys.partitions.first() {
        Some(partition) => command.arg(&partition.channel).arg(&keys.head).arg(&partition.settings).arg(&partition.all),
        None => command.arg(&keys.head).arg(&keys.head),
    };
    let (refused, silenced): (Vec<String>, Vec<String>) = match command.query_async(connection).await {
        Err(error) if error.code() == Some("NOPERM") => (vec!["EVAL".to_owned()], Vec::new()),
        answer => answer?,
    };
    if !refused.is_empty() {
        bail!(
            "Redis's user may not do what tollgate needs ({}, with {}); deploy/README.md has the ACL line",
            refused.join(", "),
            keys.head
        );
    }
    if !silenced.is_empty() && !keys.partitions.is_empty() && !IS_SILENCE_TOLD.swap(true, Ordering::Relaxed) {
        let commands = silenced.join(", ");
        tracing::warn!(commands, "Redis's user may not announce changes, or hear of them: watchers learn of others' late");
    }
    Ok(())
}

/// A field of what INFO answers.
pub(super) fn field<'a>(info: &'a str, name: &str) -> Option<&'a str> {
    info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
}

/// The instant that TIME tells of.
pub(super) fn instant((seconds, micros): (i64, i64)) -> UnixMillis {
    UnixMillis::new(seconds * 1000 + micros / 1000)
}

/// Whether this machine's clock agrees with what a server says.
pub(super) fn agreement(time: (i64, i64)) -> Result<(), String> {
    let difference = system_now() - instant(time);
    match difference.abs() > MAX_CLOCK_DIFFERENCE {
        true => Err(format!("this machine's clock and Redis's differ by {difference} ms")),
        false => Ok(()),
    }
}
