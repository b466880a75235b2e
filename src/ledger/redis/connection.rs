//! One connection to a server, kept up by its work, which somebody must poll.
//!
//! What needs the connection never waits for it, but for the first attempt to connect: while there is none, it fails at once. A connection
//! that answered too late, was dropped, or leads to a server that is no primary any more, is given up; the work makes a new one, and has it
//! checked before anybody gets it.

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use anyhow::{Context, bail};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Cmd, ConnectionAddr, Pipeline, RedisError, ServerErrorKind, Value};
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use super::RedisOptions;
use super::connection_log::ConnectionLog;
use super::script::Script;
use super::sending::{Asking, ScriptOptions, ScriptReply, send_so};
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

/// The task that drives a connection: without it, nothing is sent or received. It ends with the connection.
pub type Work = BoxFuture<'static, ()>;

/// What a new connection must pass before anybody gets it.
pub type Check = Arc<dyn Fn(MultiplexedConnection) -> BoxFuture<'static, anyhow::Result<()>> + Send + Sync>;

/// A connection that is replaced when it fails.
pub struct Connection {
    state: Mutex<State>,
    /// Told when the connection is given up.
    given_up: Arc<Notify>,
    /// Told when the first attempt to connect has ended.
    tried: Notify,
    /// Told of what may be a sign that others have the partitions now.
    trouble: Arc<Notify>,
    log: Arc<ConnectionLog>,
    address: ConnectionAddr,
    check: Check,
    options: RedisOptions,
}

#[derive(Debug)]
struct State {
    connection: Option<MultiplexedConnection>,
    /// Counts connections, so that a late failure of an old one does not end the new one.
    generation: u64,
    is_tried: bool,
    last_error: Arc<str>,
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Connection").field("address", &self.address.to_string()).finish_non_exhaustive()
    }
}

impl Connection {
    /// A connection to be made.
    pub fn new(options: RedisOptions, address: ConnectionAddr, trouble: Arc<Notify>, log: Arc<ConnectionLog>, check: Check) -> Arc<Self> {
        let last_error = format!("not connected to Redis at {address} yet").into();
        let state = Mutex::new(State { connection: None, generation: 0, is_tried: false, last_error });
        Arc::new(Self { state, given_up: Arc::default(), tried: Notify::new(), trouble, log, address, check, options })
    }

    /// Connects once. Returns its work: while it is polled, answers come, and a connection that failed is replaced.
    pub async fn open(self: &Arc<Self>) -> anyhow::Result<Work> {
        let connected = self.connect().await;
        Ok(keep(Arc::downgrade(self), Some(connected?)).boxed())
    }

    /// Its work, which begins by connecting.
    pub fn work(self: &Arc<Self>) -> Work {
        keep(Arc::downgrade(self), None).boxed()
    }

    /// Where it leads.
    pub fn address(&self) -> &ConnectionAddr {
        &self.address
    }

    /// Connects anew for all who need a connection, and returns what drives it.
    async fn connect(&self) -> anyhow::Result<Work> {
        let connected = self.connect_checked().await;
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.is_tried = true;
        let result = match connected {
            Ok((connection, driver)) => {
                state.connection = Some(connection);
                state.generation += 1;
                metrics().redis.connected();
                Ok(driver)
            }
            Err(error) => {
                state.last_error = format!("{error:#}").into();
                Err(error)
            }
        };
        drop(state);
        self.tried.notify_waiters();
        result
    }

    async fn connect_checked(&self) -> anyhow::Result<(MultiplexedConnection, Work)> {
        let config = AsyncConnectionConfig::new().set_response_timeout(Some(self.options.response_timeout));
        // What drives the connection is polled together with what waits for it.
        let connecting = self.options.connect(&self.address, config, |settings| settings);
        let connecting = async { anyhow::Ok(timeout(self.options.response_timeout, connecting).await??) };
        let (connection, mut driver) = connecting.await.with_context(|| format!("no connection to Redis at {}", self.address))?;
        tokio::select! {
            checked = (self.check)(connection.clone()) => checked?,
            () = &mut driver => bail!("Redis closed the connection"),
        }
        Ok((connection, driver))
    }

