//! The web console in a real browser: Playwright drives headless Chromium through `console/*.mjs`. One browser runs all tests, because
//! starting one takes longer than most of them; each has a context of its own.

mod beside_bulk;
mod guarded;
mod kept;
mod office;
mod provided;
mod strict;
mod whole;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Stdio};

use regex::Regex;
use serde_json::{Value, json};
use tollgate::grpc::v1;
use tollgate::grpc::v1::PaymentMode;

use crate::command::Operator;
use crate::service::{Client, Service, binary, debit, until};
use crate::support::temporary_folder;

/// When the tests play: in the first week of a month, after one with charges.
const BEFORE: &str = "2026-10-12T10:00:00Z";
const NOW: &str = "2026-11-05T10:00:00Z";
const DAY_BEFORE: &str = "2026-11-04T09:00:00Z";

/// The users, and what they may do.
const USERS: [(&str, &[&str]); 9] = [
    ("helper", &["--role", "operate"]),
    ("admin", &["--role", "admin"]),
    ("erika", &["--role", "admin"]),
    ("alice", &["--role", "read"]),
    ("reader", &["--role", "read"]),
    ("dora", &["--role", "read"]),
    ("dieter", &["--role", "read"]),
    ("clerk", &["--role", "charge"]),
    ("partner", &["--role", "read", "--account", "partner-7/"]),
];

async fn set_up(client: &mut Client) {
    client.open("acme-prepaid", PaymentMode::Prepaid, "100", "100").await;
    client.open("acme-postpaid", PaymentMode::Postpaid, "1000", "0").await;
    client.open("mueller", PaymentMode::Postpaid, "2000", "750").await;
    client.open("partner-7/customer", PaymentMode::Prepaid, "0", "12.5").await;
    for (id, name) in [
        ("acme-prepaid", "Acme Prepaid"),
        ("acme-postpaid", "Acme Postpaid"),
        ("mueller", "Müller Logistik GmbH"),
        ("partner-7/customer", "Customer of Seven"),
    ] {
        rename(client, id, name).await;
    }
    client.charging.debit(debit("acme-prepaid", "used", "13.90")).await.unwrap();
    client.charging.debit(debit("mueller", "used", "500")).await.unwrap();
    let operator = Some(v1::Operator { actor: "test".into(), reason: "unpaid".into() });
    let request =
        v1::SuspendAccountRequest { account_id: "acme-prepaid".into(), request_id: "suspend".into(), operator, ..Default::default() };
    client.accounts.suspend_account(request).await.unwrap();
    for number in 0..65 {
        client.open(&format!("org-{number:02}"), PaymentMode::Prepaid, "0", &format!("{}.25", number * 37 + 1)).await;
    }
    // What is searched for must have been taken in.
    until("all organizations are found", async || {
        let request = v1::SearchAccountsRequest { query: "Customer org".into(), page_size: 100, ..Default::default() };
        let found = client.clone().accounts.search_accounts(request).await.ok()?.into_inner();
        (found.accounts.len() == 65).then_some(())
    })
    .await;
}

/// What happened in the month before.
async fn lead_a_month(client: &mut Client) {
    client.open("nordwind", PaymentMode::Prepaid, "0", "500").await;
    client.open("keys", PaymentMode::Prepaid, "0", "20").await;
    client.open("billed", PaymentMode::Postpaid, "1000", "0").await;
    client.open("acts", PaymentMode::Prepaid, "0", "100").await;
    for (id, name) in [("nordwind", "Nordwind Telefonie"), ("keys", "Schlüssel & Söhne"), ("billed", "Billed AG"), ("acts", "Busy Ltd")] {
        rename(client, id, name).await;
    }
    client.charging.debit(debit("nordwind", "october", "180.40")).await.unwrap();
    client.charging.debit(debit("billed", "october", "113.90")).await.unwrap();
    let customer = v1::Party { name: "Billed AG".into(), address: vec!["Ring 3".into(), "20095 Hamburg".into()], ..Default::default() };
    let request = v1::SetBillingDetailsRequest { account_id: "billed".into(), customer: Some(customer), ..Default::default() };
    client.billing.set_billing_details(request).await.unwrap();
}

/// What happens in this one.
async fn begin_a_month(client: &mut Client) {
    client.open("back", PaymentMode::Postpaid, "300", "0").await;
    client.open("empty", PaymentMode::Prepaid, "0", "0").await;
    client.open("bare", PaymentMode::Prepaid, "0", "0").await;
    client.open("poor", PaymentMode::Prepaid, "0", "0").await;
    client.charging.debit(debit("back", "november", "42.50")).await.unwrap();
    client.charging.debit(debit("acts", "call-1", "25")).await.unwrap();
    let amount = crate::service::money("10");
    let reserve = Some(v1::Reserve { amount, ..Default::default() });
    let request = v1::AuthorizeRequest { account_id: "acts".into(), request_id: "hold".into(), reserve, ..Default::default() };
    client.charging.authorize(request).await.unwrap();
    until("last month's invoice is issued", async || {
        let request = v1::ListInvoicesRequest { account_id: "billed".into(), ..Default::default() };
        let listed = client.clone().billing.list_invoices(request).await.ok()?.into_inner();
        listed.invoices.iter().any(|invoice| !invoice.number.is_empty()).then_some(())
    })
    .await;
    until("last month is known", async || {
        let request = v1::SuggestCreditLimitRequest { account_id: "nordwind".into() };
        let suggested = client.clone().billing.suggest_credit_limit(request).await.ok()?.into_inner();
        suggested.suggested_limit.map(|_| ())
    })
    .await;
}

