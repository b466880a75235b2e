//! A usage record as it is exported.

use std::borrow::Cow;
use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use crate::billing::rendering::for_spreadsheet;
use crate::cli::credit::mode_name;
use crate::cli::invoice::category_name;
use crate::cli::output::instant;
use crate::grpc::v1::{EntryKind, Usage, UsageRecord};

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

/// A record as all forms show it, in the order of [`COLUMNS`].
#[derive(Debug, Serialize)]
pub struct Row<'a> {
    pub record_id: &'a str,
    pub account_id: &'a str,
    #[serde(rename = "type")]
    pub kind_of_change: &'static str,
    pub request_id: &'a str,
    pub accepted_at: Option<Timestamp>,
    pub mode: &'static str,
    pub bill_number: i32,
    pub amount: &'a str,
    pub currency_code: &'a str,
    pub refers_to: &'a str,
    pub category: &'static str,
    pub item: &'a str,
    pub description: &'a str,
    pub quantity: &'a str,
    pub unit: &'a str,
    pub occurred_at: Option<Timestamp>,
    pub attributes: &'a BTreeMap<String, String>,
    pub kind: &'static str,
    pub credited: Option<&'a str>,
}

impl<'a> Row<'a> {
    /// The fields of a record; absent ones are empty.
    pub fn of(record: &'a UsageRecord) -> Self {
        static NONE: Usage = Usage {
            item: String::new(),
            description: String::new(),
            quantity: String::new(),
            unit: String::new(),
            category: 0,
            occurred_at: None,
            attributes: BTreeMap::new(),
        };
        let usage = record.usage.as_ref().unwrap_or(&NONE);
        let (amount, currency_code) =
            record.amount.as_ref().map_or(("", ""), |amount| (amount.amount.as_str(), amount.currency_code.as_str()));
        Self {
            record_id: &record.record_id,
            account_id: &record.account_id,
            kind_of_change: type_name(record.kind()),
            request_id: &record.request_id,
            accepted_at: instant(record.accepted_at),
            mode: mode_name(record.mode()),
            bill_number: record.bill_number,
            amount,
            currency_code,
            refers_to: &record.refers_to,
            category: category_name(usage.category()),
            item: &usage.item,
            description: &usage.description,
            quantity: &usage.quantity,
            unit: &usage.unit,
            occurred_at: instant(usage.occurred_at),
            attributes: &usage.attributes,
            kind: kind_name(record.kind()),
            credited: record.credited.as_ref().map(|credited| credited.amount.as_str()),
        }
    }

    /// As a row of the CSV.
    pub fn to_csv(&self, is_for_spreadsheets: bool) -> [Cow<'_, str>; COLUMNS.len()] {
        let text = |text| if is_for_spreadsheets { for_spreadsheet(text) } else { Cow::Borrowed(text) };
        let time = |at: Option<Timestamp>| at.map(|at| at.to_string()).unwrap_or_default().into();
        let attributes = self.attributes_json();
        let attributes = if is_for_spreadsheets { for_spreadsheet(&attributes).into_owned() } else { attributes };
        [
            self.record_id.into(),
            self.account_id.into(),
            self.kind_of_change.into(),
            text(self.request_id),
            time(self.accepted_at),
            self.mode.into(),
            self.bill_number.to_string().into(),
            self.amount.into(),
            self.currency_code.into(),
            text(self.refers_to),
            self.category.into(),
            text(self.item),
            text(self.description),
            text(self.quantity),
            text(self.unit),
            time(self.occurred_at),
            attributes.into(),
            self.kind.into(),
            self.credited.unwrap_or_default().into(),
        ]
    }

    /// The attributes as a JSON object; empty if there are none.
    pub fn attributes_json(&self) -> String {
        if self.attributes.is_empty() { String::new() } else { serde_json::to_string(self.attributes).unwrap_or_default() }
    }
}

/// A record as a CloudEvent 1.0 in the JSON format. Its id and source tell it from all others, as the specification demands.
#[derive(Debug, Serialize)]
pub struct CloudEvent<'a> {
    specversion: &'static str,
    id: &'a str,
    source: &'a str,
    #[serde(rename = "type")]
    kind: String,
    subject: &'a str,
    time: Option<Timestamp>,
    datacontenttype: &'static str,
    data: Row<'a>,
}

impl<'a> CloudEvent<'a> {
    /// The fields of a record.
    pub fn of(record: &'a UsageRecord, source: &'a str) -> Self {
        let data = Row::of(record);
        Self {
            specversion: "1.0",
            id: data.record_id,
            source,
            kind: format!("tollgate.usage.{}", data.kind_of_change),
            subject: data.account_id,
            time: data.accepted_at,
            datacontenttype: "application/json",
            data,
        }
    }
}

/// What an importer does with it: adds a charge, takes off a refund.
fn type_name(kind: EntryKind) -> &'static str {
    match kind {
        EntryKind::RefundedBalance | EntryKind::RefundedUnbilled => "refund",
        _ => "charge",
    }
}

/// The kind as the API names it, in small letters.
fn kind_name(kind: EntryKind) -> &'static str {
    match kind {
        EntryKind::ChargedBalance => "charged_balance",
        EntryKind::ChargedUnbilled => "charged_unbilled",
        EntryKind::ChargedOwnBill => "charged_own_bill",
        EntryKind::RefundedBalance => "refunded_balance",
        EntryKind::RefundedUnbilled => "refunded_unbilled",
        other => other.as_str_name(),
    }
}
