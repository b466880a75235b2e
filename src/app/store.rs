//! The store behind the ledger: one embedded engine that all lanes share, or a connection to Redis for each.

use std::sync::Arc;

use anyhow::Context;

use crate::clock::Clock;
use crate::config::{RedisUrl, StoreOptions};
use crate::domain::account::Millis;
use crate::ledger::embedded::EmbeddedEngine;
use crate::ledger::redis::{RedisEngine, RedisOptions, announce};
use crate::ledger::watch::Watchers;
use crate::ledger::{Engine, StoreSettings};

/// Where the ledger is kept.
pub struct Store {
    /// What the ledger runs by.
    pub clock: Clock,
    /// Who waits for changes, in this process.
    pub watchers: Watchers,
    settings: StoreSettings,
    kind: Kind,
}

enum Kind {
    Embedded(Arc<dyn Engine>),
    Redis { url: RedisUrl, options: RedisOptions },
}

impl Store {
    /// Opens an embedded store; one in Redis is opened by whoever wants an engine.
    pub fn open(options: &StoreOptions, clock: Clock) -> anyhow::Result<Self> {
        let watchers = Watchers::default();
        let settings = settings(options);
        let kind = match &options.redis {
            Some(url) => Kind::Redis { url: url.clone(), options: redis_options(options, url) },
            None => {
                let path = options.path();
                let engine = EmbeddedEngine::open(&path, &settings, clock.clone(), watchers.clone())
                    .with_context(|| format!("cannot open the store {}", path.display()))?;
                Kind::Embedded(Arc::new(engine))
            }
        };
        Ok(Self { clock, watchers, settings, kind })
    }

    /// How the ledger's store was set up.
    pub fn settings(&self) -> &StoreSettings {
        &self.settings
    }

    /// An engine for the current thread.
    pub async fn engine(&self) -> anyhow::Result<Arc<dyn Engine>> {
        match &self.kind {
            Kind::Embedded(engine) => Ok(Arc::clone(engine)),
            Kind::Redis { url, options } => {
                let engine = RedisEngine::connect(options.clone(), self.settings.clone(), self.clock.clone())
                    .await
                    .with_context(|| format!("cannot use the store in the {url}"))?;
                Ok(Arc::new(engine))
            }
        }
    }

    /// Leaves an embedded store in good order. What is asked of it afterwards gets no answer.
    pub fn close(&self) {
        if let Kind::Embedded(engine) = &self.kind {
            engine.close();
        }
    }

    /// Passes changes made by other processes on to the watchers of this one, for ever.
    pub async fn listen(&self) {
        match &self.kind {
            Kind::Embedded(_) => std::future::pending().await,
            Kind::Redis { options, .. } => announce::listen(options.clone(), self.settings.partitions, self.watchers.clone()).await,
        }
    }
}

pub(super) fn redis_options(options: &StoreOptions, url: &RedisUrl) -> RedisOptions {
    RedisOptions {
        url: url.reveal().to_owned(),
        store_name: options.store_name.clone(),
        response_timeout: options.redis_timeout,
        busy_poll: options.redis_busy_poll,
    }
}

pub(super) fn settings(options: &StoreOptions) -> StoreSettings {
    StoreSettings {
        partitions: options.partitions(),
        billing_time_zone: options.billing_time_zone_name().to_owned(),
        window: Millis::try_from(options.request_window.as_millis()).unwrap_or(Millis::MAX),
    }
}
