//! `tollgate demo`: the real service on the embedded engine, sample customers that call it over gRPC, and what became of them.
//!
//! The service runs within this process, by a clock that the `scenario` moves; afterwards the clock runs on from there. Each run
//! gives its accounts ids of their own, so a store may be used again.

mod bills;
mod customer;
mod issuer;
mod report;
mod scenario;
mod stage;
mod tally;
mod traffic;
mod verify;

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::block_on;
use super::client::{Client, ServerOptions};
use super::serve::{Signals, until_stopped};
use crate::app::App;
use crate::cli::failure::explain;
use crate::clock::{Clock, system_now};
use crate::config::{CreateOptions, MetricsListen, NetworkOptions, Purpose, ServeOptions, StoreOptions, TelemetryOptions};
use crate::grpc::v1::{GetAccountRequest, PaymentMode};
use crate::ledger::{LedgerId, embedded};
use crate::telemetry;
use customer::CallLog;
use stage::Stage;

/// How often the clock is moved on, after the scenario.
const CLOCK_STEP: Duration = Duration::from_millis(20);

/// How to run the demo.
#[derive(Args, Debug)]
pub struct DemoOptions {
    /// Keep the store in this file [default: a temporary one]. One that another run of the demo has made may be used again.
    #[arg(long, value_name = "PATH")]
    store: Option<PathBuf>,
    /// Use the ledger in that file though the demo has not made it: it gets the demo's customers, and its time is moved months ahead. Takes
    /// the ledger's id.
    #[arg(long, value_name = "ID", requires = "store")]
    ledger: Option<LedgerId>,
    /// Where to serve gRPC; a free port, if that one is taken.
    #[arg(long, default_value = "127.0.0.1:7600", value_name = "ADDRESS")]
    listen: SocketAddr,
    /// Exit when all has happened, instead of serving on: 0 if everything came out right.
    #[arg(long)]
    once: bool,
    /// The log filter.
    #[arg(long, env = "TOLLGATE_LOG", default_value = "warn", value_name = "FILTER")]
    log: String,
}

impl DemoOptions {
    /// Refuses impossible settings before anything is opened.
    pub fn validate(&self) -> anyhow::Result<()> {
        self.serve_options(PathBuf::new()).validate()
    }

    fn serve_options(&self, store: PathBuf) -> ServeOptions {
        ServeOptions {
            network: NetworkOptions { listen: self.listen, metrics_listen: MetricsListen(None), ..Default::default() },
            store: StoreOptions { store: Some(store), ..Default::default() },
            create: CreateOptions { create: false, purpose: Purpose::Demo },
            telemetry: TelemetryOptions { log: self.log.clone(), ..Default::default() },
            ..Default::default()
        }
    }
}

/// Runs the demo.
pub fn run(mut options: DemoOptions) -> anyhow::Result<ExitCode> {
    if TcpListener::bind(options.listen).is_err() {
        println!("{} is taken: using a free port.", options.listen);
        options.listen.set_port(0);
    }
    let temporary = tempfile::tempdir().context("cannot make a temporary directory")?;
    let store = options.store.clone().unwrap_or_else(|| temporary.path().join("demo.db"));
    let serve_options = options.serve_options(store);
    let telemetry = telemetry::start(&serve_options.telemetry)?;
    let result = block_on(async {
        let clock = Clock::manual(system_now(), TimeZone::UTC);
        check_ledger(&options)?;
        let app = App::start_at(serve_options, clock.clone())?;
        play(app, clock, &options).await
    });
    telemetry.stop();
    result
}

/// Refuses a ledger that the demo has not made, unless it was named.
fn check_ledger(options: &DemoOptions) -> anyhow::Result<()> {
    let Some(path) = options.store.as_deref().filter(|path| path.exists()) else { return Ok(()) };
    let found = embedded::find(path)?;
    let id = found.id.map_or_else(|| "a ledger of an earlier version".to_owned(), |id| format!("ledger {id}"));
    match options.ledger {
        Some(named) if found.id == Some(named) => Ok(()),
        Some(named) => bail!("{} holds {id}, not ledger {named}", path.display()),
        None if found.purpose == Purpose::Demo => Ok(()),
        None => bail!(
            "{} holds {id}, which the demo has not made: it would get the demo's customers, and its time would be moved months ahead. If that \
             is meant, name it by --ledger",
            path.display()
        ),
    }
}

