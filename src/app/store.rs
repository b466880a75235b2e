//! The store behind the ledger: one embedded engine shared by all lanes, or a connection to Redis for each.

use std::sync::Arc;

use crate::clock::Clock;
use crate::config::StoreOptions;
use crate::domain::account::Millis;
use crate::ledger::watch::Watchers;
use crate::ledger::{Engine, StoreSettings};

/// Where the ledger is kept.
pub struct Store {
    /// What the ledger runs by.
    pub clock: Clock,
    /// Who waits for changes, in this process.
    pub watchers: Watchers,
    engine: Arc<dyn Engine>,
}

impl Store {
    /// Opens it.
    pub fn open(options: &StoreOptions, clock: Clock) -> anyhow::Result<Self> {
        let watchers = Watchers::default();
        let settings = settings(options);
        let engine = crate::ledger::model::ModelEngine::new(clock.clone(), settings.window, watchers.clone());
        Ok(Self { clock, watchers, engine: Arc::new(engine) })
    }

    /// An engine for the current thread.
    pub async fn engine(&self) -> anyhow::Result<Arc<dyn Engine>> {
        Ok(Arc::clone(&self.engine))
    }
}

fn settings(options: &StoreOptions) -> StoreSettings {
    StoreSettings {
        partitions: options.partitions(),
        billing_time_zone: options.billing_time_zone_name().to_owned(),
        window: Millis::try_from(options.request_window.as_millis()).unwrap_or(Millis::MAX),
    }
}
