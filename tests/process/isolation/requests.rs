//! A9: each bound of a request that proto/README.md documents: what is within it passes, and one more does not.

use prost::Message;
use tollgate::grpc::v1::charge_command::Command;
use tollgate::grpc::v1::{self, PaymentMode};
use tonic::{Code, Status};

use crate::service::{Client, Service, debit, money};
use crate::support::temporary_folder;

/// A bound: what it is of, the most, and a request of a size.
type Bound = (&'static str, usize, fn(usize, String) -> Asked);

enum Asked {
    Create(v1::CreateAccountRequest),
    Debit(v1::DebitRequest),
    Authorize(v1::AuthorizeRequest),
    Limit(v1::SetCreditLimitRequest),
    Charge(v1::ChargeRequest),
}

fn with_attributes(request_id: String, attributes: impl IntoIterator<Item = (String, String)>) -> Asked {
    let usage = v1::Usage { attributes: attributes.into_iter().collect(), ..Default::default() };
    Asked::Debit(v1::DebitRequest { usage: Some(usage), ..debit("acme", &request_id, "0.01") })
}

fn reserve(request_id: String, validity: usize, grace: usize) -> Asked {
    let seconds = |seconds: usize| Some(prost_types::Duration { seconds: i64::try_from(seconds).unwrap(), nanos: 0 });
    let reserve = v1::Reserve { amount: money("0.01"), validity: seconds(validity), grace: seconds(grace), ..Default::default() };
    Asked::Authorize(v1::AuthorizeRequest { account_id: "acme".into(), request_id, reserve: Some(reserve), ..Default::default() })
}

const BOUNDS: [Bound; 9] = [
    ("characters of an account id", 128, |size, request_id| {
        let create = v1::CreateAccountRequest { request_id, name: "Acme".into(), currency_code: "EUR".into(), ..Default::default() };
        Asked::Create(v1::CreateAccountRequest { account_id: "a".repeat(size), mode: PaymentMode::Prepaid.into(), ..create })
    }),
    ("characters of a request id", 128, |size, _| Asked::Debit(debit("acme", &"r".repeat(size), "0.01"))),
    ("attributes of a charge", 16, |size, request_id| {
        with_attributes(request_id, (0..size).map(|number| (format!("key-{number}"), "value".into())))
    }),
    ("characters of an attribute's key", 64, |size, request_id| with_attributes(request_id, [("k".repeat(size), "value".into())])),
    ("characters of an attribute's value", 256, |size, request_id| with_attributes(request_id, [("key".into(), "v".repeat(size))])),
    ("seconds of a reservation's validity", 24 * 3_600, |size, request_id| reserve(request_id, size, 1)),
    ("seconds of a reservation's grace", 24 * 3_600, |size, request_id| reserve(request_id, 1, size)),
    ("days of a temporary limit", 3_650, |size, request_id| {
        let end = Some(v1::temporary_credit_limit::End::Days(i32::try_from(size).unwrap()));
        let temporary = v1::TemporaryCreditLimit { limit: money("1"), end };
        let change =
            v1::CreditLimitChange { permanent: None, temporary: Some(v1::credit_limit_change::Temporary::SetTemporary(temporary)) };
        let operator = Some(v1::Operator { actor: "ann".into(), reason: "a test".into() });
        let request = v1::SetCreditLimitRequest { account_id: "acme".into(), request_id, operator, ..Default::default() };
        Asked::Limit(v1::SetCreditLimitRequest { credit_limit: Some(change), ..request })
    }),
    ("commands in a batch", 512, |size, request_id| {
        let command =
            |number| v1::ChargeCommand { command: Some(Command::Debit(debit("acme", &format!("{request_id}-{number}"), "0.01"))) };
        Asked::Charge(v1::ChargeRequest { commands: (0..size).map(command).collect() })
    }),
];

async fn ask(client: &mut Client, asked: Asked) -> Result<(), Status> {
    match asked {
        Asked::Create(request) => client.accounts.create_account(request).await.map(|_| ()),
        Asked::Debit(request) => client.charging.debit(request).await.map(|_| ()),
        Asked::Authorize(request) => client.charging.authorize(request).await.map(|_| ()),
        Asked::Limit(request) => client.accounts.set_credit_limit(request).await.map(|_| ()),
        Asked::Charge(request) => {
            let mut answers = client.charging.charge(futures_util::stream::iter([request])).await?.into_inner();
            answers.message().await.map(|answer| assert!(answer.is_some()))
        }
    }
}

#[tokio::test]
async fn each_bound_of_a_request_is_the_documented_one() {
    let folder = temporary_folder();
    let service = Service::embedded(folder.path());
    let mut client = service.client().await;
    client.open("acme", PaymentMode::Prepaid, "1000", "1000").await;
    for (number, (what, most, request)) in BOUNDS.into_iter().enumerate() {
        let within = ask(&mut client, request(most, format!("within-{number}"))).await;
        assert!(within.is_ok(), "{most} {what}: {within:?}");
        let beyond = ask(&mut client, request(most + 1, format!("beyond-{number}"))).await;
        // A batch is not read to its end.
        let expected = if what == "commands in a batch" { Code::ResourceExhausted } else { Code::InvalidArgument };
        assert_eq!(beyond.as_ref().map_err(Status::code), Err(expected), "{} {what}: {beyond:?}", most + 1);
    }
}

#[tokio::test]
async fn a_message_is_at_most_a_mebibyte_and_the_details_of_its_error_four_kibibytes() {
    let folder = temporary_folder();
    let service = Service::embedded(folder.path());
    let mut client = service.client().await;
    let of_size = |bytes: usize| {
        let request = |length: usize| v1::GetUsableCreditRequest { account_id: "a".repeat(length) };
        // The field's number, and its length in three bytes.
        let request = request(bytes - 4);
        assert_eq!(request.encoded_len(), bytes);
        request
    };
    let read = client.charging.get_usable_credit(of_size(1 << 20)).await.unwrap_err();
    assert_eq!(read.code(), Code::InvalidArgument, "{read:?}");
    assert!(read.details().len() <= 4_096, "{} bytes of details", read.details().len());
    let not_read = client.charging.get_usable_credit(of_size((1 << 20) + 1)).await.unwrap_err();
    assert!(matches!(not_read.code(), Code::OutOfRange | Code::ResourceExhausted), "{not_read:?}");
}

#[tokio::test]
async fn the_details_of_invalid_commands_of_a_batch_are_bounded_together_and_each_says_its_reason() {
    let folder = temporary_folder();
    let service = Service::embedded(folder.path());
    let mut client = service.client().await;
    // Each of them has sixteen faults, to be said of by name.
    let attributes = (1..=16).map(|length| ("\u{1}".repeat(length), "\u{1}".to_owned())).collect();
    let usage = Some(v1::Usage { attributes, ..Default::default() });
    let command = v1::ChargeCommand { command: Some(Command::Debit(v1::DebitRequest { usage, ..debit("acme", "d1", "x") })) };
    let request = v1::ChargeRequest { commands: vec![command; 512] };
    let mut answers = client.charging.charge(futures_util::stream::iter([request])).await.unwrap().into_inner();
    let errors = answers.message().await.unwrap().unwrap().outcomes.into_iter().map(|outcome| match outcome.outcome.unwrap() {
        v1::charge_outcome::Outcome::Error(error) => error,
        other => panic!("{other:?}"),
    });
    let counts: Vec<_> =
        errors.map(|error| (error.details.len(), error.details.iter().map(|detail| detail.value.len()).sum::<usize>())).collect();
    let (full, brief): (Vec<_>, Vec<_>) = counts.iter().partition(|(count, _)| *count > 1);
    assert_eq!(full.len() + brief.len(), 512);
    assert!(full.len() > 50 && brief.iter().all(|(count, _)| *count == 1), "{} have all their details", full.len());
    let bytes: usize = full.iter().map(|(_, bytes)| bytes).sum();
    // 256 KiB of text, and how it is written.
    assert!((250 << 10..290 << 10).contains(&bytes), "{bytes} bytes of details");
}
