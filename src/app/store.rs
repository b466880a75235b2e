//! The store behind the ledger: one embedded engine that all lanes share, or a connection to Redis for each.

use std::sync::Arc;

use anyhow::Context;

use crate::clock::Clock;
use crate::config::{RedisUrl, StoreOptions};
use crate::domain::time::Millis;
use crate::ledger::embedded::EmbeddedEngine;
use crate::ledger::redis::{RedisLedger, RedisOptions, opening};
use crate::ledger::watch::Watchers;
use crate::ledger::{Engine, Identity, Opening, StoreSettings};
use platform::tls::ClientTls;

/// Where the ledger is kept.
pub struct Store {
    /// The ledger's settings.
    pub clock: Clock,
    /// The watchers in this process.
    pub watchers: Watchers,
    settings: StoreSettings,
    kind: Kind,
}

enum Kind {
    Embedded(Arc<dyn Engine>),
    Redis { url: RedisUrl, ledger: Box<RedisLedger> },
}

impl Store {
    /// Opens the store, and creates it only if `opening` says so. On Redis, each worker opens a connection of its own.
    pub async fn open(options: &StoreOptions, opening: Opening, clock: Clock) -> anyhow::Result<Self> {
        let watchers = Watchers::default();
        let settings = settings(options).await?;
        let kind = match &options.redis {
            Some(url) => {
                let ledger = RedisLedger::open(redis_options(options, url), settings.clone(), opening)
                    .await
                    .with_context(|| format!("cannot use the store in the {url}"))?;
                Kind::Redis { url: url.clone(), ledger: Box::new(ledger.announcing_to(watchers.clone())) }
            }
            None => {
                let path = options.path();
                let engine = EmbeddedEngine::open(&path, &settings, opening, clock.clone(), watchers.clone())
                    .with_context(|| format!("cannot open the store {}", path.display()))?;
                Kind::Embedded(Arc::new(engine))
            }
        };
        Ok(Self { clock, watchers, settings, kind })
    }

    /// Which ledger it is.
    pub fn identity(&self) -> &Identity {
        match &self.kind {
            Kind::Embedded(engine) => engine.identity(),
            Kind::Redis { ledger, .. } => ledger.identity(),
        }
    }

    /// How the ledger's store was set up.
    pub fn settings(&self) -> &StoreSettings {
        &self.settings
    }

    /// An engine for the current thread.
    pub async fn engine(&self) -> anyhow::Result<Arc<dyn Engine>> {
        match &self.kind {
            Kind::Embedded(engine) => Ok(Arc::clone(engine)),
            Kind::Redis { url, ledger } => {
                let engine = ledger.connect(self.clock.clone()).await.with_context(|| format!("cannot use the store in the {url}"))?;
                Ok(Arc::new(engine))
            }
        }
    }

    /// Leaves an embedded store cleanly. What is asked of it afterwards gets no answer.
    pub fn close(&self) {
        if let Kind::Embedded(engine) = &self.kind {
            engine.close();
        }
    }

    /// Passes changes made by other processes on to the watchers of this one, in a loop.
    pub async fn listen(&self) {
        match &self.kind {
            Kind::Embedded(_) => std::future::pending().await,
            Kind::Redis { ledger, .. } => ledger.listen().await,
        }
    }
}

pub(super) fn redis_options(options: &StoreOptions, url: &RedisUrl) -> RedisOptions {
    RedisOptions {
        url: url.reveal().to_owned(),
        tls: ClientTls::from(&options.redis_tls),
        store_name: options.store_name.clone(),
        response_timeout: options.redis_timeout,
        durability: options.durability,
        durability_timeout: options.durability_timeout,
        busy_poll: options.redis_busy_poll,
    }
}

/// How the store is to be set up, and is if it is there: with as many partitions as it has, unless told otherwise.
pub(super) async fn settings(options: &StoreOptions) -> anyhow::Result<StoreSettings> {
    let partitions = match (&options.redis, options.partitions) {
        (None, _) => 1,
        (Some(_), Some(partitions)) => partitions,
        (Some(url), None) => {
            let found = opening::partitions(&redis_options(options, url)).await;
            found.with_context(|| format!("cannot use the store in the {url}"))?
        }
    };
    Ok(StoreSettings {
        partitions,
        billing_time_zone: options.billing_time_zone_name().to_owned(),
        window: Millis::try_from(options.request_window.as_millis()).unwrap_or(Millis::MAX),
    })
}
