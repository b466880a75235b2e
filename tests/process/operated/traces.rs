//! The trace of one charge, from Python's client to the mail of its invoice, assembled by a sink of OTLP.

use std::io::{BufRead, BufReader, Write};
use std::process::{ChildStdin, ChildStdout, Stdio};

use tollgate::grpc::v1::{MailState, PaymentMode};

use crate::clients::script;
use crate::postgres::PostgresServer;
use crate::sending::{Fixture, MailServer, becomes, customer, run, set_up};
use crate::support::RedisServer;

/// The sink, and what it is asked to do.
struct Sink {
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Sink {
    fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        line.trim().to_owned()
    }

    fn has(&mut self, what: &str) {
        writeln!(self.input, "{what}").unwrap();
        let word = what.split(' ').next().unwrap();
        assert_eq!(self.line(), format!("{word} done"), "see what the script wrote to stderr");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_trace_leads_from_the_caller_to_the_mail_of_the_invoice() {
    let mut child = script("one_trace.py", &[]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut sink = Sink { input: child.stdin.take().unwrap(), output: BufReader::new(child.stdout.take().unwrap()) };
    // By the environment of OpenTelemetry alone.
    let endpoint = format!("http://127.0.0.1:{}", sink.line());
    let environment = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()),
        ("OTEL_TRACES_SAMPLER", "always_off"),
        ("OTEL_SERVICE_NAME", "charging-1"),
        ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test"),
        ("OTEL_BSP_SCHEDULE_DELAY", "100"),
    ];
    let (redis, postgres) = (RedisServer::redis(), PostgresServer::shared());
    let fixture = Fixture::on_redis(&redis, &postgres);
    let mail = MailServer::start(fixture.folder.path(), 1, 0.0, None);
    let url = format!("smtp://127.0.0.1:{}?tls=none", mail.port);
    let service = fixture.serve(&["--aggregate", "--smtp-url", &url], &environment);
    set_up(&service);
    run(&service, &["item", "set", "calls", "Calls"]);
    let mut client = service.client().await;
    client.open("unused", PaymentMode::Prepaid, "0", "1").await;
    customer(&mut client, "acme-of-the-trace", "accounts@customer.example", "en", "2.00").await;
    sink.has(&format!("charge {} {} acme-of-the-trace", service.address, service.metrics));
    fixture.go_to("2026-07-01T00:00:01Z");
    becomes(&client, "", MailState::Sent).await;
    sink.has("assemble");
    drop((client, sink));
    assert!(child.wait().unwrap().success());
    assert!(service.stopped().await.success());
}
