//! Tables of examples, in sentences: what is done, and what must be true then. One table runs on every engine, and through the service.
//!
//! A case begins with `== its name`. A sentence at the margin is a step; below it, indented, is what must be true after it:
//! `balance -113.90`, or of a document `invoice: total 200.00, to pay 113.90`. A step that must be refused has `refused REASON` below it.
//! A line that begins with # is a remark. What cannot be read is an error, so that nothing is skipped by a slip.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "test support; each test uses a part")]

/// Some steps of one account, and what must be true after each.
#[derive(Debug)]
pub struct Case {
    pub name: &'static str,
    pub steps: Vec<Step>,
}

#[derive(Debug)]
pub struct Step {
    /// The line of the table, to be found by it.
    pub line: usize,
    pub sentence: &'static str,
    pub what: What,
    /// The reason for which it is refused.
    pub refused: Option<&'static str>,
    pub then: Vec<Claim>,
}

/// Something that must be true.
#[derive(Debug)]
pub struct Claim {
    pub line: usize,
    pub sentence: &'static str,
    pub about: About,
}

/// What is done. Amounts are decimals.
#[derive(Clone, Debug)]
pub enum What {
    Open { is_postpaid: bool, currency: &'static str, decimals: u8, limit: &'static str, is_one_by_one: bool },
    TopUp(&'static str),
    Pay(&'static str),
    PayOut(&'static str),
    WriteOff(Option<&'static str>),
    Use { amount: &'static str, category: &'static str, name: Option<&'static str> },
    Refund { charge: &'static str, amount: Option<&'static str> },
    Convert { is_to_postpaid: bool, limit: &'static str },
    MonthEnds,
    Close,
}

/// What a claim is about.
#[derive(Clone, Debug)]
pub enum About {
    /// An amount of the account, or of what the last step has recorded: known to the ledger.
    Amount(Amount, &'static str),
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
    Unbilled,
    Usable,
    /// By the last refund.
    TakenOff,
    Credited,
    /// What the last step has rounded: the bill's sum, and what was due.
    Rounded,
    DueRounded,
}

const AMOUNTS: [(&str, Amount); 7] = [
    ("balance ", Amount::Balance),
    ("unbilled ", Amount::Unbilled),
    ("usable ", Amount::Usable),
    ("taken off ", Amount::TakenOff),
    ("credited ", Amount::Credited),
    ("rounded ", Amount::Rounded),
    ("amount due rounded ", Amount::DueRounded),
];

/// Reads a table.
pub fn cases(table: &'static str) -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    for (place, text) in table.lines().enumerate() {
        let (line, sentence) = (place + 1, text.trim());
        if sentence.is_empty() || sentence.starts_with('#') {
            continue;
        }
        if let Some(name) = sentence.strip_prefix("== ") {
            cases.push(Case { name, steps: Vec::new() });
            continue;
        }
        let steps = &mut cases.last_mut().unwrap_or_else(|| panic!("line {line}: no case has begun")).steps;
        if !text.starts_with(' ') {
            let what = read_step(sentence).unwrap_or_else(|| panic!("line {line}: what does \"{sentence}\" mean?"));
            steps.push(Step { line, sentence, what, refused: None, then: Vec::new() });
            continue;
        }
        let last = steps.last_mut().unwrap_or_else(|| panic!("line {line}: nothing was done yet"));
        match sentence.strip_prefix("refused ") {
            Some(reason) => last.refused = Some(reason),
            None => {
                let about = claim(sentence).unwrap_or_else(|| panic!("line {line}: what does \"{sentence}\" claim?"));
                last.then.push(Claim { line, sentence, about });
            }
        }
    }
    cases
}

/// What a sentence says is done.
pub fn read_step(sentence: &'static str) -> Option<What> {
    let word = |prefix: &str| sentence.strip_prefix(prefix);
    Some(match sentence {
        "the month ends" => What::MonthEnds,
        "close" => What::Close,
        "write off" => What::WriteOff(None),
        _ => {
            if let Some(rest) = word("a ") {
                return account(rest);
            } else if let Some(rest) = word("use ") {
                let (rest, name) = split(rest, " as ");
                let (amount, category) = split(rest, " of ");
                What::Use { amount, category: category.unwrap_or("usage"), name }
            } else if let Some(rest) = word("refund ") {
                match split(rest, " of ") {
                    (amount, Some(charge)) => What::Refund { charge, amount: Some(amount) },
                    (charge, None) => What::Refund { charge, amount: None },
                }
            } else if let Some(rest) = word("convert to ") {
                let (mode, limit) = split(rest, " with a limit of ");
                What::Convert { is_to_postpaid: is_postpaid(mode)?, limit: limit? }
            } else if let Some(amount) = word("top up ") {
                What::TopUp(amount)
            } else if let Some(amount) = word("pay out ") {
                What::PayOut(amount)
            } else if let Some(amount) = word("pay ") {
                What::Pay(amount)
            } else {
                What::WriteOff(Some(word("write off ")?))
            }
        }
    })
}

/// "prepaid account in JPY with 1 decimals with a limit of 100, billed one by one".
fn account(sentence: &'static str) -> Option<What> {
    let (rest, is_one_by_one) = match sentence.strip_suffix(", billed one by one") {
        Some(rest) => (rest, true),
        None => (sentence, false),
    };
    let (rest, limit) = split(rest, " with a limit of ");
    let (rest, denomination) = split(rest, " in ");
    let (currency, decimals) = denomination.map_or(("EUR", Some("6")), |text| split(text, " with "));
    let is_postpaid = is_postpaid(rest.strip_suffix(" account")?)?;
    let decimals = decimals?.trim_end_matches(" decimals").parse().ok()?;
    Some(What::Open { is_postpaid, currency, decimals, limit: limit.unwrap_or(if is_postpaid { "100000" } else { "0" }), is_one_by_one })
}

fn is_postpaid(mode: &str) -> Option<bool> {
    ["prepaid", "postpaid"].iter().position(|known| *known == mode).map(|place| place == 1)
}

fn split<'a>(text: &'a str, by: &str) -> (&'a str, Option<&'a str>) {
    text.split_once(by).map_or((text, None), |(left, right)| (left, Some(right)))
}

fn claim(sentence: &'static str) -> Option<About> {
    let list = |text: &'static str, none: &str| if text == none { Vec::new() } else { text.split(", ").collect() };
    for (prefix, amount) in AMOUNTS {
        if let Some(value) = sentence.strip_prefix(prefix) {
            return Some(About::Amount(amount, value));
        }
    }
    if let Some(open) = sentence.strip_prefix("open ") {
        return Some(About::Open(list(open, "nothing")));
    }
    if let Some(totals) = sentence.strip_prefix("notes ") {
        return Some(About::Notes(list(totals, "none")));
    }
    if let Some(amount) = sentence.strip_prefix("unallocated ") {
        return Some(About::Unallocated(amount));
    }
    let (kind, figures) = sentence.split_once(": ")?;
    let figures = figures.split(", ").map(|figure| figure.rsplit_once(' ')).collect::<Option<_>>()?;
    ["invoice", "statement", "note"].contains(&kind).then_some(About::Document(kind, figures))
}
