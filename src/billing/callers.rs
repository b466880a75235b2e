//! Who may call, beside the access files: keys, as digests, and client certificates, with what each may do. Each change is audited in its
//! own transaction, and counted, so that copies of earlier states are known to be such.

use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row};

use super::approvals::figures::{self, FigureText};
use super::audit::{self, Act, json_of};
use super::callers_version::{count_change, version};
use super::change::{Applied, Change};
use super::store::Dialect;
use super::store::rows::{Table, Type};
use super::{Billing, BillingError};
use crate::store::Columns;
use domain::time::UnixMillis;

/// The most callers that there are at once.
pub const MOST: i64 = 10_000;

/// By what a caller is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CallerKind {
    Key,
    /// By a client certificate.
    Certificate,
}

impl CallerKind {
    /// Its name, as it is stored.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Certificate => "certificate",
        }
    }

    /// The kind of a name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        [Self::Key, Self::Certificate].into_iter().find(|kind| kind.name() == name)
    }
}

/// A caller, as kept. Times are those of the system; 0 is never.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredCaller {
    /// By what it is known.
    pub kind: CallerKind,
    /// Its name: the actor in the journal.
    pub name: String,
    /// The public part of a key; of a certificate, its name.
    pub id: String,
    /// What is kept of a key.
    pub digest: String,
    /// Roles, accounts and bounds, in JSON.
    pub access: String,
    /// Since when there is this caller.
    pub created_at: UnixMillis,
    /// Who created it; empty if unknown.
    pub created_by: String,
    /// On whose behalf; empty if for nobody else.
    pub created_for: String,
    /// From when on it is refused.
    pub expires_at: UnixMillis,
    /// Since when it is revoked.
    pub revoked_at: UnixMillis,
    /// When it was last used, to the minute.
    pub last_used_at: UnixMillis,
}

/// What came of a caller that was to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CreateOutcome {
    /// It was made, now or before.
    Applied(Applied),
    /// There is one of that name already.
    Taken,
    /// There are as many as there may be.
    TooMany,
}

/// What came of a caller that was to be revoked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RevokeOutcome {
    /// It was revoked, now or before.
    Applied(Applied),
    /// There is none of that name.
    Unknown,
    /// It may not go.
    Needed,
}

/// The admitted callers, in one state of the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdmittedCallers {
    /// Which state it is.
    pub version: i64,
    /// Callers that are neither revoked nor expired.
    pub callers: Vec<StoredCaller>,
    /// Whether there is, or was, anybody.
    pub is_anybody_known: bool,
    /// From which figures on an act needs a second person.
    pub figures: Vec<FigureText>,
}

mod recovered;

const COLUMNS: &str = "kind, name, id, digest, access, created_at, created_by, created_for, expires_at, revoked_at, last_used_at";

const USED: Table = Table { name: "callers", columns: &[("id", Type::Text), ("last_used_at", Type::Number)], on_conflict: "" };

impl Billing {
    /// Makes a caller, once for each request. One of the same name that is revoked or has expired makes room for it.
    pub async fn make_caller(&self, caller: &StoredCaller, change: &Change) -> Result<CreateOutcome, BillingError> {
        let StoredCaller { kind, name, id, access, created_at, expires_at, .. } = caller;
        let mut transaction = self.store().begin().await?;
        let connection = &mut *transaction;
        // The first to change anything: of two at once, one waits for the other.
        count_change(connection).await?;
        let asked = change.asked(&["make", kind.name(), name, access, &expires_at.get().to_string()]);
        if Self::note(connection, "access", &asked, change).await? == Applied::Before {
            return Ok(CreateOutcome::Applied(Applied::Before));
        }
        match find(connection, *kind, name).await? {
            Some(other) if other.is_let_in(*created_at) => return Ok(CreateOutcome::Taken),
            _ => {}
        }
        let count = "SELECT CAST(COUNT(*) AS BIGINT) FROM callers WHERE revoked_at = 0 AND (expires_at = 0 OR expires_at > $1)";
        if sqlx::query(count).bind(created_at.get()).fetch_one(&mut *connection).await?.try_get::<i64, _>(0)? >= MOST {
            return Ok(CreateOutcome::TooMany);
        }
        let caller = StoredCaller { created_by: change.actor.clone(), created_for: change.on_behalf_of.clone(), ..caller.clone() };
        put(connection, &caller).await?;
        forget_ended(connection, *created_at).await?;
        let act = Act::of(&format!("access.{}_made", kind.name()), change).with("name", name.as_str()).with("id", id.as_str());
        let act = act.with("after", json_of(access)).with("expires_at", expires_at.known().map(UnixMillis::get));
        audit::write(connection, self.store().dialect(), audit::SERVICE, &[act]).await?;
        transaction.commit().await?;
        Ok(CreateOutcome::Applied(Applied::Now))
    }

