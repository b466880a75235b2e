//! A lane whose thread is held up on purpose, over a real connection: which of the calls that wait for it are refused, and that their
//! connection stays.
//!
//! The calls of a connection arrive at once ([`crate::burst`]), so they are read in one turn; the first of them holds the thread. So the
//! others have waited for at least [`HELD`] when they are begun, on a machine of any speed.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream;
use http::uri::PathAndQuery;
use jiff::tz::TimeZone;
use platform::rpc::RpcLayer;
use tokio::net::TcpListener;
use tokio::sync::{Barrier, Notify, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tollgate::app::grpc_server;
use tollgate::clock::Clock;
use tollgate::domain::time::UnixMillis;
use tollgate::grpc::v1::account_service_client::AccountServiceClient;
use tollgate::grpc::v1::charge_command::Command;
use tollgate::grpc::v1::charging_service_client::ChargingServiceClient;
use tollgate::grpc::v1::{self, PaymentMode, charge_outcome};
use tollgate::grpc::{AccessLayer, Health, MAX_MESSAGE_BYTES, services, status};
use tollgate::lanes::offload::Offload;
use tollgate::lanes::{ConnectionSlots, Lane, deal, senders_of, sockets};
use tollgate::ledger::Ledger;
use tollgate::ledger::model::ModelEngine;
use tollgate::ledger::watch::Watchers;
use tollgate::service::UseCases;
use tollgate::service::admission::Limits;
use tollgate::service::error::Error;
use tonic::body::Body;
use tonic::client::Grpc;
use tonic::{Code, Request, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tonic_prost::ProstCodec;
use tonic_types::StatusExt;
use tower::{Layer, ServiceExt, service_fn};

use crate::burst::Burst;

/// How long the thread is held up, and by a call with which metadata.
const HELD: Duration = Duration::from_secs(1);
const HOLDS: &str = "holds-the-thread";

/// The timeout of a call that is refused then, and of one that is not: a call is let in that has waited for an eighth of its timeout.
const SHORT: Duration = Duration::from_secs(7);
const LONG: Duration = Duration::from_hours(1);

/// How long anything may take before a test gives up on it.
const PATIENCE: Duration = Duration::from_secs(30);

const DAY: i64 = 24 * 60 * 60 * 1000;

/// A lane like those of the service, but for calls that hold its thread; they tell it when they begin to.
async fn lane() -> (SocketAddr, Arc<Notify>) {
    let is_held = Arc::new(Notify::new());
    let told = Arc::clone(&is_held);
    let serve = move |accepted| async move {
        let start = UnixMillis::new("2026-11-20T12:00:00Z".parse::<jiff::Timestamp>()?.as_millisecond());
        let (clock, watchers) = (Clock::manual(start, TimeZone::UTC), Watchers::default());
        let engine = Arc::new(ModelEngine::new(clock.clone(), DAY, watchers.clone()));
        let ledger = Ledger::start(engine, watchers, clock);
        let (stopping, access) = (CancellationToken::new(), access::Access::open().into());
        let use_cases = UseCases::new(ledger, None, Offload::start()?, Limits::default(), stopping, access);
        let services = services(use_cases, Health::new(), MAX_MESSAGE_BYTES, AccessLayer::open());
        let held_up = service_fn(move |request: http::Request<Body>| {
            if request.headers().contains_key(HOLDS) {
                told.notify_one();
                std::thread::sleep(HELD);
            }
            services.clone().oneshot(request)
        });
        let refusal = status::of(Error::overloaded("the thread is held up"));
        let measured = RpcLayer::default().refusing_with(refusal).layer(held_up);
        grpc_server().serve_with_incoming(measured, sockets(accepted)).await?;
        Ok(())
    };
    let ends = senders_of(&[Lane::start("lane-0".to_owned(), serve).unwrap()]);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { deal(&listener, &ends, &ConnectionSlots::new(16)).await });
    (address, is_held)
}

fn money(amount: &str) -> Option<v1::Money> {
    Some(v1::Money { amount: amount.into(), currency_code: String::new() })
}

/// Opens the account that is charged: it may owe 1000.
async fn open(address: SocketAddr) {
    let request = v1::CreateAccountRequest {
        account_id: "acme".into(),
        request_id: "create".into(),
        name: "Acme".into(),
        currency_code: "EUR".into(),
        mode: PaymentMode::Prepaid.into(),
        credit_limit: Some(v1::CreditLimitChange { permanent: money("1000"), temporary: None }),
        allow_unusable: true,
        ..Default::default()
    };
    let mut accounts = AccountServiceClient::connect(format!("http://{address}")).await.unwrap();
    accounts.create_account(request).await.unwrap();
}

/// What is left of it.
async fn usable(address: SocketAddr) -> String {
    let mut charging = ChargingServiceClient::connect(format!("http://{address}")).await.unwrap();
    let request = v1::GetUsableCreditRequest { account_id: "acme".into() };
    charging.get_usable_credit(request).await.unwrap().into_inner().credit.unwrap().usable
}

fn debit(request_id: &str) -> v1::DebitRequest {
    v1::DebitRequest { account_id: "acme".into(), request_id: request_id.into(), amount: money("1"), ..Default::default() }
}

/// A debit that holds the thread before it is done.
fn holding(request_id: &str) -> Request<v1::DebitRequest> {
    let mut request = Request::new(debit(request_id));
    request.metadata_mut().insert(HOLDS, "yes".parse().unwrap());
    request
}

/// A request of a caller that waits for so long.
fn within<M>(patience: Duration, message: M) -> Request<M> {
    let mut request = Request::new(message);
    request.set_timeout(patience);
    request
}

/// A debit whose message is sent only once it is let go.
async fn late_debit(connection: Burst, request_id: String, mut is_let_go: watch::Receiver<bool>) -> Result<(), Status> {
    let message = async move {
        is_let_go.wait_for(|is_let_go| *is_let_go).await.unwrap();
        debit(&request_id)
    };
    let mut grpc = Grpc::with_origin(connection, Burst::origin());
    grpc.ready().await.unwrap();
    let path = PathAndQuery::from_static("/tollgate.v1.ChargingService/Debit");
    let codec = ProstCodec::<v1::DebitRequest, v1::DebitResponse>::default();
    grpc.client_streaming(within(SHORT, stream::once(message)), path, codec).await.map(|_| ())
}

/// The status says that there is too much to do, and when to come again.
fn assert_overloaded(status: &Status) {
    let reason = status.get_details_error_info().map(|info| info.reason);
    assert_eq!((status.code(), reason.as_deref()), (Code::ResourceExhausted, Some("OVERLOADED")), "{status:?}");
    assert!(status.get_details_retry_info().is_some_and(|info| info.retry_delay.is_some()), "{status:?}");
}

#[tokio::test]
async fn a_connection_stays_whose_calls_are_refused_before_their_messages_have_come() {
    // So many that h2 would close the connection over those whose messages come after the end of their streams: it forgives 200.
    const LATE: usize = 900;
    let (address, is_held) = lane().await;
    open(address).await;
    let connection = Burst::connect(address, 1 + LATE, Arc::new(Barrier::new(1))).await;
    let mut charging = connection.charging();
    // Tasks of this one thread begin in the order in which they are spawned.
    let first = tokio::spawn(async move { charging.debit(holding("first")).await.map(|_| ()) });
    let (let_go, is_let_go) = watch::channel(false);
    let late = (0..LATE).map(|number| late_debit(connection.clone(), format!("late-{number}"), is_let_go.clone()));
    let late: Vec<_> = late.map(tokio::spawn).collect();
    timeout(PATIENCE, is_held.notified()).await.expect("the thread is never held up");
    // Their begins have been read, and nobody has been answered: the messages are on their way when the calls are refused.
    let_go.send(true).unwrap();
    timeout(PATIENCE, first).await.unwrap().unwrap().unwrap();
    for call in late {
        assert_overloaded(&timeout(PATIENCE, call).await.unwrap().unwrap().unwrap_err());
    }
    let later = connection.charging().debit(within(PATIENCE, debit("later"))).await;
    assert!(later.is_ok(), "{later:?}");
    assert_eq!(usable(address).await, "998.00");
}

#[tokio::test]
async fn of_calls_that_have_waited_alike_only_those_of_hasty_callers_are_refused_and_no_streams_and_no_health_checks() {
    let (address, _) = lane().await;
    open(address).await;
    let connection = Burst::connect(address, 6, Arc::new(Barrier::new(1))).await;
    let [mut first, mut hasty, mut patient, mut endless, mut streaming] = std::array::from_fn(|_| connection.charging());
    let mut health = HealthClient::with_origin(connection.clone(), Burst::origin());
    let batch = v1::ChargeRequest { commands: vec![v1::ChargeCommand { command: Some(Command::Debit(debit("streamed"))) }] };
    // They begin in this order.
    let calls = async {
        futures_util::join!(
            first.debit(holding("first")),
            hasty.debit(within(SHORT, debit("hasty"))),
            patient.debit(within(LONG, debit("patient"))),
            endless.debit(debit("endless")),
            streaming.charge(within(SHORT, stream::iter([batch]))),
            health.check(within(SHORT, HealthCheckRequest::default())),
        )
    };
    let (first, hasty, patient, endless, streamed, health) = timeout(PATIENCE, calls).await.expect("there are no answers");
    assert_overloaded(&hasty.unwrap_err());
    for charged in [first, patient, endless] {
        assert!(charged.is_ok(), "{charged:?}");
    }
    assert!(health.is_ok(), "{health:?}");
    let outcomes = streamed.unwrap().into_inner().message().await.unwrap().unwrap().outcomes;
    assert!(matches!(outcomes[0].outcome, Some(charge_outcome::Outcome::Debit(_))), "{outcomes:?}");
    assert_eq!(usable(address).await, "996.00");
}
