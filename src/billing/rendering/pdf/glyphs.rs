//! Texts in glyphs: with which fonts a text is set, how wide it is, and where it is broken into lines.
//!
//! Most texts take one glyph for each letter, which is quick. Scripts that join or stack letters, or run from right to left, are shaped,
//! with the first font that has them. A letter that no font has is set as its code, "(U+1F980)".

use std::borrow::Cow;
use std::ops::Range;

use icu_segmenter::options::LineBreakOptions;
use icu_segmenter::{GraphemeClusterSegmenter, LineSegmenter, LineSegmenterBorrowed};
use krilla::text::{Font, KrillaGlyph};
use unicode_bidi::BidiInfo;
use unicode_script::{Script, UnicodeScript};

pub(super) use super::super::fonts::Face;
use super::super::fonts::{Fonts, Region, Typeface, code, is_cjk, is_invisible};

/// Sets texts of one document.
pub(super) struct TextShaper<'a> {
    fonts: &'a Fonts,
    region: Region,
    breaks: LineSegmenterBorrowed<'static>,
}

/// A text on one line, ready to be drawn.
#[derive(Clone)]
pub(super) struct TextLine {
    text: String,
    /// From left to right.
    runs: Vec<Run>,
    ems: f32,
}

/// A part of it that is set with one font.
#[derive(Clone)]
pub(super) struct Run {
    pub(super) font: Font,
    pub(super) glyphs: Vec<KrillaGlyph>,
}

impl TextLine {
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    pub(super) fn runs(&self) -> &[Run] {
        &self.runs
    }

    /// How wide it is.
    pub(super) fn width(&self, size: f32) -> f32 {
        self.ems * size
    }
}

impl<'a> TextShaper<'a> {
    pub(super) fn of(fonts: &'a Fonts, region: Region) -> Self {
        // Thai, Lao, Khmer and Burmese have no spaces between words: dictionaries know these.
        Self { fonts, region, breaks: LineSegmenter::new_dictionary(LineBreakOptions::default()) }
    }

    /// Sets a text on one line, however long it is.
    pub(super) fn words(&self, face: Face, text: &str) -> TextLine {
        let text = self.printable(text);
        let built_in = self.fonts.built_in(face);
        let runs = if self.is_simple(face, &text) {
            vec![Run { font: built_in.font().clone(), glyphs: built_in.spell(&text) }]
        } else {
            self.shape(face, &text)
        };
        let ems = runs.iter().flat_map(|run| &run.glyphs).map(|glyph| glyph.x_advance).sum();
        TextLine { text: text.into_owned(), runs, ems }
    }

    /// How wide a text is, in ems.
    pub(super) fn ems(&self, face: Face, text: &str) -> f32 {
        if self.is_simple(face, text) {
            let built_in = self.fonts.built_in(face);
            text.chars().filter_map(|letter| built_in.letter(letter)).map(|letter| letter.width).sum()
        } else {
            self.words(face, text).ems
        }
    }

    /// Breaks a text into lines no wider than that: where its script allows it, or within a word that is too long for a line.
    pub(super) fn wrap(&self, face: Face, text: &str, size: f32, width: f32) -> Vec<TextLine> {
        let (text, most) = (self.printable(text), width / size);
        if self.ems(face, &text) <= most {
            return vec![self.words(face, &text)];
        }
        let (mut lines, mut line, mut ems) = (Vec::new(), String::new(), 0.0);
        for piece in pieces(&text, self.breaks.segment_str(&text)) {
            // A space at the end of a line takes no room.
            let wide = self.ems(face, piece.trim_end());
            if !line.is_empty() && ems + wide > most {
                lines.push(self.words(face, line.trim_end()));
                line.clear();
                ems = 0.0;
            }
            if wide <= most {
                line.push_str(piece);
                ems += self.ems(face, piece);
                continue;
            }
            for cluster in pieces(piece, GraphemeClusterSegmenter::new().segment_str(piece)) {
                let wide = self.ems(face, cluster);
                if !line.is_empty() && ems + wide > most {
                    lines.push(self.words(face, line.trim_end()));
                    line.clear();
                    ems = 0.0;
                }
                line.push_str(cluster);
                ems += wide;
            }
        }
        if !line.trim_end().is_empty() || lines.is_empty() {
            lines.push(self.words(face, line.trim_end()));
        }
        lines
    }

