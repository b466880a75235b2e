//! The page model of a document: pure text and figures, in the order in which they are read.
//!
//! The page and the PDF are two ways to set a [`PageModel`]. Neither adds up, rounds, or decides what is shown.

pub use super::amounts::Figure;
use crate::document::Logo;

/// A document, ready to be set. All texts are single lines without control characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageModel {
    /// The language of its words.
    pub language: &'static str,
    /// Its fixed words.
    pub words: Vocabulary,
    /// "Invoice".
    pub title: String,
    /// Its number; empty if it is a draft.
    pub number: String,
    /// What cut the bill, if it was not the end of the period; else empty.
    pub subtitle: String,
    pub issuer: PartyBlock,
    /// The issuer's picture.
    pub logo: Option<Logo>,
    /// The recipient.
    pub customer: PartyBlock,
    /// Number, dates and what else there is to look up.
    pub facts: Vec<Fact>,
    /// What most people look for first.
    pub summary: Summary,
    /// The tables.
    pub parts: Vec<Part>,
    /// Sentences at the end.
    pub notes: Vec<String>,
}

/// The words that stand around what a document says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vocabulary {
    /// "To".
    pub to: String,
    /// "Draft: not issued".
    pub draft: String,
    /// The name of a draft, with [`Vocabulary::TITLE`] for its title.
    pub draft_name: String,
    /// "Item".
    pub item: String,
    /// "Used".
    pub used: String,
    /// "Charges".
    pub charges: String,
    /// "Quantity".
    pub quantity: String,
    /// "Unit".
    pub unit: String,
    /// "Unit price".
    pub unit_price: String,
    /// "What".
    pub what: String,
    /// The page's number, with [`Vocabulary::PAGE`] and [`Vocabulary::PAGES`] for the figures.
    pub page: String,
}

impl Vocabulary {
    /// Where a title is put in.
    pub const TITLE: &str = "\u{1}";
    /// Where the page's number is put in.
    pub const PAGE: &str = "\u{2}";
    /// Where the number of pages is put in.
    pub const PAGES: &str = "\u{3}";
}

/// A name with an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartyBlock {
    pub name: String,
    /// The postal address.
    pub address: Vec<String>,
    /// Tax id and e-mail, as far as they are known.
    pub details: Vec<String>,
}

/// One thing to look up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fact {
    /// "Due date".
    pub label: String,
    /// "14 December 2026".
    pub value: String,
}

/// The box.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// "Amount to pay".
    pub label: String,
    /// "EUR 76.00".
    pub amount: String,
    /// "due by 14 December 2026".
    pub note: String,
}

/// A table and its sums, or sums alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// What it is.
    pub heading: String,
    /// A sentence about it; may be empty.
    pub introduction: String,
    /// The items.
    pub table: Option<Table>,
    /// "Amount (EUR)".
    pub amount_heading: String,
    /// The sums below the items, in the same column.
    pub sums: Vec<Sum>,
}

/// The items, in groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// Whether any line sums up more than one charge.
    pub has_counts: bool,
    /// Whether any line says how much it is of.
    pub has_quantities: bool,
    /// Whether any line says what a unit costs.
    pub has_unit_prices: bool,
    /// The groups: one for each category.
    pub groups: Vec<Group>,
}

/// The items of one category.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// "Usage"; empty if it is the only group.
    pub heading: String,
    /// The items.
    pub lines: Vec<Line>,
    /// Their sum, unless it is the only group.
    pub subtotal: Option<Sum>,
}

/// One item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// What was sold.
    pub name: String,
    /// More about it; may be empty.
    pub description: String,
    /// First and last use: "03 Nov – 28 Nov".
    pub used: String,
    /// How many charges it sums up.
    pub count: String,
    /// How much; may be empty.
    pub quantity: String,
    /// What it is of; may be empty.
    pub unit: String,
    /// What a unit costs; may be empty.
    pub unit_price: String,
    /// What it costs.
    pub amount: Figure,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sum {
    /// "Total".
    pub label: String,
    /// How much.
    pub amount: Figure,
    /// How it is set.
    pub weight: Weight,
}

/// How important a sum is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weight {
    /// It says what another one contains.
    Aside,
    /// It is part of a calculation.
    Plain,
    /// It is the result of one.
    Strong,
}

impl Table {
    /// How many columns it has before the amount.
    #[must_use]
    pub fn columns_before_amount(&self) -> usize {
        2 + usize::from(self.has_counts) + 2 * usize::from(self.has_quantities) + usize::from(self.has_unit_prices)
    }
}

impl PageModel {
    /// "Invoice INV-2026-000123".
    #[must_use]
    pub fn name(&self) -> String {
        if self.number.is_empty() {
            self.words.draft_name.replace(Vocabulary::TITLE, &self.title)
        } else {
            format!("{} {}", self.title, self.number)
        }
    }

    /// All that it says, but for its fixed words and figures.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        let parties = [&self.issuer, &self.customer].into_iter().flat_map(PartyBlock::texts);
        let facts = self.facts.iter().flat_map(|fact| [&fact.label, &fact.value]);
        let own = [&self.title, &self.number, &self.subtitle, &self.summary.label, &self.summary.note];
        own.into_iter().chain(parties).chain(facts).chain(self.parts.iter().flat_map(Part::texts)).chain(&self.notes).map(String::as_str)
    }
}

impl PartyBlock {
    fn texts(&self) -> impl Iterator<Item = &String> {
        std::iter::once(&self.name).chain(&self.address).chain(&self.details)
    }
}

impl Part {
    fn texts(&self) -> impl Iterator<Item = &String> {
        let groups = || self.table.iter().flat_map(|table| &table.groups);
        let lines = groups().flat_map(|group| &group.lines).flat_map(|line| [&line.name, &line.description, &line.quantity, &line.unit]);
        let sums = groups().filter_map(|group| group.subtotal.as_ref()).chain(&self.sums).map(|sum| &sum.label);
        [&self.heading, &self.introduction].into_iter().chain(groups().map(|group| &group.heading)).chain(lines).chain(sums)
    }
}
