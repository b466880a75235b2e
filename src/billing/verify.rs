//! Whether ledger, journal, totals, accounts and documents say the same: every entry is read again, from the first on.
//!
//! Partition by partition: the entries in SQL are replayed by [`Rebuild`] and folded by [`Projection`], from one snapshot of the store; what
//! the journal holds beyond them is replayed on top; then every account of the ledger is compared with its rebuilt self. Charging goes on
//! meanwhile: an account that moves is looked at again, a few times, with what the journal has got since.

pub mod allocation_heads;
pub mod audit;
mod differences;
mod documents;
mod dropped;
mod findings;
mod holes;
mod payments;
mod series;

use crate::store::Columns;
use std::collections::{BTreeSet, HashSet};

use sqlx::{Any, AnyConnection, AssertSqlSafe, Row, Transaction};

use allocation_heads::AllocationHeads;
use audit::Acts;
use dropped::Terms;
pub use findings::{Difference, Findings, Place};
use payments::Credited;

use super::former_entries::{FormerEntries, FormerEntry, Placed};
use super::layouts::Layouts;
use super::position::Position;
use super::projection::rows::{read_account, read_total};
use super::projection::{Projection, Total, TotalKey, follow};
use super::reconcile::gap;
use super::record::{Record, behind};
use super::retention::RetentionSettings;
use super::series::{ALLOCATIONS, AUDIT, Head};
use super::store::Dialect;
use super::{Billing, BillingError, partitions, words};
use domain::account::{Account, Profile, Reservation};
use domain::ids::AccountId;
use ledger::prepared_command::partition_of;
use ledger::rebuild::{Inconsistency, Rebuild};
use ledger::{IdempotencyKey, Ledger, LedgerError};

/// How many rows are read at once.
const PAGE: i64 = 5_000;

/// How many accounts are loaded from the ledger at once.
const ACCOUNTS_AT_ONCE: usize = 500;

/// How often a moving account is looked at again.
const LOOKS: usize = 8;

/// Why nothing can be said.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The billing store.
    #[error(transparent)]
    Billing(#[from] BillingError),
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

impl From<sqlx::Error> for VerifyError {
    fn from(error: sqlx::Error) -> Self {
        Self::Billing(error.into())
    }
}

/// The part of the verification that is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Entries,
    /// The issued documents.
    Documents,
}

/// Compares everything. `kept` are heads of series that somebody noted elsewhere; without a term, nothing may have been dropped; `seen` is
/// called with how much of a step was gone through, of how much.
pub async fn verify(
    billing: &Billing,
    ledger: &Ledger,
    kept: &[Head],
    terms: &RetentionSettings,
    seen: impl Fn(Step, u64, u64),
) -> Result<Findings, VerifyError> {
    let mut findings = Findings::default();
    let positions = partitions::all(billing.store()).await?;
    let expected: u64 = positions.iter().map(|partition| partition.position.next_sequence - 1).sum();
    let (mut credited, mut heads, mut acts) = (Credited::default(), AllocationHeads::default(), Acts::default());
    let layouts = Layouts::read(billing.store().pool()).await?;
    let now: Vec<_> = positions.iter().map(|of| (of.partition, of.position.next_sequence - 1)).collect();
    for (partition, last) in layouts.last_of_all(&now) {
        heads.begin(partition, last, kept);
        acts.begin(&mut *billing.store().pool().acquire().await?, partition, last).await?;
    }
    let mut former_entries = 0;
    for partition in 0..ledger.partitions() {
        let mut check = Check { ledger, partition, findings: &mut findings };
        let mut rebuild = Rebuild::for_comparison(ledger.clock().clone());
        let position = {
            let mut snapshot = snapshot(billing).await?;
            let position = position(&mut snapshot, partition).await?;
            let (mut projection, mut contradicted) = (Projection::default(), HashSet::new());
            let mut former = FormerEntries::of(&layouts, Placed::Now, partition);
            let (mut after, mut is_former) = (layouts.behind(), true);
            loop {
                let read = former.next(&mut snapshot).await?;
                let mut records = if read.is_empty() {
                    if std::mem::take(&mut is_former) {
                        rebuild.begin_behind(after);
                        projection.place_all(partition);
                    }
                    let records = behind(&mut *snapshot, partition, after, PAGE).await?;
                    let Some(last) = records.last() else { break };
                    after = last.sequence;
                    check.replay(&mut rebuild, &records);
                    records
                } else {
                    former_entries += read.len() as u64;
                    check.replay_former(&mut rebuild, &read);
                    read.into_iter().map(|one| one.record).collect()
                };
                for record in &records {
                    credited.take(&record.entry);
                    heads.take(record);
                    acts.take(record);
                }
                check.fold(&mut projection, &mut contradicted, &mut records);
                seen(Step::Entries, check.findings.entries, expected.max(check.findings.entries));
            }
            if after + 1 != position.next_sequence {
                let what = format!("SQL's entries end with {after}, and its position says {}", position.next_sequence);
                check.add(Place::Journal, "position", what);
            }
            check.accounts(&mut snapshot, &projection).await?;
            check.totals(&mut snapshot, projection).await?;
            position
        };
        check.ledger(rebuild, position).await?;
    }
    if former_entries != layouts.entries() {
        let what = format!("there are {former_entries} entries of accounts, and there should be {}", layouts.entries());
        findings.add(Place::Journal, None, "before the ledger had its partitions", what);
    }
    findings.gaps = gap::accepted(billing.store()).await?;
    let mut snapshot = snapshot(billing).await?;
    holes::compare(&mut snapshot, &layouts, ledger.partitions(), &mut findings).await?;
    documents::compare(&mut snapshot, &mut findings).await?;
    payments::compare(&mut snapshot, &credited, &mut heads, &layouts, &mut findings).await?;
    let (of_allocations, others): (Vec<Head>, Vec<Head>) = kept.iter().cloned().partition(|head| head.series.starts_with(ALLOCATIONS));
    let (of_audit, of_series): (Vec<Head>, Vec<Head>) = others.into_iter().partition(|head| head.series.starts_with(AUDIT));
    let terms = Terms::of(billing, terms);
    let left = series::compare(&mut snapshot, &of_series, terms, &seen, &mut findings).await?;
    let evidence = audit::compare(&mut snapshot, &of_audit, acts, terms, &mut findings).await?;
    terms.compare(left, &evidence, &mut findings);
    heads.compare(&of_allocations, &mut findings);
    Ok(findings)
}