    /// The text with the codes of those letters that no font has.
    fn printable<'t>(&self, text: &'t str) -> Cow<'t, str> {
        if text.chars().all(|letter| self.fonts.has(letter)) {
            return Cow::Borrowed(text);
        }
        let letter = |letter: char| if self.fonts.has(letter) { Cow::Owned(letter.to_string()) } else { Cow::<str>::Owned(code(letter)) };
        Cow::Owned(text.chars().map(letter).collect())
    }

    /// Whether the font built in sets each letter by itself, from left to right.
    fn is_simple(&self, face: Face, text: &str) -> bool {
        let built_in = self.fonts.built_in(face);
        text.chars().all(|letter| stands_alone(letter) && built_in.letter(letter).is_some())
    }

    /// The glyphs of a text in any script, in runs of one direction and one font.
    fn shape(&self, face: Face, text: &str) -> Vec<Run> {
        let region = Region::of_text(text).unwrap_or(self.region);
        let bidi = BidiInfo::new(text, None);
        let mut shaped = Vec::new();
        for paragraph in &bidi.paragraphs {
            let (levels, runs) = bidi.visual_runs(paragraph, paragraph.range.clone());
            for run in runs {
                let is_rtl = levels.get(run.start).is_some_and(|level| level.is_rtl());
                let mut parts = self.of_one_font(face, region, text, run);
                if is_rtl {
                    parts.reverse();
                }
                shaped.extend(
                    parts
                        .into_iter()
                        .map(|(part, typeface)| Run { font: typeface.font().clone(), glyphs: typeface.shape(text, part, is_rtl) }),
                );
            }
        }
        shaped
    }

    /// Divides a part of a text by the fonts that set it, in the order of the text.
    fn of_one_font(&self, face: Face, region: Region, text: &str, part: Range<usize>) -> Vec<(Range<usize>, &'a Typeface)> {
        let mut parts: Vec<(Range<usize>, &Typeface)> = Vec::new();
        for (at, letter) in text.get(part.clone()).unwrap_or_default().char_indices() {
            let place = part.start + at..part.start + at + letter.len_utf8();
            if let Some((before, typeface)) = parts.last_mut()
                && goes_with_the_letter_before(letter, typeface)
            {
                before.end = place.end;
                continue;
            }
            let typeface = self.fonts.typeface(letter, face, region).unwrap_or_else(|| self.fonts.built_in(face));
            match parts.last_mut() {
                Some((before, last)) if std::ptr::eq(*last, typeface) => before.end = place.end,
                _ => parts.push((place, typeface)),
            }
        }
        parts
    }
}

/// The pieces of a text between places.
fn pieces(text: &str, places: impl Iterator<Item = usize>) -> impl Iterator<Item = &str> {
    let mut start = 0;
    places.filter_map(move |end| {
        let piece = text.get(start..end).filter(|piece| !piece.is_empty());
        start = end;
        piece
    })
}

/// Whether a letter is set by itself, from left to right: Latin, Greek, Cyrillic, Armenian, signs.
fn stands_alone(letter: char) -> bool {
    matches!(u32::from(letter), 0x20..=0xac | 0xae..=0x2ff | 0x370..=0x482 | 0x48a..=0x58f | 0x1e00..=0x200a | 0x2010..=0x2027
        | 0x202f..=0x205e | 0x2070..=0x20cf | 0x2100..=0x2e7f | 0xfffd)
}

