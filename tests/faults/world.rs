//! Everything that runs: servers, an aggregator, Redis, PostgreSQL, a mail server, and the links between them.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use serde_json::Value;

use crate::authority::Authority;
use crate::cluster::Cluster;
use crate::minutes;
use crate::network::Network;
use crate::postgres::PostgresServer;
use crate::process::{Process, WallClock};
use crate::proxy::Link;
use crate::script::{Kind, PARTITIONS, Part, SERVERS};
use crate::service::{binary, without_passwords};
use crate::support::{RedisServer, temporary_folder, valkey};

/// How large Redis's disk is, in bytes.
const DISK: u64 = 256 << 20;

/// Something of the binary that is started again when it has ended.
pub struct Supervised {
    pub name: String,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    pub process: Option<Process>,
    /// Where its callers come in. `None`: it has none.
    front: Option<Arc<Link>>,
    /// Whether it is to run.
    pub is_wanted: bool,
    /// What it said when it ended in a way that nothing explains.
    pub crashes: Vec<String>,
}

impl Supervised {
    fn new(name: &str, arguments: Vec<String>, environment: Vec<(String, String)>, front: Option<Arc<Link>>) -> Self {
        let (name, crashes) = (name.to_owned(), Vec::new());
        Self { name, arguments, environment, process: None, front, is_wanted: true, crashes }
    }

    /// Starts it, if it is to run and does not.
    pub fn tend(&mut self) {
        if let Some(process) = &mut self.process {
            let Some(status) = process.ended() else { return };
            // A start that is refused, because a store is away, ends with 1. A panic ends with 101.
            if !status.success() && status.code() != Some(1) && self.is_wanted {
                let log = process.log();
                let end = log.iter().skip(log.len().saturating_sub(40)).cloned().collect::<Vec<_>>().join("\n");
                self.crashes.push(format!("{} has ended ({status}):\n{end}", self.name));
            }
            self.process = None;
        }
        if !self.is_wanted {
            return;
        }
        let front = self.front.clone();
        let look = move |event: &Value| {
            if event["message"] == "serving"
                && let (Some(front), Some(address)) = (&front, event["address"].as_str())
            {
                front.lead_to(address.parse::<SocketAddr>().ok());
            }
        };
        if let Some(front) = &self.front {
            front.lead_to(None);
        }
        self.process = Some(Process::start(&self.arguments, &self.environment, look));
    }

    pub fn kill(&mut self) {
        if let Some(process) = &mut self.process {
            process.kill();
        }
        self.process = None;
    }

    pub fn signal(&self, signal: &str) {
        if let Some(process) = &self.process {
            process.signal(signal);
        }
    }
}

/// A server: its process, the way of callers to it, and its way to Redis.
pub struct Server {
    pub supervised: Supervised,
    pub front: Arc<Link>,
    pub store: Arc<Link>,
    pub clock: WallClock,
}

pub struct World {
    pub folder: tempfile::TempDir,
    ledger: Ledger,
    /// The node of the cluster that something has befallen, and the partitions that were there.
    pub befallen: Option<(usize, BTreeSet<u16>)>,
    pub redis_clock: WallClock,
    pub postgres: PostgresServer,
    pub billing: String,
    pub mail: MailServer,
    pub mail_link: Arc<Link>,
    pub servers: Vec<Server>,
    pub aggregator: Supervised,
    pub authority: Authority,
    /// The arguments of operators' commands that reach Redis.
    pub redis_arguments: Vec<String>,
    disk: Option<PathBuf>,
}

/// What a run is made on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Store {
    /// Debian's Redis, over TLS.
    Redis,
    Valkey,
    /// Three primaries of it, with a replica each, which an acknowledgement waits for.
    RedisCluster,
    ValkeyCluster,
}

/// What is there of it.
enum Ledger {
    One(RedisServer),
    Many(Box<Cluster>, Network),
}

/// How many primaries a cluster has.
const PRIMARIES: usize = 3;

/// How many replicas each of them has: two where one after another dies.
fn replicas() -> usize {
    if minutes().is_some() { 2 } else { 1 }
}

