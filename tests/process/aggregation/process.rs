//! `tollgate aggregate` as its own process: killed, stopped and woken as the tests like.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// The process.
pub struct Aggregator {
    child: Child,
    log: Arc<Mutex<Vec<serde_json::Value>>>,
}

impl Aggregator {
    /// Starts it, and does not wait for anything.
    pub fn start(redis: &str, billing: &str, more: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_tollgate"))
            .args(["aggregate", "--redis", redis, "--metrics-listen", "127.0.0.1:0", "--aggregation-lease", "500ms"])
            .args(more)
            .env_clear()
            .env("TOLLGATE_BILLING", billing)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = Arc::new(Mutex::new(Vec::new()));
        let (stderr, kept) = (child.stderr.take().unwrap(), Arc::clone(&log));
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                kept.lock().unwrap().push(serde_json::from_str(&line).unwrap_or(serde_json::Value::String(line)));
            }
        });
        Self { child, log }
    }

    /// SIGKILL, as a crash would.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM, and how it ended.
    pub fn stop(mut self) -> std::process::ExitStatus {
        self.signal("TERM");
        self.child.wait().unwrap()
    }

    /// Waits until it ends by itself.
    pub fn ended(mut self) -> std::process::ExitStatus {
        self.child.wait().unwrap()
    }

    pub fn signal(&self, signal: &str) {
        assert!(Command::new("kill").args([&format!("-{signal}"), &self.child.id().to_string()]).status().unwrap().success());
    }

    /// Waits for a message in its log.
    pub fn wait_for(&self, message: &str) -> serde_json::Value {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let log = self.log.lock().unwrap();
            if let Some(event) = log.iter().find(|event| event["message"] == message) {
                return event.clone();
            }
            assert!(Instant::now() < deadline, "never logged {message:?}: {log:#?}");
            drop(log);
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// What its HTTP endpoint answers.
    pub fn get(&self, path: &str) -> String {
        let address: SocketAddr = self.wait_for("aggregating")["metrics"].as_str().unwrap().parse().unwrap();
        let mut socket = TcpStream::connect(address).unwrap();
        write!(socket, "GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).unwrap();
        answer
    }
}

impl Drop for Aggregator {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("the aggregator's log: {:#?}", self.log.lock().unwrap());
        }
    }
}
