//! The users of the web console, their sessions, the links that sign in once, and their second factors: rows, and no rules.
//!
//! What lets somebody in (the content of a cookie, of a link) is kept as a digest. Times are those of the system. What changes who may do
//! what is recorded in the transaction that does it, if an act is given.

pub mod second_factors;

use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row};

use super::BillingError;
use super::audit::{self, Act, SERVICE};
use super::store::Store;
use crate::store::Columns;
use domain::time::{Millis, UnixMillis};

/// A user, as kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredUser {
    /// The name: the actor in the journal.
    pub name: String,
    /// Roles, accounts and bounds, in JSON; of a user of a provider an array of them.
    pub access: String,
    /// The password's hash; empty if there is none.
    pub password: String,
    /// Whether the user may not sign in.
    pub is_disabled: bool,
    /// Since when there is this user.
    pub created_at: UnixMillis,
    /// Whether a code is asked for when the user signs in.
    pub has_second_factor: bool,
    /// The identity provider where the user signs in; empty for none.
    pub issuer: String,
    /// The last link that signs in as this user.
    pub invited: Invited,
}

/// The creator of a sign-in link, and when it was created.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Invited {
    /// When.
    pub at: UnixMillis,
    /// The caller; empty if unknown.
    pub by: String,
    /// On whose behalf; empty if for nobody else.
    pub on_behalf_of: String,
}

/// A session, as kept, with its user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredSession {
    /// Whose it is.
    pub user: StoredUser,
    /// The language that the user chose; empty for none.
    pub language: String,
    /// When it was last used, to the minute or so.
    pub seen_at: UnixMillis,
    /// How it began.
    pub way: String,
}

/// What begins: whose it is, how it began, and what the browser keeps, as a digest.
#[derive(Clone, Copy, Debug)]
pub struct SignIn<'a> {
    /// Of what the browser keeps.
    pub digest: &'a str,
    /// Whose it is.
    pub user: &'a str,
    /// How it began.
    pub way: &'a str,
}

/// How old a session may become.
#[derive(Clone, Copy, Debug)]
pub struct SessionAge {
    /// Since it was last used.
    pub idle: Millis,
    /// Since it began.
    pub whole: Millis,
}

/// The tables of users. Cheap to clone.
#[derive(Clone, Debug)]
pub struct UserTables(Store);

const COLUMNS: &str = "users.name, users.access, users.password, users.is_disabled, users.created_at, users.issuer, users.invited_at, \
    users.invited_by, users.invited_for, \
    (SELECT COUNT(*) FROM second_factors WHERE second_factors.user_name = users.name AND second_factors.confirmed_at > 0) AS factors";

impl UserTables {
    /// Those of a store.
    #[must_use]
    pub fn of(store: Store) -> Self {
        Self(store)
    }

    /// Waits for a moment until the tables are there.
    pub async fn ready(&self) -> Result<(), BillingError> {
        self.0.ready().await
    }

    /// Creates a user, and returns whether there was none of that name.
    pub async fn create(&self, name: &str, access: &str, at: UnixMillis, act: Option<&Act>) -> Result<bool, BillingError> {
        let mut transaction = self.0.begin().await?;
        let sql = "INSERT INTO users (name, access, created_at) VALUES ($1, $2, $3) ON CONFLICT (name) DO NOTHING";
        let query = sqlx::query(sql).bind(name.to_owned()).bind(access.to_owned()).bind(at.get());
        let is_new = query.execute(&mut *transaction).await?.rows_affected() > 0;
        self.record(&mut transaction, act.filter(|_| is_new)).await?;
        transaction.commit().await?;
        Ok(is_new)
    }

    /// Records an act in the transaction that does it.
    async fn record(&self, connection: &mut AnyConnection, act: Option<&Act>) -> Result<(), BillingError> {
        audit::write(connection, self.0.dialect(), SERVICE, act.map(std::slice::from_ref).unwrap_or_default()).await
    }

    /// Finds a user.
    pub async fn find(&self, name: &str) -> Result<Option<StoredUser>, BillingError> {
        let sql = format!("SELECT {COLUMNS} FROM users WHERE name = $1");
        sqlx::query(sqlx::AssertSqlSafe(sql)).bind(name.to_owned()).fetch_optional(self.0.pool()).await?.as_ref().map(user).transpose()
    }

    /// Creates a user whom an identity provider means by a subject, and returns whether there was none of that name, nor of that subject.
    pub async fn create_of_provider(
        &self,
        name: &str,
        access: &str,
        issuer: &str,
        subject: &str,
        at: UnixMillis,
    ) -> Result<bool, BillingError> {
        let sql = "INSERT INTO users (name, access, issuer, subject, created_at) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING";
        let query = sqlx::query(sql).bind(name.to_owned()).bind(access.to_owned()).bind(issuer.to_owned());
        Ok(query.bind(subject.to_owned()).bind(at.get()).execute(self.0.pool()).await?.rows_affected() > 0)
    }

