//! C8: at a stop, streams read no more, answer what is under way, and say that the service stops; nobody is waited for.

use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tollgate::grpc::v1::{self, PaymentMode};
use tonic::transport::Channel;
use tonic::{Code, Status, Streaming};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use super::{reason, soon};
use crate::service::{PATIENCE, Service, debit};
use crate::support::temporary_folder;

/// What a stream ends with, after whatever it still says.
async fn end<T>(mut stream: Streaming<T>) -> Status {
    loop {
        match soon(PATIENCE, "the end of a stream", stream.message()).await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("a stream ended as if all was said"),
            Err(status) => return status,
        }
    }
}

fn batch(id: &str) -> v1::ChargeRequest {
    let command = v1::charge_command::Command::Debit(debit("acme", id, "1"));
    v1::ChargeRequest { commands: vec![v1::ChargeCommand { command: Some(command) }] }
}

#[tokio::test]
async fn a_stop_waits_for_no_watch_and_no_idle_stream() {
    let folder = temporary_folder();
    let mut times = Vec::new();
    // The best of a few: other tests need the machine, too.
    for _ in 0..4 {
        let service = Service::embedded(folder.path());
        let mut client = service.client().await;
        client.open("acme", PaymentMode::Prepaid, "0", "10").await;
        let watch = v1::WatchUsableCreditRequest { account_id: "acme".into() };
        let mut watch = client.charging.watch_usable_credit(watch).await.unwrap().into_inner();
        watch.message().await.unwrap().unwrap();
        let (_batches, incoming) = mpsc::channel(1);
        let charges = client.charging.charge(ReceiverStream::new(incoming)).await.unwrap().into_inner();
        let channel = Channel::from_shared(format!("http://{}", service.address)).unwrap().connect().await.unwrap();
        let mut health = HealthClient::new(channel).watch(HealthCheckRequest::default()).await.unwrap().into_inner();
        health.message().await.unwrap().unwrap();
        let ends = tokio::spawn(async move { [end(watch).await, end(charges).await, end(health).await] });
        let started = Instant::now();
        assert!(service.stopped().await.success());
        times.push(started.elapsed());
        for status in ends.await.unwrap() {
            assert_eq!((status.code(), reason(&status).as_str()), (Code::Unavailable, "SERVICE_STOPPING"));
        }
    }
    assert!(times.iter().min().unwrap() < &Duration::from_millis(200), "{times:?}");
}

#[tokio::test]
async fn what_a_stream_has_sent_before_a_stop_is_answered() {
    let folder = temporary_folder();
    let service = Service::embedded(folder.path());
    let mut client = service.client().await;
    client.open("acme", PaymentMode::Prepaid, "0", "100").await;
    let (batches, incoming) = mpsc::channel(64);
    for number in 0..20 {
        batches.send(batch(&format!("d{number}"))).await.unwrap();
    }
    let mut charges = client.charging.charge(ReceiverStream::new(incoming)).await.unwrap().into_inner();
    charges.message().await.unwrap().unwrap();
    let stopping = tokio::spawn(service.stopped());
    let mut answered = 1;
    let status = loop {
        match soon(PATIENCE, "an answer", charges.message()).await {
            Ok(Some(message)) => answered += message.outcomes.len(),
            Ok(None) => panic!("a stream ended as if all was said"),
            Err(status) => break status,
        }
    };
    assert_eq!((status.code(), reason(&status).as_str()), (Code::Unavailable, "SERVICE_STOPPING"));
    assert!(stopping.await.unwrap().success());
    // What was charged was answered, each once.
    let service = Service::embedded(folder.path());
    let balance: u32 = service.client().await.credit("acme").await.balance.trim_end_matches(".00").parse().unwrap();
    assert_eq!(100 - balance, u32::try_from(answered).unwrap());
}
