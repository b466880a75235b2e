//! A caller, as it is kept beside what it asked for, to see later what it may do then.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::permission::{Permission, Permissions};
use super::principal::{Accounts, Credential, Grant, Kind, Principal};
use super::share::Bounds;
use domain::account::Currency;
use domain::money::DecimalAmount;

/// A caller that was let in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredPrincipal {
    /// How it was known.
    pub kind: StoredKind,
    pub name: String,
    /// Whether it could name a person on whose behalf it acts. Of a token; of others it is looked up.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    acts_for_others: bool,
    /// The permissions that its token granted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    grants: Vec<StoredGrant>,
}

/// How a caller was known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StoredKind {
    /// It needed no credentials.
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

/// The permissions that a token granted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct StoredGrant {
    permissions: Vec<String>,
    accounts: Option<Vec<String>>,
    /// Permission, currency, amount.
    most: Vec<(String, String, String)>,
}

impl Principal {
    /// Returns the form in which it is stored.
    #[must_use]
    pub fn remembered(&self) -> StoredPrincipal {
        let kind = match self.kind {
            Kind::Local => StoredKind::Local,
            Kind::Key => StoredKind::Key,
            Kind::Certificate => StoredKind::Certificate,
            Kind::Token => StoredKind::Token,
            Kind::User => StoredKind::User,
        };
        let is_token = kind == StoredKind::Token;
        let grants = if is_token { self.grants.iter().map(StoredGrant::of).collect() } else { Vec::new() };
        StoredPrincipal { kind, name: self.name.clone(), acts_for_others: is_token && self.acts_for_others, grants }
    }
}

impl StoredPrincipal {
    /// Whose token it was, with what that granted; `None` if it cannot be read.
    pub(crate) fn principal(&self) -> Option<Principal> {
        let Self { kind: _, name, acts_for_others, grants } = self;
        let grants = grants.iter().map(StoredGrant::grant).collect::<Option<_>>()?;
        let (share, credential) = (Arc::default(), Credential::Nothing);
        Some(Principal { name: name.clone(), kind: Kind::Token, grants, acts_for_others: *acts_for_others, share, ends: None, credential })
    }
}

impl StoredGrant {
    fn of(grant: &Grant) -> Self {
        let accounts = match &grant.accounts {
            Accounts::All => None,
            Accounts::These(ids) => Some(ids.clone()),
        };
        let most = grant
            .most
            .iter()
            .map(|((permission, currency), amount)| (permission.name().to_owned(), currency.code().to_owned(), amount.to_string()));
        Self { permissions: grant.permissions.each().map(|one| one.name().to_owned()).collect(), accounts, most: most.collect() }
    }

    fn grant(&self) -> Option<Grant> {
        let permissions = self.permissions.iter().map(|name| name.parse().ok()).collect::<Option<Vec<Permission>>>()?;
        let mut most = BTreeMap::new();
        for (permission, currency, amount) in &self.most {
            most.insert((permission.parse().ok()?, Currency::parse(currency)?), DecimalAmount::parse(amount).ok()?);
        }
        let accounts = self.accounts.clone().map_or(Accounts::All, Accounts::These);
        Some(Grant { permissions: Permissions::of(&permissions), accounts, most, bounds: Bounds::default() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_holder_of_a_token_is_remembered_with_what_it_granted() {
        let grant = Grant {
            permissions: Permissions::of(&[Permission::WriteOff, Permission::Adjust]),
            accounts: Accounts::These(vec!["partner-7/".to_owned()]),
            most: BTreeMap::from([((Permission::Adjust, Currency::parse("EUR").unwrap()), DecimalAmount::new(5, 1))]),
            bounds: Bounds::default(),
        };
        let credential = Credential::Token("secret".into());
        let ada = Principal { name: "ada".to_owned(), kind: Kind::Token, grants: vec![grant], credential, ..Principal::local() };
        let text = serde_json::to_string(&ada.remembered()).unwrap();
        assert!(!text.contains("secret"), "{text}");
        assert_eq!(serde_json::from_str::<StoredPrincipal>(&text).unwrap().principal(), Some(ada));
    }

    #[test]
    fn of_other_callers_only_the_name_is_kept() {
        let text = serde_json::to_string(&Principal::local().remembered()).unwrap();
        assert_eq!(text, r#"{"kind":"local","name":"local"}"#);
    }
}
