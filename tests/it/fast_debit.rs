//! A Debit that takes the fast path, and one that takes the general one, get the same answer: the message, the status and its details.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::{BufMut, Bytes};
use http::{HeaderMap, Request};
use http_body_util::{BodyExt, StreamBody};
use jiff::tz::TimeZone;
use prost::Message;
use tokio_util::sync::CancellationToken;
use tollgate::clock::Clock;
use tollgate::domain::time::UnixMillis;
use tollgate::grpc::v1::{self, PaymentMode};
use tollgate::grpc::{AccessLayer, Health, services};
use tollgate::lanes::offload::Offload;
use tollgate::ledger::Ledger;
use tollgate::ledger::model::ModelEngine;
use tollgate::ledger::watch::Watchers;
use tollgate::service::UseCases;
use tollgate::service::admission::Limits;
use tonic::Status;
use tonic::body::Body;
use tonic_types::StatusExt;
use tower::ServiceExt;

pub const MOST: usize = 2_000;

/// What came back: status and headers of HTTP, the bytes of the answer, its trailers; and the details of an error, in one order.
pub type Answered = (u16, HeaderMap, Bytes, Option<HeaderMap>, String);

/// A call of a service, in frames, with headers.
pub async fn call(path: &str, frames: &[Bytes], headers: &[(&'static str, &str)], limits: Limits) -> Answered {
    let clock = Clock::manual(UnixMillis::new(1_800_000_000_000), TimeZone::UTC);
    let watchers = Watchers::default();
    let engine = Arc::new(ModelEngine::new(clock.clone(), 86_400_000, watchers.clone()));
    let ledger = Ledger::start(engine, watchers, clock);
    let use_cases = UseCases::new(ledger, None, Offload::start().unwrap(), limits, CancellationToken::new(), access::Access::open().into());
    let service = services(use_cases, Health::new(), MOST, AccessLayer::open());
    let create = v1::CreateAccountRequest {
        account_id: "acme".into(),
        request_id: "create".into(),
        name: "Acme".into(),
        currency_code: "USD".into(),
        mode: PaymentMode::Postpaid.into(),
        credit_limit: Some(v1::CreditLimitChange { permanent: money("10"), temporary: None }),
        ..Default::default()
    };
    send(service.clone(), "/tollgate.v1.AccountService/CreateAccount", &[framed(&create)], &[]).await;
    send(service, path, frames, headers).await
}

pub async fn send<S>(service: S, path: &str, frames: &[Bytes], headers: &[(&'static str, &str)]) -> Answered
where
    S: tower::Service<Request<Body>, Response = http::Response<Body>, Error = std::convert::Infallible>,
{
    let frames: Vec<_> = frames.iter().cloned().map(|bytes| Ok::<_, Status>(http_body::Frame::data(bytes))).collect();
    let mut request = Request::post(path).header("content-type", "application/grpc").header("te", "trailers");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let body = Body::new(StreamBody::new(futures_util::stream::iter(frames)));
    let (mut parts, body) = service.oneshot(request.body(body).unwrap()).await.unwrap().into_parts();
    let collected = body.collect().await.unwrap();
    let trailers = collected.trailers().cloned();
    let status = Status::from_header_map(&parts.headers);
    let details = status.map_or_else(String::new, |status| {
        let info = status.get_details_error_info().map(|info| (info.reason, BTreeMap::from_iter(info.metadata)));
        let (fields, resource) = (status.get_details_bad_request(), status.get_details_resource_info());
        format!("{info:?} {fields:?} {resource:?} {:?}", status.get_details_retry_info())
    });
    parts.headers.remove("grpc-status-details-bin");
    (parts.status.as_u16(), parts.headers, collected.to_bytes(), trailers, details)
}

fn money(amount: &str) -> Option<v1::Money> {
    Some(v1::Money { amount: amount.into(), currency_code: String::new() })
}

pub fn debit(amount: &str) -> v1::DebitRequest {
    v1::DebitRequest { account_id: "acme".into(), request_id: "r1".into(), amount: money(amount), ..Default::default() }
}

pub fn framed(message: &impl Message) -> Bytes {
    prefixed(0, u32::try_from(message.encoded_len()).unwrap(), &message.encode_to_vec())
}

pub fn prefixed(flag: u8, length: u32, message: &[u8]) -> Bytes {
    let mut frame = Vec::new();
    frame.put_u8(flag);
    frame.put_u32(length);
    frame.put_slice(message);
    frame.into()
}

/// The same in two frames, which the fast path leaves to the general one.
pub fn in_parts(frame: &Bytes) -> Vec<Bytes> {
    let middle = frame.len() / 2;
    vec![frame.slice(..middle), frame.slice(middle..)]
}

#[tokio::test]
async fn whatever_a_debit_asks_both_paths_answer_the_same() {
    let long = v1::DebitRequest { request_id: "r".repeat(MOST), ..debit("1") };
    let asked = [
        framed(&debit("1.50")),
        framed(&debit("0")),
        framed(&debit("11")),
        framed(&debit("-1")),
        framed(&debit("many")),
        framed(&v1::DebitRequest { account_id: "nobody".into(), ..debit("1") }),
        framed(&v1::DebitRequest { reservation_id: "none".into(), ..debit("1") }),
        framed(&v1::DebitRequest { request_id: String::new(), account_id: "?".into(), ..debit("1") }),
        framed(&v1::DebitRequest::default()),
        framed(&long),
        // What is no message.
        prefixed(0, 3, &[0xff, 0xff, 0xff]),
        // More, or less, than was said; compressed, and as nothing is.
        prefixed(0, 900, &debit("1").encode_to_vec()),
        prefixed(1, 4, &[1, 2, 3, 4]),
        prefixed(7, 4, &[1, 2, 3, 4]),
        [framed(&debit("1")), framed(&debit("2"))].concat().into(),
    ];
    for frame in &asked {
        for headers in [
            &[][..],
            &[("grpc-timeout", "10S")],
            &[("grpc-encoding", "identity")],
            &[("grpc-encoding", "gzip")],
            &[("grpc-encoding", "snappy")],
        ] {
            let of =
                |frames: Vec<Bytes>| async move { call("/tollgate.v1.ChargingService/Debit", &frames, headers, Limits::default()).await };
            let (fast, general) = (of(vec![frame.clone()]).await, of(in_parts(frame)).await);
            assert_eq!(fast, general, "{frame:?} {headers:?}");
            let with_end = of(vec![frame.clone(), Bytes::new()]).await;
            assert_eq!(with_end, general, "{frame:?} {headers:?}, the end in a frame of its own");
        }
    }
    let (_, _, message, trailers, ..) = call("/tollgate.v1.ChargingService/Debit", &[asked[0].clone()], &[], Limits::default()).await;
    let answer = v1::DebitResponse::decode(message.slice(5..)).unwrap();
    assert_eq!(answer.credit.unwrap().usable, "8.50");
    assert_eq!(trailers.unwrap()["grpc-status"], "0");
}

#[tokio::test]
async fn the_fast_path_lets_in_no_more_than_the_limit() {
    let limits = Limits { max_concurrent_requests: 0, ..Limits::default() };
    let (_, headers, message, ..) = call("/tollgate.v1.ChargingService/Debit", &[framed(&debit("1"))], &[], limits).await;
    assert_eq!((headers["grpc-status"].as_bytes(), message.len()), (&b"8"[..], 0));
}

#[tokio::test]
async fn no_message_at_all_is_refused_by_both() {
    let none = call("/tollgate.v1.ChargingService/Debit", &[], &[], Limits::default()).await;
    let empty = call("/tollgate.v1.ChargingService/Debit", &[Bytes::new()], &[], Limits::default()).await;
    assert_eq!(none, empty);
    assert_ne!(none.1["grpc-status"], "0");
}
