//! Where peers come in: listeners, with TLS or without, and the lanes that serve what they accept.

use std::net::TcpListener as StdListener;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use axum::middleware::from_fn_with_state;
use tokio::net::TcpListener;
use tokio::sync::mpsc::{Sender, channel};
use tokio::time::interval;
use tokio_util::sync::CancellationToken;

use super::recorded;
use crate::grpc::{AccessLayer, Health};
use crate::http::serve::{HttpVersions, serve};
use crate::http::{access as http_access, probes};
use crate::lanes::proxies::TrustedProxies;
use crate::lanes::socket::AcceptedSocket;
use crate::lanes::{self, ConnectionSlots, WAITING_SOCKETS, start_thread};
use crate::service::audit::trail::Trail;
use crate::telemetry::endpoint::{self, Serving};
use crate::telemetry::logs::Repeated;
use crate::telemetry::metrics;
use access::Access;
use platform::lanes::handshakes::handshakes;
use platform::tls::{Protocol, Tls};

/// How many connections may ask for metrics and health, and how many more for health alone.
const METRICS_CONNECTIONS: usize = 256;
const HEALTH_CONNECTIONS: usize = 256;

/// How often the files of TLS and of access are looked at.
const FILES_LOOK: Duration = Duration::from_secs(1);

/// How often it is said what is not secure.
const WARN_EVERY: Duration = Duration::from_mins(1);

/// The listeners. Dropped, they are closed, so that a peer that still comes is refused at once and goes elsewhere.
pub struct Listeners {
    /// For gRPC.
    pub calls: StdListener,
    pub metrics: Option<StdListener>,
    /// For HTTP/JSON.
    pub http: Option<StdListener>,
    /// For health alone, plain.
    pub health: Option<StdListener>,
    /// For the web console.
    pub console: Option<StdListener>,
    /// For customers with a link.
    pub public: Option<StdListener>,
    /// TLS of them all but that; without it, they speak plain text.
    pub tls: Option<Arc<Tls>>,
    /// TLS of the listener for customers, who have no certificates.
    pub public_tls: Option<Arc<Tls>>,
    /// Who is let in.
    pub access: Arc<Access>,
    /// Whether everybody may be let in from other machines.
    pub is_insecure: bool,
    /// Whether calls of other machines come without TLS.
    pub is_plain: bool,
}

impl Listeners {
    /// Accepts sockets, shakes hands where there is TLS, and deals them to the lanes in turn. Runs until dropped.
    pub async fn deal(
        listener: Option<StdListener>,
        tls: Option<Arc<Tls>>,
        protocol: Protocol,
        lanes: Vec<Sender<AcceptedSocket>>,
        places: &ConnectionSlots,
    ) -> anyhow::Result<()> {
        let Some(listener) = listener else { return std::future::pending().await };
        let listener = TcpListener::from_std(listener).context("cannot accept connections")?;
        let lanes = match tls {
            Some(tls) => {
                let (sockets, accepted) = channel(WAITING_SOCKETS);
                start_thread("handshakes", move || handshakes(tls, protocol, accepted, lanes))?;
                vec![sockets]
            }
            None => lanes,
        };
        lanes::deal(&listener, &lanes, places).await;
        Err(anyhow::anyhow!("there is no lane to deal connections to"))
    }
}

/// Serves metrics and health to those who watch; metrics to whom the access layer lets in, where there is one. Runs until dropped.
pub async fn serve_metrics(
    listener: Option<StdListener>,
    tls: Option<Arc<Tls>>,
    serving: Serving,
    guarded: Option<AccessLayer>,
    proxies: TrustedProxies,
) -> anyhow::Result<()> {
    let (sockets, accepted) = channel(WAITING_SOCKETS);
    let places = ConnectionSlots::new(METRICS_CONNECTIONS);
    let mut router = endpoint::router(serving);
    if let Some(access) = guarded {
        router = router.layer(from_fn_with_state(access, http_access::check_metrics));
    }
    tokio::select! {
        result = Listeners::deal(listener, tls, Protocol::Http1, vec![sockets], &places) => result.context("the metrics endpoint failed"),
        () = serve(router, HttpVersions::Http1, lanes::sockets(accepted), proxies, CancellationToken::new()) => Err(anyhow::anyhow!("the metrics endpoint ended")),
    }
}

