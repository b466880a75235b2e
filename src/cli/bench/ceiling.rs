//! What the service is built on, measured alone, with the same clock, histograms and skews as the service: for
//! `tests/bench/ceilings`. Each prints one JSON object.

mod evalsha;
mod sqlite;

use std::num::NonZeroU32;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::{Args, Subcommand};
use serde_json::json;

use super::accounts::{Picker, Skew};
use super::measure::{Measure, Window};
use super::report::Summary;

/// Which ceiling.
#[derive(Debug, Subcommand)]
pub enum Ceiling {
    /// One debit for each EVALSHA, pipelined.
    Evalsha(evalsha::EvalshaOptions),
    /// A transaction of debits on SQLite.
    Sqlite(sqlite::SqliteOptions),
}

/// What all have in common.
#[derive(Args, Clone, Debug)]
pub struct Common {
    /// Accounts to charge.
    #[arg(long, default_value = "10000", value_name = "COUNT")]
    accounts: NonZeroU32,
    /// How debits spread over them.
    #[arg(long, default_value = "spread", value_name = "SKEW")]
    skew: Skew,
    /// How long it is measured.
    #[arg(long, value_parser = humantime::parse_duration, default_value = "5s", value_name = "DURATION")]
    duration: Duration,
    /// How long it runs before.
    #[arg(long, value_parser = humantime::parse_duration, default_value = "1s", value_name = "DURATION")]
    warm_up: Duration,
}

impl Common {
    fn picker(&self) -> anyhow::Result<Picker> {
        Picker::new(self.skew, self.accounts.get())
    }

    /// From now on.
    fn window(&self) -> (Window, Instant) {
        let begin = Instant::now() + self.warm_up;
        let end = begin + self.duration;
        (Window { begin, end: Some(end) }, end)
    }
}

/// Measures it, and prints what it came to.
pub fn run(ceiling: &Ceiling) -> anyhow::Result<ExitCode> {
    let measure: Measure = match ceiling {
        Ceiling::Evalsha(options) => super::block_on(evalsha::run(options))?,
        Ceiling::Sqlite(options) => sqlite::run(options)?,
    };
    println!("{:#}", json!({ "result": Summary::of(&[measure])? }));
    Ok(ExitCode::SUCCESS)
}
