//! Usage records as CSV.
//!
//! Every value is written as it is, so that an importer gets back what was recorded; for spreadsheets, text that one would take for a
//! formula is marked as text. Charges are positive and refunds negative, so that the column of amounts adds up to the items of the bill.
//! What was credited for a refund has a column of its own: of a charge that was billed, that is in minor units.

use std::borrow::Cow;
use std::io::Write;

use serde::Serializer;
use serde::ser::SerializeMap;

use super::dates::timestamp;
use super::{Denomination, FormError};
use domain::account::Category;
use domain::entry::{Entry, EntryKind};
use domain::money::Units;

/// The columns. `id` is "partition-sequence": unique, and the same in every export, so that an importer can tell what it has already.
const COLUMNS: [&str; 16] = [
    "id",
    "account",
    "time",
    "kind",
    "category",
    "item",
    "description",
    "quantity",
    "unit",
    "amount",
    "currency",
    "request_id",
    "attributes",
    "occurred_at",
    "refers_to",
    "credited",
];

/// Writes usage records (charges and refunds) as CSV with a header, RFC 4180 with line feeds.
#[derive(Debug)]
pub struct UsageWriter<W: Write> {
    rows: csv::Writer<W>,
    is_for_spreadsheets: bool,
}

/// Text as a spreadsheet shows it: what it would take for a formula is marked as text by an apostrophe.
#[must_use]
pub fn for_spreadsheet(text: &str) -> Cow<'_, str> {
    let is_formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    if is_formula { Cow::Owned(format!("'{text}")) } else { Cow::Borrowed(text) }
}

impl<W: Write> UsageWriter<W> {
    /// Writes the header.
    ///
    /// # Errors
    /// If `output` cannot be written to.
    pub fn new(output: W, is_for_spreadsheets: bool) -> Result<Self, FormError> {
        let mut rows = csv::Writer::from_writer(output);
        rows.write_record(COLUMNS)?;
        Ok(Self { rows, is_for_spreadsheets })
    }

    /// Writes one record: the entry with that sequence number in the journal of that partition.
    ///
    /// # Errors
    /// If the output cannot be written to.
    pub fn write(&mut self, partition: u16, sequence: u64, entry: &Entry, denomination: &Denomination) -> Result<(), FormError> {
        let metadata = &entry.metadata;
        let (id, time) = (format!("{partition}-{sequence}"), timestamp(entry.time).to_string());
        let (amount, attributes) = (denomination.plain(signed_amount(entry)), attributes(&metadata.attributes)?);
        let credited = if entry.kind().is_refund() { denomination.plain(-entry.amount()) } else { String::new() };
        let occurred_at = metadata.occurred_at.map(|at| timestamp(at).to_string()).unwrap_or_default();
        let text = |text| if self.is_for_spreadsheets { for_spreadsheet(text) } else { Cow::Borrowed(text) };
        let row: [Cow<'_, str>; COLUMNS.len()] = [
            id.into(),
            text(&entry.account),
            time.into(),
            kind(entry.kind()).into(),
            metadata.category.map_or("", category).into(),
            text(&metadata.item),
            text(&metadata.description),
            text(&metadata.quantity),
            text(&metadata.unit),
            // A number, with its sign.
            amount.into(),
            text(&denomination.currency),
            text(&entry.request_id),
            text(&attributes),
            occurred_at.into(),
            text(&entry.refers_to),
            credited.into(),
        ];
        self.rows.write_record(row.iter().map(|field| field.as_bytes()))?;
        Ok(())
    }

    /// Ends the file, and gives back what it was written to.
    ///
    /// # Errors
    /// If what was buffered cannot be written.
    pub fn finish(self) -> Result<W, FormError> {
        self.rows.into_inner().map_err(|error| FormError::Csv(error.into_error().into()))
    }
}

/// What the record adds to the lines of its document: a refund what it takes off its charge, whatever is credited for that.
fn signed_amount(entry: &Entry) -> Units {
    if entry.kind().is_refund() { -entry.data.taken_off() } else { entry.amount() }
}

/// A refund is one, whatever it was taken from; so is a charge.
fn kind(kind: EntryKind) -> &'static str {
    match kind {
        EntryKind::ChargedBalance | EntryKind::ChargedUnbilled | EntryKind::ChargedOwnBill => "charge",
        EntryKind::RefundedBalance | EntryKind::RefundedUnbilled => "refund",
        _ => "other",
    }
}

fn category(category: Category) -> &'static str {
    match category {
        Category::Usage => "usage",
        Category::Subscription => "subscription",
        Category::Hardware => "hardware",
        Category::Service => "service",
    }
}

