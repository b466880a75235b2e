//! The names of variants, in words for people.

use std::fmt::Debug;

/// The name of a variant without content: "charged balance" of `ChargedBalance`.
#[must_use]
pub fn words(variant: &impl Debug) -> String {
    let mut words = String::new();
    for letter in format!("{variant:?}").chars() {
        if letter.is_uppercase() && !words.is_empty() {
            words.push(' ');
        }
        words.extend(letter.to_lowercase());
    }
    words
}

#[cfg(test)]
mod tests {
    use domain::account::Mode;
    use domain::entry::EntryKind;

    use super::*;

    #[test]
    fn variants_are_words() {
        assert_eq!(words(&EntryKind::ChargedOwnBill), "charged own bill");
        assert_eq!(words(&Mode::Prepaid), "prepaid");
    }
}
