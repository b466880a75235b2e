//! Metrics: both of Prometheus's text formats, the same by OTLP, what they count, and that none of them names an account.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use regex::Regex;
use tollgate::grpc::v1::{AuthorizeRequest, DebitRequest, ExcessPolicy, PaymentMode, Reserve};

use crate::clients::script;
use crate::service::{Service, debit, money, until};
use crate::support::{RedisServer, temporary_folder};

pub(super) fn shown(service: &Service, accept: &str) -> (String, String) {
    let url = format!("http://{}/metrics", service.metrics);
    let output = Command::new("curl").args(["-fsSi", "-H", &format!("Accept: {accept}"), &url]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let kind = head.lines().find_map(|line| line.strip_prefix("content-type: ")).unwrap();
    (kind.to_owned(), body.to_owned())
}

fn is_shown(service: &Service, line: &str) -> bool {
    shown(service, "text/plain").1.lines().any(|shown| shown == line)
}

#[tokio::test(flavor = "multi_thread")]
async fn prometheus_gets_the_text_format_that_it_names_and_no_label_is_an_account() {
    let folder = temporary_folder();
    let service = Service::embedded(folder.path());
    let mut client = service.client().await;
    client.open("somebody-in-particular", PaymentMode::Prepaid, "0", "10").await;
    let mut traced = tonic::Request::new(debit("somebody-in-particular", "d1", "1"));
    traced.metadata_mut().insert("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".parse().unwrap());
    client.charging.debit(traced).await.unwrap();

    let (kind, open_metrics) = shown(&service, "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5");
    assert_eq!(kind, "application/openmetrics-text; version=1.0.0; charset=utf-8");
    assert!(open_metrics.ends_with("# EOF\n") && open_metrics.contains("# TYPE tollgate_decisions counter\n"));
    for accept in ["text/plain;version=0.0.4", "*/*"] {
        let (kind, classic) = shown(&service, accept);
        assert_eq!(kind, "text/plain; version=0.0.4; charset=utf-8");
        assert!(classic.contains("# TYPE tollgate_decisions_total counter\n") && !classic.contains("# EOF"));
        let folder = temporary_folder();
        std::fs::write(folder.path().join("text"), &classic).unwrap();
        let text = std::fs::File::open(folder.path().join("text")).unwrap();
        let checked = Command::new("promtool").args(["check", "metrics"]).stdin(text).output().unwrap();
        // It also has advice on names (3); what it cannot read is another matter.
        assert!(matches!(checked.status.code(), Some(0 | 3)), "{checked:?}");
    }
    let labels: BTreeSet<_> = Regex::new(r#"(\w+)=""#).unwrap().captures_iter(&open_metrics).map(|found| found[1].to_owned()).collect();
    let known = [
        "command",
        "kind",
        "le",
        "limit",
        "outcome",
        "partition",
        "rpc_method",
        "rpc_response_status_code",
        "state",
        "version",
        "waits_for",
        "what",
    ];
    let unknown: Vec<_> = labels.iter().filter(|label| !known.contains(&label.as_str())).collect();
    assert!(unknown.is_empty(), "labels that nobody bounded: {unknown:?}");
    assert!(!open_metrics.contains("somebody"));
    assert!(service.stopped().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_prometheus_scrapes_arrives_by_otlp_by_the_same_names_and_labels() {
    let mut child = script("otlp_metrics.py", &[]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let (mut input, mut output) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()).lines());
    let endpoint = format!("http://127.0.0.1:{}", output.next().unwrap().unwrap());
    let environment = [
        ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", endpoint.as_str()),
        ("OTEL_METRIC_EXPORT_INTERVAL", "200"),
        ("OTEL_SERVICE_NAME", "charging-1"),
    ];
    let folder = temporary_folder();
    let service = Service::start(&["--store", folder.path().join("ledger.db").to_str().unwrap()], &environment);
    let mut client = service.client().await;
    client.open("acme", PaymentMode::Prepaid, "0", "10").await;
    client.charging.debit(debit("acme", "d1", "1")).await.unwrap();
    writeln!(input, "{}", service.metrics).unwrap();
    assert_eq!(output.next().unwrap().unwrap(), "same");
    drop(input);
    assert!(child.wait().unwrap().success());
    assert!(service.stopped().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn reservations_that_are_open_and_that_nobody_reported_are_counted_and_so_are_overdrafts_on_both_engines() {
    let (redis, folder) = (RedisServer::redis(), temporary_folder());
    let store = folder.path().join("ledger.db");
    let on_redis = ["--redis", &redis.url(), "--partitions", "1"];
    for service in [Service::start(&on_redis, &[]), Service::start(&["--store", store.to_str().unwrap()], &[])] {
        let mut client = service.client().await;
        client.open("acme", PaymentMode::Prepaid, "0", "10").await;
        for (name, validity) in [("short", 1), ("long", 3_600)] {
            let validity = Some(prost_types::Duration { seconds: validity, nanos: 0 });
            let reserve = Some(Reserve { amount: money("2"), validity, grace: validity, ..Default::default() });
            let request = AuthorizeRequest { account_id: "acme".into(), request_id: name.into(), reserve, ..Default::default() };
            client.charging.authorize(request).await.unwrap();
        }
        let consumed = DebitRequest { excess_policy: ExcessPolicy::AlreadyConsumed.into(), ..debit("acme", "over", "20") };
        client.charging.debit(consumed).await.unwrap();
        // The account is never left alone, so that a command takes off what has expired more often than the sweep does.
        let busy = tokio::spawn({
            let mut charging = client.charging.clone();
            async move {
                for call in 0.. {
                    charging.debit(debit("acme", &format!("declined-{call}"), "1")).await.unwrap();
                }
            }
        });
        until("what expired is counted", async || {
            let wanted = [
                "tollgate_reservations_expired_total{partition=\"0\"} 1",
                "tollgate_reservations_open{partition=\"0\"} 1",
                "tollgate_accounts{partition=\"0\"} 1",
                "tollgate_overdrafts_total 1",
            ];
            wanted.iter().all(|line| is_shown(&service, line)).then_some(())
        })
        .await;
        busy.abort();
        assert!(service.stopped().await.success());
    }
}
