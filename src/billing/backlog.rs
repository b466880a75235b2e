//! Documents that are not issued, and why: drafts that wait, and documents that are held back. For operators,
//! health and metrics.

use sqlx::Row;

use super::issuer::{MAIN, in_force};
use super::review::Review;
use super::{Billing, BillingError};
use crate::store::Columns;
use domain::time::Millis;
use domain::time::UnixMillis;

/// Why drafts wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum WaitsFor {
    /// Nobody issues documents yet.
    Issuer,
    /// A rate of tax is missing.
    TaxRate,
    /// Of a credit note: the document that it corrects is not issued.
    Original,
    /// Somebody has to approve it.
    Approval,
    /// Its grace is not over.
    Grace,
    /// Nothing: it is about to be issued.
    Turn,
}

impl WaitsFor {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Issuer, Self::TaxRate, Self::Original, Self::Approval, Self::Grace, Self::Turn];

    /// Its name in metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Issuer => "issuer",
            Self::TaxRate => "tax_rate",
            Self::Original => "original",
            Self::Approval => "approval",
            Self::Grace => "grace",
            Self::Turn => "turn",
        }
    }

    /// What helps, for people; empty if it needs no help.
    #[must_use]
    pub fn help(self) -> &'static str {
        match self {
            Self::Issuer => "no issuer is set: tollgate issuer set",
            Self::TaxRate => "a rate of tax is missing: tollgate invoice list --state draft names it, tollgate tax set",
            Self::Original => "of credit notes, the invoices are not issued",
            Self::Approval => "they are to be approved: tollgate invoice approve",
            Self::Grace => "they are issued when their grace is over, or by tollgate invoice approve",
            Self::Turn => "",
        }
    }
}

/// A number of documents, and when the oldest of them was cut.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Queue {
    /// How many.
    pub count: i64,
    /// When the bill of the oldest was cut; 0 if there is none.
    pub since: UnixMillis,
}

/// Documents that are not issued.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Backlog {
    /// Drafts that are not issued yet, by why.
    pub drafts: Vec<(WaitsFor, Queue)>,
    /// Documents that are held back.
    pub held: Queue,
    /// What is wrong with the database itself; empty for nothing.
    pub database: String,
}

impl Queue {
    /// How old the oldest is.
    #[must_use]
    pub fn age(self, now: UnixMillis) -> Millis {
        if self.count == 0 { 0 } else { (now - self.since).max(0) }
    }
}

impl Backlog {
    /// The drafts that wait for something.
    #[must_use]
    pub fn queue(&self, wanted: WaitsFor) -> Queue {
        self.drafts.iter().find(|(waits_for, _)| *waits_for == wanted).map(|(_, queue)| *queue).unwrap_or_default()
    }

    /// How many drafts are not issued yet.
    #[must_use]
    pub fn waiting(&self) -> i64 {
        self.drafts.iter().map(|(_, queue)| queue.count).sum()
    }

    /// What an operator should do something about.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let day =
            |at: UnixMillis| jiff::Timestamp::from_millisecond(at.get()).map(|at| at.strftime("%Y-%m-%d").to_string()).unwrap_or_default();
        let mut warnings = Vec::new();
        if self.held.count > 0 {
            let Queue { count, since } = self.held;
            warnings.push(format!(
                "{count} documents are held back, because they do not add up, the first since {}: tollgate invoice list --state held",
                day(since)
            ));
        }
        for (waits_for, Queue { count, since }) in &self.drafts {
            // Grace and turn come to an end by themselves.
            if matches!(waits_for, WaitsFor::Issuer | WaitsFor::TaxRate | WaitsFor::Approval) {
                warnings.push(format!("{count} documents wait to be issued, the first since {}: {}", day(*since), waits_for.help()));
            }
        }
        if !self.database.is_empty() {
            warnings.push(self.database.clone());
        }
        warnings
    }
}

impl Billing {
    /// How many invoices are overdue now.
    pub async fn overdue_invoices(&self, now: UnixMillis) -> Result<i64, BillingError> {
        let sql = "SELECT CAST(COUNT(*) AS BIGINT) FROM payables WHERE open_amount > 0 AND due_at > 0 AND due_at < $1";
        Ok(sqlx::query(sql).bind(now.get()).fetch_one(self.store().pool()).await?.try_get(0)?)
    }

    /// Returns what is not issued now.
    pub async fn backlog(&self, now: UnixMillis) -> Result<Backlog, BillingError> {
        let pool = self.store().pool();
        let has_issuer = in_force(&self.issuers(MAIN).await?, self.day_of(now)?).is_some();
        let review = self.review(MAIN).await?;
        let rows = sqlx::query(
            "SELECT reason, CAST(COUNT(*) AS BIGINT) AS count, CAST(MIN(cut_at) AS BIGINT) AS since FROM ( \
                 SELECT drafts.cut_at, CASE WHEN drafts.waits_for <> '' THEN CAST(1 AS BIGINT) \
                     WHEN documents.refers_to <> 0 AND issued.document IS NULL THEN 2 \
                     WHEN drafts.approved_at > 0 THEN 5 ELSE 3 END AS reason \
                 FROM drafts JOIN documents ON documents.id = drafts.document \
                 LEFT JOIN issued ON issued.document = documents.refers_to) AS waiting GROUP BY reason ORDER BY reason",
        )
        .fetch_all(pool)
        .await?;
        let mut drafts: Vec<(WaitsFor, Queue)> = Vec::new();
        for row in rows {
            let reason: i64 = row.try_get("reason")?;
            let waits_for = match (has_issuer, reason, review) {
                (false, ..) => WaitsFor::Issuer,
                (_, 1, _) => WaitsFor::TaxRate,
                (_, 2, _) => WaitsFor::Original,
                (_, 3, Review::OnApproval) => WaitsFor::Approval,
                (_, 3, Review::AfterHours(_)) => WaitsFor::Grace,
                _ => WaitsFor::Turn,
            };
            let queue = Queue { count: row.try_get("count")?, since: row.instant("since")? };
            match drafts.iter_mut().find(|(known, _)| *known == waits_for) {
                Some((_, known)) => *known = Queue { count: known.count + queue.count, since: known.since.min(queue.since) },
                None => drafts.push((waits_for, queue)),
            }
        }
        drafts.sort_unstable_by_key(|(waits_for, _)| *waits_for);
        let sql = "SELECT CAST(COUNT(*) AS BIGINT), CAST(COALESCE(MIN(cut_at), 0) AS BIGINT) FROM documents WHERE held_reason <> ''";
        let row = sqlx::query(sql).fetch_one(pool).await?;
        let held = Queue { count: row.try_get(0)?, since: row.instant(1)? };
        Ok(Backlog { drafts, held, database: self.store().encoding_problem().await?.unwrap_or_default() })
    }
}
