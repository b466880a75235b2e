//! What the tests share: real servers of their own, in folders of their own, without a network port.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "test support; each test uses a part")]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tollgate::clock::Clock;
use tollgate::ledger::redis::{RedisEngine, RedisLedger, RedisOptions};
use tollgate::ledger::{Opening, Purpose, StoreSettings};

/// A folder for stores: in memory where there is such a place, since the tests sync thousands of times.
pub fn temporary_folder() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory).unwrap() } else { tempfile::tempdir().unwrap() }
}

/// A name that no other test of this process uses.
pub fn unique_name() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("test-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Connects to the ledger in a Redis, which is created if there is none.
pub async fn connect(options: RedisOptions, settings: StoreSettings, clock: Clock) -> anyhow::Result<RedisEngine> {
    RedisLedger::open(options, settings, Opening::Creating(Purpose::Charging)).await?.connect(clock).await
}

/// A Redis or Valkey server on a Unix socket, ended with this value.
pub struct RedisServer {
    binary: PathBuf,
    arguments: Vec<String>,
    folder: tempfile::TempDir,
    child: Child,
}

impl RedisServer {
    /// Debian's Redis.
    pub fn redis() -> Self {
        Self::start(Path::new("redis-server"), &[])
    }

    /// Valkey, where `tests/run` put it.
    pub fn valkey() -> Self {
        Self::start(&valkey(), &[])
    }

    pub fn start(binary: &Path, arguments: &[&str]) -> Self {
        Self::start_in(temporary_folder(), binary, arguments)
    }

    /// Debian's Redis, on a copy of what another has saved.
    pub fn holding(dump: &Path) -> Self {
        let folder = temporary_folder();
        std::fs::copy(dump, folder.path().join("dump.rdb")).unwrap();
        Self::start_in(folder, Path::new("redis-server"), &[])
    }

    /// In this folder.
    pub fn start_in(folder: tempfile::TempDir, binary: &Path, arguments: &[&str]) -> Self {
        let arguments: Vec<String> = arguments.iter().map(ToString::to_string).collect();
        let child = spawn(binary, folder.path(), &arguments);
        let server = Self { binary: binary.to_owned(), arguments, folder, child };
        server.wait_until_it_answers();
        server
    }

    pub fn url(&self) -> String {
        format!("redis+unix://{}", self.socket().display())
    }

    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("socket")
    }

    /// Ends the server at once, as a crash would.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Ends the server in good order, so that it keeps what it holds.
    pub fn shut_down(&mut self) {
        self.command(&["SHUTDOWN", "SAVE"]);
        self.child.wait().unwrap();
    }

    /// Whether it has ended by itself.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Starts it again on what it had kept.
    pub fn start_again(&mut self) {
        let _ = std::fs::remove_file(self.socket());
        self.child = spawn(&self.binary, self.folder.path(), &self.arguments);
        self.wait_until_it_answers();
    }

    /// A signal, for instance `STOP` and `CONT`.
    pub fn signal(&self, signal: &str) {
        assert!(Command::new("kill").args([&format!("-{signal}"), &self.child.id().to_string()]).status().unwrap().success());
    }

    pub fn command(&self, arguments: &[&str]) -> String {
        let output = Command::new("redis-cli").arg("-s").arg(self.socket()).args(arguments).output().expect("redis-cli");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn wait_until_it_answers(&self) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while self.command(&["PING"]).trim() != "PONG" {
            assert!(Instant::now() < deadline, "{} does not answer", self.binary.display());
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// Where `tests/run` put Valkey.
pub fn valkey() -> PathBuf {
    let binary = std::env::var_os("TOLLGATE_TEST_VALKEY")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/.venv/bin/valkey-server"), PathBuf::from);
    assert!(binary.exists(), "no Valkey at {}: run tests/run, which installs it", binary.display());
    binary
}

fn spawn(binary: &Path, folder: &Path, arguments: &[String]) -> Child {
    Command::new(binary)
        .args(["--port", "0", "--unixsocket"])
        .arg(folder.join("socket"))
        .args(["--dir"])
        .arg(folder)
        .args(["--save", "", "--appendonly", "no", "--enable-debug-command", "yes"])
        .args(arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap_or_else(|error| panic!("cannot start {}: {error}; tests/run installs it", binary.display()))
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
