//! Drafts that are looked at before they are issued, documents that are held back, and steps that fail again and again.

use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;
use tollgate::billing::{Billing, BillingSettings};
use tollgate::grpc::v1::{self, AggregationState, PaymentMode};

use crate::command::Operator;
use crate::identity::{http, serve_in_vain};
use crate::postgres::PostgresServer;
use crate::service::{Client, PATIENCE, Service, debit, money, until};
use crate::support::temporary_folder;

/// A service by a clock that stands, with an issuer and a rate of tax.
struct Fixture {
    folder: tempfile::TempDir,
    arguments: Vec<String>,
    service: Service,
    operator: Operator,
}

impl Fixture {
    fn at(time: &str) -> Self {
        Self::with(time, None)
    }

    /// With a billing store in a database; `None` means in a file.
    fn with(time: &str, billing: Option<String>) -> Self {
        let folder = temporary_folder();
        std::fs::write(folder.path().join("clock"), time).unwrap();
        let [store, clock] = ["ledger.db", "clock"].map(|name| folder.path().join(name).display().to_string());
        let billing = billing.unwrap_or_else(|| format!("sqlite://{}", folder.path().join("ledger.billing.db").display()));
        let arguments = ["--store", &store, "--test-clock", &clock, "--billing", &billing].map(str::to_owned).to_vec();
        let service = Service::start(&arguments.iter().map(String::as_str).collect::<Vec<_>>(), &[]);
        let operator = Operator::of(&service);
        let fixture = Self { folder, arguments, service, operator };
        fixture.run("issuer set --name Nordlicht --city Hamburg --country DE");
        fixture.run("tax set 19 --from 2020-01-01");
        fixture
    }

    fn go_to(&self, time: &str) {
        let [next, clock] = ["next", "clock"].map(|name| self.folder.path().join(name));
        std::fs::write(&next, time).unwrap();
        std::fs::rename(next, clock).unwrap();
    }

    fn run(&self, line: &str) -> String {
        let ended = self.operator.run(line);
        assert!(ended.status.success(), "{line}: {ended:?}");
        ended.output
    }

    /// The documents of a state, the oldest first, when there are so many.
    fn documents(&self, state: &str, count: usize) -> Vec<Value> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let found = self.operator.list(&format!("invoice list --state {state}"));
            if found.len() == count {
                return found.iter().rev().cloned().collect();
            }
            assert!(Instant::now() < deadline, "not {count} documents {state}: {:#?}", self.operator.json("invoice list"));
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    async fn says(&self, path: &str, text: &str) {
        until(text, || async {
            let answer = http(self.service.metrics, path).await;
            answer.contains(text).then_some(())
        })
        .await;
    }

    async fn billing(&self) -> Billing {
        Billing::connect_lazily(self.arguments.last().unwrap(), BillingSettings::default()).unwrap()
    }
}

async fn charge(client: &mut Client, account: &str, request_id: &str, amount: &str) {
    let usage = Some(v1::Usage { item: "voice".into(), description: "Calls to Germany".into(), ..Default::default() });
    client.charging.debit(v1::DebitRequest { usage, ..debit(account, request_id, amount) }).await.unwrap();
}

/// Waits until what is accepted is accepted then.
async fn the_clock_says(client: &mut Client, time: &str) {
    let expected = time.parse::<jiff::Timestamp>().unwrap().as_second();
    let mut number = 0;
    until("the clock has moved", || {
        number += 1;
        let (mut client, request_id) = (client.clone(), format!("tick-{number}"));
        async move {
            charge(&mut client, "gamma", &request_id, "0.01").await;
            (client.journal("gamma").await.last()?.accepted_at?.seconds >= expected).then_some(())
        }
    })
    .await;
}

