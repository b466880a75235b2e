//! Dates as people read them, in the document's time zone.

use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

use super::FormError;
use crate::domain::account::Millis;

/// The calendar of a document.
#[derive(Debug)]
pub(super) struct Dates {
    zone: TimeZone,
}

/// The instant; what lies outside of the calendar is moved to its end.
pub(super) fn timestamp(at: Millis) -> Timestamp {
    Timestamp::from_millisecond(at).unwrap_or(if at < 0 { Timestamp::MIN } else { Timestamp::MAX })
}

impl Dates {
    /// The calendar of that time zone.
    pub(super) fn in_zone(name: &str) -> Result<Self, FormError> {
        let zone = TimeZone::get(name).map_err(|_| FormError::TimeZone(name.to_owned()))?;
        Ok(Self { zone })
    }

    fn zoned(&self, at: Millis) -> Zoned {
        timestamp(at).to_zoned(self.zone.clone())
    }

    /// "30 November 2026".
    pub(super) fn day(&self, at: Millis) -> String {
        self.zoned(at).strftime("%-d %B %Y").to_string()
    }

    /// From the first instant to the last one before `end`: "3 November 2026 to 30 November 2026"; a whole month is "November 2026".
    pub(super) fn period(&self, from: Millis, end: Millis) -> String {
        let [begin, next] = [from, end].map(|at| self.zoned(at));
        let month_after = begin.date().saturating_add(jiff::Span::new().months(1));
        let is_midnight = [&begin, &next].iter().all(|at| at.start_of_day().is_ok_and(|start| start == **at));
        if is_midnight && begin.day() == 1 && next.date() == month_after {
            return begin.strftime("%B %Y").to_string();
        }
        let (first, last) = (self.day(from), self.day(last_instant(from, end)));
        if first == last { first } else { format!("{first} to {last}") }
    }

    /// Whether the period from one instant to another is of one year, so that its days need no year.
    pub(super) fn is_of_one_year(&self, from: Millis, end: Millis) -> bool {
        self.zoned(from).year() == self.zoned(last_instant(from, end)).year()
    }

    /// From the first to the last use: "03 Nov – 28 Nov".
    pub(super) fn uses(&self, first: Millis, last: Millis, with_year: bool) -> String {
        let format = if with_year { "%d %b %Y" } else { "%d %b" };
        let (first, last) = (self.zoned(first).strftime(format).to_string(), self.zoned(last).strftime(format).to_string());
        if first == last { first } else { format!("{first} \u{2013} {last}") }
    }
}

/// The last instant of a period: its end is the first one that is not part of it.
fn last_instant(from: Millis, end: Millis) -> Millis {
    end.saturating_sub(1).max(from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Millis {
        text.parse::<Timestamp>().unwrap().as_millisecond()
    }

    #[test]
    fn a_day_is_one_of_the_documents_time_zone() {
        let midnight_in_berlin = at("2026-11-30T23:00:00Z");
        assert_eq!(Dates::in_zone("Europe/Berlin").unwrap().day(midnight_in_berlin), "1 December 2026");
        assert_eq!(Dates::in_zone("UTC").unwrap().day(midnight_in_berlin), "30 November 2026");
    }

    #[test]
    fn a_period_ends_on_its_last_day_and_not_on_the_day_after() {
        let berlin = Dates::in_zone("Europe/Berlin").unwrap();
        assert_eq!(berlin.period(at("2026-11-03T08:00:00Z"), at("2026-11-30T23:00:00Z")), "3 November 2026 to 30 November 2026");
        assert_eq!(berlin.period(at("2026-11-03T08:00:00Z"), at("2026-11-03T08:00:00Z")), "3 November 2026");
    }

    #[test]
    fn a_whole_month_is_named() {
        let berlin = Dates::in_zone("Europe/Berlin").unwrap();
        assert_eq!(berlin.period(at("2026-10-31T23:00:00Z"), at("2026-11-30T23:00:00Z")), "November 2026");
        assert_eq!(berlin.period(at("2026-10-31T23:00:01Z"), at("2026-11-30T23:00:00Z")), "1 November 2026 to 30 November 2026");
    }

    #[test]
    fn uses_name_the_year_only_where_it_is_needed() {
        let utc = Dates::in_zone("UTC").unwrap();
        let (december, january) = (at("2026-12-31T08:00:00Z"), at("2027-01-02T08:00:00Z"));
        assert!(!utc.is_of_one_year(december, january));
        assert_eq!(utc.uses(december, january, true), "31 Dec 2026 \u{2013} 02 Jan 2027");
        assert_eq!(utc.uses(december, december, false), "31 Dec");
    }

    #[test]
    fn an_unknown_time_zone_is_named() {
        let error = Dates::in_zone("Europe/Atlantis").unwrap_err();
        assert!(error.to_string().contains("\"Europe/Atlantis\""), "{error}");
    }

    #[test]
    fn an_instant_outside_of_the_calendar_is_its_end() {
        assert_eq!(timestamp(i64::MAX), Timestamp::MAX);
        assert_eq!(timestamp(i64::MIN), Timestamp::MIN);
    }
}
