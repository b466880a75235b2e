//! Blocks of journal entries, as bytes.
//!
//! A block is `<i8I4i8c16c16` (first sequence, count, time, id, id of the block before) and its entries. An entry is
//! `<BBI4i8i8i8i8i8` (kind, mode, bill, amount, balance, unbilled, reserved, account sequence); if it has a time other than the block's,
//! `<i8`; if it has details, `<i8i8`; and an ending: `<I2c0I4c0`, the account id and a protobuf message of what the caller sent. The
//! ending is packed before the step, so that the step only copies it. Flags in the kind's byte say what is there.

use bytes::{Buf, BufMut};
use prost::Message;
use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint, fixed64, int64, uint32};

use super::{Undecodable, category, get_text, mode, non_usage_billing, put_text};
use crate::domain::account::Currency;
use crate::domain::command::{Command, Note};
use crate::domain::entry::{Entry, EntryKind, Settings};
use crate::domain::money::Quote;
use crate::domain::rules::Fingerprint;
use crate::ledger::Block;

/// Bytes of a block before its first entry.
const BLOCK_HEADER_BYTES: usize = 52;

/// The least bytes of an entry.
const ENTRY_HEADER_BYTES: usize = 52;

/// Flags in the byte of an entry's kind. The script uses the same.
pub(crate) mod entry_flag {
    /// A time other than the block's follows.
    pub const OWN_TIME: u8 = 64;
    /// Two details follow.
    pub const DETAILS: u8 = 128;
}

/// What the caller sent along, as stored.
#[derive(Clone, PartialEq, Message)]
struct Rest {
    #[prost(string, tag = "1")]
    request_id: String,
    #[prost(string, tag = "2")]
    refers_to: String,
    #[prost(string, tag = "3")]
    item: String,
    #[prost(string, tag = "4")]
    description: String,
    #[prost(string, tag = "5")]
    quantity: String,
    #[prost(string, tag = "6")]
    unit: String,
    #[prost(int64, optional, tag = "7")]
    occurred_at: Option<i64>,
    #[prost(message, repeated, tag = "8")]
    attributes: Vec<Attribute>,
    #[prost(string, tag = "9")]
    actor: String,
    #[prost(string, tag = "10")]
    reason: String,
    #[prost(message, optional, tag = "11")]
    settings: Option<StoredSettings>,
    #[prost(uint32, tag = "12")]
    category: u32,
    #[prost(fixed64, tag = "13")]
    fingerprint: u64,
    #[prost(string, repeated, tag = "14")]
    invoices: Vec<String>,
}

#[derive(Clone, PartialEq, Message)]
struct Attribute {
    #[prost(string, tag = "1")]
    key: String,
    #[prost(string, tag = "2")]
    value: String,
}

#[derive(Clone, PartialEq, Message)]
struct StoredSettings {
    #[prost(string, optional, tag = "1")]
    name: Option<String>,
    /// A decimal; empty: removed.
    #[prost(string, optional, tag = "2")]
    low_credit_threshold: Option<String>,
    #[prost(uint32, tag = "3")]
    non_usage_billing: u32,
    /// 0: not set. Else the three below are.
    #[prost(uint32, tag = "4")]
    currency: u32,
    #[prost(uint32, tag = "5")]
    decimals: u32,
    #[prost(uint32, tag = "6")]
    minor_digits: u32,
}

/// Packs what a command's entries end with, but for the fingerprint; see [`seal_ending`]. Written field by field, because it is done for every charge, and a [`Rest`] would
/// need a copy of each text.
#[must_use]
pub fn encode_ending(command: &Command) -> Vec<u8> {
    let refers_to = command.action.refers_to().unwrap_or_default();
    let mut bytes = Vec::with_capacity(96);
    put_text(&mut bytes, &command.account);
    put_rest(&mut bytes, |bytes| {
        put_rest_fields(bytes, &command.request_id, refers_to, &command.note, &Settings::of(&command.action));
        put_invoices(bytes, command.action.invoices());
    });
    bytes
}

/// Completes an ending with the fingerprint, which is a digest of the ending, too.
pub fn seal_ending(ending: &mut Vec<u8>, account: &str, fingerprint: &Fingerprint) {
    put_fingerprint(ending, fingerprint);
    put_length(ending, 2 + account.len());
}

/// What is packed by `put`, after its length.
fn put_rest(bytes: &mut Vec<u8>, put: impl FnOnce(&mut Vec<u8>)) {
    let length_at = bytes.len();
    bytes.put_u32_le(0);
    put(bytes);
    put_length(bytes, length_at);
}

/// Writes at a place how many bytes follow it.
fn put_length(bytes: &mut [u8], length_at: usize) {
    let length = u32::try_from(bytes.len() - length_at - 4).unwrap_or(u32::MAX);
    if let Some(place) = bytes.get_mut(length_at..length_at + 4) {
        place.copy_from_slice(&length.to_le_bytes());
    }
}

