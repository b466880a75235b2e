//! Second factors, recovery codes, and those who have shown a password or a link and not yet a code: rows, and no rules.

use sqlx::Row;

use super::{Act, BillingError, SignIn, UserTables, end_all};
use domain::time::Millis;
use domain::time::UnixMillis;

/// For how long the same code confirms once more: a form may be sent twice, and the last page is the one that is seen.
const CONFIRMED_AGAIN: Millis = 60_000;

/// A second factor, as kept.
#[derive(Clone, PartialEq, Eq)]
pub struct StoredFactor {
    /// In base32.
    pub secret: String,
    /// Whether a code has confirmed it.
    pub is_confirmed: bool,
    /// How many recovery codes are left.
    pub recovery_codes: u64,
}

/// A user who has shown a password or a link, but no code yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingSignIn {
    /// The name of the user.
    pub user: String,
    /// How it began.
    pub way: String,
}

impl UserTables {
    /// The second factor of a user, confirmed or not.
    pub async fn second_factor(&self, name: &str) -> Result<Option<StoredFactor>, BillingError> {
        let sql = "SELECT secret, confirmed_at, (SELECT COUNT(*) FROM recovery_codes WHERE user_name = $1) AS codes \
                   FROM second_factors WHERE user_name = $1";
        let Some(row) = sqlx::query(sql).bind(name.to_owned()).fetch_optional(self.0.pool()).await? else { return Ok(None) };
        let (secret, confirmed_at) = (row.try_get("secret")?, row.try_get::<i64, _>("confirmed_at")?);
        let recovery_codes = u64::try_from(row.try_get::<i64, _>("codes")?).unwrap_or_default();
        Ok(Some(StoredFactor { secret, is_confirmed: confirmed_at > 0, recovery_codes }))
    }

    /// Keeps the secret of a second factor that is to be confirmed, in the place of another that never was.
    pub async fn offer_second_factor(&self, name: &str, secret: &str) -> Result<(), BillingError> {
        let sql = "INSERT INTO second_factors (user_name, secret) VALUES ($1, $2) ON CONFLICT (user_name) DO UPDATE \
                   SET secret = excluded.secret, last_step = 0 WHERE second_factors.confirmed_at = 0";
        sqlx::query(sql).bind(name.to_owned()).bind(secret.to_owned()).execute(self.0.pool()).await?;
        Ok(())
    }

