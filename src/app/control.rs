//! The control thread: accepts sockets, looks after the store, serves metrics, and ends it all.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use futures_util::future::{join_all, select_all};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::aggregation::Aggregation;
use super::lane::LaneContext;
use super::listeners::{Listeners, follow_access, follow_key_sets, follow_tls, serve_health, serve_metrics};
use super::opening::refuse_foreign;
use super::partitions::{Partitions, Spans};
use super::readiness_report::ReadinessReport;
use super::recorded::Writer;
use super::sending::Sending;
use super::supervisor::{self, Watchdog};
use super::{callers, test_clock, until};
use crate::lanes::{self, ConnectionSlots, Lane};
use crate::ledger::{Ledger, LedgerError, Sizes};
use crate::service::context::Protocol as Via;
use crate::service::{UseCases, approvals};
use crate::telemetry::{endpoint, metrics};
use platform::tls::Protocol;

/// How often the store is checked, and due reservations are expired.
const TICK: Duration = Duration::from_millis(250);

/// How long the store may take for one part of a tick, before it counts as down.
const TICK_LIMIT: Duration = Duration::from_secs(3);

/// How many partitions are swept in one tick: of more, in turn.
const SWEPT_AT_ONCE: usize = 16;

/// How long the billing store may take to be closed.
const CLOSE_LIMIT: Duration = Duration::from_secs(2);

/// How many connections customers may have open.
const PUBLIC_CONNECTIONS: usize = 512;

/// How often the journals are looked at.
const JOURNAL_LOOK: Duration = Duration::from_secs(1);

/// How often accounts, reservations and request ids are counted, for the metrics.
const SIZES_LOOK: Duration = Duration::from_secs(5);

/// The state of the control thread.
pub struct Control {
    /// State shared with the lanes.
    pub plan: Arc<LaneContext>,
    pub lanes: Vec<Lane>,
    /// The thread that serves HTTP/JSON, if one does.
    pub http: Option<Lane>,
    /// The thread that serves the web console, if one does.
    pub console: Option<Lane>,
    /// The thread that serves documents to customers, if one does.
    pub public: Option<Lane>,
    /// The aggregation, if this process does that.
    pub aggregation: Option<Aggregation>,
    /// The mail worker, if this process has one.
    pub sending: Option<Sending>,
    /// What writes down who did what.
    pub records: Writer,
    /// The file that says the time.
    pub test_clock: Option<PathBuf>,
    /// True once the service is to stop.
    pub stopped: watch::Receiver<bool>,
    /// Dropped once no more sockets are accepted: then the lanes end.
    pub drain: DropGuard,
}

impl Control {
    /// Runs until the service is to stop, or something in it fails; then stops the lanes, and waits for them.
    pub async fn run(mut self, mut listeners: Listeners) -> anyhow::Result<()> {
        // Health answers to the end: a probe learns that this process lives, and serves no longer.
        let (serving, stopping) = (endpoint::Serving::default(), CancellationToken::new());
        let health = listeners.health.take();
        let told = serve_health(health, self.plan.health.clone(), serving.clone(), stopping.clone());
        let told = tokio::spawn(told);
        let result = self.work(listeners, serving.clone()).await;
        tracing::info!("stopping");
        supervisor::stopping();
        serving.set(Err("it is stopping".to_owned()), &[]);
        self.plan.health.set_serving(false).await;
        drop(self.drain);
        for lane in self.lanes.iter_mut().chain(&mut self.http).chain(&mut self.console).chain(&mut self.public) {
            lane.ended().await;
        }
        // Before the threads end whose connections to the billing store it may be given.
        self.records.stop().await;
        let sent = self.sending.map_or(Ok(()), Sending::stop);
        let aggregated = match self.aggregation {
            Some(aggregation) => aggregation.stop().await,
            None => Ok(()),
        };
        // The first reason is the one that tells; a lane's own is better than that it ended.
        let ends: Vec<_> = self.lanes.into_iter().chain(self.http).chain(self.console).chain(self.public).map(Lane::join).collect();
        stopping.cancel();
        told.abort();
        self.plan.store.close();
        if let Some(billing) = &self.plan.billing {
            let _ = timeout(CLOSE_LIMIT, billing.store().close()).await;
        }
        tracing::info!("stopped");
        ends.into_iter().collect::<anyhow::Result<()>>().and(result).and(aggregated).and(sent)
    }

