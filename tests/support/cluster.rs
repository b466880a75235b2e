//! A Redis Cluster of real nodes on loopback: primaries with as many replicas each as a test wants, ended with this value.
//!
//! Nodes are known by their place, from 0 on: first the primaries, then their replicas in turn. Failovers change who is primary, not places.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "test support; each test uses a part")]

mod node;

use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use crate::authority::Authority;
use crate::support::{temporary_folder, valkey};
use node::spawn;
pub use node::{Host, free_port};
pub(crate) use node::{command, wait, wait_until_it_answers};

/// For how long a node is not heard before its peers count it as failed. Less gives false alarms on a busy machine.
pub const NODE_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a change of the cluster may take.
const PATIENCE: Duration = Duration::from_secs(60);

const SLOTS: usize = 16_384;

/// The nodes of a cluster.
pub struct Cluster {
    binary: PathBuf,
    arguments: Vec<String>,
    /// Of the nodes, by their places; the rest run here.
    hosts: Vec<Host>,
    folder: tempfile::TempDir,
    /// Of clusters that speak TLS only.
    authority: Option<Authority>,
    nodes: Vec<Node>,
}

/// One of them.
pub struct Node {
    pub host: Host,
    pub port: u16,
    bus_port: u16,
    folder: PathBuf,
    child: Child,
    is_cluster: bool,
    /// The id by which its peers know it.
    pub id: String,
}

impl Cluster {
    /// Of Debian's Redis.
    pub fn redis(primaries: usize, replicas: usize) -> Self {
        Self::start(Path::new("redis-server"), primaries, replicas, &[])
    }

    /// Of Valkey, where `tests/run` put it.
    pub fn valkey(primaries: usize, replicas: usize) -> Self {
        Self::start(&valkey(), primaries, replicas, &[])
    }

    /// Of Debian's Redis, which speaks TLS only, also among its nodes, and has a user `tollgate` with the password `hush` and these rights.
    pub fn over_tls(primaries: usize, replicas: usize, rights: &str) -> Self {
        let folder = temporary_folder();
        let authority = Authority::new(folder.path(), "ca");
        let (certificate, key) = authority.sign("node", None);
        let ca = authority.path("ca.pem");
        let tls = ["--tls-cluster", "yes", "--tls-replication", "yes", "--tls-auth-clients", "no", "--tls-ca-cert-file", &ca];
        let files = ["--tls-cert-file", &certificate, "--tls-key-file", &key];
        let everybody = ["--user", "default", "on", "nopass", "~*", "&*", "+@all", "--user", "tollgate", "on", ">hush"];
        let arguments: Vec<_> = tls.into_iter().chain(files).chain(everybody).chain(rights.split_whitespace()).map(str::to_owned).collect();
        let binary = PathBuf::from("redis-server");
        Self { binary, arguments, hosts: Vec::new(), folder, authority: Some(authority), nodes: Vec::new() }.with(primaries, replicas)
    }

    /// Starts primaries that share the slots evenly, with as many replicas each, and waits until all of them are in order.
    pub fn start(binary: &Path, primaries: usize, replicas: usize, arguments: &[&str]) -> Self {
        Self::start_on(Vec::new(), binary, primaries, replicas, arguments)
    }

    /// The same, on hosts of one's own.
    pub fn start_on(hosts: Vec<Host>, binary: &Path, primaries: usize, replicas: usize, arguments: &[&str]) -> Self {
        let arguments = arguments.iter().map(ToString::to_string).collect();
        Self { binary: binary.to_owned(), arguments, hosts, folder: temporary_folder(), authority: None, nodes: Vec::new() }
            .with(primaries, replicas)
    }

    fn with(self, primaries: usize, replicas: usize) -> Self {
        let mut cluster = self;
        for _ in 0..primaries * (1 + replicas) {
            cluster.add();
        }
        for number in 0..primaries {
            let [first, end] = [number, number + 1].map(|share| share * SLOTS / primaries);
            cluster.told(number, &["CLUSTER", "ADDSLOTSRANGE", &first.to_string(), &(end - 1).to_string()]);
            cluster.told(number, &["CLUSTER", "SET-CONFIG-EPOCH", &(number + 1).to_string()]);
        }
        (1..cluster.nodes.len()).for_each(|number| cluster.meet(number));
        cluster.wait_until_all_are_known();
        for number in primaries..cluster.nodes.len() {
            cluster.replicate(number, number % primaries);
        }
        cluster.wait_until_in_order();
        cluster
    }

    /// Debian's Redis alone, and no cluster yet.
    pub fn alone() -> Self {
        Self::alone_on(Path::new("redis-server"))
    }

