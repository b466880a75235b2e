//! A journal that nobody takes in refuses what is new, and lets what is under way come to its end; what was trimmed is still found.

use std::time::Duration;

use tokio::time::sleep;
use tollgate::grpc::v1::{self, PaymentMode};
use tollgate::ledger::prepared_command::partition_of;
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::aggregation::process::Aggregator;
use crate::postgres::PostgresServer;
use crate::service::{Client, Service, debit, money, until};
use crate::support::RedisServer;

fn reason(status: &Status) -> (Code, String) {
    (status.code(), status.get_details_error_info().map(|info| info.reason).unwrap_or_default())
}

fn full() -> (Code, String) {
    (Code::Unavailable, "JOURNAL_FULL".to_owned())
}

fn authorize(account: &str, request_id: &str) -> v1::AuthorizeRequest {
    let reserve = Some(v1::Reserve { amount: money("1"), ..Default::default() });
    v1::AuthorizeRequest { account_id: account.into(), request_id: request_id.into(), reserve, ..Default::default() }
}

async fn fill(client: &mut Client, account: &str) -> usize {
    for number in 0..5_000 {
        match client.charging.debit(debit(account, &format!("fill-{number}"), "0.01")).await {
            Ok(_) => sleep(Duration::from_millis(2)).await,
            Err(status) => {
                assert_eq!(reason(&status), full());
                return number;
            }
        }
    }
    panic!("the journal never was full");
}

#[tokio::test]
async fn a_full_journal_refuses_what_is_new_until_it_is_aggregated_and_nothing_is_lost_by_trimming() {
    let (redis, postgres) = (RedisServer::redis(), PostgresServer::shared());
    let billing = postgres.database();
    let limits = ["--redis", &redis.url(), "--journal-tail", "10", "--journal-high-water", "60"];
    let service = Service::start(&limits, &[("TOLLGATE_BILLING", &billing)]);
    let mut client = service.client().await;
    client.open("acme", PaymentMode::Prepaid, "0", "1000").await;
    let elsewhere = |id: &String| partition_of(id, 4) != partition_of("acme", 4);
    let other = (0..).map(|number| format!("other-{number}")).find(elsewhere).unwrap();
    client.open(&other, PaymentMode::Prepaid, "0", "1000").await;
    for hold in ["hold-1", "hold-2", "hold-3"] {
        client.charging.authorize(authorize("acme", hold)).await.unwrap();
    }
    let filled = fill(&mut client, "acme").await;

    let refused = client.charging.authorize(authorize("acme", "late")).await.unwrap_err();
    assert_eq!(reason(&refused), full());
    assert!(refused.get_details_retry_info().unwrap().retry_delay.is_some());
    let report = |hold: &str| v1::DebitRequest { reservation_id: hold.into(), ..debit("acme", &format!("report-{hold}"), "0.5") };
    let reserve = v1::Reserve { amount: money("1"), ..Default::default() };
    let again = v1::DebitRequest { remainder: Some(v1::debit_request::Remainder::Reserve(Box::new(reserve))), ..report("hold-1") };
    assert_eq!(reason(&client.charging.debit(again).await.unwrap_err()), full());
    // Settling, releasing, refunds, credits, and every other partition go on.
    client.charging.debit(report("hold-1")).await.unwrap();
    let release = v1::ReleaseRequest {
        account_id: "acme".into(),
        request_id: "release".into(),
        reservation_id: "hold-2".into(),
        ..Default::default()
    };
    client.charging.release(release).await.unwrap();
    let refund = |charge: &str, request: &str| v1::RefundRequest {
        account_id: "acme".into(),
        request_id: request.into(),
        charge_id: charge.into(),
        ..Default::default()
    };
    client.charging.refund(refund("report-hold-1", "refund-1")).await.unwrap();
    let top_up = v1::TopUpRequest { account_id: "acme".into(), request_id: "more".into(), amount: money("1"), ..Default::default() };
    client.accounts.top_up(top_up).await.unwrap();
    client.charging.debit(debit(&other, "d1", "1")).await.unwrap();
    // Reads too.
    client.credit("acme").await;

    let aggregator = Aggregator::start(&redis.url(), &billing, &["--journal-tail", "10"]);
    until("charges are taken again", || {
        let mut client = client.clone();
        async move { client.charging.debit(debit("acme", "at-last", "1")).await.ok() }
    })
    .await;
    // The beginning is no longer in the journal, but it is known.
    let entries = client.journal("acme").await;
    assert_eq!(entries.first().unwrap().kind(), v1::EntryKind::Created);
    let sequences: Vec<_> = entries.iter().filter(|entry| entry.account_sequence > 0).map(|entry| entry.account_sequence).collect();
    assert_eq!(sequences, (1..=i64::try_from(sequences.len()).unwrap()).collect::<Vec<_>>());
    assert!(filled > 10);
    client.charging.refund(refund("fill-0", "refund-late")).await.unwrap();
    let unknown = client.charging.refund(refund("never-was", "refund-never")).await.unwrap_err();
    assert!(["CHARGE_NO_LONGER_KNOWN", "CHARGE_NOT_FOUND"].contains(&reason(&unknown).1.as_str()));
    drop(aggregator);
}
