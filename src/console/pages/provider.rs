//! Signing in at an identity provider: the way there, and the way back.

use axum::Extension;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Redirect, Response};
use http::header::SET_COOKIE;
use http::{HeaderMap, StatusCode};

use super::arrival::{ReturnTo, address_of, of_nobody, own_path, signed_in};
use super::sign_in::problem_page;
use crate::failure::Failure;
use crate::locale::Locale;
use crate::{Console, session};
use access::provider::{ProviderError, Returned};
use platform::lanes::socket::Peer;
use service::users::SignInMethod;
use service::users::provided::Provided;

/// Sends the browser to the provider.
pub async fn begin(
    State(console): State<Console>,
    Extension(locale): Extension<Locale>,
    Query(ReturnTo { to, .. }): Query<ReturnTo>,
) -> Result<Response, Failure> {
    let Some(provider) = &console.signing_in.provider else { return Err(Failure::not_found()) };
    let secret = access::key::secret().map_err(Failure::of_users)?;
    match provider.authorization_url(&secret).await {
        Ok(url) => {
            let mut response = Redirect::to(&url).into_response();
            let cookie = session::kept_away(&console.site, &secret, own_path(&to));
            response.headers_mut().extend(cookie.map(|cookie| (SET_COOKIE, cookie)));
            Ok(response)
        }
        Err(error) => failed(&console, &locale, &error, &to),
    }
}

/// Handles the return of the browser from the provider.
pub async fn back(
    State(console): State<Console>,
    Extension(locale): Extension<Locale>,
    peer: Option<Extension<Peer>>,
    headers: HeaderMap,
    Query(returned): Query<Returned>,
) -> Result<Response, Failure> {
    let Some(provider) = &console.signing_in.provider else { return Err(Failure::not_found()) };
    let Some((secret, to)) = session::away(&console.site, &headers) else {
        return failed(&console, &locale, &ProviderError::NotBegun, "");
    };
    let context = of_nobody(Some(address_of(peer)));
    let response = match provider.identify(&secret, &returned).await {
        Ok(identity) => {
            let provided = console.users.sign_in_by_provider(&identity, &console.signing_in.name_claim).await.map_err(Failure::of_users)?;
            let (name, problem, value) = match provided {
                Provided::SignedIn { name, secret, grants: (before, after) } => {
                    console.use_cases.tell_of_provided_user(&context, &name, before.as_deref(), &after);
                    console.use_cases.tell_of_session(&context, &name, "signed_in", SignInMethod::Provider.name());
                    tracing::info!(user = name, "signed in to the console at the identity provider");
                    return Ok(over(&console, signed_in(&console, &secret, &to)));
                }
                Provided::WithoutRole(known) => {
                    if let Some((name, before)) = &known {
                        console.use_cases.tell_of_provided_user(&context, name, Some(before), &[]);
                    }
                    (known.map(|(name, _)| name), "sign-in-without-role", String::new())
                }
                Provided::Disabled(name) => (Some(name), "sign-in-disabled", String::new()),
                Provided::NameTaken(name) => (None, "sign-in-name-taken", name),
                Provided::NoName(name) => (None, "sign-in-no-name", name),
            };
            tracing::warn!(user = name, reason = problem, "a sign-in at the identity provider is not accepted");
            console.use_cases.tell_of_failed_sign_in(&context, name.as_deref(), "provider");
            let text = locale.text_with(problem, &[("value", value.as_str())]);
            problem_page(&console, &locale, StatusCode::FORBIDDEN, text, &to)?
        }
        Err(error) => {
            if !matches!(error, ProviderError::Away(_) | ProviderError::Busy) {
                console.use_cases.tell_of_failed_sign_in(&context, None, "provider");
            }
            failed(&console, &locale, &error, &to)?
        }
    };
    Ok(over(&console, response))
}

/// Deletes the cookie of the browser's time at the provider.
fn over(console: &Console, mut response: Response) -> Response {
    if let Some(cookie) = session::forgotten_away(&console.site) {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    response
}

fn failed(console: &Console, locale: &Locale, error: &ProviderError, to: &str) -> Result<Response, Failure> {
    let host = console.signing_in.provider.as_ref().map(|provider| provider.host()).unwrap_or_default();
    let (status, text) = match error {
        ProviderError::NotBegun => (StatusCode::FORBIDDEN, locale.text("sign-in-not-begun")),
        ProviderError::Refused(said) => {
            (StatusCode::FORBIDDEN, locale.text_with("sign-in-refused", &[("host", host.as_str()), ("said", said.as_str())]))
        }
        ProviderError::Token(_) => (StatusCode::FORBIDDEN, locale.text_with("sign-in-token", &[("host", host.as_str())])),
        ProviderError::Away(_) => (StatusCode::SERVICE_UNAVAILABLE, locale.text_with("sign-in-away", &[("host", host.as_str())])),
        ProviderError::Busy => (StatusCode::SERVICE_UNAVAILABLE, locale.text("sign-in-busy")),
    };
    tracing::warn!("nobody was let in by the identity provider: {error}");
    problem_page(console, locale, status, text, to)
}