/// A view of the store that does not move.
async fn snapshot(billing: &Billing) -> Result<Transaction<'static, Any>, VerifyError> {
    Ok(match billing.store().dialect() {
        Dialect::Postgres => billing.store().pool().begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?,
        Dialect::Sqlite => billing.store().pool().begin_with("BEGIN").await?,
    })
}

async fn position(connection: &mut AnyConnection, partition: u16) -> Result<Position, VerifyError> {
    let sql = "SELECT next_sequence, last_block, last_time FROM partitions WHERE partition = $1";
    let row = sqlx::query(sql).bind(i64::from(partition)).fetch_optional(connection).await?;
    Ok(row.as_ref().map(partitions::read_position).transpose()?.unwrap_or(Position::BEGINNING))
}

/// One partition being compared.
struct Check<'a> {
    ledger: &'a Ledger,
    partition: u16,
    findings: &'a mut Findings,
}

impl Check<'_> {
    fn add(&mut self, place: Place, subject: impl Into<String>, what: impl Into<String>) {
        self.findings.add(place, Some(self.partition), subject, what);
    }

    /// Takes in each record; where one does not follow, nothing is reported of what follows on it.
    fn fold(&mut self, projection: &mut Projection, contradicted: &mut HashSet<AccountId>, records: &mut [Record]) {
        for record in records {
            if contradicted.contains(&record.entry.account) {
                continue;
            }
            if let Err(broken) = projection.take(std::slice::from_mut(record)) {
                self.add(Place::Journal, record.id(), broken.to_string());
                contradicted.insert(record.entry.account.clone());
            }
        }
    }

    fn replay(&mut self, rebuild: &mut Rebuild, records: &[Record]) {
        for record in records {
            self.contradicted(record, rebuild.replay(record.sequence, &record.entry));
        }
    }

    fn replay_former(&mut self, rebuild: &mut Rebuild, entries: &[FormerEntry]) {
        for FormerEntry { record, renumbering } in entries {
            self.contradicted(record, rebuild.replay_former(record.sequence, &record.entry, *renumbering));
        }
    }

    fn contradicted(&mut self, record: &Record, contradictions: Vec<Inconsistency>) {
        self.findings.entries += 1;
        for Inconsistency { account, what, .. } in contradictions {
            self.add(Place::Journal, record.id(), format!("account {account}: {what}"));
        }
    }

    /// The accounts' rows. What is reserved is left out: what expires has no entry.
    async fn accounts(&mut self, connection: &mut AnyConnection, projection: &Projection) -> Result<(), VerifyError> {
        let mut seen = 0;
        let mut after = String::new();
        loop {
            let sql = "SELECT * FROM accounts WHERE partition = $1 AND account > $2 ORDER BY account LIMIT $3";
            let query = sqlx::query(sql).bind(i64::from(self.partition)).bind(after.clone()).bind(PAGE);
            let rows = query.fetch_all(&mut *connection).await?;
            let Some(last) = rows.last() else { break };
            after = last.try_get("account")?;
            for row in &rows {
                let id = row.account_id("account")?;
                seen += 1;
                self.findings.accounts_in_sql += 1;
                let place = partition_of(&id, self.ledger.partitions());
                if place != self.partition {
                    self.add(Place::Accounts, id.clone(), format!("is in partition {}, and should be in {place}", self.partition));
                }
                match projection.accounts.get(&id) {
                    None => self.add(Place::Accounts, id, "no entry creates it"),
                    Some(expected) if *expected != read_account(row)? => {
                        let what = differences::of_state(&read_account(row)?, expected);
                        self.add(Place::Accounts, id, what);
                    }
                    Some(_) => {}
                }
            }
        }
        if seen != projection.accounts.len() {
            self.add(Place::Accounts, "rows", format!("there are {seen}, and there should be {}", projection.accounts.len()));
        }
        Ok(())
    }

    async fn totals(&mut self, connection: &mut AnyConnection, projection: Projection) -> Result<(), VerifyError> {
        let mut expected = projection.totals;
        self.findings.totals += expected.len() as u64;
        let mut after = (String::new(), 0_i64);
        loop {
            // A page ends with a bill, so that the next can begin behind it.
            let bills = "SELECT DISTINCT totals.account, totals.bill FROM totals JOIN accounts ON accounts.account = totals.account \
                         WHERE accounts.partition = $1 AND (totals.account > $2 OR (totals.account = $2 AND totals.bill > $3)) \
                         ORDER BY totals.account, totals.bill LIMIT $4";
            let sql = format!(
                "SELECT totals.* FROM totals JOIN ({bills}) bills ON bills.account = totals.account AND bills.bill = totals.bill \
                 ORDER BY totals.account, totals.bill"
            );
            let query = sqlx::query(AssertSqlSafe(sql)).bind(i64::from(self.partition)).bind(after.0.clone()).bind(after.1).bind(PAGE);
            let rows = query.fetch_all(&mut *connection).await?;
            let Some(last) = rows.last() else { break };
            after = (last.try_get("account")?, last.try_get("bill")?);
            for row in &rows {
                let (key, found) = read_total(row)?;
                match expected.remove(&key) {
                    Some(total) if total.agrees(&found) => {}
                    Some(total) => self.add(Place::Totals, name_of(&key), differences::of_total(&found, &total)),
                    None => self.add(Place::Totals, name_of(&key), "no entry makes it"),
                }
            }
        }
        for (key, Total { amount, .. }) in expected {
            self.add(Place::Totals, name_of(&key), format!("is missing, and should be {amount}"));
        }
        Ok(())
    }

    /// The ledger against what entries in SQL, and then in the journal, make of it.
    async fn ledger(&mut self, mut rebuild: Rebuild, mut position: Position) -> Result<(), VerifyError> {
        self.read_on(&mut rebuild, &mut position).await?;
        let mut waiting = rebuild.partition_state().account_ids();
        self.findings.accounts += waiting.len() as u64;
        self.find_strangers(&waiting).await?;
        for look in 1..=LOOKS {
            let mut differing = Vec::new();
            for ids in waiting.chunks(ACCOUNTS_AT_ONCE) {
                for (id, what) in self.compare(&rebuild, ids).await? {
                    differing.push((id, what));
                }
            }
            if differing.is_empty() {
                return Ok(());
            }
            let before = rebuild.sequence();
            self.read_on(&mut rebuild, &mut position).await?;
            let has_moved = rebuild.sequence() != before;
            if look == LOOKS || !has_moved && look > 2 {
                for (id, what) in differing {
                    if has_moved {
                        self.findings.moving.push(id.into());
                    } else {
                        self.add(Place::Ledger, id, what);
                    }
                }
                return Ok(());
            }
            waiting = differing.into_iter().map(|(id, _)| id).collect();
        }
        Ok(())
    }

    /// Replays what the journal has got since, and lets expire what is due, here and in the ledger.
    async fn read_on(&mut self, rebuild: &mut Rebuild, position: &mut Position) -> Result<(), VerifyError> {
        let engine = self.ledger.engine();
        while engine.sweep(self.partition).await? {}
        loop {
            let blocks = engine.blocks_after(self.partition, position.next_sequence - 1, 1_000).await?;
            if blocks.is_empty() {
                break;
            }
            match follow(self.partition, *position, blocks) {
                Ok((records, next)) => {
                    self.findings.entries_beyond_sql += records.len() as u64;
                    self.replay(rebuild, &records);
                    *position = next;
                }
                Err(broken) => {
                    self.add(Place::Journal, "chain", broken.to_string());
                    break;
                }
            }
        }
        let span = engine.journal_span(self.partition).await?;
        if span.next < position.next_sequence {
            let what = format!("the ledger goes on with entry {}, and SQL has entries up to {}", span.next, position.next_sequence - 1);
            self.add(Place::Journal, "chain", what);
        }
        rebuild.advance(self.ledger.clock().now());
        Ok(())
    }

    /// Accounts of the ledger that no entry creates.
    async fn find_strangers(&mut self, known: &[AccountId]) -> Result<(), VerifyError> {
        let known: BTreeSet<&AccountId> = known.iter().collect();
        let mut after = None;
        loop {
            let places = self.ledger.engine().names(self.partition, String::new(), after.take(), ACCOUNTS_AT_ONCE).await?;
            let Some(last) = places.last() else { return Ok(()) };
            after = Some(last.clone());
            for place in places.iter().filter(|place| !known.contains(&place.account)) {
                self.add(Place::Ledger, place.account.clone(), "no entry creates it");
            }
        }
    }

    /// The accounts that differ, and how.
    async fn compare(&self, rebuild: &Rebuild, ids: &[AccountId]) -> Result<Vec<(AccountId, String)>, VerifyError> {
        let (engine, partition_state) = (self.ledger.engine(), rebuild.partition_state());
        let stored = engine.load(self.partition, ids.to_vec()).await?;
        let mut differing = Vec::new();
        for ((id, found), expected) in ids.iter().zip(stored).zip(partition_state.load(ids)) {
            let what = match (found, expected) {
                (None, _) => Some("is not there".to_owned()),
                (Some(found), Some(mut expected)) => {
                    if rebuild.has_gap() {
                        expected.0.reserved = found.0.reserved;
                        expected.0.open_reservations = found.0.open_reservations;
                    }
                    describe(&found, &expected)
                }
                (Some(_), None) => Some("no entry creates it".to_owned()),
            };
            let what = match what {
                Some(what) => Some(what),
                None => self.compare_reservations(rebuild, id).await?,
            };
            if let Some(what) = what {
                differing.push((id.clone(), what));
            }
        }
        Ok(differing)
    }

    async fn compare_reservations(&self, rebuild: &Rebuild, id: &AccountId) -> Result<Option<String>, VerifyError> {
        let partition_state = rebuild.partition_state();
        let Some(Some((account, _))) = partition_state.load(&[id.to_owned()]).into_iter().next() else { return Ok(None) };
        if account.open_reservations == 0 {
            return Ok(None);
        }
        let most = domain::rules::MAX_OPEN_RESERVATIONS as usize;
        let found: Vec<(IdempotencyKey, Reservation)> =
            self.ledger.engine().reservations(self.partition, id.to_owned(), None, most).await?;
        let expected = partition_state.reservations(id, None, most);
        // Those that were made within a gap are not known.
        let agrees = if rebuild.has_gap() { expected.iter().all(|one| found.contains(one)) } else { found == expected };
        Ok((!agrees).then(|| {
            let [found, expected] = [&found, &expected].map(|all| differences::of_reservations(all.iter().map(|(_, one)| one)));
            format!("its open reservations are {found}, and should be {expected}")
        }))
    }
}

fn name_of(key: &TotalKey) -> String {
    format!("{} bill {} {} {} {}", key.account, key.bill, words::words(&key.kind), key.item, key.unit)
}

fn describe(found: &(Account, Profile), expected: &(Account, Profile)) -> Option<String> {
    if found.0 != expected.0 {
        return Some(differences::of_account(&found.0, &expected.0));
    }
    (found.1 != expected.1).then(|| differences::of_profile(&found.1, &expected.1))
}
