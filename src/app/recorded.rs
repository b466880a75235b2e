//! Audit records of the service itself: starts, and changes of who may call; and the thread that writes all such records.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Map, Value, json};
use tokio::sync::oneshot;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::billing::Billing;
use crate::billing::audit::{Act, Outcome};
use crate::config::ServeOptions;
use crate::domain::origin::Origin;
use crate::lanes::start_thread;
use crate::service::audit::trail::Trail;
use access::file::AccessFile;
use access::key::KeyDigest;

/// How long the billing store may take for what is left at the end.
const LAST_LIMIT: Duration = Duration::from_secs(2);

/// Where the records of a service go.
pub fn trail(options: &ServeOptions, clock: &crate::clock::Clock) -> anyhow::Result<Trail> {
    let records_reads = options.audit.audit_reads;
    Ok(match options.billing_url() {
        Some(_) => Trail::new(clock.clone(), records_reads),
        None => {
            let path = options.audit.audit_log.as_deref();
            Trail::lines(clock.clone(), path, records_reads)
                .map_err(|error| anyhow::anyhow!("--audit-log {}: {error}", path.unwrap_or(std::path::Path::new("")).display()))?
        }
    })
}

/// A start, with what is let through by it.
pub fn started(options: &ServeOptions, is_open: bool) -> Act {
    let act = Act { action: "service.started".to_owned(), origin: Origin::local(), ..Act::default() };
    let act = act.with("version", env!("CARGO_PKG_VERSION")).with("insecure", options.network.insecure);
    act.with("serve_ahead", options.serve_ahead).with("access_open", is_open)
}

/// What was last recorded of who may call: the access file, and the keys of identity providers, by issuer.
pub type Said = (AccessFile, BTreeMap<String, String>);

/// What has changed in the access file, or in the files that it names. Digests of keys are left out.
pub fn access_changed(before: &Said, after: &Said) -> Act {
    let (before, after) = (described(before), described(after));
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let (mut was, mut is) = (Map::new(), Map::new());
    for name in names.into_iter().filter(|name| before.get(*name) != after.get(*name)) {
        for (of, into) in [(&before, &mut was), (&after, &mut is)] {
            if let Some(value) = of.get(name) {
                into.insert(name.clone(), value.clone());
            }
        }
    }
    let act = Act { action: "access.changed".to_owned(), origin: Origin::local(), ..Act::default() };
    act.with("before", was).with("after", is)
}

/// An access file that cannot be used.
pub fn access_broken(error: &anyhow::Error) -> Act {
    let act = Act { action: "access.broken".to_owned(), outcome: Outcome::Failed, origin: Origin::local(), ..Act::default() };
    act.with("problem", format!("{error:#}"))
}

/// Who may call, and what, by name. Of digests and of files with keys, only whether they are the same is shown.
fn described((file, key_sets): &Said) -> BTreeMap<String, Value> {
    let shown = |value: Value| match value {
        Value::Object(mut object) => {
            object.remove("name");
            if let Some(Value::String(digest)) = object.get_mut("digest") {
                // Of the digest, not of the key.
                *digest = KeyDigest::of(digest).to_string().chars().skip("sha256:".len()).take(8).collect();
            }
            Value::Object(object)
        }
        other => other,
    };
    let entry =
        |kind: &str, name: &str, value: Result<Value, serde_json::Error>| (format!("{kind} {name}"), shown(value.unwrap_or(json!(null))));
    let roles = file.roles.iter().map(|(name, role)| entry("role", name, serde_json::to_value(role)));
    let keys = file.keys.iter().map(|key| entry("key", &key.name, serde_json::to_value(key)));
    let certificates = file.certificates.iter().map(|one| entry("certificate", &one.name, serde_json::to_value(one)));
    let issuers = file.issuers.iter().map(|issuer| entry("issuer", &issuer.issuer, serde_json::to_value(issuer)));
    // Of the console's provider, value by value: what is given by a group is to be seen alone.
    let claim = file.oidc.iter().map(|oidc| ("oidc claim".to_owned(), json!(oidc.claim)));
    let provided = file.oidc.iter().flat_map(|oidc| &oidc.grants);
    let provided = provided.map(|(value, grant)| (format!("oidc grant {value}"), serde_json::to_value(grant).unwrap_or(json!(null))));
    let revoked = file.revoked.iter().map(|id| (format!("revoked key {id}"), json!(true)));
    let key_sets = key_sets.iter().map(|(issuer, keys)| (format!("keys of issuer {issuer}"), json!(keys)));
    roles.chain(keys).chain(certificates).chain(issuers).chain(claim).chain(provided).chain(revoked).chain(key_sets).collect()
}

/// The thread that writes what the trail holds, to files and to the billing store: neither is waited for by who records.
pub struct Writer {
    trail: Trail,
    stop: CancellationToken,
    ended: oneshot::Receiver<()>,
}

impl Writer {
    pub fn start(trail: Trail, billing: Option<Billing>) -> anyhow::Result<Self> {
        let (end, ended) = oneshot::channel();
        let (stop, writes) = (CancellationToken::new(), trail.clone());
        let stopping = stop.clone();
        start_thread("audit", move || async move {
            write(&writes, billing.as_ref(), &stopping).await;
            let _ = end.send(());
            Ok(())
        })?;
        Ok(Self { trail, stop, ended })
    }

    /// Stops it after it has written what is left. Returns what could not be written in time.
    pub async fn stop(self) {
        self.stop.cancel();
        let ended = timeout(LAST_LIMIT, self.ended).await;
        let count = self.trail.waiting();
        if ended.is_err() || count > 0 {
            tracing::error!(count, "audit records are lost: writing them timed out");
        }
    }
}

/// Writes what waits until it is to stop, and then what is left. What cannot be written waits on.
async fn write(trail: &Trail, billing: Option<&Billing>, stop: &CancellationToken) {
    let (mut is_failing, mut is_last) = (false, false);
    loop {
        match flush(trail, billing).await {
            Ok(()) => is_failing = false,
            Err(error) => {
                if is_last || !std::mem::replace(&mut is_failing, true) {
                    tracing::warn!("audit records are queued until the billing store is available: {error:#}");
                }
            }
        }
        if is_last {
            return;
        }
        is_last = tokio::select! {
            () = stop.cancelled() => true,
            () = trail.due() => false,
        };
    }
}

async fn flush(trail: &Trail, billing: Option<&Billing>) -> anyhow::Result<()> {
    if trail.waiting() == 0 {
        return Ok(());
    }
    if let Some(billing) = billing {
        billing.ready().await?;
    }
    Ok(trail.flush(billing).await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_of_a_provider_may_do_is_recorded_value_by_value() {
        let said = |text: &str| -> Said { (toml::from_str(text).unwrap(), BTreeMap::new()) };
        let before = said("[oidc]\ngrants.support = { roles = ['read'] }\ngrants.same = { roles = ['read'] }\n");
        let after = said("[oidc]\nclaim = 'groups'\ngrants.support = { roles = ['admin'] }\ngrants.same = { roles = ['read'] }\n");
        let act = access_changed(&before, &after);
        assert_eq!(act.content["before"], json!({ "oidc claim": "roles", "oidc grant support": { "roles": ["read"] } }));
        assert_eq!(act.content["after"], json!({ "oidc claim": "groups", "oidc grant support": { "roles": ["admin"] } }));
    }
}
