//! What one process is started with of billing: the days to pay, the numbers, the time zone. Issuer and tax are kept in the billing store.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::BillingError;
use super::document::DocumentKind;
use domain::time::UnixMillis;

/// The settings of the billing. They hold for documents issued from now on; what was issued does not change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BillingSettings {
    /// An invoice is to be paid by the end of the day this many days after it was issued.
    pub due_days: u16,
    /// Prefixes of the numbers.
    pub prefixes: NumberPrefixes,
    /// The IANA name of the time zone of dates: the store's billing time zone.
    pub time_zone: String,
    /// Where customers open links to their documents: a scheme and a host. `None` if there are no links.
    pub public_url: Option<String>,
}

impl BillingSettings {
    /// The time zone of dates.
    pub fn zone(&self) -> Result<TimeZone, BillingError> {
        TimeZone::get(&self.time_zone)
            .map_err(|error| BillingError::Invalid { field: "time_zone", problem: format!("is not known: {error}") })
    }
}

impl BillingSettings {
    /// The last instant of a day of the billing time zone, a number of days after the one of an instant.
    pub fn end_of_day(&self, at: UnixMillis, days: u16) -> Result<UnixMillis, BillingError> {
        let zone = self.zone()?;
        let end = || {
            let day = Timestamp::from_millisecond(at.get())?.to_zoned(zone.clone()).date();
            let after = day.checked_add(jiff::Span::new().days(i64::from(days) + 1))?;
            Ok::<_, jiff::Error>(UnixMillis::new(after.to_zoned(zone)?.timestamp().as_millisecond()) - 1)
        };
        end().map_err(BillingError::corrupt)
    }
}

impl Default for BillingSettings {
    fn default() -> Self {
        Self { due_days: 14, prefixes: NumberPrefixes::default(), time_zone: "UTC".to_owned(), public_url: None }
    }
}

/// Prefixes of the numbers of the three series. Each series counts from 1 without a gap; a new prefix begins a new series.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NumberPrefixes {
    pub invoice: String,
    pub statement: String,
    pub credit_note: String,
}

impl Default for NumberPrefixes {
    fn default() -> Self {
        Self { invoice: "INV-".to_owned(), statement: "STM-".to_owned(), credit_note: "CRN-".to_owned() }
    }
}

impl NumberPrefixes {
    /// The prefix of a kind's numbers.
    #[must_use]
    pub fn of(&self, kind: DocumentKind) -> &str {
        match kind {
            DocumentKind::Invoice => &self.invoice,
            DocumentKind::Statement => &self.statement,
            DocumentKind::CreditNote => &self.credit_note,
        }
    }

    /// Whether no two series share a prefix; else why they may not.
    pub fn check(&self) -> Result<(), String> {
        let Self { invoice, statement, credit_note } = self;
        if invoice == statement || invoice == credit_note || statement == credit_note {
            return Err("the number prefixes of invoices, statements and credit notes must differ: each is a series of its own".to_owned());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invoice_is_due_at_the_end_of_a_day_of_the_zone() {
        let settings = BillingSettings { time_zone: "Europe/Berlin".to_owned(), ..BillingSettings::default() };
        let at = |text: &str| UnixMillis::new(text.parse::<Timestamp>().unwrap().as_millisecond());
        // Issued in Berlin on 18 October, in summer; due to the end of 1 November, in winter.
        assert_eq!(settings.end_of_day(at("2026-10-17T22:30:00Z"), 14).unwrap(), at("2026-11-01T22:59:59.999Z"));
        let same_day = BillingSettings::default().end_of_day(at("2026-10-17T00:00:00Z"), 0).unwrap();
        assert_eq!(same_day, at("2026-10-17T23:59:59.999Z"));
    }

    #[test]
    fn each_series_has_a_prefix_of_its_own() {
        let prefixes = NumberPrefixes::default();
        assert_eq!(prefixes.of(DocumentKind::Statement), "STM-");
        assert!(prefixes.check().is_ok());
        assert!(NumberPrefixes { statement: "INV-".to_owned(), ..prefixes }.check().is_err());
    }
}
