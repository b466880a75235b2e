//! The one way to a Redis, for all who need a connection: over TCP, over TLS, or over a Unix socket.

use anyhow::{Context, bail};
use futures_util::FutureExt;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, RedisConnectionInfo};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

use super::RedisOptions;
use super::connection::Work;

/// How a Redis is reached over TLS.
const TLS: &str = "rediss://";

impl RedisOptions {
    /// Where it is, and who logs in.
    pub(super) fn connection_info(&self) -> anyhow::Result<ConnectionInfo> {
        // TLS is this module's; the client only speaks over what it is given.
        let url = self.url.strip_prefix(TLS).map(|rest| format!("redis://{rest}"));
        let info = url.as_ref().unwrap_or(&self.url).as_str().into_connection_info()?;
        // A user with few rights may not name the library, and is logged for trying.
        let redis = info.redis_settings().clone().set_skip_set_lib_name();
        Ok(info.set_redis_settings(redis))
    }

    /// Connects, and logs in. The second must be polled for anything to be sent and answered.
    pub(super) async fn connect(
        &self,
        config: AsyncConnectionConfig,
        settings: impl FnOnce(RedisConnectionInfo) -> RedisConnectionInfo,
    ) -> anyhow::Result<(MultiplexedConnection, Work)> {
        let info = self.connection_info()?;
        let settings = settings(info.redis_settings().clone());
        match info.addr() {
            ConnectionAddr::Tcp(host, port) => {
                let stream = TcpStream::connect((host.as_str(), *port)).await?;
                stream.set_nodelay(true)?;
                if self.url.starts_with(TLS) {
                    let stream = self.tls.connect(host, stream).await.with_context(|| format!("TLS to {host}:{port}"))?;
                    return over(stream, &settings, config).await;
                }
                over(stream, &settings, config).await
            }
            ConnectionAddr::Unix(path) => over(UnixStream::connect(path).await?, &settings, config).await,
            other => bail!("{other} is no address that tollgate can connect to"),
        }
    }

    /// A connection that is driven by itself, and whose patience is a multiple of the usual.
    pub(super) async fn connect_patiently(&self, patience: u32) -> anyhow::Result<MultiplexedConnection> {
        let patience = self.response_timeout * patience;
        let config = AsyncConnectionConfig::new().set_response_timeout(Some(patience));
        let connected = timeout(patience, self.connect(config, |settings| settings)).await;
        let connected = connected.unwrap_or_else(|_| bail!("it does not answer"));
        let (connection, work) = connected.with_context(|| format!("cannot connect to {}", self.place()))?;
        tokio::spawn(work);
        Ok(connection)
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
