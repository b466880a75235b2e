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

/// The longest value that is looked at.
const MAX_SECRET: usize = 128;

/// What the browser of a request keeps.
#[must_use]
pub fn secret(site: &Site, headers: &HeaderMap) -> Option<String> {
    let name = site.cookie();
    let cookies = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(';'));
    let mut own = cookies.filter_map(|cookie| cookie.trim().split_once('=')).filter(|(found, _)| *found == name);
    own.next().map(|(_, value)| value.to_owned()).filter(|value| value.len() <= MAX_SECRET)
}

/// Has the browser keep a session.
#[must_use]
pub fn kept(site: &Site, secret: &str) -> Option<HeaderValue> {
    cookie(site, secret, SESSION_WHOLE.as_secs())
}

/// Has the browser forget it.
#[must_use]
pub fn forgotten(site: &Site) -> Option<HeaderValue> {
    cookie(site, "", 0)
}

fn cookie(site: &Site, value: &str, seconds: u64) -> Option<HeaderValue> {
    let secure = if site.is_secure { "; Secure" } else { "" };
    HeaderValue::from_str(&format!("{}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}", site.cookie())).ok()
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
