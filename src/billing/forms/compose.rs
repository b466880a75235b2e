//! From a document to its sheet: which words stand where.

use super::FormError;
use super::charges::Charges;
use super::dates::Dates;
use super::figure::Denomination;
use super::sheet::{Fact, Part, PartyBlock, Sheet, Summary};
use crate::billing::document::{Cause, Document, DocumentKind, Issuer, Party, Relief};

impl Denomination {
    /// What the document's amounts are counted in.
    #[must_use]
    pub fn of(document: &Document) -> Self {
        Self { currency: document.currency.clone(), decimals: document.decimals, minor_digits: document.minor_digits }
    }
}

impl Sheet {
    /// The sheet of a document.
    ///
    /// # Errors
    /// If the document's time zone is not known.
    pub fn of(document: &Document) -> Result<Self, FormError> {
        let dates = Dates::in_zone(&document.time_zone)?;
        let money = Denomination::of(document);
        let mut customer = party(&document.customer);
        if customer.name.is_empty() {
            customer.name = clean(&document.account);
        }
        Ok(Self {
            language: "en",
            title: title(document.kind).to_owned(),
            number: clean(&document.number),
            subtitle: subtitle(document).to_owned(),
            issuer: issuer(&document.issuer),
            customer,
            facts: facts(document, &dates),
            summary: summary(document, &money, &dates),
            parts: parts(document, &money, &dates),
            notes: notes(document),
        })
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

fn title(kind: DocumentKind) -> &'static str {
    match kind {
        DocumentKind::Invoice => "Invoice",
        DocumentKind::Statement => "Statement",
        DocumentKind::CreditNote => "Credit note",
    }
}

fn subtitle(document: &Document) -> &'static str {
    match document.cause {
        Cause::Conversion => "Final bill, cut when the account was converted to prepaid",
        Cause::SingleCharge => "A charge that is billed on its own",
        Cause::PeriodEnd if document.kind == DocumentKind::Statement => "What was deducted from your prepaid balance",
        Cause::PeriodEnd | Cause::Refund => "",
    }
}

fn party(party: &Party) -> PartyBlock {
    let tax_id = (!party.tax_id.is_empty()).then(|| format!("Tax id {}", clean(&party.tax_id)));
    let email = (!party.email.is_empty()).then(|| clean(&party.email));
    let address = party.address.iter().map(|line| clean(line)).filter(|line| !line.is_empty()).collect();
    PartyBlock { name: clean(&party.name), address, details: tax_id.into_iter().chain(email).collect() }
}

fn issuer(issuer: &Issuer) -> PartyBlock {
    let said = |text: &str| (!text.is_empty()).then(|| clean(text));
    let tax_id = (!issuer.tax_id.is_empty()).then(|| format!("Tax id {}", clean(&issuer.tax_id)));
    let address = issuer.address_lines().iter().map(|line| clean(line)).filter(|line| !line.is_empty()).collect();
    let details = [tax_id, said(&issuer.email), said(&issuer.phone), said(&issuer.website)].into_iter().flatten().collect();
    PartyBlock { name: clean(&issuer.name), address, details }
}

fn facts(document: &Document, dates: &Dates) -> Vec<Fact> {
    let mut facts = Vec::new();
    let mut fact = |label, value: String| facts.push(Fact { label, value });
    fact("Number", if document.number.is_empty() { "not issued yet".to_owned() } else { clean(&document.number) });
    if document.issued_at != 0 {
        fact("Issue date", dates.day(document.issued_at));
    }
    match document.cause {
        Cause::PeriodEnd | Cause::Conversion => fact("Billing period", dates.period(document.period_from, document.period_to)),
        Cause::SingleCharge => fact("Date of the charge", dates.day(document.period_from)),
        Cause::Refund => fact("Date of the refund", dates.day(document.period_to)),
    }
    if let Some(due_at) = document.due_at {
        fact("Due date", dates.day(due_at));
    }
    if document.kind == DocumentKind::CreditNote {
        fact("For invoice", clean(&document.refers_to));
    }
    if !document.reason.is_empty() {
        fact("Reason", clean(&document.reason));
    }
    fact("Account", clean(&document.account));
    facts
}

