//! The house rules that no compiler knows: which way imports point, how modules begin, how long files are, that nothing panics, and that
//! the documents know all settings and errors, and quote only paths that exist.
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use clap::CommandFactory;
use regex::Regex;
use tollgate::cli::CommandLine;
use tollgate::domain::outcome::Refusal;

/// The floors of the house that are modules of one crate, top first. Imports point down, or stay on their floor. The floors below are
/// crates, whose manifests say what they know.
const FLOORS: [&[&str]; 5] = [&["main"], &["cli"], &["app"], &["http"], &["grpc"]];

/// The floors that are crates, top first, and what none of them may know of the floors above.
const CRATES: [&str; 10] = ["public", "console", "service", "delivery", "billing", "ledger", "access", "platform", "proto", "domain"];

/// What the crates below are called in this one.
const BELOW: [&str; 12] =
    ["public", "console", "service", "delivery", "access", "billing", "ledger", "telemetry", "config", "lanes", "clock", "domain"];

const MOST_LINES: usize = 450;

/// A source file: its path below `src`, its text, and its text without tests and comments.
struct Source {
    path: PathBuf,
    text: String,
    code: String,
}

impl Source {
    /// The module of the top floor that it belongs to: "grpc" of `grpc/wire/reader.rs`.
    fn part(&self) -> String {
        Path::new(self.path.iter().next().unwrap()).file_stem().unwrap().to_str().unwrap().to_owned()
    }
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut folders = vec![root.clone()];
    let mut sources = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                let is_test = path.file_name().unwrap() == "tests.rs";
                let code = if is_test { String::new() } else { code_of(&text) };
                sources.push(Source { path: path.strip_prefix(&root).unwrap().to_owned(), text, code });
            }
        }
    }
    assert!(sources.len() > 30, "the sources were not found");
    sources
}

/// The text up to its tests, which stand last, without comments.
fn code_of(text: &str) -> String {
    let tests = Regex::new(r"(?m)^#\[cfg\(test\)\]\n(?:#\[.*\]\n)*mod \w+ \{").unwrap();
    let text = tests.find(text).map_or(text, |found| &text[..found.start()]);
    Regex::new(r"(?m)(^|\s)//.*$").unwrap().replace_all(text, "").into_owned()
}

fn floor(part: &str) -> Option<usize> {
    FLOORS.iter().position(|parts| parts.contains(&part))
}

/// Nothing is wrong with any source.
fn assert_none(what: &str, wrong: Vec<String>) {
    assert!(wrong.is_empty(), "{what}:\n  {}", wrong.join("\n  "));
}

#[test]
fn imports_point_downwards() {
    let paths = Regex::new(r"\b(?:crate|tollgate)::(?:\{([^}]*)|(\w+))").unwrap();
    let mut wrong = Vec::new();
    let is_of_a_crate = |source: &Source| source.path == Path::new("lib.rs") || CRATES.contains(&source.part().as_str());
    for source in sources().iter().filter(|source| !is_of_a_crate(source)) {
        let part = source.part();
        let from = floor(&part).unwrap_or_else(|| panic!("{part} has no floor: give it one in tests/it/house.rs"));
        for found in paths.captures_iter(&source.code) {
            let names = found.get(1).or(found.get(2)).unwrap().as_str();
            for name in names.split(',').map(|name| name.trim().split("::").next().unwrap()).filter(|name| !name.is_empty()) {
                if BELOW.contains(&name) {
                    continue;
                }
                let to = floor(name).unwrap_or_else(|| panic!("{} uses crate::{name}, which has no floor", source.path.display()));
                if to < from {
                    wrong.push(format!("{} uses crate::{name}", source.path.display()));
                }
            }
        }
    }
    assert_none("these imports point upwards", wrong);
}

/// The names under which a manifest of the house's crates takes in others.
fn dependencies_of(member: &str) -> BTreeSet<String> {
    let manifest = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(member).join("Cargo.toml")).unwrap();
    let dependencies = manifest.split("[dependencies]").nth(1).unwrap().split("\n[").next().unwrap();
    dependencies.lines().filter_map(|line| line.split_once('.')).map(|(name, _)| name.to_owned()).collect()
}