    /// Finds the user whom an identity provider means by a subject.
    pub async fn find_of_provider(&self, issuer: &str, subject: &str) -> Result<Option<StoredUser>, BillingError> {
        let sql = format!("SELECT {COLUMNS} FROM users WHERE issuer = $1 AND subject = $2 AND issuer <> ''");
        let query = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(issuer.to_owned()).bind(subject.to_owned());
        query.fetch_optional(self.0.pool()).await?.as_ref().map(user).transpose()
    }

    /// All users by name, at most as many as asked for.
    pub async fn list(&self, count: usize) -> Result<Vec<StoredUser>, BillingError> {
        let sql = format!("SELECT {COLUMNS} FROM users ORDER BY name LIMIT $1");
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(i64::try_from(count).unwrap_or(i64::MAX)).fetch_all(self.0.pool()).await?;
        rows.iter().map(user).collect()
    }

    /// Whether somebody can sign in by a password.
    pub async fn has_passwords(&self) -> Result<bool, BillingError> {
        let sql = "SELECT 1 FROM users WHERE password <> '' AND is_disabled = 0 LIMIT 1";
        Ok(sqlx::query(sql).fetch_optional(self.0.pool()).await?.is_some())
    }

    /// Sets a user's password. Its sessions and links end.
    pub async fn set_password(&self, name: &str, password: &str) -> Result<(), BillingError> {
        let mut transaction = self.0.begin().await?;
        let query = sqlx::query("UPDATE users SET password = $2 WHERE name = $1").bind(name.to_owned());
        query.bind(password.to_owned()).execute(&mut *transaction).await?;
        end_all(&mut transaction, name, NO_SESSION).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Sets what a user may do. Sessions hold what is set from their next page on.
    pub async fn set_access(&self, name: &str, access: &str, act: Option<&Act>) -> Result<(), BillingError> {
        let mut transaction = self.0.begin().await?;
        let query = sqlx::query("UPDATE users SET access = $2 WHERE name = $1").bind(name.to_owned());
        query.bind(access.to_owned()).execute(&mut *transaction).await?;
        self.record(&mut transaction, act).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Disables a user, or enables it again, and returns whether there is one of that name. Its sessions and links end.
    pub async fn set_disabled(&self, name: &str, is_disabled: bool, act: Option<&Act>) -> Result<bool, BillingError> {
        let mut transaction = self.0.begin().await?;
        let query = sqlx::query("UPDATE users SET is_disabled = $2 WHERE name = $1").bind(name.to_owned());
        let found = query.bind(i64::from(is_disabled)).execute(&mut *transaction).await?.rows_affected() > 0;
        end_all(&mut transaction, name, NO_SESSION).await?;
        self.record(&mut transaction, act.filter(|_| found)).await?;
        transaction.commit().await?;
        Ok(found)
    }

    /// Stores a link with its creator, and deletes expired links.
    pub async fn add_link(
        &self,
        digest: &str,
        name: &str,
        made: &Invited,
        expires_at: UnixMillis,
        act: Option<&Act>,
    ) -> Result<(), BillingError> {
        let mut transaction = self.0.begin().await?;
        let connection = &mut *transaction;
        sqlx::query("DELETE FROM sign_in_links WHERE expires_at <= $1").bind(made.at.get()).execute(&mut *connection).await?;
        let query = sqlx::query("INSERT INTO sign_in_links (digest, user_name, expires_at) VALUES ($1, $2, $3)");
        query.bind(digest.to_owned()).bind(name.to_owned()).bind(expires_at.get()).execute(&mut *connection).await?;
        let query = sqlx::query("UPDATE users SET invited_at = $2, invited_by = $3, invited_for = $4 WHERE name = $1");
        let query = query.bind(name.to_owned()).bind(made.at.get()).bind(made.by.clone()).bind(made.on_behalf_of.clone());
        query.execute(&mut *connection).await?;
        self.record(connection, act).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Whose a link is.
    pub async fn link(&self, digest: &str, now: UnixMillis) -> Result<Option<String>, BillingError> {
        let query = sqlx::query("SELECT user_name FROM sign_in_links WHERE digest = $1 AND expires_at > $2");
        let row = query.bind(digest.to_owned()).bind(now.get()).fetch_optional(self.0.pool()).await?;
        row.map(|row| Ok(row.try_get(0)?)).transpose()
    }

    /// Deletes a link, and returns whose it was. Of several that try at once, one succeeds.
    pub async fn take_link(&self, digest: &str, now: UnixMillis) -> Result<Option<String>, BillingError> {
        let query = sqlx::query("DELETE FROM sign_in_links WHERE digest = $1 AND expires_at > $2 RETURNING user_name");
        let row = query.bind(digest.to_owned()).bind(now.get()).fetch_optional(self.0.pool()).await?;
        row.map(|row| Ok(row.try_get(0)?)).transpose()
    }

    /// Begins a session, and forgets those that are too old.
    pub async fn begin_session(&self, sign_in: SignIn<'_>, now: UnixMillis, age: SessionAge) -> Result<(), BillingError> {
        let sql = "DELETE FROM sessions WHERE created_at <= $1 OR seen_at <= $2";
        sqlx::query(sql).bind((now - age.whole).get()).bind((now - age.idle).get()).execute(self.0.pool()).await?;
        let SignIn { digest, user, way } = sign_in;
        let sql = "INSERT INTO sessions (digest, user_name, way, created_at, seen_at) VALUES ($1, $2, $3, $4, $4)";
        let query = sqlx::query(sql).bind(digest.to_owned()).bind(user.to_owned()).bind(way.to_owned());
        query.bind(now.get()).execute(self.0.pool()).await?;
        Ok(())
    }

    /// The session of a digest, if it is not too old and its user may still sign in.
    pub async fn session(&self, digest: &str, now: UnixMillis, age: SessionAge) -> Result<Option<StoredSession>, BillingError> {
        let sql = format!(
            "SELECT {COLUMNS}, sessions.language, sessions.seen_at, sessions.way FROM sessions JOIN users ON users.name = sessions.user_name \
             WHERE sessions.digest = $1 AND sessions.created_at > $2 AND sessions.seen_at > $3 AND users.is_disabled = 0"
        );
        let query =
            sqlx::query(sqlx::AssertSqlSafe(sql)).bind(digest.to_owned()).bind((now - age.whole).get()).bind((now - age.idle).get());
        let Some(row) = query.fetch_optional(self.0.pool()).await? else { return Ok(None) };
        let (language, seen_at, way) = (row.try_get("language")?, row.instant("seen_at")?, row.try_get("way")?);
        Ok(Some(StoredSession { user: user(&row)?, language, seen_at, way }))
    }

    /// Notes that a session was used.
    pub async fn touch(&self, digest: &str, now: UnixMillis) -> Result<(), BillingError> {
        let query = sqlx::query("UPDATE sessions SET seen_at = $2 WHERE digest = $1");
        query.bind(digest.to_owned()).bind(now.get()).execute(self.0.pool()).await?;
        Ok(())
    }

    /// Notes the language that a user chose.
    pub async fn set_language(&self, digest: &str, language: &str) -> Result<(), BillingError> {
        let query = sqlx::query("UPDATE sessions SET language = $2 WHERE digest = $1");
        query.bind(digest.to_owned()).bind(language.to_owned()).execute(self.0.pool()).await?;
        Ok(())
    }

    /// Ends a session.
    pub async fn end_session(&self, digest: &str) -> Result<(), BillingError> {
        sqlx::query("DELETE FROM sessions WHERE digest = $1").bind(digest.to_owned()).execute(self.0.pool()).await?;
        Ok(())
    }

    /// Ends all sessions and links of a user.
    pub async fn end_sessions(&self, name: &str) -> Result<(), BillingError> {
        let mut transaction = self.0.begin().await?;
        end_all(&mut transaction, name, NO_SESSION).await?;
        transaction.commit().await?;
        Ok(())
    }
}

/// The digest of no session.
const NO_SESSION: &str = "";

/// Ends the sessions of a user but one, the links by which it could begin one, and what awaits its code.
async fn end_all(connection: &mut AnyConnection, name: &str, but: &str) -> Result<(), BillingError> {
    for table in ["sessions", "sign_in_links", "unfinished_sign_ins"] {
        let sql = format!("DELETE FROM {table} WHERE user_name = $1 AND digest <> $2");
        sqlx::query(sqlx::AssertSqlSafe(sql)).bind(name.to_owned()).bind(but.to_owned()).execute(&mut *connection).await?;
    }
    Ok(())
}

fn user(row: &AnyRow) -> Result<StoredUser, BillingError> {
    Ok(StoredUser {
        name: row.try_get("name")?,
        access: row.try_get("access")?,
        password: row.try_get("password")?,
        is_disabled: row.try_get::<i64, _>("is_disabled")? != 0,
        created_at: row.instant("created_at")?,
        has_second_factor: row.try_get::<i64, _>("factors")? > 0,
        issuer: row.try_get("issuer")?,
        invited: Invited { at: row.instant("invited_at")?, by: row.try_get("invited_by")?, on_behalf_of: row.try_get("invited_for")? },
    })
}
