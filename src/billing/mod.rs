//! From usage records to the monthly bill: what the journal says, exactly once, in SQL, and the documents that follow from it.
//!
//! [`runner`] reads the journal of each partition; [`aggregate`] folds what it reads, and commits it in one step with the new position;
//! [`bills`] drafts and numbers the documents that entries cut. [`store`] is where all of it is kept: PostgreSQL or SQLite. [`Billing`]
//! is what the services and commands talk to.

pub mod aggregate;
pub mod bills;
mod chain;
pub mod document;
mod error;
pub mod forms;
pub mod partitions;
mod queries;
pub mod reconcile;
pub mod record;
pub mod restore;
pub mod runner;
pub mod settings;
pub mod status;
pub mod store;
pub mod suggestion;
pub mod verify;

use std::sync::Arc;

pub use bills::documents::{DocumentFilter, DocumentState, StoredDocument};
pub use bills::history::MonthOfCharges;
pub use bills::receivables::{AccountReceivables, Allocation};
pub use error::BillingError;
pub use queries::Places;
pub use record::Record;
pub use settings::BillingSettings;
use store::Store;

/// The billing store, as the services and commands talk to it. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Billing {
    store: Store,
    settings: Arc<BillingSettings>,
}

impl Billing {
    /// Connects to `postgres://…`, or opens or makes `sqlite://path`, and brings the tables up to date.
    pub async fn open(url: &str, settings: BillingSettings) -> Result<Self, BillingError> {
        Ok(Self { store: Store::open(url).await?, settings: Arc::new(settings) })
    }

    /// The same without a look at the store, which may be away: what is asked of it then fails, until it is there.
    pub fn connect_lazily(url: &str, settings: BillingSettings) -> Result<Self, BillingError> {
        Ok(Self { store: Store::connect_lazily(url)?, settings: Arc::new(settings) })
    }

    /// The store itself.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Who issues documents, and how.
    #[must_use]
    pub fn settings(&self) -> &BillingSettings {
        &self.settings
    }
}
