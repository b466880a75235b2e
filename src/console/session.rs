//! The cookie that a browser keeps of its session. It holds 256 random bits; the billing store keeps their digest.
//!
//! Sessions are of our own, not of tower-sessions: its store is not asked for all sessions of a user, so that nobody could be signed out
//! everywhere, and it is given the very id that the browser keeps.

use http::header::COOKIE;
use http::{HeaderMap, HeaderValue};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::site::Site;
use service::users::SESSION_WHOLE;

/// The longest value that is looked at, and the longest path that is come back to from a provider.
const MAX_SECRET: usize = 1024;
const MAX_PATH: usize = 512;

/// How long somebody may be away at an identity provider.
const AWAY_SECONDS: u64 = 600;

/// How long a browser keeps the cookie between a password or a link and the code.
const AWAITING_SECONDS: u64 = 300;

/// What the browser of a request keeps of a session.
#[must_use]
pub fn secret(site: &Site, headers: &HeaderMap) -> Option<String> {
    value(&site.cookie(), headers)
}

/// What it keeps while a code is still to come.
#[must_use]
pub fn awaiting(site: &Site, headers: &HeaderMap) -> Option<String> {
    value(&awaiting_cookie(site), headers)
}

fn awaiting_cookie(site: &Site) -> String {
    format!("{}-code", site.cookie())
}

fn value(name: &str, headers: &HeaderMap) -> Option<String> {
    let cookies = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(';'));
    let mut own = cookies.filter_map(|cookie| cookie.trim().split_once('=')).filter(|(found, _)| *found == name);
    own.next().map(|(_, value)| value.to_owned()).filter(|value| value.len() <= MAX_SECRET)
}

/// Sets the cookie of a session.
#[must_use]
pub fn kept(site: &Site, secret: &str) -> Option<HeaderValue> {
    cookie(site, &site.cookie(), secret, SESSION_WHOLE.as_secs())
}

/// Sets the cookie that lasts from the password or the link until the code.
#[must_use]
pub fn kept_awaiting(site: &Site, secret: &str) -> Option<HeaderValue> {
    cookie(site, &awaiting_cookie(site), secret, AWAITING_SECONDS)
}

/// Deletes that cookie.
#[must_use]
pub fn forgotten_awaiting(site: &Site) -> Option<HeaderValue> {
    cookie(site, &awaiting_cookie(site), "", 0)
}

/// Sets the cookie for the time that the browser is at the identity provider: a secret, and where to go afterwards.
#[must_use]
pub fn kept_away(site: &Site, secret: &str, to: &str) -> Option<HeaderValue> {
    let to = if to.len() > MAX_PATH { "/" } else { to };
    cookie(site, &away_cookie(site), &format!("{secret}~{}", URL_SAFE_NO_PAD.encode(to)), AWAY_SECONDS)
}

/// The cookie of a browser that comes back.
#[must_use]
pub fn away(site: &Site, headers: &HeaderMap) -> Option<(String, String)> {
    let kept = value(&away_cookie(site), headers)?;
    let (secret, to) = kept.split_once('~')?;
    let to = URL_SAFE_NO_PAD.decode(to).ok().and_then(|to| String::from_utf8(to).ok())?;
    Some((secret.to_owned(), to)).filter(|(secret, _)| !secret.is_empty())
}

/// Deletes that cookie.
#[must_use]
pub fn forgotten_away(site: &Site) -> Option<HeaderValue> {
    cookie(site, &away_cookie(site), "", 0)
}

fn away_cookie(site: &Site) -> String {
    format!("{}-provider", site.cookie())
}

/// Deletes that cookie.
#[must_use]
pub fn forgotten(site: &Site) -> Option<HeaderValue> {
    cookie(site, &site.cookie(), "", 0)
}

fn cookie(site: &Site, name: &str, value: &str, seconds: u64) -> Option<HeaderValue> {
    let secure = if site.is_secure { "; Secure" } else { "" };
    HeaderValue::from_str(&format!("{name}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}")).ok()
}

/// The token that each form of a session holds. A page of another site cannot know it.
#[must_use]
pub fn token(secret: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(format!("form of {secret}")))
}

/// Whether a form's token is that of the session.
#[must_use]
pub fn is_token(secret: &str, sent: &str) -> bool {
    token(secret).as_bytes().ct_eq(sent.as_bytes()).into()
}
