//! How long audit records, documents and details of entries are kept. What is older goes, a slice at a time, with a record of each slice;
//! chains of digests hold without it.
//!
//! [`audit`] cuts a chain of records off behind a place; [`documents`] takes lines and customer off a document. Neither drops what does not
//! prove itself: that is for `verify` to show. [`entries`] empties what callers sent along. The aggregator does it, by the [`term`] in force.
//! Entries as such are kept for ever: accounts, totals and refunds are proved by them, and the ledger can be restored from nothing else.

pub mod audit;
pub mod documents;
pub mod entries;
pub(crate) mod evidence;
pub(crate) mod term;

use jiff::civil::Date;
use jiff::{Timestamp, ToSpan};
use sqlx::{AnyConnection, Row};

use super::{Billing, BillingError};
use crate::store::Columns;
use domain::time::UnixMillis;

/// Who drops, in audit records.
const ACTOR: &str = "tollgate";

/// How long each is kept; `None` where nothing was said, 0 for ever.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RetentionSettings {
    /// Audit records, in days.
    pub audit_days: Option<u16>,
    /// Issued documents, in years from the end of the calendar year of their issue.
    pub document_years: Option<u16>,
    pub entry_detail_days: Option<u16>,
}

/// A kind of data that is kept for a limited time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetainedKind {
    AuditRecords,
    /// Issued documents.
    Documents,
    /// What callers sent along in entries.
    EntryDetails,
}

impl RetainedKind {
    pub const ALL: [Self; 3] = [Self::AuditRecords, Self::Documents, Self::EntryDetails];

    /// Its name, as it is stored.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::AuditRecords => "audit_records",
            Self::Documents => "documents",
            Self::EntryDetails => "entry_details",
        }
    }
}

/// The state of a retention term, as the aggregator noted it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetentionStatus {
    /// The kind of data: the name of a [`RetainedKind`].
    pub what: String,
    /// How long it is kept, for people; empty for ever.
    pub term: String,
    /// What was before this has gone; `None` where it is kept for ever.
    pub before: Option<UnixMillis>,
    /// How many have gone, all in all.
    pub dropped: i64,
    /// When the last of them did; `None` if none has.
    pub last_dropped_at: Option<UnixMillis>,
    /// Until then, nothing goes.
    pub waits_until: UnixMillis,
    /// Because the term was "changed", is "disputed", or because of the "clock"; empty if nothing was amiss.
    pub waits_for: String,
}

/// What retention would drop.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct RetentionPreview {
    /// Of what.
    pub what: &'static str,
    /// How long it is kept, for people; empty for ever.
    pub term: String,
    /// What was before this would go; `None` where it is kept for ever.
    pub before: Option<UnixMillis>,
    /// How many would go now.
    pub due: i64,
    /// How many are older, and stay: what is not paid, whose mail is under way, or whose document is yet to be issued.
    pub needed: i64,
    /// How many there are.
    pub kept: i64,
    /// How many have gone.
    pub dropped: i64,
}

impl RetentionSettings {
    /// How long it is kept, for people; empty for ever.
    #[must_use]
    pub fn term(&self, what: RetainedKind) -> String {
        self.given(what).unwrap_or_default()
    }

    /// The same; `None` where nothing was said.
    pub(crate) fn given(&self, what: RetainedKind) -> Option<String> {
        let (count, unit) = match what {
            RetainedKind::AuditRecords => (self.audit_days, "day"),
            RetainedKind::Documents => (self.document_years, "year"),
            RetainedKind::EntryDetails => (self.entry_detail_days, "day"),
        };
        count.map(|count| match count {
            0 => String::new(),
            1 => format!("1 {unit}"),
            count => format!("{count} {unit}s"),
        })
    }
}

impl Billing {
    /// What was before this is older than it is to be kept: a day's or a year's beginning in the billing time zone. `None` means for ever.
    pub fn kept_since(
        &self,
        settings: &RetentionSettings,
        what: RetainedKind,
        now: UnixMillis,
    ) -> Result<Option<UnixMillis>, BillingError> {
        let zone = self.settings().zone()?;
        let begin = |day: &dyn Fn(Date) -> Result<Date, jiff::Error>| {
            let today = Timestamp::from_millisecond(now.get())?.to_zoned(zone.clone()).date();
            Ok::<_, jiff::Error>(UnixMillis::new(day(today)?.to_zoned(zone.clone())?.timestamp().as_millisecond()))
        };
        let days_ago = |days: u16| begin(&|today| today.checked_sub(i64::from(days).days()));
        let since = match what {
            RetainedKind::AuditRecords => settings.audit_days.filter(|days| *days > 0).map(days_ago),
            RetainedKind::EntryDetails => settings.entry_detail_days.filter(|days| *days > 0).map(days_ago),
            // A document of any day of a year is as old as one of its last.
            RetainedKind::Documents => {
                let years = settings.document_years.filter(|years| *years > 0);
                years.map(|years| begin(&|today| today.first_of_year().checked_sub(i64::from(years).years())))
            }
        };
        since.transpose().map_err(BillingError::corrupt)
    }

