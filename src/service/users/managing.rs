//! Users, managed by somebody who has signed in: each act needs its permission, is refused where it would give what the caller has not, and
//! is on record.

use serde::Serialize;
use serde_json::Value as Json;

use super::{MAX_LISTED, NAME_RULE, User, Users, is_name, understood};
use crate::UseCases;
use crate::context::RequestContext;
use crate::error::{Error, Kind, Subject};
use access::file::GrantEntry;
use access::role::BUILT_IN;
use access::{Permission, Permissions};
use billing::audit::Act;
use billing::change::Change;
use ledger::LedgerError;
use platform::clock::system_now;

impl UseCases {
    /// The roles that there are, those of the access file last, with what each lets do.
    pub fn roles(&self, context: &RequestContext) -> Result<Vec<(String, Permissions)>, Error> {
        context.require_everywhere(Permission::ReadAccess)?;
        let built_in = BUILT_IN.into_iter().map(|(name, permissions)| (name.to_owned(), permissions));
        let own = self.access.file().roles.into_iter().map(|(name, entry)| {
            let permissions: Vec<Permission> = entry.permissions.iter().filter_map(|one| one.parse().ok()).collect();
            (name, Permissions::of(&permissions))
        });
        Ok(built_in.chain(own).collect())
    }

    /// Whether everybody who reaches a listener may call, because nobody is named who may.
    pub fn lets_everybody_call(&self, context: &RequestContext) -> Result<bool, Error> {
        context.require_everywhere(Permission::ReadAccess)?;
        Ok(self.access.is_open())
    }

    /// All users, by name.
    pub async fn users(&self, context: &RequestContext, users: &Users) -> Result<Vec<User>, Error> {
        context.require_everywhere(Permission::ReadAccess)?;
        users.tables.ready().await?;
        let stored = users.tables.list(MAX_LISTED).await?;
        Ok(stored.into_iter().map(understood).collect::<anyhow::Result<_>>().map_err(LedgerError::not_done)?)
    }

    /// One user.
    pub async fn user(&self, context: &RequestContext, users: &Users, name: &str) -> Result<User, Error> {
        context.require_everywhere(Permission::ReadAccess)?;
        users.named(name).await
    }

    /// Creates a user, and returns what a link has to hold to sign it in once.
    pub async fn create_user(
        &self,
        context: &RequestContext,
        users: &Users,
        name: &str,
        grant: &GrantEntry,
        change: &Change,
    ) -> Result<String, Error> {
        context.require_everywhere(Permission::ManageAccess)?;
        let change = &context.signed(change)?;
        if !is_name(name) {
            return Err(Error::invalid_field("name", NAME_RULE));
        }
        self.may_give(context, grant)?;
        users.tables.ready().await?;
        let access = written(grant)?;
        let act = of_user("created", name, change).with("after", json_of(grant));
        if !users.tables.create(name, &access, system_now(), self.stored(&act)).await? {
            let text = format!("there is a user called {name:?} already");
            return Err(Error::new(Kind::AlreadyExists, "USER_EXISTS", text).of(Subject::Resource("user", name.to_owned())));
        }
        self.tell_unstored(act);
        self.link_for(users, name, change).await
    }

    /// Records that a user of an identity provider is new here, or may do something else than the last time.
    pub fn tell_of_provided_user(&self, context: &RequestContext, name: &str, before: Option<&[GrantEntry]>, after: &[GrantEntry]) {
        if before == Some(after) {
            return;
        }
        let action = if before.is_some() { "user.access_set" } else { "user.created" };
        let act = Act { actor: name.to_owned(), action: action.to_owned(), origin: context.origin(), ..Act::default() };
        let act = act.with("name", name).with("by", "provider").with("before", before.map(json_of)).with("after", json_of(after));
        self.trail.record(act);
    }

    /// Sets what a user may do, from its next page on.
    pub async fn set_user_access(
        &self,
        context: &RequestContext,
        users: &Users,
        name: &str,
        grant: &GrantEntry,
        change: &Change,
    ) -> Result<(), Error> {
        let (user, change) = self.managed(context, users, name, change).await?;
        is_not_of_provider(&user)?;
        self.may_give(context, grant)?;
        let access = written(grant)?;
        let act = of_user("access_set", name, &change).with("before", user.access.first().map(json_of)).with("after", json_of(grant));
        users.tables.set_access(name, &access, self.stored(&act)).await?;
        self.tell_unstored(act);
        Ok(())
    }

