//! The words of the console, by language: one catalogue for each, which all have the same messages.

use std::sync::LazyLock;

use fluent_bundle::concurrent::FluentBundle;
use fluent_bundle::{FluentArgs, FluentResource};
use unic_langid::LanguageIdentifier;

/// A language of the console.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Language {
    #[default]
    English,
    German,
}

type Bundle = FluentBundle<FluentResource>;

/// The catalogue of a language, by topics.
macro_rules! catalogue {
    ($language:literal) => {
        &[
            include_str!(concat!("texts/", $language, "/pages.ftl")),
            include_str!(concat!("texts/", $language, "/reasons.ftl")),
            include_str!(concat!("texts/", $language, "/mails.ftl")),
            include_str!(concat!("texts/", $language, "/office.ftl")),
            include_str!(concat!("texts/", $language, "/money.ftl")),
            include_str!(concat!("texts/", $language, "/settings.ftl")),
            include_str!(concat!("texts/", $language, "/signing_in.ftl")),
            include_str!(concat!("texts/", $language, "/approvals.ftl")),
        ]
    };
}

const IN_ENGLISH: &[&str] = catalogue!("en");
const IN_GERMAN: &[&str] = catalogue!("de");

static ENGLISH: LazyLock<Bundle> = LazyLock::new(|| bundle("en", IN_ENGLISH));
static GERMAN: LazyLock<Bundle> = LazyLock::new(|| bundle("de", IN_GERMAN));

fn bundle(language: &str, topics: &[&str]) -> Bundle {
    let mut bundle = FluentBundle::new_concurrent(language.parse::<LanguageIdentifier>().into_iter().collect());
    // Isolation marks are for texts of mixed directions; here they would stand in attributes and tests.
    bundle.set_use_isolating(false);
    for text in topics {
        // What can be read of it is used; a test reads all.
        bundle.add_resource_overriding(FluentResource::try_new((*text).to_owned()).unwrap_or_else(|(resource, _)| resource));
    }
    bundle
}

impl Language {
    /// All of them, with the names that they have for themselves.
    pub const ALL: [(Self, &'static str); 2] = [(Self::English, "English"), (Self::German, "Deutsch")];

    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::German => "de",
        }
    }

    /// That of a code.
    #[must_use]
    pub fn named(code: &str) -> Option<Self> {
        Self::ALL.into_iter().map(|(language, _)| language).find(|language| language.code() == code)
    }

    /// The one that a browser prefers: the header `Accept-Language`.
    #[must_use]
    pub fn accepted(header: &str) -> Self {
        let wishes = header.split(',').filter_map(|wish| {
            let (range, weight) = wish.split_once(";q=").unwrap_or((wish, "1"));
            let code = range.trim().split('-').next()?.to_ascii_lowercase();
            Some((Self::named(&code)?, weight.trim().parse::<f32>().ok().filter(|weight| *weight > 0.0)?))
        });
        // Of equal ones, the first.
        let best = wishes.reduce(|best, other| if other.1 > best.1 { other } else { best });
        best.map(|(language, _)| language).unwrap_or_default()
    }

    /// A text, by its key. One that is missing shows its key.
    #[must_use]
    pub fn text(self, key: &str, args: &[(&str, &str)]) -> String {
        let bundle: &Bundle = match self {
            Self::English => &ENGLISH,
            Self::German => &GERMAN,
        };
        let Some(pattern) = bundle.get_message(key).and_then(|message| message.value()) else { return key.to_owned() };
        let mut given = FluentArgs::new();
        for (name, value) in args {
            // A number chooses the plural. An id such as 007 is none.
            match value.parse::<i64>() {
                Ok(number) if number.to_string() == *value => given.set(*name, number),
                _ => given.set(*name, (*value).to_owned()),
            }
        }
        bundle.format_pattern(pattern, Some(&given), &mut Vec::new()).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn keys(topics: &[&str]) -> BTreeSet<(String, BTreeSet<String>)> {
        for topic in topics {
            FluentResource::try_new((*topic).to_owned()).unwrap();
        }
        let mut keys = BTreeSet::new();
        let mut current: Option<(String, BTreeSet<String>)> = None;
        for line in topics.iter().flat_map(|topic| topic.lines()).filter(|line| !line.starts_with('#')) {
            if let Some((key, _)) = line.split_once(" =").filter(|_| !line.starts_with(' ')) {
                keys.extend(current.take());
                current = Some((key.to_owned(), BTreeSet::new()));
            }
            if let Some((_, arguments)) = &mut current {
                let names =
                    line.split('$').skip(1).map(|rest| rest.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '-').next());
                arguments.extend(names.flatten().map(ToOwned::to_owned));
            }
        }
        keys.extend(current);
        keys
    }

    #[test]
    fn all_languages_have_the_same_texts_with_the_same_arguments() {
        let (english, german) = (keys(IN_ENGLISH), keys(IN_GERMAN));
        let differences: Vec<_> = english.symmetric_difference(&german).collect();
        assert!(differences.is_empty(), "{differences:#?}");
        for topics in [IN_ENGLISH, IN_GERMAN] {
            let lines = topics.iter().flat_map(|topic| topic.lines());
            let names: Vec<_> = lines.filter(|line| !line.starts_with([' ', '#'])).filter_map(|line| line.split_once(" =")).collect();
            let mut seen = BTreeSet::new();
            assert_eq!(names.iter().find(|(name, _)| !seen.insert(name)), None, "a text is there twice");
        }
    }

    #[test]
    fn every_text_that_is_asked_for_is_there() {
        let known: BTreeSet<String> = keys(IN_ENGLISH).into_iter().map(|(key, _)| key).collect();
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut folders = vec![root.to_owned()];
        let mut missing = BTreeSet::new();
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                    continue;
                }
                let Ok(text) = std::fs::read_to_string(&path) else { continue };
                let is_page = path.extension().is_some_and(|extension| extension == "html");
                for begin in if is_page { [".t(\"", ".tn(\""] } else { [".text(\"", ".text_of(\""] } {
                    for rest in text.split(begin).skip(1) {
                        let key = rest.split('"').next().unwrap();
                        if !known.contains(key) && !path.ends_with("texts.rs") {
                            missing.insert(format!("{}: {key}", path.display()));
                        }
                    }
                }
            }
        }
        assert!(missing.is_empty(), "{missing:#?}");
    }

    #[test]
    fn every_refusal_of_the_domain_is_said_in_the_language_of_the_reader() {
        let source = include_str!("../domain/outcome.rs");
        let named = source.split("=> \"").skip(1).filter_map(|rest| rest.split('"').next());
        let reasons: Vec<_> = named.filter(|name| name.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_')).collect();
        assert!(reasons.len() > 25, "{reasons:?}");
        for reason in reasons {
            let key = format!("reason-{reason}");
            let is_internal = ["ORIGINAL_NEEDED", "BILL_NEEDED", "DEFERRED"].contains(&reason);
            assert_eq!(Language::German.text(&key, &[]) == key, is_internal, "{key}");
        }
    }

    #[test]
    fn a_browser_is_shown_what_it_prefers() {
        for (header, code) in [
            ("", "en"),
            ("de-DE,de;q=0.9,en;q=0.8", "de"),
            ("en-GB,de;q=0.9", "en"),
            ("fr,de;q=0.5,en;q=0.3", "de"),
            ("de;q=0, en;q=0.1", "en"),
            ("fr", "en"),
            ("*;q=x,;;", "en"),
        ] {
            assert_eq!(Language::accepted(header).code(), code, "{header}");
        }
    }
}
