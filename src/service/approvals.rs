//! Acts that need a second person: write-offs, adjustments and raised limits above a figure. Off until a figure is set.
//!
//! An act above its figure is not done: [`holding`] keeps it in the billing store, and returns its number. Somebody else approves it,
//! within 7 days; then [`execution`] has the ledger do it under its own request id, as if the one who asked had sent it only now. Every
//! command passes [`UseCases::admit`], whatever the protocol, so that there is no way around.
//!
//! The figures are copied into the ledger's store with who may call, and are known to every process within seconds, without SQL.

mod execution;
mod holding;
mod people;

use super::UseCases;
use super::context::RequestContext;
use super::error::{Error, Kind};
use access::Permission;
use billing::approvals::figures::Figure;
use billing::approvals::{Approval, ApprovalFilter, State};
use billing::change::{Applied, Change};
use domain::account::Currency;
use domain::approval::GuardedAct;
use domain::ids::AccountId;
use domain::money::DecimalAmount;
use domain::time::UnixMillis;
pub use execution::{SWEEP, sweep};

/// The reason of an act for which there is no room.
pub(super) const TOO_MANY: &str = "TOO_MANY_APPROVALS";

/// A page of acts that were asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApprovalPage {
    /// The last first.
    pub approvals: Vec<Approval>,
    /// Before which number the next page begins; `None` if there is none.
    pub next: Option<i64>,
}

impl UseCases {
    /// Acts that were asked for, before a number.
    pub async fn list_approvals(
        &self,
        context: &RequestContext,
        filter: &ApprovalFilter,
        before: Option<i64>,
        count: usize,
    ) -> Result<ApprovalPage, Error> {
        let scope = context.scope(Permission::ReadAccounts, filter.account.as_deref())?;
        let (filter, now) = (&ApprovalFilter { scope, ..filter.clone() }, self.clock().now());
        let mut approvals = self.billing(context).await?.approvals(filter, before, count + 1, now).await?;
        let has_more = approvals.len() > count;
        approvals.truncate(count);
        let next = approvals.last().filter(|_| has_more).map(|last| last.id);
        Ok(ApprovalPage { approvals: approvals.into_iter().map(|approval| as_of(approval, now)).collect(), next })
    }

    /// The act of a number.
    pub async fn approval(&self, context: &RequestContext, id: i64) -> Result<Approval, Error> {
        self.approval_for(context, Permission::ReadAccounts, id).await
    }

    /// The act of a number, on an account on which the caller may do this; of another account it is as one that does not exist.
    async fn approval_for(&self, context: &RequestContext, permission: Permission, id: i64) -> Result<Approval, Error> {
        context.require_at_all(permission)?;
        let found = self.billing(context).await?.approval(id).await?;
        let found = found.filter(|found| context.caller.may_on(permission, &found.account)).ok_or_else(|| approval_not_found(id))?;
        Ok(as_of(found, self.clock().now()))
    }

    /// How many acts wait on accounts that the caller may look at.
    pub async fn waiting_approvals(&self, context: &RequestContext) -> Result<i64, Error> {
        let filter = ApprovalFilter { scope: context.scope(Permission::ReadAccounts, None)?, ..ApprovalFilter::default() };
        Ok(self.billing(context).await?.waiting_approvals(&filter, self.clock().now()).await?)
    }

    /// Approves an act, and has it done. Returns its state, and whether the same request approved it before.
    pub async fn approve(&self, context: &RequestContext, id: i64, change: &Change) -> Result<(Approval, bool), Error> {
        let found = self.approval_for(context, Permission::ApproveActs, id).await?;
        let change = &context.signed(change)?;
        let is_repetition = is_same_request(&found, change) && found.state != State::Rejected;
        if !is_repetition {
            self.may_approve(context, &found, change).await?;
            if !self.billing(context).await?.decide_approval(&found, State::Approved, change).await? {
                return Err(ended(&self.approval_for(context, Permission::ApproveActs, id).await?));
            }
        }
        let approved = self.approval_for(context, Permission::ApproveActs, id).await?;
        if approved.state == State::Approved {
            self.do_approved(&approved, false).await?;
        }
        Ok((self.approval_for(context, Permission::ApproveActs, id).await?, is_repetition))
    }