    /// Makes what a link has to hold to sign a user in once.
    pub async fn invite_user(&self, context: &RequestContext, users: &Users, name: &str, change: &Change) -> Result<String, Error> {
        let (user, change) = self.managed(context, users, name, change).await?;
        is_not_of_provider(&user)?;
        if user.is_disabled {
            return Err(Error::precondition("USER_DISABLED", format!("users/{name}"), "the user may not sign in: let it sign in first"));
        }
        self.link_for(users, name, &change).await
    }

    /// Disables a user and ends its sessions, or enables it again.
    pub async fn set_user_disabled(
        &self,
        context: &RequestContext,
        users: &Users,
        name: &str,
        is_disabled: bool,
        change: &Change,
    ) -> Result<(), Error> {
        let (_, change) = self.managed(context, users, name, change).await?;
        let act = of_user(if is_disabled { "disabled" } else { "enabled" }, name, &change);
        users.tables.set_disabled(name, is_disabled, self.stored(&act)).await?;
        self.tell_unstored(act);
        Ok(())
    }

    /// Forgets the second factor of a user who has lost it, and ends the user's sessions.
    pub async fn reset_second_factor(&self, context: &RequestContext, users: &Users, name: &str, change: &Change) -> Result<(), Error> {
        let (_, change) = self.managed(context, users, name, change).await?;
        let act = of_user("second_factor_reset", name, &change);
        if !users.tables.forget_second_factor(name, "", self.stored(&act)).await? {
            let text = "the user has no second factor: there is nothing to reset";
            return Err(Error::precondition("NO_SECOND_FACTOR", format!("users/{name}"), text));
        }
        self.tell_unstored(act);
        Ok(())
    }

    /// A user whom the caller may manage: who could sign in as somebody with more permissions would have them, too. Nobody manages
    /// themselves, so that there is always somebody left who can.
    async fn managed(&self, context: &RequestContext, users: &Users, name: &str, change: &Change) -> Result<(User, Change), Error> {
        context.require_everywhere(Permission::ManageAccess)?;
        let change = context.signed(change)?;
        let user = users.named(name).await?;
        if user.name == context.caller.name {
            let text = "nobody changes what they may do themselves: another administrator does";
            return Err(Error::precondition("OWN_USER", format!("users/{name}"), text));
        }
        // Of a role that is gone nothing can be had.
        for grant in user.access.iter().filter(|grant| self.access.granted(grant).is_ok()) {
            self.may_give(context, grant)?;
        }
        Ok((user, change))
    }

    async fn link_for(&self, users: &Users, name: &str, change: &Change) -> Result<String, Error> {
        let act = of_user("invited", name, change);
        let inviting = users.invite_by(name, &change.actor, &change.on_behalf_of, self.stored(&act));
        let secret = inviting.await.map_err(LedgerError::not_done)?;
        self.tell_unstored(act);
        Ok(secret)
    }

    /// An act that is recorded in the transaction that does it: in the billing store, if there is one.
    fn stored<'a>(&self, act: &'a Act) -> Option<&'a Act> {
        (!self.trail.records_the_ledger()).then_some(act)
    }

    /// Records an act where there is no billing store.
    fn tell_unstored(&self, act: Act) {
        if self.trail.records_the_ledger() {
            self.trail.record(act);
        }
    }
}

impl Users {
    async fn named(&self, name: &str) -> Result<User, Error> {
        self.tables.ready().await?;
        match self.tables.find(name).await? {
            Some(stored) => Ok(understood(stored).map_err(LedgerError::not_done)?),
            None => Err(Error::not_found("USER_NOT_FOUND", "user", name, format!("there is no user called {name:?}"))),
        }
    }
}

/// A grant as it is stored.
fn written(grant: &GrantEntry) -> Result<String, Error> {
    serde_json::to_string(grant).map_err(|error| Error::invalid_field("grant", error.to_string()))
}

fn of_user(what: &str, name: &str, change: &Change) -> Act {
    Act::of(&format!("user.{what}"), change).with("name", name)
}

/// A grant, or several.
fn json_of<T: Serialize + ?Sized>(grants: &T) -> Json {
    serde_json::to_value(grants).unwrap_or_default()
}

fn is_not_of_provider(user: &User) -> Result<(), Error> {
    if user.issuer.is_empty() {
        return Ok(());
    }
    let text = format!("the user signs in at {}, which says what the user may do: change it there", user.issuer);
    Err(Error::precondition("USER_OF_PROVIDER", format!("users/{}", user.name), text))
}
