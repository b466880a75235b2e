//! Who looks at a page: the user of the session, in which language, and what may be done.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::FromRequestParts;
use http::request::Parts;

use super::Console;
use super::failure::Failure;
use super::locale::Locale;
use super::session;
use access::{Permission, Principal};
use domain::account::Currency;
use domain::money::DecimalAmount;
use service::context::{Protocol, RequestContext};
use service::deadline::Deadline;
use service::error::Error;
use service::users::SignInMethod;

/// How long people wait for a page.
const PATIENCE: Duration = Duration::from_secs(10);

/// The visitor of a page. Created by the access layer, and passed to each page that asks for it.
#[derive(Clone)]
pub struct Visitor {
    /// The signed-in user.
    pub principal: Arc<Principal>,
    /// By what.
    pub way: SignInMethod,
    /// Whether a second factor is required that the visitor has not set up.
    pub lacks_second_factor: bool,
    /// How texts, amounts and dates are written.
    pub locale: Locale,
    /// The path of the page, with its query: where a form comes back to.
    pub path: String,
    /// Whether there is a billing store.
    pub has_billing: bool,
    /// Where the browser is, or the proxy before it.
    pub address: Option<IpAddr>,
    /// What the browser keeps.
    pub(super) secret: String,
}

impl Visitor {
    /// The context in which a use case is called.
    #[must_use]
    pub fn context(&self) -> RequestContext {
        let deadline = Deadline::after(PATIENCE);
        RequestContext::new(Protocol::Console, Arc::clone(&self.principal), deadline, None).from_address(self.address)
    }

    /// The same for what goes on after the page.
    #[must_use]
    pub fn lasting_context(&self) -> RequestContext {
        RequestContext::new(Protocol::Console, Arc::clone(&self.principal), None, None).from_address(self.address)
    }

    /// Where failures of the visitor are counted.
    #[must_use]
    pub fn at(&self) -> IpAddr {
        self.address.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED))
    }

    /// Whether the session still holds.
    pub async fn is_still_signed_in(&self, console: &Console) -> bool {
        console.users.session(&self.secret).await.is_ok_and(|session| session.is_some())
    }

    /// The token for a form.
    #[must_use]
    pub fn token(&self) -> String {
        session::token(&self.secret)
    }

    /// Whether the visitor may do this on some account at least.
    #[must_use]
    pub fn may(&self, permission: Permission) -> bool {
        self.principal.may(permission)
    }

    /// Whether the visitor may do this on an account.
    #[must_use]
    pub fn may_on(&self, permission: Permission, account: &str) -> bool {
        self.principal.may_on(permission, account)
    }

    /// Whether the visitor may do this on all accounts, and on what belongs to none.
    #[must_use]
    pub fn may_everywhere(&self, permission: Permission) -> bool {
        self.principal.may_everywhere(permission)
    }

    /// Refuses who may not do this on an account: they learn nothing of it.
    pub fn require(&self, permission: Permission, account: &str) -> Result<(), Failure> {
        match self.may_on(permission, account) {
            true => Ok(()),
            false => Err(Error::not_permitted(permission).into()),
        }
    }

    /// The most that the visitor may do at once, if that is bounded.
    #[must_use]
    pub fn most(&self, permission: Permission, account: &str, currency: Currency) -> Option<DecimalAmount> {
        self.principal.most(permission, account, currency)
    }
}

impl FromRequestParts<Console> for Visitor {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &Console) -> Result<Self, Failure> {
        parts.extensions.get::<Self>().cloned().ok_or_else(Failure::not_signed_in)
    }
}
