//! `tollgate export`: usage records for whoever bills elsewhere, as NDJSON or CSV.
//!
//! Records go to the standard output, each with an id that never changes. The place where the export ended goes to stderr, also if it
//! broke off; `--after` goes on from there.

mod record;

use std::io::{BufWriter, Write, stdout};
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, ValueEnum};
use jiff::Timestamp;

use super::client::{Client, ServerOptions, explain};
use super::output::to_message;
use crate::grpc::v1::{ExportUsageRequest, UsageRecord};
use record::{COLUMNS, cloud_event, csv_row, plain};

/// What to export, and as what.
#[derive(Args, Debug)]
pub struct ExportOptions {
    /// Only of this account.
    #[arg(long, value_name = "ID")]
    account: Option<String>,
    /// Only what was accepted at or after this instant, such as 2026-11-01T00:00:00Z.
    #[arg(long, value_name = "INSTANT")]
    from: Option<Timestamp>,
    /// Only what was accepted before this instant.
    #[arg(long, value_name = "INSTANT")]
    to: Option<Timestamp>,
    /// Go on after this place: what an earlier export said on stderr.
    #[arg(long, value_name = "TOKEN", default_value = "")]
    after: String,
    /// What to write.
    #[arg(long, value_enum, default_value_t = Format::Ndjson)]
    format: Format,
    /// Of CSV: mark text that a spreadsheet would take for a formula as text.
    #[arg(long)]
    for_spreadsheets: bool,
    /// Each record is a CloudEvent 1.0 in JSON.
    #[arg(long)]
    cloudevents: bool,
    /// Where the events come from.
    #[arg(long, value_name = "URI", default_value = "/tollgate", requires = "cloudevents")]
    source: String,
    #[command(flatten)]
    server: ServerOptions,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A JSON object in each line.
    Ndjson,
    /// Comma-separated values with a header.
    Csv,
}

impl ExportOptions {
    /// Says what cannot be.
    pub fn validate(&self) -> anyhow::Result<()> {
        anyhow::ensure!(!self.for_spreadsheets || self.format == Format::Csv, "--for-spreadsheets needs --format csv");
        anyhow::ensure!(!self.cloudevents || self.format == Format::Ndjson, "--cloudevents needs --format ndjson");
        Ok(())
    }
}

/// Exports, and says where it ended.
pub async fn run(options: ExportOptions) -> anyhow::Result<ExitCode> {
    let mut place = options.after.clone();
    let result = export(&options, &mut place).await;
    if !place.is_empty() {
        eprintln!("--after {place}");
    }
    result.map(|()| ExitCode::SUCCESS)
}

/// `place` is where all before it was written.
async fn export(options: &ExportOptions, place: &mut String) -> anyhow::Result<()> {
    let mut client = Client::connect(&options.server.server).await?;
    let request = ExportUsageRequest {
        account_id: options.account.clone().unwrap_or_default(),
        from: options.from.map(to_message),
        to: options.to.map(to_message),
        resume_token: options.after.clone(),
    };
    let mut messages = client.billing.export_usage(request).await.map_err(explain)?.into_inner();
    let mut output = BufWriter::new(stdout().lock());
    // A continuation goes behind what is there, which has its header.
    if options.format == Format::Csv && options.after.is_empty() {
        write_row(&mut output, &COLUMNS)?;
    }
    while let Some(message) = messages.message().await.map_err(explain)? {
        for record in &message.records {
            write(&mut output, options, record)?;
        }
        output.flush().context("cannot write")?;
        *place = message.resume_token;
    }
    output.flush().context("cannot write")
}

fn write(output: &mut impl Write, options: &ExportOptions, record: &UsageRecord) -> anyhow::Result<()> {
    match options.format {
        Format::Csv => write_row(output, &csv_row(record, options.for_spreadsheets)),
        Format::Ndjson => {
            let value = if options.cloudevents { cloud_event(record, &options.source) } else { plain(record) };
            writeln!(output, "{value}").context("cannot write")
        }
    }
}

fn write_row<T: AsRef<[u8]>>(output: &mut impl Write, fields: &[T]) -> anyhow::Result<()> {
    csv::Writer::from_writer(output).write_record(fields).context("cannot write")
}
