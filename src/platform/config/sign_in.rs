//! Settings of signing in to the web console: a second factor, an identity provider.

use std::path::PathBuf;

use anyhow::ensure;
use clap::Args;

use super::{Secret, ServeOptions};

/// The default claim that names a provider's users, and the default scopes.
const DEFAULT_NAME_CLAIM: &str = "preferred_username";
const DEFAULT_SCOPES: &str = "openid profile";

/// Settings of signing in to the web console.
#[derive(Args, Clone, Debug, PartialEq)]
#[command(next_help_heading = "Console")]
pub struct SignInOptions {
    /// Require a second factor (TOTP) of everybody who signs in to the console by a password or a link: who has none sets it up first
    #[arg(long, env = "TOLLGATE_REQUIRE_SECOND_FACTOR")]
    pub require_second_factor: bool,
    /// Let people sign in to the console at this identity provider (OpenID Connect). What they may do is in the access file, under [oidc]
    /// [default: none]
    #[allow(rustdoc::broken_intra_doc_links, reason = "it is shown as help, and names a table of the access file")]
    #[arg(long, env = "TOLLGATE_OIDC_ISSUER", value_name = "URL")]
    pub oidc_issuer: Option<String>,
    /// What the console is called there. Its redirect URL is the console's URL with /sign-in/provider/callback.
    #[arg(long, env = "TOLLGATE_OIDC_CLIENT_ID", value_name = "ID")]
    pub oidc_client_id: Option<String>,
    /// What the console shows there: from the environment, or from a file by TOLLGATE_OIDC_CLIENT_SECRET_FILE. It is refused on the command
    /// line, which everybody on this machine can read [default: none, for a public client]
    #[arg(long, env = "TOLLGATE_OIDC_CLIENT_SECRET", hide_env_values = true, value_name = "SECRET")]
    pub oidc_client_secret: Option<Secret>,
    /// Accept a certificate of the provider that these authorities have signed, in a PEM file [default: those that this machine trusts]
    #[arg(long, env = "TOLLGATE_OIDC_CA", value_name = "FILE")]
    pub oidc_ca: Option<PathBuf>,
    /// What is asked of the provider: openid, and what it takes to get the claims.
    #[arg(long, env = "TOLLGATE_OIDC_SCOPES", default_value = DEFAULT_SCOPES, value_name = "SCOPES")]
    pub oidc_scopes: String,
    /// The claim that names a user at the first time, such as preferred_username or email (if it is verified); else the subject does.
    #[arg(long, env = "TOLLGATE_OIDC_NAME_CLAIM", default_value = DEFAULT_NAME_CLAIM, value_name = "CLAIM")]
    pub oidc_name_claim: String,
    /// Let nobody sign in to the console by a password. Links of `tollgate user link` sign in still.
    #[arg(long, env = "TOLLGATE_OIDC_ONLY")]
    pub oidc_only: bool,
}

impl Default for SignInOptions {
    fn default() -> Self {
        Self {
            require_second_factor: false,
            oidc_issuer: None,
            oidc_client_id: None,
            oidc_client_secret: None,
            oidc_ca: None,
            oidc_scopes: DEFAULT_SCOPES.to_owned(),
            oidc_name_claim: DEFAULT_NAME_CLAIM.to_owned(),
            oidc_only: false,
        }
    }
}

impl ServeOptions {
    /// Refuses conflicting settings of signing in.
    pub(super) fn check_sign_in(&self) -> anyhow::Result<()> {
        let SignInOptions { oidc_issuer, oidc_client_id, oidc_client_secret, oidc_ca, oidc_scopes, oidc_name_claim, oidc_only, .. } =
            &self.sign_in;
        let Some(issuer) = oidc_issuer else {
            let is_set = oidc_client_id.is_some() || oidc_client_secret.is_some() || oidc_ca.is_some() || *oidc_only;
            ensure!(
                !is_set,
                "--oidc-client-id, --oidc-client-secret, --oidc-ca and --oidc-only are for an identity provider: give --oidc-issuer"
            );
            return Ok(());
        };
        ensure!(issuer.starts_with("https://"), "--oidc-issuer {issuer:?} must begin with https://");
        ensure!(
            oidc_client_id.as_ref().is_some_and(|id| !id.is_empty()),
            "--oidc-issuer needs --oidc-client-id: what the console is called there"
        );
        ensure!(
            self.network.access_file.is_some(),
            "--oidc-issuer needs --access-file: its [oidc] says what people may do, by the values of a claim"
        );
        ensure!(
            oidc_scopes.split(' ').any(|scope| scope == "openid"),
            "--oidc-scopes must have openid among them, with blanks between them"
        );
        ensure!(!oidc_name_claim.is_empty(), "--oidc-name-claim must name a claim, such as preferred_username");
        ensure!(
            self.billing_url().is_some(),
            "--oidc-issuer needs a billing store (--billing): it is where users are kept, whom a provider means for ever"
        );
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_provider_needs_its_settings_and_they_need_a_provider() {
        let check = |sign_in: SignInOptions, has_file: bool| {
            let mut options = ServeOptions { sign_in, ..ServeOptions::default() };
            options.network.access_file = has_file.then(|| PathBuf::from("access.toml"));
            options.check_sign_in().map_err(|error| error.to_string())
        };
        let wrong = |sign_in: SignInOptions, has_file: bool| check(sign_in, has_file).unwrap_err();
        let good = SignInOptions {
            oidc_issuer: Some("https://id.example".to_owned()),
            oidc_client_id: Some("console".to_owned()),
            ..SignInOptions::default()
        };
        check(SignInOptions::default(), false).unwrap();
        check(good.clone(), true).unwrap();
        assert!(wrong(good.clone(), false).contains("--access-file"));
        assert!(wrong(SignInOptions { oidc_only: true, ..SignInOptions::default() }, false).contains("give --oidc-issuer"));
        assert!(wrong(SignInOptions { oidc_client_id: None, ..good.clone() }, true).contains("--oidc-client-id"));
        assert!(wrong(SignInOptions { oidc_scopes: "profile".to_owned(), ..good.clone() }, true).contains("openid"));
        assert!(wrong(SignInOptions { oidc_issuer: Some("http://id.example".to_owned()), ..good.clone() }, true).contains("https://"));
        let secret = SignInOptions { oidc_client_secret: Some("hunter2".parse().unwrap()), ..good };
        assert!(!format!("{secret:?}").contains("hunter2"));
    }
}