    /// Revokes a caller, once for each request. `may_go` is asked, in the same transaction, with the caller and the others that are let in.
    pub async fn revoke_caller(
        &self,
        kind: CallerKind,
        name: &str,
        at: UnixMillis,
        change: &Change,
        may_go: impl Fn(&StoredCaller, &[StoredCaller]) -> bool,
    ) -> Result<RevokeOutcome, BillingError> {
        let mut transaction = self.store().begin().await?;
        let connection = &mut *transaction;
        count_change(connection).await?;
        let mut others = all(connection).await?;
        let Some(place) = others.iter().position(|other| other.kind == kind && other.name == name) else {
            return Ok(RevokeOutcome::Unknown);
        };
        let found = others.remove(place);
        if Self::note(connection, "access", &change.asked(&["revoke", kind.name(), name]), change).await? == Applied::Before {
            return Ok(RevokeOutcome::Applied(Applied::Before));
        }
        others.retain(|other| other.is_let_in(at));
        if found.is_let_in(at) && !may_go(&found, &others) {
            return Ok(RevokeOutcome::Needed);
        }
        let sql = "UPDATE callers SET revoked_at = $3 WHERE kind = $1 AND name = $2 AND revoked_at = 0";
        sqlx::query(sql).bind(kind.name()).bind(name.to_owned()).bind(at.get()).execute(&mut *connection).await?;
        let act = Act::of(&format!("access.{}_revoked", kind.name()), change).with("name", name).with("id", found.id);
        audit::write(connection, self.store().dialect(), audit::SERVICE, &[act.with("before", json_of(&found.access))]).await?;
        transaction.commit().await?;
        Ok(RevokeOutcome::Applied(Applied::Now))
    }

    pub async fn caller(&self, kind: CallerKind, name: &str) -> Result<Option<StoredCaller>, BillingError> {
        find(&mut *self.store().pool().acquire().await?, kind, name).await
    }

    /// Callers by kind and name, after the given ones.
    pub async fn callers(&self, after: Option<&(CallerKind, String)>, count: usize) -> Result<Vec<StoredCaller>, BillingError> {
        let sql = format!("SELECT {COLUMNS} FROM callers WHERE kind > $1 OR (kind = $1 AND name > $2) ORDER BY kind, name LIMIT $3");
        let (kind, name) = after.map_or(("", ""), |(kind, name)| (kind.name(), name.as_str()));
        let query = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(kind).bind(name.to_owned()).bind(i64::try_from(count).unwrap_or(i64::MAX));
        query.fetch_all(self.store().pool()).await?.iter().map(caller).collect()
    }

    /// Which state callers are in; `None` where there are no tables yet, so that nobody can have been named.
    pub async fn callers_version(&self) -> Result<Option<i64>, BillingError> {
        let connection = &mut *self.store().pool().acquire().await?;
        let sql = match self.store().dialect() {
            Dialect::Postgres => "SELECT CAST(COUNT(*) AS BIGINT) FROM pg_class WHERE oid = to_regclass('callers_version')",
            Dialect::Sqlite => "SELECT COUNT(*) FROM sqlite_schema WHERE name = 'callers_version'",
        };
        match sqlx::query(sql).fetch_one(&mut *connection).await?.try_get::<i64, _>(0)? {
            0 => Ok(None),
            _ => version(connection).await.map(Some),
        }
    }

