//! Serves routes over HTTP on sockets that are dealt to it, with limits on what a peer may keep open.

use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use futures_util::{Stream, StreamExt};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tonic::transport::server::Connected;

use crate::lanes::proxies::TrustedProxies;
use crate::lanes::socket::{Peer, Socket};

/// How long a peer may take to send the headers of a request.
const HEADER_LIMIT: Duration = Duration::from_secs(10);

/// How large these may be.
const HEADER_BYTES: usize = 16 * 1024;

/// How many requests an HTTP/2 connection may have open, and after how much silence it is asked whether it is still there.
const STREAMS_PER_CONNECTION: u32 = 32;
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(30);

/// The versions of HTTP that a listener speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HttpVersions {
    /// HTTP/1.1.
    Http1,
    /// HTTP/1.1, and HTTP/2 without TLS: gRPC.
    Http1And2,
}

/// Serves connections until the service drains; those under way may then end their requests.
pub async fn serve(
    router: Router,
    versions: HttpVersions,
    sockets: impl Stream<Item = std::io::Result<Socket>>,
    proxies: TrustedProxies,
    draining: CancellationToken,
) {
    let mut sockets = std::pin::pin!(sockets);
    let mut connections = JoinSet::new();
    loop {
        let socket = tokio::select! {
            () = draining.cancelled() => break,
            Some(_) = connections.join_next() => continue,
            socket = sockets.next() => socket,
        };
        match socket {
            Some(Ok(socket)) => {
                drop(connections.spawn(serve_connection(router.clone(), versions, socket, proxies.clone(), draining.clone())))
            }
            Some(Err(error)) => tracing::debug!(%error, "a connection was lost before it was served"),
            None => break,
        }
    }
    while connections.join_next().await.is_some() {}
}

/// Adds the origin to a request.
async fn place(State((peer, proxies)): State<(Peer, TrustedProxies)>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    proxies.apply(&peer, &parts.headers, &mut parts.extensions);
    next.run(Request::from_parts(parts, body)).await
}

async fn serve_connection(router: Router, versions: HttpVersions, socket: Socket, proxies: TrustedProxies, draining: CancellationToken) {
    let router = router.layer(from_fn_with_state((socket.connect_info(), proxies), place));
    let mut http = Builder::new(TokioExecutor::new());
    http.http1().timer(TokioTimer::new()).header_read_timeout(HEADER_LIMIT).max_buf_size(HEADER_BYTES);
    http.http2().timer(TokioTimer::new()).keep_alive_interval(KEEPALIVE_INTERVAL).max_concurrent_streams(STREAMS_PER_CONNECTION);
    if versions == HttpVersions::Http1 {
        http = http.http1_only();
    }
    let mut connection = std::pin::pin!(http.serve_connection(TokioIo::new(socket), TowerToHyperService::new(router)));
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = draining.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}
