//! A9: bounds of load that proto/README.md documents, each passed by one: calls that wait, calls of a connection, streams that are reset, a
//! search of the journal.

use std::time::{Duration, Instant};

use futures_util::FutureExt;
use futures_util::future::join_all;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;
use tollgate::grpc::v1::charge_command::Command;
use tollgate::grpc::v1::{self, PaymentMode};

use super::metric;
use crate::refunds::{Stage, reason};
use crate::service::{Client, PATIENCE, Service, debit, until};
use crate::support::RedisServer;

#[tokio::test(flavor = "multi_thread")]
async fn one_call_more_than_may_wait_is_refused_and_leaves_its_place_to_others() {
    const CALLS: usize = 10_000;
    let redis = RedisServer::redis();
    let service = Service::start(&["--redis", &redis.url(), "--lanes", "1", "--redis-timeout", "60s"], &[]);
    let mut client = service.client().await;
    client.open("acme", PaymentMode::Prepaid, "0", "20000").await;
    redis.signal("STOP");
    let mut calls = Vec::new();
    // A connection has 1,024 calls open at most.
    for (connection, count) in std::iter::repeat_n(1000, CALLS / 1000).chain([1]).enumerate() {
        let charging = service.client().await.charging;
        let call = move |number: usize| {
            let mut charging = charging.clone();
            async move { charging.debit(debit("acme", &format!("d-{connection}-{number}"), "1")).await }
        };
        calls.push(tokio::spawn(join_all((0..count).map(call))));
    }
    let refused = r#"rpc_server_call_duration_seconds_count{rpc_method="tollgate.v1.ChargingService/Debit",rpc_response_status_code="RESOURCE_EXHAUSTED"}"#;
    until("one is refused", async || metric(&service, refused).await).await;
    redis.signal("CONT");
    let mut answers = Vec::new();
    for call in calls {
        answers.extend(timeout(2 * PATIENCE, call).await.unwrap().unwrap());
    }
    let refused: Vec<_> = answers.iter().filter(|answer| answer.is_err()).collect();
    assert_eq!((answers.len(), refused.len()), (CALLS + 1, 1));
    assert_eq!(reason(refused[0]), "OVERLOADED");
    client.charging.debit(debit("acme", "after", "1")).await.unwrap();
    assert_eq!(client.credit("acme").await.balance, "9999.00");
}

/// A frame of HTTP/2.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const END_HEADERS: u8 = 4;
const MAX_CONCURRENT_STREAMS: u16 = 3;
const REFUSED_STREAM: u32 = 7;
const CANCEL: u32 = 8;
const ENHANCE_YOUR_CALM: u32 = 0xb;

/// The begin of a call, of which no message follows.
fn call(stream: u32) -> Vec<u8> {
    let text = |text: &str| [&[u8::try_from(text.len()).unwrap()], text.as_bytes()].concat();
    // POST, http; then each as a literal without indexing: :path and :authority by their number in the static table.
    let headers = [
        vec![0x83, 0x86, 0x04],
        text("/tollgate.v1.ChargingService/GetUsableCredit"),
        vec![0x01],
        text("tollgate"),
        vec![0x00],
        [text("content-type"), text("application/grpc")].concat(),
        vec![0x00],
        [text("te"), text("trailers")].concat(),
    ];
    frame(HEADERS, END_HEADERS, stream, &headers.concat())
}

async fn next_frame(socket: &mut TcpStream) -> (u8, u8, u32, Vec<u8>) {
    let mut head = [0; 9];
    timeout(PATIENCE, socket.read_exact(&mut head)).await.expect("the service says nothing").unwrap();
    let [a, b, c, kind, flags, stream @ ..] = head;
    let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
    socket.read_exact(&mut payload).await.unwrap();
    (kind, flags, u32::from_be_bytes(stream), payload)
}

/// Begins a connection from an address of this machine, and returns what the service sets for it.
async fn begin(service: &Service, from: [u8; 4]) -> (TcpStream, Vec<u8>) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((from, 0).into()).unwrap();
    let mut socket = socket.connect(service.address).await.unwrap();
    let preface = [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".as_slice(), &frame(SETTINGS, 0, 0, &[])].concat();
    socket.write_all(&preface).await.unwrap();
    let (kind, _, _, settings) = next_frame(&mut socket).await;
    assert_eq!(kind, SETTINGS);
    (socket, settings)
}

/// The streams that were reset, and by which codes, until the service answers a ping.
async fn resets(socket: &mut TcpStream) -> Vec<(u32, u32)> {
    socket.write_all(&frame(PING, 0, 0, b"are they")).await.unwrap();
    let mut found = Vec::new();
    loop {
        match next_frame(socket).await {
            (PING, 1, ..) => return found,
            (PING, _, _, payload) => socket.write_all(&frame(PING, 1, 0, &payload)).await.unwrap(),
            (RST_STREAM, _, stream, code) => found.push((stream, u32::from_be_bytes(code.try_into().unwrap()))),
            _ => {}
        }
    }
}

