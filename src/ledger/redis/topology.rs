//! Which server has which slot: one server for all, the primary that sentinels name, or in a cluster the primary of the slot's shard.
//!
//! The map is asked for anew every few seconds, and whenever something says that it is out of date. What a server says by a redirection
//! wins over the map until the next one: a server that was cut off from the others may still show an old one. Of several maps, the one of
//! the latest epoch counts, and that of a server which sees no majority only if there is no other. Sentinels are all asked: the latest
//! failover that any of them knows counts, and after it none that was before.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use futures_util::FutureExt;
use futures_util::future::{join_all, select_ok};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, ConnectionAddr, FromRedisValue, Pipeline, Value};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::RedisOptions;
use super::connection_log::ConnectionLog;
use super::server_check::field;
use platform::redis_place::RedisPlace;
use platform::telemetry::metrics;

/// How long a server may take to say where things are: one that stands still accepts connections.
const PATIENCE: Duration = Duration::from_millis(300);

/// How long to wait at least between two questions.
const PAUSE: Duration = Duration::from_millis(100);

/// How often the map is asked for without a reason.
pub const REFRESH: Duration = Duration::from_secs(5);

/// Where the servers are. Shared by all connections of a process.
#[derive(Debug)]
pub struct Topology {
    options: RedisOptions,
    place: RedisPlace,
    kind: Kind,
    state: Mutex<State>,
    /// Held by the one that asks.
    asking: tokio::sync::Mutex<()>,
    /// Counts changes.
    version: watch::Sender<u64>,
    /// Which losses of servers were logged.
    pub(super) log: Arc<ConnectionLog>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    One,
    Sentinels,
    Cluster,
}

#[derive(Debug, Default)]
struct State {
    map: Map,
    /// Redirections since then.
    moved: Vec<(u16, ConnectionAddr)>,
    asked_at: Option<Instant>,
    /// The server to ask first: another one each time.
    turn: usize,
}

/// What a server says of the slots.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Map {
    /// First and last slot, and their primary.
    shares: Vec<(u16, u16, ConnectionAddr)>,
    /// All servers, replicas too.
    servers: Vec<ConnectionAddr>,
    /// Which failover it is of: each has a later one.
    epoch: u64,
    /// Whether the server sees a majority.
    is_sure: bool,
}

impl Topology {
    /// Finds out what the URL's servers are, and where the primaries.
    pub async fn find(options: &RedisOptions) -> anyhow::Result<Arc<Self>> {
        let place = options.servers()?;
        let kind = match &place.primary {
            Some(_) => Kind::Sentinels,
            None if is_cluster(options, &place).await? => {
                ensure!(place.login.db() == 0, "{} is a cluster, which has database 0 only", options.place());
                Kind::Cluster
            }
            None => {
                ensure!(place.addresses.len() == 1, "{} names several servers, which are no cluster", options.place());
                Kind::One
            }
        };
        let (state, asking, version) = (Mutex::default(), tokio::sync::Mutex::default(), watch::Sender::new(0));
        let topology = Self { options: options.clone(), place, kind, state, asking, version, log: Arc::default() };
        match topology.place.addresses.first() {
            Some(address) if kind == Kind::One => topology.set(Map { shares: vec![(0, u16::MAX, address.clone())], ..Map::default() }),
            _ => topology.refresh().await.with_context(|| format!("cannot use {}", options.place()))?,
        }
        Ok(Arc::new(topology))
    }

    /// Whether the servers are a cluster: then each has a clock of its own, and some may be away.
    #[must_use]
    pub fn is_cluster(&self) -> bool {
        self.kind == Kind::Cluster
    }

    /// Whether a server may be replaced by another.
    #[must_use]
    pub fn may_change(&self) -> bool {
        self.kind != Kind::One
    }

