//! Acts above a figure wait for a second person.

mod apart;
mod around;
mod ended;
mod forgotten;
mod office;

use serde_json::{Value, json};
use tonic_types::StatusExt;

use super::callers::{House, amount, http_path};

/// Who runs it, who asks for money and limits, and two who may approve.
const KEYS: [(&str, &str, &[&str]); 5] = [
    ("root", "admin", &[]),
    ("ada", "finance", &[]),
    ("otto", "operate", &[]),
    ("bob", "finance", &[]),
    ("eve", "finance", &["partner-7/"]),
];

/// A service whose figures are 100 for adjustments and write-offs and 5,000 for limits, with a prepaid account acme, and the keys.
pub struct Office {
    pub house: House,
    pub root: String,
    pub ada: String,
    pub otto: String,
    pub bob: String,
    pub eve: String,
}

pub fn by(reason: &str) -> Value {
    json!({ "reason": reason })
}

pub fn adjust(request_id: &str, by_how_much: &str) -> Value {
    json!({ "accountId": "acme", "requestId": request_id, "amount": amount(by_how_much), "operator": by("goodwill") })
}

impl Office {
    pub async fn open(settings: &[&str]) -> Self {
        let (house, keys) = House::start_with(&KEYS, settings).await;
        let [root, ada, otto, bob, eve] = keys.try_into().unwrap();
        let office = Self { house, root, ada, otto, bob, eve };
        for (act, above) in [("GUARDED_ACT_ADJUST", "100"), ("GUARDED_ACT_WRITE_OFF", "100"), ("GUARDED_ACT_RAISE_LIMIT", "5000")] {
            let figure = json!({ "requestId": act, "act": act, "currencyCode": "EUR", "above": above, "operator": by("a test") });
            office.house.done(&office.root, "ApprovalService/SetApprovalFigure", figure).await;
        }
        let account =
            json!({ "accountId": "acme", "requestId": "c", "name": "Acme", "currencyCode": "EUR", "mode": "PAYMENT_MODE_PREPAID" });
        office.house.done(&office.root, "AccountService/CreateAccount", account).await;
        office
    }

    /// Asks for something that has to wait, and returns its number.
    pub async fn waits(&self, key: &str, method: &str, request: &Value) -> String {
        let status = self.house.call(Some(key), method, request).await.expect_err(method);
        let info = status.get_details_error_info().unwrap();
        assert_eq!(info.reason, "APPROVAL_NEEDED", "{method} {request}: {status:?}");
        info.metadata["approval_id"].clone()
    }

    pub async fn approve(&self, key: &str, id: &str) -> Value {
        self.house.done(key, "ApprovalService/ApproveAct", decide(id, &format!("approve-{id}"))).await["approval"].take()
    }

    pub async fn waiting(&self) -> Vec<String> {
        let listed = self.house.done(&self.root, "ApprovalService/ListApprovals", json!({})).await;
        let waiting = listed["approvals"].as_array().cloned().unwrap_or_default();
        waiting.iter().map(|approval| approval["approvalId"].as_str().unwrap().to_owned()).collect()
    }

    pub async fn approval(&self, id: &str) -> Value {
        self.house.done(&self.root, "ApprovalService/GetApproval", json!({ "approvalId": id })).await["approval"].take()
    }

    pub async fn account(&self) -> Value {
        self.house.done(&self.root, "AccountService/GetAccount", json!({ "accountId": "acme" })).await["account"].take()
    }

    pub async fn balance(&self) -> String {
        self.account().await["credit"]["balance"].as_str().unwrap().to_owned()
    }
}

pub fn decide(id: &str, request_id: &str) -> Value {
    json!({ "approvalId": id, "requestId": request_id, "operator": by("seen") })
}

