//! The embedded engine as a process among others: the system's clock, a full disk, a stop, a kill.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use tollgate::grpc::v1::{PaymentMode, Usage};
use tonic::Code;
use tonic::transport::Endpoint;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::command::Operator;
use crate::service::{Service, binary, debit, until};
use crate::support::{RedisServer, temporary_folder};

fn serve(store: &Path, options: &[&str]) -> Service {
    Service::start(&[&["--store", store.to_str().unwrap()], options].concat(), &[])
}

async fn is_serving(service: &Service) -> bool {
    let channel = Endpoint::from_shared(format!("http://{}", service.address)).unwrap().connect().await.unwrap();
    let mut client = HealthClient::new(channel);
    let response = client.check(HealthCheckRequest { service: String::new() }).await.unwrap().into_inner();
    response.status == ServingStatus::Serving as i32
}

/// The library that tells a process another time. Its monotonic clock stays true, as when a machine's clock is set.
pub fn faketime() -> PathBuf {
    let folders = std::fs::read_dir("/usr/lib").unwrap().map(|folder| folder.unwrap().path().join("faketime/libfaketimeMT.so.1"));
    folders.into_iter().find(|library| library.exists()).expect("libfaketime is not installed: tests/run does it")
}

#[tokio::test]
async fn entries_carry_the_time_of_the_system_after_its_clock_was_set_and_never_an_earlier_one() {
    let folder = temporary_folder();
    let (setting, store) = (folder.path().join("time"), folder.path().join("ledger.db"));
    let set = |offset: &str| {
        std::fs::write(folder.path().join("new"), offset).unwrap();
        std::fs::rename(folder.path().join("new"), &setting).unwrap();
    };
    set("+0\n");
    let library = faketime();
    let environment = [
        ("LD_PRELOAD", library.to_str().unwrap()),
        ("FAKETIME_TIMESTAMP_FILE", setting.to_str().unwrap()),
        ("FAKETIME_NO_CACHE", "1"),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
        ("DONT_FAKE_MONOTONIC", "1"),
    ];
    let service = Service::start(&["--store", store.to_str().unwrap(), "--billing", "off"], &environment);
    let mut client = service.client().await;
    client.open("acme", PaymentMode::Prepaid, "0", "1000").await;
    let mut time_of = async |request_id: String| {
        client.charging.debit(debit("acme", &request_id, "0.01")).await.unwrap();
        let accepted = client.journal("acme").await.pop().unwrap().accepted_at.unwrap();
        accepted.seconds * 1000 + i64::from(accepted.nanos) / 1_000_000
    };
    let before = time_of("before".into()).await;
    set("+7200\n");
    let deadline = Instant::now() + Duration::from_secs(3);
    let mut later = 0;
    for number in 0.. {
        later = time_of(format!("later-{number}")).await;
        if later - before >= 7_200_000 {
            break;
        }
        assert!(Instant::now() < deadline, "the clock was set two hours ahead, and entries are only {} ms later", later - before);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(later - before < 7_260_000);
    // Set back again: what was decided stays earlier than what is decided next.
    set("+0\n");
    let mut last = later;
    for number in 0..20 {
        let next = time_of(format!("back-{number}")).await;
        assert!(next >= last, "an entry is {} ms older than the one before it", last - next);
        last = next;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(last - later < 60_000);
}

#[tokio::test]
async fn what_is_written_is_not_for_others_on_the_machine_whatever_the_umask_was() {
    let folder = temporary_folder();
    let store = folder.path().join("ledger.db");
    let made = Command::new("sh").args(["-c", "umask 000; exec \"$0\" init --store \"$1\""]).args([&binary(), &store]).status().unwrap();
    assert!(made.success());
    let service = serve(&store, &[]);
    let backup = folder.path().join("backup.db");
    let backed_up = async || Operator::of(&service).run_words(&["backup", backup.to_str().unwrap()]).status.success().then_some(());
    until("the billing store is there, and both are copied", backed_up).await;
    for name in ["ledger.db", "ledger.billing.db", "backup.db", "backup.billing.db"] {
        let mode = std::fs::metadata(folder.path().join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o007, 0, "{name} has mode {mode:o}");
    }
    assert!(service.stopped().await.success());
}

#[tokio::test]
async fn after_a_stop_the_file_of_the_ledger_is_whole_by_itself() {
    let folder = temporary_folder();
    let store = folder.path().join("ledger.db");
    for life in 1..=5 {
        let service = serve(&store, &[]);
        let mut client = service.client().await;
        if life == 1 {
            client.open("acme", PaymentMode::Prepaid, "0", "1000").await;
        }
        let charges = (0..100).map(|number| {
            let (mut client, id) = (client.clone(), format!("charge-{life}-{number}"));
            async move { client.charging.debit(debit("acme", &id, "1")).await.unwrap() }
        });
        futures_util::future::join_all(charges).await;
        drop(client);
        assert!(service.stopped().await.success());
        for file in std::fs::read_dir(folder.path()).unwrap().map(Result::unwrap) {
            let is_log = file.file_name().to_str().unwrap().ends_with("-wal");
            assert!(!is_log || file.metadata().unwrap().len() == 0, "something is left in {}", file.path().display());
        }
        let elsewhere = temporary_folder();
        let copy = elsewhere.path().join("ledger.db");
        std::fs::copy(&store, &copy).unwrap();
        let service = serve(&copy, &["--billing", "off"]);
        let credit = service.client().await.credit("acme").await;
        assert_eq!(credit.balance.parse::<f64>().unwrap(), f64::from(1000 - life * 100));
    }
}

#[tokio::test]
async fn billing_goes_on_at_once_after_the_service_was_killed() {
    let folder = temporary_folder();
    let store = folder.path().join("ledger.db");
    // The lease that the killed one leaves behind outlasts this test.
    let options = ["--aggregation-lease", "10m"];
    let service = serve(&store, &options);
    let mut client = service.client().await;
    client.open("acme", PaymentMode::Prepaid, "0", "1000").await;
    let billing = folder.path().join("ledger.billing.db");
    client.charging.debit(debit("acme", "first", "1")).await.unwrap();
    until("the first charge is billed", async || (charges_in(&billing) == 1).then_some(())).await;
    service.kill();
    let service = serve(&store, &options);
    let mut client = service.client().await;
    client.charging.debit(debit("acme", "second", "1")).await.unwrap();
    let started = Instant::now();
    until("the second charge is billed", async || (charges_in(&billing) == 2).then_some(())).await;
    assert!(started.elapsed() < Duration::from_secs(3), "it took {:?}", started.elapsed());
}

/// How many charges a billing store has.
fn charges_in(billing: &Path) -> i64 {
    let count = || {
        let connection = rusqlite::Connection::open_with_flags(billing, rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        connection.query_row("SELECT COUNT(*) FROM entries WHERE kind IN (3, 4, 5)", [], |row| row.get(0))
    };
    count().unwrap_or(0)
}

/// Serves from a disk that can be full: writes beyond a limit fail, and do not end the process.
fn serve_limited(store: &Path) -> Service {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", r#"trap "" XFSZ; exec "$0" "$@""#]).arg(binary());
    Service::spawn(command, &["--store", store.to_str().unwrap(), "--billing", "off"], &[])
}

/// Says how large the files of a process may become.
fn limit_files(service: &Service, bytes: &str) {
    let process = service.id().to_string();
    let limit = format!("--fsize={bytes}:");
    assert!(Command::new("prlimit").args(["--pid", &process, &limit]).status().unwrap().success());
}

#[tokio::test]
async fn health_tells_that_the_ledger_cannot_be_written_and_nothing_is_lost_or_done_by_halves() {
    let folder = temporary_folder();
    let store = folder.path().join("ledger.db");
    let service = serve_limited(&store);
    let mut client = service.client().await;
    client.open("acme", PaymentMode::Prepaid, "0", "1000").await;
    let charge = |number: usize| debit("acme", &format!("charge-{number}"), "1");
    for number in 0..50 {
        client.charging.debit(charge(number)).await.unwrap();
    }
    assert!(is_serving(&service).await);
    let written = std::fs::metadata(folder.path().join("ledger.db-wal")).unwrap().len();
    limit_files(&service, &written.to_string());
    let mut refused = Vec::new();
    for number in 50..100 {
        match client.charging.debit(charge(number)).await {
            Ok(_) => assert!(refused.is_empty(), "charge {number} went through"),
            Err(status) => {
                assert_eq!(status.code(), Code::Unavailable, "{status:?}");
                refused.push(number);
            }
        }
    }
    assert!(!refused.is_empty());
    until("health says that it does not serve", async || (!is_serving(&service).await).then_some(())).await;
    let told = service.log().into_iter().filter(|line| line.contains("ERROR") && line.contains("cannot be written")).count();
    assert!((1..=5).contains(&told), "the log tells why, once, not for each charge: {told} lines of {:#?}", service.log());
    // What was refused did not happen, not even in memory.
    let charged = 100 - refused.len();
    let credit = client.credit("acme").await;
    assert_eq!(credit.balance.parse::<f64>().unwrap(), 1000.0 - charged as f64);
    limit_files(&service, "unlimited");
    until("health says that it serves again", async || is_serving(&service).await.then_some(())).await;
    for number in &refused {
        client.charging.debit(charge(*number)).await.unwrap();
    }
    assert_eq!(client.credit("acme").await.balance.parse::<f64>().unwrap(), 900.0);
    service.kill();
    let service = serve(&store, &["--billing", "off"]);
    assert_eq!(service.client().await.credit("acme").await.balance.parse::<f64>().unwrap(), 900.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_of_a_running_service_belongs_together_and_holds_up_no_charge() {
    let (folder, elsewhere) = (temporary_folder(), temporary_folder());
    // Little stays in the journal: what the billing store's copy has not must not be trimmed off the ledger's.
    let service = serve(&folder.path().join("ledger.db"), &["--journal-tail", "10"]);
    let mut client = service.client().await;
    client.open("acme", PaymentMode::Postpaid, "1000000", "0").await;
    for round in 0..20 {
        let charges = (0..500).map(|number| {
            let (mut client, mut charge) = (client.clone(), debit("acme", &format!("{round}-{number}"), "1"));
            charge.usage = Some(Usage { description: "x".repeat(200), ..Usage::default() });
            async move { client.charging.debit(charge).await.unwrap() }
        });
        futures_util::future::join_all(charges).await;
    }
    let (stop, mut stopped) = tokio::sync::oneshot::channel::<()>();
    let mut charging = client.clone();
    let traffic = tokio::spawn(async move {
        let (mut number, mut longest) = (0, Duration::ZERO);
        while stopped.try_recv() == Err(tokio::sync::oneshot::error::TryRecvError::Empty) {
            let started = Instant::now();
            charging.charging.debit(debit("acme", &format!("meanwhile-{number}"), "1")).await.unwrap();
            (number, longest) = (number + 1, longest.max(started.elapsed()));
        }
        (number, longest)
    });
    for number in 0..3 {
        let operator = Operator::of(&service);
        let file = elsewhere.path().join(format!("backup-{number}.db"));
        let line = format!("backup {}", file.display());
        let ended = tokio::task::spawn_blocking(move || operator.run(&line)).await.unwrap();
        assert!(ended.status.success(), "{ended:?}");
    }
    stop.send(()).unwrap();
    let (count, longest) = traffic.await.unwrap();
    assert!(count > 10 && longest < Duration::from_millis(300), "{count} charges meanwhile, the slowest took {longest:?}");
    let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| !name.to_str().unwrap().contains("backup")), "{left:?}");
    for number in 0..3 {
        let file = elsewhere.path().join(format!("backup-{number}.db"));
        let verified = Operator::nowhere().run(&format!("verify --store {}", file.display()));
        assert!(verified.status.success(), "{verified:?}");
        let again = Operator::of(&service).run(&format!("backup {}", file.display()));
        assert!(!again.status.success() && again.error.contains("is there already"), "{again:?}");
    }
    // It goes on as a service of its own.
    let restored = serve(&elsewhere.path().join("backup-2.db"), &[]);
    let mut client = restored.client().await;
    client.charging.debit(debit("acme", "after", "1")).await.unwrap();
    assert!(client.credit("acme").await.unbilled.parse::<f64>().unwrap() > 10_000.0);
    assert!(restored.stopped().await.success());
    let verified = Operator::nowhere().run(&format!("verify --store {}", elsewhere.path().join("backup-2.db").display()));
    assert!(verified.status.success(), "{verified:?}");
}

#[tokio::test]
async fn a_backup_where_a_store_is_not_in_a_file_is_refused_with_what_to_do_instead() {
    let (redis, elsewhere) = (RedisServer::redis(), temporary_folder());
    let service = Service::start(&["--redis", &redis.url(), "--billing", "off"], &[]);
    let file = elsewhere.path().join("backup.db");
    let ended = Operator::of(&service).run(&format!("backup {}", file.display()));
    assert_eq!(ended.status.code(), Some(1), "{ended:?}");
    assert!(ended.error.contains("BGSAVE") && ended.error.contains("BACKUP_NOT_SUPPORTED"), "{ended:?}");
    assert!(!file.exists());
}
