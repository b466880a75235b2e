//! Signing in at an identity provider: OpenID Connect, by the authorization code flow with PKCE, a state and a nonce.
//!
//! All three are derived from one secret that only the browser keeps, so that nothing is stored while somebody is away at the provider, and
//! what comes back is of the browser that went there. What the provider says of itself is fetched ("discovery") and kept for minutes; its
//! keys are fetched for each that signs in, which is seldom, and providers rotate them.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, ensure};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use hyper::body::Bytes;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE};
use hyper::http::uri::Uri;
use hyper::{Request, StatusCode};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use tokio::sync::{Mutex, Semaphore};

use super::denied::Denied;
use super::https;
use super::jwt::{LONGEST_SUBJECT, decoded, validation};
use super::key_set::{KeySet, MAX_BYTES};
use platform::tls::ClientTls;

/// How long it is believed what the provider says of itself.
const KEPT: Duration = Duration::from_mins(5);

/// How long it is believed to be away: who comes meanwhile does not wait for it.
const AWAY: Duration = Duration::from_secs(3);

/// How many are let in at once: each takes three requests.
const AT_ONCE: usize = 8;

/// The longest code that is taken to the provider, and the longest explanation of it that is shown.
const LONGEST_CODE: usize = 4096;
const LONGEST_ERROR: usize = 300;

/// An identity provider, and how this service is known there.
#[derive(Clone)]
pub struct ProviderSettings {
    /// Its URL, as it is in its tokens.
    pub issuer: String,
    /// What this service is called there.
    pub client_id: String,
    /// What this service shows there; `None` if it is a public client, which PKCE protects.
    pub client_secret: Option<String>,
    /// The scopes that are requested.
    pub scopes: String,
    /// Whom to trust, beside what this machine trusts.
    pub tls: ClientTls,
    /// Where the provider sends people back to.
    pub redirect_url: String,
}

/// An identity provider.
pub struct Provider {
    settings: ProviderSettings,
    discovered: Mutex<Option<ProviderState>>,
    turns: Semaphore,
}

/// The provider's metadata, or why it is unavailable, and since when that is known.
type ProviderState = (Instant, Result<Arc<Discovered>, String>);

/// A user who has signed in at the provider.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The provider.
    pub issuer: String,
    /// The provider's id of the user, which never changes.
    pub subject: String,
    /// What it says of the user.
    pub claims: HashMap<String, Value>,
}

/// Why nobody was let in.
#[derive(Debug)]
pub enum ProviderError {
    /// It was not begun by this browser, or too long ago.
    NotBegun,
    /// The provider refused, and says why.
    Refused(String),
    /// The provider cannot be reached, or does not do what it has to.
    Away(anyhow::Error),
    /// Its token is not believed.
    Token(Denied),
    /// Too many sign in at once.
    Busy,
}

/// The parameters with which the browser came back.
#[derive(Default, Deserialize)]
pub struct Returned {
    #[serde(default)]
    state: String,
    #[serde(default)]
    code: String,
    #[serde(default)]
    error: String,
    #[serde(default)]
    error_description: String,
    /// The issuer that sent it back (RFC 9207).
    #[serde(default)]
    iss: String,
}

/// The metadata of a provider.
#[derive(Deserialize)]
struct Discovered {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
    #[serde(default)]
    end_session_endpoint: Option<String>,
    #[serde(default)]
    token_endpoint_auth_methods_supported: Vec<String>,
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
}

#[derive(Deserialize)]
struct Tokens {
    id_token: String,
}

#[derive(Deserialize, Default)]
struct TokenError {
    #[serde(default)]
    error: String,
    #[serde(default)]
    error_description: String,
}

#[derive(Deserialize)]
struct Claims {
    sub: String,
    #[serde(default)]
    nonce: String,
    #[serde(default)]
    azp: Option<String>,
    #[serde(default)]
    aud: Value,
    #[serde(flatten)]
    others: HashMap<String, Value>,
}

impl fmt::Display for ProviderError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotBegun => formatter.write_str("it was not begun by this browser, or too long ago"),
            Self::Refused(said) => write!(formatter, "it refused: {}", said.escape_debug()),
            Self::Away(error) => write!(formatter, "it cannot be asked: {error:#}"),
            Self::Token(denied) => write!(formatter, "its token is not believed: {denied}"),
            Self::Busy => formatter.write_str("too many are signing in at once"),
        }
    }
}

impl fmt::Debug for Provider {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Provider({})", self.settings.issuer)
    }
}

impl fmt::Debug for ProviderSettings {
    /// Shows no secret.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "ProviderSettings({} at {})", self.client_id, self.issuer)
    }
}

impl Provider {
    /// A provider, which nothing is asked of yet.
    pub fn new(settings: ProviderSettings) -> anyhow::Result<Self> {
        https::url("--oidc-issuer", &settings.issuer)?;
        Ok(Self { settings, discovered: Mutex::default(), turns: Semaphore::new(AT_ONCE) })
    }

