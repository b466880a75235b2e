//! Users who sign in at an identity provider. They are known by what it calls them for ever, never by a name or an address; what they may
//! do is what the access file gives for the values of their claim, each time they sign in.

use serde_json::Value;

use super::{SignInMethod, Users, grants_of, is_name};
use access::file::GrantEntry;
use access::provider::Identity;
use billing::users::StoredUser;
use platform::clock::system_now;

/// The outcome of signing in at the provider.
pub enum Provided {
    /// A session.
    SignedIn {
        /// The name of the user.
        name: String,
        /// What the browser has to keep.
        secret: String,
        /// What the user may do, and could do before; `None` if there was no such user.
        grants: (Option<Vec<GrantEntry>>, Vec<GrantEntry>),
    },
    /// The provider gives the user no role here. One who is known has none any more: the name, and what the user could do before.
    WithoutRole(Option<(String, Vec<GrantEntry>)>),
    /// The user may not sign in.
    Disabled(String),
    /// There is another user of this name.
    NameTaken(String),
    /// What the provider calls the user can be no name here.
    NoName(String),
}

impl Users {
    /// Signs in a user of the provider, named by a claim the first time.
    pub async fn sign_in_by_provider(&self, identity: &Identity, name_claim: &str) -> anyhow::Result<Provided> {
        self.tables.ready().await?;
        let grants = self.access.provided(&identity.claims);
        let access = serde_json::to_string(&grants)?;
        let Some(known) = self.tables.find_of_provider(&identity.issuer, &identity.subject).await? else {
            return self.first_of_provider(identity, name_claim, grants).await;
        };
        let StoredUser { name, is_disabled, access: before, .. } = known;
        if is_disabled {
            return Ok(Provided::Disabled(name));
        }
        if access != before {
            self.tables.set_access(&name, &access, None).await?;
        }
        if grants.is_empty() {
            self.tables.end_sessions(&name).await?;
            return Ok(Provided::WithoutRole(Some((name, grants_of(&before)?))));
        }
        let secret = self.begin_session(&name, SignInMethod::Provider).await?;
        Ok(Provided::SignedIn { name, secret, grants: (Some(grants_of(&before)?), grants) })
    }

    async fn first_of_provider(&self, identity: &Identity, name_claim: &str, grants: Vec<GrantEntry>) -> anyhow::Result<Provided> {
        if grants.is_empty() {
            return Ok(Provided::WithoutRole(None));
        }
        let name = named_by(identity, name_claim);
        if !is_name(&name) {
            return Ok(Provided::NoName(name));
        }
        let access = serde_json::to_string(&grants)?;
        let Identity { issuer, subject, .. } = identity;
        if !self.tables.create_of_provider(&name, &access, issuer, subject, system_now()).await? {
            return Ok(Provided::NameTaken(name));
        }
        let secret = self.begin_session(&name, SignInMethod::Provider).await?;
        Ok(Provided::SignedIn { name, secret, grants: (None, grants) })
    }
}

/// What a user is called: by a claim, else as the provider does. An address that is not verified is nobody's name.
fn named_by(identity: &Identity, claim: &str) -> String {
    let is_verified = claim != "email" || identity.claims.get("email_verified") == Some(&Value::Bool(true));
    let named = identity.claims.get(claim).and_then(Value::as_str).filter(|name| is_verified && !name.is_empty());
    named.unwrap_or(&identity.subject).to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_user_is_called_by_a_claim_and_by_no_address_that_is_not_verified() {
        let identity = |claims: Value| Identity {
            issuer: "https://id.example".to_owned(),
            subject: "248289761001".to_owned(),
            claims: serde_json::from_value(claims).unwrap(),
        };
        let carol = identity(json!({ "preferred_username": "carol", "email": "carol@example.org", "email_verified": true }));
        assert_eq!([named_by(&carol, "preferred_username"), named_by(&carol, "email")], ["carol", "carol@example.org"]);
        assert_eq!(named_by(&carol, "nickname"), "248289761001");
        for claims in [json!({ "email": "boss@example.org" }), json!({ "email": "boss@example.org", "email_verified": "true" })] {
            assert_eq!(named_by(&identity(claims), "email"), "248289761001");
        }
    }
}
