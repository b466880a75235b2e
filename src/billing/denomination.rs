//! In what an account's amounts are kept, and how they read.

use domain::money::{Units, format_units};

/// In what an account's amounts are kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Denomination {
    /// ISO 4217.
    pub currency: String,
    /// Digits behind the point of a unit.
    pub decimals: u8,
    /// Digits behind the point of the currency's minor unit.
    pub minor_digits: u8,
}

impl Denomination {
    /// How many units the currency's minor unit is.
    #[must_use]
    pub fn minor_unit(&self) -> Units {
        Units::new(10_i64.saturating_pow(u32::from(self.decimals.saturating_sub(self.minor_digits))))
    }

    #[must_use]
    pub fn show(&self, units: Units) -> String {
        format!("{} {}", format_units(units, self.decimals, self.minor_digits), self.currency)
    }
}
