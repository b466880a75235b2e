//! Passwords, as argon2id. A hash takes tens of milliseconds and 19 MiB, so that only a few are worked out at once, on threads of their
//! own; who finds no place is refused at once.

use std::sync::Arc;

use anyhow::anyhow;
use argon2::Argon2;
use argon2::password_hash::{PasswordHash, PasswordHasher, PasswordVerifier, SaltString};
use tokio::sync::Semaphore;

/// How many are worked out at once, and how many more wait.
const AT_ONCE: usize = 2;
const WAITING: usize = 16;

/// The shortest and the longest password, in characters and in bytes.
pub const SHORTEST: usize = 12;
pub const LONGEST: usize = 512;

/// Works out passwords.
#[derive(Clone)]
pub struct Passwords {
    places: Arc<Semaphore>,
    turns: Arc<Semaphore>,
}

impl Default for Passwords {
    fn default() -> Self {
        Self { places: Arc::new(Semaphore::new(AT_ONCE + WAITING)), turns: Arc::new(Semaphore::new(AT_ONCE)) }
    }
}

impl Passwords {
    /// The hash of a password; `None` if too much is asked at once.
    pub async fn hash(&self, password: &str) -> anyhow::Result<Option<String>> {
        let salt = access::key::secret()?;
        let salt = SaltString::encode_b64(salt.as_bytes().get(..16).unwrap_or_default()).map_err(|error| anyhow!("{error}"))?;
        let password = password.to_owned();
        let hashed = self.work(move || Argon2::default().hash_password(password.as_bytes(), &salt).map(|hash| hash.to_string())).await;
        hashed.transpose().map_err(|error| anyhow!("{error}"))
    }

    /// Whether a password is that of a hash; `None` if too much is asked at once. Of a user that is not there, the same work is done.
    pub async fn is(&self, password: &str, hash: Option<&str>) -> Option<bool> {
        // The hash of a password that nobody has: with the parameters of all others.
        const NOBODYS: &str = "$argon2id$v=19$m=19456,t=2,p=1$Y29uc29sZSBub2JvZHkh$kQ0eY7TDpJ3nD2VvCwBKnUTxIhxXUMXxQmEwRzVlZGk";
        let (password, known) = (password.to_owned(), hash.is_some());
        let hash = hash.unwrap_or(NOBODYS).to_owned();
        let is_right = self.work(move || {
            let parsed = PasswordHash::new(&hash).ok()?;
            Argon2::default().verify_password(password.as_bytes(), &parsed).ok()
        });
        is_right.await.map(|verified| verified.is_some() && known)
    }

    async fn work<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        let _place = self.places.try_acquire().ok()?;
        // The permit goes along: a request that is given up does not make room while its work goes on.
        let turn = Arc::clone(&self.turns).acquire_owned().await.ok()?;
        let worked = tokio::task::spawn_blocking(move || {
            let value = work();
            drop(turn);
            value
        });
        worked.await.ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_is_known_by_its_hash_and_nobodys_is_nobodys() {
        let passwords = Passwords::default();
        let hash = passwords.hash("correct horse battery").await.unwrap().unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert_eq!(passwords.is("correct horse battery", Some(&hash)).await, Some(true));
        assert_eq!(passwords.is("correct horse batter", Some(&hash)).await, Some(false));
        assert_eq!(passwords.is("anything", None).await, Some(false));
        let many: Vec<_> = (0..40)
            .map(|_| {
                tokio::spawn({
                    let passwords = passwords.clone();
                    async move { passwords.is("x", None).await }
                })
            })
            .collect();
        let mut refused = 0;
        for one in many {
            refused += usize::from(one.await.unwrap().is_none());
        }
        assert!(refused > 0, "all found a place");
    }
}
