//! Who did what: what is recorded of calls, and the lists of it.

pub mod trail;

use super::UseCases;
use super::commands::Decided;
use super::context::RequestContext;
use super::error::{Error, Kind};
use super::permissions::is_act;
use access::Permission;
use billing::audit::list::{AuditCursor, AuditFilter};
use billing::audit::{Act, AuditRecord};

use domain::command::{Action, Command};
use domain::ids::{AccountId, RequestId};
use domain::origin::Origin;
use domain::outcome::Verdict;
use domain::time::UnixMillis;
use trail::{Refused, Trail};

/// A page of audit records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditPage {
    /// The last first.
    pub records: Vec<AuditRecord>,
    /// Where the next page begins; `None` if there is none.
    pub next: Option<AuditCursor>,
}

impl UseCases {
    /// The same, recorded by this trail.
    #[must_use]
    pub fn recorded_by(self, trail: Trail) -> Self {
        Self { trail, ..self }
    }

    /// Records a refusal, once for a context that is of one call.
    pub fn tell_of_refusal(&self, context: &RequestContext, error: &Error) {
        if error.kind != Kind::Denied {
            return;
        }
        let of = |name: &str| error.metadata.get(name).map_or("", String::as_str);
        self.trail.refused(Refused {
            reason: error.reason,
            what: of("permission"),
            caller: &context.caller.name,
            address: context.address,
            account: of("account_id"),
            origin: context.origin(),
        });
    }

    /// Records that a user has signed in to the console, or out of it.
    pub fn tell_of_session(&self, context: &RequestContext, user: &str, action: &str, by: &str) {
        let act = Act { actor: user.to_owned(), action: format!("console.{action}"), origin: context.origin(), ..Act::default() };
        self.trail.record(act.with("by", by));
    }

    /// Records that somebody has failed to sign in to the console. Only the name of a user that there is stands in the record: what is typed
    /// for a name may be a password.
    pub fn tell_of_failed_sign_in(&self, context: &RequestContext, user: Option<&str>, by: &'static str) {
        let (caller, address, origin) = (user.unwrap_or_default(), context.address, context.origin());
        self.trail.refused(Refused { reason: "SIGN_IN_FAILED", what: by, caller, address, account: "", origin });
    }

    /// The same of what a stream begins with.
    pub fn telling<T>(&self, context: &RequestContext, result: Result<T, Error>) -> Result<T, Error> {
        result.inspect_err(|error| self.tell_of_refusal(context, error))
    }

    /// Records an act on the ledger where no billing store takes the journal in. Charges are no acts.
    pub(super) fn tell_of_act(&self, decided: &Decided) {
        let Decided { command, outcome, decision } = decided;
        let is_told =
            decision.verdict == Verdict::Done && !outcome.replayed && is_act(&command.action) && !command.metadata.origin.is_empty();
        if self.trail.records_the_ledger() && is_told {
            self.trail.record(act_of(command, outcome.now));
        }
    }

    /// Records that somebody has looked at names and addresses, if that is wanted.
    pub(super) fn tell_of_read(&self, context: &RequestContext, what: &str, account: &AccountId) {
        if self.trail.records_reads() {
            let act = Act::of("personal_data.read", &context.change_at(self.clock().now()));
            self.trail.record(act.on(account).with("what", what));
        }
    }

    /// Audit records behind a place.
    pub async fn list_audit_records(
        &self,
        context: &RequestContext,
        filter: &AuditFilter,
        after: Option<AuditCursor>,
        count: usize,
    ) -> Result<AuditPage, Error> {
        let scope = context.scope(Permission::ReadAudit, filter.account.as_deref())?;
        let filter = &AuditFilter { scope, ..filter.clone() };
        let mut records = self.billing(context).await?.audit_records(filter, after, count + 1).await?;
        let has_more = records.len() > count;
        records.truncate(count);
        let next = records.last().filter(|_| has_more).map(|last| (last.act.at, last.chain, last.place));
        Ok(AuditPage { records, next })
    }
}

/// An act on the ledger, as far as its command tells.
fn act_of(command: &Command, at: UnixMillis) -> Act {
    let Command { account, request_id, action, metadata, .. } = command;
    let act = Act {
        at,
        actor: metadata.actor.clone(),
        on_behalf_of: metadata.on_behalf_of.clone(),
        action: format!("account.{}", action.kind().name()),
        account: account.clone(),
        request_id: request_id.clone(),
        origin: Origin::read(&metadata.origin),
        ..Act::default()
    };
    let amounts = match action {
        Action::TopUp { amount } | Action::RecordPayment { amount, .. } | Action::Withdraw { amount, .. } | Action::Adjust { amount } => {
            Some(amount.to_string())
        }
        Action::Refund(reversal) | Action::ReversePayment(reversal) | Action::ReverseWriteOff(reversal) => {
            reversal.amount.map(|amount| amount.to_string())
        }
        Action::WriteOff { amount } => amount.map(|amount| amount.to_string()),
        _ => None,
    };
    let limit = match action {
        Action::SetCreditLimit { limit, .. } | Action::Convert { limit, .. } => limit.permanent,
        Action::Create(create) => create.limit.permanent,
        _ => None,
    };
    let act = act.with("amount", amounts).with("permanent_limit", limit.map(|limit| limit.to_string()));
    act.with("refers_to", action.refers_to().map(RequestId::as_str)).with_reason(&metadata.reason)
}
