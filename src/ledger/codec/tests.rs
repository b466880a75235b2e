//! What is packed comes out of its bytes again.

use proptest::prelude::*;

use super::*;

#[test]
fn what_was_stored_comes_back() {
    let opened = Account::opened(Mode::Postpaid, NonUsageBilling::Consolidated, (Currency::parse("USD").unwrap(), 6, 2));
    let account = Account { balance: Units::new(-5), sequence: 7, temporary_until: UnixMillis::new(1 << 41), ..opened };
    assert_eq!(decode_account(&encode_account(&account)), Ok(account));
    let reservation = Reservation {
        account: "a/b".into(),
        request_id: "r-1".into(),
        amount: Units::new(3),
        report_by: UnixMillis::new(4),
        expires_at: UnixMillis::new(5),
    };
    assert_eq!(decode_reservation(&encode_reservation(&reservation)), Ok(reservation));
    let profile = Profile { name: "Ärzte GmbH".into(), low_credit_threshold: None, created_at: UnixMillis::new(9) };
    assert_eq!(decode_profile(&encode_profile("a", &profile)), Ok(profile));
    for key in [RefundKey::Original(1 << 40), RefundKey::Bill("a/b".into(), 7)] {
        assert_eq!(decode_refund_key(&encode_refund_key(&key)), Ok(key));
    }
    for billed in [None, Some(0), Some(9)] {
        let refunded = Refunded { sum: Units::new(3), billed: billed.map(Units::new), sequence: 4, time: UnixMillis::new(5) };
        assert_eq!(decode_refunded(&encode_refunded(&refunded)), Ok(refunded));
    }
    for reserve in [
        ReserveVerdict::NotAsked,
        ReserveVerdict::Granted,
        ReserveVerdict::Declined { shortfall: Units::new(12) },
        ReserveVerdict::Suspended,
        ReserveVerdict::TooMany,
    ] {
        let grant = Grant { amount: Units::new(1), report_by: UnixMillis::new(2), expires_at: UnixMillis::new(3), is_final_unit: true };
        let decision = Decision {
            kind: Kind::Debit,
            verdict: Verdict::Done,
            amount: Units::new(10),
            overdraft: Units::new(2),
            reservation: (reserve == ReserveVerdict::Granted).then_some(grant),
            reserve,
            credit_rounding: Units::ZERO,
            charged: Some(Charged { kind: EntryKind::ChargedUnbilled, bill: 1 << 20 }),
            sequence: 99,
        };
        let remembered = IdempotencyRecord { fingerprint: *b"12345678", decision, ended: ReservationEnd::Settled };
        assert_eq!(decode_idempotency_record(&encode_idempotency_record(&remembered)), Ok(remembered));
    }
}

#[test]
fn a_record_whose_currency_is_no_code_is_damaged() {
    let opened = Account::opened(Mode::Postpaid, NonUsageBilling::Consolidated, (Currency::parse("USD").unwrap(), 6, 2));
    let bytes = encode_account(&opened);
    let place = bytes.windows(4).position(|window| window == b"DSU\0").unwrap();
    for number in [*b"dsu\0", *b"D\0U\0", *b"DSU\x01", [0xff; 4], [0; 4]] {
        let mut damaged = bytes.clone();
        damaged[place..place + 4].copy_from_slice(&number);
        assert_eq!(decode_account(&damaged), Err(Undecodable("account")), "{number:?}");
    }
}

proptest! {
    #[test]
    fn no_bytes_reach_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = decode_account(&bytes);
        let _ = decode_reservation(&bytes);
        let _ = decode_idempotency_record(&bytes);
        let _ = decode_profile(&bytes);
        let _ = decode_place(&bytes);
        let _ = decode_refund_key(&bytes);
        let _ = decode_refunded(&bytes);
        let _ = journal::decode_block(&bytes);
    }
}
