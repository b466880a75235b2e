//! What each partition has lost of what was acknowledged, until somebody decides on it: blocks, kept aside in a hash beside its keys.
//!
//! No step needs that hash, and it is there only after a loss. All connections of a process know of it.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use redis::cmd;
use tokio::time::timeout;

use super::RedisEngine;
use super::keys::PartitionKeys;
use crate::codec::journal::decode_block;
use crate::{Block, LedgerError};
use platform::telemetry::metrics;

/// How many blocks are read at once.
const AT_ONCE: usize = 100;

/// How long a partition may take to say whether something is still kept aside.
const PATIENCE: Duration = Duration::from_secs(1);

/// The losses that are known. Cheap to clone; clones share their state.
#[derive(Clone, Debug)]
pub(super) struct Losses(Arc<[Loss]>);

#[derive(Debug, Default)]
struct Loss {
    is_any: AtomicBool,
    /// How many threads have found a loss that could not be kept aside yet.
    waiting: AtomicUsize,
    /// The first and last entry that this process had acknowledged; `None` for a loss that another process found.
    range: Mutex<Option<(u64, u64)>>,
}

impl Losses {
    pub(super) fn new(partitions: u16) -> Self {
        Self((0..partitions).map(|_| Loss::default()).collect())
    }

    fn of(&self, partition: u16) -> Option<&Loss> {
        self.0.get(usize::from(partition))
    }

    /// Notes how many blocks of a partition are kept aside.
    pub(super) fn found_aside(&self, partition: u16, blocks: u64) {
        let Some(loss) = self.of(partition).filter(|loss| blocks > 0 || loss.waiting.load(Ordering::Relaxed) == 0) else { return };
        metrics().ledger.set_lost(partition, blocks > 0);
        // Shown at 0, so that the first loss is an increase.
        metrics().ledger.count_lost(partition, 0);
        if loss.is_any.swap(blocks > 0, Ordering::Relaxed) && blocks == 0 {
            *loss.range.lock().unwrap_or_else(PoisonError::into_inner) = None;
            tracing::info!(partition, "no lost blocks of this partition are stored any more");
        }
    }

    /// Shows a partition in the metrics, whatever is known of it.
    pub(super) fn show(&self, partition: u16) {
        let Some(loss) = self.of(partition) else { return };
        metrics().ledger.set_lost(partition, loss.is_any.load(Ordering::Relaxed));
        metrics().ledger.count_lost(partition, 0);
    }

    /// Records a loss: the entries of this range were acknowledged, `entries` of them by one thread of this process. They are about to be
    /// kept aside: see [`Self::kept_aside`].
    pub(super) fn found(&self, partition: u16, (first, last): (u64, u64), entries: u64) {
        let Some(loss) = self.of(partition) else { return };
        {
            let mut range = loss.range.lock().unwrap_or_else(PoisonError::into_inner);
            *range = Some(range.map_or((first, last), |(from, to)| (from.min(first), to.max(last))));
        }
        loss.waiting.fetch_add(1, Ordering::Relaxed);
        loss.is_any.store(true, Ordering::Relaxed);
        metrics().ledger.set_lost(partition, true);
        metrics().ledger.count_lost(partition, entries);
        tracing::error!(
            partition,
            first,
            last,
            entries,
            "the store has lost entries that were acknowledged: tollgate reconcile shows them, and has them applied again"
        );
    }

    /// Notes that a loss was kept aside.
    pub(super) fn kept_aside(&self, partition: u16) {
        if let Some(loss) = self.of(partition) {
            loss.waiting.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// What an operator should know of a partition, if it has lost something.
    pub(super) fn problem(&self, partition: u16) -> Option<String> {
        let loss = self.of(partition).filter(|loss| loss.is_any.load(Ordering::Relaxed))?;
        let what = match *loss.range.lock().unwrap_or_else(PoisonError::into_inner) {
            Some((first, last)) if first == last => format!("entry {first}, which was acknowledged"),
            Some((first, last)) => format!("entries {first} to {last}, of which some were acknowledged"),
            None => "entries that were acknowledged".to_owned(),
        };
        Some(format!("partition {partition} has lost {what}: tollgate reconcile shows them, and has them applied again"))
    }
}

/// The field of a block among those that are kept aside: of two losses, there may be two with the same first entry.
pub(super) fn field(first_sequence: u64, id: [u8; 16]) -> String {
    format!("{first_sequence}-{:032x}", u128::from_be_bytes(id))
}

impl RedisEngine {
    /// Checks whether losses of partitions still wait for a decision. While there are none, nothing is asked.
    pub(super) async fn look_at_losses(&self) {
        let is_lost = |keys: &&PartitionKeys| self.losses.problem(keys.number).is_some();
        join_all(self.partitions.iter().filter(is_lost).map(|keys| async move {
            let command = cmd("HLEN").arg(keys.lost()).clone();
            if let Ok(Ok(blocks)) = timeout(PATIENCE, self.read(keys, &command)).await {
                self.losses.found_aside(keys.number, blocks);
            }
        }))
        .await;
    }

    /// See [`crate::Engine::lost_blocks`].
    pub(super) async fn read_lost(&self, partition: u16) -> Result<Vec<Block>, LedgerError> {
        let keys = self.keys(partition)?;
        let (mut cursor, mut blocks) = ("0".to_owned(), Vec::new());
        loop {
            let command = cmd("HSCAN").arg(keys.lost()).arg(&cursor).arg("COUNT").arg(AT_ONCE).clone();
            let (next, found): (String, Vec<(String, Vec<u8>)>) = self.read(keys, &command).await?;
            for (_, block) in found {
                blocks.push(decode_block(&block).map_err(LedgerError::corrupt)?);
            }
            if next == "0" {
                break;
            }
            cursor = next;
        }
        // A scan may show one twice.
        blocks.sort_by_key(|block| (block.first_sequence, block.id));
        blocks.dedup_by_key(|block| block.id);
        Ok(blocks)
    }

    /// See [`crate::Engine::forget_lost`].
    pub(super) async fn delete_lost(&self, partition: u16, block: &Block) -> Result<(), LedgerError> {
        let keys = self.keys(partition)?;
        let command = cmd("HDEL").arg(keys.lost()).arg(field(block.first_sequence, block.id)).clone();
        self.read::<u64>(keys, &command).await.map(drop)
    }
}
