//! The words of documents, by language: one catalogue for each, which all have the same messages.
//!
//! A message that a catalogue lacks shows its name; a test holds the catalogues against each other, and against what is asked of them.

use std::sync::LazyLock;

use crate::document::LANGUAGES;
use fluent_bundle::{FluentArgs, FluentBundle, FluentResource};
use unic_langid::LanguageIdentifier;

static ENGLISH: LazyLock<FluentResource> = LazyLock::new(|| resource(include_str!("texts/en.ftl")));
static GERMAN: LazyLock<FluentResource> = LazyLock::new(|| resource(include_str!("texts/de.ftl")));

fn resource(text: &str) -> FluentResource {
    // What can be read of it is used.
    FluentResource::try_new(text.to_owned()).unwrap_or_else(|(resource, _)| resource)
}

/// The words of one language.
pub(super) struct Texts {
    language: &'static str,
    bundle: FluentBundle<&'static FluentResource>,
}

impl Texts {
    /// Those of a language; of one that is not known, the first.
    pub(super) fn of(language: &str) -> Self {
        let language = LANGUAGES.into_iter().find(|known| *known == language).unwrap_or("en");
        let resource: &'static FluentResource = if language == "de" { &GERMAN } else { &ENGLISH };
        let mut bundle = FluentBundle::new(language.parse::<LanguageIdentifier>().into_iter().collect());
        // What is put in is set apart by the page itself, where that matters.
        bundle.set_use_isolating(false);
        bundle.add_resource_overriding(resource);
        Self { language, bundle }
    }

    /// The code of the language.
    pub(super) fn language(&self) -> &'static str {
        self.language
    }

    pub(super) fn text(&self, name: &str) -> String {
        self.with(name, &[])
    }

    /// A text with what is put into it.
    pub(super) fn with(&self, name: &str, variables: &[(&'static str, &str)]) -> String {
        let Some(pattern) = self.bundle.get_message(name).and_then(|message| message.value()) else { return name.to_owned() };
        let mut arguments = FluentArgs::new();
        for (variable, value) in variables {
            arguments.set(*variable, (*value).to_owned());
        }
        self.bundle.format_pattern(pattern, Some(&arguments), &mut Vec::new()).into_owned()
    }

    /// A number in the way of the language, of one in the English way.
    pub(super) fn number(&self, english: &str) -> String {
        if self.language != "de" {
            return english.to_owned();
        }
        let swap = |letter| match letter {
            ',' => '.',
            '.' => ',',
            letter => letter,
        };
        english.chars().map(swap).collect()
    }
}

/// The text as one line: line breaks and tabs are spaces, and what cannot be printed is visibly replaced.
pub(super) fn clean(text: &str) -> String {
    let printable = |letter: char| match letter {
        '\n' | '\r' | '\t' | '\u{b}' | '\u{c}' | '\u{85}' | '\u{2028}' | '\u{2029}' => ' ',
        letter if letter.is_control() => char::REPLACEMENT_CHARACTER,
        letter => letter,
    };
    text.chars().map(printable).collect::<String>().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// Each message, with its variables.
    fn messages(text: &str) -> BTreeMap<String, Vec<String>> {
        let variable = regex::Regex::new(r"\$(\w+)").unwrap();
        let lines = text.lines().filter_map(|line| line.split_once(" = "));
        let variables = |value: &str| {
            let mut found: Vec<_> = variable.captures_iter(value).map(|found| found[1].to_owned()).collect();
            found.sort();
            found
        };
        lines.map(|(name, value)| (name.to_owned(), variables(value))).collect()
    }

    #[test]
    fn all_catalogues_have_the_same_messages_and_variables() {
        let [english, german] = [include_str!("texts/en.ftl"), include_str!("texts/de.ftl")].map(messages);
        assert!(english.len() > 100);
        assert_eq!(english, german);
        for text in [include_str!("texts/en.ftl"), include_str!("texts/de.ftl")] {
            assert!(FluentResource::try_new(text.to_owned()).is_ok());
        }
    }

    #[test]
    fn what_is_asked_for_is_in_the_catalogues_and_the_other_way_round() {
        let known = messages(include_str!("texts/en.ftl"));
        let sources = [
            include_str!("compose.rs"),
            include_str!("charges.rs"),
            include_str!("dates.rs"),
            include_str!("receipt.rs"),
            include_str!("letter.rs"),
            include_str!("cover.rs"),
            include_str!("account_statement.rs"),
            include_str!("html.rs"),
            include_str!("document.html"),
            include_str!("page_model.rs"),
            include_str!("pdf/layout.rs"),
            include_str!("pdf/table.rs"),
        ];
        let asked = regex::Regex::new(r#"(?:text|with|part)\(\s*"([a-z0-9-]+)""#).unwrap();
        let mut missing = Vec::new();
        for source in sources {
            missing.extend(asked.captures_iter(source).map(|found| found[1].to_owned()).filter(|name| !known.contains_key(name)));
        }
        assert_eq!(missing, Vec::<String>::new());
        let unused: Vec<_> = known
            .keys()
            .filter(|name| !name.starts_with("month-") && !sources.iter().any(|source| source.contains(&format!("\"{name}\""))))
            .collect();
        assert_eq!(unused, Vec::<&String>::new());
    }

    #[test]
    fn a_language_has_its_words_and_its_numbers() {
        let (english, german) = (Texts::of(""), Texts::of("de"));
        assert_eq!((english.language(), german.language(), Texts::of("xx").language()), ("en", "de", "en"));
        assert_eq!(german.with("due-by", &[("day", "1. Mai 2026")]), "fällig am 1. Mai 2026");
        assert_eq!((english.number("EUR 1,234.50"), german.number("EUR 1,234.50")), ("EUR 1,234.50".to_owned(), "EUR 1.234,50".to_owned()));
        assert_eq!(english.text("no-such-text"), "no-such-text");
    }
}
