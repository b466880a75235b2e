//! What one process is started with of billing: the days to pay, the numbers, the time zone. Issuer and tax are kept in the billing store.

use jiff::tz::TimeZone;

use super::BillingError;
use super::document::DocumentKind;

/// The settings of the billing. They hold for documents issued from now on; what was issued does not change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BillingSettings {
    /// An invoice is to be paid by the end of the day so many days after it was issued.
    pub due_days: u16,
    /// What the numbers begin with.
    pub prefixes: NumberPrefixes,
    /// The IANA name of the time zone of dates: the store's billing time zone.
    pub time_zone: String,
}

impl BillingSettings {
    /// The time zone of dates.
    pub fn zone(&self) -> Result<TimeZone, BillingError> {
        TimeZone::get(&self.time_zone)
            .map_err(|error| BillingError::Invalid { field: "time_zone", problem: format!("is not known: {error}") })
    }
}

impl Default for BillingSettings {
    fn default() -> Self {
        Self { due_days: 14, prefixes: NumberPrefixes::default(), time_zone: "UTC".to_owned() }
    }
}

/// What the numbers of the three series begin with. Each series counts from 1 without a gap; a new prefix begins a new series.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NumberPrefixes {
    /// Of invoices.
    pub invoice: String,
    /// Of statements.
    pub statement: String,
    /// Of credit notes.
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

    /// The number of a document: the prefix, and at least six digits.
    #[must_use]
    pub fn number(&self, kind: DocumentKind, place: i64) -> String {
        format!("{}{place:06}", self.of(kind))
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
    fn numbers_have_their_series_prefix() {
        let prefixes = NumberPrefixes::default();
        assert_eq!(prefixes.number(DocumentKind::Invoice, 42), "INV-000042");
        assert_eq!(prefixes.number(DocumentKind::Statement, 1_234_567), "STM-1234567");
        assert!(prefixes.check().is_ok());
        assert!(NumberPrefixes { statement: "INV-".to_owned(), ..prefixes }.check().is_err());
    }
}