    /// The same of a binary.
    pub fn alone_on(binary: &Path) -> Self {
        let mut cluster = Self {
            binary: binary.to_owned(),
            arguments: Vec::new(),
            hosts: Vec::new(),
            folder: temporary_folder(),
            authority: None,
            nodes: Vec::new(),
        };
        cluster.add_as(false);
        cluster
    }

    /// Starts the node that was alone again as a cluster of one, which has all slots: what deploy/README.md says an operator does.
    pub fn become_cluster(&mut self) {
        self.command(0, &["SHUTDOWN", "SAVE"]);
        self.nodes[0].child.wait().unwrap();
        self.nodes[0].is_cluster = true;
        self.start_again(0);
        self.nodes[0].id = self.command(0, &["CLUSTER", "MYID"]).trim().to_owned();
        // Slots that have keys are the node's already.
        let nodes = self.command(0, &["CLUSTER", "NODES"]);
        let shares: Vec<_> = nodes.split_whitespace().skip(8).map(share).collect();
        let owned: Vec<_> = (0..SLOTS).map(|slot| shares.iter().flatten().any(|(first, last)| (*first..=*last).contains(&slot))).collect();
        let mut first = 0;
        while let Some(begin) = (first..SLOTS).find(|slot| !owned[*slot]) {
            let end = (begin..SLOTS).find(|slot| owned[*slot]).unwrap_or(SLOTS);
            self.told(0, &["CLUSTER", "ADDSLOTSRANGE", &begin.to_string(), &(end - 1).to_string()]);
            first = end;
        }
        self.wait_until_in_order();
    }

    /// Starts one more node, which knows nobody yet; returns its place.
    pub fn add(&mut self) -> usize {
        self.add_as(true)
    }

    fn add_as(&mut self, is_cluster: bool) -> usize {
        let place = self.nodes.len();
        let folder = self.folder.path().join(place.to_string());
        std::fs::create_dir(&folder).unwrap();
        // Another process may take a port before the node does.
        let host = self.hosts.get(place).cloned().unwrap_or_default();
        let node = (0..10).find_map(|_| {
            let [port, bus_port] = [free_port(), free_port()];
            let mut child = spawn(&self.binary, &host, &folder, [port, bus_port], is_cluster, &self.arguments);
            let is_up = wait_until_it_answers(&folder, &mut child);
            is_up.then(|| Node { host: host.clone(), port, bus_port, folder: folder.clone(), child, is_cluster, id: String::new() })
        });
        self.nodes.push(node.unwrap_or_else(|| panic!("{} does not start in {}", self.binary.display(), folder.display())));
        let id = self.command(place, &["CLUSTER", "MYID"]).trim().to_owned();
        self.nodes[place].id = id;
        place
    }

    /// Introduces a node to the first.
    pub fn meet(&self, number: usize) {
        let Node { host, port, bus_port, .. } = &self.nodes[0];
        self.told(number, &["CLUSTER", "MEET", &host.address, &port.to_string(), &bus_port.to_string()]);
    }

    /// Starts one more primary, without slots, which all others know; returns its place.
    pub fn add_primary(&mut self) -> usize {
        let number = self.add();
        self.meet(number);
        self.wait_until_all_are_known();
        // A node that has just joined takes no keys yet.
        self.wait_until_in_order();
        number
    }

    /// Makes a node the replica of another.
    pub fn replicate(&self, number: usize, of: usize) {
        let id = self.nodes[of].id.clone();
        wait(&format!("node {number} replicates {of}"), || self.command(number, &["CLUSTER", "REPLICATE", &id]).trim() == "OK");
        wait(&format!("replica {number} has caught up"), || {
            self.command(number, &["INFO", "replication"]).contains("master_link_status:up")
        });
    }

    /// All nodes as seeds.
    pub fn url(&self) -> String {
        let seeds: Vec<_> = self.nodes.iter().map(|node| format!("{}:{}", node.host.address, node.port)).collect();
        match &self.authority {
            Some(_) => format!("rediss://tollgate:hush@{}", seeds.join(",")),
            None => format!("redis://{}", seeds.join(",")),
        }
    }

    /// Whom a client of nodes that speak TLS must trust.
    pub fn ca(&self) -> String {
        self.authority.as_ref().map_or_else(String::new, |authority| authority.path("ca.pem"))
    }

    /// One node as the only seed.
    pub fn url_of(&self, number: usize) -> String {
        format!("redis://{}:{}", self.nodes[number].host.address, self.nodes[number].port)
    }

