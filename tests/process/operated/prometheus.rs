//! A real Prometheus scrapes a real tollgate under traffic: every expression of a panel or an alert returns a series, and an alert fires.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::channel;

use regex::Regex;
use tollgate::grpc::v1::{AuthorizeRequest, PaymentMode, Reserve};

use super::{alerts, panels, path};
use crate::service::{Client, PATIENCE, Service, debit, money, until};
use crate::support::{RedisServer, temporary_folder};

/// Debian's Prometheus, ended with this value.
struct Prometheus {
    child: Child,
    address: String,
    _folder: tempfile::TempDir,
}

impl Prometheus {
    /// Scrapes a process each half second, and evaluates the alerts without waiting for them to last.
    fn scraping(service: &Service) -> Self {
        let folder = temporary_folder();
        let rules = std::fs::read_to_string(path("prometheus/rules.yml")).unwrap();
        let rules = Regex::new(r"(?m)^ +for: .*\n").unwrap().replace_all(&rules, "").into_owned();
        std::fs::write(folder.path().join("rules.yml"), rules).unwrap();
        let config = format!(
            "global: {{ scrape_interval: 500ms, scrape_timeout: 500ms, evaluation_interval: 500ms }}\nrule_files: [rules.yml]\n\
             scrape_configs: [{{ job_name: tollgate, static_configs: [{{ targets: ['{}'] }}] }}]\n",
            service.metrics
        );
        std::fs::write(folder.path().join("prometheus.yml"), config).unwrap();
        let mut child = Command::new("prometheus")
            .args(["--config.file=prometheus.yml", "--storage.tsdb.path=data", "--web.listen-address=127.0.0.1:0"])
            .current_dir(folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (found, listening) = channel();
        let stderr = child.stderr.take().unwrap();
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                if let Some((_, address)) = line.split_once("msg=\"Listening on\" address=") {
                    let _ = found.send(address.to_owned());
                }
            }
        });
        let address = listening.recv_timeout(PATIENCE).unwrap();
        Self { child, address, _folder: folder }
    }

    fn get(&self, what: &str, query: &str) -> serde_json::Value {
        let url = format!("http://{}/api/v1/{what}", self.address);
        let output = Command::new("curl").args(["-sSG", "--data-urlencode", &format!("query={query}"), &url]).output().unwrap();
        serde_json::from_slice(&output.stdout).unwrap_or_default()
    }

    /// How many series an expression returns.
    fn series(&self, expression: &str) -> usize {
        let found = self.get("query", expression);
        assert_ne!(found["errorType"], "bad_data", "{expression}: {found}");
        found["data"]["result"].as_array().map_or(0, Vec::len)
    }

    fn is_firing(&self, alert: &str) -> bool {
        self.firing().iter().any(|firing| firing == alert)
    }

    fn firing(&self) -> Vec<String> {
        let found = self.get("alerts", "");
        let alerts = found["data"]["alerts"].as_array().unwrap_or_else(|| panic!("Prometheus does not answer: {found}"));
        alerts.iter().map(|alert| alert["labels"]["alertname"].as_str().unwrap().to_owned()).collect()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn charge(client: &mut Client, number: usize) {
    client.charging.debit(debit("acme", &format!("d{number}"), "1")).await.unwrap();
    let reserve = Some(Reserve { amount: money("5"), ..Default::default() });
    let authorize = AuthorizeRequest { account_id: "acme".into(), request_id: format!("a{number}"), reserve, ..Default::default() };
    client.charging.authorize(authorize).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn every_panel_and_every_alert_finds_its_series_and_a_ledger_that_is_away_fires_its_own() {
    let mut redis = RedisServer::start(std::path::Path::new("redis-server"), &["--maxmemory", "1gb", "--appendonly", "yes"]);
    let folder = temporary_folder();
    let billing = format!("sqlite://{}", folder.path().join("billing.db").display());
    let service = Service::start(&["--redis", &redis.url(), "--billing", &billing, "--aggregate"], &[]);
    let prometheus = Prometheus::scraping(&service);
    let mut client = service.client().await;
    client.open("acme", PaymentMode::Prepaid, "0", "1000000").await;

    // An alert returns a series while it fires; what it compares must be there always.
    let comparison = Regex::new(r" (==|>=|>) (\d)").unwrap();
    let alerts = alerts().into_iter().map(|(name, expression)| (name, comparison.replace_all(&expression, " $1 bool $2").into_owned()));
    let mut missing: Vec<_> = alerts.chain(panels()).collect();
    let mut number = 0;
    let started = std::time::Instant::now();
    while !missing.is_empty() {
        assert!(started.elapsed() < 2 * PATIENCE, "no series: {missing:#?}");
        // A rate needs calls between two scrapes.
        charge(&mut client, number).await;
        number += 1;
        let mut still = Vec::new();
        for (name, expression) in std::mem::take(&mut missing) {
            if prometheus.series(&expression) == 0 {
                still.push((name, expression));
            }
        }
        missing = still;
    }
    let firing = prometheus.firing();
    assert!(firing.is_empty(), "nothing is wrong, and {firing:?} fire");

    redis.kill();
    until("the alert fires", async || prometheus.is_firing("TollgateLedgerDown").then_some(())).await;
    redis.start_again();
    until("it fires no longer", async || (!prometheus.is_firing("TollgateLedgerDown")).then_some(())).await;
}
