//! A caller that is known, and what it may do on which accounts.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::grant_entry::GrantEntry;
use super::key::KeyDigest;
use super::permission::{Permission, Permissions};
use super::share::{Bounds, Share};
use domain::account::Currency;
use domain::money::DecimalAmount;
use domain::time::UnixMillis;

/// A known caller.
#[derive(Clone, Debug)]
pub struct Principal {
    /// Its name: that of the key, the certificate's, the subject of the token.
    pub name: String,
    /// How it is known.
    pub kind: Kind,
    /// What it may do. A caller that has several may do what any of them allows.
    pub grants: Vec<Grant>,
    /// Whether it may name a person on whose behalf it acts.
    pub acts_for_others: bool,
    /// How much of the service it may have.
    pub share: Arc<Share>,
    /// From when on its credential is refused.
    pub ends: Option<UnixMillis>,
    /// By what it is found again.
    pub(crate) credential: Credential,
}

/// By what a caller is found again, to see whether it is still let in.
#[derive(Clone)]
pub(crate) enum Credential {
    /// It has presented none, and needs none.
    Open,
    /// It is nobody.
    Nothing,
    /// The public part of its key, and what is kept of the rest.
    Key(String, KeyDigest),
    /// The name in its certificate.
    Certificate(String),
    Token(Arc<str>),
    /// A session of the web console; what its user may do.
    User(Box<[GrantEntry]>),
}

impl fmt::Debug for Credential {
    /// Shows nothing that lets anybody in.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Open => "Open",
            Self::Nothing => "Nothing",
            Self::Key(..) => "Key",
            Self::Certificate(_) => "Certificate",
            Self::Token(_) => "Token",
            Self::User(_) => "User",
        })
    }
}

/// How a caller is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It reaches a listener on loopback, and nothing asks for more.
    Local,
    /// By an API key.
    Key,
    /// By a client certificate.
    Certificate,
    /// By a token of an identity provider.
    Token,
    /// By signing in to the web console.
    User,
}

/// Permissions on some accounts or on all.
#[derive(Clone, Debug, PartialEq)]
pub struct Grant {
    /// What may be done.
    pub permissions: Permissions,
    pub accounts: Accounts,
    /// The most in one act, by permission and currency; what is not named has no bound.
    pub most: BTreeMap<(Permission, Currency), DecimalAmount>,
    /// How much of the service, where it says so.
    pub bounds: Bounds,
}

impl Grant {
    /// Whether it lets its holder say who may call.
    pub(crate) fn manages(&self) -> bool {
        self.permissions.contain(Permission::ManageAccess) && self.accounts == Accounts::All
    }
}

/// The accounts of a grant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Accounts {
    /// Every account, and what belongs to none.
    All,
    /// Those with one of these ids, and those whose ids begin with one that ends in `/`.
    These(Vec<String>),
}

impl Accounts {
    /// Whether an account is among them.
    #[must_use]
    pub fn contain(&self, account: &str) -> bool {
        match self {
            Self::All => true,
            Self::These(ids) => ids.iter().any(|id| if id.ends_with('/') { account.starts_with(id.as_str()) } else { account == id }),
        }
    }
}

impl PartialEq for Principal {
    /// Whether it is the same caller, with the same grants.
    fn eq(&self, other: &Self) -> bool {
        let Self { name, kind, grants, acts_for_others, .. } = self;
        (name, kind, grants, acts_for_others) == (&other.name, &other.kind, &other.grants, &other.acts_for_others)
    }
}

impl Principal {
    /// Everybody on this machine, where nothing asks for more: it may do everything.
    #[must_use]
    pub fn local() -> Self {
        let grant = Grant { permissions: Permissions::ALL, accounts: Accounts::All, most: BTreeMap::new(), bounds: Bounds::default() };
        let (name, share) = ("local".to_owned(), Arc::default());
        Self { name, kind: Kind::Local, grants: vec![grant], acts_for_others: true, share, ends: None, credential: Credential::Open }
    }

    /// A caller that is not known: it may do nothing.
    #[must_use]
    pub fn nobody() -> Self {
        let (grants, credential) = (Vec::new(), Credential::Nothing);
        Self { name: String::new(), kind: Kind::Local, grants, acts_for_others: false, share: Arc::default(), ends: None, credential }
    }

    /// By what it is known, as audit records say it; empty if it is not known.
    #[must_use]
    pub fn authenticated_by(&self) -> &'static str {
        match self.kind {
            Kind::Local if self.name.is_empty() => "",
            Kind::Local => "none",
            Kind::Key => "key",
            Kind::Certificate => "certificate",
            Kind::Token => "token",
            Kind::User => "user",
        }
    }

    /// Whether it may do this at all, on whatever account.
    #[must_use]
    pub fn may(&self, permission: Permission) -> bool {
        self.grants.iter().any(|grant| grant.permissions.contain(permission))
    }

    /// Whether it may do this on an account.
    #[must_use]
    pub fn may_on(&self, permission: Permission, account: &str) -> bool {
        self.grants.iter().any(|grant| grant.permissions.contain(permission) && grant.accounts.contain(account))
    }

    /// Whether it may do this on every account, and on what belongs to none.
    #[must_use]
    pub fn may_everywhere(&self, permission: Permission) -> bool {
        self.grants.iter().any(|grant| grant.permissions.contain(permission) && grant.accounts == Accounts::All)
    }

    /// Whether it may do this on every account, with any amount: then it may let others do so.
    #[must_use]
    pub fn may_pass_on(&self, permission: Permission) -> bool {
        let is_whole = |grant: &Grant| !grant.most.keys().any(|(bounded, _)| *bounded == permission);
        self.grants.iter().any(|grant| grant.permissions.contain(permission) && grant.accounts == Accounts::All && is_whole(grant))
    }

    /// The accounts on which it may do this, as ids and beginnings of ids that end in `/`; `None` means all.
    #[must_use]
    pub fn scope(&self, permission: Permission) -> Option<Vec<&str>> {
        let mut scope = Vec::new();
        for grant in self.grants.iter().filter(|grant| grant.permissions.contain(permission)) {
            match &grant.accounts {
                Accounts::All => return None,
                Accounts::These(ids) => scope.extend(ids.iter().map(String::as_str)),
            }
        }
        Some(scope)
    }

    /// Whether it may do this on an account with an amount.
    #[must_use]
    pub fn may_with(&self, permission: Permission, account: &str, currency: Currency, amount: DecimalAmount) -> bool {
        self.grants.iter().any(|grant| {
            let is_within = |most: &DecimalAmount| !amount.exceeds(*most);
            grant.permissions.contain(permission)
                && grant.accounts.contain(account)
                && grant.most.get(&(permission, currency)).is_none_or(is_within)
        })
    }

    /// The most that it may do at once on an account; `None` if it is not bounded, or not permitted.
    #[must_use]
    pub fn most(&self, permission: Permission, account: &str, currency: Currency) -> Option<DecimalAmount> {
        let grants = self.grants.iter().filter(|grant| grant.permissions.contain(permission) && grant.accounts.contain(account));
        let bounds = grants.filter_map(|grant| grant.most.get(&(permission, currency)).copied());
        bounds.reduce(|most, other| if other.exceeds(most) { other } else { most })
    }

    /// Whether what it may do at once on an account is bounded in every grant.
    #[must_use]
    pub fn is_bounded(&self, permission: Permission, account: &str) -> bool {
        !self.grants.iter().any(|grant| {
            grant.permissions.contain(permission)
                && grant.accounts.contain(account)
                && !grant.most.keys().any(|(one, _)| *one == permission)
        })
    }
}
