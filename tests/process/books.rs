//! Books that prove themselves: whatever is changed behind the service's back is found.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;
use sqlx::any::AnyRow;
use sqlx::{AnyPool, Row};
use tollgate::billing::bills::allocations::AllocationRow;
use tollgate::billing::digest::DigestSum;
use tollgate::billing::series::digest::Covered;
use tollgate::billing::{Billing, BillingSettings};
use tollgate::grpc::v1::{self, PaymentMode};

use crate::command::{Ended, Operator};
use crate::postgres::PostgresServer;
use crate::service::{Client, PATIENCE, Service, debit, money};
use crate::support::temporary_folder;

/// A ledger, a billing store with documents and payments, and copies of both.
struct Books {
    folder: tempfile::TempDir,
    postgres: Option<std::sync::Arc<PostgresServer>>,
    billing: String,
    copies: std::cell::Cell<usize>,
}

impl Books {
    /// Three months of two customers: seven invoices and a credit note; some invoices are paid.
    async fn of_three_months(postgres: Option<std::sync::Arc<PostgresServer>>) -> Self {
        let folder = temporary_folder();
        let billing = match &postgres {
            Some(postgres) => postgres.database(),
            None => format!("sqlite://{}", folder.path().join("billing.db").display()),
        };
        let books = Self { folder, postgres, billing, copies: std::cell::Cell::new(0) };
        books.go_to("2026-06-10T12:00:00Z");
        let arguments = books.arguments(&books.folder.path().join("ledger.db"), &books.billing);
        let service = Service::start(&arguments.iter().map(String::as_str).collect::<Vec<_>>(), &[]);
        let (mut client, operator) = (service.client().await, Operator::of(&service));
        let run = |words: &[&str]| {
            let ended = operator.run_words(words);
            assert!(ended.status.success(), "{words:?}: {ended:?}");
        };
        run(&["issuer", "set", "--name", "Nordlicht GmbH", "--city", "Hamburg", "--country", "DE"]);
        run(&["tax", "set", "19", "--from", "2020-01-01"]);
        for account in ["acme", "beta"] {
            client.open(account, PaymentMode::Postpaid, "1000", "0").await;
        }
        for (month, (charge, next)) in [("june", "2026-07-02"), ("july", "2026-08-02"), ("august", "2026-09-02")].into_iter().enumerate() {
            for account in ["acme", "beta"] {
                charged(&mut client, account, charge, "11.90").await;
            }
            books.go_to(&format!("{next}T12:00:00Z"));
            issued(&operator, 2 * (month + 1));
        }
        let payment =
            v1::RecordPaymentRequest { account_id: "acme".into(), request_id: "payment".into(), amount: money("20"), ..Default::default() };
        client.billing.record_payment(payment).await.unwrap();
        let refund = v1::RefundRequest {
            account_id: "beta".into(),
            request_id: "refund".into(),
            charge_id: "july".into(),
            amount: money("1.19"),
            reason: "complaint".into(),
            ..Default::default()
        };
        client.charging.refund(refund).await.unwrap();
        issued(&operator, 7);
        assert!(service.stopped().await.success());
        books
    }

    fn go_to(&self, time: &str) {
        let [next, clock] = ["next", "clock"].map(|name| self.folder.path().join(name));
        std::fs::write(&next, time).unwrap();
        std::fs::rename(next, clock).unwrap();
    }

    fn arguments(&self, ledger: &std::path::Path, billing: &str) -> Vec<String> {
        let clock = self.folder.path().join("clock").display().to_string();
        ["--store", &ledger.display().to_string(), "--billing", billing, "--test-clock", &clock].map(str::to_owned).to_vec()
    }

    /// A copy of both stores, to be tampered with.
    async fn copy(&self) -> Copy {
        let number = self.copies.replace(self.copies.get() + 1);
        let ledger = self.folder.path().join(format!("ledger-{number}.db"));
        std::fs::copy(self.folder.path().join("ledger.db"), &ledger).unwrap();
        let billing = match &self.postgres {
            Some(postgres) => {
                let copy = postgres.database();
                let mut dump = Command::new("pg_dump");
                let dumped = dump.args(["--no-owner", "-d", &self.billing]).output().unwrap();
                assert!(dumped.status.success(), "{dumped:?}");
                let file = self.folder.path().join("dump.sql");
                std::fs::write(&file, dumped.stdout).unwrap();
                let mut psql = Command::new("psql");
                assert!(psql.args(["-q", "-v", "ON_ERROR_STOP=1", "-d", &copy, "-f"]).arg(file).output().unwrap().status.success());
                copy
            }
            None => {
                let copy = self.folder.path().join(format!("billing-{number}.db"));
                std::fs::copy(self.folder.path().join("billing.db"), &copy).unwrap();
                format!("sqlite://{}", copy.display())
            }
        };
        let arguments = self.arguments(&ledger, &billing);
        Copy { billing, arguments }
    }
}

