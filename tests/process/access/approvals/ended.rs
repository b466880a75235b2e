//! What becomes of acts that nobody approves, and of those that were approved when the service was killed.

use rusqlite::Connection;
use serde_json::json;
use tonic_types::StatusExt;

use super::{Office, adjust, decide};
use crate::service::until;

impl Office {
    /// Kills the service, changes what the billing store says of acts, and starts it again.
    pub async fn killed(self, sql: &str) -> Self {
        let house = self.house.killed(|folder| {
            let file = Connection::open(folder.join("ledger.billing.db")).unwrap();
            assert_eq!(file.execute(sql, []).unwrap(), 1, "{sql}");
        });
        Self { house: house.await, ..self }
    }

    pub async fn becomes(&self, id: &str, state: &str) {
        let is_it = async || (self.approval(id).await["state"] == state).then_some(());
        until("it is noted what came of it", is_it).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_rejected_or_waits_for_7_days_is_never_done() {
    let folder = crate::temporary_folder();
    let clock = folder.path().join("clock").display().to_string();
    std::fs::write(&clock, "2026-11-02T12:00:00Z").unwrap();
    let office = Office::open(&["--test-clock", &clock]).await;
    let Office { house, root, ada, bob, .. } = &office;
    let rejected = office.waits(ada, "AccountService/AdjustBalance", &adjust("no", "200")).await;
    // Who has asked may take it back.
    let answer = house.done(ada, "ApprovalService/RejectAct", decide(&rejected, "r")).await;
    assert_eq!(answer["approval"]["state"], "APPROVAL_STATE_REJECTED");
    assert_eq!(house.done(ada, "ApprovalService/RejectAct", decide(&rejected, "r")).await["replayed"], json!(true));
    assert_eq!(house.refused(bob, "ApprovalService/ApproveAct", decide(&rejected, "a")).await, "APPROVAL_ENDED");
    let status = house.call(Some(ada), "AccountService/AdjustBalance", &adjust("no", "200")).await.unwrap_err();
    let info = status.get_details_error_info().unwrap();
    assert_eq!((info.reason.as_str(), info.metadata["state"].as_str()), ("APPROVAL_ENDED", "rejected"));

    let [late, kept] = ["late", "kept"].map(|id| adjust(id, "300"));
    let id = office.waits(ada, "AccountService/AdjustBalance", &late).await;
    std::fs::write(&clock, "2026-11-09T11:59:59Z").unwrap();
    let other = until("the clock is read", async || {
        let asked = house.call(Some(ada), "AccountService/AdjustBalance", &kept).await.unwrap_err().get_details_error_info()?;
        asked.metadata["ends_at"].starts_with("2026-11-16").then(|| asked.metadata["approval_id"].clone())
    });
    // The first look may come before the clock is read: then it ends with the other.
    let other = tokio::time::timeout(std::time::Duration::from_secs(2), other).await.unwrap_or_default();
    assert!(office.waiting().await.contains(&id));
    std::fs::write(&clock, "2026-11-09T12:00:00Z").unwrap();
    office.becomes(&id, "APPROVAL_STATE_EXPIRED").await;
    assert_eq!(house.refused(bob, "ApprovalService/ApproveAct", decide(&id, "x")).await, "APPROVAL_ENDED");
    assert_eq!(house.refused(ada, "AccountService/AdjustBalance", late).await, "APPROVAL_ENDED");
    until("that is on record", async || {
        let page = house.done(root, "AuditService/ListAuditRecords", json!({ "action": "approval.expired" })).await;
        page["records"].as_array().filter(|records| !records.is_empty()).cloned()
    })
    .await;
    assert_eq!(office.balance().await, "0.00");
    if !other.is_empty() {
        assert_eq!(office.approve(bob, &other).await["state"], "APPROVAL_STATE_DONE");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_act_that_was_approved_is_done_once_wherever_the_service_is_killed() {
    let office = Office::open(&[]).await;
    let first = office.waits(&office.ada, "AccountService/AdjustBalance", &adjust("first", "200")).await;
    // Killed between the approval and the deed.
    let approve = "UPDATE approvals SET state = 'approved', decided_by = 'bob', decided_request_id = 'a', \
                   decided_at = CAST(strftime('%s', 'now') AS INTEGER) * 1000 WHERE state = 'waiting'";
    let office = office.killed(approve).await;
    office.becomes(&first, "APPROVAL_STATE_DONE").await;
    assert_eq!(office.balance().await, "200.00");
    // Killed between the deed and the note of it.
    let office = office.killed("UPDATE approvals SET state = 'approved'").await;
    office.becomes(&first, "APPROVAL_STATE_DONE").await;
    assert_eq!(office.balance().await, "200.00");
    let again = office.house.done(&office.ada, "AccountService/AdjustBalance", adjust("first", "200")).await;
    assert_eq!(again["replayed"], json!(true));
    assert_eq!(office.balance().await, "200.00");

    // The same request, repeated, goes on with it at once.
    let second = office.waits(&office.ada, "AccountService/AdjustBalance", &adjust("second", "300")).await;
    let far = "UPDATE approvals SET state = 'approved', decided_by = 'bob', decided_request_id = 'b', \
               decided_at = (CAST(strftime('%s', 'now') AS INTEGER) + 3) * 1000 WHERE state = 'waiting'";
    let office = office.killed(far).await;
    office.house.done(&office.ada, "AccountService/AdjustBalance", adjust("second", "300")).await;
    assert_eq!(
        (office.balance().await.as_str(), office.approval(&second).await["state"].as_str()),
        ("500.00", Some("APPROVAL_STATE_DONE"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_act_that_the_ledger_has_forgotten_is_never_done_again() {
    let office = Office::open(&[]).await;
    let id = office.waits(&office.ada, "AccountService/AdjustBalance", &adjust("old", "200")).await;
    // It was approved two days ago, which is more than the window of request ids, and nobody knows whether it was done.
    let long_ago = "UPDATE approvals SET state = 'approved', decided_by = 'bob', decided_at = \
                    (CAST(strftime('%s', 'now') AS INTEGER) - 172800) * 1000 WHERE state = 'waiting'";
    let office = office.killed(long_ago).await;
    office.becomes(&id, "APPROVAL_STATE_FAILED").await;
    assert_eq!(office.approval(&id).await["failure"], "REQUEST_TOO_OLD");
    assert_eq!(office.balance().await, "0.00");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_approved_while_the_ledger_is_away_is_done_when_it_is_back() {
    let (redis, postgres) = (crate::support::RedisServer::redis(), crate::postgres::PostgresServer::shared());
    let (url, billing) = (redis.url(), postgres.database());
    let office = Office::open(&["--redis", &url, "--billing", &billing, "--aggregate"]).await;
    let id = office.waits(&office.ada, "AccountService/AdjustBalance", &adjust("away", "200")).await;
    redis.signal("STOP");
    let approving = office.house.call(Some(&office.bob), "ApprovalService/ApproveAct", &decide(&id, "a")).await.unwrap_err();
    assert_eq!(approving.code(), tonic::Code::Unavailable, "{approving:?}");
    let house = office.house.killed(|_| redis.signal("CONT"));
    let office = Office { house: house.await, ..office };
    office.becomes(&id, "APPROVAL_STATE_DONE").await;
    assert_eq!(office.balance().await, "200.00");
    let again = office.house.done(&office.bob, "ApprovalService/ApproveAct", decide(&id, "a")).await;
    assert_eq!(again["replayed"], json!(true));
}

#[tokio::test(flavor = "multi_thread")]
async fn only_so_many_acts_of_an_account_wait() {
    let office = Office::open(&[]).await;
    for number in 0..10 {
        office.waits(&office.ada, "AccountService/AdjustBalance", &adjust(&format!("n{number}"), "200")).await;
    }
    let refused = office.house.refused(&office.ada, "AccountService/AdjustBalance", adjust("n10", "200")).await;
    assert_eq!(refused, "TOO_MANY_APPROVALS");
    // What waits already is told as before, and one that ends makes room.
    let id = office.waits(&office.ada, "AccountService/AdjustBalance", &adjust("n0", "200")).await;
    office.house.done(&office.bob, "ApprovalService/RejectAct", decide(&id, "r")).await;
    office.waits(&office.ada, "AccountService/AdjustBalance", &adjust("n10", "200")).await;
}
