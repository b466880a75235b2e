//! The access file: who may call, and what each may do. TOML; keys are kept as digests, so that the file lets nobody in.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::{Context, bail, ensure};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use super::grant_entry::GrantEntry;
use super::key::{KeyDigest, is_id};
use super::permission::{Permission, Permissions};
use super::principal::{Accounts, Credential, Grant, Kind, Principal};
use super::role::BUILT_IN;
use super::share::{Bounds, Shares};
use domain::account::Currency;
use domain::money::DecimalAmount;
use domain::time::UnixMillis;
use platform::files::{from_toml, read_bounded};

/// The largest file that is read.
const MAX_BYTES: u64 = 4 * 1024 * 1024;

/// How many accounts and prefixes one caller can be bound to, and how many characters each may have.
const MAX_ACCOUNTS: usize = 1_000;
const MAX_ACCOUNT_CHARACTERS: usize = 128;

/// The file as it is written.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccessFile {
    /// Roles beside those that are always there.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub roles: BTreeMap<String, RoleEntry>,
    /// API keys.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<KeyEntry>,
    /// Client certificates.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub certificates: Vec<CertificateEntry>,
    /// Identity providers whose tokens are taken.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub issuers: Vec<IssuerEntry>,
    /// What people may do in the web console who sign in at its identity provider (`--oidc-issuer`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oidc: Option<ProvidedEntry>,
    /// Keys of the billing store, by their public part, that are refused whatever that says: it may be away when one has to be revoked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub revoked: Vec<String>,
}

/// A role of one's own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RoleEntry {
    /// Its permissions, by name.
    pub permissions: Vec<String>,
}

/// An API key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyEntry {
    /// Its name; the actor in the journal.
    pub name: String,
    /// Its public part.
    pub id: String,
    /// What is kept of it.
    pub digest: String,
    /// When it was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<Timestamp>,
    /// From when on it is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
    /// Since when it is revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked: Option<Timestamp>,
    /// What it lets its holder do.
    #[serde(flatten)]
    pub grant: GrantEntry,
}

/// A client certificate, which an authority of `--tls-client-ca` has signed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CertificateEntry {
    /// The name in it: its first URI (SPIFFE), else its first DNS name, else its common name.
    pub name: String,
    /// What it lets its holder do.
    #[serde(flatten)]
    pub grant: GrantEntry,
}

/// What an identity provider lets people do in the web console.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProvidedEntry {
    /// The claim that holds a list of what a person is.
    #[serde(default = "default_claim")]
    pub claim: String,
    /// What each value of that claim lets a person do.
    #[serde(default)]
    pub grants: BTreeMap<String, GrantEntry>,
}

/// An identity provider whose tokens are taken.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IssuerEntry {
    /// The `iss` claim of its tokens.
    pub issuer: String,
    /// The `aud` claim of its tokens for this service.
    pub audience: String,
    /// The file with its public keys (JWKS), beside the access file unless it is absolute. Read again when it changes.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub jwks: String,
    /// In its place, where they are fetched from, by https.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwks_url: Option<String>,
    /// The file with the authorities that are trusted there, beside the access file unless it is absolute. Without it: those of this machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwks_ca: Option<String>,
    /// The algorithms that are taken.
    #[serde(default = "default_algorithms")]
    pub algorithms: Vec<String>,
    /// The claim that holds a list of what the caller is.
    #[serde(default = "default_claim")]
    pub claim: String,
    /// What each value of that claim lets its holder do.
    #[serde(default)]
    pub grants: BTreeMap<String, GrantEntry>,
}

fn default_algorithms() -> Vec<String> {
    ["RS256", "ES256", "EdDSA"].map(ToOwned::to_owned).to_vec()
}

fn default_claim() -> String {
    "roles".to_owned()
}

/// A key that was found.
#[derive(Debug)]
pub struct Key {
    /// What its text must come to.
    pub digest: KeyDigest,
    /// From when on it is refused.
    pub ends: Option<UnixMillis>,
    /// Its holder.
    pub principal: Arc<Principal>,
    /// Whether it was used lately, where that is to be known.
    pub used: Option<AtomicBool>,
}

/// What each value of a claim grants, and whether it lets its holder act for others.
pub type ClaimGrants = BTreeMap<String, (Grant, bool)>;

/// The file, understood.
#[derive(Debug, Default)]
pub struct Registry {
    /// Keys, by their public part.
    pub keys: HashMap<String, Key>,
    /// Certificates, by the name in them.
    pub certificates: HashMap<String, Arc<Principal>>,
    /// Identity providers, with what each value of their claim grants.
    pub issuers: Vec<(IssuerEntry, ClaimGrants)>,
}

