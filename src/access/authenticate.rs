//! Finds who calls by what a caller presents.

mod managers;

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, ensure};
use arc_swap::ArcSwap;
use serde_json::Value;
use tokio::sync::watch;

use super::denied::Denied;
use super::failures::Failures;
use super::file::{AccessFile, GrantEntry, Key, Registry};
use super::jwt::Issuers;
use super::key::{self, KeyDigest};
use super::principal::{Credential, Grant, Principal};
use super::share::{Bounds, Shares};
use super::stored::StoredCallers;
use super::stored_principal::{StoredKind, StoredPrincipal};
use domain::account::Currency;
use domain::approval::GuardedAct;
use domain::money::DecimalAmount;
use platform::clock::system_now;
use platform::files::Stamp;
use platform::tls::Certificate;

/// The longest credential that is looked at, in bytes.
const MAX_CREDENTIAL: usize = 8 * 1024;

/// The credentials that a caller presents.
#[derive(Clone, Copy, Debug)]
pub struct Presented<'a> {
    /// The values of the `authorization` header.
    pub authorization: &'a [&'a str],
    /// The client certificate of its connection.
    pub certificate: Option<&'a Certificate>,
    /// Where it calls from.
    pub address: IpAddr,
}

/// Authenticates callers. Reads its file again when it changes.
pub struct Access {
    path: Option<PathBuf>,
    current: ArcSwap<Current>,
    /// The version of the billing store's callers that was taken last. Held while replacing `current`: an older one never
    /// takes the place of a newer one.
    taken: Mutex<i64>,
    /// The change that could not be read.
    failed: Mutex<Option<Stamp>>,
    /// Told when something else was read.
    changes: watch::Sender<()>,
    shares: Shares,
    failures: Failures,
    /// Whether client certificates are looked at.
    takes_certificates: bool,
}

/// The contents of the files when they were last read.
struct Current {
    file: AccessFile,
    /// What the billing store says of callers; `None` while that is not known.
    stored: Option<StoredCallers>,
    registry: Registry,
    issuers: Arc<Issuers>,
    changed: Stamp,
    /// Whether somebody is named, or was since the start.
    names_somebody: bool,
    /// Who calls where everybody is let in.
    local: Arc<Principal>,
}

impl Access {
    /// Admits everybody who reaches a listener.
    #[must_use]
    pub fn open() -> Self {
        Self::new(None, Current::open(Arc::new(Principal::local()), StoredCallers::nobody()))
    }

    /// Lets in whom a file names, which must be there. While it names nobody, everybody is let in.
    pub fn of_file(path: &Path) -> anyhow::Result<Self> {
        let current = read(path, &Shares::default(), Some(StoredCallers::nobody()), &Issuers::default())
            .with_context(|| format!("--access-file {}", path.display()))?;
        Ok(Self::new(Some(path.to_owned()), current))
    }

    fn new(path: Option<PathBuf>, current: Current) -> Self {
        let current = ArcSwap::from_pointee(current);
        let (failed, changes) = (Mutex::default(), watch::Sender::default());
        let (shares, failures) = (Shares::default(), Failures::default());
        Self { path, current, taken: Mutex::new(0), failed, changes, shares, failures, takes_certificates: false }
    }

    /// Sets what callers may have whose grants do not say it.
    pub fn set_bounds(&self, bounds: Bounds) -> anyhow::Result<()> {
        self.shares.set_defaults(bounds);
        let _replacing = self.taken();
        let current = self.current.load_full();
        let stored = current.stored.clone();
        let read = match &self.path {
            Some(path) => {
                read(path, &self.shares, stored, &current.issuers).with_context(|| format!("--access-file {}", path.display()))?
            }
            None => Current { local: local(&self.shares), ..Current::of_stored(&current, stored, &self.shares)? },
        };
        self.replace(read);
        Ok(())
    }

    /// Lets in nobody but whom the access file names until it is known what the billing store says of callers: unknown is not nobody.
    pub fn await_stored(&self) -> anyhow::Result<()> {
        let _replacing = self.taken();
        let read = Current::of_stored(&self.current.load(), None, &self.shares)?;
        self.replace(read);
        Ok(())
    }

