//! A backup under load, everything destroyed, restored by what deploy/README.md says, verified: nothing is lost that was acknowledged before the
//! backup began.

use std::time::{Duration, Instant};

use tollgate::grpc::v1::PaymentMode;

use super::{Load, are_there};
use crate::command::Operator;
use crate::service::{PATIENCE, Service};
use crate::support::temporary_folder;

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