#[test]
fn no_use_case_knows_a_protocol() {
    let protocols = ["tonic", "tonic-types", "axum", "http", "hyper", "clap", "proto"];
    for member in ["service", "delivery", "billing", "domain", "ledger"] {
        let known = dependencies_of(member);
        let wrong = protocols.into_iter().filter(|name| known.contains(*name));
        assert_none(&format!("{member} is to know no protocol"), wrong.map(ToOwned::to_owned).collect());
    }
    // The console is a protocol of its own: pages over use cases.
    let known = dependencies_of("console");
    let wrong = ["tonic", "prost", "proto", "clap", "hyper", "sqlx"].into_iter().filter(|name| known.contains(*name));
    assert_none("the console is to know no other protocol, and no SQL", wrong.map(ToOwned::to_owned).collect());
    // What customers open by links is theirs, and nothing else can be reached from there.
    let known = dependencies_of("public");
    let wrong = ["tonic", "prost", "proto", "clap", "hyper", "sqlx", "ledger", "access", "console"].into_iter();
    assert_none(
        "what customers reach is to know nothing else",
        wrong.filter(|name| known.contains(*name)).map(ToOwned::to_owned).collect(),
    );
    // The ledger writes records by it.
    assert!(!dependencies_of("service").contains("prost"));
}

#[test]
fn every_use_case_is_given_the_context_of_its_request() {
    let methods = Regex::new(r"pub (?:async )?fn (\w+)(?:<[^>]*>)?\(\s*&self,?\s*([^,)]*)").unwrap();
    // What is of the process, and what is recorded while nobody has signed in yet.
    let of_the_process = ["clock", "offload", "stopping", "tell_of_session", "tell_of_failed_sign_in"];
    let (mut found, mut wrong) = (0, Vec::new());
    for source in sources().iter().filter(|source| source.part() == "service") {
        let own = source.code.split("\nimpl ").filter(|block| block.starts_with("UseCases {"));
        for method in own.flat_map(|block| methods.captures_iter(block)).filter(|method| !of_the_process.contains(&&method[1])) {
            found += 1;
            if !["context: &RequestContext", "context: RequestContext"].contains(&method[2].trim_start_matches('_')) {
                wrong.push(format!("{}: {}", source.path.display(), &method[1]));
            }
        }
    }
    assert!(found > 30, "the use cases were not found: {found}");
    assert_none("these use cases are to take a RequestContext first", wrong);
}

#[test]
fn the_domain_knows_nothing_but_decimals_and_that_values_can_be_written() {
    assert_eq!(dependencies_of("domain"), BTreeSet::from(["rust_decimal", "serde", "thiserror"].map(ToOwned::to_owned)));
    let mut wrong = Vec::new();
    for source in sources().iter().filter(|source| source.part() == "domain") {
        for word in ["std::time::SystemTime", "Instant::now", "std::fs", "std::net", "std::env", "async ", "f64", "f32"] {
            if source.code.contains(word) {
                wrong.push(format!("{} has {word}", source.path.display()));
            }
        }
    }
    assert_none("the domain is to be pure", wrong);
}

#[test]
fn every_module_begins_by_saying_what_it_is() {
    let silent = sources().into_iter().filter(|source| !source.text.starts_with("//! ")).map(|source| source.path.display().to_string());
    assert_none("these modules do not begin with //!", silent.collect());
}

#[test]
fn no_file_is_too_long_to_be_read_at_once() {
    let long = sources().into_iter().map(|source| (source.text.lines().count(), source.path)).filter(|(lines, _)| *lines > MOST_LINES);
    assert_none("these files are too long", long.map(|(lines, path)| format!("{}: {lines} lines", path.display())).collect());
}

#[test]
fn nothing_panics_on_purpose() {
    let panics = Regex::new(r"\.unwrap\(\)|\.unwrap_err\(\)|\.expect(?:_err)?\(|\b(?:panic|todo|unimplemented|unreachable)!").unwrap();
    let mut wrong = Vec::new();
    for source in sources() {
        for found in panics.find_iter(&source.code) {
            wrong.push(format!("{}: {}", source.path.display(), found.as_str()));
        }
    }
    assert_none("these end the process", wrong);
}

#[test]
fn the_documents_name_every_setting_and_every_reason() {
    let read = |path: &str| std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap();
    let (settings, reasons) = (read("deploy/README.md"), read("proto/README.md"));
    let command = CommandLine::command();
    let mut missing = Vec::new();
    for argument in command
        .find_subcommand("serve")
        .unwrap()
        .get_arguments()
        .filter(|argument| argument.get_long() != Some("help") && !argument.is_hide_set())
    {
        let (option, variable) = (argument.get_long().unwrap(), argument.get_env().unwrap().to_str().unwrap());
        let mut row = format!("| `--{option}` | `{variable}` | ");
        if let [default] = argument.get_default_values() {
            row += &format!("`{}` | ", default.to_str().unwrap());
        }
        if !settings.contains(&row) {
            missing.push(format!("deploy/README.md: {row}"));
        }
    }
    let shown = Refusal::ALL.iter().filter(|refusal| !refusal.is_internal()).map(|refusal| refusal.reason());
    missing.extend(shown.filter(|reason| !reasons.contains(reason)).map(|reason| format!("proto/README.md: {reason}")));
    assert_none("these are not documented", missing);
}

