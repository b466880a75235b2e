//! What a crash, a cut connection, or a caller who gives up may not do: lose what was acknowledged, or charge anything twice.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use crate::service::{Client, PATIENCE, Service, debit, money, seed, until};
use crate::support::{RedisServer, temporary_folder};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rust_decimal::Decimal;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tollgate::grpc::v1::debit_response::Outcome;
use tollgate::grpc::v1::{self, EntryKind, PaymentMode};
use tonic::Request;
use tonic_types::StatusExt;

fn decimal(text: &str) -> Decimal {
    text.parse().unwrap()
}

fn amount(money: Option<&v1::Money>) -> Decimal {
    decimal(&money.unwrap().amount)
}

/// What became of a debit: what it took, or that it was declined.
fn charged(response: &v1::DebitResponse) -> Option<Decimal> {
    match response.outcome.as_ref().unwrap() {
        Outcome::Charged(charged) => Some(amount(charged.amount.as_ref())),
        Outcome::Declined(_) => None,
    }
}

/// A way to the service that can be cut.
struct Proxy {
    address: SocketAddr,
    /// From now on nothing comes back.
    is_silent: Arc<AtomicBool>,
    /// How many bytes may still pass, either way, before the connection is cut.
    budget: Arc<AtomicUsize>,
    accepting: tokio::task::JoinHandle<()>,
}

impl Proxy {
    async fn to(service: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (is_silent, budget) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(usize::MAX)));
        let (silent, left) = (Arc::clone(&is_silent), Arc::clone(&budget));
        let accepting = tokio::spawn(async move {
            // Within this task, so that ending it cuts every connection.
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                connections.spawn(pass(client, service, Arc::clone(&silent), Arc::clone(&left)));
            }
        });
        Self { address, is_silent, budget, accepting }
    }

    /// Cuts all connections.
    fn cut(self) {
        self.accepting.abort();
    }
}

async fn pass(mut client: TcpStream, service: SocketAddr, is_silent: Arc<AtomicBool>, budget: Arc<AtomicUsize>) {
    let mut server = TcpStream::connect(service).await.unwrap();
    let _ = server.set_nodelay(true);
    let (mut there, mut back) = ([0; 4096], [0; 4096]);
    loop {
        let (count, is_back) = tokio::select! {
            count = client.read(&mut there) => (count.unwrap_or(0), false),
            count = server.read(&mut back) => (count.unwrap_or(0), true),
        };
        let left = budget.load(Ordering::SeqCst);
        let count = count.min(left);
        budget.store(left - count, Ordering::SeqCst);
        let passed = match is_back {
            true if is_silent.load(Ordering::SeqCst) => Ok(()),
            true => client.write_all(&back[..count]).await,
            false => server.write_all(&there[..count]).await,
        };
        if count == 0 || passed.is_err() {
            return;
        }
    }
}

async fn repeat_after_a_killed_connection(service: &Service) {
    let mut direct = service.client().await;
    direct.open("acme", PaymentMode::Prepaid, "0", "100").await;
    let proxy = Proxy::to(service.address).await;
    let mut client = Client::connect(proxy.address).await;
    client.charging.debit(debit("acme", "d0", "1")).await.unwrap();

    proxy.is_silent.store(true, Ordering::SeqCst);
    let call = tokio::spawn(async move { client.charging.debit(debit("acme", "d1", "12.5")).await });
    // The request has arrived and was decided; the answer never comes.
    until("the debit is charged", async || (direct.clone().credit("acme").await.balance == "86.50").then_some(())).await;
    proxy.cut();
    assert!(call.await.unwrap().is_err(), "the answer came though the connection was cut");

    let mut client = service.client().await;
    let again = client.charging.debit(debit("acme", "d1", "12.5")).await.unwrap().into_inner();
    assert_eq!((again.replayed, charged(&again)), (true, Some(decimal("12.5"))));
    assert_eq!(again.credit.unwrap().balance, "86.50");
}

#[tokio::test]
async fn a_debit_repeated_after_a_killed_connection_charges_once_on_the_embedded_engine() {
    let folder = temporary_folder();
    repeat_after_a_killed_connection(&Service::embedded(folder.path())).await;
}

#[tokio::test]
async fn a_debit_repeated_after_a_killed_connection_charges_once_on_redis() {
    let redis = RedisServer::redis();
    repeat_after_a_killed_connection(&Service::redis(&redis.url())).await;
}

