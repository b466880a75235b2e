//! A billing store that was restored to an earlier state: what the copy of the callers in the ledger's store knows since is taken over.

use super::{COLUMNS, StoredCaller, caller, put};
use crate::approvals::figures::{self, FigureText};
use crate::audit::{self, Act};
use crate::{Billing, BillingError};
use domain::origin::Origin;
use domain::time::UnixMillis;

impl Billing {
    /// Takes over who is let in from a copy of a later state than this store's: who was made since is let in, who was revoked since is not, and the
    /// figures of approval are those of then.
    /// Returns whether the copy is of a later state.
    pub async fn recover_callers(
        &self,
        copied: i64,
        let_in: &[StoredCaller],
        above: &[FigureText],
        now: UnixMillis,
    ) -> Result<bool, BillingError> {
        let mut transaction = self.store().begin().await?;
        let connection = &mut *transaction;
        let later = "UPDATE callers_version SET version = $1 WHERE id = 1 AND version < $2";
        if sqlx::query(later).bind(copied.saturating_add(1)).bind(copied).execute(&mut *connection).await?.rows_affected() == 0 {
            return Ok(false);
        }
        let sql = format!("SELECT {COLUMNS} FROM callers ORDER BY kind, name");
        let known = sqlx::query(sqlx::AssertSqlSafe(sql)).fetch_all(&mut *connection).await?;
        let known = known.iter().map(caller).collect::<Result<Vec<_>, _>>()?;
        let known: Vec<_> = known.into_iter().filter(|known| known.is_let_in(now)).collect();
        let is_same = |one: &StoredCaller, other: &StoredCaller| (one.kind, &one.name, &one.id) == (other.kind, &other.name, &other.id);
        let (mut made, mut revoked) = (Vec::new(), Vec::new());
        for gone in known.iter().filter(|known| !let_in.iter().any(|caller| is_same(known, caller))) {
            let sql = "UPDATE callers SET revoked_at = $3 WHERE kind = $1 AND name = $2";
            sqlx::query(sql).bind(gone.kind.name()).bind(gone.name.clone()).bind(now.get()).execute(&mut *connection).await?;
            revoked.push(format!("{} {}", gone.kind.name(), gone.name));
        }
        let is_let_in = |caller: &&StoredCaller| caller.is_let_in(now);
        for new in let_in.iter().filter(is_let_in).filter(|caller| !known.iter().any(|known| is_same(known, caller))) {
            let created_at = if new.created_at.is_some() { new.created_at } else { now };
            put(connection, &StoredCaller { created_at, ..new.clone() }).await?;
            made.push(format!("{} {}", new.kind.name(), new.name));
        }
        figures::recover(connection, above).await?;
        let act = Act { at: now, action: "access.recovered".to_owned(), origin: Origin::local(), ..Act::default() };
        let act = act.with("version", copied).with("made", made).with("revoked", revoked);
        audit::write(connection, self.store().dialect(), audit::SERVICE, &[act]).await?;
        transaction.commit().await?;
        Ok(true)
    }
}
