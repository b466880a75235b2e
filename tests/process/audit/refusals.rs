//! Refusals, starts and changes of access are on record; and where there is no billing store, all acts, as lines of JSON.

use std::process::Command;

use access::file::GrantEntry;
use serde_json::{Value, json};

use super::{inner, records};
use crate::access::callers::{House, amount};
use crate::service::{Client, Service, debit, money, until};
use crate::support::temporary_folder;
use tollgate::grpc::v1;

#[tokio::test(flavor = "multi_thread")]
async fn the_first_refusal_of_a_kind_is_on_record_in_full_and_repetitions_are_not_each() {
    let (mut house, keys) = House::start(&[("root", "admin", &[]), ("clerk", "operate", &["partner/"])]).await;
    let [root, clerk] = [&keys[0], &keys[1]];
    let look = json!({ "accountId": "acme" });
    for _ in 0..3 {
        house.call(None, "AccountService/GetAccount", &look).await.unwrap_err();
        house.call(Some("tg_AAAAAAAA_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"), "AccountService/GetAccount", &look).await.unwrap_err();
        house.call(Some(clerk), "BillingService/ListTaxRates", &json!({})).await.unwrap_err();
        house.call(Some(clerk), "AccountService/AdjustBalance", &json!({})).await.unwrap_err();
        let limit =
            json!({ "accountId": "acme", "requestId": "l", "creditLimit": { "permanent": amount("5") }, "operator": { "reason": "x" } });
        house.call(Some(clerk), "AccountService/SetCreditLimit", &limit).await.unwrap_err();
    }
    let found = until("the refusals are on record", async || {
        let found = records(&house, root, json!({ "outcome": "AUDIT_OUTCOME_REFUSED" })).await;
        (found.len() >= 5).then_some(found)
    })
    .await;
    let told = |record: &Value| {
        let details = inner(record, "details");
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        (text(&record["actor"]), text(&details["reason"]), text(&details["what"]), text(&record["accountId"]))
    };
    // A minute may have ended meanwhile: then there are counts, and firsts of the next.
    let mut firsts: Vec<_> = found.iter().filter(|record| inner(record, "details")["more"].is_null()).map(told).collect();
    firsts.sort();
    firsts.dedup();
    let expected = [
        ("", "CREDENTIALS_INVALID", "", ""),
        ("", "CREDENTIALS_REQUIRED", "", ""),
        ("clerk", "PERMISSION_DENIED", "AccountService/AdjustBalance", ""),
        ("clerk", "PERMISSION_DENIED", "read_settings", ""),
        ("clerk", "PERMISSION_DENIED", "set_credit_limit", "acme"),
    ];
    let expected = expected.map(|(caller, reason, what, account)| (caller.into(), reason.into(), what.into(), account.into()));
    assert_eq!(firsts, expected, "{found:#?}");
    assert!(found.len() <= 15, "{found:#?}");
    assert!(found.iter().all(|record| record["address"] == "127.0.0.1" && record["protocol"] == "grpc"), "{found:#?}");
    let is_known = |record: &Value| record["actor"] == "clerk";
    assert!(found.iter().all(|record| (record["authenticatedBy"] == "key") == is_known(record)), "{found:#?}");
    // The start is there, too, and what changes in the access file: who may do what, and no digest.
    house.add("night", GrantEntry { roles: vec!["read".into()], ..GrantEntry::default() });
    let changed =
        until("the new key is on record", async || records(&house, root, json!({ "action": "access.changed" })).await.pop()).await;
    let details = inner(&changed, "details");
    assert_eq!(details["after"]["key night"]["roles"], json!(["read"]));
    assert!(!changed.to_string().contains("sha256"), "{changed:#}");
    let started = records(&house, root, json!({ "action": "service.started" })).await;
    let flags = inner(&started[0], "details");
    assert_eq!([&flags["insecure"], &flags["serve_ahead"], &flags["access_open"]], [false, false, false]);
}

