//! What was acknowledged and lost: the ledger keeps it aside (see [`Engine::lost_blocks`]), to be applied again, or to be given up.
//!
//! Nobody else may have it: the billing store has only what an aggregator had read. So a block is forgotten only once nothing of it waits.

use super::later_writes::LaterWrites;
use super::reapply::{Reapplied, ReapplyTarget, is_limit_of};
use super::{Decision, ReconcileError, insert};
use crate::{Billing, audit};
use domain::entry::Entry;
#[cfg(doc)]
use ledger::Engine;
use ledger::{Block, Ledger};

/// What such blocks are called where a reason is asked for.
const LOST: &str = "acknowledged entries were lost";

/// Applies blocks of a partition again, each once, whatever is interrupted or repeated: the ledger remembers the request ids. A block of
/// which something was not done stays, until it is applied or given up.
pub async fn reapply_lost(
    again: &ReapplyTarget<'_>,
    partition: u16,
    blocks: &[Block],
    decision: &Decision,
) -> Result<Vec<Reapplied>, ReconcileError> {
    put_on_record(again.billing, partition, blocks, "REAPPLIED", decision).await?;
    let lost: Vec<(u64, &Entry)> = blocks.iter().flat_map(|block| (block.first_sequence..).zip(&block.entries)).collect();
    let mut since = LaterWrites::read(again.ledger, partition, &lost).await?;
    let (mut done, mut settled) = (Vec::new(), Vec::new());
    for block in blocks {
        // One without entries stands for those whose content is unknown.
        let mut is_settled = !block.entries.is_empty();
        let mut entries = (block.first_sequence..).zip(&block.entries).peekable();
        while let Some((sequence, entry)) = entries.next() {
            let limit = entries.next_if(|(_, next)| is_limit_of(entry, next)).map(|(_, next)| next);
            let outcome = again.apply(entry, limit, &mut since).await?;
            is_settled &= outcome.is_settled;
            for (sequence, entry) in (sequence..).zip([Some(entry), limit].into_iter().flatten()) {
                let (id, account) = (format!("{partition}-{sequence}"), entry.account.clone());
                done.push(Reapplied { id, account, kind: entry.kind(), outcome: outcome.clone() });
            }
        }
        settled.extend(is_settled.then_some(block));
    }
    // Not before all are done: what was applied first would contradict the rest, were this interrupted.
    for block in settled {
        again.ledger.engine().forget_lost(partition, block).await?;
    }
    Ok(done)
}

/// Discards lost blocks of a partition.
pub async fn accept_loss(
    billing: Option<&Billing>,
    ledger: &Ledger,
    partition: u16,
    blocks: &[Block],
    decision: &Decision,
) -> Result<(), ReconcileError> {
    put_on_record(billing, partition, blocks, "LOSS_ACCEPTED", decision).await?;
    for block in blocks {
        ledger.engine().forget_lost(partition, block).await?;
    }
    Ok(())
}

async fn put_on_record(
    billing: Option<&Billing>,
    partition: u16,
    blocks: &[Block],
    action: &'static str,
    decision: &Decision,
) -> Result<(), ReconcileError> {
    let (Some(billing), Some(first), Some(last)) = (billing, blocks.first(), blocks.iter().map(Block::end).max()) else { return Ok(()) };
    let entries: u64 = blocks.iter().map(|block| block.end() - block.first_sequence).sum();
    let mut transaction = billing.store().begin().await?;
    insert(&mut transaction, (partition, LOST), action, (first.first_sequence - 1, last - 1), decision).await?;
    let act = decision.act(action, Some(partition)).with("first_entry", first.first_sequence).with("last_entry", last - 1);
    let act = act.with("entries_lost", entries);
    audit::write(&mut transaction, billing.store().dialect(), audit::SERVICE, &[act]).await?;
    transaction.commit().await?;
    Ok(())
}