    /// Confirms the second factor that has this secret by the code of a step, and keeps recovery codes. Sessions and links of the user end,
    /// but for one session. Returns whether it was still to be confirmed, or just was by the same code.
    pub async fn confirm_second_factor(
        &self,
        name: &str,
        secret: &str,
        step: i64,
        now: UnixMillis,
        recovery_codes: &[String],
        but: &str,
    ) -> Result<bool, BillingError> {
        let mut transaction = self.0.begin().await?;
        let sql = "UPDATE second_factors SET confirmed_at = $3, last_step = $4 WHERE user_name = $1 AND secret = $2 \
                   AND (confirmed_at = 0 OR (confirmed_at > $5 AND last_step = $4))";
        let query =
            sqlx::query(sql).bind(name.to_owned()).bind(secret.to_owned()).bind(now.get()).bind(step).bind((now - CONFIRMED_AGAIN).get());
        if query.execute(&mut *transaction).await?.rows_affected() == 0 {
            return Ok(false);
        }
        replace_recovery_codes(&mut transaction, name, recovery_codes).await?;
        end_all(&mut transaction, name, but).await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// Takes the code of a step, and returns whether that was neither taken before nor older than one that was.
    pub async fn take_step(&self, name: &str, step: i64) -> Result<bool, BillingError> {
        let sql = "UPDATE second_factors SET last_step = $2 WHERE user_name = $1 AND confirmed_at > 0 AND last_step < $2";
        Ok(sqlx::query(sql).bind(name.to_owned()).bind(step).execute(self.0.pool()).await?.rows_affected() > 0)
    }

    /// Takes a recovery code, and returns whether there was such a one.
    pub async fn take_recovery_code(&self, name: &str, digest: &str) -> Result<bool, BillingError> {
        let query = sqlx::query("DELETE FROM recovery_codes WHERE user_name = $1 AND digest = $2").bind(name.to_owned());
        Ok(query.bind(digest.to_owned()).execute(self.0.pool()).await?.rows_affected() > 0)
    }

    /// Keeps recovery codes in the place of others.
    pub async fn set_recovery_codes(&self, name: &str, digests: &[String]) -> Result<(), BillingError> {
        let mut transaction = self.0.begin().await?;
        replace_recovery_codes(&mut transaction, name, digests).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Forgets the second factor of a user, and returns whether one was confirmed. Sessions and links of the user end, but for one session.
    pub async fn forget_second_factor(&self, name: &str, but: &str, act: Option<&Act>) -> Result<bool, BillingError> {
        let mut transaction = self.0.begin().await?;
        replace_recovery_codes(&mut transaction, name, &[]).await?;
        let query = sqlx::query("DELETE FROM second_factors WHERE user_name = $1 RETURNING confirmed_at").bind(name.to_owned());
        let row = query.fetch_optional(&mut *transaction).await?;
        let confirmed_at: i64 = row.map_or(Ok(0), |row| row.try_get(0))?;
        if confirmed_at == 0 {
            return Ok(false);
        }
        end_all(&mut transaction, name, but).await?;
        self.record(&mut transaction, act).await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// Stores a sign-in that still awaits a code, and deletes those that took too long.
    pub async fn begin_unfinished(&self, sign_in: SignIn<'_>, now: UnixMillis, expires_at: UnixMillis) -> Result<(), BillingError> {
        sqlx::query("DELETE FROM unfinished_sign_ins WHERE expires_at <= $1").bind(now.get()).execute(self.0.pool()).await?;
        let SignIn { digest, user, way } = sign_in;
        let query = sqlx::query("INSERT INTO unfinished_sign_ins (digest, user_name, way, expires_at) VALUES ($1, $2, $3, $4)");
        let query = query.bind(digest.to_owned()).bind(user.to_owned()).bind(way.to_owned()).bind(expires_at.get());
        query.execute(self.0.pool()).await?;
        Ok(())
    }

    /// The user whose sign-in still awaits a code.
    pub async fn unfinished(&self, digest: &str, now: UnixMillis) -> Result<Option<PendingSignIn>, BillingError> {
        let sql = "SELECT user_name, way FROM unfinished_sign_ins JOIN users ON users.name = user_name \
                   WHERE digest = $1 AND expires_at > $2 AND users.is_disabled = 0";
        let row = sqlx::query(sql).bind(digest.to_owned()).bind(now.get()).fetch_optional(self.0.pool()).await?;
        row.map(|row| Ok(PendingSignIn { user: row.try_get(0)?, way: row.try_get(1)? })).transpose()
    }

    /// Deletes a sign-in that awaits a code, and returns whether it was there. If several callers try at once, one succeeds.
    pub async fn end_unfinished(&self, digest: &str) -> Result<bool, BillingError> {
        let query = sqlx::query("DELETE FROM unfinished_sign_ins WHERE digest = $1").bind(digest.to_owned());
        Ok(query.execute(self.0.pool()).await?.rows_affected() > 0)
    }
}

async fn replace_recovery_codes(connection: &mut sqlx::AnyConnection, name: &str, digests: &[String]) -> Result<(), BillingError> {
    sqlx::query("DELETE FROM recovery_codes WHERE user_name = $1").bind(name.to_owned()).execute(&mut *connection).await?;
    for digest in digests {
        let query = sqlx::query("INSERT INTO recovery_codes (user_name, digest) VALUES ($1, $2)").bind(name.to_owned());
        query.bind(digest.clone()).execute(&mut *connection).await?;
    }
    Ok(())
}