#[tokio::test]
async fn connections_cut_at_any_byte_charge_once() {
    let mut random = StdRng::seed_from_u64(seed());
    let folder = temporary_folder();
    let service = Service::embedded(folder.path());
    let mut direct = service.client().await;
    direct.open("acme", PaymentMode::Postpaid, "1000", "0").await;
    for round in 0..30 {
        let id = format!("d{round}");
        let proxy = Proxy::to(service.address).await;
        proxy.budget.store(random.random_range(0..1200), Ordering::SeqCst);
        let endpoint = tonic::transport::Endpoint::from_shared(format!("http://{}", proxy.address)).unwrap();
        let call = async {
            let channel = endpoint.connect().await.ok()?;
            let mut client = v1::charging_service_client::ChargingServiceClient::new(channel);
            client.debit(debit("acme", &id, "1")).await.ok()
        };
        // Whatever became of it: an answer, an error, or nothing for too long.
        let _ = tokio::time::timeout(Duration::from_millis(500), call).await;
        proxy.cut();
        let repeated = direct.charging.debit(debit("acme", &id, "1")).await.unwrap().into_inner();
        assert_eq!(repeated.credit.unwrap().unbilled, format!("{}.00", round + 1), "round {round}");
    }
}

/// Where a crashed service finds its store again.
enum Place {
    Folder(tempfile::TempDir),
    Redis(RedisServer),
}

impl Place {
    fn start(&self) -> Service {
        match self {
            Self::Folder(folder) => Service::embedded(folder.path()),
            Self::Redis(redis) => Service::redis(&redis.url()),
        }
    }
}

const ACCOUNTS: [(&str, PaymentMode, &str, &str); 4] = [
    ("rich", PaymentMode::Prepaid, "0", "100000"),
    ("limited", PaymentMode::Prepaid, "50", "150"),
    ("monthly", PaymentMode::Postpaid, "100000", "0"),
    ("group/overpaid", PaymentMode::Postpaid, "100", "300"),
];

/// A debit that was sent, and what was answered to it before the crash, if anything was.
struct Sent {
    request: v1::DebitRequest,
    answer: Option<v1::DebitResponse>,
}

/// Debits one after another until the service is gone. Counts what was acknowledged.
async fn load(mut client: Client, mut random: StdRng, name: String, acknowledged: Arc<AtomicUsize>) -> Vec<Sent> {
    let mut sent = Vec::new();
    loop {
        let (account, ..) = ACCOUNTS[random.random_range(0..ACCOUNTS.len())];
        let cents: u32 = random.random_range(1..50_000);
        let request = debit(account, &format!("{name}-{}", sent.len()), &format!("{}.{:04}", cents / 10_000, cents % 10_000));
        let answer = client.charging.debit(request.clone()).await.ok().map(tonic::Response::into_inner);
        let is_over = answer.is_none();
        acknowledged.fetch_add(usize::from(!is_over), Ordering::Relaxed);
        sent.push(Sent { request, answer });
        if is_over {
            return sent;
        }
    }
}

async fn kill_under_load(place: &Place) {
    let seed = seed();
    let mut random = StdRng::seed_from_u64(seed);
    let mut service = place.start();
    let mut client = service.client().await;
    for (id, mode, limit, top_up) in ACCOUNTS {
        client.open(id, mode, limit, top_up).await;
    }
    let mut all = Vec::new();
    for round in 0..4 {
        let mut tasks = tokio::task::JoinSet::new();
        let acknowledged = Arc::new(AtomicUsize::new(0));
        for task in 0..8 {
            let name = format!("{round}-{task}");
            tasks.spawn(load(service.client().await, StdRng::seed_from_u64(random.random()), name, Arc::clone(&acknowledged)));
        }
        until("there is a load", async || (acknowledged.load(Ordering::Relaxed) > 0).then_some(())).await;
        tokio::time::sleep(Duration::from_millis(random.random_range(0..500))).await;
        service.kill();
        let sent: Vec<Sent> = tasks.join_all().await.into_iter().flatten().collect();
        service = place.start();
        let mut client = service.client().await;
        let mut unknown = 0;
        for Sent { request, answer } in &sent {
            let again = client.charging.debit(request.clone()).await.unwrap().into_inner();
            match answer {
                Some(answer) => {
                    assert!(again.replayed, "seed {seed}, round {round}: {} was acknowledged, and is lost", request.request_id);
                    assert_eq!(charged(&again), charged(answer), "seed {seed}, round {round}: {}", request.request_id);
                }
                None => {
                    unknown += 1;
                    let third = client.charging.debit(request.clone()).await.unwrap().into_inner();
                    assert_eq!((third.replayed, charged(&third)), (true, charged(&again)));
                }
            }
        }
        println!("round {round}: {} acknowledged, {unknown} unknown", sent.len() - unknown);
        all.extend(sent);
    }
    let mut client = service.client().await;
    for (id, mode, _, top_up) in ACCOUNTS {
        let mine: BTreeSet<&str> =
            all.iter().filter(|sent| sent.request.account_id == id).map(|sent| sent.request.request_id.as_str()).collect();
        check_books(&mut client, id, mode, decimal(top_up), &mine).await;
    }
}

