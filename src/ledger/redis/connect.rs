//! The one way to a Redis, for all who need a connection: over TCP, over TLS, or over a Unix socket.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use anyhow::{Context, bail};
use futures_util::FutureExt;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, ConnectionAddr, RedisConnectionInfo};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::task::AbortHandle;
use tokio::time::timeout;

use super::RedisOptions;
use super::connection::Work;
use platform::redis_place::RedisPlace;

impl RedisOptions {
    /// The servers that its URL names.
    pub(super) fn servers(&self) -> anyhow::Result<RedisPlace> {
        let mut place = RedisPlace::parse(&self.url).context("--redis names no Redis")?;
        // A user with few rights may not name the library, and is logged for trying.
        place.login = place.login.set_skip_set_lib_name();
        Ok(place)
    }

    /// Where it is, for people: without a password.
    #[must_use]
    pub fn place(&self) -> Arc<str> {
        self.servers().map_or_else(|_| "Redis".into(), |place| format!("{place}, as {:?}", self.store_name).into())
    }

    /// Connects to a server, and logs in. The second must be polled for anything to be sent and answered.
    pub(super) async fn connect(
        &self,
        address: &ConnectionAddr,
        config: AsyncConnectionConfig,
        settings: impl FnOnce(RedisConnectionInfo) -> RedisConnectionInfo,
    ) -> anyhow::Result<(MultiplexedConnection, Work)> {
        let place = self.servers()?;
        let settings = settings(place.login);
        match address {
            ConnectionAddr::Tcp(host, port) => {
                let stream = TcpStream::connect((host.trim_start_matches('[').trim_end_matches(']'), *port)).await?;
                stream.set_nodelay(true)?;
                if place.is_tls {
                    let stream = self.tls.connect(host, stream).await.with_context(|| format!("TLS to {address}"))?;
                    return over(stream, &settings, config).await;
                }
                over(stream, &settings, config).await
            }
            ConnectionAddr::Unix(path) => over(UnixStream::connect(path).await?, &settings, config).await,
            other => bail!("{other} is no address that tollgate can connect to"),
        }
    }

    /// A connection that is driven by a task of its own, and whose time limits are a multiple of the usual.
    pub(super) async fn connect_patiently(&self, address: &ConnectionAddr, patience: u32) -> anyhow::Result<DrivenConnection> {
        let patience = self.response_timeout * patience;
        let config = AsyncConnectionConfig::new().set_response_timeout(Some(patience));
        let connected = timeout(patience, self.connect(address, config, |settings| settings)).await;
        let connected = connected.unwrap_or_else(|_| bail!("no reply within {patience:?}"));
        let (connection, work) = connected.with_context(|| format!("cannot connect to Redis at {address}"))?;
        Ok(DrivenConnection { connection, driver: tokio::spawn(work).abort_handle() })
    }
}

/// A connection that is driven by a task of its own, and closed with this value, whatever the server still owes it.
#[derive(Debug)]
pub(super) struct DrivenConnection {
    connection: MultiplexedConnection,
    driver: AbortHandle,
}

impl Drop for DrivenConnection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Deref for DrivenConnection {
    type Target = MultiplexedConnection;

    fn deref(&self) -> &MultiplexedConnection {
        &self.connection
    }
}

impl DerefMut for DrivenConnection {
    fn deref_mut(&mut self) -> &mut MultiplexedConnection {
        &mut self.connection
    }
}

async fn over(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    settings: &RedisConnectionInfo,
    config: AsyncConnectionConfig,
) -> anyhow::Result<(MultiplexedConnection, Work)> {
    let (connection, work) = MultiplexedConnection::new_with_config(settings, stream, config).await?;
    Ok((connection, work.boxed()))
}
