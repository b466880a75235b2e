//! Single fields, read within their bounds. What is wrong is collected, so that a caller learns of all of it at once.
//!
//! A field that is wrong reads as some harmless value; [`FieldReader::finish`] then refuses the whole. Bounds: at most
//! [`MAX_VIOLATIONS`] are returned, and keys are shown cut to [`MAX_SHOWN`] characters, because details travel in a header.

use std::ops::RangeInclusive;

use jiff::civil::Date;
use prost_types::{Duration, Timestamp};

use crate::clock::Clock;
use crate::domain::account::Currency;
use crate::domain::command::{Action, Command, Metadata};
use crate::domain::ids::{AccountId, RequestId};
use crate::domain::money::DecimalAmount;
use crate::domain::time::{Millis, UnixMillis};
use crate::grpc::v1;
use crate::service::error::Violation;

/// How many violations are returned.
pub const MAX_VIOLATIONS: usize = 20;
/// How much is shown of a key that the caller sent.
pub const MAX_SHOWN: usize = 32;
/// The longest id of an account, and the longest request id.
pub const MAX_ID_CHARACTERS: usize = 128;
/// How many a page of a list has, unless the caller says how many; and at most.
const DEFAULT_PAGE: usize = 50;
const MAX_PAGE: usize = 1000;
/// The last second of the year 9999.
const LAST_SECOND: i64 = 253_402_300_799;

/// Which amounts a field takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// Above zero.
    Positive,
    /// Zero or above.
    NotNegative,
    /// Above or below zero.
    NotZero,
}

/// Reads the fields of one request.
#[derive(Debug)]
pub struct FieldReader {
    now: UnixMillis,
    path: Vec<&'static str>,
    violations: Vec<Violation>,
    currency: Option<Currency>,
    calendar: Option<Clock>,
}

impl FieldReader {
    /// Reads a request that came at `now`.
    #[must_use]
    pub fn new(now: UnixMillis) -> Self {
        Self { now, path: Vec::new(), violations: Vec::new(), currency: None, calendar: None }
    }

    /// The same, which knows the days of the billing time zone.
    #[must_use]
    pub fn with_calendar(self, clock: &Clock) -> Self {
        Self { calendar: Some(clock.clone()), ..self }
    }

    /// The time.
    #[must_use]
    pub fn now(&self) -> UnixMillis {
        self.now
    }

    /// Notes that a field is wrong, and what is allowed. An empty field name means the message that is being read.
    pub fn refuse(&mut self, field: &str, rule: impl Into<String>) {
        if self.violations.len() < MAX_VIOLATIONS {
            let mut place = self.path.join(".");
            if !place.is_empty() && !field.is_empty() {
                place.push('.');
            }
            self.violations.push(Violation { field: place + field, rule: rule.into() });
        }
    }

    /// Reads the fields of a message within the request.
    pub fn within<T>(&mut self, field: &'static str, read: impl FnOnce(&mut Self) -> T) -> T {
        self.path.push(field);
        let value = read(self);
        self.path.pop();
        value
    }

    /// The value, if nothing was wrong.
    pub fn finish<T>(self, value: T) -> Result<T, Vec<Violation>> {
        if self.violations.is_empty() { Ok(value) } else { Err(self.violations) }
    }

    /// A command of what was read: in the currency that its amounts named, if any.
    pub fn command(&mut self, account: String, request_id: String, action: Action) -> Command {
        let account = self.account_id(account);
        let request_id = self.request_id("request_id", request_id);
        Command { account, request_id, first_sent_at: None, currency: self.currency, action, metadata: Metadata::default() }
    }

    pub fn account_id(&mut self, text: String) -> AccountId {
        let is_plain = |byte: u8| is_word(byte) || byte == b'@';
        let begins = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
        if !begins || text.len() > MAX_ID_CHARACTERS || !text.bytes().all(is_plain) {
            self.refuse("account_id", "must be 1 to 128 characters out of A-Z a-z 0-9 . _ : @ / -, the first of them a letter or digit");
        }
        text.into()
    }

    /// The name of a request, or of the request that another refers to.
    pub fn request_id(&mut self, field: &str, text: String) -> RequestId {
        self.identifier(field, text).into()
    }

