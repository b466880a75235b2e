//! What is written to a customer when a paper is sent: a subject, and a text and a page that say the same.

use std::collections::BTreeMap;

use askama::Template;

use super::compose::issuer;
use super::dates::Dates;
use super::page_model::{PageModel, PartyBlock};
use super::texts::Texts;
use super::texts::clean;
use super::{Denomination, FormError, Imprint, receipt};
use crate::document::{Document, DocumentKind, Issuer};
use crate::payments::PaymentInFull;
use domain::money::Units;
use domain::time::UnixMillis;

/// Where the paper itself is. Neither attached nor to be opened by a link, it is too large, and the letter says so.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Enclosure {
    /// Whether it is attached.
    pub is_attached: bool,
    /// Where the customer can open it.
    pub link: Option<String>,
}

/// What a letter is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LetterKind {
    Invoice,
    Statement,
    CreditNote,
    /// The receipt of a payment.
    Receipt,
    /// A reminder of an invoice.
    Reminder,
    /// That credit runs low.
    LowCredit,
}

impl LetterKind {
    /// All of them.
    pub const ALL: &[Self] = &[Self::Invoice, Self::Statement, Self::CreditNote, Self::Receipt, Self::Reminder, Self::LowCredit];

    /// Its name in stores and addresses.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Invoice => "invoice",
            Self::Statement => "statement",
            Self::CreditNote => "credit_note",
            Self::Receipt => "receipt",
            Self::Reminder => "reminder",
            Self::LowCredit => "low_credit",
        }
    }

    /// The one of that name.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.name() == name)
    }

    #[must_use]
    pub fn of_document(kind: DocumentKind) -> Self {
        match kind {
            DocumentKind::Invoice => Self::Invoice,
            DocumentKind::Statement => Self::Statement,
            DocumentKind::CreditNote => Self::CreditNote,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Letter {
    pub language: &'static str,
    pub subject: String,
    /// What templates may fill in, by its name.
    facts: BTreeMap<&'static str, String>,
    greeting: String,
    paragraphs: Vec<String>,
    summary: [String; 3],
    payment: Vec<String>,
    link: Option<LetterLink>,
    closing: String,
    issuer: PartyBlock,
}

/// A link by which the customer can open the document.
#[derive(Clone, Debug, PartialEq, Eq)]
struct LetterLink {
    url: String,
    /// What it is for.
    said: String,
    /// What is on it.
    name: String,
}

impl LetterLink {
    fn new(url: String, texts: &Texts) -> Self {
        Self { url, said: texts.text("letter-link"), name: texts.text("letter-look") }
    }
}

/// A mail's subject, text and page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// The subject: one line.
    pub subject: String,
    pub text: String,
    /// As a page.
    pub html: String,
}

#[derive(Template)]
#[template(path = "letter.html", config = "rendering/askama.toml")]
struct Page<'a> {
    language: &'a str,
    subject: &'a str,
    issuer: &'a str,
    letter: &'a Letter,
}

impl Letter {
    /// The letter that a document is sent with.
    ///
    /// # Errors
    /// If the document's time zone is not known.
    pub fn of_document(document: &Document, enclosure: &Enclosure) -> Result<Self, FormError> {
        let texts = Texts::of(&document.customer.language);
        let page_model = PageModel::of(document)?;
        let mut letter = Self::about(&page_model, &document.issuer, &texts);
        let dates = Dates::in_zone(&document.time_zone, &texts)?;
        let day = dates.day(document.issued_at);
        letter.paragraphs = vec![texts.with("letter-of-day", &[("name", &page_model.name()), ("day", &day)])];
        letter.know([("number", document.number.clone()), ("account", clean(&document.account)), ("day", day)]);
        letter.know([("due_day", document.due_at.map(|at| dates.day(at)).unwrap_or_default())]);
        letter.enclose(enclosure, &texts);
        if document.kind == DocumentKind::Invoice && document.amount_to_pay > Units::ZERO {
            letter.payment = how_to_pay(document, &texts);
        }
        Ok(letter)
    }

