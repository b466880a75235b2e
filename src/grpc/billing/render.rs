//! Writes the answers of BillingService.

use super::{mails, settings};
use crate::billing::document::{Adjustment, Cause, Document, DocumentKind, Item, OpenInvoice, Party, Wallet};
use crate::billing::rendering;
use crate::billing::retention::RetentionStatus;
use crate::billing::suggestion::{Basis, Suggestion, of_category};
use crate::billing::tax::TaxLine;
use crate::billing::{AccountReceivables, DocumentState, MonthOfCharges, Reopened, StoredDocument, UsageRecord, name_of};
use crate::domain::account::{Account, Category};
use crate::domain::money::{Units, format_units};
use crate::domain::time::UnixMillis;
use crate::grpc::v1;
use crate::grpc::wire::listing;
use crate::grpc::wire::render::{instant, mode, money};
use crate::service::aggregation::{FollowedJournal, UnreadJournal};

/// A number for people, which are far below what an `i64` counts.
fn number(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A document.
#[must_use]
pub fn invoice(stored: StoredDocument) -> v1::Invoice {
    let StoredDocument { id, state, held_reason, waits_for, document, open_amount, digest, missing_glyphs, sending, is_kept, .. } = stored;
    let (decimals, minor_digits) = (document.decimals, document.minor_digits);
    let amount = |units: Units| format_units(units, decimals, minor_digits);
    let lines = |items: &[Item]| items.iter().map(|line| item(line, decimals, minor_digits)).collect();
    let Document { kind, cause, .. } = document;
    let (treatment, treatment_reason) = settings::treatment(document.exemption.as_ref());
    v1::Invoice {
        kind: match kind {
            DocumentKind::Invoice => v1::InvoiceKind::Invoice,
            DocumentKind::Statement => v1::InvoiceKind::Statement,
            DocumentKind::CreditNote => v1::InvoiceKind::CreditNote,
        }
        .into(),
        state: match state {
            DocumentState::Draft => v1::InvoiceState::Draft,
            DocumentState::Issued => v1::InvoiceState::Issued,
            DocumentState::Held => v1::InvoiceState::Held,
        }
        .into(),
        held_reason,
        cause: match cause {
            Cause::PeriodEnd => v1::InvoiceCause::PeriodEnd,
            Cause::Conversion => v1::InvoiceCause::Conversion,
            Cause::SingleCharge => v1::InvoiceCause::SingleCharge,
            Cause::Refund => v1::InvoiceCause::Refund,
        }
        .into(),
        bill_number: i32::try_from(document.bill).unwrap_or(i32::MAX),
        period_from: Some(instant(document.period_from)),
        period_to: Some(instant(document.period_to)),
        issued_at: document.issued_at.known().map(instant),
        due_at: document.due_at.map(instant),
        items: lines(&document.items),
        deducted: lines(&document.deducted),
        wallet: document.wallet.map(|moved| wallet(&moved, decimals, minor_digits)),
        items_total: amount(document.items_total),
        rounding: amount(document.rounding),
        brought_forward: amount(document.brought_forward),
        total: amount(document.total),
        taxes: document.taxes.iter().map(|line| tax(line, decimals, minor_digits)).collect(),
        taxes_on_deducted: document.deducted_taxes.iter().map(|line| tax(line, decimals, minor_digits)).collect(),
        tax_treatment: treatment.into(),
        tax_treatment_reason: treatment_reason,
        waits_for,
        adjustments: document.adjustments.iter().map(|one| adjustment(one, decimals, minor_digits)).collect(),
        open_invoices: document.open_invoices.iter().map(|one| open_invoice(one, decimals, minor_digits)).collect(),
        tax_contained: amount(document.tax_contained()),
        tax_on_deducted: amount(document.tax_on_deducted()),
        credit_applied: amount(document.credit_applied),
        amount_to_pay: amount(document.amount_to_pay),
        open_amount: amount(open_amount),
        number: document.number,
        account_id: document.account.into(),
        currency_code: document.currency,
        issuer: Some(settings::issuer(document.issuer)),
        customer: Some(party(document.customer)),
        time_zone: document.time_zone,
        refers_to: document.refers_to,
        reason: document.reason,
        document_id: name_of(id),
        digest,
        missing_glyphs: missing_glyphs.into_iter().map(rendering::code_point).collect(),
        sending: mails::sending(sending).into(),
        no_longer_kept: !is_kept,
    }
}

/// What is charged at one rate.
fn tax(line: &TaxLine, decimals: u8, minor_digits: u8) -> v1::InvoiceTax {
    let amount = |units: Units| format_units(units, decimals, minor_digits);
    v1::InvoiceTax {
        percent: line.rate.to_string(),
        categories: line.categories.iter().map(|name| category(name).into()).collect(),
        net: amount(line.net()),
        tax: amount(line.tax),
        gross: amount(line.gross),
    }
}

fn adjustment(adjustment: &Adjustment, decimals: u8, minor_digits: u8) -> v1::InvoiceAdjustment {
    let amount = format_units(adjustment.amount, decimals, minor_digits);
    v1::InvoiceAdjustment { accepted_at: Some(instant(adjustment.time)), amount, reason: adjustment.reason.clone() }
}

fn open_invoice(invoice: &OpenInvoice, decimals: u8, minor_digits: u8) -> v1::OpenInvoice {
    let due_at = invoice.due_at.known().map(instant);
    v1::OpenInvoice { number: invoice.number.clone(), due_at, open_amount: format_units(invoice.open, decimals, minor_digits) }
}

/// The recipient of a document.
#[must_use]
pub fn party(party: Party) -> v1::Party {
    v1::Party { name: party.name, address: party.address, tax_id: party.tax_id, email: party.email, language: party.language }
}

fn category(name: &str) -> v1::ChargeCategory {
    match name {
        "usage" => v1::ChargeCategory::Usage,
        "subscription" => v1::ChargeCategory::Subscription,
        "hardware" => v1::ChargeCategory::Hardware,
        "service" => v1::ChargeCategory::Service,
        _ => v1::ChargeCategory::Unspecified,
    }
}

fn item(item: &Item, decimals: u8, minor_digits: u8) -> v1::InvoiceItem {
    v1::InvoiceItem {
        category: category(&item.category).into(),
        item: item.item.clone(),
        description: item.description.clone(),
        quantity: item.quantity.clone(),
        unit: item.unit.clone(),
        count: item.count,
        amount: format_units(item.amount, decimals, minor_digits),
        first_use: Some(instant(item.first_use)),
        last_use: Some(instant(item.last_use)),
        name: item.name.clone(),
        unit_price: item.unit_price.clone(),
    }
}

fn wallet(wallet: &Wallet, decimals: u8, minor_digits: u8) -> v1::InvoiceWallet {
    let amount = |units: Units| format_units(units, decimals, minor_digits);
    v1::InvoiceWallet {
        opening: amount(wallet.opening),
        paid_in: amount(wallet.paid_in),
        reversed: amount(wallet.reversed),
        charged: amount(wallet.charged),
        refunded: amount(wallet.refunded),
        withdrawn: amount(wallet.withdrawn),
        adjusted: amount(wallet.adjusted),
        written_off: amount(wallet.written_off),
        invoiced: amount(wallet.invoiced),
        rounded: amount(wallet.rounded),
        closing: amount(wallet.closing),
    }
}

/// What an account has not yet paid.
#[must_use]
pub fn receivables(found: AccountReceivables) -> v1::Receivables {
    let amount = |units: Units| format_units(units, found.decimals, found.minor_digits);
    let reopened = |part: &Reopened| v1::ReopenedPart {
        invoice_number: part.invoice.clone(),
        reopened_at: Some(instant(part.reopened_at)),
        due_at: Some(instant(part.due_at)),
        open_amount: amount(part.open),
    };
    let [current, thirty, sixty, ninety, older] = found.buckets;
    v1::Receivables {
        current: amount(current),
        overdue_1_to_30: amount(thirty),
        overdue_31_to_60: amount(sixty),
        overdue_61_to_90: amount(ninety),
        overdue_over_90: amount(older),
        total: amount(found.total()),
        not_invoiced: amount(found.not_invoiced),
        unallocated: amount(found.unallocated),
        reopened: found.reopened.iter().map(reopened).collect(),
        account_id: found.account.into(),
        name: found.name,
        currency_code: found.currency,
    }
}

/// The journal position that a result reflects.
#[must_use]
pub fn positions(position: &[(u16, u64)]) -> Vec<v1::JournalPosition> {
    let one = |(partition, sequence): &(u16, u64)| v1::JournalPosition { partition: i32::from(*partition), sequence: number(*sequence) };
    position.iter().map(one).collect()
}

/// An estimated limit.
#[must_use]
pub fn suggestion(suggestion: &Suggestion, account: &Account, now: UnixMillis) -> v1::SuggestCreditLimitResponse {
    let basis = match suggestion.basis {
        Basis::Usage => v1::SuggestionBasis::Usage,
        Basis::AllTransactions => v1::SuggestionBasis::AllTransactions,
    };
    v1::SuggestCreditLimitResponse {
        suggested_limit: suggestion.limit.map(|limit| money(account, limit)),
        basis: basis.into(),
        months: suggestion.months.iter().map(|(of, counted)| month(of, (*counted).get(), account)).collect(),
        current_limit: Some(money(account, account.credit_limit(now))),
    }
}

fn month(month: &MonthOfCharges, counted: i64, account: &Account) -> v1::MonthOfCharges {
    let of = |category| Some(money(account, of_category(month, category)));
    v1::MonthOfCharges {
        from: Some(instant(month.from)),
        to: Some(instant(month.to)),
        usage: of(Category::Usage),
        subscription: of(Category::Subscription),
        hardware: of(Category::Hardware),
        service: of(Category::Service),
        counted: Some(money(account, Units::new(counted))),
    }
}

#[must_use]
pub fn usage_record(record: UsageRecord) -> v1::UsageRecord {
    let money = |units| {
        let amount = format_units(units, record.decimals, record.minor_digits);
        Some(v1::Money { amount, currency_code: record.currency.clone() })
    };
    // Charges are positive, refunds negative, so that amounts add up.
    let (amount, credited) = match record.kind.is_refund() {
        true => (money(record.credit_rounding - record.amount), money(-record.amount)),
        false => (money(record.amount), None),
    };
    let usage = v1::Usage {
        item: record.item,
        description: record.description,
        quantity: record.quantity,
        unit: record.unit,
        category: listing::category(record.category).into(),
        occurred_at: record.occurred_at.map(instant),
        attributes: record.attributes.into_iter().collect(),
    };
    v1::UsageRecord {
        record_id: format!("{}-{}", record.partition, record.sequence),
        kind: listing::kind(record.kind).into(),
        request_id: record.request_id.into(),
        accepted_at: Some(instant(record.time)),
        mode: mode(record.mode).into(),
        bill_number: i32::try_from(record.bill).unwrap_or(i32::MAX),
        amount,
        credited,
        refers_to: record.refers_to.into(),
        usage: record.kind.is_charge().then_some(usage),
        account_id: record.account.into(),
    }
}

/// A journal that nobody reads.
#[must_use]
pub fn unread(journal: UnreadJournal) -> v1::PartitionAggregation {
    v1::PartitionAggregation {
        partition: i32::from(journal.partition),
        state: v1::AggregationState::Off.into(),
        reason: journal.reason.to_owned(),
        next_sequence: number(journal.first),
        lag_entries: number(journal.entries),
        lag_seconds: 0,
        ahead_seconds: journal.ahead.max(0) / 1000,
        torn_entry: journal.torn.map_or(0, number),
    }
}

/// How far the billing store has followed a partition: what it lacks of the journal, and for how long that has been waiting.
#[must_use]
pub fn partition(journal: FollowedJournal) -> v1::PartitionAggregation {
    let FollowedJournal { partition, lag_entries, lag, ahead, torn } = journal;
    let state = match (&partition.stopped, &partition.failing) {
        (Some(_), _) => v1::AggregationState::Stopped,
        (None, Some(_)) => v1::AggregationState::Failing,
        (None, None) => v1::AggregationState::Running,
    };
    v1::PartitionAggregation {
        partition: i32::from(partition.partition),
        state: state.into(),
        reason: partition.stopped.or(partition.failing).map(|stopped| stopped.reason).unwrap_or_default(),
        next_sequence: number(partition.position.next_sequence),
        lag_entries: number(lag_entries),
        lag_seconds: lag.max(0) / 1000,
        ahead_seconds: ahead.max(0) / 1000,
        torn_entry: torn.map_or(0, number),
    }
}

/// How long something is kept, and what has gone.
#[must_use]
pub fn retention(status: RetentionStatus) -> v1::Retention {
    let RetentionStatus { what, term, before, dropped, last_dropped_at, .. } = status;
    v1::Retention { what, term, kept_since: before.map(instant), dropped, last_dropped_at: last_dropped_at.map(instant) }
}
