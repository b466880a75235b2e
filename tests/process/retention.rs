//! What is older than it is to be kept goes, and no more: audit records, lines and customers of documents, and what callers sent along in
//! entries. All is proved as before.

mod erasing;
mod owed_again;
mod terms;

use std::cell::Cell;
use std::process::Command;

use jiff::Timestamp;
use serde_json::{Value, json};
use sqlx::Row;
use tollgate::billing::audit::Act;
use tollgate::billing::{Billing, BillingSettings};
use tollgate::domain::time::UnixMillis;

use crate::command::{self, Ended, Operator, call};
use crate::postgres::PostgresServer;
use crate::service::{Service, until};
use crate::support::{RedisServer, temporary_folder};

/// The terms of these tests.
const TERMS: [&str; 4] = ["--keep-audit-days", "400", "--keep-documents-years", "8"];

/// A service by a clock that stands, and its stores.
struct House {
    folder: tempfile::TempDir,
    arguments: Vec<String>,
    billing: String,
}

impl House {
    fn new(ledger: Option<&RedisServer>, billing: Option<&PostgresServer>) -> Self {
        let folder = temporary_folder();
        let path = |name: &str| folder.path().join(name).display().to_string();
        let billing = billing.map_or_else(|| format!("sqlite://{}", path("billing.db")), PostgresServer::database);
        let ledger = ledger.map_or_else(|| ["--store".to_owned(), path("ledger.db")], |redis| ["--redis".to_owned(), redis.url()]);
        let others = ["--billing", &billing, "--test-clock", &path("clock")].map(str::to_owned);
        let arguments = ledger.into_iter().chain(others).collect();
        Self { folder, arguments, billing }
    }

    fn serve_at(&self, time: &str, more: &[&str]) -> Service {
        self.go_to(time);
        let arguments: Vec<_> = self.arguments.iter().map(String::as_str).chain(["--create", "--aggregate"]).collect();
        Service::open(&[&arguments[..], more].concat(), &[])
    }

    fn go_to(&self, time: &str) {
        std::fs::write(self.folder.path().join("clock"), time).unwrap();
    }

    /// A service with terms at a time by which they have been known for a day, and which is charged by that time.
    async fn serve_with_terms(&self, day_before: &str, time: &str) -> Service {
        self.serve_with(&TERMS, day_before, time).await
    }

    /// The same with other terms.
    async fn serve_with(&self, terms: &[&str], day_before: &str, time: &str) -> Service {
        let service = self.serve_at(day_before, terms);
        self.until_looked_at(day_before).await;
        // Looked at before anything is on record by the new time: then nothing goes yet, and all that is due does afterwards.
        self.go_to(time);
        self.until_looked_at(time).await;
        self.move_on(&service, time).await;
        service
    }

    /// Waits until the terms were looked at by a time.
    async fn until_looked_at(&self, time: &str) {
        let looked = async || (self.number("SELECT MIN(seen_at) FROM retention").await? == millis(time)).then_some(());
        until("the terms were looked at", looked).await;
    }

    /// Lets a running service's clock come to a time, by which then something is on record.
    async fn move_on(&self, service: &Service, time: &str) {
        self.go_to(time);
        let count = Cell::new(0);
        let charged = async || {
            let open = json!({ "accountId": format!("of-{time}-{}", count.get()).replace(':', "."), "requestId": "create", "name": "Ford", "currencyCode": "EUR",
                "mode": "PAYMENT_MODE_PREPAID" });
            done(service, "AccountService/CreateAccount", open);
            count.set(count.get() + 1);
            (self.number("SELECT MAX(last_time) FROM partitions").await? >= millis(time)).then_some(())
        };
        until("something is on record by the new time", charged).await;
    }

    async fn number(&self, sql: &'static str) -> Option<i64> {
        let store = Billing::connect_lazily(&self.billing, BillingSettings::default()).unwrap();
        let row = sqlx::query(sql).fetch_one(store.store().pool()).await.unwrap();
        store.store().close().await;
        row.get(0)
    }

    /// Runs a command on the stores.
    fn run(&self, words: &[&str], more: &[&str]) -> Ended {
        let arguments: Vec<_> = self.arguments.iter().map(String::as_str).collect();
        Operator::nowhere().run_words(&[words, &arguments, more].concat())
    }

