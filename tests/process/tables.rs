//! The tables of examples over the wire: each step by gRPC and by HTTP on the running binary, on an account of its own for each. Both say the
//! same, to the last detail of an error, and it is what the table says.

use std::time::Instant;

use serde_json::{Value, json};

use crate::http::url_of;
use crate::on_paper::Stage;
use crate::service::PATIENCE;
use crate::table::{About, Amount, Claim, Step, Table, What};
use crate::wire::{ByGrpc, ByHttp, Call, call, problem, words};

/// 2026-01-30, two days before the end of a billing period, as on the engines.
const START: &str = "2026-01-30T00:00:00Z";

/// How many reservations an account may have open, and how many commands a batch.
const MOST_RESERVATIONS: usize = 10_000;
const BATCH: usize = 512;

/// How often the tables say what only the engines can: what a step looks up. That there are no more is part of the test.
const KNOWN_TO_ENGINES_ONLY: usize = 4;

/// Fields of answers that depend on how far the billing store has come by then, or are the account's own.
const NOT_COMPARED: [&str; 4] = ["advice", "allocations", "allocationsKnown", "nextPageToken"];

/// Entries that begin no billing period.
const WITHOUT_PERIOD: [&str; 12] = [
    "created",
    "updated",
    "limit set",
    "converted",
    "suspended",
    "resumed",
    "closed",
    "reopened",
    "reserved",
    "reservation extended",
    "released",
    "charged own bill",
];

/// The protocols, side by side.
struct Wire {
    stage: Stage,
    grpc: ByGrpc,
    http: ByHttp,
}

impl Wire {
    async fn start() -> Self {
        let stage = Stage::embedded_with(START, &["--http-listen", "127.0.0.1:0"]).await;
        let grpc = ByGrpc::connect(stage.service.address).await;
        let http = ByHttp::connect(&url_of(&stage.service)).await;
        Self { stage, grpc, http }
    }

    /// What gRPC answers and what HTTP answers, each on its own account: status and body.
    async fn each(&mut self, account: &str, (path, body): &Call<'_>) -> [(u16, Value); 2] {
        let of = |protocol: &str| (*path, on_account(body, &format!("{protocol}-{account}")));
        let answered = self.grpc.call(&of("grpc")).await;
        let (status, answer) = answered.map_or_else(|status| problem(&status), |answer| (200, answer));
        let (http_status, http_answer) = self.http.call(&of("http")).await;
        [(status, comparable(answer)), (http_status, comparable(http_answer))]
    }

    /// What both answer; it must be the same.
    async fn both(&mut self, account: &str, call: Call<'_>) -> Result<Value, String> {
        let [grpc, http] = self.each(account, &call).await;
        assert!(grpc == http, "{} {}\n    gRPC: {} {:#}\n    HTTP: {} {:#}", call.0, call.1, grpc.0, grpc.1, http.0, http.1);
        if http.0 == 200 { Ok(http.1) } else { Err(http.1["reason"].as_str().unwrap_or_default().to_owned()) }
    }

    async fn ask(&mut self, account: &str, path: &'static str, body: Value) -> Value {
        self.both(account, (path, body)).await.unwrap_or_else(|reason| panic!("{path}: {reason}"))
    }

