//! The page model as a PDF for archives (PDF/A-2b): A4, with the letters that it uses embedded.
//!
//! [`glyphs`] knows the fonts, [`flow`] breaks pages, [`layout`] sets the page model, and here the pages are written.

mod flow;
mod glyphs;
mod layout;
pub(super) mod picture;
mod table;
#[cfg(test)]
mod tests;
mod typesetter;

use jiff::tz::TimeZone;
use krilla::SerializeSettings;
use krilla::color::rgb;
use krilla::configure::{Archival, ConfigurationBuilder};
use krilla::geom::{PathBuilder, Point, Rect};
use krilla::image::Image;
use krilla::metadata::{DateTime, Metadata};
use krilla::page::PageSettings;
use krilla::paint::Fill;
use krilla::surface::Surface;
use platform::telemetry::personal::LoggedAccount;

use self::flow::{Color, PageItem};
use self::glyphs::TextShaper;
use super::FormError;
use super::dates::timestamp;
use super::fonts::{self, Fonts, Region};
use super::page_model::PageModel;
use crate::document::Document;
use platform::telemetry::metrics::metrics;

/// Writes the PDF.
pub(super) fn write(page_model: &PageModel, document: &Document) -> Result<Vec<u8>, FormError> {
    let fonts = Fonts::installed()?;
    report_missing(&fonts.missing_letters(page_model), document);
    let letters = TextShaper::of(fonts, Region::of_document(document));
    let pages = layout::set(page_model, &letters);
    let picture = page_model.logo.as_ref().map(picture::read).transpose().map_err(FormError::Pdf)?;
    let mut pdf = krilla::Document::new_with(archival()?);
    for marks in &pages {
        let size = PageSettings::from_wh(typesetter::PAGE_WIDTH, typesetter::PAGE_HEIGHT);
        let mut page = pdf.start_page_with(size.ok_or_else(|| FormError::Pdf("the page has no size".to_owned()))?);
        let mut surface = page.surface();
        for mark in marks {
            draw(&mut surface, mark, picture.as_ref());
        }
        surface.finish();
        page.finish();
    }
    pdf.set_metadata(metadata(page_model, document));
    pdf.finish().map_err(|error| FormError::Pdf(format!("{error:?}")))
}

/// PDFs for archives.
fn archival() -> Result<SerializeSettings, FormError> {
    let archival = ConfigurationBuilder::new().with_archival_validator(Archival::A2_B).finish();
    let configuration = archival.map_err(|error| FormError::Pdf(format!("{error:?}")))?;
    Ok(SerializeSettings { configuration, ..SerializeSettings::default() })
}

/// Reports which letters are printed as their codes.
fn report_missing(letters: &[char], document: &Document) {
    if letters.is_empty() {
        return;
    }
    metrics().count_letters_without_font(letters.len());
    let codes = letters.iter().map(|letter| fonts::code(*letter)).collect::<String>();
    tracing::warn!(number = document.number, account = %LoggedAccount(&document.account), %codes, "no font has these letters: their codes are printed");
}

/// Of the document alone, so that the same document always gives the same bytes.
fn metadata(page_model: &PageModel, document: &Document) -> Metadata {
    let at = if document.issued_at.is_none() { document.period_to } else { document.issued_at };
    let at = timestamp(at).to_zoned(TimeZone::UTC);
    let part = |value: i8| u8::try_from(value).unwrap_or_default();
    let date = DateTime::new(u16::try_from(at.year()).unwrap_or_default())
        .month(part(at.month()))
        .day(part(at.day()))
        .hour(part(at.hour()))
        .minute(part(at.minute()))
        .second(part(at.second()))
        .utc_offset_hour(0);
    let metadata = Metadata::new()
        .title(page_model.name())
        .creation_date(date)
        .language(page_model.language.to_owned())
        .creator("tollgate".to_owned());
    if page_model.issuer.name.is_empty() { metadata } else { metadata.authors(vec![page_model.issuer.name.clone()]) }
}

fn draw(surface: &mut Surface<'_>, mark: &PageItem, picture: Option<&Image>) {
    match mark {
        PageItem::Text { x, baseline, size, color, words } => {
            surface.set_fill(Some(fill(*color)));
            let mut x = *x;
            for run in words.runs() {
                let start = Point::from_xy(x, *baseline);
                surface.draw_glyphs(start, &run.glyphs, run.font.clone(), words.text(), *size, false);
                x += run.glyphs.iter().map(|glyph| glyph.x_advance).sum::<f32>() * size;
            }
        }
        PageItem::Picture { x, y, width, height } => {
            if let Some(picture) = picture {
                picture::draw(surface, picture.clone(), *x, *y, *width, *height);
            }
        }
        PageItem::Area { x, y, width, height, color } => {
            let mut path = PathBuilder::new();
            if let Some(area) = Rect::from_xywh(*x, *y, *width, *height) {
                path.push_rect(area);
            }
            if let Some(path) = path.finish() {
                surface.set_fill(Some(fill(*color)));
                surface.draw_path(&path);
            }
        }
    }
}

fn fill(color: Color) -> Fill {
    let (red, green, blue) = match color {
        Color::Black => (0x1c, 0x25, 0x30),
        Color::Quiet => (0x5a, 0x66, 0x75),
        Color::Accent => (0x1f, 0x4e, 0x79),
        Color::Tint => (0xee, 0xf3, 0xf8),
        Color::Rule => (0xd5, 0xdc, 0xe4),
        Color::Warning => (0xa3, 0x34, 0x1f),
    };
    Fill { paint: rgb::Color::new(red, green, blue).into(), ..Fill::default() }
}
