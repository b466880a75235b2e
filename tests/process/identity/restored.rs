//! L2, L4: a ledger is restored in the place of one that is lost, as it was, and never beside one that is in use.

use tollgate::billing::store::sqlite_url;
use tollgate::billing::{Billing, BillingSettings};
use tollgate::grpc::v1::{self, AggregationState, PaymentMode};

use super::{names, run_in, serve_in_vain, until_billed};
use crate::postgres::PostgresServer;
use crate::service::{Service, debit};
use crate::support::{RedisServer, temporary_folder};

#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_that_is_in_use_is_not_restored_elsewhere() {
    let (redis, other, postgres, folder) = (RedisServer::redis(), RedisServer::redis(), PostgresServer::shared(), temporary_folder());
    let (url, billing) = (redis.url(), postgres.database());
    let service = Service::start(&["--redis", &url, "--aggregate", "--billing", &billing], &[]);
    let mut client = service.client().await;
    client.open("acme", PaymentMode::Prepaid, "0", "10").await;
    until_billed(&service).await;
    // Somebody at a test system has the billing store of production in a setting.
    let words = ["restore".to_owned(), "--redis".to_owned(), other.url(), "--billing".to_owned(), billing.clone()];
    let ended = tokio::task::spawn_blocking(move || run_in(folder.path(), &words.each_ref().map(String::as_str))).await.unwrap();
    assert_eq!(ended.status.code(), Some(1), "{ended:?}");
    assert!(ended.error.contains("--billing is in use") && ended.error.contains("which is not lost"), "{ended:?}");
    assert_eq!(other.command(&["KEYS", "*"]).trim(), "");
    client.charging.debit(debit("acme", "d1", "1")).await.unwrap();
    until_billed(&service).await;
    let found = client.billing.get_aggregation(v1::GetAggregationRequest {}).await.unwrap().into_inner().partitions;
    assert!(found.iter().all(|partition| partition.state() == AggregationState::Running), "{found:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_is_restored_with_the_partitions_and_the_time_zone_that_it_had() {
    let (redis, other, postgres, folder) = (RedisServer::redis(), RedisServer::redis(), PostgresServer::shared(), temporary_folder());
    let (url, billing) = (redis.url(), postgres.database());
    let zone = ["--billing-time-zone", "Europe/Berlin"];
    let words = ["--redis", &url, "--partitions", "2", "--aggregate", "--billing", &billing];
    let service = Service::start(&[&words[..], &zone].concat(), &[]);
    for id in ["acme", "beta", "gamma", "delta"] {
        service.client().await.open(id, PaymentMode::Prepaid, "0", "10").await;
    }
    until_billed(&service).await;
    assert!(service.stopped().await.success());
    let restore = ["restore", "--redis", &other.url(), "--billing", &billing];
    let ended = run_in(folder.path(), &restore);
    assert_eq!(ended.status.code(), Some(1), "{ended:?}");
    assert!(ended.error.contains("--billing-time-zone must be Europe/Berlin"), "{ended:?}");
    assert_eq!(other.command(&["KEYS", "*"]).trim(), "");
    // As many as it had, which is not the default.
    let ended = run_in(folder.path(), &[&restore[..], &zone].concat());
    assert!(ended.status.success(), "{ended:?}");
    let words = ["--redis", &other.url(), "--partitions", "2", "--billing", &billing];
    let service = Service::open(&[&words[..], &zone].concat(), &[]);
    for id in ["acme", "beta", "gamma", "delta"] {
        assert_eq!(service.client().await.credit(id).await.usable, "10.00", "{id}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_restored_of_one_ledger_is_not_taken_over_by_another() {
    let (redis, mine, theirs) = (RedisServer::redis(), temporary_folder(), temporary_folder());
    for folder in [&mine, &theirs] {
        let service = Service::embedded(folder.path());
        service.client().await.open("acme", PaymentMode::Prepaid, "0", "10").await;
        until_billed(&service).await;
        assert!(service.stopped().await.success());
    }
    let path = |folder: &tempfile::TempDir| sqlite_url(&folder.path().join("ledger.billing.db"));
    let billing = Billing::open(&path(&mine), BillingSettings::default()).await.unwrap();
    let sql = "CREATE TRIGGER interrupted BEFORE UPDATE ON partitions BEGIN SELECT RAISE(ABORT, 'interrupted'); END";
    sqlx::query(sql).execute(billing.store().pool()).await.unwrap();
    let restore = |folder: &tempfile::TempDir| run_in(folder.path(), &["restore", "--redis", &redis.url(), "--billing", &path(folder)]);
    let ended = restore(&mine);
    assert!(!ended.status.success() && ended.error.contains("interrupted"), "{ended:?}");
    let begun = redis.command(&["GET", "tollgate:settings"]);

    let ended = restore(&theirs);
    assert_eq!(ended.status.code(), Some(1), "{ended:?}");
    let ids = [&mine, &theirs].map(|folder| run_in(folder.path(), &["init", "--store", "ledger.db"]).error);
    for said in ids {
        let id = said.split_whitespace().find(|word| word.len() == 36).unwrap();
        assert!(ended.error.contains(id), "{id}: {ended:?}");
    }
    assert_eq!(redis.command(&["GET", "tollgate:settings"]), begun);

    sqlx::query("DROP TRIGGER interrupted").execute(billing.store().pool()).await.unwrap();
    let ended = restore(&mine);
    assert!(ended.status.success(), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restoration_into_a_file_that_was_interrupted_leaves_none_that_could_be_taken_for_a_ledger() {
    let folder = temporary_folder();
    let service = Service::embedded(folder.path());
    service.client().await.open("acme", PaymentMode::Prepaid, "0", "10").await;
    until_billed(&service).await;
    assert!(service.stopped().await.success());
    let path = folder.path().join("ledger.db");
    std::fs::remove_file(&path).unwrap();
    let billing = Billing::open(&sqlite_url(&folder.path().join("ledger.billing.db")), BillingSettings::default()).await.unwrap();
    // It ends where the billing store is to go on from the restored ledger.
    let sql = "CREATE TRIGGER interrupted BEFORE UPDATE ON partitions BEGIN SELECT RAISE(ABORT, 'interrupted'); END";
    sqlx::query(sql).execute(billing.store().pool()).await.unwrap();
    let ended = run_in(folder.path(), &["restore", "--store", "ledger.db"]);
    assert!(!ended.status.success() && ended.error.contains("interrupted"), "{ended:?}");
    assert!(!path.exists());
    let ended = serve_in_vain(folder.path(), &["--store", "ledger.db"]);
    assert!(ended.error.contains("the ledger is gone"), "{ended:?}");
    sqlx::query("DROP TRIGGER interrupted").execute(billing.store().pool()).await.unwrap();

    let ended = run_in(folder.path(), &["restore", "--store", "ledger.db"]);
    assert!(ended.status.success(), "{ended:?}");
    assert!(names(folder.path()).iter().all(|name| !name.contains("restoring")), "{:?}", names(folder.path()));
    let service = Service::embedded(folder.path());
    assert_eq!(service.client().await.credit("acme").await.usable, "10.00");
    until_billed(&service).await;
}
