//! Which ledger's journal the billing store holds. It takes one ledger, and refuses all others.

use futures_util::future::join_all;
use sqlx::{Any, Executor, Row};

use super::audit::{self, Act};
use super::layouts::Layouts;
use super::position::Position;
use super::{Billing, BillingError, partitions};
use domain::origin::Origin;
use ledger::{Identity, Ledger, LedgerError, LedgerId};

impl Billing {
    /// The ledger whose journal it holds, by the id that it has of it.
    pub async fn ledger_id(&self) -> Result<Option<LedgerId>, BillingError> {
        read_id(self.store().pool()).await
    }

    /// The ledger that it knows, for people. `None` if it knows no ledger.
    pub async fn known_ledger(&self) -> Result<Option<String>, BillingError> {
        if let Some(id) = self.ledger_id().await? {
            return Ok(Some(format!("ledger {id}")));
        }
        let is_begun = partitions::all(self.store()).await?.iter().any(|partition| partition.position.next_sequence > 1);
        Ok(is_begun.then(|| "a ledger that has no id yet".to_owned()))
    }

    /// Refuses a ledger that is not the one whose journal it holds.
    pub async fn check_ledger(&self, ledger: &Identity) -> Result<(), BillingError> {
        match self.ledger_id().await? {
            Some(known) if known != ledger.id => Err(self.foreign(&format!("is of ledger {known}"), ledger)),
            _ => Ok(()),
        }
    }

    /// Takes the ledger, if it has none yet; refuses any other than the one that it has. One that is known by its journal alone, from an
    /// earlier version, is taken if that is this journal.
    pub async fn take_ledger(&self, ledger: &Ledger) -> Result<(), BillingError> {
        let identity = ledger.identity();
        if self.ledger_id().await?.is_none() {
            for partition in partitions::all(self.store()).await? {
                if !holds(ledger, partition.partition, partition.position).await.map_err(BillingError::unavailable)? {
                    let block = partition.position.next_sequence - 1;
                    let what = format!("knows partition {} up to entry {block}, and has no ledger's id", partition.partition);
                    return Err(self.foreign(&what, identity));
                }
            }
            let mut transaction = self.store().begin().await?;
            write_id(&mut *transaction, identity.id).await?;
            let act = Act { at: ledger.clock().now(), action: "ledger.taken".to_owned(), origin: Origin::local(), ..Act::default() };
            let act = act.with("ledger", identity.to_string());
            audit::write(&mut transaction, self.store().dialect(), audit::SERVICE, &[act]).await?;
            transaction.commit().await?;
        }
        self.check_ledger(identity).await?;
        let zone = &self.settings().time_zone;
        sqlx::query("UPDATE ledger SET time_zone = $1 WHERE time_zone = ''").bind(zone).execute(self.store().pool()).await?;
        Ok(())
    }

    /// Refuses another billing time zone than the ledger had: its months would end at other instants than those that were billed.
    pub async fn check_time_zone(&self) -> Result<(), BillingError> {
        let Some(row) = sqlx::query("SELECT time_zone FROM ledger").fetch_optional(self.store().pool()).await? else { return Ok(()) };
        let known: String = row.try_get("time_zone")?;
        if known.is_empty() || known == self.settings().time_zone {
            return Ok(());
        }
        let problem = format!("must be {known}: the months of the ledger that is to be restored end there");
        Err(BillingError::Invalid { field: "--billing-time-zone", problem })
    }

    /// Refuses the ledger as it was before it was restored with another number of partitions, also if it has that number again: the entries
    /// since then lie behind those of all partitions until then. Partitions that do not reply are left out.
    pub async fn check_is_current(&self, ledger: &Ledger) -> Result<(), BillingError> {
        let behind = Layouts::read(self.store().pool()).await?.behind();
        if behind == 0 {
            return Ok(());
        }
        let looked = join_all((0..ledger.partitions()).map(|partition| is_former(ledger, partition, behind))).await;
        let Some(former) = looked.iter().position(|looked| matches!(looked, Ok(true))) else { return Ok(()) };
        let what = format!(
            "{} is the ledger as it was before it was restored with another number of partitions: its partition {former} has entries from \
             before then, or has not come to entry {}, the first since then. What it is charged would never be billed: start on the ledger that was \
             restored",
            ledger.identity(),
            behind + 1
        );
        Err(BillingError::Foreign(what.into()))
    }

    fn foreign(&self, what: &str, ledger: &Identity) -> BillingError {
        BillingError::Foreign(
            format!("the billing store in {} {what}, and this is {ledger}: they do not belong together", self.place()).into(),
        )
    }
}

pub(super) async fn read_id(executor: impl Executor<'_, Database = Any>) -> Result<Option<LedgerId>, BillingError> {
    let Some(row) = sqlx::query("SELECT id FROM ledger").fetch_optional(executor).await? else { return Ok(None) };
    let id: String = row.try_get("id")?;
    id.parse().map(Some).map_err(|_| BillingError::corrupt(format!("the ledger's id {id:?}")))
}

/// Writes the id where none is written yet.
pub(super) async fn write_id(executor: impl Executor<'_, Database = Any>, id: LedgerId) -> Result<(), BillingError> {
    let sql = "INSERT INTO ledger (place, id) VALUES (1, $1) ON CONFLICT (place) DO NOTHING";
    sqlx::query(sql).bind(id.to_string()).execute(executor).await?;
    Ok(())
}

/// Whether a partition is one from before a restoration after which all entries lie behind a sequence.
async fn is_former(ledger: &Ledger, partition: u16, behind: u64) -> Result<bool, LedgerError> {
    let engine = ledger.engine();
    let next = engine.journal_span(partition).await?.next;
    Ok(next <= behind || !engine.blocks_before(partition, Some(behind + 1), 1).await?.is_empty())
}

/// Whether a partition's journal holds the block that was committed last, or goes on from it.
async fn holds(ledger: &Ledger, partition: u16, position: Position) -> Result<bool, LedgerError> {
    if position.next_sequence == 1 {
        return Ok(true);
    }
    let engine = ledger.engine();
    if partition >= engine.partitions() {
        return Ok(false);
    }
    if let Some(last) = engine.blocks_before(partition, Some(position.next_sequence), 1).await?.first() {
        return Ok(last.end() == position.next_sequence && last.id == position.last_block);
    }
    match engine.blocks_after(partition, position.next_sequence - 1, 1).await?.first() {
        Some(next) => Ok(next.first_sequence == position.next_sequence && next.previous == position.last_block),
        // A ledger that was restored, and has written nothing since.
        None => Ok(engine.journal_span(partition).await?.next == position.next_sequence),
    }
}
