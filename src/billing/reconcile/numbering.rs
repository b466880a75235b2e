//! How the numbers of documents go on behind a gap: some may have been given that nobody here knows, and none is given twice.

use sqlx::Row;

use super::{Decision, ReconcileError};
use crate::{Billing, BillingError, audit};

/// The number that a series goes on with: "INV-=1043".
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NextNumber {
    /// Prefix of the numbers.
    pub prefix: String,
    /// The place of the next one.
    pub place: i64,
}

impl std::str::FromStr for NextNumber {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (prefix, place) = text.rsplit_once('=').ok_or("must be PREFIX=NUMBER, such as INV-=1043")?;
        match place.parse() {
            Ok(place @ 1..) => Ok(Self { prefix: prefix.to_owned(), place }),
            _ => Err("must be PREFIX=NUMBER, where NUMBER is 1 or more".to_owned()),
        }
    }
}

impl Billing {
    /// The series in which nothing is issued until an operator says how they go on, and the last number of each that is known.
    pub async fn held_series(&self) -> Result<Vec<NextNumber>, BillingError> {
        let rows = sqlx::query("SELECT prefix, last_place FROM series WHERE is_held = 1 ORDER BY prefix").fetch_all(self.store().pool());
        rows.await?.iter().map(|row| Ok(NextNumber { prefix: row.try_get(0)?, place: row.try_get(1)? })).collect()
    }

    /// Resumes a held series with a number; recorded.
    pub async fn go_on_with(&self, next: &NextNumber, decision: &Decision) -> Result<(), ReconcileError> {
        let mut transaction = self.store().begin().await?;
        let connection = &mut *transaction;
        let sql = "SELECT last_place FROM series WHERE prefix = $1 AND is_held = 1";
        let Some(row) = sqlx::query(sql).bind(next.prefix.clone()).fetch_optional(&mut *connection).await? else {
            let problem = format!("names the series {:?}, which waits for no number", next.prefix);
            return Err(BillingError::Invalid { field: "--next-number", problem }.into());
        };
        let last: i64 = row.try_get(0)?;
        if next.place <= last {
            let problem = format!("must be above {last}: {}{last} was given already", next.prefix);
            return Err(BillingError::Invalid { field: "--next-number", problem }.into());
        }
        if next.place > last + 1 {
            sqlx::query("INSERT INTO skipped_numbers (prefix, first_place, last_place, at, actor, reason) VALUES ($1, $2, $3, $4, $5, $6)")
                .bind(next.prefix.clone())
                .bind(last + 1)
                .bind(next.place - 1)
                .bind(decision.at.get())
                .bind(decision.actor.clone())
                .bind(decision.reason.clone())
                .execute(&mut *connection)
                .await?;
        }
        let sql = "UPDATE series SET last_place = $1, is_held = 0 WHERE prefix = $2";
        sqlx::query(sql).bind(next.place - 1).bind(next.prefix.clone()).execute(&mut *connection).await?;
        let act = decision.act("NUMBER_SET", None).with("series", next.prefix.as_str()).with("before", last).with("after", next.place - 1);
        audit::write(connection, self.store().dialect(), audit::SERVICE, &[act]).await?;
        transaction.commit().await?;
        Ok(())
    }
}
