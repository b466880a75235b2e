//! What the billing store knows of an account. It follows the ledger within moments: what it has not read yet is waited for.

use std::time::Duration;

use billing::BillingError;
use tokio::time::{Instant, sleep};

use super::error::Error;

/// How long the billing store may take to have an account that the ledger has.
const PATIENCE: Duration = Duration::from_secs(2);

/// After how long to look whether it has; each time after twice as long, since other calls need the billing store, too.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_millis(320);

/// Reads something of an account that the ledger has, once the billing store has it too.
pub(super) async fn once_taken_in<T, F>(read: impl Fn() -> F) -> Result<T, Error>
where
    F: Future<Output = Result<T, BillingError>>,
{
    let (deadline, mut pause) = (Instant::now() + PATIENCE, FIRST_PAUSE);
    loop {
        match read().await {
            Err(BillingError::NotFound(_)) if Instant::now() < deadline => {
                sleep(pause).await;
                pause = (2 * pause).min(LONGEST_PAUSE);
            }
            Err(BillingError::NotFound(_)) => return Err(BillingError::unavailable("it has not taken in the account yet").into()),
            answer => return Ok(answer?),
        }
    }
}
