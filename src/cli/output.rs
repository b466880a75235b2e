//! How a command shows what it found: a table for people, JSON for programs.

use clap::ValueEnum;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::Value;

/// How to show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people.
    Table,
    /// For programs.
    Json,
}

/// Prints what was found, as JSON.
pub fn print_json(value: &Value) {
    println!("{value:#}");
}

/// An instant of a message.
#[must_use]
pub fn instant(at: Option<prost_types::Timestamp>) -> Option<Timestamp> {
    at.and_then(|at| Timestamp::new(at.seconds, at.nanos).ok())
}

/// An instant for programs: RFC 3339, in UTC.
#[must_use]
pub fn instant_json(at: Option<prost_types::Timestamp>) -> Value {
    instant(at).map_or(Value::Null, |at| Value::String(at.to_string()))
}

/// An instant for people: to the minute, in UTC.
#[must_use]
pub fn instant_text(at: Option<prost_types::Timestamp>) -> String {
    instant(at).map_or_else(String::new, |at| at.to_zoned(TimeZone::UTC).strftime("%Y-%m-%d %H:%MZ").to_string())
}

/// The day of an instant, for people, in UTC.
#[must_use]
pub fn day_text(at: Option<prost_types::Timestamp>) -> String {
    instant(at).map_or_else(String::new, |at| at.to_zoned(TimeZone::UTC).strftime("%Y-%m-%d").to_string())
}

/// An instant as a message has it.
#[must_use]
pub fn to_message(at: Timestamp) -> prost_types::Timestamp {
    prost_types::Timestamp { seconds: at.as_second(), nanos: at.subsec_nanosecond() }
}
