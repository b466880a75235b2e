//! Whether a caller may do what it asks for. Each use case asks first, before it looks whether there is what it is about: a caller learns
//! nothing of accounts that are not its own.

use super::UseCases;
use super::commands::observation;
use super::context::RequestContext;
use super::error::Error;
use access::{Kind, Permission};
use billing::change::Change;
use billing::scope::Scope;
use domain::account::Currency;
use domain::command::{Action, Command, LimitChange, Reversal, TemporaryChange};
use domain::ids::{AccountId, RequestId};
use domain::money::DecimalAmount;
use domain::outcome::Refusal;
use domain::rules::MAX_SENT_AHEAD;
use domain::time::UnixMillis;
use platform::telemetry::traces::{Span, SpanKind};

impl RequestContext {
    /// Refuses a caller that may not do this on an account, whether there is one of that id or not.
    pub(super) fn require(&self, permission: Permission, account: &str) -> Result<(), Error> {
        match self.caller.may_on(permission, account) {
            true => Ok(()),
            false => Err(Error::not_permitted_on(permission, account)),
        }
    }

    /// Refuses a caller that may not do this on any account.
    pub(super) fn require_at_all(&self, permission: Permission) -> Result<(), Error> {
        match self.caller.may(permission) {
            true => Ok(()),
            false => Err(Error::not_permitted_at_all(permission)),
        }
    }

    /// Refuses a caller that may not do this on all accounts, and on what belongs to none.
    pub(super) fn require_everywhere(&self, permission: Permission) -> Result<(), Error> {
        match self.caller.may_everywhere(permission) {
            true => Ok(()),
            false => Err(Error::not_permitted(permission)),
        }
    }

    /// Of which accounts a list may show something; `None` means of all. A list of one account is refused if it is not among them.
    pub(super) fn scope(&self, permission: Permission, account: Option<&str>) -> Result<Option<Scope>, Error> {
        if let Some(account) = account {
            self.require(permission, account)?;
        }
        Ok(self.caller.scope(permission).map(Scope::new))
    }

    /// Writes into a command who asks. A caller that is known is the actor itself, and whom it names is who it acts for.
    fn sign(&self, command: &mut Command) -> Result<(), Error> {
        let Command { action, metadata, .. } = command;
        // Charges are no acts that are audited, and there are very many: of those that are traced it is kept.
        if is_act(action) || self.is_traced() {
            metadata.origin = self.origin().to_string();
        }
        // A refund may have a reason, and nobody who gives it.
        let is_by_hand = !metadata.reason.is_empty() && !matches!(action, Action::Refund(_));
        self.sign_fields(is_by_hand, &mut metadata.actor, &mut metadata.on_behalf_of)
    }

    /// The same of a setting's change. One that was sent in the future is refused.
    pub(super) fn signed(&self, change: &Change) -> Result<Change, Error> {
        not_ahead(change.first_sent_at, change.at, &change.request_id)?;
        let mut signed = Change { origin: self.origin(), ..change.clone() };
        self.sign_fields(true, &mut signed.actor, &mut signed.on_behalf_of)?;
        Ok(signed)
    }

    /// The same where the caller need not say who asks, nor why.
    pub(super) fn signed_if_said(&self, change: &Change) -> Result<Change, Error> {
        let actor = if change.actor.is_empty() { self.caller.name.clone() } else { change.actor.clone() };
        self.signed(&Change { actor, ..change.clone() })
    }

    /// A change for which nobody is named but the caller.
    pub(super) fn change_at(&self, at: UnixMillis) -> Change {
        let (actor, origin) = (self.caller.name.clone(), self.origin());
        let (request_id, on_behalf_of, reason) = Default::default();
        Change { request_id, actor, on_behalf_of, reason, at, origin, first_sent_at: None, valid_from: None }
    }

    /// The same of the fields.
    pub(super) fn sign_fields(&self, is_by_hand: bool, actor: &mut String, on_behalf_of: &mut String) -> Result<(), Error> {
        let caller = &self.caller;
        if caller.kind == Kind::Local {
            return match is_by_hand && actor.is_empty() {
                true => Err(Error::invalid_field("operator.actor", "must be 1 to 128 characters, none of them a control character")),
                false => Ok(()),
            };
        }
        if !actor.is_empty() && *actor != caller.name {
            if !caller.acts_for_others {
                return Err(Error::actor_not_permitted(&caller.name));
            }
            *on_behalf_of = std::mem::take(actor);
        }
        if actor.is_empty() {
            actor.clone_from(&caller.name);
        }
        Ok(())
    }
}