    /// The nodes, by their places.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// What a node answers to a command; an error as text.
    pub fn command(&self, number: usize, arguments: &[&str]) -> String {
        command(&self.nodes[number].folder, arguments)
    }

    fn told(&self, number: usize, arguments: &[&str]) {
        let answer = self.command(number, arguments);
        assert_eq!(answer.trim(), "OK", "node {number}: {arguments:?}");
    }

    /// The node that is primary for a slot, as this node sees it.
    pub fn owner_seen_by(&self, number: usize, slot: u16) -> Option<usize> {
        let slot = usize::from(slot);
        let nodes = self.command(number, &["CLUSTER", "NODES"]);
        let line = nodes.lines().find(|line| {
            let fields: Vec<_> = line.split(' ').collect();
            let shares = fields.get(8..).unwrap_or_default().iter();
            fields.get(2).is_some_and(|flags| flags.contains("master") && !flags.split(',').any(|flag| flag == "fail"))
                && shares.filter_map(|text| share(text)).any(|(first, last)| (first..=last).contains(&slot))
        })?;
        let id = line.split(' ').next()?;
        self.nodes.iter().position(|node| node.id == id)
    }

    /// The node that is primary for a slot, as the first node that is there sees it.
    pub fn owner(&self, slot: u16) -> usize {
        (0..self.nodes.len()).find_map(|number| self.owner_seen_by(number, slot)).expect("nobody has the slot")
    }

    /// The slot of a key.
    pub fn slot_of(&self, key: &str) -> u16 {
        (0..self.nodes.len()).find_map(|number| self.command(number, &["CLUSTER", "KEYSLOT", key]).trim().parse().ok()).unwrap()
    }

    /// The replicas of a node, as they see it themselves.
    pub fn replicas_of(&self, primary: usize) -> Vec<usize> {
        let port = format!("master_port:{}\r", self.nodes[primary].port);
        (0..self.nodes.len()).filter(|number| self.command(*number, &["INFO", "replication"]).contains(&port)).collect()
    }

    /// Waits until the replica of a primary has all that the primary has.
    pub fn wait_until_replicated(&self, primary: usize) {
        wait("the replica has all", || {
            let info = self.command(primary, &["INFO", "replication"]);
            let field = |name: &str| info.lines().find_map(|line| line.strip_prefix(name)).map(str::trim).unwrap_or_default();
            field("slave0:").contains(&format!("offset={},", field("master_repl_offset:")))
        });
    }

    /// Makes a replica the primary of its shard, in good order, and waits until it is.
    pub fn fail_over_to(&self, replica: usize) {
        let mut asked_at: Option<Instant> = None;
        wait("the replica takes over", || {
            // A vote that did not come in time is asked for again.
            if asked_at.is_none_or(|at| at.elapsed() > Duration::from_secs(6)) {
                asked_at = Some(Instant::now());
                self.command(replica, &["CLUSTER", "FAILOVER"]);
            }
            self.is_primary(replica)
        });
    }

    /// Whether a node says that it is a primary.
    pub fn is_primary(&self, number: usize) -> bool {
        self.command(number, &["INFO", "replication"]).contains("role:master")
    }

