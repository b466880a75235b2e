//! The binary as its own process: started on free ports, watched by its log, ended with this value.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "test support; each test uses a part")]

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::{Duration, Instant};

use tollgate::grpc::v1::account_service_client::AccountServiceClient;
use tollgate::grpc::v1::billing_service_client::BillingServiceClient;
use tollgate::grpc::v1::charging_service_client::ChargingServiceClient;
use tollgate::grpc::v1::{self, PaymentMode};
use tonic::transport::{Channel, Endpoint};

/// How long anything may take before a test gives up on it.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// The binary under test: this build's, or the one that TOLLGATE_BINARY names.
pub fn binary() -> PathBuf {
    std::env::var_os("TOLLGATE_BINARY").map_or_else(|| env!("CARGO_BIN_EXE_tollgate").into(), PathBuf::from)
}

/// Whether `tollgate serve` of the binary under test has an option: earlier ones have not.
fn knows(option: &str) -> bool {
    static HELP: LazyLock<String> = LazyLock::new(|| {
        let output = Command::new(binary()).args(["serve", "--help"]).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    });
    HELP.contains(option)
}

/// `tollgate serve`, running.
pub struct Service {
    child: Child,
    pub address: SocketAddr,
    pub metrics: SocketAddr,
    log: Arc<Mutex<Vec<String>>>,
}

/// The words of a command line without the URLs that have a password, which are refused there, and the variables that hold these.
pub fn without_passwords<'a>(words: &[&'a str]) -> (Vec<&'a str>, Vec<(&'static str, &'a str)>) {
    let (mut shown, mut hidden, mut rest) = (Vec::new(), Vec::new(), words);
    while let [word, behind @ ..] = rest {
        let variable = match *word {
            "--redis" => Some("TOLLGATE_REDIS"),
            "--billing" => Some("TOLLGATE_BILLING"),
            _ => None,
        };
        rest = match (variable, behind) {
            (Some(variable), [url, behind @ ..]) if url.contains("://tollgate:") || url.contains("pass=") || url.contains("password=") => {
                hidden.push((variable, *url));
                behind
            }
            _ => {
                shown.push(*word);
                behind
            }
        };
    }
    (shown, hidden)
}

impl Service {
    /// On the embedded engine, with its store in this folder.
    pub fn embedded(folder: &Path) -> Self {
        Self::start(&["--store", folder.join("ledger.db").to_str().unwrap()], &[])
    }

    /// On a Redis.
    pub fn redis(url: &str) -> Self {
        Self::start(&["--redis", url], &[])
    }

    /// Starts it, and waits until it says where it serves: in its log, which is JSON here. On a Redis it may create its ledger, and there
    /// is no billing store unless a test names one; what nobody reads is kept for the test to read.
    pub fn start(arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let mut arguments = arguments.to_vec();
        if arguments.contains(&"--redis") && knows("--create") {
            arguments.push("--create");
            let is_billed = arguments.contains(&"--billing") || environment.iter().any(|(name, _)| *name == "TOLLGATE_BILLING");
            if !is_billed {
                arguments.extend(["--billing", "off", "--journal-tail", "2000000"]);
            }
        }
        Self::open(&arguments, environment)
    }

    /// Starts it with these arguments and no others.
    pub fn open(arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        Self::spawn(Command::new(binary()), arguments, environment)
    }