    /// What would go: documents and audit records, each due, needed, kept and dropped.
    fn outlook(&self, terms: &[&str]) -> [[i64; 4]; 2] {
        let shown = self.run(&["retention", "show", "--output", "json"], terms);
        let shown: Value = serde_json::from_str(&shown.output).unwrap_or_else(|error| panic!("{error}: {shown:?}"));
        ["documents", "audit_records"].map(|what| {
            let of = shown.as_array().unwrap().iter().find(|of| of["what"] == what).unwrap();
            ["due", "needed", "kept", "dropped"].map(|count| of[count].as_i64().unwrap())
        })
    }

    /// Whether the billing store's documents, or what they are found by, say something.
    async fn documents_say(&self, word: &str) -> bool {
        let store = Billing::connect_lazily(&self.billing, BillingSettings::default()).unwrap();
        let sql = "SELECT documents.content || documents.summary || issued.frozen || issued.customer || issued.folded AS said \
                   FROM documents JOIN issued ON issued.document = documents.id";
        let rows = sqlx::query(sql).fetch_all(store.store().pool()).await.unwrap();
        store.store().close().await;
        rows.iter().any(|row| row.get::<String, _>("said").to_lowercase().contains(&word.to_lowercase()))
    }

    /// Whether entries, or what is made of them, say something.
    async fn entries_say(&self, word: &str) -> bool {
        let store = Billing::connect_lazily(&self.billing, BillingSettings::default()).unwrap();
        let sql = "SELECT description || attributes || reason AS said FROM entries UNION ALL SELECT description FROM totals \
                   UNION ALL SELECT reference || remark || reason FROM credits";
        let rows = sqlx::query(sql).fetch_all(store.store().pool()).await.unwrap();
        store.store().close().await;
        rows.iter().any(|row| row.get::<String, _>("said").contains(word))
    }

    async fn change(&self, sql: &'static str) {
        let store = Billing::connect_lazily(&self.billing, BillingSettings::default()).unwrap();
        assert!(sqlx::query(sql).execute(store.store().pool()).await.unwrap().rows_affected() > 0, "{sql}");
        store.store().close().await;
    }

    async fn text(&self, sql: &'static str) -> String {
        let store = Billing::connect_lazily(&self.billing, BillingSettings::default()).unwrap();
        let text = sqlx::query(sql).fetch_one(store.store().pool()).await.unwrap().get(0);
        store.store().close().await;
        text
    }

    /// More audit records than go in one transaction.
    async fn has_much_on_record(&self) {
        let store = Billing::connect_lazily(&self.billing, BillingSettings::default()).unwrap();
        let at = UnixMillis::new("2026-06-11T00:00:00Z".parse::<Timestamp>().unwrap().as_millisecond());
        let act = |place: i64| Act { at, actor: "eve".to_owned(), action: "test.done".to_owned(), ..Act::default() }.with("place", place);
        store.audit(&(0..1_100).map(act).collect::<Vec<_>>()).await.unwrap();
        store.store().close().await;
    }

    /// `verify` finds that something differs, and says what.
    fn differs(&self, more: &[&str], said: &str) {
        let verified = self.run(&["verify"], more);
        assert!(verified.status.code() == Some(1) && verified.output.contains(said), "{said}: {verified:?}");
    }

    fn agrees(&self, more: &[&str]) -> String {
        let verified = self.run(&["verify"], more);
        assert!(verified.status.success() && verified.output.contains("all agree"), "{verified:?}");
        verified.output
    }
}

fn done(service: &Service, method: &str, request: Value) -> Value {
    command::done(service, method, &request)
}

fn millis(time: &str) -> i64 {
    time.parse::<Timestamp>().unwrap().as_millisecond()
}

fn by() -> Value {
    json!({ "actor": "eve", "reason": "a test" })
}

fn euros(amount: &str) -> Value {
    json!({ "amount": amount, "currencyCode": "EUR" })
}

fn invoice(service: &Service, number: &str) -> Result<Value, String> {
    call(service, "BillingService/GetInvoice", &json!({ "number": number })).map(|found| found["invoice"].clone())
}

/// Charges an account, and has it billed under a number.
async fn billed(service: &Service, account: &str, number: &str) {
    charged(service, account);
    until("the invoice has its number", async || invoice(service, number).ok()).await;
}

