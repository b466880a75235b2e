//! Logs connections: one line for each server that is lost, and one when it is back, however many connections lead there.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use redis::ConnectionAddr;

/// Connections that are lost within this time are lost for one reason.
const AT_ONCE: Duration = Duration::from_secs(1);

/// Remembers which losses of servers were logged. Shared by all connections of a process.
#[derive(Debug, Default)]
pub struct ConnectionLog(Mutex<BTreeMap<String, Server>>);

#[derive(Debug, Default)]
struct Server {
    is_lost: bool,
    /// When that was told the last time.
    logged_at: Option<Instant>,
}

impl ConnectionLog {
    /// Notes that a connection is lost. Whether that is to be told.
    pub fn lost(&self, server: &ConnectionAddr) -> bool {
        let mut servers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = servers.entry(server.to_string()).or_default();
        let is_new = !known.is_lost && known.logged_at.is_none_or(|at| at.elapsed() >= AT_ONCE);
        if is_new {
            *known = Server { is_lost: true, logged_at: Some(Instant::now()) };
        }
        is_new
    }

    /// Records that a connection was reopened. Returns whether to log it, which is so if its loss was logged.
    pub fn found(&self, server: &ConnectionAddr) -> bool {
        let mut servers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        servers.get_mut(&server.to_string()).is_some_and(|known| std::mem::take(&mut known.is_lost))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_connections_to_one_server_that_are_lost_together_one_is_told() {
        let log = ConnectionLog::default();
        let [one, other] = [1, 2].map(|port| ConnectionAddr::Tcp("host".into(), port));
        assert!(log.lost(&one) && !log.lost(&one) && log.lost(&other));
        assert!(log.found(&one) && !log.found(&one));
        // The third was lost with them, and only noticed later.
        assert!(!log.lost(&one) && !log.found(&one));
    }
}