impl UseCases {
    /// Lets a command through that its caller may give, and has it say who gave it. One that needs a second person is kept until there is
    /// one.
    pub(super) async fn admit(&self, context: &RequestContext, command: &mut Command) -> Result<(), Error> {
        self.permit(context, command).await?;
        if self.may_need_approval(command)? {
            Box::pin(self.hold(context, command)).await?;
        }
        Ok(())
    }

    /// The same where nothing is to be done, and so nothing is kept.
    pub(super) async fn permit(&self, context: &RequestContext, command: &mut Command) -> Result<(), Error> {
        let permission = permission_for(&command.action);
        let span = if context.is_traced() { Span::child("permission", SpanKind::Internal) } else { None };
        if let Some(span) = &span {
            span.set("tollgate.permission", permission.name());
        }
        context.require(permission, &command.account)?;
        if limit_of(&command.action).is_some() {
            context.require(Permission::SetCreditLimit, &command.account)?;
        }
        context.sign(command)?;
        self.keep_within_bounds(context, command).await
    }

    /// Refuses a command that its caller, who is not there, may not give any more.
    pub(super) async fn permit_absent(&self, context: &RequestContext, command: &Command) -> Result<(), Error> {
        context.require(permission_for(&command.action), &command.account)?;
        if limit_of(&command.action).is_some() {
            context.require(Permission::SetCreditLimit, &command.account)?;
        }
        self.keep_within_bounds(context, command).await
    }

    /// Refuses more at once than the caller may.
    async fn keep_within_bounds(&self, context: &RequestContext, command: &Command) -> Result<(), Error> {
        let (permission, limit) = (permission_for(&command.action), limit_of(&command.action));
        for (permission, amounts) in [(permission, amounts_of(&command.action)), (Permission::SetCreditLimit, limit.into())] {
            if amounts != Amounts::None && context.caller.is_bounded(permission, &command.account) {
                Box::pin(self.keep_within(context, permission, command, amounts)).await?;
            }
        }
        Ok(())
    }

    /// Refuses these amounts, or lets them through.
    async fn keep_within(
        &self,
        context: &RequestContext,
        permission: Permission,
        command: &Command,
        amounts: Amounts,
    ) -> Result<(), Error> {
        let account = &command.account;
        // An account's currency never changes. Another one than it has is refused where the command is decided.
        let currency = match command.currency {
            Some(currency) => currency,
            None => self.look_at(account).await?.account.currency,
        };
        let refused = || Error::amount_not_permitted(permission, account, currency, context.caller.most(permission, account, currency));
        let may = |amount: DecimalAmount| {
            let amount = DecimalAmount::new(amount.mantissa().saturating_abs(), amount.scale());
            context.caller.may_with(permission, account, currency, amount)
        };
        let is_within = match amounts {
            Amounts::None => true,
            Amounts::These(these) => these.into_iter().flatten().all(may),
            // More than any bound, unless there is none in this currency.
            Amounts::AllThereIs => may(DecimalAmount::new(i64::MAX, 0)),
        };
        if is_within { Ok(()) } else { Err(refused()) }
    }
}

/// Whether a command is an act that is audited.
pub(super) fn is_act(action: &Action) -> bool {
    !matches!(action, Action::Observe { .. } | Action::Authorize(_) | Action::Debit(_) | Action::Release { .. })
}

/// Refuses what says that it was first sent further in the future than clocks differ.
pub(super) fn not_ahead(first_sent_at: Option<UnixMillis>, now: UnixMillis, request_id: &RequestId) -> Result<(), Error> {
    if first_sent_at.is_none_or(|sent| sent.since(now) <= MAX_SENT_AHEAD) {
        return Ok(());
    }
    let command = Command { request_id: request_id.to_owned(), ..observation(AccountId::default()) };
    Err(Error::refused(Refusal::SentInFuture, &command))
}

/// How much a command moves, as far as it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Amounts {
    /// Nothing.
    None,
    These([Option<DecimalAmount>; 2]),
    AllThereIs,
}

impl From<Option<Amounts>> for Amounts {
    fn from(amounts: Option<Amounts>) -> Self {
        amounts.unwrap_or(Self::None)
    }
}