impl AccessFile {
    /// Reads a file; an empty one if there is none.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        if !path.try_exists().context("cannot be read")? {
            return Ok(Self::default());
        }
        Self::parse(std::str::from_utf8(&read_bounded(path, MAX_BYTES)?).context("is not text")?)
    }

    /// Reads what is written in a file.
    pub fn parse(text: &str) -> anyhow::Result<Self> {
        from_toml(text).context("is not an access file")
    }

    /// As it is written in a file.
    pub fn to_text(&self) -> anyhow::Result<String> {
        Ok(toml::to_string(self)?)
    }

    /// Writes it in one move, readable by its owner and group only.
    pub fn write(&self, path: &Path) -> anyhow::Result<()> {
        self.understand()?;
        let text = format!("# Written by `tollgate access`; comments are not kept.\n\n{}", self.to_text()?);
        let new = path.with_extension("new");
        std::fs::write(&new, text).with_context(|| format!("cannot write {}", new.display()))?;
        rustix::fs::chmod(&new, rustix::fs::Mode::from_raw_mode(0o640)).context("cannot keep others from reading it")?;
        std::fs::rename(&new, path).with_context(|| format!("cannot write {}", path.display()))
    }

    /// Understands it, or says what is wrong and where.
    pub fn understand(&self) -> anyhow::Result<Registry> {
        self.understand_with(&Shares::default())
    }

    /// The same, with the shares that callers have had so far.
    pub(crate) fn understand_with(&self, shares: &Shares) -> anyhow::Result<Registry> {
        let roles = self.roles()?;
        let mut registry = Registry::default();
        let mut names = BTreeSet::new();
        for key in &self.keys {
            ensure!(!key.name.is_empty() && names.insert(&key.name), "two keys are called {:?}, or one has no name", key.name);
            let known = key.understand(&roles, shares).with_context(|| format!("the key {:?}", key.name))?;
            ensure!(registry.keys.insert(key.id.clone(), known).is_none(), "two keys have the id {:?}", key.id);
        }
        for certificate in &self.certificates {
            let at = || format!("the certificate {:?}", certificate.name);
            let known = certificate.understand(&roles, shares).with_context(at)?;
            ensure!(registry.certificates.insert(certificate.name.clone(), known).is_none(), "{} is there twice", at());
        }
        for id in &self.revoked {
            ensure!(is_id(id), "revoked: {id:?} is not the 8 characters that follow \"tg_\" in a key, such as \"Zk3v9QxY\"");
            ensure!(!registry.keys.contains_key(id), "revoked: {id:?} is a key of this file: say `revoked` of it in [[keys]]");
        }
        let mut issuers = BTreeSet::new();
        for issuer in &self.issuers {
            let at = || format!("the issuer {:?}", issuer.issuer);
            ensure!(issuers.insert(&issuer.issuer), "{} is there twice", at());
            let mut grants = ClaimGrants::new();
            for (value, entry) in &issuer.grants {
                let understood = grant(entry, &roles).with_context(|| format!("{}, grants.{value}", at()))?;
                grants.insert(value.clone(), (understood, entry.acts_for_others));
            }
            ensure!(!issuer.issuer.is_empty() && !issuer.audience.is_empty(), "{} needs an issuer and an audience", at());
            registry.issuers.push((issuer.clone(), grants));
        }
        for (value, entry) in self.oidc.iter().flat_map(|oidc| &oidc.grants) {
            grant(entry, &roles).with_context(|| format!("oidc.grants.{value}"))?;
        }
        Ok(registry)
    }

    /// What a user of the web console may do, by the roles that are always there and those of this file.
    pub fn user(&self, name: &str, entries: &[GrantEntry], shares: &Shares) -> anyhow::Result<Principal> {
        let roles = self.roles()?;
        let grants: Vec<Grant> = entries.iter().map(|entry| grant(entry, &roles)).collect::<anyhow::Result<_>>()?;
        let bounds = grants.iter().map(|grant| grant.bounds).fold(Bounds::default(), Bounds::or_more);
        Ok(Principal {
            name: name.to_owned(),
            kind: Kind::User,
            acts_for_others: entries.iter().any(|entry| entry.acts_for_others),
            share: shares.of(format!("user {name}"), bounds),
            grants,
            ends: None,
            credential: Credential::User(entries.into()),
        })
    }

    /// What a person may do of whom the web console's identity provider says this.
    #[must_use]
    pub fn provided(&self, claims: &HashMap<String, Value>) -> Vec<GrantEntry> {
        let Some(ProvidedEntry { claim, grants }) = &self.oidc else { return Vec::new() };
        values(claims.get(claim)).into_iter().filter_map(|value| grants.get(value).cloned()).collect()
    }

    /// A digest of what people of that identity provider may do: another one where `[oidc]` is another.
    #[must_use]
    pub fn provided_digest(&self) -> KeyDigest {
        KeyDigest::of(&serde_json::to_string(&self.oidc).unwrap_or_default())
    }

    /// Whether it lets anybody in.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.certificates.is_empty() && self.issuers.is_empty()
    }

    /// What is granted by an entry, by the roles that are always there and those of this file.
    pub fn granted(&self, entry: &GrantEntry) -> anyhow::Result<Grant> {
        grant(entry, &self.roles()?)
    }

    pub(crate) fn roles(&self) -> anyhow::Result<BTreeMap<&str, Permissions>> {
        let mut roles = BTreeMap::from(BUILT_IN);
        for (name, entry) in &self.roles {
            let at = || format!("the role {name:?}");
            let permissions: Result<Vec<Permission>, _> = entry.permissions.iter().map(|one| one.parse()).collect();
            let other = roles.insert(name, Permissions::of(&permissions.with_context(at)?));
            ensure!(other.is_none(), "{} is always there: give yours another name", at());
        }
        Ok(roles)
    }
}

