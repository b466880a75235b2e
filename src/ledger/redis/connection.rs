//! One connection to Redis, kept up by the link's work, which somebody must poll.
//!
//! What needs the connection never waits for it: while there is none, it fails at once. A connection that answered too late, was
//! dropped, or leads to a server that is no primary any more, is given up; the work makes a new one, and has it checked before anybody
//! gets it.

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use anyhow::bail;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Cmd, ConnectionAddr, Pipeline, RedisError, ServerErrorKind, Value};
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use super::script::Script;
use super::{RedisOptions, failure};
use crate::LedgerError;
use platform::telemetry::metrics;
use platform::telemetry::traces::{Span, SpanKind};

/// How long to wait between attempts to connect.
const RETRY: [Duration; 5] = [
    Duration::from_millis(20),
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(250),
    Duration::from_millis(500),
];

/// What must be polled for anything to be sent and answered. It ends when there is nothing more to do.
pub type Work = BoxFuture<'static, ()>;

/// A connection that is replaced when it fails.
#[derive(Debug)]
pub struct Connection {
    state: Mutex<State>,
    /// Told when the connection is given up.
    given_up: Arc<Notify>,
    options: RedisOptions,
}

#[derive(Debug)]
struct State {
    connection: Option<MultiplexedConnection>,
    /// Counts connections, so that a late failure of an old one does not end the new one.
    generation: u64,
    last_error: Arc<str>,
}

impl Connection {
    /// Connects once, checked by `check`. The second is the link's work: while it is polled, answers come, and a connection that failed
    /// is replaced.
    pub async fn open<C, F>(options: RedisOptions, check: C) -> anyhow::Result<(Arc<Self>, Work)>
    where
        C: Fn(MultiplexedConnection) -> F + Send + Sync + 'static,
        F: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        let link = Arc::new(Self {
            state: Mutex::new(State { connection: None, generation: 0, last_error: "not connected yet".into() }),
            given_up: Arc::default(),
            options,
        });
        let driver = link.connect(&check).await?;
        let work = keep(Arc::downgrade(&link), driver, check).boxed();
        Ok((link, work))
    }

    /// A new connection for all who need one, and what drives it.
    async fn connect<C, F>(&self, check: &C) -> anyhow::Result<Work>
    where
        C: Fn(MultiplexedConnection) -> F,
        F: Future<Output = anyhow::Result<()>>,
    {
        let config = AsyncConnectionConfig::new().set_response_timeout(Some(self.options.response_timeout));
        // What drives the connection is polled together with what waits for it.
        let connecting = self.options.connect(config, |settings| settings);
        let (connection, mut driver) = timeout(self.options.response_timeout, connecting).await??;
        tokio::select! {
            checked = check(connection.clone()) => checked?,
            () = &mut driver => bail!("Redis closed the connection"),
        }
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.connection = Some(connection);
        state.generation += 1;
        metrics().redis.connected();
        Ok(driver)
    }

    fn current(&self) -> Result<(MultiplexedConnection, u64), LedgerError> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match &state.connection {
            Some(connection) => Ok((connection.clone(), state.generation)),
            None => Err(LedgerError::NotDone(Arc::clone(&state.last_error))),
        }
    }

    fn give_up(&self, generation: u64, error: &RedisError) {
        if self.lose(error, |state| state.generation == generation) {
            self.given_up.notify_one();
        }
    }

    /// Forgets the connection, if there is one and this is it.
    fn lose(&self, reason: &impl std::fmt::Display, is_it: impl FnOnce(&State) -> bool) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let is_lost = is_it(&state) && state.connection.take().is_some();
        if is_lost {
            metrics().redis.disconnected(true);
            tracing::warn!(error = %reason, "lost the connection to Redis");
            state.last_error = reason.to_string().into();
        }
        is_lost
    }

    /// Sends a command that reads, or that may as well be sent twice.
    pub async fn send(&self, command: &Cmd) -> Result<Value, LedgerError> {
        let (mut connection, generation) = self.current()?;
        let answer = connection.send_packed_command(command).await.and_then(Value::extract_error);
        answer.map_err(|error| {
            self.look_at(generation, &error);
            LedgerError::not_done(error)
        })
    }

    /// Sends a few such commands, one after another.
    pub async fn send_all(&self, commands: &Pipeline) -> Result<Vec<Value>, LedgerError> {
        let (mut connection, generation) = self.current()?;
        let answers = connection.send_packed_commands(commands, 0, commands.len()).await;
        let answers = answers.and_then(|answers| answers.into_iter().map(Value::extract_error).collect());
        answers.map_err(|error| {
            self.look_at(generation, &error);
            LedgerError::not_done(error)
        })
    }

    /// Runs a script by its hash. A Redis that does not know it is given its text: nothing was run, so that is safe.
    pub async fn run(&self, script: &Script, keys: &[String], arguments: &[&[u8]]) -> Result<Value, LedgerError> {
        let (mut connection, generation) = self.current()?;
        let span = Span::child("EVALSHA", SpanKind::Client);
        if let Some(span) = &span {
            self.describe(span);
        }
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
        answer.map_err(|error| {
            self.look_at(generation, &error);
            if let Some(span) = &span {
                span.fail(error.code().unwrap_or("_OTHER").to_owned());
            }
            failure::of_script(&error, script)
        })
    }

    /// Has a span say what is asked of whom.
    fn describe(&self, span: &Span) {
        span.set("db.system.name", "redis");
        span.set("db.operation.name", "EVALSHA");
        let Ok(info) = self.options.connection_info() else { return };
        span.set("db.namespace", info.redis_settings().db().to_string());
        match info.addr() {
            ConnectionAddr::Tcp(host, port) => {
                span.set("server.address", host.clone());
                span.set("server.port", i64::from(*port));
            }
            ConnectionAddr::Unix(path) => span.set("server.address", path.display().to_string()),
            _ => {}
        }
    }

    /// Gives the connection up if the error says that it is of no more use.
    fn look_at(&self, generation: u64, error: &RedisError) {
        let is_demoted = error.kind() == ServerErrorKind::ReadOnly.into();
        if error.is_io_error() || error.is_timeout() || error.is_unrecoverable_error() || is_demoted {
            self.give_up(generation, error);
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if self.current().is_ok() {
            metrics().redis.disconnected(false);
        }
    }
}

async fn keep<C, F>(link: Weak<Connection>, mut driver: Work, check: C)
where
    C: Fn(MultiplexedConnection) -> F + Sync,
    F: Future<Output = anyhow::Result<()>> + Send,
{
    let Some(given_up) = link.upgrade().map(|link| Arc::clone(&link.given_up)) else { return };
    loop {
        let is_closed = tokio::select! {
            biased;
            () = &mut driver => true,
            () = given_up.notified() => false,
        };
        {
            let Some(link) = link.upgrade() else { return };
            if is_closed {
                link.lose(&"Redis closed the connection", |_| true);
            } else if link.current().is_ok() {
                // Told of a connection that was replaced already.
                continue;
            }
        }
        let mut pauses = RETRY.iter().copied().chain(std::iter::repeat(Duration::from_secs(1)));
        driver = loop {
            let Some(link) = link.upgrade() else { return };
            match link.connect(&check).await {
                Ok(driver) => break driver,
                Err(error) => link.state.lock().unwrap_or_else(PoisonError::into_inner).last_error = format!("{error:#}").into(),
            }
            drop(link);
            sleep(pauses.next().unwrap_or(Duration::from_secs(1))).await;
        };
        tracing::info!("connected to Redis again");
    }
}
