//! Applied to every request: a rate limit, a time limit, and the headers that tell browsers and search engines how careful to be.

use std::time::Duration;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::HeaderValue;
use http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderName, REFERRER_POLICY, STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};

use super::{Public, say};
use billing::rendering::cover::Nothing;
use platform::lanes::socket::Peer;

/// Marks the document itself, which has a style of its own, and can do nothing else.
#[derive(Clone, Copy, Debug)]
pub struct Frame;

/// How long an answer may take.
const LIMIT: Duration = Duration::from_secs(30);

const POLICY: &str = "default-src 'none'; style-src 'self'; frame-src 'self'; form-action 'none'; frame-ancestors 'none'; base-uri 'none'";
const POLICY_OF_FRAME: &str =
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'none'; frame-ancestors 'self'; base-uri 'none'; sandbox";

/// Lets a request through within its rate limit, and has the browser be careful with the answer.
pub async fn check(State(public): State<Public>, request: Request, next: Next) -> Response {
    let headers = request.headers().clone();
    let address = request.extensions().get::<Peer>().map(|peer| peer.address.ip());
    let mut response = match address.is_none_or(|address| public.limiter.lets_through(address)) {
        true => match tokio::time::timeout(LIMIT, next.run(request)).await {
            Ok(response) => response,
            Err(_) => say(Nothing::Unavailable, &headers),
        },
        false => say(Nothing::TooOften, &headers),
    };
    // Browsers refuse to open what is in a sandbox and wants an opener's policy at once.
    let [policy, framing, opener] = match response.extensions().get::<Frame>() {
        Some(Frame) => [POLICY_OF_FRAME, "SAMEORIGIN", "unsafe-none"],
        None => [POLICY, "DENY", "same-origin"],
    };
    let headers = response.headers_mut();
    headers.remove(ALLOW);
    let fixed = [
        (CONTENT_SECURITY_POLICY, policy),
        (X_FRAME_OPTIONS, framing),
        (HeaderName::from_static("cross-origin-opener-policy"), opener),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        // The address of a page is what opens it.
        (REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("x-robots-tag"), "noindex, nofollow, noarchive"),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    if public.is_secure {
        headers.insert(STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=31536000"));
    }
    response
}
