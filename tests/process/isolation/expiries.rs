//! A1: two hundred thousand reservations that are due at once hold up nobody's charges.

use std::time::{Duration, Instant};

use tollgate::grpc::v1::charge_command::Command;
use tollgate::grpc::v1::{self, PaymentMode};

use crate::service::{Client, Service, debit, money, until};
use crate::support::{RedisServer, temporary_folder};

const ACCOUNTS: usize = 20;
/// As many as an account may have.
const RESERVATIONS: usize = 10_000;

/// How long another customer's debit may take meanwhile, on a busy machine and with a debug build. Before, it was 7 s.
const MOST: Duration = Duration::from_secs(1);

async fn reserve_much(client: &mut Client, account: &str) {
    let day = Some(prost_types::Duration { seconds: 3_600, nanos: 0 });
    let requests = (0..RESERVATIONS / 500).map({
        let account = account.to_owned();
        move |batch| {
            let command = |number: usize| {
                let reserve = v1::Reserve { amount: money("0.01"), validity: day, grace: day, ..Default::default() };
                let request = v1::AuthorizeRequest {
                    account_id: account.clone(),
                    request_id: format!("a-{batch}-{number}"),
                    reserve: Some(reserve),
                    ..Default::default()
                };
                v1::ChargeCommand { command: Some(Command::Authorize(request)) }
            };
            v1::ChargeRequest { commands: (0..500).map(command).collect() }
        }
    });
    let requests: Vec<_> = requests.collect();
    let count = requests.len();
    let mut answers = client.charging.charge(futures_util::stream::iter(requests)).await.unwrap().into_inner();
    for _ in 0..count {
        answers.message().await.unwrap().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_thousand_reservations_that_are_due_at_once_hold_up_nobody() {
    let (redis, folder) = (RedisServer::redis(), temporary_folder());
    let clock = folder.path().join("clock");
    std::fs::write(&clock, "2026-03-10T12:00:00Z").unwrap();
    let service = Service::start(&["--redis", &redis.url(), "--partitions", "1", "--test-clock", clock.to_str().unwrap()], &[]);
    let mut client = service.client().await;
    client.open("other", PaymentMode::Prepaid, "0", "1000").await;
    for number in 0..ACCOUNTS {
        let account = format!("full-{number}");
        client.open(&account, PaymentMode::Prepaid, "1000", "0").await;
        reserve_much(&mut client, &account).await;
    }
    let expiries = redis.command(&["KEYS", "*:expiries"]).trim().to_owned();
    let left = || redis.command(&["ZCARD", &expiries]).trim().parse::<usize>().unwrap() - 1;
    assert_eq!(left(), ACCOUNTS * RESERVATIONS);

    std::fs::write(folder.path().join("next"), "2026-03-10T15:00:00Z").unwrap();
    std::fs::rename(folder.path().join("next"), &clock).unwrap();
    until("the sweep has begun", async || (left() < ACCOUNTS * RESERVATIONS).then_some(())).await;
    // Those whose reservations are due charge, too, all of them in one batch.
    let mut charging = client.clone();
    let all = tokio::spawn(async move {
        let commands =
            (0..ACCOUNTS).map(|number| v1::ChargeCommand { command: Some(Command::Debit(debit(&format!("full-{number}"), "d", "1"))) });
        let request = v1::ChargeRequest { commands: commands.collect() };
        let begun = Instant::now();
        let mut answers = charging.charging.charge(futures_util::stream::iter([request])).await.unwrap().into_inner();
        let answer = answers.message().await.unwrap().unwrap();
        assert_eq!(answer.outcomes.len(), ACCOUNTS);
        begun.elapsed()
    });
    let (begun, mut took) = (Instant::now(), Vec::new());
    while left() > 0 || took.len() < 50 {
        let asked = Instant::now();
        client.charging.debit(debit("other", &format!("d{}", took.len()), "0.01")).await.unwrap();
        took.push(asked.elapsed());
        assert!(begun.elapsed() < Duration::from_secs(120), "{} are left", left());
    }
    took.sort_unstable();
    let (median, most) = (took[took.len() / 2], took[took.len() - 1]);
    let p99 = took[took.len() * 99 / 100];
    println!("swept in {:?}: {} debits of another customer, p50 {median:?}, p99 {p99:?}, at most {most:?}", begun.elapsed(), took.len());
    println!("the debits of the accounts whose reservations were due: {:?}", all.await.unwrap());
    assert!(most < MOST, "another customer's debit took {most:?}");
    for number in 0..ACCOUNTS {
        let credit = client.credit(&format!("full-{number}")).await;
        assert_eq!((credit.reserved.as_str(), credit.balance.as_str()), ("0.00", "-1.00"));
    }
}
