//! What a store must be like before a command is sent to it.
//!
//! Checked at each start, and on each new connection: a Redis that came back empty, or was replaced by another, is refused.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use anyhow::{bail, ensure};
use redis::aio::MultiplexedConnection;

use super::script::{KEY_TYPES, RIGHTS};
use super::stored::Places;
use crate::{Identity, LedgerId, StoreSettings};
use domain::account::Millis;

/// The oldest Redis that knows all that the script uses.
const OLDEST_REDIS: u32 = 7;

/// What a store must hold.
#[derive(Debug)]
pub struct Expected {
    places: Places,
    settings: StoreSettings,
    identity: Identity,
    /// Until when ids may be remembered with fingerprints of format version 2, as the store said last.
    legacy_until: AtomicI64,
}

impl Expected {
    /// This ledger, in a store of that name.
    #[must_use]
    pub fn new(store_name: &str, settings: &StoreSettings, identity: Identity) -> Self {
        Self { places: Places::new(store_name, settings), settings: settings.clone(), identity, legacy_until: AtomicI64::new(0) }
    }

    /// The ledger.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Until when ids may be remembered with fingerprints of format version 2.
    #[must_use]
    pub fn legacy_until(&self) -> Millis {
        self.legacy_until.load(Ordering::Relaxed)
    }

    /// The command whose answer [`Self::check_glance`] reads.
    #[must_use]
    pub fn glance(&self) -> redis::Cmd {
        let mut command = redis::cmd("MGET");
        command.arg(&self.places.head);
        self.places.partitions.iter().for_each(|partition| {
            command.arg(&partition.settings);
        });
        command
    }

    /// Refuses a store that is empty, or another ledger's, or not whole.
    pub fn check_glance(&self, found: &[Option<String>]) -> anyhow::Result<()> {
        let Some((Some(head), copies)) = found.split_first() else {
            bail!("the store is empty: there is no {} in {}", self.places.head, self.identity.place)
        };
        let stored = super::stored::Stored::parse(&self.places.head, head)?;
        stored.check(&self.settings)?;
        self.legacy_until.store(stored.legacy_until, Ordering::Relaxed);
        self.check_id(&self.places.head, stored.ledger)?;
        for (partition, copy) in self.places.partitions.iter().zip(copies) {
            self.check_copy(&partition.settings, copy.as_deref())?;
        }
        Ok(())
    }

    /// Refuses a partition that is gone, or another ledger's, by the copy of the settings under its tag.
    pub fn check_copy(&self, key: &str, copy: Option<&str>) -> anyhow::Result<()> {
        match copy {
            Some(copy) => self.check_id(key, Some(Places::id_in_copy(key, Some(copy))?)),
            None => bail!("the store is empty, or has lost a part: there is no {key} in {}", self.identity.place),
        }
    }

    fn check_id(&self, key: &str, found: Option<LedgerId>) -> anyhow::Result<()> {
        let Identity { id, place, .. } = &self.identity;
        let text = found.map_or_else(|| "no ledger".to_owned(), |found| format!("ledger {found}"));
        ensure!(found == Some(*id), "{key} in {place} is of {text}, and this tollgate was started on ledger {id}");
        Ok(())
    }
}

/// Refuses a server or a store that is not as it must be.
pub async fn check(mut connection: MultiplexedConnection, expected: Arc<Expected>) -> anyhow::Result<()> {
    check_server(&mut connection, &expected.places).await?;
    let found: Vec<Option<String>> = expected.glance().query_async(&mut connection).await?;
    expected.check_glance(&found)?;
    for partition in &expected.places.partitions {
        let mut command = redis::cmd("EVAL");
        command.arg(&KEY_TYPES.text).arg(partition.all.len()).arg(&partition.all);
        let (missing, strange): (Vec<String>, Vec<String>) = command.query_async(&mut connection).await?;
        let place = &expected.identity.place;
        ensure!(missing.is_empty(), "the store has lost a part: there is no {} in {place}", missing.join(", "));
        ensure!(strange.is_empty(), "not tollgate's: {} in {place} is not of the type that it must be of", strange.join(", "));
    }
    Ok(())
}

/// Refuses a server that is not as it must be, or whose user may not do what is to be done.
pub(super) async fn check_server(connection: &mut MultiplexedConnection, places: &Places) -> anyhow::Result<()> {
    check_rights(connection, places).await?;
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

/// Refuses a user who may not do all that a ledger needs, before anything is begun that could not be finished. Announcements are hints:
/// that they cannot be made or heard is said once.
async fn check_rights(connection: &mut MultiplexedConnection, places: &Places) -> anyhow::Result<()> {
    static IS_SILENCE_TOLD: AtomicBool = AtomicBool::new(false);
    let mut command = redis::cmd("EVAL");
    command.arg(&RIGHTS.text).arg(0);
    match places.partitions.first() {
        Some(partition) => command.arg(&partition.channel).arg(&places.head).arg(&partition.settings).arg(&partition.all),
        None => command.arg(&places.head).arg(&places.head),
    };
    let (refused, silenced): (Vec<String>, Vec<String>) = match command.query_async(connection).await {
        Err(error) if error.code() == Some("NOPERM") => (vec!["EVAL".to_owned()], Vec::new()),
        answer => answer?,
    };
    if !refused.is_empty() {
        bail!(
            "Redis's user may not do what tollgate needs ({}, with {}); deploy/README.md has the ACL line",
            refused.join(", "),
            places.head
        );
    }
    if !silenced.is_empty() && !places.partitions.is_empty() && !IS_SILENCE_TOLD.swap(true, Ordering::Relaxed) {
        let commands = silenced.join(", ");
        tracing::warn!(commands, "Redis's user may not announce changes, or hear of them: watchers learn of others' late");
    }
    Ok(())
}

/// A field of what INFO answers.
pub(super) fn field<'a>(info: &'a str, name: &str) -> Option<&'a str> {
    info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
}
