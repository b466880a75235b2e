//! The web console: its listener, its users, and the thread that serves it.
//!
//! Users live in the billing store. Where there is none, they live in a file of this process, and end with it.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};

use anyhow::Context;
use tempfile::TempDir;

use super::lane::LaneContext;
use super::listen;
use crate::billing::Billing;
use crate::billing::store::Store as BillingStore;
use crate::billing::users::UserTables;
use crate::config::{ConsoleOptions, ServeOptions, SignInOptions};
use crate::lanes::Lane;
use crate::service::users::Users;
use access::Access;
use access::provider::{Provider, ProviderSettings};
use console::site::Site;
use console::{Console, SigningIn, router};
use platform::tls::ClientTls;

/// The console's listener, if there is to be one. Where nobody asked for it, its port may be taken.
pub fn listener(options: &ServeOptions) -> anyhow::Result<Option<TcpListener>> {
    let Some((address, is_default)) = options.console() else { return Ok(None) };
    match listen(address, "--console") {
        Ok(listener) => Ok(Some(listener)),
        Err(error) if is_default => {
            tracing::warn!("there is no web console: {error:#}; --console names another address, or says off");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// What the console of these settings is called. A process that serves may have been given others.
pub fn site(options: &ConsoleOptions) -> anyhow::Result<Site> {
    let serving = ServeOptions { console: options.clone(), ..ServeOptions::default() };
    let (address, _) = serving.console().context("there is no console: --console is off")?;
    Ok(Site::new(address, false, options.console_url.as_deref()))
}

/// What decides whom an identity provider lets in, and as whom; empty without one.
fn provider_settings(options: &SignInOptions) -> String {
    let settings = options.oidc_issuer.as_ref().zip(options.oidc_client_id.as_ref());
    settings.map(|(issuer, client_id)| format!("{issuer} {client_id} {}", options.oidc_name_claim)).unwrap_or_default()
}

/// Settings of signing in to a console.
fn signing_in(options: &SignInOptions, site: &Site) -> anyhow::Result<SigningIn> {
    let settings = options.oidc_issuer.as_ref().zip(options.oidc_client_id.as_ref()).map(|(issuer, client_id)| ProviderSettings {
        issuer: issuer.clone(),
        client_id: client_id.clone(),
        client_secret: options.oidc_client_secret.as_ref().map(|secret| secret.reveal().to_owned()),
        scopes: options.oidc_scopes.clone(),
        tls: ClientTls { authorities: options.oidc_ca.clone(), ..ClientTls::default() },
        redirect_url: site.url("/sign-in/provider/callback"),
    });
    Ok(SigningIn {
        requires_second_factor: options.require_second_factor,
        provider: settings.map(|settings| Provider::new(settings).map(Arc::new)).transpose()?,
        name_claim: options.oidc_name_claim.clone(),
        only_provider: options.oidc_only,
    })
}

/// How people are invited to sign in.
#[derive(Clone)]
pub struct Invitations {
    users: Users,
    site: Site,
    takes_passwords: bool,
    /// Where the users are, if there is no billing store.
    own: Option<(BillingStore, Arc<TempDir>)>,
}

/// The parts that the console is built from.
pub struct ConsolePlan {
    invitations: Invitations,
    address: SocketAddr,
    has_billing: bool,
    signing_in: SigningIn,
}

impl ConsolePlan {
    /// The console of a listener.
    pub fn new(listener: &TcpListener, options: &ServeOptions, billing: Option<&Billing>, access: &Arc<Access>) -> anyhow::Result<Self> {
        let address = listener.local_addr().context("the console's listener has no address")?;
        let site = Site::new(address, options.tls.tls_cert.is_some(), options.console.console_url.as_deref());
        let (store, own) = match billing {
            Some(billing) => (billing.store().clone(), None),
            None => {
                let folder = tempfile::tempdir().context("cannot make a folder for the console's users")?;
                let store = BillingStore::connect_lazily(&format!("sqlite://{}", folder.path().join("users.db").display()))?;
                (store.clone(), Some((store, Arc::new(folder))))
            }
        };
        let users = Users::new(UserTables::of(store), Arc::clone(access)).of_provider(provider_settings(&options.sign_in));
        let signing_in = signing_in(&options.sign_in, &site)?;
        Ok(Self {
            invitations: Invitations { users, site, takes_passwords: !signing_in.only_provider, own },
            address,
            has_billing: billing.is_some(),
            signing_in,
        })
    }

    /// How people are invited to it.
    pub fn invitations(&self) -> Invitations {
        self.invitations.clone()
    }

    /// Starts the thread that serves it.
    pub fn start(self, plan: &Arc<LaneContext>) -> anyhow::Result<(Lane, Receiver<()>)> {
        let (ready, is_ready) = channel();
        let (plan, url, address) = (Arc::clone(plan), self.invitations.site.url("/"), self.address);
        let lane = Lane::start("console".to_owned(), move |accepted| async move {
            let make = async |use_cases| {
                let Invitations { users, site, own, .. } = self.invitations;
                if let Some((store, _)) = &own {
                    store.migrate().await?;
                }
                Ok(router(Console::new(use_cases, users, site, self.has_billing, self.signing_in)))
            };
            plan.serve_console(make, accepted, ready).await
        })?;
        tracing::info!(url, %address, "serving the web console");
        Ok((lane, is_ready))
    }
}

impl Invitations {
    /// A URL that signs in once, as long as nobody can by a password, and somebody may.
    pub async fn invite(&self) -> anyhow::Result<Option<String>> {
        if !self.takes_passwords {
            return Ok(None);
        }
        Ok(self.users.invite_first().await?.map(|secret| self.site.sign_in_url(&secret)))
    }
}