struct Copy {
    billing: String,
    arguments: Vec<String>,
}

impl Copy {
    async fn tamper(&self, statements: &[&str]) {
        let billing = Billing::connect_lazily(&self.billing, BillingSettings::default()).unwrap();
        for statement in statements {
            let done = sqlx::query(sqlx::AssertSqlSafe((*statement).to_owned())).execute(billing.store().pool()).await.unwrap();
            assert!(done.rows_affected() > 0, "{statement}");
        }
        billing.store().close().await;
    }

    fn verify(&self, more: &[&str]) -> Ended {
        let words = ["verify"].into_iter().chain(self.arguments.iter().map(String::as_str)).chain(more.iter().copied());
        Operator::nowhere().run_words(&words.collect::<Vec<_>>())
    }
}

async fn charged(client: &mut Client, account: &str, request_id: &str, amount: &str) {
    let usage = Some(v1::Usage { item: "voice".into(), description: "Calls to Germany".into(), ..Default::default() });
    client.charging.debit(v1::DebitRequest { usage, ..debit(account, request_id, amount) }).await.unwrap();
}

fn issued(operator: &Operator, count: usize) {
    let deadline = Instant::now() + PATIENCE;
    tokio::task::block_in_place(|| {
        while operator.list("invoice list --state issued").len() != count {
            assert!(Instant::now() < deadline, "not {count} documents: {}", operator.json("invoice list"));
            std::thread::sleep(Duration::from_millis(20));
        }
    });
}

/// The heads that verification printed.
fn heads(verified: &Ended) -> Vec<String> {
    verified.output.lines().filter(|line| line.starts_with("INV-:") || line.starts_with("CRN-:")).map(str::to_owned).collect()
}

/// Changes a document, and has all digests behind it say so.
async fn forge(copy: &Copy, number: &str) {
    copy.tamper(&[&format!("UPDATE issued SET due_at = due_at + 1000 WHERE number = '{number}'")]).await;
    let billing = Billing::connect_lazily(&copy.billing, BillingSettings::default()).unwrap();
    let pool: &AnyPool = billing.store().pool();
    let sql = format!(
        "SELECT {} FROM issued JOIN documents ON documents.id = issued.document WHERE issued.prefix = 'INV-' ORDER BY issued.place",
        Covered::COLUMNS
    );
    let rows: Vec<AnyRow> = sqlx::query(sqlx::AssertSqlSafe(sql)).fetch_all(pool).await.unwrap();
    let mut head = String::new();
    for row in &rows {
        head = Covered::from_row(row).unwrap().unwrap().digest(&head);
        let update = sqlx::query("UPDATE issued SET digest = $1 WHERE number = $2").bind(head.clone());
        update.bind(row.get::<String, _>("number")).execute(pool).await.unwrap();
    }
    sqlx::query("UPDATE series SET head = $1 WHERE prefix = 'INV-'").bind(head).execute(pool).await.unwrap();
    billing.store().close().await;
}

/// Changes an allocation, and has all sums say so.
async fn forge_allocation(copy: &Copy) {
    let first = "(SELECT MIN(document) FROM allocations WHERE account = 'acme')";
    copy.tamper(&[
        &format!("UPDATE payables SET open_amount = open_amount + 10000 WHERE document = {first}"),
        "UPDATE credits SET allocated = allocated - 10000 WHERE account = 'acme'",
        &format!("UPDATE allocations SET amount = amount - 10000 WHERE account = 'acme' AND document = {first}"),
        "DELETE FROM open_sums WHERE account = 'acme'",
        "INSERT INTO open_sums (account, open_count, open_amount) SELECT account, CAST(COUNT(*) AS BIGINT), \
         CAST(SUM(open_amount) AS BIGINT) FROM payables WHERE account = 'acme' AND open_amount > 0 GROUP BY account",
    ])
    .await;
    let billing = Billing::connect_lazily(&copy.billing, BillingSettings::default()).unwrap();
    let pool: &AnyPool = billing.store().pool();
    let mut sum = DigestSum::default();
    for row in sqlx::query("SELECT * FROM allocations WHERE account = 'acme'").fetch_all(pool).await.unwrap() {
        sum.add(AllocationRow::from_row(&row).unwrap().digest());
    }
    let update = sqlx::query("UPDATE allocation_sums SET digest = $1 WHERE account = 'acme'").bind(sum.hex());
    assert_eq!(update.execute(pool).await.unwrap().rows_affected(), 1);
    billing.store().close().await;
}

