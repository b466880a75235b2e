//! Where Chinese signs are drawn how: the same sign has other strokes in Tokyo than in Beijing, and fonts come for each region.

use unicode_script::{Script, UnicodeScript};

/// Where.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Region {
    Mainland,
    Taiwan,
    HongKong,
    Japan,
    Korea,
}

impl Region {
    /// That of a text which has letters of one region only.
    pub(crate) fn of_text(text: &str) -> Option<Self> {
        text.chars().find_map(|letter| match letter.script() {
            Script::Hiragana | Script::Katakana => Some(Self::Japan),
            Script::Hangul => Some(Self::Korea),
            Script::Bopomofo => Some(Self::Taiwan),
            _ => None,
        })
    }

    /// That of a country; of most: the mainland.
    pub(crate) fn of_country(country: &str) -> Self {
        match country {
            "JP" => Self::Japan,
            "KR" => Self::Korea,
            "TW" => Self::Taiwan,
            "HK" | "MO" => Self::HongKong,
            _ => Self::Mainland,
        }
    }

    /// Whether a family of fonts is made for it: "Noto Sans CJK JP".
    pub(crate) fn is_of(self, family: &str) -> bool {
        let ending = match self {
            Self::Mainland => "SC",
            Self::Taiwan => "TC",
            Self::HongKong => "HK",
            Self::Japan => "JP",
            Self::Korea => "KR",
        };
        family.rsplit(' ').next() == Some(ending)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_says_of_which_region_its_signs_are() {
        for (text, region) in [
            ("東京タワー株式会社", Some(Region::Japan)),
            ("한국通信", Some(Region::Korea)),
            ("北京电信有限公司", None),
            ("Nordlicht GmbH", None),
        ] {
            assert_eq!(Region::of_text(text), region, "{text}");
        }
        assert_eq!((Region::of_country("TW"), Region::of_country("DE")), (Region::Taiwan, Region::Mainland));
        assert!(Region::Japan.is_of("Noto Sans CJK JP") && !Region::Japan.is_of("Noto Sans CJK KR"));
    }
}
