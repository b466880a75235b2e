//! The default: `tollgate serve` on the embedded engine takes its journal into a SQLite file beside it, and is killed meanwhile.

use std::collections::BTreeSet;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use sqlx::Row;
use tollgate::billing::store::sqlite_url;
use tollgate::billing::{Billing, BillingSettings};
use tollgate::grpc::v1::PaymentMode;

use crate::aggregation::check::records;
use crate::service::{Service, debit, seed, until};
use crate::temporary_folder;

#[tokio::test]
async fn each_acknowledged_charge_is_in_the_file_beside_the_store_once_though_the_service_is_killed() {
    let folder = temporary_folder();
    let mut random = StdRng::seed_from_u64(seed());
    let mut charged = BTreeSet::new();
    for life in 0..12 {
        let service = Service::embedded(folder.path());
        let mut client = service.client().await;
        if life == 0 {
            client.open("acme", PaymentMode::Postpaid, "100000", "0").await;
        }
        for number in 0..random.random_range(5..60) {
            let request_id = format!("charge-{life}-{number}");
            client.charging.debit(debit("acme", &request_id, "0.25")).await.unwrap();
            charged.insert(request_id);
        }
        tokio::time::sleep(Duration::from_millis(random.random_range(0..150))).await;
        service.kill();
    }
    let service = Service::embedded(folder.path());
    let credit = service.client().await.credit("acme").await;
    let url = sqlite_url(&folder.path().join("ledger.billing.db"));
    let store = Billing::open(&url, BillingSettings::default()).await.unwrap();
    until("all charges are committed", || async {
        let row = sqlx::query("SELECT CAST(COUNT(*) AS BIGINT) FROM entries WHERE kind = 4").fetch_one(store.store().pool()).await.unwrap();
        (row.get::<i64, _>(0) >= i64::try_from(charged.len()).unwrap()).then_some(())
    })
    .await;
    assert!(service.stop().success());
    let found: Vec<String> = records(&store)
        .await
        .into_iter()
        .filter(|record| record.entry.kind().is_charge())
        .map(|record| record.entry.request_id.into())
        .collect();
    assert_eq!(found.len(), charged.len(), "each once");
    assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), charged);
    let row = sqlx::query("SELECT CAST(SUM(amount) AS BIGINT), CAST(SUM(count) AS BIGINT) FROM totals")
        .fetch_one(store.store().pool())
        .await
        .unwrap();
    let count = i64::try_from(charged.len()).unwrap();
    assert_eq!((row.get::<i64, _>(0), row.get::<i64, _>(1)), (count * 250_000, count));
    assert_eq!(credit.unbilled.parse::<f64>().unwrap(), count as f64 * 0.25);
}