    /// The letter that reminds of an invoice of which so much is open.
    ///
    /// # Errors
    /// If the document's time zone is not known.
    pub fn reminder(document: &Document, open: Units, now: UnixMillis, enclosure: &Enclosure) -> Result<Self, FormError> {
        let texts = Texts::of(&document.customer.language);
        let page_model = PageModel::of(document)?;
        let mut letter = Self::about(&page_model, &document.issuer, &texts);
        let dates = Dates::in_zone(&document.time_zone, &texts)?;
        let due_at = document.due_at.unwrap_or(document.issued_at);
        let due = dates.day(due_at);
        let is_overdue = due_at < now;
        letter.subject = texts.with(if is_overdue { "letter-overdue" } else { "letter-due-soon" }, &[("name", &page_model.name())]);
        let what = if is_overdue { "letter-was-due" } else { "letter-is-due" };
        letter.paragraphs = vec![texts.with(what, &[("name", &page_model.name()), ("day", &due)]), texts.text("letter-crossed")];
        letter.know([("number", document.number.clone()), ("account", clean(&document.account)), ("due_day", due.clone())]);
        letter.know([("day", dates.day(document.issued_at)), ("overdue", if is_overdue { "yes".to_owned() } else { String::new() })]);
        letter.know([("open", texts.number(&Denomination::of(document).shown(open)))]);
        letter.enclose(enclosure, &texts);
        letter.summary =
            [texts.text("letter-open"), texts.number(&Denomination::of(document).shown(open)), texts.with("due-by", &[("day", &due)])];
        letter.payment = how_to_pay(document, &texts);
        Ok(letter)
    }

    /// The letter that a receipt is sent with.
    ///
    /// # Errors
    /// If the time zone is not known.
    pub fn of_receipt(imprint: &Imprint, payment: &PaymentInFull) -> Result<Self, FormError> {
        let texts = Texts::of(&imprint.customer.language);
        let page_model = receipt::page_model(imprint, payment)?;
        let mut letter = Self::about(&page_model, &imprint.issuer, &texts);
        letter.paragraphs = vec![texts.text("letter-thanks")];
        letter.know([("account", clean(&imprint.account))]);
        letter.enclose(&Enclosure { is_attached: true, link: None }, &texts);
        Ok(letter)
    }

    /// The letter that says that so much usable credit is left, which is below the threshold of the account.
    ///
    /// # Errors
    /// If the time zone is not known.
    pub fn low_credit(imprint: &Imprint, usable: Units, threshold: Units) -> Result<Self, FormError> {
        let Imprint { issuer: from, customer, account, money, time_zone, at } = imprint;
        let texts = Texts::of(&customer.language);
        let day = Dates::in_zone(time_zone, &texts)?.day(*at);
        let amount = |units| texts.number(&money.shown(units));
        let name = if customer.name.is_empty() { clean(account) } else { clean(&customer.name) };
        let facts = BTreeMap::from([
            ("account", clean(account)),
            ("customer", name.clone()),
            ("issuer", clean(&from.name)),
            ("usable", amount(usable)),
            ("threshold", amount(threshold)),
            ("day", day.clone()),
        ]);
        Ok(Self {
            facts,
            language: texts.language(),
            subject: texts.with("letter-low-credit-subject", &[("issuer", &clean(&from.name))]),
            greeting: texts.with("letter-greeting", &[("customer", &name)]),
            paragraphs: vec![texts.with("letter-low-credit", &[("threshold", &amount(threshold))]), texts.text("letter-top-up")],
            summary: [texts.text("letter-usable"), amount(usable), texts.with("letter-as-of", &[("day", &day)])],
            payment: from.payment.iter().map(|line| clean(line)).collect(),
            link: None,
            closing: texts.text("letter-closing"),
            issuer: issuer(from, &texts),
        })
    }

