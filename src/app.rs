//! The running service: built from its settings, run until it is told to stop, then drained.
//!
//! Threads: one control thread (`control`) accepts sockets, watches the store and serves metrics; each lane (`lane`) serves calls, and one more HTTP/JSON, one the web console, one documents to customers; where
//! this process aggregates, it does so in one more (`aggregation`).
//! A lane that ends unasked ends the whole service with an error: its supervisor starts it again.
//! The order of stopping: health says so, no socket is accepted, calls under way end, at most for the grace; then all threads end.

mod access_rules;
mod aggregation;
mod aggregator;
mod callers;
mod console;
mod control;
mod lane;
mod listeners;
mod opening;
mod partitions;
mod public;
mod readiness_report;
mod recorded;
mod reload;
mod sending;
mod store;
mod stores;
mod supervisor;
mod test_clock;
mod time_ahead;

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};

use anyhow::Context;
use tokio::sync::{oneshot, watch};
use tokio_util::sync::CancellationToken;

use crate::billing::rendering::Fonts;
use crate::clock::Clock;
use crate::config::{MetricsListen, ServeOptions};
use crate::grpc::Health;
use crate::lanes::{Lane, start_thread};
use crate::ledger::JournalBounds;
use ::access::StoredCallers;
use aggregation::Aggregation;
pub use aggregation::retention;
pub use aggregator::aggregate;
pub use console::site as console_site;
use console::{ConsolePlan, Invitations};
use control::Control;
use lane::LaneContext;
pub use lane::server as grpc_server;
use listeners::Listeners;
pub use opening::{create, release_journal};
use platform::tls::Tls;
pub use reload::Reload;
use sending::Sending;
use store::Store;
pub use stores::{Restored, Stores, restore, retention_preview, users};

/// A service that runs within this process. Dropped, it stops.
pub struct App {
    address: SocketAddr,
    metrics_address: Option<SocketAddr>,
    clock: Clock,
    reload: Reload,
    console: Option<Invitations>,
    stop: watch::Sender<bool>,
    ended: oneshot::Receiver<anyhow::Result<()>>,
}

impl App {
    /// Starts the service. When this returns, it takes calls. Blocks until then. To be called within a Tokio runtime that lives as long: it
    /// looks after the billing store's connections.
    pub fn start(options: ServeOptions) -> anyhow::Result<Self> {
        let zone = options.store.billing_time_zone.clone();
        let clock = match &options.store.test_clock {
            Some(path) => Clock::manual(test_clock::read(path)?, zone),
            None => Clock::running(zone),
        };
        Self::start_at(options, clock)
    }

