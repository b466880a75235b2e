//! A9: connections that never speak, connections without number, readers that read nothing, watchers without number.

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tollgate::grpc::v1::charge_command::Command;
use tollgate::grpc::v1::charging_service_client::ChargingServiceClient;
use tollgate::grpc::v1::{self, PaymentMode};
use tonic::transport::Endpoint;

use super::metric;
use crate::service::{Client, PATIENCE, Service, debit, until};
use crate::support::{RedisServer, temporary_folder};

/// How long a peer may take to say the preface, as proto/README.md has it.
const PREFACE_LIMIT: Duration = Duration::from_secs(10);

/// Waits until the peer closes.
async fn closed(socket: &mut TcpStream) {
    loop {
        match socket.read(&mut [0; 1024]).await {
            Ok(0) => return,
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return,
            Err(error) => panic!("{error}"),
        }
    }
}

#[tokio::test]
async fn a_connection_that_does_not_say_the_preface_is_closed_and_one_that_does_is_not() {
    let folder = temporary_folder();
    let service = Service::embedded(folder.path());
    let mut silent = TcpStream::connect(service.address).await.unwrap();
    let mut slow = TcpStream::connect(service.address).await.unwrap();
    slow.write_all(b"PRI * HTTP/2.0\r\n").await.unwrap();
    let mut speaking = TcpStream::connect(service.address).await.unwrap();
    speaking.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
    let begun = Instant::now();
    timeout(2 * PREFACE_LIMIT, closed(&mut silent)).await.expect("the silent connection was never closed");
    assert!(begun.elapsed() >= PREFACE_LIMIT - Duration::from_secs(1), "it was closed after {:?}", begun.elapsed());
    timeout(PREFACE_LIMIT, closed(&mut slow)).await.expect("the slow connection was never closed");
    timeout(Duration::from_millis(100), closed(&mut speaking)).await.expect_err("the one that speaks was closed");
}

#[tokio::test]
async fn one_connection_more_than_there_may_be_is_closed_at_once_and_leaves_its_place_to_others() {
    let folder = temporary_folder();
    let store = folder.path().join("ledger.db");
    let service = Service::start(&["--store", store.to_str().unwrap()], &[("TOLLGATE_MAX_CONNECTIONS", "2")]);
    let client = service.client().await;
    let first = TcpStream::connect(service.address).await.unwrap();
    let mut one_more = TcpStream::connect(service.address).await.unwrap();
    timeout(Duration::from_secs(5), closed(&mut one_more)).await.expect("one connection more was not closed");
    drop(first);
    // Its place is free once the service has seen it go.
    until("there is a place again", async || {
        let mut next = TcpStream::connect(service.address).await.unwrap();
        next.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
        let mut byte = [0; 1];
        (next.read(&mut byte).await.ok()? == 1).then_some(())
    })
    .await;
    drop(client);
}