    /// The name of something that is not a request, of the same form.
    pub fn identifier(&mut self, field: &str, text: String) -> String {
        if text.is_empty() || text.len() > MAX_ID_CHARACTERS || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            self.refuse(field, "must be 1 to 128 visible ASCII characters");
        }
        text
    }

    /// Text for people.
    pub fn text(&mut self, field: &str, text: String, characters: RangeInclusive<usize>) -> String {
        // No character takes more than four bytes: a text that is far too long is not counted through.
        let is_long = text.len() > 4 * characters.end() || !characters.contains(&text.chars().count());
        if is_long || text.chars().any(char::is_control) {
            let (least, most) = characters.into_inner();
            self.refuse(field, format!("must be {least} to {most} characters, none of them a control character"));
        }
        text
    }

    /// A word for machines; may be absent.
    pub fn word(&mut self, field: &str, text: String, most: usize) -> String {
        if text.len() > most || !text.bytes().all(is_word) {
            self.refuse(field, format!("must be at most {most} characters out of A-Z a-z 0-9 . _ : / -"));
        }
        text
    }

    /// A decimal that is only kept; may be absent.
    pub fn quantity(&mut self, field: &str, text: String) -> String {
        let (whole, fraction) = text.split_once('.').unwrap_or((&text, "0"));
        let is_plain = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        if !text.is_empty() && (text.len() > 32 || !is_plain(whole) || !is_plain(fraction)) {
            self.refuse(field, "must be a plain decimal of at most 32 characters, not negative");
        }
        text
    }

    /// A point in time, to the millisecond.
    pub fn instant(&mut self, field: &str, instant: Option<Timestamp>) -> Option<UnixMillis> {
        let Timestamp { seconds, nanos } = instant?;
        if !(0..=LAST_SECOND).contains(&seconds) || !(0..=999_999_999).contains(&nanos) {
            self.refuse(field, "must lie within the years 1970 to 9999, with 0 to 999999999 nanos");
            return None;
        }
        Some(UnixMillis::new(seconds * 1000 + i64::from(nanos / 1_000_000)))
    }

    /// A day such as "2026-11-03"; empty for none is named.
    pub fn day(&mut self, field: &str, text: &str) -> Option<Date> {
        // More is read as a day than is meant for one here: what is printed alike is.
        let day = text.parse::<Date>().ok().filter(|day| day.to_string() == text);
        if day.is_none() && !text.is_empty() {
            self.refuse(field, "must be a day such as 2026-07-01");
        }
        day
    }

    /// The first instant of a day, in the billing time zone.
    #[must_use]
    pub fn start_of_day(&self, day: Date) -> UnixMillis {
        self.calendar.as_ref().and_then(|calendar| calendar.start_of_day(day)).unwrap_or_default()
    }

    /// A length of time, to the millisecond.
    pub fn duration(&mut self, field: &str, duration: Option<Duration>, seconds: RangeInclusive<i64>, default: Millis) -> Millis {
        let Some(Duration { seconds: whole, nanos }) = duration else { return default };
        let (least, most) = seconds.into_inner();
        let millis = whole.saturating_mul(1000).saturating_add(i64::from(nanos / 1_000_000));
        if !(0..=999_999_999).contains(&nanos) || !(least * 1000..=most * 1000).contains(&millis) || (millis == most * 1000 && nanos > 0) {
            self.refuse(field, format!("must be {least} to {most} seconds"));
            return default;
        }
        millis
    }

    /// An amount that must be there.
    pub fn amount(&mut self, field: &'static str, money: Option<v1::Money>, sign: Sign) -> DecimalAmount {
        if money.is_none() {
            self.refuse(field, "must be given");
        }
        self.optional_amount(field, money, sign).unwrap_or(DecimalAmount::ZERO)
    }

    /// An amount that may be absent. All amounts of a request are in one currency.
    pub fn optional_amount(&mut self, field: &'static str, money: Option<v1::Money>, sign: Sign) -> Option<DecimalAmount> {
        let v1::Money { amount, currency_code } = money?;
        self.within(field, |reader| {
            if !currency_code.is_empty() {
                reader.name_currency(&currency_code);
            }
            let decimal = match DecimalAmount::parse(&amount) {
                Ok(decimal) => decimal,
                Err(error) => {
                    reader.refuse("amount", error.to_string());
                    return None;
                }
            };
            let broken = match sign {
                Sign::Positive if decimal.is_negative() || decimal.is_zero() => "must be above zero",
                Sign::NotNegative if decimal.is_negative() => "must not be negative",
                Sign::NotZero if decimal.is_zero() => "must not be zero",
                _ => return Some(decimal),
            };
            reader.refuse("amount", broken);
            None
        })
    }

    fn name_currency(&mut self, code: &str) {
        match Currency::parse(code) {
            None => self.refuse("currency_code", "must be an ISO 4217 code: three capital letters"),
            Some(currency) if self.currency.is_some_and(|named| named != currency) => {
                self.refuse("currency_code", "must be the same in all amounts of a request");
            }
            Some(currency) => self.currency = Some(currency),
        }
    }

    /// The currency of a new account, and the digits of its minor unit.
    pub fn new_currency(&mut self, code: &str) -> (Currency, u8) {
        let known = iso_currency::Currency::from_code(code).and_then(|known| u8::try_from(known.exponent()?).ok());
        match (known, Currency::parse(code)) {
            (Some(minor_digits), Some(currency)) => {
                self.currency = Some(currency);
                (currency, minor_digits)
            }
            _ => {
                self.refuse("currency_code", "must be the ISO 4217 code of a currency that has a minor unit");
                // What is read of the rest is only looked through for more that is wrong.
                (Currency::NONE, 0)
            }
        }
    }

    /// One of an enum's values; `None` if it is unspecified.
    pub fn choice<E: TryFrom<i32> + Default + PartialEq>(&mut self, field: &str, number: i32) -> Option<E> {
        match E::try_from(number) {
            Ok(choice) if choice == E::default() => None,
            Ok(choice) => Some(choice),
            Err(_) => {
                self.refuse(field, "must be one of the values that the API names");
                None
            }
        }
    }

    /// The operator's name and reason, into the note.
    pub fn operator(&mut self, operator: Option<v1::Operator>, is_needed: bool, metadata: &mut Metadata) {
        let Some(v1::Operator { actor, reason }) = operator else {
            if is_needed {
                self.refuse("operator", "must be given: who changes this by hand, and why");
            }
            return;
        };
        self.within("operator", |reader| {
            // Whether it may be absent depends on who calls.
            metadata.actor = reader.text("actor", actor, 0..=128);
            metadata.reason = reader.text("reason", reason, 1..=512);
        });
    }

    /// How many to list. A client that asks for more than there may be gets as many as there may be.
    pub fn page_size(&mut self, size: i32) -> usize {
        match usize::try_from(size) {
            Ok(0) => DEFAULT_PAGE,
            Ok(size) => size.min(MAX_PAGE),
            Err(_) => {
                self.refuse("page_size", format!("must be 0 (for {DEFAULT_PAGE}) or more; more than {MAX_PAGE} is {MAX_PAGE}"));
                DEFAULT_PAGE
            }
        }
    }
}

/// Whether a byte may stand in a word for machines.
#[must_use]
pub fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"._:/-".contains(&byte)
}
