//! One connection to Redis, kept by a task of its own.
//!
//! What needs the connection never waits for it: while there is none, it fails at once. A connection that answered too late, was
//! dropped, or leads to a server that is no primary any more, is given up; the task makes a new one, and has it checked before anybody
//! gets it.

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, Cmd, RedisError, ServerErrorKind, Value};
use tokio::sync::Notify;

use super::RedisOptions;
use super::script::Script;
use crate::ledger::LedgerError;

/// How long to wait between attempts to connect.
const RETRY: [Duration; 5] = [
    Duration::from_millis(20),
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(250),
    Duration::from_millis(500),
];

/// A connection that is replaced when it fails.
#[derive(Debug)]
pub struct Link {
    state: Mutex<State>,
    is_needed: Notify,
    client: Client,
    options: RedisOptions,
}

#[derive(Debug)]
struct State {
    connection: Option<MultiplexedConnection>,
    /// Counts connections, so that a late failure of an old one does not end the new one.
    generation: u64,
    last_error: Arc<str>,
}

impl Link {
    /// Connects once, checked by `check`; then keeps the connection until the link is dropped.
    pub async fn open<C, F>(options: RedisOptions, check: C) -> anyhow::Result<Arc<Self>>
    where
        C: Fn(MultiplexedConnection) -> F + Send + Sync + 'static,
        F: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        let client = Client::open(options.connection_info()?)?;
        let link = Self {
            state: Mutex::new(State { connection: None, generation: 0, last_error: "not connected yet".into() }),
            is_needed: Notify::new(),
            client,
            options,
        };
        let connection = link.connect().await?;
        check(connection.clone()).await?;
        link.put(connection);
        let link = Arc::new(link);
        tokio::spawn(keep(Arc::downgrade(&link), check));
        Ok(link)
    }

    async fn connect(&self) -> Result<MultiplexedConnection, RedisError> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.options.response_timeout))
            .set_response_timeout(Some(self.options.response_timeout));
        self.client.get_multiplexed_async_connection_with_config(&config).await
    }

    fn put(&self, connection: MultiplexedConnection) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.connection = Some(connection);
        state.generation += 1;
    }

    fn current(&self) -> Result<(MultiplexedConnection, u64), LedgerError> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match &state.connection {
            Some(connection) => Ok((connection.clone(), state.generation)),
            None => Err(LedgerError::Unavailable(Arc::clone(&state.last_error))),
        }
    }

    fn give_up(&self, generation: u64, error: &RedisError) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.generation == generation && state.connection.take().is_some() {
            tracing::warn!(%error, "lost the connection to Redis");
            state.last_error = error.to_string().into();
            self.is_needed.notify_one();
        }
    }

    /// Sends a command.
    pub async fn send(&self, command: &Cmd) -> Result<Value, LedgerError> {
        let (mut connection, generation) = self.current()?;
        connection.send_packed_command(command).await.and_then(Value::extract_error).map_err(|error| self.failed(generation, &error))
    }

    /// Runs a script by its hash. A Redis that does not know it is given its text: nothing was run, so that is safe.
    pub async fn run(&self, script: &Script, keys: &[String], arguments: &[&[u8]]) -> Result<Value, LedgerError> {
        let (mut connection, generation) = self.current()?;
        let command = |name: &str, script: &str| {
            let mut command = redis::cmd(name);
            command.arg(script).arg(keys.len()).arg(keys).arg(arguments);
            command
        };
        let answer = connection.send_packed_command(&command("EVALSHA", &script.hash)).await.and_then(Value::extract_error);
        let answer = match answer {
            Err(error) if error.kind() == ServerErrorKind::NoScript.into() => {
                connection.send_packed_command(&command("EVAL", &script.text)).await.and_then(Value::extract_error)
            }
            answer => answer,
        };
        answer.map_err(|error| self.failed(generation, &error))
    }

    fn failed(&self, generation: u64, error: &RedisError) -> LedgerError {
        let is_demoted = error.kind() == ServerErrorKind::ReadOnly.into();
        if error.is_io_error() || error.is_timeout() || error.is_unrecoverable_error() || is_demoted {
            self.give_up(generation, error);
        }
        LedgerError::unavailable(error)
    }
}

async fn keep<C, F>(link: Weak<Link>, check: C)
where
    C: Fn(MultiplexedConnection) -> F + Send + Sync + 'static,
    F: Future<Output = anyhow::Result<()>> + Send + 'static,
{
    loop {
        let Some(strong) = link.upgrade() else { return };
        let is_needed = strong.state.lock().unwrap_or_else(PoisonError::into_inner).connection.is_none();
        if !is_needed {
            // Woken by a failure; looks up from time to time, to end with the link.
            let _ = tokio::time::timeout(Duration::from_secs(1), strong.is_needed.notified()).await;
            continue;
        }
        let mut attempts = RETRY.iter().copied().chain(std::iter::repeat(Duration::from_secs(1)));
        loop {
            let made = async {
                let connection = strong.connect().await?;
                check(connection.clone()).await?;
                anyhow::Ok(connection)
            };
            match made.await {
                Ok(connection) => {
                    strong.put(connection);
                    tracing::info!("connected to Redis again");
                    break;
                }
                Err(error) => {
                    strong.state.lock().unwrap_or_else(PoisonError::into_inner).last_error = format!("{error:#}").into();
                }
            }
            if Arc::strong_count(&strong) == 1 {
                return;
            }
            tokio::time::sleep(attempts.next().unwrap_or(Duration::from_secs(1))).await;
        }
    }
}
