//! Receivables of an earlier day: what was open when it ended.
//!
//! Invoices, what paid them, and what operators did by hand have their times; so has what was set aside, by its entry. Mode and balance are
//! those after the account's last entry of the day or before, which is looked for along its chain. No account has ever owed anything but one
//! that is postpaid, or was: it has been converted.

use sqlx::any::AnyRow;
use sqlx::{AnyConnection, AssertSqlSafe, Row};

use super::{AccountReceivables, Ages, OpenInvoice, Owing, PaidPart};
use crate::account_history::{Chain, WALK};
use crate::kinds::CONVERSIONS;
use crate::layouts::Layouts;
use crate::position::{JournalPosition, position};
use crate::record::{coded, narrow};
use crate::scope::Scope;
use crate::store::Columns;
use crate::{Billing, BillingError};
use domain::account::Mode;
use domain::ids::AccountId;
use domain::money::Units;
use domain::time::UnixMillis;
use ledger::codec;

/// How many accounts are looked at before the next are read.
const SLICE: usize = 500;

/// An account after its last entry before an instant.
struct Former {
    mode: Mode,
    balance: Units,
    /// The number of its last entry that moved money; 0 if there was none.
    moved: i64,
}

impl Billing {
    /// What was due when a day ended, by age on that day, in the order of ids, as [`Billing::receivables`] tells it of now. `before` is
    /// the first instant after the day.
    pub async fn receivables_as_of(
        &self,
        before: UnixMillis,
        account: Option<&AccountId>,
        after: Option<&str>,
        count: usize,
        scope: Option<&Scope>,
    ) -> Result<(Vec<AccountReceivables>, JournalPosition), BillingError> {
        let mut transaction = self.store().begin_reading().await?;
        let connection = &mut *transaction;
        let (layouts, ages) = (Layouts::read(&mut *connection).await?, Ages::at(before - 1, self.settings())?);
        let (mut found, mut after) = (Vec::new(), after.unwrap_or_default().to_owned());
        'all: loop {
            let rows = candidates(connection, before, account, &after, scope).await?;
            for row in &rows {
                if let Some(owing) = owing_before(connection, &layouts, row, before).await? {
                    found.extend(owing.aged(&ages, self.settings())?);
                }
                if found.len() >= count {
                    break 'all;
                }
            }
            match rows.last() {
                Some(last) if rows.len() == SLICE => after = last.try_get("account")?,
                _ => break,
            }
        }
        let position = position(connection).await?;
        transaction.commit().await?;
        Ok((found, position))
    }

    /// When the first entry was made of those that are here; `None` if there is none.
    pub async fn begins_at(&self) -> Result<Option<UnixMillis>, BillingError> {
        let sql = "SELECT COALESCE(MIN(time), 0) FROM (SELECT (SELECT time FROM entries WHERE entries.partition = known.partition \
                   ORDER BY sequence LIMIT 1) AS time FROM (SELECT partition FROM partitions UNION SELECT partition FROM former_partitions) \
                   AS known) AS firsts";
        Ok(sqlx::query(sql).fetch_one(self.store().pool()).await?.instant(0)?.known())
    }
}

/// The next accounts behind one that may have owed anything before an instant; or that account, if it is asked for.
async fn candidates(
    connection: &mut AnyConnection,
    before: UnixMillis,
    account: Option<&AccountId>,
    after: &str,
    scope: Option<&Scope>,
) -> Result<Vec<AnyRow>, BillingError> {
    let mut bounds = Vec::new();
    let is_meant = scope.map_or("1 = 1".to_owned(), |scope| {
        scope.condition("account", |bound| {
            bounds.push(bound);
            format!("${}", bounds.len() + 3)
        })
    });
    let (is_next, place) = match account {
        Some(account) => ("account = $1", account.as_str()),
        None => ("account > $1", after),
    };
    let sql = format!(
        "SELECT account, name, currency, decimals, minor_digits, partition, last_sequence FROM accounts \
         WHERE {is_next} AND created_at < $2 AND {is_meant} AND (mode = {} \
         OR EXISTS (SELECT 1 FROM entries WHERE entries.account = accounts.account AND entries.kind = {CONVERSIONS})) \
         ORDER BY account LIMIT $3",
        Mode::Postpaid as u8
    );
    let query = sqlx::query(AssertSqlSafe(sql)).bind(place.to_owned()).bind(before.get()).bind(i64::try_from(SLICE).unwrap_or(i64::MAX));
    let query = bounds.into_iter().fold(query, |query, bound| query.bind(bound));
    Ok(query.fetch_all(connection).await?)
}