impl KeyEntry {
    pub(crate) fn understand(&self, roles: &BTreeMap<&str, Permissions>, shares: &Shares) -> anyhow::Result<Key> {
        let (digest, grant) = (self.digest.parse()?, grant(&self.grant, roles)?);
        let ends = [self.expires, self.revoked].into_iter().flatten().min().map(|end| UnixMillis::new(end.as_millisecond()));
        let principal = Principal {
            name: self.name.clone(),
            kind: Kind::Key,
            acts_for_others: self.grant.acts_for_others,
            share: shares.of(format!("key {}", self.id), grant.bounds),
            grants: vec![grant],
            ends,
            credential: Credential::Key(self.id.clone(), digest),
        };
        Ok(Key { digest, ends, principal: Arc::new(principal), used: None })
    }
}

impl CertificateEntry {
    pub(crate) fn understand(&self, roles: &BTreeMap<&str, Permissions>, shares: &Shares) -> anyhow::Result<Arc<Principal>> {
        let grant = grant(&self.grant, roles)?;
        Ok(Arc::new(Principal {
            name: self.name.clone(),
            kind: Kind::Certificate,
            acts_for_others: self.grant.acts_for_others,
            share: shares.of(format!("certificate {}", self.name), grant.bounds),
            grants: vec![grant],
            ends: None,
            credential: Credential::Certificate(self.name.clone()),
        }))
    }
}

/// The values of a claim: a list, or words with blanks between them.
pub(crate) fn values(claim: Option<&Value>) -> Vec<&str> {
    match claim {
        Some(Value::Array(values)) => values.iter().filter_map(Value::as_str).collect(),
        Some(Value::String(values)) => values.split(' ').collect(),
        _ => Vec::new(),
    }
}

