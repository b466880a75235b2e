//! Whether a draft is looked at before it is issued: a setting of the issuer. A draft is never edited and never dropped: it is corrected by
//! refunds and adjustments, which have documents of their own.

use sqlx::{AnyConnection, AssertSqlSafe, Row};

use super::audit::{self, Act};
use super::change::Applied;
use super::change::Change;
use super::document::DocumentKind;
use super::issuer::{MAIN, Setting};
use super::store::rows::{Table, Type};
use super::{Billing, BillingError, name_of};
use domain::ids::AccountId;
use domain::time::{Millis, UnixMillis};

/// The longest grace, in hours: a month and a half.
pub const MOST_HOURS: u16 = 1_080;

/// The most drafts that can be approved by name at once.
pub const MOST_NAMED: usize = 1_000;

const HOUR: Millis = 3_600_000;

const APPROVED: Table = Table { name: "drafts", columns: &[("document", Type::Number), ("approved_at", Type::Number)], on_conflict: "" };

/// When drafts are issued.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Review {
    /// As soon as they can be.
    #[default]
    AtOnce,
    /// This many hours after their bill was cut, or when they are approved.
    AfterHours(u16),
    /// When they are approved.
    OnApproval,
}

impl Review {
    fn name(self) -> &'static str {
        match self {
            Self::AtOnce => "at_once",
            Self::AfterHours(_) => "after_hours",
            Self::OnApproval => "on_approval",
        }
    }

    /// Both, as the audit record says it.
    fn words(self) -> String {
        if let Self::AfterHours(hours) = self { format!("{} {hours}", self.name()) } else { self.name().to_owned() }
    }

    fn hours(self) -> i64 {
        if let Self::AfterHours(hours) = self { hours.into() } else { 0 }
    }

    /// The condition in SQL under which a row of `drafts` may be issued now.
    pub(super) fn allows(self, now: UnixMillis) -> String {
        match self {
            Self::AtOnce => "1 = 1".to_owned(),
            Self::AfterHours(hours) => {
                format!("(drafts.approved_at > 0 OR drafts.cut_at <= {})", (now - Millis::from(hours) * HOUR).get())
            }
            Self::OnApproval => "drafts.approved_at > 0".to_owned(),
        }
    }

    /// What a draft waits for that was cut then and that nobody has approved; empty if for nothing.
    pub(super) fn waits_for(self, id: &str, cut_at: UnixMillis) -> String {
        match self {
            Self::AtOnce => String::new(),
            Self::AfterHours(hours) => {
                let until = jiff::Timestamp::from_millisecond((cut_at + Millis::from(hours) * HOUR).get());
                let until = until.map(|until| until.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()).unwrap_or_default();
                format!("review, until {until}: tollgate invoice approve {id}")
            }
            Self::OnApproval => format!("approval: tollgate invoice approve {id}"),
        }
    }

    pub(super) fn read(name: &str, hours: i64) -> Result<Self, BillingError> {
        match name {
            "at_once" | "" => Ok(Self::AtOnce),
            "after_hours" => Ok(Self::AfterHours(u16::try_from(hours).map_err(BillingError::corrupt)?)),
            "on_approval" => Ok(Self::OnApproval),
            _ => Err(BillingError::corrupt(format!("the review {name:?}"))),
        }
    }
}

/// Which drafts are approved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Approved {
    /// These documents.
    Named(Vec<i64>),
    /// All that match.
    Matching(DraftFilter),
}

/// Which drafts are meant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DraftFilter {
    /// Of this account; `None` for all.
    pub account: Option<AccountId>,
    /// Of this kind; `None` for all.
    pub kind: Option<DocumentKind>,
    /// Cut before this; `None` for whenever.
    pub cut_before: Option<UnixMillis>,
}

/// When drafts of an issuer are issued.
pub(super) async fn review(connection: &mut AnyConnection, issuer: &str) -> Result<Review, BillingError> {
    let sql = "SELECT review, grace_hours FROM issuing WHERE issuer = $1";
    let row = sqlx::query(sql).bind(issuer.to_owned()).fetch_optional(connection).await?;
    row.map_or(Ok(Review::default()), |row| Review::read(&row.try_get::<String, _>(0)?, row.try_get(1)?))
}

