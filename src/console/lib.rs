//! The web console: pages for people over the same use cases as every other protocol, with the same permissions.
//!
//! [`routes`] lists all pages and forms, with what each needs. [`guard`] refuses what other sites send; [`access`] lets in who has signed
//! in, and checks the permission and the form's token; a page of [`pages`] then calls a use case and renders a template. Its words are in
//! `texts`, in all languages that [`texts`] knows; amounts and dates are written by [`locale`]. README.md says how a page is added.

pub mod access;
pub mod acts;
pub mod assets;
pub mod attempts;
pub mod batches;
pub mod downloads;
pub mod failure;
pub mod fields;
pub mod guard;
pub mod locale;
pub mod navigation;
pub mod needs;
pub mod page;
pub mod pages;
pub mod passwords;
pub mod payment_act;
pub mod routes;
pub mod session;
pub mod site;
pub mod texts;
pub mod visitor;
mod waiting;

use std::sync::Arc;

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};

use ::access::provider::Provider;
use attempts::Attempts;
use batches::Batches;
use passwords::Passwords;
use routes::ROUTES;
use service::UseCases;
use service::users::Users;
use site::Site;

/// What all pages work with. Cheap to clone.
#[derive(Clone)]
pub struct Console(Arc<Parts>);

/// What a console consists of.
pub struct Parts {
    /// What can be done.
    pub use_cases: UseCases,
    /// Who may sign in.
    pub users: Users,
    /// Where it is served.
    pub site: Site,
    /// Passwords, a few at a time.
    pub passwords: Passwords,
    /// Attempts to sign in that failed.
    pub attempts: Attempts,
    /// Conversions of many organizations.
    pub batches: Batches,
    /// Whether there is a billing store: without it, some pages are not there, and others say so.
    pub has_billing: bool,
    /// Settings of signing in.
    pub signing_in: SigningIn,
}

/// Settings of signing in.
#[derive(Clone, Debug, Default)]
pub struct SigningIn {
    /// Whether everybody must have a second factor.
    pub requires_second_factor: bool,
    /// The identity provider where people can sign in.
    pub provider: Option<Arc<Provider>>,
    /// The claim that names its users.
    pub name_claim: String,
    /// Whether nobody signs in by a password.
    pub only_provider: bool,
}

impl std::ops::Deref for Console {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

impl Console {
    /// A console at a site.
    #[must_use]
    pub fn new(use_cases: UseCases, users: Users, site: Site, has_billing: bool, signing_in: SigningIn) -> Self {
        let (passwords, attempts, batches) = (Passwords::default(), Attempts::default(), Batches::default());
        Self(Arc::new(Parts { use_cases, users, site, passwords, attempts, batches, has_billing, signing_in }))
    }

    /// The request id of a form that is made now.
    #[must_use]
    pub fn new_request(&self) -> String {
        fields::new_request(self.use_cases.clock().now())
    }
}

/// All pages.
pub fn router(console: Console) -> Router {
    let router = ROUTES.iter().fold(Router::new(), |router, route| router.route(route.path, (route.handler)()));
    router
        .fallback(failure::not_found)
        .method_not_allowed_fallback(failure::not_found)
        .layer(from_fn_with_state(console.clone(), access::enter))
        .layer(from_fn_with_state(console.clone(), guard::check))
        .layer(from_fn(guard::bound))
        .with_state(console)
}
