//! A4: what the user may not do is said before anything is begun; that it may not publish is nobody's trouble.

use std::path::Path;
use std::time::Duration;

use tollgate::grpc::v1::{self, PaymentMode};

use super::reason;
use crate::command::Operator;
use crate::postgres::PostgresServer;
use crate::service::{Client, Service, debit, until};
use crate::support::{RedisServer, valkey};

/// The ACL line of deploy/README.md, by words; its password is SECRET.
fn acl_line() -> Vec<&'static str> {
    let line = include_str!("../../../deploy/README.md").lines().find(|line| line.starts_with("ACL SETUSER tollgate"));
    line.unwrap().split_whitespace().collect()
}

fn url_of(redis: &RedisServer) -> String {
    format!("redis+unix://{}?user=tollgate&pass=SECRET", redis.socket().display())
}

async fn watch_acme(client: &mut Client) -> tonic::Streaming<v1::WatchUsableCreditResponse> {
    let request = v1::WatchUsableCreditRequest { account_id: "acme".into() };
    let mut watch = client.charging.watch_usable_credit(request).await.unwrap().into_inner();
    watch.message().await.unwrap().unwrap();
    watch
}

#[tokio::test]
async fn a_user_that_may_not_publish_charges_and_watches_all_the_same() {
    let redis = RedisServer::redis();
    redis.command(&["ACL", "SETUSER", "tollgate", "on", ">SECRET", "allkeys", "+@all", "resetchannels"]);
    let service = Service::redis(&url_of(&redis));
    let mut client = service.client().await;
    client.open("acme", PaymentMode::Prepaid, "0", "100").await;
    let mut watch = watch_acme(&mut client).await;
    for number in 1..=5 {
        if let Err(status) = client.charging.debit(debit("acme", &format!("d{number}"), "1")).await {
            panic!("the first attempt of charge {number} was refused: {} ({status:?})", reason(&status));
        }
    }
    let last = async { while watch.message().await.unwrap().unwrap().credit.unwrap().balance != "95.00" {} };
    tokio::time::timeout(Duration::from_secs(20), last).await.expect("the watcher never learnt of the last charge");
}

/// All that a service does, by a user with the documented rights and no others.
async fn does_everything_with_the_documented_rights(redis: RedisServer) {
    assert_eq!(redis.command(&acl_line()).trim(), "OK");
    let postgres = PostgresServer::shared();
    let (url, billing) = (url_of(&redis), postgres.database());
    let init = Operator::nowhere().run_words(&["init", "--redis", &url, "--billing", &billing]);
    assert!(init.status.success(), "{init:?}");
    let arguments = ["--redis", &url, "--billing", &billing, "--aggregate", "--journal-tail", "0", "--request-window", "24h"];
    let services = [Service::open(&arguments, &[]), Service::open(&arguments, &[])];
    let (mut client, mut other) = (services[0].client().await, services[1].client().await);
    client.open("acme", PaymentMode::Prepaid, "0", "100").await;
    let mut watch = watch_acme(&mut other).await;
    client.charging.debit(debit("acme", "d1", "1")).await.unwrap();
    // Soon enough that it must have been announced: by themselves, watchers look every 15 s.
    let heard = tokio::time::timeout(Duration::from_secs(5), watch.message()).await.expect("the change was not announced");
    assert_eq!(heard.unwrap().unwrap().credit.unwrap().balance, "99.00");
    let reserve = v1::Reserve { amount: crate::service::money("1"), ..Default::default() };
    for id in ["a1", "a2"] {
        let (account_id, request_id) = ("acme".into(), id.into());
        client
            .charging
            .authorize(v1::AuthorizeRequest { account_id, request_id, reserve: Some(reserve.clone()), ..Default::default() })
            .await
            .unwrap();
    }
    let release =
        v1::ReleaseRequest { account_id: "acme".into(), request_id: "r1".into(), reservation_id: "a1".into(), ..Default::default() };
    client.charging.release(release).await.unwrap();
    client.charging.debit(v1::DebitRequest { reservation_id: "a2".into(), ..debit("acme", "s2", "1") }).await.unwrap();
    let refund = v1::RefundRequest { account_id: "acme".into(), request_id: "f1".into(), charge_id: "d1".into(), ..Default::default() };
    client.charging.refund(refund).await.unwrap();
    let renamed =
        v1::UpdateAccountRequest { account_id: "acme".into(), request_id: "u1".into(), name: Some("Acme".into()), ..Default::default() };
    client.accounts.update_account(renamed).await.unwrap();
    assert_eq!(client.accounts.list_accounts(v1::ListAccountsRequest::default()).await.unwrap().into_inner().accounts.len(), 1);
    client.accounts.list_reservations(v1::ListReservationsRequest { account_id: "acme".into(), ..Default::default() }).await.unwrap();
    until("all is taken in, and the journal trimmed", || {
        let mut client = client.clone();
        let redis = &redis;
        async move {
            let found = client.billing.get_aggregation(v1::GetAggregationRequest {}).await.ok()?.into_inner().partitions;
            let blocks = redis.command(&[
                "EVAL",
                "local n = 0 for _, k in ipairs(redis.call('KEYS', '*:journal')) do n = n + redis.call('XLEN', k) end return n",
                "0",
            ]);
            // The newest block of each partition stays.
            (found.iter().all(|partition| partition.lag_entries == 0) && blocks.trim().parse::<u32>().unwrap() <= 4).then_some(())
        }
    })
    .await;
    drop(watch);
    for service in services {
        assert!(service.stopped().await.success());
    }
    let verified = Operator::nowhere().run_words(&["verify", "--redis", &url, "--billing", &billing]);
    assert!(verified.status.success(), "{verified:?}");
    assert!(!redis.command(&["ACL", "LOG"]).contains("username\ntollgate\n"), "{}", redis.command(&["ACL", "LOG"]));
}

#[tokio::test]
async fn redis_needs_the_documented_rights_and_no_others() {
    does_everything_with_the_documented_rights(RedisServer::redis()).await;
}

#[tokio::test]
async fn valkey_needs_the_documented_rights_and_no_others() {
    does_everything_with_the_documented_rights(RedisServer::start(&valkey(), &[])).await;
}

#[test]
fn each_right_that_is_missing_is_named_at_the_start() {
    let redis = RedisServer::start(Path::new("redis-server"), &[]);
    let url = url_of(&redis);
    // Announcements are hints: without them, a ledger is created and served.
    let hints = ["spublish", "ssubscribe", "ping"];
    for right in acl_line().into_iter().filter_map(|word| word.strip_prefix('+')).filter(|right| !hints.contains(right)) {
        redis.command(&acl_line());
        redis.command(&["ACL", "SETUSER", "tollgate", &format!("-{right}")]);
        let ended = Operator::nowhere().run_words(&["init", "--redis", &url, "--billing", "off"]);
        assert!(!ended.status.success(), "nobody missed {right}");
        assert!(ended.error.contains(&format!("({}, with", right.to_uppercase())), "{right}: {}", ended.error);
    }
    redis.command(&acl_line());
    redis.command(&["ACL", "SETUSER", "tollgate", "resetkeys", "~tollgate:settings"]);
    let ended = Operator::nowhere().run_words(&["init", "--redis", &url, "--billing", "off"]);
    assert!(ended.error.contains("GET and SET of tollgate:{"), "{}", ended.error);
    assert_eq!(redis.command(&["KEYS", "*"]).trim(), "");
}
