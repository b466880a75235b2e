//! Commands of the binary, run to their end.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "test support; each test uses a part")]

use std::process::{Command, ExitStatus};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::service::{PATIENCE, Service, binary, without_passwords};

/// From one attempt to the next.
const PAUSE: Duration = Duration::from_millis(200);

/// Someone at a terminal, or a script.
pub struct Operator {
    server: String,
}

/// Makes a call by `tollgate call`; an error is what it printed.
pub fn call(service: &Service, method: &str, request: &Value) -> Result<Value, String> {
    let server = format!("http://{}", service.address);
    let output = Command::new(binary()).args(["call", method, &request.to_string(), "--server", &server]).env_clear().output().unwrap();
    match output.status.success() {
        true => Ok(serde_json::from_slice(&output.stdout).unwrap()),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}

/// Makes a call that succeeds, as a client does: it is repeated while the billing store's tables are being made, and while a start under load
/// has not yet learnt from it that nobody is named who may call.
pub fn done(service: &Service, method: &str, request: &Value) -> Value {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match call(service, method, request) {
            Ok(answer) => return answer,
            Err(error) => {
                let is_starting = ["BILLING_UNAVAILABLE", "CREDENTIALS_REQUIRED"].iter().any(|reason| error.contains(reason));
                assert!(is_starting && Instant::now() < deadline, "{method} {request}: {error}");
                std::thread::sleep(PAUSE);
            }
        }
    }
}

/// What a command left behind.
#[derive(Debug)]
pub struct Ended {
    pub status: ExitStatus,
    pub output: String,
    pub error: String,
}

impl Operator {
    /// Calls this service.
    pub fn of(service: &Service) -> Self {
        Self { server: format!("http://{}", service.address) }
    }

    /// Calls nobody.
    pub fn nowhere() -> Self {
        Self { server: "http://127.0.0.1:1".into() }
    }

    /// Runs a command line of words without spaces.
    pub fn run(&self, line: &str) -> Ended {
        self.run_words(&line.split_whitespace().collect::<Vec<_>>())
    }

    /// Runs a command line.
    pub fn run_words(&self, words: &[&str]) -> Ended {
        let mut command = Command::new(binary());
        let (shown, hidden) = without_passwords(words);
        command.args(shown).env_clear().envs(hidden).env("USER", "tester").env("TOLLGATE_SERVER", &self.server);
        let output = command.output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Ended { status: output.status, output: text(output.stdout), error: text(output.stderr) }
    }

    /// Runs a command line that must succeed, and reads what it says as JSON.
    pub fn json(&self, line: &str) -> serde_json::Value {
        let ended = self.run(&format!("{line} --output json"));
        assert!(ended.status.success(), "{line}: {ended:?}");
        serde_json::from_str(&ended.output).unwrap_or_else(|error| panic!("{line}: {error}: {}", ended.output))
    }

    /// What a command lists, in the API's JSON, which leaves an empty list out.
    pub fn list(&self, line: &str) -> Vec<serde_json::Value> {
        let found = self.json(line);
        let mut lists = found.as_object().unwrap().iter().filter(|(name, value)| value.is_array() && *name != "positions");
        lists.next().map_or_else(Vec::new, |(_, list)| list.as_array().unwrap().clone())
    }
}
