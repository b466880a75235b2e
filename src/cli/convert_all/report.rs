//! Reports the results of a batch as they arrive.

use anyhow::Context;
use indicatif::{ProgressBar, ProgressStyle};
use tonic::{Code, Status};

use crate::cli::failure::Failure;
use crate::cli::output::{Output, message_json};
use crate::cli::pipe::say;
use crate::cli::table::{self, table_of};
use crate::grpc::v1::BatchConvertResponse;
use crate::grpc::v1::batch_convert_response::Outcome;

/// How many rows a table shows; programs ask for JSON, and get all.
const MOST_ROWS: usize = 1000;

/// The results so far.
pub struct Report {
    output: Output,
    is_dry_run: bool,
    progress: ProgressBar,
    rows: crate::cli::table::Listing,
    shown: usize,
    converted: u64,
    unchanged: u64,
    refused: u64,
    resume_token: String,
}

impl Report {
    /// Starts without any.
    pub fn new(output: Output, is_dry_run: bool, total: Option<u64>) -> anyhow::Result<Self> {
        // It is drawn on stderr, and only if that is a terminal.
        let (progress, template) = match total {
            Some(total) => (ProgressBar::new(total), "{bar:40} {pos} of {len} accounts, {per_sec}, {eta}"),
            None => (ProgressBar::no_length(), "{spinner} {pos} accounts, {per_sec}"),
        };
        progress.set_style(ProgressStyle::with_template(template).context("a bad progress bar")?);
        let header = ["account", "outcome", "", "credit limit", "usable before", "usable after"];
        let rows = table_of(&header, 3..header.len());
        Ok(Self { output, is_dry_run, progress, rows, shown: 0, converted: 0, unchanged: 0, refused: 0, resume_token: String::new() })
    }

    /// One more.
    pub fn tell(&mut self, answer: &BatchConvertResponse) -> anyhow::Result<()> {
        self.progress.inc(1);
        self.resume_token.clone_from(&answer.resume_token);
        let account = &answer.account_id;
        match &answer.outcome {
            Some(Outcome::Converted(done)) => {
                self.converted += 1;
                let outcome = match (done.mode_changed, self.is_dry_run) {
                    (true, false) => "converted",
                    (true, true) => "would be converted",
                    (false, false) => "limit set",
                    (false, true) => "limit would be set",
                };
                let limit = done.credit_limit.clone().unwrap_or_default();
                let (before, after) = (done.usable_before.clone().unwrap_or_default(), done.usable_after.clone().unwrap_or_default());
                let row = vec![
                    account.into(),
                    outcome.into(),
                    limit.currency_code.clone().into(),
                    limit.amount.clone().into(),
                    table::amount(&before.amount),
                    table::amount(&after.amount),
                ];
                self.show(row, answer)
            }
            Some(Outcome::Unchanged(same)) => {
                self.unchanged += 1;
                let limit = same.credit_limit.clone().unwrap_or_default();
                let row = vec![account.into(), "unchanged".into(), limit.currency_code.into(), limit.amount.into()];
                self.show(row, answer)
            }
            Some(Outcome::Error(error)) => {
                self.refused += 1;
                let details = prost::Message::encode_to_vec(error);
                let status = Status::with_details(Code::from_i32(error.code), error.message.clone(), details.into());
                let text = Failure::of_call(&status).to_string();
                self.show(vec![account.into(), table::unless("", &text)], answer)
            }
            None => Ok(()),
        }
    }

    fn show(&mut self, row: Vec<comfy_table::Cell>, answer: &BatchConvertResponse) -> anyhow::Result<()> {
        match self.output {
            Output::Json => {
                let line = message_json(answer)?;
                self.progress.suspend(|| say!("{line}"));
            }
            Output::Table if self.shown < MOST_ROWS => {
                self.rows.add_row(row);
            }
            Output::Table => {}
        }
        self.shown += 1;
        Ok(())
    }

    /// The stream broke: how to go on.
    pub fn broke_off(&self, is_file: bool) {
        self.progress.finish_and_clear();
        if is_file {
            eprintln!("It broke off. Repeat the command with the same --batch-id: what was done stays done.");
        } else if !self.resume_token.is_empty() {
            eprintln!("It broke off. Repeat the command with the same --batch-id to go on, and with --after {}", self.resume_token);
        }
    }

    /// Ends the report; returns how many were refused.
    pub fn finish(self) -> u64 {
        self.progress.finish_and_clear();
        if self.output == Output::Table {
            say!("{}", self.rows);
            if self.shown > MOST_ROWS {
                say!("{} more are not shown; --output json shows all.", self.shown - MOST_ROWS);
            }
            let done = if self.is_dry_run { "would be converted, or get their limit" } else { "converted, or got their limit" };
            say!("{} {done}; {} stay as they are; {} refused.", self.converted, self.unchanged, self.refused);
        }
        self.refused
    }
}
