//! A usage record as it is exported.

use serde_json::{Value, json};

use crate::billing::forms::for_spreadsheet;
use crate::cli::credit::mode_name;
use crate::cli::invoice::category_name;
use crate::cli::output::{instant, instant_json};
use crate::grpc::v1::{EntryKind, UsageRecord};

/// The columns of the CSV.
pub const COLUMNS: [&str; 19] = [
    "record_id",
    "account_id",
    "type",
    "request_id",
    "accepted_at",
    "mode",
    "bill_number",
    "amount",
    "currency_code",
    "refers_to",
    "category",
    "item",
    "description",
    "quantity",
    "unit",
    "occurred_at",
    "attributes",
    "kind",
    "credited",
];

/// A record as one JSON object.
pub fn plain(record: &UsageRecord) -> Value {
    let usage = record.usage.clone().unwrap_or_default();
    let amount = record.amount.clone().unwrap_or_default();
    json!({
        "record_id": record.record_id,
        "account_id": record.account_id,
        "type": type_name(record.kind()),
        "kind": kind_name(record.kind()),
        "request_id": record.request_id,
        "accepted_at": instant_json(record.accepted_at),
        "mode": mode_name(record.mode()),
        "bill_number": record.bill_number,
        "amount": amount.amount,
        "currency_code": amount.currency_code,
        "refers_to": record.refers_to,
        "category": category_name(usage.category()),
        "item": usage.item,
        "description": usage.description,
        "quantity": usage.quantity,
        "unit": usage.unit,
        "occurred_at": instant_json(usage.occurred_at),
        "attributes": usage.attributes,
        "credited": record.credited.as_ref().map(|credited| &credited.amount),
    })
}

/// A record as a CloudEvent 1.0 in the JSON format. Its id and source tell it from all others, as the specification demands.
pub fn cloud_event(record: &UsageRecord, source: &str) -> Value {
    json!({
        "specversion": "1.0",
        "id": record.record_id,
        "source": source,
        "type": format!("tollgate.usage.{}", type_name(record.kind())),
        "subject": record.account_id,
        "time": instant_json(record.accepted_at),
        "datacontenttype": "application/json",
        "data": plain(record),
    })
}

/// A record as a row of the CSV.
pub fn csv_row(record: &UsageRecord, is_for_spreadsheets: bool) -> [String; COLUMNS.len()] {
    let text = |text: &str| if is_for_spreadsheets { for_spreadsheet(text).into_owned() } else { text.to_owned() };
    let usage = record.usage.clone().unwrap_or_default();
    let amount = record.amount.clone().unwrap_or_default();
    let time = |at| instant(at).map_or_else(String::new, |at| at.to_string());
    let attributes = if usage.attributes.is_empty() { String::new() } else { json!(usage.attributes).to_string() };
    [
        record.record_id.clone(),
        record.account_id.clone(),
        type_name(record.kind()).to_owned(),
        text(&record.request_id),
        time(record.accepted_at),
        mode_name(record.mode()).to_owned(),
        record.bill_number.to_string(),
        amount.amount,
        amount.currency_code,
        text(&record.refers_to),
        category_name(usage.category()).to_owned(),
        text(&usage.item),
        text(&usage.description),
        text(&usage.quantity),
        text(&usage.unit),
        time(usage.occurred_at),
        text(&attributes),
        kind_name(record.kind()),
        record.credited.clone().unwrap_or_default().amount,
    ]
}

/// What an importer does with it: adds a charge, takes off a refund.
fn type_name(kind: EntryKind) -> &'static str {
    match kind {
        EntryKind::RefundedBalance | EntryKind::RefundedUnbilled => "refund",
        _ => "charge",
    }
}

/// The kind as the API names it, in small letters.
fn kind_name(kind: EntryKind) -> String {
    kind.as_str_name().trim_start_matches("ENTRY_KIND_").to_lowercase()
}
