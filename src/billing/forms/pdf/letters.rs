//! The fonts: which glyphs a text is set with, how wide it is, and where it is broken into lines.
//!
//! Most texts take one glyph for each letter, which is quick. Scripts that join or stack letters, or run from right to left, are shaped.
//! A letter that the fonts do not have is set as the replacement character "�"; copied from the PDF, it is still what it was.

use krilla::text::{Font, GlyphId, KrillaGlyph};
use rustybuzz::{Direction, UnicodeBuffer};
use unicode_bidi::BidiInfo;

use super::super::FormError;

/// Which of the fonts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Face {
    Regular,
    Bold,
}

/// The fonts.
pub(super) struct Letters {
    regular: Typeface,
    bold: Typeface,
}

/// One font.
struct Typeface {
    font: Font,
    shaper: rustybuzz::Face<'static>,
    /// The letters that nearly all texts consist of, by their numbers.
    common: Vec<Letter>,
    replacement: Letter,
}

/// How a letter is set; widths are in ems.
#[derive(Clone, Copy)]
struct Letter {
    glyph: u32,
    width: f32,
}

/// A text on one line, ready to be drawn.
#[derive(Clone)]
pub(super) struct Words {
    text: String,
    face: Face,
    /// From left to right.
    runs: Vec<Vec<KrillaGlyph>>,
    ems: f32,
}

const COMMON: u32 = 0x250;

impl Words {
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    pub(super) fn face(&self) -> Face {
        self.face
    }

    pub(super) fn runs(&self) -> &[Vec<KrillaGlyph>] {
        &self.runs
    }

    /// How wide it is.
    pub(super) fn width(&self, size: f32) -> f32 {
        self.ems * size
    }
}

impl Letters {
    pub(super) fn load() -> Result<Self, FormError> {
        Ok(Self { regular: Typeface::load(dejavu::sans::regular())?, bold: Typeface::load(dejavu::sans::bold())? })
    }

    pub(super) fn font(&self, face: Face) -> &Font {
        &self.typeface(face).font
    }

    fn typeface(&self, face: Face) -> &Typeface {
        match face {
            Face::Regular => &self.regular,
            Face::Bold => &self.bold,
        }
    }

    /// Sets a text on one line, however long it is.
    pub(super) fn words(&self, face: Face, text: &str) -> Words {
        let typeface = self.typeface(face);
        let runs = if text.chars().all(is_simple) { vec![typeface.spell(text)] } else { typeface.shape(text) };
        let ems = runs.iter().flatten().map(|glyph| glyph.x_advance).sum();
        Words { text: text.to_owned(), face, runs, ems }
    }

    /// How wide a text is, in ems.
    pub(super) fn ems(&self, face: Face, text: &str) -> f32 {
        if text.chars().all(is_simple) {
            text.chars().map(|letter| self.typeface(face).letter(letter).width).sum()
        } else {
            self.words(face, text).ems
        }
    }

    /// Breaks a text into lines no wider than that: between words, or within a word that is too long for a line.
    pub(super) fn wrap(&self, face: Face, text: &str, size: f32, width: f32) -> Vec<Words> {
        let most = width / size;
        if self.ems(face, text) <= most {
            return vec![self.words(face, text)];
        }
        let space = self.typeface(face).letter(' ').width;
        let (mut lines, mut line, mut ems) = (Vec::new(), String::new(), 0.0);
        for word in text.split(' ').filter(|word| !word.is_empty()) {
            let wide = self.ems(face, word);
            if !line.is_empty() && ems + space + wide > most {
                lines.push(self.words(face, &line));
                line.clear();
                ems = 0.0;
            }
            if !line.is_empty() {
                line.push(' ');
                ems += space;
            }
            if wide <= most {
                line.push_str(word);
                ems += wide;
                continue;
            }
            for letter in word.chars() {
                let wide = self.typeface(face).letter(letter).width;
                if !line.is_empty() && ems + wide > most && !joins_the_letter_before(letter) {
                    lines.push(self.words(face, &line));
                    line.clear();
                    ems = 0.0;
                }
                line.push(letter);
                ems += wide;
            }
        }
        if !line.is_empty() || lines.is_empty() {
            lines.push(self.words(face, &line));
        }
        lines
    }
}

