//! Shared by all ways of signing in: the visitor's address, and where to go afterwards.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use axum::Extension;
use axum::response::{IntoResponse, Redirect, Response};
use http::header::SET_COOKIE;
use serde::Deserialize;

use crate::{Console, session};
use access::Principal;
use platform::lanes::socket::Peer;
use service::context::{Protocol, RequestContext};

/// Where to go afterwards.
#[derive(Deserialize)]
pub struct ReturnTo {
    /// From where somebody has just signed out who is still signed in at the provider.
    #[serde(default)]
    pub left: String,
    /// Its path.
    #[serde(default)]
    pub to: String,
}

/// Where failures are counted.
pub fn address_of(peer: Option<Extension<Peer>>) -> IpAddr {
    peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |Extension(peer)| peer.address.ip())
}

/// The context of a visitor who has not signed in yet.
pub fn of_nobody(address: Option<IpAddr>) -> RequestContext {
    RequestContext::new(Protocol::Console, Arc::new(Principal::nobody()), None, None).from_address(address)
}

/// Sets the cookie of a session, and leads on.
pub fn signed_in(console: &Console, secret: &str, to: &str) -> Response {
    let mut response = Redirect::to(own_path(to)).into_response();
    if let Some(cookie) = session::kept(&console.site, secret) {
        response.headers_mut().insert(SET_COOKIE, cookie);
    }
    response
}

/// The path if it is one of this console: a link to sign in must not lead elsewhere afterwards.
#[must_use]
pub fn own_path(to: &str) -> &str {
    let is_own = to.starts_with('/') && !to.starts_with("//") && to.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    if is_own { to } else { "/" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_to_sign_in_leads_nowhere_else() {
        assert_eq!(own_path("/finance/organizations?q=a%20b"), "/finance/organizations?q=a%20b");
        for elsewhere in ["//evil.example", "https://evil.example", "/\\evil.example", "", "evil", "/a\r\nset-cookie: x"] {
            assert_eq!(own_path(elsewhere), "/", "{elsewhere}");
        }
    }
}
