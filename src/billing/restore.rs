//! A partition of the ledger rebuilt from the billing store, and the new chain that its journal begins.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::audit::{self, Act};
use super::identity::write_id;
use super::position::hex;
use super::record::{behind, number};
use super::{Billing, BillingError, partitions};
use domain::account::Millis;
use ledger::LedgerId;
use ledger::model::PartitionState;
use ledger::rebuild::{Inconsistency, Rebuild};
use platform::clock::Clock;

/// How many entries are read at once.
const PAGE: i64 = 5_000;

/// The most contradictions that are reported.
const MOST_TOLD: usize = 20;

/// For how long it is waited until nobody reads the ledger any more: longer than the usual lease of a process that is gone.
const UNREAD_LIMIT: Duration = Duration::from_secs(15);
const UNREAD_LOOK: Duration = Duration::from_millis(250);

/// A rebuilt partition.
#[derive(Debug)]
pub struct Rebuilt {
    /// Its number.
    pub partition: u16,
    /// What it holds.
    pub partition_state: PartitionState,
    /// How many entries it was rebuilt from.
    pub entries: u64,
    /// The id that its next block goes on from. No ledger but this one knows it.
    pub chain: [u8; 16],
    /// What its entries contradict; if there is anything, it must not be used.
    pub contradictions: Vec<Inconsistency>,
    /// When the last gap in its entries ended; `None` if there is none.
    pub gap_ended_at: Option<Millis>,
}

impl Billing {
    /// Rebuilds a partition from all of its entries. Calls `seen` with how many were read.
    pub async fn rebuild(&self, partition: u16, clock: &Clock, window: Millis, seen: impl Fn(u64)) -> Result<Rebuilt, BillingError> {
        let mut rebuild = Rebuild::new(clock.clone(), window);
        let mut contradictions = Vec::new();
        loop {
            let records = behind(self.store().pool(), partition, rebuild.sequence(), PAGE).await?;
            if records.is_empty() {
                break;
            }
            for record in &records {
                contradictions.extend(rebuild.replay(record.sequence, &record.entry));
                contradictions.truncate(MOST_TOLD);
            }
            seen(rebuild.sequence());
        }
        let (chain, entries, gap_ended_at) = (rand::random(), rebuild.sequence(), rebuild.gap_ended_at());
        Ok(Rebuilt { partition, partition_state: rebuild.finish(clock.now(), chain), entries, chain, contradictions, gap_ended_at })
    }

    /// Refuses what would be another ledger than the lost one, or a second one beside it: another number of partitions, in which accounts
    /// would be where nobody looks for them; and a ledger that is still read, so that it is not lost.
    pub async fn check_restorable(&self, count: u16) -> Result<(), BillingError> {
        let refused = |field, problem| Err(BillingError::Invalid { field, problem });
        let deadline = Instant::now() + UNREAD_LIMIT;
        loop {
            let known = partitions::all(self.store()).await?;
            if !known.is_empty() && known.len() != usize::from(count) {
                return refused("--partitions", format!("must be {}: the ledger that is to be restored had as many", known.len()));
            }
            // Of a ledger that is lost, every step fails.
            let read = known.iter().find(|partition| partition.is_leased && partition.stopped.is_none() && partition.failing.is_none());
            match read {
                None => return Ok(()),
                Some(read) if Instant::now() >= deadline => {
                    let problem = format!("is in use: {} reads partition {} of the ledger, which is not lost", read.owner, read.partition);
                    return refused("--billing", format!("{problem}. If it is to be replaced, stop all services first"));
                }
                Some(_) => sleep(UNREAD_LOOK).await,
            }
        }
    }

    /// Goes on from the new chains of the restored ledger, and from nothing else: a ledger from before is refused if it comes back.
    pub async fn begin_chains(&self, ledger: LedgerId, chains: &[(u16, u64, [u8; 16])], act: Act) -> Result<(), BillingError> {
        let mut transaction = self.store().begin().await?;
        write_id(&mut *transaction, ledger).await?;
        for (partition, entries, chain) in chains {
            let done = sqlx::query(
                "UPDATE partitions SET fence = fence + 1, last_block = $1, state = 'RUNNING', reason = '', stopped_at = 0, owner = '', \
                 lease_until = 0 WHERE partition = $2 AND next_sequence = $3",
            )
            .bind(hex(chain))
            .bind(i64::from(*partition))
            .bind(number(entries + 1))
            .execute(&mut *transaction)
            .await?;
            // A partition that never had an entry may have no row yet.
            if done.rows_affected() != 1 && *entries > 0 {
                return Err(BillingError::corrupt(format!("partition {partition} has entries up to {entries}, and its position differs")));
            }
        }
        let entries: u64 = chains.iter().map(|(_, entries, _)| entries).sum();
        let act = act.with("ledger", ledger.to_string()).with("entries", entries);
        audit::write(&mut transaction, self.store().dialect(), audit::SERVICE, &[act]).await?;
        transaction.commit().await?;
        Ok(())
    }
}
