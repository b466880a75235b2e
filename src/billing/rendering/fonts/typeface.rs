//! One font: how wide its letters are, and the glyphs of a text.

use krilla::text::{Font, GlyphId, KrillaGlyph};
use rustybuzz::{Direction, UnicodeBuffer};

/// How a letter is set; widths are in ems.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Letter {
    pub(crate) glyph: u32,
    pub(crate) width: f32,
}

/// One font.
pub(crate) struct Typeface {
    font: Font,
    shaper: rustybuzz::Face<'static>,
    /// The letters that nearly all texts consist of, by their numbers.
    common: Vec<Option<Letter>>,
}

const COMMON: u32 = 0x250;

impl Typeface {
    /// Reads a font; `None` if it is none.
    pub(crate) fn load(file: &'static [u8], index: u32) -> Option<Self> {
        let font = Font::new(file.into(), index)?;
        let shaper = rustybuzz::Face::from_slice(file, index)?;
        let mut typeface = Self { font, shaper, common: Vec::new() };
        typeface.common = (0..COMMON).map(|number| char::from_u32(number).and_then(|letter| typeface.look_up(letter))).collect();
        Some(typeface)
    }

    pub(crate) fn font(&self) -> &Font {
        &self.font
    }

    /// How a letter is set by itself; `None` if the font does not have it.
    pub(crate) fn letter(&self, letter: char) -> Option<Letter> {
        match usize::try_from(u32::from(letter)).ok().and_then(|number| self.common.get(number)) {
            Some(common) => *common,
            None => self.look_up(letter),
        }
    }

    fn look_up(&self, letter: char) -> Option<Letter> {
        let glyph = self.shaper.glyph_index(letter).filter(|glyph| glyph.0 != 0)?;
        let width = f32::from(self.shaper.glyph_hor_advance(glyph)?) / self.font.units_per_em();
        Some(Letter { glyph: u32::from(glyph.0), width })
    }

    /// One glyph for each letter. Letters that the font does not have are left out.
    pub(crate) fn spell(&self, text: &str) -> Vec<KrillaGlyph> {
        let glyph = |(at, letter): (usize, char)| {
            let Letter { glyph, width } = self.letter(letter)?;
            Some(KrillaGlyph::new(GlyphId::new(glyph), width, 0.0, 0.0, 0.0, at..at + letter.len_utf8(), None))
        };
        text.char_indices().filter_map(glyph).collect()
    }

    /// The glyphs of a part of a text, from left to right.
    pub(crate) fn shape(&self, text: &str, part: std::ops::Range<usize>, is_rtl: bool) -> Vec<KrillaGlyph> {
        let mut buffer = UnicodeBuffer::new();
        for (at, letter) in text.get(part.clone()).unwrap_or_default().char_indices() {
            buffer.add(letter, u32::try_from(part.start + at).unwrap_or(u32::MAX));
        }
        buffer.guess_segment_properties();
        buffer.set_direction(if is_rtl { Direction::RightToLeft } else { Direction::LeftToRight });
        let output = rustybuzz::shape(&self.shaper, &[], buffer);
        let mut starts: Vec<usize> = output.glyph_infos().iter().map(|info| info.cluster as usize).collect();
        starts.sort_unstable();
        starts.dedup();
        let per_em = self.font.units_per_em();
        let glyph = |(info, position): (&rustybuzz::GlyphInfo, &rustybuzz::GlyphPosition)| {
            let start = info.cluster as usize;
            let end = starts.get(starts.partition_point(|other| *other <= start)).copied().unwrap_or(part.end);
            let ems = |units: i32| units as f32 / per_em;
            let (advance, x, y) = (ems(position.x_advance), ems(position.x_offset), ems(position.y_offset));
            KrillaGlyph::new(GlyphId::new(info.glyph_id), advance, x, y, ems(position.y_advance), start..end, None)
        };
        output.glyph_infos().iter().zip(output.glyph_positions()).map(glyph).collect()
    }
}
