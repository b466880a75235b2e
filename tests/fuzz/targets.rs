//! What is fuzzed. A target says whether it could read its input, and panics if that is wrong in any way.

use prost::Message;
use tollgate::domain::account::{Account, Category, Currency, Mode, NonUsageBilling, Profile, Reservation};
use tollgate::domain::command::{self, Metadata};
use tollgate::domain::entry::{ChargedFrom, Entry, EntryData, EntryKind, GivenBack, Limits, RefundedTo};
use tollgate::domain::money::{DecimalAmount, Units, format_units};
use tollgate::domain::outcome::{Charged, Decision, Grant, ReserveVerdict, Verdict};
use tollgate::domain::rules::{IdempotencyRecord, Refunded, ReservationEnd};
use tollgate::domain::time::UnixMillis;
use tollgate::grpc::page_token;
use tollgate::grpc::v1;
use tollgate::grpc::wire::reader::{FieldReader, Sign};
use tollgate::grpc::wire::{accounts, charging};
use tollgate::ledger::codec::{self, journal};
use tollgate::ledger::{Block, NamePlace, ReservationPlace};

use super::written;

type Target = fn(&[u8]) -> bool;

pub const TARGETS: &[(&str, Target)] = &[
    ("requests", requests),
    ("amounts", amounts),
    ("page_tokens", page_tokens),
    ("accounts", accounts_stored),
    ("reservations", reservations),
    ("requests_remembered", remembered),
    ("refunds", refunds),
    ("profiles", profiles),
    ("blocks", blocks),
    ("bounces", bounces),
    ("bank_statements", written::bank_statements),
    ("access_files", written::access_files),
    ("addresses", written::addresses),
];

const NOW: UnixMillis = UnixMillis::new(1_768_435_200_000);
const QUERY: [&str; 2] = ["accounts", "acme"];

/// A request of a kind that its first byte says: read by the API's rules, packed for the journal.
fn requests(bytes: &[u8]) -> bool {
    let Some((kind, bytes)) = bytes.split_first() else { return false };
    let mut reader = FieldReader::new(NOW);
    macro_rules! read {
        ($($number:literal => $module:ident::$read:ident of $message:ident,)*) => {
            match kind % 13 {
                $($number => v1::$message::decode(bytes).ok().map(|request| $module::$read(&mut reader, request)),)*
                _ => None,
            }
        };
    }
    let command = read! {
        0 => charging::authorize of AuthorizeRequest,
        1 => charging::debit of DebitRequest,
        2 => charging::release of ReleaseRequest,
        3 => charging::refund of RefundRequest,
        4 => charging::convert of ConvertRequest,
        5 => accounts::create of CreateAccountRequest,
        6 => accounts::update of UpdateAccountRequest,
        7 => accounts::top_up of TopUpRequest,
        8 => accounts::reverse_payment of ReversePaymentRequest,
        9 => accounts::withdraw of WithdrawRequest,
        10 => accounts::adjust of AdjustBalanceRequest,
        11 => accounts::set_credit_limit of SetCreditLimitRequest,
        12 => accounts::close of CloseAccountRequest,
    };
    let Some(Ok(command)) = command.map(|command| reader.finish(command)) else { return false };
    assert!((1..=128).contains(&command.account.len()) && (1..=128).contains(&command.request_id.len()), "{command:?}");
    assert_eq!(journal::encode_asked(&command), journal::encode_asked(&command.clone()));
    true
}

/// An amount: what is read is shown as the same amount again.
fn amounts(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    let mut reader = FieldReader::new(NOW);
    let money = v1::Money { amount: text.to_owned(), currency_code: String::new() };
    let _ = reader.amount("amount", Some(money), Sign::NotZero);
    let Ok(amount) = DecimalAmount::parse(text) else { return false };
    for decimals in 0..=6 {
        let Ok(units) = amount.to_units(decimals) else { continue };
        for minor in 0..=decimals {
            let shown = format_units(units, decimals, minor);
            let again = DecimalAmount::parse(&shown).unwrap_or_else(|_| panic!("{text:?} is shown as {shown:?}"));
            assert_eq!(again.to_units(decimals).ok(), Some(units), "{text:?}, {shown:?}");
        }
    }
    true
}

fn page_tokens(bytes: &[u8]) -> bool {
    let Ok(token) = std::str::from_utf8(bytes) else { return false };
    let name = page_token::decode::<NamePlace>(&QUERY, token);
    if let Some(place) = &name {
        assert_eq!(page_token::decode(&QUERY, &page_token::encode(&QUERY, place)).as_ref(), Some(place));
    }
    let reservation = page_token::decode::<ReservationPlace>(&QUERY, token);
    let number = page_token::decode::<u64>(&QUERY, token);
    let text = page_token::decode::<String>(&QUERY, token);
    assert!(page_token::decode::<NamePlace>(&["another"], token).is_none(), "a token of another query");
    name.is_some() || reservation.is_some() || number.is_some() || text.is_some()
}

