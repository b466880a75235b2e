//! The fields of a form, read within their bounds. What is wrong is collected, so that all of it is shown at once, beside its field.

use axum::body::Bytes;
use axum::extract::FromRequestParts;
use http::request::Parts;

use jiff::civil::Date;
use uuid::{Builder, Uuid};

use super::failure::Failure;
use super::locale::Locale;
use domain::money::DecimalAmount;
use domain::time::UnixMillis;

/// The most fields of one form, and of one that comes with a file, whose lines have fields of their own.
pub const MOST: usize = 200;
pub const MOST_WITH_FILE: usize = 1_100;

/// The longest id, and the longest text for people.
const MAX_ID: usize = 128;
const MAX_TEXT: usize = 512;

/// The most that may be ticked of several.
const MAX_CHOSEN: usize = 100;

/// The fields that were sent.
#[derive(Clone, Debug, Default)]
pub struct Fields {
    named: Vec<(String, String)>,
    files: Vec<(String, Bytes)>,
}

/// A field that is wrong: its name, and what would be right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    pub field: &'static str,
    /// What would be right, in the reader's language.
    pub text: String,
}

/// The request that a form makes. Its id is in the form, so that what is sent twice is done once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FormRequest {
    pub id: String,
    /// When the form was made: nothing of it was sent before.
    pub first_sent_at: Option<UnixMillis>,
}

/// The id of a form that is made now: a UUID of version 7, which says when.
#[must_use]
pub fn new_request(now: UnixMillis) -> String {
    let random = Uuid::new_v4();
    let random = random.as_bytes().first_chunk().unwrap_or(&[0; 10]);
    Builder::from_unix_timestamp_millis(u64::try_from(now.get()).unwrap_or_default(), random).into_uuid().to_string()
}

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

/// Reads fields in a language.
pub struct FieldReader<'a> {
    fields: &'a Fields,
    locale: &'a Locale,
    wrong: Vec<FieldError>,
}

impl Fields {
    /// Reads a body; `None` if it is none of a form.
    #[must_use]
    pub fn parse(body: &[u8], most: usize) -> Option<Self> {
        let fields: Vec<(String, String)> = serde_urlencoded::from_bytes(body).ok()?;
        (fields.len() <= most).then_some(Self { named: fields, files: Vec::new() })
    }

    /// A field, without blanks around it; empty if it was not sent.
    #[must_use]
    pub fn get(&self, name: &str) -> &str {
        self.named.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value.trim())
    }

    /// The same with all its blanks.
    #[must_use]
    pub fn whole(&self, name: &str) -> &str {
        self.named.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }

    /// The content of a file that came along, unless it is empty.
    #[must_use]
    pub fn file(&self, name: &str) -> Option<&Bytes> {
        self.files.iter().find(|(known, content)| known == name && !content.is_empty()).map(|(_, content)| content)
    }

    /// Whether all of it is text.
    #[must_use]
    pub fn are_text(&self) -> bool {
        self.files.iter().all(|(_, content)| !content.contains(&0))
    }

    /// Whether a box is ticked.
    #[must_use]
    pub fn is_ticked(&self, name: &str) -> bool {
        !self.get(name).is_empty()
    }

    /// All fields.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.named.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// All values of a field.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.named.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.trim())
    }

    /// The same with a field set: how a form begins.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.named.retain(|(known, _)| known != name);
        self.named.push((name.to_owned(), value.into()));
        self
    }
}

impl Fields {
    /// The same with a file.
    #[must_use]
    pub fn with_file(mut self, name: &str, content: Bytes) -> Self {
        self.files.push((name.to_owned(), content));
        self
    }

    /// The same with one more value of a field of several.
    #[must_use]
    pub fn and(mut self, name: &str, value: impl Into<String>) -> Self {
        self.named.push((name.to_owned(), value.into()));
        self
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Fields {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
        Ok(parts.extensions.get::<Self>().cloned().unwrap_or_default())
    }
}

impl<'a> FieldReader<'a> {
    /// Reads these fields.
    #[must_use]
    pub fn new(fields: &'a Fields, locale: &'a Locale) -> Self {
        Self { fields, locale, wrong: Vec::new() }
    }

    /// Notes that a field is wrong, by the key of a text.
    pub fn refuse(&mut self, field: &'static str, key: &str) {
        let text = self.locale.text(key);
        self.wrong.push(FieldError { field, text });
    }

    /// The same by a text with arguments.
    pub fn refuse_with(&mut self, field: &'static str, key: &str, args: &[(&str, &str)]) {
        let text = self.locale.text_with(key, args);
        self.wrong.push(FieldError { field, text });
    }

    /// Returns the errors, if there are any.
    pub fn finish(self) -> Result<(), Vec<FieldError>> {
        if self.wrong.is_empty() { Ok(()) } else { Err(self.wrong) }
    }

