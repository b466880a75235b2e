//! Tokens of identity providers: JWT, signed with RS256, ES256 or EdDSA by a key of the provider's JWKS, which is a file, or fetched.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, bail, ensure};
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, Header, Validation, decode, decode_header};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::denied::Denied;
use super::file::{ClaimGrants, IssuerEntry, values};
use super::key_set::{KeySet, MAX_BYTES};
use super::principal::{Credential, Grant, Kind, Principal};
use super::remote_keys::RemoteKeys;
use super::share::{Bounds, Shares};
use domain::time::UnixMillis;
use platform::clock::system_now;
use platform::files::read_bounded;
use platform::tls::ClientTls;

/// The longest subject, in characters: as long as an actor may be.
pub const LONGEST_SUBJECT: usize = 128;

/// By how many seconds the clocks of a provider and of this machine may differ.
const LEEWAY: u64 = 30;

/// How many tokens are known again without their signature being checked anew.
const KNOWN_TOKENS: usize = 4096;

/// The algorithms that can be taken: of those that are checked with a public key.
const TAKEN: [Algorithm; 3] = [Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA];

/// The identity providers whose tokens are taken.
#[derive(Default)]
pub struct Issuers {
    issuers: Vec<Issuer>,
    known: Mutex<HashMap<[u8; 32], KnownToken>>,
}

struct Issuer {
    keys: Source,
    algorithms: Vec<Algorithm>,
    validation: Validation,
    name: String,
    claim: String,
    grants: ClaimGrants,
}

/// Where an issuer's keys come from.
enum Source {
    File(PathBuf, Arc<KeySet>),
    Remote(Arc<RemoteKeys>),
}

struct KnownToken {
    principal: Arc<Principal>,
    /// By which issuer, and by which of its keys: others may not know the token any more.
    issuer: usize,
    keys: Arc<KeySet>,
    from: i64,
    until: i64,
}

#[derive(Deserialize)]
struct Claims {
    sub: String,
    exp: i64,
    #[serde(default)]
    nbf: i64,
    #[serde(flatten)]
    others: HashMap<String, Value>,
}

/// The issuer of a token, before that is checked.
#[derive(Deserialize)]
struct Issued {
    iss: String,
}

impl Issuers {
    /// Reads the keys of the issuers; their files are beside the access file unless they are absolute. What was fetched before stays.
    pub fn read(entries: &[(IssuerEntry, ClaimGrants)], folder: &Path, before: &Self) -> anyhow::Result<Self> {
        let issuers = entries
            .iter()
            .map(|(entry, grants)| Issuer::read(entry, grants, folder, before).with_context(|| format!("the issuer {:?}", entry.issuer)));
        Ok(Self { issuers: issuers.collect::<anyhow::Result<_>>()?, known: Mutex::default() })
    }

    /// Identifies the set of keys of each issuer: the keys' ids and the beginning of the digest of the set.
    pub fn key_sets(&self) -> BTreeMap<String, String> {
        self.issuers.iter().map(|issuer| (issuer.name.clone(), issuer.keys.known().described())).collect()
    }

    /// Whether a key of an issuer is known: without one, its tokens let in nobody.
    pub fn have_keys_of(&self, name: &str) -> bool {
        self.issuers.iter().any(|issuer| issuer.name == name && !issuer.keys.known().is_empty())
    }

