//! From which figures on an act needs a second person. Each change counts as one of who may call, and is copied with it.

use sqlx::{AnyConnection, Row};

use crate::audit::{self, Act};
use crate::callers_version::count_change;
use crate::change::{Applied, Change};
use crate::store::Dialect;
use crate::{Billing, BillingError};
use domain::account::Currency;
use domain::approval::GuardedAct;
use domain::money::DecimalAmount;

/// A figure: what is above it needs approval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Figure {
    pub act: GuardedAct,
    pub currency: Currency,
    /// Up to which amount it needs none.
    pub above: DecimalAmount,
}

/// A figure as it is kept: a later version may know acts that this one does not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FigureText {
    pub act: String,
    pub currency: String,
    pub above: String,
}

impl Billing {
    /// The figures, by act and currency.
    pub async fn approval_figures(&self) -> Result<Vec<Figure>, BillingError> {
        let figure = |FigureText { act, currency, above }: FigureText| {
            let wrong = || BillingError::corrupt(format!("the figure {above:?} of {act:?} in {currency:?}"));
            Ok(Figure {
                act: GuardedAct::named(&act).ok_or_else(wrong)?,
                currency: Currency::parse(&currency).ok_or_else(wrong)?,
                above: DecimalAmount::parse(&above).map_err(|_| wrong())?,
            })
        };
        figures(&mut *self.store().pool().acquire().await?).await?.into_iter().map(figure).collect()
    }

    /// Sets a figure, or takes it away, once for each request.
    pub async fn set_approval_figure(
        &self,
        act: GuardedAct,
        currency: Currency,
        above: Option<DecimalAmount>,
        change: &Change,
    ) -> Result<Applied, BillingError> {
        let mut transaction = self.store().begin().await?;
        let connection = &mut *transaction;
        count_change(connection).await?;
        let text = above.map(|above| above.to_string());
        let asked = change.asked(&[act.name(), currency.code(), text.as_deref().unwrap_or("none")]);
        if Self::note(connection, "approvals", &asked, change).await? == Applied::Before {
            return Ok(Applied::Before);
        }
        let before = "SELECT above FROM approval_figures WHERE act = $1 AND currency = $2";
        let before = sqlx::query(before).bind(act.name()).bind(currency.code().to_owned()).fetch_optional(&mut *connection).await?;
        let before = before.map(|row| row.try_get::<String, _>(0)).transpose()?;
        put(connection, act.name(), currency.code(), text.as_deref()).await?;
        let none = || "none".to_owned();
        let record = Act::of("approvals.figure_set", change).with("act", act.name()).with("currency", currency.code());
        let record = record.with("before", before.unwrap_or_else(none)).with("after", text.unwrap_or_else(none));
        audit::write(connection, self.store().dialect(), audit::SERVICE, &[record]).await?;
        transaction.commit().await?;
        Ok(Applied::Now)
    }
}

/// The figures, by act and currency. Before their table is made there are none.
pub(crate) async fn known(connection: &mut AnyConnection, dialect: Dialect) -> Result<Vec<FigureText>, BillingError> {
    let sql = match dialect {
        Dialect::Postgres => "SELECT CAST(COUNT(*) AS BIGINT) FROM pg_class WHERE oid = to_regclass('approval_figures')",
        Dialect::Sqlite => "SELECT COUNT(*) FROM sqlite_schema WHERE name = 'approval_figures'",
    };
    match sqlx::query(sql).fetch_one(&mut *connection).await?.try_get::<i64, _>(0)? {
        0 => Ok(Vec::new()),
        _ => figures(connection).await,
    }
}

/// Takes over the figures of a later state of the store.
pub(crate) async fn recover(connection: &mut AnyConnection, figures: &[FigureText]) -> Result<(), BillingError> {
    sqlx::query("DELETE FROM approval_figures").execute(&mut *connection).await?;
    for FigureText { act, currency, above } in figures {
        put(connection, act, currency, Some(above)).await?;
    }
    Ok(())
}

async fn figures(connection: &mut AnyConnection) -> Result<Vec<FigureText>, BillingError> {
    let rows = sqlx::query("SELECT act, currency, above FROM approval_figures ORDER BY act, currency").fetch_all(connection).await?;
    let figure = |row: &sqlx::any::AnyRow| Ok(FigureText { act: row.try_get(0)?, currency: row.try_get(1)?, above: row.try_get(2)? });
    rows.iter().map(figure).collect()
}

async fn put(connection: &mut AnyConnection, act: &str, currency: &str, above: Option<&str>) -> Result<(), BillingError> {
    let sql = match above {
        Some(_) => {
            "INSERT INTO approval_figures (act, currency, above) VALUES ($1, $2, $3) \
             ON CONFLICT (act, currency) DO UPDATE SET above = excluded.above"
        }
        None => "DELETE FROM approval_figures WHERE act = $1 AND currency = $2",
    };
    let query = sqlx::query(sql).bind(act.to_owned()).bind(currency.to_owned());
    let query = if let Some(above) = above { query.bind(above.to_owned()) } else { query };
    query.execute(connection).await?;
    Ok(())
}
