//! A Redis with a replica, and three sentinels that watch them, as Debian has them; over TLS and for a user of few rights if a test wants
//! so. Ended with this value.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "test support; each test uses a part")]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::authority::Authority;
use crate::cluster::{command, free_port, wait, wait_until_it_answers};
use crate::support::temporary_folder;

/// What sentinels over TLS give nobody the primary's place without.
const SENTINEL_LOGIN: &str = "sentinel-user=watcher&sentinel-password=quiet";

/// For how long a server is silent before sentinels count it as down.
const DOWN_AFTER: Duration = Duration::from_secs(3);

/// The servers, and those who watch them.
pub struct Watched {
    folder: tempfile::TempDir,
    authority: Option<Authority>,
    servers: Vec<Server>,
    sentinels: Vec<Server>,
}

struct Server {
    port: u16,
    folder: PathBuf,
    child: Child,
}

impl Watched {
    pub fn start(is_tls: bool) -> Self {
        let mut watched = Self::unwatched(is_tls);
        let primary = watched.servers[0].port;
        for _ in 0..3 {
            watched.add_sentinel(&format!(
                "sentinel monitor main 127.0.0.1 {primary} 2\nsentinel down-after-milliseconds main {}\n\
                 sentinel failover-timeout main 10000\n{}",
                DOWN_AFTER.as_millis(),
                if is_tls {
                    "user default on nopass ~* &* +@all -sentinel|get-master-addr-by-name\nuser watcher on >quiet ~* &* +@all\n"
                } else {
                    ""
                }
            ));
        }
        for sentinel in &watched.sentinels {
            wait("the sentinels know each other and the replica", || {
                let known = command(&sentinel.folder, &["SENTINEL", "MASTER", "main"]);
                let fields: Vec<&str> = known.lines().collect();
                let field = |name: &str| fields.iter().position(|field| *field == name).and_then(|at| fields.get(at + 1)).copied();
                field("num-other-sentinels") == Some("2") && field("num-slaves") == Some("1") && field("flags") == Some("master")
            });
        }
        watched
    }

    /// A server and its replica, and no sentinel yet.
    pub fn unwatched(is_tls: bool) -> Self {
        let folder = temporary_folder();
        let authority = is_tls.then(|| Authority::new(folder.path(), "ca"));
        let mut watched = Self { folder, authority, servers: Vec::new(), sentinels: Vec::new() };
        for number in 0..2 {
            let primary = watched.servers.first().map(|server| server.port);
            let rights = documented_rights();
            let server = watched.begin(&format!("server-{number}"), |port| {
                let replica = primary.map_or_else(String::new, |primary| format!("replicaof 127.0.0.1 {primary}\n"));
                format!(
                    "{replica}save \"\"\nrepl-diskless-sync-delay 0\nreplica-announce-ip 127.0.0.1\nreplica-announce-port {port}\n\
                     user default on nopass ~* &* +@all\nuser tollgate on >hush {rights}\n"
                )
            });
            watched.servers.push(server);
        }
        let replica = &watched.servers[1];
        wait("the replica has a primary", || command(&replica.folder, &["INFO", "replication"]).contains("master_link_status:up"));
        watched
    }

    /// Starts a sentinel with these settings; returns its place.
    pub fn add_sentinel(&mut self, settings: &str) -> usize {
        let number = self.sentinels.len();
        let sentinel = self.begin(&format!("sentinel-{number}"), |_| settings.to_owned());
        self.sentinels.push(sentinel);
        number
    }

    /// What a sentinel's settings say that knows a server as the primary, since that failover.
    pub fn view_of(&self, primary: usize, failover: u64) -> String {
        let port = self.servers[primary].port;
        format!("sentinel monitor main 127.0.0.1 {port} 2\nsentinel config-epoch main {failover}\n")
    }

