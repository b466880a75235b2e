//! The tables of the billing store, and how they are brought up to date.

use sqlx::{AnyConnection, Executor, Row};

use super::{Dialect, Store, foreign};
use crate::BillingError;

/// The migrations, in their order. Their place in the list, from 1 on, is their number, so that none may be moved or changed later.
pub(super) const MIGRATIONS: &[&str] = &[
    include_str!("../migrations/0001_entries.sql"),
    include_str!("../migrations/0002_bills.sql"),
    include_str!("../migrations/0003_reconciliations.sql"),
    include_str!("../migrations/0004_ledger.sql"),
    include_str!("../migrations/0005_issuers.sql"),
    include_str!("../migrations/0006_paper.sql"),
    include_str!("../migrations/0007_refunds.sql"),
    include_str!("../migrations/0008_language.sql"),
    include_str!("../migrations/0009_gaps.sql"),
    include_str!("../migrations/0010_notes.sql"),
    include_str!("../migrations/0011_items.sql"),
    include_str!("../migrations/0012_payments.sql"),
    include_str!("../migrations/0013_books.sql"),
    include_str!("../migrations/0014_lists.sql"),
    include_str!("../migrations/0015_search.sql"),
    include_str!("../migrations/0016_document_search.sql"),
    include_str!("../migrations/0017_open_sums.sql"),
    include_str!("../migrations/0018_by_hand.sql"),
    include_str!("../migrations/0019_on_behalf_of.sql"),
    include_str!("../migrations/0020_time_zone.sql"),
    include_str!("../migrations/0021_audit.sql"),
    include_str!("../migrations/0022_users.sql"),
    include_str!("../migrations/0023_sending.sql"),
    include_str!("../migrations/0024_traces.sql"),
    include_str!("../migrations/0025_callers.sql"),
    include_str!("../migrations/0026_bank.sql"),
    include_str!("../migrations/0027_set_asides.sql"),
    include_str!("../migrations/0028_bank_tries.sql"),
    include_str!("../migrations/0029_approvals.sql"),
    include_str!("../migrations/0030_retention.sql"),
    include_str!("../migrations/0031_entry_details.sql"),
    include_str!("../migrations/0032_approved_entries.sql"),
    include_str!("../migrations/0033_retention_terms.sql"),
    include_str!("../migrations/0034_second_factors.sql"),
    include_str!("../migrations/0035_users_of_providers.sql"),
    include_str!("../migrations/0036_former_partitions.sql"),
    include_str!("../migrations/0037_makers.sql"),
    include_str!("../migrations/0038_account_order.sql"),
    include_str!("../migrations/0039_account_notes.sql"),
    include_str!("../migrations/0040_document_links.sql"),
    include_str!("../migrations/0041_low_credit.sql"),
    include_str!("../migrations/0042_mail_templates.sql"),
    include_str!("../migrations/0043_account_order_by_kind.sql"),
    include_str!("../migrations/0044_documents_by_total.sql"),
    include_str!("../migrations/0045_conversions.sql"),
];

/// Those of which SQLite has a form of its own, by number.
const OF_SQLITE: &[(i64, &str)] = &[
    (15, include_str!("../migrations/0015_search.sqlite.sql")),
    (16, include_str!("../migrations/0016_document_search.sqlite.sql")),
    (38, include_str!("../migrations/0038_account_order.sqlite.sql")),
    (43, include_str!("../migrations/0043_account_order_by_kind.sqlite.sql")),
];

/// What PostgreSQL knows the migrations' lock by.
const MIGRATION_LOCK: i64 = 0x746f_6c6c_6761_7465;

impl Store {
    /// Brings the tables up to date.
    pub async fn migrate(&self) -> Result<(), BillingError> {
        let mut transaction = self.begin().await?;
        let connection = &mut *transaction;
        self.lock_migrations(connection).await?;
        foreign::check(connection, self).await?;
        if !has_migrations(connection, self.dialect).await? {
            connection.execute("CREATE TABLE migrations (version BIGINT NOT NULL PRIMARY KEY)").await?;
        }
        let done = version(&mut *connection).await?;
        match self.encoding_problem().await? {
            Some(problem) if done == 0 => return Err(BillingError::Invalid { field: "--billing", problem }),
            Some(problem) => tracing::error!(problem, "the billing store cannot keep every name"),
            None => {}
        }
        for (number, migration) in (1_i64..).zip(MIGRATIONS.iter().copied()).skip(done) {
            let of_sqlite = OF_SQLITE.iter().find(|(of, _)| self.dialect == Dialect::Sqlite && *of == number);
            sqlx::raw_sql(of_sqlite.map_or(migration, |(_, own)| own)).execute(&mut *connection).await?;
            sqlx::query("INSERT INTO migrations (version) VALUES ($1)").bind(number).execute(&mut *connection).await?;
        }
        transaction.commit().await?;
        match (done, MIGRATIONS.len()) {
            (0, version) => tracing::info!(version, "the billing store's tables were created"),
            (before, version) if before < version => tracing::info!(before, version, "the billing store's tables were brought up to date"),
            _ => {}
        }
        Ok(())
    }

    /// Waits for others that bring what is stored up to date, until the end of the transaction. In SQLite a writer is alone anyway.
    pub async fn lock_migrations(&self, connection: &mut AnyConnection) -> Result<(), BillingError> {
        if self.dialect == Dialect::Postgres {
            sqlx::query("SELECT CAST(pg_advisory_xact_lock($1) AS TEXT)").bind(MIGRATION_LOCK).execute(connection).await?;
        }
        Ok(())
    }
}

/// Whether the table is there by which tables are known to be tollgate's.
pub(super) async fn has_migrations(connection: &mut AnyConnection, dialect: Dialect) -> Result<bool, BillingError> {
    let sql = match dialect {
        Dialect::Postgres => "SELECT CAST(COUNT(*) AS BIGINT) FROM pg_class WHERE oid = to_regclass('migrations')",
        Dialect::Sqlite => "SELECT COUNT(*) FROM sqlite_schema WHERE name = 'migrations'",
    };
    Ok(sqlx::query(sql).fetch_one(connection).await?.try_get::<i64, _>(0)? > 0)
}

/// How many migrations the tables have seen.
pub(super) async fn version(connection: &mut AnyConnection) -> Result<usize, BillingError> {
    let row = sqlx::query("SELECT CAST(COALESCE(MAX(version), 0) AS BIGINT) FROM migrations").fetch_one(connection).await?;
    let version = usize::try_from(row.try_get::<i64, _>(0)?).unwrap_or(usize::MAX);
    let known = MIGRATIONS.len();
    if version > known {
        return Err(BillingError::corrupt(format!(
            "its tables have version {version}, and this tollgate knows them up to version {known}"
        )));
    }
    Ok(version)
}
