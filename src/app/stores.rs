//! Ledger and billing store side by side, for the commands that compare them.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, bail};
use jiff::Timestamp;

use super::aggregation::{retention, settings as document_settings};
use super::store::{Store, redis_options, settings};
use super::test_clock;
use crate::billing::audit::Act;
use crate::billing::retention::RetentionPreview;
use crate::billing::users::UserTables;
use crate::billing::{Billing, partitions};
use crate::clock::Clock;
use crate::config::StoresOptions;
use crate::domain::origin::Origin;
use crate::domain::time::Millis;
use crate::ledger::redis::restore::Installation;
use crate::ledger::{Ledger, LedgerId, Opening, Sizes, StoreSettings, embedded};
use crate::service::users::Users;
use access::Access;

/// Ledger and billing store.
pub struct Stores {
    pub ledger: Ledger,
    /// The billing store, its tables up to date.
    pub billing: Billing,
    /// How the ledger's store was set up.
    pub settings: StoreSettings,
}

impl Stores {
    /// Opens both, which must be there, and belong together. An embedded store must not be in use by a service.
    pub async fn open(options: &StoresOptions) -> anyhow::Result<Self> {
        let billing = open_billing(options).await?;
        let (ledger, settings) = open_ledger(options, Some(&billing)).await?;
        Ok(Self { ledger, billing, settings })
    }

    /// Opens the ledger, and the billing store where there is one.
    pub async fn open_some(options: &StoresOptions) -> anyhow::Result<(Ledger, Option<Billing>)> {
        let billing = if options.billing_url().is_some() { Some(open_billing(options).await?) } else { None };
        let (ledger, _) = open_ledger(options, billing.as_ref()).await?;
        Ok((ledger, billing))
    }

    /// How long request ids are remembered.
    #[must_use]
    pub fn idempotency_window(&self) -> Millis {
        self.settings.window
    }
}

/// What a restoration brought back of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Restored {
    /// Its number.
    pub partition: u16,
    /// Entries that were read.
    pub entries: u64,
    pub accounts: u64,
    /// Open reservations.
    pub reservations: u64,
    /// Remembered request ids.
    pub request_ids: u64,
}

/// Restores an empty ledger from the billing store. Calls `seen` with the partition and how many of its entries were read.
///
/// Done again after it was interrupted, it begins anew. Nothing may use the ledger meanwhile: services refuse to.
///
/// Request ids of a gap are known to nobody. What was asked with them may be asked again for a window, and would be charged twice: until
/// then, it is refused unless the caller accepts that.
pub async fn restore(
    options: &StoresOptions,
    accepts_repeats: bool,
    actor: &str,
    seen: impl Fn(u16, u64),
) -> anyhow::Result<Vec<Restored>> {
    let (clock, billing, mut settings) = (clock(options)?, open_billing(options).await?, settings(&options.store).await?);
    billing.check_time_zone().await?;
    let wanted = if options.store.redis.is_some() { options.store.partitions } else { Some(1) };
    let mut plan = billing.plan_restoration(wanted, settings.partitions).await?;
    settings.partitions = plan.partitions;
    // The same ledger as before. One of an earlier version gets an id here.
    let id = billing.ledger_id().await?.unwrap_or_else(LedgerId::random);
    let mut target = match &options.store.redis {
        Some(url) => Target::Redis(Box::new(Installation::begin(&redis_options(&options.store, url), &settings, id, plan.had).await?)),
        None => Target::Embedded(embedded::restore::Installation::begin(&options.store.path(), &settings)?),
    };
    let (mut restored, mut chains) = (Vec::new(), Vec::new());
    for partition in 0..settings.partitions {
        let rebuilt = billing.rebuild(&plan, partition, &clock, settings.window, |entries| seen(partition, entries)).await?;
        if let Some(first) = rebuilt.contradictions.first() {
            bail!("the billing store contradicts itself, so nothing can be restored from it: {first} (run tollgate verify for details)");
        }
        let repeatable_until = rebuilt.gap_ended_at.map(|ended_at| ended_at.saturating_add(settings.window));
        if let Some(until) = repeatable_until.filter(|until| *until > clock.now() && !accepts_repeats) {
            bail!(
                "partition {partition} has a gap that ended less than a request window ago, and no request id of it is known: what was \
                 asked then and is asked again would be charged twice. Restore after {}, or say --accept-repeats",
                Timestamp::from_millisecond(until.get()).map_or_else(|_| until.get().to_string(), |until| until.to_string())
            );
        }
        match &mut target {
            Target::Redis(installation) => installation.install(partition, &rebuilt.partition_state).await?,
            Target::Embedded(installation) => installation.install(id, &rebuilt.partition_state)?,
        }
        let Sizes { accounts, reservations, request_ids } = rebuilt.partition_state.sizes();
        restored.push(Restored { partition, entries: rebuilt.entries, accounts, reservations, request_ids });
        chains.push(rebuilt.chain);
    }
    let (actor, action, origin) = (actor.to_owned(), "ledger.restored".to_owned(), Origin::local());
    billing.begin_chains(&mut plan, id, &chains, Act { at: clock.now(), actor, action, origin, ..Act::default() }).await?;
    match target {
        Target::Redis(installation) => installation.finish().await?,
        Target::Embedded(installation) => installation.finish()?,
    }
    // Until now, no other may begin.
    drop(plan);
    Ok(restored)
}