fn resident_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// Streams of which nobody reads the answers, once nothing moves any more.
async fn unread(service: &Service, count: u64) -> Vec<tonic::Streaming<v1::ChargeResponse>> {
    // Repetitions of one charge: their answers are as large as any, and the ledger remembers no more by them.
    let command = v1::ChargeCommand { command: Some(Command::Debit(debit("acme", "d1", "0.01"))) };
    let batch = v1::ChargeRequest { commands: vec![command; 512] };
    let mut open = Vec::new();
    for _ in 0..count {
        // The peer holds as little as HTTP/2 begins with.
        let endpoint = Endpoint::from_shared(format!("http://{}", service.address)).unwrap();
        let endpoint = endpoint.initial_stream_window_size(65_535).initial_connection_window_size(65_535);
        let mut charging = ChargingServiceClient::new(endpoint.connect().await.unwrap());
        let requests = tokio_stream::iter(std::iter::repeat_n(batch.clone(), 100));
        open.push(charging.charge(requests).await.unwrap().into_inner());
    }
    let decided = r#"tollgate_decisions_total{command="debit",outcome="replayed"}"#;
    let mut last = None;
    loop {
        let now = metric(service, decided).await;
        if now.is_some() && now == last {
            return open;
        }
        last = now;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

#[tokio::test]
async fn streams_whose_answers_nobody_reads_hold_two_megabytes_each_at_most() {
    const STREAMS: u64 = 60;
    let folder = temporary_folder();
    let service = Service::embedded(folder.path());
    service.client().await.open("acme", PaymentMode::Prepaid, "0", "1").await;
    // What the service itself needs is there after the first of them.
    let first = unread(&service, 10).await;
    let before = resident_kib(service.id());
    let rest = unread(&service, STREAMS).await;
    let held = resident_kib(service.id()).saturating_sub(before) / STREAMS;
    assert!(held <= 2048, "an unread stream holds {held} KiB");
    drop((first, rest));
}

/// Whether a call was refused because there are too many of its kind.
fn is_overloaded<T>(answer: Result<T, tonic::Status>) -> bool {
    let code = answer.err().map(|status| status.code());
    assert!(matches!(code, None | Some(tonic::Code::ResourceExhausted)), "{code:?}");
    code.is_some()
}

#[tokio::test]
async fn one_charge_stream_more_than_a_lane_may_have_is_refused_and_leaves_its_place_to_others() {
    const STREAMS: usize = 1024;
    let folder = temporary_folder();
    let service = Service::start(&["--store", folder.path().join("ledger.db").to_str().unwrap(), "--lanes", "1"], &[]);
    // A connection has as many calls open as a lane has streams: two of them are needed for one more.
    let clients = [service.client().await, service.client().await];
    let begin = async |number: usize| {
        let (requests, sent) = mpsc::channel::<v1::ChargeRequest>(1);
        let answers = clients[number % 2].charging.clone().charge(ReceiverStream::new(sent)).await;
        (requests, answers)
    };
    let mut open = Vec::new();
    for number in 0..STREAMS {
        let (requests, answers) = begin(number).await;
        open.push((requests, answers.unwrap()));
    }
    assert!(is_overloaded(begin(0).await.1));
    open.pop();
    until("there is a place again", async || (!is_overloaded(begin(0).await.1)).then_some(())).await;
}

#[tokio::test]
async fn one_watch_more_than_a_lane_may_have_is_refused_and_leaves_its_place_to_others() {
    const WATCHES: usize = 10_000;
    let folder = temporary_folder();
    let service = Service::start(&["--store", folder.path().join("ledger.db").to_str().unwrap(), "--lanes", "1"], &[]);
    let watch = |client: &Client| {
        let mut client = client.clone();
        async move { client.charging.watch_usable_credit(v1::WatchUsableCreditRequest { account_id: "acme".into() }).await }
    };
    let (mut clients, mut open) = (Vec::new(), Vec::new());
    for _ in 0..=WATCHES / 1000 {
        clients.push(service.client().await);
    }
    clients[0].open("acme", PaymentMode::Prepaid, "0", "1").await;
    // Those of one account that begin together share a reading of it.
    for client in &clients[..WATCHES / 1000] {
        let begun = join_all((0..1000).map(|_| watch(client))).await;
        open.extend(begun.into_iter().map(Result::unwrap));
    }
    let last = &clients[WATCHES / 1000];
    assert!(is_overloaded(watch(last).await));
    open.pop();
    until("there is a place again", async || (!is_overloaded(watch(last).await)).then_some(())).await;
}

#[tokio::test]
async fn changes_are_not_announced_where_no_other_process_watches_anything() {
    const DEBITS: u64 = 400;
    let server = RedisServer::redis();
    let (service, other) = (Service::redis(&server.url()), Service::redis(&server.url()));
    let mut client = service.client().await;
    client.open("watched", PaymentMode::Prepaid, "0", "100").await;
    client.open("other", PaymentMode::Prepaid, "0", "1000").await;
    let request = v1::WatchUsableCreditRequest { account_id: "watched".into() };
    let mut watch = client.charging.watch_usable_credit(request.clone()).await.unwrap().into_inner();
    watch.message().await.unwrap().unwrap();
    let announced = || calls(&server, "spublish");
    let (before, began) = (announced(), Instant::now());
    for number in 0..DEBITS {
        client.charging.debit(debit("other", &format!("d{number}"), "1")).await.unwrap();
    }
    // Now and then it is tried whether somebody is there.
    let tries = 4 + u64::try_from(began.elapsed().as_millis()).unwrap() / 200 * 4;
    let sent = announced() - before;
    assert!(sent <= tries && sent < DEBITS / 2, "{DEBITS} debits of an account that nobody watches were announced {sent} times");
    // Another process hears of what this one changes as soon as somebody watches there.
    let mut watch = other.client().await.charging.watch_usable_credit(request).await.unwrap().into_inner();
    watch.message().await.unwrap().unwrap();
    client.charging.debit(debit("watched", "d1", "1")).await.unwrap();
    let message = timeout(Duration::from_secs(3), watch.message()).await.expect("the other process heard nothing").unwrap().unwrap();
    assert_eq!(message.credit.unwrap().usable, "99.00");
}

/// How often a Redis was sent a script, or a list of fields to read.
fn commands(server: &RedisServer) -> u64 {
    calls(server, "evalsha") + calls(server, "hmget")
}

/// How often a Redis has run a command, within scripts, too.
fn calls(server: &RedisServer, name: &str) -> u64 {
    let stats = server.command(&["INFO", "commandstats"]);
    let line = stats.lines().find_map(|line| line.strip_prefix(&format!("cmdstat_{name}:calls=")));
    line.map_or(0, |rest| rest.split(',').next().unwrap().parse().unwrap())
}

#[tokio::test]
async fn an_account_is_read_once_for_all_who_watch_it() {
    const WATCHES: usize = 300;
    let server = RedisServer::redis();
    let service = Service::redis(&server.url());
    let mut client = service.client().await;
    client.open("acme", PaymentMode::Prepaid, "0", "100").await;
    let mut watches = Vec::new();
    for _ in 0..WATCHES {
        let request = v1::WatchUsableCreditRequest { account_id: "acme".into() };
        let mut watch = client.charging.watch_usable_credit(request).await.unwrap().into_inner();
        watch.message().await.unwrap().unwrap();
        watches.push(watch);
    }
    let before = commands(&server);
    client.charging.debit(debit("acme", "d1", "1")).await.unwrap();
    for watch in &mut watches {
        let message = timeout(PATIENCE, watch.message()).await.unwrap().unwrap().unwrap();
        assert_eq!(message.credit.unwrap().usable, "99.00");
    }
    let sent = commands(&server) - before;
    // The debit, and one reading; besides, the store is looked after a few times a second.
    assert!(sent < 100, "{WATCHES} watches of one account cost {sent} commands for one change");
}

#[tokio::test]
async fn watchers_of_accounts_that_do_not_change_cost_no_commands() {
    const WATCHES: usize = 64;
    let server = RedisServer::redis();
    let service = Service::redis(&server.url());
    let mut client = service.client().await;
    client.open("other", PaymentMode::Postpaid, "1000000", "0").await;
    let mut watches = Vec::new();
    for number in 0..WATCHES {
        let account_id = format!("watched-{number}");
        client.open(&account_id, PaymentMode::Prepaid, "0", "100").await;
        let request = v1::WatchUsableCreditRequest { account_id };
        let mut watch = client.charging.watch_usable_credit(request).await.unwrap().into_inner();
        watch.message().await.unwrap().unwrap();
        watches.push(watch);
    }
    let (before, begun) = (calls(&server, "evalsha"), Instant::now());
    let mut debits = 0;
    while begun.elapsed() < Duration::from_secs(2) {
        client.charging.debit(debit("other", &format!("d{debits}"), "1")).await.unwrap();
        debits += 1;
    }
    // A debit is one step, and so is a reading. Besides, the store is looked after a few times a second, and each account may be read once,
    // which it is every 15 s whatever is announced.
    let allowed = debits + WATCHES as u64 + 50 * begun.elapsed().as_secs();
    let sent = calls(&server, "evalsha") - before;
    assert!(sent <= allowed, "{debits} debits of an account that nobody watches took {sent} steps, and not {allowed} at most");
}

#[tokio::test]
async fn a_page_of_accounts_takes_a_few_commands_however_many_it_shows() {
    let server = RedisServer::redis();
    let service = Service::redis(&server.url());
    let mut client = service.client().await;
    for number in 0..100 {
        client.open(&format!("account-{number:02}"), PaymentMode::Prepaid, "0", "0").await;
    }
    let before = commands(&server);
    let request = v1::ListAccountsRequest { page_size: 100, ..Default::default() };
    assert_eq!(client.accounts.list_accounts(request).await.unwrap().into_inner().accounts.len(), 100);
    let sent = commands(&server) - before;
    assert!(sent < 50, "a page of 100 accounts cost {sent} commands");
}