    fn about(page_model: &PageModel, from: &Issuer, texts: &Texts) -> Self {
        let summary = &page_model.summary;
        let facts = BTreeMap::from([
            ("document", page_model.name()),
            ("customer", page_model.customer.name.clone()),
            ("issuer", clean(&from.name)),
            ("amount", summary.amount.clone()),
            ("link", String::new()),
        ]);
        Self {
            facts,
            language: page_model.language,
            subject: texts.with("letter-subject", &[("name", &page_model.name()), ("issuer", &clean(&from.name))]),
            greeting: texts.with("letter-greeting", &[("customer", &page_model.customer.name)]),
            paragraphs: Vec::new(),
            summary: [summary.label.clone(), summary.amount.clone(), summary.note.clone()],
            payment: Vec::new(),
            link: None,
            closing: texts.text("letter-closing"),
            issuer: issuer(from, texts),
        }
    }

    fn enclose(&mut self, enclosure: &Enclosure, texts: &Texts) {
        match enclosure {
            Enclosure { is_attached: true, .. } => self.paragraphs.push(texts.text("letter-attached")),
            Enclosure { link: None, .. } => self.paragraphs.push(texts.text("letter-too-large")),
            Enclosure { .. } => {}
        }
        if let Some(link) = &enclosure.link {
            self.link = Some(LetterLink::new(link.clone(), texts));
            self.know([("link", link.clone())]);
        }
    }