    /// Returns what retention would drop now by these settings. Changes nothing.
    pub async fn retention_preview(&self, settings: &RetentionSettings, now: UnixMillis) -> Result<Vec<RetentionPreview>, BillingError> {
        let mut previews = Vec::new();
        for what in RetainedKind::ALL {
            let before = self.kept_since(settings, what, now)?;
            let [due, needed, kept, dropped] = match what {
                RetainedKind::AuditRecords => audit::preview(self.store(), before).await?,
                RetainedKind::Documents => documents::preview(self.store(), before).await?,
                RetainedKind::EntryDetails => entries::preview(self.store(), before).await?,
            };
            previews.push(RetentionPreview { what: what.name(), term: settings.term(what), before, due, needed, kept, dropped });
        }
        Ok(previews)
    }

    /// Returns the state of each term.
    pub async fn retention(&self) -> Result<Vec<RetentionStatus>, BillingError> {
        let sql = "SELECT what, term, kept_since, dropped, last_dropped_at, waits_until, waits_for FROM retention ORDER BY what";
        let rows = sqlx::query(sql).fetch_all(self.store().pool()).await?;
        let read = |row: &sqlx::any::AnyRow| {
            Ok(RetentionStatus {
                what: row.try_get("what")?,
                term: row.try_get("term")?,
                before: row.instant("kept_since")?.known(),
                dropped: row.try_get("dropped")?,
                last_dropped_at: row.instant("last_dropped_at")?.known(),
                waits_until: row.instant("waits_until")?,
                waits_for: row.try_get("waits_for")?,
            })
        };
        rows.iter().map(read).collect()
    }
}

/// Notes that what was before an instant has gone.
pub(crate) async fn note_kept_since(billing: &Billing, what: RetainedKind, before: UnixMillis) -> Result<(), BillingError> {
    let sql = "UPDATE retention SET kept_since = $1 WHERE what = $2";
    sqlx::query(sql).bind(before.get()).bind(what.name()).execute(billing.store().pool()).await?;
    Ok(())
}

/// Keeps others from dropping the same, and from erasing, until the end of the transaction. To be called first in it: what both empty they
/// lock in orders of their own, which in PostgreSQL would make each wait for the other.
pub(crate) async fn lock(connection: &mut AnyConnection, what: RetainedKind) -> Result<(), BillingError> {
    let sql = "UPDATE retention SET dropped = dropped WHERE what = $1";
    sqlx::query(sql).bind(what.name()).execute(connection).await?;
    Ok(())
}

/// Notes what has gone, in the transaction in which it went.
async fn note_dropped(connection: &mut AnyConnection, what: RetainedKind, dropped: i64, now: UnixMillis) -> Result<(), BillingError> {
    let sql = "INSERT INTO retention (what, term, kept_since, dropped, last_dropped_at) VALUES ($1, '', 0, $2, $3) \
               ON CONFLICT (what) DO UPDATE SET dropped = retention.dropped + excluded.dropped, last_dropped_at = excluded.last_dropped_at";
    sqlx::query(sql).bind(what.name()).bind(dropped).bind(now.get()).execute(connection).await?;
    Ok(())
}

/// An instant in the content of an audit record.
fn instant(at: UnixMillis) -> String {
    Timestamp::from_millisecond(at.get()).map_or_else(|_| at.get().to_string(), |at| at.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::BillingSettings;

    #[tokio::test]
    async fn days_and_years_begin_in_the_billing_time_zone_and_a_document_is_as_old_as_its_year() {
        let settings = BillingSettings { time_zone: "Europe/Berlin".to_owned(), ..BillingSettings::default() };
        let billing = Billing::connect_lazily("sqlite:///nowhere/at-all.db", settings).unwrap();
        let at = |text: &str| UnixMillis::new(text.parse::<Timestamp>().unwrap().as_millisecond());
        let retention = RetentionSettings { audit_days: Some(400), document_years: Some(8), entry_detail_days: None };
        let since = |what, now| billing.kept_since(&retention, what, at(now)).unwrap();
        // In Berlin, 2035 has begun: what was issued before 2027 goes, and nothing of 2027.
        assert_eq!(since(RetainedKind::Documents, "2034-12-31T23:30:00Z"), Some(at("2026-12-31T23:00:00Z")));
        assert_eq!(since(RetainedKind::Documents, "2034-12-31T22:30:00Z"), Some(at("2025-12-31T23:00:00Z")));
        // 400 days before 5 July 2026, in summer: 31 May 2025, in summer, too.
        assert_eq!(since(RetainedKind::AuditRecords, "2026-07-05T12:00:00Z"), Some(at("2025-05-30T22:00:00Z")));
        assert_eq!(billing.kept_since(&RetentionSettings::default(), RetainedKind::Documents, UnixMillis::NONE).unwrap(), None);
        assert_eq!(retention.term(RetainedKind::AuditRecords), "400 days");
    }
}