impl Billing {
    /// When drafts of an issuer are issued.
    pub async fn review(&self, issuer: &str) -> Result<Review, BillingError> {
        review(&mut *self.store().pool().acquire().await?, issuer).await
    }

    /// Sets when drafts of an issuer are issued, those that wait already among them.
    pub async fn set_review(&self, issuer: &str, review: Review, change: &Change) -> Result<Applied, BillingError> {
        let write = "INSERT INTO issuing (issuer, review, grace_hours) VALUES ($1, $2, $3) \
                     ON CONFLICT (issuer) DO UPDATE SET review = excluded.review, grace_hours = excluded.grace_hours";
        let query = sqlx::query(write).bind(issuer.to_owned()).bind(review.name()).bind(review.hours());
        let before = "SELECT CASE WHEN grace_hours = 0 THEN review ELSE review || ' ' || CAST(grace_hours AS TEXT) END FROM issuing WHERE issuer = $1";
        let setting = Setting {
            subject: format!("issuer {issuer}"),
            asked: change.asked(&["review", review.name(), &review.hours().to_string()]),
            act: Act::of("issuing.set", change).with("after", review.words()),
            before: sqlx::query(before).bind(issuer.to_owned()),
            default: Review::default().words().into(),
            account: None,
        };
        self.change(setting, change, query).await
    }

    /// Approves drafts, once for each request; returns how many it has approved now. What waits for something else besides goes on waiting for
    /// that.
    pub async fn approve(&self, approved: &Approved, change: &Change) -> Result<(Applied, u64), BillingError> {
        let asked = change.asked(&["approve", &approved.asked()]);
        let mut transaction = self.store().begin().await?;
        let connection = &mut *transaction;
        if Self::note(connection, &format!("issuer {MAIN}"), &asked, change).await? == Applied::Before {
            return Ok((Applied::Before, 0));
        }
        let at = change.at.max(UnixMillis::new(1));
        let count = match approved {
            Approved::Named(documents) => {
                let rows = documents.iter().map(|document| vec![(*document).into(), at.into()]);
                APPROVED.update(connection, self.store().dialect(), rows).await?
            }
            Approved::Matching(filter) => filter.approve(connection, at).await?,
        };
        if count == 0 && matches!(approved, Approved::Named(_)) {
            // Nothing was done, and nothing is kept of it: repeated, it says so again.
            return Ok((Applied::Now, 0));
        }
        let act = Act::of("invoices.approved", change).with("approved", count);
        let act = match approved {
            Approved::Named(documents) => act.with("documents", documents.iter().map(|id| name_of(*id)).collect::<Vec<_>>()),
            Approved::Matching(DraftFilter { account, kind, cut_before }) => {
                let act = act.on(&account.clone().unwrap_or_default()).with("kind", kind.map(DocumentKind::name));
                act.with("cut_before", cut_before.map(UnixMillis::get))
            }
        };
        audit::write(connection, self.store().dialect(), audit::SERVICE, &[act]).await?;
        transaction.commit().await?;
        Ok((Applied::Now, count))
    }
}

impl DraftFilter {
    async fn approve(&self, connection: &mut AnyConnection, at: UnixMillis) -> Result<u64, BillingError> {
        let mut conditions = vec!["approved_at = 0".to_owned()];
        if let Some(kind) = self.kind {
            conditions.push(format!("kind = '{}'", kind.name()));
        }
        if let Some(before) = self.cut_before {
            conditions.push(format!("cut_at < {}", before.get()));
        }
        if self.account.is_some() {
            conditions.push("EXISTS (SELECT 1 FROM documents WHERE documents.id = drafts.document AND documents.account = $2)".to_owned());
        }
        let sql = format!("UPDATE drafts SET approved_at = $1 WHERE {}", conditions.join(" AND "));
        let mut query = sqlx::query(AssertSqlSafe(sql)).bind(at.get());
        if let Some(account) = &self.account {
            query = query.bind(account.to_string());
        }
        Ok(query.execute(connection).await?.rows_affected())
    }
}

impl Approved {
    fn asked(&self) -> String {
        match self {
            Self::Named(documents) => documents.iter().map(ToString::to_string).collect::<Vec<_>>().join(","),
            Self::Matching(DraftFilter { account, kind, cut_before }) => {
                format!("{account:?} {} {cut_before:?}", kind.map_or("all", DocumentKind::name))
            }
        }
    }
}
