//! What is packed is what is read again.

use super::*;
use crate::domain::account::{Category, NonUsageBilling};

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
        given_back: GivenBack { original: 1 << 40, rounding: -3, of_bill: 8 },
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
