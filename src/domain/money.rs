//! Amounts: decimals as a caller sends them, and integers ("units") as an account keeps them.
//!
//! An account chooses its decimals when it is created; one unit is `10^-decimals` of its currency. Units stay within
//! [`MAX_UNITS`], so that every sum of four of them is exact in the doubles that Lua computes with.

mod written;

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign, Mul, Neg, Rem, Sub, SubAssign};

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

pub use written::{format_units, with_formatted};

/// The most decimals that an account can have.
pub const MAX_DECIMALS: u8 = 6;

/// Balance, unbilled, reserved and limit each stay within plus and minus this many units.
pub const MAX_UNITS: Units = Units(1 << 51);

/// What commands may use of [`MAX_UNITS`]: the rest is kept for rounding entries, which cannot be refused.
pub const MAX_COMMANDED_UNITS: Units = Units(MAX_UNITS.0 - (1 << 20));

/// An amount of an account in its units: a whole number of `10^-decimals` of the account's currency.
///
/// It knows neither decimals nor currency: [`format_units`] writes it for people, and `Display` the plain number, for stores and
/// reports of differences.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Units(i64);

impl Units {
    /// None.
    pub const ZERO: Self = Self(0);

    /// The smallest amount.
    pub const ONE: Self = Self(1);

    /// More than any account can hold.
    pub const MAX: Self = Self(i64::MAX);

    /// That many units.
    #[must_use]
    pub const fn new(units: i64) -> Self {
        Self(units)
    }

    /// The number of units, for what keeps plain numbers.
    #[must_use]
    pub const fn get(self) -> i64 {
        self.0
    }

    /// Whether it is zero.
    #[must_use]
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// Whether it is above zero.
    #[must_use]
    pub const fn is_positive(self) -> bool {
        self.0 > 0
    }

    /// Whether it is below zero.
    #[must_use]
    pub const fn is_negative(self) -> bool {
        self.0 < 0
    }

    /// Itself, or zero if it is below.
    #[must_use]
    pub fn or_zero(self) -> Self {
        self.max(Self::ZERO)
    }

    /// Its distance from zero, or the largest amount.
    #[must_use]
    pub const fn saturating_abs(self) -> Self {
        Self(self.0.saturating_abs())
    }

    /// The amount with the other sign, or the largest one.
    #[must_use]
    pub const fn saturating_neg(self) -> Self {
        Self(self.0.saturating_neg())
    }

    /// The sum, or the largest (smallest) amount.
    #[must_use]
    pub const fn saturating_add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// The difference, or the largest (smallest) amount.
    #[must_use]
    pub const fn saturating_sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// That many times the amount, or the largest (smallest) one.
    #[must_use]
    pub const fn saturating_mul(self, times: i64) -> Self {
        Self(self.0.saturating_mul(times))
    }

    /// Its distance from zero.
    #[must_use]
    pub const fn abs(self) -> Self {
        Self(self.0.abs())
    }

    /// -1, 0 or 1, as it is below, at or above zero.
    #[must_use]
    pub const fn signum(self) -> i64 {
        self.0.signum()
    }

    /// What is left of it beyond a whole number of these: zero or above.
    #[must_use]
    pub const fn rem_euclid(self, unit: Self) -> Self {
        Self(self.0.rem_euclid(unit.0))
    }

    /// Whether it is a whole number of these.
    #[must_use]
    pub const fn is_multiple_of(self, unit: Self) -> bool {
        self.0 % unit.0 == 0
    }
}

impl Add for Units {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }
}

impl Sub for Units {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self(self.0 - other.0)
    }
}

impl Neg for Units {
    type Output = Self;

    fn neg(self) -> Self {
        Self(-self.0)
    }
}

impl Mul<i64> for Units {
    type Output = Self;

    fn mul(self, times: i64) -> Self {
        Self(self.0 * times)
    }
}

impl Mul<Units> for i64 {
    type Output = Units;

    fn mul(self, amount: Units) -> Units {
        amount * self
    }
}

impl Rem for Units {
    type Output = Self;

    fn rem(self, unit: Self) -> Self {
        Self(self.0 % unit.0)
    }
}

