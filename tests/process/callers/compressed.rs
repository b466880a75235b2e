//! C7: tools can read errors, each has a reason, and requests may be compressed.

use std::process::Command;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderMap, Request};
use tollgate::grpc::v1::{self, PaymentMode};
use tonic::body::Body;
use tonic::codec::CompressionEncoding;
use tonic::transport::Channel;
use tonic::{Code, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
use tonic_reflection::pb::v1::{ServerReflectionRequest, ServerReflectionResponse};
use tower::{Service as _, ServiceExt};

use super::{reason, soon};
use crate::service::{Service, debit};
use crate::support::temporary_folder;

async fn channel(service: &Service) -> Channel {
    Channel::from_shared(format!("http://{}", service.address)).unwrap().connect().await.unwrap()
}

/// Sends these bytes as the only message of a call, and returns what it ends with.
async fn send(channel: &mut Channel, path: &str, encoding: &str, flag: u8, message: &[u8]) -> Status {
    let mut framed = BytesMut::new();
    framed.put_u8(flag);
    framed.put_u32(u32::try_from(message.len()).unwrap());
    framed.put_slice(message);
    let request = Request::post(format!("http://tollgate{path}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("grpc-encoding", encoding)
        .body(Body::new(axum::body::Body::from(Bytes::from(framed))))
        .unwrap();
    let response = channel.ready().await.unwrap().call(request).await.unwrap();
    if let Some(status) = Status::from_header_map(response.headers()) {
        return status;
    }
    let trailers = trailers(response.into_body()).await;
    Status::from_header_map(&trailers).unwrap()
}

async fn trailers(mut body: Body) -> HeaderMap {
    use http_body::Body as _;
    loop {
        let frame = std::future::poll_fn(|context| std::pin::Pin::new(&mut body).poll_frame(context)).await.unwrap().unwrap();
        if let Ok(trailers) = frame.into_trailers() {
            return trailers;
        }
    }
}

async fn reflect(service: &Service, request: MessageRequest) -> Result<ServerReflectionResponse, Status> {
    let request = ServerReflectionRequest { host: String::new(), message_request: Some(request) };
    let answers = ServerReflectionClient::new(channel(service).await).server_reflection_info(tokio_stream::iter([request])).await;
    answers?.into_inner().message().await.map(Option::unwrap)
}

#[tokio::test]
async fn tools_learn_by_reflection_what_the_details_of_errors_are() {
    let folder = temporary_folder();
    let service = Service::embedded(folder.path());
    for name in ["google.rpc.ErrorInfo", "google.rpc.BadRequest", "google.rpc.RetryInfo", "google.rpc.PreconditionFailure"] {
        let found = reflect(&service, MessageRequest::FileContainingSymbol(name.into())).await;
        let is_file = matches!(found.as_ref().map(|found| &found.message_response), Ok(Some(MessageResponse::FileDescriptorResponse(_))));
        assert!(is_file, "{name}: {found:?}");
    }
}

#[tokio::test]
async fn every_error_has_a_reason() {
    let folder = temporary_folder();
    let service = Service::embedded(folder.path());
    let mut channel = channel(&service).await;
    let debit = "/tollgate.v1.ChargingService/Debit";
    let mut found = Vec::new();
    for (path, encoding, flag, message) in [
        ("/tollgate.v1.ChargingService/Nothing", "identity", 0, vec![]),
        ("/tollgate.v1.NobodyService/Debit", "identity", 0, vec![]),
        ("/nonsense", "identity", 0, vec![]),
        (debit, "zstd", 1, vec![1, 2, 3]),
        (debit, "gzip", 1, vec![1, 2, 3]),
        (debit, "identity", 7, vec![]),
        (debit, "identity", 0, vec![0xff; 7]),
        (debit, "identity", 0, vec![0; (1 << 20) + 1]),
        ("/grpc.health.v1.Health/Check", "identity", 0, b"\x0a\x04nope".to_vec()),
    ] {
        let status = send(&mut channel, path, encoding, flag, &message).await;
        found.push(reason(&status));
    }
    let unknown_symbol = reflect(&service, MessageRequest::FileContainingSymbol("no.Such".into())).await;
    found.extend(unknown_symbol.err().map(|status| reason(&status)));
    assert_eq!(
        found,
        [
            "UNKNOWN_METHOD",
            "UNKNOWN_METHOD",
            "UNKNOWN_METHOD",
            "UNSUPPORTED_ENCODING",
            "MALFORMED_MESSAGE",
            "MALFORMED_MESSAGE",
            "MALFORMED_MESSAGE",
            "MESSAGE_TOO_LARGE",
            "UNKNOWN_NAME",
            "UNKNOWN_NAME"
        ]
    );
}

#[tokio::test]
async fn compressed_requests_are_understood() {
    let folder = temporary_folder();
    let service = Service::embedded(folder.path());
    let mut client = service.client().await;
    client.open("acme", PaymentMode::Prepaid, "0", "10").await;
    let mut charging = client.charging.clone().send_compressed(CompressionEncoding::Gzip);
    let answer = charging.debit(debit("acme", "d1", "4")).await.unwrap().into_inner();
    assert_eq!(answer.credit.unwrap().balance, "6.00");
    let command = v1::charge_command::Command::Debit(debit("acme", "d2", "4"));
    let batch = v1::ChargeRequest { commands: vec![v1::ChargeCommand { command: Some(command) }] };
    let mut answers = charging.charge(tokio_stream::iter([batch])).await.unwrap().into_inner();
    assert_eq!(answers.message().await.unwrap().unwrap().outcomes.len(), 1);
}

/// The most memory that a process has had, in MiB.
fn peak(service: &Service) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", service.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1024
}

#[tokio::test]
async fn a_gibibyte_in_a_mebibyte_is_refused_before_it_is_unpacked() {
    let folder = temporary_folder();
    let service = Service::embedded(folder.path());
    let bomb = Command::new("sh").args(["-c", "head -c 1073741824 /dev/zero | gzip -9"]).output().unwrap().stdout;
    assert!(bomb.len() < 1 << 20, "{} bytes", bomb.len());
    let mut channel = channel(&service).await;
    let before = peak(&service);
    let call = send(&mut channel, "/tollgate.v1.ChargingService/Debit", "gzip", 1, &bomb);
    let status = soon(Duration::from_secs(5), "a refusal", call).await;
    assert_eq!((status.code(), reason(&status).as_str()), (Code::ResourceExhausted, "MESSAGE_TOO_LARGE"));
    // What else the service does in the meantime needs some memory, too, but nothing like a gibibyte.
    assert!(peak(&service) < before + 128, "{} MiB, then {} MiB", before, peak(&service));
}

#[tokio::test]
async fn health_knows_every_service() {
    let folder = temporary_folder();
    let service = Service::embedded(folder.path());
    let mut health = HealthClient::new(channel(&service).await);
    for service in ["tollgate.v1.ChargingService", "tollgate.v1.AccountService", "tollgate.v1.BillingService", "tollgate.v1.AuditService"] {
        health.check(HealthCheckRequest { service: service.into() }).await.unwrap_or_else(|status| panic!("{service}: {status}"));
    }
}

#[tokio::test]
async fn details_of_errors_fit_the_headers_of_any_client() {
    let folder = temporary_folder();
    let service = Service::embedded(folder.path());
    let mut client = service.client().await;
    let key = |number: u32| format!("{number:03}{}", "🦀".repeat(100));
    let usage = v1::Usage { attributes: (0..16).map(|number| (key(number), "🦀".repeat(300))).collect(), ..Default::default() };
    let long = "🦀".repeat(128);
    let request =
        v1::DebitRequest { reservation_id: long.clone(), usage: Some(usage), ..debit(&long, &long, "-0.00000000000000000000000000000001") };
    let status = client.charging.debit(request).await.unwrap_err();
    assert_eq!(reason(&status), "INVALID_REQUEST");
    assert!(status.details().len() <= 4096, "{} bytes", status.details().len());
}