    /// Whether nobody is let in, because the access file names nobody and it is not known whom the billing store names.
    #[must_use]
    pub fn is_awaiting_stored(&self) -> bool {
        let current = self.current.load();
        current.stored.is_none() && !current.names_somebody
    }

    /// Takes what the billing store says of callers, unless a later version was taken already. What the access file said stays.
    pub fn take_stored(&self, version: i64, stored: StoredCallers) -> anyhow::Result<()> {
        let mut taken = self.taken();
        if version < *taken {
            return Ok(());
        }
        let read = Current::of_stored(&self.current.load(), Some(stored), &self.shares)?;
        self.replace(read);
        *taken = version;
        Ok(())
    }

    /// The keys of the billing store, by their public part, that were used since this was asked last.
    #[must_use]
    pub fn take_used(&self) -> Vec<String> {
        let current = self.current.load();
        let was_used = |key: &Key| key.used.as_ref().is_some_and(|used| used.swap(false, Ordering::Relaxed));
        current.registry.keys.iter().filter(|(_, key)| was_used(key)).map(|(id, _)| id.clone()).collect()
    }

    /// What an entry grants, whose roles the access file may define.
    pub fn granted(&self, entry: &GrantEntry) -> anyhow::Result<Grant> {
        self.current.load().file.granted(entry)
    }

    fn taken(&self) -> MutexGuard<'_, i64> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes what was read. A file that has lost its last entry does not open access to everybody again.
    fn replace(&self, read: Current) {
        let names_somebody = read.names_somebody || self.current.load().names_somebody;
        self.current.store(Arc::new(Current { names_somebody, ..read }));
        self.changes.send_replace(());
    }

