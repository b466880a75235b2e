//! What is written to a customer when a paper is sent: a subject, and a text and a page that say the same.

use askama::Template;

use super::compose::issuer;
use super::dates::Dates;
use super::page_model::{PartyBlock, Sheet};
use super::texts::Texts;
use super::texts::clean;
use super::{Denomination, FormError, Imprint, receipt};
use crate::document::{Document, DocumentKind, Issuer};
use crate::payments::PaymentInFull;
use domain::money::Units;
use domain::time::UnixMillis;

/// Where the paper itself is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Enclosure {
    /// It is attached.
    Attached,
    /// It is too large to be.
    TooLarge,
    /// It is there.
    Link(String),
}

/// A letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Letter {
    /// Its language.
    pub language: &'static str,
    /// Its subject.
    pub subject: String,
    greeting: String,
    paragraphs: Vec<String>,
    summary: [String; 3],
    payment: Vec<String>,
    link: [String; 2],
    closing: String,
    issuer: PartyBlock,
}

#[derive(Template)]
#[template(path = "letter.html", config = "rendering/askama.toml")]
struct Page<'a> {
    letter: &'a Letter,
}

impl Letter {
    /// The letter that a document is sent with.
    ///
    /// # Errors
    /// If the document's time zone is not known.
    pub fn of_document(document: &Document, enclosure: &Enclosure) -> Result<Self, FormError> {
        let texts = Texts::of(&document.customer.language);
        let sheet = Sheet::of(document)?;
        let mut letter = Self::about(&sheet, &document.issuer, &texts);
        let dates = Dates::in_zone(&document.time_zone, &texts)?;
        let of_day = texts.with("letter-of-day", &[("name", &sheet.name()), ("day", &dates.day(document.issued_at))]);
        letter.paragraphs = vec![of_day];
        letter.enclose(enclosure, &texts);
        if document.kind == DocumentKind::Invoice && document.amount_to_pay > Units::ZERO {
            letter.payment = document.issuer.payment.iter().map(|line| clean(line)).collect();
        }
        Ok(letter)
    }

    /// The letter that reminds of an invoice of which so much is open.
    ///
    /// # Errors
    /// If the document's time zone is not known.
    pub fn reminder(document: &Document, open: Units, now: UnixMillis, enclosure: &Enclosure) -> Result<Self, FormError> {
        let texts = Texts::of(&document.customer.language);
        let sheet = Sheet::of(document)?;
        let mut letter = Self::about(&sheet, &document.issuer, &texts);
        let dates = Dates::in_zone(&document.time_zone, &texts)?;
        let due_at = document.due_at.unwrap_or(document.issued_at);
        let due = dates.day(due_at);
        let is_overdue = due_at < now;
        letter.subject = texts.with(if is_overdue { "letter-overdue" } else { "letter-due-soon" }, &[("name", &sheet.name())]);
        let what = if is_overdue { "letter-was-due" } else { "letter-is-due" };
        letter.paragraphs = vec![texts.with(what, &[("name", &sheet.name()), ("day", &due)]), texts.text("letter-crossed")];
        letter.enclose(enclosure, &texts);
        letter.summary =
            [texts.text("letter-open"), texts.number(&Denomination::of(document).shown(open)), texts.with("due-by", &[("day", &due)])];
        letter.payment = document.issuer.payment.iter().map(|line| clean(line)).collect();
        Ok(letter)
    }

    /// The letter that a receipt is sent with.
    ///
    /// # Errors
    /// If the time zone is not known.
    pub fn of_receipt(imprint: &Imprint, payment: &PaymentInFull) -> Result<Self, FormError> {
        let texts = Texts::of(&imprint.customer.language);
        let sheet = receipt::sheet(imprint, payment)?;
        let mut letter = Self::about(&sheet, &imprint.issuer, &texts);
        letter.paragraphs = vec![texts.text("letter-thanks")];
        letter.enclose(&Enclosure::Attached, &texts);
        Ok(letter)
    }

    fn about(sheet: &Sheet, from: &Issuer, texts: &Texts) -> Self {
        let summary = &sheet.summary;
        Self {
            language: sheet.language,
            subject: texts.with("letter-subject", &[("name", &sheet.name()), ("issuer", &clean(&from.name))]),
            greeting: texts.with("letter-greeting", &[("customer", &sheet.customer.name)]),
            paragraphs: Vec::new(),
            summary: [summary.label.clone(), summary.amount.clone(), summary.note.clone()],
            payment: Vec::new(),
            link: [String::new(), String::new()],
            closing: texts.text("letter-closing"),
            issuer: issuer(from, texts),
        }
    }

    fn enclose(&mut self, enclosure: &Enclosure, texts: &Texts) {
        match enclosure {
            Enclosure::Attached => self.paragraphs.push(texts.text("letter-attached")),
            Enclosure::TooLarge => self.paragraphs.push(texts.text("letter-too-large")),
            Enclosure::Link(link) => self.link = [texts.text("letter-link"), link.clone()],
        }
    }

    /// As text.
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
        if let [label, link] = &self.link
            && !link.is_empty()
        {
            blocks.push(format!("{label}\n{link}"));
        }
        blocks.push(self.closing.clone());
        let PartyBlock { name, address, details } = &self.issuer;
        blocks.push(std::iter::once(name).chain(address).chain(details).cloned().collect::<Vec<_>>().join("\n"));
        blocks.join("\n\n") + "\n"
    }

    /// As a page: styles inside, nothing that is fetched.
    ///
    /// # Errors
    /// Only if the page cannot be written.
    pub fn html(&self) -> Result<String, FormError> {
        Ok(Page { letter: self }.render()?)
    }
}
