//! The fonts that documents are set with: two that are built in, and those of the machine for the scripts that these do not have.
//!
//! The folders are looked through once; the file of a font is read when a document first needs it, and stays in memory from then on:
//! Chinese, Japanese and Korean are 20 MB for each weight.

mod region;
mod typeface;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};

use fontdb::{Database, ID, Source, Stretch, Style};
use rustybuzz::ttf_parser;
use unicode_script::{Script, UnicodeScript};

pub(super) use self::region::Region;
pub(super) use self::typeface::Typeface;
use super::FormError;
use super::page_model::PageModel;
use super::texts::clean;
use crate::document::Document;

/// Where the fonts of a machine are, unless told otherwise.
const FOLDERS: [&str; 2] = ["/usr/share/fonts", "/usr/local/share/fonts"];

/// Families that go well with those built in, before others that have the same letters.
const PREFERRED: [&str; 4] = ["Noto Sans", "Waree", "Loma", "Garuda"];

/// How many letters it is remembered of which font has them.
const REMEMBERED: usize = 50_000;

/// A letter of each script that the fonts built in do not have.
const SCRIPTS: [(&str, char); 18] = [
    ("Chinese", '\u{4e2d}'),
    ("Japanese", '\u{3042}'),
    ("Korean", '\u{d55c}'),
    ("Thai", '\u{0e01}'),
    ("Devanagari", '\u{0915}'),
    ("Bengali", '\u{0995}'),
    ("Gurmukhi", '\u{0a15}'),
    ("Gujarati", '\u{0a95}'),
    ("Oriya", '\u{0b15}'),
    ("Tamil", '\u{0b95}'),
    ("Telugu", '\u{0c15}'),
    ("Kannada", '\u{0c95}'),
    ("Malayalam", '\u{0d15}'),
    ("Sinhala", '\u{0d9a}'),
    ("Myanmar", '\u{1000}'),
    ("Khmer", '\u{1780}'),
    ("Tibetan", '\u{0f40}'),
    ("Ethiopic", '\u{1200}'),
];

static INSTALLED: OnceLock<Fonts> = OnceLock::new();

/// Which weight of a font.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Face {
    Regular,
    Bold,
}

pub struct Fonts {
    regular: Typeface,
    bold: Typeface,
    database: Database,
    /// Those of the machine, in the order in which they are asked for a letter.
    families: Vec<Family>,
    files: Mutex<HashMap<PathBuf, Option<&'static [u8]>>>,
    /// Which family has a letter: its place; `None` if none has.
    found: Mutex<HashMap<(char, Region), Option<usize>>>,
}

/// A font of the machine, in one or two weights.
struct Family {
    name: String,
    regular: Weight,
    bold: Option<Weight>,
}

/// One of its weights.
struct Weight {
    id: ID,
    typeface: OnceLock<Option<Typeface>>,
}

