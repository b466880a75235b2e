//! Blocks of journal entries, as bytes.
//!
//! A block is a [`BlockHeader`], the ids of the accounts (`<Bc0`), the metadata of the commands, and the entries. The metadata of a command,
//! which its entries share, is a [`MetadataHeader`], and a protobuf message of what the caller sent. Ids and metadata are packed before the
//! step, which copies them as they are. An entry is a [`StoredEntry`], and what its flags say that follows.

use bytes::{Buf, BufMut};
use prost::Message;
use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint, fixed64, int64, uint32};

use super::entry::EntryNumbers;
use super::record::{Stored, Time};
use super::records::{BlockHeader, MetadataHeader, Moving, StoredEntry};
use super::{Undecodable, category, get_number, mode, non_usage_billing, put_number};
use crate::Block;
use domain::account::{Currency, Mode};
use domain::command::{Command, Metadata};
use domain::entry::{Entry, EntryKind, Settings};
use domain::ids::RequestId;
use domain::money::DecimalAmount;
use domain::rules::Fingerprint;
use domain::time::UnixMillis;

/// Flags in the byte of an entry's kind. The script uses the same.
pub(crate) mod entry_flag {
    /// A time other than the block's follows.
    pub const OWN_TIME: u8 = 64;
    /// Two details follow.
    pub const DETAILS: u8 = 128;
    /// In the byte of the mode: what it gives back follows.
    pub const GIVEN_BACK: u8 = 128;
}

/// In the place of an entry's metadata: only the account is meant. So it is with due events.
pub(crate) const ACCOUNT_ONLY: u16 = 1 << 15;

/// Metadata from the caller, as stored. Readers skip unknown fields.
#[derive(Clone, PartialEq, Message)]
struct StoredMetadata {
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
    #[prost(string, tag = "15")]
    origin: String,
    #[prost(string, tag = "16")]
    on_behalf_of: String,
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
    /// A decimal; empty means removed.
    #[prost(string, optional, tag = "2")]
    low_credit_threshold: Option<String>,
    #[prost(uint32, tag = "3")]
    non_usage_billing: u32,
    /// 0 if not set. Else the three below are.
    #[prost(uint32, tag = "4")]
    currency: u32,
    #[prost(uint32, tag = "5")]
    decimals: u32,
    #[prost(uint32, tag = "6")]
    minor_digits: u32,
}

/// Packs what a command's entries repeat of what it asks for. The fingerprint is a digest of it. Written field by field, because it is
/// done for every charge, and a [`StoredMetadata`] would need a copy of each text.
#[must_use]
pub fn encode_asked(command: &Command) -> Vec<u8> {
    encode(command, None)
}

/// What format version 2 digested: who asks and why stands among what is asked.
pub(crate) fn encode_legacy_rest(command: &Command) -> Vec<u8> {
    // It knew nobody for whom another acts, nor how a request came.
    encode(command, Some(&Metadata { on_behalf_of: String::new(), origin: String::new(), ..command.metadata.clone() }))
}

fn encode(command: &Command, context: Option<&Metadata>) -> Vec<u8> {
    let refers_to = command.action.refers_to().map_or("", RequestId::as_str);
    let mut bytes = Vec::with_capacity(80);
    put_asked(&mut bytes, &command.request_id, refers_to, &command.metadata, Some(&command.action.settings()), context);
    put_invoices(&mut bytes, command.action.invoices());
    bytes
}

/// Appends who asks, and why. A repetition may come from another process, or with another reason, so the fingerprint does not cover it:
/// fields of this kind belong here.
pub(crate) fn put_context(bytes: &mut Vec<u8>, metadata: &Metadata) {
    put_string(bytes, 9, &metadata.actor);
    put_string(bytes, 10, &metadata.reason);
    put_string(bytes, 15, &metadata.origin);
    put_string(bytes, 16, &metadata.on_behalf_of);
}

/// Appends the id of an account to a block's.
pub(crate) fn put_account(bytes: &mut Vec<u8>, account: &str) {
    bytes.put_u8(u8::try_from(account.len()).unwrap_or(u8::MAX));
    bytes.put_slice(account.as_bytes());
}

/// Appends the metadata of a command to a block's.
pub(crate) fn put_metadata(bytes: &mut Vec<u8>, account_place: u16, payload: &[u8]) {
    MetadataHeader { account: account_place, length: u32::try_from(payload.len()).unwrap_or(u32::MAX) }.put(bytes);
    bytes.put_slice(payload);
}

/// Completes what a command's entries repeat of it by the fingerprint.
pub(crate) fn put_fingerprint(bytes: &mut Vec<u8>, fingerprint: &Fingerprint) {
    if *fingerprint != Fingerprint::default() {
        fixed64::encode(13, &u64::from_le_bytes(*fingerprint), bytes);
    }
}