fn put_fingerprint(bytes: &mut Vec<u8>, fingerprint: &Fingerprint) {
    if *fingerprint != Fingerprint::default() {
        fixed64::encode(13, &u64::from_le_bytes(*fingerprint), bytes);
    }
}

fn put_rest_fields(bytes: &mut Vec<u8>, request_id: &str, refers_to: &str, note: &Note, settings: &Settings) {
    put_string(bytes, 1, request_id);
    put_string(bytes, 2, refers_to);
    put_string(bytes, 3, &note.item);
    put_string(bytes, 4, &note.description);
    put_string(bytes, 5, &note.quantity);
    put_string(bytes, 6, &note.unit);
    if let Some(occurred_at) = note.occurred_at {
        int64::encode(7, &occurred_at, bytes);
    }
    for (key, value) in &note.attributes {
        let attribute_bytes = string_bytes(key) + string_bytes(value);
        encode_key(8, WireType::LengthDelimited, bytes);
        encode_varint(attribute_bytes as u64, bytes);
        put_string(bytes, 1, key);
        put_string(bytes, 2, value);
    }
    put_string(bytes, 9, &note.actor);
    put_string(bytes, 10, &note.reason);
    if let Some(category) = note.category {
        uint32::encode(12, &(category as u32), bytes);
    }
    if *settings != Settings::default() {
        prost::encoding::message::encode(11, &store_settings(settings), bytes);
    }
}

fn put_invoices(bytes: &mut Vec<u8>, invoices: &[String]) {
    invoices.iter().for_each(|invoice| put_string(bytes, 14, invoice));
}

fn put_string(bytes: &mut Vec<u8>, tag: u32, text: &str) {
    if !text.is_empty() {
        encode_key(tag, WireType::LengthDelimited, bytes);
        encode_varint(text.len() as u64, bytes);
        bytes.put_slice(text.as_bytes());
    }
}

/// The bytes of a text field with a tag below 16.
fn string_bytes(text: &str) -> usize {
    if text.is_empty() { 0 } else { 1 + encoded_len_varint(text.len() as u64) + text.len() }
}

fn store_settings(settings: &Settings) -> StoredSettings {
    let (currency, decimals, minor_digits) = settings
        .denomination
        .map_or((0, 0, 0), |(currency, decimals, minor_digits)| (currency.to_number(), u32::from(decimals), u32::from(minor_digits)));
    StoredSettings {
        name: settings.name.clone(),
        low_credit_threshold: settings.low_credit_threshold.map(|threshold| threshold.map_or(String::new(), |quote| quote.to_string())),
        non_usage_billing: settings.non_usage_billing.map_or(0, |billing| billing as u32),
        currency,
        decimals,
        minor_digits,
    }
}

fn restore_settings(stored: StoredSettings) -> Option<Settings> {
    let threshold = |text: String| if text.is_empty() { Some(None) } else { Quote::parse(&text).ok().map(Some) };
    Some(Settings {
        name: stored.name,
        low_credit_threshold: match stored.low_credit_threshold {
            None => None,
            Some(text) => Some(threshold(text)?),
        },
        non_usage_billing: match stored.non_usage_billing {
            0 => None,
            number => Some(non_usage_billing(u8::try_from(number).ok()?)?),
        },
        denomination: match stored.currency {
            0 => None,
            number => Some((Currency::from_number(number), u8::try_from(stored.decimals).ok()?, u8::try_from(stored.minor_digits).ok()?)),
        },
    })
}

/// Packs a block.
#[must_use]
pub fn encode_block(block: &Block) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(BLOCK_HEADER_BYTES + block.entries.len() * 140);
    bytes.put_u64_le(block.first_sequence);
    bytes.put_u32_le(u32::try_from(block.entries.len()).unwrap_or(u32::MAX));
    bytes.put_i64_le(block.time);
    bytes.put_slice(&block.id);
    bytes.put_slice(&block.previous);
    for entry in &block.entries {
        let has_own_time = entry.time != block.time;
        let has_details = entry.details != [0, 0];
        let flags = if has_own_time { entry_flag::OWN_TIME } else { 0 } | if has_details { entry_flag::DETAILS } else { 0 };
        bytes.put_u8(entry.kind as u8 | flags);
        bytes.put_u8(entry.mode as u8);
        bytes.put_u32_le(entry.bill);
        for number in [entry.amount, entry.balance, entry.unbilled, entry.reserved] {
            bytes.put_i64_le(number);
        }
        bytes.put_u64_le(entry.account_sequence);
        if has_own_time {
            bytes.put_i64_le(entry.time);
        }
        if has_details {
            entry.details.iter().for_each(|detail| bytes.put_i64_le(*detail));
        }
        put_text(&mut bytes, &entry.account);
        put_rest(&mut bytes, |bytes| {
            put_rest_fields(bytes, &entry.request_id, &entry.refers_to, &entry.note, &entry.settings);
            put_invoices(bytes, &entry.note.invoices);
            put_fingerprint(bytes, &entry.fingerprint);
        });
    }
    bytes
}