    /// Rejects an act. Those who have asked for it may do that, too, if they may approve others.
    pub async fn reject(&self, context: &RequestContext, id: i64, change: &Change) -> Result<(Approval, bool), Error> {
        let found = self.approval_for(context, Permission::ApproveActs, id).await?;
        let change = &context.signed(change)?;
        if is_same_request(&found, change) && found.state == State::Rejected {
            return Ok((found, true));
        }
        if !self.billing(context).await?.decide_approval(&found, State::Rejected, change).await? {
            return Err(ended(&self.approval_for(context, Permission::ApproveActs, id).await?));
        }
        Ok((self.approval_for(context, Permission::ApproveActs, id).await?, false))
    }

    /// From which figures on an act needs a second person.
    pub async fn approval_figures(&self, context: &RequestContext) -> Result<Vec<Figure>, Error> {
        context.require_everywhere(Permission::ReadSettings)?;
        Ok(self.billing(context).await?.approval_figures().await?)
    }

    /// Sets such a figure, or takes it away. It is no setting like others, since those who write off hold the permission for these.
    pub async fn set_approval_figure(
        &self,
        context: &RequestContext,
        act: GuardedAct,
        currency: Currency,
        above: Option<DecimalAmount>,
        change: &Change,
    ) -> Result<Applied, Error> {
        context.require_everywhere(Permission::ManageAccess)?;
        let change = &context.signed(change)?;
        let billing = self.billing(context).await?;
        if above.is_some() && self.access.is_open() {
            return Err(callers_unknown());
        }
        self.catch_up(billing).await?;
        let applied = billing.set_approval_figure(act, currency, above, change).await?;
        self.pass_on(billing).await;
        Ok(applied)
    }
}

/// An act as it is at an instant: that its time is over may not be noted yet.
fn as_of(approval: Approval, now: UnixMillis) -> Approval {
    match approval.state {
        State::Waiting if !approval.is_waiting(now) => Approval { state: State::Expired, ..approval },
        _ => approval,
    }
}

/// Whether it was this request that decided.
fn is_same_request(approval: &Approval, change: &Change) -> bool {
    let decided = &approval.decided;
    decided.at.is_some()
        && (&approval.decided_request_id, &decided.name, &decided.on_behalf_of) == (&change.request_id, &change.actor, &change.on_behalf_of)
}

fn approval_not_found(id: i64) -> Error {
    let id = id.to_string();
    Error::not_found("APPROVAL_NOT_FOUND", "approval", &id, "there is no such act that was asked for").with("approval_id", &id)
}

/// It waits no longer.
fn ended(approval: &Approval) -> Error {
    let text = match approval.state {
        State::Waiting => "it is decided on at this moment: try again",
        State::Approved => "it was approved, and is being done",
        State::Done => "it was approved and done",
        State::Failed => "it was approved, and could not be done: ask for it under another request id",
        State::Rejected => "it was rejected: what is asked for again needs another request id",
        State::Expired => "nobody has approved it within 7 days: ask for it under another request id",
    };
    let error = about(Error::precondition("APPROVAL_ENDED", format!("approvals/{}", approval.id), text), approval);
    let error = error.with("state", approval.state.name());
    if approval.failure.is_empty() { error } else { error.with("failure", &approval.failure) }
}

/// Nobody can tell a second person from the first.
fn callers_unknown() -> Error {
    let text = "everybody who reaches this service may do everything: a second person can be asked for once callers are known, \
                by the access file or by keys";
    Error::precondition("CALLERS_UNKNOWN", "access", text)
}

fn about(error: Error, approval: &Approval) -> Error {
    let error = error.with("approval_id", approval.id.to_string()).with("account_id", &approval.account);
    error.with("request_id", &approval.request_id)
}

fn too_many(most: i64, account: &AccountId) -> Error {
    let text = format!("{most} acts wait for approval already, which is the most of one account, of one caller, or of all");
    Error::new(Kind::Exhausted, TOO_MANY, text).with("most", most.to_string()).with("account_id", account)
}
