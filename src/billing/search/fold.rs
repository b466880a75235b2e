//! Texts as they are searched: without accents, compatibility forms as plain ones, and case folded.
//!
//! Only the diacritics of alphabets are left out. The marks of other scripts (Thai vowels, Japanese voicing) are letters to those who read
//! them, and stay; so does a letter that is one of its own, such as the Danish o with a stroke.

use caseless::Caseless;
use unicode_normalization::UnicodeNormalization;

/// A text as it is kept and searched: "\u{c9}cole  Stra\u{df}e" is "ecole strasse". White space is one space each.
#[must_use]
pub fn fold(text: &str) -> String {
    let folded: String = text.nfkd().filter(|character| !is_diacritic(*character)).default_case_fold().nfc().collect();
    let is_gap = |character: char| character.is_whitespace() || character.is_control();
    folded.split(is_gap).filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

/// A tax id as it is written, and without what is between its letters and digits: a line each.
#[must_use]
pub fn fold_tax_id(text: &str) -> String {
    let folded = fold(text);
    let plain: String = folded.chars().filter(|character| character.is_alphanumeric()).collect();
    if plain == folded { folded } else { format!("{folded}\n{plain}") }
}

fn is_diacritic(character: char) -> bool {
    matches!(character, '\u{300}'..='\u{36f}' | '\u{1ab0}'..='\u{1aff}' | '\u{1dc0}'..='\u{1dff}' | '\u{20d0}'..='\u{20ff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_folded() {
        for (text, folded) in [
            ("The Acme Company", "the acme company"),
            ("\u{c9}cole", "ecole"),
            ("E\u{301}cole", "ecole"),
            ("STRASSE Stra\u{df}e", "strasse strasse"),
            ("\u{130}zmir", "izmir"),
            ("\u{39f}\u{394}\u{39f}\u{3a3} \u{1f40}\u{3b4}\u{3cc}\u{3c2}", "\u{3bf}\u{3b4}\u{3bf}\u{3c3} \u{3bf}\u{3b4}\u{3bf}\u{3c3}"),
            ("\u{ff21}\u{ff23}\u{ff2d}\u{ff25}\t\u{a0} \u{fb01}n", "acme fin"),
            // Chinese is not transliterated, voicing and Thai vowels stay, and a syllable is one character again.
            ("\u{682a}\u{5f0f}\u{4f1a}\u{793e}", "\u{682a}\u{5f0f}\u{4f1a}\u{793e}"),
            ("\u{304c}", "\u{304c}"),
            ("\u{e01}\u{e34}\u{e19}", "\u{e01}\u{e34}\u{e19}"),
            ("\u{d55c}\u{ad6d}", "\u{d55c}\u{ad6d}"),
            ("", ""),
        ] {
            assert_eq!(fold(text), folded, "{text}");
            assert_eq!(fold(&fold(text)), fold(text), "{text}");
        }
        assert_eq!(fold_tax_id("DE 123.456-789"), "de 123.456-789\nde123456789");
        assert_eq!(fold_tax_id("DE123456789"), "de123456789");
    }
}
