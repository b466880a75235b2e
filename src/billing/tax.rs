//! The law of tax: how much of what a document charges is tax, at which rate. Pure: no store, no clock.
//!
//! Amounts include tax. A document's total is split over the rates of its categories; a credit note takes from what is left of the
//! document that it corrects.

use domain::money::{Units, minor_unit};
use std::cmp::Reverse;
use std::fmt;
use std::str::FromStr;

use rust_decimal::{Decimal, RoundingStrategy};
use serde::{Deserialize, Serialize};

/// How an account's amounts are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digits {
    /// Digits behind the point of a unit.
    pub decimals: u8,
    /// Digits behind the point of the currency's minor unit.
    pub minor: u8,
}

impl Digits {
    /// How many units one minor unit has.
    fn minor_unit(self) -> Units {
        minor_unit(self.decimals, self.minor)
    }
}

/// What a document charges at one rate of tax. Amounts include the tax.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaxLine {
    pub rate: TaxRate,
    /// The categories; empty for all.
    pub categories: Vec<String>,
    /// What is charged.
    pub gross: Units,
    pub tax: Units,
}

impl TaxLine {
    /// What is charged without the tax.
    #[must_use]
    pub fn net(&self) -> Units {
        self.gross.saturating_sub(self.tax)
    }
}

/// How much tax amounts include, in percent: a decimal from 0 to 100, or none that is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TaxRate(Option<Decimal>);

/// Why a text is no tax rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be a percentage from 0 to 100 with at most 4 decimals, such as 19 or 7.5; or none is given, and no tax is shown")]
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

impl TryFrom<String> for TaxRate {
    type Error = NotATaxRate;

    fn try_from(text: String) -> Result<Self, NotATaxRate> {
        text.parse()
    }
}

impl From<TaxRate> for String {
    fn from(rate: TaxRate) -> Self {
        rate.to_string()
    }
}

impl fmt::Display for TaxRate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |rate| rate.fmt(formatter))
    }
}

impl TaxRate {
    /// Nothing is charged: of who is exempt.
    pub const ZERO: Self = Self(Some(Decimal::ZERO));

    /// Whether tax is shown at all.
    #[must_use]
    pub fn is_shown(self) -> bool {
        self.0.is_some()
    }

    /// The tax contained in a gross amount: `amount x rate / (100 + rate)`, rounded half-up to the minor unit.
    #[must_use]
    pub fn contained(self, amount: Units, digits: Digits) -> Units {
        let Some(rate) = self.0 else { return Units::ZERO };
        // Units of at most 2^53 and a rate of at most 7 digits are far within what a Decimal holds exactly.
        let tax = Decimal::new(amount.get(), u32::from(digits.decimals)) * rate / (Decimal::ONE_HUNDRED + rate);
        let shown = u32::from(digits.decimals.min(digits.minor));
        let mut rounded = tax.round_dp_with_strategy(shown, RoundingStrategy::MidpointAwayFromZero);
        rounded.rescale(u32::from(digits.decimals));
        i64::try_from(rounded.mantissa()).map_or(Units::ZERO, Units::new)
    }
}

/// What is charged of one category.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// "usage", "subscription", "hardware", "service".
    pub category: String,
    pub rate: TaxRate,
    /// The sum of its lines, not rounded.
    pub amount: Units,
}

/// The parts by rate, the highest first: gross and tax. With a total, gross adds up to it, in minor units, by largest remainder (of
/// equal ones the higher rate's first); without one, nothing but the tax is rounded. Empty: no tax is shown.
#[must_use]
pub fn by_rate(parts: &[Part], total: Option<Units>, digits: Digits) -> Vec<TaxLine> {
    if !parts.iter().any(|part| part.rate.is_shown()) {
        return Vec::new();
    }
    let mut lines: Vec<TaxLine> = Vec::new();
    for Part { category, rate, amount } in parts {
        match lines.iter_mut().find(|line| line.rate == *rate) {
            Some(line) => {
                line.gross += *amount;
                if !line.categories.contains(category) {
                    line.categories.push(category.clone());
                }
            }
            None => lines.push(TaxLine { rate: *rate, categories: vec![category.clone()], gross: *amount, tax: Units::ZERO }),
        }
    }
    lines.sort_by_key(|line| Reverse(line.rate));
    if let Some(total) = total {
        split(&mut lines, total, digits.minor_unit());
    }
    for line in &mut lines {
        line.tax = line.rate.contained(line.gross, digits);
    }
    lines
}