    /// The files that were read.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        self.issuers.iter().filter_map(|issuer| match &issuer.keys {
            Source::File(path, _) => Some(path.as_path()),
            Source::Remote(_) => None,
        })
    }

    /// The keys that are fetched, by issuer.
    pub fn remote(&self) -> impl Iterator<Item = (&str, &Arc<RemoteKeys>)> {
        self.issuers.iter().filter_map(|issuer| match &issuer.keys {
            Source::File(..) => None,
            Source::Remote(keys) => Some((issuer.name.as_str(), keys)),
        })
    }

    /// Finds whose token it is.
    pub fn principal(&self, token: &str, shares: &Shares) -> Result<Arc<Principal>, Denied> {
        let (digest, now) = (<[u8; 32]>::from(Sha256::digest(token)), system_now().get() / 1000);
        let is_current = |known: &KnownToken| self.issuers.get(known.issuer).is_some_and(|issuer| issuer.keys.are(&known.keys));
        let known =
            |known: &KnownToken| ((known.from..known.until).contains(&now) && is_current(known)).then(|| Arc::clone(&known.principal));
        let mut tokens = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(principal) = tokens.get(&digest).and_then(known) {
            return Ok(principal);
        }
        drop(tokens);
        let found = self.check(token, shares)?;
        let principal = Arc::clone(&found.principal);
        tokens = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if tokens.len() >= KNOWN_TOKENS {
            tokens.clear();
        }
        tokens.insert(digest, found);
        Ok(principal)
    }

    fn check(&self, token: &str, shares: &Shares) -> Result<KnownToken, Denied> {
        let header = header_of(token)?;
        let Issued { iss } =
            jsonwebtoken::dangerous::insecure_decode_claims(token).map_err(|_| Denied::InvalidToken("it names no issuer"))?;
        let found = self.issuers.iter().enumerate().find(|(_, issuer)| issuer.name == iss);
        let (place, issuer) = found.ok_or(Denied::InvalidToken("its issuer is not known"))?;
        let keys = issuer.keys.known();
        let Some(key) = key_of(&keys, &header) else {
            if let Source::Remote(keys) = &issuer.keys {
                keys.want();
            }
            return Err(Denied::InvalidToken("its key is not known"));
        };
        if !issuer.algorithms.contains(&header.alg) {
            return Err(Denied::InvalidToken("its algorithm is not taken"));
        }
        let Claims { sub, exp, nbf, others } = checked(token, header.alg, key, &issuer.validation)?;
        // It stands in the journal as who acted.
        if sub.is_empty() || sub.chars().count() > LONGEST_SUBJECT || sub.chars().any(char::is_control) {
            return Err(Denied::InvalidToken("its subject is no name"));
        }
        let leeway = i64::try_from(LEEWAY).unwrap_or_default();
        let until = exp.saturating_add(leeway);
        let mut principal = issuer.principal(sub, others.get(&issuer.claim), shares);
        principal.ends = Some(UnixMillis::new(until.saturating_mul(1000)));
        principal.credential = Credential::Token(token.into());
        Ok(KnownToken { principal: Arc::new(principal), issuer: place, keys, from: nbf.saturating_sub(leeway), until })
    }
}

/// What a token must say, whatever it is signed by.
pub fn validation(issuer: &str, audience: &str) -> Validation {
    let mut validation = Validation::new(Algorithm::RS256);
    validation.leeway = LEEWAY;
    validation.validate_nbf = true;
    validation.set_audience(&[audience]);
    validation.set_issuer(&[issuer]);
    validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
    validation
}

/// What a token says, if it is signed by one of these keys, and says what it must.
pub fn decoded<T: DeserializeOwned>(token: &str, keys: &KeySet, validation: &Validation) -> Result<T, Denied> {
    let header = header_of(token)?;
    let key = key_of(keys, &header).ok_or(Denied::InvalidToken("its key is not known"))?;
    checked(token, header.alg, key, validation)
}

/// The header of a token, unless it says what cannot be taken.
fn header_of(token: &str) -> Result<Header, Denied> {
    let header = decode_header(token).map_err(|_| Denied::Malformed)?;
    if !TAKEN.contains(&header.alg) {
        return Err(Denied::InvalidToken("its algorithm is not taken"));
    }
    // Who does not understand an extension that is named there must not take the token (RFC 7515, section 4.1.11).
    if header.crit.is_some() {
        return Err(Denied::InvalidToken("it has an extension that is not understood"));
    }
    Ok(header)
}

fn key_of<'a>(keys: &'a KeySet, header: &Header) -> Option<&'a DecodingKey> {
    match &header.kid {
        Some(kid) => keys.of_id(kid),
        None => keys.only(),
    }
}

