//! The page around a document that a customer opens by a link, in the customer's language; and the page where there is none.

use super::FormError;
use super::dates::Dates;
use super::page_model::PageModel;
use super::texts::{Texts, clean};
use crate::document::Document;
use domain::time::UnixMillis;

/// The words around a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cover {
    /// Their language.
    pub language: &'static str,
    /// The title of the document.
    pub title: String,
    pub issuer: String,
    /// On the link to its PDF.
    pub download: String,
    /// Until when the page can be opened.
    pub until: String,
}

impl Cover {
    /// Those around a document that can be opened until an instant.
    ///
    /// # Errors
    /// If the document's time zone is not known.
    pub fn of(document: &Document, until: UnixMillis) -> Result<Self, FormError> {
        let texts = Texts::of(&document.customer.language);
        let dates = Dates::in_zone(&document.time_zone, &texts)?;
        Ok(Self {
            language: texts.language(),
            title: PageModel::of(document)?.name(),
            issuer: clean(&document.issuer.name),
            download: texts.text("link-download"),
            until: texts.with("link-until", &[("day", &dates.day(until))]),
        })
    }
}

/// Why nothing is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nothing {
    /// The link opens nothing. Why, is not said: who tries links at random is to learn nothing.
    Gone,
    /// The customer has asked too often.
    TooOften,
    /// It cannot be shown at the moment.
    Unavailable,
}

/// The title, and the text, that say so.
#[must_use]
pub fn nothing(why: Nothing, language: &str) -> (&'static str, [String; 2]) {
    let texts = Texts::of(language);
    let said = match why {
        Nothing::Gone => [texts.text("link-gone"), texts.text("link-gone-text")],
        Nothing::TooOften => [texts.text("link-too-often"), texts.text("link-too-often-text")],
        Nothing::Unavailable => [texts.text("link-unavailable"), texts.text("link-unavailable-text")],
    };
    (texts.language(), said)
}
