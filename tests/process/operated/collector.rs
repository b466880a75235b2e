//! A collector that refuses or is away is said once in the log, and so is that it is back. Charging does not wait for it.

use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;

use tollgate::grpc::v1::PaymentMode;

use crate::clients::script;
use crate::service::{Service, debit, until};
use crate::support::temporary_folder;

const SIGNALS: [&str; 2] = ["traces", "metrics"];

/// How many lines of the log say it of this signal.
fn said(service: &Service, level: &str, text: &str) -> usize {
    service.log().iter().filter(|line| line.contains(level) && line.contains(&format!("\"{text}\""))).count()
}

async fn is_said(service: &Service, level: &str, text: &str, times: usize) {
    until(text, async || (said(service, level, text) == times).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_refuses_or_is_away_is_warned_of_once_and_so_is_told_that_it_is_back() {
    let mut collector = script("collector.py", &[]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let (mut input, mut output) = (collector.stdin.take().unwrap(), BufReader::new(collector.stdout.take().unwrap()).lines());
    let place = format!("127.0.0.1:{}", output.next().unwrap().unwrap());
    let endpoint = format!("http://{place}");
    let environment = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()),
        ("OTEL_METRIC_EXPORT_INTERVAL", "100"),
        ("OTEL_BSP_SCHEDULE_DELAY", "100"),
        ("OTEL_TRACES_SAMPLER", "always_on"),
        // A collector that is slow under load is none that refuses.
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "60000"),
    ];
    let folder = temporary_folder();
    let service = Service::start(&["--store", folder.path().join("ledger.db").to_str().unwrap()], &environment);
    let mut client = service.client().await;
    client.open("acme", PaymentMode::Postpaid, "1000000", "0").await;
    let charging = tokio::spawn(async move {
        for number in 0.. {
            client.charging.debit(debit("acme", &format!("d{number}"), "0.01")).await.unwrap();
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    });

    let refused = [output.next().unwrap().unwrap(), output.next().unwrap().unwrap()];
    assert_ne!(refused[0], refused[1], "three exports of each signal were refused");
    for signal in SIGNALS {
        is_said(&service, "WARN", &format!("the collector does not take {signal}"), 1).await;
    }
    let warning = service.log().into_iter().find(|line| line.contains("does not take")).unwrap();
    assert!(warning.contains(&place) && warning.contains("PermissionDenied"), "{warning}");

    writeln!(input, "take").unwrap();
    for signal in SIGNALS {
        is_said(&service, "INFO", &format!("the collector takes {signal} again"), 1).await;
    }
    collector.kill().unwrap();
    collector.wait().unwrap();
    for signal in SIGNALS {
        is_said(&service, "WARN", &format!("the collector does not take {signal}"), 2).await;
    }
    assert!(!charging.is_finished(), "charges go on");
    charging.abort();
    let log = service.log_to_its_end().await;
    for signal in SIGNALS {
        let lines = log.iter().filter(|line| line.contains(&format!("take {signal}\""))).count();
        assert_eq!(lines, 2, "{log:#?}");
    }
    assert!(!log.iter().any(|line| line.contains("opentelemetry")), "OpenTelemetry's own lines say it a second time: {log:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_protocol_than_grpc_is_warned_of_for_each_signal_that_is_exported() {
    const OTHER: (&str, &str) = ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf");
    let cases: [((&str, &str), &[&str]); 4] = [
        (("OTEL_SERVICE_NAME", "charging-1"), &["TRACES", "METRICS"]),
        (("OTEL_TRACES_EXPORTER", "none"), &["METRICS"]),
        (("OTEL_METRICS_EXPORTER", "none"), &["TRACES"]),
        (("OTEL_SDK_DISABLED", "true"), &[]),
    ];
    for (more, signals) in cases {
        let folder = temporary_folder();
        let environment = [("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1"), OTHER, more];
        let service = Service::start(&["--store", folder.path().join("ledger.db").to_str().unwrap()], &environment);
        let warned: Vec<_> = service.log().into_iter().filter(|line| line.contains(OTHER.1)).collect();
        assert_eq!(warned.len(), signals.len(), "{more:?}: {warned:#?}");
        for (line, signal) in warned.iter().zip(signals) {
            assert!(line.contains("WARN") && line.contains(signal) && line.contains(OTHER.0), "{more:?}: {line}");
        }
        assert!(service.stopped().await.success());
    }
}
