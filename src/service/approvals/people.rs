//! Who may approve: another person than has asked. Both permissions are looked at again when it is approved.
//!
//! Who has made a key has seen it, and who has made a link may have signed in by it. So one of two callers that has made the other is no
//! second person beside it, nor is one that was let in after the request; and where it is not known who has made one, nobody knows.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::super::UseCases;
use super::super::context::{Protocol, RequestContext};
use super::super::error::Error;
use super::super::users::grants_of;
use super::{about, callers_unknown, ended};
use access::file::GrantEntry;
use access::stored_principal::StoredKind;
use access::{Kind, Permission, Principal, StoredPrincipal};
use billing::approvals::{Approval, Party, State};
use billing::callers::{CallerKind, StoredCaller};
use billing::change::Change;
use billing::users::{Invited, StoredUser, UserTables};
use domain::money::DecimalAmount;
use platform::clock::system_now;

/// How many callers that have made one another are looked at.
const MOST_MAKERS: usize = 20;

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
        if !is_other_person(&approval.asked, &decider) {
            return Err(about(second_person_needed(), approval));
        }
        self.ensure_apart(context, approval, &decider).await?;
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
        let remembered: StoredPrincipal = serde_json::from_str(&approval.asker).map_err(|_| refused())?;
        let user = if remembered.kind == StoredKind::User { self.user_entry(context, &remembered.name).await? } else { None };
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

    /// What a user of the web console may do; `None` if there is none, or not any more.
    async fn user_entry(&self, context: &RequestContext, name: &str) -> Result<Option<Vec<GrantEntry>>, Error> {
        let users = UserTables::of(self.billing(context).await?.store().clone());
        let user = users.find(name).await?.filter(|user| !user.is_disabled);
        Ok(user.and_then(|user| grants_of(&user.access).ok()))
    }

    /// Refuses a decision by a caller who may be the requester, as far as it is known who created whom.
    async fn ensure_apart(&self, context: &RequestContext, approval: &Approval, decider: &Party) -> Result<(), Error> {
        let asker: Option<StoredPrincipal> = serde_json::from_str(&approval.asker).ok();
        let asker = match asker.map(|asker| asker.kind) {
            Some(known) => self.invitation(context, known, &approval.asked.name).await?,
            None => None,
        };
        let deciding = self.invitation(context, context.caller.remembered().kind, &context.caller.name).await?;
        if deciding.as_ref().is_some_and(|caller| caller.at > approval.asked.at) {
            return Err(about(second_person_needed(), approval));
        }
        for (caller, name, other) in [(deciding, &context.caller.name, &approval.asked), (asker, &approval.asked.name, decider)] {
            let Some(caller) = caller else { continue };
            match self.may_have_made(context, caller, other).await? {
                Some(true) => return Err(about(second_person_needed(), approval)),
                Some(false) => {}
                None => return Err(about(maker_unknown(name), approval)),
            }
        }
        Ok(())
    }

    /// How a caller was let in, if the billing store says so: not of one of the access file, even if it has the name of one that was
    /// revoked, nor of a token, for which its issuer vouches.
    async fn invitation(&self, context: &RequestContext, known: StoredKind, name: &str) -> Result<Option<Invited>, Error> {
        let billing = self.billing(context).await?;
        let kind = match known {
            StoredKind::Local | StoredKind::Token => return Ok(None),
            StoredKind::User => return Ok(UserTables::of(billing.store().clone()).find(name).await?.and_then(invited)),
            StoredKind::Key => CallerKind::Key,
            StoredKind::Certificate => CallerKind::Certificate,
        };
        Ok(billing.caller(kind, name).await?.filter(|caller| caller.is_let_in(system_now())).map(made))
    }

    /// Whether a caller was created by another, directly or through callers in between; `None` if unknown.
    async fn may_have_made(&self, context: &RequestContext, caller: Invited, other: &Party) -> Result<Option<bool>, Error> {
        let billing = self.billing(context).await?;
        let users = UserTables::of(billing.store().clone());
        let (mut next, mut seen, mut is_known) = (vec![caller], BTreeSet::new(), true);
        while let Some(Invited { by, on_behalf_of, .. }) = next.pop() {
            is_known &= !by.is_empty();
            for maker in [by, on_behalf_of].into_iter().filter(|name| !name.is_empty()) {
                if [person(other), &other.name].iter().any(|one| is_same_name(one, &maker)) || seen.len() == MOST_MAKERS {
                    return Ok(Some(true));
                }
                if seen.insert(maker.clone()) {
                    for kind in [CallerKind::Key, CallerKind::Certificate] {
                        next.extend(billing.caller(kind, &maker).await?.map(made));
                    }
                    next.extend(users.find(&maker).await?.and_then(invited));
                }
            }
        }
        Ok(is_known.then_some(false))
    }
}

/// Who invited a user; `None` for users of an identity provider, which vouches for them.
fn invited(user: StoredUser) -> Option<Invited> {
    user.issuer.is_empty().then_some(user.invited)
}

fn made(caller: StoredCaller) -> Invited {
    Invited { at: caller.created_at, by: caller.created_by, on_behalf_of: caller.created_for }
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

/// The caller has asked for it, or may have.
fn second_person_needed() -> Error {
    let text = "the caller has asked for this act, was let in since or by the one who asked, or has let them in, and cannot approve it: \
                another person has to";
    Error::denied("SECOND_PERSON_NEEDED", text)
}

/// One of the two may have made the other.
fn maker_unknown(name: &str) -> Error {
    let text = format!(
        "it is not known who has let in {name:?}, or who has let in that one, as after a restoration of the billing store: so it may be one \
         person that asks and approves. Somebody else has to approve it; or have the key made anew, or the user invited anew, and the act \
         asked for again"
    );
    Error::denied("MAKER_UNKNOWN", text).with("caller", name)
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