/// Where the console is, by the log.
async fn console_url(service: &Service) -> String {
    until("the console is served", async || {
        let log = service.log().into_iter().filter_map(|line| serde_json::from_str::<Value>(&line).ok());
        log.filter(|event| event["message"] == "serving the web console").find_map(|event| event["url"].as_str().map(ToOwned::to_owned))
    })
    .await
    .trim_end_matches('/')
    .to_owned()
}

/// Waits until users can be kept.
async fn until_users_are_kept(service: &Service) {
    // Before that, the billing store knows no ledger.
    let is_taken = async || service.log().iter().any(|line| line.contains("aggregating a partition")).then_some(());
    until("the billing store has taken the ledger", is_taken).await;
}

/// Makes a user on the machine, and returns the link that it is given. The browser has others made when it needs them.
fn link(store: &str, url: &str, name: &str, access: &[&str]) -> String {
    let arguments = ["user", "create", name, "--store", store, "--console-url", url];
    let output = Command::new(binary()).args(arguments).args(access).env_clear().output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// A service without a billing store, and the link that it prints.
fn unbilled(folder: &Path) -> (Service, String) {
    let store = folder.join("unbilled.db");
    let mut command = Command::new("sh");
    let output = folder.join("printed");
    command.args(["-c", &format!("exec {} \"$@\" > {}", binary().display(), output.display()), "sh"]);
    let arguments = ["--store", store.to_str().unwrap(), "--billing", "off", "--console", "127.0.0.1:0"];
    let service = Service::spawn(command, &arguments, &[]);
    (service, output.display().to_string())
}

/// A service that tests may disturb, with two open invoices; and its store.
async fn quiet(folder: &Path) -> (Service, String, String) {
    let (store, clock) = (folder.join("quiet.db").display().to_string(), folder.join("quiet.clock"));
    std::fs::write(&clock, BEFORE).unwrap();
    let service = Service::start(&["--store", &store, "--test-clock", clock.to_str().unwrap(), "--console", "127.0.0.1:0"], &[]);
    for line in ["issuer set --name Nordlicht --city Hamburg --country DE", "tax set 19 --from 2020-01-01"] {
        let ended = Operator::of(&service).run(line);
        assert!(ended.status.success(), "{ended:?}");
    }
    let mut client = service.client().await;
    client.open("globex", PaymentMode::Prepaid, "0", "5").await;
    for (id, balance) in [("bulk-1", "12.50"), ("bulk-2", "0"), ("bulk-3", "1")] {
        client.open(id, PaymentMode::Prepaid, "0", balance).await;
    }
    for (id, name, used) in [("hooli", "Hooli AG", "59.50"), ("initech", "Initech GmbH", "119")] {
        client.open(id, PaymentMode::Postpaid, "1000", "0").await;
        rename(&mut client, id, name).await;
        client.charging.debit(debit(id, "october", used)).await.unwrap();
    }
    // Its invoice is credited.
    client.open("umbrella", PaymentMode::Postpaid, "1000", "0").await;
    for (id, used) in [("october-1", "20"), ("october-2", "23.80"), ("again", "5")] {
        client.charging.debit(debit("umbrella", id, used)).await.unwrap();
    }
    std::fs::write(&clock, DAY_BEFORE).unwrap();
    until("three invoices are issued", async || (Operator::of(&service).list("invoice list --state issued").len() == 3).then_some(()))
        .await;
    std::fs::write(&clock, NOW).unwrap();
    // Its id is forgotten by now, so that it becomes another charge's.
    until("an id is used again", async || client.clone().charging.debit(debit("umbrella", "again", "7")).await.ok().map(|_| ())).await;
    let of_umbrella = Operator::of(&service).list("invoice list --account umbrella").remove(0);
    (service, store, of_umbrella["number"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn people_do_their_work_in_a_browser() {
    let folder = temporary_folder();
    let (store, clock) = (folder.path().join("ledger.db"), folder.path().join("clock"));
    std::fs::write(&clock, BEFORE).unwrap();
    let store = store.to_str().unwrap();
    let service = Service::start(&["--store", store, "--test-clock", clock.to_str().unwrap(), "--console", "127.0.0.1:0"], &[]);
    let mut client = service.client().await;
    for line in ["issuer set --name Nordlicht --city Hamburg --country DE", "tax set 19 --from 2020-01-01"] {
        let ended = Operator::of(&service).run(line);
        assert!(ended.status.success(), "{ended:?}");
    }
    let ended = Operator::of(&service).run_words(&["sending", "set", "--contact", "Ann, extension 12"]);
    assert!(ended.status.success(), "{ended:?}");
    lead_a_month(&mut client).await;
    std::fs::write(&clock, NOW).unwrap();
    until("the month is over", async || (client.clone().credit("billed").await.amount_due == "113.90").then_some(())).await;
    begin_a_month(&mut client).await;
    set_up(&mut client).await;
    let url = console_url(&service).await;
    for (name, access) in USERS {
        link(store, &url, name, access);
    }

    let (other, printed) = unbilled(folder.path());
    other.client().await.open("globex", PaymentMode::Prepaid, "0", "5").await;
    rename(&mut other.client().await, "globex", "Globex").await;
    let _declined = other.client().await.charging.debit(debit("globex", "too-much", "50")).await;
    let first = until("a link is printed", async || {
        let text = std::fs::read_to_string(&printed).ok()?;
        text.lines().find(|line| line.contains("/sign-in/link/")).map(|line| line.trim().to_owned())
    })
    .await;
    let (quiet, quiet_store, credited) = quiet(folder.path()).await;
    let quiet_url = console_url(&quiet).await;
    for name in ["first", "boss", "keeper"] {
        link(&quiet_store, &quiet_url, name, &["--role", "admin"]);
    }
    for role in ["charge", "read", "operate", "finance", "audit", "admin"] {
        link(&quiet_store, &quiet_url, &format!("role-{role}"), &["--role", role]);
    }
    let office = office::Office::open(folder.path()).await;
    let guarded = guarded::Guarded::open(folder.path()).await;
    let strict = strict::Strict::open(folder.path()).await;
    let provided = provided::Provided::open(folder.path()).await;
    let permitted = console::routes::ROUTES.iter().filter(|route| route.needs.permission().is_some());
    let stage = json!({
        "routes": permitted.map(|route| format!("{} {}", route.method, route.path)).collect::<Vec<_>>(),
        "urls": {
            "main": url, "unbilled": console_url(&other).await, "office": office.url, "quiet": quiet_url, "strict": strict.url,
            "provided": provided.url, "away": provided.away, "guarded": guarded.url,
        },
        "credited": credited,
        "files": { "quiet": folder.path().join("quiet.billing.db") },
        "stores": { "main": store, "office": office.store, "quiet": quiet_store, "strict": strict.store },
        // What the tests' users are called there, if not the same.
        "names": { "quiet": { "admin": "first" }, "strict": { "admin": "boss" } },
        // Links that were made before anything happened.
        "links": { "unbilled": { "admin": first }, "guarded": guarded.links },
        "binary": binary(),
    });
    let report = browse(&stage).await;
    let failed = report["failed"].as_array().unwrap();
    assert!(failed.is_empty(), "{}", failed.iter().map(|one| one.as_str().unwrap()).collect::<Vec<_>>().join("\n\n"));
    let signed_in = async || {
        let found = Operator::of(&service).list("audit --action console.signed_in --actor alice");
        found.iter().any(|record| record["protocol"] == "console" && record["address"] == "127.0.0.1").then_some(())
    };
    until("who signs in is on record", signed_in).await;
    if std::env::var_os("ONLY").is_none() {
        let visited = report["visited"].as_array().unwrap().iter().map(|one| one.as_str().unwrap()).collect();
        assert_eq!(unvisited(&visited), BTreeSet::new(), "these pages and forms have no test in a browser");
    }
}

async fn rename(client: &mut Client, id: &str, name: &str) {
    let request =
        v1::UpdateAccountRequest { account_id: id.into(), request_id: "name".into(), name: Some(name.into()), ..Default::default() };
    client.accounts.update_account(request).await.unwrap();
}

/// Runs the tests in the browser, and returns their report.
async fn browse(stage: &Value) -> Value {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let chromium = ["/usr/bin/chromium-headless-shell", "/usr/bin/chromium"].into_iter().find(|path| Path::new(path).exists());
    let mut node = Command::new("node");
    node.arg(root.join("process/console/all.mjs"))
        .env("NODE_MODULES", root.join(".venv/playwright/node_modules"))
        .env("CHROMIUM", chromium.expect("no Chromium: tests/run installs it"))
        .env("STAGE", stage.to_string())
        .stdin(Stdio::null())
        .stderr(Stdio::inherit());
    let output = tokio::task::spawn_blocking(move || node.output()).await.unwrap().expect("no Node: tests/run installs it");
    assert!(output.status.success(), "the browser's tests ended with {}", output.status);
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The routes of the console that no test has visited.
fn unvisited(visited: &BTreeSet<&str>) -> BTreeSet<String> {
    let is_visited = |route: &&console::routes::Route| {
        let path = Regex::new(r"\\\{[a-z_]+\\\}").unwrap().replace_all(&regex::escape(route.path), "[^/]+").into_owned();
        let path = Regex::new(&format!("^{} {path}$", route.method)).unwrap();
        visited.iter().any(|one| path.is_match(one))
    };
    console::routes::ROUTES.iter().filter(|route| !is_visited(route)).map(|route| format!("{} {}", route.method, route.path)).collect()
}
