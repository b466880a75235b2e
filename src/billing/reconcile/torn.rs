//! A step of the ledger that was torn: finished by its block, and that put on record.

use super::{Decision, ReconcileError, insert};
use crate::{Billing, audit};
use ledger::{Block, Ledger};

/// Why such a partition stood still.
const TORN: &str = "a step was torn";

/// Finishes the step that was torn in a partition, if one was, and returns its block. It is on record before it is done: whether it can
/// be, is known first, and it is committed last.
pub async fn finish_step(
    ledger: &Ledger,
    billing: Option<&Billing>,
    partition: u16,
    decision: &Decision,
) -> Result<Option<Block>, ReconcileError> {
    let engine = ledger.engine();
    let Some(torn) = engine.torn_step(partition).await? else { return Ok(None) };
    let Some(billing) = billing else { return Ok(engine.finish_step(partition).await?) };
    let mut transaction = billing.store().begin().await?;
    let sequences = (torn.first_sequence - 1, torn.end() - 1);
    insert(&mut transaction, (partition, TORN), "STEP_FINISHED", sequences, decision).await?;
    let finished = engine.finish_step(partition).await?;
    if finished.is_some() {
        let act =
            decision.act("STEP_FINISHED", Some(partition)).with("first_entry", torn.first_sequence).with("last_entry", torn.end() - 1);
        audit::write(&mut transaction, billing.store().dialect(), audit::SERVICE, &[act]).await?;
        transaction.commit().await?;
    }
    Ok(finished)
}