impl AddAssign for Units {
    fn add_assign(&mut self, other: Self) {
        self.0 += other.0;
    }
}

impl SubAssign for Units {
    fn sub_assign(&mut self, other: Self) {
        self.0 -= other.0;
    }
}

impl fmt::Display for Units {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

impl Sum for Units {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::ZERO, Add::add)
    }
}

impl<'a> Sum<&'a Units> for Units {
    fn sum<I: Iterator<Item = &'a Self>>(amounts: I) -> Self {
        amounts.copied().sum()
    }
}

/// A decimal as it was sent: `mantissa * 10^-scale`, without trailing zeros, so that equal amounts are equal values.
///
/// It becomes units only inside the ledger's step, where the account's decimals are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DecimalAmount {
    mantissa: i64,
    scale: u8,
}

/// Why a text is not an amount.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAnAmount {
    /// The text is not of the form `-?digits(.digits)?`.
    #[error("must be a plain decimal such as \"12.3456\": digits, at most one point, no exponent, no spaces")]
    Malformed,
    /// More digits behind the point than any account keeps.
    #[error("must have at most {MAX_DECIMALS} decimals")]
    TooManyDecimals,
    /// Larger than any account can hold.
    #[error("is out of range: at most 2^51 of an account's smallest units")]
    OutOfRange,
}

impl DecimalAmount {
    /// The longest text that is looked at.
    pub const MAX_TEXT_BYTES: usize = 32;

    pub const ZERO: DecimalAmount = DecimalAmount { mantissa: 0, scale: 0 };

    /// Builds `mantissa * 10^-scale`.
    #[must_use]
    pub fn new(mantissa: i64, scale: u8) -> Self {
        let (mut mantissa, mut scale) = (mantissa, scale);
        while scale > 0 && mantissa % 10 == 0 {
            mantissa /= 10;
            scale -= 1;
        }
        Self { mantissa, scale }
    }

    /// An amount of an account with that many decimals.
    #[must_use]
    pub fn of_units(units: Units, decimals: u8) -> Self {
        Self::new(units.0, decimals)
    }

    /// Reads `-?digits(.digits)?`, and nothing else.
    pub fn parse(text: &str) -> Result<Self, NotAnAmount> {
        if text.is_empty() || text.len() > Self::MAX_TEXT_BYTES {
            return Err(NotAnAmount::Malformed);
        }
        let digits = text.strip_prefix('-').unwrap_or(text);
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
        let plain = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        if !plain(whole) || !plain(fraction) {
            return Err(NotAnAmount::Malformed);
        }
        if fraction.trim_end_matches('0').len() > usize::from(MAX_DECIMALS) {
            return Err(NotAnAmount::TooManyDecimals);
        }
        let decimal = Decimal::from_str_exact(text).map_err(|_| NotAnAmount::OutOfRange)?.normalize();
        let mantissa = i64::try_from(decimal.mantissa()).map_err(|_| NotAnAmount::OutOfRange)?;
        let scale = u8::try_from(decimal.scale()).map_err(|_| NotAnAmount::TooManyDecimals)?;
        if mantissa.unsigned_abs() > MAX_UNITS.0.unsigned_abs() {
            return Err(NotAnAmount::OutOfRange);
        }
        Ok(Self { mantissa, scale })
    }

    /// The digits as an integer.
    #[must_use]
    pub fn mantissa(self) -> i64 {
        self.mantissa
    }

    /// How many of those digits stand behind the point.
    #[must_use]
    pub fn scale(self) -> u8 {
        self.scale
    }

    /// Whether it is below zero.
    #[must_use]
    pub fn is_negative(self) -> bool {
        self.mantissa < 0
    }

    /// Whether it is zero.
    #[must_use]
    pub fn is_zero(self) -> bool {
        self.mantissa == 0
    }

    /// Whether it is larger than `other`.
    #[must_use]
    pub fn exceeds(self, other: DecimalAmount) -> bool {
        let at_full_scale =
            |decimal: DecimalAmount| i128::from(decimal.mantissa) * 10_i128.pow(u32::from(MAX_DECIMALS.saturating_sub(decimal.scale)));
        at_full_scale(self) > at_full_scale(other)
    }