    /// Waits until the first attempt to connect has ended.
    pub async fn tried(&self) {
        let tried = self.tried.notified();
        if !self.state.lock().unwrap_or_else(PoisonError::into_inner).is_tried {
            tried.await;
        }
    }

    /// Why there is no connection, if there is none.
    pub fn problem(&self) -> Option<Arc<str>> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.connection.is_none().then(|| Arc::clone(&state.last_error))
    }

    /// Whether somebody may use it, or an attempt to connect is the first.
    pub fn is_untried(&self) -> bool {
        !self.state.lock().unwrap_or_else(PoisonError::into_inner).is_tried
    }

    fn current(&self) -> Result<(MultiplexedConnection, u64), NoConnection> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match &state.connection {
            Some(connection) => Ok((connection.clone(), state.generation)),
            None => Err(NoConnection(Arc::clone(&state.last_error))),
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
            if self.log.lost(&self.address) {
                tracing::warn!(error = %reason, server = %self.address, "lost the connection to Redis");
            }
            state.last_error = reason.to_string().into();
            self.trouble.notify_one();
        }
        is_lost
    }

    /// Checks the connection against something that was not checked when it was made. Returns its number, too.
    pub async fn check_again<T>(
        &self,
        check: impl FnOnce(MultiplexedConnection) -> BoxFuture<'static, anyhow::Result<T>>,
    ) -> anyhow::Result<(T, u64)> {
        let (connection, generation) = self.current().map_err(|NoConnection(reason)| anyhow::anyhow!(reason))?;
        let checked = check(connection).await.inspect_err(|error| {
            if let Some(error) = error.downcast_ref::<RedisError>() {
                self.look_at(generation, error);
            }
        });
        Ok((checked?, generation))
    }

    /// Sends a command that reads, or that may as well be sent twice.
    pub async fn send(&self, command: &Cmd) -> Result<Value, Failure> {
        let (mut connection, generation) = self.current()?;
        let answer = connection.send_packed_command(command).await.and_then(Value::extract_error);
        Ok(answer.inspect_err(|error| self.look_at(generation, error))?)
    }

    /// Sends a few such commands, one after another. Each has an answer of its own, which may be an error.
    pub async fn send_all(&self, commands: &Pipeline) -> Result<Vec<Value>, Failure> {
        let (mut connection, generation) = self.current()?;
        let answers = connection.send_packed_commands(commands, 0, commands.len()).await;
        Ok(answers.inspect_err(|error| self.look_at(generation, error))?)
    }

    /// Runs a script by its hash. A Redis that does not know it is given its text: nothing was run, so that is safe.
    pub async fn run(&self, script: &Script, keys: &[String], arguments: &[&[u8]], manner: ScriptOptions) -> Result<ScriptReply, Failure> {
        let (mut connection, generation) = self.current()?;
        if manner.asking.is_some_and(|Asking(checked)| checked != generation) {
            return Err(Failure::NotSent("the partition was not checked on this connection, which was made meanwhile".into()));
        }
        let span = Span::child("EVALSHA", SpanKind::Client);
        if let Some(span) = &span {
            self.describe(span);
        }
        let command = |name: &str, script: &str| {
            let mut command = redis::cmd(name);
            command.arg(script).arg(keys.len()).arg(keys).arg(arguments);
            command
        };
        let answer = match send_so(&mut connection, command("EVALSHA", &script.hash), manner).await {
            Err(error) if error.kind() == ServerErrorKind::NoScript.into() => {
                send_so(&mut connection, command("EVAL", &script.text), manner).await
            }
            answer => answer,
        };
        Ok(answer.inspect_err(|error| {
            self.look_at(generation, error);
            if let Some(span) = &span {
                span.fail(error.code().unwrap_or("_OTHER").to_owned());
            }
        })?)
    }

    /// Records in a span what is asked of whom.
    fn describe(&self, span: &Span) {
        span.set("db.system.name", "redis");
        span.set("db.operation.name", "EVALSHA");
        if let Ok(place) = self.options.servers() {
            span.set("db.namespace", place.login.db().to_string());
        }
        match &self.address {
            ConnectionAddr::Tcp(host, port) => {
                span.set("server.address", host.clone());
                span.set("server.port", i64::from(*port));
            }
            ConnectionAddr::Unix(path) => span.set("server.address", path.display().to_string()),
            _ => {}
        }
    }

    /// Drops the connection if the error says that it is of no more use.
    fn look_at(&self, generation: u64, error: &RedisError) {
        let is_demoted = error.kind() == ServerErrorKind::ReadOnly.into();
        if error.is_io_error() || error.is_timeout() || error.is_unrecoverable_error() || is_demoted {
            self.give_up(generation, error);
        }
    }
}

