//! How one node of a cluster is started, and asked.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::{NODE_TIMEOUT, PATIENCE};

/// Where a node runs.
#[derive(Clone, Debug)]
pub struct Host {
    pub address: String,
    /// A network namespace of its own; `None`: that of the tests.
    pub namespace: Option<String>,
}

impl Default for Host {
    fn default() -> Self {
        Self { address: "127.0.0.1".into(), namespace: None }
    }
}

/// A port that is free now, below those that connections are made from.
pub fn free_port() -> u16 {
    (0..1_000)
        .map(|_| rand::random_range(10_000..30_000))
        .find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .expect("no port is free")
}

pub(super) fn spawn(
    binary: &Path,
    host: &Host,
    folder: &Path,
    [port, bus_port]: [u16; 2],
    is_cluster: bool,
    arguments: &[String],
) -> Child {
    let (timeout, port) = (NODE_TIMEOUT.as_millis().to_string(), port.to_string());
    let is_tls = arguments.iter().any(|argument| argument == "--tls-cluster");
    let ports = if is_tls { ["--port", "0", "--tls-port", &port] } else { ["--port", &port, "--protected-mode", "yes"] };
    let mut command = match &host.namespace {
        None => Command::new(binary),
        Some(namespace) => {
            // It becomes the node, by the same process id.
            let mut command = Command::new("ip");
            command.args(["netns", "exec", namespace]).arg(binary);
            command
        }
    };
    command
        .args(["--bind", &host.address, "--cluster-port", &bus_port.to_string()])
        .args(ports)
        .args(["--protected-mode", if host.namespace.is_some() { "no" } else { "yes" }])
        .args([
            "--cluster-enabled",
            if is_cluster { "yes" } else { "no" },
            "--cluster-config-file",
            "nodes.conf",
            "--cluster-node-timeout",
            &timeout,
        ])
        .args(["--cluster-require-full-coverage", "no", "--cluster-allow-replica-migration", "no"])
        .args(["--repl-diskless-sync-delay", "0", "--save", "", "--appendonly", "no", "--enable-debug-command", "yes"])
        .arg("--unixsocket")
        .arg(folder.join("socket"))
        .arg("--dir")
        .arg(folder)
        .args(arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap_or_else(|error| panic!("cannot start {}: {error}; tests/run installs it", binary.display()))
}

/// Waits until a node answers; false: it has ended instead.
pub(crate) fn wait_until_it_answers(folder: &Path, child: &mut Child) -> bool {
    let deadline = Instant::now() + PATIENCE;
    while command(folder, &["PING"]).trim() != "PONG" {
        if child.try_wait().unwrap().is_some() {
            return false;
        }
        assert!(Instant::now() < deadline, "a node in {} does not answer", folder.display());
        std::thread::sleep(Duration::from_millis(10));
    }
    true
}

pub(crate) fn command(folder: &Path, arguments: &[&str]) -> String {
    // A node that stands still does not answer.
    let output = Command::new("timeout").args(["5", "redis-cli", "-s"]).arg(folder.join("socket")).args(arguments).output();
    String::from_utf8_lossy(&output.expect("redis-cli").stdout).into_owned()
}

pub(crate) fn wait(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "never: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