    /// In units of an account with that many decimals; nothing is rounded.
    pub fn to_units(self, decimals: u8) -> Result<Units, NotAnAmount> {
        let shift = decimals.checked_sub(self.scale).ok_or(NotAnAmount::TooManyDecimals)?;
        let units = self.mantissa.checked_mul(10_i64.pow(u32::from(shift))).ok_or(NotAnAmount::OutOfRange)?;
        if units.unsigned_abs() > MAX_UNITS.0.unsigned_abs() { Err(NotAnAmount::OutOfRange) } else { Ok(Units(units)) }
    }
}

impl fmt::Display for DecimalAmount {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        Decimal::new(self.mantissa, u32::from(self.scale)).fmt(formatter)
    }
}

/// The currency's minor unit (a cent, a yen, a fils), in units.
#[must_use]
pub fn minor_unit(decimals: u8, minor_digits: u8) -> Units {
    Units(10_i64.pow(u32::from(decimals.saturating_sub(minor_digits))))
}

/// The amount rounded half-up to the currency's minor unit, in units. Amounts below zero do not occur where bills are cut.
#[must_use]
pub fn round_half_up(units: Units, decimals: u8, minor_digits: u8) -> Units {
    let (Units(units), Units(step)) = (units, minor_unit(decimals, minor_digits));
    let remainder = units.rem_euclid(step);
    Units(if remainder * 2 >= step && remainder != 0 { units - remainder + step } else { units - remainder })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_decimal_is_an_amount() {
        assert_eq!(DecimalAmount::parse("12.3456"), Ok(DecimalAmount::new(123_456, 4)));
        assert_eq!(DecimalAmount::parse("-0.50"), Ok(DecimalAmount::new(-5, 1)));
        assert_eq!(DecimalAmount::parse("1.00000000"), Ok(DecimalAmount::new(1, 0)));
        assert_eq!(DecimalAmount::parse("0"), Ok(DecimalAmount::ZERO));
    }

    #[test]
    fn anything_else_is_refused() {
        for text in ["", " 1", "1 ", "1e3", "1,5", "NaN", "+1", "1.", ".5", "1_000", "--1", "-", "0x1", "١", "1.2.3", "inf"] {
            assert_eq!(DecimalAmount::parse(text), Err(NotAnAmount::Malformed), "{text:?}");
        }
        assert_eq!(DecimalAmount::parse("0.1234567"), Err(NotAnAmount::TooManyDecimals));
        assert_eq!(DecimalAmount::parse("99999999999999999999999999"), Err(NotAnAmount::OutOfRange));
        assert_eq!(DecimalAmount::parse("2251799813685249"), Err(NotAnAmount::OutOfRange));
        assert!(DecimalAmount::parse("2251799813685248").is_ok());
        // Its distance from zero is no i64.
        assert_eq!(DecimalAmount::parse("-9223372036854775808"), Err(NotAnAmount::OutOfRange));
        assert_eq!(DecimalAmount::new(i64::MIN, 0).to_units(0), Err(NotAnAmount::OutOfRange));
    }

    #[test]
    fn nothing_is_rounded_on_the_way_to_units() {
        assert_eq!(DecimalAmount::new(125, 2).to_units(4), Ok(Units(12_500)));
        assert_eq!(DecimalAmount::new(125, 3).to_units(2), Err(NotAnAmount::TooManyDecimals));
        assert_eq!(DecimalAmount::of_units(MAX_UNITS, 0).to_units(1), Err(NotAnAmount::OutOfRange));
    }

    #[test]
    fn a_bill_is_rounded_half_up_to_the_minor_unit() {
        assert_eq!(round_half_up(Units(12_349), 4, 2), Units(12_300));
        assert_eq!(round_half_up(Units(12_350), 4, 2), Units(12_400));
        assert_eq!(round_half_up(Units(12_300), 4, 2), Units(12_300));
        assert_eq!(round_half_up(Units(12_301), 2, 2), Units(12_301));
        assert_eq!(round_half_up(Units(15_000), 4, 0), Units(20_000));
    }
}