async fn waits_and_is_done_once(settings: &[&str]) {
    let office = Office::open(settings).await;
    let Office { house, ada, bob, .. } = &office;
    // At the figure nobody is asked. Above it nothing is done, however often it is sent.
    house.done(ada, "AccountService/AdjustBalance", adjust("small", "100")).await;
    let id = office.waits(ada, "AccountService/AdjustBalance", &adjust("large", "250.5")).await;
    assert_eq!(office.waits(ada, "AccountService/AdjustBalance", &adjust("large", "250.50")).await, id);
    let (status, _, body) = house.post(Some(ada), &http_path("AccountService/AdjustBalance"), &adjust("large", "250.5"));
    assert!(status == 400 && body.contains("APPROVAL_NEEDED") && body.contains(&format!("\"approval_id\":\"{id}\"")), "{status} {body}");
    assert_eq!(house.refused(ada, "AccountService/AdjustBalance", adjust("large", "250.51")).await, "REQUEST_ID_REUSED");
    assert_eq!((office.balance().await.as_str(), office.waiting().await), ("100.00", vec![id.clone()]));
    // It says who asked for what.
    let found = office.approval(&id).await;
    assert_eq!(
        (&found["act"], &found["toDo"]["amount"], &found["state"]),
        (&json!("GUARDED_ACT_ADJUST"), &json!("250.5"), &json!("APPROVAL_STATE_WAITING"))
    );
    assert_eq!((&found["asked"]["actor"], &found["asked"]["reason"]), (&json!("ada"), &json!("goodwill")));

    // Who has asked cannot approve, by whatever protocol.
    assert_eq!(house.refused(ada, "ApprovalService/ApproveAct", decide(&id, "a")).await, "SECOND_PERSON_NEEDED");
    let (status, _, body) = house.post(Some(ada), &http_path("ApprovalService/ApproveAct"), &decide(&id, "a"));
    assert!(status == 403 && body.contains("SECOND_PERSON_NEEDED"), "{status} {body}");
    assert_eq!(office.balance().await, "100.00");

    let approved = office.approve(bob, &id).await;
    assert_eq!((&approved["state"], &approved["decided"]["actor"]), (&json!("APPROVAL_STATE_DONE"), &json!("bob")));
    assert_eq!(office.balance().await, "350.50");
    // A repetition gets what came of it, and nothing is done twice.
    let again = house.done(bob, "ApprovalService/ApproveAct", decide(&id, &format!("approve-{id}"))).await;
    assert_eq!((&again["replayed"], &again["approval"]["state"]), (&json!(true), &json!("APPROVAL_STATE_DONE")));
    assert_eq!(house.refused(bob, "ApprovalService/ApproveAct", decide(&id, "b")).await, "APPROVAL_ENDED");
    assert_eq!(house.refused(bob, "ApprovalService/RejectAct", decide(&id, "b")).await, "APPROVAL_ENDED");
    let repeated = house.done(ada, "AccountService/AdjustBalance", adjust("large", "250.5")).await;
    assert_eq!(repeated["replayed"], json!(true), "{repeated}");
    assert_eq!((office.balance().await.as_str(), office.waiting().await.len()), ("350.50", 0));

    // The entry is of who asked; who approved is on record, too.
    let entries = house.done(ada, "AccountService/ListEntries", json!({ "accountId": "acme", "pageSize": 1 })).await;
    let entry = &entries["entries"][0];
    assert_eq!(
        (&entry["requestId"], &entry["operator"]["actor"], &entry["operator"]["reason"]),
        (&json!("large"), &json!("ada"), &json!("goodwill"))
    );
    let (expected, mut recorded) = ([("approval.asked", "ada"), ("approval.approved", "bob")], Vec::new());
    for (action, _) in expected {
        let page = house.done(&office.root, "AuditService/ListAuditRecords", json!({ "accountId": "acme", "action": action })).await;
        recorded.extend(page["records"].as_array().unwrap().iter().map(|record| (action, record["actor"].as_str().unwrap().to_owned())));
    }
    assert_eq!(recorded, expected.map(|(action, actor)| (action, actor.to_owned())));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_act_above_its_figure_waits_for_another_person_and_is_done_once() {
    waits_and_is_done_once(&[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn so_it_is_with_billing_in_postgresql_and_a_ledger_in_redis() {
    let (redis, postgres) = (crate::support::RedisServer::redis(), crate::postgres::PostgresServer::shared());
    let (url, billing) = (redis.url(), postgres.database());
    waits_and_is_done_once(&["--redis", &url, "--billing", &billing, "--aggregate"]).await;
}
