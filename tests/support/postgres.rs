//! A real PostgreSQL of the tests' own: on a Unix socket, in a folder of its own, ended with its last user.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "test support; each test uses a part")]

use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use super::{temporary_folder, unique_name};

/// A cluster. It refuses to run as root, so as root it runs as the user that the package made.
pub struct PostgresServer {
    binaries: PathBuf,
    folder: tempfile::TempDir,
    user: Option<(u32, u32)>,
    child: Mutex<Child>,
}

impl PostgresServer {
    /// The cluster that all tests of this process share.
    pub fn shared() -> Arc<Self> {
        static CURRENT: Mutex<Weak<PostgresServer>> = Mutex::new(Weak::new());
        let mut current = CURRENT.lock().unwrap();
        current.upgrade().unwrap_or_else(|| {
            let server = Arc::new(Self::start());
            *current = Arc::downgrade(&server);
            server
        })
    }

    /// A cluster of a test's own, which it may kill.
    pub fn start() -> Self {
        Self::start_with("listen_addresses = ''\n", &[])
    }

    /// One that listens on a port of this machine over TLS, to users with a password only, beside its socket.
    pub fn start_over_tls(port: u16, certificate: &Path, key: &Path) -> Self {
        let settings = format!(
            "listen_addresses = '127.0.0.1,127.0.0.2'\nport = {port}\nssl = on\nssl_cert_file = 'tls.crt'\nssl_key_file = 'tls.key'\n"
        );
        Self::start_with(&settings, &[("tls.crt", certificate), ("tls.key", key)])
    }

    fn start_with(settings: &str, files: &[(&str, &Path)]) -> Self {
        let binaries = binaries();
        let folder = temporary_folder();
        let user = user();
        if let Some((uid, gid)) = user {
            chown(folder.path(), Some(uid), Some(gid)).unwrap();
        }
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
        let mut initdb = Command::new(binaries.join("initdb"));
        initdb.args(["--no-sync", "--auth=trust", "--username=postgres", "--encoding=UTF8", "--locale=C.UTF-8", "-D"]);
        initdb.arg(folder.path().join("data"));
        let output = as_user(&mut initdb, user, folder.path()).output().unwrap();
        assert!(output.status.success(), "initdb: {}", String::from_utf8_lossy(&output.stderr));
        let data = folder.path().join("data");
        let configuration = std::fs::read_to_string(data.join("postgresql.conf")).unwrap();
        std::fs::write(data.join("postgresql.conf"), configuration + settings).unwrap();
        let hosts = std::fs::read_to_string(data.join("pg_hba.conf")).unwrap();
        std::fs::write(data.join("pg_hba.conf"), format!("hostssl all all 127.0.0.0/8 scram-sha-256\n{hosts}")).unwrap();
        for (name, file) in files {
            let copy = data.join(name);
            std::fs::copy(file, &copy).unwrap();
            std::fs::set_permissions(&copy, std::fs::Permissions::from_mode(0o600)).unwrap();
            if let Some((uid, gid)) = user {
                chown(&copy, Some(uid), Some(gid)).unwrap();
            }
        }
        let child = Mutex::new(spawn(&binaries, folder.path(), user));
        let server = Self { binaries, folder, user, child };
        server.wait_until_it_answers();
        server
    }

    /// The URL of a new, empty database.
    pub fn database(&self) -> String {
        self.made_of("template0", &[])
    }

    /// The same of one that keeps texts in another encoding than UTF8.
    pub fn database_in(&self, encoding: &str) -> String {
        self.made_of("template0", &["--locale=C", "--encoding", encoding])
    }

