//! The options of `tollgate bench`. [`LoadOptions::validate`] refuses conflicts before anything is connected.

use std::num::{NonZeroU32, NonZeroU64, NonZeroUsize};
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::accounts::Skew;
use super::mix::Mix;
use super::patience::Patience;
use crate::cli::client::ServerOptions;
use crate::ledger::{LedgerId, MAX_BATCH};

/// Accounts up to this number are all checked, unless told otherwise.
const CHECKED_BY_DEFAULT: u32 = 10_000;

/// How many accounts a sample has.
const SAMPLE: u32 = 1_000;

/// Which load, on what, and what to show of it.
#[derive(Args, Clone, Debug)]
pub struct LoadOptions {
    #[command(flatten)]
    pub server: ServerOptions,
    /// Calls under way at a time, each next one sent when one is answered (closed loop). Without meaning with --rate or --stream.
    #[arg(long, default_value = "64", value_name = "COUNT", help_heading = "Load")]
    pub concurrency: NonZeroUsize,
    /// Sequences of --mix begun a second, whatever the answers do (open loop); latency counts from when each should have been sent, and of
    /// what follows in a sequence from when it was sent.
    #[arg(long, value_parser = positive, value_name = "PER_SECOND", help_heading = "Load")]
    pub rate: Option<f64>,
    /// Connections, dealt to the threads in turn.
    #[arg(long, default_value = "4", value_name = "COUNT", help_heading = "Load")]
    pub connections: NonZeroUsize,
    /// Threads that generate the load.
    #[arg(long, default_value = "1", value_name = "COUNT", help_heading = "Load")]
    pub threads: NonZeroUsize,
    /// Send batches over one Charge stream for each connection, instead of single calls.
    #[arg(long, help_heading = "Load")]
    pub stream: bool,
    /// Send batches by BatchCharge, a call for each, instead of single calls. Takes kinds of --mix that nothing follows: debit, reserve,
    /// decline, convert.
    #[arg(long, conflicts_with = "stream", help_heading = "Load")]
    pub batch_calls: bool,
    /// Commands of a batch.
    #[arg(long, default_value = "64", value_parser = clap::value_parser!(u16).range(1..=MAX_BATCH as i64), value_name = "COUNT", help_heading = "Load")]
    pub batch: u16,
    /// Batches under way at a time in each stream.
    #[arg(long, default_value = "4", value_name = "COUNT", help_heading = "Load")]
    pub in_flight: NonZeroUsize,
    /// Shares of debit, authorize (each followed by its final debit), session (also by a report that reserves anew), release (a reservation
    /// that is given back), reserve (left open), decline, refund (of a debit before it), convert, and of reading: credit, account.
    #[arg(long, default_value = "debit=100", value_name = "KIND=SHARE,…", help_heading = "Load")]
    pub mix: Mix,
    /// How long each trial is measured.
    #[arg(long, value_parser = humantime::parse_duration, default_value = "10s", value_name = "DURATION", help_heading = "Load")]
    pub duration: Duration,
    /// Measure this many commands instead, however long they take.
    #[arg(long, value_name = "COUNT", conflicts_with = "duration", help_heading = "Load")]
    pub calls: Option<NonZeroU64>,
    /// How long each trial runs before it is measured.
    #[arg(long, value_parser = humantime::parse_duration, default_value = "2s", value_name = "DURATION", help_heading = "Load")]
    pub warm_up: Duration,
    /// How often the load is repeated; medians are shown, with the least and the most.
    #[arg(long, default_value = "3", value_name = "COUNT", help_heading = "Load")]
    pub trials: NonZeroUsize,
    /// The deadline of each call, which the service is told. What comes later than that after it was due is shown apart.
    #[arg(long, value_parser = humantime::parse_duration, conflicts_with = "stream", value_name = "DURATION", help_heading = "Load")]
    pub deadline: Option<Duration>,
    /// How long to wait for an answer, before its outcome counts as unknown.
    #[arg(long, value_parser = humantime::parse_duration, default_value = "10s", value_name = "DURATION", help_heading = "Load")]
    pub timeout: Duration,
    /// Use the ledger that the service serves though it was not created for this (`tollgate init --for bench`): it gets the accounts. Takes
    /// the ledger's id.
    #[arg(long, value_name = "ID", help_heading = "Accounts")]
    pub ledger: Option<LedgerId>,
    /// Accounts to charge; those that are missing are created.
    #[arg(long, default_value = "10000", value_name = "COUNT", help_heading = "Accounts")]
    pub accounts: NonZeroU32,
    /// How calls spread over them: spread (evenly), zipf or zipf:EXPONENT (0.99), hot (all on one).
    #[arg(long, default_value = "spread", value_name = "SKEW", help_heading = "Accounts")]
    pub skew: Skew,
    /// Prefix of the accounts' ids [default: random]
    #[arg(long, value_parser = account_prefix, value_name = "PREFIX", help_heading = "Accounts")]
    pub prefix: Option<String>,
    /// Use the accounts that an earlier run with this prefix created, and create none.
    #[arg(long, value_parser = account_prefix, value_name = "PREFIX", conflicts_with = "prefix", help_heading = "Accounts")]
    pub prepared: Option<String>,
    /// Which accounts are compared with what the clients were told [default: all up to 10000, else a sample of 1000]
    #[arg(long, value_enum, value_name = "WHICH", help_heading = "Books")]
    pub check_books: Option<CheckBooks>,
    /// How many of them are also compared with their journal.
    #[arg(long, default_value = "8", value_name = "COUNT", help_heading = "Books")]
    pub journal_accounts: usize,
    /// How many pages of the journal may be read for that.
    #[arg(long, default_value = "2000", value_name = "COUNT", help_heading = "Books")]
    pub journal_pages: usize,
    /// Output format.
    #[arg(long, value_enum, default_value_t = Output::Table, help_heading = "Results")]
    pub output: Output,
    /// Measure a ladder of rates (open loop), and draw latency against rate into this SVG file.
    #[arg(long, value_name = "FILE.svg", conflicts_with = "rate", help_heading = "Results")]
    pub plot: Option<PathBuf>,
    /// The rates of the ladder [default: 10 to 100 % of what one closed-loop trial reaches]
    #[arg(long, value_delimiter = ',', value_parser = positive, value_name = "PER_SECOND,…", requires = "plot", help_heading = "Results")]
    pub rates: Vec<f64>,
}

