//! Keys of an identity provider that are fetched by HTTPS, again and again, since providers rotate them. Checking a token never waits
//! for that: what is not known yet is refused, and asked for. While the provider is away, the last keys stay.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context;
use arc_swap::ArcSwap;
use hyper::http::uri::Uri;

use super::https;
use super::key_set::{KeySet, MAX_BYTES};
use platform::tls::ClientTls;

/// How old the keys become before they are fetched again.
const EVERY: Duration = Duration::from_mins(5);

/// How soon they are fetched again after they could not be.
const AFTER_FAILURE: Duration = Duration::from_secs(10);

/// How often tokens with a key that is not known may have them fetched: anybody can send such.
const WANTED_EVERY: Duration = Duration::from_mins(1);

/// The keys of one provider.
pub struct RemoteKeys {
    text: String,
    url: Uri,
    tls: ClientTls,
    keys: ArcSwap<KeySet>,
    is_wanted: AtomicBool,
    times: Mutex<Times>,
}

/// When keys are fetched.
#[derive(Clone, Copy, Debug, Default)]
struct Times {
    next: Option<Instant>,
    last_wanted: Option<Instant>,
}

impl RemoteKeys {
    /// Those at a URL, of which none are known yet.
    pub fn at(url: &str, tls: ClientTls) -> anyhow::Result<Self> {
        let text = url.to_owned();
        let url = https::url("jwks_url", url)?;
        Ok(Self { text, url, tls, keys: ArcSwap::default(), is_wanted: AtomicBool::default(), times: Mutex::default() })
    }

    /// Whether they are fetched from there, and in this way.
    pub fn is_at(&self, url: &str, tls: &ClientTls) -> bool {
        self.text == url && self.tls == *tls
    }

    /// Those that are known.
    pub fn known(&self) -> Arc<KeySet> {
        self.keys.load_full()
    }

    /// Asks for them to be fetched: a token names one that is not known.
    pub fn want(&self) {
        self.is_wanted.store(true, Ordering::Relaxed);
    }

    /// Fetches them if they are due, and returns whether they are others than before.
    pub async fn follow(&self) -> anyhow::Result<bool> {
        if !self.take_turn(Instant::now()) {
            return Ok(false);
        }
        let fetched = self.fetch().await;
        let rest = if fetched.is_ok() { EVERY } else { AFTER_FAILURE };
        self.times.lock().unwrap_or_else(PoisonError::into_inner).next = Some(Instant::now() + rest);
        // Who asked meanwhile is served by it, too.
        self.is_wanted.store(false, Ordering::Relaxed);
        let new = fetched.with_context(|| format!("cannot fetch {}", self.url))?;
        // The same set stays the same object: tokens that were checked by it need not be again.
        let is_other = !new.is_same(&self.keys.load());
        if is_other {
            self.keys.store(Arc::new(new));
        }
        Ok(is_other)
    }

    /// Whether they are to be fetched now.
    fn take_turn(&self, now: Instant) -> bool {
        let mut times = self.times.lock().unwrap_or_else(PoisonError::into_inner);
        if times.next.is_none_or(|next| now >= next) {
            return true;
        }
        let may_be_wanted = times.last_wanted.is_none_or(|last| now >= last + WANTED_EVERY);
        let is_turn = may_be_wanted && self.is_wanted.swap(false, Ordering::Relaxed);
        if is_turn {
            times.last_wanted = Some(now);
        }
        is_turn
    }

    async fn fetch(&self) -> anyhow::Result<KeySet> {
        KeySet::read(&https::get(&self.url, &self.tls, MAX_BYTES).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_fetched_every_five_minutes_and_when_wanted_at_most_once_a_minute() {
        let keys = RemoteKeys::at("https://id.example/keys", ClientTls::default()).unwrap();
        let start = Instant::now();
        let after = |seconds| keys.take_turn(start + Duration::from_secs(seconds));
        assert!(after(0), "at the start");
        keys.times.lock().unwrap().next = Some(start + EVERY);
        assert!(!after(1));
        keys.want();
        assert!(after(2) && !after(3));
        keys.want();
        assert!(!after(61) && after(62) && !after(200));
        assert!(after(300));
    }

    #[test]
    fn they_are_at_a_url_of_https() {
        let wrong = |url| format!("{:#}", RemoteKeys::at(url, ClientTls::default()).err().unwrap());
        for url in ["http://id.example/keys", "https:/keys", "keys", ""] {
            assert!(wrong(url).contains("jwks_url"), "{}", wrong(url));
        }
    }
}
