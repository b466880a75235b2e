//! Accounts that move to other partitions, when a ledger is restored with another number of them.

use sqlx::{AnyConnection, Row};

use super::{Chain, Plan};
use crate::position::hex;
use crate::record::number;
use crate::store::rows::{Table, Type};
use crate::{Billing, BillingError};
use domain::time::UnixMillis;
use ledger::prepared_command::partition_of;

/// How many accounts are placed at once.
const AT_ONCE: i64 = 10_000;

const MOVING: Table = Table { name: "moving_accounts", columns: &[("account", Type::Text), ("partition", Type::Number)], on_conflict: "" };

impl Billing {
    /// Notes in which partition each account is to be.
    pub(super) async fn place_accounts(&self, partitions: u16) -> Result<(), BillingError> {
        let mut transaction = self.store().begin().await?;
        sqlx::query("DELETE FROM moving_accounts").execute(&mut *transaction).await?;
        let mut after = String::new();
        loop {
            let sql = "SELECT account FROM accounts WHERE account > $1 ORDER BY account LIMIT $2";
            let found = sqlx::query(sql).bind(after.clone()).bind(AT_ONCE).fetch_all(&mut *transaction).await?;
            let accounts = found.iter().map(|row| row.try_get(0)).collect::<Result<Vec<String>, _>>()?;
            let Some(last) = accounts.last() else { break };
            after.clone_from(last);
            let rows = accounts.iter().map(|account| vec![account.as_str().into(), i64::from(partition_of(account, partitions)).into()]);
            MOVING.insert(&mut transaction, self.store().dialect(), rows).await?;
        }
        transaction.commit().await?;
        Ok(())
    }
}

/// Puts the new partitions in the place of those that the ledger had, and moves the accounts.
pub(super) async fn lay_out(connection: &mut AnyConnection, plan: &Plan, chains: &[Chain], now: UnixMillis) -> Result<(), BillingError> {
    let Some(before) = plan.layouts.former().last() else { return Ok(()) };
    let number_of_layout = i64::try_from(plan.layouts.former().len()).map_err(BillingError::corrupt)?;
    for (known, last) in plan.known.iter().zip(&before.last) {
        // The first statement also waits for a step that is under way.
        let taken = "UPDATE partitions SET fence = fence + 1 WHERE partition = $1 AND next_sequence = $2 AND fence = $3";
        let query = sqlx::query(taken).bind(i64::from(known.partition)).bind(number(known.position.next_sequence)).bind(known.fence);
        if query.execute(&mut *connection).await?.rows_affected() != 1 {
            let problem = format!("is in use: partition {} of the ledger was read meanwhile. Stop all services first", known.partition);
            return Err(BillingError::Invalid { field: "--billing", problem });
        }
        let sql = "INSERT INTO former_partitions (layout, partition, after_sequence, last_sequence) VALUES ($1, $2, $3, $4)";
        let query = sqlx::query(sql).bind(number_of_layout).bind(i64::from(known.partition)).bind(number(before.behind));
        query.bind(number(*last)).execute(&mut *connection).await?;
    }
    sqlx::query("DELETE FROM partitions").execute(&mut *connection).await?;
    // Above all that were given, so that a process that still works by one of them writes nothing.
    let fence = plan.known.iter().map(|partition| partition.fence).max().unwrap_or(0) + 2;
    // Up to then all is known, of all of them. One whose time was ahead of the clock says nothing of the others.
    let all_known = plan.known.iter().map(|partition| partition.position.last_time).max().unwrap_or_default().min(now);
    // To ask once more for a close that was asked for closes nothing twice.
    let closed_until = plan.known.iter().map(|partition| partition.closed_until).min().unwrap_or_default();
    for Chain { partition, sequence, id, time } in chains {
        sqlx::query(
            "INSERT INTO partitions (partition, fence, next_sequence, last_block, last_time, state, reason, stopped_at, owner, \
             lease_until, closed_until) VALUES ($1, $2, $3, $4, $5, 'RUNNING', '', 0, '', 0, $6)",
        )
        .bind(i64::from(*partition))
        .bind(fence)
        .bind(number(sequence + 1))
        .bind(hex(id))
        .bind(all_known.max(*time).get())
        .bind(closed_until.get())
        .execute(&mut *connection)
        .await?;
    }
    let moved = "UPDATE accounts SET partition = (SELECT moving_accounts.partition FROM moving_accounts \
                 WHERE moving_accounts.account = accounts.account)";
    sqlx::query(moved).execute(&mut *connection).await?;
    sqlx::query("DELETE FROM moving_accounts").execute(&mut *connection).await?;
    Ok(())
}
