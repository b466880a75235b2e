//! Dates as people read them, in the document's time zone.

use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

use super::FormError;
use super::texts::Texts;
use domain::time::UnixMillis;

/// The calendar of a document.
pub(super) struct Dates<'a> {
    zone: TimeZone,
    texts: &'a Texts,
}

/// The instant; what lies outside of the calendar is moved to its end.
pub(super) fn timestamp(at: UnixMillis) -> Timestamp {
    Timestamp::from_millisecond(at.get()).unwrap_or(if at < UnixMillis::NONE { Timestamp::MIN } else { Timestamp::MAX })
}

impl<'a> Dates<'a> {
    /// The calendar of that time zone, in these words.
    pub(super) fn in_zone(name: &str, texts: &'a Texts) -> Result<Self, FormError> {
        let zone = TimeZone::get(name).map_err(|_| FormError::TimeZone(name.to_owned()))?;
        Ok(Self { zone, texts })
    }

    fn zoned(&self, at: UnixMillis) -> Zoned {
        timestamp(at).to_zoned(self.zone.clone())
    }

    /// "30 November 2026".
    pub(super) fn day(&self, at: UnixMillis) -> String {
        let at = self.zoned(at);
        let (day, month) = (at.day().to_string(), self.texts.text(&format!("month-{}", at.month())));
        self.texts.with("day", &[("day", &day), ("month", &month), ("year", &at.year().to_string())])
    }

    /// From the first instant to the last one before `end`: "3 November 2026 to 30 November 2026"; a whole month is "November 2026".
    pub(super) fn period(&self, from: UnixMillis, end: UnixMillis) -> String {
        let [begin, next] = [from, end].map(|at| self.zoned(at));
        let month_after = begin.date().saturating_add(jiff::Span::new().months(1));
        let is_midnight = [&begin, &next].iter().all(|at| at.start_of_day().is_ok_and(|start| start == **at));
        if is_midnight && begin.day() == 1 && next.date() == month_after {
            let month = self.texts.text(&format!("month-{}", begin.month()));
            return self.texts.with("month-of-year", &[("month", &month), ("year", &begin.year().to_string())]);
        }
        let (first, last) = (self.day(from), self.day(last_instant(from, end)));
        if first == last { first } else { self.texts.with("period", &[("first", &first), ("last", &last)]) }
    }

    /// Whether the period from one instant to another is of one year, so that its days need no year.
    pub(super) fn is_of_one_year(&self, from: UnixMillis, end: UnixMillis) -> bool {
        self.zoned(from).year() == self.zoned(last_instant(from, end)).year()
    }

    /// From the first to the last use: "03 Nov – 28 Nov".
    pub(super) fn uses(&self, first: UnixMillis, last: UnixMillis, with_year: bool) -> String {
        let shown = |at| {
            let at = self.zoned(at);
            let (day, month) = (format!("{:02}", at.day()), self.texts.text(&format!("month-short-{}", at.month())));
            let year = at.year().to_string();
            let variables = [("day", &*day), ("month", &*month), ("year", &*year)];
            self.texts.with(if with_year { "short-day-of-year" } else { "short-day" }, &variables)
        };
        let (first, last) = (shown(first), shown(last));
        if first == last { first } else { format!("{first} \u{2013} {last}") }
    }
}

/// The last instant of a period: its end is the first one that is not part of it.
fn last_instant(from: UnixMillis, end: UnixMillis) -> UnixMillis {
    end.saturating_sub(1).max(from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> UnixMillis {
        UnixMillis::new(text.parse::<Timestamp>().unwrap().as_millisecond())
    }

    #[test]
    fn a_day_is_one_of_the_documents_time_zone() {
        let midnight_in_berlin = at("2026-11-30T23:00:00Z");
        assert_eq!(Dates::in_zone("Europe/Berlin", &Texts::of("en")).unwrap().day(midnight_in_berlin), "1 December 2026");
        assert_eq!(Dates::in_zone("UTC", &Texts::of("en")).unwrap().day(midnight_in_berlin), "30 November 2026");
    }

    #[test]
    fn a_period_ends_on_its_last_day_and_not_on_the_day_after() {
        let texts = Texts::of("en");
        let berlin = Dates::in_zone("Europe/Berlin", &texts).unwrap();
        assert_eq!(berlin.period(at("2026-11-03T08:00:00Z"), at("2026-11-30T23:00:00Z")), "3 November 2026 to 30 November 2026");
        assert_eq!(berlin.period(at("2026-11-03T08:00:00Z"), at("2026-11-03T08:00:00Z")), "3 November 2026");
    }

    #[test]
    fn a_whole_month_is_named() {
        let texts = Texts::of("en");
        let berlin = Dates::in_zone("Europe/Berlin", &texts).unwrap();
        assert_eq!(berlin.period(at("2026-10-31T23:00:00Z"), at("2026-11-30T23:00:00Z")), "November 2026");
        assert_eq!(berlin.period(at("2026-10-31T23:00:01Z"), at("2026-11-30T23:00:00Z")), "1 November 2026 to 30 November 2026");
    }

    #[test]
    fn uses_name_the_year_only_where_it_is_needed() {
        let texts = Texts::of("en");
        let utc = Dates::in_zone("UTC", &texts).unwrap();
        let (december, january) = (at("2026-12-31T08:00:00Z"), at("2027-01-02T08:00:00Z"));
        assert!(!utc.is_of_one_year(december, january));
        assert_eq!(utc.uses(december, january, true), "31 Dec 2026 \u{2013} 02 Jan 2027");
        assert_eq!(utc.uses(december, december, false), "31 Dec");
    }

    #[test]
    fn an_unknown_time_zone_is_named() {
        let error = Dates::in_zone("Europe/Atlantis", &Texts::of("en")).err().unwrap();
        assert!(error.to_string().contains("\"Europe/Atlantis\""), "{error}");
    }

    #[test]
    fn an_instant_outside_of_the_calendar_is_its_end() {
        assert_eq!(timestamp(UnixMillis::MAX), Timestamp::MAX);
        assert_eq!(timestamp(UnixMillis::MIN), Timestamp::MIN);
    }
}
