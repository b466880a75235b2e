//! A document for machines.
//!
//! Fields come in the order below, and all of them always: what is not said is `null`. Amounts are decimal texts in `currency`, with at
//! least the digits of its minor unit; instants are RFC 3339, in UTC. New fields may be added; a change of what is there changes `format`.

use serde::Serialize;

use super::dates::timestamp;
use super::{Denomination, FormError};
use crate::document::{Adjustment, Cause, Document, DocumentKind, Exemption, Issuer, Item, OpenInvoice, Party, Relief, Wallet};
use crate::tax::TaxLine;
use domain::time::UnixMillis;

/// The name of this layout.
const FORMAT: &str = "tollgate.document/2";

#[derive(Serialize)]
struct DocumentForm<'a> {
    /// "tollgate.document/2".
    format: &'static str,
    /// "invoice", "statement" or "credit_note".
    kind: DocumentKind,
    /// null: not issued yet.
    number: Option<&'a str>,
    /// "period_end", "conversion", "single_charge" or "refund".
    cause: Cause,
    account: &'a str,
    /// The account's number of the bill.
    bill: u32,
    issuer: IssuerForm<'a>,
    customer: PartyForm<'a>,
    /// ISO 4217.
    currency: &'a str,
    /// IANA; the period is one of its calendar.
    time_zone: &'a str,
    period_from: String,
    /// The first instant that is not part of it.
    period_to: String,
    issued_at: Option<String>,
    /// null: it is no invoice.
    due_at: Option<String>,
    /// What there is to buy; of a credit note: what is given back.
    items: Vec<ItemForm<'a>>,
    /// What was already deducted from a prepaid balance.
    deducted: Vec<ItemForm<'a>>,
    /// The balance summary of a bill with a prepaid part.
    wallet: Option<WalletForm>,
    /// Corrections by hand.
    adjustments: Vec<AdjustmentForm<'a>>,
    /// Of a statement: the invoices that were open when it was issued.
    open_invoices: Vec<OpenInvoiceForm<'a>>,
    /// The sum of `items`.
    items_total: String,
    /// What rounding to the minor unit adds.
    rounding: String,
    /// A debt from before that no earlier invoice holds.
    brought_forward: String,
    /// `items_total + rounding + brought_forward`.
    total: String,
    /// Of `items_total + rounding`, by rate; of a statement: of `deducted`. Empty: no tax is shown.
    taxes: Vec<TaxForm<'a>>,
    /// The sum of their taxes.
    tax_contained: String,
    /// Of an invoice with a prepaid part: of `deducted`, by rate.
    taxes_on_deducted: Vec<TaxForm<'a>>,
    /// The sum of their taxes.
    tax_on_deducted: String,
    /// null: tax is charged.
    tax_exemption: Option<ExemptionForm<'a>>,
    /// Already paid by an overpayment from before.
    credit_applied: String,
    /// `total - credit_applied`.
    amount_to_pay: String,
    /// Of a credit note: the number of the invoice.
    refers_to: Option<&'a str>,
    /// Of a credit note: why.
    reason: Option<&'a str>,
}

#[derive(Serialize)]
struct IssuerForm<'a> {
    name: &'a str,
    address: &'a [String],
    postal_code: Option<&'a str>,
    city: Option<&'a str>,
    /// ISO 3166-1 alpha-2.
    country: Option<&'a str>,
    tax_id: Option<&'a str>,
    email: Option<&'a str>,
    phone: Option<&'a str>,
    website: Option<&'a str>,
    payment: &'a [String],
    footer: &'a [String],
    /// null: there is none.
    logo: Option<LogoForm<'a>>,
}

#[derive(Serialize)]
struct LogoForm<'a> {
    media_type: &'a str,
    width: u32,
    height: u32,
    /// BLAKE3, hexadecimal.
    digest: &'a str,
}

#[derive(Serialize)]
struct TaxForm<'a> {
    /// null: no tax is shown for these.
    rate_percent: Option<String>,
    /// Empty: all.
    categories: &'a [String],
    net: String,
    tax: String,
    gross: String,
}

#[derive(Serialize)]
struct ExemptionForm<'a> {
    /// "exempt" or "reverse_charge".
    relief: Relief,
    reason: &'a str,
}

#[derive(Serialize)]
struct PartyForm<'a> {
    name: &'a str,
    address: &'a [String],
    tax_id: Option<&'a str>,
    email: Option<&'a str>,
    /// Of the document's texts; null: not said, English.
    language: Option<&'a str>,
}

#[derive(Serialize)]
struct ItemForm<'a> {
    category: &'a str,
    item: Option<&'a str>,
    /// What the issuer's list of items calls it.
    name: Option<&'a str>,
    description: Option<&'a str>,
    quantity: Option<&'a str>,
    unit: Option<&'a str>,
    count: i64,
    /// null: there is no one price.
    unit_price: Option<&'a str>,
    amount: String,
    first_use: String,
    last_use: String,
}

#[derive(Serialize)]
struct AdjustmentForm<'a> {
    time: String,
    amount: String,
    reason: &'a str,
}

#[derive(Serialize)]
struct OpenInvoiceForm<'a> {
    number: &'a str,
    due_at: Option<String>,
    open_amount: String,
}

#[derive(Serialize)]
struct WalletForm {
    opening: String,
    paid_in: String,
    reversed: String,
    charged: String,
    refunded: String,
    withdrawn: String,
    adjusted: String,
    written_off: String,
    invoiced: String,
    rounded: String,
    closing: String,
}