    /// Starts the service by a clock that the caller moves, or lets run.
    pub fn start_at(options: ServeOptions, clock: Clock) -> anyhow::Result<Self> {
        options.validate()?;
        let tls = Tls::load(&options.tls)?;
        let access = Arc::new(access_rules::access(&options)?);
        let listener = listen(options.network.listen, "--listen")?;
        let address = listener.local_addr().context("the gRPC listener (--listen) has no address")?;
        let metrics_listener = options.network.metrics_listen.0.map(|address| listen(address, "--metrics-listen")).transpose()?;
        let metrics_address =
            metrics_listener.as_ref().map(TcpListener::local_addr).transpose().context("the metrics listener has no address")?;

        let http_listener = options.network.http_listen.map(|address| listen(address, "--http-listen")).transpose()?;
        let http_address = http_listener.as_ref().map(TcpListener::local_addr).transpose().context("the HTTP listener has no address")?;

        let health_listener = options.network.health_listen.map(|address| listen(address, "--health-listen")).transpose()?;
        let health_address =
            health_listener.as_ref().map(TcpListener::local_addr).transpose().context("the health listener has no address")?;
        let console_listener = console::listener(&options)?;
        let public = public::Public::listen(&options)?;

        let (stop, stopped) = watch::channel(false);
        let draining = CancellationToken::new();
        let drain = draining.clone().drop_guard();
        let health = Health::new();
        let (store, stored) = open(&options, &clock)?;
        match stored {
            Some(stored) => access.take_stored(0, stored)?,
            None => access.await_stored()?,
        }
        access_rules::check_open(&options, &access)?;
        if access.is_open() {
            tracing::info!("nobody is named who may call: everybody who reaches a listener may do everything (--access-file)");
        }
        install_fonts(&options.billing.documents.fonts)?;
        let time_zone = options.store.billing_time_zone_name();
        let public_url = public.as_ref().map_or_else(|| options.public.links.url(), |public| Some(public.url.clone()));
        let billing = aggregation::billing(options.billing_url(), &options.billing, time_zone, public_url)?;
        let billing = billing.map(|billing| billing.of(store.identity().clone()));
        if let JournalBounds { unread_tail: Some(tail), .. } = lane::journal_bounds(&options) {
            tracing::warn!(
                tail,
                "there is no billing store: usage records are discarded without billing; only the newest journal entries are kept"
            );
        }
        let (ledger, version) = (store.identity().to_string(), env!("CARGO_PKG_VERSION"));
        let billing_place = billing.as_ref().map_or_else(|| "off".to_owned(), |billing| billing.place().to_owned());
        let trail = recorded::trail(&options, &clock)?;
        trail.record(recorded::started(&options, access.is_open()));
        let records = recorded::Writer::start(trail.clone(), billing.clone())?;
        let plan = Arc::new(LaneContext::new(&options, store, billing.clone(), health, Arc::clone(&access), trail, draining)?);
        let started = (0..options.load.lanes()).map(|number| start_lane(number, &plan)).collect::<anyhow::Result<Vec<_>>>()?;
        let lanes = started.into_iter().map(when_ready).collect::<anyhow::Result<Vec<_>>>()?;

        let http = http_address.map(|address| start_http(address, &plan).and_then(when_ready)).transpose()?;

        let console =
            console_listener.as_ref().map(|listener| ConsolePlan::new(listener, &options, plan.billing.as_ref(), &access)).transpose()?;
        let invitations = console.as_ref().map(ConsolePlan::invitations);
        let console = console.map(|console| console.start(&plan).and_then(when_ready)).transpose()?;

        let (public_listener, public_tls, public) = match public {
            Some(public) => {
                let (listener, tls, started) = public.start(&plan, clock.clone())?;
                (Some(listener), tls, Some(when_ready(started)?))
            }
            None => (None, None, None),
        };

        let aggregating = billing.filter(|_| options.aggregates());
        let sending = match aggregating.clone() {
            Some(billing) => Sending::start(&options.smtp, billing, clock.clone(), options.billing.aggregation_lease)?,
            None => None,
        };
        let aggregation = match aggregating {
            Some(billing) => Some(Aggregation::start(&plan, billing, aggregation::aggregator_options(&options.billing))?),
            None => None,
        };

        let is_plain = options.network.insecure && tls.is_none() && options.takes_secrets_from_elsewhere();
        let reload = Reload { access: Arc::clone(&access), tls: tls.clone(), public_tls: public_tls.clone() };
        let (end, ended) = oneshot::channel();
        let control = Control {
            plan,
            lanes,
            http,
            console,
            public,
            aggregation,
            sending,
            records,
            test_clock: options.store.test_clock,
            stopped,
            drain,
        };
        let listeners = Listeners {
            calls: listener,
            metrics: metrics_listener,
            http: http_listener,
            health: health_listener,
            console: console_listener,
            public: public_listener,
            tls,
            public_tls,
            access,
            is_insecure: options.network.insecure,
            is_plain,
        };
        start_thread("control", move || async move {
            let result = control.run(listeners).await;
            let _ = end.send(result);
            Ok(())
        })?;
        if let Some(address) = http_address {
            tracing::info!(%address, "serving HTTP/JSON");
        }
        if let Some(address) = health_address {
            tracing::info!(%address, "serving health");
        }
        let (metrics, lanes) = (MetricsListen(metrics_address), options.load.lanes());
        tracing::info!(%address, %metrics, lanes, ledger, billing = billing_place, version, "serving");
        supervisor::ready();
        Ok(Self { address, metrics_address, clock, console: invitations, reload, stop, ended })
    }

