//! A ledger is never taken for another one.

mod billing;
mod restored;

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use tollgate::grpc::v1::{self, PaymentMode};
use tonic::Code;

use crate::command::{Ended, Operator};
use crate::postgres::PostgresServer;
use crate::service::{Client, Service, binary, debit, until};
use crate::support::{RedisServer, temporary_folder};

/// Runs a command of the binary in a folder, for at most so long: what still runs then is ended.
fn run_in(folder: &Path, words: &[&str]) -> Ended {
    let mut command = Command::new("timeout");
    command.arg("20").arg(binary()).args(words).current_dir(folder).env_clear().env("USER", "tester");
    let output = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Ended { status: output.status, output: text(output.stdout), error: text(output.stderr) }
}

/// `tollgate serve` that does not come to serve.
pub fn serve_in_vain(folder: &Path, words: &[&str]) -> Ended {
    let ended = run_in(folder, &[&["serve", "--listen", "127.0.0.1:0", "--metrics-listen", "off"], words].concat());
    assert_eq!(ended.status.code(), Some(1), "it serves, or waits: {ended:?}");
    ended
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Waits until the billing store has a service's journal.
/// Waits until the billing store has all that the ledger has.
pub async fn until_billed(service: &Service) {
    let client = service.client().await;
    until("the billing store follows", || {
        let mut client = client.clone();
        async move {
            let found = client.billing.get_aggregation(v1::GetAggregationRequest {}).await.ok()?.into_inner().partitions;
            (!found.is_empty() && found.iter().all(|partition| partition.lag_entries == 0)).then_some(())
        }
    })
    .await;
}

/// The id of the ledger in a Redis.
fn id_in(redis: &RedisServer) -> String {
    id_of(&redis.command(&["GET", "tollgate:settings"]))
}

fn id_of(stored: &str) -> String {
    let stored: serde_json::Value = serde_json::from_str(stored).unwrap();
    stored["ledger"].as_str().unwrap().to_owned()
}

#[test]
fn an_empty_redis_is_refused_and_stays_empty() {
    let (redis, folder) = (RedisServer::redis(), temporary_folder());
    let url = redis.url();
    let ended = serve_in_vain(folder.path(), &["--redis", &url, "--billing", "off"]);
    assert!(ended.error.contains("the store is empty"), "{ended:?}");
    for words in [
        ["aggregate", "--metrics-listen", "off"].as_slice(),
        &["verify"],
        &["reconcile"],
        &["reconcile", "--accept-loss", "--actor", "eve", "--reason", "test"],
    ] {
        let ended = run_in(folder.path(), &[words, &["--redis", &url, "--billing", "sqlite://billing.db"]].concat());
        assert_eq!(ended.status.code(), Some(1), "{words:?}: {ended:?}");
        assert_eq!(redis.command(&["KEYS", "*"]).trim(), "", "{words:?}");
    }
    assert_eq!(names(folder.path()), Vec::<String>::new());
}

#[tokio::test]
async fn a_redis_that_lost_its_ledger_is_not_made_a_new_one() {
    let (redis, postgres, folder) = (RedisServer::redis(), PostgresServer::shared(), temporary_folder());
    let (url, billing) = (redis.url(), postgres.database());
    let service = Service::start(&["--redis", &url, "--aggregate", "--billing", &billing], &[]);
    let mut client = service.client().await;
    client.open("acme", PaymentMode::Prepaid, "0", "10").await;
    until_billed(&service).await;
    let stored = redis.command(&["GET", "tollgate:settings"]);
    assert!(service.stopped().await.success());
    redis.command(&["FLUSHALL"]);
    for words in [
        ["--redis", &url, "--billing", &billing].as_slice(),
        &["--redis", &url, "--billing", &billing, "--aggregate"],
        &["--redis", &url, "--billing", &billing, "--create"],
    ] {
        let ended = serve_in_vain(folder.path(), words);
        assert!(ended.error.contains("restore"), "{ended:?}");
    }
    let id = id_of(&stored);
    let ended = run_in(folder.path(), &["init", "--redis", &url, "--billing", &billing]);
    assert_eq!(ended.status.code(), Some(1), "{ended:?}");
    assert!(ended.error.contains(&format!("knows ledger {id}")), "{ended:?}");
    assert_eq!(redis.command(&["KEYS", "*"]).trim(), "");

    // Restored, it is the same ledger.
    let ended = run_in(folder.path(), &["restore", "--redis", &url, "--billing", &billing]);
    assert!(ended.status.success(), "{ended:?}");
    assert_eq!(id_in(&redis), id);
    let service = Service::open(&["--redis", &url, "--billing", &billing], &[]);
    assert_eq!(service.client().await.credit("acme").await.usable, "10.00");
}

#[tokio::test]
async fn a_running_service_says_that_the_store_is_empty_and_never_creates_it_again() {
    let redis = RedisServer::redis();
    let service = Service::redis(&redis.url());
    let mut client = service.client().await;
    client.open("acme", PaymentMode::Prepaid, "0", "10").await;
    let stored = redis.command(&["GET", "tollgate:settings"]);
    redis.command(&["FLUSHALL"]);
    // From the first call on: not an account that there is not, and no page without accounts.
    let request = v1::GetUsableCreditRequest { account_id: "acme".into() };
    let refused = client.charging.get_usable_credit(request).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable, "{refused:?}");
    let refused = client.accounts.list_accounts(v1::ListAccountsRequest::default()).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable, "{refused:?}");
    let converted = Operator::of(&service).run("convert-all postpaid --all --currency EUR --limit 10 --reason test --dry-run");
    assert_eq!(converted.status.code(), Some(3), "{converted:?}");
    until("health says so", || async {
        let (health, log) = (http(service.metrics, "/healthz").await, service.log().join("\n"));
        (health.starts_with("HTTP/1.1 503") && health.contains("the store is empty") && log.contains("the store is empty")).then_some(())
    })
    .await;
    let log = service.log().join("\n");
    assert!(!log.contains("bad argument"), "a Lua error is no reason: {log}");
    assert_eq!(redis.command(&["KEYS", "*"]).trim(), "");

    // Another ledger in its place is refused, too, though it is whole.
    let another = Operator::nowhere().run_words(&["init", "--redis", &redis.url(), "--billing", "off"]);
    assert!(another.status.success(), "{another:?}");
    let both = [id_of(&stored), another.output.trim().to_owned()];
    until("both are named", || async {
        let health = http(service.metrics, "/healthz").await;
        both.iter().all(|id| health.contains(id)).then_some(())
    })
    .await;
    let refused = client.accounts.list_accounts(v1::ListAccountsRequest::default()).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable, "{refused:?}");
}

