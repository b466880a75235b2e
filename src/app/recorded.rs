//! What the service records of itself: starts, and changes of who may call; and the work of writing such records.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Map, Value, json};
use tokio::time::{MissedTickBehavior, interval};

use crate::billing::Billing;
use crate::billing::audit::{Act, Outcome};
use crate::config::ServeOptions;
use crate::domain::origin::Origin;
use crate::service::audit::trail::Trail;
use access::file::AccessFile;

/// How often what waits is written.
const FLUSH: Duration = Duration::from_millis(500);

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

/// What has changed in the access file. Digests of keys are left out.
pub fn access_changed(before: &AccessFile, after: &AccessFile) -> Act {
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

/// Who may call, and what, by name.
fn described(file: &AccessFile) -> BTreeMap<String, Value> {
    let shown = |value: Value| match value {
        Value::Object(mut object) => {
            ["digest", "name", "jwks"].iter().for_each(|name| drop(object.remove(*name)));
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
    roles.chain(keys).chain(certificates).chain(issuers).collect()
}

/// Writes what waits, for ever. What cannot be written waits on.
pub async fn write(trail: &Trail, billing: Option<&Billing>) {
    let mut looks = interval(FLUSH);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut is_failing = false;
    loop {
        looks.tick().await;
        match flush(trail, billing).await {
            Ok(()) => is_failing = false,
            Err(error) => {
                if !std::mem::replace(&mut is_failing, true) {
                    tracing::warn!("audit records wait for the billing store: {error:#}");
                }
            }
        }
    }
}

/// Writes what waits now.
pub async fn flush(trail: &Trail, billing: Option<&Billing>) -> anyhow::Result<()> {
    if trail.is_empty() {
        return Ok(());
    }
    if let Some(billing) = billing {
        billing.ready().await?;
    }
    Ok(trail.flush(billing).await?)
}
