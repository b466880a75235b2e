//! `tollgate serve`: runs the service until SIGINT or SIGTERM; a second one ends it at once. SIGHUP has it read its settings again.
//!
//! A panic anywhere ends the process: what charges money does not go on after a bug. Clients repeat what they had no answer to.

use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::sleep;

use super::block_on;
use super::reload::{Settings, follow};
use crate::app::App;
use crate::config::ServeOptions;
use crate::telemetry;

/// What a process exits with that was ended by a panic.
const PANICKED: i32 = 101;

/// How long it may take to write down why.
const REPORT_LIMIT: Duration = Duration::from_secs(3);

/// Within what time two signals are one.
const ECHO: Duration = Duration::from_millis(100);

/// What a process exits with that was interrupted.
pub(super) const INTERRUPTED: i32 = 130;

/// Runs the service.
pub fn run(options: ServeOptions) -> anyhow::Result<ExitCode> {
    let telemetry = telemetry::start(&options.telemetry)?;
    exit_on_panic();
    if let Some(path) = &options.store.test_clock {
        tracing::warn!(path = %path.display(), "test clock in use, read from a file: do not charge real customers");
    }
    let result = block_on(async {
        let (signals, started) = (Signals::listen()?, Settings::read()?);
        let is_billed = options.billing_url().is_some();
        let app = App::start(options)?;
        // Without a billing store nothing else can make a link.
        if std::io::stdout().is_terminal() || !is_billed {
            tell_how_to_sign_in(&app).await;
        }
        let reload = app.reload();
        tokio::select! {
            ended = until_stopped(app, signals) => ended,
            failed = follow(reload, started) => failed,
        }
    });
    telemetry.stop();
    result.map(|()| ExitCode::SUCCESS)
}

/// Prints a link that signs in to the console, as long as nobody can by a password. On a terminal only: a log is read by others.
async fn tell_how_to_sign_in(app: &App) {
    match app.invite().await {
        Ok(Some(url)) => println!("Open the console (the link signs you in once, within 15 minutes):\n  {url}"),
        Ok(None) => {}
        Err(error) => tracing::warn!("no link to sign in to the console could be made: {error:#}"),
    }
}

/// Runs a service until it ends, or a signal asks it to.
pub async fn until_stopped(mut app: App, mut signals: Signals) -> anyhow::Result<()> {
    tokio::select! {
        ended = app.ended() => return ended,
        () = signals.next() => app.request_stop(),
    }
    tokio::select! {
        ended = app.ended() => ended,
        () = signals.another() => {
            tracing::warn!("stopped at once");
            telemetry::logs::flush();
            std::process::exit(INTERRUPTED)
        }
    }
}

/// SIGINT and SIGTERM.
pub struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    /// From now on, they no longer end the process by themselves.
    pub fn listen() -> anyhow::Result<Self> {
        let listen = |kind| signal(kind).context("cannot listen for signals");
        Ok(Self { interrupt: listen(SignalKind::interrupt())?, terminate: listen(SignalKind::terminate())? })
    }

    /// Waits for one more, and not for the echo of the last: `timeout` signals the process, and with it its group.
    pub async fn another(&mut self) {
        sleep(ECHO).await;
        if let Ok(listening) = Self::listen() {
            *self = listening;
        }
        self.next().await;
    }

    /// Waits for the next one.
    pub async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// Ends the process when anything in it panics.
pub(super) fn exit_on_panic() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        tracing::error!(location = panic.location().map(tracing::field::display), "a bug: the process ends");
        // A stderr that nobody reads does not keep it.
        std::thread::spawn(|| {
            std::thread::sleep(REPORT_LIMIT);
            std::process::exit(PANICKED);
        });
        telemetry::logs::flush();
        report(panic);
        std::process::exit(PANICKED);
    }));
}
