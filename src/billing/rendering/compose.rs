//! Builds the page model of a document: which words stand where.

use super::FormError;
use super::amounts::Denomination;
use super::charges::Charges;
use super::dates::Dates;
use super::page_model::{Fact, PageModel, Part, PartyBlock, Summary, Vocabulary};
use super::texts::{Texts, clean};
use crate::document::{Cause, Document, DocumentKind, Issuer, Party, Relief};
use domain::money::Units;

impl Denomination {
    /// The currency and decimals of the document's amounts.
    #[must_use]
    pub fn of(document: &Document) -> Self {
        Self { currency: document.currency.clone(), decimals: document.decimals, minor_digits: document.minor_digits }
    }
}

impl PageModel {
    /// The page model of a document, in the customer's language.
    ///
    /// # Errors
    /// If the document's time zone is not known.
    pub fn of(document: &Document) -> Result<Self, FormError> {
        let texts = Texts::of(&document.customer.language);
        let dates = Dates::in_zone(&document.time_zone, &texts)?;
        let money = Denomination::of(document);
        let mut customer = party(&document.customer, &texts);
        if customer.name.is_empty() {
            customer.name = clean(&document.account);
        }
        let mut parts = parts(document, &money, &dates, &texts);
        parts.iter_mut().for_each(|part| localize(part, &texts));
        Ok(Self {
            language: texts.language(),
            words: Vocabulary::of(&texts),
            title: title(document.kind, &texts),
            number: clean(&document.number),
            subtitle: subtitle(document, &texts),
            issuer: issuer(&document.issuer, &texts),
            logo: document.issuer.logo.clone().filter(|logo| !logo.content.is_empty()),
            customer,
            facts: facts(document, &dates, &texts),
            summary: summary(document, &money, &dates, &texts),
            parts,
            notes: notes(document, &texts),
        })
    }
}

impl Vocabulary {
    pub(super) fn of(texts: &Texts) -> Self {
        Self {
            to: texts.text("to"),
            draft: texts.text("draft"),
            draft_name: texts.with("draft-name", &[("title", Self::TITLE)]),
            item: texts.text("item"),
            used: texts.text("used"),
            charges: texts.text("charges"),
            quantity: texts.text("quantity"),
            unit: texts.text("unit"),
            unit_price: texts.text("unit-price"),
            what: texts.text("what"),
            page: texts.with("page", &[("page", Self::PAGE), ("pages", Self::PAGES)]),
        }
    }
}

/// Writes the figures of a part in the way of the language.
pub(super) fn localize(part: &mut Part, texts: &Texts) {
    let groups = part.table.iter_mut().flat_map(|table| &mut table.groups);
    for group in groups {
        for line in &mut group.lines {
            for figure in [&mut line.count, &mut line.quantity, &mut line.unit_price, &mut line.amount.text] {
                *figure = texts.number(figure);
            }
        }
        if let Some(sum) = &mut group.subtotal {
            sum.amount.text = texts.number(&sum.amount.text);
        }
    }
    for sum in &mut part.sums {
        sum.amount.text = texts.number(&sum.amount.text);
    }
}

fn title(kind: DocumentKind, texts: &Texts) -> String {
    texts.text(match kind {
        DocumentKind::Invoice => "invoice",
        DocumentKind::Statement => "statement",
        DocumentKind::CreditNote => "credit-note",
    })
}

fn subtitle(document: &Document, texts: &Texts) -> String {
    match document.cause {
        Cause::Conversion => texts.text("subtitle-conversion"),
        Cause::SingleCharge => texts.text("subtitle-single-charge"),
        Cause::PeriodEnd if document.kind == DocumentKind::Statement => texts.text("subtitle-statement"),
        Cause::PeriodEnd | Cause::Refund => String::new(),
    }
}

fn tax_id(id: &str, texts: &Texts) -> Option<String> {
    (!id.is_empty()).then(|| texts.with("tax-id", &[("id", &clean(id))]))
}

pub(super) fn party(party: &Party, texts: &Texts) -> PartyBlock {
    let email = (!party.email.is_empty()).then(|| clean(&party.email));
    let address = party.address.iter().map(|line| clean(line)).filter(|line| !line.is_empty()).collect();
    PartyBlock { name: clean(&party.name), address, details: tax_id(&party.tax_id, texts).into_iter().chain(email).collect() }
}

pub(super) fn issuer(issuer: &Issuer, texts: &Texts) -> PartyBlock {
    let said = |text: &str| (!text.is_empty()).then(|| clean(text));
    let address = issuer.address_lines().iter().map(|line| clean(line)).filter(|line| !line.is_empty()).collect();
    let details = [tax_id(&issuer.tax_id, texts), said(&issuer.email), said(&issuer.phone), said(&issuer.website)];
    PartyBlock { name: clean(&issuer.name), address, details: details.into_iter().flatten().collect() }
}

