//! The copy of who may call, in the ledger's store: charging starts and goes on without SQL, and a billing store that was restored to an
//! earlier state is told what was changed since.
//!
//! What callers may do passes through here unread. A later version may have written it: then this one lets in nobody by it, but takes
//! nothing away from it either.

use std::collections::BTreeMap;

use access::{Access, FigureEntries};
use anyhow::Context;
use billing::Billing;
use billing::approvals::figures::FigureText;
use billing::callers::{AdmittedCallers, CallerKind, StoredCaller};
use domain::time::UnixMillis;
use jiff::Timestamp;
use ledger::{CopiedCallers, Ledger, LedgerError};
use platform::clock::system_now;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::UseCases;
use crate::error::Error;

/// The copy, as [`access::StoredCallers`] reads it.
#[derive(Default, Serialize, Deserialize)]
struct CallersCopy {
    keys: Vec<CopiedKey>,
    certificates: Vec<CopiedCertificate>,
    #[serde(default, skip_serializing_if = "FigureEntries::is_empty")]
    approval_above: FigureEntries,
    is_open: bool,
}

#[derive(Serialize, Deserialize)]
struct CopiedKey {
    name: String,
    id: String,
    digest: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    created: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires: Option<Timestamp>,
    #[serde(flatten)]
    grant: Map<String, Value>,
}

#[derive(Serialize, Deserialize)]
struct CopiedCertificate {
    name: String,
    #[serde(flatten)]
    grant: Map<String, Value>,
}

impl UseCases {
    /// Tells the billing store of all that was copied before it is changed: changes of an earlier state would count up to the copy's
    /// version, and pass for later ones.
    pub(crate) async fn catch_up(&self, billing: &Billing) -> Result<(), Error> {
        let unknown = |error: anyhow::Error| Error::from(LedgerError::not_done(format!("it is not known who may call: {error:#}")));
        let version = billing.callers_version().await?.unwrap_or_default();
        recover(billing, &self.ledger, version).await.map(drop).map_err(unknown)
    }

    /// Copies a change at once. If that fails, the next look of any process does it.
    pub(crate) async fn pass_on(&self, billing: &Billing) {
        if let Err(error) = copy(billing, &self.ledger).await {
            tracing::warn!("who may call is copied into the ledger's store later: {error:#}");
        }
        if let Err(error) = follow(&self.access, &self.ledger, &mut None).await {
            tracing::warn!("who may call is looked up later: {error:#}");
        }
    }
}

/// What the ledger's copy is, beside a version of the billing store.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Copied {
    /// There is none, or it is of an earlier version, or was of a later one and is recovered.
    Earlier,
    /// It is of this version.
    Same,
    /// It is of a later one, which the billing store has reached meanwhile.
    Later,
}

/// Compares the copy with the billing store. One that was restored to an earlier state takes over what the copy knows: else who was revoked
/// since would be let in again, by the next change.
async fn recover(billing: &Billing, ledger: &Ledger, version: i64) -> anyhow::Result<Copied> {
    let engine = ledger.engine();
    match engine.callers(Some(version)).await? {
        Some(later) if later.version > version => {
            let copy: CallersCopy = serde_json::from_str(&later.content).context("the copy of who may call cannot be read")?;
            let figures = figures_of(&copy);
            // No copy is of a state that was not committed: the version is read again, since that may have come in between.
            if !billing.recover_callers(later.version, &callers_of(copy), &figures, system_now()).await? {
                return Ok(Copied::Later);
            }
            tracing::warn!(version = later.version, "the billing store is of an earlier state: who may call is what was copied last");
            Ok(Copied::Earlier)
        }
        Some(_) => Ok(Copied::Earlier),
        // There may be no copy, and none may be of another version.
        None if engine.callers(None).await?.is_some() => Ok(Copied::Same),
        None => Ok(Copied::Earlier),
    }
}

/// Copies who is let in from the billing store into the ledger's, if the copy there is of an earlier state.
pub async fn copy(billing: &Billing, ledger: &Ledger) -> anyhow::Result<()> {
    let engine = ledger.engine();
    let Some(version) = billing.callers_version().await? else {
        let nobody = serde_json::to_string(&CallersCopy { is_open: true, ..CallersCopy::default() })?;
        return Ok(engine.copy_callers(CopiedCallers { version: 0, content: nobody }).await?);
    };
    if recover(billing, ledger, version).await? != Copied::Earlier {
        return Ok(());
    }
    let AdmittedCallers { version, callers, is_anybody_known, figures } = billing.let_in(system_now()).await?;
    let mut copy = CallersCopy { is_open: !is_anybody_known, ..CallersCopy::default() };
    for FigureText { act, currency, above } in figures {
        copy.approval_above.entry(act).or_default().insert(currency, above);
    }
    for caller in callers {
        let (grant, name) = (serde_json::from_str(&caller.access)?, caller.name);
        match caller.kind {
            CallerKind::Key => {
                let (created, expires) = (instant(caller.created_at), instant(caller.expires_at));
                copy.keys.push(CopiedKey { name, id: caller.id, digest: caller.digest, created, expires, grant });
            }
            CallerKind::Certificate => copy.certificates.push(CopiedCertificate { name, grant }),
        }
    }
    engine.copy_callers(CopiedCallers { version, content: serde_json::to_string(&copy)? }).await?;
    Ok(())
}

/// Takes who is let in from the ledger's store, if it is another version than the one that is known; returns whether it was.
pub async fn follow(access: &Access, ledger: &Ledger, known: &mut Option<i64>) -> anyhow::Result<bool> {
    let Some(CopiedCallers { version, content }) = ledger.engine().callers(*known).await? else { return Ok(false) };
    access.take_stored(version, serde_json::from_str(&content)?)?;
    *known = Some(version);
    Ok(true)
}

/// The figures of approval by a copy.
fn figures_of(copy: &CallersCopy) -> Vec<FigureText> {
    let of_act = |(act, figures): (&String, &BTreeMap<String, String>)| {
        let figure =
            |(currency, above): (&String, &String)| FigureText { act: act.clone(), currency: currency.clone(), above: above.clone() };
        figures.iter().map(figure).collect::<Vec<_>>()
    };
    copy.approval_above.iter().flat_map(of_act).collect()
}

/// Who is let in by a copy, as the billing store keeps it.
fn callers_of(copy: CallersCopy) -> Vec<StoredCaller> {
    let instant = |at: Option<Timestamp>| at.map_or(UnixMillis::NONE, |at| UnixMillis::new(at.as_millisecond()));
    let stored = |kind, name, id, digest, grant| StoredCaller {
        kind,
        name,
        id,
        digest,
        access: Value::Object(grant).to_string(),
        created_at: UnixMillis::NONE,
        created_by: String::new(),
        created_for: String::new(),
        expires_at: UnixMillis::NONE,
        revoked_at: UnixMillis::NONE,
        last_used_at: UnixMillis::NONE,
    };
    let keys = copy.keys.into_iter().map(|CopiedKey { name, id, digest, created, expires, grant }| StoredCaller {
        created_at: instant(created),
        expires_at: instant(expires),
        ..stored(CallerKind::Key, name, id, digest, grant)
    });
    let certificates = copy
        .certificates
        .into_iter()
        .map(|CopiedCertificate { name, grant }| stored(CallerKind::Certificate, name.clone(), name, String::new(), grant));
    keys.chain(certificates).collect()
}

fn instant(at: UnixMillis) -> Option<Timestamp> {
    Timestamp::from_millisecond(at.known()?.get()).ok()
}
