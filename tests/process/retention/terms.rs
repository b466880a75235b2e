//! By which term something goes: the one that the billing store has had for a day, by a clock that goes on as clocks do.

use serde_json::json;

use super::{House, TERMS, done, gone, two_thousand_twenty_six};
use crate::service::{Service, until};

/// A clock that is wrong, and a term that was set by mistake, have to stand for a day; and then each is on record.
#[tokio::test(flavor = "multi_thread")]
async fn neither_a_wrong_clock_nor_a_term_by_mistake_deletes_anything_at_once() {
    let house = House::new(None, None);
    two_thousand_twenty_six(&house).await;
    let said = async |service: &Service, what: &str| {
        until(what, async || service.log().iter().any(|line| line.contains(what)).then_some(())).await;
    };
    // Long terms are in force.
    let long = ["--keep-audit-days", "3650", "--keep-documents-years", "20"];
    let service = house.serve_at("2034-12-30T12:00:00Z", &long);
    said(&service, "the term is new").await;
    house.until_looked_at("2034-12-30T12:00:00Z").await;
    // The clock leaps by years, and the ledger is charged by it.
    house.move_on(&service, "2066-01-01T00:00:00Z").await;
    said(&service, "the clock has gone back, or on by more than a day").await;
    house.until_looked_at("2066-01-01T00:00:00Z").await;
    assert_eq!(gone(&service), [0, 0]);
    assert!(service.stopped().await.success());
    // One that is started with other terms sets them, on record, and drops nothing by them yet; one that is started with none drops nothing.
    let service = house.serve_at("2066-01-01T12:00:00Z", &TERMS);
    said(&service, "documents, 8 years: the term is new; nothing goes before 2066-01-02T12:00:00Z").await;
    let records = done(&service, "AuditService/ListAuditRecords", json!({ "pageSize": 100 })).to_string();
    for change in [r#"\"before\":\"for ever\""#, r#"\"after\":\"20 years\""#, r#"\"before\":\"20 years\""#, r#"\"after\":\"8 years\""#] {
        assert!(records.contains("retention.term_changed") && records.contains(change), "{change}: {records}");
    }
    assert!(service.stopped().await.success());
    let service = house.serve_at("2066-01-03T00:00:00Z", &[]);
    said(&service, "documents: this process was started with no term, and a later one with 8 years").await;
    assert_eq!(gone(&service), [0, 0]);
    assert!(service.stopped().await.success());
    // What a term said before is taken back by 0.
    let service = house.serve_at("2066-01-03T01:00:00Z", &["--keep-audit-days", "0", "--keep-documents-years", "0"]);
    let taken_back = async || (house.number("SELECT COUNT(*) FROM retention WHERE term = ''").await == Some(2)).then_some(());
    until("the terms are taken back", taken_back).await;
    assert_eq!(gone(&service), [0, 0]);
}
