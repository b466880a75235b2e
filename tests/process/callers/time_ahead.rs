//! T3: a ledger whose time is ahead of the clock says so; and a clock that is wrong now drags no ledger along.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use jiff::{Timestamp, ToSpan};
use tollgate::grpc::v1::{self, PaymentMode};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use super::{page, reason};
use crate::command::Operator;
use crate::service::{Client, Service, debit, money, until};
use crate::support::{RedisServer, temporary_folder, valkey};

/// A ledger whose time is so far ahead of the clock.
async fn make_ahead(folder: &Path, store: &[&str], seconds: i64) {
    let clock = folder.join("clock");
    std::fs::write(&clock, (Timestamp::now() + seconds.seconds()).to_string()).unwrap();
    let service = Service::start(&[store, &["--test-clock", clock.to_str().unwrap()]].concat(), &[]);
    let mut client = service.client().await;
    client.open("acme", PaymentMode::Prepaid, "0", "100").await;
    assert!(service.stopped().await.success());
}

async fn is_serving(service: &Service) -> bool {
    let channel = tonic::transport::Channel::from_shared(format!("http://{}", service.address)).unwrap().connect().await.unwrap();
    HealthClient::new(channel).check(HealthCheckRequest::default()).await.unwrap().into_inner().status == 1
}

async fn charges_go_on(client: &mut Client, id: &str) {
    client.charging.debit(debit("acme", id, "1")).await.unwrap();
}

/// The value of a metric of partition 0.
async fn metric(service: &Service, name: &str) -> Option<f64> {
    let text = page(service, "/metrics").await;
    let line = text.lines().find(|line| line.starts_with(name) && !line.starts_with('#'))?;
    line.rsplit(' ').next()?.parse().ok()
}

fn is_in_log(service: &Service, level: &str, text: &str) -> bool {
    service.log().iter().any(|line| line.contains(level) && line.contains(text))
}

async fn told_of(store: &[&str], folder: &Path) {
    make_ahead(folder, store, 20).await;
    let service = Service::start(store, &[]);
    let mut client = service.client().await;
    let is_told = || async { page(&service, "/healthz").await.contains("warning: the time of partition 0 is").then_some(()) };
    until("the warning", is_told).await;
    assert!(page(&service, "/healthz").await.starts_with("HTTP/1.1 200"));
    assert!(metric(&service, "tollgate_partition_ahead_seconds").await.is_some_and(|seconds| seconds > 2.0 && seconds <= 20.0));
    assert!(is_in_log(&service, "ERROR", "ahead of the clock"), "{:#?}", service.log());
    assert!(is_serving(&service).await);
    charges_go_on(&mut client, "d1").await;
    let status = Operator::of(&service).run("aggregation");
    assert!(status.error.contains("ahead of the clock"), "{status:?}");
    // Its time stands: it is told of until the clock has caught up.
    until("the clock has caught up", || async { (!page(&service, "/healthz").await.contains("warning")).then_some(()) }).await;
    until("a line that says so", || async { is_in_log(&service, "INFO", "has caught up").then_some(()) }).await;
    assert_eq!(service.log().iter().filter(|line| line.contains("ERROR")).count(), 1, "a line a minute");
}

#[tokio::test]
async fn a_ledger_a_little_ahead_of_the_clock_is_told_of_and_charges_on_redis() {
    let (redis, folder) = (RedisServer::redis(), temporary_folder());
    told_of(&["--redis", &redis.url(), "--partitions", "1"], folder.path()).await;
}

#[tokio::test]
async fn a_ledger_a_little_ahead_of_the_clock_is_told_of_and_charges_on_the_embedded_engine() {
    let folder = temporary_folder();
    told_of(&["--store", folder.path().join("ledger.db").to_str().unwrap()], folder.path()).await;
}

