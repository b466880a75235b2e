//! A8: a log that nobody reads, and a failure that happens to every call.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Instant;

use tokio::time::timeout;
use tollgate::grpc::v1::PaymentMode;

use crate::service::{Client, PATIENCE, Service, binary, debit, until};
use crate::support::{RedisServer, temporary_folder};

#[tokio::test]
async fn a_log_that_nobody_reads_never_stops_charging() {
    let folder = temporary_folder();
    let mut child = Command::new(binary())
        .args(["serve", "--listen", "127.0.0.1:0", "--metrics-listen", "off", "--log", "trace", "--log-format", "json", "--store"])
        .arg(folder.path().join("ledger.db"))
        .env_clear()
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Read until it serves, and then no more; the pipe stays open.
    let mut log = BufReader::new(child.stderr.take().unwrap());
    let address = loop {
        let mut line = String::new();
        assert!(log.read_line(&mut line).unwrap() > 0, "it ended");
        let event: serde_json::Value = serde_json::from_str(&line).unwrap_or_default();
        if event["message"] == "serving" {
            break event["address"].as_str().unwrap().parse().unwrap();
        }
    };
    let charging = async {
        let mut client = Client::connect(address).await;
        client.open("acme", PaymentMode::Prepaid, "0", "1000").await;
        for number in 0..300 {
            client.charging.debit(debit("acme", &format!("d{number}"), "1")).await.unwrap();
        }
        client.credit("acme").await.usable
    };
    let usable = timeout(PATIENCE, charging).await;
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(usable.expect("a log that nobody reads has stopped charging"), "700.00");
}

/// How many lines of the log have this text.
fn said(service: &Service, text: &str) -> usize {
    service.log().iter().filter(|line| line.contains(text)).count()
}

#[tokio::test]
async fn a_failure_of_every_call_is_told_once_a_second_and_a_change_of_state_by_itself() {
    let mut server = RedisServer::redis();
    let service = Service::redis(&server.url());
    let mut client = service.client().await;
    client.open("acme", PaymentMode::Prepaid, "0", "1000").await;
    server.kill();
    let begun = Instant::now();
    for number in 0..300 {
        client.charging.debit(debit("acme", &format!("d{number}"), "1")).await.unwrap_err();
    }
    let seconds = begun.elapsed().as_secs() + 2;
    let log = service.log();
    let lines = |text: &str| log.iter().filter(|line| line.contains(text)).count() as u64;
    let refused = lines("the store is unavailable") + lines("the outcome of a command is unknown");
    // Each of two kinds of failure has its line, once a second.
    assert!(refused >= 1 && refused <= 2 * seconds, "300 calls that failed within {seconds} s wrote {refused} lines");
    // However many connections there are, and partitions: one cause.
    assert_eq!(lines("lost the connection to Redis"), 1, "{log:#?}");
    until("it is told that they are down", async || said(&service, "partitions are down").gt(&0).then_some(())).await;
    assert_eq!(said(&service, "partitions are down"), 1, "{:#?}", service.log());
}
