//! Applied to every request: bounds, the console's host names, no requests of other sites, and the headers that tell
//! the browser how careful to be.

use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HOST, HeaderName, ORIGIN, REFERRER_POLICY, STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};
use http::{HeaderValue, Method, StatusCode};

use super::Console;
use super::downloads::Paper;
use super::navigation::TEMPLATES;
use super::routes::ROUTES;
use platform::lanes::proxies::Scheme;

/// The largest body of a request.
pub const MAX_BODY_BYTES: usize = 64 * 1024;

/// The same of a form that comes with a file, of which each byte may be written as three.
pub const MAX_FILE_BYTES: usize = 2 * 1024 * 1024;

/// The same of a form with a template of a mail.
const MAX_TEMPLATE_BYTES: usize = 256 * 1024;

/// The largest body of a request to a path.
#[must_use]
pub fn most_bytes(path: &str) -> usize {
    if path.starts_with(TEMPLATES) {
        return MAX_TEMPLATE_BYTES;
    }
    if ROUTES.iter().any(|route| route.has_file && route.path == path) { MAX_FILE_BYTES } else { MAX_BODY_BYTES }
}

/// How long a body may take to arrive, and a page to be made.
const BODY_LIMIT: Duration = Duration::from_secs(10);
const PAGE_LIMIT: Duration = Duration::from_secs(30);

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; \
                      frame-src 'self'; \
                      form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// A document as its customer sees it, within a page's frame: it has a style of its own, and can do nothing else.
const POLICY_OF_PAPER: &str =
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'none'; frame-ancestors 'self'; base-uri 'none'; sandbox";

/// Takes in a request within its bounds, and has it answered within them.
pub async fn bound(request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let body = match tokio::time::timeout(BODY_LIMIT, to_bytes(body, most_bytes(parts.uri.path()))).await {
        Ok(Ok(body)) => body,
        Ok(Err(_)) => return plain(StatusCode::PAYLOAD_TOO_LARGE, "The form is too large."),
        Err(_) => return plain(StatusCode::REQUEST_TIMEOUT, "The form did not arrive in time."),
    };
    let answering = next.run(Request::from_parts(parts, Body::from(body)));
    match tokio::time::timeout(PAGE_LIMIT, answering).await {
        Ok(response) => response,
        Err(_) => plain(StatusCode::SERVICE_UNAVAILABLE, "The page took too long. Whether a change was made is shown on its account."),
    }
}

/// Lets a request through, or refuses it; and has the browser be careful with the answer.
pub async fn check(State(console): State<Console>, request: Request, next: Next) -> Response {
    let mut response = match refusal(&console, &request) {
        Some(text) => plain(StatusCode::FORBIDDEN, text),
        None => next.run(request).await,
    };
    let is_paper = response.extensions().get::<Paper>().is_some();
    let headers = response.headers_mut();
    // Browsers refuse to open what is in a sandbox and wants an opener's policy at once.
    let [policy, framing, opener] = match is_paper {
        true => [POLICY_OF_PAPER, "SAMEORIGIN", "unsafe-none"],
        false => [POLICY, "DENY", "same-origin"],
    };
    let fixed: [(HeaderName, &'static str); 5] = [
        (CONTENT_SECURITY_POLICY, policy),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, framing),
        (REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-opener-policy"), opener),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    if console.site.is_secure {
        headers.insert(STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=31536000"));
    }
    response
}

/// Why a request is refused, no matter who sends it.
fn refusal(console: &Console, request: &Request) -> Option<&'static str> {
    let (method, headers) = (request.method(), request.headers());
    let text = |name: HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or("not text"));
    if !text(HOST).is_some_and(|host| console.site.knows(host)) {
        return Some("The console is not called by this name. See --console-url.");
    }
    // A browser would not keep the session's cookie, and what it sends can be read on the way.
    if console.site.is_secure && request.extensions().get::<Scheme>() == Some(&Scheme::Http) {
        return Some("The console is opened by https. See --console-url.");
    }
    if *method == Method::GET || *method == Method::HEAD {
        return None;
    }
    // Browsers send at least one of them with each form; "null" is an origin that says nothing.
    let is_own = match (text(ORIGIN), text(HeaderName::from_static("sec-fetch-site"))) {
        (Some("null"), Some(site)) | (None, Some(site)) => site == "same-origin",
        (Some(origin), site) => console.site.is_own_origin(origin) && site.is_none_or(|site| site == "same-origin"),
        (None, None) => false,
    };
    (!is_own).then_some("The form was sent by a page of another site.")
}

fn plain(status: StatusCode, text: &'static str) -> Response {
    (status, text).into_response()
}