#[tokio::test]
async fn one_call_more_than_a_connection_may_have_open_is_refused_and_leaves_its_place_to_others() {
    const STREAMS: u32 = 1024;
    let folder = crate::temporary_folder();
    let service = Service::embedded(folder.path());
    let (mut socket, settings) = begin(&service, [127, 0, 0, 1]).await;
    let setting = settings.chunks(6).find(|setting| setting[..2] == MAX_CONCURRENT_STREAMS.to_be_bytes()).unwrap();
    assert_eq!(setting[2..], STREAMS.to_be_bytes());
    socket.write_all(&frame(SETTINGS, 1, 0, &[])).await.unwrap();
    for number in 0..STREAMS {
        socket.write_all(&call(2 * number + 1)).await.unwrap();
    }
    assert_eq!(resets(&mut socket).await, []);
    socket.write_all(&call(2 * STREAMS + 1)).await.unwrap();
    assert_eq!(resets(&mut socket).await, [(2 * STREAMS + 1, REFUSED_STREAM)]);
    socket.write_all(&frame(RST_STREAM, 0, 1, &CANCEL.to_be_bytes())).await.unwrap();
    socket.write_all(&call(2 * STREAMS + 3)).await.unwrap();
    assert_eq!(resets(&mut socket).await, []);
}

/// Opens streams and resets them, until the connection is closed because of it.
async fn flood(service: &Service, from: [u8; 4]) {
    let (mut socket, _) = begin(service, from).await;
    let opened_and_reset = |stream: u32| [call(stream), frame(RST_STREAM, 0, stream, &CANCEL.to_be_bytes())].concat();
    let flood: Vec<u8> = (0..200).flat_map(|number| opened_and_reset(2 * number + 1)).collect();
    socket.write_all(&flood).await.unwrap();
    let code = loop {
        if let (GOAWAY, _, _, payload) = next_frame(&mut socket).await {
            break u32::from_be_bytes(payload[4..8].try_into().unwrap());
        }
    };
    assert_eq!(code, ENHANCE_YOUR_CALM);
    // It says goodbye before it closes the connection.
    assert_eq!(timeout(PATIENCE, socket.read(&mut [0])).await.unwrap().unwrap_or(0), 0);
}

#[tokio::test]
async fn who_floods_connections_with_streams_that_it_resets_waits_for_its_next_one_and_nobody_else_does() {
    const FLOODER: [u8; 4] = [127, 0, 0, 9];
    const FREE: u32 = 16;
    let folder = crate::temporary_folder();
    let service = Service::embedded(folder.path());
    for _ in 0..=FREE {
        flood(&service, FLOODER).await;
    }
    assert_eq!(metric(&service, "tollgate_connections_held_back_total").await, Some(0.0), "a few floods cost nothing");

    let begun = Instant::now();
    let next = begin(&service, FLOODER).map(|next| (next, Instant::now()));
    let others = begin(&service, [127, 0, 0, 1]).map(|_| Instant::now());
    let ((mut next, next_at), others_at) = tokio::join!(next, others);
    assert!(others_at < next_at && next_at - begun >= Duration::from_millis(900), "{:?}, {:?}", others_at - begun, next_at - begun);
    assert_eq!(resets(&mut next.0).await, [], "it is served as ever");
    assert_eq!(metric(&service, "tollgate_connections_held_back_total").await, Some(1.0));
}

/// Charges so often, in batches.
async fn charge(client: &mut Client, name: &str, count: usize) {
    const AT_ONCE: usize = 500;
    let batch = |begin: usize| {
        let numbers = begin..count.min(begin + AT_ONCE);
        let commands =
            numbers.map(|number| v1::ChargeCommand { command: Some(Command::Debit(debit("acme", &format!("{name}-{number}"), "0.01"))) });
        v1::ChargeRequest { commands: commands.collect() }
    };
    let batches: Vec<_> = (0..count).step_by(AT_ONCE).map(batch).collect();
    let mut answers = client.charging.charge(futures_util::stream::iter(batches)).await.unwrap().into_inner();
    while answers.message().await.unwrap().is_some() {}
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_finds_a_forgotten_charge_among_as_many_entries_as_documented_and_no_further_back() {
    const ENTRIES: usize = 20_000;
    for mut stage in Stage::both(&["--request-window", "1m", "--billing", "off", "--journal-tail", "2000000", "--partitions", "1"]).await {
        stage.client.open("acme", PaymentMode::Prepaid, "0", "1000").await;
        for id in ["beyond", "within"] {
            stage.client.charging.debit(debit("acme", id, "1")).await.unwrap();
        }
        let charged = stage.client.journal("acme").await;
        // Three windows later, nothing is remembered of them.
        for minute in ["12:02", "12:04", "12:06"] {
            stage.at(&format!("2026-01-10T{minute}:00Z"), "acme").await;
            stage.let_sweep().await;
        }
        let since = stage.client.journal("acme").await.len() - charged.len();
        charge(&mut stage.client, "later", ENTRIES - 1 - since).await;
        // An entry that was refused leaves none of its own.
        let refund = |id: &str, charge: &str| v1::RefundRequest {
            account_id: "acme".into(),
            request_id: id.into(),
            charge_id: charge.into(),
            ..Default::default()
        };
        let beyond = stage.client.charging.refund(refund("r1", "beyond")).await;
        assert_eq!(reason(&beyond), "CHARGE_NO_LONGER_KNOWN", "{}", stage.engine);
        let within = stage.client.charging.refund(refund("r2", "within")).await;
        assert_eq!(reason(&within), "accepted", "{}", stage.engine);
        // Its own entry is one more.
        let again = stage.client.charging.refund(refund("r3", "within")).await;
        assert_ne!(reason(&again), "accepted", "{}", stage.engine);
    }
}