impl Fonts {
    /// Uses the fonts in these folders for all documents from now on, or the machine's fonts if there are no folders. Later calls change nothing.
    ///
    /// # Errors
    /// Only if a font that is built in cannot be read.
    pub fn install(folders: &[PathBuf]) -> Result<&'static Self, FormError> {
        if let Some(installed) = INSTALLED.get() {
            return Ok(installed);
        }
        let fonts = if folders.is_empty() { Self::of(&FOLDERS.map(PathBuf::from))? } else { Self::of(folders)? };
        Ok(INSTALLED.get_or_init(|| fonts))
    }

    /// Those that are installed, or else those of the machine.
    ///
    /// # Errors
    /// Only if a font that is built in cannot be read.
    pub fn installed() -> Result<&'static Self, FormError> {
        Self::install(&[])
    }

    /// The fonts of these folders, and of those below them.
    pub(super) fn of(folders: &[PathBuf]) -> Result<Self, FormError> {
        let built_in = |file: &'static [u8]| {
            Typeface::load(file, 0).ok_or_else(|| FormError::Pdf("a font that is built in cannot be read".to_owned()))
        };
        let mut database = Database::new();
        for folder in folders {
            database.load_fonts_dir(folder);
        }
        Ok(Self {
            regular: built_in(dejavu::sans::regular())?,
            bold: built_in(dejavu::sans::bold())?,
            families: families(&database),
            database,
            files: Mutex::default(),
            found: Mutex::default(),
        })
    }

    /// The scripts, of those that are known here, whose letters are printed as their codes.
    #[must_use]
    pub fn missing_scripts(&self) -> Vec<&'static str> {
        SCRIPTS.iter().filter(|(_, letter)| !self.has(*letter)).map(|(name, _)| *name).collect()
    }

    /// The letters of a document that no font has, in their order, each once: documents print their codes.
    ///
    /// # Errors
    /// If the document's time zone is not known.
    pub fn missing_glyphs(&self, document: &Document) -> Result<Vec<char>, FormError> {
        Ok(self.missing_letters(&PageModel::of(document)?))
    }

    pub(super) fn missing_letters(&self, page_model: &PageModel) -> Vec<char> {
        let mut missing = Vec::new();
        for letter in page_model.texts().flat_map(str::chars) {
            if !self.has(letter) && !missing.contains(&letter) {
                missing.push(letter);
            }
        }
        missing
    }

    pub(super) fn built_in(&self, face: Face) -> &Typeface {
        match face {
            Face::Regular => &self.regular,
            Face::Bold => &self.bold,
        }
    }

    /// Whether a letter can be set. What has no shape of its own need not be.
    pub(super) fn has(&self, letter: char) -> bool {
        is_invisible(letter) || self.regular.letter(letter).is_some() || self.family(letter, Region::Mainland).is_some()
    }

    /// The font that sets a letter; `None` if there is none.
    pub(super) fn typeface(&self, letter: char, face: Face, region: Region) -> Option<&Typeface> {
        let built_in = self.built_in(face);
        // Chinese, Japanese and Korean signs go together, though some of them are built in.
        if !is_cjk(letter) && built_in.letter(letter).is_some() {
            return Some(built_in);
        }
        let family = self.family(letter, region).and_then(|place| self.families.get(place));
        let of_family = family.and_then(|family| {
            let bold = if face == Face::Bold { family.bold.as_ref() } else { None };
            let bold = bold.and_then(|weight| self.load(weight)).filter(|typeface| typeface.letter(letter).is_some());
            bold.or_else(|| self.load(&family.regular))
        });
        of_family.or_else(|| built_in.letter(letter).map(|_| built_in))
    }

    /// The place of the first family that has a letter.
    fn family(&self, letter: char, region: Region) -> Option<usize> {
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = found.get(&(letter, region)) {
            return *found;
        }
        let has = |place: &usize| self.families.get(*place).is_some_and(|family| self.family_has(family, letter));
        let is_of_region = |place: &usize| self.families.get(*place).is_some_and(|family| region.is_of(&family.name));
        let places = || 0..self.families.len();
        let of_region = if is_cjk(letter) { places().filter(is_of_region).find(has) } else { None };
        let place = of_region.or_else(|| places().find(has));
        if found.len() >= REMEMBERED {
            found.clear();
        }
        found.insert((letter, region), place);
        place
    }

    fn family_has(&self, family: &Family, letter: char) -> bool {
        if let Some(Some(typeface)) = family.regular.typeface.get() {
            return typeface.letter(letter).is_some();
        }
        let look = |data: &[u8], index| ttf_parser::Face::parse(data, index).is_ok_and(|face| face.glyph_index(letter).is_some());
        self.database.with_face_data(family.regular.id, look).unwrap_or(false)
    }

    fn load<'a>(&'a self, weight: &'a Weight) -> Option<&'a Typeface> {
        let load = || {
            let face = self.database.face(weight.id)?;
            let Source::File(path) = &face.source else { return None };
            let typeface = Typeface::load(self.file(path)?, face.index);
            if typeface.is_none() {
                tracing::warn!(path = %path.display(), "a font cannot be read");
            }
            typeface
        };
        weight.typeface.get_or_init(load).as_ref()
    }

    /// The file of a font, in memory for as long as the process lives.
    fn file(&self, path: &Path) -> Option<&'static [u8]> {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        let read = || match std::fs::read(path) {
            Ok(content) => Some(&*content.leak()),
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "a font cannot be read");
                None
            }
        };
        *files.entry(path.to_owned()).or_insert_with(read)
    }
}