    pub fn stop_sentinel(&mut self, number: usize) {
        let child = &mut self.sentinels[number].child;
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Starts a sentinel again, which knows only what these settings say.
    pub fn start_sentinel(&mut self, number: usize, settings: &str) {
        let listening = self.listening(&format!("sentinel-{number}"), self.sentinels[number].port);
        let Server { folder, child, .. } = &mut self.sentinels[number];
        let _ = std::fs::remove_file(folder.join("socket"));
        write_settings(folder, &listening, settings);
        *child = spawn(folder);
        assert!(wait_until_it_answers(folder, child), "sentinel {number} does not start again");
    }

    /// Has a sentinel watch a server of which it knows no failover.
    pub fn monitor(&self, sentinel: usize, primary: usize) {
        let port = self.servers[primary].port.to_string();
        let said = command(&self.sentinels[sentinel].folder, &["SENTINEL", "MONITOR", "main", "127.0.0.1", &port, "2"]);
        assert_eq!(said.trim(), "OK");
    }

    /// Makes the replica a primary, while the old one stays one: as where a network has parted.
    pub fn part(&self) {
        assert_eq!(self.command(1, &["REPLICAOF", "NO", "ONE"]).trim(), "OK");
        wait("the old one has lost its replica", || self.command(0, &["INFO", "replication"]).contains("connected_slaves:0"));
    }

    /// What a server answers to a command.
    pub fn command(&self, number: usize, arguments: &[&str]) -> String {
        command(&self.servers[number].folder, arguments)
    }

    /// Starts a server with these settings, and those that all have.
    fn begin(&self, name: &str, settings: impl Fn(u16) -> String) -> Server {
        let folder = self.folder.path().join(name);
        std::fs::create_dir(&folder).unwrap();
        // Another process may take a port before the server does.
        (0..10)
            .find_map(|_| {
                let port = free_port();
                write_settings(&folder, &self.listening(name, port), &settings(port));
                let mut child = spawn(&folder);
                wait_until_it_answers(&folder, &mut child).then(|| Server { port, folder: folder.clone(), child })
            })
            .unwrap_or_else(|| panic!("{name} does not start"))
    }

    /// The settings of a server by which it is reached.
    fn listening(&self, name: &str, port: u16) -> String {
        match &self.authority {
            None => format!("port {port}\n"),
            Some(authority) => {
                let (certificate, key) = authority.sign(name, None);
                let ca = authority.path("ca.pem");
                format!(
                    "port 0\ntls-port {port}\ntls-cert-file {certificate}\ntls-key-file {key}\ntls-ca-cert-file {ca}\ntls-auth-clients no\n\
                     tls-replication yes\n"
                )
            }
        }
    }

    /// The sentinels, and before them one that is not there.
    pub fn url(&self) -> String {
        let (scheme, login) = match &self.authority {
            Some(_) => ("rediss+sentinel", format!("?{SENTINEL_LOGIN}")),
            None => ("redis+sentinel", String::new()),
        };
        let sentinels: Vec<_> = self.sentinels.iter().map(|sentinel| format!("127.0.0.1:{}", sentinel.port)).collect();
        format!("{scheme}://tollgate:hush@127.0.0.1:1,{}/main{login}", sentinels.join(","))
    }

    /// What a client needs to trust them.
    pub fn tls(&self) -> Vec<String> {
        self.authority.as_ref().map_or_else(Vec::new, |authority| vec!["--redis-ca".to_owned(), authority.path("ca.pem")])
    }

    /// The server that is primary.
    pub fn primary(&self) -> usize {
        let is_primary = |server: &Server| command(&server.folder, &["INFO", "replication"]).contains("role:master");
        self.servers.iter().position(is_primary).expect("no server is primary")
    }

    pub fn is_replica(&self, number: usize) -> bool {
        command(&self.servers[number].folder, &["INFO", "replication"]).contains("role:slave")
    }

    /// Waits until the replica has all that the primary has.
    pub fn wait_until_replicated(&self, primary: usize) {
        wait("the replica has all", || {
            let info = command(&self.servers[primary].folder, &["INFO", "replication"]);
            let field = |name: &str| info.lines().find_map(|line| line.strip_prefix(name)).map(str::trim).unwrap_or_default();
            field("slave0:").contains(&format!("offset={},", field("master_repl_offset:")))
        });
    }

    pub fn kill(&mut self, number: usize) {
        let child = &mut self.servers[number].child;
        child.kill().unwrap();
        child.wait().unwrap();
    }

    pub fn start_again(&mut self, number: usize) {
        let Server { folder, child, .. } = &mut self.servers[number];
        let _ = std::fs::remove_file(folder.join("socket"));
        *child = spawn(folder);
        assert!(wait_until_it_answers(folder, child), "server {number} does not start again");
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        for server in self.servers.iter_mut().chain(&mut self.sentinels) {
            let _ = server.child.kill();
            let _ = server.child.wait();
        }
    }
}

/// The rights that the operators' document names.
fn documented_rights() -> String {
    let document = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/README.md")).unwrap();
    document.lines().find_map(|line| line.strip_prefix("ACL SETUSER tollgate on >SECRET ")).unwrap().to_owned()
}

fn write_settings(folder: &Path, listening: &str, settings: &str) {
    let [dir, socket] = [folder.display().to_string(), folder.join("socket").display().to_string()];
    let all = format!("bind 127.0.0.1\ndir {dir}\nunixsocket {socket}\n{listening}{settings}");
    std::fs::write(folder.join("redis.conf"), all).unwrap();
}

fn spawn(folder: &Path) -> Child {
    let mut server = Command::new("redis-server");
    server.arg(folder.join("redis.conf"));
    if folder.file_name().is_some_and(|name| name.to_string_lossy().starts_with("sentinel")) {
        server.arg("--sentinel");
    }
    server
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap_or_else(|error| panic!("redis-server: {error}; tests/run installs it"))
}