/// The journal has no gap, each charge once and nothing else, and adds up to the account.
async fn check_books(client: &mut Client, id: &str, mode: PaymentMode, top_up: Decimal, sent: &BTreeSet<&str>) {
    let journal = client.journal(id).await;
    let mut charges = BTreeMap::new();
    let mut sequence = 0;
    for entry in &journal {
        if entry.account_sequence > 0 {
            sequence += 1;
            assert_eq!(entry.account_sequence, sequence, "{id}: the journal has a gap");
        }
        if [EntryKind::ChargedBalance, EntryKind::ChargedUnbilled].contains(&entry.kind()) {
            let earlier = charges.insert(entry.request_id.as_str(), amount(entry.amount.as_ref()));
            assert_eq!(earlier, None, "{id}: {} was charged twice", entry.request_id);
            assert!(sent.contains(entry.request_id.as_str()), "{id}: nobody sent {}", entry.request_id);
        }
    }
    assert!(!charges.is_empty());
    for request in sent {
        let again = client.charging.debit(debit(id, request, "0")).await;
        // Every one of them was decided, so another content is refused.
        assert_eq!(again.unwrap_err().code(), tonic::Code::FailedPrecondition, "{id}: {request}");
    }
    let total: Decimal = charges.values().sum();
    let credit = client.credit(id).await;
    let (balance, unbilled) = match mode {
        PaymentMode::Prepaid => (top_up - total, Decimal::ZERO),
        _ => (top_up, total),
    };
    assert_eq!((decimal(&credit.balance), decimal(&credit.unbilled)), (balance, unbilled), "{id}");
    assert!(decimal(&credit.usable) >= Decimal::ZERO, "{id}: {credit:?}");
}

#[tokio::test]
async fn kill_9_under_load_loses_nothing_that_was_acknowledged_on_the_embedded_engine() {
    kill_under_load(&Place::Folder(temporary_folder())).await;
}

#[tokio::test]
async fn kill_9_under_load_loses_nothing_that_was_acknowledged_on_redis() {
    kill_under_load(&Place::Redis(RedisServer::redis())).await;
}

#[tokio::test]
async fn a_service_that_is_asked_to_stop_loses_nothing_and_waits_for_nobody_who_is_idle() {
    let folder = temporary_folder();
    let service = Service::embedded(folder.path());
    let mut client = service.client().await;
    for (id, mode, limit, top_up) in ACCOUNTS {
        client.open(id, mode, limit, top_up).await;
    }
    let seed = seed();
    let acknowledged = Arc::new(AtomicUsize::new(0));
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..4 {
        let random = StdRng::seed_from_u64(seed.wrapping_add(task));
        tasks.spawn(load(service.client().await, random, format!("{task}"), Arc::clone(&acknowledged)));
    }
    until("there is a load", async || (acknowledged.load(Ordering::Relaxed) > 100).then_some(())).await;
    let stopping = std::time::Instant::now();
    assert!(service.stopped().await.success());
    assert!(stopping.elapsed() < Duration::from_secs(5), "it waited for its grace of 10 s to end");
    let sent: Vec<Sent> = tasks.join_all().await.into_iter().flatten().collect();
    let service = Service::embedded(folder.path());
    let mut client = service.client().await;
    for Sent { request, answer } in sent {
        let again = client.charging.debit(request).await.unwrap().into_inner();
        assert!(again.replayed || answer.is_none(), "seed {seed}: an answer was lost");
    }
}

