//! A caller has its share: over it, it is refused, and others do not notice. Who fails to say who it is waits longer and longer.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use access::file::GrantEntry;
use serde_json::json;
use tonic::Code;
use tonic_types::StatusExt;

use super::callers::House;
use crate::service::until;

fn metric(house: &House, name: &str) -> f64 {
    let output = std::process::Command::new("curl").args(["-s", &format!("http://{}/metrics", house.service.metrics)]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("no {name} in {text}"));
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_over_its_share_is_refused_and_others_are_not() {
    let settings = ["--caller-requests-per-second", "20"];
    let (mut house, keys) = House::start_with(&[("root", "admin", &[]), ("greedy", "charge", &[])], &settings).await;
    let account = json!({ "accountId": "acme", "requestId": "c", "name": "Acme", "currencyCode": "EUR", "mode": "PAYMENT_MODE_PREPAID" });
    house.done(&keys[0], "AccountService/CreateAccount", account).await;
    let grant = GrantEntry { roles: vec!["charge".into()], requests_per_second: NonZeroU32::new(100_000), ..GrantEntry::default() };
    let ample = house.add("ample", grant);
    let look = json!({ "accountId": "acme" });
    until("the key is known", || async { house.call(Some(&ample), "ChargingService/GetUsableCredit", &look).await.ok() }).await;

    let house = Arc::new(house);
    let is_over = Arc::new(AtomicBool::new(false));
    let flood = tokio::spawn({
        let (house, is_over, greedy) = (Arc::clone(&house), Arc::clone(&is_over), keys[1].clone());
        async move {
            let (mut done, mut refused) = (0, Vec::new());
            while !is_over.load(Ordering::Relaxed) {
                match house.call(Some(&greedy), "ChargingService/GetUsableCredit", &json!({ "accountId": "acme" })).await {
                    Ok(_) => done += 1,
                    Err(status) => refused.push(status),
                }
            }
            (done, refused)
        }
    });
    let began = Instant::now();
    // More than the default of a second: the grant goes before it.
    for _ in 0..300 {
        house.done(&ample, "ChargingService/GetUsableCredit", look.clone()).await;
    }
    until("the greedy one is seen", || async { (metric(&house, "tollgate_callers_over_their_share ") >= 1.0).then_some(()) }).await;
    is_over.store(true, Ordering::Relaxed);
    let (done, refused) = flood.await.unwrap();
    let most = 20.0 + began.elapsed().as_secs_f64() * 20.0;
    assert!(f64::from(done) <= most + 2.0, "{done} of {most}");
    let status = refused.first().expect("it was never refused");
    let (info, retry) = (status.get_details_error_info().unwrap(), status.get_details_retry_info().unwrap());
    assert_eq!((status.code(), info.reason.as_str()), (Code::ResourceExhausted, "CALLER_LIMIT"));
    assert_eq!(info.metadata["limit"], "requests_per_second");
    let wait = retry.retry_delay.unwrap();
    assert!(wait > Duration::ZERO && wait <= Duration::from_millis(52), "{wait:?}");
    assert!(metric(&house, "tollgate_caller_limit_refusals_total{limit=\"requests_per_second\"}") >= 1.0);
    // By HTTP, too: 429, and when to come again.
    let mut told = (0, String::new(), String::new());
    while told.0 != 429 {
        assert!(began.elapsed() < crate::service::PATIENCE, "{told:?}");
        told = house.post(Some(&keys[1]), "charging/get-usable-credit", &look);
    }
    assert!(told.2.contains("CALLER_LIMIT"), "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_has_so_many_calls_under_way_and_no_more() {
    let (mut house, keys) = House::start(&[("root", "admin", &[])]).await;
    let account = json!({ "accountId": "acme", "requestId": "c", "name": "Acme", "currencyCode": "EUR", "mode": "PAYMENT_MODE_PREPAID" });
    house.done(&keys[0], "AccountService/CreateAccount", account).await;
    let grant = GrantEntry { roles: vec!["charge".into()], concurrent_calls: NonZeroU32::new(2), ..GrantEntry::default() };
    let few = house.add("few", grant);
    let look = json!({ "accountId": "acme" });
    until("the key is known", || async { house.call(Some(&few), "ChargingService/GetUsableCredit", &look).await.ok() }).await;
    let watch = || super::lasting::watch(&house, &few, "acme");
    let (first, _second) = (watch().await.unwrap(), watch().await.unwrap());
    let status = watch().await.unwrap_err();
    let info = status.get_details_error_info().unwrap();
    assert_eq!((info.reason.as_str(), info.metadata["limit"].as_str()), ("CALLER_LIMIT", "concurrent_calls"));
    assert_eq!(house.refused(&few, "ChargingService/GetUsableCredit", look.clone()).await, "CALLER_LIMIT");
    house.done(&keys[0], "ChargingService/GetUsableCredit", look.clone()).await;
    drop(first);
    until("a call has ended", || async { house.call(Some(&few), "ChargingService/GetUsableCredit", &look).await.ok() }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_authentications_of_an_address_are_told_later_and_later_and_hold_up_nobody() {
    let (house, keys) = House::start(&[("root", "admin", &[])]).await;
    let account = json!({ "accountId": "acme", "requestId": "c", "name": "Acme", "currencyCode": "EUR", "mode": "PAYMENT_MODE_PREPAID" });
    house.done(&keys[0], "AccountService/CreateAccount", account).await;
    let look = json!({ "accountId": "acme" });
    let mut wrong = keys[0].clone();
    wrong.replace_range(12..16, "AAAA");
    let fail = async || {
        let began = Instant::now();
        let status = house.call(Some(&wrong), "ChargingService/GetUsableCredit", &look).await.unwrap_err();
        assert_eq!(status.get_details_error_info().unwrap().reason, "CREDENTIALS_INVALID");
        began.elapsed()
    };
    for _ in 0..3 {
        fail().await;
    }
    // The refusals that follow are held back by 100, 200 and 400 ms; the calls of who is known, from the same address, are not.
    let is_over = AtomicBool::new(false);
    let failing = async {
        let mut waits = Vec::new();
        for _ in 0..3 {
            waits.push(fail().await);
        }
        is_over.store(true, Ordering::Relaxed);
        waits
    };
    let known = async {
        let mut quickest = Duration::MAX;
        while !is_over.load(Ordering::Relaxed) {
            let began = Instant::now();
            house.done(&keys[0], "ChargingService/GetUsableCredit", look.clone()).await;
            quickest = quickest.min(began.elapsed());
        }
        quickest
    };
    let (waits, quickest) = tokio::join!(failing, known);
    for (wait, least) in waits.iter().zip([100, 200, 400]) {
        assert!(*wait >= Duration::from_millis(least), "{waits:?}");
    }
    assert!(quickest < Duration::from_millis(100), "{quickest:?}");
    assert!(metric(&house, "tollgate_authentications_failed_total") >= 6.0);
}
