//! What the ledger has forgotten is not done again, nor kept as if it were new.

use rusqlite::Connection;
use serde_json::json;
use tonic_types::StatusExt;

use super::{Office, adjust, decide};
use crate::service::until;

/// Two days, more than the window of request ids.
const LONG_AGO: i64 = 172_800_000;

impl Office {
    pub fn sql(&self, file: &str, sql: &str) -> usize {
        let file = Connection::open(self.house.folder().join(file)).unwrap();
        file.busy_timeout(std::time::Duration::from_secs(60)).unwrap();
        file.execute(sql, []).unwrap()
    }

    /// Waits until the billing store has an entry of that request.
    async fn has_entry(&self, request_id: &str) {
        let path = self.house.folder().join("ledger.billing.db");
        let sql = format!("SELECT COUNT(*) FROM entries WHERE request_id = '{request_id}'");
        until("the journal is taken in", async || {
            let found = Connection::open(&path).unwrap().query_row(&sql, [], |row| row.get::<_, i64>(0));
            found.is_ok_and(|count| count > 0).then_some(())
        })
        .await;
    }

    /// The same after the ledger has forgotten all request ids.
    async fn forgetful(self) -> Self {
        let house = self.house.killed(|folder| {
            let file = Connection::open(folder.join("ledger.db")).unwrap();
            assert!(file.execute("DELETE FROM requests", []).unwrap() > 0);
        });
        Self { house: house.await, ..self }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_done_and_forgotten_is_not_done_again_by_who_asks_again() {
    let office = Office::open(&[]).await;
    let id = office.waits(&office.ada, "AccountService/AdjustBalance", &adjust("once", "200")).await;
    assert_eq!(office.approve(&office.bob, &id).await["state"], "APPROVAL_STATE_DONE");
    office.has_entry("once").await;
    let office = office.forgetful().await;
    // It was not noted that it was done, as after a crash; who asked is the first to ask.
    office.sql("ledger.billing.db", &format!("UPDATE approvals SET state = 'approved', decided_at = decided_at - {LONG_AGO}"));
    assert_eq!(office.house.refused(&office.ada, "AccountService/AdjustBalance", adjust("once", "200")).await, "REQUEST_TOO_OLD");
    office.becomes(&id, "APPROVAL_STATE_DONE").await;
    assert_eq!(office.house.refused(&office.ada, "AccountService/AdjustBalance", adjust("once", "200")).await, "REQUEST_TOO_OLD");
    assert_eq!(office.balance().await, "200.00");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_first_sent_before_the_window_is_not_kept() {
    let office = Office::open(&[]).await;
    let mut late = adjust("late", "200");
    late["firstSentAt"] = json!((jiff::Timestamp::now() - jiff::SignedDuration::from_hours(48)).to_string());
    assert_eq!(office.house.refused(&office.ada, "AccountService/AdjustBalance", late).await, "REQUEST_TOO_OLD");
    assert!(office.waiting().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_act_that_was_done_is_not_failed_because_who_asked_may_no_longer_do_it() {
    let office = Office::open(&[]).await;
    let id = office.waits(&office.ada, "AccountService/AdjustBalance", &adjust("once", "200")).await;
    assert_eq!(office.approve(&office.bob, &id).await["state"], "APPROVAL_STATE_DONE");
    office.has_entry("once").await;
    let mut office = office;
    office.house.change(|file| file.keys.retain(|key| key.name != "ada"));
    let office = office.killed(&format!("UPDATE approvals SET state = 'approved', decided_at = decided_at - {LONG_AGO}")).await;
    let office = office.forgetful().await;
    office.becomes(&id, "APPROVAL_STATE_DONE").await;
    assert_eq!(office.balance().await, "200.00");
}

#[tokio::test(flavor = "multi_thread")]
async fn whether_an_act_was_done_is_not_noted_before_the_journal_is_taken_in() {
    let office = Office::open(&[]).await;
    office.has_entry("c").await;
    let office = office.killed("UPDATE partitions SET state = 'STOPPED', reason = 'by a test'").await;
    let id = office.waits(&office.ada, "AccountService/AdjustBalance", &adjust("once", "200")).await;
    assert_eq!(office.approve(&office.bob, &id).await["state"], "APPROVAL_STATE_DONE");
    let office = office.killed(&format!("UPDATE approvals SET state = 'approved', decided_at = decided_at - {LONG_AGO}")).await;
    let office = office.forgetful().await;
    let asked = office.house.refused(&office.ada, "AccountService/AdjustBalance", adjust("once", "200")).await;
    assert_eq!((asked.as_str(), &office.approval(&id).await["state"]), ("BILLING_UNAVAILABLE", &json!("APPROVAL_STATE_APPROVED")));
    let office = office.killed("UPDATE partitions SET state = 'RUNNING', reason = ''").await;
    office.becomes(&id, "APPROVAL_STATE_DONE").await;
    assert_eq!(office.balance().await, "200.00");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_act_that_is_held_up_holds_up_no_other() {
    let office = Office::open(&[]).await;
    office.has_entry("c").await;
    let office = office.killed("UPDATE partitions SET state = 'STOPPED', reason = 'by a test'").await;
    let held_up = office.waits(&office.ada, "AccountService/AdjustBalance", &adjust("first", "200")).await;
    let other = office.waits(&office.ada, "AccountService/AdjustBalance", &adjust("second", "300")).await;
    // Whether the first was done is known to the journal, which nobody takes in.
    office.house.done(&office.ada, "AccountService/AdjustBalance", adjust("small", "50")).await;
    let approve = format!(
        "UPDATE approvals SET state = 'approved', decided_by = 'bob', decided_request_id = 'a', \
         decided_at = CAST(strftime('%s', 'now') AS INTEGER) * 1000 - CASE request_id WHEN 'first' THEN {LONG_AGO} ELSE 20000 END"
    );
    assert_eq!(office.sql("ledger.billing.db", &approve), 2);
    office.becomes(&other, "APPROVAL_STATE_DONE").await;
    assert_eq!(office.approval(&held_up).await["state"], "APPROVAL_STATE_APPROVED");
    assert_eq!(office.balance().await, "350.00");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_became_of_an_act_is_forgotten_after_90_days_though_nobody_asks() {
    let folder = crate::temporary_folder();
    let clock = folder.path().join("clock").display().to_string();
    std::fs::write(&clock, "2026-03-02T12:00:00Z").unwrap();
    let office = Office::open(&["--test-clock", &clock]).await;
    let id = office.waits(&office.ada, "AccountService/AdjustBalance", &adjust("no", "200")).await;
    office.house.done(&office.bob, "ApprovalService/RejectAct", decide(&id, "r")).await;
    std::fs::write(&clock, "2026-06-07T12:00:01Z").unwrap();
    until("it is forgotten", async || {
        let asked = office.house.call(Some(&office.root), "ApprovalService/GetApproval", &json!({ "approvalId": id })).await;
        (asked.err()?.get_details_error_info()?.reason == "APPROVAL_NOT_FOUND").then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_done_before_the_billing_store_was_restored_is_not_done_again_when_it_is_approved_again() {
    let office = Office::open(&[]).await;
    let id = office.waits(&office.ada, "AccountService/AdjustBalance", &adjust("once", "200")).await;
    assert_eq!(office.approve(&office.bob, &id).await["state"], "APPROVAL_STATE_DONE");
    office.has_entry("once").await;
    let office = office.forgetful().await;
    // The state of the billing store is one from before it was approved; the journal was taken in again since.
    let restored = "UPDATE approvals SET state = 'waiting', decided_by = '', decided_request_id = '', decided_reason = '', decided_at = 0";
    assert_eq!(office.sql("ledger.billing.db", restored), 1);
    let again = office.house.done(&office.bob, "ApprovalService/ApproveAct", decide(&id, "again")).await;
    assert_eq!((&again["approval"]["state"], office.balance().await.as_str()), (&json!("APPROVAL_STATE_DONE"), "200.00"), "{again}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_billing_store_that_was_restored_gives_no_number_again_that_was_given_since() {
    let office = Office::open(&[]).await;
    let lost = office.waits(&office.ada, "AccountService/AdjustBalance", &adjust("lost", "200")).await;
    // As in a backup from before it was asked for.
    office.sql("ledger.billing.db", "DELETE FROM approvals");
    office.sql("ledger.billing.db", "UPDATE approvals_counter SET last = 0");
    let other = office.waits(&office.ada, "AccountService/AdjustBalance", &adjust("other", "900")).await;
    assert_ne!(lost, other);
    let refused = office.house.refused(&office.bob, "ApprovalService/ApproveAct", decide(&lost, "a")).await;
    assert_eq!((refused.as_str(), office.balance().await.as_str()), ("APPROVAL_NOT_FOUND", "0.00"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_approved_by_a_clock_that_was_ahead_is_done_once_that_time_has_come() {
    let office = Office::open(&[]).await;
    let id = office.waits(&office.ada, "AccountService/AdjustBalance", &adjust("early", "200")).await;
    let approved = |at: jiff::Timestamp| {
        let sql = format!("UPDATE approvals SET state = 'approved', decided_by = 'bob', decided_at = {}", at.as_millisecond());
        assert_eq!(office.sql("ledger.billing.db", &sql), 1);
    };
    approved(jiff::Timestamp::now() + jiff::SignedDuration::from_hours(1));
    assert_eq!(office.house.refused(&office.ada, "AccountService/AdjustBalance", adjust("early", "200")).await, "SENT_IN_FUTURE");
    assert_eq!(office.approval(&id).await["state"], "APPROVAL_STATE_APPROVED", "it has not failed");
    approved(jiff::Timestamp::now() - jiff::SignedDuration::from_secs(20));
    office.becomes(&id, "APPROVAL_STATE_DONE").await;
    assert_eq!(office.balance().await, "200.00");
}
