//! Checks each server: whether its partitions are those of the ledger, and whether the clocks agree.
//!
//! Where one server has all, the ledger's clock follows its. In a cluster each server has a clock of its own, and this machine's rules.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use redis::FromRedisValue;
use tokio::time::timeout;

use super::RedisEngine;
use super::connection::Connection;
use super::last_check::LastCheck;
use super::preflight::PreflightOutcome;
use super::reply_failure::ReplyFailure;
use super::server_check::{agreement, instant};
use platform::clock::system_now;
use platform::telemetry::metrics;

/// How many partitions a check reads; of more, some in turn.
const AT_ONCE: usize = 16;

/// Whether a partition is healthy, else why not.
type PartitionHealth = Result<(), String>;

/// The results of the last checks of the partitions.
#[derive(Debug, Default)]
pub(super) struct HealthChecks {
    results: Vec<PartitionHealth>,
    /// Whose turn is next.
    turn: usize,
}

/// How long the check of one server may take.
const PATIENCE: Duration = Duration::from_secs(1);

impl RedisEngine {
    /// Checks all servers at the same time, and on each the partitions whose turn it is. Returns one result for each partition.
    pub(super) async fn look(&self) -> Vec<PartitionHealth> {
        let is_asked = self.next_to_look_at();
        let looks = self.routes.by_connection().into_iter().map(|(connection, partitions)| {
            let is_asked = |partition: &&u16| is_asked.get(usize::from(**partition)).is_none_or(|is_asked| *is_asked);
            let asked: Vec<u16> = partitions.iter().filter(is_asked).copied().collect();
            async move {
                let looked = timeout(PATIENCE, self.look_at(&connection, &partitions, &asked)).await;
                let looked = looked.unwrap_or_else(|_| Err(format!("no reply from Redis at {} within {PATIENCE:?}", connection.address())));
                (connection, partitions, asked, looked)
            }
        });
        let looked = join_all(looks).await;
        self.show_servers(looked.iter().map(|(connection, ..)| connection));
        let mut found = vec![Err("no server is known that has the partition".to_owned()); self.partitions.len()];
        let mut stores = self.looked.lock().unwrap_or_else(PoisonError::into_inner);
        for (_, partitions, asked, looked) in looked {
            let (of_server, of_asked) = match looked {
                Ok((of_server, of_asked)) => (of_server, of_asked),
                Err(reason) => (Err(reason), Vec::new()),
            };
            for (partition, looked) in asked.iter().zip(of_asked) {
                if let Some(store) = stores.results.get_mut(usize::from(*partition)) {
                    *store = looked;
                }
            }
            for partition in partitions {
                let number = usize::from(partition);
                if let (Some(place), Some(store)) = (found.get_mut(number), stores.results.get(number)) {
                    *place = of_server.clone().and(store.clone());
                }
            }
        }
        found
    }

    /// Whether each partition is looked at now: some in turn, and those that nobody has seen, or that something is wrong with.
    fn next_to_look_at(&self) -> Vec<bool> {
        let mut stores = self.looked.lock().unwrap_or_else(PoisonError::into_inner);
        let count = self.partitions.len();
        stores.results.resize(count, Err("nobody has looked at it yet".to_owned()));
        let turn = stores.turn;
        stores.turn = (turn + AT_ONCE) % count.max(1);
        let has_turn = |number: usize| (number + count - turn % count.max(1)) % count.max(1) < AT_ONCE;
        let is_fine = |number: usize| self.checks.stores.get(number).is_none_or(LastCheck::is_fine);
        stores.results.iter().enumerate().map(|(number, known)| known.is_err() || !is_fine(number) || has_turn(number)).collect()
    }

