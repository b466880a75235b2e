//! A partition of the ledger rebuilt from the billing store, and the new chain that its journal begins.

use super::aggregate::step::hex;
use super::identity::write_id;
use super::record::{behind, number};
use super::{Billing, BillingError};
use domain::account::Millis;
use ledger::LedgerId;
use ledger::model::Book;
use ledger::rebuild::{Contradiction, Rebuild};
use platform::clock::Clock;

/// How many entries are read at once.
const PAGE: i64 = 5_000;

/// The most contradictions that are told.
const MOST_TOLD: usize = 20;

/// A rebuilt partition.
#[derive(Debug)]
pub struct Rebuilt {
    /// Its number.
    pub partition: u16,
    /// What it holds.
    pub book: Book,
    /// How many entries it was rebuilt from.
    pub entries: u64,
    /// The id that its next block goes on from. No ledger but this one knows it.
    pub chain: [u8; 16],
    /// What its entries contradict; if there is anything, it must not be used.
    pub contradictions: Vec<Contradiction>,
    /// When the last gap in its entries ended; None: there is none.
    pub gap_ended_at: Option<Millis>,
}

impl Billing {
    /// Rebuilds a partition from all of its entries. `seen` is told how many were read.
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
        Ok(Rebuilt { partition, book: rebuild.finish(clock.now(), chain), entries, chain, contradictions, gap_ended_at })
    }

    /// Goes on from the new chains of the restored ledger, and from nothing else: a ledger from before is refused if it comes back.
    pub async fn begin_chains(&self, ledger: LedgerId, chains: &[(u16, u64, [u8; 16])]) -> Result<(), BillingError> {
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
        transaction.commit().await?;
        Ok(())
    }
}
