//! What a store in Redis says of itself: its settings and the ledger's id, in one key of the store, and a copy under the tag of each
//! partition, so that a partition can be checked where it is.

use anyhow::{Context, bail, ensure};
use redis::Value;
use serde::{Deserialize, Serialize};

use super::keys::StoreKeys;
use super::nodes::Nodes;
use super::script::FORMAT_VERSION;
use crate::{LedgerId, Purpose, StoreSettings};
use domain::time::UnixMillis;

/// The store's settings and identity.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Stored {
    pub(super) format_version: u32,
    /// Whether it is being created: parts of it are missing.
    #[serde(default)]
    pub(super) is_being_created: bool,
    /// Whether a restoration is under way: parts of the store are missing.
    #[serde(default)]
    pub(super) is_being_restored: bool,
    /// Which restoration that is, or the last one was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) restoration: Option<Restoration>,
    /// Whether it is being brought to this version: parts of it are still as another keeps them.
    #[serde(default)]
    pub(super) is_being_migrated: bool,
    /// Until then, request ids may be remembered with fingerprints of format version 2; 0 if there are none.
    #[serde(default)]
    pub(super) legacy_until: UnixMillis,
    /// The ledger's id; `None` if the store is of an earlier version.
    #[serde(default)]
    pub(super) ledger: Option<LedgerId>,
    #[serde(default)]
    pub(super) purpose: Purpose,
    #[serde(flatten)]
    pub(super) settings: StoreSettings,
}

/// A restoration. Of two into one store, the one that began later goes on, and the other ends.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Restoration {
    /// How many have begun.
    pub(super) number: u32,
    pub(super) id: String,
}

impl Stored {
    /// Describes a complete store.
    pub(super) fn whole(ledger: LedgerId, purpose: Purpose, settings: &StoreSettings) -> Self {
        Self {
            format_version: FORMAT_VERSION,
            is_being_created: false,
            is_being_restored: false,
            restoration: None,
            is_being_migrated: false,
            legacy_until: UnixMillis::NONE,
            ledger: Some(ledger),
            purpose,
            settings: settings.clone(),
        }
    }

    pub(super) fn to_text(&self) -> anyhow::Result<String> {
        Ok(serde_json::to_string(self)?)
    }

    /// Reads what a key holds.
    pub(super) fn parse(key: &str, text: &str) -> anyhow::Result<Self> {
        serde_json::from_str(text).with_context(|| format!("{key} holds what this version cannot read"))
    }

    /// The id in a partition's copy, by the answer to GET.
    pub(super) fn id_in_copy(key: &str, copy: Option<&str>) -> anyhow::Result<LedgerId> {
        let text = copy.with_context(|| format!("there is no {key}"))?;
        let stored = Self::parse(key, text)?;
        ensure!(!stored.is_being_restored, "the store is being restored: {key} says so");
        stored.ledger.with_context(|| format!("{key} names no ledger"))
    }

    /// Whether it can be used: it is whole, of this version, and was set up like this.
    pub(super) fn check(&self, settings: &StoreSettings) -> anyhow::Result<()> {
        if self.format_version != FORMAT_VERSION {
            bail!("the store has format version {}, and this is a tollgate for version {FORMAT_VERSION}", self.format_version);
        }
        if self.is_being_restored {
            bail!("the store is being restored; if no process is doing so, it was interrupted: run tollgate restore again");
        }
        if self.is_being_created {
            bail!("the store is being created; if no process is doing so, it was interrupted: run tollgate init again");
        }
        if self.is_being_migrated {
            bail!(
                "the store is being brought to format version {FORMAT_VERSION}; if no process is doing so, it was interrupted: start a service again"
            );
        }
        self.settings.check(settings)
    }
}

impl StoreKeys {
    /// What the store says of itself; `None` if it is empty. While the server of its own key is away, the copy of any partition says it.
    pub(super) async fn read(&self, nodes: &mut Nodes) -> anyhow::Result<Option<Stored>> {
        let mut text = nodes.query::<Option<String>>(self.head_slot(), redis::cmd("GET").arg(&self.head)).await;
        let mut copies = self.partitions.iter();
        while text.is_err()
            && nodes.is_cluster()
            && let Some(partition) = copies.next()
        {
            if let Ok(Some(copy)) = nodes.query::<Option<String>>(partition.slot, redis::cmd("GET").arg(&partition.settings)).await {
                text = Ok(Some(copy));
            }
        }
        text?.map(|text| Stored::parse(&self.head, &text)).transpose()
    }

    /// Writes what the store says of itself.
    pub(super) async fn write_head(&self, nodes: &mut Nodes, stored: &Stored) -> anyhow::Result<()> {
        nodes.query::<Value>(self.head_slot(), redis::cmd("SET").arg(&self.head).arg(stored.to_text()?)).await?;
        Ok(())
    }

    /// Writes it where nothing is written yet. Returns what is written there now.
    pub(super) async fn claim(&self, nodes: &mut Nodes, stored: &Stored) -> anyhow::Result<Stored> {
        let claim = redis::cmd("SET").arg(&self.head).arg(stored.to_text()?).arg("NX").clone();
        nodes.query::<Value>(self.head_slot(), &claim).await?;
        self.read(nodes).await?.context("the store's settings have vanished")
    }

    /// Writes the partitions' copies.
    pub(super) async fn write_copies(&self, nodes: &mut Nodes, stored: &Stored) -> anyhow::Result<()> {
        let text = stored.to_text()?;
        for partition in &self.partitions {
            nodes.query::<Value>(partition.slot, redis::cmd("SET").arg(&partition.settings).arg(&text)).await?;
        }
        Ok(())
    }
}