fn checked<T: DeserializeOwned>(token: &str, algorithm: Algorithm, key: &DecodingKey, validation: &Validation) -> Result<T, Denied> {
    // Of several algorithms, the library would demand that the key be fit for each.
    let validation = Validation { algorithms: vec![algorithm], ..validation.clone() };
    let claims = decode::<T>(token, key, &validation).map_err(|error| {
        Denied::InvalidToken(match error.kind() {
            ErrorKind::ExpiredSignature => "it has expired",
            ErrorKind::ImmatureSignature => "it does not hold yet",
            ErrorKind::InvalidAudience => "it is for another audience",
            ErrorKind::InvalidIssuer => "its issuer is not known",
            ErrorKind::InvalidAlgorithm => "its algorithm is not taken",
            ErrorKind::InvalidSignature => "its signature is wrong",
            _ => "it is malformed",
        })
    })?;
    Ok(claims.claims)
}

impl Source {
    fn read(entry: &IssuerEntry, folder: &Path, before: &Issuers) -> anyhow::Result<Self> {
        match (entry.jwks.as_str(), &entry.jwks_url, &entry.jwks_ca) {
            ("", Some(url), ca) => {
                let tls = ClientTls { authorities: ca.as_ref().map(|path| folder.join(path)), ..ClientTls::default() };
                if let Some((_, keys)) = before.remote().find(|(_, keys)| keys.is_at(url, &tls)) {
                    return Ok(Self::Remote(Arc::clone(keys)));
                }
                Ok(Self::Remote(Arc::new(RemoteKeys::at(url, tls)?)))
            }
            (path, None, None) if !path.is_empty() => {
                let file = folder.join(path);
                let read = read_bounded(&file, u64::try_from(MAX_BYTES)?).and_then(|text| KeySet::read(&text));
                let keys = read.with_context(|| format!("jwks {}", file.display()))?;
                Ok(Self::File(file, Arc::new(keys)))
            }
            _ => bail!("needs either jwks, a file, or jwks_url, to which jwks_ca may be added"),
        }
    }

    fn known(&self) -> Arc<KeySet> {
        match self {
            Self::File(_, keys) => Arc::clone(keys),
            Self::Remote(keys) => keys.known(),
        }
    }

    /// Whether these are the keys that are known now.
    fn are(&self, keys: &Arc<KeySet>) -> bool {
        Arc::ptr_eq(&self.known(), keys)
    }
}

impl Issuer {
    fn read(entry: &IssuerEntry, grants: &ClaimGrants, folder: &Path, before: &Issuers) -> anyhow::Result<Self> {
        let mut algorithms = Vec::new();
        for name in &entry.algorithms {
            let taken = Algorithm::from_str(name).ok().filter(|algorithm| TAKEN.contains(algorithm));
            algorithms.push(taken.with_context(|| format!("the algorithm {name:?} is not taken: one of RS256, ES256 and EdDSA is"))?);
        }
        ensure!(!algorithms.is_empty(), "algorithms is empty");
        let validation = validation(&entry.issuer, &entry.audience);
        let keys = Source::read(entry, folder, before)?;
        Ok(Self { keys, algorithms, validation, name: entry.issuer.clone(), claim: entry.claim.clone(), grants: grants.clone() })
    }

    /// The holder of a token: it may do what any value of its claim grants. One whose claim grants nothing is known, and may do nothing.
    fn principal(&self, subject: String, claim: Option<&Value>, shares: &Shares) -> Principal {
        let granted = values(claim).into_iter().filter_map(|value| self.grants.get(value));
        let (grants, acts): (Vec<Grant>, Vec<bool>) = granted.cloned().unzip();
        let bounds = grants.iter().map(|grant| grant.bounds).fold(Bounds::default(), Bounds::or_more);
        let share = shares.of(format!("token {} {subject}", self.name), bounds);
        let (acts_for_others, credential) = (acts.contains(&true), Credential::Nothing);
        Principal { name: subject, kind: Kind::Token, grants, acts_for_others, share, ends: None, credential }
    }
}