/// The inverse of [`encode_block`].
pub fn decode_block(bytes: &[u8]) -> Result<Block, Undecodable> {
    read_block(bytes).ok_or(Undecodable("block of the journal"))
}

fn read_block(mut bytes: &[u8]) -> Option<Block> {
    let first_sequence = bytes.try_get_u64_le().ok()?;
    let count = bytes.try_get_u32_le().ok()? as usize;
    let time = bytes.try_get_i64_le().ok()?;
    let (mut id, mut previous) = ([0; 16], [0; 16]);
    bytes.try_copy_to_slice(&mut id).ok()?;
    bytes.try_copy_to_slice(&mut previous).ok()?;
    if bytes.remaining() < count.checked_mul(ENTRY_HEADER_BYTES)? {
        return None;
    }
    let mut entries = Vec::with_capacity(count);
    for _ in 0..count {
        entries.push(read_entry(&mut bytes, time)?);
    }
    bytes.is_empty().then_some(Block { first_sequence, id, previous, time, entries })
}

fn read_entry(bytes: &mut &[u8], block_time: i64) -> Option<Entry> {
    let flagged_kind = bytes.try_get_u8().ok()?;
    let kind = EntryKind::from_number(flagged_kind & !(entry_flag::OWN_TIME | entry_flag::DETAILS))?;
    let mode = mode(bytes.try_get_u8().ok()?)?;
    let bill = bytes.try_get_u32_le().ok()?;
    let amount = bytes.try_get_i64_le().ok()?;
    let balance = bytes.try_get_i64_le().ok()?;
    let unbilled = bytes.try_get_i64_le().ok()?;
    let reserved = bytes.try_get_i64_le().ok()?;
    let account_sequence = bytes.try_get_u64_le().ok()?;
    let time = if flagged_kind & entry_flag::OWN_TIME == 0 { block_time } else { bytes.try_get_i64_le().ok()? };
    let details =
        if flagged_kind & entry_flag::DETAILS == 0 { [0, 0] } else { [bytes.try_get_i64_le().ok()?, bytes.try_get_i64_le().ok()?] };
    let account = get_text(bytes)?;
    let rest_bytes = bytes.try_get_u32_le().ok()? as usize;
    let (rest, after) = bytes.split_at_checked(rest_bytes)?;
    *bytes = after;
    let rest = Rest::decode(rest).ok()?;
    Some(Entry {
        kind,
        account,
        request_id: rest.request_id,
        account_sequence,
        time,
        mode,
        bill,
        amount,
        balance,
        unbilled,
        reserved,
        details,
        fingerprint: rest.fingerprint.to_le_bytes(),
        note: Note {
            category: match rest.category {
                0 => None,
                number => Some(category(u8::try_from(number).ok()?)?),
            },
            item: rest.item,
            description: rest.description,
            quantity: rest.quantity,
            unit: rest.unit,
            occurred_at: rest.occurred_at,
            attributes: rest.attributes.into_iter().map(|attribute| (attribute.key, attribute.value)).collect(),
            actor: rest.actor,
            reason: rest.reason,
            invoices: rest.invoices,
        },
        refers_to: rest.refers_to,
        settings: rest.settings.map_or(Some(Settings::default()), restore_settings)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::account::{Category, Mode, NonUsageBilling};

    #[test]
    fn a_block_comes_back_as_it_was_stored() {
        let entry = Entry {
            kind: EntryKind::Created,
            account: "acme/7".into(),
            request_id: "r-1".into(),
            account_sequence: 3,
            time: 1_700_000_000_000,
            mode: Mode::Postpaid,
            bill: 9,
            amount: -12,
            balance: -(1 << 51),
            unbilled: 1 << 51,
            reserved: 4,
            details: [-1, 7],
            fingerprint: *b"12345678",
            note: Note {
                category: Some(Category::Hardware),
                item: "sms".into(),
                description: "Grüße".into(),
                quantity: "1.5".into(),
                unit: "message".into(),
                occurred_at: Some(-1),
                attributes: vec![("a".into(), "b".into()), ("long".into(), "x".repeat(300))],
                actor: "eve".into(),
                reason: "goodwill".into(),
                invoices: vec!["INV-1".into(), "INV-2".into()],
            },
            refers_to: "r-0".into(),
            settings: Settings {
                name: Some("Acme".into()),
                low_credit_threshold: Some(Some(Quote::new(15, 1))),
                non_usage_billing: Some(NonUsageBilling::OneByOne),
                denomination: Some((Currency(*b"EUR"), 6, 2)),
            },
        };
        let removed = Entry {
            settings: Settings { low_credit_threshold: Some(None), ..Settings::default() },
            kind: EntryKind::Updated,
            note: Note::default(),
            ..entry.clone()
        };
        let block = Block { first_sequence: 5, id: [1; 16], previous: [2; 16], time: 1_700_000_000_001, entries: vec![entry, removed] };
        assert_eq!(decode_block(&encode_block(&block)), Ok(block));
    }
}
