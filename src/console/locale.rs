//! How a reader's language writes amounts, numbers and dates, and how amounts are read that were typed in it.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::texts::Language;
use domain::money::{DecimalAmount, Units, format_units};
use domain::time::UnixMillis;
use service::credit::Unit;
use service::error::Error;

/// A language, and the time zone that instants are shown in.
#[derive(Clone, Debug)]
pub struct Locale {
    pub language: Language,
    zone: TimeZone,
}

impl Locale {
    /// A locale with this language and time zone.
    #[must_use]
    pub fn new(language: Language, zone: TimeZone) -> Self {
        Self { language, zone }
    }

    /// A text by its key.
    #[must_use]
    pub fn text(&self, key: &str) -> String {
        self.language.text(key, &[])
    }

    /// A text by its key, with arguments.
    #[must_use]
    pub fn text_with(&self, key: &str, args: &[(&str, &str)]) -> String {
        self.language.text(key, args)
    }

    /// Why a use case refused, or gave no answer: by its reason, or, where there is no text for it, as the use case says it.
    #[must_use]
    pub fn refusal(&self, error: &Error) -> String {
        let key = format!("reason-{}", error.reason);
        let args: Vec<_> = error.metadata.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let text = self.text_with(&key, &args);
        if text == key { error.text.clone() } else { text }
    }

    /// A decimal such as "-1234.50", as people write it: "−1,234.50".
    #[must_use]
    pub fn decimal(&self, plain: &str) -> String {
        let (group, point) = self.marks();
        let (sign, digits) = plain.strip_prefix('-').map_or(("", plain), |digits| ("−", digits));
        let (whole, fraction) = digits.split_once('.').map_or((digits, None), |(whole, fraction)| (whole, Some(fraction)));
        let mut text = String::from(sign);
        for (index, digit) in whole.chars().enumerate() {
            if index > 0 && (whole.len() - index).is_multiple_of(3) {
                text.push(group);
            }
            text.push(digit);
        }
        if let Some(fraction) = fraction {
            text.push(point);
            text.push_str(fraction);
        }
        text
    }

    #[must_use]
    pub fn number(&self, number: usize) -> String {
        self.decimal(&number.to_string())
    }

    /// An amount without its currency.
    #[must_use]
    pub fn amount(&self, unit: Unit, units: Units) -> String {
        self.decimal(&unit.amount(units))
    }

    /// An amount with its currency.
    #[must_use]
    pub fn money(&self, unit: Unit, units: Units) -> String {
        format!("{}\u{a0}{}", self.amount(unit, units), unit.currency.code())
    }

    /// An amount in units with that many decimals, without its currency.
    #[must_use]
    pub fn units(&self, units: Units, decimals: u8, minor_digits: u8) -> String {
        self.decimal(&format_units(units, decimals, minor_digits))
    }

    /// An amount as it is typed into a field: without groups of thousands.
    #[must_use]
    pub fn typed(&self, unit: Unit, units: Units) -> String {
        unit.amount(units).replace('.', &self.marks().1.to_string())
    }

    /// Reads an amount that was typed. Groups of thousands are not read: what is a thousand in one language is one in another.
    #[must_use]
    pub fn read_amount(&self, text: &str) -> Option<DecimalAmount> {
        let (_, point) = self.marks();
        let text = text.replace('−', "-");
        let is_plain = text.chars().all(|letter| letter.is_ascii_digit() || letter == point || letter == '-');
        if !is_plain {
            return None;
        }
        DecimalAmount::parse(&text.replace(point, ".")).ok()
    }

    /// A decimal that was typed, as machines write it.
    #[must_use]
    pub fn plain(&self, text: &str) -> String {
        text.replace(self.marks().1, ".")
    }

    /// The day of an instant in the billing time zone, as machines write it.
    #[must_use]
    pub fn machine_day(&self, at: UnixMillis) -> String {
        Timestamp::from_millisecond(at.get()).map_or_else(|_| String::new(), |at| at.to_zoned(self.zone.clone()).date().to_string())
    }

    /// The day of an instant.
    #[must_use]
    pub fn day(&self, at: UnixMillis) -> String {
        Timestamp::from_millisecond(at.get()).map_or_else(|_| String::new(), |at| self.date(at.to_zoned(self.zone.clone()).date()))
    }

    /// A day.
    #[must_use]
    pub fn date(&self, day: Date) -> String {
        let pattern = match self.language {
            Language::English => "%-d %b %Y",
            Language::German => "%d.%m.%Y",
        };
        day.strftime(pattern).to_string()
    }

    /// A month, by its first day.
    #[must_use]
    pub fn month(&self, first: Date) -> String {
        let pattern = match self.language {
            Language::English => "%b %Y",
            Language::German => "%m.%Y",
        };
        first.strftime(pattern).to_string()
    }

    /// An instant, to the minute.
    #[must_use]
    pub fn instant(&self, at: UnixMillis) -> String {
        let Ok(at) = Timestamp::from_millisecond(at.get()) else { return String::new() };
        let zoned = at.to_zoned(self.zone.clone());
        format!("{}, {}", self.date(zoned.date()), zoned.strftime("%H:%M"))
    }

    /// An instant for machines, as the attribute `datetime` has it.
    #[must_use]
    pub fn machine(&self, at: UnixMillis) -> String {
        Timestamp::from_millisecond(at.get()).map_or_else(|_| String::new(), |at| at.to_string())
    }

    /// What stands between thousands, and before the fraction.
    fn marks(&self) -> (char, char) {
        match self.language {
            Language::English => (',', '.'),
            Language::German => ('.', ','),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_written_and_read_as_the_reader_does() {
        let (english, german) = (Locale::new(Language::English, TimeZone::UTC), Locale::new(Language::German, TimeZone::UTC));
        for (plain, in_english, in_german) in [
            ("-1234567.5", "−1,234,567.5", "−1.234.567,5"),
            ("0.00", "0.00", "0,00"),
            ("999", "999", "999"),
            ("1000", "1,000", "1.000"),
            ("2086.10148", "2,086.10148", "2.086,10148"),
        ] {
            assert_eq!((english.decimal(plain).as_str(), german.decimal(plain).as_str()), (in_english, in_german));
        }
        let decimal = |text| Some(DecimalAmount::parse(text).unwrap());
        assert_eq!(english.read_amount("1234.5"), decimal("1234.5"));
        assert_eq!(german.read_amount("1234,5"), decimal("1234.5"));
        assert_eq!(german.read_amount("−3"), decimal("-3"));
        // A thousand here is a thousandth there: neither is guessed at.
        for (locale, text) in
            [(&german, "1.234"), (&english, "1,234"), (&english, "1e3"), (&english, ""), (&german, "1,2,3"), (&english, "٣")]
        {
            assert_eq!(locale.read_amount(text), None, "{text}");
        }
        assert_eq!(english.instant(UnixMillis::new(1_793_000_000_000)), "26 Oct 2026, 07:33");
        assert_eq!(german.day(UnixMillis::new(1_793_000_000_000)), "26.10.2026");
    }
}
