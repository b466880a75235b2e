//! What is printed on every bill, and reckoned with: the issuer, the tax, the days to pay, the numbers.

use std::fmt;
use std::str::FromStr;

use rust_decimal::{Decimal, RoundingStrategy};

use super::document::{DocumentKind, Party};

/// The settings of the billing. They hold for documents issued from now on; what was issued does not change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BillingSettings {
    /// Who issues the documents.
    pub issuer: Party,
    /// How much tax the amounts include.
    pub tax_rate: TaxRate,
    /// An invoice is to be paid by the end of the day so many days after it was issued.
    pub due_days: u16,
    /// What the numbers begin with.
    pub prefixes: NumberPrefixes,
    /// The IANA name of the time zone of dates: the store's billing time zone.
    pub time_zone: String,
}

impl Default for BillingSettings {
    fn default() -> Self {
        Self {
            issuer: Party::default(),
            tax_rate: TaxRate::default(),
            due_days: 14,
            prefixes: NumberPrefixes::default(),
            time_zone: "UTC".to_owned(),
        }
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

/// How much tax amounts include, in percent: a decimal from 0 to 100, or none that is shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TaxRate(Option<Decimal>);

/// Why a text is no tax rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be a percentage from 0 to 100 with at most 4 decimals, such as 19 or 7.5; empty: no tax is shown")]
pub struct NotATaxRate;

impl FromStr for TaxRate {
    type Err = NotATaxRate;

    fn from_str(text: &str) -> Result<Self, NotATaxRate> {
        if text.is_empty() {
            return Ok(Self(None));
        }
        let is_plain = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        let rate = Decimal::from_str_exact(text).map_err(|_| NotATaxRate)?.normalize();
        if is_plain && rate <= Decimal::ONE_HUNDRED && rate.scale() <= 4 { Ok(Self(Some(rate))) } else { Err(NotATaxRate) }
    }
}

impl fmt::Display for TaxRate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |rate| rate.fmt(formatter))
    }
}

impl TaxRate {
    /// The tax contained in a gross amount: `amount x rate / (100 + rate)`, rounded half-up to the minor unit.
    #[must_use]
    pub fn contained(&self, amount: i64, decimals: u8, minor_digits: u8) -> i64 {
        let Some(rate) = self.0 else { return 0 };
        // Units of at most 2^53 and a rate of at most 7 digits are far within what a Decimal holds exactly.
        let tax = Decimal::new(amount, u32::from(decimals)) * rate / (Decimal::ONE_HUNDRED + rate);
        let digits = u32::from(decimals.min(minor_digits));
        let mut rounded = tax.round_dp_with_strategy(digits, RoundingStrategy::MidpointAwayFromZero);
        rounded.rescale(u32::from(decimals));
        i64::try_from(rounded.mantissa()).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tax_rate_is_a_percentage() {
        for good in ["0", "19", "7.5", "100", "8.875", "19.0000"] {
            assert!(good.parse::<TaxRate>().is_ok(), "{good}");
        }
        for bad in ["-1", "100.1", "19%", "1e1", "abc", "1.23456", "+5", " 19"] {
            assert_eq!(bad.parse::<TaxRate>(), Err(NotATaxRate), "{bad}");
        }
        assert_eq!("7.50".parse::<TaxRate>().unwrap().to_string(), "7.5");
        assert_eq!("".parse::<TaxRate>().unwrap().to_string(), "");
    }

    #[test]
    fn the_tax_contained_is_rounded_half_up_to_the_minor_unit() {
        let rate: TaxRate = "19".parse().unwrap();
        // 119.00 contains 19.00.
        assert_eq!(rate.contained(11_900, 2, 2), 1_900);
        // 76 x 19 / 119 = 12.1344...
        assert_eq!(rate.contained(76_000_000, 6, 2), 12_130_000);
        // 25 % of 0.025 gross: 0.025 x 25 / 125 = 0.005, half-up to 0.01.
        assert_eq!("25".parse::<TaxRate>().unwrap().contained(25, 3, 2), 10);
        // No minor unit: 1000 x 10 / 110 = 90.909...
        assert_eq!("10".parse::<TaxRate>().unwrap().contained(1_000, 0, 0), 91);
        // What is given back is rounded alike.
        assert_eq!(rate.contained(-76_000_000, 6, 2), -12_130_000);
        assert_eq!(TaxRate::default().contained(11_900, 2, 2), 0);
    }

    #[test]
    fn numbers_have_their_series_prefix() {
        let prefixes = NumberPrefixes::default();
        assert_eq!(prefixes.number(DocumentKind::Invoice, 42), "INV-000042");
        assert_eq!(prefixes.number(DocumentKind::Statement, 1_234_567), "STM-1234567");
        assert!(prefixes.check().is_ok());
        assert!(NumberPrefixes { statement: "INV-".to_owned(), ..prefixes }.check().is_err());
    }
}
