//! Credit over time, drawn: a line that steps from day to day, and the same as a table for who does not see it.

use domain::money::Units;
use jiff::civil::Date;

use crate::locale::Locale;
use service::credit_history::CreditHistory;

/// The size of the drawing, which is stretched to the page.
const WIDTH: f64 = 1000.0;
const HEIGHT: f64 = 200.0;

pub struct Chart {
    /// The line, and the area between it and zero, as paths of SVG.
    pub line: String,
    pub area: String,
    /// Where zero is.
    pub zero: String,
    /// The amounts at the top and at the bottom.
    pub highest: String,
    pub lowest: String,
    /// The first and the last day.
    pub from: String,
    /// The last.
    pub to: String,
    /// In one sentence: what it was at first, at the end, and at its highest and lowest.
    pub summary: String,
    /// Each day on which it changed, newest first, with what it was at its end.
    pub rows: Vec<(String, String, bool)>,
}

impl Chart {
    /// The chart of a history; none if there is only one day.
    #[must_use]
    pub fn new(locale: &Locale, history: &CreditHistory) -> Option<Self> {
        let CreditHistory { unit, days, today } = history;
        let [(first, at_first), later @ ..] = days.as_slice() else { return None };
        let (_, at_last) = later.last()?;
        let amounts = || days.iter().map(|(_, amount)| *amount);
        // Zero is always in the picture.
        let (lowest, highest) = (amounts().min()?.min(Units::ZERO), amounts().max()?.or_zero());
        let span = days_between(*first, *today).max(1.0);
        let height = highest.saturating_sub(lowest).max(Units::ONE);
        let x = |day: Date| WIDTH * days_between(*first, day) / span;
        #[allow(clippy::cast_precision_loss, reason = "a place on a screen")]
        let y = |amount: Units| HEIGHT * highest.saturating_sub(amount).get() as f64 / height.get() as f64;
        let mut line = format!("M0 {:.1}", y(*at_first));
        for (day, amount) in later {
            line += &format!("H{:.1}V{:.1}", x(*day), y(*amount));
        }
        line += &format!("H{WIDTH:.1}");
        let area = format!("{line}V{zero:.1}H0Z", zero = y(Units::ZERO));
        let money = |amount| locale.money(*unit, amount);
        let summary = locale.text_with(
            "chart-summary",
            &[
                ("from", &locale.date(*first)),
                ("first", &money(*at_first)),
                ("to", &locale.date(*today)),
                ("last", &money(*at_last)),
                ("highest", &money(amounts().max()?)),
                ("lowest", &money(amounts().min()?)),
            ],
        );
        let mut rows: Vec<_> =
            days.iter().map(|(day, amount)| (locale.date(*day), locale.amount(*unit, *amount), *amount < Units::ZERO)).collect();
        rows.reverse();
        Some(Self {
            area,
            line,
            zero: format!("{:.1}", y(Units::ZERO)),
            highest: money(highest),
            lowest: money(lowest),
            from: locale.date(*first),
            to: locale.date(*today),
            summary,
            rows,
        })
    }
}

fn days_between(from: Date, to: Date) -> f64 {
    f64::from(from.until(to).map_or(0, |span| span.get_days()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test")]

    use domain::account::Currency;
    use jiff::civil::date;
    use jiff::tz::TimeZone;

    use super::*;
    use crate::texts::Language;
    use service::credit::Unit;

    #[test]
    fn a_line_steps_from_day_to_day_and_zero_is_in_the_picture() {
        let locale = Locale::new(Language::English, TimeZone::UTC);
        let unit = Unit { currency: Currency::parse("EUR").unwrap(), decimals: 2, minor_digits: 2 };
        let history = |days: &[(Date, Units)]| CreditHistory { unit, days: days.to_vec(), today: date(2026, 11, 5) };
        let days = [(date(2026, 10, 26), 10_000), (date(2026, 10, 31), -10_000), (date(2026, 11, 5), 0)]
            .map(|(day, units)| (day, Units::new(units)));
        let chart = Chart::new(&locale, &history(&days)).unwrap();
        assert_eq!(chart.line, "M0 0.0H500.0V200.0H1000.0V100.0H1000.0");
        assert_eq!((chart.zero.as_str(), chart.highest.as_str(), chart.lowest.as_str()), ("100.0", "100.00\u{a0}EUR", "−100.00\u{a0}EUR"));
        assert!(chart.area.starts_with(&chart.line) && chart.area.ends_with("V100.0H0Z"), "{}", chart.area);
        assert_eq!(chart.rows[0], ("5 Nov 2026".to_owned(), "0.00".to_owned(), false));
        assert!(chart.summary.contains("26 Oct 2026") && chart.summary.contains("−100.00"), "{}", chart.summary);
        assert!(Chart::new(&locale, &history(&days[..1])).is_none());
    }
}
