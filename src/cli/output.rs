//! How a command shows what it found: a table for people, JSON for programs.

use std::future::Future;

use anyhow::Context;
use clap::ValueEnum;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use prost::{Message, Name};
use prost_reflect::DynamicMessage;
use serde_json::Value;
use tonic::{Response, Status};

use crate::cli::failure::{explain, problem};
use crate::grpc::dynamic::{descriptors, to_json};

/// Output format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people.
    Table,
    /// For programs: what the API returns, as HTTP/JSON does.
    Json,
}

impl Output {
    /// Prints what a call returned: as text for people, or the message itself.
    pub fn show<M: Message + Name>(self, message: &M, text: impl FnOnce(&M) -> String) -> anyhow::Result<()> {
        match self {
            Self::Table => println!("{}", text(message)),
            Self::Json => print_json(&message_json(message)?),
        }
        Ok(())
    }

    /// Awaits a call, and prints what it returned.
    pub async fn show_call<M: Message + Name>(
        self,
        call: impl Future<Output = Result<Response<M>, Status>>,
        text: impl FnOnce(&M) -> String,
    ) -> anyhow::Result<()> {
        self.show(&call.await.map_err(explain)?.into_inner(), text)
    }

    /// Awaits a change. Programs are shown what it returned; returns whether people are still to be shown what there is now.
    pub async fn make_change<M: Message + Name>(self, call: impl Future<Output = Result<Response<M>, Status>>) -> anyhow::Result<bool> {
        let changed = call.await.map_err(explain)?.into_inner();
        if self == Self::Json {
            print_json(&message_json(&changed)?);
        }
        Ok(self == Self::Table)
    }
}

/// Prints a value for programs.
pub fn print_json(value: &Value) {
    println!("{value:#}");
}

/// A message of the API in its canonical JSON.
pub fn message_json<M: Message + Name>(message: &M) -> anyhow::Result<Value> {
    let name = M::full_name();
    let descriptor = descriptors().get_message_by_name(&name).with_context(|| format!("the API has no message {name}"))?;
    let mut dynamic = DynamicMessage::new(descriptor);
    dynamic.transcode_from(message)?;
    Ok(to_json(&dynamic)?)
}

/// An instant of a message.
#[must_use]
pub fn instant(at: Option<prost_types::Timestamp>) -> Option<Timestamp> {
    at.and_then(|at| Timestamp::new(at.seconds, at.nanos).ok())
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

/// The month that begins at an instant, whatever time zone it begins in.
#[must_use]
pub fn month_text(from: Option<prost_types::Timestamp>) -> String {
    let amid = instant(from).and_then(|from| from.checked_add(SignedDuration::from_hours(14 * 24)).ok());
    amid.map_or_else(String::new, |at| at.to_zoned(TimeZone::UTC).strftime("%Y-%m").to_string())
}

/// Reads an instant of the command line: RFC 3339, or a day, which begins at midnight UTC.
pub fn parse_instant(text: &str) -> Result<Timestamp, String> {
    let day = || text.parse::<Date>().ok()?.to_zoned(TimeZone::UTC).ok().map(|midnight| midnight.timestamp());
    text.parse().ok().or_else(day).ok_or_else(|| "must be an instant such as 2026-11-01T00:00:00Z, or a day such as 2026-11-01".to_owned())
}

/// An instant as a message has it.
#[must_use]
pub fn to_message(at: Timestamp) -> prost_types::Timestamp {
    prost_types::Timestamp { seconds: at.as_second(), nanos: at.subsec_nanosecond() }
}

/// Prints to stderr why a command failed: in words, or for programs as a line of JSON.
pub fn tell(error: &anyhow::Error, output: Output) {
    match output {
        Output::Table => eprintln!("tollgate: {error:#}"),
        Output::Json => eprintln!("{}", problem(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_is_named_alike_wherever_it_begins() {
        for begins in ["2026-09-30T22:00:00Z", "2026-10-01T00:00:00Z", "2026-10-01T08:00:00Z"] {
            assert_eq!(month_text(Some(to_message(begins.parse().unwrap()))), "2026-10");
        }
    }

    #[test]
    fn an_instant_may_be_a_day() {
        assert_eq!(parse_instant("2026-10-01").unwrap(), parse_instant("2026-10-01T00:00:00Z").unwrap());
        assert!(parse_instant("october").unwrap_err().contains("2026-11-01"));
    }
}
