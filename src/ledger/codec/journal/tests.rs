//! What is packed is what is read again.

use super::*;
use domain::account::{Category, NonUsageBilling};
use domain::entry::{EntryData, GivenBack, Limits, RefundedTo};
use domain::ids::RequestId;
use domain::money::Units;

#[test]
fn a_block_comes_back_as_it_was_stored() {
    let entry = Entry {
        data: EntryData::Created {
            limits: Limits { permanent: Units::new(-12), temporary: Units::new(-1), temporary_until: UnixMillis::new(7) },
            settings: Settings {
                name: Some("Acme".into()),
                low_credit_threshold: Some(Some(DecimalAmount::new(15, 1))),
                non_usage_billing: Some(NonUsageBilling::OneByOne),
                denomination: Some((Currency::parse("EUR").unwrap(), 6, 2)),
            },
        },
        account: "acme/7".into(),
        request_id: "r-1".into(),
        account_sequence: 3,
        time: UnixMillis::new(1_700_000_000_000),
        mode: Mode::Postpaid,
        bill: 9,
        balance: Units::new(-(1 << 51)),
        unbilled: Units::new(1 << 51),
        reserved: Units::new(4),
        fingerprint: *b"12345678",
        metadata: Metadata {
            category: Some(Category::Hardware),
            item: "sms".into(),
            description: "Grüße".into(),
            quantity: "1.5".into(),
            unit: "message".into(),
            occurred_at: Some(UnixMillis::new(-1)),
            attributes: vec![("a".into(), "b".into()), ("long".into(), "x".repeat(300))],
            actor: "eve".into(),
            on_behalf_of: "alice".into(),
            origin: "grpc 192.0.2.7 4bf92f3577b34da6a3ce929d0e0e4736".into(),
            reason: "goodwill".into(),
            invoices: vec!["INV-1".into(), "INV-2".into()],
        },
        refers_to: "r-0".into(),
    };
    let removed = Entry {
        data: EntryData::Updated { settings: Settings { low_credit_threshold: Some(None), ..Settings::default() } },
        metadata: Metadata::default(),
        ..entry.clone()
    };
    let given_back =
        GivenBack { original: Some(1 << 40), total: Units::new(4), rounding: Units::new(-3), bill: 2, of_bill: Some(Units::new(8)) };
    let refunded = Entry { data: EntryData::Refunded { to: RefundedTo::Balance, amount: Units::new(-12), given_back }, ..entry.clone() };
    let block = Block {
        first_sequence: 5,
        id: [1; 16],
        previous: [2; 16],
        time: UnixMillis::new(1_700_000_000_001),
        entries: vec![entry, removed, refunded],
    };
    assert_eq!(decode_block(&encode_block(&block)), Ok(block));
}

/// Of a coming version: who called, for whom, and the trace. An entry of it is read without them.
#[test]
fn fields_that_this_version_does_not_know_are_skipped() {
    let entry = |payload: &[u8]| {
        let (mut accounts, mut metadata, mut entries) = (Vec::new(), Vec::new(), Vec::new());
        put_account(&mut accounts, "acme");
        put_metadata(&mut metadata, 1, payload);
        let entry = Entry {
            data: EntryData::ToppedUp { amount: Units::new(5) },
            account: "acme".into(),
            request_id: RequestId::default(),
            account_sequence: 1,
            time: UnixMillis::new(7),
            mode: Mode::Prepaid,
            bill: 1,
            balance: Units::new(5),
            unbilled: Units::ZERO,
            reserved: Units::ZERO,
            fingerprint: [0; 8],
            metadata: Metadata::default(),
            refers_to: RequestId::default(),
        };
        put_entry(&mut entries, &entry, 0, UnixMillis::new(7));
        let mut bytes = 5_u64.to_le_bytes().to_vec();
        bytes.extend(1_u32.to_le_bytes());
        bytes.extend(7_i64.to_le_bytes());
        bytes.extend([[1; 16], [2; 16]].concat());
        bytes.extend([1, 0, 1, 0]);
        bytes.extend([accounts, metadata, entries].concat());
        decode_block(&bytes)
    };
    let mut known = Vec::new();
    put_string(&mut known, 1, "request");
    put_string(&mut known, 9, "eve");
    let mut longer = Vec::new();
    put_string(&mut longer, 1, "request");
    put_string(&mut longer, 18, "caller");
    prost::encoding::bytes::encode(17, &vec![9_u8; 16], &mut longer);
    put_string(&mut longer, 9, "eve");
    let found = entry(&known).unwrap();
    assert_eq!((found.entries[0].request_id.as_str(), found.entries[0].metadata.actor.as_str()), ("request", "eve"));
    assert_eq!(entry(&longer), Ok(found));
    // They are nobody else's.
    let source = include_str!("../journal.rs");
    let (rest, _) = source.split_once("\nstruct Attribute {").unwrap();
    assert!(["17", "18"].iter().all(|tag| !rest.contains(&format!("tag = \"{tag}\""))));
}