    /// The same, by a command that runs the binary.
    pub fn spawn(mut command: Command, arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let (arguments, hidden) = without_passwords(arguments);
        let listen: &[&str] = if arguments.contains(&"--listen") { &[] } else { &["--listen", "127.0.0.1:0"] };
        let mut child = command
            .args(["serve", "--metrics-listen", "127.0.0.1:0"])
            .args(listen)
            .args(arguments)
            .env_clear()
            // Its default port is one for all.
            .env("TOLLGATE_CONSOLE", "off")
            .envs(hidden)
            .envs(environment.iter().copied())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = Arc::new(Mutex::new(Vec::new()));
        let (found, serving) = channel();
        let (stderr, kept) = (child.stderr.take().unwrap(), Arc::clone(&log));
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                let event: serde_json::Value = serde_json::from_str(&line).unwrap_or_default();
                // Before anybody hears that it serves, so that the log says so, too.
                kept.lock().unwrap().push(line);
                if event["message"] == "serving" {
                    let address = |name: &str| event[name].as_str().unwrap().parse::<SocketAddr>().unwrap();
                    let _ = found.send((address("address"), address("metrics")));
                }
            }
        });
        match serving.recv_timeout(PATIENCE) {
            Ok((address, metrics)) => Self { child, address, metrics, log },
            Err(error) => {
                // A sender that is gone means that the process has ended.
                let ended = (error == RecvTimeoutError::Disconnected).then(|| child.wait());
                panic!("tollgate does not serve ({ended:?}): {:#?}", log.lock().unwrap())
            }
        }
    }

    /// What it has logged so far.
    pub fn log(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }

    /// The number of its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Ends it as a crash would: SIGKILL.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Asks it to stop (SIGTERM), and waits until it has.
    pub fn stop(mut self) -> ExitStatus {
        assert!(Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap().success());
        self.child.wait().unwrap()
    }

    /// Stops it, and returns all that it has logged, to the last line.
    pub async fn log_to_its_end(self) -> Vec<String> {
        let log = Arc::clone(&self.log);
        assert!(self.stopped().await.success());
        let ends = || log.lock().unwrap().last().is_some_and(|line| line.contains("\"stopped\""));
        until("the log ends", async || ends().then_some(())).await;
        log.lock().unwrap().clone()
    }

    /// Does the same without holding up clients on this runtime, which must hear of it.
    pub async fn stopped(self) -> ExitStatus {
        tokio::task::spawn_blocking(|| self.stop()).await.unwrap()
    }

    /// Waits until it has ended by itself.
    pub async fn ended(mut self) -> ExitStatus {
        until("it ends", || std::future::ready(self.child.try_wait().unwrap())).await
    }

    /// A connection of its own.
    pub async fn client(&self) -> Client {
        Client::connect(self.address).await
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("tollgate's log:\n{}", self.log.lock().unwrap().join("\n"));
        }
    }
}

/// All services, over one connection.
#[derive(Clone)]
pub struct Client {
    pub charging: ChargingServiceClient<Channel>,
    pub accounts: AccountServiceClient<Channel>,
    pub billing: BillingServiceClient<Channel>,
}

impl Client {
    pub async fn connect(address: SocketAddr) -> Self {
        let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap().tcp_nodelay(true);
        let channel = endpoint.connect_timeout(PATIENCE).connect().await.unwrap();
        Self {
            charging: ChargingServiceClient::new(channel.clone()),
            accounts: AccountServiceClient::new(channel.clone()),
            billing: BillingServiceClient::new(channel),
        }
    }

    /// Opens an account with a limit, and money in it.
    pub async fn open(&mut self, id: &str, mode: PaymentMode, limit: &str, top_up: &str) {
        let request = v1::CreateAccountRequest {
            account_id: id.into(),
            request_id: "create".into(),
            name: format!("Customer {id}"),
            currency_code: "EUR".into(),
            mode: mode.into(),
            credit_limit: Some(v1::CreditLimitChange { permanent: money(limit), temporary: None }),
            allow_unusable: true,
            ..Default::default()
        };
        self.accounts.create_account(request).await.unwrap();
        if top_up != "0" {
            let (account_id, request_id) = (id.into(), "top-up".into());
            let request = v1::TopUpRequest { account_id, request_id, amount: money(top_up), ..Default::default() };
            self.accounts.top_up(request).await.unwrap();
        }
    }

    pub async fn credit(&mut self, id: &str) -> v1::Credit {
        let request = v1::GetUsableCreditRequest { account_id: id.into() };
        self.charging.get_usable_credit(request).await.unwrap().into_inner().credit.unwrap()
    }

    /// All of an account's journal, oldest entry first.
    pub async fn journal(&mut self, id: &str) -> Vec<v1::Entry> {
        let mut request = v1::ListEntriesRequest { account_id: id.into(), page_size: 1000, ..Default::default() };
        let mut entries = Vec::new();
        loop {
            let page = self.accounts.list_entries(request.clone()).await.unwrap().into_inner();
            entries.extend(page.entries);
            request.page_token = page.next_page_token;
            if request.page_token.is_empty() {
                entries.reverse();
                return entries;
            }
        }
    }
}

pub fn money(amount: &str) -> Option<v1::Money> {
    Some(v1::Money { amount: amount.into(), currency_code: String::new() })
}

pub fn debit(account: &str, request_id: &str, amount: &str) -> v1::DebitRequest {
    v1::DebitRequest { account_id: account.into(), request_id: request_id.into(), amount: money(amount), ..Default::default() }
}

/// A seed for a test's random choices: printed, and taken from TOLLGATE_TEST_SEED if that is set.
pub fn seed() -> u64 {
    let given = std::env::var_os("TOLLGATE_TEST_SEED").map(|text| text.to_str().unwrap().parse().unwrap());
    let seed = given.unwrap_or_else(rand::random);
    println!("TOLLGATE_TEST_SEED={seed}");
    seed
}

/// Asks again and again until there is an answer, for so long as a test has patience.
pub async fn until<T, F: Future<Output = Option<T>>>(what: &str, mut ask: impl FnMut() -> F) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(Instant::now() < deadline, "never: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