/// What is decoded is the same after it was encoded and decoded again.
macro_rules! round_trip {
    ($name:ident, $decode:path, $encode:path) => {
        fn $name(bytes: &[u8]) -> bool {
            let Ok(found) = $decode(bytes) else { return false };
            let again = $decode(&$encode(&found));
            assert_eq!(format!("{again:?}"), format!("Ok({found:?})"));
            true
        }
    };
}

round_trip!(accounts_stored, codec::decode_account, codec::encode_account);
round_trip!(reservations, codec::decode_reservation, codec::encode_reservation);
round_trip!(remembered, codec::decode_idempotency_record, codec::encode_idempotency_record);
round_trip!(refunds, codec::decode_refunded, codec::encode_refunded);
round_trip!(blocks, journal::decode_block, journal::encode_block);

fn profiles(bytes: &[u8]) -> bool {
    codec::decode_profile(bytes).is_ok()
}

fn bounces(bytes: &[u8]) -> bool {
    // mail-parser has an assertion in development builds that mails can break; a release goes on from there, and refuses nothing for it.
    let read = std::panic::catch_unwind(|| tollgate::delivery::bounce::read(bytes));
    assert!(read.is_ok() || cfg!(debug_assertions));
    read.is_ok_and(|report| report.is_some())
}

/// Inputs that are right, to begin a corpus with.
pub fn seeds(target: &str) -> Vec<Vec<u8>> {
    match target {
        "requests" => seed_requests(),
        "amounts" => {
            ["0", "12.3456", "-0.000001", "2251799813.685248", "-2251799813.685247", "1000"].map(|text| text.as_bytes().to_vec()).to_vec()
        }
        "page_tokens" => {
            let place = NamePlace { folded_name: "acme ltd".into(), account: "acme".into() };
            [page_token::encode(&QUERY, &place), page_token::encode(&QUERY, &7_u64), page_token::encode(&QUERY, &"INV-000001".to_owned())]
                .map(String::into_bytes)
                .to_vec()
        }
        "bounces" => vec![BOUNCE.as_bytes().to_vec()],
        "bank_statements" | "access_files" | "addresses" => written::seeds(target),
        // Records of a ledger that charged, refunded, reserved, converted and was billed.
        _ => stored(target),
    }
}

fn seed_requests() -> Vec<Vec<u8>> {
    let (account_id, request_id) = ("acme".to_owned(), "r-1".to_owned());
    let money = |amount: &str| Some(v1::Money { amount: amount.into(), currency_code: "EUR".into() });
    let operator = Some(v1::Operator { actor: "eve".into(), reason: "goodwill".into() });
    let reserve = v1::Reserve { amount: money("5"), minimum: money("1"), ..Default::default() };
    let usage = Some(v1::Usage {
        item: "call".into(),
        quantity: "2.5".into(),
        attributes: [("cell".to_owned(), "17".to_owned())].into(),
        ..Default::default()
    });
    let with = |kind: u8, message: Vec<u8>| [vec![kind], message].concat();
    vec![
        with(
            0,
            v1::AuthorizeRequest {
                account_id: account_id.clone(),
                request_id: request_id.clone(),
                reserve: Some(reserve.clone()),
                ..Default::default()
            }
            .encode_to_vec(),
        ),
        with(
            1,
            v1::DebitRequest {
                account_id: account_id.clone(),
                request_id: request_id.clone(),
                amount: money("2.5"),
                reservation_id: "r-0".into(),
                remainder: Some(v1::debit_request::Remainder::Reserve(Box::new(reserve))),
                usage,
                ..Default::default()
            }
            .encode_to_vec(),
        ),
        with(
            2,
            v1::ReleaseRequest {
                account_id: account_id.clone(),
                request_id: request_id.clone(),
                reservation_id: "r-0".into(),
                ..Default::default()
            }
            .encode_to_vec(),
        ),
        with(
            3,
            v1::RefundRequest {
                account_id: account_id.clone(),
                request_id: request_id.clone(),
                charge_id: "r-0".into(),
                amount: money("1"),
                ..Default::default()
            }
            .encode_to_vec(),
        ),
        with(
            4,
            v1::ConvertRequest {
                account_id: account_id.clone(),
                request_id: request_id.clone(),
                mode: 2,
                operator: operator.clone(),
                ..Default::default()
            }
            .encode_to_vec(),
        ),
        with(
            5,
            v1::CreateAccountRequest {
                account_id: account_id.clone(),
                request_id: request_id.clone(),
                name: "Acme".into(),
                currency_code: "EUR".into(),
                mode: 1,
                ..Default::default()
            }
            .encode_to_vec(),
        ),
        with(
            7,
            v1::TopUpRequest {
                account_id: account_id.clone(),
                request_id: request_id.clone(),
                amount: money("10"),
                details: Some(v1::PaymentDetails { method: "sepa".into(), ..Default::default() }),
                ..Default::default()
            }
            .encode_to_vec(),
        ),
        with(
            9,
            v1::WithdrawRequest {
                account_id: account_id.clone(),
                request_id: request_id.clone(),
                amount: money("10"),
                operator: operator.clone(),
                ..Default::default()
            }
            .encode_to_vec(),
        ),
        with(
            10,
            v1::AdjustBalanceRequest {
                account_id: account_id.clone(),
                request_id: request_id.clone(),
                amount: money("-1"),
                operator: operator.clone(),
                ..Default::default()
            }
            .encode_to_vec(),
        ),
        with(
            11,
            v1::SetCreditLimitRequest {
                account_id,
                request_id,
                credit_limit: Some(v1::CreditLimitChange { permanent: money("10"), temporary: None }),
                operator,
                ..Default::default()
            }
            .encode_to_vec(),
        ),
    ]
}

