//! Who issues documents, and what keeps drafts from being issued.

use crate::billing::document::Issuer;
use crate::billing::issuer::Dated;
use crate::billing::{Billing, BillingError};
use crate::domain::account::Millis;

/// An issuer, and what waits for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssuerView {
    /// Its versions, by the day from which on they hold.
    pub versions: Vec<Dated<Issuer>>,
    /// How many drafts are not issued yet.
    pub waiting_drafts: i64,
    /// What for the first of them waits; empty: for its turn.
    pub waits_for: String,
}

/// The issuer with that id.
pub async fn issuer(billing: &Billing, id: &str, now: Millis) -> Result<IssuerView, BillingError> {
    let versions = billing.issuers(id).await?;
    let (waiting_drafts, waits_for) = billing.waiting_drafts(now).await?;
    Ok(IssuerView { versions, waiting_drafts, waits_for })
}