fn summary(document: &Document, money: &Denomination, dates: &Dates) -> Summary {
    match document.kind {
        DocumentKind::Invoice => {
            let note = match document.due_at {
                Some(due_at) if document.amount_to_pay > 0 => format!("due by {}", dates.day(due_at)),
                _ if document.amount_to_pay > 0 => String::new(),
                _ if document.credit_applied > 0 => "Nothing to pay: your credit has paid this invoice".to_owned(),
                _ => "Nothing to pay".to_owned(),
            };
            Summary { label: "Amount to pay", amount: money.shown(document.amount_to_pay), note }
        }
        DocumentKind::Statement => match &document.wallet {
            Some(wallet) => {
                let open = document.open_total();
                let note = match open {
                    0 => "There is nothing to pay".to_owned(),
                    open => format!("Open invoices: {}", money.shown(open)),
                };
                Summary { label: "Closing balance", amount: money.shown(wallet.closing), note }
            }
            None => {
                Summary { label: "Amount to pay", amount: money.shown(document.amount_to_pay), note: "There is nothing to pay".to_owned() }
            }
        },
        DocumentKind::CreditNote => Summary {
            label: "Amount credited",
            amount: money.shown(document.total.saturating_abs()),
            note: "Already credited to your balance".to_owned(),
        },
    }
}

fn parts(document: &Document, money: &Denomination, dates: &Dates) -> Vec<Part> {
    let charges = Charges { document, money, dates };
    let mut parts = Vec::new();
    let has_prepaid_part = document.wallet.is_some() || !document.deducted.is_empty();
    match document.kind {
        DocumentKind::CreditNote => parts.push(charges.credited("What was credited")),
        DocumentKind::Invoice => parts.push(charges.to_pay(if has_prepaid_part { "Part 1: to pay" } else { "Items" })),
        // A statement lists nothing to buy; should one do so all the same, it is not to be hidden.
        DocumentKind::Statement if !document.items.is_empty() => parts.push(charges.to_pay("Items")),
        DocumentKind::Statement => {}
    }
    let (mut heading, mut introduction) = if parts.is_empty() {
        ("Your balance", "")
    } else {
        (
            "Part 2: already deducted from your prepaid balance",
            match document.brought_forward {
                0 => "For information: this was taken from the balance when it occurred, and is not to be paid again.",
                _ => {
                    "For information: this was taken from the balance when it occurred, and is not to be paid again, but for the debt that \
                     part 1 brings forward."
                }
            },
        )
    };
    if let Some(wallet) = &document.wallet {
        parts.push(charges.wallet(heading, introduction, wallet));
        (heading, introduction) = ("Charges, already deducted", "");
    }
    if !document.deducted.is_empty() {
        parts.push(charges.deducted(heading, introduction));
    }
    if document.wallet.is_none() && !document.adjustments.is_empty() {
        parts.push(charges.corrections("Corrections", "They are part of what is brought forward, or of the credit that pays this bill."));
    }
    if !document.open_invoices.is_empty() {
        parts.push(charges.open_invoices("Open invoices"));
    }
    parts
}

fn notes(document: &Document) -> Vec<String> {
    let mut notes = Vec::new();
    let number = clean(&document.number);
    match document.kind {
        DocumentKind::Statement => {
            let paid = "the charges were deducted from your prepaid balance when they occurred.";
            notes.push(match document.open_total() {
                0 => format!("There is nothing to pay: {paid}"),
                _ => format!("There is nothing to pay for this statement: {paid} Earlier invoices are open, and to be paid."),
            });
            // What is below zero may be no more than what the open invoices lack.
            if document.wallet.is_some_and(|wallet| wallet.closing + document.open_total() < 0) {
                notes.push("The balance is below zero: your next top-up is set against it first.".to_owned());
            }
        }
        DocumentKind::CreditNote => {
            let invoice = clean(&document.refers_to);
            notes.push(format!("This credit note is for invoice {invoice}. The amount was credited to your balance when it was refunded, and is set against that invoice first: this document moves no money."));
        }
        DocumentKind::Invoice if document.amount_to_pay > 0 && !number.is_empty() => {
            notes.extend(document.issuer.payment.iter().map(|line| clean(line)));
            notes.push(format!("Please state the number {number} when you pay."));
        }
        DocumentKind::Invoice => {}
    }
    if document.number.is_empty() {
        notes.push("This is a draft: it has not been issued, and is not to be paid.".to_owned());
    }
    if let Some(exemption) = &document.exemption {
        let what = match exemption.relief {
            Relief::Exempt => "No tax is charged",
            Relief::ReverseCharge => "No tax is charged: the customer owes it (reverse charge)",
        };
        notes.push(format!("{what}. {}", clean(&exemption.reason)));
    }
    let tax = if document.exemption.is_some() || document.taxes.is_empty() { "" } else { "All amounts include tax. " };
    notes.push(format!("{tax}Dates are those of the time zone {}.", clean(&document.time_zone)));
    notes.extend(document.issuer.footer.iter().map(|line| clean(line)));
    notes
}