    /// Resolves when something else is read: then callers that were let in may no longer be, or may do something else.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<()> {
        self.changes.subscribe()
    }

    /// How many callers were refused something lately, because they had their share.
    #[must_use]
    pub fn callers_over_their_share(&self) -> usize {
        self.shares.callers_over()
    }

    /// Notes that somebody at an address was not let in, and returns for how long the refusal is to be held back.
    pub fn note_failure(&self, address: IpAddr) -> Duration {
        self.failures.note(address)
    }

    /// Whether everybody who reaches a listener may do everything.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.current.load().is_open()
    }

    /// The keys of identity providers, by issuer: what tells one set of keys from another.
    #[must_use]
    pub fn key_sets(&self) -> BTreeMap<String, String> {
        self.current.load().issuers.key_sets()
    }

    /// The contents of the file when it was last read.
    #[must_use]
    pub fn file(&self) -> AccessFile {
        self.current.load().file.clone()
    }

    /// Reads the files again if one of them has changed, and returns whether it did. On an error all stays as it is, and the same change
    /// is not read again.
    pub fn follow(&self) -> anyhow::Result<bool> {
        let Some(path) = &self.path else { return Ok(false) };
        let _replacing = self.taken();
        let current = self.current.load_full();
        let jwks: Vec<&Path> = current.issuers.files().collect();
        let now = changes(path, &jwks);
        let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        if now == current.changed || failed.as_ref() == Some(&now) {
            return Ok(false);
        }
        match read(path, &self.shares, current.stored.clone(), &current.issuers)
            .with_context(|| format!("--access-file {}", path.display()))
        {
            Ok(read) => {
                self.replace(read);
                Ok(true)
            }
            Err(error) => {
                *failed = Some(now);
                Err(error)
            }
        }
    }

    /// Fetches the keys of identity providers that are due. Says what could not be, by issuer. To be called again and again, by a thread
    /// that charges nothing.
    pub async fn follow_key_sets(&self) -> Vec<anyhow::Error> {
        let issuers = Arc::clone(&self.current.load().issuers);
        let (mut failed, mut is_other) = (Vec::new(), false);
        for (issuer, keys) in issuers.remote() {
            match keys.follow().await {
                Ok(changed) => is_other |= changed,
                Err(error) => failed.push(error.context(format!("the keys of the issuer {issuer:?}"))),
            }
        }
        if is_other {
            // Streams look again whether their tokens still hold.
            self.changes.send_replace(());
        }
        failed
    }

    /// What a user of the web console may do. The file may define its roles.
    pub fn user(&self, name: &str, entries: &[GrantEntry]) -> anyhow::Result<Principal> {
        self.current.load().file.user(name, entries, &self.shares)
    }

    /// What a person may do of whom the web console's identity provider says this.
    #[must_use]
    pub fn provided(&self, claims: &HashMap<String, Value>) -> Vec<GrantEntry> {
        self.current.load().file.provided(claims)
    }

    /// A digest of what people of that identity provider may do.
    #[must_use]
    pub fn provided_digest(&self) -> KeyDigest {
        self.current.load().file.provided_digest()
    }

    /// What the billing store says of acts that need a second person; `None` while that is not known.
    #[must_use]
    pub fn guards(&self, act: GuardedAct) -> Option<bool> {
        let current = self.current.load();
        let stored = current.stored.as_ref()?;
        Some(stored.approval_above.get(act.name()).is_some_and(|figures| !figures.is_empty()))
    }

    /// From which figure on an act in a currency needs a second person; `None` means never.
    #[must_use]
    pub fn approval_above(&self, act: GuardedAct, currency: Currency) -> Option<DecimalAmount> {
        self.current.load().stored.as_ref()?.approval_above(act, currency)
    }

    /// A caller that is not there, with what it may do now; `None` if it is no longer let in. What the holder of a token may do, nobody knows
    /// but the identity provider: it is what the token said. `user` says what a user of the web console may do.
    #[must_use]
    pub fn recall(&self, caller: &StoredPrincipal, user: Option<&[GrantEntry]>) -> Option<Arc<Principal>> {
        let current = self.current.load();
        let StoredPrincipal { name, .. } = caller;
        match caller.kind {
            StoredKind::Local => current.is_open().then(|| Arc::clone(&current.local)),
            StoredKind::Key => {
                let is_meant = |key: &&Key| key.principal.name == *name && key.ends.is_none_or(|ends| system_now() < ends);
                current.registry.keys.values().find(is_meant).map(|key| Arc::clone(&key.principal))
            }
            StoredKind::Certificate => current.registry.certificates.get(name).cloned(),
            StoredKind::User => current.file.user(name, user?, &self.shares).ok().map(Arc::new),
            StoredKind::Token => caller.principal().map(Arc::new),
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
        if current.is_open() {
            return Ok(Arc::clone(&current.local));
        }
        let by_certificate = presented.certificate.and_then(|shown| current.registry.certificates.get(shown.name.as_deref()?));
        match (by_header, by_certificate) {
            (Some(_), Some(_)) => Err(Denied::SeveralPresented),
            // A certificate that is granted nothing only secures the connection.
            (Some(header), None) => current.bearer(header, &self.shares),
            // A connection may outlive the certificate that it began with.
            (None, Some(_)) if presented.certificate.is_some_and(|shown| shown.in_force().is_err()) => Err(Denied::EndedCertificate),
            (None, Some(principal)) => Ok(Arc::clone(principal)),
            (None, None) if presented.certificate.is_some() => Err(Denied::UnknownCertificate),
            (None, None) => Err(Denied::NothingPresented),
        }
    }

    /// Finds a caller again by the credential that it was let in by: what it may do now, or why it is no longer let in.
    pub fn renew(&self, caller: &Principal) -> Result<Arc<Principal>, Denied> {
        let current = self.current.load();
        match &caller.credential {
            Credential::Open if current.is_open() => Ok(Arc::clone(&current.local)),
            Credential::Open | Credential::Nothing => Err(Denied::NothingPresented),
            Credential::Key(id, digest) => current.key(id, digest),
            Credential::Certificate(name) => current.registry.certificates.get(name).cloned().ok_or(Denied::UnknownCertificate),
            Credential::Token(token) => current.issuers.principal(token, &self.shares),
            // Whether the session still holds, the console looks itself.
            Credential::User(entries) => {
                current.file.user(&caller.name, entries, &self.shares).map(Arc::new).map_err(|_| Denied::NothingPresented)
            }
        }
    }
}