/// A JSON object, in the caller's order.
fn attributes(pairs: &[(String, String)]) -> Result<String, FormError> {
    let mut text = Vec::new();
    let mut serializer = serde_json::Serializer::new(&mut text);
    let mut object = serializer.serialize_map(Some(pairs.len()))?;
    for (name, value) in pairs {
        object.serialize_entry(name, value)?;
    }
    object.end()?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::account::Mode;
    use domain::command::Metadata;
    use domain::entry::{ChargedFrom, EntryData, GivenBack, RefundedTo};
    use domain::ids::RequestId;
    use domain::time::UnixMillis;

    fn charge() -> Entry {
        Entry {
            data: EntryData::Charged { from: ChargedFrom::Unbilled, amount: Units::new(148), reservation: None, overdraft: Units::ZERO },
            account: "acme/berlin".into(),
            request_id: "call-1".into(),
            account_sequence: 4,
            time: UnixMillis::new(1_793_692_800_125),
            mode: Mode::Postpaid,
            bill: 7,
            balance: Units::ZERO,
            unbilled: Units::new(148),
            reserved: Units::ZERO,
            fingerprint: Default::default(),
            metadata: Metadata {
                category: Some(Category::Usage),
                item: "Voice, \"national\"".to_owned(),
                description: "=1+1".to_owned(),
                quantity: "2.5".to_owned(),
                unit: "minute".to_owned(),
                occurred_at: Some(UnixMillis::new(1_793_663_999_000)),
                attributes: vec![("to".to_owned(), "+49 30".to_owned()), ("cell".to_owned(), "a\"b".to_owned())],
                ..Metadata::default()
            },
            refers_to: RequestId::default(),
        }
    }

    fn refund(amount: Units) -> Entry {
        let given_back = GivenBack { total: amount, ..GivenBack::default() };
        Entry { data: EntryData::Refunded { to: RefundedTo::Unbilled, amount, given_back }, ..charge() }
    }

    fn written(entries: &[Entry]) -> String {
        let euros = Denomination { currency: "EUR".to_owned(), decimals: 5, minor_digits: 2 };
        let mut writer = UsageWriter::new(Vec::new(), false).unwrap();
        for (sequence, entry) in (17..).zip(entries) {
            writer.write(3, sequence, entry, &euros).unwrap();
        }
        String::from_utf8(writer.finish().unwrap()).unwrap()
    }

    #[test]
    fn a_record_is_written_as_it_was_recorded() {
        let text = written(&[charge()]);
        let mut rows = csv::Reader::from_reader(text.as_bytes());
        assert_eq!(rows.headers().unwrap().iter().collect::<Vec<_>>(), COLUMNS);
        let row = rows.records().next().unwrap().unwrap();
        let expected = [
            "3-17",
            "acme/berlin",
            "2026-11-03T08:00:00.125Z",
            "charge",
            "usage",
            "Voice, \"national\"",
            "=1+1",
            "2.5",
            "minute",
            "0.00148",
            "EUR",
            "call-1",
            r#"{"to":"+49 30","cell":"a\"b"}"#,
            "2026-11-02T23:59:59Z",
            "",
            "",
        ];
        let found: Vec<&str> = row.iter().collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn for_spreadsheets_no_text_begins_like_a_formula() {
        let euros = Denomination { currency: "EUR".to_owned(), decimals: 5, minor_digits: 2 };
        let refund = Entry { refers_to: "@call-1".into(), request_id: "-r".into(), ..refund(Units::new(148)) };
        let mut writer = UsageWriter::new(Vec::new(), true).unwrap();
        writer.write(3, 17, &refund, &euros).unwrap();
        let text = String::from_utf8(writer.finish().unwrap()).unwrap();
        let row = csv::Reader::from_reader(text.as_bytes()).records().next().unwrap().unwrap();
        assert_eq!([&row[6], &row[9], &row[11], &row[14]], ["'=1+1", "-0.00148", "'-r", "'@call-1"]);
        for text in ["=1", "+1", "-1", "@a", "\t=1", "\r=1"] {
            assert_eq!(for_spreadsheet(text), format!("'{text}"));
        }
        assert_eq!(for_spreadsheet("1=1"), "1=1");
    }

    #[test]
    fn refunds_are_negative_so_that_the_column_adds_up() {
        let text = written(&[charge(), refund(Units::new(100))]);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 3);
        assert!(lines[2].contains(",refund,") && lines[2].contains(",-0.001,"), "{}", lines[2]);
    }

    #[test]
    fn no_records_are_a_header() {
        assert_eq!(written(&[]).trim_end(), COLUMNS.join(","));
    }
}
