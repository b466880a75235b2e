//! Stores that an earlier version wrote are brought to this format when a service opens them, and go on; see tests/formats/README.md.

use std::path::{Path, PathBuf};
use std::process::Command;

use rusqlite::Connection;
use tollgate::billing::{Billing, BillingSettings};
use tollgate::grpc::v1::{self, authorize_response, debit_response};
use tonic::{Code, Response, Status};
use tonic_types::StatusExt;

use crate::command::{Ended, Operator};
use crate::postgres::PostgresServer;
use crate::service::{Client, Service, debit, money, until};
use crate::support::{RedisServer, temporary_folder};

/// Copies of a kept ledger and its billing store, and the clock that they are opened by.
struct Kept {
    folder: tempfile::TempDir,
    store: Vec<String>,
}

impl Kept {
    fn embedded() -> Self {
        let folder = temporary_folder();
        for name in ["tollgate.db", "tollgate.billing.db"] {
            std::fs::copy(kept(name), folder.path().join(name)).unwrap();
        }
        let store = vec!["--store".into(), folder.path().join("tollgate.db").display().to_string()];
        Self::opened_at_the_end(folder, store)
    }

    fn redis(redis: &RedisServer, billing: &str) -> Self {
        let folder = temporary_folder();
        // What psql of another minor version does not know.
        let dump = std::fs::read_to_string(kept("billing.sql")).unwrap();
        let lines = dump.lines().filter(|line| !line.starts_with("\\restrict") && !line.starts_with("\\unrestrict"));
        let file = folder.path().join("billing.sql");
        std::fs::write(&file, lines.collect::<Vec<_>>().join("\n")).unwrap();
        let mut psql = Command::new("psql");
        let output = psql.args(["-q", "-v", "ON_ERROR_STOP=1", "-d", billing, "-f"]).arg(file).output().unwrap();
        assert!(output.status.success(), "psql: {}", String::from_utf8_lossy(&output.stderr));
        let store = vec!["--redis".into(), redis.url(), "--billing".into(), billing.into()];
        Self::opened_at_the_end(folder, store)
    }

    fn opened_at_the_end(folder: tempfile::TempDir, mut store: Vec<String>) -> Self {
        store.extend(["--test-clock".into(), folder.path().join("clock").display().to_string()]);
        let kept = Self { folder, store };
        kept.go_to("2026-11-30T23:58:30Z");
        kept
    }

    fn go_to(&self, time: &str) {
        let [next, clock] = ["next", "clock"].map(|name| self.folder.path().join(name));
        std::fs::write(&next, time).unwrap();
        std::fs::rename(next, clock).unwrap();
    }

    fn serve(&self) -> Service {
        let mut arguments: Vec<&str> = self.store.iter().map(String::as_str).collect();
        if arguments[0] == "--redis" {
            arguments.push("--aggregate");
        }
        Service::open(&arguments, &[])
    }

    /// Runs a command that opens the stores.
    fn run(&self, words: &[&str]) -> Ended {
        Operator::nowhere().run_words(&words.iter().copied().chain(self.store.iter().map(String::as_str)).collect::<Vec<_>>())
    }
}

fn kept(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/formats/4540194").join(name)
}

/// Balance, unbilled, reserved, limit and usable credit.
async fn credit(client: &mut Client, account: &str) -> [String; 5] {
    let credit = client.credit(account).await;
    [credit.balance, credit.unbilled, credit.reserved, credit.credit_limit, credit.usable]
}

async fn assert_credit(client: &mut Client, account: &str, expected: [&str; 5]) {
    assert_eq!(credit(client, account).await, expected, "{account}");
}

fn top_up(amount: &str, actor: &str, reason: &str) -> v1::TopUpRequest {
    v1::TopUpRequest {
        account_id: "prepaid".into(),
        request_id: "recent-top-up".into(),
        amount: money(amount),
        operator: Some(v1::Operator { actor: actor.into(), reason: reason.into() }),
        ..Default::default()
    }
}