#[tokio::test]
async fn a_ledger_an_hour_ahead_of_the_clock_is_not_served_unless_an_operator_says_so() {
    let (redis, folder) = (RedisServer::redis(), temporary_folder());
    let url = redis.url();
    let store = ["--redis", &url, "--partitions", "1"];
    make_ahead(folder.path(), &store, 3600).await;
    let service = Service::start(&store, &[]);
    let mut client = service.client().await;
    until("the reason", || async { page(&service, "/healthz").await.contains("s ahead of the clock").then_some(()) }).await;
    let health = page(&service, "/healthz").await;
    assert!(health.starts_with("HTTP/1.1 503") && health.contains("--serve-ahead"), "{health}");
    assert!(!is_serving(&service).await);
    charges_go_on(&mut client, "d1").await;
    drop(service);
    let service = Service::start(&[store.as_slice(), &["--serve-ahead"]].concat(), &[]);
    until("it is served", || async { is_serving(&service).await.then_some(()) }).await;
    until("it is on record", || async { is_in_log(&service, "ERROR", "--serve-ahead").then_some(()) }).await;
    assert_eq!(metric(&service, "tollgate_serve_ahead").await, Some(1.0));
}

#[tokio::test]
async fn a_ledger_more_than_a_minute_ahead_is_served_again_once_the_clock_has_caught_up() {
    let folder = temporary_folder();
    let path = folder.path().join("ledger.db");
    let store = ["--store", path.to_str().unwrap()];
    make_ahead(folder.path(), &store, 66).await;
    let service = Service::start(&store, &[]);
    until("it is not served", || async { page(&service, "/healthz").await.contains("s ahead of the clock: wait").then_some(()) }).await;
    until("it is served", || async { is_serving(&service).await.then_some(()) }).await;
}

#[tokio::test]
async fn a_redis_whose_clock_is_wrong_drags_no_ledger_along() {
    let folder = temporary_folder();
    let offset = folder.path().join("offset");
    std::fs::write(&offset, "+0\n").unwrap();
    // Valkey, because Debian's Redis does not start under libfaketime. Its monotonic clock stays right.
    let wrapper = folder.path().join("redis");
    let script = format!(
        "#!/bin/sh\nexec env LD_PRELOAD={} FAKETIME_TIMESTAMP_FILE={} FAKETIME_NO_CACHE=1 FAKETIME_DONT_FAKE_MONOTONIC=1 {} \"$@\"\n",
        crate::embedded::faketime().display(),
        offset.display(),
        valkey().display()
    );
    std::fs::write(&wrapper, script).unwrap();
    std::fs::set_permissions(&wrapper, std::fs::Permissions::from_mode(0o755)).unwrap();
    let redis = RedisServer::start(&wrapper, &[]);
    let service = Service::start(&["--redis", &redis.url(), "--partitions", "1"], &[]);
    let mut client = service.client().await;
    client.open("acme", PaymentMode::Prepaid, "0", "100").await;
    until("it is served", || async { is_serving(&service).await.then_some(()) }).await;

    std::fs::write(&offset, "+3600\n").unwrap();
    until("the difference is seen", || async { (!is_serving(&service).await).then_some(()) }).await;
    let refused = client.charging.debit(debit("acme", "d1", "1")).await;
    assert_eq!(refused.map(|answer| answer.into_inner().outcome).map_err(|status| reason(&status)), Err("STORE_UNAVAILABLE".to_owned()));
    let health = page(&service, "/healthz").await;
    assert!(health.contains("differ by"), "{health}");
    let offset_shown = metric(&service, "tollgate_clock_offset_seconds").await.unwrap();
    assert!((-3_660.0..-3_540.0).contains(&offset_shown), "{offset_shown}");

    std::fs::write(&offset, "+0\n").unwrap();
    until("it is served again", || async { is_serving(&service).await.then_some(()) }).await;
    charges_go_on(&mut client, "d1").await;
    // A reservation of a second lives for a second.
    let (validity, grace) = (prost_types::Duration { seconds: 1, nanos: 0 }, prost_types::Duration { seconds: 0, nanos: 1_000_000 });
    let reserve = v1::Reserve { amount: money("1"), validity: Some(validity), grace: Some(grace), ..Default::default() };
    let request = v1::AuthorizeRequest { account_id: "acme".into(), request_id: "a1".into(), reserve: Some(reserve), ..Default::default() };
    client.charging.authorize(request).await.unwrap();
    until("it expires", || async { (client.clone().credit("acme").await.reserved == "0.00").then_some(()) }).await;
    assert!(metric(&service, "tollgate_partition_ahead_seconds").await.unwrap_or_default() < 2.0);
}