#[tokio::test]
async fn a_service_goes_on_by_itself_when_its_ledger_was_restored() {
    let (redis, postgres, folder) = (RedisServer::redis(), PostgresServer::shared(), temporary_folder());
    let (url, billing) = (redis.url(), postgres.database());
    let service = Service::start(&["--redis", &url, "--aggregate", "--billing", &billing], &[]);
    let mut client = service.client().await;
    client.open("acme", PaymentMode::Prepaid, "0", "10").await;
    until_billed(&service).await;
    redis.command(&["FLUSHALL"]);
    until("health says so", || async { http(service.metrics, "/healthz").await.contains("the store is empty").then_some(()) }).await;
    let ended = run_in(folder.path(), &["restore", "--redis", &url, "--billing", &billing]);
    assert!(ended.status.success(), "{ended:?}");
    until("charges are taken again", || {
        let mut client = client.clone();
        async move { client.charging.debit(debit("acme", "d1", "1")).await.ok() }
    })
    .await;
    assert_eq!(client.credit("acme").await.usable, "9.00");
    until("health says so", || async { http(service.metrics, "/healthz").await.contains("200 OK").then_some(()) }).await;
    until_billed(&service).await;
}

#[test]
fn an_embedded_ledger_that_is_gone_is_not_made_anew() {
    let folder = temporary_folder();
    let path = folder.path().join("ledger.db");
    assert!(Service::embedded(folder.path()).stop().success());
    for name in names(folder.path()) {
        if name.starts_with("ledger.db") {
            std::fs::remove_file(folder.path().join(name)).unwrap();
        }
    }
    let before = names(folder.path());
    assert!(before.contains(&"ledger.billing.db".to_owned()), "{before:?}");
    let ended = serve_in_vain(folder.path(), &["--store", "ledger.db"]);
    assert!(ended.error.contains("ledger is gone") && ended.error.contains("ledger.billing.db"), "{ended:?}");
    assert!(!path.exists());

    // A file without anything in it is no ledger either.
    std::fs::write(&path, "").unwrap();
    let ended = serve_in_vain(folder.path(), &["--store", "ledger.db"]);
    assert!(ended.error.contains("the store is empty"), "{ended:?}");
    assert_eq!(std::fs::metadata(&path).unwrap().len(), 0);
}