fn facts(document: &Document, dates: &Dates<'_>, texts: &Texts) -> Vec<Fact> {
    let mut facts = Vec::new();
    let mut fact = |label, value: String| facts.push(Fact { label: texts.text(label), value });
    fact("number", if document.number.is_empty() { texts.text("not-issued-yet") } else { clean(&document.number) });
    if document.issued_at.is_some() {
        fact("issue-date", dates.day(document.issued_at));
    }
    match document.cause {
        Cause::PeriodEnd | Cause::Conversion => fact("billing-period", dates.period(document.period_from, document.period_to)),
        Cause::SingleCharge => fact("date-of-charge", dates.day(document.period_from)),
        Cause::Refund => fact("date-of-refund", dates.day(document.period_to)),
    }
    if let Some(due_at) = document.due_at {
        fact("due-date", dates.day(due_at));
    }
    if document.kind == DocumentKind::CreditNote {
        fact("for-invoice", clean(&document.refers_to));
    }
    if !document.reason.is_empty() {
        fact("reason", clean(&document.reason));
    }
    fact("account", clean(&document.account));
    facts
}

fn summary(document: &Document, money: &Denomination, dates: &Dates<'_>, texts: &Texts) -> Summary {
    let shown = |amount| texts.number(&money.shown(amount));
    let (label, amount, note) = match document.kind {
        DocumentKind::Invoice => {
            let note = match document.due_at {
                Some(due_at) if document.amount_to_pay > Units::ZERO => texts.with("due-by", &[("day", &dates.day(due_at))]),
                _ if document.amount_to_pay > Units::ZERO => String::new(),
                _ if document.credit_applied > Units::ZERO => texts.text("paid-by-credit"),
                _ => texts.text("nothing-to-pay"),
            };
            ("amount-to-pay", document.amount_to_pay, note)
        }
        DocumentKind::Statement => {
            let note = match document.open_total() {
                Units::ZERO => texts.text("there-is-nothing-to-pay"),
                open => texts.with("open-invoices-sum", &[("amount", &shown(open))]),
            };
            match &document.wallet {
                Some(wallet) => ("closing-balance", wallet.closing, note),
                None => ("amount-to-pay", document.amount_to_pay, note),
            }
        }
        DocumentKind::CreditNote => ("amount-credited", document.total.saturating_abs(), texts.text("already-credited")),
    };
    Summary { label: texts.text(label), amount: shown(amount), note }
}

fn parts(document: &Document, money: &Denomination, dates: &Dates<'_>, texts: &Texts) -> Vec<Part> {
    let charges = Charges { document, money, dates, texts };
    let mut parts = Vec::new();
    let has_prepaid_part = document.wallet.is_some() || !document.deducted.is_empty();
    match document.kind {
        DocumentKind::CreditNote => parts.push(charges.credited("what-was-credited")),
        DocumentKind::Invoice => parts.push(charges.to_pay(if has_prepaid_part { "part-to-pay" } else { "items" })),
        // A statement lists nothing to buy; if one does anyway, it must not be hidden.
        DocumentKind::Statement if !document.items.is_empty() => parts.push(charges.to_pay("items")),
        DocumentKind::Statement => {}
    }
    let introduction = if document.brought_forward.is_zero() { "deducted-introduction" } else { "deducted-introduction-debt" };
    let (mut heading, mut introduction) = if parts.is_empty() { ("your-balance", "") } else { ("part-deducted", introduction) };
    if let Some(wallet) = &document.wallet {
        parts.push(charges.wallet(heading, introduction, wallet));
        (heading, introduction) = ("charges-deducted", "");
    }
    if !document.deducted.is_empty() {
        parts.push(charges.deducted(heading, introduction));
    }
    if document.wallet.is_none() && !document.adjustments.is_empty() {
        parts.push(charges.corrections("corrections", "corrections-introduction"));
    }
    if !document.open_invoices.is_empty() {
        parts.push(charges.open_invoices("open-invoices"));
    }
    parts
}

fn notes(document: &Document, texts: &Texts) -> Vec<String> {
    let mut notes = Vec::new();
    let number = clean(&document.number);
    match document.kind {
        DocumentKind::Statement => {
            notes.push(texts.text(if document.open_total().is_zero() { "statement-note" } else { "statement-note-open" }));
            // What is below zero may be no more than what the open invoices lack.
            if document.wallet.is_some_and(|wallet| wallet.closing + document.open_total() < Units::ZERO) {
                notes.push(texts.text("below-zero"));
            }
        }
        DocumentKind::CreditNote => notes.push(texts.with("credit-note-note", &[("invoice", &clean(&document.refers_to))])),
        DocumentKind::Invoice if document.amount_to_pay > Units::ZERO && !number.is_empty() => {
            notes.extend(document.issuer.payment.iter().map(|line| clean(line)));
            notes.push(texts.with("state-number", &[("number", &number)]));
        }
        DocumentKind::Invoice => {}
    }
    if document.number.is_empty() {
        notes.push(texts.text("draft-note"));
    }
    if let Some(exemption) = &document.exemption {
        let what = match exemption.relief {
            Relief::Exempt => "exempt",
            Relief::ReverseCharge => "reverse-charge",
        };
        notes.push(texts.with(what, &[("reason", &clean(&exemption.reason))]));
    }
    let is_without_tax = document.exemption.is_some() || document.taxes.is_empty();
    let zone = if is_without_tax { "dates-of-zone" } else { "amounts-include-tax" };
    notes.push(texts.with(zone, &[("zone", &clean(&document.time_zone))]));
    notes.extend(document.issuer.footer.iter().map(|line| clean(line)));
    notes
}
