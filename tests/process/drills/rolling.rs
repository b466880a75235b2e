//! A rolling restart under load: two processes on one ledger, replaced one after the other, perhaps by another version.
//!
//! `TOLLGATE_OLD_BINARY` names the version that is replaced: a binary, or a commit, which is then built. Without it, both are this one.

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tollgate::grpc::v1::{self, PaymentMode};

use crate::clients::script;
use crate::command::Operator;
use crate::postgres::PostgresServer;
use crate::service::{Service, binary, debit, money, until};
use crate::support::RedisServer;

/// The binary of the version that is replaced.
fn old_binary() -> PathBuf {
    let Some(old) = std::env::var_os("TOLLGATE_OLD_BINARY") else { return binary() };
    if Path::new(&old).is_file() {
        return old.into();
    }
    let (repository, commit) = (env!("CARGO_MANIFEST_DIR"), old.to_str().unwrap());
    let (tree, target) = (Path::new(repository).join("target/old/tree"), Path::new(repository).join("target/old/target"));
    let git = |words: &[&str]| Command::new("git").args(["-C", repository]).args(words).status().unwrap();
    if !tree.exists() {
        assert!(git(&["worktree", "add", "--detach", tree.to_str().unwrap(), commit]).success());
    }
    let checked_out = Command::new("git").arg("-C").arg(&tree).args(["checkout", "--quiet", "--detach", commit]).status().unwrap();
    assert!(checked_out.success(), "no commit {commit}");
    let mut build = Command::new("cargo");
    build.args(["build", "--quiet", "--bin", "tollgate"]).current_dir(&tree).env("CARGO_TARGET_DIR", &target);
    assert!(build.status().unwrap().success());
    target.join("debug/tollgate")
}

/// Clients with the usual retries of gRPC, balanced over both processes.
struct Clients {
    input: Option<ChildStdin>,
    child: std::process::Child,
    done: Arc<AtomicUsize>,
    last: Arc<Mutex<String>>,
}

impl Clients {
    fn start(addresses: &[SocketAddr; 2]) -> Self {
        let [first, second] = addresses.map(|address| address.to_string());
        let mut child = script("rolling.py", &[&first, &second, "acme"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (done, last) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(String::new())));
        let (counted, kept, output) = (Arc::clone(&done), Arc::clone(&last), child.stdout.take().unwrap());
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if let Some(count) = line.strip_prefix("done ") {
                    counted.store(count.parse().unwrap(), Ordering::Relaxed);
                }
                *kept.lock().unwrap() = line;
            }
        });
        Self { input: child.stdin.take(), child, done, last }
    }

    async fn go_on(&self, count: usize) {
        let before = self.done.load(Ordering::Relaxed);
        let is_further = || self.done.load(Ordering::Relaxed) >= before + count;
        until("clients go on", async || is_further().then_some(())).await;
    }

    /// Ends them; how many charges were done, and what failed.
    fn end(mut self) -> (usize, String) {
        let _ = writeln!(self.input.take().unwrap(), "end");
        assert!(self.child.wait().unwrap().success(), "{}", self.last.lock().unwrap());
        let last = self.last.lock().unwrap().clone();
        let (count, failed) = last.strip_prefix("all ").unwrap().split_once(' ').unwrap_or((last.strip_prefix("all ").unwrap(), ""));
        (count.parse().unwrap(), failed.to_owned())
    }
}