#[tokio::test]
async fn an_embedded_billing_store_that_is_gone_is_not_made_anew() {
    let folder = temporary_folder();
    let service = Service::embedded(folder.path());
    service.client().await.open("acme", PaymentMode::Prepaid, "0", "10").await;
    until_billed(&service).await;
    assert!(service.stopped().await.success());
    let (file, aside) = (folder.path().join("ledger.billing.db"), folder.path().join("aside.db"));
    std::fs::rename(&file, &aside).unwrap();
    let ended = serve_in_vain(folder.path(), &["--store", "ledger.db"]);
    assert!(ended.error.contains("billing store is gone") && ended.error.contains("ledger.billing.db"), "{ended:?}");
    assert!(!file.exists());
    // Brought back, it goes on; given up by name, a new one is made.
    std::fs::rename(&aside, &file).unwrap();
    assert!(Service::embedded(folder.path()).stopped().await.success());
    std::fs::remove_file(&file).unwrap();
    let service = Service::start(&["--store", folder.path().join("ledger.db").to_str().unwrap(), "--create"], &[]);
    until_billed(&service).await;
}

#[tokio::test]
async fn an_embedded_ledger_of_an_earlier_version_gets_its_id_from_the_service() {
    let folder = temporary_folder();
    let service = Service::embedded(folder.path());
    service.client().await.open("acme", PaymentMode::Prepaid, "0", "10").await;
    until_billed(&service).await;
    assert!(service.stopped().await.success());
    // As an earlier version left it.
    let file = rusqlite::Connection::open(folder.path().join("ledger.db")).unwrap();
    file.execute("UPDATE settings SET settings = json_remove(settings, '$.ledger', '$.purpose')", []).unwrap();
    file.close().unwrap();
    let billing = rusqlite::Connection::open(folder.path().join("ledger.billing.db")).unwrap();
    billing.execute("DELETE FROM ledger", []).unwrap();
    billing.close().unwrap();
    let ended = run_in(folder.path(), &["verify", "--store", "ledger.db"]);
    assert_eq!(ended.status.code(), Some(1), "{ended:?}");
    assert!(ended.error.contains("no id yet"), "{ended:?}");

    let service = Service::embedded(folder.path());
    let mut client = service.client().await;
    let id = client.accounts.get_ledger(v1::GetLedgerRequest {}).await.unwrap().into_inner().ledger_id;
    client.charging.debit(debit("acme", "d1", "1")).await.unwrap();
    until_billed(&service).await;
    assert!(service.stopped().await.success());
    let billing = rusqlite::Connection::open(folder.path().join("ledger.billing.db")).unwrap();
    let taken: String = billing.query_row("SELECT id FROM ledger", [], |row| row.get(0)).unwrap();
    assert_eq!(taken, id);
    let ended = run_in(folder.path(), &["verify", "--store", "ledger.db"]);
    assert!(ended.status.success(), "{ended:?}");
}

