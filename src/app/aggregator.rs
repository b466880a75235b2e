//! An aggregator as a process of its own: reads the ledger's journal, serves metrics, and ends when it is told to.

use std::time::Duration;

use anyhow::Context;
use tokio::sync::watch;
use tokio::time::{interval, timeout};
use tokio_util::sync::CancellationToken;

use super::aggregation::{aggregator_options, billing};
use super::listeners::{follow_tls, serve_health, serve_metrics};
use super::sending::Sending;
use super::store::Store;
use super::supervisor::{self, Watchdog};
use super::{listen, test_clock};
use crate::billing::aggregator::Aggregator;
use crate::billing::status::Status;
use crate::clock::Clock;
use crate::config::{AggregateOptions, MetricsListen};
use crate::grpc::Health;
use crate::lanes::proxies::TrustedProxies;
use crate::ledger::{Ledger, Opening};
use crate::telemetry::endpoint::Serving;
use crate::telemetry::metrics;
use platform::tls::Tls;

/// How often the ledger is looked at.
const TICK: Duration = Duration::from_millis(250);

/// How long the ledger may take for that.
const TICK_LIMIT: Duration = Duration::from_secs(3);

/// Aggregates until it is told to stop. `show` displays the progress until it is dropped.
pub async fn aggregate<Shown: Future<Output = ()>>(
    options: &AggregateOptions,
    stopped: watch::Receiver<bool>,
    show: impl FnOnce(Status) -> Shown,
) -> anyhow::Result<()> {
    options.validate()?;
    let zone = options.store.billing_time_zone.clone();
    let clock = match &options.store.test_clock {
        Some(path) => Clock::manual(test_clock::read(path)?, zone),
        None => Clock::running(zone),
    };
    let tls = Tls::load(&options.tls)?;
    let listener = options.metrics_listen.0.map(|address| listen(address, "--metrics-listen")).transpose()?;
    let health_listener = options.health_listen.map(|address| listen(address, "--health-listen")).transpose()?;
    let metrics_address =
        listener.as_ref().map(std::net::TcpListener::local_addr).transpose().context("the metrics listener has no address")?;
    let store = Store::open(&options.store, Opening::Existing, clock.clone()).await?;
    let ledger = Ledger::start(store.engine().await?, store.watchers.clone(), clock.clone());
    let time_zone = options.store.billing_time_zone_name();
    let billing = billing(options.billing_url(), &options.billing, time_zone, options.links.url())?;
    let billing = billing.context("there is no billing store to aggregate to")?;
    let sending = Sending::start(&options.smtp, billing.clone(), clock, options.billing.aggregation_lease)?;
    let aggregator = Aggregator::new(ledger.clone(), billing.clone(), aggregator_options(&options.billing));
    let status = aggregator.status();
    let (serving, health) = (Serving::default(), Health::new());
    tracing::info!(metrics = %MetricsListen(metrics_address), "aggregating");
    if let Some(address) =
        health_listener.as_ref().map(std::net::TcpListener::local_addr).transpose().context("the health listener has no address")?
    {
        tracing::info!(%address, "serving health");
    }
    supervisor::ready();
    let ended = tokio::select! {
        result = aggregator.run(stopped) => result.context("the aggregation failed"),
        () = billing.store().probe() => Ok(()),
        () = look_after(options, &ledger, &status, sending.as_ref(), &serving, &health) => Ok(()),
        () = async {
            serve_health(health_listener, health.clone(), serving.clone(), CancellationToken::new()).await;
            std::future::pending().await
        } => Ok(()),
        result = serve_metrics(listener, tls.clone(), serving.clone(), None, TrustedProxies::default()) => result,
        () = follow_tls(tls.as_deref()) => Ok(()),
        () = async {
            show(status.clone()).await;
            std::future::pending().await
        } => Ok(()),
    };
    let sent = sending.map_or(Ok(()), Sending::stop);
    tracing::info!("the aggregation has stopped");
    ended.and(sent)
}

/// Keeps the ledger's time and updates health, in a loop.
async fn look_after(
    options: &AggregateOptions,
    ledger: &Ledger,
    status: &Status,
    sending: Option<&Sending>,
    serving: &Serving,
    health: &Health,
) {
    let mut ticks = interval(TICK);
    let mut watchdog = Watchdog::of_unit();
    loop {
        ticks.tick().await;
        watchdog.alive();
        if let Some(path) = &options.store.test_clock {
            test_clock::follow(path, ledger.clock());
        }
        let ledger_state = timeout(TICK_LIMIT, ledger.check()).await.unwrap_or_else(|_| Err(format!("no reply within {TICK_LIMIT:?}")));
        let aggregating = status.problem().map_or(Ok(()), Err);
        metrics().set_store_up(ledger_state.is_ok());
        let mut warnings = status.warnings();
        warnings.extend(sending.iter().flat_map(|sending| sending.status.warnings()));
        metrics().aggregation.set_up(aggregating.is_ok());
        let state = ledger_state.and(aggregating);
        health.set_aggregator(state.is_ok()).await;
        serving.set(state, &warnings);
    }
}
