//! Who the journal says has acted, and for whom; and how much a caller may move at once.

use access::file::GrantEntry;
use serde_json::json;
use tonic::Code;

use super::callers::{House, amount};
use crate::service::until;

#[tokio::test(flavor = "multi_thread")]
async fn the_actor_is_who_called_and_whom_it_acts_for_stands_beside_it() {
    let (mut house, keys) = House::start(&[("root", "admin", &[])]).await;
    let root = &keys[0];
    let grant = |acts_for_others| GrantEntry { roles: vec!["operate".into()], acts_for_others, ..GrantEntry::default() };
    let (desk, robot) = (house.add("desk", grant(true)), house.add("robot", grant(false)));
    let account = json!({ "accountId": "acme", "requestId": "c", "name": "Acme", "currencyCode": "EUR", "mode": "PAYMENT_MODE_PREPAID" });
    house.done(root, "AccountService/CreateAccount", account).await;
    let limit = |request_id: &str, actor: &str| {
        json!({ "accountId": "acme", "requestId": request_id, "creditLimit": { "permanent": amount("5") },
            "operator": { "actor": actor, "reason": "asked to" } })
    };
    until("the service has read the access file again", || async {
        house.call(Some(&robot), "AccountService/SetCreditLimit", &limit("1", "")).await.ok()
    })
    .await;
    house.done(&desk, "AccountService/SetCreditLimit", limit("2", "alice")).await;
    house.done(&robot, "AccountService/SetCreditLimit", limit("3", "robot")).await;
    let refused = house.call(Some(&robot), "AccountService/SetCreditLimit", &limit("4", "alice")).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    assert_eq!(refused.message(), "this caller is robot, and may not act for others: operator.actor must be empty, or robot");
    // A charge has an actor, too.
    house.done(root, "AccountService/TopUp", json!({ "accountId": "acme", "requestId": "t", "amount": amount("9") })).await;
    house.done(root, "ChargingService/Debit", json!({ "accountId": "acme", "requestId": "d", "amount": amount("1") })).await;
    let journal = house.done(root, "AccountService/ListEntries", json!({ "accountId": "acme" })).await;
    let found = journal["entries"].as_array().unwrap().iter().rev().map(|entry| {
        let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
        [text(&entry["requestId"]), text(&entry["operator"]["actor"]), text(&entry["onBehalfOf"])]
    });
    let found: Vec<_> = found.collect();
    let expected =
        [["c", "root", ""], ["1", "robot", ""], ["2", "desk", "alice"], ["3", "robot", ""], ["t", "root", ""], ["d", "root", ""]];
    assert_eq!(found, expected);
    // Another may repeat a request: who asks is no part of it.
    let again = house.done(&robot, "AccountService/SetCreditLimit", limit("2", "")).await;
    assert_eq!(again["replayed"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_moves_no_more_at_once_than_it_is_granted_by_whatever_command() {
    let (mut house, keys) = House::start(&[("root", "admin", &[])]).await;
    let root = &keys[0];
    let most = ["top_up", "refund", "set_credit_limit", "write_off", "adjust"];
    let most = most.map(|permission| (permission.to_owned(), [("EUR".to_owned(), "100".to_owned())].into())).into();
    let clerk = house.add("clerk", GrantEntry { roles: vec!["operate".into(), "finance".into()], most, ..GrantEntry::default() });
    for (id, currency) in [("acme", "EUR"), ("dollars", "USD")] {
        let account = json!({ "accountId": id, "requestId": "c", "name": id, "currencyCode": currency, "mode": "PAYMENT_MODE_PREPAID" });
        house.done(root, "AccountService/CreateAccount", account).await;
        house.done(root, "AccountService/TopUp", json!({ "accountId": id, "requestId": "t", "amount": amount("900") })).await;
        house.done(root, "ChargingService/Debit", json!({ "accountId": id, "requestId": "d", "amount": amount("200") })).await;
    }
    let top_up = |id: &str, request_id: &str, much: &str| json!({ "accountId": id, "requestId": request_id, "amount": amount(much) });
    until("the service has read the access file again", || async {
        house.call(Some(&clerk), "AccountService/TopUp", &top_up("acme", "1", "100.00")).await.ok()
    })
    .await;
    let refused = house.call(Some(&clerk), "AccountService/TopUp", &top_up("acme", "2", "100.01")).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    assert_eq!(refused.message(), "this caller is permitted to top_up at most 100 EUR at once, and has to say how much");
    // What is not named has no bound.
    house.done(&clerk, "AccountService/TopUp", top_up("dollars", "2", "5000")).await;
    let by = json!({ "reason": "a test" });
    let limit = |much: &str| json!({ "permanent": amount(much) });
    for (method, request) in [
        ("ChargingService/Refund", json!({ "accountId": "acme", "requestId": "r", "chargeId": "d", "amount": amount("101") })),
        ("ChargingService/Refund", json!({ "accountId": "acme", "requestId": "r", "chargeId": "d" })),
        ("AccountService/AdjustBalance", json!({ "accountId": "acme", "requestId": "a", "amount": amount("-101"), "operator": by })),
        ("AccountService/SetCreditLimit", json!({ "accountId": "acme", "requestId": "l", "creditLimit": limit("101"), "operator": by })),
        ("BillingService/WriteOff", json!({ "accountId": "acme", "requestId": "w", "operator": by })),
        (
            "ChargingService/Convert",
            json!({ "accountId": "acme", "requestId": "v", "mode": "PAYMENT_MODE_POSTPAID", "creditLimit": limit("101"), "operator": by }),
        ),
        (
            "AccountService/CreateAccount",
            json!({ "accountId": "new", "requestId": "c", "name": "New", "currencyCode": "EUR", "mode": "PAYMENT_MODE_POSTPAID",
                "creditLimit": limit("101") }),
        ),
    ] {
        assert_eq!(house.refused(&clerk, method, request.clone()).await, "AMOUNT_NOT_PERMITTED", "{method} {request}");
    }
    let refund = |much: &str| json!({ "refund": { "accountId": "acme", "requestId": "r", "chargeId": "d", "amount": amount(much) } });
    let teller = house.add("teller", GrantEntry { roles: vec!["charge".into()], ..house.grant("clerk") });
    until("the service has read the access file again", || async {
        let look = json!({ "accountId": "acme" });
        house.call(Some(&teller), "ChargingService/GetUsableCredit", &look).await.ok()
    })
    .await;
    let outcomes = house.done(&teller, "ChargingService/BatchCharge", json!({ "commands": [refund("100.5"), refund("100")] })).await;
    assert!(outcomes["outcomes"][0]["error"].to_string().contains("AMOUNT_NOT_PERMITTED"), "{outcomes}");
    assert!(outcomes["outcomes"][1]["refund"].is_object(), "{outcomes}");
}