/// What receivables of an account are made of, as it was before an instant; `None` if it was not there.
async fn owing_before(
    connection: &mut AnyConnection,
    layouts: &Layouts,
    row: &AnyRow,
    before: UnixMillis,
) -> Result<Option<Owing>, BillingError> {
    let mut of = AccountReceivables::of_row(row)?;
    let chain = Chain::new(&of.account, narrow(row, "partition")?, row.try_get("last_sequence")?, layouts.clone());
    let Some(Former { mode, balance, moved }) = former(connection, &chain, before).await? else { return Ok(None) };
    let open = open_before(connection, &of.account, before).await?;
    let paid = if open.is_empty() { Vec::new() } else { paid_before(connection, &of.account, before).await? };
    let set_aside = set_aside_before(connection, &of.account, before, moved).await?;
    if mode == Mode::Postpaid {
        let total: Units = open.iter().map(|invoice| invoice.open).sum();
        of.not_invoiced = (set_aside - balance - total).or_zero();
    }
    Ok(Some(Owing { of, balance, set_aside, open, paid }))
}

/// The account after its last entry before an instant.
async fn former(connection: &mut AnyConnection, chain: &Chain, before: UnixMillis) -> Result<Option<Former>, BillingError> {
    // Most accounts have few entries since.
    let (mut next, mut count, mut found) = (chain.last, 1, None::<Former>);
    while next > 0 {
        let rows = chain.walk(connection, "previous, time, mode, balance, account_sequence", next, count).await?;
        (next, count) = (0, (count * 16).min(WALK));
        for row in rows {
            next = row.try_get("previous")?;
            if row.instant("time")? >= before {
                continue;
            }
            let moved = row.try_get("account_sequence")?;
            if found.is_none() {
                found = Some(Former { mode: coded(&row, "mode", codec::mode)?, balance: row.units("balance")?, moved });
            }
            if moved > 0 {
                return Ok(found.map(|former| Former { moved, ..former }));
            }
        }
    }
    Ok(found)
}

/// What was open of an account's invoices: what is open of them now, and what has paid them since.
async fn open_before(connection: &mut AnyConnection, account: &AccountId, before: UnixMillis) -> Result<Vec<OpenInvoice>, BillingError> {
    let sql = "SELECT * FROM (SELECT documents.id AS document, payables.open_amount + CAST(COALESCE((SELECT SUM(allocations.amount) \
               FROM allocations WHERE allocations.document = documents.id AND allocations.time >= $2), 0) AS BIGINT) AS open_amount, \
               CASE WHEN issued.issued_at < $2 THEN issued.number ELSE '' END AS number, \
               CASE WHEN issued.issued_at < $2 THEN issued.due_at ELSE 0 END AS due_at \
               FROM documents JOIN payables ON payables.document = documents.id LEFT JOIN issued ON issued.document = documents.id \
               WHERE documents.account = $1 AND documents.cut_at < $2) AS former WHERE open_amount > 0";
    let rows = sqlx::query(sql).bind(account.to_string()).bind(before.get()).fetch_all(connection).await?;
    rows.iter().map(OpenInvoice::from_row).collect()
}

/// What had paid an account's invoices of which something was taken back.
async fn paid_before(connection: &mut AnyConnection, account: &AccountId, before: UnixMillis) -> Result<Vec<PaidPart>, BillingError> {
    let sql = "SELECT document, sequence, time, amount FROM allocations WHERE account = $1 AND sequence > 0 AND time < $2 \
               AND document IN (SELECT taken.document FROM allocations AS taken \
               WHERE taken.account = $1 AND taken.sequence > 0 AND taken.time < $2 AND taken.amount < 0)";
    let rows = sqlx::query(sql).bind(account.to_string()).bind(before.get()).fetch_all(connection).await?;
    rows.iter().map(PaidPart::from_row).collect()
}

/// What operators had set aside: by their acts before an instant, and by entries up to a number. Of what was set aside before that was
/// noted, no time is known: it counts from its credit on.
async fn set_aside_before(
    connection: &mut AnyConnection,
    account: &AccountId,
    before: UnixMillis,
    moved: i64,
) -> Result<Units, BillingError> {
    let sql = "SELECT CAST(COALESCE(SUM(set_asides.amount), 0) AS BIGINT) AS amount FROM set_asides \
               LEFT JOIN allocations_by_hand AS by_hand ON by_hand.account = set_asides.account AND by_hand.number = -set_asides.sequence \
               WHERE set_asides.account = $1 AND set_asides.credit <= $3 \
               AND ((set_asides.sequence >= 0 AND set_asides.sequence <= $3) OR by_hand.at < $2)";
    let query = sqlx::query(sql).bind(account.to_string()).bind(before.get()).bind(moved);
    Ok(query.fetch_one(connection).await?.units("amount")?)
}
