//! A partition of the ledger rebuilt from the billing store, and the new chain that its journal begins: of a ledger with the partitions that
//! it had, or with another number of them.

mod moving;
mod restoration_lock;

use std::time::Duration;

use sqlx::Row;
use tokio::time::{Instant, sleep};

use super::audit::{self, Act};
use super::former_entries::{FormerEntries, Placed};
use super::identity::write_id;
use super::layouts::Layouts;
use super::partitions::Partition;
use super::position::hex;
use super::record::{behind, number};
use super::{Billing, BillingError, partitions};
use domain::time::{Millis, UnixMillis};
use ledger::LedgerId;
use ledger::model::PartitionState;
use ledger::rebuild::{Inconsistency, Rebuild};
use platform::clock::Clock;
use restoration_lock::RestorationLock;

/// How many entries are read at once.
const PAGE: i64 = 5_000;

/// The most contradictions that are reported.
const MOST_TOLD: usize = 20;

/// For how long it is waited until nobody reads the ledger any more: longer than the usual lease of a process that is gone.
const UNREAD_LIMIT: Duration = Duration::from_secs(15);
const UNREAD_LOOK: Duration = Duration::from_millis(250);

/// What a ledger is restored as. While it is there, no other restoration from the billing store begins.
#[derive(Debug)]
pub struct Plan {
    /// How many partitions it gets.
    pub partitions: u16,
    /// How many it had; `None` if it had none, or as many.
    pub had: Option<u16>,
    /// The layouts before that of the restored ledger.
    layouts: Layouts,
    /// The partitions that it had.
    known: Vec<Partition>,
    lock: RestorationLock,
}

impl Plan {
    fn placed(&self) -> Placed {
        if self.had.is_some() { Placed::Then } else { Placed::Now }
    }
}

/// A rebuilt partition.
#[derive(Debug)]
pub struct Rebuilt {
    /// Its number.
    pub partition: u16,
    /// Its content.
    pub partition_state: PartitionState,
    /// How many entries it was rebuilt from.
    pub entries: u64,
    /// The chain that it begins.
    pub chain: Chain,
    /// What its entries contradict; if there is anything, it must not be used.
    pub contradictions: Vec<Inconsistency>,
    /// When the last gap in its entries ended; `None` if there is none.
    pub gap_ended_at: Option<UnixMillis>,
}

/// Where a rebuilt partition goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chain {
    pub partition: u16,
    /// The sequence that its next entry lies behind.
    pub sequence: u64,
    /// The id that its next block goes on from. No ledger but this one knows it.
    pub id: [u8; 16],
    /// The time that it stands at.
    pub time: UnixMillis,
}

impl Billing {
    /// How the ledger can be restored with that number of partitions; without one, with as many as it had, or that many if it had none.
    /// Refuses a ledger that is still read, so that it is not lost, and one that is being restored already.
    pub async fn plan_restoration(&self, wanted: Option<u16>, or: u16) -> Result<Plan, BillingError> {
        let lock = RestorationLock::claim(self).await?;
        self.check_unread().await?;
        let known = partitions::all(self.store()).await?;
        let had = u16::try_from(known.len()).map_err(BillingError::corrupt)?;
        let partitions = wanted.unwrap_or(if had == 0 { or } else { had });
        let layouts = Layouts::read(self.store().pool()).await?;
        if had == 0 || had == partitions {
            return Ok(Plan { partitions, had: None, layouts, known, lock });
        }
        if sqlx::query("SELECT partition FROM gaps LIMIT 1").fetch_optional(self.store().pool()).await?.is_some() {
            let problem = format!(
                "must be {had}, as many as the ledger had: parts of its journal are not known (a gap was accepted), and accounts with a gap \
                 cannot be moved to other partitions"
            );
            return Err(BillingError::Invalid { field: "--partitions", problem });
        }
        let last = known.iter().map(|partition| partition.position.next_sequence - 1).collect();
        self.place_accounts(partitions).await?;
        Ok(Plan { partitions, had: Some(had), layouts: layouts.and(last), known, lock })
    }