/// There is no connection.
#[derive(Clone, Debug)]
pub struct NoConnection(Arc<str>);

/// Why there is no answer.
#[derive(Debug)]
pub enum Failure {
    /// Nothing was sent, because of this.
    NotSent(Arc<str>),
    /// The server has refused, or its answer is lost.
    Failed(RedisError),
}

impl std::fmt::Display for Failure {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NotSent(reason) => formatter.write_str(reason),
            Self::Failed(error) => error.fmt(formatter),
        }
    }
}

impl From<NoConnection> for Failure {
    fn from(NoConnection(reason): NoConnection) -> Self {
        Self::NotSent(reason)
    }
}

impl From<RedisError> for Failure {
    fn from(error: RedisError) -> Self {
        Self::Failed(error)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if self.current().is_ok() {
            metrics().redis.disconnected(false);
        }
        // Its work ends, and closes the socket, whatever the server still owes it.
        self.given_up.notify_one();
    }
}

async fn keep(link: Weak<Connection>, connected: Option<Work>) {
    let Some((given_up, mut driver)) = link.upgrade().map(|link| (Arc::clone(&link.given_up), connected)) else { return };
    loop {
        if let Some(driving) = &mut driver {
            let is_closed = tokio::select! {
                biased;
                () = driving => true,
                () = given_up.notified() => false,
            };
            let Some(link) = link.upgrade() else { return };
            if is_closed {
                link.lose(&"Redis closed the connection", |_| true);
            } else if link.current().is_ok() {
                // Told of a connection that was replaced already.
                continue;
            }
        }
        let mut pauses = RETRY.iter().copied().chain(std::iter::repeat(Duration::from_secs(1)));
        let is_first = driver.take().is_none();
        let connected = loop {
            let Some(link) = link.upgrade() else { return };
            match link.connect().await {
                Ok(driver) => break driver,
                Err(error) => {
                    tracing::debug!(%error, server = %link.address, "cannot connect to Redis");
                    link.trouble.notify_one();
                }
            }
            drop(link);
            sleep(pauses.next().unwrap_or(Duration::from_secs(1))).await;
        };
        driver = Some(connected);
        match (is_first, link.upgrade()) {
            (false, Some(link)) if link.log.found(&link.address) => tracing::info!(server = %link.address, "connected to Redis again"),
            (_, Some(link)) => tracing::debug!(server = %link.address, "connected to Redis"),
            (_, None) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::ready;

    use platform::durability::Durability;
    use tokio::io::AsyncReadExt;
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn a_connection_that_nobody_needs_is_closed_though_its_server_takes_nothing_more() {
        const LONG: Duration = Duration::from_secs(60);
        let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = server.local_addr().unwrap().port();
        let options = RedisOptions {
            url: format!("redis://127.0.0.1:{port}"),
            tls: Default::default(),
            store_name: "tollgate".into(),
            response_timeout: LONG,
            busy_poll: Duration::ZERO,
            durability: Durability::Engine,
            durability_timeout: LONG,
        };
        let address = ConnectionAddr::Tcp("127.0.0.1".into(), port);
        let connection = Connection::new(options, address, Arc::default(), Arc::default(), Arc::new(|_| ready(Ok(())).boxed()));
        let working = tokio::spawn(connection.open().await.unwrap());
        let (mut served, _) = server.accept().await.unwrap();
        let asking = tokio::spawn({
            let connection = Arc::clone(&connection);
            // More than all buffers on the way take.
            async move { connection.send(redis::cmd("ECHO").arg(vec![0; 32 << 20])).await }
        });
        served.read_exact(&mut [0; 4096]).await.unwrap();
        asking.abort();
        assert!(asking.await.unwrap_err().is_cancelled());
        drop(connection);
        timeout(LONG, working).await.expect("its work has ended").unwrap();
        drop(served);
    }
}
