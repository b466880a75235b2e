//! What the bill comes to so far: the coming document of an account, as of now. It has no effect on anything.

use super::error::Error;
use super::papers::not_taken_in;
use crate::billing::{Billing, ComingDocument};
use crate::ledger::Ledger;

/// The coming document of an account, as the end of its open bill's month would cut it.
pub async fn preview(ledger: &Ledger, billing: &Billing, account: &str) -> Result<ComingDocument, Error> {
    let clock = ledger.clock();
    let now = clock.now();
    // A month that is over may not be closed yet: what was accepted in it is billed for it.
    let cut_at = |begun_at| clock.period_ends(if begun_at == 0 { now } else { begun_at })[0];
    billing.coming_document(account, now, cut_at).await.map_err(|error| not_taken_in(&error))
}