/// Callers that give up, by a deadline or by hanging up, at any instant.
async fn give_up(service: &Service) {
    let mut random = StdRng::seed_from_u64(seed());
    let mut client = service.client().await;
    client.open("acme", PaymentMode::Prepaid, "0", "10000").await;
    let mut calls = tokio::task::JoinSet::new();
    let mut ended = Vec::new();
    const CALLS: usize = 300;
    for number in 0..CALLS {
        // As many at a time that some wait, few enough that some are answered.
        if calls.len() == 10 {
            ended.extend(calls.join_next().await);
        }
        // From far too short to long enough.
        let patience = Duration::from_micros(10_u64.pow(random.random_range(1..6)) * random.random_range(1..10));
        let (hangs_up, reserves): (bool, bool) = (random.random(), random.random());
        let mut client = client.clone();
        calls.spawn(async move {
            let call = async {
                let patience = if hangs_up { PATIENCE } else { patience };
                let id = format!("r{number}");
                if reserves {
                    let mut request = Request::new(authorize(&id));
                    request.set_timeout(patience);
                    client.charging.authorize(request).await.map(|_| ())
                } else {
                    let mut request = Request::new(debit("acme", &id, "1"));
                    request.set_timeout(patience);
                    client.charging.debit(request).await.map(|_| ())
                }
            };
            let is_answered = matches!(tokio::time::timeout(if hangs_up { patience } else { PATIENCE }, call).await, Ok(Ok(())));
            (number, reserves, is_answered)
        });
    }
    let ended = ended.into_iter().map(Result::unwrap).chain(calls.join_all().await);
    let (mut reserved, mut charged, mut answered, mut unheard) = (0, 0, 0, 0);
    for (number, reserves, is_answered) in ended {
        let id = format!("r{number}");
        let replayed = if reserves {
            reserved += 1;
            client.charging.authorize(authorize(&id)).await.unwrap().into_inner().replayed
        } else {
            charged += 1;
            client.charging.debit(debit("acme", &id, "1")).await.unwrap().into_inner().replayed
        };
        assert!(replayed || !is_answered, "{id} was answered, and is lost");
        answered += usize::from(is_answered);
        unheard += usize::from(replayed && !is_answered);
    }
    println!("of {CALLS} calls, {answered} were answered, {unheard} decided though nobody waited");
    assert!((1..CALLS).contains(&answered), "nobody gave up, or everybody did");
    let credit = client.credit("acme").await;
    assert_eq!((credit.balance, credit.reserved), (format!("{}.00", 10_000 - charged), format!("{}.00", 2 * reserved)));
    let names: BTreeSet<String> = client.journal("acme").await.into_iter().map(|entry| entry.request_id).collect();
    assert_eq!(names.len(), CALLS + 2);
}

fn authorize(request_id: &str) -> v1::AuthorizeRequest {
    let reserve = Some(v1::Reserve { amount: money("2"), ..Default::default() });
    v1::AuthorizeRequest { account_id: "acme".into(), request_id: request_id.into(), reserve, ..Default::default() }
}

#[tokio::test]
async fn a_caller_who_gives_up_leaves_nothing_half_done_on_the_embedded_engine() {
    let folder = temporary_folder();
    give_up(&Service::embedded(folder.path())).await;
}

#[tokio::test]
async fn a_caller_who_gives_up_leaves_nothing_half_done_on_redis() {
    let redis = RedisServer::redis();
    give_up(&Service::redis(&redis.url())).await;
}

#[tokio::test]
async fn a_call_that_a_silent_redis_leaves_open_is_answered_within_its_deadline_and_charged_once() {
    let redis = RedisServer::redis();
    let service = Service::start(&["--redis", &redis.url(), "--redis-timeout", "20s"], &[]);
    let mut client = service.client().await;
    client.open("acme", PaymentMode::Prepaid, "0", "10").await;
    redis.signal("STOP");
    let mut request = Request::new(debit("acme", "d1", "4"));
    request.set_timeout(Duration::from_secs(3));
    // The service's answer, not that of this client's own timer.
    let error = client.charging.debit(request).await.unwrap_err();
    assert_eq!(error.code(), tonic::Code::Unavailable, "{error}");
    assert_eq!(error.get_details_error_info().unwrap().reason, "OUTCOME_UNKNOWN");
    redis.signal("CONT");
    // It was sent, so it was charged, though nobody waited any more.
    let again = client.charging.debit(debit("acme", "d1", "4")).await.unwrap().into_inner();
    assert_eq!((again.replayed, charged(&again)), (true, Some(decimal("4"))));
    assert_eq!(again.credit.unwrap().balance, "6.00");
}