    /// Follows the version, which changes with the map.
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }

    /// The primary that has a slot, as far as anybody knows.
    #[must_use]
    pub fn primary_of(&self, slot: u16) -> Option<ConnectionAddr> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let moved = state.moved.iter().find(|(moved, _)| *moved == slot).map(|(_, address)| address);
        let mapped = || state.map.shares.iter().find(|(first, last, _)| (*first..=*last).contains(&slot)).map(|(_, _, address)| address);
        moved.or_else(mapped).cloned()
    }

    /// Notes that a server has said where a slot is.
    pub fn moved(&self, slot: u16, to: &ConnectionAddr) {
        if self.kind != Kind::Cluster || self.primary_of(slot).as_ref() == Some(to) {
            return;
        }
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.moved.retain(|(moved, _)| *moved != slot);
        state.moved.push((slot, to.clone()));
        drop(state);
        self.version.send_modify(|version| *version += 1);
    }

    /// Asks where the servers are, unless another does just now.
    pub async fn refresh(&self) -> anyhow::Result<()> {
        if !self.may_change() {
            return Ok(());
        }
        let wanted_at = Instant::now();
        let asking = self.asking.lock().await;
        let asked_at = self.state.lock().unwrap_or_else(PoisonError::into_inner).asked_at;
        if let Some(asked_at) = asked_at {
            if asked_at >= wanted_at {
                return Ok(());
            }
            sleep(PAUSE.saturating_sub(asked_at.elapsed())).await;
        }
        let begun = Instant::now();
        let found = match self.kind {
            Kind::Sentinels => self.ask_sentinels().await,
            _ => self.ask_cluster().await,
        };
        self.state.lock().unwrap_or_else(PoisonError::into_inner).asked_at = Some(begun);
        drop(asking);
        metrics().redis.asked_for_topology();
        self.set(found?);
        Ok(())
    }

    fn set(&self, map: Map) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let is_new = state.map.shares != map.shares || !state.moved.is_empty();
        state.moved.clear();
        state.map = map;
        drop(state);
        if is_new {
            self.version.send_modify(|version| *version += 1);
        }
    }

    /// The servers to ask, in an order that begins elsewhere each time: all that are known, and those of the URL.
    fn candidates(&self) -> Vec<ConnectionAddr> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let mut candidates = state.map.servers.clone();
        candidates.extend(self.place.addresses.iter().filter(|seed| !state.map.servers.contains(seed)).cloned());
        state.turn = state.turn.wrapping_add(1);
        let count = candidates.len().max(1);
        candidates.rotate_left(state.turn % count);
        candidates
    }

    async fn ask_cluster(&self) -> anyhow::Result<Map> {
        let known = self.state.lock().unwrap_or_else(PoisonError::into_inner).map.epoch;
        let (mut best, mut failed): (Option<Map>, _) = (None, None);
        for address in self.candidates() {
            match map_of(&self.options, &address).await {
                // It was cut off, and has not heard yet of who has taken over from whom.
                Ok(map) if map.epoch < known => failed = Some(anyhow::anyhow!("{address}: its map is of an earlier epoch")),
                Ok(map) if map.is_sure => return Ok(map),
                Ok(map) if best.as_ref().is_none_or(|best| (best.is_sure, best.epoch) < (map.is_sure, map.epoch)) => best = Some(map),
                Ok(_) => {}
                Err(error) => failed = Some(error.context(address.to_string())),
            }
        }
        best.ok_or_else(|| {
            failed.unwrap_or_else(|| anyhow::anyhow!("there is nobody to ask")).context("no server says where the slots are")
        })
    }

    async fn ask_sentinels(&self) -> anyhow::Result<Map> {
        let name = self.place.primary.as_deref().unwrap_or_default();
        let known = self.state.lock().unwrap_or_else(PoisonError::into_inner).map.clone();
        let asked = self.candidates();
        let answers = join_all(asked.iter().map(|sentinel| primary_by(&self.options, sentinel, name))).await;
        let is_later = |map: &Map| (map.epoch, map.shares == known.shares);
        let (mut latest, mut failed): (Option<Map>, _) = (None, Vec::new());
        for (sentinel, answer) in asked.iter().zip(answers) {
            match answer {
                Ok(map) if map.epoch < known.epoch => {
                    failed.push(format!("{sentinel}: it knows of failover {}, and there was {}", map.epoch, known.epoch));
                }
                // Of two that are of one failover, the one that is used stays.
                Ok(map) if latest.as_ref().is_none_or(|latest| is_later(&map) > is_later(latest)) => latest = Some(map),
                Ok(_) => {}
                Err(error) => failed.push(format!("{sentinel}: {error:#}")),
            }
        }
        latest.with_context(|| format!("no sentinel names the primary: {}", failed.join("; ")))
    }
}

/// Asks a server something over a connection that is made for it, within [`PATIENCE`].
async fn ask(options: &RedisOptions, address: &ConnectionAddr, is_sentinel: bool, commands: &Pipeline) -> anyhow::Result<Vec<Value>> {
    let settings = |login: redis::RedisConnectionInfo| match is_sentinel {
        true => options.servers().map_or(login, |place| place.sentinel_login).set_skip_set_lib_name(),
        false => login,
    };
    let asked = async {
        let (mut connection, work): (MultiplexedConnection, _) = options.connect(address, AsyncConnectionConfig::new(), settings).await?;
        tokio::select! {
            answers = connection.send_packed_commands(commands, 0, commands.len()) => Ok::<_, anyhow::Error>(answers?),
            () = work => bail!("it closed the connection"),
        }
    };
    let limit = PATIENCE.min(options.response_timeout);
    timeout(limit, asked).await.unwrap_or_else(|_| bail!("no reply within {limit:?}"))
}