/// Charges an account, and ends its bill.
fn charged(service: &Service, account: &str) {
    let credit = json!({ "permanent": euros("1000") });
    let open = json!({ "accountId": account, "requestId": "create", "name": "Zaphod", "currencyCode": "EUR",
        "mode": "PAYMENT_MODE_POSTPAID", "creditLimit": credit });
    done(service, "AccountService/CreateAccount", open);
    let details = json!({ "accountId": account, "requestId": "details", "customer": { "name": "Zaphod" }, "operator": by() });
    done(service, "BillingService/SetBillingDetails", details);
    let usage = json!({ "description": "to Trillian" });
    done(service, "ChargingService/Debit", json!({ "accountId": account, "requestId": "usage", "amount": euros("11.90"), "usage": usage }));
    let convert = json!({ "accountId": account, "requestId": "final", "mode": "PAYMENT_MODE_PREPAID", "operator": by() });
    done(service, "ChargingService/Convert", convert);
}

/// Says who issues documents, with which tax.
fn issues(service: &Service) {
    let issuer =
        json!({ "requestId": "i", "issuer": { "name": "Nordlicht", "countryCode": "DE" }, "validFrom": "2020-01-01", "operator": by() });
    done(service, "BillingService/SetIssuer", issuer);
    let rate = json!({ "requestId": "t", "rate": { "validFrom": "2020-01-01", "percent": "19" }, "operator": by() });
    done(service, "BillingService/SetTaxRate", rate);
}

/// Two invoices of 2026, one of them paid, and a credit note on each.
async fn two_thousand_twenty_six(house: &House) {
    let service = house.serve_at("2026-06-10T12:00:00Z", &[]);
    issues(&service);
    billed(&service, "paid", "INV-000001").await;
    billed(&service, "open", "INV-000002").await;
    done(&service, "BillingService/RecordPayment", json!({ "accountId": "paid", "requestId": "pay", "amount": euros("11.90") }));
    for (account, note) in [("open", "CRN-000001"), ("paid", "CRN-000002")] {
        let refund =
            json!({ "accountId": account, "requestId": "r26", "chargeId": "usage", "amount": euros("1.19"), "reason": "Trillian was ill" });
        done(&service, "ChargingService/Refund", refund);
        until("the credit note is issued", async || invoice(&service, note).ok()).await;
    }
    let is_paid = async || (invoice(&service, "INV-000001").unwrap()["openAmount"] == "0.00").then_some(());
    until("the invoice is paid", is_paid).await;
    assert!(service.stopped().await.success());
}

/// How many documents and audit records have gone, as the service says.
fn gone(service: &Service) -> [i64; 2] {
    let status = done(service, "BillingService/GetAggregation", json!({}));
    ["documents", "audit_records"].map(|what| {
        let of = status["retention"].as_array().into_iter().flatten().find(|of| of["what"] == what);
        of.and_then(|of| of["dropped"].as_str()).map_or(0, |count| count.parse().unwrap())
    })
}