impl Store {
    /// The kinds of fault that can befall it.
    pub fn kinds(self) -> Vec<Kind> {
        let is_of = |kind: &Kind| match kind.part() {
            Part::Cluster => self.is_cluster(),
            Part::Redis => !self.is_cluster() && (self == Self::Redis || *kind != Kind::RedisCertificates),
            // A cluster's nodes are reached without a link that could be cut: they say themselves where they are.
            _ if self.is_cluster() => Kind::BESIDE_A_CLUSTER.contains(kind),
            _ => true,
        };
        Kind::ALL.iter().copied().filter(is_of).collect()
    }

    pub fn is_cluster(self) -> bool {
        matches!(self, Self::RedisCluster | Self::ValkeyCluster)
    }

    fn program(self) -> PathBuf {
        match self {
            Self::Redis | Self::RedisCluster => PathBuf::from("redis-server"),
            Self::Valkey | Self::ValkeyCluster => valkey(),
        }
    }
}

impl World {
    pub async fn start(store: Store, seed: u64) -> Self {
        let folder = temporary_folder();
        let path = |name: &str| folder.path().join(name).display().to_string();
        let authority = Authority::new(folder.path(), "ca");
        authority.sign("server", None);
        certify_redis(folder.path());

        let redis_clock = WallClock::new(folder.path(), "redis");
        let (ledger, disk, seeds) = match store.is_cluster() {
            true => many(store).await,
            false => one(store, folder.path(), &redis_clock),
        };

        let postgres = PostgresServer::start();
        let billing = postgres.database();
        let mail = MailServer::start(folder.path(), seed);
        let mail_link = Link::open().await;
        mail_link.lead_to(Some(mail.address));

        // Where others must not see an error, a busy machine must not be one.
        let patience = if minutes().is_some() { "10s" } else { "3s" };
        let of_store = |link: &Link| -> Vec<String> {
            let mut arguments: Vec<String> = match store.is_cluster() {
                true => ["--redis", &seeds, "--durability", "replicas:1", "--durability-timeout", "1s", "--redis-timeout", patience]
                    .map(str::to_owned)
                    .to_vec(),
                false => {
                    link.lead_to(seeds.parse().ok());
                    let scheme = if store == Store::Redis { "rediss" } else { "redis" };
                    vec!["--redis".to_owned(), format!("{scheme}://tollgate:hush@{}", link.address)]
                }
            };
            arguments.extend(["--partitions".to_owned(), PARTITIONS.to_string()]);
            if store == Store::Redis {
                for (option, file) in [("--redis-ca", "redis-ca.pem"), ("--redis-cert", "tollgate.crt"), ("--redis-key", "tollgate.key")] {
                    arguments.extend([option.to_owned(), path(file)]);
                }
            }
            arguments
        };
        let common = vec![("TOLLGATE_BILLING".to_owned(), billing.clone())];
        let mut servers = Vec::new();
        for number in 0..SERVERS {
            let (front, link) = (Link::open().await, Link::open().await);
            let mut arguments: Vec<String> =
                ["serve", "--listen", "127.0.0.1:0", "--metrics-listen", "off", "--create", "--lanes", "1"].map(str::to_owned).to_vec();
            arguments.extend(["--tls-cert".into(), path("server.crt"), "--tls-key".into(), path("server.key")]);
            arguments.extend(of_store(&link));
            let clock = WallClock::new(folder.path(), &format!("server-{number}"));
            let environment = [common.clone(), clock.environment()].concat();
            let supervised = Supervised::new(&format!("server {number}"), arguments, environment, Some(Arc::clone(&front)));
            servers.push(Server { supervised, front, store: link, clock });
        }
        let link = Link::open().await;
        let mut arguments: Vec<String> =
            ["aggregate", "--metrics-listen", "off", "--aggregation-lease", "500ms"].map(str::to_owned).to_vec();
        arguments.extend(of_store(&link));
        let smtp = format!("smtp://{}?tls=none", mail_link.address);
        for (option, value) in [("--smtp-url", &*smtp), ("--smtp-rate", "1000"), ("--smtp-retry", "100ms")] {
            arguments.extend([option.to_owned(), value.to_owned()]);
        }
        let aggregator = Supervised::new("the aggregator", arguments, common, None);
        let redis_arguments = of_store(&link);
        // The operators' commands take the aggregator's way.
        Self {
            folder,
            ledger,
            befallen: None,
            redis_clock,
            postgres,
            billing,
            mail,
            mail_link,
            servers,
            aggregator,
            authority,
            redis_arguments,
            disk,
        }
    }