impl Current {
    fn open(local: Arc<Principal>, stored: StoredCallers) -> Self {
        let (file, registry, issuers) = (AccessFile::default(), Registry::default(), Arc::default());
        Self { file, stored: Some(stored), registry, issuers, changed: Stamp::of([]), names_somebody: false, local }
    }

    /// Whether nobody was ever named, so that everybody is let in.
    fn is_open(&self) -> bool {
        !self.names_somebody && self.stored.is_some()
    }

    /// The same file, with other callers of the billing store.
    fn of_stored(before: &Self, stored: Option<StoredCallers>, shares: &Shares) -> anyhow::Result<Self> {
        let file = before.file.clone();
        let mut registry = file.understand_with(shares)?;
        if let Some(stored) = &stored {
            stored.add_to(&mut registry, &file, shares)?;
        }
        let names_somebody = names_somebody(&file, stored.as_ref());
        let (issuers, changed, local) = (Arc::clone(&before.issuers), before.changed.clone(), Arc::clone(&before.local));
        Ok(Self { names_somebody, file, stored, registry, issuers, changed, local })
    }

    fn bearer(&self, header: &str, shares: &Shares) -> Result<Arc<Principal>, Denied> {
        if header.len() > MAX_CREDENTIAL {
            return Err(Denied::Malformed);
        }
        let token = match header.split_at_checked("bearer ".len()) {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer ") => token,
            _ => return Err(Denied::Malformed),
        };
        match key::id_of(token) {
            // The digest is worked out whether there is such a key or not.
            Some(id) => self.key(id, &KeyDigest::of(token)),
            None if token.starts_with("tg_") => Err(Denied::Malformed),
            None => self.issuers.principal(token, shares),
        }
    }

    fn key(&self, id: &str, digest: &KeyDigest) -> Result<Arc<Principal>, Denied> {
        let Some(found) = self.registry.keys.get(id).filter(|found| found.digest.is(digest)) else { return Err(Denied::UnknownKey) };
        if found.ends.is_some_and(|ends| system_now() >= ends) {
            return Err(Denied::EndedKey);
        }
        if let Some(used) = found.used.as_ref().filter(|used| !used.load(Ordering::Relaxed)) {
            used.store(true, Ordering::Relaxed);
        }
        Ok(Arc::clone(&found.principal))
    }
}

/// Who calls where everybody is let in.
fn local(shares: &Shares) -> Arc<Principal> {
    let share = shares.of("local".to_owned(), Bounds::default());
    Arc::new(Principal { share, ..Principal::local() })
}

fn names_somebody(file: &AccessFile, stored: Option<&StoredCallers>) -> bool {
    !file.is_empty() || stored.is_some_and(|stored| !stored.is_open)
}

fn read(path: &Path, shares: &Shares, stored: Option<StoredCallers>, fetched: &Issuers) -> anyhow::Result<Current> {
    // What was meant to keep others out must not let everybody in because of its name.
    ensure!(path.try_exists().context("cannot be read")?, "is not there: `tollgate access create-key` makes it");
    let before = AccessFile::read(path)?;
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut registry = before.understand_with(shares)?;
    if let Some(stored) = &stored {
        stored.add_to(&mut registry, &before, shares)?;
    }
    let issuers = Arc::new(Issuers::read(&registry.issuers, folder, fetched)?);
    let files: Vec<&Path> = issuers.files().collect();
    let changed = changes(path, &files);
    let names_somebody = names_somebody(&before, stored.as_ref());
    Ok(Current { changed, names_somebody, file: before, stored, registry, issuers, local: local(shares) })
}

fn changes(path: &Path, others: &[&Path]) -> Stamp {
    Stamp::of(std::iter::once(path).chain(others.iter().copied()))
}

#[cfg(test)]
mod tests;