/// A charge as make.py sent it.
fn call(request_id: &str, amount: &str) -> v1::DebitRequest {
    let text = str::to_owned;
    let usage = v1::Usage {
        item: text("voice"),
        description: text("call-de"),
        quantity: text("60"),
        unit: text("second"),
        category: v1::ChargeCategory::Usage.into(),
        ..Default::default()
    };
    v1::DebitRequest { usage: Some(usage), ..debit("prepaid", request_id, amount) }
}

fn refund(account: &str, request_id: &str, charge: &str, amount: Option<&str>) -> v1::RefundRequest {
    v1::RefundRequest {
        account_id: account.into(),
        request_id: request_id.into(),
        charge_id: charge.into(),
        amount: amount.and_then(money),
        ..Default::default()
    }
}

fn assert_refused<T: std::fmt::Debug>(answer: Result<Response<T>, Status>, reason: &str) {
    let status = answer.unwrap_err();
    assert_eq!(status.code(), Code::FailedPrecondition, "{status:?}");
    assert_eq!(status.get_details_error_info().unwrap().reason, reason, "{status:?}");
}

async fn what_was_there_is_there(client: &mut Client) {
    for (account, expected) in [
        ("prepaid", ["100.85148", "0.00", "20.00", "0.00", "80.85148"]),
        ("postpaid", ["-21.668", "7.7777", "20.00", "1000.00", "972.2223"]),
        ("one-by-one", ["-20.00", "0.00", "0.00", "500.00", "500.00"]),
        ("yen", ["-1235", "99.5", "0", "10000", "9900.5"]),
        ("converted", ["-113.89852", "0.00", "0.00", "1000.00", "1000.00"]),
        ("closed", ["0.00", "0.00", "0.00", "0.00", "0.00"]),
        ("suspended", ["0.00", "0.00", "0.00", "10.00", "10.00"]),
        ("temporary", ["0.00", "0.00", "0.00", "30.00", "30.00"]),
    ] {
        assert_credit(client, account, expected).await;
    }
    let status = |credit: v1::Credit| v1::AccountStatus::try_from(credit.status).unwrap();
    assert_eq!(status(client.credit("closed").await), v1::AccountStatus::Closed);
    assert_eq!(status(client.credit("suspended").await), v1::AccountStatus::Suspended);
    let expires_at = client.credit("temporary").await.credit_limit_expires_at.unwrap();
    assert_eq!(expires_at.seconds, 1_796_946_600, "2026-12-10T23:50:00Z");
    for account in ["prepaid", "postpaid"] {
        let request = v1::ListReservationsRequest { account_id: account.into(), ..Default::default() };
        let found = client.accounts.list_reservations(request).await.unwrap().into_inner().reservations;
        let found: Vec<_> = found.iter().map(|one| (&*one.reservation_id, &*one.amount.as_ref().unwrap().amount)).collect();
        assert_eq!(found, [("session-1", "20.00")], "{account}");
    }
}

/// What version 2 remembered is still one effect for each id. Its fingerprints cover who asked and why, so another cannot repeat it; no
/// more is charged for that.
async fn remembered_ids_have_no_second_effect(client: &mut Client) {
    let before = credit(client, "prepaid").await;
    assert!(client.accounts.top_up(top_up("25", "ann", "kept store")).await.unwrap().into_inner().replayed);
    assert_refused(client.accounts.top_up(top_up("25", "bob", "again")).await, "REQUEST_ID_REUSED");
    assert_refused(client.accounts.top_up(top_up("26", "ann", "kept store")).await, "REQUEST_ID_REUSED");

    let charged = client.charging.debit(call("recent-call", "1.25")).await.unwrap().into_inner();
    assert!(charged.replayed, "{charged:?}");
    let Some(debit_response::Outcome::Charged(one)) = charged.outcome else { panic!("{charged:?}") };
    assert_eq!(one.amount.unwrap().amount, "1.25");
    let declined = client.charging.debit(call("recent-decline", "5000")).await.unwrap().into_inner();
    assert!(declined.replayed && matches!(declined.outcome, Some(debit_response::Outcome::Declined(_))), "{declined:?}");
    for (id, amount) in [("recent-call", "1.26"), ("recent-decline", "5")] {
        assert_refused(client.charging.debit(call(id, amount)).await, "REQUEST_ID_REUSED");
    }
    let reserve =
        v1::Reserve { amount: money("20"), validity: Some(prost_types::Duration { seconds: 3600, nanos: 0 }), ..Default::default() };
    let (account_id, request_id) = ("prepaid".into(), "session-1".into());
    let request = v1::AuthorizeRequest { account_id, request_id, reserve: Some(reserve), ..Default::default() };
    let granted = client.charging.authorize(request).await.unwrap().into_inner();
    assert!(granted.replayed && matches!(granted.outcome, Some(authorize_response::Outcome::Granted(_))), "{granted:?}");
    assert_eq!(credit(client, "prepaid").await, before);
}

