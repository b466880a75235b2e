//! Connections to servers for what is done once (opening, creating, restoring): made as they are needed, checked, and patient.
//!
//! All that is sent here may as well be sent twice, so what fails because a slot has moved or a connection was lost is.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use redis::{Cmd, ConnectionAddr, FromRedisValue, Pipeline, RedisError, Value};
use tokio::time::sleep;

use super::RedisOptions;
use super::connect::DrivenConnection;
use super::keys::StoreKeys;
use super::reply_failure::{ReplyFailure, of_read};
use super::server_check::check_server;
use super::topology::Topology;

/// How often what failed is sent again, and how long to wait before.
const ATTEMPTS: u32 = 20;
const PAUSE: Duration = Duration::from_millis(50);

/// Connections to servers.
pub(super) struct Nodes {
    options: RedisOptions,
    topology: Arc<Topology>,
    store: StoreKeys,
    /// How many times as long as usual a server may take.
    patience: u32,
    open: Vec<(ConnectionAddr, DrivenConnection)>,
    /// Those that could not be reached, and why: each is waited for once, and not for each of its partitions.
    away: Vec<(ConnectionAddr, String)>,
}

impl Nodes {
    pub(super) fn new(options: &RedisOptions, topology: Arc<Topology>, store: &StoreKeys, patience: u32) -> Self {
        Self { options: options.clone(), topology, store: store.clone(), patience, open: Vec::new(), away: Vec::new() }
    }

    /// Connects to all servers that have partitions, at the same time. In a cluster, those that cannot be reached count as away from now on,
    /// unless others have taken over from them.
    pub(super) async fn reach_all(&mut self) {
        if !self.is_cluster() {
            return;
        }
        self.connect_to_unknown().await;
        if !self.away.is_empty() {
            let _ = self.topology.refresh().await;
            self.connect_to_unknown().await;
        }
    }

    async fn connect_to_unknown(&mut self) {
        let mut unknown: Vec<ConnectionAddr> = Vec::new();
        for slot in self.store.partitions.iter().map(|partition| partition.slot).chain([self.store.head_slot()]) {
            let Some(address) = self.topology.primary_of(slot) else { continue };
            let is_open = self.open.iter().any(|(open, _)| *open == address);
            if !is_open && !unknown.contains(&address) && self.reason_away(&address).is_none() {
                unknown.push(address);
            }
        }
        let connected = join_all(unknown.iter().map(|address| self.connect(address))).await;
        for (address, connected) in unknown.into_iter().zip(connected) {
            match connected {
                Ok(connection) => self.open.push((address, connection)),
                Err(error) => self.away.push((address, format!("{error:#}"))),
            }
        }
    }

    fn reason_away(&self, address: &ConnectionAddr) -> Option<&str> {
        self.away.iter().find(|(away, _)| away == address).map(|(_, reason)| reason.as_str())
    }

    pub(super) fn is_cluster(&self) -> bool {
        self.topology.is_cluster()
    }

    /// Sends a command to the server that has the slot.
    pub(super) async fn query<T: FromRedisValue>(&mut self, slot: u16, command: &Cmd) -> anyhow::Result<T> {
        let mut commands = Pipeline::with_capacity(1);
        commands.add_command(command.clone());
        let answer = self.send(slot, &commands).await?.into_iter().next().unwrap_or_default();
        Ok(T::from_redis_value(answer)?)
    }

    /// Sends commands to the server that has the slot of all their keys.
    pub(super) async fn send(&mut self, slot: u16, commands: &Pipeline) -> anyhow::Result<Vec<Value>> {
        let mut attempts = 0;
        loop {
            attempts += 1;
            let may_be_sent_again = attempts < ATTEMPTS && self.topology.may_change();
            let address = self.topology.primary_of(slot);
            if let Some(reason) = address.as_ref().and_then(|address| self.reason_away(address)) {
                anyhow::bail!("{reason}");
            }
            let connection = match self.connection(address.as_ref()).await {
                Err(error) if attempts < 3 && self.topology.may_change() => {
                    tracing::debug!("a server cannot be used: {error:#}");
                    let _ = self.topology.refresh().await;
                    continue;
                }
                connection => connection?,
            };
            let answers = self.send_over(connection, commands).await;
            let Err(error) = answers else { return Ok(answers?) };
            match of_read(&error) {
                ReplyFailure::Moved(to) if may_be_sent_again => self.topology.moved(slot, &to),
                ReplyFailure::Asked(_) | ReplyFailure::Later(_) | ReplyFailure::Demoted(_) if may_be_sent_again => {
                    sleep(PAUSE).await;
                    let _ = self.topology.refresh().await;
                }
                _ if attempts < 3 && self.topology.may_change() && (error.is_io_error() || error.is_timeout()) => {
                    self.open.retain(|(open, _)| Some(open) != address.as_ref());
                    let _ = self.topology.refresh().await;
                }
                _ => return Err(error.into()),
            }
        }
    }

    async fn send_over(&mut self, connection: usize, commands: &Pipeline) -> Result<Vec<Value>, RedisError> {
        let Some((_, connection)) = self.open.get_mut(connection) else { return Ok(Vec::new()) };
        let answers = connection.send_packed_commands(commands, 0, commands.len()).await?;
        answers.into_iter().map(Value::extract_error).collect()
    }

    /// The place of the connection to a server, which is made if there is none.
    async fn connection(&mut self, address: Option<&ConnectionAddr>) -> anyhow::Result<usize> {
        let Some(address) = address else { anyhow::bail!("no server is known that has the slot") };
        if let Some(known) = self.open.iter().position(|(open, _)| open == address) {
            return Ok(known);
        }
        let connection = self.connect(address).await?;
        self.open.push((address.clone(), connection));
        Ok(self.open.len() - 1)
    }

    async fn connect(&self, address: &ConnectionAddr) -> anyhow::Result<DrivenConnection> {
        let mut connection = self.options.connect_patiently(address, self.patience).await?;
        check_server(&mut connection, &self.store).await?;
        Ok(connection)
    }
}
