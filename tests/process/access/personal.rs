//! What customers are called, where they live, and how they are written to stands in no log, whatever is called and however much is logged.

use serde_json::json;

use super::callers::House;
use super::{opened, rows};

#[tokio::test(flavor = "multi_thread")]
async fn no_name_and_no_address_stands_in_the_log_of_any_call_and_account_ids_are_hashed() {
    let settings = ["--log", "debug", "--log-account-ids", "hashed"];
    let (house, keys) = House::start_with(&[("root", "admin", &[])], &settings).await;
    let root = &keys[0];
    opened(&house, root).await;
    let rename =
        json!({ "accountId": "acme", "requestId": "n", "name": "Zaphod Beeblebrox", "operator": { "actor": "eve", "reason": "moved" } });
    let _ = house.call(Some(root), "AccountService/UpdateAccount", &rename).await;
    let details = json!({ "accountId": "acme", "customer": { "name": "Zaphod Beeblebrox", "address": ["Betelgeuse 5"],
        "taxId": "ZZ424242", "email": "zaphod@heart.example" } });
    house.call(Some(root), "BillingService/SetBillingDetails", &details).await.unwrap();
    for row in rows() {
        let _ = house.call(Some(root), &row.method, &row.request).await;
        let path = super::callers::http_path(&row.method);
        if !row.method.contains("Watch") && row.method != "ChargingService/Charge" {
            house.post(Some(root), &path, &row.request);
        }
    }
    // What is wrong is told to its caller, and not to the log.
    let wrong = json!({ "accountId": "zaphod@heart.example", "requestId": "x", "amount": { "amount": "Betelgeuse" } });
    let _ = house.call(Some(root), "ChargingService/Debit", &wrong).await.unwrap_err();
    let search = json!({ "query": "Zaphod Beeblebrox" });
    let _ = house.call(Some(root), "AccountService/SearchAccounts", &search).await;
    // Migrations have examples in their comments.
    let log: Vec<_> = house.service.log().into_iter().filter(|line| !line.contains("CREATE TABLE")).collect();
    assert!(log.iter().any(|line| line.contains("\"DEBUG\"")), "it is not logged at this level");
    for personal in ["Zaphod", "zaphod", "Beeblebrox", "Betelgeuse", "ZZ424242", "heart.example", "acme"] {
        let found: Vec<_> = log.iter().filter(|line| line.contains(personal)).collect();
        assert!(found.is_empty(), "{personal}: {found:#?}");
    }
    assert!(log.iter().all(|line| keys.iter().all(|key| !line.contains(&key[12..]))), "a key's secret");
}
