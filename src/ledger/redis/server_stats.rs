//! Reads memory and persistence figures of Redis, for the metrics.

use super::server_check::field;
use std::time::{Duration, Instant};

use super::RedisEngine;
use platform::telemetry::metrics;
use platform::telemetry::metrics::RedisFigures;

/// How often Redis is asked.
const LOOK: Duration = Duration::from_secs(5);

impl RedisEngine {
    /// Asks for figures, if it is time to. A missing answer shows in what does not work without one.
    pub(super) async fn look_at_figures(&self) {
        let is_due = {
            let Ok(mut looked_at) = self.figures_looked_at.try_lock() else { return };
            let is_due = looked_at.is_none_or(|at| at.elapsed() >= LOOK);
            if is_due {
                *looked_at = Some(Instant::now());
            }
            is_due
        };
        if !is_due {
            return;
        }
        let infos: Vec<String> = self.ask_each(redis::cmd("INFO").arg(&["memory", "persistence", "clients", "replication"])).await;
        if let Some(all) = infos.iter().map(|info| figures(info)).reduce(together) {
            metrics().redis.set_figures(all);
        }
    }
}

/// The figures of two servers as one: sums, and whether all is well at both.
fn together(one: RedisFigures, other: RedisFigures) -> RedisFigures {
    let is_bounded = one.memory_max > 0 && other.memory_max > 0;
    RedisFigures {
        memory_used: one.memory_used + other.memory_used,
        memory_max: if is_bounded { one.memory_max + other.memory_max } else { 0 },
        clients: one.clients + other.clients,
        replicas: one.replicas + other.replicas,
        is_aof_on: one.is_aof_on && other.is_aof_on,
        is_persisting: one.is_persisting && other.is_persisting,
    }
}

/// Reads the lines of INFO. What an older or another server does not say is 0, and not known to be bad.
fn figures(info: &str) -> RedisFigures {
    let text = |name: &str| field(info, name);
    let number = |name| text(name).and_then(|text| text.parse().ok()).unwrap_or(0);
    let is_ok = |name| text(name).is_none_or(|text| text == "ok");
    RedisFigures {
        memory_used: number("used_memory"),
        memory_max: number("maxmemory"),
        clients: number("connected_clients"),
        replicas: number("connected_slaves"),
        is_aof_on: text("aof_enabled") == Some("1"),
        is_persisting: ["aof_last_write_status", "aof_last_bgrewrite_status", "rdb_last_bgsave_status"].into_iter().all(is_ok),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_redis_says_is_read() {
        let info = "# Memory\r\nused_memory:1048576\r\nused_memory_human:1.00M\r\nmaxmemory:0\r\n# Persistence\r\naof_enabled:1\r\n\
                    rdb_last_bgsave_status:ok\r\naof_last_write_status:err\r\n# Clients\r\nconnected_clients:7\r\n";
        let found = figures(info);
        assert_eq!((found.memory_used, found.memory_max, found.clients, found.replicas), (1_048_576, 0, 7, 0));
        assert!(found.is_aof_on && !found.is_persisting);
        assert!(figures(&info.replace(":err", ":ok")).is_persisting);
    }
}