/// Serves health alone, without TLS or credentials, until the service is stopping and its peers have gone, or until dropped.
pub async fn serve_health(listener: Option<StdListener>, health: Health, serving: Serving, stopping: CancellationToken) {
    let (sockets, accepted) = channel(WAITING_SOCKETS);
    let places = ConnectionSlots::new(HEALTH_CONNECTIONS);
    let router = probes::router(&health, serving, stopping);
    tokio::select! {
        result = Listeners::deal(listener, None, Protocol::Http1, vec![sockets], &places) => {
            if let Err(error) = result {
                tracing::error!("health is not served: {error:#}");
            }
        }
        () = serve(router, HttpVersions::Http1And2, lanes::sockets(accepted), TrustedProxies::default(), CancellationToken::new()) => {}
    }
}

/// Reloads the files of TLS when they change, in a loop.
pub async fn follow_tls(tls: Option<&Tls>) {
    let Some(tls) = tls else { return std::future::pending().await };
    let mut looks = interval(FILES_LOOK);
    loop {
        looks.tick().await;
        match tls.follow() {
            Ok(true) => tracing::info!("the files of TLS were read again"),
            Ok(false) => {}
            Err(error) => tracing::error!("the files of TLS have changed and cannot be used; keeping the previous version: {error:#}"),
        }
    }
}

/// Fetches keys of identity providers, in a loop.
pub async fn follow_key_sets(access: &Access) {
    static FAILED: Repeated = Repeated::new();
    let mut looks = interval(FILES_LOOK);
    loop {
        looks.tick().await;
        for error in access.follow_key_sets().await {
            if let Some(times) = FAILED.times() {
                tracing::warn!(times, "what is known of them stays: {error:#}");
            }
        }
    }
}

/// Reloads the access file when it changes, in a loop, and warns each minute while everybody is let in from other machines, or calls come from
/// there without TLS.
pub async fn follow_access(access: &Access, (is_insecure, is_plain): (bool, bool), trail: &Trail) {
    let mut looks = interval(FILES_LOOK);
    let mut warned: Option<Instant> = None;
    let said = || (access.file(), access.key_sets());
    let is_same_set = |before: &recorded::Said| before.1 == access.key_sets();
    let mut before = said();
    loop {
        looks.tick().await;
        match access.follow() {
            Ok(is_read) if is_read || !is_same_set(&before) => {
                tracing::info!(is_read, "access rules changed: the access file, or keys of identity providers");
                let after = said();
                if after != before {
                    trail.record(recorded::access_changed(&before, &after));
                }
                before = after;
            }
            Ok(_) => {}
            Err(error) => {
                tracing::error!("the access file has changed and cannot be used; keeping the previous version: {error:#}");
                trail.record(recorded::access_broken(&error));
            }
        }
        metrics().connections.set_access_open(access.is_open());
        metrics().callers.set_over_their_share(access.callers_over_their_share());
        let is_open = is_insecure && access.is_open();
        metrics().connections.set_insecure(is_open || is_plain);
        if (is_open || is_plain) && warned.is_none_or(|at| at.elapsed() >= WARN_EVERY) {
            warned = Some(Instant::now());
            if is_open {
                tracing::warn!("there is no access control: everybody who reaches the service may charge any account (--insecure)");
            }
            if is_plain {
                tracing::warn!(
                    "there is no TLS: who is on the network can read calls and the keys that they bring, and change them (--insecure)"
                );
            }
        }
    }
}