    /// Rebuilds a partition from all entries of its accounts. Calls `seen` with how many were read.
    pub async fn rebuild(
        &self,
        plan: &Plan,
        partition: u16,
        clock: &Clock,
        window: Millis,
        seen: impl Fn(u64),
    ) -> Result<Rebuilt, BillingError> {
        let mut rebuild = Rebuild::new(clock.clone(), window);
        let (mut contradictions, mut entries) = (Vec::new(), 0);
        let mut connection = self.store().pool().acquire().await?;
        let mut former = FormerEntries::of(&plan.layouts, plan.placed(), partition);
        loop {
            let read = former.next(&mut connection).await?;
            if read.is_empty() {
                break;
            }
            for one in &read {
                contradictions.extend(rebuild.replay_former(one.record.sequence, &one.record.entry, one.renumbering));
                contradictions.truncate(MOST_TOLD);
            }
            entries += read.len() as u64;
            seen(entries);
        }
        rebuild.begin_behind(plan.layouts.behind());
        if plan.had.is_some() {
            rebuild.advance(self.time_of_number(plan, partition).await?);
        } else {
            loop {
                let records = behind(&mut *connection, partition, rebuild.sequence(), PAGE).await?;
                if records.is_empty() {
                    break;
                }
                for record in &records {
                    contradictions.extend(rebuild.replay(record.sequence, &record.entry));
                    contradictions.truncate(MOST_TOLD);
                }
                entries += records.len() as u64;
                seen(entries);
            }
        }
        let chain = Chain { partition, sequence: rebuild.sequence(), id: rand::random(), time: rebuild.time() };
        let gap_ended_at = rebuild.gap_ended_at();
        Ok(Rebuilt { partition, partition_state: rebuild.finish(clock.now(), chain.id), entries, chain, contradictions, gap_ended_at })
    }

    /// The time of the partitions that had a number so far: a time that is known by that number never goes back. Those that were ahead of the
    /// clock take no others along.
    async fn time_of_number(&self, plan: &Plan, partition: u16) -> Result<UnixMillis, BillingError> {
        if let Some(known) = plan.known.get(usize::from(partition)) {
            return Ok(known.position.last_time);
        }
        let sql = "SELECT CAST(COALESCE(MAX(time), 0) AS BIGINT) FROM entries WHERE partition = $1";
        let row = sqlx::query(sql).bind(i64::from(partition)).fetch_one(self.store().pool()).await?;
        Ok(UnixMillis::new(row.try_get(0)?))
    }

    /// Refuses a second ledger beside one that is in use.
    async fn check_unread(&self) -> Result<(), BillingError> {
        let deadline = Instant::now() + UNREAD_LIMIT;
        loop {
            let known = partitions::all(self.store()).await?;
            // Of a ledger that is lost, every step fails.
            let read = known.iter().find(|partition| partition.is_leased && partition.stopped.is_none() && partition.failing.is_none());
            match read {
                None => return Ok(()),
                Some(read) if Instant::now() >= deadline => {
                    let problem = format!("is in use: {} reads partition {} of the ledger, which is not lost", read.owner, read.partition);
                    let problem = format!("{problem}. If it is to be replaced, stop all services first");
                    return Err(BillingError::Invalid { field: "--billing", problem });
                }
                Some(_) => sleep(UNREAD_LOOK).await,
            }
        }
    }

    /// Goes on from the new chains of the restored ledger, and from nothing else: a ledger from before is refused if it comes back.
    pub async fn begin_chains(&self, plan: &mut Plan, ledger: LedgerId, chains: &[Chain], act: Act) -> Result<(), BillingError> {
        plan.lock.check().await?;
        let mut transaction = self.store().begin().await?;
        write_id(&mut *transaction, ledger).await?;
        if plan.had.is_some() {
            moving::lay_out(&mut transaction, plan, chains, act.at).await?;
        } else {
            for Chain { partition, sequence, id, .. } in chains {
                let done = sqlx::query(
                    "UPDATE partitions SET fence = fence + 1, last_block = $1, state = 'RUNNING', reason = '', stopped_at = 0, owner = '', \
                     lease_until = 0 WHERE partition = $2 AND next_sequence = $3",
                )
                .bind(hex(id))
                .bind(i64::from(*partition))
                .bind(number(sequence + 1))
                .execute(&mut *transaction)
                .await?;
                // A partition that never had an entry may have no row yet.
                if done.rows_affected() != 1 && *sequence > 0 {
                    return Err(BillingError::corrupt(format!(
                        "partition {partition} has entries up to {sequence}, and its position differs"
                    )));
                }
            }
        }
        let act = act.with("ledger", ledger.to_string()).with("partitions", plan.partitions).with("had_partitions", plan.had);
        let behind = plan.layouts.behind();
        let of_now: u64 = chains.iter().map(|chain| chain.sequence.saturating_sub(behind)).sum();
        let act = act.with("entries", plan.layouts.entries() + of_now);
        audit::write(&mut transaction, self.store().dialect(), audit::SERVICE, &[act]).await?;
        transaction.commit().await?;
        Ok(())
    }
}
