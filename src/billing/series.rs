//! Series of numbers. A document has a place in one, and carries a digest of its content and of the document before it.
//!
//! A series' row is locked by the first statement of the transaction that numbers, and changed by its last. It keeps the place and the
//! digest of the last document: the head. [`digest`] says what a digest covers; [`backfill`] chains what was issued before there were any.

pub mod backfill;
pub mod digest;

use std::fmt;
use std::str::FromStr;

use sqlx::{AnyConnection, Row};

use super::BillingError;

/// Prefix of the names of heads of a partition's allocations; the partition follows.
pub const ALLOCATIONS: &str = "allocations/";

/// Prefix of the names of heads of audit records; the chain follows.
pub const AUDIT: &str = "audit/";

/// The number at a place of a series: its prefix, and at least six digits.
#[must_use]
pub fn number(prefix: &str, place: i64) -> String {
    format!("{prefix}{place:06}")
}

/// The place of a number in the series of a prefix; `None` if it is none of it.
#[must_use]
pub fn place_of(number_text: &str, prefix: &str) -> Option<i64> {
    let digits = number_text.strip_prefix(prefix)?;
    let place = digits.parse().ok().filter(|place| *place > 0 && digits.bytes().all(|byte| byte.is_ascii_digit()))?;
    (number(prefix, place) == number_text).then_some(place)
}

/// A series whose row this process has locked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Series {
    /// Prefix of its numbers.
    pub prefix: String,
    /// The last place that was given.
    pub last_place: i64,
    /// The digest of the last document; empty if there is none.
    pub head: String,
    /// Whether it is unknown how its numbers go on, so that none is given.
    pub is_held: bool,
    stored_place: i64,
}

impl Series {
    /// Locks the series against other numberers.
    pub async fn lock(connection: &mut AnyConnection, prefix: &str) -> Result<Self, BillingError> {
        let touch = "UPDATE series SET last_place = last_place WHERE prefix = $1";
        if sqlx::query(touch).bind(prefix.to_owned()).execute(&mut *connection).await?.rows_affected() == 0 {
            let begin = "INSERT INTO series (prefix, last_place) VALUES ($1, 0) ON CONFLICT (prefix) DO NOTHING";
            sqlx::query(begin).bind(prefix.to_owned()).execute(&mut *connection).await?;
            sqlx::query(touch).bind(prefix.to_owned()).execute(&mut *connection).await?;
        }
        let sql = "SELECT last_place, head, is_held FROM series WHERE prefix = $1";
        let row = sqlx::query(sql).bind(prefix.to_owned()).fetch_one(connection).await?;
        let (is_held, last_place): (i64, i64) = (row.try_get("is_held")?, row.try_get("last_place")?);
        let (prefix, head, is_held) = (prefix.to_owned(), row.try_get("head")?, is_held != 0);
        Ok(Self { prefix, last_place, head, is_held, stored_place: last_place })
    }

    /// The next place, and its number.
    pub fn take_place(&mut self) -> (i64, String) {
        self.last_place += 1;
        (self.last_place, number(&self.prefix, self.last_place))
    }

    /// Keeps how far the series has come.
    pub async fn save(&self, connection: &mut AnyConnection) -> Result<(), BillingError> {
        let done = sqlx::query("UPDATE series SET last_place = $1, head = $2 WHERE prefix = $3 AND last_place = $4")
            .bind(self.last_place)
            .bind(self.head.clone())
            .bind(self.prefix.clone())
            .bind(self.stored_place)
            .execute(connection)
            .await?;
        match done.rows_affected() {
            1 => Ok(()),
            // The transaction is dropped, and with it all that it wrote.
            _ => Err(BillingError::unavailable("another process has numbered the series")),
        }
    }
}

/// The last document of a series, or one that was the last when somebody noted it elsewhere: "INV-:INV-000042:9f86d0…".
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Head {
    /// Prefix of the numbers of the series.
    pub series: String,
    pub number: String,
    pub digest: String,
}

impl Head {
    /// What it is the head of, for people: the number, or the last of the entries that allocations are of.
    #[must_use]
    pub fn name(&self) -> String {
        match self.series.as_str() {
            series if series.starts_with(ALLOCATIONS) => format!("{series} up to entry {}", self.number),
            series if series.starts_with(AUDIT) => format!("record {} of {series}", self.number),
            _ => self.number.clone(),
        }
    }
}

impl fmt::Display for Head {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}:{}", self.series, self.number, self.digest)
    }
}

impl FromStr for Head {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = "must be SERIES:NUMBER:DIGEST, as verify prints it, such as INV-:INV-000042:9f86d081…, with 64 hexadecimal digits";
        let (name, digest) = text.rsplit_once(':').ok_or(wrong)?;
        let is_digest = digest.len() == 64 && digest.bytes().all(|byte| byte.is_ascii_hexdigit());
        // A prefix may have colons of its own.
        let mut splits = name.match_indices(':').filter_map(|(at, _)| Some((name.get(..at)?, name.get(at + 1..)?)));
        let is_place = |number: &str| number.parse::<u64>().is_ok_and(|place| place.to_string() == number);
        let is_head = |series: &str, number: &str| {
            place_of(number, series).is_some() || (series.starts_with(ALLOCATIONS) || series.starts_with(AUDIT)) && is_place(number)
        };
        let (series, number) = splits.find(|(series, number)| is_digest && is_head(series, number)).ok_or(wrong)?;
        Ok(Self { series: series.to_owned(), number: number.to_owned(), digest: digest.to_ascii_lowercase() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_belongs_to_the_series_that_would_have_given_it() {
        assert_eq!(number("INV-", 42), "INV-000042");
        assert_eq!(number("INV-", 1_234_567), "INV-1234567");
        assert_eq!(place_of("INV-000042", "INV-"), Some(42));
        assert_eq!(place_of("INV-2026-000042", "INV-"), None);
        assert_eq!(place_of("INV-2026-000042", "INV-2026-"), Some(42));
        for other in ["INV-42", "INV-0000042", "INV-+00042", "STM-000042", "INV-000000", "INV-"] {
            assert_eq!(place_of(other, "INV-"), None, "{other}");
        }
    }

    #[test]
    fn a_head_is_read_as_it_is_written() {
        let head = Head { series: "A:".into(), number: "A:000007".into(), digest: "0123456789abcdef".repeat(4) };
        assert_eq!(head.to_string().parse(), Ok(head.clone()));
        let head = Head { series: "allocations/3".into(), number: "1200".into(), digest: head.digest };
        assert_eq!(head.to_string().parse(), Ok(head.clone()));
        for wrong in ["", "INV-", "INV-:INV-000001", "INV-:INV-000001:12"] {
            assert!(wrong.parse::<Head>().is_err(), "{wrong}");
        }
        for wrong in ["STM-:INV-000001", "INV-:1", "INV-000001", ""] {
            assert!(format!("{wrong}:{}", head.digest).parse::<Head>().is_err(), "{wrong}");
        }
    }
}
