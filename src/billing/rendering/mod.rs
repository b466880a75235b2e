//! The forms of a [`Document`]: JSON for machines, CSV of its usage records, a page for the browser and the printer, and a PDF.
//!
//! [`page_model`] says what stands on the paper, and is all that page and PDF know of a document: lines, sums, labels and their order are
//! worked out once, for both. A form is made of the document alone, and a PDF of the fonts besides, so that the same
//! document always gives the same bytes.

pub mod account_statement;
mod amounts;
mod charges;
mod compose;
pub mod cover;
mod csv;
mod dates;
mod fonts;
mod html;
mod json;
pub mod letter;
pub mod page_model;
mod pdf;
pub mod receipt;
pub mod template;
#[cfg(test)]
mod tests;
mod texts;

pub use self::amounts::Denomination;
pub use self::csv::{UsageWriter, for_spreadsheet};
pub use self::fonts::{Fonts, code_point};

use super::document::{Cause, Document, DocumentKind, Issuer, Logo, Party};
use domain::ids::AccountId;
use domain::time::UnixMillis;

/// Whose a paper about an account is, when it was drawn up, and in what its amounts are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imprint {
    /// Who draws it up.
    pub issuer: Issuer,
    /// The recipient.
    pub customer: Party,
    pub account: String,
    /// In what its amounts are.
    pub money: Denomination,
    /// The IANA name of the time zone of its dates.
    pub time_zone: String,
    /// When it was drawn up.
    pub at: UnixMillis,
}

impl Imprint {
    /// A document with nothing in it but who and when: what is written into the file of a paper.
    fn bare_document(&self, number: &str) -> Document {
        let blank =
            self.money.blank(DocumentKind::Statement, Cause::PeriodEnd, &AccountId::from(self.account.as_str()), 0, [self.at, self.at]);
        let (issuer, customer) = (self.issuer.clone(), self.customer.clone());
        Document { number: number.to_owned(), issued_at: self.at, issuer, customer, time_zone: self.time_zone.clone(), ..blank }
    }
}

/// Why a document could not be brought into a form.
#[derive(Debug, thiserror::Error)]
pub enum FormError {
    /// Dates cannot be shown.
    #[error("time_zone {0:?} is not known here: it must be the IANA name of a time zone, such as \"Europe/Berlin\"")]
    TimeZone(String),
    /// The page could not be written.
    #[error("the page could not be written: {0}")]
    Html(#[from] askama::Error),
    /// The JSON could not be written.
    #[error("the JSON could not be written: {0}")]
    Json(#[from] serde_json::Error),
    /// A usage record could not be written.
    #[error("the CSV could not be written: {0}")]
    Csv(#[from] ::csv::Error),
    /// The PDF could not be written.
    #[error("the PDF could not be written: {0}")]
    Pdf(String),
}

/// The document for machines; proto/README.md lists its fields.
///
/// Amounts are decimal texts, instants RFC 3339 in UTC, what is not said is `null`; the fields always come in the same order.
///
/// # Errors
/// Only if JSON itself fails.
pub fn json(document: &Document) -> Result<String, FormError> {
    json::write(document)
}

/// The document as an HTML page of its own: styles inside, no scripts, nothing that is fetched; made to be printed, too.
///
/// # Errors
/// If the document's time zone is not known.
pub fn html(document: &Document) -> Result<String, FormError> {
    html::write(&page_model::PageModel::of(document)?)
}

/// How many pixels a picture has: width and height.
///
/// # Errors
/// If it is none.
pub fn picture_size(logo: &Logo) -> Result<(u32, u32), String> {
    pdf::picture::read(logo).map(|image| image.size())
}

/// Prints a picture into nothing: what can be wrong with it is found by that.
///
/// # Errors
/// If it cannot be printed.
pub fn try_picture(logo: &Logo) -> Result<(), String> {
    pdf::picture::try_out(logo)
}

/// The letters of a document that no font has: its PDF prints their codes.
///
/// # Errors
/// If the document's time zone is not known.
pub fn missing_glyphs(document: &Document) -> Result<Vec<char>, FormError> {
    Fonts::installed()?.missing_glyphs(document)
}

/// The document as PDF/A-2b, A4.
///
/// # Errors
/// If the document's time zone is not known.
pub fn pdf(document: &Document) -> Result<Vec<u8>, FormError> {
    pdf::write(&page_model::PageModel::of(document)?, document)
}
