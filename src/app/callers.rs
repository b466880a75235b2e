//! Keeps who may call up to date: copies it from the billing store into the ledger's, and takes what is there.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::billing::Billing;
use crate::clock::system_now;
use crate::domain::time::{Millis, UnixMillis};
use crate::ledger::Ledger;
use crate::service::callers::{copy, follow};
use crate::telemetry::logs::Repeated;
use access::Access;

/// How often the copy is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// At every how manyth look the billing store is asked: a change is copied by who makes it, unless that fails.
const ASK_EVERY: u32 = 5;

/// How long the billing store may take.
const LIMIT: Duration = Duration::from_secs(3);

/// How long until it is noted again that a key was used.
const NOTED_EVERY: Millis = 60_000;

static UNREAD: Repeated = Repeated::new();
static UNCOPIED: Repeated = Repeated::new();

/// Warns of a failure, since a revocation may have no effect yet.
fn tell(failed: &Repeated, what: &str, error: &anyhow::Error) {
    if let Some(times) = failed.times() {
        tracing::warn!(times, "{what}: {error:#}");
    }
}

/// Runs the loop.
pub async fn keep(access: &Access, ledger: &Ledger, billing: Option<&Billing>) {
    let mut looks = interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // At the start it was copied.
    let (mut known, mut noted, mut count) = (None, HashMap::new(), 1_u32);
    loop {
        looks.tick().await;
        match follow(access, ledger, &mut known).await {
            Ok(is_other) if is_other && count > 1 => tracing::info!(version = known, "who may call by the billing store was read"),
            Ok(_) => {}
            Err(error) => tell(&UNREAD, "who may call by the billing store stays as it was", &error),
        }
        if let Some(billing) = billing {
            // While the store is away, nothing new is granted; what was revoked elsewhere must not wait for it.
            tokio::join!(copy_again(billing, ledger, count), note_used(access, billing, &mut noted));
        }
        count = count.wrapping_add(1);
    }
}

async fn copy_again(billing: &Billing, ledger: &Ledger, count: u32) {
    if count.is_multiple_of(ASK_EVERY) {
        let (billing, ledger) = (billing.clone(), ledger.clone());
        apart(async move {
            if let Err(error) = copy(&billing, &ledger).await {
                tell(&UNCOPIED, "who may call was not copied into the ledger's store", &error);
            }
        })
        .await;
    }
}

/// Waits for work with the billing store that goes on if nobody waits any more: a connection that is left amid a statement is a broken one.
async fn apart(work: impl Future<Output = ()> + Send + 'static) {
    let _ = timeout(LIMIT, tokio::spawn(work)).await;
}

async fn note_used(access: &Access, billing: &Billing, noted: &mut HashMap<String, UnixMillis>) {
    let now = system_now();
    noted.retain(|_, at| now - *at < NOTED_EVERY);
    let used: Vec<String> = access.take_used().into_iter().filter(|id| !noted.contains_key(id)).collect();
    if !used.is_empty() {
        noted.extend(used.iter().map(|id| (id.clone(), now)));
        let billing = billing.clone();
        apart(async move { drop(billing.note_used(&used, now).await) }).await;
    }
}