async fn aggregated(client: &Client) {
    until("the billing store has followed", || async {
        let request = v1::GetAggregationRequest {};
        let found = client.clone().billing.get_aggregation(request).await.ok()?.into_inner().partitions;
        (!found.is_empty() && found.iter().all(|partition| partition.lag_entries == 0)).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_that_is_held_back_is_shown_with_its_difference_and_is_issued_when_it_is_worked_out_again() {
    a_held_document_is_issued_in_the_end(Fixture::at("2026-06-10T12:00:00Z")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_that_is_held_back_in_postgresql_is_issued_when_it_is_worked_out_again() {
    let postgres = PostgresServer::shared();
    a_held_document_is_issued_in_the_end(Fixture::with("2026-06-10T12:00:00Z", Some(postgres.database()))).await;
}

async fn a_held_document_is_issued_in_the_end(fixture: Fixture) {
    let mut client = fixture.service.client().await;
    client.open("acme", PaymentMode::Postpaid, "1000", "0").await;
    charge(&mut client, "acme", "call", "11.90").await;
    aggregated(&client).await;
    let billing = fixture.billing().await;
    let damaged = sqlx::query("UPDATE totals SET amount = amount - 2500000 WHERE account = 'acme' AND kind = 4");
    assert_eq!(damaged.execute(billing.store().pool()).await.unwrap().rows_affected(), 1);
    billing.store().close().await;
    fixture.go_to("2026-07-05T12:00:00Z");
    let id = tokio::task::block_in_place(|| fixture.documents("held", 1)[0]["documentId"].as_str().unwrap().to_owned());
    let refund = v1::RefundRequest {
        account_id: "acme".into(),
        request_id: "refund".into(),
        charge_id: "call".into(),
        amount: money("1.19"),
        ..Default::default()
    };
    client.charging.refund(refund).await.unwrap();
    fixture.says("/healthz", "1 documents are held back, because they do not add up, the first since 2026-07-01").await;
    fixture.says("/metrics", "tollgate_held_documents 1").await;
    tokio::task::block_in_place(|| {
        let shown = fixture.run(&format!("invoice show --id {id}"));
        for text in ["but the ledger closed 11.90 EUR: a difference of -2.50 EUR", "Calls to Germany", "9.40"] {
            assert!(shown.contains(text), "{text}: {shown}");
        }
        let note = &fixture.documents("draft", 1)[0];
        assert_eq!(note["waitsFor"], "the document that it corrects, which is not issued");
        assert!(fixture.run("invoice retry").contains("a draft now"));
        let issued = fixture.documents("issued", 2);
        assert_eq!((&issued[0]["number"], &issued[0]["total"]), (&"INV-000001".into(), &"11.90".into()));
        assert_eq!((&issued[1]["refersTo"], &issued[1]["total"]), (&"INV-000001".into(), &"1.19".into()));
        assert_eq!(fixture.run("invoice retry").trim(), "no document is held back");
        let again = fixture.operator.run(&format!("invoice retry {id}"));
        assert!(!again.status.success() && again.error.contains("INVOICE_NOT_FOUND"), "{again:?}");
    });
    fixture.says("/metrics", "tollgate_held_documents 0").await;
    let Fixture { arguments, service, folder, .. } = fixture;
    assert!(service.stopped().await.success());
    let words: Vec<&str> = ["verify"].into_iter().chain(arguments.iter().map(String::as_str)).collect();
    let verified = Operator::nowhere().run_words(&words);
    assert!(verified.status.success() && verified.output.contains("all agree"), "{verified:?}");
    drop(folder);
}

/// Only the store's own damage holds these back: what they say is worked out of their one entry.
async fn what_has_one_entry_is_issued_in_the_end(fixture: Fixture) {
    let mut client = fixture.service.client().await;
    client.open("acme", PaymentMode::Postpaid, "1000", "5").await;
    let (account_id, request_id, non_usage_billing) = ("acme".into(), "settings".into(), v1::NonUsageBilling::OneByOne.into());
    let request = v1::UpdateAccountRequest { account_id, request_id, non_usage_billing, ..Default::default() };
    client.accounts.update_account(request).await.unwrap();
    tokio::task::block_in_place(|| fixture.run("issuing set --on-approval"));
    // An invoice of 20.00 for 20.004, of which 5.00 are paid; a refund of it that credits nothing, and one that credits 2.00 for both.
    let (category, item) = (v1::ChargeCategory::Hardware.into(), "router".into());
    let usage = Some(v1::Usage { category, item, description: "Router with antennas".into(), ..Default::default() });
    client.charging.debit(v1::DebitRequest { usage, ..debit("acme", "router", "20.004") }).await.unwrap();
    for (request_id, amount) in [("refund-1", "0.003"), ("refund-2", "1.999")] {
        let (account_id, request_id, charge_id) = ("acme".into(), request_id.into(), "router".into());
        let refund = v1::RefundRequest { account_id, request_id, charge_id, amount: money(amount), ..Default::default() };
        client.charging.refund(refund).await.unwrap();
    }
    aggregated(&client).await;
    tokio::task::block_in_place(|| fixture.documents("draft", 2));
    let billing = fixture.billing().await;
    let damaged = "UPDATE documents SET held_reason = 'damaged', summary = '', content = REPLACE(content, 'Router', 'Toaster')";
    assert_eq!(sqlx::query(damaged).execute(billing.store().pool()).await.unwrap().rows_affected(), 2);
    assert_eq!(sqlx::query("DELETE FROM drafts").execute(billing.store().pool()).await.unwrap().rows_affected(), 2);
    // What is paid later does not belong to them, nor what is given back later.
    let (account_id, request_id) = ("acme".into(), "rest".into());
    let payment = v1::RecordPaymentRequest { account_id, request_id, amount: money("13"), ..Default::default() };
    client.billing.record_payment(payment).await.unwrap();
    let (account_id, request_id, charge_id) = ("acme".into(), "refund-3".into(), "router".into());
    let refund = v1::RefundRequest { account_id, request_id, charge_id, amount: money("0.001"), ..Default::default() };
    client.charging.refund(refund).await.unwrap();
    aggregated(&client).await;
    tokio::task::block_in_place(|| {
        fixture.documents("held", 2);
        let said = fixture.run("invoice retry");
        assert_eq!(said.matches("a draft now").count(), 2, "{said}");
        fixture.run("invoice approve --all");
        let issued = fixture.documents("issued", 2);
        let of = |document: &Value| {
            ["kind", "total", "creditApplied", "amountToPay", "openAmount"]
                .map(|field| document[field].as_str().unwrap_or_default().to_owned())
        };
        assert_eq!(of(&issued[0]), ["INVOICE_KIND_INVOICE", "20.00", "5.00", "15.00", "0.00"]);
        assert_eq!(of(&issued[1]), ["INVOICE_KIND_CREDIT_NOTE", "2.00", "0.00", "0.00", "0.00"]);
        for (document, amounts) in [(&issued[0], &["20.004"][..]), (&issued[1], &["1.999", "0.003"])] {
            let shown = fixture.operator.json(&format!("invoice show {}", document["number"].as_str().unwrap()));
            let lines = shown["invoice"]["items"].as_array().unwrap();
            let said: Vec<_> = lines.iter().map(|line| line["amount"].as_str().unwrap()).collect();
            assert!(said == amounts && lines.iter().all(|line| line["description"] == "Router with antennas"), "{shown:#}");
        }
    });
    billing.store().close().await;
    let Fixture { arguments, service, folder, .. } = fixture;
    assert!(service.stopped().await.success());
    let words: Vec<&str> = ["verify"].into_iter().chain(arguments.iter().map(String::as_str)).collect();
    let verified = Operator::nowhere().run_words(&words);
    assert!(verified.status.success() && verified.output.contains("all agree"), "{verified:?}");
    drop(folder);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bill_of_its_own_and_a_credit_note_that_are_held_back_are_worked_out_again_from_their_one_entry() {
    what_has_one_entry_is_issued_in_the_end(Fixture::at("2026-06-10T12:00:00Z")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bill_of_its_own_and_a_credit_note_that_are_held_back_in_postgresql_are_worked_out_again() {
    let postgres = PostgresServer::shared();
    what_has_one_entry_is_issued_in_the_end(Fixture::with("2026-06-10T12:00:00Z", Some(postgres.database()))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_draft_is_issued_when_it_is_approved_and_is_settled_before_as_if_it_were() {
    let fixture = Fixture::at("2026-06-10T12:00:00Z");
    let mut client = fixture.service.client().await;
    for account in ["acme", "beta", "gamma"] {
        client.open(account, PaymentMode::Postpaid, "1000", "0").await;
        charge(&mut client, account, "june", "11.90").await;
    }
    tokio::task::block_in_place(|| {
        fixture.run("issuing set --on-approval");
        fixture.go_to("2026-07-05T12:00:00Z");
        fixture.documents("draft", 3);
    });
    fixture.says("/healthz", "3 documents wait to be issued, the first since 2026-07-01: they are to be approved").await;
    fixture.says("/metrics", "tollgate_drafts{waits_for=\"approval\"} 3").await;
    // What is paid now pays the draft.
    let payment =
        v1::RecordPaymentRequest { account_id: "acme".into(), request_id: "p-1".into(), amount: money("5"), ..Default::default() };
    client.billing.record_payment(payment).await.unwrap();
    aggregated(&client).await;
    // Approved days later: the due date counts from then.
    fixture.go_to("2026-07-09T12:00:00Z");
    the_clock_says(&mut client, "2026-07-09T12:00:00Z").await;
    tokio::task::block_in_place(|| {
        let drafts = fixture.documents("draft", 3);
        let draft = drafts.iter().find(|draft| draft["accountId"] == "acme").unwrap();
        let id = draft["documentId"].as_str().unwrap();
        assert_eq!(draft["waitsFor"], format!("approval: tollgate invoice approve {id}"));
        assert_eq!((&draft["amountToPay"], &draft["openAmount"]), (&"11.90".into(), &"6.90".into()));
        // In all forms, with the tax that it would have.
        let page = fixture.run(&format!("invoice html --id {id} --file -"));
        assert!(page.contains("Draft: not issued") && page.contains("1.90") && page.contains("Nordlicht"), "{page}");
        assert!(fixture.run(&format!("invoice csv --id {id} --file -")).contains("voice"));
        let pdf = fixture.folder.path().join("draft.pdf");
        fixture.run(&format!("invoice pdf --id {id} --file {}", pdf.display()));
        assert!(std::fs::read(pdf).unwrap().starts_with(b"%PDF"));
        let shown = fixture.operator.json(&format!("invoice show --id {id}"));
        assert_eq!((shown["invoice"].get("number"), &shown["invoice"]["taxes"][0]["tax"]), (None, &"1.90".into()));
        let approve = format!("invoice approve {id} --request-id a-1");
        assert_eq!(fixture.run(&approve).trim(), "1 drafts are approved");
        assert_eq!(fixture.run(&approve).trim(), "this request was done before");
        let issued = &fixture.documents("issued", 1)[0];
        assert_eq!(
            (&issued["number"], &issued["accountId"], &issued["openAmount"]),
            (&"INV-000001".into(), &"acme".into(), &"6.90".into())
        );
        assert_eq!(issued["dueAt"], "2026-07-23T23:59:59.999Z");
        // In bulk; what does not match stays.
        fixture.run("invoice approve --all --account beta --cut-before 2026-07-02T00:00:00Z");
        assert_eq!(fixture.documents("draft", 1)[0]["accountId"], "gamma");
        fixture.run("invoice approve --all --cut-before 2026-07-01T00:00:00Z");
        fixture.documents("draft", 1);
        // A grace that is over, or will be.
        fixture.run("issuing set --after-hours 240");
        let draft = &fixture.documents("draft", 1)[0];
        assert!(draft["waitsFor"].as_str().unwrap().starts_with("review, until 2026-07-11T00:00:00Z"), "{draft:#}");
        fixture.go_to("2026-07-11T00:00:01Z");
        fixture.documents("issued", 3);
        let wrong = fixture.operator.run("issuing set --after-hours 2000");
        assert!(!wrong.status.success() && wrong.error.contains("grace_hours must be from 1 to 1080"), "{wrong:?}");
    });
    assert!(fixture.service.stopped().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_cannot_keep_every_name_is_refused_before_anything_is_in_it() {
    let (postgres, folder) = (PostgresServer::shared(), temporary_folder());
    let store = folder.path().join("ledger.db").display().to_string();
    let ended = serve_in_vain(folder.path(), &["--store", &store, "--billing", &postgres.database_in("LATIN1")]);
    assert!(ended.error.contains("keeps texts as LATIN1") && ended.error.contains("--encoding=UTF8"), "{ended:?}");
    assert!(!std::path::Path::new(&store).exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_that_fails_again_and_again_is_a_problem_with_its_reason() {
    let (postgres, folder) = (PostgresServer::shared(), temporary_folder());
    // As one that has been in use since before this was looked at.
    let (tables, billing) = (postgres.database(), postgres.database_in("LATIN1"));
    Billing::open(&tables, BillingSettings::default()).await.unwrap();
    let dump = Command::new("pg_dump").args(["--no-owner", "--encoding=UTF8", "-d", &tables]).output().unwrap();
    assert!(dump.status.success(), "{dump:?}");
    let file = folder.path().join("dump.sql");
    std::fs::write(&file, dump.stdout).unwrap();
    let restored = Command::new("psql").args(["-q", "-v", "ON_ERROR_STOP=1", "-d", &billing, "-f"]).arg(file).output().unwrap();
    assert!(restored.status.success(), "{restored:?}");

    let store = folder.path().join("ledger.db").display().to_string();
    let service = Service::start(&["--store", &store, "--billing", &billing], &[]);
    let mut client = service.client().await;
    client.open("acme", PaymentMode::Prepaid, "0", "10").await;
    aggregated(&client).await;
    let request = v1::CreateAccountRequest {
        account_id: "kabushiki".into(),
        request_id: "create".into(),
        name: "株式会社".into(),
        currency_code: "JPY".into(),
        mode: PaymentMode::Prepaid.into(),
        ..Default::default()
    };
    client.accounts.create_account(request).await.unwrap();
    let failing = until("the step is said to fail", || async {
        let found = client.clone().billing.get_aggregation(v1::GetAggregationRequest {}).await.ok()?.into_inner().partitions;
        found.into_iter().find(|partition| partition.state() == AggregationState::Failing)
    })
    .await;
    assert!(failing.reason.contains("LATIN1"), "{failing:?}");
    for (path, text) in
        [("/healthz", "fails again and again"), ("/healthz", "keeps texts as LATIN1"), ("/metrics", "tollgate_aggregation_failing_steps{")]
    {
        until(text, || async { http(service.metrics, path).await.contains(text).then_some(()) }).await;
    }
    // Charging goes on.
    client.charging.debit(debit("acme", "d-1", "1")).await.unwrap();
    assert!(service.stopped().await.success());
}

/// A small file system in memory, away with its last user.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn of(megabytes: usize) -> Self {
        let folder = temporary_folder();
        let size = format!("size={megabytes}m,mode=1777");
        let mounted = as_root("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(folder.path()).output().unwrap();
        assert!(mounted.status.success(), "{}", String::from_utf8_lossy(&mounted.stderr));
        Self(folder)
    }

    fn fill(&self) {
        let mut ballast = std::fs::File::create(self.0.path().join("ballast")).unwrap();
        let piece = [0; 4096];
        while std::io::Write::write_all(&mut ballast, &piece).is_ok() {}
    }

    fn clear(&self) {
        std::fs::remove_file(self.0.path().join("ballast")).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = as_root("umount").arg("--lazy").arg(self.0.path()).status();
    }
}

/// A command that root runs: by sudo, as in `tests/run`, if this user is another.
fn as_root(program: &str) -> Command {
    if Command::new("id").arg("-u").output().unwrap().stdout == b"0\n" {
        return Command::new(program);
    }
    let mut command = Command::new("sudo");
    command.args(["-n", program]);
    command
}

/// Charging goes on while the billing store's disk is full, operators are told why, and aggregation goes on when there is room again.
async fn a_full_disk_is_told_and_survived(billing: String, disk: &SmallDisk, said: &str) {
    let folder = temporary_folder();
    let store = folder.path().join("ledger.db").display().to_string();
    let service = Service::start(&["--store", &store, "--billing", &billing], &[]);
    let mut client = service.client().await;
    client.open("acme", PaymentMode::Prepaid, "0", "1000").await;
    aggregated(&client).await;
    disk.fill();
    for number in 0..300 {
        charge(&mut client, "acme", &format!("call-{number}"), "0.01").await;
    }
    let state = |client: &Client| {
        let mut client = client.clone();
        async move { client.billing.get_aggregation(v1::GetAggregationRequest {}).await.ok()?.into_inner().partitions.pop() }
    };
    until("the step is said to fail", || async {
        let health = http(service.metrics, "/healthz").await;
        (health.contains("fails again and again") && health.contains(said)).then_some(())
    })
    .await;
    let failing = http(service.metrics, "/metrics").await;
    assert!(failing.contains("tollgate_aggregation_failing_steps{"), "{failing}");
    charge(&mut client, "acme", "meanwhile", "0.01").await;
    disk.clear();
    until("aggregation has caught up", || async {
        let found = state(&client).await?;
        (found.state() == AggregationState::Running && found.lag_entries == 0).then_some(())
    })
    .await;
    until("nothing fails any more", || async {
        let health = http(service.metrics, "/healthz").await;
        (!health.contains("fails again and again")).then_some(())
    })
    .await;
    assert!(service.stopped().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_of_a_billing_store_in_a_file_is_told_and_survived() {
    let disk = SmallDisk::of(4);
    let billing = format!("sqlite://{}", disk.0.path().join("billing.db").display());
    a_full_disk_is_told_and_survived(billing, &disk, "disk is full").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_of_postgresql_is_told_and_survived() {
    let disk = SmallDisk::of(48);
    let postgres = PostgresServer::start();
    let tables = disk.0.path().join("tables");
    std::fs::create_dir(&tables).unwrap();
    let billing = postgres.database_in_folder(&tables);
    a_full_disk_is_told_and_survived(billing, &disk, "No space left on device").await;
}
