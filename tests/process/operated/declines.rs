//! "Why was this call declined at 14:03?" has an answer, for a day.

use tollgate::grpc::v1::charge_command::Command;
use tollgate::grpc::v1::{ChargeCommand, ChargeRequest, PaymentMode, RefundRequest};
use tonic::Request;

use crate::command::Operator;
use crate::service::{Service, debit, until};
use crate::support::temporary_folder;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

#[tokio::test(flavor = "multi_thread")]
async fn what_was_declined_is_listed_with_its_credit_caller_and_trace_and_is_in_the_log() {
    let folder = temporary_folder();
    let store = folder.path().join("ledger.db");
    let service = Service::start(&["--store", store.to_str().unwrap()], &[("TOLLGATE_LOG", "info,decisions=debug")]);
    let (mut client, operator) = (service.client().await, Operator::of(&service));
    client.open("acme", PaymentMode::Prepaid, "0", "10").await;

    let mut traced = Request::new(debit("acme", "d1", "12.5"));
    traced.metadata_mut().insert("traceparent", format!("00-{TRACE}-00f067aa0ba902b7-01").parse().unwrap());
    client.charging.debit(traced).await.unwrap();
    // A repetition is told the same, and is not another decline.
    client.charging.debit(debit("acme", "d1", "12.5")).await.unwrap();
    client.charging.debit(debit("acme", "d2", "1")).await.unwrap();
    let commands = vec![ChargeCommand { command: Some(Command::Debit(debit("acme", "d3", "9.01"))) }];
    let mut answers = client.charging.charge(tokio_stream::iter([ChargeRequest { commands }])).await.unwrap().into_inner();
    answers.message().await.unwrap().unwrap();
    let refund = RefundRequest { account_id: "acme".into(), request_id: "r1".into(), charge_id: "d1".into(), ..Default::default() };
    client.charging.refund(refund).await.unwrap_err();

    let found = operator.json("declines acme");
    let rows = found["declines"].as_array().unwrap().iter().map(|row| {
        let text = |name: &str| row[name].as_str().unwrap_or_default().to_owned();
        let amount = |name: &str| row[name]["amount"].as_str().unwrap_or_default().to_owned();
        [text("requestId"), text("command"), text("reason"), amount("usable"), amount("shortfall"), text("traceId")].join(" ")
    });
    let expected = [
        "r1 refund CHARGE_NOT_FOUND   ".to_owned(),
        "d3 debit INSUFFICIENT_CREDIT 9.00 0.01 ".to_owned(),
        format!("d1 debit INSUFFICIENT_CREDIT 10.00 2.50 {TRACE}"),
    ];
    assert_eq!(rows.collect::<Vec<_>>(), expected);
    let shown = operator.run("declines acme");
    assert!(shown.output.contains("INSUFFICIENT_CREDIT") && shown.output.contains("has declined since"), "{shown:?}");
    client.open("other", PaymentMode::Prepaid, "0", "10").await;
    assert!(operator.run("declines other").output.contains("has declined nothing"));

    let line = until("the decline is in the log", async || {
        let lines = service.log().into_iter().filter_map(|line| serde_json::from_str::<serde_json::Value>(&line).ok());
        lines.into_iter().find(|line| line["message"] == "decided" && line["request_id"] == "d1")
    })
    .await;
    for (field, value) in
        [("method", "debit"), ("account", "acme"), ("outcome", "INSUFFICIENT_CREDIT"), ("usable", "10.00"), ("trace_id", TRACE)]
    {
        assert_eq!(line[field], value, "{line}");
    }
    assert!(line["micros"].is_u64(), "{line}");
    assert!(service.stopped().await.success());
}