/// Makes the lines add up to the total: each is rounded down, and what is missing goes to the largest remainders.
fn split(lines: &mut [TaxLine], total: Units, minor_unit: Units) {
    let mut remainders = Vec::with_capacity(lines.len());
    for (place, line) in lines.iter_mut().enumerate() {
        let remainder = line.gross.rem_euclid(minor_unit);
        line.gross -= remainder;
        remainders.push((Reverse(remainder), place));
    }
    remainders.sort();
    let missing = total - lines.iter().map(|line| line.gross).sum::<Units>();
    let (count, rest) = (missing.get().div_euclid(minor_unit.get()), missing.rem_euclid(minor_unit));
    for (turn, (_, place)) in (0..count).zip(remainders.iter().cycle()) {
        if let Some(line) = lines.get_mut(*place) {
            line.gross += minor_unit;
            // What is no whole minor unit stays in one piece.
            line.gross += if turn == 0 { rest } else { Units::ZERO };
        }
    }
    if count == 0
        && let Some(line) = remainders.first().and_then(|(_, place)| lines.get_mut(*place))
    {
        line.gross += rest;
    }
}

/// Takes what a credit note gives back from what is left of a document: from the rate of the charge's category first, then from the rate
/// with most left. The tax given back is what the tax of the rest falls by.
pub fn take(left: &mut [TaxLine], category: &str, amount: Units, digits: Digits) -> Vec<TaxLine> {
    let is_of_charge = |line: &TaxLine| line.categories.is_empty() || line.categories.iter().any(|name| name == category);
    let own = left.iter().position(is_of_charge).unwrap_or(0);
    let mut taken: Vec<TaxLine> = Vec::new();
    let mut rest = amount;
    let mut take_from = |left: &mut [TaxLine], place: usize, amount: Units| {
        let Some(line) = left.get_mut(place) else { return };
        let remaining = line.gross - amount;
        let tax = line.rate.contained(remaining, digits);
        let note = TaxLine { gross: amount, tax: line.tax - tax, ..line.clone() };
        (line.gross, line.tax) = (remaining, tax);
        match taken.iter_mut().find(|known| known.rate == note.rate) {
            Some(known) => (known.gross, known.tax) = (known.gross + note.gross, known.tax + note.tax),
            None => taken.push(note),
        }
    };
    while rest.is_positive() {
        let most = (0..left.len()).max_by_key(|place| (left.get(*place).map_or(Units::ZERO, |line| line.gross), Reverse(*place)));
        let has_left = |place: usize| left.get(place).is_some_and(|line| line.gross.is_positive());
        let place = if has_left(own) { own } else { most.unwrap_or(own) };
        let available = left.get(place).map_or(Units::ZERO, |line| line.gross);
        // Nothing is left anywhere: that cannot be, and is not hidden.
        let (place, part) = if available.is_positive() { (place, rest.min(available)) } else { (own, rest) };
        take_from(left, place, part);
        rest -= part;
    }
    taken.sort_by_key(|line| Reverse(line.rate));
    taken
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digits(decimals: u8, minor: u8) -> Digits {
        Digits { decimals, minor }
    }

    fn part(category: &str, rate: &str, amount: Units) -> Part {
        Part { category: category.to_owned(), rate: rate.parse().unwrap(), amount }
    }

    fn figures(lines: &[TaxLine]) -> Vec<(String, Units, Units)> {
        lines.iter().map(|line| (line.rate.to_string(), line.gross, line.tax)).collect()
    }

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
        assert_eq!(rate.contained(Units::new(11_900), digits(2, 2)), Units::new(1_900));
        // 76 x 19 / 119 = 12.1344...
        assert_eq!(rate.contained(Units::new(76_000_000), digits(6, 2)), Units::new(12_130_000));
        // 25 % of 0.025 gross: 0.025 x 25 / 125 = 0.005, half-up to 0.01.
        assert_eq!("25".parse::<TaxRate>().unwrap().contained(Units::new(25), digits(3, 2)), Units::new(10));
        // No minor unit: 1000 x 10 / 110 = 90.909...
        assert_eq!("10".parse::<TaxRate>().unwrap().contained(Units::new(1_000), digits(0, 0)), Units::new(91));
        // What is given back is rounded alike.
        assert_eq!(rate.contained(Units::new(-76_000_000), digits(6, 2)), Units::new(-12_130_000));
        assert_eq!(TaxRate::default().contained(Units::new(11_900), digits(2, 2)), Units::ZERO);
    }

    #[test]
    fn a_total_is_split_over_its_rates_by_largest_remainder_and_the_higher_rate_comes_first() {
        // 10.005 at 19 % and 10.005 at 7 %: 20.01 = 10.01 + 10.00; tax 1.598... and 0.654...
        let parts = [part("hardware", "7", Units::new(10_005)), part("usage", "19", Units::new(10_005))];
        let lines = by_rate(&parts, Some(Units::new(20_010)), digits(3, 2));
        assert_eq!(
            figures(&lines),
            [("19".to_owned(), Units::new(10_010), Units::new(1_600)), ("7".to_owned(), Units::new(10_000), Units::new(650))]
        );
        assert_eq!(lines[0].categories, ["usage"]);
        // 3.333 + 3.333 + 3.334 = 10.00: the largest remainder is the last one's.
        let parts =
            [part("usage", "19", Units::new(3_333)), part("hardware", "7", Units::new(3_333)), part("service", "0", Units::new(3_334))];
        let lines = by_rate(&parts, Some(Units::new(10_000)), digits(3, 2));
        assert_eq!(lines.iter().map(|line| line.gross).collect::<Vec<_>>(), [Units::new(3_330), Units::new(3_330), Units::new(3_340)]);
    }

    #[test]
    fn without_a_total_only_the_tax_is_rounded() {
        let lines = by_rate(&[part("usage", "19", Units::new(22_888_520))], None, digits(6, 2));
        // 22.88852 x 19 / 119 = 3.6544...
        assert_eq!(figures(&lines), [("19".to_owned(), Units::new(22_888_520), Units::new(3_650_000))]);
        assert_eq!(by_rate(&[part("usage", "", Units::new(100))], None, digits(2, 2)), []);
    }

    #[test]
    fn the_tax_of_a_credit_note_is_what_the_tax_of_the_rest_falls_by() {
        let mut left = by_rate(&[part("usage", "19", Units::new(1_000))], Some(Units::new(1_000)), digits(2, 2));
        let taxes: Vec<Units> = [333, 333, 334].map(|amount| take(&mut left, "usage", Units::new(amount), digits(2, 2))[0].tax).to_vec();
        assert_eq!((left[0].gross, taxes), (Units::ZERO, [54, 53, 53].map(Units::new).to_vec()));
    }

    #[test]
    fn a_credit_note_takes_from_its_own_rate_first_and_then_from_the_one_with_most_left() {
        let parts = [part("usage", "19", Units::new(1_000)), part("hardware", "7", Units::new(500)), part("service", "0", Units::new(800))];
        let mut left = by_rate(&parts, Some(Units::new(2_300)), digits(2, 2));
        // 5.00 of the hardware, then of usage, which has most left: 10.00 against 8.00.
        let taken = take(&mut left, "hardware", Units::new(600), digits(2, 2));
        assert_eq!(
            figures(&taken),
            [("19".to_owned(), Units::new(100), Units::new(16)), ("7".to_owned(), Units::new(500), Units::new(33))]
        );
        assert_eq!(left.iter().map(|line| line.gross).collect::<Vec<_>>(), [Units::new(900), Units::ZERO, Units::new(800)]);
        assert_eq!(left[0].tax, Units::new(144), "900 x 19 / 119 = 143.69...");
    }
}