async fn play(app: App, clock: Clock, options: &DemoOptions) -> anyhow::Result<ExitCode> {
    let server = format!("http://{}", app.address());
    println!(
        "tollgate serves at {}, on {}.",
        app.address(),
        options.store.as_ref().map_or("a temporary store".into(), |path| path.display().to_string())
    );
    let started = Instant::now();
    let mut stage = stage(&server, clock.clone()).await?;
    issuer::set(&mut stage).await?;
    scenario::play(&mut stage).await?;
    verify::verify(&mut stage).await?;
    stage.log.finish();
    let took = started.elapsed();
    let documents = bills::close_the_month(&mut stage).await?;
    let is_right = report::print(&stage, took, &documents).await?;
    let code = if is_right { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    if options.once {
        app.stop().await?;
        return Ok(code);
    }
    invite(&stage, &app).await?;
    let signals = Signals::listen()?;
    tokio::select! {
        ended = until_stopped(app, signals) => ended?,
        () = run_on(clock) => {}
    }
    Ok(code)
}

/// Connects, and goes to the beginning of a month that the store has not seen.
async fn stage(server: &str, clock: Clock) -> anyhow::Result<Stage> {
    let mut client = Client::connect(&ServerOptions::of(server.to_owned())).await?;
    let progress = ProgressBar::new(traffic::CALLS);
    progress.set_style(ProgressStyle::with_template("{bar:40} {pos} of about {len} calls, {per_sec}").context("a bad progress bar")?);
    let log = CallLog::new(progress);
    let mut run = uuid::Uuid::new_v4().simple().to_string();
    run.truncate(6);
    let mut stage = Stage::new(client.clone(), clock, log, run);
    // An earlier run has moved the store's time ahead; a new account tells to where.
    let probe = stage.open("probe", "Probe", PaymentMode::Prepaid, 0.into()).await?;
    let request = GetAccountRequest { account_id: probe.id.clone() };
    let account = client.accounts.get_account(request).await.map_err(explain)?.into_inner().account.unwrap_or_default();
    let created_at = account.created_at.map(|time| Timestamp::new(time.seconds, time.nanos)).transpose()?;
    stage.customers.clear();
    stage.catch_up(created_at.unwrap_or(Timestamp::MIN))?;
    stage.go_to_next_month()?;
    Ok(stage)
}

/// Prints how to go on from another terminal.
async fn invite(stage: &Stage, app: &App) -> anyhow::Result<()> {
    let address = app.address();
    let account = stage.customers.last().map_or("", |customer| &customer.id);
    println!("\nThe service goes on until Ctrl-C; its clock runs on from {:.0}. From another terminal:\n", stage.now()?);
    println!("  tollgate credit {account} --server http://{address}");
    println!("  tollgate invoice list --server http://{address}");
    println!("  grpcurl -plaintext -d '{{\"account_id\": \"{account}\"}}' {address} tollgate.v1.ChargingService/GetUsableCredit");
    println!(
        "  grpcurl -plaintext -d '{{\"account_id\": \"{account}\", \"request_id\": \"mine-1\", \"amount\": {{\"amount\": \"1.5\"}}}}' {address} \
         tollgate.v1.ChargingService/Debit"
    );
    println!("  grpcurl -plaintext {address} describe tollgate.v1.ChargingService");
    if let Some(url) = app.invite().await? {
        println!("\nOr open the console in a browser; the link signs you in once, within 15 minutes:\n\n  {url}");
    }
    Ok(())
}

/// Advances a manual clock with real time, in a loop.
async fn run_on(clock: Clock) {
    let (from, started) = (clock.now(), Instant::now());
    let mut ticks = tokio::time::interval(CLOCK_STEP);
    loop {
        ticks.tick().await;
        clock.set(from + i64::try_from(started.elapsed().as_millis()).unwrap_or_default());
    }
}
