//! Customers are told once that their credit runs low, and not again for a while, whatever is replayed.

use std::path::Path;

use tollgate::grpc::v1::{self, MailKind, MailState, PaymentMode};

use super::ways::parts;
use super::{Fixture, MailServer, customer, mails, run, set_up};
use crate::postgres::PostgresServer;
use crate::service::{Client, Service, debit, money, until};
use crate::support::RedisServer;

/// Opens a prepaid account with 100.00 that is low below 50.00.
async fn account(client: &mut Client, id: &str, language: &str) {
    without_address(client, id).await;
    address(client, id, language).await;
}

async fn address(client: &mut Client, id: &str, language: &str) {
    let email = format!("konto@{id}.example");
    let customer = Some(v1::Party { name: format!("Customer {id}"), email, language: language.into(), ..Default::default() });
    let request = v1::SetBillingDetailsRequest { account_id: id.into(), customer, ..Default::default() };
    client.billing.set_billing_details(request).await.unwrap();
}

async fn without_address(client: &mut Client, id: &str) {
    client.open(id, PaymentMode::Prepaid, "0", "100").await;
    let low_credit = Some(v1::update_account_request::LowCredit::LowCreditThreshold(money("50").unwrap()));
    let request = v1::UpdateAccountRequest { account_id: id.into(), request_id: "threshold".into(), low_credit, ..Default::default() };
    client.accounts.update_account(request).await.unwrap();
}

/// A service that tells customers of low credit, and knows no mail server: mail waits.
async fn without_mail_server(fixture: &Fixture) -> (Service, Client) {
    let service = fixture.serve(&[], &[]);
    set_up(&service);
    run(&service, &["sending", "set", "--low-credit", "true"]);
    let client = service.client().await;
    (service, client)
}

async fn charge(client: &mut Client, id: &str, request: &str, amount: &str) {
    client.charging.debit(debit(id, request, amount)).await.unwrap();
}

async fn top_up(client: &mut Client, id: &str, request: &str, amount: &str) {
    let request = v1::TopUpRequest { account_id: id.into(), request_id: request.into(), amount: money(amount), ..Default::default() };
    client.accounts.top_up(request).await.unwrap();
}

/// The mails that credit runs low, of an account.
async fn told(client: &Client, id: &str) -> Vec<v1::Mail> {
    mails(client).await.into_iter().filter(|mail| mail.kind() == MailKind::LowCredit && mail.account_id == id).collect()
}

async fn aggregated(client: &Client) {
    until("all is aggregated", async || {
        let found = client.clone().billing.get_aggregation(v1::GetAggregationRequest {}).await.ok()?.into_inner().partitions;
        (!found.is_empty() && found.iter().all(|partition| partition.lag_entries == 0)).then_some(())
    })
    .await;
}

async fn sent(client: &Client, id: &str, count: usize) -> Vec<v1::Mail> {
    until(&format!("{id} was told {count} times"), async || {
        let found = told(client, id).await;
        (found.len() == count && found.iter().all(|mail| mail.state() == MailState::Sent)).then_some(found)
    })
    .await
}