    /// The one server of the ledger.
    pub fn redis(&self) -> &RedisServer {
        match &self.ledger {
            Ledger::One(redis) => redis,
            Ledger::Many(..) => unreachable!("a fault of one server, on a cluster"),
        }
    }

    pub fn redis_mut(&mut self) -> &mut RedisServer {
        match &mut self.ledger {
            Ledger::One(redis) => redis,
            Ledger::Many(..) => unreachable!("a fault of one server, on a cluster"),
        }
    }

    /// Its cluster, and the network of that.
    pub fn cluster(&mut self) -> (&mut Cluster, &Network) {
        match &mut self.ledger {
            Ledger::Many(cluster, network) => (cluster.as_mut(), network),
            Ledger::One(_) => unreachable!("a fault of a cluster, on one server"),
        }
    }

    /// Starts again what has ended.
    pub fn tend(&mut self) {
        for server in &mut self.servers {
            server.supervised.tend();
        }
        self.aggregator.tend();
    }

    /// A command of an operator.
    pub fn operate(&self, words: &[&str]) -> Result<String, String> {
        let words: Vec<&str> = words.iter().copied().chain(self.redis_arguments.iter().map(String::as_str)).collect();
        let (shown, hidden) = without_passwords(&words);
        let output = Command::new(binary())
            .args(shown)
            .env_clear()
            .envs(hidden)
            .env("USER", "tester")
            .env("TOLLGATE_BILLING", &self.billing)
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        if output.status.success() { Ok(text) } else { Err(text) }
    }

    /// Fills Redis's disk to the last byte, or makes room again.
    pub fn fill_disk(&self, is_full: bool) {
        let Some(disk) = &self.disk else { return };
        let file = disk.join("filler");
        if is_full {
            // It ends with an error when nothing more is left.
            let _ =
                Command::new("dd").args(["if=/dev/zero", "bs=65536"]).arg(format!("of={}", file.display())).stderr(Stdio::null()).status();
            let _ = Command::new("dd")
                .args(["if=/dev/zero", "bs=1", "oflag=append", "conv=notrunc"])
                .arg(format!("of={}", file.display()))
                .stderr(Stdio::null())
                .status();
        } else {
            let _ = std::fs::remove_file(file);
        }
    }

    /// Deletes all that Redis keeps on its disk.
    pub fn empty_disk(&self) {
        let Some(disk) = &self.disk else { return };
        for entry in std::fs::read_dir(disk).unwrap().map(Result::unwrap) {
            let _ = std::fs::remove_dir_all(entry.path());
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for server in &self.servers {
                eprintln!("{}: {:#?}", server.supervised.name, server.supervised.process.as_ref().map(Process::log));
            }
            eprintln!("the aggregator: {:#?}", self.aggregator.process.as_ref().map(Process::log));
        }
        if let (Ledger::One(redis), Some(disk)) = (&self.ledger, &self.disk) {
            redis.signal("KILL");
            let _ = Command::new("umount").arg("--lazy").arg(disk).status();
        }
    }
}