const TAMPERINGS: [(&str, &[&str], &str); 15] = [
    ("a number renamed", &["UPDATE issued SET number = 'INV-000099' WHERE number = 'INV-000003'"], "INV-000003"),
    ("a tax", &["UPDATE issued SET tax_contained = tax_contained - 10000 WHERE number = 'INV-000002'"], "INV-000002"),
    ("a due date removed", &["UPDATE issued SET due_at = 0 WHERE number = 'INV-000005'"], "INV-000005"),
    (
        "the text of a line",
        &["UPDATE documents SET content = REPLACE(content, 'Germany', 'Austria') \
           WHERE id = (SELECT document FROM issued WHERE number = 'INV-000004')"],
        "INV-000004",
    ),
    ("a party", &["UPDATE issued SET customer = REPLACE(customer, 'Customer', 'Friend') WHERE number = 'INV-000001'"], "INV-000001"),
    ("one deleted in the middle", &["DELETE FROM issued WHERE number = 'INV-000003'"], "INV-000003"),
    (
        "the last one deleted",
        &["DELETE FROM issued WHERE number = 'CRN-000001'", "DELETE FROM documents WHERE kind = 'credit_note'"],
        "CRN-000001",
    ),
    (
        "two swapped",
        &[
            "UPDATE issued SET number = 'x', place = 99 WHERE number = 'INV-000002'",
            "UPDATE issued SET number = 'INV-000002', place = 2 WHERE number = 'INV-000004'",
            "UPDATE issued SET number = 'INV-000004', place = 4 WHERE number = 'x'",
        ],
        "INV-000002",
    ),
    ("who did something", &["UPDATE audit SET actor = 'nobody' WHERE chain = 0 AND place = 2"], "audit/0 2"),
    ("why", &["UPDATE audit SET personal = '{\"reason\":\"none\"}' WHERE action = 'issuer.set'"], "audit/service"),
    ("an audit record deleted in the middle", &["DELETE FROM audit WHERE chain = 0 AND place = 2"], "audit/0 2"),
    (
        "the last audit record deleted",
        &["DELETE FROM audit WHERE chain = -1 AND place = (SELECT MAX(place) FROM audit WHERE chain = -1)"],
        "audit/service",
    ),
    (
        "two audit records swapped",
        &[
            "UPDATE audit SET place = 99 WHERE chain = 0 AND place = 1",
            "UPDATE audit SET place = 1 WHERE chain = 0 AND place = 2",
            "UPDATE audit SET place = 2 WHERE chain = 0 AND place = 99",
        ],
        "audit/0 1",
    ),
    (
        // The chain is made to end before it.
        "the record of an entry's act taken away",
        &[
            "DELETE FROM audit WHERE chain = 0 AND place = (SELECT MAX(place) FROM audit WHERE chain = 0)",
            "UPDATE audit_chains SET last_place = last_place - 1, head = (SELECT digest FROM audit WHERE chain = 0 ORDER BY place DESC LIMIT 1) \
             WHERE chain = 0",
        ],
        "audit/0",
    ),
    (
        // All sums are made to agree.
        "an allocation",
        &[
            "UPDATE payables SET open_amount = open_amount + 10000 WHERE document = (SELECT MIN(document) FROM allocations WHERE account = 'acme')",
            "UPDATE credits SET allocated = allocated - 10000 WHERE account = 'acme'",
            "UPDATE allocations SET amount = amount - 10000 WHERE account = 'acme' \
             AND document = (SELECT MIN(document) FROM allocations WHERE account = 'acme')",
        ],
        "acme",
    ),
];

