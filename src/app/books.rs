//! Ledger and billing store side by side, for whoever holds the one against the other.

use anyhow::Context;

use super::aggregation::billing;
use super::store::Store;
use super::test_clock;
use crate::billing::Billing;
use crate::clock::Clock;
use crate::config::BooksOptions;
use crate::domain::account::Millis;
use crate::ledger::{Ledger, StoreSettings};

/// Ledger and billing store.
pub struct Books {
    /// The ledger.
    pub ledger: Ledger,
    /// The billing store, its tables up to date.
    pub billing: Billing,
    /// How the ledger's store was set up.
    pub settings: StoreSettings,
}

impl Books {
    /// Opens both. An embedded store must not be in use by a service.
    pub async fn open(options: &BooksOptions) -> anyhow::Result<Self> {
        let clock = clock(options)?;
        let store = Store::open(&options.store, clock.clone())?;
        let ledger = Ledger::start(store.engine().await?, store.watchers.clone(), clock);
        ledger.check().await.map_err(anyhow::Error::msg).context("the ledger's store cannot be used")?;
        Ok(Self { ledger, billing: open_billing(options).await?, settings: store.settings().clone() })
    }

    /// How long request ids are remembered.
    #[must_use]
    pub fn window(&self) -> Millis {
        self.settings.window
    }
}

/// The clock that the ledger runs by.
pub fn clock(options: &BooksOptions) -> anyhow::Result<Clock> {
    let zone = options.store.billing_time_zone.clone();
    Ok(match &options.store.test_clock {
        Some(path) => Clock::standing(test_clock::read(path)?, zone),
        None => Clock::running(zone),
    })
}

/// The billing store alone, its tables up to date.
pub async fn open_billing(options: &BooksOptions) -> anyhow::Result<Billing> {
    let url = options.billing_url();
    let billing = billing(url, &options.billing, options.store.billing_time_zone_name())?.context("there is no billing store")?;
    billing.store().migrate().await.context("cannot use the billing store")?;
    Ok(billing)
}
