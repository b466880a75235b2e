//! A process of the binary, in a time of its own.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};

use serde_json::Value;

use crate::service::{binary, without_passwords};

/// What was logged last.
const KEPT: usize = 10_000;

pub struct Process {
    child: Child,
    log: Arc<Mutex<Vec<String>>>,
}

impl Process {
    /// Starts a command of the binary; each event that it logs is looked at.
    pub fn start(arguments: &[String], environment: &[(String, String)], look: impl Fn(&Value) + Send + 'static) -> Self {
        let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let (shown, hidden) = without_passwords(&words);
        let mut child = Command::new(binary())
            .args(shown)
            .env_clear()
            .env("TOLLGATE_CONSOLE", "off")
            .envs(hidden)
            .envs(environment.iter().cloned())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = Arc::new(Mutex::new(Vec::new()));
        let (stderr, kept) = (child.stderr.take().unwrap(), Arc::clone(&log));
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                let event = serde_json::from_str(&line).unwrap_or_default();
                let mut all = kept.lock().unwrap();
                all.push(line);
                if all.len() > 2 * KEPT {
                    all.drain(..KEPT);
                }
                drop(all);
                look(&event);
            }
        });
        Self { child, log }
    }

    pub fn signal(&self, signal: &str) {
        let _ = Command::new("kill").args([&format!("-{signal}"), &self.child.id().to_string()]).stderr(Stdio::null()).status();
    }

    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    pub fn log(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A wall clock that can be set, for the processes that are started with its environment. Their monotonic clock stays true.
pub struct WallClock {
    file: PathBuf,
    library: PathBuf,
}

impl WallClock {
    pub fn new(folder: &Path, name: &str) -> Self {
        let clock = Self { file: folder.join(format!("{name}.time")), library: library(folder) };
        clock.set(0);
        clock
    }

    /// Sets it so many milliseconds ahead of, or behind, the true time.
    pub fn set(&self, offset: i64) {
        let mut file = std::fs::OpenOptions::new().create(true).truncate(false).write(true).open(&self.file).unwrap();
        file.write_all(&offset.to_ne_bytes()).unwrap();
    }

    pub fn environment(&self) -> Vec<(String, String)> {
        let variables = [("LD_PRELOAD", &self.library), ("WALL_CLOCK_OFFSET", &self.file)];
        variables.map(|(name, path)| (name.to_owned(), path.display().to_string())).to_vec()
    }

    /// A program that runs another one by this clock.
    pub fn wrap(&self, folder: &Path, program: &Path) -> PathBuf {
        use std::os::unix::fs::PermissionsExt;
        let path = folder.join(format!("{}-by-its-own-clock", program.file_name().unwrap().to_str().unwrap()));
        let variables: Vec<String> = self.environment().iter().map(|(name, value)| format!("{name}='{value}'")).collect();
        std::fs::write(&path, format!("#!/bin/sh\nexec env {} {} \"$@\"\n", variables.join(" "), program.display())).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        path
    }
}

/// What is preloaded, built where it is needed.
fn library(folder: &Path) -> PathBuf {
    let library = folder.join("wall_clock.so");
    if !library.exists() {
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/faults/wall_clock.c");
        let status = Command::new("cc").args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(source).status().unwrap();
        assert!(status.success(), "cc: tests/run installs it");
    }
    library
}