    /// Where it serves gRPC.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where it serves metrics, if it does.
    #[must_use]
    pub fn metrics_address(&self) -> Option<SocketAddr> {
        self.metrics_address
    }

    /// A URL that signs in to the console, once, as long as nobody can by a password; `None` if somebody can, or there is no console.
    pub async fn invite(&self) -> anyhow::Result<Option<String>> {
        match &self.console {
            Some(invitations) => invitations.invite().await,
            None => Ok(None),
        }
    }

    /// The clock it runs by.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Reloads settings while it runs.
    #[must_use]
    pub fn reload(&self) -> Reload {
        self.reload.clone()
    }

    /// Asks it to stop. It ends when the calls under way have, at the latest after the grace.
    pub fn request_stop(&self) {
        self.stop.send_replace(true);
    }

    /// Waits until it has ended: after it was asked to, or because something in it failed.
    pub async fn ended(&mut self) -> anyhow::Result<()> {
        if self.ended.is_terminated() {
            return Ok(());
        }
        (&mut self.ended).await.unwrap_or_else(|_| Err(anyhow::anyhow!("the control thread panicked")))
    }

    /// Stops it, and waits until it has ended.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        self.request_stop();
        self.ended().await
    }
}

impl Drop for App {
    fn drop(&mut self) {
        self.request_stop();
    }
}

/// Sets the fonts that documents are printed with, and returns what cannot be printed with them.
fn install_fonts(folders: &[PathBuf]) -> anyhow::Result<()> {
    let missing = Fonts::install(folders).context("cannot use the fonts")?.missing_scripts();
    if !missing.is_empty() {
        tracing::info!(scripts = missing.join(", "), "no font has letters of these scripts: PDFs print their codes (--fonts)");
    }
    Ok(())
}

/// Opens the ledger, or creates it; refuses a billing store that is another ledger's. Returns also who may call by the billing store. Blocks
/// until then, on a thread of its own.
fn open(options: &ServeOptions, clock: &Clock) -> anyhow::Result<(Store, Option<StoredCallers>)> {
    let (options, clock) = (options.clone(), clock.clone());
    let (opened, store) = channel();
    let opening = start_thread("opening", move || async move {
        let store = opening::open(&options, clock).await?;
        let stored = opening::callers(&options, &store).await?;
        let _ = opened.send((store, stored));
        Ok(())
    })?;
    match store.recv() {
        Ok(store) => Ok(store),
        Err(_) => Err(opening.join().ok().and_then(Result::err).unwrap_or_else(|| anyhow::anyhow!("the ledger was not opened"))),
    }
}

fn start_lane(number: usize, plan: &Arc<LaneContext>) -> anyhow::Result<(Lane, Receiver<()>)> {
    let (ready, is_ready) = channel();
    let plan = Arc::clone(plan);
    let lane = Lane::start(format!("lane-{number}"), move |accepted| async move { plan.serve(accepted, ready).await })?;
    Ok((lane, is_ready))
}

fn start_http(address: SocketAddr, plan: &Arc<LaneContext>) -> anyhow::Result<(Lane, Receiver<()>)> {
    let (ready, is_ready) = channel();
    let plan = Arc::clone(plan);
    let lane = Lane::start("http".to_owned(), move |accepted| async move { plan.serve_http(address, accepted, ready).await })?;
    Ok((lane, is_ready))
}

fn when_ready((lane, is_ready): (Lane, Receiver<()>)) -> anyhow::Result<Lane> {
    match is_ready.recv() {
        Ok(()) => Ok(lane),
        Err(_) => Err(lane.join().err().unwrap_or_else(|| anyhow::anyhow!("a lane stopped during start-up"))),
    }
}

fn listen(address: SocketAddr, option: &str) -> anyhow::Result<TcpListener> {
    let listener = TcpListener::bind(address).with_context(|| format!("cannot listen on {option} {address}"))?;
    listener.set_nonblocking(true).with_context(|| format!("cannot listen on {option} {address}"))?;
    Ok(listener)
}

