//! A lane: a connection to the store, a ledger, and a gRPC server of its own.
//!
//! The server's limits are here: whatever a peer can make grow has one.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::Duration;

use ::http::{Request, Response};
use anyhow::Context;
use futures_util::StreamExt;
use futures_util::future::try_join_all;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tonic::transport::Server;
use tower::{Layer, Service};

use super::store::Store;
use crate::billing::Billing;
use crate::config::ServeOptions;
use crate::grpc::{self, AccessLayer, Health, MAX_MESSAGE_BYTES};
use crate::http;
use crate::lanes;
use crate::lanes::offload::Offload;
use crate::lanes::proxies::TrustedProxies;
use crate::lanes::socket::AcceptedSocket;
use crate::ledger::{Backpressure, JournalBounds, Ledger};
use crate::service::UseCases;
use crate::service::admission::Limits;
use crate::service::audit::trail::Trail;
use crate::service::context::Protocol;
use crate::service::decisions::Declines;
use crate::service::error::Error;
use access::Access;
use platform::rpc::{RpcBody, RpcLayer};

/// How many calls one connection may have open.
const STREAMS_PER_CONNECTION: u32 = 1024;

/// How many streams a peer may open and reset at once, or break by its own errors, before its connection is closed.
const RESET_STREAMS: usize = 64;

/// How large the headers of a call may be.
const HEADER_BYTES: u32 = 16 * 1024;

/// How much a peer may send of a stream, and of all streams of a connection, before it is read.
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;

const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(30);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);

/// Connections that were opened together are made anew one after another: their ages differ by up to 10 %.
const AGES: u32 = 8;

/// After how long connections are made anew, and how long streams may stay on one then.
#[derive(Clone, Copy, Debug)]
struct ConnectionAge {
    age: Option<Duration>,
    grace: Duration,
}

impl ConnectionAge {
    /// The ages of connections, which are dealt to them in turn.
    fn ages(self) -> Vec<Option<Duration>> {
        let Some(age) = self.age else { return vec![None] };
        let least = age.mul_f64(0.9);
        (0..AGES).map(|step| Some(least + age.mul_f64(0.2 * f64::from(step) / f64::from(AGES - 1)))).collect()
    }
}

/// What all lanes have in common.
pub struct LaneContext {
    /// Where the ledger is kept.
    pub store: Store,
    /// What health checks return.
    pub health: Health,
    /// What becomes of the charges; `None` if this service runs without.
    pub billing: Option<Billing>,
    /// Which journals are full.
    pub gate: Backpressure,
    /// Threads for what is not short.
    pub offload: Offload,
    /// How many connections there may be.
    pub max_connections: usize,
    /// Whether a partition whose time is far ahead of the clock is served.
    pub serve_ahead: bool,
    /// Who is let in.
    pub access: Arc<Access>,
    /// Whether metrics need credentials.
    pub are_metrics_guarded: bool,
    /// What is recorded of it.
    pub trail: Trail,
    /// Which proxies are believed.
    pub proxies: TrustedProxies,
    /// By which URL HTTP/JSON is called, where that is not its address.
    http_url: Option<String>,
    declines: Declines,
    limits: Limits,
    connection_age: ConnectionAge,
    grace: Duration,
    draining: CancellationToken,
}

impl LaneContext {
    /// The plan for all lanes of a service.
    pub fn new(
        options: &ServeOptions,
        store: Store,
        billing: Option<Billing>,
        health: Health,
        access: Arc<Access>,
        trail: Trail,
        draining: CancellationToken,
    ) -> anyhow::Result<Self> {
        let limits = limits(options);
        let gate = Backpressure::new(store.settings().partitions, journal_bounds(options));
        let (offload, grace) = (Offload::start()?, options.network.shutdown_grace);
        let max_connections = options.load.max_connections.get();
        let (serve_ahead, are_metrics_guarded) = (options.serve_ahead, options.network.metrics_credentials);
        let (proxies, http_url) = (TrustedProxies::new(&options.network.trusted_proxies), options.network.http_url.clone());
        Ok(Self {
            store,
            health,
            billing,
            gate,
            offload,
            max_connections,
            serve_ahead,
            access,
            trail,
            proxies,
            http_url,
            are_metrics_guarded,
            declines: Declines::default(),
            limits,
            connection_age: ConnectionAge { age: options.load.max_connection_age, grace: options.load.max_connection_age_grace },
            grace,
            draining,
        })
    }

    /// Serves the sockets dealt to a lane, until the service stops; calls under way may then take the grace to end.
    pub async fn serve(self: Arc<Self>, accepted: mpsc::Receiver<AcceptedSocket>, ready: Sender<()>) -> anyhow::Result<()> {
        let services = self.services().await?;
        let ages = self.connection_age.ages();
        let servers = lanes::split(accepted, ages.len()).into_iter().zip(ages).map(|(accepted, age)| {
            let (server, cut_at) = match age {
                // The grace is the socket's: with tonic's own, it closes connections without a GOAWAY.
                Some(age) => (server().max_connection_age(age), Some(age.saturating_add(self.connection_age.grace))),
                None => (server(), None),
            };
            let sockets = lanes::sockets(accepted).map(move |socket| socket.map(|socket| socket.cut_after(cut_at)));
            server.serve_with_incoming_shutdown(services.clone(), sockets, self.draining.clone().cancelled_owned())
        });
        let serving = try_join_all(servers);
        let _ = ready.send(());
        self.within_the_grace(async { serving.await.map(drop).context("the gRPC server failed") }).await
    }