/// One server, with a disk of its own; also says where it is.
fn one(store: Store, folder: &Path, clock: &WallClock) -> (Ledger, Option<PathBuf>, String) {
    let path = |name: &str| folder.join(name).display().to_string();
    let program = clock.wrap(folder, &store.program());
    let disk = temporary_folder();
    let mounted = disk.path().to_owned();
    mount(&mounted);
    // An address of its own: nothing else takes its port while it is away.
    let process = std::process::id();
    let ip = format!("127.77.{}.{}", process >> 8 & 255, process & 255);
    let port = TcpListener::bind((&*ip, 0)).unwrap().local_addr().unwrap().port();
    let mut arguments: Vec<String> = ["--appendonly", "yes", "--appendfsync", "always", "--bind", &ip].map(str::to_owned).to_vec();
    // The Valkey that PyPI has speaks no TLS.
    let is_tls = store == Store::Redis;
    arguments.extend([if is_tls { "--tls-port" } else { "--port" }.to_owned(), port.to_string()]);
    if is_tls {
        for (option, value) in [
            ("--tls-cert-file", path("redis.crt")),
            ("--tls-key-file", path("redis.key")),
            ("--tls-ca-cert-file", path("redis-ca.pem")),
            ("--tls-auth-clients", "yes".into()),
        ] {
            arguments.extend([option.to_owned(), value]);
        }
    }
    arguments.push("--user".into());
    arguments.extend(["tollgate", "on", ">hush"].map(str::to_owned));
    arguments.extend(documented_rights().split_whitespace().map(str::to_owned));
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    (Ledger::One(RedisServer::start_in(disk, &program, &arguments)), Some(mounted), format!("{ip}:{port}"))
}

/// A cluster in a network of its own; also names its nodes. A node that comes back has what it had: else it would be an empty primary.
async fn many(store: Store) -> (Ledger, Option<PathBuf>, String) {
    let started = tokio::task::spawn_blocking(move || {
        let replicas = replicas();
        let network = Network::of(PRIMARIES * (1 + replicas));
        let cluster = Cluster::start_on(network.hosts(), &store.program(), PRIMARIES, replicas, &["--appendonly", "yes"]);
        (cluster, network)
    });
    let (cluster, network) = started.await.unwrap();
    let seeds = cluster.url();
    (Ledger::Many(Box::new(cluster), network), None, seeds)
}

/// A new authority for Redis, and what it has signed: Redis's own certificate, and that of its callers.
pub fn certify_redis(folder: &Path) {
    let authority = Authority::new(folder, "redis-ca");
    authority.sign("redis", None);
    authority.sign("tollgate", None);
}

/// The rights that the operators' document names.
fn documented_rights() -> &'static str {
    include_str!("../../deploy/README.md").lines().find_map(|line| line.strip_prefix("ACL SETUSER tollgate on >SECRET ")).unwrap()
}

/// A disk of its own, so that it can be full.
fn mount(folder: &Path) {
    let options = format!("size={DISK}");
    let status = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(folder).status().unwrap();
    assert!(status.success(), "the fault suite mounts a disk of its own: run it as root");
}

/// The mail server of the tests, which is as hostile as one can be.
pub struct MailServer {
    child: Child,
    pub address: SocketAddr,
    log: PathBuf,
    seed: u64,
}

impl MailServer {
    fn start(folder: &Path, seed: u64) -> Self {
        let log = folder.join("mail.log");
        let (child, address) = Self::spawn(&log, seed);
        Self { child, address, log, seed }
    }

    fn spawn(log: &Path, seed: u64) -> (Child, SocketAddr) {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut command = Command::new(root.join("tests/.venv/bin/python"));
        command.arg(root.join("tests/python/hostile_smtp.py")).arg(log).arg(seed.to_string()).arg("0.02");
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let port: u16 =
            line.trim().parse().unwrap_or_else(|_| panic!("the mail server does not run: {line:?}; tests/run installs aiosmtpd"));
        (child, SocketAddr::from(([127, 0, 0, 1], port)))
    }

    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    pub fn start_again(&mut self) {
        self.kill();
        self.seed = self.seed.wrapping_add(1);
        (self.child, self.address) = Self::spawn(&self.log, self.seed);
    }

    /// The ids of the mails that it has taken.
    pub fn taken(&self) -> Vec<String> {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let events = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()).filter(|event| event["event"] == "taken");
        events.map(|event| event["id"].as_str().unwrap().trim_matches(['<', '>']).split('@').next().unwrap().to_owned()).collect()
    }
}

impl Drop for MailServer {
    fn drop(&mut self) {
        self.kill();
    }
}
