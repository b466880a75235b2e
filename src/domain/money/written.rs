//! How units are written for people: as a decimal with the digits of the currency, and more only if there are more.

use super::{MAX_DECIMALS, Units};

/// Units as a decimal text, without trailing zeros beyond the currency's minor unit.
///
/// Every answer carries about ten of these, so it is done on integers, without a `Decimal` in between.
#[must_use]
pub fn format_units(units: Units, decimals: u8, minor_digits: u8) -> String {
    with_formatted(units, decimals, minor_digits, str::to_owned)
}

/// Passes that text on without allocating a string.
pub fn with_formatted<T>(units: Units, decimals: u8, minor_digits: u8, take: impl FnOnce(&str) -> T) -> T {
    let zero = ZEROS.get(usize::from(decimals.min(minor_digits))).filter(|_| units == Units::ZERO);
    if let Some(zero) = zero {
        return take(zero);
    }
    let (mut digits, mut scale) = (units.0.unsigned_abs(), decimals);
    let minor_unit = POWERS_OF_TEN.get(usize::from(decimals.saturating_sub(minor_digits)));
    if let Some(minor_unit) = minor_unit.filter(|minor_unit| digits.is_multiple_of(**minor_unit)) {
        // At once: most amounts are whole minor units.
        (digits, scale) = (digits / minor_unit, decimals.min(minor_digits));
    }
    while scale > minor_digits && digits.is_multiple_of(10) {
        digits /= 10;
        scale -= 1;
    }
    // Digit by digit from behind: with `write!`, formatting was 9 % of the service's time in a profile of streamed debits.
    let mut text = [b'0'; LONGEST_AMOUNT];
    let mut places = text.iter_mut().rev();
    let mut length = 0;
    let mut put = |byte: u8| {
        if let Some(place) = places.next() {
            *place = byte;
            length += 1;
        }
    };
    let mut behind_the_point = scale;
    loop {
        put(b'0' + u8::try_from(digits % 10).unwrap_or(0));
        digits /= 10;
        match behind_the_point {
            0 if digits == 0 => break,
            0 => {}
            1 => {
                put(b'.');
                behind_the_point = 0;
            }
            _ => behind_the_point -= 1,
        }
    }
    if units.is_negative() {
        put(b'-');
    }
    let text = text.get(LONGEST_AMOUNT - length..).unwrap_or_default();
    take(std::str::from_utf8(text).unwrap_or_default())
}

/// The bytes of the longest amount: a sign, 19 digits, a point, a zero before it.
const LONGEST_AMOUNT: usize = 32;

/// Zero, with so many digits behind the point: half of the amounts of an answer.
const ZEROS: [&str; 5] = ["0", "0.0", "0.00", "0.000", "0.0000"];

/// As many as there are places of difference between an amount and its minor unit.
const POWERS_OF_TEN: [u64; MAX_DECIMALS as usize + 1] = [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_shown_with_at_least_the_minor_unit() {
        assert_eq!(format_units(Units(20_861_014_800), 7, 2), "2086.10148");
        assert_eq!(format_units(Units(1_000_000), 6, 2), "1.00");
        assert_eq!(format_units(Units(-86_700), 4, 2), "-8.67");
        assert_eq!(format_units(Units(0), 4, 0), "0");
        assert_eq!(format_units(Units(0), 0, 2), "0");
        assert_eq!(format_units(Units(0), 6, 2), "0.00");
        assert_eq!(format_units(Units(0), 9, 7), "0.0000000");
        assert_eq!(format_units(Units(-5), 6, 2), "-0.000005");
        assert_eq!(format_units(Units(1_000), 2, 2), "10.00");
        assert_eq!(format_units(Units(7), 2, 3), "0.07");
        assert_eq!(format_units(Units(i64::MIN), 0, 0), "-9223372036854775808");
    }
}