/// The permission that a command needs.
pub(super) fn permission_for(action: &Action) -> Permission {
    match action {
        Action::Observe { .. } => Permission::ReadCredit,
        Action::Authorize(_) | Action::Debit(_) | Action::Release { .. } => Permission::Charge,
        Action::Refund(_) => Permission::Refund,
        Action::Convert { .. } => Permission::Convert,
        Action::Create(_) => Permission::CreateAccounts,
        Action::Update { .. } => Permission::UpdateAccounts,
        Action::EraseName => Permission::EraseAccounts,
        Action::TopUp { .. } => Permission::TopUp,
        Action::RecordPayment { .. } => Permission::RecordPayments,
        Action::ReversePayment(_) => Permission::ReversePayments,
        Action::WriteOff { .. } | Action::ReverseWriteOff(_) => Permission::WriteOff,
        Action::Withdraw { .. } => Permission::Withdraw,
        Action::Adjust { .. } => Permission::Adjust,
        Action::SetCreditLimit { .. } => Permission::SetCreditLimit,
        Action::Suspend | Action::Resume => Permission::Suspend,
        // A period is closed by the service itself; no caller can ask for it.
        Action::Close | Action::Reopen | Action::ClosePeriod => Permission::Close,
    }
}

/// What a command moves that a grant can bound.
fn amounts_of(action: &Action) -> Amounts {
    match action {
        Action::Refund(Reversal { amount, .. })
        | Action::ReversePayment(Reversal { amount, .. })
        | Action::ReverseWriteOff(Reversal { amount, .. })
        | Action::WriteOff { amount } => amount.map_or(Amounts::AllThereIs, |amount| Amounts::These([Some(amount), None])),
        Action::TopUp { amount } | Action::RecordPayment { amount, .. } | Action::Withdraw { amount, .. } | Action::Adjust { amount } => {
            Amounts::These([Some(*amount), None])
        }
        _ => Amounts::None,
    }
}

/// The limits that a command sets, whatever else it does.
fn limit_of(action: &Action) -> Option<Amounts> {
    let limit = match action {
        Action::SetCreditLimit { limit, .. } | Action::Convert { limit, .. } => limit,
        Action::Create(create) => &create.limit,
        _ => return None,
    };
    let LimitChange { permanent, temporary } = limit;
    let temporary = match temporary {
        TemporaryChange::Set { amount, .. } => Some(*amount),
        _ => None,
    };
    // Removing the temporary limit sets one, too.
    let sets_any = matches!(action, Action::SetCreditLimit { .. }) || !limit.is_none();
    sets_any.then_some(Amounts::These([*permanent, temporary]))
}

impl Error {
    /// The caller may not do this, on whatever account.
    #[must_use]
    pub fn not_permitted_at_all(permission: Permission) -> Self {
        let text = format!("this caller is not permitted to call this: it needs {permission}");
        Self::denied("PERMISSION_DENIED", text).with("permission", permission.name())
    }

    /// The caller may not do this on all accounts.
    #[must_use]
    pub fn not_permitted(permission: Permission) -> Self {
        let text = format!("this caller is not permitted to do this on all accounts: it needs {permission}, not bound to accounts");
        Self::denied("PERMISSION_DENIED", text).with("permission", permission.name())
    }

    /// The caller may not do this on this account, which there may be or not.
    fn not_permitted_on(permission: Permission, account: &str) -> Self {
        let text = format!("this caller is not permitted to do this on this account: it needs {permission}");
        Self::denied("PERMISSION_DENIED", text).with("permission", permission.name()).with("account_id", account)
    }

    fn actor_not_permitted(name: &str) -> Self {
        let text = format!("this caller is {name}, and may not act for others: operator.actor must be empty, or {name}");
        Self::denied("PERMISSION_DENIED", text)
    }

    pub(super) fn amount_not_permitted(permission: Permission, account: &str, currency: Currency, most: Option<DecimalAmount>) -> Self {
        let most = format!("{} {}", most.unwrap_or(DecimalAmount::ZERO), currency.code());
        let text = format!("this caller is permitted to {permission} at most {most} at once, and has to say how much");
        let error = Self::denied("AMOUNT_NOT_PERMITTED", text);
        error.with("permission", permission.name()).with("account_id", account).with("most", most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::account::Mode;

    #[test]
    fn a_conversion_that_removes_the_temporary_limit_sets_a_limit() {
        let convert = |temporary| {
            let limit = LimitChange { permanent: None, temporary };
            limit_of(&Action::Convert { mode: Mode::Prepaid, limit, allow_unusable: false })
        };
        assert!(convert(TemporaryChange::Remove).is_some());
        assert!(convert(TemporaryChange::Keep).is_none());
    }
}