/// The next message of a watch, which must come soon.
async fn next(watch: &mut tonic::Streaming<v1::WatchUsableCreditResponse>) -> v1::WatchUsableCreditResponse {
    let message = tokio::time::timeout(Duration::from_secs(10), watch.message()).await.expect("no message came");
    message.unwrap().expect("the watch has ended")
}

fn temporary_limit(until: jiff::Timestamp) -> v1::SetCreditLimitRequest {
    let end = prost_types::Timestamp { seconds: until.as_second(), nanos: until.subsec_nanosecond() };
    let limit = v1::TemporaryCreditLimit { limit: money("80"), end: Some(v1::temporary_credit_limit::End::Until(end)) };
    let temporary = Some(v1::credit_limit_change::Temporary::SetTemporary(limit));
    v1::SetCreditLimitRequest {
        account_id: "acme".into(),
        request_id: "limit".into(),
        credit_limit: Some(v1::CreditLimitChange { permanent: None, temporary }),
        allow_unusable: false,
        operator: Some(v1::Operator { actor: "ann".into(), reason: "a test".into() }),
        first_sent_at: None,
    }
}

async fn watch_time_pass(store: &[&str]) {
    let folder = temporary_folder();
    let clock = folder.path().join("clock");
    std::fs::write(&clock, "2026-11-20T12:00:00Z").unwrap();
    let service = Service::start(&[store, &["--test-clock", clock.to_str().unwrap()]].concat(), &[]);
    let mut client = service.client().await;
    client.open("acme", PaymentMode::Postpaid, "50", "0").await;
    client.charging.debit(debit("acme", "d1", "12.3456")).await.unwrap();
    client.accounts.set_credit_limit(temporary_limit("2026-11-20T13:00:00Z".parse().unwrap())).await.unwrap();
    let request = v1::WatchUsableCreditRequest { account_id: "acme".into() };
    let mut watch = client.charging.watch_usable_credit(request).await.unwrap().into_inner();
    assert_eq!(next(&mut watch).await.credit.unwrap().usable, "67.6544");
    std::fs::write(&clock, "2026-11-20T13:00:00Z").unwrap();
    let credit = next(&mut watch).await.credit.unwrap();
    assert_eq!((credit.usable.as_str(), credit.credit_limit.as_str()), ("37.6544", "50.00"));
    std::fs::write(&clock, "2026-12-01T00:00:00Z").unwrap();
    let credit = next(&mut watch).await.credit.unwrap();
    // What was unbilled is due, rounded to the cent; the limit is whole again.
    assert_eq!((credit.usable.as_str(), credit.unbilled.as_str(), credit.amount_due.as_str()), ("50.00", "0.00", "12.35"));
}

#[tokio::test]
async fn a_watcher_is_told_of_the_end_of_a_limit_and_of_a_month_on_the_embedded_engine() {
    let folder = temporary_folder();
    watch_time_pass(&["--store", folder.path().join("ledger.db").to_str().unwrap()]).await;
}

#[tokio::test]
async fn a_watcher_is_told_of_the_end_of_a_limit_and_of_a_month_on_redis() {
    let redis = RedisServer::redis();
    watch_time_pass(&["--redis", &redis.url()]).await;
}

#[tokio::test]
async fn a_watcher_is_told_of_the_end_of_a_limit_by_the_running_clock() {
    let redis = RedisServer::redis();
    let service = Service::redis(&redis.url());
    let mut client = service.client().await;
    client.open("acme", PaymentMode::Prepaid, "50", "0").await;
    let end = jiff::Timestamp::from_millisecond((tollgate::clock::system_now() + 1500).get()).unwrap();
    client.accounts.set_credit_limit(temporary_limit(end)).await.unwrap();
    let request = v1::WatchUsableCreditRequest { account_id: "acme".into() };
    let mut watch = client.charging.watch_usable_credit(request).await.unwrap().into_inner();
    assert_eq!(next(&mut watch).await.credit.unwrap().usable, "80.00");
    assert_eq!(next(&mut watch).await.credit.unwrap().usable, "50.00");
    // The service's clock is Redis's, to a few milliseconds.
    assert!((tollgate::clock::system_now() + 50).get() >= end.as_millisecond(), "told too early");
}
