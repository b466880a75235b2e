//! "Nothing was done" is said only of what was not done; a decision is answered within the caller's deadline; lists do not end early.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use tollgate::grpc::v1::{self, PaymentMode};
use tonic::{Code, Request};

use super::reason;
use crate::postgres::PostgresServer;
use crate::service::{Service, debit, money, until};
use crate::support::{RedisServer, temporary_folder};

/// C1: Redis answers too late, so the answer is lost, but not the charge.
#[tokio::test]
async fn a_debit_whose_answer_is_lost_is_not_said_to_be_undone() {
    let redis = RedisServer::redis();
    let service = Service::start(&["--redis", &redis.url(), "--redis-timeout", "300ms"], &[]);
    let mut client = service.client().await;
    client.open("acme", PaymentMode::Prepaid, "0", "10").await;
    redis.signal("STOP");
    let error = client.charging.debit(debit("acme", "d1", "4")).await.unwrap_err();
    redis.signal("CONT");
    assert_eq!((error.code(), reason(&error).as_str()), (Code::Unavailable, "OUTCOME_UNKNOWN"));
    assert!(!error.message().contains("nothing was"), "{error}");
    let again = until("Redis is back", || async { client.clone().charging.debit(debit("acme", "d1", "4")).await.ok() }).await;
    assert_eq!(again.into_inner().credit.unwrap().balance, "6.00");
}

/// C1: without a connection nothing is sent, so nothing was done.
#[tokio::test]
async fn a_debit_that_was_never_sent_is_said_to_be_not_done() {
    let mut redis = RedisServer::redis();
    let service = Service::redis(&redis.url());
    let mut client = service.client().await;
    client.open("acme", PaymentMode::Prepaid, "0", "10").await;
    redis.kill();
    until("the connection is given up", || async {
        let error = client.clone().charging.debit(debit("acme", "d1", "4")).await.unwrap_err();
        (reason(&error) == "STORE_UNAVAILABLE").then(|| assert!(error.message().contains("nothing was done"), "{error}"))
    })
    .await;
}

/// C1: the script ends with an error after its writes: the charge was made, and a later step knows it.
#[tokio::test]
async fn a_script_error_after_its_writes_is_an_unknown_outcome() {
    let redis = RedisServer::redis();
    let service = Service::start(&["--redis", &redis.url(), "--partitions", "1"], &[]);
    let mut client = service.client().await;
    client.open("acme", PaymentMode::Prepaid, "0", "10").await;
    // The account's name cannot be written any more; what comes before it can.
    let names = redis.command(&["KEYS", "*:names"]).trim().to_owned();
    redis.command(&["DEL", &names]);
    redis.command(&["SET", &names, "not a sorted set"]);
    let update = v1::UpdateAccountRequest {
        account_id: "acme".into(),
        request_id: "u1".into(),
        name: Some("Another".into()),
        operator: Some(v1::Operator { actor: "ann".into(), reason: "a test".into() }),
        ..Default::default()
    };
    let blocks = || redis.command(&["XLEN", &names.replace("names", "journal")]);
    let before = blocks();
    let error = client.accounts.update_account(update).await.unwrap_err();
    let said = (reason(&error), error.message().contains("nothing was"));
    let was_written = blocks() != before;
    // Either it was looked at before the writes, or nothing was promised.
    assert!(
        if was_written { said == ("OUTCOME_UNKNOWN".to_owned(), false) } else { said.0 != "OUTCOME_UNKNOWN" },
        "{said:?}, {was_written}"
    );
}

/// C1: a script error before its writes: a record that cannot be read.
#[tokio::test]
async fn a_script_error_before_its_writes_is_not_unknown() {
    let redis = RedisServer::redis();
    let service = Service::start(&["--redis", &redis.url(), "--partitions", "1"], &[]);
    let mut client = service.client().await;
    client.open("acme", PaymentMode::Prepaid, "0", "10").await;
    let accounts = redis.command(&["KEYS", "*:accounts"]).trim().to_owned();
    redis.command(&["HSET", &accounts, "acme", "short"]);
    let error = client.charging.debit(debit("acme", "d1", "4")).await.unwrap_err();
    assert_eq!((error.code(), reason(&error).as_str()), (Code::Internal, "STORE_CORRUPT"), "{error}");
    assert!(error.message().contains("nothing was done"), "{error}");
}

/// C5.
#[tokio::test]
async fn an_id_used_for_something_else_is_no_reason_to_retry() {
    let folder = temporary_folder();
    let service = Service::embedded(folder.path());
    let mut client = service.client().await;
    client.open("acme", PaymentMode::Prepaid, "0", "10").await;
    client.charging.debit(debit("acme", "d1", "4")).await.unwrap();
    let error = client.charging.debit(debit("acme", "d1", "5")).await.unwrap_err();
    assert_eq!((error.code(), reason(&error).as_str()), (Code::FailedPrecondition, "REQUEST_ID_REUSED"));
}

