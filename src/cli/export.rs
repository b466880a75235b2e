//! `tollgate export`: usage records for those who bill elsewhere, as NDJSON, CSV or Parquet.
//!
//! Records go to the standard output, each with an id that never changes. The place where the export ended goes to stderr, also if it
//! broke off; `--after` goes on from there.

mod parquet;
mod record;

use std::io::{BufWriter, Write};
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, ValueEnum};
use jiff::Timestamp;
use tonic::Streaming;

use super::client::{Client, ServerOptions};
use super::output::{parse_instant, to_message};
use super::pipe::{Output, output};
use crate::cli::failure::explain;
use crate::grpc::v1::{ExportUsageRequest, ExportUsageResponse, UsageRecord};
use parquet::ParquetFile;
use record::{COLUMNS, CloudEvent, Row};

/// The range to export, and the format.
#[derive(Args, Debug)]
pub struct ExportOptions {
    /// Only of this account.
    #[arg(long, value_name = "ID")]
    account: Option<String>,
    /// Only what was accepted at or after this instant, such as 2026-11-01T00:00:00Z.
    #[arg(long, value_name = "INSTANT|DAY", value_parser = parse_instant)]
    from: Option<Timestamp>,
    /// Only what was accepted before this instant.
    #[arg(long, value_name = "INSTANT|DAY", value_parser = parse_instant)]
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
    /// Columns for analysis, compressed: a file of its own, also of what goes on after an earlier export.
    Parquet,
}

impl ExportOptions {
    /// Refuses impossible settings.
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
    let mut client = Client::connect(&options.server).await?;
    let request = ExportUsageRequest {
        account_id: options.account.clone().unwrap_or_default(),
        from: options.from.map(to_message),
        to: options.to.map(to_message),
        resume_token: options.after.clone(),
    };
    let mut messages = client.billing.export_usage(request).await.map_err(explain)?.into_inner();
    let mut sink = Sink::open(options)?;
    let taken = take(&mut messages, &mut sink, options, place).await;
    // Also of an export that broke off, what came is whole.
    sink.finish().and(taken)
}

async fn take(
    messages: &mut Streaming<ExportUsageResponse>,
    sink: &mut Sink,
    options: &ExportOptions,
    place: &mut String,
) -> anyhow::Result<()> {
    while let Some(message) = messages.message().await.map_err(explain)? {
        sink.write(options, &message.records)?;
        *place = message.resume_token;
    }
    Ok(())
}

/// Where records go.
enum Sink {
    Ndjson(BufWriter<Output>),
    Csv(csv::Writer<Output>),
    Parquet(ParquetFile<Output>),
}

impl Sink {
    fn open(options: &ExportOptions) -> anyhow::Result<Self> {
        Ok(match options.format {
            Format::Ndjson => Self::Ndjson(BufWriter::new(output())),
            Format::Csv => {
                let mut rows = csv::Writer::from_writer(output());
                // A continuation goes behind what is there, which has its header.
                if options.after.is_empty() {
                    rows.write_record(COLUMNS).context("cannot write")?;
                }
                Self::Csv(rows)
            }
            Format::Parquet => Self::Parquet(ParquetFile::begin(output()).context("cannot write")?),
        })
    }

    /// Writes the records of a message, all of them.
    fn write(&mut self, options: &ExportOptions, records: &[UsageRecord]) -> anyhow::Result<()> {
        match self {
            Self::Ndjson(output) => {
                for record in records {
                    if options.cloudevents {
                        serde_json::to_writer(&mut *output, &CloudEvent::of(record, &options.source))
                    } else {
                        serde_json::to_writer(&mut *output, &Row::of(record))
                    }
                    .context("cannot write")?;
                    output.write_all(b"\n").context("cannot write")?;
                }
                output.flush().context("cannot write")
            }
            Self::Csv(rows) => {
                for record in records {
                    let row = Row::of(record);
                    let fields = row.to_csv(options.for_spreadsheets);
                    rows.write_record(fields.iter().map(|field| field.as_bytes())).context("cannot write")?;
                }
                rows.flush().context("cannot write")
            }
            Self::Parquet(file) => file.write(records).context("cannot write"),
        }
    }

    fn finish(self) -> anyhow::Result<()> {
        match self {
            Self::Ndjson(mut output) => output.flush().context("cannot write"),
            Self::Csv(mut rows) => rows.flush().context("cannot write"),
            Self::Parquet(file) => file.finish().context("cannot write"),
        }
    }
}
