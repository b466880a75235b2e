//! How documents are shown.

use jiff::SignedDuration;
use jiff::tz::TimeZone;

use crate::cli::output::{day_text, instant, to_message};
use crate::cli::table::{self, table, table_of};
use crate::grpc::v1::{ChargeCategory, Invoice, InvoiceCause, InvoiceItem, InvoiceKind, InvoiceState};

/// Documents, one in a row.
pub fn in_rows(invoices: &[Invoice]) -> crate::cli::table::Listing {
    let header = ["number", "kind", "state", "account", "period", "issued", "due", "", "total", "to pay", "open"];
    let mut table = table_of(&header, 8..header.len());
    for invoice in invoices {
        table.add_row(vec![
            if invoice.number.is_empty() { &invoice.document_id } else { &invoice.number }.into(),
            kind_name(invoice.kind()).into(),
            table::unless("issued", if invoice.waits_for.is_empty() { state_name(invoice.state()) } else { "waits" }),
            invoice.account_id.clone().into(),
            format!("{} to {}", day(invoice, invoice.period_from), last_day(invoice)).into(),
            day(invoice, invoice.issued_at).into(),
            day(invoice, invoice.due_at).into(),
            invoice.currency_code.clone().into(),
            table::amount(&invoice.total),
            table::amount(&invoice.amount_to_pay),
            table::amount(&invoice.open_amount),
        ]);
    }
    table
}

/// One document, with its lines.
pub fn in_full(invoice: &Invoice) -> String {
    let customer = invoice.customer.clone().unwrap_or_default();
    let number = if invoice.number.is_empty() { format!("{} (no number yet)", invoice.document_id) } else { invoice.number.clone() };
    let mut text = format!("{} {number}, {}", kind_name(invoice.kind()), state_name(invoice.state()));
    if !invoice.held_reason.is_empty() {
        text += &format!("\nheld back: {}", invoice.held_reason);
    }
    if !invoice.waits_for.is_empty() {
        text += &format!("\nwaits to be issued: {}", invoice.waits_for);
    }
    if invoice.no_longer_kept {
        text += "\nno longer kept: lines and customer are gone; it is shown because it is owed again";
    }
    if !invoice.missing_glyphs.is_empty() {
        text += &format!("\nno font has these characters, so the PDF prints their codes: {}", invoice.missing_glyphs.join(" "));
    }
    text += &format!("\nfor {} ({}), {}", customer.name, invoice.account_id, cause_name(invoice.cause()));
    text += &format!("\n{} to {} ({})", day(invoice, invoice.period_from), last_day(invoice), invoice.time_zone);
    if !invoice.refers_to.is_empty() {
        text += &format!("\nrefers to {}: {}", invoice.refers_to, invoice.reason);
    }
    if !invoice.items.is_empty() {
        text += &format!("\n{}", items_table(&invoice.items, &invoice.currency_code));
    }
    if !invoice.deducted.is_empty() {
        text += &format!("\nalready deducted from the balance:\n{}", items_table(&invoice.deducted, &invoice.currency_code));
    }
    if let Some(wallet) = &invoice.wallet {
        let mut moved = table(["balance", &invoice.currency_code], 1);
        let rows = [
            ("paid in", &wallet.paid_in),
            ("taken back", &wallet.reversed),
            ("charged", &wallet.charged),
            ("refunded", &wallet.refunded),
            ("paid out", &wallet.withdrawn),
            ("corrected", &wallet.adjusted),
            ("given up", &wallet.written_off),
            ("invoiced one by one", &wallet.invoiced),
            ("rounded", &wallet.rounded),
        ];
        moved.add_row(vec!["opening".into(), table::amount(&wallet.opening)]);
        add_amounts(&mut moved, &rows);
        moved.add_row(vec!["closing".into(), table::amount(&wallet.closing)]);
        text += &format!("\n{moved}");
    }
    for one in &invoice.adjustments {
        text += &format!("\ncorrected on {}: {} {}, {}", day(invoice, one.accepted_at), one.amount, invoice.currency_code, one.reason);
    }
    for one in &invoice.open_invoices {
        text += &format!("\nstill open: {} of {}, due {}", one.open_amount, one.number, day(invoice, one.due_at));
    }
    text += &format!("\n{}", sums_table(invoice));
    if invoice.due_at.is_some() {
        text += &format!("\nto be paid by {}", day(invoice, invoice.due_at));
    }
    text
}