    /// The same of HTTP/JSON, at an address.
    pub async fn serve_http(
        self: Arc<Self>,
        address: SocketAddr,
        accepted: mpsc::Receiver<AcceptedSocket>,
        ready: Sender<()>,
    ) -> anyhow::Result<()> {
        let router = http::router(self.services().await?, self.access(Protocol::Http), address, self.http_url.as_deref())?;
        self.serve_router(router, accepted, ready).await
    }

    /// The access layer in front of what a protocol reaches.
    pub fn access(&self, protocol: Protocol) -> AccessLayer {
        AccessLayer::new(Arc::clone(&self.access)).recorded_by(self.trail.clone(), protocol)
    }

    /// All services of this process, on a ledger of the current thread.
    async fn services(
        &self,
    ) -> anyhow::Result<
        impl Service<Request<Body>, Response = Response<RpcBody>, Error = Infallible, Future: Send> + Clone + Send + Sync + use<>,
    > {
        let services = grpc::services(self.use_cases().await?, self.health.clone(), MAX_MESSAGE_BYTES, self.access(Protocol::Grpc));
        let refusal = grpc::status::of(Error::overloaded("the service has more to do than it can do in time"));
        Ok(RpcLayer::behind(self.proxies.clone()).refusing_with(refusal).layer(services))
    }

    /// Serves the web console, which `console` makes of the use cases.
    pub async fn serve_console(
        self: Arc<Self>,
        console: impl AsyncFnOnce(UseCases) -> anyhow::Result<axum::Router>,
        accepted: mpsc::Receiver<AcceptedSocket>,
        ready: Sender<()>,
    ) -> anyhow::Result<()> {
        let router = console(self.use_cases().await?).await?;
        self.serve_router(router, accepted, ready).await
    }

    /// Serves routes over HTTP.
    pub async fn serve_router(
        self: Arc<Self>,
        router: axum::Router,
        accepted: mpsc::Receiver<AcceptedSocket>,
        ready: Sender<()>,
    ) -> anyhow::Result<()> {
        let serving = http::serve::serve(
            router,
            http::serve::HttpVersions::Http1,
            lanes::sockets(accepted),
            self.proxies.clone(),
            self.draining.clone(),
        );
        let _ = ready.send(());
        self.within_the_grace(async {
            serving.await;
            Ok(())
        })
        .await
    }

    /// The use cases, on a ledger of the current thread.
    pub async fn use_cases(&self) -> anyhow::Result<UseCases> {
        let (billing, offload) = (self.billing.clone(), self.offload.clone());
        let use_cases = UseCases::new(self.ledger().await?, billing, offload, self.limits, self.draining.clone(), Arc::clone(&self.access));
        Ok(use_cases.recorded_by(self.trail.clone()).noting_declines_in(self.declines.clone()))
    }

    /// Waits for a server to end, but no longer than the grace after it should: servers wait for streams without bound.
    async fn within_the_grace(&self, serving: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
        let grace_over = async {
            self.draining.cancelled().await;
            tokio::time::sleep(self.grace).await;
        };
        tokio::select! {
            served = serving => served,
            () = grace_over => {
                tracing::warn!(grace = ?self.grace, "calls that were still under way are cut off");
                Ok(())
            }
        }
    }

    /// A ledger for the current thread.
    pub async fn ledger(&self) -> anyhow::Result<Ledger> {
        let engine = self.store.engine().await?;
        Ok(Ledger::start(engine, self.store.watchers.clone(), self.store.clock.clone()).behind(self.gate.clone()))
    }
}

/// A gRPC server with the limits of this service.
pub fn server() -> Server {
    Server::builder()
        .max_concurrent_streams(STREAMS_PER_CONNECTION)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .http2_keepalive_interval(Some(KEEPALIVE_INTERVAL))
        .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
        .http2_max_pending_accept_reset_streams(Some(RESET_STREAMS))
        .http2_max_local_error_reset_streams(Some(RESET_STREAMS))
        .http2_max_header_list_size(HEADER_BYTES)
}

/// A journal in Redis is in memory, so it is bounded: by its reader, or by trimming it if it has none. On disk, one that nobody reads
/// may grow.
pub fn journal_bounds(options: &ServeOptions) -> JournalBounds {
    let (is_read, is_in_memory) = (options.billing_url().is_some(), options.store.redis.is_some());
    JournalBounds {
        high_water: options.journal.journal_high_water.0.filter(|_| is_read),
        unread_tail: (is_in_memory && !is_read).then_some(options.billing.journal_tail),
    }
}

/// Each lane has its part of what the process takes at once.
fn limits(options: &ServeOptions) -> Limits {
    let load = &options.load;
    Limits { max_concurrent_requests: load.max_concurrent_requests.get().div_ceil(load.lanes()), ..Limits::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_of_one_moment_are_made_anew_at_different_ones() {
        let grace = Duration::from_secs(1);
        let ages = ConnectionAge { age: Some(Duration::from_secs(100)), grace }.ages();
        let ages: Vec<Duration> = ages.into_iter().flatten().collect();
        assert_eq!((ages[0], ages[7]), (Duration::from_secs(90), Duration::from_secs(110)));
        assert!(ages.is_sorted() && ages.len() == 8);
        assert_eq!(ConnectionAge { age: None, grace }.ages(), [None]);
    }
}