/// The upright fonts, by name: Preferred ones first, then those without serifs, then all others.
fn families(database: &Database) -> Vec<Family> {
    let mut by_name: HashMap<&str, Vec<&fontdb::FaceInfo>> = HashMap::new();
    let upright = database.faces().filter(|face| face.style == Style::Normal && face.stretch == Stretch::Normal);
    for face in upright {
        if let Some((name, _)) = face.families.first() {
            by_name.entry(name).or_default().push(face);
        }
    }
    let nearest = |faces: &[&fontdb::FaceInfo], weights: std::ops::RangeInclusive<u16>, wanted: u16| {
        let of_weight = faces.iter().filter(|face| weights.contains(&face.weight.0));
        of_weight.min_by_key(|face| face.weight.0.abs_diff(wanted)).map(|face| Weight { id: face.id, typeface: OnceLock::new() })
    };
    let mut families: Vec<Family> = by_name
        .into_iter()
        .filter(|(_, faces)| faces.first().is_some_and(|face| database.with_face_data(face.id, has_outlines).unwrap_or(false)))
        .filter_map(|(name, faces)| {
            let regular = nearest(&faces, 300..=599, 400).or_else(|| nearest(&faces, 0..=1000, 400))?;
            Some(Family { name: name.to_owned(), regular, bold: nearest(&faces, 600..=900, 700) })
        })
        .collect();
    families.sort_by_key(|family| (rank(&family.name), family.name.clone()));
    families
}

/// Whether letters are drawn by lines, in one colour.
fn has_outlines(data: &[u8], index: u32) -> bool {
    ttf_parser::Face::parse(data, index).is_ok_and(|face| {
        let tables = face.tables();
        (tables.glyf.is_some() || tables.cff.is_some()) && tables.colr.is_none()
    })
}

fn rank(name: &str) -> usize {
    let is_last_resort = ["Mono", "Serif", "Type"].iter().any(|word| name.contains(word));
    let preferred = PREFERRED.iter().position(|preferred| name.starts_with(preferred)).unwrap_or(PREFERRED.len());
    if is_last_resort { PREFERRED.len() + 1 } else { preferred }
}

/// Whether it is a sign of Chinese, Japanese or Korean, their punctuation and wide forms among them.
pub(super) fn is_cjk(letter: char) -> bool {
    let is_of_script = matches!(letter.script(), Script::Han | Script::Hiragana | Script::Katakana | Script::Hangul | Script::Bopomofo);
    is_of_script || matches!(u32::from(letter), 0x3000..=0x303f | 0x3200..=0x33ff | 0xfe30..=0xfe4f | 0xff00..=0xffef)
}

/// Whether it only says how its neighbours are set: joiners, directions, variants, soft hyphens.
pub(super) fn is_invisible(letter: char) -> bool {
    matches!(u32::from(letter), 0xad | 0x34f | 0x61c | 0x180b..=0x180f | 0x200b..=0x200f | 0x202a..=0x202e | 0x2060..=0x206f
        | 0xfe00..=0xfe0f | 0xfeff | 0xe0000..=0xe0fff)
}

/// What a letter that no font has is printed as.
pub(super) fn code(letter: char) -> String {
    format!("({})", code_point(letter))
}

/// The code of a letter, as Unicode writes it: "U+1F600".
#[must_use]
pub fn code_point(letter: char) -> String {
    format!("U+{:04X}", u32::from(letter))
}

impl Region {
    /// That of a document: of the kana or hangul in what it says of its parties, or of the issuer's country.
    pub(super) fn of_document(document: &Document) -> Self {
        let (issuer, customer) = (&document.issuer, &document.customer);
        let texts = [&issuer.name, &customer.name].into_iter().chain(&customer.address).chain(&issuer.address);
        let of_texts = texts.map(|text| Self::of_text(&clean(text))).find_map(|region| region);
        of_texts.unwrap_or_else(|| Self::of_country(&issuer.country))
    }
}
