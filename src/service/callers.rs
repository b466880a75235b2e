//! Who may call, beside the access files: keys and client certificates in the billing store. Those who are let in are copied, with the
//! figures of approval, into the ledger's store, which each process looks at every second, so that charging needs no SQL.

use jiff::Timestamp;

use super::UseCases;
use super::context::RequestContext;
use super::error::{Error, Kind, Subject};
use access::file::{CertificateEntry, GrantEntry, KeyEntry};
use access::key::NewKey;
use access::{Access, Kind as Known, Permission, StoredCallers};
use billing::Billing;
use billing::approvals::figures::Figure;
use billing::callers::{AdmittedCallers, CallerKind, CreateOutcome, MOST, RevokeOutcome, StoredCaller};
use billing::change::{Applied, Change};
use domain::account::Currency;
use domain::approval::GuardedAct;
use domain::money::DecimalAmount;
use domain::time::UnixMillis;
use ledger::{CopiedCallers, Ledger, LedgerError};
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
        self.ensure_somebody_manages(context, new)?;
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
    fn ensure_somebody_manages(&self, context: &RequestContext, new: &NewCaller) -> Result<(), Error> {
        if context.caller.kind != Known::Local || !self.access.is_open() {
            return Ok(());
        }
        // A client on another machine, which --insecure lets call, must not be able to shut out everybody else.
        if context.address.is_some_and(|address| !address.to_canonical().is_loopback()) {
            let text = "the first caller is let in on the machine itself, not over the network: by `tollgate access --in-store create-key NAME --role admin` there";
            return Err(Error::precondition("FIRST_CALLER", "access", text));
        }
        match self.access.is_manager(&new.grant, "") && new.expires_at.is_none() {
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
        // A user of the console stays, whatever key goes.
        let is_user = context.caller.kind == Known::User;
        let may_go = |caller: &StoredCaller, others: &[StoredCaller]| {
            is_user || !self.manages(caller) || others.iter().any(|other| self.manages(other)) || self.access.names_manager()
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

    /// Whether a caller of the billing store can let in others, for ever.
    fn manages(&self, caller: &StoredCaller) -> bool {
        caller.expires_at.is_none() && self.access.is_manager(&shown(caller.clone()).grant, &caller.id)
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

    /// Tells the billing store of all that was copied before it is changed: changes of an earlier state would count up to the copy's
    /// version, and pass for later ones.
    pub(super) async fn catch_up(&self, billing: &Billing) -> Result<(), Error> {
        let unknown = |error: anyhow::Error| Error::from(LedgerError::not_done(format!("it is not known who may call: {error:#}")));
        let version = billing.callers_version().await?.unwrap_or_default();
        recover(billing, &self.ledger, version).await.map(drop).map_err(unknown)
    }

    /// Copies a change at once. If that fails, the next look of any process does it.
    pub(super) async fn pass_on(&self, billing: &Billing) {
        if let Err(error) = copy(billing, &self.ledger).await {
            tracing::warn!("who may call is copied into the ledger's store later: {error:#}");
        }
        if let Err(error) = follow(&self.access, &self.ledger, &mut None).await {
            tracing::warn!("who may call is looked up later: {error:#}");
        }
    }
}

fn first_caller() -> Error {
    let text = "this is the first caller, and from then on nobody is let in without credentials: it must be able to let in others (the role \
                admin, on all accounts, for ever), or nobody could. Make that one first";
    Error::precondition("FIRST_CALLER", "access", text)
}

fn last_manager(kind: CallerKind) -> Error {
    let text = format!(
        "this {} is the last that can let in others, and without it nobody could: first make another (the role admin, on all accounts, \
         for ever). To end it at once: on the machine itself, make an admin's key in the access file, then revoke this one there by \
         `tollgate access revoke-key tg_...`",
        kind.name()
    );
    Error::precondition("LAST_MANAGER", "access", text)
}

/// What the ledger's copy is, beside a version of the billing store.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Copied {
    /// There is none, or it is of an earlier version, or was of a later one and is recovered.
    Earlier,
    /// It is of this version.
    Same,
    /// It is of a later one, which the billing store has reached meanwhile.
    Later,
}

/// Compares the copy with the billing store. One that was restored to an earlier state takes over what the copy knows: else who was revoked
/// since would be let in again, by the next change.
async fn recover(billing: &Billing, ledger: &Ledger, version: i64) -> anyhow::Result<Copied> {
    let engine = ledger.engine();
    match engine.callers(Some(version)).await? {
        Some(later) if later.version > version => {
            // No copy is of a state that was not committed: the version is read again, since that may have come in between.
            if !billing.recover_callers(later.version, &of_copy(&later)?, &figures_of(&later)?, system_now()).await? {
                return Ok(Copied::Later);
            }
            tracing::warn!(version = later.version, "the billing store is of an earlier state: who may call is what was copied last");
            Ok(Copied::Earlier)
        }
        Some(_) => Ok(Copied::Earlier),
        // There may be no copy, and none may be of another version.
        None if engine.callers(None).await?.is_some() => Ok(Copied::Same),
        None => Ok(Copied::Earlier),
    }
}

/// Copies who is let in from the billing store into the ledger's, if the copy there is of an earlier state.
pub async fn copy(billing: &Billing, ledger: &Ledger) -> anyhow::Result<()> {
    let engine = ledger.engine();
    let Some(version) = billing.callers_version().await? else {
        let nobody = serde_json::to_string(&StoredCallers::nobody())?;
        return Ok(engine.copy_callers(CopiedCallers { version: 0, content: nobody }).await?);
    };
    if recover(billing, ledger, version).await? != Copied::Earlier {
        return Ok(());
    }
    let AdmittedCallers { version, callers, is_anybody_known, figures } = billing.let_in(system_now()).await?;
    let mut copy = StoredCallers { is_open: !is_anybody_known, ..StoredCallers::default() };
    for Figure { act, currency, above } in figures {
        copy.approval_above.entry(act.name().to_owned()).or_default().insert(currency.code().to_owned(), above.to_string());
    }
    for caller in callers {
        let (grant, name) = (serde_json::from_str(&caller.access)?, caller.name);
        match caller.kind {
            CallerKind::Key => {
                let (created, expires) = (instant(caller.created_at), instant(caller.expires_at));
                copy.keys.push(KeyEntry { name, id: caller.id, digest: caller.digest, created, expires, revoked: None, grant });
            }
            CallerKind::Certificate => copy.certificates.push(CertificateEntry { name, grant }),
        }
    }
    engine.copy_callers(CopiedCallers { version, content: serde_json::to_string(&copy)? }).await?;
    Ok(())
}

/// Loads who is let in from the ledger's store, if it is another version than the one that is known; returns whether it was.
pub async fn follow(access: &Access, ledger: &Ledger, known: &mut Option<i64>) -> anyhow::Result<bool> {
    let Some(CopiedCallers { version, content }) = ledger.engine().callers(*known).await? else { return Ok(false) };
    access.take_stored(version, serde_json::from_str(&content)?)?;
    *known = Some(version);
    Ok(true)
}

/// The figures of approval by a copy.
fn figures_of(copied: &CopiedCallers) -> anyhow::Result<Vec<Figure>> {
    let StoredCallers { approval_above, .. } = serde_json::from_str(&copied.content)?;
    let figure = |act: &str, currency: &str, above: &str| {
        Some(Figure { act: GuardedAct::named(act)?, currency: Currency::parse(currency)?, above: DecimalAmount::parse(above).ok()? })
    };
    let figures =
        approval_above.iter().flat_map(|(act, of_act)| of_act.iter().filter_map(|(currency, above)| figure(act, currency, above)));
    Ok(figures.collect())
}

/// Callers of a copy, as the billing store keeps it.
fn of_copy(copied: &CopiedCallers) -> anyhow::Result<Vec<StoredCaller>> {
    let StoredCallers { keys, certificates, .. } = serde_json::from_str(&copied.content)?;
    let instant = |at: Option<Timestamp>| at.map_or(UnixMillis::NONE, |at| UnixMillis::new(at.as_millisecond()));
    let stored = |kind, name, id, digest, grant: &GrantEntry| {
        anyhow::Ok(StoredCaller {
            kind,
            name,
            id,
            digest,
            access: serde_json::to_string(grant)?,
            created_at: UnixMillis::NONE,
            created_by: String::new(),
            created_for: String::new(),
            expires_at: UnixMillis::NONE,
            revoked_at: UnixMillis::NONE,
            last_used_at: UnixMillis::NONE,
        })
    };
    let keys = keys.into_iter().map(|KeyEntry { name, id, digest, created, expires, grant, .. }| {
        let caller = stored(CallerKind::Key, name, id, digest, &grant)?;
        Ok(StoredCaller { created_at: instant(created), expires_at: instant(expires), ..caller })
    });
    let certificates = certificates
        .into_iter()
        .map(|CertificateEntry { name, grant }| stored(CallerKind::Certificate, name.clone(), name, String::new(), &grant));
    keys.chain(certificates).collect()
}

fn instant(at: UnixMillis) -> Option<Timestamp> {
    Timestamp::from_millisecond(at.known()?.get()).ok()
}

fn shown(stored: StoredCaller) -> Caller {
    Caller { grant: serde_json::from_str(&stored.access).unwrap_or_default(), stored }
}

fn no_caller(kind: CallerKind, name: &str) -> Error {
    Error::not_found("CALLER_NOT_FOUND", kind.name(), name, format!("there is no {} of this name", kind.name())).with("name", name)
}