    /// Takes a step. What is not as the table says is returned with its line.
    async fn take(&mut self, account: &str, step: &Step) -> Result<(), (usize, String)> {
        let written = self.entries(account).await.len();
        let found = self.act(account, step).await;
        if !step.expects(&found) {
            return Err((step.line, found));
        }
        for claim in &step.then {
            let deadline = Instant::now() + PATIENCE;
            // What is due by itself comes by itself.
            while let Err(found) = self.hold(account, claim, written).await {
                if Instant::now() > deadline {
                    return Err((claim.line, found));
                }
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
        }
        Ok(())
    }

    async fn act(&mut self, account: &str, step: &Step) -> String {
        match &step.request.what {
            What::TimePasses(time) => self.stage.pass(*time).await,
            What::MonthEnds => {
                self.stage.pass_month().await;
                self.period_closes(account).await;
            }
            What::ReserveAll => self.reserve_all(account, step.line).await,
            what => {
                let answer = self.both(account, call(step, account, self.stage.now())).await;
                if let What::Given { money: Some(money), .. } = what {
                    let body = json!({ "requestId": format!("line-{}-money", step.line), "amount": { "amount": money } });
                    self.ask(account, "account/top-up", body).await;
                }
                return answer.map_or_else(|reason| format!("refused {reason}"), |answer| words(what, &answer));
            }
        }
        "done".to_owned()
    }

    /// Waits until the account's period is closed, if anything happened in it.
    async fn period_closes(&mut self, account: &str) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let entries = self.entries(account).await;
            let cut = entries.iter().rposition(|entry| entry.starts_with("period closed") || entry.starts_with("final billed"));
            let open = entries.get(cut.map_or(0, |place| place + 1)..).unwrap_or_default();
            let begins = |entry: &String| !WITHOUT_PERIOD.iter().any(|kind| entry.starts_with(kind)) && !entry.contains("rounded");
            if !open.iter().any(begins) {
                return;
            }
            assert!(Instant::now() < deadline, "{account}: the period is not closed: {entries:?}");
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    }

    async fn reserve_all(&mut self, account: &str, line: usize) {
        let open = self.ask(account, "account/get-account", json!({})).await["account"]["openReservations"].as_u64().unwrap_or_default();
        let names: Vec<_> = (usize::try_from(open).unwrap()..MOST_RESERVATIONS).map(|number| format!("line-{line}-{number}")).collect();
        for names in names.chunks(BATCH) {
            let reserve = json!({ "amount": { "amount": "0.01" } });
            let command = |name| json!({ "authorize": { "accountId": account, "requestId": name, "reserve": reserve } });
            let answer =
                self.ask(account, "charging/batch-charge", json!({ "commands": names.iter().map(command).collect::<Vec<_>>() })).await;
            assert!(answer["outcomes"].as_array().unwrap().iter().all(|outcome| outcome["authorize"]["granted"].is_object()));
        }
    }

    /// The account's entries in words, the oldest first. What is due by itself is not written for both accounts at once.
    async fn entries(&mut self, account: &str) -> Vec<String> {
        let (call, deadline) = (("account/list-entries", json!({ "pageSize": 1000 })), Instant::now() + PATIENCE);
        let page = loop {
            let [grpc, http] = self.each(account, &call).await;
            if grpc == http {
                break http.1;
            }
            assert!(Instant::now() < deadline, "gRPC: {grpc:#?}, HTTP: {http:#?}");
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        };
        let words = |entry: &Value| {
            let kind = entry["kind"].as_str().unwrap().trim_start_matches("ENTRY_KIND_").to_lowercase().replace('_', " ");
            let amount = entry["amount"]["amount"].as_str().unwrap();
            if amount.chars().all(|letter| "0.".contains(letter)) { kind } else { format!("{kind} {amount}") }
        };
        page["entries"].as_array().into_iter().flatten().rev().map(words).collect()
    }

    /// Holds a claim against what both protocols say. What only documents show has a test of its own.
    async fn hold(&mut self, account: &str, claim: &Claim, written: usize) -> Result<(), String> {
        let equal = |found: &str, expected: &str| {
            if found == expected { Ok(()) } else { Err(format!("{}: it is {found}", claim.sentence)) }
        };
        match &claim.about {
            About::Amounts(amounts) => {
                let credit = self.ask(account, "charging/get-usable-credit", json!({})).await;
                amounts.iter().try_for_each(|(which, expected)| {
                    let Some(field) = field(*which) else { return Ok(()) };
                    let found = credit["credit"][field].as_str().unwrap();
                    if crate::renderings::decimal(found) == crate::renderings::decimal(expected) { Ok(()) } else { equal(found, expected) }
                })
            }
            About::Writes(expected) => {
                let entries = self.entries(account).await;
                equal(&entries.get(written..).unwrap_or_default().join(", "), &expected.join(", "))
            }
            About::Name(name) => {
                let found = self.ask(account, "account/get-account", json!({})).await;
                equal(found["account"]["name"].as_str().unwrap(), name)
            }
            About::LowCredit(expected) => {
                let found = self.ask(account, "account/get-account", json!({})).await;
                equal(found["account"]["lowCreditThreshold"]["amount"].as_str().unwrap_or("nothing"), expected)
            }
            About::LooksUp(_) | About::Document(..) | About::Open(_) | About::Notes(_) | About::Unallocated(_) => Ok(()),
        }
    }
}