/// Writes the document, indented, with a line break at the end.
pub(super) fn write(document: &Document) -> Result<String, FormError> {
    let mut text = serde_json::to_string_pretty(&document_form(document))?;
    text.push('\n');
    Ok(text)
}

fn document_form(document: &Document) -> DocumentForm<'_> {
    let money = Denomination::of(document);
    DocumentForm {
        format: FORMAT,
        kind: document.kind,
        number: said(&document.number),
        cause: document.cause,
        account: &document.account,
        bill: document.bill,
        issuer: issuer_form(&document.issuer),
        customer: party_form(&document.customer),
        currency: &document.currency,
        time_zone: &document.time_zone,
        period_from: instant(document.period_from),
        period_to: instant(document.period_to),
        issued_at: document.issued_at.known().map(instant),
        due_at: document.due_at.map(instant),
        items: document.items.iter().map(|item| item_form(item, &money)).collect(),
        deducted: document.deducted.iter().map(|item| item_form(item, &money)).collect(),
        wallet: document.wallet.as_ref().map(|wallet| wallet_form(wallet, &money)),
        adjustments: document.adjustments.iter().map(|adjustment| adjustment_form(adjustment, &money)).collect(),
        open_invoices: document.open_invoices.iter().map(|invoice| open_form(invoice, &money)).collect(),
        items_total: money.plain(document.items_total),
        rounding: money.plain(document.rounding),
        brought_forward: money.plain(document.brought_forward),
        total: money.plain(document.total),
        taxes: tax_forms(&document.taxes, &money),
        tax_contained: money.plain(document.tax_contained()),
        taxes_on_deducted: tax_forms(&document.deducted_taxes, &money),
        tax_on_deducted: money.plain(document.tax_on_deducted()),
        tax_exemption: document.exemption.as_ref().map(|Exemption { relief, reason }| ExemptionForm { relief: *relief, reason }),
        credit_applied: money.plain(document.credit_applied),
        amount_to_pay: money.plain(document.amount_to_pay),
        refers_to: said(&document.refers_to),
        reason: said(&document.reason),
    }
}

fn issuer_form(issuer: &Issuer) -> IssuerForm<'_> {
    IssuerForm {
        name: &issuer.name,
        address: &issuer.address,
        postal_code: said(&issuer.postal_code),
        city: said(&issuer.city),
        country: said(&issuer.country),
        tax_id: said(&issuer.tax_id),
        email: said(&issuer.email),
        phone: said(&issuer.phone),
        website: said(&issuer.website),
        payment: &issuer.payment,
        footer: &issuer.footer,
        logo: issuer.logo.as_ref().map(|logo| LogoForm {
            media_type: &logo.media_type,
            width: logo.width,
            height: logo.height,
            digest: &logo.digest,
        }),
    }
}

fn tax_forms<'a>(lines: &'a [TaxLine], money: &Denomination) -> Vec<TaxForm<'a>> {
    let form = |line: &'a TaxLine| TaxForm {
        rate_percent: line.rate.is_shown().then(|| line.rate.to_string()),
        categories: &line.categories,
        net: money.plain(line.net()),
        tax: money.plain(line.tax),
        gross: money.plain(line.gross),
    };
    lines.iter().map(form).collect()
}

fn party_form(party: &Party) -> PartyForm<'_> {
    PartyForm {
        name: &party.name,
        address: &party.address,
        tax_id: said(&party.tax_id),
        email: said(&party.email),
        language: said(&party.language),
    }
}

fn item_form<'a>(item: &'a Item, money: &Denomination) -> ItemForm<'a> {
    ItemForm {
        category: &item.category,
        item: said(&item.item),
        name: said(&item.name),
        description: said(&item.description),
        quantity: said(&item.quantity),
        unit: said(&item.unit),
        count: item.count,
        unit_price: said(&item.unit_price),
        amount: money.plain(item.amount),
        first_use: instant(item.first_use),
        last_use: instant(item.last_use),
    }
}

fn adjustment_form<'a>(adjustment: &'a Adjustment, money: &Denomination) -> AdjustmentForm<'a> {
    AdjustmentForm { time: instant(adjustment.time), amount: money.plain(adjustment.amount), reason: &adjustment.reason }
}

fn open_form<'a>(invoice: &'a OpenInvoice, money: &Denomination) -> OpenInvoiceForm<'a> {
    let due_at = invoice.due_at.known().map(instant);
    OpenInvoiceForm { number: &invoice.number, due_at, open_amount: money.plain(invoice.open) }
}

fn wallet_form(wallet: &Wallet, money: &Denomination) -> WalletForm {
    WalletForm {
        opening: money.plain(wallet.opening),
        paid_in: money.plain(wallet.paid_in),
        reversed: money.plain(wallet.reversed),
        charged: money.plain(wallet.charged),
        refunded: money.plain(wallet.refunded),
        withdrawn: money.plain(wallet.withdrawn),
        adjusted: money.plain(wallet.adjusted),
        written_off: money.plain(wallet.written_off),
        invoiced: money.plain(wallet.invoiced),
        rounded: money.plain(wallet.rounded),
        closing: money.plain(wallet.closing),
    }
}

fn instant(at: UnixMillis) -> String {
    timestamp(at).to_string()
}

fn said(text: &str) -> Option<&str> {
    Some(text).filter(|text| !text.is_empty())
}