async fn tells_once(fixture: &Fixture, serving: &[&str]) {
    let server = MailServer::start(fixture.folder.path(), 1, 0.0, None);
    let url = format!("smtp://127.0.0.1:{}?tls=none", server.port);
    let arguments: Vec<&str> = ["--smtp-url", &url, "--smtp-retry", "30ms"].into_iter().chain(serving.iter().copied()).collect();
    let service = fixture.serve(&arguments, &[]);
    set_up(&service);
    let mut client = service.client().await;
    for (id, language) in [("acme", "de"), ("off", "en"), ("early", "en")] {
        account(&mut client, id, language).await;
    }
    run(&service, &["sending", "set-account", "off", "--not", "low_credit"]);
    // While it is switched off for the service, nobody is told, nor afterwards of what happened then.
    charge(&mut client, "early", "one", "60").await;
    aggregated(&client).await;
    run(&service, &["sending", "set", "--low-credit", "true"]);
    charge(&mut client, "early", "two", "5").await;

    charge(&mut client, "acme", "one", "50").await;
    aggregated(&client).await;
    assert_eq!(told(&client, "acme").await, [], "at the threshold nothing is low");
    charge(&mut client, "acme", "two", "0.75").await;
    charge(&mut client, "acme", "three", "1").await;
    sent(&client, "acme", 1).await;
    let found = parts(&server.last());
    assert_eq!(found["headers"]["Subject"], "Ihr Guthaben bei Nordlicht geht zur Neige");
    assert_eq!(found["headers"]["To"], "konto@acme.example");
    for part in [0, 1] {
        let text = found["parts"][part]["text"].as_str().unwrap();
        for said in ["Customer acme", "EUR 48,25", "EUR 50,00", "IBAN DE02"] {
            assert!(text.contains(said), "{said}: {text}");
        }
    }
    charge(&mut client, "off", "one", "60").await;
    let switched_off = until("it is noted that it is off", async || told(&client, "off").await.pop()).await;
    assert_eq!((switched_off.state(), switched_off.recipient.as_str()), (MailState::Off, ""));

    // Up and down again within the day: not again; a day later: again.
    top_up(&mut client, "acme", "up", "100").await;
    charge(&mut client, "acme", "four", "100").await;
    aggregated(&client).await;
    assert_eq!(told(&client, "acme").await.len(), 1);
    fixture.go_to("2026-06-11T12:00:01Z");
    top_up(&mut client, "acme", "up-again", "100").await;
    aggregated(&client).await;
    until("the clock has moved", || {
        let mut client = client.clone();
        async move {
            charge(&mut client, "acme", &format!("tick-{}", number()), "0.01").await;
            let last = client.journal("acme").await.last()?.accepted_at?.seconds;
            (last >= "2026-06-11T12:00:01Z".parse::<jiff::Timestamp>().unwrap().as_second()).then_some(())
        }
    })
    .await;
    charge(&mut client, "acme", "five", "100").await;
    sent(&client, "acme", 2).await;
    assert_eq!(told(&client, "early").await, []);
    assert_eq!(server.events("taken").len(), 2);

    // A process that dies and comes back tells nobody again.
    service.kill();
    let service = fixture.serve(&arguments, &[]);
    let mut client = service.client().await;
    charge(&mut client, "acme", "six", "1").await;
    aggregated(&client).await;
    assert_eq!((told(&client, "acme").await.len(), server.events("taken").len()), (2, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_had_no_address_is_told_as_soon_as_there_is_one() {
    let fixture = Fixture::new(None);
    let (_service, mut client) = without_mail_server(&fixture).await;
    without_address(&mut client, "acme").await;
    let state = async |recipient: &str, state: MailState| {
        until(&format!("a mail to {recipient:?} is {state:?}"), async || {
            told(&client, "acme").await.into_iter().find(|mail| mail.recipient == recipient && mail.state() == state)
        })
        .await
    };
    let fall = async |number: u32| {
        top_up(&mut client.clone(), "acme", &format!("up-{number}"), "100").await;
        charge(&mut client.clone(), "acme", &format!("down-{number}"), "160").await;
        aggregated(&client).await;
        top_up(&mut client.clone(), "acme", &format!("up-again-{number}"), "60").await;
        aggregated(&client).await;
    };
    fall(1).await;
    state("", MailState::Failed).await;
    fall(2).await;
    assert_eq!(told(&client, "acme").await.len(), 1, "that nobody can be told is said once");
    address(&mut client.clone(), "acme", "en").await;
    fall(3).await;
    state("konto@acme.example", MailState::Waiting).await;
    fall(4).await;
    assert_eq!(told(&client, "acme").await.len(), 2);
}

/// A number that was not given before.
fn number() -> u32 {
    use std::sync::atomic::{AtomicU32, Ordering};

    static NEXT: AtomicU32 = AtomicU32::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_is_told_once_that_its_credit_runs_low_and_again_after_a_day() {
    tells_once(&Fixture::new(None), &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_on_redis_and_postgresql() {
    let (redis, postgres) = (RedisServer::redis(), PostgresServer::shared());
    let fixture = Fixture::on_redis(&redis, &postgres);
    tells_once(&fixture, &["--aggregate"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_longer_low_when_its_turn_comes_is_not_sent() {
    let fixture = Fixture::new(None);
    let (service, mut client) = without_mail_server(&fixture).await;
    for id in ["saved", "lost", "closed"] {
        account(&mut client, id, "en").await;
        charge(&mut client, id, "one", "60").await;
    }
    until("all wait", async || (mails(&client).await.len() == 3).then_some(())).await;
    top_up(&mut client, "saved", "up", "100").await;
    run(&service, &["account", "withdraw", "closed", "40", "--reason", "it ends"]);
    run(&service, &["account", "close", "closed", "--reason", "it ends"]);
    aggregated(&client).await;
    assert!(service.stopped().await.success());
    let server = MailServer::start(fixture.folder.path(), 1, 0.0, None);
    let url = format!("smtp://127.0.0.1:{}?tls=none", server.port);
    let service = fixture.serve(&["--smtp-url", &url], &[]);
    let client = service.client().await;
    sent(&client, "lost", 1).await;
    for id in ["saved", "closed"] {
        let is_off = async || told(&client, id).await.pop().filter(|mail| mail.state() == MailState::Off);
        let mail = until("it is not sent", is_off).await;
        assert!(mail.detail.contains("no longer low"), "{mail:?}");
    }
    assert_eq!(server.events("taken").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_postpaid_customer_is_told_when_its_limit_is_nearly_used_and_not_again_when_it_is_converted() {
    let fixture = Fixture::new(None);
    let service = fixture.serve(&[], &[]);
    set_up(&service);
    run(&service, &["sending", "set", "--low-credit", "true", "--low-credit-hours", "1"]);
    let mut client = service.client().await;
    customer(&mut client, "acme", "konto@acme.example", "en", "60").await;
    run(&service, &["account", "limit", "acme", "--limit", "100", "--reason", "less"]);
    let low_credit = Some(v1::update_account_request::LowCredit::LowCreditThreshold(money("50").unwrap()));
    let request = v1::UpdateAccountRequest { account_id: "acme".into(), request_id: "threshold".into(), low_credit, ..Default::default() };
    client.accounts.update_account(request).await.unwrap();
    until("it is to be told", async || (told(&client, "acme").await.len() == 1).then_some(())).await;
    // Within the same fall nothing tells it again, however late, whatever becomes of the account.
    fixture.go_to("2026-06-12T12:00:00Z");
    run(&service, &["account", "convert", "acme", "prepaid", "--limit", "100", "--reason", "asked for"]);
    top_up(&mut client, "acme", "up", "0.01").await;
    aggregated(&client).await;
    assert_eq!(told(&client, "acme").await.len(), 1);
}

/// Copies a store, which is then not the file that it was.
fn restore(folder: &Path, from: &str) {
    for name in ["ledger.billing.db"] {
        std::fs::copy(folder.join(from), folder.join("restored")).unwrap();
        for wal in ["-wal", "-shm"] {
            let _ = std::fs::remove_file(folder.join(format!("{name}{wal}")));
        }
        std::fs::rename(folder.join("restored"), folder.join(name)).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_billing_store_that_was_restored_and_takes_the_journal_in_again_tells_nobody_by_itself() {
    let fixture = Fixture::new(None);
    let server = MailServer::start(fixture.folder.path(), 1, 0.0, None);
    let url = format!("smtp://127.0.0.1:{}?tls=none", server.port);
    let service = fixture.serve(&["--smtp-url", &url], &[]);
    set_up(&service);
    run(&service, &["sending", "set", "--low-credit", "true"]);
    let mut client = service.client().await;
    account(&mut client, "acme", "en").await;
    aggregated(&client).await;
    assert!(service.stopped().await.success());
    std::fs::copy(fixture.folder.path().join("ledger.billing.db"), fixture.folder.path().join("backup")).unwrap();
    let service: Service = fixture.serve(&["--smtp-url", &url], &[]);
    let mut client = service.client().await;
    charge(&mut client, "acme", "one", "60").await;
    sent(&client, "acme", 1).await;
    assert!(service.stopped().await.success());
    restore(fixture.folder.path(), "backup");
    let service = fixture.serve(&["--smtp-url", &url], &[]);
    let client = service.client().await;
    aggregated(&client).await;
    let found = told(&client, "acme").await;
    assert!(found.iter().all(|mail| mail.state() == MailState::Waiting), "{found:?}");
    run(&service, &["sending", "go-on", "--drop-waiting", "--reason", "the original sent it"]);
    until("nothing waits", async || told(&client, "acme").await.iter().all(|mail| mail.state() == MailState::Off).then_some(())).await;
    assert_eq!(server.events("taken").len(), 1);
}
