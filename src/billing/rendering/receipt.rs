//! The receipt of a payment: that it was received, and what it pays. It belongs to no series; it is named by the payment's entry.

use std::collections::BTreeMap;

use serde::Serialize;

use super::compose::{issuer, localize, party};
use super::dates::{Dates, timestamp};
use super::page_model::{Fact, PageModel, Part, Sum, Summary, Vocabulary, Weight};
use super::texts::Texts;
use super::texts::clean;
use super::{FormError, Imprint};
use crate::payments::PaymentInFull;
use domain::money::Units;

/// The name of the layout of its JSON.
const FORMAT: &str = "tollgate.receipt/1";

#[derive(Serialize)]
struct ReceiptForm<'a> {
    format: &'static str,
    /// The id of the payment's journal entry.
    number: String,
    account: &'a str,
    payment_id: &'a str,
    issuer: &'a str,
    customer: &'a str,
    currency: &'a str,
    amount: String,
    received_at: String,
    accepted_at: String,
    method: Option<&'a str>,
    reference: Option<&'a str>,
    remark: Option<&'a str>,
    /// What it pays, by invoice.
    pays: Vec<PaysForm<'a>>,
    unallocated: String,
    reversed: String,
    as_of: String,
}

#[derive(Serialize)]
struct PaysForm<'a> {
    /// null: it is not issued yet.
    invoice: Option<&'a str>,
    amount: String,
}

fn said(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

/// What a payment pays, by invoice.
fn pays(payment: &PaymentInFull) -> BTreeMap<&str, Units> {
    let mut pays: BTreeMap<_, Units> = BTreeMap::new();
    for part in &payment.parts {
        *pays.entry(part.invoice.as_str()).or_default() += part.amount;
    }
    pays.retain(|_, amount| !amount.is_zero());
    pays
}

/// The receipt for machines.
///
/// # Errors
/// Only if JSON itself fails.
pub fn json(imprint: &Imprint, in_full: &PaymentInFull) -> Result<String, FormError> {
    let payment = &in_full.payment;
    let plain = |units| imprint.money.plain(units);
    let form = ReceiptForm {
        format: FORMAT,
        number: payment.entry_id(),
        account: &payment.account,
        payment_id: &payment.request_id,
        issuer: &imprint.issuer.name,
        customer: &imprint.customer.name,
        currency: &imprint.money.currency,
        amount: plain(payment.amount),
        received_at: timestamp(payment.received_at).to_string(),
        accepted_at: timestamp(payment.accepted_at).to_string(),
        method: said(&payment.details.method),
        reference: said(&payment.details.reference),
        remark: said(&payment.details.remark),
        pays: pays(in_full).into_iter().map(|(invoice, amount)| PaysForm { invoice: said(invoice), amount: plain(amount) }).collect(),
        unallocated: plain(payment.unallocated()),
        reversed: plain(payment.reversed),
        as_of: timestamp(imprint.at).to_string(),
    };
    Ok(serde_json::to_string_pretty(&form)? + "\n")
}

/// The receipt as an HTML page of its own.
///
/// # Errors
/// If the time zone is not known.
pub fn html(imprint: &Imprint, payment: &PaymentInFull) -> Result<String, FormError> {
    super::html::write(&page_model(imprint, payment)?)
}

/// The receipt as PDF/A-2b, A4.
///
/// # Errors
/// If the time zone is not known.
pub fn pdf(imprint: &Imprint, payment: &PaymentInFull) -> Result<Vec<u8>, FormError> {
    super::pdf::write(&page_model(imprint, payment)?, &imprint.bare_document(&payment.payment.entry_id()))
}

pub(super) fn page_model(imprint: &Imprint, in_full: &PaymentInFull) -> Result<PageModel, FormError> {
    let payment = &in_full.payment;
    let texts = Texts::of(&imprint.customer.language);
    let dates = Dates::in_zone(&imprint.time_zone, &texts)?;
    let received = dates.day(payment.received_at);
    let shown = |amount| texts.number(&imprint.money.shown(amount));
    let note = match payment.reversed {
        Units::ZERO => texts.with("received-on", &[("day", &received)]),
        reversed => texts.with("received-and-reversed", &[("day", &received), ("amount", &shown(reversed))]),
    };
    let mut facts = Vec::new();
    let mut fact = |label: String, value: &str| {
        if !value.is_empty() {
            facts.push(Fact { label, value: clean(value) });
        }
    };
    fact(texts.text("date-received"), &received);
    fact(texts.text("date-recorded"), &dates.day(payment.accepted_at));
    fact(texts.text("payment-method"), &payment.details.method);
    fact(texts.text("payment-reference"), &payment.details.reference);
    fact(texts.text("remark"), &payment.details.remark);
    fact(texts.text("payment-id"), &payment.request_id);
    fact(texts.text("account"), &payment.account);
    let mut part = what_it_pays(imprint, in_full, &texts);
    localize(&mut part, &texts);
    let mut notes = vec![
        texts.with("receipt-note", &[("day", &dates.day(imprint.at))]),
        texts.with("dates-of-zone", &[("zone", &clean(&imprint.time_zone))]),
    ];
    notes.extend(imprint.issuer.footer.iter().map(|line| clean(line)));
    Ok(PageModel {
        language: texts.language(),
        words: Vocabulary::of(&texts),
        title: texts.text("receipt"),
        number: payment.entry_id(),
        subtitle: String::new(),
        issuer: issuer(&imprint.issuer, &texts),
        logo: imprint.issuer.logo.clone(),
        customer: party(&imprint.customer, &texts),
        facts,
        summary: Summary { label: texts.text("amount-received"), amount: shown(payment.amount), note },
        parts: vec![part],
        notes,
    })
}

fn what_it_pays(imprint: &Imprint, in_full: &PaymentInFull, texts: &Texts) -> Part {
    let (payment, money, pays) = (&in_full.payment, &imprint.money, pays(in_full));
    let amounts = pays.values().copied().chain([payment.amount, payment.unallocated(), payment.reversed]);
    let column = money.digits_for(amounts);
    let sum = |label: String, amount: Units, weight| Sum { label, amount: money.line(amount, column), weight };
    let mut sums = Vec::new();
    for (number, amount) in pays {
        let label = match number {
            "" => texts.text("pays-coming-invoice"),
            number => texts.with("open-invoice", &[("number", &clean(number))]),
        };
        sums.push(sum(label, amount, Weight::Plain));
    }
    for (label, amount) in [("payment-taken-back", payment.reversed), ("pays-nothing-yet", payment.unallocated())] {
        if !amount.is_zero() {
            sums.push(sum(texts.text(label), amount, Weight::Plain));
        }
    }
    sums.push(sum(texts.text("amount-received"), payment.amount, Weight::Strong));
    Part {
        heading: texts.text("what-it-pays"),
        introduction: String::new(),
        table: None,
        amount_heading: texts.with("amount-in", &[("currency", &money.currency)]),
        sums,
    }
}
