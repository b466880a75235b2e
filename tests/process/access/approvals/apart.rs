//! Who asks for much leaves room for others, and who asks makes no second person.

use serde_json::{Value, json};
use tonic_types::StatusExt;

use super::{Office, adjust, by, decide};
use crate::access::callers::amount;
use crate::service::until;

impl Office {
    /// A key of the billing store, made by another, that lets in.
    async fn made(&self, maker: &str, name: &str, role: &str) -> String {
        let new = json!({ "requestId": name, "name": name, "grant": { "roles": [role] }, "operator": by("a test") });
        let key = self.house.done(maker, "AdminService/CreateKey", new).await["key"].as_str().unwrap().to_owned();
        until("it is let in", async || self.house.call(Some(&key), "ApprovalService/ListApprovals", &json!({})).await.ok()).await;
        key
    }
}

fn raise(account: &str) -> Value {
    let list = json!({ "accounts": [{ "accountId": account, "limit": amount("6000") }] });
    json!({ "batchId": "b", "mode": "PAYMENT_MODE_POSTPAID", "list": list, "operator": by("moved") })
}

#[tokio::test(flavor = "multi_thread")]
async fn one_caller_does_not_use_up_what_may_wait_and_a_batch_goes_on_without_room() {
    let office = Office::open(&[]).await;
    let id = office.waits(&office.ada, "AccountService/AdjustBalance", &adjust("first", "200")).await;
    // As many as if she had asked on many accounts.
    let copy = format!(
        "INSERT INTO approvals (id, account, request_id, act, currency, amount, command, asker, asked_by, asked_for, reason, origin, \
         asked_at, ends_at, state) WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 999) \
         SELECT 1000000 + n, 'a' || n, request_id, act, currency, amount, command, asker, asked_by, asked_for, reason, origin, asked_at, \
         ends_at, state FROM approvals, n WHERE id = {id}"
    );
    assert_eq!(office.sql("ledger.billing.db", &copy), 999);
    let refused = office.house.call(Some(&office.ada), "AccountService/AdjustBalance", &adjust("more", "200")).await.unwrap_err();
    let info = refused.get_details_error_info().unwrap();
    assert_eq!((info.reason.as_str(), info.metadata["most"].as_str()), ("TOO_MANY_APPROVALS", "1000"));

    for number in 1..10 {
        let limit = json!({ "permanent": amount("5000.01") });
        let set = json!({ "accountId": "acme", "requestId": format!("l{number}"), "creditLimit": limit, "operator": by("more") });
        office.waits(&office.otto, "AccountService/SetCreditLimit", &set).await;
    }
    let outcome = office.house.done(&office.otto, "BillingService/BatchConvert", raise("acme")).await;
    assert!(outcome.to_string().contains("TOO_MANY_APPROVALS"), "{outcome}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_was_made_after_the_request_or_by_a_key_of_the_one_who_asked_is_no_second_person() {
    let office = Office::open(&[]).await;
    let Office { house, root, ada, .. } = &office;
    let approve = "ApprovalService/ApproveAct";
    let early = office.waits(ada, "AccountService/AdjustBalance", &adjust("early", "200")).await;
    let mine = office.made(root, "mine", "admin").await;
    let theirs = office.made(&mine, "theirs", "finance").await;
    assert_eq!(house.refused(&theirs, approve, decide(&early, "t")).await, "SECOND_PERSON_NEEDED", "it is younger than the request");
    let of_root = office.waits(root, "AccountService/AdjustBalance", &adjust("of-root", "300")).await;
    assert_eq!(house.refused(&theirs, approve, decide(&of_root, "t")).await, "SECOND_PERSON_NEEDED", "root has made who has made it");
    let later = office.waits(ada, "AccountService/AdjustBalance", &adjust("later", "400")).await;
    assert_eq!(office.approve(&theirs, &later).await["state"], "APPROVAL_STATE_DONE");
    assert_eq!(office.balance().await, "400.00");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_key_has_asked_for_is_not_approved_by_who_has_made_the_key() {
    let office = Office::open(&[]).await;
    let Office { house, root, bob, .. } = &office;
    let helper = office.made(root, "helper", "admin").await;
    let inner = office.made(&helper, "inner", "finance").await;
    for (key, request) in [(&helper, "by-helper"), (&inner, "by-inner")] {
        let id = office.waits(key, "AccountService/AdjustBalance", &adjust(request, "200")).await;
        assert_eq!(house.refused(root, "ApprovalService/ApproveAct", decide(&id, "r")).await, "SECOND_PERSON_NEEDED", "{request}");
        assert_eq!(office.approve(bob, &id).await["state"], "APPROVAL_STATE_DONE");
    }
    assert_eq!(office.balance().await, "400.00");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_of_which_nobody_knows_who_has_made_it_is_no_second_person_nor_has_one() {
    let office = Office::open(&[]).await;
    let Office { house, root, ada, bob, .. } = &office;
    let restored = office.made(root, "restored", "admin").await;
    let inner = office.made(&restored, "inner", "finance").await;
    // As a billing store has it that took the key over from the ledger's copy.
    assert_eq!(office.sql("ledger.billing.db", "UPDATE callers SET created_by = '' WHERE name = 'restored'"), 1);
    let id = office.waits(ada, "AccountService/AdjustBalance", &adjust("of-ada", "200")).await;
    for key in [&restored, &inner] {
        let refused = house.call(Some(key), "ApprovalService/ApproveAct", &decide(&id, "k")).await.unwrap_err();
        let info = refused.get_details_error_info().unwrap();
        assert_eq!(info.reason, "MAKER_UNKNOWN");
        assert!(refused.message().contains("made anew"), "{refused:?}");
        let own = office.waits(key, "AccountService/AdjustBalance", &adjust(&format!("own-{}", &key[3..11]), "300")).await;
        assert_eq!(house.refused(bob, "ApprovalService/ApproveAct", decide(&own, "b")).await, "MAKER_UNKNOWN");
    }
    assert_eq!(office.approve(bob, &id).await["state"], "APPROVAL_STATE_DONE");
    assert_eq!(office.balance().await, "200.00");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_approves_a_raised_limit_is_held_to_the_highest_that_is_set() {
    let office = Office::open(&[]).await;
    let Office { root, otto, bob, .. } = &office;
    let set = |id: &str, permanent: &str, temporary: &str, days: u32| {
        let limit = json!({ "permanent": amount(permanent), "setTemporary": { "limit": amount(temporary), "days": days } });
        json!({ "accountId": "acme", "requestId": id, "creditLimit": limit, "operator": by("asked for") })
    };
    let first = office.waits(root, "AccountService/SetCreditLimit", &set("first", "5000", "10000", 30)).await;
    assert_eq!(office.approve(bob, &first).await["state"], "APPROVAL_STATE_DONE");
    // The temporary limit ends sooner than the one that runs, but may not when it is approved.
    let second = office.waits(otto, "AccountService/SetCreditLimit", &set("second", "5000.01", "10000", 29)).await;
    assert_eq!(office.approval(&second).await["amount"]["amount"], "10000");
}