    async fn work(&mut self, listeners: Listeners, serving: endpoint::Serving) -> anyhow::Result<()> {
        let Listeners { calls, http, console, public, metrics, health: _, tls, public_tls, access, is_insecure, is_plain } = listeners;
        let ledger = self.plan.ledger().await?;
        let use_cases = self.plan.use_cases().await?;
        let guarded = self.plan.are_metrics_guarded.then(|| self.plan.access(Via::Http));
        let places = ConnectionSlots::new(self.plan.max_connections).holding_back_flooders(self.plan.proxies.networks());
        let calls = Listeners::deal(Some(calls), tls.clone(), Protocol::Http2, lanes::senders_of(&self.lanes), &places);
        let http = Listeners::deal(http, tls.clone(), Protocol::Http1, lanes::senders_of(self.http.as_slice()), &places);
        let console = Listeners::deal(console, tls.clone(), Protocol::Http1, lanes::senders_of(self.console.as_slice()), &places);
        // Unknown peers must not take the places of callers.
        let public_places = ConnectionSlots::new(PUBLIC_CONNECTIONS);
        let public =
            Listeners::deal(public, public_tls.clone(), Protocol::Http1, lanes::senders_of(self.public.as_slice()), &public_places);
        let metrics = serve_metrics(metrics, tls.clone(), serving.clone(), guarded, self.plan.proxies.clone());
        let (mut stopped, spans) = (self.stopped.clone(), Spans::default());
        tokio::select! {
            () = until(&mut stopped) => Ok(()),
            result = calls => result,
            result = http => result.context("HTTP"),
            result = console => result.context("the console"),
            result = public => result.context("the listener for customers"),
            result = metrics => result,
            () = follow_tls(tls.as_deref()) => Ok(()),
            () = follow_tls(public_tls.as_deref()) => Ok(()),
            () = follow_access(&access, (is_insecure, is_plain), &self.plan.trail) => Ok(()),
            () = follow_key_sets(&access) => Ok(()),
            () = callers::keep(&access, &ledger, self.plan.billing.as_ref()) => Ok(()),
            () = sweep_approvals(&self.plan, &use_cases) => Ok(()),
            () = tick(&self.plan, &ledger, &spans, &serving, self.test_clock.as_ref(), self.aggregation.as_ref(), self.sending.as_ref()) => Ok(()),
            () = watch_journal(&self.plan, &ledger, &spans, self.aggregation.as_ref()) => Ok(()),
            () = count_sizes(&ledger) => Ok(()),
            () = probe_billing(&self.plan) => Ok(()),
            result = refuse_foreign(self.plan.billing.as_ref(), &ledger) => result,
            () = self.plan.store.listen() => Ok(()),
            _ = select_all(self.lanes.iter_mut().chain(&mut self.http).chain(&mut self.console).chain(&mut self.public).map(|lane| Box::pin(lane.ended()))) => Err(anyhow::anyhow!("a lane ended")),
        }
    }
}

