//! Keeps who may call up to date: copies it from the billing store into the ledger's, and takes what is there.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::billing::Billing;
use crate::clock::system_now;
use crate::domain::account::Millis;
use crate::ledger::Ledger;
use crate::service::callers::{copy, follow};
use access::Access;

/// How often the copy is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// At every how manyth look the billing store is asked: a change is copied by who makes it, unless that fails.
const ASK_EVERY: u32 = 5;

/// How long the billing store may take.
const LIMIT: Duration = Duration::from_secs(3);

/// How long until it is noted again that a key was used.
const NOTED_EVERY: Millis = 60_000;

/// Does so for ever.
pub async fn keep(access: &Access, ledger: &Ledger, billing: Option<&Billing>) {
    let mut looks = interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // At the start it was copied.
    let (mut known, mut noted, mut count) = (None, HashMap::new(), 1_u32);
    loop {
        looks.tick().await;
        if let Some(billing) = billing {
            // While the store is away, nothing new is granted, and what is probed elsewhere says so.
            if count.is_multiple_of(ASK_EVERY) {
                let (billing, ledger) = (billing.clone(), ledger.clone());
                apart(async move { drop(copy(&billing, &ledger).await) }).await;
            }
            note_used(access, billing, &mut noted).await;
        }
        count = count.wrapping_add(1);
        match follow(access, ledger, &mut known).await {
            Ok(true) => tracing::info!(version = known, "who may call by the billing store was read"),
            Ok(false) => {}
            Err(error) => tracing::debug!("who may call by the billing store stays as it was: {error:#}"),
        }
    }
}

/// Waits for work with the billing store that goes on if nobody waits any more: a connection that is left amid a statement is a broken one.
async fn apart(work: impl Future<Output = ()> + Send + 'static) {
    let _ = tokio::spawn(timeout(LIMIT, work)).await;
}

async fn note_used(access: &Access, billing: &Billing, noted: &mut HashMap<String, Millis>) {
    let now = system_now();
    noted.retain(|_, at| now - *at < NOTED_EVERY);
    let used: Vec<String> = access.take_used().into_iter().filter(|id| !noted.contains_key(id)).collect();
    if !used.is_empty() {
        noted.extend(used.iter().map(|id| (id.clone(), now)));
        let billing = billing.clone();
        apart(async move { drop(billing.note_used(&used, now).await) }).await;
    }
}
