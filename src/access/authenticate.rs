//! Finds who calls by what a caller presents.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context;
use arc_swap::ArcSwap;

use super::file::{AccessFile, Registry};
use super::jwt::Issuers;
use super::key::{self, KeyDigest};
use super::principal::Principal;
use platform::clock::system_now;
use platform::files::Stamp;
use platform::tls::Certificate;

/// The longest credential that is looked at, in bytes.
const MAX_CREDENTIAL: usize = 8 * 1024;

/// What a caller presents.
#[derive(Clone, Copy, Debug)]
pub struct Presented<'a> {
    /// The values of the `authorization` header.
    pub authorization: &'a [&'a str],
    /// The client certificate of its connection.
    pub certificate: Option<&'a Certificate>,
    /// Where it calls from.
    pub address: IpAddr,
}

/// Why a caller is refused. The caller learns only whether it sent a credential; the reason is for the operator's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// There is no credential.
    #[error("no credential was presented")]
    NothingPresented,
    /// There are several.
    #[error("more than one credential was presented")]
    SeveralPresented,
    /// It is none that could be known.
    #[error("the credential is malformed")]
    Malformed,
    /// No key has its public part, or its secret is another's.
    #[error("the key is not known")]
    UnknownKey,
    /// The key has expired or is revoked.
    #[error("the key has expired or was revoked")]
    EndedKey,
    /// The certificate is in no grant.
    #[error("the certificate is granted nothing")]
    UnknownCertificate,
    /// The token's issuer, audience, times, algorithm or signature are wrong.
    #[error("the token is not valid: {0}")]
    InvalidToken(&'static str),
}

impl Denied {
    /// Whether nothing was presented: to present something may help.
    #[must_use]
    pub fn is_for_want_of_credentials(self) -> bool {
        self == Self::NothingPresented
    }
}

/// Who is let in. Reads its file again when it changes.
pub struct Access {
    path: Option<PathBuf>,
    current: ArcSwap<Current>,
    local: Arc<Principal>,
    /// The change that could not be read.
    failed: Mutex<Option<Stamp>>,
}

/// What the files said when they were last read.
struct Current {
    registry: Registry,
    issuers: Issuers,
    changed: Stamp,
    is_open: bool,
}

impl Access {
    /// Lets in everybody who reaches a listener.
    #[must_use]
    pub fn open() -> Self {
        let current = Current { registry: Registry::default(), issuers: Issuers::default(), changed: Stamp::of([]), is_open: true };
        Self { path: None, current: ArcSwap::from_pointee(current), local: Arc::new(Principal::local()), failed: Mutex::default() }
    }

    /// Lets in whom a file names. While it names nobody, or is not there, everybody is let in.
    pub fn of_file(path: &Path) -> anyhow::Result<Self> {
        let current = read(path).with_context(|| format!("--access-file {}", path.display()))?;
        Ok(Self {
            path: Some(path.to_owned()),
            current: ArcSwap::from_pointee(current),
            local: Arc::new(Principal::local()),
            failed: Mutex::default(),
        })
    }

    /// Whether everybody who reaches a listener may do everything.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.current.load().is_open
    }

    /// Reads the files again if one of them has changed, and returns whether it did. On an error all stays as it is, and the same change
    /// is not read again.
    pub fn follow(&self) -> anyhow::Result<bool> {
        let Some(path) = &self.path else { return Ok(false) };
        let current = self.current.load_full();
        let jwks: Vec<&Path> = current.issuers.files().collect();
        let now = changes(path, &jwks);
        let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        if now == current.changed || failed.as_ref() == Some(&now) {
            return Ok(false);
        }
        match read(path).with_context(|| format!("--access-file {}", path.display())) {
            // A file that has lost its last entry does not open the door again.
            Ok(read) => {
                let is_open = read.is_open && current.is_open;
                self.current.store(Arc::new(Current { is_open, ..read }));
                Ok(true)
            }
            Err(error) => {
                *failed = Some(now);
                Err(error)
            }
        }
    }

    /// Finds who calls.
    pub fn authenticate(&self, presented: &Presented<'_>) -> Result<Arc<Principal>, Denied> {
        let current = self.current.load();
        let by_header = match presented.authorization {
            [] => None,
            [one] => Some(*one),
            _ => return Err(Denied::SeveralPresented),
        };
        if current.is_open {
            return Ok(Arc::clone(&self.local));
        }
        let by_certificate = presented.certificate.and_then(|shown| current.registry.certificates.get(shown.name.as_deref()?));
        match (by_header, by_certificate) {
            (Some(_), Some(_)) => Err(Denied::SeveralPresented),
            // A certificate that is granted nothing only secures the connection.
            (Some(header), None) => current.bearer(header),
            (None, Some(principal)) => Ok(Arc::clone(principal)),
            (None, None) if presented.certificate.is_some() => Err(Denied::UnknownCertificate),
            (None, None) => Err(Denied::NothingPresented),
        }
    }
}

impl Current {
    fn bearer(&self, header: &str) -> Result<Arc<Principal>, Denied> {
        if header.len() > MAX_CREDENTIAL {
            return Err(Denied::Malformed);
        }
        let token = match header.split_at_checked("bearer ".len()) {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer ") => token,
            _ => return Err(Denied::Malformed),
        };
        match key::id_of(token) {
            Some(id) => self.key(id, token),
            None if token.starts_with("tg_") => Err(Denied::Malformed),
            None => self.issuers.principal(token),
        }
    }

    fn key(&self, id: &str, token: &str) -> Result<Arc<Principal>, Denied> {
        // The digest is worked out whether there is such a key or not.
        let digest = KeyDigest::of(token);
        let Some(found) = self.registry.keys.get(id).filter(|found| found.digest.is(&digest)) else { return Err(Denied::UnknownKey) };
        if found.ends.is_some_and(|ends| system_now() >= ends) {
            return Err(Denied::EndedKey);
        }
        Ok(Arc::clone(&found.principal))
    }
}

fn read(path: &Path) -> anyhow::Result<Current> {
    let before = AccessFile::read(path)?;
    let folder = path.parent().unwrap_or(Path::new("."));
    let registry = before.understand()?;
    let issuers = Issuers::read(&registry.issuers, folder)?;
    let files: Vec<&Path> = issuers.files().collect();
    let changed = changes(path, &files);
    Ok(Current { changed, is_open: before.is_empty(), registry, issuers })
}

fn changes(path: &Path, others: &[&Path]) -> Stamp {
    Stamp::of(std::iter::once(path).chain(others.iter().copied()))
}

#[cfg(test)]
mod tests;