/// Records as the ledger writes them.
fn stored(target: &str) -> Vec<Vec<u8>> {
    let opened = Account::opened(Mode::Postpaid, NonUsageBilling::Consolidated, (Currency::parse("USD").unwrap(), 6, 2));
    let account =
        Account { balance: Units::new(-5), unbilled: Units::new(7), sequence: 7, temporary_until: UnixMillis::new(1 << 41), ..opened };
    match target {
        "accounts" => vec![codec::encode_account(&account), codec::encode_account(&Account { mode: Mode::Prepaid, ..account })],
        "reservations" => {
            let reservation = Reservation {
                account: "a/b".into(),
                request_id: "r-1".into(),
                amount: Units::new(3),
                report_by: UnixMillis::new(4),
                expires_at: UnixMillis::new(5),
            };
            vec![codec::encode_reservation(&reservation)]
        }
        "requests_remembered" => {
            let grant = Grant { amount: Units::new(1), report_by: UnixMillis::new(2), expires_at: UnixMillis::new(3), is_final_unit: true };
            let decision = |reserve, reservation| Decision {
                kind: command::Kind::Debit,
                verdict: Verdict::Done,
                amount: Units::new(10),
                overdraft: Units::new(2),
                reservation,
                reserve,
                credit_rounding: Units::ZERO,
                charged: Some(Charged { kind: EntryKind::ChargedUnbilled, bill: 1 << 20 }),
                sequence: 99,
            };
            let decisions =
                [decision(ReserveVerdict::Granted, Some(grant)), decision(ReserveVerdict::Declined { shortfall: Units::new(12) }, None)];
            let record = |decision| IdempotencyRecord { fingerprint: *b"12345678", decision, ended: ReservationEnd::Settled };
            decisions.map(|decision| codec::encode_idempotency_record(&record(decision))).to_vec()
        }
        "refunds" => [None, Some(9)]
            .map(|billed| {
                codec::encode_refunded(&Refunded {
                    sum: Units::new(3),
                    billed: billed.map(Units::new),
                    sequence: 4,
                    time: UnixMillis::new(5),
                })
            })
            .to_vec(),
        "profiles" => {
            vec![codec::encode_profile(
                "a",
                &Profile { name: "Ärzte GmbH".into(), low_credit_threshold: Some(Units::new(5)), created_at: UnixMillis::new(9) },
            )]
        }
        _ => vec![journal::encode_block(&block())],
    }
}

fn block() -> Block {
    let entry = |data, refers_to: &str| Entry {
        data,
        account: "group/acme".into(),
        request_id: "r-1".into(),
        account_sequence: 3,
        time: NOW,
        mode: Mode::Postpaid,
        bill: 2,
        balance: Units::new(-5),
        unbilled: Units::new(7),
        reserved: Units::new(3),
        fingerprint: *b"12345678",
        metadata: Metadata { item: "call".into(), quantity: "2.5".into(), category: Some(Category::Usage), ..Metadata::default() },
        refers_to: refers_to.into(),
    };
    let given_back = GivenBack { original: Some(7), total: Units::new(3), rounding: Units::new(-1), bill: 1, of_bill: Some(Units::new(3)) };
    let limits = Limits { permanent: Units::new(1_000), temporary: Units::new(5), temporary_until: NOW };
    let entries = vec![
        entry(
            EntryData::Charged {
                from: ChargedFrom::Unbilled,
                amount: Units::new(7),
                reservation: Some(Units::new(3)),
                overdraft: Units::new(1),
            },
            "r-0",
        ),
        entry(EntryData::Refunded { to: RefundedTo::Balance, amount: Units::new(2), given_back }, "r-1"),
        entry(EntryData::Reserved { amount: Units::new(3), report_by: NOW, expires_at: NOW + 5 }, ""),
        entry(EntryData::LimitSet { limits }, ""),
        entry(EntryData::PeriodClosed { billed: Units::new(7) }, ""),
    ];
    Block { first_sequence: 41, id: [1; 16], previous: [2; 16], time: NOW, entries }
}

const BOUNCE: &str = "From: mailer-daemon@example.org\r\nTo: billing@nordlicht.example\r\nSubject: failed\r\nMIME-Version: 1.0\r\nContent-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nfailed\r\n--b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.example.org\r\n\r\nFinal-Recipient: rfc822; a@example.org\r\nAction: failed\r\nStatus: 5.1.1\r\nDiagnostic-Code: smtp; 550 no such user\r\n\r\n--b\r\nContent-Type: message/rfc822\r\n\r\nMessage-ID: <1234@nordlicht.example>\r\nSubject: Invoice\r\n\r\ntext\r\n--b--\r\n";
