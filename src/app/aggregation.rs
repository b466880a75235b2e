//! The aggregator within this process: a thread of its own, so that it never holds up a lane.

use std::sync::Arc;
use std::thread::JoinHandle;

use anyhow::Context;
use tokio::sync::{oneshot, watch};

use super::lane::LaneContext;
use crate::billing::Billing;
use crate::billing::aggregator::{Aggregator, AggregatorOptions};
use crate::billing::retention::RetentionSettings;
use crate::billing::settings::{BillingSettings, NumberPrefixes};
use crate::billing::status::Status;
use crate::config::{BillingOptions, DocumentOptions, RetentionOptions};
use crate::lanes::start_thread;

/// The billing store of these options, if there is to be one. It is not looked at: charging does not wait for it.
pub fn billing(
    url: Option<String>,
    options: &BillingOptions,
    time_zone: &str,
    public_url: Option<String>,
) -> anyhow::Result<Option<Billing>> {
    let settings = BillingSettings { public_url, ..settings(&options.documents, time_zone)? };
    url.map(|url| Billing::connect_lazily(&url, settings).context("cannot use the billing store")).transpose()
}

/// How the aggregator works.
pub fn aggregator_options(options: &BillingOptions) -> AggregatorOptions {
    AggregatorOptions {
        lease: options.aggregation_lease,
        journal_tail: options.journal_tail,
        journal_keep: options.journal_keep,
        closes_per_second: options.closes_per_second.get(),
        retention: retention(options.retention),
    }
}

/// How long audit records, documents and details of entries are kept.
pub fn retention(options: RetentionOptions) -> RetentionSettings {
    RetentionSettings {
        audit_days: options.keep_audit_days,
        document_years: options.keep_documents_years,
        entry_detail_days: options.keep_entry_details_days,
    }
}

/// What documents are like.
pub fn settings(options: &DocumentOptions, time_zone: &str) -> anyhow::Result<BillingSettings> {
    let prefixes = NumberPrefixes {
        invoice: options.invoice_prefix.clone(),
        statement: options.statement_prefix.clone(),
        credit_note: options.credit_note_prefix.clone(),
    };
    prefixes.check().map_err(|problem| anyhow::anyhow!("--invoice-prefix, --statement-prefix, --credit-note-prefix: {problem}"))?;
    Ok(BillingSettings { due_days: options.due_days, prefixes, time_zone: time_zone.to_owned(), public_url: None })
}

/// An aggregator that runs.
pub struct Aggregation {
    /// How far it has come.
    pub status: Status,
    stop: watch::Sender<bool>,
    ended: oneshot::Receiver<()>,
    thread: JoinHandle<anyhow::Result<()>>,
}

impl Aggregation {
    /// Starts it. Blocks until it has the ledger.
    pub fn start(plan: &Arc<LaneContext>, billing: Billing, options: AggregatorOptions) -> anyhow::Result<Self> {
        let (stop, stopped) = watch::channel(false);
        let (is_running, ended) = oneshot::channel::<()>();
        let (ready, is_ready) = std::sync::mpsc::channel();
        let plan = Arc::clone(plan);
        let thread = start_thread("aggregation", move || async move {
            let _is_running = is_running;
            let aggregator = Aggregator::new(plan.ledger().await?, billing, options);
            let status = aggregator.status();
            let _ = ready.send(status.clone());
            // Charging goes on without it: health and metrics say how it ended.
            if let Err(error) = aggregator.run(stopped).await {
                tracing::error!(%error, "there is no aggregation");
                status.fail(&error.to_string());
            }
            Ok(())
        })?;
        match is_ready.recv() {
            Ok(status) => Ok(Self { status, stop, ended, thread }),
            Err(_) => Err(match thread.join() {
                Ok(Err(error)) => error,
                _ => anyhow::anyhow!("the aggregation stopped during start-up"),
            }),
        }
    }

    /// Stops it after its step, with its partitions given back.
    pub async fn stop(self) -> anyhow::Result<()> {
        self.stop.send_replace(true);
        let _ = self.ended.await;
        self.thread.join().unwrap_or_else(|_| Err(anyhow::anyhow!("the aggregation panicked")))
    }
}
