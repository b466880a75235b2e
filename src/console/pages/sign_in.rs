//! Signing in: by a password, or by a link that does so once.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use askama::Template;
use axum::Extension;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Redirect, Response};
use http::StatusCode;
use http::header::{RETRY_AFTER, SET_COOKIE};
use serde::Deserialize;

use crate::failure::Failure;
use crate::fields::Fields;
use crate::locale::Locale;
use crate::page::{Page, render};
use crate::passwords::LONGEST;
use crate::visitor::Visitor;
use crate::{Console, session};
use access::Principal;
use platform::lanes::socket::Peer;
use service::context::{Protocol, RequestContext};

/// The page.
#[derive(Template)]
#[template(path = "sign_in.html")]
struct SignIn {
    page: Page,
    name: String,
    /// Where to go afterwards.
    to: String,
    /// Why it did not work, as the key of a text; empty if nothing was tried.
    problem: &'static str,
}

/// Where to go afterwards.
#[derive(Deserialize)]
pub struct To {
    #[serde(default)]
    to: String,
}

/// Shows the form.
pub async fn show(
    Extension(locale): Extension<Locale>,
    visitor: Option<Extension<Visitor>>,
    Query(To { to }): Query<To>,
) -> Result<Response, Failure> {
    if visitor.is_some() {
        return Ok(Redirect::to(own_path(&to)).into_response());
    }
    form(&locale, String::new(), to, "")
}

fn form(locale: &Locale, name: String, to: String, problem: &'static str) -> Result<Response, Failure> {
    render(&SignIn { page: Page::outside(locale, locale.text("sign-in")), name, to, problem })
}

/// Takes the form.
pub async fn by_password(
    State(console): State<Console>,
    Extension(locale): Extension<Locale>,
    peer: Option<Extension<Peer>>,
    fields: Fields,
) -> Result<Response, Failure> {
    let (name, password, to) = (fields.get("name").to_owned(), fields.get("password").to_owned(), fields.get("to").to_owned());
    let address = peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |Extension(peer)| peer.address.ip());
    let refused = |status: StatusCode, problem| Ok((status, form(&locale, name.clone(), to.clone(), problem)?).into_response());
    if let Some(wait) = console.attempts.wait(&name, address) {
        let seconds = wait.as_secs().max(1).to_string();
        return Ok(([(RETRY_AFTER, seconds)], refused(StatusCode::TOO_MANY_REQUESTS, "sign-in-wait")?).into_response());
    }
    console.attempts.note(&name, address);
    let hash = console.users.password_of(&name).await.map_err(Failure::of_users)?;
    let is_right = if password.len() > LONGEST { Some(false) } else { console.passwords.is(&password, hash.as_deref()).await };
    match is_right {
        None => refused(StatusCode::SERVICE_UNAVAILABLE, "sign-in-busy"),
        Some(false) => {
            tracing::warn!(user = name.escape_debug().to_string(), %address, "signing in to the console failed");
            console.use_cases.tell_of_failed_sign_in(&of_nobody(Some(address)), hash.is_some().then_some(name.as_str()), "password");
            refused(StatusCode::FORBIDDEN, "sign-in-wrong")
        }
        Some(true) => {
            console.attempts.forgive(&name, address);
            let secret = console.users.begin(&name).await.map_err(Failure::of_users)?;
            tracing::info!(user = name, %address, "signed in to the console");
            console.use_cases.tell_of_session(&of_nobody(Some(address)), &name, "signed_in", "password");
            Ok(signed_in(&console, &secret, &to))
        }
    }
}

/// The page of a link: a button signs in, and not the link itself, which mail scanners open and other sites can have opened.
#[derive(Template)]
#[template(path = "sign_in_link.html")]
struct ByLink {
    page: Page,
    secret: String,
    name: String,
}

/// Shows whom a link is for.
pub async fn show_link(
    State(console): State<Console>,
    Extension(locale): Extension<Locale>,
    Path(secret): Path<String>,
) -> Result<Response, Failure> {
    match console.users.invited(&secret).await.map_err(Failure::of_users)? {
        Some(name) => render(&ByLink { page: Page::outside(&locale, locale.text("sign-in")), secret, name }),
        None => link_used(&locale),
    }
}

/// Signs in by a link, once.
pub async fn by_link(
    State(console): State<Console>,
    Extension(locale): Extension<Locale>,
    Path(secret): Path<String>,
    peer: Option<Extension<Peer>>,
) -> Result<Response, Failure> {
    let address = peer.map(|Extension(peer)| peer.address.ip());
    match console.users.sign_in_by_link(&secret).await.map_err(Failure::of_users)? {
        Some((name, secret)) => {
            console.use_cases.tell_of_session(&of_nobody(address), &name, "signed_in", "link");
            Ok(signed_in(&console, &secret, "/"))
        }
        None => {
            console.use_cases.tell_of_failed_sign_in(&of_nobody(address), None, "link");
            link_used(&locale)
        }
    }
}

fn link_used(locale: &Locale) -> Result<Response, Failure> {
    Ok((StatusCode::FORBIDDEN, form(locale, String::new(), String::new(), "sign-in-link-used")?).into_response())
}

/// The context of somebody who has not signed in yet.
fn of_nobody(address: Option<IpAddr>) -> RequestContext {
    RequestContext::new(Protocol::Console, Arc::new(Principal::nobody()), None, None).from_address(address)
}

fn signed_in(console: &Console, secret: &str, to: &str) -> Response {
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