async fn invoices(client: &mut Client) -> Vec<v1::Invoice> {
    let request = v1::ListInvoicesRequest { page_size: 100, ..Default::default() };
    client.billing.list_invoices(request).await.unwrap().into_inner().invoices
}

async fn documents_are_listed(client: &mut Client) {
    let mut found = invoices(client).await;
    found.sort_by(|one, other| (&one.account_id, &one.number).cmp(&(&other.account_id, &other.number)));
    let series = |one: &v1::Invoice| one.number.split('-').next().unwrap_or_default().to_owned();
    let found: Vec<_> = found
        .iter()
        .map(|one| [one.account_id.clone(), series(one), one.total.clone(), one.amount_to_pay.clone(), one.open_amount.clone()])
        .collect();
    // As the earlier version issued them: what it left open is not always in cents.
    assert_eq!(
        found,
        [
            ["converted", "INV", "200.00", "113.89852", "113.89852"],
            ["one-by-one", "INV", "20.00", "20.00", "20.00"],
            ["postpaid", "CRN", "5.002", "0.00", "0.00"],
            ["postpaid", "INV", "76.67", "76.67", "21.668"],
            ["prepaid", "STM", "0.00", "0.00", "0.00"],
            ["yen", "INV", "1235", "1235", "1235"],
        ]
    );
}

async fn charges_of_before_can_be_refunded(client: &mut Client) {
    // 3.50 of 13.89852 was given back before.
    assert_refused(client.charging.refund(refund("prepaid", "refund-2", "call-1", Some("10.4"))).await, "EXCEEDS_ORIGINAL");
    let refunded = client.charging.refund(refund("prepaid", "refund-2", "call-1", None)).await.unwrap().into_inner();
    assert_eq!(refunded.refunded.unwrap().amount, "10.39852");
    assert_refused(client.charging.refund(refund("prepaid", "refund-3", "call-1", Some("0.01"))).await, "EXCEEDS_ORIGINAL");
}

async fn it_goes_on(kept: &Kept) {
    let service = kept.serve();
    let mut client = service.client().await;
    what_was_there_is_there(&mut client).await;
    remembered_ids_have_no_second_effect(&mut client).await;
    documents_are_listed(&mut client).await;

    // 15 of the 20 that were set aside.
    let report = v1::DebitRequest { reservation_id: "session-1".into(), ..debit("prepaid", "session-1-report", "15") };
    client.charging.debit(report).await.unwrap();
    assert_credit(&mut client, "prepaid", ["85.85148", "0.00", "0.00", "0.00", "85.85148"]).await;
    charges_of_before_can_be_refunded(&mut client).await;
    assert_credit(&mut client, "prepaid", ["96.25", "0.00", "0.00", "0.00", "96.25"]).await;

    // Opened once more, it is not migrated again.
    assert!(service.stopped().await.success());
    let service = kept.serve();
    let mut client = service.client().await;
    remembered_ids_have_no_second_effect(&mut client).await;

    december_begins(kept, &mut client).await;
    until("the billing store follows", || {
        let mut client = client.clone();
        async move {
            let found = client.billing.get_aggregation(v1::GetAggregationRequest {}).await.ok()?.into_inner().partitions;
            (!found.is_empty() && found.iter().all(|partition| partition.lag_entries == 0)).then_some(())
        }
    })
    .await;
    assert!(service.stopped().await.success());
    let verified = kept.run(&["verify"]);
    assert!(verified.status.success(), "{verified:?}");
}

