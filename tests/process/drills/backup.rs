//! A backup under load, everything destroyed, restored by what deploy/README.md says, verified: nothing is lost that was acknowledged before the
//! backup began.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use tollgate::grpc::v1::PaymentMode;

use super::{Load, are_there};
use crate::command::Operator;
use crate::postgres::PostgresServer;
use crate::service::{PATIENCE, Service};
use crate::support::{RedisServer, temporary_folder};

/// What one drill charges.
const ACCOUNT: &str = "acme";

async fn open(service: &Service) -> Load {
    let mut client = service.client().await;
    client.open(ACCOUNT, PaymentMode::Postpaid, "1000000", "0").await;
    Load::on(&client, ACCOUNT)
}

/// Verifies the stores until they agree: an aggregator may have to catch up first.
async fn are_verified(stores: &[&str]) {
    let deadline = Instant::now() + 2 * PATIENCE;
    loop {
        let words: Vec<&str> = ["verify"].into_iter().chain(stores.iter().copied()).collect();
        let verified = Operator::nowhere().run_words(&words);
        if verified.status.success() {
            return;
        }
        assert!(Instant::now() < deadline, "{verified:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_of_the_embedded_store_restores_all_that_was_acknowledged_before_it() {
    let (folder, elsewhere) = (temporary_folder(), temporary_folder());
    let service = Service::embedded(folder.path());
    let load = open(&service).await;
    load.goes_on(200).await;
    let before = load.acknowledged();
    let copy = elsewhere.path().join("copy.db");
    let (operator, line) = (Operator::of(&service), format!("backup {}", copy.display()));
    let ended = tokio::task::spawn_blocking(move || operator.run(&line)).await.unwrap();
    assert!(ended.status.success(), "{ended:?}");
    load.goes_on(50).await;

    load.may_fail();
    service.kill();
    load.end().await;
    drop(folder);

    let store = ["--store", copy.to_str().unwrap()];
    let restored = Service::start(&store, &[]);
    let mut client = restored.client().await;
    are_there(&mut client, ACCOUNT, &before).await;
    let charged: usize = client.credit(ACCOUNT).await.unbilled.split('.').next().unwrap().parse().unwrap();
    assert!(charged >= before.len(), "{charged} of {} charges", before.len());
    assert!(restored.stopped().await.success());
    are_verified(&store).await;
}

fn dumped(url: &str, file: &Path) {
    let output = Command::new("pg_dump").args(["--no-owner", "--file"]).arg(file).args(["--dbname", url]).output().unwrap();
    assert!(output.status.success(), "pg_dump: {}", String::from_utf8_lossy(&output.stderr));
}

fn loaded(url: &str, file: &Path) {
    let output = Command::new("psql").args(["-q", "-v", "ON_ERROR_STOP=1", "-d", url, "-f"]).arg(file).output().unwrap();
    assert!(output.status.success(), "psql: {}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_backups_of_redis_and_postgresql_in_their_order_restore_all_that_was_acknowledged_before_them() {
    let postgres = PostgresServer::shared();
    let (redis, billing, elsewhere) = (RedisServer::redis(), postgres.database(), temporary_folder());
    let service = Service::start(&["--redis", &redis.url(), "--billing", &billing, "--aggregate", "--aggregation-lease", "1s"], &[]);
    let load = open(&service).await;
    load.goes_on(200).await;
    let before = load.acknowledged();
    // The billing store first: what it has not yet, the ledger's journal still has.
    let [sql, rdb] = ["billing.sql", "dump.rdb"].map(|name| elsewhere.path().join(name));
    dumped(&billing, &sql);
    load.goes_on(50).await;
    redis.command(&["--rdb", rdb.to_str().unwrap()]);
    load.goes_on(50).await;

    load.may_fail();
    service.kill();
    load.end().await;
    drop(redis);
    let (_, name) = billing.split_once('?').map_or(billing.as_str(), |(url, _)| url).rsplit_once('/').unwrap();
    postgres.run(&format!("DROP DATABASE {name} WITH (FORCE)"));

    let (redis, billing) = (RedisServer::holding(&rdb), postgres.database());
    loaded(&billing, &sql);
    let url = redis.url();
    let restored = Service::open(&["--redis", &url, "--billing", &billing, "--aggregate", "--aggregation-lease", "1s"], &[]);
    let mut client = restored.client().await;
    are_there(&mut client, ACCOUNT, &before).await;
    are_verified(&["--redis", &url, "--billing", &billing]).await;
    assert!(restored.stopped().await.success());
}
