//! A look at each server: whether its partitions are those of the ledger, and whether the clocks agree.
//!
//! Where one server has all, the ledger's clock follows its. In a cluster each server has a clock of its own, and this machine's rules.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use redis::FromRedisValue;
use tokio::time::timeout;

use super::connection::Connection;
use super::fate::Fate;
use super::preflight::Glance;
use super::{MAX_CLOCK_DIFFERENCE, RedisEngine};
use domain::account::Millis;
use platform::clock::system_now;
use platform::telemetry::metrics;

/// How long a look at one server may take.
const PATIENCE: Duration = Duration::from_secs(1);

impl RedisEngine {
    /// Looks at all partitions, server by server at the same time. One result for each.
    pub(super) async fn look(&self) -> Vec<Result<(), String>> {
        let mut found = vec![Err("no server is known that has the partition".to_owned()); self.partitions.len()];
        let looks = self.routes.by_connection().into_iter().map(|(connection, partitions)| async move {
            let looked = timeout(PATIENCE, self.look_at(&connection, &partitions)).await;
            let looked = looked.unwrap_or_else(|_| Err(format!("Redis at {} does not answer", connection.address())));
            (connection, partitions, looked)
        });
        let looked = join_all(looks).await;
        self.show_servers(looked.iter().map(|(connection, ..)| connection));
        for (_, partitions, looked) in looked {
            for (number, partition) in partitions.into_iter().enumerate() {
                if let Some(place) = found.get_mut(usize::from(partition)) {
                    *place = match &looked {
                        Ok(looked) => looked.get(number).cloned().unwrap_or(Ok(())),
                        Err(reason) => Err(reason.clone()),
                    };
                }
            }
        }
        found
    }

    /// Has metrics show these servers, and none that has lost its partitions. One with several connections is up if all of them are.
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

    /// Looks at what is at one server. One result for each of its partitions, or one for all. A partition that the server cannot decide on now,
    /// as in a cluster that is down, is not refused: it is tried, and told of.
    async fn look_at(&self, connection: &Arc<Connection>, partitions: &[u16]) -> Result<Vec<Result<(), String>>, String> {
        let has_head = self.routes.topology().primary_of(self.expected.head_slot()).as_ref() == Some(connection.address());
        let answers = connection.send_all(&self.expected.glance(has_head, partitions)).await.map_err(|failure| failure.to_string())?;
        let looked = self.expected.check_glance(has_head, partitions, answers);
        let (mut found, is_all_refused) = match looked {
            Ok(looked) => (looked.into_iter().map(|looked| looked.map_err(|error| format!("{error:#}"))).collect::<Vec<_>>(), false),
            Err(error) => (partitions.iter().map(|_| Err(format!("{error:#}"))).collect(), true),
        };
        for (partition, looked) in partitions.iter().zip(&mut found) {
            let Some(store) = self.checks.stores.get(usize::from(*partition)) else { continue };
            match looked {
                Ok(Glance::Elsewhere(Fate::Later(told))) => *looked = Err(told.to_string()),
                Ok(Glance::Elsewhere(fate)) => {
                    self.routes.note(*partition, fate);
                }
                Ok(Glance::Seen) if !store.is_fine() && self.routes.topology().is_cluster() => {
                    let checked = self.check_keys(connection, *partition).await;
                    store.set(&checked);
                    if let Err(reason) = checked {
                        *looked = Err(reason);
                    }
                }
                Ok(Glance::Seen) => store.set(&Ok(())),
                Err(reason) => store.set(&Err(reason.clone())),
            }
        }
        let found: Vec<_> = found.into_iter().map(|looked| looked.map(|_| ())).collect();
        if is_all_refused {
            return Ok(found);
        }
        let agreed = self.synchronize(connection).await?;
        for partition in partitions {
            if let Some(clocks) = self.checks.clocks.get(usize::from(*partition)) {
                clocks.set(&agreed);
            }
        }
        Ok(found.into_iter().map(|looked| looked.and_then(|()| agreed.clone())).collect())
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
        if self.clock.is_test_clock() {
            return Ok(Ok(()));
        }
        let received_at = self.clock.now();
        metrics().redis.told_time(asked.elapsed(), system_now() - millis(time));
        let agreement = agreement(time);
        let difference = millis(time) - (sent_at + received_at) / 2;
        // Less than the journey may have taken says nothing.
        if agreement.is_ok() && !self.routes.topology().is_cluster() && difference.abs() > 5 + (received_at - sent_at) {
            self.clock.set(self.clock.now() + difference);
        }
        Ok(agreement)
    }

    /// Asks each server, whatever the store holds. What does not answer is left out.
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

fn millis((seconds, micros): (i64, i64)) -> Millis {
    seconds * 1000 + micros / 1000
}

/// Whether this machine's clock agrees with what a server says.
pub(super) fn agreement(time: (i64, i64)) -> Result<(), String> {
    let difference = system_now() - millis(time);
    match difference.abs() > MAX_CLOCK_DIFFERENCE {
        true => Err(format!("this machine's clock and Redis's differ by {difference} ms")),
        false => Ok(()),
    }
}
