//! `tollgate bench`: generates load against a running service, measures it, and then checks that the books agree with what the service
//! said.
//!
//! The order: `setup` creates the accounts, `audit` reads them, `trial` runs the load (its `worker`s send single calls, `unary`, or
//! batches, `streamed`; closed loop, or open by a `schedule`), `audit` finds out the outcome of calls without an answer, and compares
//! accounts and `journal` with the `books`; `report` and `plot` show it. Exits with 1 if anything does not agree.
//!
//! `ceiling` and `empty_server` (not shown in the help) are what `tests/bench/ceilings` compares the service with.

mod accounts;
mod answer;
mod audit;
mod books;
mod ceiling;
mod checked;
mod empty_server;
mod journal;
mod measure;
mod mix;
mod operation;
mod options;
mod patience;
mod plot;
mod report;
mod schedule;
mod setup;
mod streamed;
mod trial;
mod unary;
mod worker;

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use clap::{Args, Subcommand};

use super::block_on;
use accounts::Picker;
use audit::Audit;
use books::Books;
use measure::Measure;
use operation::Writer;
use options::LoadOptions;
use report::{RateStep, Report, Summary};
use setup::Clients;
use trial::Trial;
use worker::{Progress, Shared};

/// How long to wait before a call that did not reach the service is repeated.
const PAUSE: Duration = Duration::from_millis(20);

/// The steps of a ladder, in parts of the highest rate.
const STEPS: u32 = 10;

/// Generate load against a running service, and check the books afterwards.
#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub struct BenchOptions {
    #[command(subcommand)]
    tool: Option<Tool>,
    #[command(flatten)]
    load: LoadOptions,
}

#[derive(Debug, Subcommand)]
enum Tool {
    /// Serve as the service does, and do nothing.
    #[command(hide = true)]
    EmptyServer(empty_server::EmptyServerOptions),
    /// Measure what the service is built on, by itself.
    #[command(hide = true, subcommand)]
    Ceiling(ceiling::Ceiling),
}

impl BenchOptions {
    /// Refuses conflicting settings.
    pub fn validate(&self) -> anyhow::Result<()> {
        if self.tool.is_some() { Ok(()) } else { self.load.validate() }
    }
}

/// Executes the command.
pub fn run(options: BenchOptions) -> anyhow::Result<ExitCode> {
    match options.tool {
        None => load(options.load),
        Some(Tool::EmptyServer(options)) => empty_server::run(&options),
        Some(Tool::Ceiling(ceiling)) => ceiling::run(&ceiling),
    }
}

fn load(options: LoadOptions) -> anyhow::Result<ExitCode> {
    let prefix = options.prepared.clone().or_else(|| options.prefix.clone()).unwrap_or_else(random_name);
    let writer = Writer::new(&prefix, &random_name());
    let accounts = options.accounts.get();
    let checked = accounts::sample(accounts, options.checked_accounts(), &mut rand::rng());
    let before = block_on(async {
        let clients = Clients::connect(&options).await?;
        setup::check_ledger(&clients, options.ledger).await?;
        match options.prepared {
            None => setup::create(&clients, &writer, accounts).await?,
            Some(_) if checked.is_empty() => {}
            Some(_) => setup::find(&clients, &writer, accounts).await?,
        }
        audit::states(&clients, &writer, &checked).await
    })?;

    let picker = Picker::new(options.skew, accounts)?;
    let shared = Arc::new(Shared { options, writer, picker, numbers: AtomicU64::new(0), progress: Progress::default() });
    let mut run = Run { shared: &shared, checked: &checked, books: Books::new(&checked) };
    let (summary, rungs) = if shared.options.plot.is_some() { run.ladder()? } else { (Some(run.trials(shared.options.rate)?), Vec::new()) };
    let mut books = run.books;

    let audit = if checked.is_empty() {
        None
    } else {
        Some(block_on(async { audit::check(&Clients::connect(&shared.options).await?, &shared, &before, &mut books).await })?)
    };
    let report = Report { options: &shared.options, prefix: &prefix, summary, rungs, audit };
    report.print();
    if let Some(path) = &shared.options.plot {
        plot::draw(path, &shared.options.describe(), &report.rungs)?;
        eprintln!("drawn: {}", path.display());
    }
    Ok(if report.audit.as_ref().is_none_or(is_right) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Whether all that was checked agrees.
fn is_right(audit: &Audit) -> bool {
    audit.mismatches.is_empty() && audit.unknown == 0
}

/// The trials of a run, over one set of books.
struct Run<'a> {
    shared: &'a Arc<Shared>,
    checked: &'a BTreeSet<u32>,
    books: Books,
}

impl Run<'_> {
    fn trial(&mut self, name: String, rate: Option<f64>) -> anyhow::Result<Measure> {
        trial::run(self.shared, &Trial { name, rate }, self.checked, &mut self.books)
    }

    /// As many trials as were asked for.
    fn trials(&mut self, rate: Option<f64>) -> anyhow::Result<Summary> {
        let count = self.shared.options.trials.get();
        let measures =
            (1..=count).map(|number| self.trial(format!("trial {number} of {count}"), rate)).collect::<anyhow::Result<Vec<_>>>()?;
        Summary::of(&measures)
    }

    /// A trial at each of several rates; the rates are given, or follow from what a closed loop reaches.
    fn ladder(&mut self) -> anyhow::Result<(Option<Summary>, Vec<RateStep>)> {
        let mut rates = self.shared.options.rates.clone();
        let mut peak = None;
        if rates.is_empty() {
            let summary = Summary::of(&[self.trial("closed loop, for the highest rate".to_owned(), None)?])?;
            let highest = summary.rate.median;
            rates = (1..=STEPS).map(|step| highest * f64::from(step) / f64::from(STEPS)).collect();
            peak = Some(summary);
        }
        let mut rungs = Vec::new();
        for rate in rates {
            let measure = self.trial(format!("{rate:.0} a second"), Some(rate))?;
            rungs.push(RateStep { sent_rate: rate, summary: Summary::of(&[measure])? });
        }
        Ok((peak, rungs))
    }
}

/// A name that no other run has.
fn random_name() -> String {
    let mut name = uuid::Uuid::new_v4().simple().to_string();
    name.truncate(8);
    name
}