/// Which accounts are checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum CheckBooks {
    /// Every one.
    All,
    /// A thousand: those that a skew prefers, and others at random.
    Sample,
    /// None.
    None,
}

/// How results are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people.
    Table,
    /// For programs.
    Json,
}

impl LoadOptions {
    /// Refuses conflicting settings.
    pub fn validate(&self) -> anyhow::Result<()> {
        anyhow::ensure!(self.connections >= self.threads, "--threads: each needs a connection of its own, so at most --connections");
        anyhow::ensure!(!self.duration.is_zero(), "--duration must be above zero");
        anyhow::ensure!(self.deadline.is_none_or(|deadline| !deadline.is_zero()), "--deadline must be above zero");
        anyhow::ensure!(!self.batch_calls || self.mix.is_single(), "--mix: --batch-calls take debit, reserve, decline and convert");
        anyhow::ensure!(!(self.stream && self.mix.reads()), "--mix: credit and account are no commands of a --stream");
        Ok(())
    }

    /// How many accounts are checked.
    pub fn checked_accounts(&self) -> u32 {
        let accounts = self.accounts.get();
        let by_default = if accounts <= CHECKED_BY_DEFAULT { CheckBooks::All } else { CheckBooks::Sample };
        match self.check_books.unwrap_or(by_default) {
            CheckBooks::All => accounts,
            CheckBooks::Sample => accounts.min(SAMPLE),
            CheckBooks::None => 0,
        }
    }

    /// How long callers wait for answers.
    pub fn patience(&self) -> Patience {
        Patience { timeout: self.timeout, deadline: self.deadline }
    }

    /// How many commands are sent by each call.
    pub fn of_each_call(&self) -> u64 {
        if self.batch_calls { u64::from(self.batch) } else { 1 }
    }

    /// How a trial is described.
    pub fn describe(&self) -> String {
        let (accounts, skew, mix) = (self.accounts, &self.skew, &self.mix);
        let calls = if self.batch_calls { format!("calls of {}", self.batch) } else { "calls".to_owned() };
        let way = match (self.stream, self.rate) {
            (true, None) => format!("{} streams, batches of {}, {} under way in each", self.connections, self.batch, self.in_flight),
            (true, Some(rate)) => format!("{rate} a second over {} streams, in batches of {}", self.connections, self.batch),
            (false, None) => format!("{} concurrent {calls} over {} connections", self.concurrency, self.connections),
            (false, Some(rate)) if self.batch_calls => format!("{rate} a second in {calls} over {} connections", self.connections),
            (false, Some(rate)) => format!("{rate} calls a second over {} connections", self.connections),
        };
        let deadline = self.deadline.map_or_else(String::new, |deadline| format!("; {} to answer", humantime::format_duration(deadline)));
        format!("{way}; {mix}; {accounts} accounts, {skew}{deadline}")
    }
}

fn positive(text: &str) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if number.is_finite() && number > 0.0 { Ok(number) } else { Err("must be above zero".to_owned()) }
}

fn account_prefix(text: &str) -> Result<String, String> {
    let is_plain = !text.is_empty() && text.len() <= 64 && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if is_plain { Ok(text.to_owned()) } else { Err("must be 1 to 64 letters, digits and underscores".to_owned()) }
}
