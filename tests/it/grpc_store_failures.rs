//! What callers hear when the store is silent, gone, or makes no sense.

use std::sync::Arc;
use std::time::Duration;

use crate::stand_in::StandIn;
use jiff::tz::TimeZone;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tokio_util::sync::CancellationToken;
use tollgate::clock::Clock;
use tollgate::domain::time::UnixMillis;
use tollgate::grpc::v1::charging_service_client::ChargingServiceClient;
use tollgate::grpc::{AccessLayer, Health, MAX_MESSAGE_BYTES, services, v1};
use tollgate::lanes::offload::Offload;
use tollgate::ledger::watch::Watchers;
use tollgate::ledger::{Ledger, LedgerError};
use tollgate::service::UseCases;
use tollgate::service::admission::Limits;
use tonic::transport::{Channel, Server};
use tonic::{Code, Request, Status};
use tonic_types::StatusExt;

async fn client(error: Option<LedgerError>) -> ChargingServiceClient<Channel> {
    let clock = Clock::manual(UnixMillis::NONE, TimeZone::UTC);
    let ledger = Ledger::start(Arc::new(StandIn::failing(error)), Watchers::default(), clock);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let use_cases =
        UseCases::new(ledger, None, Offload::start().unwrap(), Limits::default(), CancellationToken::new(), access::Access::open().into());
    let services = services(use_cases, Health::new(), MAX_MESSAGE_BYTES, AccessLayer::open());
    tokio::spawn(Server::builder().serve_with_incoming(services, TcpListenerStream::new(listener)));
    ChargingServiceClient::connect(format!("http://{address}")).await.unwrap()
}

fn debit() -> v1::DebitRequest {
    let amount = Some(v1::Money { amount: "1".into(), currency_code: String::new() });
    v1::DebitRequest { account_id: "acme".into(), request_id: "d1".into(), amount, ..Default::default() }
}

fn reason(status: &Status) -> (Code, String) {
    (status.code(), status.get_details_error_info().unwrap().reason)
}

#[tokio::test]
async fn a_store_that_is_gone_approves_nothing_and_says_when_to_try_again() {
    let error = client(Some(LedgerError::not_done("10.0.0.7 refused"))).await.debit(debit()).await.unwrap_err();
    assert_eq!(reason(&error), (Code::Unavailable, "STORE_UNAVAILABLE".into()));
    assert!(error.get_details_retry_info().unwrap().retry_delay.is_some());
    assert!(!error.message().contains("10.0.0.7"));
    assert_eq!(error.metadata().get("grpc-retry-pushback-ms").unwrap(), "500");
}

#[tokio::test]
async fn a_lost_answer_is_not_called_nothing_done() {
    let error = client(Some(LedgerError::unknown("timed out"))).await.debit(debit()).await.unwrap_err();
    assert_eq!(reason(&error), (Code::Unavailable, "OUTCOME_UNKNOWN".into()));
    assert!(!error.message().contains("nothing was done"));
    // Of a read, nobody needs to be told so.
    let request = v1::GetUsableCreditRequest { account_id: "acme".into() };
    let error = client(Some(LedgerError::unknown("timed out"))).await.get_usable_credit(request).await.unwrap_err();
    assert_eq!(reason(&error), (Code::Unavailable, "STORE_UNAVAILABLE".into()));
}

#[tokio::test]
async fn a_lost_answer_to_a_read_within_a_stream_is_no_unknown_outcome() {
    let request = v1::GetUsableCreditRequest { account_id: "acme".into() };
    let command = v1::ChargeCommand { command: Some(v1::charge_command::Command::GetUsableCredit(request)) };
    let mut client = client(Some(LedgerError::unknown("timed out"))).await;
    let batches = tokio_stream::iter([v1::ChargeRequest { commands: vec![command] }]);
    let mut answers = client.charge(batches).await.unwrap().into_inner();
    let Some(v1::charge_outcome::Outcome::Error(error)) = answers.message().await.unwrap().unwrap().outcomes.remove(0).outcome else {
        panic!("not an error")
    };
    assert!(error.message.contains("nothing was done"), "{error:?}");
}

#[tokio::test]
async fn a_store_that_makes_no_sense_is_an_internal_error_that_tells_nothing_of_it() {
    let error = client(Some(LedgerError::corrupt("secret bytes"))).await.debit(debit()).await.unwrap_err();
    assert_eq!(reason(&error), (Code::Internal, "STORE_CORRUPT".into()));
    assert!(!error.message().contains("secret"));
}

#[tokio::test]
async fn a_store_that_is_silent_is_answered_for_before_the_deadline() {
    let mut request = Request::new(debit());
    request.set_timeout(Duration::from_secs(2));
    let error = client(None).await.debit(request).await.unwrap_err();
    assert_eq!(reason(&error), (Code::Unavailable, "OUTCOME_UNKNOWN".into()));
}

#[tokio::test]
async fn a_batch_whose_answer_does_not_come_in_time_is_not_called_nothing_done() {
    let command = v1::ChargeCommand { command: Some(v1::charge_command::Command::Debit(debit())) };
    let mut request = Request::new(v1::BatchChargeRequest { commands: vec![command] });
    request.set_timeout(Duration::from_secs(2));
    let error = client(None).await.batch_charge(request).await.unwrap_err();
    assert_eq!(reason(&error), (Code::Unavailable, "OUTCOME_UNKNOWN".into()));
    assert!(!error.message().contains("nothing was done"), "{error:?}");
}

#[tokio::test]
async fn a_stream_carries_the_failure_of_the_store_as_the_outcome_of_each_command() {
    let command = v1::ChargeCommand { command: Some(v1::charge_command::Command::Debit(debit())) };
    let mut client = client(Some(LedgerError::not_done("gone"))).await;
    let batches = tokio_stream::iter([v1::ChargeRequest { commands: vec![command.clone(), command] }]);
    let mut answers = client.charge(batches).await.unwrap().into_inner();
    let outcomes = answers.message().await.unwrap().unwrap().outcomes;
    assert_eq!(outcomes.len(), 2);
    for outcome in outcomes {
        let Some(v1::charge_outcome::Outcome::Error(error)) = outcome.outcome else { panic!("not an error") };
        assert_eq!((error.code, error.details.is_empty()), (i32::from(Code::Unavailable), false));
    }
}
