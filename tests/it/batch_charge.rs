//! A BatchCharge whose commands are counted before it is decoded: it gets the same answer as one that is not, unless it would be too late.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::FutureExt;
use jiff::tz::TimeZone;
use prost::Message;
use tokio_util::sync::CancellationToken;
use tollgate::clock::Clock;
use tollgate::domain::outcome::Refusal;
use tollgate::domain::time::UnixMillis;
use tollgate::grpc::v1::charge_command::Command;
use tollgate::grpc::v1::{BatchChargeRequest, BatchChargeResponse, ChargeCommand, GetUsableCreditRequest};
use tollgate::grpc::{AccessLayer, Health, services};
use tollgate::lanes::offload::Offload;
use tollgate::ledger::watch::Watchers;
use tollgate::ledger::{BatchAnswer, Ledger};
use tollgate::service::UseCases;
use tollgate::service::admission::Limits;

use crate::fast_debit::{MOST, call, debit, framed, in_parts, prefixed, send};
use crate::stand_in::StandIn;

const PATH: &str = "/tollgate.v1.ChargingService/BatchCharge";

fn batch(commands: impl IntoIterator<Item = Command>) -> BatchChargeRequest {
    BatchChargeRequest { commands: commands.into_iter().map(|command| ChargeCommand { command: Some(command) }).collect() }
}

#[tokio::test]
async fn whatever_a_batch_asks_it_is_answered_the_same_in_one_frame_and_in_two() {
    let asked = [
        framed(&batch([Command::Debit(debit("1.50"))])),
        framed(&batch(["1", "many", "-1"].map(|amount| Command::Debit(debit(amount))))),
        framed(&batch([])),
        framed(&BatchChargeRequest { commands: vec![ChargeCommand { command: None }] }),
        framed(&batch((0..200).map(|_| Command::Debit(debit("1"))))),
        prefixed(0, 3, &[0xff, 0xff, 0xff]),
        prefixed(0, 900, &batch([Command::Debit(debit("1"))]).encode_to_vec()),
        prefixed(1, 4, &[1, 2, 3, 4]),
    ];
    assert!(asked[4].len() > MOST);
    for frame in &asked {
        for headers in [&[][..], &[("grpc-timeout", "10S")], &[("grpc-encoding", "identity")], &[("grpc-encoding", "gzip")]] {
            let of = |frames: Vec<Bytes>| async move { call(PATH, &frames, headers, Limits::default()).await };
            let (whole, split) = (of(vec![frame.clone()]).await, of(in_parts(frame)).await);
            assert_eq!(whole, split, "{frame:?} {headers:?}");
        }
    }
    let (_, _, message, ..) = call(PATH, &asked[1..2], &[], Limits::default()).await;
    assert_eq!(BatchChargeResponse::decode(message.slice(5..)).unwrap().outcomes.len(), 3);
}

#[tokio::test]
async fn a_batch_that_would_be_too_late_is_refused_before_anything_of_it_is_decoded() {
    // Each step takes ten seconds, by the engine's own time.
    let (began, now) = (Instant::now(), Arc::new(AtomicU64::new(0)));
    let of_steps = Arc::clone(&now);
    let engine = StandIn::new(1, move |_, orders| {
        of_steps.fetch_add(10, Ordering::Relaxed);
        let answers = vec![Err(Refusal::AccountNotFound); orders.len()].into();
        async { Ok(BatchAnswer { answers, has_deferred: false }) }.boxed()
    });
    let engine = engine.in_time(move || began + Duration::from_secs(now.load(Ordering::Relaxed)));
    let clock = Clock::manual(UnixMillis::new(1_800_000_000_000), TimeZone::UTC);
    let ledger = Ledger::start(Arc::new(engine), Watchers::default(), clock);
    let (offload, access) = (Offload::start().unwrap(), access::Access::open().into());
    let use_cases = UseCases::new(ledger, None, offload, Limits::default(), CancellationToken::new(), access);
    let service = services(use_cases, Health::new(), MOST, AccessLayer::open());

    // As many as tell how long each takes.
    let looks = (0..32).map(|_| Command::GetUsableCredit(GetUsableCreditRequest { account_id: "acme".into() }));
    let (_, _, _, trailers, _) = send(service.clone(), PATH, &[framed(&batch(looks))], &[]).await;
    assert_eq!(trailers.unwrap()["grpc-status"], "0");

    // A command whose bytes are none.
    let broken = [prefixed(0, 3, &[0x0a, 0x01, 0xff])];
    let (_, headers, _, _, details) = send(service.clone(), PATH, &broken, &[("grpc-timeout", "100m")]).await;
    assert_eq!(headers["grpc-status"], "8");
    assert!(details.contains("OVERLOADED") && details.contains("retry_delay: Some"), "{details}");
    let (_, headers, ..) = send(service, PATH, &broken, &[]).await;
    assert_ne!(headers["grpc-status"], "8", "who waits is told what is wrong with it");
}
