//! Who may approve: another person than has asked. Both permissions are looked at again when it is approved.

use std::sync::Arc;

use super::super::UseCases;
use super::super::context::{Protocol, RequestContext};
use super::super::error::Error;
use super::super::users::grants_of;
use super::{about, callers_unknown, ended};
use access::file::GrantEntry;
use access::remembered::Known;
use access::{Kind, Permission, Principal, Remembered};
use billing::approvals::{Approval, Party, State};
use billing::callers::CallerKind;
use billing::change::Change;
use billing::users::UserTables;
use domain::money::DecimalAmount;
use platform::clock::system_now;

/// How many callers that have made one another are looked at.
const MOST_MAKERS: usize = 10;

impl UseCases {
    /// Refuses an approval that the caller may not give, or whose act may no longer be asked for.
    pub(super) async fn may_approve(&self, context: &RequestContext, approval: &Approval, change: &Change) -> Result<(), Error> {
        if approval.state != State::Waiting {
            return Err(ended(approval));
        }
        if context.caller.kind == Kind::Local {
            return Err(callers_unknown());
        }
        let decider = Party { name: change.actor.clone(), on_behalf_of: change.on_behalf_of.clone(), ..Party::default() };
        if !is_other_person(&approval.asked, &decider) || self.may_be_of(context, &approval.asked).await? {
            return Err(about(second_person_needed(), approval));
        }
        let amount = approval.amount.unwrap_or(DecimalAmount::new(i64::MAX, 0));
        let (permission, account, currency) = (Permission::ApproveActs, approval.account.as_str(), approval.currency);
        if !context.caller.may_with(permission, account, currency, amount) {
            return Err(Error::amount_not_permitted(permission, account, currency, context.caller.most(permission, account, currency)));
        }
        self.asker_may(context, approval).await.map(drop)
    }

    /// The context of the one who asked, who may do it still, with what is to be done.
    pub(super) async fn asker_may(&self, context: &RequestContext, approval: &Approval) -> Result<RequestContext, Error> {
        let refused = || about(asker_not_permitted(&approval.asked.name), approval);
        let remembered: Remembered = serde_json::from_str(&approval.asker).map_err(|_| refused())?;
        let user = if remembered.kind == Known::User { self.user_entry(context, &remembered.name).await? } else { None };
        let caller = self.access.recall(&remembered, user.as_deref()).ok_or_else(refused)?;
        if !approval.asked.on_behalf_of.is_empty() && !caller.acts_for_others {
            return Err(refused());
        }
        let asker = as_caller(caller);
        match self.permit_absent(&asker, &approval.to_command()?).await {
            Err(error) if !error.leaves_open() => Err(refused()),
            result => result.map(|()| asker),
        }
    }

    /// What a user of the web console may do; `None`: there is none, or not any more.
    async fn user_entry(&self, context: &RequestContext, name: &str) -> Result<Option<Vec<GrantEntry>>, Error> {
        let users = UserTables::of(self.billing(context).await?.store().clone());
        let user = users.find(name).await?.filter(|user| !user.is_disabled);
        Ok(user.and_then(|user| grants_of(&user.access).ok()))
    }

    /// Whether the one who asked may have made the caller of the billing store that decides, and have seen its key then: it was made
    /// afterwards, in whatever name, or by them, or by a caller that they have made.
    async fn may_be_of(&self, context: &RequestContext, asked: &Party) -> Result<bool, Error> {
        let kind = match context.caller.kind {
            Kind::Key => CallerKind::Key,
            Kind::Certificate => CallerKind::Certificate,
            Kind::Local | Kind::Token | Kind::User => return Ok(false),
        };
        let billing = self.billing(context).await?;
        // One of the access file may have the name of one that was revoked.
        let caller = billing.caller(kind, &context.caller.name).await?.filter(|caller| caller.is_let_in(system_now()));
        let Some(caller) = caller else { return Ok(false) };
        if caller.created_at > asked.at {
            return Ok(true);
        }
        let mut maker = caller.created_by;
        for _ in 0..MOST_MAKERS {
            if [person(asked), &asked.name].iter().any(|one| is_same_name(one, &maker)) {
                return Ok(true);
            }
            let key = billing.caller(CallerKind::Key, &maker).await?;
            let made = if key.is_some() { key } else { billing.caller(CallerKind::Certificate, &maker).await? };
            let Some(made) = made else { return Ok(false) };
            maker = made.created_by;
        }
        Ok(true)
    }
}

fn as_caller(caller: Arc<Principal>) -> RequestContext {
    RequestContext::new(Protocol::Grpc, caller, None, None)
}

/// For whom a caller acts; itself, if it names nobody.
fn person(party: &Party) -> &str {
    if party.on_behalf_of.is_empty() { &party.name } else { &party.on_behalf_of }
}

/// Whether another person decides than has asked. The same name is the same person, whatever it is the name of: a user of the console, a
/// key, a certificate, the subject of a token. A service that acts for several people is trusted to name them; by itself it is none of them.
fn is_other_person(asked: &Party, decider: &Party) -> bool {
    let pairs = [(person(asked), person(decider)), (person(asked), &decider.name), (&asked.name, person(decider))];
    !pairs.iter().any(|(one, other)| is_same_name(one, other))
}

fn is_same_name(one: &str, other: &str) -> bool {
    one.to_lowercase() == other.to_lowercase()
}

/// The caller has asked for it.
fn second_person_needed() -> Error {
    Error::denied("SECOND_PERSON_NEEDED", "the caller has asked for this act, and cannot approve it: another person has to")
}

/// Who asked may no longer do it.
fn asker_not_permitted(name: &str) -> Error {
    let text = format!("{name}, who has asked for it, may no longer do it, or not as much at once");
    Error::precondition("ASKER_NOT_PERMITTED", "approvals", text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn party(name: &str, on_behalf_of: &str) -> Party {
        Party { name: name.to_owned(), on_behalf_of: on_behalf_of.to_owned(), ..Party::default() }
    }

    #[test]
    fn nobody_is_a_second_person_beside_themselves() {
        let (portal, office) = ("portal", "office");
        for (asked, decider) in [
            (party("ada", ""), party("bob", "")),
            (party(portal, "ada"), party(portal, "bob")),
            (party(portal, "ada"), party(office, "bob")),
            (party(portal, "ada"), party("bob", "")),
            (party("ada", ""), party(portal, "bob")),
        ] {
            assert!(is_other_person(&asked, &decider) && is_other_person(&decider, &asked), "{asked:?} {decider:?}");
        }
        for (asked, decider) in [
            (party("ada", ""), party("ada", "")),
            (party("ada", ""), party("Ada", "")),
            (party("ada", ""), party("ada", "bob")),
            (party("ada", ""), party(portal, "ada")),
            (party(portal, "ada"), party(portal, "ada")),
            (party(portal, "ada"), party(office, "ada")),
            (party(portal, "ada"), party(portal, "")),
            (party(portal, ""), party(portal, "bob")),
        ] {
            assert!(!is_other_person(&asked, &decider) && !is_other_person(&decider, &asked), "{asked:?} {decider:?}");
        }
    }
}
