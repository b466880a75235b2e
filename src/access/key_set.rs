//! The public keys of an identity provider (JWKS).

use anyhow::{Context, ensure};
use jsonwebtoken::DecodingKey;
use jsonwebtoken::jwk::{JwkSet, PublicKeyUse};
use sha2::{Digest, Sha256};

/// The longest set that is read, in bytes.
pub const MAX_BYTES: usize = 1024 * 1024;

/// A set of keys.
#[derive(Default)]
pub struct KeySet {
    keys: Vec<(Option<String>, DecodingKey)>,
    digest: [u8; 32],
}

impl KeySet {
    /// Reads a set, which must have a key that can be used. Others are passed over, as RFC 7517, section 5, has it: keys of kinds that are not
    /// known, and keys to encrypt with.
    pub fn read(text: &[u8]) -> anyhow::Result<Self> {
        let set: JwkSet = serde_json::from_slice(text).context("is not a JWKS")?;
        let signing = set.keys.iter().filter(|key| key.common.public_key_use != Some(PublicKeyUse::Encryption));
        let keys: Vec<_> = signing.filter_map(|key| Some((key.common.key_id.clone(), DecodingKey::from_jwk(key).ok()?))).collect();
        ensure!(!keys.is_empty(), "has no key that can be used");
        Ok(Self { keys, digest: Sha256::digest(text).into() })
    }

    /// Whether it was read from the same text.
    pub fn is_same(&self, other: &Self) -> bool {
        self.digest == other.digest
    }

    /// Whether it has none, as before it was fetched.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The key of an id.
    pub fn of_id(&self, id: &str) -> Option<&DecodingKey> {
        self.keys.iter().find(|(other, _)| other.as_deref() == Some(id)).map(|(_, key)| key)
    }

    /// The only key, for a token without a key id; `None` if there are several.
    pub fn only(&self) -> Option<&DecodingKey> {
        match self.keys.as_slice() {
            [(_, key)] => Some(key),
            _ => None,
        }
    }

    /// The ids of its keys, and the beginning of its digest.
    pub fn described(&self) -> String {
        if self.keys.is_empty() {
            return "none yet".to_owned();
        }
        let ids: Vec<&str> = self.keys.iter().map(|(id, _)| id.as_deref().unwrap_or("-")).collect();
        let digest: String = self.digest.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
        format!("{} (sha256:{digest})", ids.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_kinds_that_are_not_known_and_keys_to_encrypt_with_are_passed_over() {
        let (x, y) = ("f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0");
        let ours = format!(r#"{{"kty":"EC","crv":"P-256","alg":"ES256","kid":"ours","x":"{x}","y":"{y}"}}"#);
        let other = format!(r#"{{"kty":"EC","crv":"P-256","use":"enc","kid":"other","x":"{x}","y":"{y}"}}"#);
        let unknown = r#"{"kty":"AKP","alg":"ML-DSA-44","kid":"later","pub":"AAAA"}"#;
        let set = KeySet::read(format!(r#"{{"keys":[{unknown},{other},{ours}]}}"#).as_bytes()).unwrap();
        assert!(set.of_id("ours").is_some() && set.of_id("other").is_none() && set.of_id("later").is_none());
        assert!(set.only().is_some(), "a token that names no key is of the only one that signs");
        assert!(KeySet::read(format!(r#"{{"keys":[{unknown},{other}]}}"#).as_bytes()).is_err());
    }
}
