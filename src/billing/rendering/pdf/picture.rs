//! The issuer's picture.

use krilla::geom::{Size, Transform};
use krilla::image::Image;
use krilla::page::PageSettings;
use krilla::surface::Surface;

use super::archival;
use crate::document::Logo;

/// How large it may be on paper, in points.
pub(super) const MOST_WIDTH: f32 = 190.0;
const MOST_HEIGHT: f32 = 46.0;

/// Reads a picture; its pixels are looked at when it is drawn.
pub(in super::super) fn read(logo: &Logo) -> Result<Image, String> {
    let data = logo.content.clone().into();
    if logo.media_type == "image/png" { Image::from_png(data, false) } else { Image::from_jpeg(data, false) }
}

/// How large it is on paper, in points: as large as it may be, in its own proportions.
pub(super) fn size_on_paper(logo: &Logo) -> (f32, f32) {
    let (width, height) = (logo.width.max(1) as f32, logo.height.max(1) as f32);
    // Of few pixels, no more than half a point each: it would be coarse.
    let scale = (MOST_WIDTH / width).min(MOST_HEIGHT / height).min(1.0);
    (width * scale, height * scale)
}

pub(super) fn draw(surface: &mut Surface<'_>, image: Image, x: f32, y: f32, width: f32, height: f32) {
    if let Some(size) = Size::from_wh(width, height) {
        surface.push_transform(&Transform::from_translate(x, y));
        surface.draw_image(image, size);
        surface.pop();
    }
}

/// Draws it on a page of its own.
pub(in super::super) fn try_out(logo: &Logo) -> Result<(), String> {
    let mut pdf = krilla::Document::new_with(archival().map_err(|error| error.to_string())?);
    let settings = PageSettings::from_wh(100.0, 100.0).ok_or_else(|| "there is no page".to_owned())?;
    let mut page = pdf.start_page_with(settings);
    let mut surface = page.surface();
    draw(&mut surface, read(logo)?, 0.0, 0.0, 50.0, 50.0);
    surface.finish();
    page.finish();
    pdf.finish().map(drop).map_err(|error| format!("{error:?}"))
}