    /// The request that the form makes.
    pub fn request(&mut self) -> FormRequest {
        let id = self.id("request");
        let made = Uuid::parse_str(&id).ok().filter(|id| id.get_version_num() == 7).and_then(|id| id.get_timestamp());
        let first_sent_at = made.and_then(|made| {
            let (seconds, nanos) = made.to_unix();
            let millis = i64::try_from(seconds).ok()?.checked_mul(1_000)?.checked_add(i64::from(nanos / 1_000_000))?;
            Some(UnixMillis::new(millis))
        });
        if first_sent_at.is_none() && !id.is_empty() {
            self.refuse("request", "wrong-id");
        }
        FormRequest { id, first_sent_at }
    }

    /// An id that must be there: the name of something that exists.
    pub fn id(&mut self, field: &'static str) -> String {
        let text = self.fields.get(field);
        if text.is_empty() || text.len() > MAX_ID || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            self.refuse(field, "wrong-id");
        }
        text.to_owned()
    }

    /// Text for people that must be there.
    pub fn text(&mut self, field: &'static str) -> String {
        let text = self.optional_text(field);
        if text.is_empty() {
            self.refuse(field, "wrong-missing");
        }
        text
    }

    /// Text for people.
    pub fn optional_text(&mut self, field: &'static str) -> String {
        let text = self.fields.get(field);
        if text.chars().count() > MAX_TEXT || text.chars().any(char::is_control) {
            self.refuse(field, "wrong-text");
        }
        text.to_owned()
    }

    /// The same of at most some characters.
    pub fn short_text(&mut self, field: &'static str, most: usize) -> String {
        let text = self.optional_text(field);
        if text.chars().count() > most {
            self.refuse(field, "wrong-long");
        }
        text
    }

    /// A day, as browsers write it.
    pub fn optional_day(&mut self, field: &'static str) -> Option<Date> {
        let text = self.fields.get(field);
        if text.is_empty() {
            return None;
        }
        let day = text.parse().ok();
        if day.is_none() {
            self.refuse(field, "wrong-day");
        }
        day
    }

    /// Lines of text.
    pub fn lines(&mut self, field: &'static str, most: usize, characters: usize) -> Vec<String> {
        let lines: Vec<String> =
            self.fields.get(field).lines().map(|line| line.trim().to_owned()).filter(|line| !line.is_empty()).collect();
        let is_wrong = |line: &String| line.chars().count() > characters || line.chars().any(char::is_control);
        if lines.len() > most || lines.iter().any(is_wrong) {
            self.refuse_with(field, "wrong-lines", &[("most", &most.to_string()), ("characters", &characters.to_string())]);
        }
        lines
    }

    /// An amount that must be there.
    pub fn amount(&mut self, field: &'static str, sign: Sign) -> DecimalAmount {
        if self.fields.get(field).is_empty() {
            self.refuse(field, "wrong-missing");
        }
        self.optional_amount(field, sign).unwrap_or(DecimalAmount::ZERO)
    }

    pub fn optional_amount(&mut self, field: &'static str, sign: Sign) -> Option<DecimalAmount> {
        let text = self.fields.get(field);
        if text.is_empty() {
            return None;
        }
        let Some(decimal) = self.locale.read_amount(text) else {
            self.refuse(field, "wrong-amount");
            return None;
        };
        let wrong = match sign {
            Sign::Positive if decimal.is_negative() || decimal.is_zero() => "wrong-not-positive",
            Sign::NotNegative if decimal.is_negative() => "wrong-negative",
            Sign::NotZero if decimal.is_zero() => "wrong-zero",
            _ => return Some(decimal),
        };
        self.refuse(field, wrong);
        None
    }

    /// What is ticked of several, at most as many as a command can name.
    pub fn chosen(&mut self, field: &'static str) -> Vec<String> {
        let chosen: Vec<String> = self.fields.all(field).map(ToOwned::to_owned).collect();
        if chosen.len() > MAX_CHOSEN || chosen.iter().any(|one| one.is_empty() || one.len() > MAX_ID) {
            self.refuse(field, "wrong-id");
        }
        chosen
    }

    /// Whether a box is ticked.
    #[must_use]
    pub fn is_ticked(&self, field: &str) -> bool {
        self.fields.is_ticked(field)
    }

    /// A whole number within bounds.
    pub fn optional_number(&mut self, field: &'static str, least: i64, most: i64) -> Option<i64> {
        let text = self.fields.get(field);
        if text.is_empty() {
            return None;
        }
        let number = text.parse().ok().filter(|number| (least..=most).contains(number));
        if number.is_none() {
            self.refuse(field, "wrong-number");
        }
        number
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::texts::Language;

    #[test]
    fn the_id_of_a_form_says_when_it_was_made() {
        let locale = Locale::new(Language::English, jiff::tz::TimeZone::UTC);
        let read = |id: String| {
            let fields = Fields::default().with("request", id);
            let mut reader = FieldReader::new(&fields, &locale);
            let request = reader.request();
            (request.first_sent_at, reader.finish().is_ok())
        };
        assert_eq!(read(new_request(UnixMillis::new(1_793_000_000_123))), (Some(UnixMillis::new(1_793_000_000_123)), true));
        assert_ne!(new_request(UnixMillis::new(1)), new_request(UnixMillis::new(1)));
        for other in [Uuid::new_v4().to_string(), "forged".to_owned(), String::new()] {
            assert_eq!(read(other), (None, false));
        }
    }
}