    /// The name of its host, by which people know it.
    #[must_use]
    pub fn host(&self) -> String {
        let url = self.settings.issuer.parse::<Uri>().ok();
        url.and_then(|url| url.host().map(ToOwned::to_owned)).unwrap_or_default()
    }

    /// Where to send a browser that keeps this secret.
    pub async fn authorization_url(&self, secret: &str) -> Result<String, ProviderError> {
        let discovered = self.discovered().await?;
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(verifier(secret)));
        let (state, nonce) = (derived("state", secret), derived("nonce", secret));
        let query = encoded(&[
            ("response_type", "code"),
            ("client_id", self.settings.client_id.as_str()),
            ("redirect_uri", self.settings.redirect_url.as_str()),
            ("scope", self.settings.scopes.as_str()),
            ("state", state.as_str()),
            ("nonce", nonce.as_str()),
            ("code_challenge", challenge.as_str()),
            ("code_challenge_method", "S256"),
        ]);
        Ok(with_query(&discovered.authorization_endpoint, &query))
    }

    /// Where to send a browser whose user wants to sign out at the provider, too; `None` if it does not offer that, or is away.
    pub async fn end_session_url(&self, back: &str) -> Option<String> {
        let discovered = self.discovered().await.ok()?;
        let endpoint = discovered.end_session_endpoint.as_ref().filter(|url| https::url("end_session_endpoint", url).is_ok())?;
        let query = encoded(&[("client_id", self.settings.client_id.as_str()), ("post_logout_redirect_uri", back)]);
        Some(with_query(endpoint, &query))
    }

    /// Identifies the user whom the provider sent back, in the browser that holds this secret.
    pub async fn identify(&self, secret: &str, returned: &Returned) -> Result<Identity, ProviderError> {
        if !bool::from(derived("state", secret).as_bytes().ct_eq(returned.state.as_bytes())) {
            return Err(ProviderError::NotBegun);
        }
        let discovered = self.discovered().await?;
        let is_iss_due = discovered.authorization_response_iss_parameter_supported || !returned.iss.is_empty();
        if is_iss_due && returned.iss != self.settings.issuer {
            return Err(ProviderError::Refused("another provider has sent the browser back".to_owned()));
        }
        if !returned.error.is_empty() {
            return Err(ProviderError::Refused(explained(&returned.error, &returned.error_description)));
        }
        if returned.code.is_empty() || returned.code.len() > LONGEST_CODE {
            return Err(ProviderError::NotBegun);
        }
        let _turn = self.turns.try_acquire().map_err(|_| ProviderError::Busy)?;
        let token = self.redeem(&discovered, secret, &returned.code).await?;
        let keys = https::url("jwks_uri", &discovered.jwks_uri).map_err(ProviderError::Away)?;
        let fetched = https::get(&keys, &self.settings.tls, MAX_BYTES).await.and_then(|text| KeySet::read(&text));
        let keys = fetched.with_context(|| format!("cannot fetch {keys}")).map_err(ProviderError::Away)?;
        self.believed(&token, &keys, secret).map_err(ProviderError::Token)
    }

    async fn discovered(&self) -> Result<Arc<Discovered>, ProviderError> {
        let mut kept = self.discovered.lock().await;
        let is_fresh = |(at, result): &&ProviderState| at.elapsed() < if result.is_ok() { KEPT } else { AWAY };
        let result = match kept.as_ref().filter(is_fresh) {
            Some((_, result)) => result.clone(),
            None => {
                let result = self.discover().await.map(Arc::new).map_err(|error| format!("{error:#}"));
                *kept = Some((Instant::now(), result.clone()));
                result
            }
        };
        result.map_err(|error| ProviderError::Away(anyhow!(error)))
    }

    async fn discover(&self) -> anyhow::Result<Discovered> {
        let issuer = &self.settings.issuer;
        let url = https::url("--oidc-issuer", &format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/')))?;
        let text = https::get(&url, &self.settings.tls, MAX_BYTES).await.with_context(|| format!("cannot fetch {url}"))?;
        let discovered: Discovered = serde_json::from_slice(&text).with_context(|| format!("{url} is not the metadata of a provider"))?;
        ensure!(discovered.issuer == *issuer, "{url} is of the issuer {:?}, not of {issuer:?}", discovered.issuer);
        for (what, text) in [
            ("authorization_endpoint", &discovered.authorization_endpoint),
            ("token_endpoint", &discovered.token_endpoint),
            ("jwks_uri", &discovered.jwks_uri),
        ] {
            https::url(what, text)?;
        }
        Ok(discovered)
    }

    /// Exchanges a code for the provider's token.
    async fn redeem(&self, discovered: &Discovered, secret: &str, code: &str) -> Result<String, ProviderError> {
        let url = https::url("token_endpoint", &discovered.token_endpoint).map_err(ProviderError::Away)?;
        let ProviderSettings { client_id, client_secret, redirect_url, tls, .. } = &self.settings;
        let verifier = verifier(secret);
        let mut form = vec![
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", redirect_url.as_str()),
            ("code_verifier", verifier.as_str()),
        ];
        let mut request = Request::post(https::path(&url)).header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        let methods = &discovered.token_endpoint_auth_methods_supported;
        match client_secret {
            // What a provider does not say is that it takes both by a header.
            Some(shown) if methods.is_empty() || methods.iter().any(|method| method == "client_secret_basic") => {
                let pair = format!("{}:{}", form_encoded(client_id), form_encoded(shown));
                request = request.header(AUTHORIZATION, format!("Basic {}", STANDARD.encode(pair)));
            }
            Some(shown) => form.extend([("client_id", client_id.as_str()), ("client_secret", shown.as_str())]),
            None => form.push(("client_id", client_id.as_str())),
        }
        let sent = https::send(&url, tls, request, Bytes::from(encoded(&form)), MAX_BYTES).await;
        let (status, text) = sent.with_context(|| format!("cannot ask {url}")).map_err(ProviderError::Away)?;
        if status == StatusCode::OK {
            let tokens: Tokens = serde_json::from_slice(&text).map_err(|_| ProviderError::Away(anyhow!("{url} gave no id_token")))?;
            return Ok(tokens.id_token);
        }
        let said: TokenError = serde_json::from_slice(&text).unwrap_or_default();
        match said.error.is_empty() {
            true => Err(ProviderError::Away(anyhow!("{url} returned {status}"))),
            false => Err(ProviderError::Refused(explained(&said.error, &said.error_description))),
        }
    }

    /// Who a token is of, if it was issued by the provider, to this service, for this browser, and not too long ago.
    fn believed(&self, token: &str, keys: &KeySet, secret: &str) -> Result<Identity, Denied> {
        let ProviderSettings { issuer, client_id, .. } = &self.settings;
        let Claims { sub, nonce, azp, aud, others } = decoded(token, keys, &validation(issuer, client_id))?;
        if sub.is_empty() || sub.chars().count() > LONGEST_SUBJECT || sub.chars().any(char::is_control) {
            return Err(Denied::InvalidToken("its subject is no name"));
        }
        if !bool::from(derived("nonce", secret).as_bytes().ct_eq(nonce.as_bytes())) {
            return Err(Denied::InvalidToken("it was not made for this browser"));
        }
        // A token for several says for whom it was made.
        let is_for_several = aud.as_array().is_some_and(|audiences| audiences.len() > 1);
        if azp.as_ref().map_or(is_for_several, |azp| azp != client_id) {
            return Err(Denied::InvalidToken("it is for another audience"));
        }
        Ok(Identity { issuer: issuer.clone(), subject: sub, claims: others })
    }
}

