//! `tollgate retention show`: what would go of audit records, documents and details of entries that are older than they are to be kept. Changes nothing.

use std::process::ExitCode;

use clap::{Args, ValueEnum};
use jiff::Timestamp;
use serde_json::json;

use super::failure::stores_failure;
use super::output::{Output, print_json};
use super::table::table_of;
use crate::app::retention_preview;
use crate::billing::retention::RetentionPreview;
use crate::config::StoresOptions;

/// What to do, and by which terms.
#[derive(Args, Debug)]
pub struct ShowRetentionOptions {
    /// What to do.
    #[arg(value_enum)]
    act: Act,
    /// Where the billing store is, and the terms.
    #[command(flatten)]
    pub stores: StoresOptions,
    /// Output format.
    #[arg(long, value_enum, default_value_t = Output::Table, value_name = "FORM")]
    output: Output,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Act {
    /// Show how many audit records, documents and details of entries would go now by the terms that are given, and how many have gone. Changes nothing.
    Show,
}

/// Looks, and prints.
pub async fn run(options: ShowRetentionOptions) -> anyhow::Result<ExitCode> {
    let ShowRetentionOptions { act: Act::Show, stores, output } = options;
    let previews = retention_preview(&stores).await.map_err(stores_failure)?;
    match output {
        Output::Json => print_json(&json!(previews.iter().map(as_json).collect::<Vec<_>>())),
        Output::Table => show(&previews),
    }
    Ok(ExitCode::SUCCESS)
}

fn day(preview: &RetentionPreview) -> Option<String> {
    preview.before.and_then(|before| Timestamp::from_millisecond(before.get()).ok()).map(|before| before.to_string())
}

fn as_json(preview: &RetentionPreview) -> serde_json::Value {
    let RetentionPreview { what, term, due, needed, kept, dropped, .. } = preview;
    json!({ "what": what, "term": term, "before": day(preview), "due": due, "needed": needed, "kept": kept, "dropped": dropped })
}

fn show(previews: &[RetentionPreview]) {
    let header = ["what", "kept for", "go if from before", "would go", "older, still needed", "kept", "dropped"];
    let mut table = table_of(&header, 3..header.len());
    for preview in previews {
        let term = if preview.term.is_empty() { "ever" } else { &preview.term };
        let RetentionPreview { due, needed, kept, dropped, .. } = preview;
        let [due, needed, kept, dropped] = [due, needed, kept, dropped].map(ToString::to_string);
        table.add_row([preview.what.replace('_', " "), term.to_owned(), day(preview).unwrap_or_default(), due, needed, kept, dropped]);
    }
    table.add_row(["entries", "ever", "", "", "", "", ""].map(str::to_owned));
    println!("{table}");
}
