//! `tollgate bench` checks the books: a run on an untouched service agrees, and a debit behind the generator's back is found.

use std::net::SocketAddr;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use crate::support::temporary_folder;
use serde_json::Value;
use tollgate::app::App;
use tollgate::config::{CreateOptions, MetricsListen, NetworkOptions, Purpose, ServeOptions, StoreOptions};
use tollgate::grpc::v1::charging_service_client::ChargingServiceClient;
use tollgate::grpc::v1::{DebitRequest, Money};

/// All commands; and all that is only read, which a stream does not take.
const COMMANDS: &str = "debit=57,authorize=8,session=8,release=6,reserve=5,refund=6,decline=5,convert=5";
const READING: &str = ",credit=5,account=5";

fn start(folder: &tempfile::TempDir) -> App {
    let listen: SocketAddr = "127.0.0.1:0".parse().unwrap();
    App::start(ServeOptions {
        network: NetworkOptions { listen, metrics_listen: MetricsListen(None), ..Default::default() },
        store: StoreOptions { store: Some(folder.path().join("ledger.db")), ..Default::default() },
        create: CreateOptions { create: true, purpose: Purpose::Bench },
        ..Default::default()
    })
    .unwrap()
}

fn bench(app: &App, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tollgate"));
    command.args(["bench", "--server", &format!("http://{}", app.address()), "--output", "json", "--trials", "1", "--warm-up", "100ms"]);
    command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn told(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)))
}

#[tokio::test(flavor = "multi_thread")]
async fn after_every_kind_of_load_the_books_agree() {
    let folder = temporary_folder();
    let app = start(&folder);
    let loads: [&[&str]; 4] = [
        &["--concurrency", "16", "--threads", "2", "--calls", "1000"],
        &["--stream", "--batch", "16", "--skew", "zipf", "--calls", "1000"],
        &["--rate", "400", "--skew", "hot", "--duration", "1s"],
        &["--stream", "--batch", "8", "--rate", "800", "--duration", "1s"],
    ];
    for load in loads {
        let is_streamed = load.contains(&"--stream");
        let mix = format!("{COMMANDS}{}", if is_streamed { "" } else { READING });
        let output = bench(&app, &[load, &["--accounts", "20", "--mix", &mix]].concat()).output().unwrap();
        let result = told(&output);
        assert_eq!(result["books"]["mismatches"], Value::Array(vec![]), "{load:?}");
        assert_eq!(result["result"]["errors"].as_object().unwrap().len(), 0, "{load:?}: {result}");
        assert_eq!(result["books"]["accounts"], 20);
        assert!(result["books"]["entries"].as_u64().unwrap() > 0, "{load:?}: {result}");
        assert!(output.status.success(), "{load:?}");
        let operations = result["result"]["operations"].as_object().unwrap();
        let mut expected = vec!["authorize", "convert", "debit", "decline", "refund", "release", "report", "reserve", "settle"];
        expected.extend(["credit", "account"].iter().filter(|_| !is_streamed));
        expected.sort_unstable();
        let mut found: Vec<_> = operations.keys().map(String::as_str).collect();
        found.sort_unstable();
        assert_eq!(found, expected, "{load:?}");
        for (name, operation) in operations {
            let [p50, p95] = ["p50", "p95"].map(|quantile| operation["latency_us"][quantile]["median"].as_f64().unwrap());
            assert!(0.0 < p50 && p50 <= p95 && operation["count"].as_u64().unwrap() > 0, "{load:?}: {name}: {operation}");
        }
    }
    let refused = bench(&app, &["--stream", "--mix", "credit=1"]).output().unwrap();
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("no commands of a --stream"), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_by_calls_of_their_own_agree_and_what_comes_in_time_is_counted_apart() {
    let folder = temporary_folder();
    let app = start(&folder);
    let mix = "debit=80,reserve=10,decline=5,convert=5";
    let batches = ["--accounts", "20", "--mix", mix, "--batch-calls", "--batch", "8"];
    let loads: [&[&str]; 3] = [
        &["--concurrency", "4", "--calls", "1000", "--deadline", "10m"],
        &["--rate", "800", "--duration", "1s", "--deadline", "10m"],
        // Nothing comes so soon, whatever the service makes of it.
        &["--rate", "800", "--duration", "1s", "--deadline", "1ns"],
    ];
    for load in loads {
        let output = bench(&app, &[&batches, load].concat()).output().unwrap();
        let told = told(&output);
        assert_eq!(told["books"]["mismatches"], Value::Array(vec![]), "{load:?}");
        assert!(output.status.success(), "{load:?}: {told}");
        let [all, in_time] = ["rate", "rate_in_time"].map(|name| told["result"][name]["median"].as_f64().unwrap());
        let expected = if load.contains(&"1ns") { 0.0 } else { all };
        assert_eq!(in_time, expected, "{load:?}: {told}");
        assert!(load.contains(&"1ns") || all > 0.0 && told["result"]["errors"].as_object().unwrap().is_empty(), "{load:?}: {told}");
    }
    for wrong in [["--batch-calls", "--stream"], ["--stream", "--deadline=1s"], ["--batch-calls", "--mix=authorize=1"]] {
        assert_eq!(bench(&app, &wrong).output().unwrap().status.code(), Some(2), "{wrong:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn accounts_of_an_earlier_run_may_be_used_again_and_missing_ones_are_said() {
    let folder = temporary_folder();
    let app = start(&folder);
    let again = ["--accounts", "5", "--calls", "50", "--prefix", "again"];
    for _ in 0..2 {
        assert!(bench(&app, &again).status().unwrap().success());
    }
    assert!(bench(&app, &["--accounts", "5", "--calls", "50", "--prepared", "again"]).status().unwrap().success());
    let output = bench(&app, &["--accounts", "6", "--calls", "50", "--prepared", "again"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("no account again-5"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_debit_behind_the_generators_back_is_a_mismatch() {
    let folder = temporary_folder();
    let app = start(&folder);
    let mut client = ChargingServiceClient::connect(format!("http://{}", app.address())).await.unwrap();
    let mut running = bench(&app, &["--accounts", "4", "--duration", "1s", "--prefix", "victim"]).spawn().unwrap();
    // Goes on as long as the bench does: it cannot be known from here when the bench has read the accounts.
    for number in 0.. {
        let debit = DebitRequest {
            account_id: "victim-2".into(),
            request_id: format!("thief-{number}"),
            amount: Some(Money { amount: "0.01".into(), ..Default::default() }),
            ..Default::default()
        };
        // Until the bench has created it, there is no such account.
        let _ = client.debit(debit).await;
        if running.try_wait().unwrap().is_some() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let output = running.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let mismatches = told(&output)["books"]["mismatches"].clone();
    let mismatches: Vec<&str> = mismatches.as_array().unwrap().iter().map(|mismatch| mismatch.as_str().unwrap()).collect();
    assert!(!mismatches.is_empty());
    assert!(mismatches.iter().all(|mismatch| mismatch.starts_with("victim-2: ")), "{mismatches:?}");
}