/// Waits until the service is to stop; a closed channel means the same.
async fn until(stopped: &mut watch::Receiver<bool>) {
    let _ = stopped.wait_for(|is_stopped| *is_stopped).await;
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tonic::Code;

    use super::*;
    use crate::config::{LoadOptions, NetworkOptions, StoreOptions};
    use crate::grpc::v1::charging_service_client::ChargingServiceClient;
    use crate::grpc::v1::{GetUsableCreditRequest, WatchUsableCreditRequest};

    fn options(directory: &tempfile::TempDir) -> ServeOptions {
        let any_port: SocketAddr = "127.0.0.1:0".parse().unwrap();
        ServeOptions {
            network: NetworkOptions {
                listen: any_port,
                metrics_listen: MetricsListen(Some(any_port)),
                shutdown_grace: Duration::from_millis(300),
                ..Default::default()
            },
            store: StoreOptions { store: Some(directory.path().join("ledger.db")), ..Default::default() },
            load: LoadOptions { lanes: std::num::NonZeroUsize::new(2), ..Default::default() },
            ..Default::default()
        }
    }

    async fn get(address: SocketAddr, path: &str) -> String {
        let mut socket = tokio::net::TcpStream::connect(address).await.unwrap();
        socket.write_all(format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").as_bytes()).await.unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn it_serves_calls_and_metrics_and_stops_within_its_grace() {
        let directory = tempfile::tempdir().unwrap();
        let app = App::start(options(&directory)).unwrap();
        let mut client = ChargingServiceClient::connect(format!("http://{}", app.address())).await.unwrap();
        let request = GetUsableCreditRequest { account_id: "nobody".into() };
        assert_eq!(client.get_usable_credit(request).await.unwrap_err().code(), Code::NotFound);
        let metrics = get(app.metrics_address().unwrap(), "/metrics").await;
        assert!(
            metrics.contains(r#"rpc_method="tollgate.v1.ChargingService/GetUsableCredit",rpc_response_status_code="NOT_FOUND""#),
            "{metrics}"
        );
        assert!(metrics.contains(r#"command="observe",outcome="refused:ACCOUNT_NOT_FOUND""#), "{metrics}");
        let stopping = Instant::now();
        app.stop().await.unwrap();
        assert!(stopping.elapsed() < Duration::from_secs(2));
    }

    #[tokio::test]
    async fn a_watch_ends_with_the_service_and_what_was_kept_is_there_again() {
        use crate::grpc::v1::account_service_client::AccountServiceClient;
        use crate::grpc::v1::{CreateAccountRequest, Operator, PaymentMode};

        let directory = tempfile::tempdir().unwrap();
        let app = App::start(options(&directory)).unwrap();
        let server = format!("http://{}", app.address());
        let create = CreateAccountRequest {
            account_id: "acme".into(),
            request_id: "r1".into(),
            name: "Acme".into(),
            currency_code: "USD".into(),
            mode: PaymentMode::Prepaid.into(),
            operator: Some(Operator { actor: "test".into(), reason: "test".into() }),
            ..Default::default()
        };
        AccountServiceClient::connect(server.clone()).await.unwrap().create_account(create).await.unwrap();
        let mut client = ChargingServiceClient::connect(server).await.unwrap();
        let watch = client.watch_usable_credit(WatchUsableCreditRequest { account_id: "acme".into() }).await.unwrap();
        let mut messages = watch.into_inner();
        assert!(messages.message().await.unwrap().is_some());
        let stopping = Instant::now();
        app.stop().await.unwrap();
        assert!(stopping.elapsed() < Duration::from_secs(2));
        assert_eq!(messages.message().await.unwrap_err().code(), Code::Unavailable);
        // What was kept is there again.
        let app = App::start(options(&directory)).unwrap();
        let mut client = ChargingServiceClient::connect(format!("http://{}", app.address())).await.unwrap();
        client.get_usable_credit(GetUsableCreditRequest { account_id: "acme".into() }).await.unwrap();
        app.stop().await.unwrap();
    }
}