/// Appends what is asked; with the context in its midst, as version 2 had it.
fn put_asked(
    bytes: &mut Vec<u8>,
    request_id: &str,
    refers_to: &str,
    metadata: &Metadata,
    settings: Option<&Settings>,
    context: Option<&Metadata>,
) {
    put_string(bytes, 1, request_id);
    put_string(bytes, 2, refers_to);
    put_string(bytes, 3, &metadata.item);
    put_string(bytes, 4, &metadata.description);
    put_string(bytes, 5, &metadata.quantity);
    put_string(bytes, 6, &metadata.unit);
    if let Some(occurred_at) = metadata.occurred_at {
        int64::encode(7, &occurred_at.get(), bytes);
    }
    for (key, value) in &metadata.attributes {
        let attribute_bytes = string_bytes(key) + string_bytes(value);
        encode_key(8, WireType::LengthDelimited, bytes);
        encode_varint(attribute_bytes as u64, bytes);
        put_string(bytes, 1, key);
        put_string(bytes, 2, value);
    }
    if let Some(context) = context {
        put_context(bytes, context);
    }
    if let Some(category) = metadata.category {
        uint32::encode(12, &(category as u32), bytes);
    }
    if let Some(settings) = settings.filter(|settings| **settings != Settings::default()) {
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
        low_credit_threshold: settings.low_credit_threshold.map(|threshold| threshold.map_or(String::new(), |decimal| decimal.to_string())),
        non_usage_billing: settings.non_usage_billing.map_or(0, |billing| billing as u32),
        currency,
        decimals,
        minor_digits,
    }
}

fn restore_settings(stored: StoredSettings) -> Option<Settings> {
    let threshold = |text: String| if text.is_empty() { Some(None) } else { DecimalAmount::parse(&text).ok().map(Some) };
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
            number => Some((Currency::from_number(number)?, u8::try_from(stored.decimals).ok()?, u8::try_from(stored.minor_digits).ok()?)),
        },
    })
}

/// Packs a block. Each entry gets metadata of its own.
#[must_use]
pub fn encode_block(block: &Block) -> Vec<u8> {
    let count = block.entries.len();
    let (mut accounts, mut metadata, mut entries) = (Vec::new(), Vec::new(), Vec::with_capacity(count * 60));
    let (mut account_count, mut last_account) = (0_u16, None);
    let mut payload = Vec::new();
    for (metadata_place, entry) in (0_u16..).zip(&block.entries) {
        if last_account != Some(&entry.account) {
            put_account(&mut accounts, &entry.account);
            last_account = Some(&entry.account);
            account_count += 1;
        }
        payload.clear();
        put_asked(&mut payload, &entry.request_id, &entry.refers_to, &entry.metadata, entry.data.settings(), None);
        put_invoices(&mut payload, &entry.metadata.invoices);
        put_context(&mut payload, &entry.metadata);
        put_fingerprint(&mut payload, &entry.fingerprint);
        put_metadata(&mut metadata, account_count, &payload);
        put_entry(&mut entries, entry, metadata_place, block.time);
    }
    let mut bytes = Vec::with_capacity(BlockHeader::BYTES + accounts.len() + metadata.len() + entries.len());
    let header = BlockHeader {
        first_sequence: block.first_sequence,
        count: u32::try_from(count).unwrap_or(u32::MAX),
        time: block.time,
        id: block.id,
        previous: block.previous,
        accounts: account_count,
        metadata: u16::try_from(count).unwrap_or(u16::MAX),
    };
    header.put(&mut bytes);
    for part in [accounts, metadata, entries] {
        bytes.put_slice(&part);
    }
    bytes
}

fn put_entry(bytes: &mut Vec<u8>, entry: &Entry, metadata_place: u16, block_time: UnixMillis) {
    let EntryNumbers { kind, amount, details, given_back } = EntryNumbers::of(&entry.data);
    let has_own_time = entry.time != block_time;
    let has_details = details != [0; 2];
    let gives_back = given_back != [0; 3];
    let flags = if has_own_time { entry_flag::OWN_TIME } else { 0 } | if has_details { entry_flag::DETAILS } else { 0 };
    let Entry { bill, balance, unbilled, reserved, account_sequence, .. } = *entry;
    let (kind, mode) = (kind as u8 | flags, entry.mode as u8 | if gives_back { entry_flag::GIVEN_BACK } else { 0 });
    StoredEntry { kind, mode, metadata_place, bill, amount, balance, unbilled, reserved, account_sequence }.put(bytes);
    if has_own_time {
        Time::put(entry.time, bytes);
    }
    if has_details {
        details.iter().for_each(|detail| put_number(bytes, *detail));
    }
    if gives_back {
        given_back.iter().for_each(|number| put_number(bytes, *number));
    }
}

/// The inverse of [`encode_block`].
pub fn decode_block(bytes: &[u8]) -> Result<Block, Undecodable> {
    read_block(bytes).ok_or(Undecodable("block of the journal"))
}