impl Typeface {
    fn load(file: &'static [u8]) -> Result<Self, FormError> {
        let unreadable = || FormError::Pdf("an embedded font cannot be read".to_owned());
        let font = Font::new(file.into(), 0).ok_or_else(unreadable)?;
        let shaper = rustybuzz::Face::from_slice(file, 0).ok_or_else(unreadable)?;
        let find = |letter: char| {
            let glyph = shaper.glyph_index(letter)?;
            let width = f32::from(shaper.glyph_hor_advance(glyph)?) / font.units_per_em();
            Some(Letter { glyph: u32::from(glyph.0), width })
        };
        let replacement = find(char::REPLACEMENT_CHARACTER).or_else(|| find('?')).ok_or_else(unreadable)?;
        let common = (0..COMMON).map(|number| char::from_u32(number).and_then(find).unwrap_or(replacement)).collect();
        Ok(Self { font, shaper, common, replacement })
    }

    fn letter(&self, letter: char) -> Letter {
        if let Some(common) = usize::try_from(u32::from(letter)).ok().and_then(|number| self.common.get(number)) {
            return *common;
        }
        let found = self.shaper.glyph_index(letter).and_then(|glyph| {
            let width = f32::from(self.shaper.glyph_hor_advance(glyph)?) / self.font.units_per_em();
            Some(Letter { glyph: u32::from(glyph.0), width })
        });
        found.unwrap_or(self.replacement)
    }

    /// One glyph for each letter.
    fn spell(&self, text: &str) -> Vec<KrillaGlyph> {
        let glyph = |(at, letter): (usize, char)| {
            let Letter { glyph, width } = self.letter(letter);
            KrillaGlyph::new(GlyphId::new(glyph), width, 0.0, 0.0, 0.0, at..at + letter.len_utf8(), None)
        };
        text.char_indices().map(glyph).collect()
    }

    /// The glyphs of a text in any script, in runs of one direction.
    fn shape(&self, text: &str) -> Vec<Vec<KrillaGlyph>> {
        let bidi = BidiInfo::new(text, None);
        let mut shaped = Vec::new();
        for paragraph in &bidi.paragraphs {
            let (levels, runs) = bidi.visual_runs(paragraph, paragraph.range.clone());
            for run in runs {
                let is_rtl = levels.get(run.start).is_some_and(|level| level.is_rtl());
                shaped.push(self.shape_run(text, run, if is_rtl { Direction::RightToLeft } else { Direction::LeftToRight }));
            }
        }
        shaped
    }

    fn shape_run(&self, text: &str, run: std::ops::Range<usize>, direction: Direction) -> Vec<KrillaGlyph> {
        let mut buffer = UnicodeBuffer::new();
        for (at, letter) in text.get(run.clone()).unwrap_or_default().char_indices() {
            buffer.add(letter, u32::try_from(run.start + at).unwrap_or(u32::MAX));
        }
        buffer.guess_segment_properties();
        buffer.set_direction(direction);
        let output = rustybuzz::shape(&self.shaper, &[], buffer);
        let mut starts: Vec<usize> = output.glyph_infos().iter().map(|info| info.cluster as usize).collect();
        starts.sort_unstable();
        starts.dedup();
        let per_em = self.font.units_per_em();
        let glyph = |(info, position): (&rustybuzz::GlyphInfo, &rustybuzz::GlyphPosition)| {
            let start = info.cluster as usize;
            let end = starts.get(starts.partition_point(|other| *other <= start)).copied().unwrap_or(run.end);
            if info.glyph_id == 0 {
                return KrillaGlyph::new(GlyphId::new(self.replacement.glyph), self.replacement.width, 0.0, 0.0, 0.0, start..end, None);
            }
            let ems = |units: i32| units as f32 / per_em;
            let (advance, x, y) = (ems(position.x_advance), ems(position.x_offset), ems(position.y_offset));
            KrillaGlyph::new(GlyphId::new(info.glyph_id), advance, x, y, ems(position.y_advance), start..end, None)
        };
        output.glyph_infos().iter().zip(output.glyph_positions()).map(glyph).collect()
    }
}