fn sums_table(invoice: &Invoice) -> crate::cli::table::Listing {
    let mut sums = table(["sum", &invoice.currency_code], 1);
    let taxes: Vec<_> = invoice.taxes.iter().filter(|tax| !tax.percent.is_empty()).collect();
    let tax_names: Vec<_> = taxes.iter().map(|tax| format!("tax contained, {} % of {}", tax.percent, tax.gross)).collect();
    let rows = [
        ("items", &invoice.items_total),
        ("rounding", &invoice.rounding),
        ("brought forward", &invoice.brought_forward),
        (if invoice.kind() == InvoiceKind::CreditNote { "credited" } else { "total" }, &invoice.total),
    ];
    add_amounts(&mut sums, &rows);
    let rows: Vec<_> = tax_names.iter().zip(&taxes).map(|(name, tax)| (name.as_str(), &tax.tax)).collect();
    add_amounts(&mut sums, &rows);
    add_amounts(&mut sums, &[("paid by an overpayment", &invoice.credit_applied)]);
    match invoice.kind() {
        InvoiceKind::Invoice => {
            for (name, amount) in [("to pay", &invoice.amount_to_pay), ("still open", &invoice.open_amount)] {
                sums.add_row(vec![name.into(), table::amount(amount)]);
            }
        }
        InvoiceKind::CreditNote => {}
        _ => {
            sums.add_row(["to pay", "nothing"]);
        }
    }
    sums
}

/// Adds what is not zero.
fn add_amounts(table: &mut crate::cli::table::Listing, rows: &[(&str, &String)]) {
    for (name, amount) in rows.iter().filter(|(_, amount)| amount.contains(|letter: char| ('1'..='9').contains(&letter))) {
        table.add_row(vec![(*name).into(), table::amount(amount)]);
    }
}

/// A day in the time zone of the document.
fn day(invoice: &Invoice, at: Option<prost_types::Timestamp>) -> String {
    let zone = TimeZone::get(&invoice.time_zone).unwrap_or(TimeZone::UTC);
    instant(at).map_or_else(String::new, |at| at.to_zoned(zone).strftime("%Y-%m-%d").to_string())
}

/// The last day that a document is about: it ends before the instant at which its bill was cut.
fn last_day(invoice: &Invoice) -> String {
    let before = invoice.period_to.and_then(|to| instant(Some(to))?.checked_sub(SignedDuration::from_millis(1)).ok());
    day(invoice, before.map(to_message))
}

fn items_table(items: &[InvoiceItem], currency: &str) -> crate::cli::table::Listing {
    let header = ["category", "item", "description", "first", "last", "charges", "quantity", "unit", "unit price", currency];
    let mut table = table_of(&header, 5..header.len());
    for item in items {
        table.add_row(vec![
            category_name(item.category()).into(),
            if item.name.is_empty() { item.item.clone() } else { format!("{} ({})", item.name, item.item) }.into(),
            item.description.clone().into(),
            day_text(item.first_use).into(),
            day_text(item.last_use).into(),
            item.count.to_string().into(),
            item.quantity.clone().into(),
            item.unit.clone().into(),
            table::amount(&item.unit_price),
            table::amount(&item.amount),
        ]);
    }
    table
}

/// What a charge is for.
pub fn category_name(category: ChargeCategory) -> &'static str {
    match category {
        ChargeCategory::Unspecified => "",
        ChargeCategory::Usage => "usage",
        ChargeCategory::Subscription => "subscription",
        ChargeCategory::Hardware => "hardware",
        ChargeCategory::Service => "service",
    }
}

fn kind_name(kind: InvoiceKind) -> &'static str {
    match kind {
        InvoiceKind::Unspecified => "unknown",
        InvoiceKind::Invoice => "invoice",
        InvoiceKind::Statement => "statement",
        InvoiceKind::CreditNote => "credit note",
    }
}

fn state_name(state: InvoiceState) -> &'static str {
    match state {
        InvoiceState::Unspecified => "unknown",
        InvoiceState::Draft => "draft",
        InvoiceState::Issued => "issued",
        InvoiceState::Held => "held",
    }
}

fn cause_name(cause: InvoiceCause) -> &'static str {
    match cause {
        InvoiceCause::Unspecified => "unknown",
        InvoiceCause::PeriodEnd => "the period ended",
        InvoiceCause::Conversion => "converted to prepaid",
        InvoiceCause::SingleCharge => "a single charge",
        InvoiceCause::Refund => "a refund",
    }
}