/// Whether the servers are a cluster, as the first says that answers: none that is silent is waited for.
async fn is_cluster(options: &RedisOptions, place: &RedisPlace) -> anyhow::Result<bool> {
    let asked = place.addresses.iter().map(|address| {
        async move {
            let mut connection = options.connect_patiently(address, 1).await?;
            let info: Result<String, _> = redis::cmd("INFO").arg("cluster").query_async(&mut *connection).await;
            match info {
                Ok(info) => Ok(field(&info, "cluster_enabled") == Some("1")),
                // The preflight says which rights are missing, and what is loading may still be used later.
                Err(error) if !error.is_io_error() && !error.is_timeout() => Ok(false),
                Err(error) => Err(error.into()),
            }
        }
        .boxed()
    });
    let asked: Vec<_> = asked.collect();
    ensure!(!asked.is_empty(), "--redis names no server");
    select_ok(asked).await.map(|(is_cluster, _)| is_cluster)
}

async fn map_of(options: &RedisOptions, address: &ConnectionAddr) -> anyhow::Result<Map> {
    let mut commands = Pipeline::with_capacity(2);
    commands.cmd("CLUSTER").arg("INFO").cmd("CLUSTER").arg("SLOTS");
    let mut answers = ask(options, address, false, &commands).await?.into_iter();
    let (Some(info), Some(slots)) = (answers.next(), answers.next()) else { bail!("it leaves out an answer") };
    let info = String::from_redis_value(info.extract_error()?)?;
    let epoch = field(&info, "cluster_current_epoch").and_then(|epoch| epoch.parse().ok()).unwrap_or(0);
    let is_sure = field(&info, "cluster_state") == Some("ok");
    let mut map = Map { epoch, is_sure, ..Map::default() };
    let Value::Array(shares) = slots.extract_error()? else { bail!("CLUSTER SLOTS is no list") };
    for share in shares {
        let Value::Array(share) = share else { continue };
        let [Value::Int(first), Value::Int(last), servers @ ..] = share.as_slice() else { continue };
        let servers: Vec<_> = servers.iter().map(|server| address_in(server, address)).collect();
        map.servers.extend(servers.iter().flatten().filter(|server| !map.servers.contains(server)).cloned().collect::<Vec<_>>());
        if let (Ok(first), Ok(last), Some(Some(primary))) = (u16::try_from(*first), u16::try_from(*last), servers.into_iter().next()) {
            map.shares.push((first, last, primary));
        }
    }
    Ok(map)
}

/// The address in an entry of CLUSTER SLOTS. Without a host it is that of the server that says so; "?" means that it does not know.
fn address_in(server: &Value, asked: &ConnectionAddr) -> Option<ConnectionAddr> {
    let Value::Array(parts) = server else { return None };
    let [host, Value::Int(port), ..] = parts.as_slice() else { return None };
    let host = match super::bytes_of(host).map(String::from_utf8_lossy) {
        Some(host) if host == "?" => return None,
        Some(host) if !host.is_empty() => host.into_owned(),
        _ => match asked {
            ConnectionAddr::Tcp(host, _) => host.clone(),
            _ => return None,
        },
    };
    Some(ConnectionAddr::Tcp(host, u16::try_from(*port).ok()?))
}

/// The primary of that name, as a sentinel knows it.
async fn primary_by(options: &RedisOptions, sentinel: &ConnectionAddr, name: &str) -> anyhow::Result<Map> {
    let mut commands = Pipeline::with_capacity(2);
    // In this order: amid a failover, the address is never of an earlier one than is said.
    commands.cmd("SENTINEL").arg("MASTER").arg(name).cmd("SENTINEL").arg("GET-MASTER-ADDR-BY-NAME").arg(name);
    let mut answers = ask(options, sentinel, true, &commands).await?.into_iter();
    let (Some(about), Some(address)) = (answers.next(), answers.next()) else { bail!("it leaves out an answer") };
    let found: Option<(String, u16)> = FromRedisValue::from_redis_value(address.extract_error()?)?;
    let (host, port) = found.with_context(|| format!("it knows no primary named {name:?}"))?;
    let about: HashMap<String, String> = FromRedisValue::from_redis_value(about.extract_error()?)?;
    let epoch = about.get("config-epoch").and_then(|epoch| epoch.parse().ok()).context("it says no config-epoch")?;
    Ok(Map { shares: vec![(0, u16::MAX, ConnectionAddr::Tcp(host, port))], epoch, ..Map::default() })
}