    /// Shows these servers in the metrics, and none that has lost its partitions. One with several connections is up if all of them are.
    fn show_servers<'a>(&self, connections: impl Iterator<Item = &'a Arc<Connection>>) {
        let mut servers = BTreeMap::new();
        for connection in connections {
            *servers.entry(connection.address().to_string()).or_insert(true) &= connection.problem().is_none();
        }
        servers.iter().for_each(|(server, is_up)| metrics().redis.set_up(server, *is_up));
        let servers: BTreeSet<_> = servers.into_keys().collect();
        let mut shown = self.servers_shown.lock().unwrap_or_else(PoisonError::into_inner);
        shown.difference(&servers).for_each(|server| metrics().redis.forget(server));
        *shown = servers;
    }

    /// Looks at one server, and at some of its partitions: one result for all, and one for each that is asked for. A partition that the server
    /// cannot decide on now, as in a cluster that is down, is not refused: it is tried, and told of.
    async fn look_at(
        &self,
        connection: &Arc<Connection>,
        partitions: &[u16],
        asked: &[u16],
    ) -> Result<(PartitionHealth, Vec<PartitionHealth>), String> {
        let has_head = self.routes.topology().primary_of(self.expected.head_slot()).as_ref() == Some(connection.address());
        let commands = self.expected.quick_commands(has_head, asked);
        let answers = match commands.is_empty() {
            true => Vec::new(),
            false => connection.send_all(&commands).await.map_err(|failure| failure.to_string())?,
        };
        let (mut found, refused) = match self.expected.check_quickly(has_head, asked, answers) {
            Ok(looked) => (looked.into_iter().map(|looked| looked.map_err(|error| format!("{error:#}"))).collect::<Vec<_>>(), None),
            Err(error) => (Vec::new(), Some(format!("{error:#}"))),
        };
        if let Some(reason) = refused {
            let refused = Err(reason);
            partitions.iter().filter_map(|partition| self.checks.stores.get(usize::from(*partition))).for_each(|store| store.set(&refused));
            // None of them is looked at in turn before it was seen again.
            return Ok((refused.clone(), asked.iter().map(|_| refused.clone()).collect()));
        }
        for (partition, looked) in asked.iter().zip(&mut found) {
            let Some(store) = self.checks.stores.get(usize::from(*partition)) else { continue };
            match looked {
                Ok(PreflightOutcome::Elsewhere(ReplyFailure::Later(told))) => *looked = Err(told.to_string()),
                Ok(PreflightOutcome::Elsewhere(reply_failure)) => {
                    self.routes.note(*partition, reply_failure);
                }
                Ok(PreflightOutcome::Present) if !store.is_fine() && self.routes.topology().is_cluster() => {
                    let checked = self.check_keys(connection, *partition).await;
                    store.set(&checked);
                    if let Err(reason) = checked {
                        *looked = Err(reason);
                    }
                }
                Ok(PreflightOutcome::Present) => store.set(&Ok(())),
                Err(reason) => store.set(&Err(reason.clone())),
            }
        }
        let agreed = self.synchronize(connection).await?;
        for partition in partitions {
            if let Some(clocks) = self.checks.clocks.get(usize::from(*partition)) {
                clocks.set(&agreed);
            }
        }
        Ok((agreed, found.into_iter().map(|looked| looked.map(|_| ())).collect()))
    }

    /// Whether a partition that was refused has all its keys now.
    async fn check_keys(&self, connection: &Connection, partition: u16) -> Result<(), String> {
        let Some(command) = self.expected.key_types(partition) else { return Ok(()) };
        let answer = connection.send(&command).await.map_err(|failure| failure.to_string())?;
        self.expected.check_key_types(answer).map_err(|error| format!("{error:#}"))
    }

    /// Sets the clock by the server's, if this machine's own agrees with it. While they do not, one of them is wrong, and nobody can say
    /// which: then the clock is left as it is, and no step is sent, which might drag the time of a partition along.
    async fn synchronize(&self, connection: &Connection) -> Result<Result<(), String>, String> {
        let (asked, sent_at) = (Instant::now(), self.clock.now());
        let time = connection.send(&redis::cmd("TIME")).await.map_err(|failure| failure.to_string())?;
        let time: (i64, i64) = FromRedisValue::from_redis_value(time).map_err(|error| error.to_string())?;
        if self.clock.is_manual() {
            return Ok(Ok(()));
        }
        let received_at = self.clock.now();
        metrics().redis.told_time(asked.elapsed(), system_now() - instant(time));
        let agreement = agreement(time);
        let difference = instant(time) - (sent_at + (received_at - sent_at) / 2);
        // Less than the journey may have taken says nothing.
        if agreement.is_ok() && !self.routes.topology().is_cluster() && difference.abs() > 5 + (received_at - sent_at) {
            self.clock.set(self.clock.now() + difference);
        }
        Ok(agreement)
    }

    /// Asks each server, whatever the store holds. Servers that do not reply are left out.
    pub(super) async fn ask_each<T: FromRedisValue>(&self, command: &redis::Cmd) -> Vec<T> {
        let mut asked: Vec<Arc<Connection>> = Vec::new();
        for (connection, _) in self.routes.by_connection() {
            if !asked.iter().any(|known| known.address() == connection.address()) {
                asked.push(connection);
            }
        }
        let answers = join_all(asked.iter().map(|connection| connection.send(command))).await;
        answers.into_iter().filter_map(|answer| T::from_redis_value(answer.ok()?).ok()).collect()
    }
}