/// A request on an account, also where it is in commands of a batch.
fn on_account(body: &Value, account: &str) -> Value {
    let mut body = body.clone();
    match body.get_mut("commands").and_then(Value::as_array_mut) {
        Some(commands) => commands.iter_mut().for_each(|command| command["authorize"]["accountId"] = json!(account)),
        None => body["accountId"] = json!(account),
    }
    body
}

/// An answer without what is of the protocol's own account, or of the billing store.
fn comparable(mut answer: Value) -> Value {
    if let Some(fields) = answer.as_object_mut() {
        NOT_COMPARED.iter().for_each(|field| drop(fields.remove(*field)));
    }
    for entry in answer.get_mut("entries").and_then(Value::as_array_mut).into_iter().flatten() {
        entry.as_object_mut().unwrap().remove("entryId");
    }
    let text = answer.to_string().replace("\"grpc-", "\"").replace("\"http-", "\"").replace("/grpc-", "/").replace("/http-", "/");
    serde_json::from_str(&text).unwrap()
}

fn field(amount: Amount) -> Option<&'static str> {
    match amount {
        Amount::Balance => Some("balance"),
        Amount::CurrentBalance => Some("currentBalance"),
        Amount::Unbilled => Some("unbilled"),
        Amount::Due => Some("amountDue"),
        Amount::Reserved => Some("reserved"),
        Amount::Limit => Some("creditLimit"),
        Amount::Usable => Some("usable"),
        // Those of entries, which money_on_paper.txt claims: on_paper.rs looks at them.
        Amount::TakenOff | Amount::Credited | Amount::Rounded | Amount::DueRounded => None,
    }
}

async fn holds_by_grpc_and_by_http(tables: &[&Table]) {
    let mut failures = Vec::new();
    for table in tables {
        let mut wire = Wire::start().await;
        for (number, case) in table.cases.iter().enumerate() {
            for step in &case.steps {
                let account = format!("{}-{number}-{}", table.name, step.request.account);
                if let Err((line, found)) = wire.take(&account, step).await {
                    failures.push(format!("{}: {}\n    {found}", table.place(line), step.sentence));
                    break;
                }
            }
        }
        assert!(wire.stage.service.stopped().await.success());
    }
    assert!(failures.is_empty(), "\n{}\n", failures.join("\n"));
}

/// Three runs side by side, each of every third table.
async fn every_third_from(first: usize) {
    let tables = Table::all();
    let chosen: Vec<_> = tables.iter().skip(first).step_by(3).collect();
    holds_by_grpc_and_by_http(&chosen).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_example_of_a_rule_is_the_same_by_grpc_and_by_http_first_part() {
    every_third_from(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_example_of_a_rule_is_the_same_by_grpc_and_by_http_second_part() {
    every_third_from(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_example_of_a_rule_is_the_same_by_grpc_and_by_http_third_part() {
    every_third_from(2).await;
}

#[test]
fn little_of_the_tables_is_known_to_the_engines_only() {
    let tables = Table::all();
    let claims = || tables.iter().flat_map(|table| table.steps().map(move |(_, step)| (table, step)));
    let skipped: Vec<_> = claims()
        .flat_map(|(table, step)| step.then.iter().map(move |claim| (table, claim)))
        .filter(|(_, claim)| matches!(claim.about, About::LooksUp(_)))
        .map(|(table, claim)| format!("{}: {}", table.place(claim.line), claim.sentence))
        .collect();
    println!("not looked at over the wire:\n{}", skipped.join("\n"));
    assert!(skipped.len() <= KNOWN_TO_ENGINES_ONLY, "{skipped:#?}");
}
