//! A backup under load, everything destroyed, restored by what deploy/README.md says, verified: nothing is lost that was acknowledged before the
//! backup began.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use tollgate::grpc::v1::PaymentMode;

use super::{Load, are_there};
use crate::command::Operator;
use crate::identity::until_billed;
use crate::postgres::PostgresServer;
use crate::service::{PATIENCE, Service};
use crate::support::{RedisServer, temporary_folder};

/// What one drill charges.
const ACCOUNT: &str = "acme";

async fn open(service: &Service) -> Load {
    let mut client = service.client().await;
    client.open(ACCOUNT, PaymentMode::Postpaid, "1000000", "0").await;
    // Before that, a billing store may have no tables yet.
    until_billed(service).await;
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

/// Runs deploy/backup.sh.
fn backed_up(billing: &str, redis: &RedisServer, into: &Path) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/backup.sh");
    let output = Command::new(script).arg(into).arg("-s").arg(redis.socket()).env("BILLING", billing).output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

fn loaded(url: &str, file: &Path) {
    let output = Command::new("psql").args(["-q", "-v", "ON_ERROR_STOP=1", "-d", url, "-f"]).arg(file).output().unwrap();
    assert!(output.status.success(), "psql: {}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_of_redis_and_postgresql_restores_all_that_was_acknowledged_before_it() {
    let postgres = PostgresServer::shared();
    let (redis, billing, elsewhere) = (RedisServer::redis(), postgres.database(), temporary_folder());
    // While Redis waits 5 s for more replicas before it saves, far more is charged than the journal's tail holds.
    let options = ["--aggregate", "--aggregation-lease", "1s", "--journal-keep", "10m"];
    let service = Service::start(&[&["--redis", &redis.url(), "--billing", &billing][..], &options].concat(), &[]);
    let load = open(&service).await;
    load.goes_on(200).await;
    let before = load.acknowledged();
    // A folder that is not there yet.
    let backup = elsewhere.path().join("today");
    let (url, into) = (billing.clone(), backup.clone());
    let redis = tokio::task::spawn_blocking(move || {
        backed_up(&url, &redis, &into);
        redis
    });
    let redis = redis.await.unwrap();
    load.goes_on(50).await;

    load.may_fail();
    service.kill();
    load.end().await;
    drop(redis);
    let (_, name) = billing.split_once('?').map_or(billing.as_str(), |(url, _)| url).rsplit_once('/').unwrap();
    postgres.run(&format!("DROP DATABASE {name} WITH (FORCE)"));

    let (redis, billing) = (RedisServer::holding(&backup.join("dump.rdb")), postgres.database());
    loaded(&billing, &backup.join("billing.sql"));
    let url = redis.url();
    let stores = ["--redis", url.as_str(), "--billing", billing.as_str()];
    let restored = Service::open(&[&stores[..], &options].concat(), &[]);
    let mut client = restored.client().await;
    are_there(&mut client, ACCOUNT, &before).await;
    are_verified(&stores).await;
    assert!(restored.stopped().await.success());
}
