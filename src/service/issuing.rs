//! Who issues documents, when, and with which tax; what keeps drafts from being issued, and what operators do about it.

use super::UseCases;
use super::context::RequestContext;
use super::error::Error;
use access::Permission;
use billing::backlog::Backlog;
use billing::change::Applied;
use billing::change::Change;
use billing::document::{Exemption, Issuer};
use billing::issuer::{CategoryRate, Dated};
use billing::review::{Approved, Review};
use billing::{BillingError, Retried, name_of};
use domain::ids::AccountId;

/// How many documents that are held back are worked out again for one call.
const RETRIED_AT_ONCE: i64 = 100;

/// An issuer, and what waits for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssuerView {
    /// Its versions, by the day from which on they hold.
    pub versions: Vec<Dated<Issuer>>,
    /// How many drafts are not issued yet.
    pub waiting_drafts: i64,
    /// What for the first of them waits; empty if for its turn.
    pub waits_for: String,
}

impl UseCases {
    /// The issuer with that id.
    pub async fn issuer(&self, context: &RequestContext, id: &str) -> Result<IssuerView, Error> {
        context.require_everywhere(Permission::ReadSettings)?;
        let billing = self.billing(context).await?;
        let versions = billing.issuers(id).await?;
        let (waiting_drafts, waits_for) = billing.waiting_drafts(self.clock().now()).await?;
        Ok(IssuerView { versions, waiting_drafts, waits_for })
    }

    /// Sets who issues documents.
    pub async fn set_issuer(&self, context: &RequestContext, id: &str, issuer: &Issuer, change: &Change) -> Result<Applied, Error> {
        context.require_everywhere(Permission::SetSettings)?;
        let change = &context.signed(change)?;
        Ok(self.billing(context).await?.set_issuer(id, issuer, change).await?)
    }

    /// The rates of tax, by their days.
    pub async fn tax_rates(&self, context: &RequestContext, id: &str) -> Result<Vec<Dated<CategoryRate>>, Error> {
        context.require_everywhere(Permission::ReadSettings)?;
        Ok(self.billing(context).await?.tax_rates(id).await?)
    }

    /// Sets a rate of tax.
    pub async fn set_tax_rate(&self, context: &RequestContext, id: &str, rate: CategoryRate, change: &Change) -> Result<Applied, Error> {
        context.require_everywhere(Permission::SetSettings)?;
        let change = &context.signed(change)?;
        Ok(self.billing(context).await?.set_tax_rate(id, rate, change).await?)
    }

    /// Whether an account is charged tax, by day.
    pub async fn exemptions(&self, context: &RequestContext, account: &AccountId) -> Result<Vec<Dated<Option<Exemption>>>, Error> {
        context.require(Permission::ReadSettings, account)?;
        self.look_at(account).await?;
        Ok(self.billing(context).await?.exemptions(account).await?)
    }

    /// Sets whether an account is charged tax.
    pub async fn set_exemption(
        &self,
        context: &RequestContext,
        account: &AccountId,
        exemption: Option<&Exemption>,
        change: &Change,
    ) -> Result<Applied, Error> {
        context.require(Permission::SetSettings, account)?;
        let change = &context.signed(change)?;
        self.look_at(account).await?;
        Ok(self.billing(context).await?.set_exemption(account, exemption, change).await?)
    }

    /// When drafts of an issuer are issued, and what waits.
    pub async fn issuing(&self, context: &RequestContext, id: &str) -> Result<(Review, Backlog), Error> {
        context.require_everywhere(Permission::ReadSettings)?;
        let billing = self.billing(context).await?;
        let review = billing.review(id).await?;
        Ok((review, billing.backlog(self.clock().now()).await?))
    }

    /// Sets when drafts of an issuer are issued.
    pub async fn set_issuing(&self, context: &RequestContext, id: &str, review: Review, change: &Change) -> Result<Applied, Error> {
        context.require_everywhere(Permission::SetSettings)?;
        let change = &context.signed(change)?;
        Ok(self.billing(context).await?.set_review(id, review, change).await?)
    }

    /// Approves drafts. Returns how many.
    pub async fn approve_drafts(&self, context: &RequestContext, approved: &Approved, change: &Change) -> Result<(Applied, u64), Error> {
        context.require_everywhere(Permission::ApproveInvoices)?;
        let change = &context.signed(change)?;
        Ok(self.billing(context).await?.approve(approved, change).await?)
    }

    /// Works documents out again that are held back, and returns the results: one, or all, some at a time, after the one with the
    /// given id; and the id after which to go on.
    pub async fn retry_held(&self, context: &RequestContext, one: Option<i64>, after: i64) -> Result<(Vec<Retried>, Option<i64>), Error> {
        context.require_everywhere(Permission::ApproveInvoices)?;
        let (billing, change) = (self.billing(context).await?, &context.change_at(self.clock().now()));
        let ids = match one {
            Some(id) => vec![id],
            None => billing.held(after, RETRIED_AT_ONCE).await?,
        };
        let mut retried = Vec::new();
        for id in &ids {
            match billing.retry_held(*id, change).await {
                Ok(one) => retried.push(one),
                // Somebody else has had it worked out meanwhile.
                Err(BillingError::NotFound(_)) if one.is_none() => {}
                Err(BillingError::NotFound(_)) => return Err(Error::invoice_not_found(&name_of(*id))),
                Err(error) => return Err(error.into()),
            }
        }
        let is_full = one.is_none() && i64::try_from(ids.len()).is_ok_and(|count| count == RETRIED_AT_ONCE);
        Ok((retried, ids.last().copied().filter(|_| is_full)))
    }
}