    /// Runs SQL in the database postgres.
    pub fn run(&self, sql: &str) {
        let mut psql = Command::new(self.binaries.join("psql"));
        psql.args(["--username=postgres", "--quiet", "--command", sql]).arg("--host").arg(self.folder.path());
        let output = psql.env("PGPORT", self.port()).arg("postgres").output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// Its port, which names its socket, too.
    fn port(&self) -> String {
        let settings = std::fs::read_to_string(self.folder.path().join("data/postgresql.conf")).unwrap();
        settings.lines().find_map(|line| line.strip_prefix("port = ")).map_or("5432".to_owned(), |port| port.trim().to_owned())
    }

    /// The URL of a new database whose tables are in a folder.
    pub fn database_in_folder(&self, folder: &Path) -> String {
        if let Some((uid, gid)) = self.user {
            chown(folder, Some(uid), Some(gid)).unwrap();
        }
        let name = unique_name().replace('-', "_");
        let sql = format!("CREATE TABLESPACE {name} LOCATION '{}'", folder.display());
        let mut psql = Command::new(self.binaries.join("psql"));
        psql.args(["--username=postgres", "--quiet", "--command", &sql]).arg("--host").arg(self.folder.path());
        let output = psql.arg("postgres").output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        self.made_of("template0", &["--tablespace", &name])
    }

    /// The URL of a new database with all that another one holds, which nobody is connected to.
    pub fn copy_of(&self, url: &str) -> String {
        let (_, name) = url.split_once('?').map_or(url, |(url, _)| url).rsplit_once('/').unwrap();
        self.made_of(name, &[])
    }

    fn made_of(&self, template: &str, options: &[&str]) -> String {
        let name = unique_name().replace('-', "_");
        let mut createdb = Command::new(self.binaries.join("createdb"));
        createdb.args(["--username=postgres", "--template", template]).args(options);
        createdb.arg("--host").arg(self.folder.path()).arg(&name);
        let output = createdb.output().unwrap();
        assert!(output.status.success(), "createdb: {}", String::from_utf8_lossy(&output.stderr));
        let folder = self.folder.path().display().to_string().replace('/', "%2F");
        format!("postgres://postgres@localhost/{name}?host={folder}")
    }

    /// Ends all its processes at once, as a crash would.
    pub fn kill(&self) {
        let mut child = self.child.lock().unwrap();
        let of_child = format!("/proc/{0}/task/{0}/children", child.id());
        let backends = std::fs::read_to_string(of_child).unwrap_or_default();
        child.kill().unwrap();
        child.wait().unwrap();
        let backends: Vec<&str> = backends.split_whitespace().collect();
        if !backends.is_empty() {
            // Some may have ended by themselves.
            let _ = Command::new("kill").arg("-KILL").args(backends).stderr(Stdio::null()).status();
        }
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap()
    }

    /// A signal to all its processes, for instance `STOP` and `CONT`.
    pub fn signal(&self, signal: &str) {
        let server = self.child.lock().unwrap().id();
        let backends = std::fs::read_to_string(format!("/proc/{server}/task/{server}/children")).unwrap();
        let send =
            |processes: &[&str]| Command::new("kill").arg(format!("-{signal}")).args(processes).stderr(Stdio::null()).status().unwrap();
        assert!(send(&[&server.to_string()]).success());
        let backends: Vec<&str> = backends.split_whitespace().collect();
        if !backends.is_empty() {
            // Some may have ended by themselves.
            send(&backends);
        }
    }

    /// Starts it again, on what it had written.
    pub fn start_again(&self) {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            *self.child.lock().unwrap() = spawn(&self.binaries, self.folder.path(), self.user);
            // While a process of the killed one is still ending, the new one does not start.
            while self.child.lock().unwrap().try_wait().unwrap().is_none() {
                if self.answers() {
                    return;
                }
                assert!(Instant::now() < deadline, "PostgreSQL does not come back");
                std::thread::sleep(Duration::from_millis(10));
            }
        }
    }

    fn answers(&self) -> bool {
        let mut ask = Command::new(self.binaries.join("pg_isready"));
        ask.env("PGPORT", self.port()).args(["--quiet", "--host"]).arg(self.folder.path()).status().unwrap().success()
    }

    fn wait_until_it_answers(&self) {
        let deadline = Instant::now() + Duration::from_secs(30);
        while !self.answers() {
            assert!(Instant::now() < deadline, "PostgreSQL does not answer");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        self.kill();
    }
}

fn spawn(binaries: &Path, folder: &Path, user: Option<(u32, u32)>) -> Child {
    let mut server = Command::new(binaries.join("postgres"));
    server.arg("-D").arg(folder.join("data")).arg("-k").arg(folder);
    // A crash of a process loses nothing that the system has; only a loss of power would, which no test can make.
    for setting in ["fsync=off", "max_connections=100", "autovacuum=off", "shared_buffers=32MB"] {
        server.args(["-c", setting]);
    }
    let log = std::fs::OpenOptions::new().create(true).append(true).open(folder.join("log")).unwrap();
    as_user(&mut server, user, folder).stdout(Stdio::null()).stderr(log).spawn().unwrap()
}

fn as_user<'a>(command: &'a mut Command, user: Option<(u32, u32)>, folder: &Path) -> &'a mut Command {
    if let Some((uid, gid)) = user {
        command.uid(uid).gid(gid);
    }
    command.current_dir(folder)
}

/// Whom it runs as: if this is root, the user `postgres`.
fn user() -> Option<(u32, u32)> {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let is_root = status.lines().any(|line| line.starts_with("Uid:\t0\t"));
    let users = std::fs::read_to_string("/etc/passwd").unwrap();
    let fields = users.lines().map(|line| line.split(':').collect::<Vec<_>>()).find(|fields| fields.first() == Some(&"postgres"));
    is_root.then(|| {
        let fields = fields.expect("a user postgres: tests/run installs PostgreSQL");
        (fields.get(2).unwrap().parse().unwrap(), fields.get(3).unwrap().parse().unwrap())
    })
}

/// Debian keeps them apart by version; the newest is taken.
fn binaries() -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").expect("PostgreSQL: tests/run installs it");
    let newest = versions.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok()).max().unwrap();
    PathBuf::from(format!("/usr/lib/postgresql/{newest}/bin"))
}
