//! Who issues documents, when, and with which tax; what keeps drafts from being issued, and what operators do about it.

use std::fmt;

use super::error::Error;
use crate::billing::document::{Exemption, Issuer};
use crate::billing::forms;
use crate::billing::issuer::{Applied, CategoryRate, Change, Dated};
use crate::billing::review::{Approved, Review};
use crate::billing::standing::Standing;
use crate::billing::{Billing, BillingError, DocumentState, Retried, StoredDocument, name_of};
use crate::domain::account::Millis;

/// How many documents that are held back are worked out again for one call.
const RETRIED_AT_ONCE: i64 = 100;

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
pub async fn issuer(billing: &Billing, id: &str, now: Millis) -> Result<IssuerView, Error> {
    let versions = billing.issuers(id).await.map_err(|error| Error::from(&error))?;
    let (waiting_drafts, waits_for) = billing.waiting_drafts(now).await.map_err(|error| Error::from(&error))?;
    Ok(IssuerView { versions, waiting_drafts, waits_for })
}

/// How a document is named: by the number that it was issued under, or, before that, by its id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DocumentName {
    /// Its number.
    Number(String),
    /// Its id.
    Id(i64),
}

impl fmt::Display for DocumentName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => formatter.write_str(number),
            Self::Id(id) => formatter.write_str(&name_of(*id)),
        }
    }
}

/// The document of that name. One that is not issued yet comes as it would be issued now, but for number and dates.
pub async fn document(billing: &Billing, name: &DocumentName, now: Millis) -> Result<StoredDocument, Error> {
    let found = match name {
        DocumentName::Number(number) => billing.document(number).await,
        DocumentName::Id(id) => billing.document_of_id(*id).await,
    };
    let stored = found.map_err(|error| of_document(&error, name))?;
    let mut stored = billing.complete(stored, now).await.map_err(|error| of_document(&error, name))?;
    if stored.state != DocumentState::Issued {
        stored.missing_glyphs = forms::missing_glyphs(&stored.document).map_err(|error| Error::no_form(&error))?;
    }
    Ok(stored)
}

fn of_document(error: &BillingError, name: &DocumentName) -> Error {
    match error {
        BillingError::NotFound(_) => Error::invoice_not_found(&name.to_string()),
        error => error.into(),
    }
}

/// Sets who issues documents.
pub async fn set_issuer(billing: &Billing, id: &str, issuer: &Issuer, change: &Change) -> Result<Applied, Error> {
    billing.set_issuer(id, issuer, change).await.map_err(|error| Error::from(&error))
}

/// The rates of tax, by their days.
pub async fn tax_rates(billing: &Billing, id: &str) -> Result<Vec<Dated<CategoryRate>>, Error> {
    billing.tax_rates(id).await.map_err(|error| Error::from(&error))
}

/// Sets a rate of tax.
pub async fn set_tax_rate(billing: &Billing, id: &str, rate: CategoryRate, change: &Change) -> Result<Applied, Error> {
    billing.set_tax_rate(id, rate, change).await.map_err(|error| Error::from(&error))
}

/// Whether an account is charged tax, by day.
pub async fn exemptions(billing: &Billing, account: &str) -> Result<Vec<Dated<Option<Exemption>>>, Error> {
    billing.exemptions(account).await.map_err(|error| Error::from(&error))
}

/// Sets whether an account is charged tax.
pub async fn set_exemption(billing: &Billing, account: &str, exemption: Option<&Exemption>, change: &Change) -> Result<Applied, Error> {
    billing.set_exemption(account, exemption, change).await.map_err(|error| Error::from(&error))
}

/// When drafts of an issuer are issued, and what waits.
pub async fn issuing(billing: &Billing, id: &str, now: Millis) -> Result<(Review, Standing), Error> {
    let review = billing.review(id).await.map_err(|error| Error::from(&error))?;
    Ok((review, billing.standing(now).await.map_err(|error| Error::from(&error))?))
}

/// Sets when drafts of an issuer are issued.
pub async fn set_issuing(billing: &Billing, id: &str, review: Review, change: &Change) -> Result<Applied, Error> {
    billing.set_review(id, review, change).await.map_err(|error| Error::from(&error))
}

/// Approves drafts; how many.
pub async fn approve(billing: &Billing, approved: &Approved, change: &Change) -> Result<(Applied, u64), Error> {
    billing.approve(approved, change).await.map_err(|error| Error::from(&error))
}

/// Works documents out again that are held back, and returns what became of them: one, or all, some at a time, after the one with the given
/// id; and the id after which to go on.
pub async fn retry(billing: &Billing, one: Option<i64>, after: i64) -> Result<(Vec<Retried>, Option<i64>), Error> {
    let ids = match one {
        Some(id) => vec![id],
        None => billing.held(after, RETRIED_AT_ONCE).await.map_err(|error| Error::from(&error))?,
    };
    let mut retried = Vec::new();
    for id in &ids {
        match billing.retry_held(*id).await {
            Ok(one) => retried.push(one),
            // Somebody else has had it worked out meanwhile.
            Err(BillingError::NotFound(_)) if one.is_none() => {}
            Err(error) => return Err(of_document(&error, &DocumentName::Id(*id))),
        }
    }
    let is_full = one.is_none() && i64::try_from(ids.len()).is_ok_and(|count| count == RETRIED_AT_ONCE);
    Ok((retried, ids.last().copied().filter(|_| is_full)))
}