async fn december_begins(kept: &Kept, client: &mut Client) {
    kept.go_to("2026-12-01T00:05:00Z");
    // 7.7777 is billed as 7.78; then the 29.448 due is 29.45.
    until("November is closed", || {
        let mut client = client.clone();
        async move { (credit(&mut client, "postpaid").await == ["-29.45", "0.00", "20.00", "1000.00", "980.00"]).then_some(()) }
    })
    .await;
    assert_credit(client, "yen", ["-1335", "0", "0", "10000", "10000"]).await;
    let report = v1::DebitRequest { reservation_id: "session-1".into(), ..debit("postpaid", "session-1-report", "3") };
    client.charging.debit(report).await.unwrap();
    assert_credit(client, "postpaid", ["-29.45", "3.00", "0.00", "1000.00", "997.00"]).await;
    let drafted = until("November's documents are drafted", || {
        let mut client = client.clone();
        async move {
            let mut drafted = invoices(&mut client).await;
            drafted.retain(|one| one.number.is_empty());
            (drafted.len() == 3).then_some(drafted)
        }
    })
    .await;
    let total = |account: &str| drafted.iter().find(|one| one.account_id == account).map(|one| (&*one.total, &*one.amount_to_pay));
    // With 0.002 brought forward: the other 21.668 is open on the invoice that the earlier version left so.
    assert_eq!(total("postpaid"), Some(("7.782", "7.782")));
    assert_eq!(total("yen"), Some(("100", "100")));
    assert!(drafted.iter().all(|one| one.waits_for.contains("issuer")), "{drafted:?}");

    // 76.67 was billed for 76.670667, of which 5.002 was refunded before: what is left of it is 5.002, which is 5.00 on paper.
    let refunded = client.charging.refund(refund("postpaid", "refund-2", "call-2", None)).await.unwrap().into_inner();
    assert_eq!(refunded.refunded.unwrap().amount, "66.666667");
    assert_credit(client, "postpaid", ["37.22", "3.00", "0.00", "1000.00", "1034.22"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_embedded_ledger_of_the_first_format_goes_on_in_this_one() {
    let kept = Kept::embedded();
    it_goes_on(&kept).await;
    let file = Connection::open(kept.folder.path().join("tollgate.db")).unwrap();
    // An earlier tollgate opens version 2 alone.
    assert_eq!(file.query_row("PRAGMA user_version", [], |row| row.get::<_, i64>(0)).unwrap(), 3);
    let stored: String = file.query_row("SELECT settings FROM settings", [], |row| row.get(0)).unwrap();
    let billing = Connection::open(kept.folder.path().join("tollgate.billing.db")).unwrap();
    let id: String = billing.query_row("SELECT id FROM ledger", [], |row| row.get(0)).unwrap();
    assert!(stored.contains(&id), "{id}: {stored}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_in_redis_of_the_first_format_goes_on_in_this_one() {
    let (redis, postgres) = (RedisServer::holding(&kept("dump.rdb")), PostgresServer::shared());
    let billing = postgres.database();
    let kept = Kept::redis(&redis, &billing);
    // Looking is not changing.
    let ended = kept.run(&["verify"]);
    assert!(ended.status.code() != Some(0) && ended.error.contains("format version 2"), "{ended:?}");
    it_goes_on(&kept).await;
    let stored: serde_json::Value = serde_json::from_str(&redis.command(&["GET", "tollgate:settings"])).unwrap();
    assert_eq!(stored["format_version"], 3);
    let store = Billing::open(&billing, BillingSettings::default()).await.unwrap();
    assert_eq!(store.ledger_id().await.unwrap().unwrap().to_string(), stored["ledger"].as_str().unwrap());
    assert!(!redis.command(&["KEYS", "*"]).lines().any(|key| key.ends_with(":undone") || key.ends_with(":requests")));
}
