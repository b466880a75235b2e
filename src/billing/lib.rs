//! From usage records to the monthly bill: what the journal says, exactly once, in SQL, and the documents that follow from it.
//!
//! [`aggregator`] reads the journal of each partition; [`aggregate`] folds what it reads, and commits it in one step with the new position;
//! [`bills`] drafts and numbers the documents that entries cut. [`store`] is where all of it is kept: PostgreSQL or SQLite. [`Billing`]
//! is what the services and commands talk to.

mod account_history;
mod account_lock;
pub mod account_statement;
pub mod aggregate;
pub mod aggregator;
pub mod approvals;
pub mod audit;
pub mod backlog;
pub mod bank;
pub mod bills;
pub mod callers;
mod callers_version;
pub mod change;
pub mod denomination;
pub mod digest;
pub mod document;
pub mod document_id;
pub mod erase;
mod error;
mod former_entries;
mod frozen;
mod identity;
pub mod issuer;
pub mod items;
pub mod kinds;
pub mod layouts;
pub mod links;
pub mod logos;
pub mod lookup;
pub mod notes;
mod originals;
pub mod partitions;
pub mod payments;
pub mod position;
pub mod projection;
mod queries;
pub mod reconcile;
pub mod record;
pub mod rendering;
pub mod restore;
pub mod retention;
pub mod review;
pub mod scope;
pub mod search;
pub mod sending;
pub mod series;
pub mod settings;
pub mod status;
pub mod store;
pub mod suggestion;
pub mod tax;
pub mod traces;
pub mod usage;
pub mod users;
pub mod verify;
pub mod words;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bills::allocations;
pub use bills::apply::retry::Retried;
pub use bills::documents::{DocumentState, StoredDocument};
pub use bills::history::{MonthBill, MonthOfCharges};
pub use bills::listing::{DocumentFilter, DocumentPage};
pub use bills::preview::ComingDocument;
pub use bills::receivables::ordered as receivables;
pub use bills::receivables::{AccountReceivables, Allocation, Reopened};
pub use bills::{Act, ByHand, ByHandOutcome};
pub use document_id::{id_of, name_of};
pub use error::BillingError;
pub use position::JournalPosition;
pub use queries::Places;
pub use record::Record;
use series::backfill;
pub use settings::BillingSettings;
use store::Store;
pub use usage::UsageRecord;

use ledger::Identity;

/// The billing store, as the services and commands talk to it. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Billing {
    store: Store,
    settings: Arc<BillingSettings>,
    /// The ledger that it is to belong to.
    ledger: Option<Identity>,
    /// Once it was seen to.
    is_checked: Arc<AtomicBool>,
}

impl Billing {
    /// Connects to `postgres://…`, or opens or makes `sqlite://path`, and brings the tables up to date.
    pub async fn open(url: &str, settings: BillingSettings) -> Result<Self, BillingError> {
        let billing = Self::connect_lazily(url, settings)?;
        billing.bring_up_to_date().await?;
        Ok(billing)
    }

    /// Connects to a store that knows a ledger, and brings its tables up to date. One that knows none is refused, and stays as it is.
    pub async fn open_existing(url: &str, settings: BillingSettings) -> Result<Self, BillingError> {
        let billing = Self::new(Store::open_existing(url).await?, settings);
        match billing.known_ledger().await? {
            Some(_) => {
                billing.bring_up_to_date().await?;
                Ok(billing)
            }
            None => Err(BillingError::no_ledger(format!("{} is empty", billing.place()))),
        }
    }

    /// The same without a look at the store, which may be away: what is asked of it then fails, until it is there.
    pub fn connect_lazily(url: &str, settings: BillingSettings) -> Result<Self, BillingError> {
        Ok(Self::new(Store::connect_lazily(url)?, settings))
    }

    /// Brings the tables up to date, and what is in them.
    pub async fn bring_up_to_date(&self) -> Result<(), BillingError> {
        self.store.migrate().await?;
        allocations::sum_up_earlier(&self.store).await?;
        backfill::chain(&self.store).await?;
        search::prepare::prepare(&self.store).await
    }

    fn new(store: Store, settings: BillingSettings) -> Self {
        Self { store, settings: Arc::new(settings), ledger: None, is_checked: Arc::default() }
    }

    /// The same, for this ledger.
    #[must_use]
    pub fn of(self, ledger: Identity) -> Self {
        Self { ledger: Some(ledger), is_checked: Arc::default(), ..self }
    }

    /// Waits for a moment until the tables are there, and refuses a store that is another ledger's.
    pub async fn ready(&self) -> Result<(), BillingError> {
        self.store.ready().await?;
        if let Some(ledger) = &self.ledger
            && !self.is_checked.load(Ordering::Relaxed)
        {
            self.check_ledger(ledger).await?;
            self.is_checked.store(true, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Where it is, for people.
    #[must_use]
    pub fn place(&self) -> &str {
        self.store.place()
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