async fn every_tampering_is_found(postgres: Option<std::sync::Arc<PostgresServer>>) {
    let books = Books::of_three_months(postgres).await;
    let untouched = books.copy().await.verify(&[]);
    assert!(untouched.status.success() && untouched.output.contains("all agree"), "{untouched:?}");
    assert_eq!(heads(&untouched).len(), 2, "{untouched:?}");
    for (what, statements, subject) in TAMPERINGS {
        let copy = books.copy().await;
        copy.tamper(statements).await;
        let verified = copy.verify(&["--output", "json"]);
        assert_eq!(verified.status.code(), Some(1), "{what}: {verified:?}");
        let found: Value = serde_json::from_str(&verified.output).unwrap();
        let names = |difference: &Value| difference["subject"].as_str().unwrap().contains(subject);
        assert!(found["differences"].as_array().unwrap().iter().any(names), "{what}: {found:#}");
    }
    // One who can work digests out again is found by whoever has kept a head.
    let forged = books.copy().await;
    forge(&forged, "INV-000002").await;
    let alone = forged.verify(&[]);
    assert!(alone.status.success(), "{alone:?}");
    let head = heads(&untouched).into_iter().find(|head| head.starts_with("INV-:")).unwrap();
    let held = forged.verify(&["--head", &head]);
    assert!(held.status.code() == Some(1) && held.output.contains("INV-000006"), "{held:?}");
    let forged = books.copy().await;
    forge_allocation(&forged).await;
    let alone = forged.verify(&[]);
    assert!(alone.status.success(), "{alone:?}");
    let head = untouched.output.lines().find(|line| line.starts_with("allocations/0:")).unwrap();
    let held = forged.verify(&["--head", head]);
    assert!(held.status.code() == Some(1) && held.output.contains("what pays what up to there was changed since"), "{held:?}");
    let proved = books.copy().await.verify(&["--head", head]);
    assert!(proved.status.success() && proved.output.contains("allocations/0 up to entry"), "{proved:?}");
    let forged = books.copy().await;
    forged
        .tamper(&[
            "DELETE FROM audit WHERE chain = -1 AND place = (SELECT MAX(place) FROM audit WHERE chain = -1)",
            "UPDATE audit_chains SET last_place = last_place - 1, head = (SELECT digest FROM audit WHERE chain = -1 ORDER BY place DESC LIMIT 1) \
             WHERE chain = -1",
        ])
        .await;
    let alone = forged.verify(&[]);
    assert!(alone.status.success(), "{alone:?}");
    let head = untouched.output.lines().find(|line| line.starts_with("audit/service:")).unwrap();
    let held = forged.verify(&["--head", head]);
    assert!(held.status.code() == Some(1) && held.output.contains("is the place of a kept head, and is not there"), "{held:?}");
    let proved = books.copy().await.verify(&["--head", head]);
    assert!(proved.status.success() && proved.output.contains("of audit/service and all before it are as they were"), "{proved:?}");
    // What is personal can be erased, text and salt: the chain holds.
    let erased = books.copy().await;
    erased.tamper(&["UPDATE audit SET personal = '', salt = '' WHERE action = 'issuer.set'"]).await;
    let erased = erased.verify(&[]);
    assert!(
        erased.status.success() && erased.output.contains("of 1 audit records, names, addresses and reasons were erased"),
        "{erased:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn eighteen_tamperings_with_books_in_a_file_are_found() {
    every_tampering_is_found(None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn eighteen_tamperings_with_books_in_postgresql_are_found() {
    every_tampering_is_found(Some(PostgresServer::shared())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kept_head_proves_that_nothing_before_it_has_changed() {
    let books = Books::of_three_months(None).await;
    let copy = books.copy().await;
    let kept = heads(&copy.verify(&[]));
    let file: PathBuf = books.folder.path().join("heads");
    std::fs::write(&file, format!("# kept by the auditor\n\n{}\n", kept.join("\n"))).unwrap();
    let proved = copy.verify(&["--heads", file.to_str().unwrap()]);
    assert!(proved.status.success() && proved.output.contains("INV-000006 and all before it are as they were"), "{proved:?}");

    let later = kept[1].replace("INV-000006", "INV-000007");
    let missing = copy.verify(&["--head", &later]);
    assert!(missing.status.code() == Some(1) && missing.output.contains("INV-000007"), "{missing:?}");
    let strange = copy.verify(&["--head", &later.replace("INV-", "OLD-")]);
    assert!(strange.status.code() == Some(1) && strange.output.contains("OLD-000007"), "{strange:?}");
    let wrong = copy.verify(&["--head", "INV-:INV-000006"]);
    assert!(wrong.status.code() == Some(2) && wrong.error.contains("must be SERIES:NUMBER:DIGEST"), "{wrong:?}");

    // Whom it was for is erased, text and salt: the chain holds.
    copy.tamper(&["UPDATE issued SET customer = '', customer_salt = '' WHERE number = 'INV-000002'"]).await;
    let erased = copy.verify(&["--head", &kept[1]]);
    assert!(erased.status.success() && erased.output.contains("of 1 documents, whom they were for was erased"), "{erased:?}");
}