#[tokio::test(flavor = "multi_thread")]
async fn that_a_caller_may_not_see_metrics_or_what_calls_there_are_is_on_record_too() {
    let (house, keys) = House::start_with(&[("root", "admin", &[]), ("switch", "charge", &[])], &["--metrics-credentials"]).await;
    assert_eq!(house.get(Some(&keys[1]), "openapi.json"), 403);
    let metrics = format!("http://{}/metrics", house.service.metrics);
    let header = format!("authorization: Bearer {}", keys[1]);
    let asked = Command::new("curl").args(["-s", "-o", "/dev/null", "-w", "%{http_code}", "-H", &header, &metrics]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&asked.stdout), "403");
    until("both are on record", async || {
        let found = records(&house, &keys[0], json!({ "outcome": "AUDIT_OUTCOME_REFUSED", "actor": "switch" })).await;
        let mut told: Vec<_> = found.iter().map(|record| inner(record, "details")["what"].as_str().unwrap().to_owned()).collect();
        told.sort();
        (told == ["read_aggregation", "reflect"]).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_billing_store_acts_are_lines_of_json_and_charges_are_none() {
    let folder = temporary_folder();
    let [store, log] = ["ledger.db", "audit.jsonl"].map(|name| folder.path().join(name).display().to_string());
    let service = Service::open(&["--store", &store, "--billing", "off", "--audit-log", &log], &[]);
    let mut client = Client::connect(service.address).await;
    client.open("acme", v1::PaymentMode::Prepaid, "10", "5").await;
    client.charging.debit(debit("acme", "d", "1")).await.unwrap();
    let refund = v1::RefundRequest {
        account_id: "acme".into(),
        request_id: "r".into(),
        charge_id: "d".into(),
        amount: money("1"),
        ..Default::default()
    };
    client.charging.refund(refund.clone()).await.unwrap();
    // A repetition is no act.
    client.charging.refund(refund).await.unwrap();
    let lines = until("all is written", async || {
        let lines = std::fs::read_to_string(&log).unwrap();
        (lines.lines().count() >= 4).then_some(lines)
    })
    .await;
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let told: Vec<_> =
        lines.iter().map(|line| (line["action"].as_str().unwrap(), line["request_id"].as_str().unwrap_or_default())).collect();
    let expected = [("service.started", ""), ("account.create", "create"), ("account.top_up", "top-up"), ("account.refund", "r")];
    assert_eq!(told, expected);
    assert_eq!((lines[3]["details"]["amount"].as_str(), lines[3]["address"].as_str()), (Some("1"), Some("127.0.0.1")));
    assert_eq!(lines[3]["authenticated_by"].as_str(), Some("none"), "everybody was let in");
    assert!(service.stopped().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_of_names_and_addresses_are_on_record_only_where_that_is_switched_on() {
    let folder = temporary_folder();
    let store = |name: &str| folder.path().join(name).display().to_string();
    for (name, is_on) in [("quiet.db", false), ("watched.db", true)] {
        let path = store(name);
        let mut arguments = vec!["--store", path.as_str()];
        if is_on {
            arguments.push("--audit-reads");
        }
        let service = Service::open(&arguments, &[]);
        let mut client = Client::connect(service.address).await;
        client.open("acme", v1::PaymentMode::Prepaid, "10", "0").await;
        client.billing.get_billing_details(v1::GetBillingDetailsRequest { account_id: "acme".into() }).await.unwrap();
        let operator = crate::command::Operator::of(&service);
        until("the creation is on record", async || (!operator.list("audit --action account.created").is_empty()).then_some(())).await;
        if is_on {
            until("the read is on record", async || {
                (operator.list("audit --action personal_data.read --account acme").len() == 1).then_some(())
            })
            .await;
        }
        assert!(service.stopped().await.success());
        // All is written when it has ended.
        let service = Service::open(&arguments, &[]);
        let reads = crate::command::Operator::of(&service).list("audit --action personal_data.read");
        assert_eq!(reads.len(), usize::from(is_on));
        assert!(service.stopped().await.success());
    }
}