/// Each reports on what the other has reserved, gives back what the other has charged, and reads the same of all of it.
async fn both_read_what_either_writes(services: &[Option<Service>; 2], round: &str) {
    let mut clients = Vec::new();
    for service in services.iter().flatten() {
        clients.push(service.client().await);
    }
    for (one, other) in [(0, 1), (1, 0)] {
        let name = |what: &str| format!("{what}-{round}-{one}");
        let (account_id, reserve) = ("quiet".to_owned(), Some(v1::Reserve { amount: money("5"), ..Default::default() }));
        let authorize = v1::AuthorizeRequest { account_id: account_id.clone(), request_id: name("session"), reserve, ..Default::default() };
        clients[one].charging.authorize(authorize).await.unwrap();
        let report = v1::DebitRequest { reservation_id: name("session"), ..debit("quiet", &name("report"), "3.21") };
        clients[other].charging.debit(report).await.unwrap();
        let back = v1::RefundRequest { account_id, request_id: name("back"), charge_id: name("report"), ..Default::default() };
        let refunded = clients[one].charging.refund(back).await.unwrap().into_inner();
        assert_eq!(refunded.refunded, v1::Money { amount: "3.21".into(), currency_code: "EUR".into() }.into());
    }
    let mut journals = Vec::new();
    for client in &mut clients {
        // What both versions know of an entry.
        let known = |entry: v1::Entry| {
            (entry.request_id, entry.kind, entry.amount, entry.unbilled_after, entry.account_sequence, entry.accepted_at)
        };
        journals.push(client.journal("quiet").await.into_iter().map(known).collect::<Vec<_>>());
        let credit = client.credit("quiet").await;
        assert_eq!([credit.unbilled, credit.reserved, credit.usable], ["0.00", "0.00", "1000.00"], "{round}");
    }
    assert_eq!(journals[0], journals[1], "{round}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_call_fails_during_a_rolling_restart_that_a_client_with_retries_would_notice() {
    let (old, new) = (old_binary(), binary());
    let (redis, postgres) = (RedisServer::redis(), PostgresServer::shared());
    let (url, billing) = (redis.url(), postgres.database());
    let stores = ["--redis", url.as_str(), "--billing", billing.as_str()];
    let initialized = Command::new(&old).arg("init").args(stores).output().unwrap();
    assert!(initialized.status.success(), "{initialized:?}");
    // Addresses that no other test has, and that each process takes over from the one before.
    let [a, b] = [std::process::id() / 250 % 250, std::process::id() % 250].map(|part| u8::try_from(part + 1).unwrap());
    let addresses: [SocketAddr; 2] = [1, 2].map(|last| SocketAddr::from(([127, a, b, last], 7600)));
    let start = |binary: &Path, address: SocketAddr| {
        let listen = address.to_string();
        let arguments = [&stores[..], &["--listen", &listen, "--aggregate", "--aggregation-lease", "1s"]].concat();
        Service::spawn(Command::new(binary), &arguments, &[])
    };
    let mut services = addresses.map(|address| Some(start(&old, address)));
    let mut client = services[0].as_ref().unwrap().client().await;
    client.open("acme", PaymentMode::Postpaid, "1000000", "0").await;
    client.open("quiet", PaymentMode::Postpaid, "1000", "0").await;
    drop(client);

    let clients = Clients::start(&addresses);
    clients.go_on(200).await;
    both_read_what_either_writes(&services, "before").await;
    // An older version would not be started on tables that a newer one has changed.
    let rounds = if old == new { 3 } else { 1 };
    for round in 0..rounds {
        for place in 0..services.len() {
            assert!(services[place].take().unwrap().stopped().await.success());
            services[place] = Some(start(&new, addresses[place]));
            clients.go_on(200).await;
            both_read_what_either_writes(&services, &format!("{round}-{place}")).await;
        }
    }
    let (count, failed) = tokio::task::spawn_blocking(|| clients.end()).await.unwrap();
    assert_eq!(failed, "", "{count} was charged");

    let mut client = services[0].as_ref().unwrap().client().await;
    assert_eq!(client.credit("acme").await.unbilled, format!("{count}.00"), "each charge once, and each refund");
    until("the stores are verified", async || {
        let words: Vec<&str> = ["verify"].into_iter().chain(stores).collect();
        Operator::nowhere().run_words(&words).status.success().then_some(())
    })
    .await;
    for service in services.into_iter().flatten() {
        assert!(service.stopped().await.success());
    }
}
