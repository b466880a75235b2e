//! The months that a list can be narrowed to.

use jiff::civil::Date;

use crate::locale::Locale;

/// How many months can be chosen.
const MONTHS: usize = 24;

/// The first day of a month such as "2026-10".
#[must_use]
pub fn first_of(month: &str) -> Option<Date> {
    format!("{month}-01").parse().ok()
}

/// The months that can be chosen, newest first, and the one that is.
#[must_use]
pub fn months(locale: &Locale, today: Date, chosen: &str) -> Vec<(String, String)> {
    let lasts = std::iter::successors(Some(today), |day| day.first_of_month().yesterday().ok());
    let mut firsts: Vec<_> = lasts.map(Date::first_of_month).take(MONTHS).collect();
    firsts.extend(first_of(chosen).filter(|first| !firsts.contains(first)));
    firsts.into_iter().map(|first| (first.strftime("%Y-%m").to_string(), locale.month(first))).collect()
}
