//! The mail worker within this process: a thread of its own, so that a slow mail server holds up nothing else.

use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::watch;

use crate::billing::Billing;
use crate::clock::Clock;
use crate::config::SmtpOptions;
use crate::lanes::start_thread;
use delivery::smtp::Server;
use delivery::status::Status;
use delivery::worker::{Limits, MailWorker};

/// A running mail worker.
pub struct Sending {
    /// How it goes.
    pub status: Status,
    stop: watch::Sender<bool>,
    thread: JoinHandle<anyhow::Result<()>>,
}

impl Sending {
    /// Starts one, if there is a mail server.
    pub fn start(options: &SmtpOptions, billing: Billing, clock: Clock, lease: Duration) -> anyhow::Result<Option<Self>> {
        let Some(address) = options.server()? else { return Ok(None) };
        tracing::info!(server = %format_args!("{}:{}", address.host, address.port), "mail is given to a server, where invoices are sent");
        let server = Server::new(address, options.smtp_ca.as_deref())?;
        let (stop, stopped) = watch::channel(false);
        let status = Status::default();
        let worker = MailWorker::new(billing, clock, server, Limits::of(options, lease), status.clone());
        let thread = start_thread("sending", move || async move {
            worker.run(stopped).await;
            Ok(())
        })?;
        Ok(Some(Self { status, stop, thread }))
    }

    /// Stops it. Another process goes on with what is under way, once its claim is over.
    pub fn stop(self) -> anyhow::Result<()> {
        self.stop.send_replace(true);
        self.thread.join().unwrap_or_else(|_| Err(anyhow::anyhow!("the sending of mail panicked")))
    }
}