fn read_block(mut bytes: &[u8]) -> Option<Block> {
    let header = BlockHeader::get(&mut bytes)?;
    let BlockHeader { first_sequence, time, id, previous, accounts: account_count, metadata: metadata_count, .. } = header;
    let count = header.count as usize;
    let accounts: Vec<&str> = (0..account_count).map(|_| read_account(&mut bytes)).collect::<Option<_>>()?;
    let metadata: Vec<CommandMetadata<'_>> =
        (0..metadata_count).map(|_| CommandMetadata::read(&mut bytes, &accounts)).collect::<Option<_>>()?;
    if bytes.remaining() < count.checked_mul(StoredEntry::BYTES)? {
        return None;
    }
    let mut entries = Vec::with_capacity(count);
    for _ in 0..count {
        let packed = PackedEntry::read(&mut bytes)?;
        entries.push(packed.with(metadata.get(usize::from(packed.metadata_place & !ACCOUNT_ONLY))?, time)?);
    }
    bytes.is_empty().then_some(Block { first_sequence, id, previous, time, entries })
}

fn read_account<'a>(bytes: &mut &'a [u8]) -> Option<&'a str> {
    let length = usize::from(bytes.try_get_u8().ok()?);
    std::str::from_utf8(take(bytes, length)?).ok()
}

fn take<'a>(bytes: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, after) = bytes.split_at_checked(length)?;
    *bytes = after;
    Some(taken)
}

/// What a command's entries have in common.
struct CommandMetadata<'a> {
    account: &'a str,
    payload: &'a [u8],
}

impl<'a> CommandMetadata<'a> {
    fn read(bytes: &mut &'a [u8], accounts: &[&'a str]) -> Option<Self> {
        let header = MetadataHeader::get(bytes)?;
        let (place, length) = (usize::from(header.account).checked_sub(1)?, header.length as usize);
        Some(Self { account: accounts.get(place)?, payload: take(bytes, length)? })
    }
}

/// An entry as it is stored, without its metadata.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PackedEntry {
    /// The place of its metadata, and perhaps [`ACCOUNT_ONLY`].
    pub metadata_place: u16,
    /// What it records.
    pub numbers: EntryNumbers,
    /// What the account had after it.
    pub moving: Moving,
    /// The bill that it falls into.
    pub bill: u32,
    mode: Mode,
    own_time: Option<UnixMillis>,
}

impl PackedEntry {
    pub(crate) fn read(bytes: &mut &[u8]) -> Option<Self> {
        let StoredEntry { kind, mode: flagged_mode, metadata_place, bill, amount, balance, unbilled, reserved, account_sequence } =
            StoredEntry::get(bytes)?;
        let has = |flag: u8| kind & flag != 0;
        let kind = EntryKind::from_number(kind & !(entry_flag::OWN_TIME | entry_flag::DETAILS))?;
        let mode = mode(flagged_mode & !entry_flag::GIVEN_BACK)?;
        let moving = Moving { balance, unbilled, reserved, sequence: account_sequence };
        let own_time = if has(entry_flag::OWN_TIME) { Some(Time::get(bytes)?) } else { None };
        let details = if has(entry_flag::DETAILS) { [get_number(bytes)?, get_number(bytes)?] } else { [0; 2] };
        let given_back =
            if flagged_mode & entry_flag::GIVEN_BACK == 0 { [0; 3] } else { [get_number(bytes)?, get_number(bytes)?, get_number(bytes)?] };
        Some(Self { metadata_place, numbers: EntryNumbers { kind, amount, details, given_back }, moving, bill, mode, own_time })
    }

    fn with(self, command: &CommandMetadata<'_>, block_time: UnixMillis) -> Option<Entry> {
        let stored = StoredMetadata::decode(if self.metadata_place & ACCOUNT_ONLY == 0 { command.payload } else { &[] }).ok()?;
        let Moving { balance, unbilled, reserved, sequence: account_sequence } = self.moving;
        let settings = stored.settings.map_or(Some(Settings::default()), restore_settings)?;
        Some(Entry {
            data: self.numbers.data(self.mode, settings).ok()?,
            account: command.account.into(),
            request_id: stored.request_id.into(),
            account_sequence,
            time: self.own_time.unwrap_or(block_time),
            mode: self.mode,
            bill: self.bill,
            balance,
            unbilled,
            reserved,
            fingerprint: stored.fingerprint.to_le_bytes(),
            metadata: Metadata {
                category: match stored.category {
                    0 => None,
                    number => Some(category(u8::try_from(number).ok()?)?),
                },
                item: stored.item,
                description: stored.description,
                quantity: stored.quantity,
                unit: stored.unit,
                occurred_at: stored.occurred_at.map(UnixMillis::new),
                attributes: stored.attributes.into_iter().map(|attribute| (attribute.key, attribute.value)).collect(),
                actor: stored.actor,
                on_behalf_of: stored.on_behalf_of,
                reason: stored.reason,
                origin: stored.origin,
                invoices: stored.invoices,
            },
            refers_to: stored.refers_to.into(),
        })
    }
}

#[cfg(test)]
mod tests;
