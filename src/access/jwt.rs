//! Tokens of identity providers: JWT, signed with RS256, ES256 or EdDSA by a key of the provider's JWKS file.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, Validation, decode, decode_header};
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::authenticate::Denied;
use super::file::{ClaimGrants, IssuerEntry};
use super::key_set::KeySet;
use super::principal::{Credential, Grant, Kind, Principal};
use super::share::{Bounds, Shares};
use platform::clock::system_now;
use platform::files::read_bounded;

/// The longest subject, in characters: as long as an actor may be.
const LONGEST_SUBJECT: usize = 128;

/// By how many seconds the clocks of a provider and of this machine may differ.
const LEEWAY: u64 = 30;

/// How many tokens are known again without their signature being checked anew.
const KNOWN_TOKENS: usize = 4096;

/// The longest file of keys that is read.
const MAX_BYTES: u64 = 1024 * 1024;

/// The algorithms that can be taken: of those that are checked with a public key.
const TAKEN: [Algorithm; 3] = [Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA];

/// The identity providers whose tokens are taken.
#[derive(Default)]
pub struct Issuers {
    issuers: Vec<Issuer>,
    known: Mutex<HashMap<[u8; 32], Known>>,
}

struct Issuer {
    file: PathBuf,
    keys: KeySet,
    validation: Validation,
    name: String,
    claim: String,
    grants: ClaimGrants,
}

struct Known {
    principal: Arc<Principal>,
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

/// Who issued a token, before that is checked.
#[derive(Deserialize)]
struct Issued {
    iss: String,
}

impl Issuers {
    /// Reads the keys of the issuers; their files are beside the access file unless they are absolute.
    pub fn read(entries: &[(IssuerEntry, ClaimGrants)], folder: &Path) -> anyhow::Result<Self> {
        let issuers = entries
            .iter()
            .map(|(entry, grants)| Issuer::read(entry, grants, folder).with_context(|| format!("the issuer {:?}", entry.issuer)));
        Ok(Self { issuers: issuers.collect::<anyhow::Result<_>>()?, known: Mutex::default() })
    }

    /// What tells one set of keys from another, by issuer: the keys' ids and the beginning of the digest of the set.
    pub fn key_sets(&self) -> BTreeMap<String, String> {
        self.issuers.iter().map(|issuer| (issuer.name.clone(), issuer.keys.described())).collect()
    }

    /// The files that were read.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        self.issuers.iter().map(|issuer| issuer.file.as_path())
    }

    /// Finds whose token it is.
    pub fn principal(&self, token: &str, shares: &Shares) -> Result<Arc<Principal>, Denied> {
        let (digest, now) = (<[u8; 32]>::from(Sha256::digest(token)), system_now() / 1000);
        let known = |known: &Known| (known.from..known.until).contains(&now).then(|| Arc::clone(&known.principal));
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

    fn check(&self, token: &str, shares: &Shares) -> Result<Known, Denied> {
        let header = decode_header(token).map_err(|_| Denied::Malformed)?;
        if !TAKEN.contains(&header.alg) {
            return Err(Denied::InvalidToken("its algorithm is not taken"));
        }
        let Issued { iss } =
            jsonwebtoken::dangerous::insecure_decode_claims(token).map_err(|_| Denied::InvalidToken("it names no issuer"))?;
        let issuer = self.issuers.iter().find(|issuer| issuer.name == iss).ok_or(Denied::InvalidToken("its issuer is not known"))?;
        let key = match &header.kid {
            Some(kid) => issuer.keys.of_id(kid),
            None => issuer.keys.only(),
        };
        let key = key.ok_or(Denied::InvalidToken("its key is not known"))?;
        let claims = decode::<Claims>(token, key, &issuer.validation).map_err(|error| {
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
        let Claims { sub, exp, nbf, others } = claims.claims;
        // It stands in the journal as who acted.
        if sub.is_empty() || sub.chars().count() > LONGEST_SUBJECT || sub.chars().any(char::is_control) {
            return Err(Denied::InvalidToken("its subject is no name"));
        }
        let leeway = i64::try_from(LEEWAY).unwrap_or_default();
        let until = exp.saturating_add(leeway);
        let mut principal = issuer.principal(sub, others.get(&issuer.claim), shares);
        principal.ends = Some(until.saturating_mul(1000));
        principal.credential = Credential::Token(token.into());
        Ok(Known { principal: Arc::new(principal), from: nbf.saturating_sub(leeway), until })
    }
}

impl Issuer {
    fn read(entry: &IssuerEntry, grants: &ClaimGrants, folder: &Path) -> anyhow::Result<Self> {
        let mut algorithms = Vec::new();
        for name in &entry.algorithms {
            let taken = Algorithm::from_str(name).ok().filter(|algorithm| TAKEN.contains(algorithm));
            algorithms.push(taken.with_context(|| format!("the algorithm {name:?} is not taken: one of RS256, ES256 and EdDSA is"))?);
        }
        let first = *algorithms.first().context("algorithms is empty")?;
        let mut validation = Validation::new(first);
        validation.algorithms = algorithms;
        validation.leeway = LEEWAY;
        validation.validate_nbf = true;
        validation.set_audience(&[&entry.audience]);
        validation.set_issuer(&[&entry.issuer]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        let file = folder.join(&entry.jwks);
        let keys = read_bounded(&file, MAX_BYTES).and_then(|text| KeySet::read(&text)).with_context(|| format!("jwks {}", file.display()))?;
        Ok(Self { file, keys, validation, name: entry.issuer.clone(), claim: entry.claim.clone(), grants: grants.clone() })
    }

    /// The holder of a token: it may do what any value of its claim grants. One whose claim grants nothing is known, and may do nothing.
    fn principal(&self, subject: String, claim: Option<&Value>, shares: &Shares) -> Principal {
        let values: Vec<&str> = match claim {
            Some(Value::Array(values)) => values.iter().filter_map(Value::as_str).collect(),
            Some(Value::String(values)) => values.split(' ').collect(),
            _ => Vec::new(),
        };
        let granted = values.iter().filter_map(|value| self.grants.get(*value));
        let (grants, acts): (Vec<Grant>, Vec<bool>) = granted.cloned().unzip();
        let bounds = grants.iter().map(|grant| grant.bounds).fold(Bounds::default(), Bounds::or_more);
        let share = shares.of(format!("token {} {subject}", self.name), bounds);
        let (acts_for_others, credential) = (acts.contains(&true), Credential::Nothing);
        Principal { name: subject, kind: Kind::Token, grants, acts_for_others, share, ends: None, credential }
    }
}