/// Checks the store in a loop: tells health and metrics whether it can serve, and expires what is due.
async fn tick(
    plan: &LaneContext,
    ledger: &Ledger,
    spans: &Spans,
    serving: &endpoint::Serving,
    test_clock: Option<&PathBuf>,
    aggregation: Option<&Aggregation>,
    sending: Option<&Sending>,
) {
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut partitions = Partitions::new(ledger.partitions(), plan.serve_ahead);
    let mut was_up = None;
    let mut watchdog = Watchdog::of_unit();
    loop {
        ticks.tick().await;
        watchdog.alive();
        if test_clock.is_some_and(|path| test_clock::follow(path, ledger.clock())) {
            // Watchers wait by the machine's clock, which knows nothing of it.
            plan.store.watchers.announce_all();
        }
        let found = look_after(ledger, spans, &mut partitions).await;
        let (state, mut warnings) = (found.problem.map_or(Ok(()), Err), found.warnings);
        let is_up = state.is_ok();
        if let Some(Aggregation { status, .. }) = aggregation {
            let problem = status.problem();
            metrics().aggregation.set_up(problem.is_none());
            warnings.extend(problem.map(|problem| format!("aggregation: {problem}")));
            warnings.extend(status.warnings());
        }
        warnings.extend(sending.iter().flat_map(|sending| sending.status.warnings()));
        serving.set(state.clone(), &warnings);
        plan.health.set_deciding(is_up && !found.is_any_torn && !found.is_any_lost).await;
        if was_up.replace(is_up) != Some(is_up) {
            match state {
                Ok(()) => tracing::info!("the store is up"),
                Err(reason) => tracing::error!(reason, "the store is down"),
            }
            metrics().set_store_up(is_up);
            plan.health.set_serving(is_up).await;
        }
    }
}

/// Checks in a loop whether the billing store is available.
async fn probe_billing(plan: &LaneContext) {
    match &plan.billing {
        Some(billing) => billing.store().probe().await,
        None => std::future::pending().await,
    }
}

/// Checks how full the journals are, and whether they are aggregated, in a loop.
async fn watch_journal(plan: &LaneContext, ledger: &Ledger, spans: &Spans, aggregation: Option<&Aggregation>) {
    let mut looks = interval(JOURNAL_LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        looks.tick().await;
        plan.gate.look(ledger.engine().as_ref(), |partition, span| spans.see(partition, span)).await;
        if let Some(aggregation) = aggregation {
            plan.health.set_aggregating(aggregation.status.problem().is_none()).await;
        } else if plan.gate.bounds().unread_tail.is_some() {
            plan.health.set_aggregating(false).await;
        }
    }
}

/// Sweeps acts that wait for a second person, in a loop.
async fn sweep_approvals(plan: &LaneContext, use_cases: &UseCases) {
    if plan.billing.is_none() {
        return std::future::pending().await;
    }
    let mut sweeps = interval(approvals::SWEEP);
    sweeps.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        sweeps.tick().await;
        approvals::sweep(use_cases).await;
    }
}

/// Counts what the ledger holds, in a loop. A partition that cannot be read keeps its last figures.
async fn count_sizes(ledger: &Ledger) {
    let mut looks = interval(SIZES_LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        looks.tick().await;
        for partition in 0..ledger.partitions() {
            if let Ok(Sizes { accounts, reservations, request_ids }) = ledger.engine().sizes(partition).await {
                metrics().ledger.set_sizes(partition, accounts, reservations, request_ids);
            }
        }
    }
}

/// Whether the service is ready, and what an operator should know. A partition that is in trouble holds up no other.
async fn look_after(ledger: &Ledger, spans: &Spans, partitions: &mut Partitions) -> ReadinessReport {
    let checked = timeout(TICK_LIMIT, ledger.engine().check()).await;
    let checked = checked.unwrap_or_else(|_| vec![Err(format!("no reply within {TICK_LIMIT:?}")); usize::from(ledger.partitions())]);
    partitions.take_in(ledger, spans);
    let swept = partitions.next_to_sweep(&checked, SWEPT_AT_ONCE, ledger.clock().now());
    let sweeps = swept.iter().map(|partition| async { timeout(TICK_LIMIT, ledger.sweep(*partition, TICK)).await });
    for (partition, result) in swept.iter().zip(join_all(sweeps).await) {
        partitions.swept(*partition, &result.unwrap_or_else(|_| Err(LedgerError::not_done(format!("no reply within {TICK_LIMIT:?}")))));
    }
    partitions.look(ledger, checked)
}