/// Whether the letter is set by itself, from left to right: Latin, Greek, Cyrillic, Armenian, signs; and Chinese, Japanese and Korean,
/// which the fonts do not have, but which would be.
fn is_simple(letter: char) -> bool {
    matches!(u32::from(letter),
        0x20..=0x2ff | 0x370..=0x482 | 0x48a..=0x58f | 0x1e00..=0x200a | 0x2010..=0x2027 | 0x202f..=0x205e | 0x2070..=0x20cf
        | 0x2100..=0x3029 | 0x3030..=0x3098 | 0x309b..=0xa4cf | 0xac00..=0xd7a3 | 0xf900..=0xfaff | 0xff00..=0xffef | 0xfffd)
}

/// Whether a line must not be broken before it: accents, joiners, variants.
fn joins_the_letter_before(letter: char) -> bool {
    matches!(u32::from(letter), 0x300..=0x36f | 0x483..=0x489 | 0x591..=0x5c7 | 0x610..=0x61a | 0x64b..=0x65f | 0x200c..=0x200d | 0x20d0..=0x20ff
        | 0xfe00..=0xfe0f | 0x1f3fb..=0x1f3ff)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn glyphs(words: &Words) -> Vec<u32> {
        words.runs.iter().flatten().map(|glyph| glyph.glyph_id.to_u32()).collect()
    }

    #[test]
    fn a_letter_outside_of_the_font_is_visibly_replaced() {
        let letters = Letters::load().unwrap();
        let replacement = letters.regular.replacement.glyph;
        assert_ne!(replacement, 0);
        for text in ["\u{6771}", "\u{1f980}", "\u{e000}", "\u{0e01}", "\u{10ffff}"] {
            let words = letters.words(Face::Regular, text);
            assert_eq!(glyphs(&words), vec![replacement], "{text}");
            assert!(words.width(10.0) > 3.0);
        }
    }

    #[test]
    fn every_byte_of_a_text_belongs_to_a_glyph_in_any_script() {
        let letters = Letters::load().unwrap();
        for text in ["Zoë Ångström", "שלום עולם", "شركة الاتصالات 42", "Łódź a\u{301}", "👩‍👧 ok", "कंपनी", "a\u{202e}b", "\u{200b}"]
        {
            let words = letters.words(Face::Bold, text);
            let mut covered = vec![false; text.len()];
            for glyph in words.runs.iter().flatten() {
                covered[glyph.text_range.clone()].fill(true);
            }
            assert!(covered.iter().all(|byte| *byte), "{text}: {covered:?}");
        }
    }

    #[test]
    fn arabic_is_joined_and_set_from_right_to_left() {
        let letters = Letters::load().unwrap();
        let words = letters.words(Face::Regular, "شركة");
        let starts: Vec<usize> = words.runs.iter().flatten().map(|glyph| glyph.text_range.start).collect();
        assert!(starts.is_sorted_by(|a, b| a > b), "{starts:?}");
        assert_ne!(glyphs(&words).last().copied(), Some(letters.regular.letter('ش').glyph), "the first letter is in its initial form");
    }

    #[test]
    fn lines_are_no_wider_than_asked_and_nothing_is_lost() {
        let letters = Letters::load().unwrap();
        let text = format!("International voice, premium {} to everywhere", "x".repeat(120));
        let lines = letters.wrap(Face::Regular, &text, 9.0, 100.0);
        assert!(lines.len() > 5 && lines.iter().all(|line| line.width(9.0) <= 100.0));
        let letters_only = |text: &str| text.replace(' ', "");
        assert_eq!(letters_only(&lines.iter().map(Words::text).collect::<String>()), letters_only(&text));
        assert_eq!(letters.wrap(Face::Regular, "", 9.0, 100.0).len(), 1);
        assert_eq!(letters.wrap(Face::Regular, "wide", 9.0, 0.5).len(), 4);
    }
}