/// C5.
#[tokio::test]
async fn retry_layers_are_told_when_to_try_again() {
    let mut redis = RedisServer::redis();
    let service = Service::redis(&redis.url());
    let mut client = service.client().await;
    until("it is up", || async { service.log().iter().any(|line| line.contains("the store is up")).then_some(()) }).await;
    redis.kill();
    let error = client.charging.debit(debit("acme", "d1", "4")).await.unwrap_err();
    let pushback = error.metadata().get("grpc-retry-pushback-ms").expect("a pushback").to_str().unwrap();
    assert!(pushback.parse::<u64>().unwrap() > 0, "{error:?}");
}

fn within<T>(millis: u64, request: T) -> Request<T> {
    let mut request = Request::new(request);
    request.set_timeout(Duration::from_millis(millis));
    request
}

/// C2: the billing store is silent, and the caller has 90 ms: the decision comes, without what only adds to it.
#[tokio::test]
async fn a_silent_billing_store_costs_nobody_the_answer_to_a_decision() {
    let (folder, postgres) = (temporary_folder(), PostgresServer::start());
    let database = postgres.database();
    let store = folder.path().join("ledger.db");
    let service = Service::start(&["--store", store.to_str().unwrap(), "--billing", &database], &[]);
    let mut client = service.client().await;
    client.open("acme", PaymentMode::Postpaid, "50", "0").await;
    let ready = || async { client.clone().billing.list_receivables(v1::ListReceivablesRequest::default()).await.ok() };
    until("the billing store is ready", ready).await;
    postgres.signal("STOP");
    let payment = v1::RecordPaymentRequest {
        account_id: "acme".into(),
        request_id: "p1".into(),
        amount: money("5"),
        operator: Some(v1::Operator { actor: "ann".into(), reason: "a test".into() }),
        ..Default::default()
    };
    let convert = |mode: PaymentMode, id: &str| v1::ConvertRequest {
        account_id: "acme".into(),
        request_id: id.into(),
        mode: mode.into(),
        operator: Some(v1::Operator { actor: "ann".into(), reason: "a test".into() }),
        ..Default::default()
    };
    // Each is repeated a few times: on a busy machine, this client's own timer may run out first. What is silent for ever never answers.
    let mut answered = Vec::new();
    for _ in 0..2 {
        for name in ["payment", "to prepaid", "to postpaid"] {
            let mut replayed = None;
            for _ in 0..5 {
                replayed = match name {
                    "payment" => {
                        client.billing.record_payment(within(90, payment.clone())).await.ok().map(|told| told.into_inner().replayed)
                    }
                    "to prepaid" => told(client.charging.convert(within(90, convert(PaymentMode::Prepaid, "c1"))).await),
                    _ => told(client.charging.convert(within(90, convert(PaymentMode::Postpaid, "c2"))).await),
                };
                if replayed.is_some() {
                    break;
                }
            }
            answered.push((name, replayed.is_some()));
        }
    }
    postgres.signal("CONT");
    assert!(answered.iter().all(|(_, is_answered)| *is_answered), "{answered:?}");
}

fn told(answer: Result<tonic::Response<v1::ConvertResponse>, tonic::Status>) -> Option<bool> {
    answer.ok().map(|told| told.into_inner().replayed)
}

/// C3: reservations expire while they are listed; those that do not are all there.
#[tokio::test]
async fn a_list_of_reservations_goes_on_while_they_expire() {
    let redis = RedisServer::redis();
    let service = Service::start(&["--redis", &redis.url(), "--partitions", "1"], &[]);
    let mut client = service.client().await;
    client.open("acme", PaymentMode::Prepaid, "0", "100000").await;
    let reserve = |id: String, seconds: i64| {
        let (validity, grace) = (prost_types::Duration { seconds, nanos: 0 }, prost_types::Duration { seconds: 0, nanos: 1_000_000 });
        let reserve = v1::Reserve { amount: money("1"), validity: Some(validity), grace: Some(grace), ..Default::default() };
        v1::AuthorizeRequest { account_id: "acme".into(), request_id: id, reserve: Some(reserve), ..Default::default() }
    };
    let lasting: BTreeSet<String> = (0..40).map(|number| format!("lasting-{number}")).collect();
    for id in &lasting {
        client.charging.authorize(reserve(id.clone(), 600)).await.unwrap();
    }
    for number in 0..400 {
        client.charging.authorize(reserve(format!("short-{number}"), 1 + number % 3)).await.unwrap();
    }
    // Round after round, until the short ones are gone: no round may miss a lasting one.
    let deadline = Instant::now() + Duration::from_secs(4);
    while Instant::now() < deadline {
        let (mut found, mut request) =
            (BTreeSet::new(), v1::ListReservationsRequest { account_id: "acme".into(), page_size: 7, ..Default::default() });
        loop {
            let page = client.accounts.list_reservations(request.clone()).await.unwrap().into_inner();
            found.extend(page.reservations.into_iter().map(|reservation| reservation.reservation_id));
            request.page_token = page.next_page_token;
            if request.page_token.is_empty() {
                break;
            }
        }
        let missing: Vec<_> = lasting.difference(&found).collect();
        assert!(missing.is_empty(), "{} of 40 are missing", missing.len());
    }
}
