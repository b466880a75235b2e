//! Who may call, beside the access files: keys and client certificates in the billing store. Those who are let in are copied, with the
//! figures of approval, into the ledger's store, which each process looks at every second, so that charging needs no SQL: [`copying`].

mod copying;

pub use copying::{copy, follow};

use super::UseCases;
use super::context::RequestContext;
use super::error::{Error, Kind, Subject};
use access::file::GrantEntry;
use access::key::NewKey;
use access::{Kind as Known, Permission};
use billing::Billing;
use billing::callers::{CallerKind, CreateOutcome, MOST, RevokeOutcome, StoredCaller};
use billing::change::{Applied, Change};
use billing::users::{StoredUser, UserTables};
use domain::time::UnixMillis;
use ledger::LedgerError;
use platform::clock::system_now;

/// The longest name, in characters: as long as an actor may be.
const LONGEST_NAME: usize = 128;

/// A caller that is to be let in.
#[derive(Clone, Debug, PartialEq)]
pub struct NewCaller {
    /// Its name: the actor in the journal. Of a certificate, the name in it.
    pub name: String,
    /// Its permissions.
    pub grant: GrantEntry,
    /// From when on it is refused; `None` is never.
    pub expires_at: Option<UnixMillis>,
}

/// A caller, as it is shown.
#[derive(Clone, Debug, PartialEq)]
pub struct Caller {
    /// As kept.
    pub stored: StoredCaller,
    /// Its permissions.
    pub grant: GrantEntry,
}

#[derive(Clone, Debug, PartialEq)]
pub struct MadeKey {
    /// The key, as it is shown from now on.
    pub caller: Caller,
    /// Its text, which is shown only once: `None` in the answer to a repetition.
    pub text: Option<String>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct CallerPage {
    /// By kind and name.
    pub callers: Vec<Caller>,
    /// After whom the next page begins; `None` if there is none.
    pub next: Option<(CallerKind, String)>,
}

impl UseCases {
    /// Creates an API key.
    pub async fn create_key(&self, context: &RequestContext, new: NewCaller, change: &Change) -> Result<MadeKey, Error> {
        let key = NewKey::generate().map_err(LedgerError::not_done)?;
        let (id, digest) = (key.id.clone(), key.digest().to_string());
        let applied = self.let_in(context, CallerKind::Key, &new, id, digest, change).await?;
        let caller = self.caller_named(context, CallerKind::Key, &new.name).await?;
        Ok(MadeKey { caller, text: (applied == Applied::Now).then_some(key.text) })
    }

    /// Admits callers with a client certificate of this name.
    pub async fn grant_certificate(&self, context: &RequestContext, new: NewCaller, change: &Change) -> Result<(Caller, Applied), Error> {
        let id = new.name.clone();
        let applied = self.let_in(context, CallerKind::Certificate, &new, id, String::new(), change).await?;
        Ok((self.caller_named(context, CallerKind::Certificate, &new.name).await?, applied))
    }

    async fn let_in(
        &self,
        context: &RequestContext,
        kind: CallerKind,
        new: &NewCaller,
        id: String,
        digest: String,
        change: &Change,
    ) -> Result<Applied, Error> {
        context.require_everywhere(Permission::ManageAccess)?;
        let change = &context.signed(change)?;
        let NewCaller { name, grant, expires_at } = new;
        if name.is_empty() || name.chars().count() > LONGEST_NAME || name.chars().any(char::is_control) {
            let rule = format!("must be 1 to {LONGEST_NAME} characters, none of them a control character");
            return Err(Error::invalid_field("name", rule));
        }
        let now = system_now();
        if expires_at.is_some_and(|ends| ends <= now) {
            return Err(Error::invalid_field("expires_at", "must be in the future"));
        }
        self.may_give(context, grant)?;
        self.ensure_somebody_manages(context, kind, new)?;
        let caller = StoredCaller {
            kind,
            name: name.clone(),
            id,
            digest,
            access: serde_json::to_string(grant).map_err(|error| Error::invalid_field("grant", error.to_string()))?,
            created_at: now,
            created_by: change.actor.clone(),
            created_for: change.on_behalf_of.clone(),
            expires_at: expires_at.unwrap_or_default(),
            revoked_at: UnixMillis::NONE,
            last_used_at: UnixMillis::NONE,
        };
        let billing = self.billing(context).await?;
        self.catch_up(billing).await?;
        match billing.make_caller(&caller, change).await? {
            CreateOutcome::Applied(applied) => {
                self.pass_on(billing).await;
                Ok(applied)
            }
            CreateOutcome::Taken => {
                let text = format!("there is a {} of this name: revoke it first", kind.name());
                Err(Error::new(Kind::AlreadyExists, "CALLER_EXISTS", text).of(Subject::Resource(kind.name(), name.clone())))
            }
            CreateOutcome::TooMany => {
                let text = format!("there are {MOST} callers, which is the most");
                Err(Error::new(Kind::Exhausted, "TOO_MANY_CALLERS", text))
            }
        }
    }

    /// Refuses to lock everybody out: once there is a first caller, credentials are required. That one is let in on the machine itself.
    fn ensure_somebody_manages(&self, context: &RequestContext, kind: CallerKind, new: &NewCaller) -> Result<(), Error> {
        if context.caller.kind != Known::Local || !self.access.is_open() {
            return Ok(());
        }
        // A client on another machine, which --insecure lets call, must not be able to shut out everybody else.
        if !context.is_local {
            let text = "the first caller is let in on the machine itself, not over the network or by way of a proxy: by `tollgate access \
                        --in-store create-key NAME --role admin` there";
            return Err(Error::precondition("FIRST_CALLER", "access", text));
        }
        match self.access.manages(known_by(kind), "", &new.grant) == Some(true) && new.expires_at.is_none() {
            true => Ok(()),
            false => Err(first_caller()),
        }
    }