async fn keeps_its_terms(house: &House) {
    two_thousand_twenty_six(house).await;
    house.has_much_on_record().await;
    let verified = house.run(&["verify", "--output", "json"], &[]);
    let before: Value = serde_json::from_str(&verified.output).unwrap();
    let head = |head: &Value| ["series", "number", "digest"].map(|field| head[field].as_str().unwrap().to_owned()).join(":");
    let heads: Vec<String> = before["heads"].as_array().unwrap().iter().map(head).collect();
    std::fs::write(house.folder.path().join("heads"), heads.join("\n")).unwrap();
    let records = before["audit_records"].as_i64().unwrap();

    // The eight years of an invoice of 2026 end with 2034. What is shown changes nothing.
    house.go_to("2034-12-31T23:59:59Z");
    assert_eq!(house.outlook(&TERMS), [[0, 0, 4, 0], [records, 0, records, 0]]);
    house.go_to("2035-01-01T00:00:00Z");
    assert_eq!(house.outlook(&TERMS), [[2, 2, 4, 0], [records, 0, records, 0]]);
    assert_eq!(house.outlook(&[]), [[0, 0, 4, 0], [0, 0, records, 0]], "without a term, for ever");
    assert!(house.documents_say("Zaphod").await);

    let service = house.serve_with_terms("2034-12-30T12:00:00Z", "2034-12-31T12:30:00Z").await;
    until("records that are too old have gone", async || (gone(&service) == [0, records]).then_some(())).await;
    house.move_on(&service, "2035-01-01T00:00:00Z").await;
    until("documents that are too old have gone", async || (gone(&service) == [2, records]).then_some(())).await;
    assert_eq!(invoice(&service, "CRN-000001").unwrap()["reason"], "Trillian was ill", "it is of an account that has not paid");
    assert!(invoice(&service, "CRN-000002").unwrap_err().contains("no longer kept"));
    let refused = invoice(&service, "INV-000001").unwrap_err();
    assert!(refused.contains("INVOICE_NOT_FOUND") && refused.contains("no longer kept"), "{refused}");
    assert_eq!(invoice(&service, "INV-000002").unwrap()["customer"]["name"], "Zaphod", "what is not paid is needed");
    let listed = done(&service, "BillingService/ListInvoices", json!({ "kind": "INVOICE_KIND_INVOICE" }));
    assert!(!listed.to_string().contains("INV-000001") && listed.to_string().contains("INV-000002"), "{listed}");
    let records = done(&service, "AuditService/ListAuditRecords", json!({ "pageSize": 100 }));
    let records: Vec<_> = records["records"].as_array().unwrap().iter().collect();
    assert!(records.iter().all(|record| record["at"].as_str().unwrap() >= "2034-12-30"), "{records:#?}");
    let dropped = |action: &str| records.iter().find(|record| record["action"] == action).unwrap()["details"].as_str().unwrap().to_owned();
    assert!(dropped("retention.documents_dropped").contains(r#""numbers":["INV-000001","CRN-000002"]"#), "{records:#?}");
    assert!(dropped("retention.records_dropped").contains(r#""before":"2033-11-26T00:00:00Z""#), "{records:#?}");
    let shown = Operator::of(&service).run_words(&["aggregation"]);
    assert!(shown.output.contains("documents are kept for 8 years; 2 have gone"), "{shown:?}");
    let metrics = format!("http://{}/metrics", service.metrics);
    let scraped = String::from_utf8(Command::new("curl").args(["-s", "-m", "10", &metrics]).output().unwrap().stdout).unwrap();
    assert!(scraped.contains(r#"tollgate_retention_dropped_total{what="documents"} 2"#), "{scraped}");

    // The taxes that a late credit note takes from are still known: of 1.19 refunded, 0.19.
    done(
        &service,
        "ChargingService/Refund",
        json!({ "accountId": "paid", "requestId": "r", "chargeId": "usage", "amount": euros("1.19") }),
    );
    let note = until("the credit note is issued", async || invoice(&service, "CRN-000003").ok()).await;
    assert_eq!((&note["refersTo"], &note["taxContained"]), (&json!("INV-000001"), &json!("0.19")), "{note}");
    assert!(service.stopped().await.success());

    let heads = house.folder.path().join("heads").display().to_string();
    let verified = house.agrees(&[&TERMS[..], &["--heads", &heads]].concat());
    let said = [
        "2 documents are no longer kept",
        "audit records are no longer kept",
        "INV-000002 and all before it that is still kept are as they were",
        "of audit/service is no longer kept, nor is any before it",
    ];
    for said in said {
        assert!(verified.contains(said), "{said}: {verified}");
    }
    house.differs(&["--heads", &heads], "is the place of a kept head, and is not there");
    assert_eq!(house.outlook(&TERMS)[0], [0, 2, 3, 2]);
}

/// What is said to be dropped is believed by a term that is given, as far as it was recorded.
async fn finds_what_was_changed(house: &House) {
    house.differs(&[], "if they were dropped on purpose, give their term, --keep-audit-days");
    house.differs(&[], "if they were dropped on purpose, give their term, --keep-documents-years");
    house.differs(&["--keep-documents-years", "8", "--keep-audit-days", "5000"], "when they were to be kept");
    house.differs(&["--keep-documents-years", "10", "--keep-audit-days", "400"], "is said to be dropped on 2035-01-01T00:00:00Z");
    let changes = [
        (
            "UPDATE audit_chains SET dropped_sum = 'x' || dropped_sum WHERE chain = 0",
            "UPDATE audit_chains SET dropped_sum = SUBSTR(dropped_sum, 2) WHERE chain = 0",
            "the sum of digests",
        ),
        (
            "UPDATE audit_chains SET dropped_sum = 'f0' || dropped_sum WHERE chain = 0",
            "UPDATE audit_chains SET dropped_sum = SUBSTR(dropped_sum, 3) WHERE chain = 0",
            "records are not what its entries tell",
        ),
        (
            "UPDATE audit_chains SET dropped_sum = dropped_sum || 'x' WHERE chain = -1",
            "UPDATE audit_chains SET dropped_sum = SUBSTR(dropped_sum, 1, 64) WHERE chain = -1",
            "says otherwise",
        ),
        (
            "UPDATE issued SET tax_contained = tax_contained + 1 WHERE dropped_at <> 0",
            "UPDATE issued SET tax_contained = tax_contained - 1 WHERE dropped_at <> 0",
            "what is left of one was changed",
        ),
        (
            "UPDATE documents SET total = total + 1 WHERE id = (SELECT document FROM issued WHERE number = 'INV-000001')",
            "UPDATE documents SET total = total - 1 WHERE id = (SELECT document FROM issued WHERE number = 'INV-000001')",
            "has the total",
        ),
        (
            "UPDATE issued SET dropped_at = issued_at + 1 WHERE number = 'CRN-000003'",
            "UPDATE issued SET dropped_at = 0 WHERE number = 'CRN-000003'",
            "3 are said to be dropped; 2 are recorded as such",
        ),
        (
            "UPDATE issued SET dropped_at = 9000000000000000000 WHERE number = 'CRN-000003'",
            "UPDATE issued SET dropped_at = 0 WHERE number = 'CRN-000003'",
            "when it was to be kept",
        ),
    ];
    for (change, undo, said) in changes {
        house.change(change).await;
        house.differs(&TERMS, said);
        house.change(undo).await;
    }
    house.agrees(&TERMS);
}

/// What was recorded of dropping is itself dropped, and counts as before.
async fn goes_on_dropping(house: &House) {
    house.go_to("2037-06-01T00:00:00Z");
    let [due, _, _, dropped] = house.outlook(&TERMS)[1];
    assert!(due > 0);
    let service = house.serve_with_terms("2037-05-30T23:50:00Z", "2037-06-01T00:00:00Z").await;
    let open =
        json!({ "accountId": "later", "requestId": "create", "name": "Ford", "currencyCode": "EUR", "mode": "PAYMENT_MODE_PREPAID" });
    done(&service, "AccountService/CreateAccount", open);
    until("the records of dropping have gone", async || (gone(&service)[1] >= dropped + due).then_some(())).await;
    let records = done(&service, "AuditService/ListAuditRecords", json!({ "pageSize": 100 })).to_string();
    assert!(records.contains("dropped_at") && records.contains("2035-01-01T00:00:00Z"), "{records}");
    assert!(service.stopped().await.success());
    house.agrees(&TERMS);
    finds_what_was_changed(house).await;
}

/// Somebody with access to SQL cuts off the beginning of a chain, as if it had been dropped.
async fn finds_what_was_cut_off(house: &House) {
    two_thousand_twenty_six(house).await;
    house.agrees(&[]);
    house
        .change(
            "UPDATE audit_chains SET dropped_to = 2, dropped_sum = '0000000000000000000000000000000000000000000000000000000000000000', \
             dropped_digest = (SELECT digest FROM audit WHERE chain = -1 AND place = 2) WHERE chain = -1",
        )
        .await;
    house.change("DELETE FROM audit WHERE chain = -1 AND place <= 2").await;
    let digest = house.text("SELECT dropped_digest FROM audit_chains WHERE chain = -1").await;
    for (place, digest) in [(1, "0".repeat(64)), (2, digest)] {
        let head = format!("audit/service:{place}:{digest}");
        for terms in [&TERMS[..], &[]] {
            house.differs(terms, "there is no record of dropping them");
            house.differs(&[terms, &["--head", &head]].concat(), "is the place of a kept head, and is not there");
        }
    }
    // More is not dropped either, which would cover it up.
    let service = house.serve_with_terms("2040-01-01T00:00:00Z", "2040-01-02T00:30:00Z").await;
    let open =
        json!({ "accountId": "later", "requestId": "create", "name": "Ford", "currencyCode": "EUR", "mode": "PAYMENT_MODE_PREPAID" });
    done(&service, "AccountService/CreateAccount", open);
    let is_told = || service.log().iter().any(|line| line.contains("does not prove itself") && line.contains("record 2 of chain -1"));
    until("what was cut off is told", async || is_told().then_some(())).await;
    assert!(service.stopped().await.success());
    house.differs(&TERMS, "there is no record of dropping them");
}

/// What was sent along is printed first, and goes then. What was charged can still be refunded.
async fn empties_details(house: &House) {
    let terms = ["--keep-entry-details-days", "90"];
    let details = || {
        let shown = house.run(&["retention", "show", "--output", "json"], &terms);
        let shown: Value = serde_json::from_str(&shown.output).unwrap_or_else(|error| panic!("{error}: {shown:?}"));
        shown.as_array().unwrap().iter().find(|of| of["what"] == "entry_details").unwrap().clone()
    };
    let service = house.serve_at("2026-06-10T12:00:00Z", &[]);
    charged(&service, "account");
    let has_draft = async || done(&service, "BillingService/ListInvoices", json!({})).to_string().contains("11.90").then_some(());
    until("there is a draft", has_draft).await;
    assert!(service.stopped().await.success());
    house.go_to("2026-09-08T23:59:59Z");
    assert_eq!((&details()["due"], &details()["needed"]), (&json!(0), &json!(0)), "{}", details());

    // The invoice waits for its issuer: its lines are yet to be printed.
    let service = house.serve_with(&terms, "2026-09-07T23:00:00Z", "2026-09-09T00:00:00Z").await;
    let is_through = async || {
        let status = done(&service, "BillingService/GetAggregation", json!({}));
        let of = status["retention"].as_array().into_iter().flatten().find(|of| of["what"] == "entry_details").cloned();
        of.filter(|of| of["term"] == "90 days" && of["keptSince"] == "2026-06-11T00:00:00Z")
    };
    until("entries were looked through", is_through).await;
    assert!(house.entries_say("to Trillian").await, "what is on no document yet is needed");
    assert!(details()["needed"].as_i64().unwrap() > 0, "{}", details());
    issues(&service);
    until("the invoice has its number", async || invoice(&service, "INV-000001").ok()).await;
    assert!(service.stopped().await.success());
    assert!(details()["due"].as_i64().unwrap() > 0, "{}", details());

    let service = house.serve_at("2026-09-10T00:00:00Z", &terms);
    until("it has gone", async || (!house.entries_say("to Trillian").await).then_some(())).await;
    assert_eq!(details()["due"], 0, "{}", details());
    assert!(invoice(&service, "INV-000001").unwrap().to_string().contains("to Trillian"), "a document is as it was issued");
    let refund = json!({ "accountId": "account", "requestId": "r", "chargeId": "usage", "amount": euros("1.19") });
    done(&service, "ChargingService/Refund", refund);
    let note = until("the credit note is issued", async || invoice(&service, "CRN-000001").ok()).await;
    assert_eq!((&note["refersTo"], &note["taxContained"]), (&json!("INV-000001"), &json!("0.19")), "{note}");
    let records = done(&service, "AuditService/ListAuditRecords", json!({ "pageSize": 100 }));
    assert!(records.to_string().contains("retention.entry_details_dropped"), "{records}");
    assert!(service.stopped().await.success());
    let verified = house.run(&["verify"], &[]);
    assert!(verified.status.success() && verified.output.contains("all agree"), "{verified:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_callers_sent_along_goes_once_it_is_printed_and_charges_can_still_be_refunded() {
    empties_details(&House::new(None, None)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_callers_sent_along_goes_from_postgresql_beside_redis_too() {
    let (redis, postgres) = (RedisServer::redis(), PostgresServer::shared());
    empties_details(&House::new(Some(&redis), Some(&postgres))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_and_audit_records_go_when_their_term_is_over_and_all_is_proved_as_before() {
    let house = House::new(None, None);
    keeps_its_terms(&house).await;
    finds_what_was_changed(&house).await;
    goes_on_dropping(&house).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn they_go_from_postgresql_beside_redis_too() {
    let (redis, postgres) = (RedisServer::redis(), PostgresServer::shared());
    let house = House::new(Some(&redis), Some(&postgres));
    keeps_its_terms(&house).await;
    finds_what_was_changed(&house).await;
    goes_on_dropping(&house).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chain_whose_beginning_was_cut_off_by_hand_is_found_and_nothing_more_is_dropped_of_it() {
    finds_what_was_cut_off(&House::new(None, None)).await;
    let (redis, postgres) = (RedisServer::redis(), PostgresServer::shared());
    finds_what_was_cut_off(&House::new(Some(&redis), Some(&postgres))).await;
}
