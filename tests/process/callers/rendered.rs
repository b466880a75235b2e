//! T1: what is shown of an account is shown as of the instant by which it is decided on, which may be ahead of this machine's clock.

use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use tollgate::grpc::v1::{self, PaymentMode};

use crate::service::{Client, Service, debit, money};
use crate::support::{RedisServer, temporary_folder};

/// A ledger whose time is half a minute ahead of the clock, and an account whose temporary limit has ended by then, though not by the clock.
async fn make_ahead(folder: &Path, store: &[&str]) {
    let clock = folder.join("clock");
    let go_to = |instant: Timestamp| {
        std::fs::write(folder.join("next"), instant.to_string()).unwrap();
        std::fs::rename(folder.join("next"), &clock).unwrap();
    };
    let now = Timestamp::now();
    go_to(now);
    let service = Service::start(&[store, &["--test-clock", clock.to_str().unwrap()]].concat(), &[]);
    let mut client = service.client().await;
    client.open("acme", PaymentMode::Postpaid, "100", "0").await;
    let until = now + SignedDuration::from_secs(25);
    let end = v1::temporary_credit_limit::End::Until(prost_types::Timestamp { seconds: until.as_second(), nanos: 0 });
    let temporary = v1::TemporaryCreditLimit { limit: money("500"), end: Some(end) };
    let change = v1::credit_limit_change::Temporary::SetTemporary(temporary);
    let request = v1::SetCreditLimitRequest {
        account_id: "acme".into(),
        request_id: "raise".into(),
        credit_limit: Some(v1::CreditLimitChange { permanent: None, temporary: Some(change) }),
        operator: Some(v1::Operator { actor: "ann".into(), reason: "a test".into() }),
        ..Default::default()
    };
    client.accounts.set_credit_limit(request).await.unwrap();
    go_to(now + SignedDuration::from_secs(30));
    crate::service::until("the limit has ended", async || (client.clone().credit("acme").await.usable == "100.00").then_some(())).await;
    client.charging.debit(debit("acme", "d1", "1")).await.unwrap();
    assert!(service.stopped().await.success());
}

async fn shown(client: &mut Client) -> [String; 3] {
    let watch = v1::WatchUsableCreditRequest { account_id: "acme".into() };
    let watched = client.charging.watch_usable_credit(watch).await.unwrap().into_inner().message().await.unwrap().unwrap();
    let listed = client.accounts.list_accounts(v1::ListAccountsRequest::default()).await.unwrap().into_inner().accounts.remove(0);
    assert_eq!(listed.temporary_limit, None);
    [watched.credit.unwrap().usable, listed.credit.unwrap().usable, client.credit("acme").await.usable]
}

/// A debit that only the limit that has ended would have covered: the usable credit that it is declined with.
async fn declined(client: &mut Client) -> String {
    let answer = client.charging.debit(debit("acme", "too-much", "120")).await.unwrap().into_inner();
    assert!(matches!(answer.outcome, Some(v1::debit_response::Outcome::Declined(_))), "{answer:?}");
    answer.credit.unwrap().usable
}

#[tokio::test]
async fn lists_and_watches_show_what_the_next_charge_can_use_though_the_ledger_is_ahead_of_the_clock() {
    let (redis, folders) = (RedisServer::redis(), [temporary_folder(), temporary_folder()]);
    let (path, url) = (folders[0].path().join("ledger.db"), redis.url());
    for (folder, store) in folders.iter().zip([["--store", path.to_str().unwrap()], ["--redis", &url]]) {
        make_ahead(folder.path(), &store).await;
        let service = Service::start(&store, &[]);
        let mut client = service.client().await;
        assert_eq!(shown(&mut client).await, ["99.00"; 3], "{store:?}");
        assert_eq!(declined(&mut client).await, "99.00", "{store:?}");
        if store[0] == "--store" {
            let request = v1::SuggestCreditLimitRequest { account_id: "acme".into() };
            let suggested = crate::service::until("the billing store answers", async || {
                client.billing.clone().suggest_credit_limit(request.clone()).await.ok()
            });
            assert_eq!(suggested.await.into_inner().current_limit.unwrap().amount, "100.00");
        }
        assert!(service.stopped().await.success());
    }
}