    /// Refuses what the caller has not itself: nobody gives what they have not.
    pub(super) fn may_give(&self, context: &RequestContext, grant: &GrantEntry) -> Result<(), Error> {
        let granted = self.access.granted(grant).map_err(|error| Error::invalid_field("grant", format!("{error:#}")))?;
        if let Some(lacking) = granted.permissions.each().find(|permission| !context.caller.may_pass_on(*permission)) {
            return Err(Error::not_permitted(lacking));
        }
        if grant.acts_for_others && !context.caller.acts_for_others {
            return Err(Error::invalid_field("grant.acts_for_others", "must be false: the caller itself may not act for others"));
        }
        Ok(())
    }

    /// Revokes a key or a certificate. Every process refuses it within seconds.
    pub async fn revoke_caller(&self, context: &RequestContext, kind: CallerKind, name: &str, change: &Change) -> Result<Applied, Error> {
        context.require_everywhere(Permission::ManageAccess)?;
        let change = &context.signed(change)?;
        let billing = self.billing(context).await?;
        self.catch_up(billing).await?;
        let stays = self.can_come_back(context, billing).await?;
        let may_go = |caller: &StoredCaller, others: &[StoredCaller]| {
            let is_left = |other: &StoredCaller| self.manages(other) == Some(true);
            stays || self.manages(caller) == Some(false) || others.iter().any(is_left) || self.access.names_manager()
        };
        match billing.revoke_caller(kind, name, system_now(), change, may_go).await? {
            RevokeOutcome::Applied(applied) => {
                self.pass_on(billing).await;
                Ok(applied)
            }
            RevokeOutcome::Unknown => Err(no_caller(kind, name)),
            RevokeOutcome::Needed => Err(last_manager(kind)),
        }
    }

    /// Whether a caller of the billing store can let in others, for ever; `None`: not known here.
    fn manages(&self, caller: &StoredCaller) -> Option<bool> {
        if caller.expires_at.is_some() {
            return Some(false);
        }
        self.access.manages(known_by(caller.kind), &caller.id, &shown(caller.clone()).grant)
    }

    /// Whether a user of the console calls who stays, whatever key goes: one who can sign in again, and needs nobody to send a link.
    async fn can_come_back(&self, context: &RequestContext, billing: &Billing) -> Result<bool, Error> {
        if context.caller.kind != Known::User {
            return Ok(false);
        }
        let user = UserTables::of(billing.store().clone()).find(&context.caller.name).await?;
        let can_sign_in = |user: StoredUser| !user.password.is_empty() || !user.issuer.is_empty();
        Ok(user.filter(|user| !user.is_disabled).is_some_and(can_sign_in))
    }

    /// Callers of the billing store by kind and name, after the given one.
    pub async fn list_callers(
        &self,
        context: &RequestContext,
        after: Option<&(CallerKind, String)>,
        count: usize,
    ) -> Result<CallerPage, Error> {
        context.require_everywhere(Permission::ReadAccess)?;
        let mut callers = self.billing(context).await?.callers(after, count + 1).await?;
        let has_more = callers.len() > count;
        callers.truncate(count);
        let next = callers.last().filter(|_| has_more).map(|last| (last.kind, last.name.clone()));
        Ok(CallerPage { callers: callers.into_iter().map(shown).collect(), next })
    }

    /// A caller of the billing store.
    pub async fn caller(&self, context: &RequestContext, kind: CallerKind, name: &str) -> Result<Caller, Error> {
        context.require_everywhere(Permission::ReadAccess)?;
        self.caller_named(context, kind, name).await
    }

    async fn caller_named(&self, context: &RequestContext, kind: CallerKind, name: &str) -> Result<Caller, Error> {
        let found = self.billing(context).await?.caller(kind, name).await?;
        found.map(shown).ok_or_else(|| no_caller(kind, name))
    }
}

fn known_by(kind: CallerKind) -> Known {
    match kind {
        CallerKind::Key => Known::Key,
        CallerKind::Certificate => Known::Certificate,
    }
}

fn first_caller() -> Error {
    let text = "this is the first caller, and from then on nobody is let in without credentials: it must be able to let in others (the role \
                admin, on all accounts, for ever; a certificate only with --tls-client-ca), or nobody could. Make that one first";
    Error::precondition("FIRST_CALLER", "access", text)
}

fn last_manager(kind: CallerKind) -> Error {
    let text = format!(
        "this {} is the last that can let in others, and without it nobody could: first make another (the role admin, on all accounts, \
         for ever), or sign in to the console as an admin with a password. To end it at once: on the machine itself, make an admin's key in \
         the access file, then revoke this one there by `tollgate access revoke-key tg_...`",
        kind.name()
    );
    Error::precondition("LAST_MANAGER", "access", text)
}

fn shown(stored: StoredCaller) -> Caller {
    Caller { grant: serde_json::from_str(&stored.access).unwrap_or_default(), stored }
}

fn no_caller(kind: CallerKind, name: &str) -> Error {
    Error::not_found("CALLER_NOT_FOUND", kind.name(), name, format!("there is no {} of this name", kind.name())).with("name", name)
}