    /// Ends a node at once, as a crash would.
    pub fn kill(&mut self, number: usize) {
        let Node { child, .. } = &mut self.nodes[number];
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Starts a node again, on what it had kept.
    pub fn start_again(&mut self, number: usize) {
        let Node { host, port, bus_port, folder, child, is_cluster, .. } = &mut self.nodes[number];
        let _ = std::fs::remove_file(folder.join("socket"));
        *child = spawn(&self.binary, host, folder, [*port, *bus_port], *is_cluster, &self.arguments);
        assert!(wait_until_it_answers(folder, child), "node {number} does not start again");
    }

    /// Sends a signal to a node, for instance `STOP` and `CONT`.
    pub fn signal(&self, number: usize, signal: &str) {
        let id = self.nodes[number].child.id().to_string();
        assert!(Command::new("kill").args([&format!("-{signal}"), &id]).status().unwrap().success());
    }

    /// Moves a slot key by key, as `redis-cli --cluster reshard` does.
    pub fn move_slot(&self, slot: u16, to: usize) {
        self.move_slot_slowly(slot, to, Duration::ZERO);
    }

    /// The same, with a pause after each key.
    pub fn move_slot_slowly(&self, slot: u16, to: usize, pause: Duration) {
        let from = self.move_keys(slot, to, pause);
        let (slot_text, target) = (slot.to_string(), self.nodes[to].id.clone());
        self.told(to, &["CLUSTER", "SETSLOT", &slot_text, "NODE", &target]);
        self.told(from, &["CLUSTER", "SETSLOT", &slot_text, "NODE", &target]);
        self.wait_until_all_see(slot, to);
    }

    /// Moves all keys of a slot, with a pause after each, and leaves the slot on its way; returns where it was.
    pub fn move_keys(&self, slot: u16, to: usize, pause: Duration) -> usize {
        let from = self.begin_to_move(slot, to);
        let slot_text = slot.to_string();
        let (address, port) = (self.nodes[to].host.address.clone(), self.nodes[to].port.to_string());
        loop {
            let keys = self.command(from, &["CLUSTER", "GETKEYSINSLOT", &slot_text, "1"]);
            let key = keys.trim();
            if key.is_empty() {
                break;
            }
            let moved = self.command(from, &["MIGRATE", &address, &port, key, "0", "10000"]);
            assert!(["OK", "NOKEY"].contains(&moved.trim()), "{key}: {moved}");
            std::thread::sleep(pause);
        }
        from
    }

    /// Has a slot be on its way, with all of its keys yet to come; returns where it was.
    pub fn begin_to_move(&self, slot: u16, to: usize) -> usize {
        let (from, slot_text) = (self.owner(slot), slot.to_string());
        self.told(to, &["CLUSTER", "SETSLOT", &slot_text, "IMPORTING", &self.nodes[from].id]);
        self.told(from, &["CLUSTER", "SETSLOT", &slot_text, "MIGRATING", &self.nodes[to].id]);
        from
    }

    /// Copies what a slot holds to a node that does not have it, and leaves it where it is.
    pub fn copy_slot(&self, slot: u16, to: usize) {
        let (from, slot_text) = (self.owner(slot), slot.to_string());
        self.told(to, &["CLUSTER", "SETSLOT", &slot_text, "IMPORTING", &self.nodes[from].id]);
        let (address, port) = (self.nodes[to].host.address.clone(), self.nodes[to].port.to_string());
        for key in self.command(from, &["CLUSTER", "GETKEYSINSLOT", &slot_text, "1000"]).split_whitespace() {
            assert_eq!(self.command(from, &["MIGRATE", &address, &port, key, "0", "10000", "COPY"]).trim(), "OK", "{key}");
        }
    }

    /// Has a node that a slot is on its way to take it over with what it holds.
    pub fn take_slot_over(&self, slot: u16, by: usize) {
        let id = self.nodes[by].id.clone();
        self.told(by, &["CLUSTER", "SETSLOT", &slot.to_string(), "NODE", &id]);
        self.wait_until_all_see(slot, by);
    }

    /// Moves a slot at once, which only newer servers can (Valkey 9).
    pub fn migrate_slot(&self, slot: u16, to: usize) {
        let (from, slot_text, target) = (self.owner(slot), slot.to_string(), self.nodes[to].id.clone());
        self.told(from, &["CLUSTER", "MIGRATESLOTS", "SLOTSRANGE", &slot_text, &slot_text, "NODE", &target]);
        self.wait_until_all_see(slot, to);
    }

    fn wait_until_all_see(&self, slot: u16, owner: usize) {
        wait("all nodes know where the slot is", || {
            (0..self.nodes.len()).filter(|number| self.is_up(*number)).all(|number| self.owner_seen_by(number, slot) == Some(owner))
        });
    }

    fn is_up(&self, number: usize) -> bool {
        self.command(number, &["PING"]).trim() == "PONG"
    }

    /// Waits until every node knows every other.
    pub fn wait_until_all_are_known(&self) {
        let count = format!("cluster_known_nodes:{}\r", self.nodes.len());
        wait("all nodes know each other", || {
            (0..self.nodes.len()).all(|number| {
                let is_unsure = self.command(number, &["CLUSTER", "NODES"]).contains("handshake");
                !is_unsure && self.command(number, &["CLUSTER", "INFO"]).contains(&count)
            })
        });
    }

    /// Waits until every node says that the cluster is in order, and knows an owner of every slot.
    pub fn wait_until_in_order(&self) {
        let all_slots = format!("cluster_slots_ok:{SLOTS}\r");
        wait("the cluster is in order", || {
            (0..self.nodes.len()).all(|number| {
                let info = self.command(number, &["CLUSTER", "INFO"]);
                info.contains("cluster_state:ok") && info.contains(&all_slots)
            })
        });
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for node in &mut self.nodes {
            let _ = node.child.kill();
            let _ = node.child.wait();
        }
    }
}

/// The first and the last slot of a share, as CLUSTER NODES shows it. What is on its way is shown in brackets.
fn share(text: &str) -> Option<(usize, usize)> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    Some((first.parse().ok()?, last.parse().ok()?))
}