/// A value derived from the secret that the browser holds. It does not reveal the secret.
fn derived(what: &str, secret: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(format!("{what} of {secret}")))
}

fn verifier(secret: &str) -> String {
    derived("verifier", secret)
}

/// What the provider says of an error, as it can be shown.
fn explained(error: &str, description: &str) -> String {
    let text = if description.is_empty() { error.to_owned() } else { format!("{error}: {description}") };
    text.chars().filter(|character| !character.is_control()).take(LONGEST_ERROR).collect()
}

fn with_query(url: &str, query: &str) -> String {
    format!("{url}{}{query}", if url.contains('?') { '&' } else { '?' })
}

fn encoded(fields: &[(&str, &str)]) -> String {
    fields.iter().map(|(name, value)| format!("{name}={}", form_encoded(value))).collect::<Vec<_>>().join("&")
}

fn form_encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_to_the_provider_gives_nothing_of_the_secret_away() {
        let [state, nonce, verifier] = ["state", "nonce", "verifier"].map(|what| derived(what, "secret"));
        assert!(state != nonce && nonce != verifier && verifier != state);
        // RFC 7636 takes 43 to 128 characters out of A-Z a-z 0-9 - . _ ~
        assert!(verifier.len() == 43 && verifier.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)), "{verifier}");
    }

    #[test]
    fn what_a_provider_says_of_an_error_is_bounded_and_has_no_control_characters() {
        assert_eq!(explained("access_denied", "End-User\r\n aborted"), "access_denied: End-User aborted");
        assert_eq!(explained("e", &"x".repeat(1_000)).chars().count(), LONGEST_ERROR);
        assert_eq!(with_query("https://id.example/a?b=c", &encoded(&[("d", "e f&g")])), "https://id.example/a?b=c&d=e%20f%26g");
    }

    #[tokio::test]
    async fn what_comes_back_to_another_browser_is_not_looked_at() {
        let settings = ProviderSettings {
            issuer: "https://id.example".to_owned(),
            client_id: "console".to_owned(),
            client_secret: None,
            scopes: "openid".to_owned(),
            tls: ClientTls::default(),
            redirect_url: "https://console.example/sign-in/provider/callback".to_owned(),
        };
        let provider = Provider::new(settings.clone()).unwrap();
        for state in ["", "another", &derived("state", "another")] {
            let returned = Returned { state: state.to_owned(), code: "code".to_owned(), ..Returned::default() };
            assert!(matches!(provider.identify("secret", &returned).await, Err(ProviderError::NotBegun)), "{state}");
        }
        assert!(Provider::new(ProviderSettings { issuer: "http://id.example".to_owned(), ..settings }).is_err());
    }
}