fn grant(entry: &GrantEntry, roles: &BTreeMap<&str, Permissions>) -> anyhow::Result<Grant> {
    let mut permissions = Permissions::default();
    ensure!(!entry.roles.is_empty(), "has no roles");
    for role in &entry.roles {
        let Some(found) = roles.get(role.as_str()) else {
            bail!("has the unknown role {role:?}: there are {}", roles.keys().copied().collect::<Vec<_>>().join(", "))
        };
        permissions = permissions.and(*found);
    }
    let accounts = match &entry.accounts {
        None => Accounts::All,
        Some(ids) => {
            ensure!(!ids.is_empty() && ids.len() <= MAX_ACCOUNTS, "accounts must have 1 to {MAX_ACCOUNTS} ids; without it, all are meant");
            for id in ids {
                let is_sound = (1..=MAX_ACCOUNT_CHARACTERS).contains(&id.chars().count()) && id != "/";
                ensure!(
                    is_sound,
                    "accounts has {id:?}: an id, or a beginning that ends in \"/\", of 1 to {MAX_ACCOUNT_CHARACTERS} characters"
                );
            }
            Accounts::These(ids.clone())
        }
    };
    let mut most = BTreeMap::new();
    for (permission, amounts) in &entry.most {
        let permission: Permission = permission.parse().context("most")?;
        for (currency, amount) in amounts {
            let Some(code) = Currency::parse(currency) else {
                bail!("most.{permission} has {currency:?}, which is not a currency's code such as EUR")
            };
            let amount =
                DecimalAmount::parse(amount).map_err(anyhow::Error::from).with_context(|| format!("most.{permission}.{currency}"))?;
            ensure!(!amount.is_negative(), "most.{permission}.{currency} is below zero");
            most.insert((permission, code), amount);
        }
    }
    let bounds = Bounds { requests_per_second: entry.requests_per_second, concurrent_calls: entry.concurrent_calls };
    Ok(Grant { permissions, accounts, most, bounds })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::NewKey;

    fn file(text: &str) -> anyhow::Result<Registry> {
        toml::from_str::<AccessFile>(text)?.understand()
    }

    fn wrong(text: &str) -> String {
        format!("{:#}", file(text).unwrap_err())
    }

    #[test]
    fn a_caller_may_do_what_its_roles_allow_on_its_accounts() {
        let digest = NewKey::generate().unwrap().digest();
        let text = format!(
            "[roles.night]\npermissions = ['top_up', 'read_credit']\n[[keys]]\nname = 'k'\nid = 'i'\ndigest = '{digest}'\n\
             roles = ['charge', 'night']\naccounts = ['partner-7/', 'acme']\nmost.top_up.EUR = '100'\n"
        );
        let registry = file(&text).unwrap();
        let principal = &registry.keys["i"].principal;
        assert!(principal.may(Permission::TopUp) && principal.may(Permission::Charge) && !principal.may(Permission::Adjust));
        assert!(principal.may_on(Permission::Charge, "partner-7/a") && principal.may_on(Permission::Charge, "acme"));
        for other in ["partner-70/a", "partner-7", "acme2", "acm", ""] {
            assert!(!principal.may_on(Permission::Charge, other), "{other}");
        }
        let euros = domain::account::Currency::parse("EUR").unwrap();
        let within = |amount| principal.may_with(Permission::TopUp, "acme", euros, DecimalAmount::parse(amount).unwrap());
        assert!(within("100.00") && !within("100.01"));
        assert!(!principal.may_everywhere(Permission::Charge) && principal.is_bounded(Permission::TopUp, "acme"));
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        let key = |rest: &str| format!("[[keys]]\nname = 'k'\nid = 'i'\ndigest = 'sha256:{}'\n{rest}", "A".repeat(43));
        assert!(wrong(&key("roles = ['chrage']")).contains("the key \"k\": has the unknown role \"chrage\": there are admin, audit"));
        assert!(wrong(&key("roles = []")).contains("has no roles"));
        assert!(wrong(&key("roles = ['read']\naccounts = []")).contains("accounts must have 1 to"));
        assert!(wrong(&key("roles = ['read']\nmost.refund.euro = '1'")).contains("\"euro\""));
        assert!(wrong(&key("roles = ['read']\nmost.refund.EUR = '1,0'")).contains("most.refund.EUR"));
        assert!(wrong("[[keys]]\nname = 'k'\nid = 'i'\ndigest = 'plain'\nroles = ['read']").contains("is not a digest"));
        assert!(wrong("revoked = ['tg_Zk3v9QxY']").contains("is not the 8 characters"));
        assert!(wrong("[roles.read]\npermissions = []").contains("is always there"));
        assert!(wrong("[roles.own]\npermissions = ['everything']").contains("is not a permission"));
        assert!(wrong("[kyes]").contains("unknown field `kyes`"));
    }

    #[test]
    fn it_is_written_as_it_is_read_and_for_nobody_else() {
        use std::os::unix::fs::PermissionsExt;

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("access.toml");
        assert_eq!(AccessFile::read(&path).unwrap(), AccessFile::default());
        let new = NewKey::generate().unwrap();
        let grant = GrantEntry { roles: vec!["charge".into()], ..GrantEntry::default() };
        let (id, digest) = (new.id.clone(), new.digest().to_string());
        let key = KeyEntry {
            name: "k".into(),
            id,
            digest,
            created: None,
            expires: None,
            revoked: Some("2026-01-01T00:00:00Z".parse().unwrap()),
            grant,
        };
        let file = AccessFile { keys: vec![key], ..AccessFile::default() };
        file.write(&path).unwrap();
        assert_eq!(AccessFile::read(&path).unwrap(), file);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
        assert!(!std::fs::read_to_string(&path).unwrap().contains(&new.text));
    }
}
