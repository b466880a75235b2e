//! Signing in: by a password, or by a link that does so once.

use askama::Template;
use axum::Extension;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Redirect, Response};
use http::StatusCode;
use http::header::RETRY_AFTER;

use super::arrival::{ReturnTo, address_of, of_nobody, own_path, signed_in};
use super::code;
use crate::failure::Failure;
use crate::fields::Fields;
use crate::locale::Locale;
use crate::page::{Page, render};
use crate::passwords::LONGEST;
use crate::visitor::Visitor;
use crate::{Console, SigningIn};
use platform::lanes::socket::Peer;
use service::users::{SignInMethod, SignInProgress};

/// The page.
#[derive(Template)]
#[template(path = "sign_in.html")]
struct SignIn {
    page: Page,
    name: String,
    /// Where to go afterwards.
    to: String,
    /// Why it did not work; empty if nothing was tried.
    problem: String,
    /// The identity provider, by its host; empty for none.
    provider: String,
    /// Where to go there.
    provider_href: String,
    /// Where to sign out at the provider, too; empty if that is not asked for.
    provider_sign_out: String,
    takes_passwords: bool,
}

/// Shows the form.
pub async fn show(
    State(console): State<Console>,
    Extension(locale): Extension<Locale>,
    visitor: Option<Extension<Visitor>>,
    Query(ReturnTo { to, left }): Query<ReturnTo>,
) -> Result<Response, Failure> {
    if visitor.is_some() {
        return Ok(Redirect::to(own_path(&to)).into_response());
    }
    let mut form = SignIn::new(&console, &locale, String::new(), to);
    if let Some(provider) = console.signing_in.provider.as_ref().filter(|_| left == "provider") {
        form.provider_sign_out = provider.end_session_url(&console.site.url("/sign-in")).await.unwrap_or_default();
    }
    render(&form)
}

impl SignIn {
    fn new(console: &Console, locale: &Locale, name: String, to: String) -> Self {
        let SigningIn { provider, only_provider, .. } = &console.signing_in;
        let query =
            if matches!(own_path(&to), "/") { String::new() } else { serde_urlencoded::to_string([("to", &to)]).unwrap_or_default() };
        Self {
            page: Page::outside(locale, locale.text("sign-in")),
            name,
            to,
            problem: String::new(),
            provider: provider.as_ref().map(|provider| provider.host()).unwrap_or_default(),
            provider_href: if query.is_empty() { "/sign-in/provider".to_owned() } else { format!("/sign-in/provider?{query}") },
            provider_sign_out: String::new(),
            takes_passwords: !only_provider,
        }
    }
}

fn form(console: &Console, locale: &Locale, name: String, to: String, problem: &str) -> Result<Response, Failure> {
    render(&SignIn { problem: locale.text(problem), ..SignIn::new(console, locale, name, to) })
}

/// The page with why signing in at the provider did not work.
pub(super) fn problem_page(console: &Console, locale: &Locale, status: StatusCode, problem: String, to: &str) -> Result<Response, Failure> {
    let page = render(&SignIn { problem, ..SignIn::new(console, locale, String::new(), to.to_owned()) })?;
    Ok((status, page).into_response())
}

/// Handles the submitted form.
pub async fn by_password(
    State(console): State<Console>,
    Extension(locale): Extension<Locale>,
    peer: Option<Extension<Peer>>,
    fields: Fields,
) -> Result<Response, Failure> {
    let (name, password, to) = (fields.get("name").to_owned(), fields.get("password").to_owned(), fields.get("to").to_owned());
    if console.signing_in.only_provider {
        return Err(Failure::without_passwords());
    }
    let address = address_of(peer);
    let refused = |status: StatusCode, problem| Ok((status, form(&console, &locale, name.clone(), to.clone(), problem)?).into_response());
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
            // What is typed for a name may be a password: it is told only if there is such a user.
            let known = hash.is_some().then_some(name.as_str());
            tracing::warn!(user = known, %address, "signing in to the console failed");
            console.use_cases.tell_of_failed_sign_in(&of_nobody(Some(address)), known, "password");
            refused(StatusCode::FORBIDDEN, "sign-in-wrong")
        }
        Some(true) => {
            let secret = match console.users.begin(&name, SignInMethod::Password).await.map_err(Failure::of_users)? {
                SignInProgress::Session(secret) => secret,
                // The failures stay: who knows the password must not be able to guess codes.
                SignInProgress::AwaitsCode(secret) => {
                    console.attempts.take_back(&name, address);
                    return Ok(code::ask(&console, &secret, &to));
                }
            };
            console.attempts.forgive(&name, address);
            tracing::info!(user = name, %address, "signed in to the console");
            console.use_cases.tell_of_session(&of_nobody(Some(address)), &name, "signed_in", SignInMethod::Password.name());
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
        None => link_used(&console, &locale),
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
        Some((_, SignInProgress::AwaitsCode(secret))) => Ok(code::ask(&console, &secret, "/")),
        Some((name, SignInProgress::Session(secret))) => {
            console.use_cases.tell_of_session(&of_nobody(address), &name, "signed_in", SignInMethod::Link.name());
            Ok(signed_in(&console, &secret, "/"))
        }
        None => {
            console.use_cases.tell_of_failed_sign_in(&of_nobody(address), None, "link");
            link_used(&console, &locale)
        }
    }
}

fn link_used(console: &Console, locale: &Locale) -> Result<Response, Failure> {
    Ok((StatusCode::FORBIDDEN, form(console, locale, String::new(), String::new(), "sign-in-link-used")?).into_response())
}