    fn know<const COUNT: usize>(&mut self, facts: [(&'static str, String); COUNT]) {
        self.facts.extend(facts);
    }

    /// What templates may fill in, by its name.
    #[must_use]
    pub fn facts(&self) -> &BTreeMap<&'static str, String> {
        &self.facts
    }

    /// Says what is known otherwise, for tests.
    #[cfg(test)]
    pub(super) fn set_fact(&mut self, name: &'static str, value: String) {
        self.facts.insert(name, value);
    }

    /// Who writes it.
    pub(super) fn issuer_name(&self) -> &str {
        &self.issuer.name
    }

    /// The sender, in lines.
    pub(super) fn issuer_lines(&self) -> Vec<String> {
        let PartyBlock { name, address, details } = &self.issuer;
        std::iter::once(name).chain(address).chain(details).cloned().collect()
    }

    /// How to pay, in lines.
    pub(super) fn payment_lines(&self) -> &[String] {
        &self.payment
    }

    /// As it usually reads.
    ///
    /// # Errors
    /// Only if the page cannot be written.
    pub fn written(&self) -> Result<Written, FormError> {
        Ok(Written { subject: self.subject.clone(), text: self.text(), html: self.html()? })
    }

    /// An example of a kind, in a language: what templates are tried with.
    #[must_use]
    pub fn example(kind: LetterKind, language: &str) -> Self {
        let texts = Texts::of(language);
        let is_german = texts.language() == "de";
        let in_language = |english: &str, german: &str| if is_german { german.to_owned() } else { english.to_owned() };
        let [day, due] = [in_language("1 July 2026", "1. Juli 2026"), in_language("15 July 2026", "15. Juli 2026")];
        let amount = in_language("EUR 1,234.50", "EUR 1.234,50");
        let (number, title) = match kind {
            LetterKind::Invoice | LetterKind::Reminder => ("INV-000123", in_language("Invoice", "Rechnung")),
            LetterKind::Statement => ("STM-000123", in_language("Statement", "Abrechnung")),
            LetterKind::CreditNote => ("CRN-000123", in_language("Credit note", "Gutschrift")),
            LetterKind::Receipt => ("42", in_language("Receipt", "Quittung")),
            LetterKind::LowCredit => ("", String::new()),
        };
        let (document, issuer, customer) = (format!("{title} {number}"), "Nordlicht Telekom GmbH", "Acme AG");
        let link = "https://documents.example.org/d/example".to_owned();
        let mut facts = BTreeMap::from([("account", "acme".to_owned()), ("customer", customer.to_owned()), ("issuer", issuer.to_owned())]);
        let mut letter = Self {
            language: texts.language(),
            subject: texts.with("letter-subject", &[("name", &document), ("issuer", issuer)]),
            facts: BTreeMap::new(),
            greeting: texts.with("letter-greeting", &[("customer", customer)]),
            paragraphs: vec![texts.with("letter-of-day", &[("name", &document), ("day", &day)]), texts.text("letter-attached")],
            summary: [texts.text("amount-to-pay"), amount.clone(), texts.with("due-by", &[("day", &due)])],
            payment: vec!["IBAN DE02 1203 0000 0000 2020 51".to_owned(), texts.with("state-number", &[("number", number)])],
            link: Some(LetterLink::new(link.clone(), &texts)),
            closing: texts.text("letter-closing"),
            issuer: PartyBlock {
                name: issuer.to_owned(),
                address: vec!["Kai 1".to_owned(), "20457 Hamburg".to_owned()],
                details: Vec::new(),
            },
        };
        if kind == LetterKind::LowCredit {
            letter.subject = texts.with("letter-low-credit-subject", &[("issuer", issuer)]);
            letter.paragraphs = vec![texts.with("letter-low-credit", &[("threshold", &amount)]), texts.text("letter-top-up")];
            letter.summary = [texts.text("letter-usable"), amount.clone(), texts.with("letter-as-of", &[("day", &day)])];
            letter.payment.truncate(1);
            letter.link = None;
            facts.extend([("usable", amount.clone()), ("threshold", amount), ("day", day)]);
            letter.facts = facts;
            return letter;
        }
        facts.extend([("document", document.clone()), ("amount", amount.clone()), ("link", link)]);
        if kind == LetterKind::Receipt {
            letter.paragraphs = vec![texts.text("letter-thanks"), texts.text("letter-attached")];
            letter.summary = [texts.text("amount-received"), amount, texts.with("received-on", &[("day", &day)])];
            (letter.payment, letter.link) = (Vec::new(), None);
            facts.insert("link", String::new());
            letter.facts = facts;
            return letter;
        }
        let (label, note) = match kind {
            LetterKind::Statement => ("closing-balance", "there-is-nothing-to-pay"),
            LetterKind::CreditNote => ("amount-credited", "already-credited"),
            _ => ("", ""),
        };
        if !label.is_empty() {
            letter.summary = [texts.text(label), amount.clone(), texts.text(note)];
            letter.payment = Vec::new();
        }
        facts.extend([("number", number.to_owned()), ("day", day), ("due_day", due.clone())]);
        if kind == LetterKind::Reminder {
            letter.subject = texts.with("letter-overdue", &[("name", &document)]);
            letter.paragraphs = vec![texts.with("letter-was-due", &[("name", &document), ("day", &due)]), texts.text("letter-crossed")];
            letter.summary[0] = texts.text("letter-open");
            facts.extend([("open", amount), ("overdue", "yes".to_owned())]);
        }
        letter.facts = facts;
        letter
    }

    #[must_use]
    pub fn text(&self) -> String {
        let [label, amount, note] = &self.summary;
        let mut blocks = vec![self.greeting.clone()];
        blocks.extend(self.paragraphs.iter().cloned());
        let summary = format!("{label}: {amount}");
        blocks.push(if note.is_empty() { summary } else { format!("{summary}\n{note}") });
        if !self.payment.is_empty() {
            blocks.push(self.payment.join("\n"));
        }
        if let Some(LetterLink { url, said, .. }) = &self.link {
            blocks.push(format!("{said}\n{url}"));
        }
        let PartyBlock { name, address, details } = &self.issuer;
        blocks.push(format!("{}\n{name}", self.closing));
        let about = address.iter().chain(details).map(String::as_str).collect::<Vec<_>>().join("\n");
        if !about.is_empty() {
            blocks.push(about);
        }
        blocks.join("\n\n") + "\n"
    }

    /// As a page: styles inside, nothing that is fetched.
    ///
    /// # Errors
    /// Only if the page cannot be written.
    pub fn html(&self) -> Result<String, FormError> {
        Ok(Page { language: self.language, subject: &self.subject, issuer: &self.issuer.name, letter: self }.render()?)
    }
}

/// How an invoice is paid, in lines: the issuer's, and the number by which the payment is known.
fn how_to_pay(document: &Document, texts: &Texts) -> Vec<String> {
    let state = texts.with("state-number", &[("number", &document.number)]);
    let lines: Vec<_> = document.issuer.payment.iter().map(|line| clean(line)).collect();
    if lines.is_empty() { lines } else { lines.into_iter().chain([state]).collect() }
}
