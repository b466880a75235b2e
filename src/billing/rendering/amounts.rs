//! Amounts as people read them, aligned at the point.

pub use crate::denomination::Denomination;
use domain::money::{Units, format_units};

/// An amount in a column of amounts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Figure {
    /// With groups of thousands and a true minus sign: "−1,234.50".
    pub text: String,
    /// How many digits behind the point others in the column have, and this one has not.
    pub missing_digits: usize,
    /// Others in the column have a point, and this one has not.
    pub missing_point: bool,
}

impl Denomination {
    /// The amount for machines: "-1234.50".
    #[must_use]
    pub fn plain(&self, units: Units) -> String {
        format_units(units, self.decimals, self.minor_digits)
    }

    /// The amount for people, on its own: "EUR −1,234.50". Nothing is rounded.
    #[must_use]
    pub fn shown(&self, units: Units) -> String {
        format!("{} {}", self.currency, grouped(&self.plain(units)))
    }

    /// How many digits behind the point these amounts need, if none of them is to be rounded.
    #[must_use]
    pub fn digits_for(&self, amounts: impl IntoIterator<Item = Units>) -> usize {
        let least = usize::from(self.decimals.min(self.minor_digits));
        amounts.into_iter().map(|units| digits_behind_point(&self.plain(units))).fold(least, usize::max)
    }

    /// The amount with exactly as many digits behind the point as the column has: a line of a table.
    #[must_use]
    pub fn line(&self, units: Units, column: usize) -> Figure {
        let mut plain = self.plain(units);
        let digits = digits_behind_point(&plain);
        if digits == 0 && column > 0 {
            plain.push('.');
        }
        plain.extend(std::iter::repeat_n('0', column.saturating_sub(digits)));
        Figure { text: grouped(&plain), missing_digits: 0, missing_point: false }
    }

    /// The amount with no more digits than it needs, under a column that may have more: a total.
    #[must_use]
    pub fn total(&self, units: Units, column: usize) -> Figure {
        let plain = self.plain(units);
        let digits = digits_behind_point(&plain);
        Figure { text: grouped(&plain), missing_digits: column.saturating_sub(digits), missing_point: digits == 0 && column > 0 }
    }
}

/// How many digits stand behind the point.
pub(super) fn digits_behind_point(plain: &str) -> usize {
    plain.split_once('.').map_or(0, |(_, fraction)| fraction.len())
}

/// A plain decimal with its thousands in groups, and a true minus sign, as wide as a digit. Anything else is left as it is.
pub(super) fn grouped(plain: &str) -> String {
    let digits = plain.strip_prefix('-').unwrap_or(plain);
    let (whole, fraction) = digits.split_once('.').map_or((digits, None), |(whole, fraction)| (whole, Some(fraction)));
    if whole.is_empty() || !whole.bytes().chain(fraction.unwrap_or("").bytes()).all(|byte| byte.is_ascii_digit()) {
        return plain.to_owned();
    }
    let mut text = String::with_capacity(plain.len() + 8);
    if plain.starts_with('-') {
        text.push('\u{2212}');
    }
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if let Some(fraction) = fraction {
        text.push('.');
        text.push_str(fraction);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn euros() -> Denomination {
        Denomination { currency: "EUR".to_owned(), decimals: 5, minor_digits: 2 }
    }

    #[test]
    fn an_amount_is_shown_in_full_with_its_thousands_in_groups() {
        assert_eq!(euros().shown(Units::new(208_610_148)), "EUR 2,086.10148");
        assert_eq!(euros().shown(Units::new(-867_000)), "EUR \u{2212}8.67");
        assert_eq!(euros().shown(Units::new(123_456_789_000_000)), "EUR 1,234,567,890.00");
        assert_eq!(Denomination { currency: "JPY".to_owned(), decimals: 0, minor_digits: 0 }.shown(Units::new(999)), "JPY 999");
    }

    #[test]
    fn the_points_of_a_column_stand_below_each_other() {
        let digits = euros().digits_for([148, 1_200_000, -50_000].map(Units::new));
        assert_eq!(digits, 5);
        assert_eq!(euros().line(Units::new(1_200_000), digits).text, "12.00000");
        assert_eq!(euros().line(Units::new(148), digits).text, "0.00148");
        let total = euros().total(Units::new(1_200_000), digits);
        assert_eq!((total.text.as_str(), total.missing_digits, total.missing_point), ("12.00", 3, false));
        let yen = Denomination { currency: "JPY".to_owned(), decimals: 4, minor_digits: 0 };
        assert_eq!(yen.line(Units::new(120_000), 2).text, "12.00");
        assert_eq!((yen.total(Units::new(120_000), 2).missing_digits, yen.total(Units::new(120_000), 2).missing_point), (2, true));
    }

    #[test]
    fn whole_cents_need_no_more_than_two_digits() {
        assert_eq!(euros().digits_for([1_250_000, 0].map(Units::new)), 2);
        assert_eq!(euros().digits_for([]), 2);
    }

    #[test]
    fn what_is_no_decimal_is_left_alone() {
        for text in ["", "-", "about 3", "1e9"] {
            assert_eq!(grouped(text), text);
        }
        assert_eq!(grouped("1234567.8900"), "1,234,567.8900");
    }
}