/// All files and folders of the repository, by their paths below it; not what is built or installed.
fn repository() -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (mut folders, mut paths) = (vec![root.to_owned()], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if [".git", ".venv", "target", "node_modules", "__pycache__"].contains(&path.file_name().unwrap().to_str().unwrap()) {
                continue;
            }
            paths.push(path.strip_prefix(root).unwrap().to_str().unwrap().to_owned());
            if path.is_dir() {
                folders.push(path);
            }
        }
    }
    paths
}

/// The paths that a document quotes, and that are none of the repository.
fn unknown_paths(document: &str, text: &str, known: &[String]) -> Vec<String> {
    let quoted = Regex::new("`([^`\n]+)`").unwrap();
    let is_path = Regex::new(r"^[\w.-]+(?:/[\w.-]+)*/?$").unwrap();
    let placeholder = Regex::new(r"\b[A-Z]{4,}\b").unwrap();
    let folder = Path::new(document).parent().unwrap().to_str().unwrap();
    let is_folder_here = |first: &str| {
        let places = [first.to_owned(), format!("src/{first}"), format!("tests/{first}"), format!("{folder}/{first}")];
        known.iter().any(|path| places.contains(path))
    };
    let words = quoted.captures_iter(text).flat_map(|found| found.get(1).unwrap().as_str().split_whitespace());
    let words = words.map(|word| word.split(':').next().unwrap().trim_matches(['(', ')', ',', ';']).trim_end_matches('/'));
    let paths = words.filter(|word| {
        let is_source = word.ends_with(".rs") || word.ends_with(".lua");
        is_path.is_match(word) && (is_source || word.split_once('/').is_some_and(|(first, _)| is_folder_here(first)))
    });
    let unknown = paths
        .filter(|word| !word.starts_with("target/") && !word.contains(".venv/") && (word.ends_with(".md") || !placeholder.is_match(word)));
    let unknown = unknown.filter(|word| !known.iter().any(|path| path == word || path.ends_with(&format!("/{word}"))));
    unknown.map(|word| format!("{document}: {word}")).collect()
}

#[test]
fn every_path_that_a_document_quotes_exists() {
    let known = repository();
    let documents: Vec<_> = known.iter().filter(|path| path.ends_with(".md")).collect();
    assert!(documents.len() > 15, "the documents were not found");
    let read = |path: &str| std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap();
    assert_none("these are not there", documents.iter().flat_map(|document| unknown_paths(document, &read(document), &known)).collect());

    let planted = "`grpc/door.rs` and `src/grpc`, `pages/TOPIC.rs`, `application/json`, `it/nowhere`, `fold.rs`, `nothing.lua`";
    let found = unknown_paths("src/README.md", planted, &known);
    assert_eq!(found, ["src/README.md: grpc/door.rs", "src/README.md: it/nowhere", "src/README.md: nothing.lua"]);
}

#[test]
fn the_readme_is_for_a_newcomer() {
    let readme = std::fs::metadata(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    assert!(readme.len() <= 10_000, "README.md has {} bytes: what is more belongs into the document of its own reader", readme.len());
}

/// The checker shares no code with the service that it checks.
#[test]
fn the_checker_of_the_fault_suite_knows_nothing_of_the_service() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/faults/checker");
    let mut wrong = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let imports = text.lines().filter(|line| line.starts_with("use ") || line.contains("crate::") || line.contains("tollgate"));
        let known = ["use super::", "use evidence::", "use std::", "use rust_decimal::"];
        let others = imports.filter(|line| !known.iter().any(|known| line.starts_with(known)));
        wrong.extend(others.map(|line| format!("{}: {line}", path.display())));
    }
    assert_none("the checker is to know only what is in its folder", wrong);
}

#[test]
fn the_rules_find_what_they_look_for() {
    let text = "//! A module.\nuse crate::app; // crate::cli\nfn f() {}\n\n#[cfg(test)]\nmod tests {\n    use crate::cli;\n}\n";
    let code = code_of(text);
    assert!(code.contains("crate::app") && !code.contains("crate::cli") && !code.contains("A module"), "{code}");
}
