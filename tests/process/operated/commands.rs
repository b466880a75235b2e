//! The commands and options that documents name exist, and each command of the binary is documented for operators.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use crate::service::binary;
use crate::support::temporary_folder;

/// A command line of a document, and in which.
#[derive(Debug)]
struct Named {
    document: &'static str,
    words: Vec<String>,
}

/// The commands of the binary, by the words after its name; and all options there are.
struct Known {
    commands: BTreeSet<String>,
    groups: BTreeSet<String>,
    options: String,
}

impl Known {
    fn new() -> Self {
        let folder = temporary_folder();
        assert!(Command::new(binary()).arg("man").arg(folder.path()).status().unwrap().success());
        let (mut commands, mut groups, mut options) = (BTreeSet::new(), BTreeSet::new(), String::new());
        for file in std::fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().path()) {
            let page = std::fs::read_to_string(&file).unwrap();
            // The line below SYNOPSIS names it by words, of which the first options follow.
            let line = page.lines().skip_while(|line| !line.starts_with(".SH SYNOPSIS")).nth(1).unwrap();
            let name = line.trim_start_matches("\\fB").split("\\fR").next().unwrap().replace("\\-", "-");
            let words = name.strip_prefix("tollgate").unwrap().trim().to_owned();
            if page.contains(".SH SUBCOMMANDS") {
                groups.insert(words)
            } else {
                commands.insert(words)
            };
            options += &page.replace("\\-", "-");
        }
        Self { commands, groups, options }
    }

    /// Which command these words begin with.
    fn command_of(&self, words: &[String]) -> Option<String> {
        let names: Vec<_> = words.iter().filter(|word| !word.starts_with('-')).map(String::as_str).collect();
        let mut beginnings = (1..=names.len()).rev().map(|count| names[..count].join(" "));
        beginnings.find(|name| self.commands.contains(name) || self.groups.contains(name))
    }
}

/// What a document has between backticks, but for blocks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split("```").step_by(2).flat_map(|text| text.split('`').skip(1).step_by(2))
}

/// The lines of a document's blocks of commands.
fn lines_of_code(text: &str) -> impl Iterator<Item = &str> {
    let fenced = text.split("```").skip(1).step_by(2).filter(|block| block.starts_with("sh\n")).flat_map(str::lines);
    fenced.chain(text.lines().filter(|line| line.starts_with("    ")))
}

/// The words behind `tollgate` of a command line, without its options' values.
fn words_of(line: &str) -> Option<Vec<String>> {
    let line = line.split(" #").next()?.replace("cargo run --release -- ", "tollgate ");
    let words = line.split_whitespace().skip_while(|word| word.contains('=') && !word.starts_with('-'));
    let words: Vec<_> = words.map(|word| word.trim_matches(['[', ']', '\'', '"']).replace("\\|", "|")).collect();
    (words.first()? == "tollgate").then(|| words[1..].to_vec())
}

fn read(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
}

/// Each command line of the documents. A row of a table has the rest of a group behind its first: "`tollgate item set`, `delete CODE`".
fn named(known: &Known) -> Vec<Named> {
    let documents = [
        "README.md",
        "deploy/README.md",
        "deploy/RUNBOOK.md",
        "deploy/SECURITY.md",
        "proto/README.md",
        "tests/bench/README.md",
        "src/README.md",
    ];
    let mut found = Vec::new();
    for document in documents {
        let text = read(document);
        let running = text.replace('\n', " ");
        let mut lines: Vec<_> = quoted(&running).filter_map(words_of).collect();
        lines.extend(lines_of_code(&text).flat_map(|line| line.split("&&")).filter_map(words_of));
        for row in text.lines().filter(|line| line.starts_with("| `tollgate ")) {
            let cell = row.split(" | ").next().unwrap();
            let mut group = String::new();
            for line in quoted(cell) {
                let in_group = || words_of(&format!("tollgate {group} {line}"));
                let alone = || words_of(&format!("tollgate {line}"));
                // The acts of `user` are no commands of their own.
                let is_in_group = |words: &Vec<String>| group == "user" || known.command_of(words).is_some_and(|name| name != group);
                let words = words_of(line).or_else(|| in_group().filter(is_in_group)).or_else(alone).unwrap();
                let command = known.command_of(&words).unwrap_or_default();
                group = command.split_once(' ').map_or(command.as_str(), |(group, _)| group).to_owned();
                lines.push(words);
            }
        }
        found.extend(lines.into_iter().map(|words| Named { document, words }));
    }
    found
}

