//! No way leads around the second person.

use access::file::GrantEntry;
use serde_json::json;
use tollgate::billing::{Billing, BillingSettings};

use super::{Office, adjust, by, decide};
use crate::access::callers::{House, amount};
use crate::service::until;

#[tokio::test(flavor = "multi_thread")]
async fn whatever_way_a_limit_is_raised_it_waits_and_lowering_it_does_not() {
    let office = Office::open(&[]).await;
    let Office { house, root, otto, bob, .. } = &office;
    let permanent = |text: &str| json!({ "permanent": amount(text) });
    let temporary = |text: &str| json!({ "setTemporary": { "limit": amount(text), "days": 1 } });
    let set = |id: &str, limit| json!({ "accountId": "acme", "requestId": id, "creditLimit": limit, "operator": by("asked for") });
    let convert = |id: &str, limit| json!({ "accountId": "acme", "requestId": id, "mode": "PAYMENT_MODE_POSTPAID", "creditLimit": limit, "operator": by("asked for") });
    let create = |id: &str, limit| json!({ "accountId": id, "requestId": "c", "name": "New", "currencyCode": "EUR", "mode": "PAYMENT_MODE_POSTPAID", "creditLimit": limit });

    house.done(otto, "AccountService/SetCreditLimit", set("at", permanent("5000"))).await;
    let mut waiting = Vec::new();
    for (method, request) in [
        ("AccountService/SetCreditLimit", set("permanent", permanent("5000.01"))),
        ("AccountService/SetCreditLimit", set("temporary", temporary("5000.01"))),
        ("ChargingService/Convert", convert("convert", permanent("5000.01"))),
        ("ChargingService/Convert", convert("convert-temporary", temporary("9000"))),
        ("AccountService/CreateAccount", create("new", permanent("5000.01"))),
        ("AccountService/CreateAccount", create("newer", temporary("5000.01"))),
    ] {
        waiting.insert(0, office.waits(otto, method, &request).await);
    }
    // Within a batch it is that command's outcome, and of many accounts each one's own.
    let commands = json!({ "commands": [{ "convert": convert("in-batch", permanent("6000")) }] });
    let answer = house.done(root, "ChargingService/BatchCharge", commands).await;
    assert!(answer.to_string().contains("APPROVAL_NEEDED"), "{answer}");
    let list = json!({ "accounts": [{ "accountId": "acme", "limit": amount("6000") }] });
    let mut many = json!({ "batchId": "b", "mode": "PAYMENT_MODE_POSTPAID", "list": list, "operator": by("moved"), "dryRun": true });
    let dry = house.done(otto, "BillingService/BatchConvert", many.clone()).await;
    assert!(dry.to_string().contains("APPROVAL_NEEDED"), "{dry}");
    assert_eq!(office.waiting().await.len(), 7, "a dry run keeps nothing");
    many["dryRun"] = json!(false);
    let done = house.done(otto, "BillingService/BatchConvert", many).await;
    assert!(done.to_string().contains("APPROVAL_NEEDED"), "{done}");
    let account = office.account().await;
    assert_eq!(
        (&account["credit"]["mode"], &account["credit"]["creditLimit"]),
        (&json!("PAYMENT_MODE_PREPAID"), &json!("5000.00")),
        "{account}"
    );
    assert_eq!(house.refused(root, "AccountService/GetAccount", json!({ "accountId": "new" })).await, "ACCOUNT_NOT_FOUND");
    assert_eq!(office.waiting().await[2..], waiting);

    // They are done as they were asked for, an account that is yet to be opened among them.
    assert_eq!(office.approve(bob, &waiting[1]).await["state"], "APPROVAL_STATE_DONE");
    let new = house.done(root, "AccountService/GetAccount", json!({ "accountId": "new" })).await;
    assert_eq!(new["account"]["credit"]["creditLimit"], "5000.01", "{new}");
    for id in [&waiting[4], &waiting[5]] {
        assert_eq!(office.approve(bob, id).await["state"], "APPROVAL_STATE_DONE");
    }
    assert_eq!(office.account().await["credit"]["creditLimit"], "5000.01");
    // Lowering needs nobody; raising it again does.
    house.done(otto, "AccountService/SetCreditLimit", set("same", permanent("5000.01"))).await;
    house.done(otto, "AccountService/SetCreditLimit", set("lower", permanent("100"))).await;
    office.waits(otto, "AccountService/SetCreditLimit", &set("back", permanent("5000.01"))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_off_that_says_no_amount_waits_and_what_would_be_refused_is_refused_at_once() {
    let office = Office::open(&[]).await;
    let Office { house, root, ada, bob, .. } = &office;
    let give_up =
        |id: &str, how_much: serde_json::Value| json!({ "accountId": "acme", "requestId": id, "amount": how_much, "operator": by("lost") });
    assert_eq!(house.refused(ada, "BillingService/WriteOff", give_up("early", json!(null))).await, "EXCEEDS_AMOUNT_DUE");
    let convert = json!({ "accountId": "acme", "requestId": "v", "mode": "PAYMENT_MODE_POSTPAID", "creditLimit": { "permanent": amount("5000") }, "operator": by("moved") });
    house.done(root, "ChargingService/Convert", convert).await;
    house.done(root, "ChargingService/Debit", json!({ "accountId": "acme", "requestId": "d", "amount": amount("300") })).await;
    let back = json!({ "accountId": "acme", "requestId": "w", "mode": "PAYMENT_MODE_PREPAID", "operator": by("moved") });
    house.done(root, "ChargingService/Convert", back).await;
    assert_eq!(office.balance().await, "-300.00");

    assert_eq!(house.refused(ada, "BillingService/WriteOff", give_up("much", amount("300.01"))).await, "EXCEEDS_AMOUNT_DUE");
    let mut unknown = adjust("nowhere", "500");
    unknown["accountId"] = json!("nobody");
    assert_eq!(house.refused(ada, "AccountService/AdjustBalance", unknown).await, "ACCOUNT_NOT_FOUND");
    house.done(ada, "BillingService/WriteOff", give_up("small", amount("100"))).await;
    let id = office.waits(ada, "BillingService/WriteOff", &give_up("rest", json!(null))).await;
    assert!(office.approval(&id).await["amount"].is_null());
    let other = office.waits(ada, "BillingService/WriteOff", &give_up("other", amount("150"))).await;
    assert_eq!(office.approve(bob, &id).await["state"], "APPROVAL_STATE_DONE");
    assert_eq!(office.balance().await, "0.00");
    // What can no longer be done has ended, and says why.
    assert_eq!(house.refused(bob, "ApprovalService/ApproveAct", decide(&other, "o")).await, "EXCEEDS_AMOUNT_DUE");
    let failed = office.approval(&other).await;
    assert_eq!((&failed["state"], &failed["failure"]), (&json!("APPROVAL_STATE_FAILED"), &json!("EXCEEDS_AMOUNT_DUE")));
    assert_eq!(house.refused(ada, "BillingService/WriteOff", give_up("other", amount("150"))).await, "APPROVAL_ENDED");
}

#[tokio::test(flavor = "multi_thread")]
async fn both_permissions_are_looked_at_when_it_is_approved_and_so_are_accounts_and_amounts() {
    let mut office = Office::open(&[]).await;
    let grant = |roles: &[&str], more: GrantEntry| GrantEntry { roles: roles.iter().map(|role| (*role).to_owned()).collect(), ..more };
    let bounds =
        |permission: &str| std::collections::BTreeMap::from([(permission.to_owned(), [("EUR".to_owned(), "200".to_owned())].into())]);
    let cautious = office.house.add("cautious", grant(&["finance"], GrantEntry { most: bounds("approve_acts"), ..GrantEntry::default() }));
    let portal = office.house.add("portal", grant(&["finance"], GrantEntry { acts_for_others: true, ..GrantEntry::default() }));
    let Office { house, root, ada, eve, .. } = &office;
    until("the keys are known", async || house.call(Some(&portal), "ApprovalService/ListApprovals", &json!({})).await.ok()).await;
    let id = office.waits(ada, "AccountService/AdjustBalance", &adjust("one", "-200.01")).await;

    // A caller that is bound to other accounts learns nothing of it.
    for method in ["GetApproval", "ApproveAct", "RejectAct"] {
        let request = if method == "GetApproval" { json!({ "approvalId": id }) } else { decide(&id, "e") };
        assert_eq!(house.refused(eve, &format!("ApprovalService/{method}"), request).await, "APPROVAL_NOT_FOUND");
    }
    let shown = house.done(eve, "ApprovalService/ListApprovals", json!({ "includeEnded": true })).await;
    assert_eq!(shown["approvals"].as_array().map_or(0, Vec::len), 0, "{shown}");
    assert_eq!(house.refused(eve, "ApprovalService/ListApprovals", json!({ "accountId": "acme" })).await, "PERMISSION_DENIED");
    assert_eq!(house.refused(&cautious, "ApprovalService/ApproveAct", decide(&id, "c")).await, "AMOUNT_NOT_PERMITTED");

    // A service that acts for people is trusted to name them; it is none of them itself.
    let for_person = |request: serde_json::Value, person: &str| {
        let mut request = request;
        request["operator"]["actor"] = json!(person);
        request
    };
    let asked = office.waits(&portal, "AccountService/AdjustBalance", &for_person(adjust("two", "150"), "cleo")).await;
    for person in ["cleo", "Cleo"] {
        let wrong = for_person(decide(&asked, "p"), person);
        assert_eq!(house.refused(&portal, "ApprovalService/ApproveAct", wrong).await, "SECOND_PERSON_NEEDED");
    }
    assert_eq!(house.refused(&portal, "ApprovalService/ApproveAct", decide(&asked, "p")).await, "SECOND_PERSON_NEEDED");
    let wrong = for_person(decide(&id, "p"), "ada");
    assert_eq!(house.refused(&portal, "ApprovalService/ApproveAct", wrong).await, "SECOND_PERSON_NEEDED");
    house.done(&portal, "ApprovalService/ApproveAct", for_person(decide(&asked, "p"), "dora")).await;
    assert_eq!(office.balance().await, "150.00");

    // A key that the one who asked has made is theirs.
    let new = json!({ "requestId": "k", "name": "another", "grant": { "roles": ["finance"] }, "operator": by("a test") });
    let made = house.done(root, "AdminService/CreateKey", new).await["key"].as_str().unwrap().to_owned();
    let of_root = office.waits(root, "AccountService/AdjustBalance", &adjust("three", "300")).await;
    assert_eq!(house.refused(&made, "ApprovalService/ApproveAct", decide(&of_root, "m")).await, "SECOND_PERSON_NEEDED");

    // Who asked may no longer do it: then it waits on, and is done once they may again.
    let was = office.house.grant("ada");
    office.house.change(|file| file.keys.iter_mut().find(|key| key.name == "ada").unwrap().grant.most = bounds("adjust"));
    let Office { house, ada, bob, .. } = &office;
    let probe = adjust("probe", "200.01");
    until("the bound is known", async || {
        let status = house.call(Some(ada), "AccountService/AdjustBalance", &probe).await.expect_err("it is above the figure");
        (tonic_types::StatusExt::get_details_error_info(&status)?.reason == "AMOUNT_NOT_PERMITTED").then_some(())
    })
    .await;
    assert_eq!(house.refused(bob, "ApprovalService/ApproveAct", decide(&id, "b")).await, "ASKER_NOT_PERMITTED");
    assert_eq!(office.approval(&id).await["state"], "APPROVAL_STATE_WAITING");
    office.house.change(|file| file.keys.iter_mut().find(|key| key.name == "ada").unwrap().grant = was);
    let (house, bob) = (&office.house, &office.bob);
    until("it is known that there is none", async || house.call(Some(bob), "ApprovalService/ApproveAct", &decide(&id, "b")).await.ok())
        .await;
    assert_eq!(office.balance().await, "-50.01");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_figure_needs_callers_that_are_known_and_a_store_and_is_set_by_those_who_say_who_may_call() {
    let figure = |above: &str| json!({ "requestId": format!("f{above}"), "act": "GUARDED_ACT_ADJUST", "currencyCode": "EUR", "above": above, "operator": by("a test") });
    let set = "ApprovalService/SetApprovalFigure";
    let (open, _) = House::start(&[]).await;
    let named = |above: &str| {
        let mut figure = figure(above);
        figure["operator"]["actor"] = json!("me");
        figure
    };
    let refused = open.call(None, set, &named("10")).await.unwrap_err();
    assert_eq!(tonic_types::StatusExt::get_details_error_info(&refused).unwrap().reason, "CALLERS_UNKNOWN");
    open.call(None, set, &named("")).await.unwrap();
    let keys: [(&str, &str, &[&str]); 2] = [("root", "admin", &[]), ("ada", "finance", &[])];
    let (bare, keys) = House::start_with(&keys, &["--billing", "off"]).await;
    assert_eq!(bare.refused(&keys[0], set, figure("10")).await, "BILLING_NOT_CONFIGURED");
    assert_eq!(bare.refused(&keys[1], set, figure("10")).await, "PERMISSION_DENIED");
    for (field, value) in [
        ("above", "-1"),
        ("above", "1e3"),
        ("above", "ten"),
        ("currencyCode", "euro"),
        ("currencyCode", ""),
        ("act", "GUARDED_ACT_UNSPECIFIED"),
        ("requestId", ""),
    ] {
        let mut wrong = figure("10");
        wrong[field] = json!(value);
        assert_eq!(bare.refused(&keys[0], set, wrong).await, "INVALID_REQUEST", "{field} {value}");
    }
    for id in ["", "0", "-1", "01", "x", "9223372036854775808"] {
        assert_eq!(bare.refused(&keys[0], "ApprovalService/GetApproval", json!({ "approvalId": id })).await, "INVALID_REQUEST", "{id}");
        assert_eq!(bare.refused(&keys[0], "ApprovalService/ApproveAct", decide(id, "r")).await, "INVALID_REQUEST", "{id}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_needs_approval_does_not_wait_for_a_billing_store_that_is_slow() {
    let (redis, postgres) = (crate::support::RedisServer::redis(), crate::postgres::PostgresServer::shared());
    let (url, store) = (redis.url(), postgres.database());
    let office = Office::open(&["--redis", &url, "--billing", &store, "--aggregate"]).await;
    let billing = Billing::open(&store, BillingSettings::default()).await.unwrap();
    let mut step = billing.store().begin().await.unwrap();
    sqlx::query("UPDATE approvals_counter SET last = last WHERE id = 1").execute(&mut *step).await.unwrap();
    // Without a limit it would wait for as long as the other holds it.
    let request = adjust("slow", "200");
    let asking = office.house.call(Some(&office.ada), "AccountService/AdjustBalance", &request);
    let answered = tokio::time::timeout(std::time::Duration::from_secs(60), asking).await.expect("an answer");
    assert_eq!(tonic_types::StatusExt::get_details_error_info(&answered.unwrap_err()).unwrap().reason, "BILLING_UNAVAILABLE");
    step.rollback().await.unwrap();
    // What was begun may have been kept meanwhile: it is one act.
    until("it is kept", async || office.waiting().await.pop()).await;
    office.waits(&office.ada, "AccountService/AdjustBalance", &adjust("slow", "200")).await;
    assert_eq!(office.waiting().await.len(), 1);
}