#[tokio::test]
async fn what_does_not_belong_together_is_refused_by_both_ids() {
    let (mine, theirs) = (temporary_folder(), temporary_folder());
    for folder in [&mine, &theirs] {
        let service = Service::embedded(folder.path());
        until_billed(&service).await;
        assert!(service.stopped().await.success());
    }
    let billing = format!("sqlite://{}", mine.path().join("ledger.billing.db").display());
    let ids: Vec<String> = [&mine, &theirs]
        .map(|folder| {
            // There is one: it is not created again.
            let ended = run_in(folder.path(), &["init", "--store", "ledger.db"]);
            assert_eq!(ended.status.code(), Some(1), "{ended:?}");
            ended.error.split_whitespace().find(|word| word.len() == 36).unwrap_or_else(|| panic!("{ended:?}")).to_owned()
        })
        .to_vec();
    for ended in [
        serve_in_vain(theirs.path(), &["--store", "ledger.db", "--billing", &billing]),
        run_in(theirs.path(), &["verify", "--store", "ledger.db", "--billing", &billing]),
        run_in(theirs.path(), &["reconcile", "--store", "ledger.db", "--billing", &billing]),
    ] {
        assert_eq!(ended.status.code(), Some(1), "{ended:?}");
        assert!(ids.iter().all(|id| ended.error.contains(id)) && ended.error.contains("ledger.billing.db"), "{ended:?}");
    }
}

#[test]
fn nothing_is_restored_from_a_billing_store_that_knows_no_ledger_and_nothing_is_verified_where_there_is_none() {
    let (redis, postgres, folder) = (RedisServer::redis(), PostgresServer::shared(), temporary_folder());
    let (empty, url) = (postgres.database(), redis.url());
    for words in [
        ["restore"].as_slice(),
        &["verify"],
        &["restore", "--redis", &url, "--billing", "sqlite://mistyped.db"],
        &["restore", "--redis", &url, "--billing", &empty],
        &["verify", "--redis", &url, "--billing", &empty],
    ] {
        let ended = run_in(folder.path(), words);
        assert_eq!(ended.status.code(), Some(1), "{words:?}: {ended:?}");
        assert!(ended.error.contains("the billing store knows no ledger"), "{words:?}: {ended:?}");
        assert!(!ended.output.contains("all agree"), "{words:?}: {ended:?}");
    }
    assert_eq!(names(folder.path()), Vec::<String>::new());
    assert_eq!(redis.command(&["KEYS", "*"]).trim(), "");
}

#[test]
fn the_demo_refuses_a_ledger_that_it_has_not_made() {
    let folder = temporary_folder();
    let ended = run_in(folder.path(), &["init", "--store", "ledger.db"]);
    let id = ended.output.trim().to_owned();
    let ended = run_in(folder.path(), &["demo", "--once", "--store", "ledger.db", "--listen", "127.0.0.1:0"]);
    assert_eq!(ended.status.code(), Some(1), "{ended:?}");
    assert!(ended.error.contains(&id) && ended.error.contains("--ledger"), "{ended:?}");
}

#[tokio::test]
async fn bench_refuses_a_ledger_that_was_not_created_for_it_and_was_not_named() {
    let folder = temporary_folder();
    let service = Service::embedded(folder.path());
    let mut client = service.client().await;
    client.open("acme", PaymentMode::Prepaid, "0", "10").await;
    let bench = ["bench", "--accounts", "3", "--calls", "10", "--warm-up", "0s", "--trials", "1"];
    let refused = Operator::of(&service).run_words(&bench);
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    let accounts = async |mut client: Client| client.accounts.list_accounts(v1::ListAccountsRequest::default()).await.unwrap().into_inner();
    assert_eq!(accounts(client.clone()).await.accounts.len(), 1);
    let id = client.accounts.get_ledger(v1::GetLedgerRequest {}).await.unwrap().into_inner().ledger_id;
    assert!(refused.error.contains(&id) && refused.error.contains("--ledger"), "{refused:?}");
    let other = Operator::of(&service).run_words(&[&bench[..], &["--ledger", "00000000-0000-4000-8000-000000000000"]].concat());
    assert!(other.status.code() == Some(1) && other.error.contains(&id), "{other:?}");
    let named = Operator::of(&service).run_words(&[&bench[..], &["--ledger", &id]].concat());
    assert!(named.status.success(), "{named:?}");
    assert_eq!(accounts(client).await.accounts.len(), 4);
}

/// GET, as text.
pub async fn http(address: std::net::SocketAddr, path: &str) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let get = async {
        let mut socket = tokio::net::TcpStream::connect(address).await.unwrap();
        socket.write_all(format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").as_bytes()).await.unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).await.unwrap();
        answer
    };
    tokio::time::timeout(Duration::from_secs(5), get).await.unwrap()
}
