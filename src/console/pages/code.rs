//! The code of the second factor, which is asked for after a password or a link.

use askama::Template;
use axum::Extension;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Redirect, Response};
use http::header::SET_COOKIE;
use http::{HeaderMap, StatusCode};

use super::arrival::{ReturnTo, address_of, of_nobody, own_path, signed_in};
use crate::failure::Failure;
use crate::fields::Fields;
use crate::locale::Locale;
use crate::page::{Page, render};
use crate::{Console, session};
use platform::lanes::socket::Peer;
use service::users::second_factor::UsedFactor;

/// The page.
#[derive(Template)]
#[template(path = "sign_in_code.html")]
struct CodePage {
    page: Page,
    name: String,
    /// Where to go afterwards.
    to: String,
    /// Why it did not work, as the key of a text; empty if nothing was tried.
    problem: &'static str,
}

/// Leads to the page, which knows by a cookie who has shown a password or a link.
pub fn ask(console: &Console, secret: &str, to: &str) -> Response {
    let mut response = Redirect::to(&format!("/sign-in/code{}", query(to))).into_response();
    response.headers_mut().extend(session::kept_awaiting(&console.site, secret).map(|cookie| (SET_COOKIE, cookie)));
    response
}

fn query(to: &str) -> String {
    let encoded = || serde_urlencoded::to_string([("to", to)]).unwrap_or_default();
    if matches!(to, "" | "/") { String::new() } else { format!("?{}", encoded()) }
}

/// Shows the form.
pub async fn show(
    State(console): State<Console>,
    Extension(locale): Extension<Locale>,
    headers: HeaderMap,
    Query(ReturnTo { to, .. }): Query<ReturnTo>,
) -> Result<Response, Failure> {
    match awaiting(&console, &headers).await? {
        Some((_, name)) => form(&locale, name, to, ""),
        None => Ok(again(&to)),
    }
}

/// Handles the submitted form.
pub async fn take(
    State(console): State<Console>,
    Extension(locale): Extension<Locale>,
    peer: Option<Extension<Peer>>,
    headers: HeaderMap,
    fields: Fields,
) -> Result<Response, Failure> {
    let (address, to) = (address_of(peer), fields.get("to").to_owned());
    let Some((secret, name)) = awaiting(&console, &headers).await? else { return Ok(again(&to)) };
    if console.attempts.wait(&name, address).is_some() {
        return Ok((StatusCode::TOO_MANY_REQUESTS, form(&locale, name, to, "sign-in-wait")?).into_response());
    }
    console.attempts.note(&name, address);
    let (nobody, use_cases) = (of_nobody(Some(address)), &console.use_cases);
    let Some(finished) = console.users.finish_by_code(&secret, fields.get("code")).await.map_err(Failure::of_users)? else {
        tracing::warn!(user = name, %address, "signing in to the console failed at the code");
        use_cases.tell_of_failed_sign_in(&nobody, Some(&name), "code");
        return Ok((StatusCode::FORBIDDEN, form(&locale, name, to, "sign-in-code-wrong")?).into_response());
    };
    console.attempts.forgive(&name, address);
    tracing::info!(user = name, %address, "signed in to the console");
    if finished.proof == UsedFactor::RecoveryCode {
        use_cases.tell_of_session(&nobody, &name, "recovery_code_used", "signing in");
    }
    use_cases.tell_of_session(&nobody, &name, "signed_in", &format!("{} and {}", finished.way.name(), finished.proof.name()));
    let mut response = signed_in(&console, &finished.secret, &to);
    if let Some(cookie) = session::forgotten_awaiting(&console.site) {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    Ok(response)
}

/// What the browser keeps, and of whom a code is still to come.
async fn awaiting(console: &Console, headers: &HeaderMap) -> Result<Option<(String, String)>, Failure> {
    let Some(secret) = session::awaiting(&console.site, headers) else { return Ok(None) };
    let name = console.users.awaiting_code(&secret).await.map_err(Failure::of_users)?;
    Ok(name.map(|name| (secret, name)))
}

fn form(locale: &Locale, name: String, to: String, problem: &'static str) -> Result<Response, Failure> {
    render(&CodePage { page: Page::outside(locale, locale.text("sign-in")), name, to, problem })
}

/// Starts over because it took too long; if it has just been finished, goes on from there.
fn again(to: &str) -> Response {
    Redirect::to(&format!("/sign-in{}", query(own_path(to)))).into_response()
}