/// Accents, joiners and variants are set with what they belong to, and signs of no script with what stands before them.
fn goes_with_the_letter_before(letter: char, typeface: &Typeface) -> bool {
    if is_invisible(letter) {
        return true;
    }
    let may_join = letter.script() == Script::Inherited || (letter.script() == Script::Common && !letter.is_ascii() && !is_cjk(letter));
    may_join && typeface.letter(letter).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn built_in() -> Fonts {
        Fonts::of(&[]).unwrap()
    }

    fn glyphs(words: &TextLine) -> Vec<&KrillaGlyph> {
        words.runs.iter().flat_map(|run| &run.glyphs).collect()
    }

    #[test]
    fn a_letter_that_no_font_has_is_set_as_its_code() {
        let fonts = built_in();
        let letters = TextShaper::of(&fonts, Region::Mainland);
        for (text, set) in [("\u{6771}", "(U+6771)"), ("a \u{1f980}!", "a (U+1F980)!"), ("\u{10ffff}", "(U+10FFFF)")] {
            let words = letters.words(Face::Regular, text);
            assert_eq!((words.text(), glyphs(&words).len()), (set, set.len()), "{text}");
            assert!(glyphs(&words).iter().all(|glyph| glyph.glyph_id.to_u32() != 0));
        }
    }

    #[test]
    fn every_byte_of_a_text_belongs_to_a_glyph_in_any_script() {
        for fonts in [&built_in(), Fonts::installed().unwrap()] {
            let letters = TextShaper::of(fonts, Region::Mainland);
            for text in ["Zoë Ångström", "שלום עולם", "شركة 株式会社 42", "Łódź a\u{301}", "👩‍👧 ok", "कंपनी", "a\u{202e}b", "บริษัท ไทย จำกัด"]
            {
                let words = letters.words(Face::Bold, text);
                let mut covered = vec![false; words.text().len()];
                for glyph in glyphs(&words) {
                    covered[glyph.text_range.clone()].fill(true);
                }
                assert!(covered.iter().all(|byte| *byte), "{text}: {covered:?}");
            }
        }
    }

    #[test]
    fn arabic_is_joined_and_set_from_right_to_left() {
        let fonts = built_in();
        let letters = TextShaper::of(&fonts, Region::Mainland);
        let words = letters.words(Face::Regular, "شركة");
        let starts: Vec<usize> = glyphs(&words).iter().map(|glyph| glyph.text_range.start).collect();
        assert!(starts.is_sorted_by(|a, b| a > b), "{starts:?}");
        let alone = fonts.built_in(Face::Regular).letter('ش').unwrap().glyph;
        assert_ne!(glyphs(&words).last().unwrap().glyph_id.to_u32(), alone, "the first letter is in its initial form");
    }

    #[test]
    fn each_script_is_set_with_a_font_that_has_it_and_signs_in_the_way_of_their_region() {
        let fonts = Fonts::installed().unwrap();
        assert!(["Chinese", "Japanese", "Korean", "Thai"].iter().all(|script| !fonts.missing_scripts().contains(script)), "tests/run");
        let letters = TextShaper::of(fonts, Region::Mainland);
        for text in ["北京电信有限公司", "東京タワー株式会社", "한국통신", "บริษัทโทรคมนาคม"]
        {
            let words = letters.words(Face::Bold, text);
            assert_eq!((words.text(), words.runs().len()), (text, 1));
            assert!(glyphs(&words).iter().all(|glyph| glyph.glyph_id.to_u32() != 0), "{text}");
        }
        // The same sign has another shape in Japan.
        let shape = |region| glyphs(&TextShaper::of(fonts, region).words(Face::Regular, "直"))[0].glyph_id.to_u32();
        assert_ne!(shape(Region::Mainland), shape(Region::Japan));
        assert_eq!(letters.words(Face::Regular, "Acme 東京 Ltd").runs().len(), 3);
    }

    #[test]
    fn lines_are_no_wider_than_asked_and_nothing_is_lost() {
        let letters = TextShaper::of(Fonts::installed().unwrap(), Region::Mainland);
        let latin = format!("International voice, premium {} to everywhere", "x".repeat(120));
        for text in [latin.as_str(), &"東京の通話料金。".repeat(9), &"a\u{301}".repeat(90), &"شركة الاتصالات ".repeat(9)]
        {
            let lines = letters.wrap(Face::Regular, text, 9.0, 100.0);
            assert!(lines.len() > 4 && lines.iter().all(|line| line.width(9.0) <= 100.0));
            let letters_only = |text: &str| text.replace(' ', "");
            assert_eq!(letters_only(&lines.iter().map(TextLine::text).collect::<String>()), letters_only(text));
        }
        assert_eq!(letters.wrap(Face::Regular, "", 9.0, 100.0).len(), 1);
        assert_eq!(letters.wrap(Face::Regular, "wide", 9.0, 0.5).len(), 4);
    }

    #[test]
    fn thai_is_broken_between_words_and_chinese_not_before_a_full_stop() {
        let letters = TextShaper::of(Fonts::installed().unwrap(), Region::Mainland);
        let lines = |text: &str, width| -> Vec<String> {
            letters.wrap(Face::Regular, text, 9.0, width).iter().map(|line| line.text().to_owned()).collect()
        };
        // "The telephone", "company", "of Thailand": no space tells where a word ends.
        let thai = lines("บริษัทโทรศัพท์ประเทศไทย", 62.0);
        let words = ["บริษัท", "โทรศัพท์", "ประเทศ", "ไทย"];
        assert!(thai.len() > 1, "{thai:?}");
        for line in &thai {
            let mut rest = line.as_str();
            while let Some(word) = words.iter().find(|word| rest.starts_with(**word)) {
                rest = &rest[word.len()..];
            }
            assert_eq!(rest, "", "{thai:?}");
        }
        assert!(lines("一二三四。五六七八。", 38.0).iter().all(|line| !line.starts_with('。')));
    }
}