/// What `--help` says of each command that is asked for.
#[derive(Default)]
struct Helps(BTreeMap<String, String>);

impl Helps {
    /// Whether a command, or the group that it is of, takes an option.
    fn takes(&mut self, command: &str, option: &str) -> bool {
        let group = command.split_once(' ').map(|(group, _)| group);
        self.says(command, option) || group.is_some_and(|group| self.says(group, option))
    }

    fn says(&mut self, command: &str, option: &str) -> bool {
        let help = self.0.entry(command.to_owned()).or_insert_with(|| {
            let output = Command::new(binary()).args(command.split(' ')).arg("--help").env_clear().output().unwrap();
            assert!(output.status.success(), "tollgate {command}: {output:?}");
            String::from_utf8(output.stdout).unwrap()
        });
        has_option(help, option)
    }
}

fn has_option(text: &str, option: &str) -> bool {
    text.match_indices(option)
        .any(|(at, _)| !text[at + option.len()..].starts_with(|next: char| next.is_ascii_alphanumeric() || next == '-'))
}

/// The option that a word is, without its value.
fn option_in(word: &str) -> Option<&str> {
    let option = word.split(['=', '|']).next()?;
    let name = option.strip_prefix("--")?;
    (!name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-')).then_some(option)
}

#[test]
fn each_command_and_option_that_documents_name_is_there() {
    let (known, mut helps) = (Known::new(), Helps::default());
    let named = named(&known);
    assert!(named.len() > 150, "{}", named.len());
    let mut wrong = Vec::new();
    for Named { document, words } in &named {
        let line = words.join(" ");
        if words.is_empty() || words[0].starts_with('-') || ["help", "metrics"].contains(&words[0].as_str()) {
            continue;
        }
        let Some(command) = known.command_of(words) else {
            wrong.push(format!("{document}: there is no `tollgate {line}`"));
            continue;
        };
        for option in words.iter().filter_map(|word| option_in(word)).filter(|option| !helps.takes(&command, option)) {
            wrong.push(format!("{document}: `tollgate {line}`: there is no {option}"));
        }
    }
    // What the table says of a command's options, and what else is quoted.
    let operators = read("deploy/README.md");
    for row in operators.lines().filter(|line| line.starts_with("| `tollgate ")) {
        let (cell, text) = row.split_once(" | ").unwrap();
        let commands: Vec<_> =
            named.iter().filter(|named| cell.contains(&named.words.join(" "))).filter_map(|named| known.command_of(&named.words)).collect();
        for option in quoted(text).filter_map(|quoted| option_in(quoted.split(' ').next()?)) {
            if !commands.iter().any(|command| helps.takes(command, option)) && !has_option(&known.options, option) {
                wrong.push(format!("{cell}: there is no {option}"));
            }
        }
    }
    for option in ["deploy/README.md", "deploy/RUNBOOK.md", "deploy/SECURITY.md"]
        .map(read)
        .iter()
        .flat_map(|text| quoted(text).filter_map(|quoted| option_in(quoted.split(' ').next()?)).map(str::to_owned).collect::<Vec<_>>())
    {
        // Of other programs, and of commands' other names for options.
        let is_other = ["--enable-feature", "--rdb", "--appendonly", "--temporary-increase-days"].contains(&option.as_str());
        if !is_other && !has_option(&known.options, &option) {
            wrong.push(format!("there is no {option}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn each_command_of_the_binary_is_documented_for_operators() {
    let known = Known::new();
    let told: BTreeSet<_> = named(&known)
        .iter()
        .filter(|named| named.document == "deploy/README.md")
        .filter_map(|named| known.command_of(&named.words))
        .collect();
    let untold: Vec<_> = known.commands.iter().filter(|command| !told.contains(*command)).collect();
    assert!(untold.is_empty(), "not in deploy/README.md: {untold:?}");
}