/// The ledger that is being restored.
enum Target {
    Redis(Box<Installation>),
    Embedded(embedded::restore::Installation),
}

/// The clock that the ledger runs by.
fn clock(options: &StoresOptions) -> anyhow::Result<Clock> {
    let zone = options.store.billing_time_zone.clone();
    Ok(match &options.store.test_clock {
        Some(path) => Clock::manual(test_clock::read(path)?, zone),
        None => Clock::running(zone),
    })
}

/// The ledger, which must be there, and be the one that the billing store knows.
async fn open_ledger(options: &StoresOptions, billing: Option<&Billing>) -> anyhow::Result<(Ledger, StoreSettings)> {
    let clock = clock(options)?;
    let store = Store::open(&options.store, Opening::Existing, clock.clone()).await?;
    if let Some(billing) = billing {
        billing.check_ledger(store.identity()).await?;
        partitions::check_number(billing.store(), store.settings().partitions).await?;
    }
    let ledger = Ledger::start(store.engine().await?, store.watchers.clone(), clock);
    ledger.check().await.map_err(anyhow::Error::msg).context("the ledger's store cannot be used")?;
    if let Some(billing) = billing {
        billing.check_is_current(&ledger).await?;
    }
    Ok((ledger, store.settings().clone()))
}

/// Returns what retention would drop now.
pub async fn retention_preview(options: &StoresOptions) -> anyhow::Result<Vec<RetentionPreview>> {
    let (billing, clock) = (open_billing(options).await?, clock(options)?);
    Ok(billing.retention_preview(&retention(options.billing.retention), clock.now()).await?)
}

/// The users of the web console. Roles may be defined in an access file.
pub async fn users(options: &StoresOptions, access_file: Option<&Path>) -> anyhow::Result<Users> {
    let access = access_file.map_or_else(|| Ok(Access::open()), Access::of_file)?;
    Ok(Users::new(UserTables::of(open_billing(options).await?.store().clone()), Arc::new(access)))
}

/// The billing store, which must know a ledger; its tables are brought up to date.
async fn open_billing(options: &StoresOptions) -> anyhow::Result<Billing> {
    let settings = document_settings(&options.billing.documents, options.store.billing_time_zone_name())?;
    let url = options.billing_url().context("there is no billing store")?;
    Ok(Billing::open_existing(&url, settings).await?)
}
