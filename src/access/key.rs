//! API keys: made once, shown once, kept as a digest.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rand::TryRng;
use rand::rngs::SysRng;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// Prefix of every key, so that scanners for leaked secrets know it.
const PREFIX: &str = "tg_";

/// The random bytes of a key's public part, which finds it, and of its secret.
const ID_BYTES: usize = 6;
const SECRET_BYTES: usize = 32;

/// How long a key is: the prefix, the public part, an underscore, the secret.
const LENGTH: usize = 3 + 8 + 1 + 43;

/// A new key. It is shown to the one who asked for it, and not kept.
pub struct NewKey {
    /// The public part.
    pub id: String,
    /// The whole.
    pub text: String,
}

impl NewKey {
    /// Makes one: 256 bits of randomness from the operating system.
    pub fn generate() -> anyhow::Result<Self> {
        let id = URL_SAFE_NO_PAD.encode(random::<ID_BYTES>()?);
        Ok(Self { text: format!("{PREFIX}{id}_{}", secret()?), id })
    }

    /// What is kept of it.
    #[must_use]
    pub fn digest(&self) -> KeyDigest {
        KeyDigest::of(&self.text)
    }
}

/// 256 bits of randomness from the operating system, as text that a URL and a cookie can hold.
pub fn secret() -> anyhow::Result<String> {
    Ok(URL_SAFE_NO_PAD.encode(random::<SECRET_BYTES>()?))
}

/// Randomness from the operating system.
pub fn random<const BYTES: usize>() -> anyhow::Result<[u8; BYTES]> {
    let mut bytes = [0; BYTES];
    SysRng.try_fill_bytes(&mut bytes)?;
    Ok(bytes)
}

/// The public part of what looks like a key; `None` if it does not.
#[must_use]
pub fn id_of(text: &str) -> Option<&str> {
    let is_plain = text.len() == LENGTH && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-');
    let (id, secret) = text.strip_prefix(PREFIX)?.split_at_checked(8)?;
    (is_plain && secret.starts_with('_')).then_some(id)
}

/// Whether a text can be the public part of a key.
#[must_use]
pub fn is_id(text: &str) -> bool {
    text.len() == 8 && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
}

/// SHA-256 of a key. The key has 256 bits of randomness, so that nothing slower is needed.
#[derive(Clone, Copy, Debug)]
pub struct KeyDigest([u8; 32]);

impl KeyDigest {
    /// The digest of a key.
    #[must_use]
    pub fn of(key: &str) -> Self {
        Self(Sha256::digest(key).into())
    }

    /// Whether both are equal, found in the same time whatever they are.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl PartialEq for KeyDigest {
    fn eq(&self, other: &Self) -> bool {
        self.is(other)
    }
}

impl fmt::Display for KeyDigest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "sha256:{}", URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl FromStr for KeyDigest {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bytes = text.strip_prefix("sha256:").and_then(|digest| URL_SAFE_NO_PAD.decode(digest).ok());
        let digest = bytes.and_then(|bytes| bytes.try_into().ok());
        digest.map(Self).ok_or_else(|| anyhow::anyhow!("is not a digest as `tollgate access create-key` writes it (sha256:…)"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_found_by_its_public_part_and_known_by_its_digest() {
        let key = NewKey::generate().unwrap();
        assert_eq!(id_of(&key.text), Some(key.id.as_str()));
        assert_eq!(key.digest().to_string().parse::<KeyDigest>().unwrap(), key.digest());
        assert!(!key.digest().is(&NewKey::generate().unwrap().digest()));
    }

    #[test]
    fn what_is_no_key_has_no_public_part() {
        let key = NewKey::generate().unwrap().text;
        let cut = key.get(..key.len() - 1).unwrap();
        for text in ["", "tg_", "tg_é", cut, &format!("{key}a"), &key.replace("tg_", "tk_"), &format!("{key} ")] {
            assert_eq!(id_of(text), None, "{text:?}");
        }
    }
}
