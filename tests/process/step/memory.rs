//! A7: a Redis at its maxmemory is read, swept, and goes on by itself when there is room again.

use tollgate::grpc::v1::charge_command::Command;
use tollgate::grpc::v1::{self, PaymentMode};

use super::{reason, what_became_of};
use crate::service::{Service, debit, money, until};
use crate::support::{RedisServer, temporary_folder};

/// How many fields the hashes and members the sets of that name have, over all partitions.
fn count(redis: &RedisServer, name: &str, command: &str) -> u32 {
    let script = "local n = 0 for _, key in ipairs(redis.call('KEYS', '*}:' .. ARGV[1])) do n = n + redis.call(ARGV[2], key) end return n";
    let counted = redis.command(&["EVAL_RO", script, "0", name, command]);
    counted.trim().parse().unwrap_or_else(|_| panic!("{counted}"))
}

#[tokio::test]
async fn a_redis_without_memory_is_read_and_swept_and_goes_on_when_there_is_room() {
    let (redis, folder) = (RedisServer::redis(), temporary_folder());
    let clock = folder.path().join("clock");
    let set_clock = |instant: &str| {
        std::fs::write(clock.with_extension("new"), instant).unwrap();
        std::fs::rename(clock.with_extension("new"), &clock).unwrap();
    };
    set_clock("2026-05-01T12:00:00Z");
    let url = redis.url();
    let arguments = ["--redis", &url, "--test-clock", clock.to_str().unwrap(), "--request-window", "10m"];
    let service = Service::start(&arguments, &[]);
    let mut client = service.client().await;
    client.open("acme", PaymentMode::Prepaid, "0", "100").await;
    client.charging.debit(debit("acme", "d1", "1")).await.unwrap();
    let validity = Some(prost_types::Duration { seconds: 60, nanos: 0 });
    let reserve = Some(v1::Reserve { amount: money("5"), validity, ..Default::default() });
    let authorize = v1::AuthorizeRequest { account_id: "acme".into(), request_id: "a1".into(), reserve, ..Default::default() };
    client.charging.authorize(authorize.clone()).await.unwrap();

    redis.command(&["CONFIG", "SET", "maxmemory", "1"]);
    assert_eq!(client.credit("acme").await.usable, "94.00");
    client.accounts.get_account(v1::GetAccountRequest { account_id: "acme".into() }).await.unwrap();
    assert!(client.charging.debit(debit("acme", "d1", "1")).await.unwrap().into_inner().replayed);
    assert!(client.charging.authorize(authorize).await.unwrap().into_inner().replayed);
    for request in ["d2", "d3"] {
        assert_eq!(reason(&client.charging.debit(debit("acme", request, "1")).await.unwrap_err()), "STORE_FULL");
    }
    assert_eq!(client.credit("acme").await.balance, "99.00");

    // The reservation expires, and is swept away: only the sentinels of the four partitions are left.
    set_clock("2026-05-01T12:05:00Z");
    until("the reservation is swept away", async || (count(&redis, "reservations", "HLEN") == 4).then_some(())).await;
    let credit = client.credit("acme").await;
    assert_eq!((credit.reserved.as_str(), credit.usable.as_str()), ("0.00", "99.00"));
    // Two windows later, the ids are forgotten.
    assert!(count(&redis, "requests*", "HLEN") > 8);
    let mut now: jiff::Timestamp = "2026-05-01T12:05:00Z".parse().unwrap();
    until("the ids are forgotten", || {
        now += jiff::SignedDuration::from_mins(10);
        set_clock(&now.to_string());
        std::future::ready((count(&redis, "requests*", "HLEN") == 8).then_some(()))
    })
    .await;

    redis.command(&["CONFIG", "SET", "maxmemory", "0"]);
    client.charging.debit(debit("acme", "d2", "1")).await.unwrap();
    assert_eq!(client.credit("acme").await.balance, "98.00");
}

#[tokio::test]
async fn what_is_refused_for_want_of_memory_is_refused_alone() {
    let redis = RedisServer::redis();
    let service = Service::redis(&redis.url());
    let mut client = service.client().await;
    client.open("acme", PaymentMode::Prepaid, "0", "100").await;
    client.charging.debit(debit("acme", "d1", "1")).await.unwrap();
    redis.command(&["CONFIG", "SET", "maxmemory", "1"]);
    let command = |command| v1::ChargeCommand { command: Some(command) };
    let look = Command::GetUsableCredit(v1::GetUsableCreditRequest { account_id: "acme".into() });
    let commands = [Command::Debit(debit("acme", "d1", "1")), Command::Debit(debit("acme", "d2", "1")), look].map(command).to_vec();
    let requests = tokio_stream::iter([v1::ChargeRequest { commands }]);
    let answer = client.charging.charge(requests).await.unwrap().into_inner().message().await.unwrap().unwrap();
    let outcomes: Vec<_> = answer.outcomes.into_iter().map(what_became_of).collect();
    assert_eq!(outcomes, ["done", "STORE_FULL", "done"]);
    redis.command(&["CONFIG", "SET", "maxmemory", "0"]);
    client.charging.debit(debit("acme", "d2", "1")).await.unwrap();
}