    /// Returns the admitted callers. The version is read first: later changes are read again under their own.
    pub async fn let_in(&self, now: UnixMillis) -> Result<AdmittedCallers, BillingError> {
        let mut connection = self.store().pool().acquire().await?;
        let version = version(&mut connection).await?;
        let all = all(&mut connection).await?;
        let is_anybody_known = !all.is_empty();
        let figures = figures::known(&mut connection, self.store().dialect()).await?;
        Ok(AdmittedCallers {
            version,
            callers: all.into_iter().filter(|caller| caller.is_let_in(now)).collect(),
            is_anybody_known,
            figures,
        })
    }

    /// Notes that keys were used, by their public part.
    pub async fn note_used(&self, ids: &[String], now: UnixMillis) -> Result<(), BillingError> {
        if ids.is_empty() {
            return Ok(());
        }
        let mut connection = self.store().pool().acquire().await?;
        let rows = ids.iter().map(|id| vec![id.as_str().into(), now.into()]);
        USED.update(&mut connection, self.store().dialect(), rows).await?;
        Ok(())
    }
}

impl StoredCaller {
    /// Whether it is neither revoked nor expired.
    #[must_use]
    pub fn is_let_in(&self, now: UnixMillis) -> bool {
        self.revoked_at.is_none() && (self.expires_at.is_none() || self.expires_at > now)
    }
}

/// Writes a caller, in the place of one of the same name.
async fn put(connection: &mut AnyConnection, caller: &StoredCaller) -> Result<(), BillingError> {
    let StoredCaller { kind, name, id, digest, access, created_at, created_by, created_for, expires_at, .. } = caller.clone();
    let sql = "INSERT INTO callers (kind, name, id, digest, access, created_at, created_by, created_for, expires_at, revoked_at, last_used_at) \
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 0, 0) ON CONFLICT (kind, name) DO UPDATE SET id = excluded.id, \
               digest = excluded.digest, access = excluded.access, created_at = excluded.created_at, created_by = excluded.created_by, \
               created_for = excluded.created_for, expires_at = excluded.expires_at, revoked_at = 0, last_used_at = 0";
    let query = sqlx::query(sql).bind(kind.name()).bind(name).bind(id).bind(digest).bind(access);
    query.bind(created_at.get()).bind(created_by).bind(created_for).bind(expires_at.get()).execute(connection).await?;
    Ok(())
}

/// Of those that were revoked or have expired, only the newest stay: as many as there may be callers. The audit records know them all.
async fn forget_ended(connection: &mut AnyConnection, now: UnixMillis) -> Result<(), BillingError> {
    let ended = "revoked_at > 0 OR (expires_at > 0 AND expires_at <= $1)";
    let sql = format!(
        "DELETE FROM callers WHERE ({ended}) AND created_at < \
         (SELECT created_at FROM callers WHERE {ended} ORDER BY created_at DESC LIMIT 1 OFFSET {MOST})"
    );
    sqlx::query(sqlx::AssertSqlSafe(sql)).bind(now.get()).execute(connection).await?;
    Ok(())
}

async fn all(connection: &mut AnyConnection) -> Result<Vec<StoredCaller>, BillingError> {
    let sql = format!("SELECT {COLUMNS} FROM callers ORDER BY kind, name");
    sqlx::query(sqlx::AssertSqlSafe(sql)).fetch_all(connection).await?.iter().map(caller).collect()
}

async fn find(connection: &mut AnyConnection, kind: CallerKind, name: &str) -> Result<Option<StoredCaller>, BillingError> {
    let sql = format!("SELECT {COLUMNS} FROM callers WHERE kind = $1 AND name = $2");
    let query = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(kind.name()).bind(name.to_owned());
    query.fetch_optional(connection).await?.as_ref().map(caller).transpose()
}

fn caller(row: &AnyRow) -> Result<StoredCaller, BillingError> {
    let kind: String = row.try_get("kind")?;
    Ok(StoredCaller {
        kind: CallerKind::named(&kind).ok_or_else(|| BillingError::corrupt(format!("the caller's kind {kind:?}")))?,
        name: row.try_get("name")?,
        id: row.try_get("id")?,
        digest: row.try_get("digest")?,
        access: row.try_get("access")?,
        created_at: row.instant("created_at")?,
        created_by: row.try_get("created_by")?,
        created_for: row.try_get("created_for")?,
        expires_at: row.instant("expires_at")?,
        revoked_at: row.instant("revoked_at")?,
        last_used_at: row.instant("last_used_at")?,
    })
}
