//! Tables of examples, in sentences: what is done, what comes of it, and what is true then. One table runs on every engine, and through the
//! service by each protocol.
//!
//! A case begins with `== its name`, and has accounts of its own. A sentence at the margin is a step. Behind ` -> ` stands its outcome, which
//! is compared word by word; without one, the step must be done. `refused A, not B` says that both reasons are met, and A is given.
//! `bob: ` before a sentence means an account of that name. Below a step, indented, is what is true after it: amounts of the account, the
//! entries that the step `writes`, or of a document `invoice: total 200.00, to pay 113.90`.
//! A line that begins with # is a remark. What cannot be read is an error, so that nothing is skipped by a slip.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "test support; each test uses a part")]

use std::path::{Path, PathBuf};

pub use super::sentence::{Limit, Next, Opening, ReserveTerms, Temporary, What};
use super::sentence::{Request, read};

/// A file of examples: those of one rule.
#[derive(Debug)]
pub struct Table {
    /// The file's name without its ending: the name of the rule.
    pub name: String,
    pub cases: Vec<Case>,
}

/// Some steps, and what comes of them.
#[derive(Debug)]
pub struct Case {
    pub line: usize,
    pub name: &'static str,
    pub steps: Vec<Step>,
}

#[derive(Debug)]
pub struct Step {
    pub line: usize,
    pub sentence: &'static str,
    pub request: Request,
    /// What comes of it; `None` if it is done.
    pub outcome: Option<&'static str>,
    pub then: Vec<Claim>,
}

/// Something that is true after a step.
#[derive(Debug)]
pub struct Claim {
    pub line: usize,
    pub sentence: &'static str,
    pub about: About,
}

