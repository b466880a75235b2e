//! Starts and stops as a newcomer sees them: what is refused says why, in words; what goes well says little.

use std::path::Path;

use serde_json::Value;

use crate::clustered::metric;
use crate::command::{Ended, Operator};
use crate::postgres::PostgresServer;
use crate::service::{Service, until};
use crate::support::{RedisServer, temporary_folder};

/// A file, as a path in words.
fn path(folder: &Path, name: &str) -> String {
    folder.join(name).display().to_string()
}

/// `serve`, which is refused.
fn serve(arguments: &[&str]) -> Ended {
    Operator::nowhere().run_words(&[&["serve", "--listen", "127.0.0.1:0", "--metrics-listen", "off"], arguments].concat())
}

fn assert_refused(ended: &Ended, said: &str) {
    assert!(!ended.status.success() && ended.error.contains(said), "not {said:?}: {ended:?}");
    for word in ["CREATE TABLE", "SELECT", "StoreSettings", "pool timed out"] {
        assert!(!ended.error.contains(word), "{word}: {ended:?}");
    }
}

/// An SQLite database of something else.
async fn make_other(file: &str) {
    use sqlx::{ConnectOptions, Connection, Executor};
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(file).create_if_missing(true);
    let mut connection = options.connect().await.unwrap();
    connection.execute("CREATE TABLE users (id INTEGER)").await.unwrap();
    connection.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_no_store_is_refused_in_words() {
    let folder = temporary_folder();
    let service = Service::embedded(folder.path());
    assert!(service.stopped().await.success());
    let [text, other, ledger, billing] = ["text.db", "other.db", "ledger.db", "ledger.billing.db"].map(|name| path(folder.path(), name));
    std::fs::write(&text, "These are notes, and more than a hundred bytes of them. ".repeat(3)).unwrap();
    make_other(&other).await;
    tokio::task::block_in_place(|| {
        assert_refused(&serve(&["--store", &text]), "text.db is no ledger: it is not a SQLite database");
        assert_refused(&serve(&["--store", &other]), "other.db is no ledger: it is another SQLite database, with tables such as users");
        assert_refused(&serve(&["--store", &billing]), "is no ledger: it is a billing store of tollgate");
        let verify =
            |billing: &str| Operator::nowhere().run_words(&["verify", "--store", &ledger, "--billing", &format!("sqlite://{billing}")]);
        assert_refused(&verify(&text), "text.db, which is not a SQLite database");
        assert_refused(&verify(&other), "other.db, with tables such as users");
        assert_refused(&verify(&ledger), "ledger.db, with tables such as accounts");
        // What was refused stays as it was.
        assert!(std::fs::read_to_string(&text).unwrap().starts_with("These are notes"));
        assert!(verify(&billing).status.success());
    });
}

#[test]
fn other_settings_than_the_stores_are_named_by_their_options() {
    let folder = temporary_folder();
    assert!(Service::embedded(folder.path()).stop().success());
    let store = path(folder.path(), "ledger.db");
    let refused = serve(&["--store", &store, "--request-window", "1h", "--billing-time-zone", "Europe/Berlin"]);
    assert_refused(&refused, "it has --billing-time-zone UTC --request-window 24h, and this tollgate was started with");
    assert_refused(&refused, "--billing-time-zone Europe/Berlin --request-window 1h");
    let redis = RedisServer::redis();
    assert!(Service::redis(&redis.url()).stop().success());
    let refused = serve(&["--redis", &redis.url(), "--billing", "off", "--partitions", "8"]);
    assert_refused(&refused, "it has --partitions 4, and this tollgate was started with --partitions 8");
}

#[test]
fn a_billing_store_that_refuses_connections_is_said_to_do_so() {
    let folder = temporary_folder();
    assert!(Service::embedded(folder.path()).stop().success());
    let (store, away) = (path(folder.path(), "ledger.db"), "postgres://tollgate:secret@127.0.0.1:1/billing");
    let refused = Operator::nowhere().run_words(&["verify", "--store", &store, "--billing", away]);
    assert_refused(&refused, "no connection to PostgreSQL at 127.0.0.1:1/billing: error communicating with database: Connection refused");
    assert!(refused.status.code() == Some(3) && !refused.error.contains("secret"), "{refused:?}");
}

#[tokio::test]
async fn aggregation_says_that_its_billing_store_refuses_connections() {
    let folder = temporary_folder();
    assert!(Service::embedded(folder.path()).stopped().await.success());
    let store = path(folder.path(), "ledger.db");
    let service = Service::start(&["--store", &store, "--billing", "postgres://tollgate:secret@127.0.0.1:1/billing"], &[]);
    until("the log says why", async || service.log().iter().any(|line| line.contains("Connection refused")).then_some(())).await;
    assert!(!service.log().iter().any(|line| line.contains("secret") || line.contains("pool timed out")), "{:#?}", service.log());
    assert!(service.stopped().await.success());
}

/// What a start and a stop log where nothing is new, in the order of the alphabet.
const QUIET: [&str; 6] = [
    "INFO aggregating a partition",
    "INFO nobody is named who may call: everybody who reaches a listener may do everything (--access-file)",
    "INFO serving",
    "INFO stopped",
    "INFO stopping",
    "INFO the store is up",
];

/// What a service logs from its start to its end, once it aggregates: the messages.
async fn messages(arguments: &[&str]) -> Vec<String> {
    let service = Service::start(arguments, &[]);
    until("it aggregates, and has seen its store", async || {
        let log = service.log();
        let is_said = |message: &str| log.iter().any(|line| line.contains(message));
        (is_said("aggregating a partition") && is_said("the store is up")).then_some(())
    })
    .await;
    let log = service.log_to_its_end().await;
    let events = log.iter().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let told = events.filter(|event| !event["message"].as_str().unwrap().starts_with("no font has letters"));
    told.map(|event| format!("{} {}", event["level"].as_str().unwrap(), event["message"].as_str().unwrap())).collect()
}

#[tokio::test]
async fn a_start_says_where_it_serves_and_what_and_a_clean_stop_ends_with_stopped() {
    let folder = temporary_folder();
    let store = path(folder.path(), "ledger.db");
    let first = messages(&["--store", &store]).await;
    assert_eq!(first.iter().filter(|line| line.contains("tables were created")).count(), 1, "{first:#?}");
    let mut second = messages(&["--store", &store]).await;
    assert_eq!(second.last().unwrap(), "INFO stopped");
    second.sort();
    assert_eq!(second, QUIET);
}

#[tokio::test]
async fn a_second_start_on_redis_and_postgresql_is_as_quiet() {
    let (redis, postgres) = (RedisServer::redis(), PostgresServer::shared());
    let (url, billing) = (redis.url(), postgres.database());
    let arguments = ["--redis", url.as_str(), "--billing", billing.as_str(), "--aggregate", "--partitions", "1"];
    let first = messages(&arguments).await;
    assert_eq!(first.iter().filter(|line| line.contains("tables")).count(), 1, "{first:#?}");
    let mut second = messages(&arguments).await;
    assert_eq!(second.last().unwrap(), "INFO stopped");
    second.sort();
    assert_eq!(second, QUIET, "{second:#?}");
}

#[tokio::test]
async fn what_is_not_secure_is_said_and_measured_by_what_it_is() {
    let folder = temporary_folder();
    let access = path(folder.path(), "access.toml");
    let name = |count: usize| std::fs::write(&access, format!("[[certificates]]\nname = 'a{count}'\nroles = ['read']\n")).unwrap();
    name(0);
    let (open, plain) = ("there is no access control", "there is no TLS");
    for (number, (listen, more, said)) in [
        ("127.0.0.1:0", &["--access-file", &access][..], [false, false]),
        ("127.0.0.1:0", &["--access-file", &access, "--insecure"], [false, false]),
        ("0.0.0.0:0", &["--insecure"], [true, true]),
        ("0.0.0.0:0", &["--access-file", &access, "--insecure"], [false, true]),
        (
            "127.0.0.1:0",
            &["--access-file", &access, "--console", "0.0.0.0:0", "--console-url", "http://localhost", "--insecure"],
            [false, true],
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let store = folder.path().join(format!("{number}.db")).display().to_string();
        let service = Service::open(&[&["--listen", listen, "--store", &store], more].concat(), &[]);
        let is_insecure = said.contains(&true);
        let line = format!("tollgate_insecure {}", i32::from(is_insecure));
        // What was read twice since the start was looked at twice: so what is to be said at the start has been said.
        for count in (1..3).filter(|_| more.contains(&access.as_str())) {
            name(count);
            let is_read = |log: &[String]| log.iter().filter(|line| line.contains("access rules changed")).count() >= count;
            until("the access file is read again", async || is_read(&service.log()).then_some(())).await;
        }
        until("the metric says it", async || metric(&service, &line).await.then_some(())).await;
        until("the log says it", async || {
            let log = service.log();
            ([open, plain].map(|text| log.iter().any(|line| line.contains(text))) == said).then_some(())
        })
        .await;
    }
}