/// What a claim is about.
#[derive(Clone, Debug)]
pub enum About {
    /// Amounts of the account, or of what the step has recorded: known to the ledger.
    Amounts(Vec<(Amount, &'static str)>),
    /// The entries that the step has written, in their order, as words.
    Writes(Vec<&'static str>),
    /// What the step had to be told of earlier entries, because they were forgotten. Known to the engines only.
    LooksUp(Vec<&'static str>),
    /// What the account is called.
    Name(&'static str),
    /// Below which usable credit it is low.
    LowCredit(&'static str),
    /// The figures of the account's last document of a kind.
    Document(&'static str, Vec<(&'static str, &'static str)>),
    /// What is open of its invoices, the oldest first; of those that are paid nothing is said.
    Open(Vec<&'static str>),
    /// The totals of its credit notes.
    Notes(Vec<&'static str>),
    /// What was paid in beyond all invoices; below zero: a debt that is on none.
    Unallocated(&'static str),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Amount {
    Balance,
    CurrentBalance,
    Unbilled,
    Due,
    Reserved,
    Limit,
    Usable,
    /// By the last refund.
    TakenOff,
    Credited,
    /// What the last step has rounded: the bill's sum, and what was due.
    Rounded,
    DueRounded,
}

const AMOUNTS: [(&str, Amount); 11] = [
    ("balance ", Amount::Balance),
    ("current balance ", Amount::CurrentBalance),
    ("unbilled ", Amount::Unbilled),
    ("due ", Amount::Due),
    ("reserved ", Amount::Reserved),
    ("limit ", Amount::Limit),
    ("usable ", Amount::Usable),
    ("taken off ", Amount::TakenOff),
    ("credited ", Amount::Credited),
    ("rounded ", Amount::Rounded),
    ("amount due rounded ", Amount::DueRounded),
];

impl Table {
    /// All tables, by their names.
    pub fn all() -> Vec<Table> {
        let mut files: Vec<PathBuf> = std::fs::read_dir(folder()).unwrap().map(|file| file.unwrap().path()).collect();
        files.sort();
        let name = |file: &Path| file.file_stem().unwrap().to_str().unwrap().to_owned();
        files.iter().map(|file| Table::named(&name(file))).collect()
    }

    /// Reads the table of a rule. It is kept for as long as the tests run.
    pub fn named(name: &str) -> Table {
        let file = folder().join(name).with_extension("txt");
        let text = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let cases = cases(text.leak()).unwrap_or_else(|problem| panic!("tests/tables/{name}.txt:{problem}"));
        Table { name: name.to_owned(), cases }
    }

    /// Where a line stands, for people and their editors.
    pub fn place(&self, line: usize) -> String {
        format!("tests/tables/{}.txt:{line}", self.name)
    }

    /// All steps, with the cases that they are of.
    pub fn steps(&self) -> impl Iterator<Item = (&Case, &Step)> {
        self.cases.iter().flat_map(|case| case.steps.iter().map(move |step| (case, step)))
    }
}

impl Step {
    /// The reason for which it is refused, and the one that would have been next, if the table says so.
    pub fn refusal(&self) -> Option<(&'static str, Option<&'static str>)> {
        let reasons = self.outcome?.strip_prefix("refused ")?;
        Some(reasons.split_once(", not ").map_or((reasons, None), |(given, next)| (given, Some(next))))
    }

    /// Whether an outcome is what the table says.
    pub fn expects(&self, found: &str) -> bool {
        match (self.outcome, self.refusal()) {
            (_, Some((reason, _))) => found.strip_prefix("refused ") == Some(reason),
            (Some(outcome), None) => found == outcome,
            (None, None) => {
                !["refused", "declined", "unchanged"].iter().any(|word| found.starts_with(word)) && !found.contains("not reserved")
            }
        }
    }

    /// Whether a step with that outcome has to leave everything as it is.
    pub fn changes_nothing(found: &str) -> bool {
        ["refused", "declined", "unchanged"].iter().any(|word| found.starts_with(word)) || found.ends_with(", replayed")
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tables")
}

/// Reads a table, or says which line means nothing.
fn cases(table: &'static str) -> Result<Vec<Case>, String> {
    let mut cases: Vec<Case> = Vec::new();
    for (place, text) in table.lines().enumerate() {
        let (line, sentence) = (place + 1, text.trim());
        if sentence.is_empty() || sentence.starts_with('#') {
            continue;
        }
        if let Some(name) = sentence.strip_prefix("== ") {
            cases.push(Case { line, name, steps: Vec::new() });
            continue;
        }
        let case = cases.last_mut().ok_or_else(|| format!("{line}: no case has begun"))?;
        if text.starts_with(' ') {
            let step = case.steps.last_mut().ok_or_else(|| format!("{line}: nothing was done yet"))?;
            let about = claim(sentence).ok_or_else(|| format!("{line}: what does \"{sentence}\" claim?"))?;
            step.then.push(Claim { line, sentence, about });
        } else {
            case.steps.push(step(line, sentence)?);
        }
    }
    Ok(cases)
}

/// Reads one step.
pub fn step(line: usize, sentence: &'static str) -> Result<Step, String> {
    let (said, outcome) = split(sentence, " -> ");
    let request = read(said).ok_or_else(|| format!("{line}: what does \"{sentence}\" mean?"))?;
    Ok(Step { line, sentence, request, outcome, then: Vec::new() })
}

pub fn split<'a>(text: &'a str, by: &str) -> (&'a str, Option<&'a str>) {
    text.split_once(by).map_or((text, None), |(left, right)| (left, Some(right)))
}

fn claim(sentence: &'static str) -> Option<About> {
    let list = |text: &'static str, none: &str| if text == none { Vec::new() } else { text.split(", ").collect() };
    let word = |prefix: &str| sentence.strip_prefix(prefix);
    if let Some(entries) = word("writes ") {
        return Some(About::Writes(list(entries, "nothing")));
    } else if let Some(found) = word("looks up ") {
        return Some(About::LooksUp(list(found, "nothing")));
    } else if let Some(name) = word("name ") {
        return Some(About::Name(name));
    } else if let Some(amount) = word("low credit below ") {
        return Some(About::LowCredit(amount));
    } else if let Some(open) = word("open ") {
        return Some(About::Open(list(open, "nothing")));
    } else if let Some(totals) = word("notes ") {
        return Some(About::Notes(list(totals, "none")));
    } else if let Some(amount) = word("unallocated ") {
        return Some(About::Unallocated(amount));
    }
    if let Some(amounts) = sentence.split(", ").map(amount).collect() {
        return Some(About::Amounts(amounts));
    }
    let (kind, figures) = sentence.split_once(": ")?;
    let figures = figures.split(", ").map(|figure| figure.rsplit_once(' ')).collect::<Option<_>>()?;
    ["invoice", "statement", "note"].contains(&kind).then_some(About::Document(kind, figures))
}

fn amount(text: &'static str) -> Option<(Amount, &'static str)> {
    AMOUNTS.iter().find_map(|(prefix, amount)| Some((*amount, text.strip_prefix(prefix)?)))
}
