//! `tollgate verify`: holds ledger, journal, totals and documents against each other, entry by entry.
//!
//! Exit codes: 0, all agree; 1, something differs (or an account moved too fast to be compared); 3, a store was unavailable.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};

use super::failure::{Failure, REFUSED, stores_failure};
use super::output::Output;
use super::table::table;
use crate::app::{Stores, retention};
use crate::billing::series::Head;
use crate::billing::verify::{Findings, Place, Step, verify};
use crate::config::StoresOptions;

/// What to compare.
#[derive(Args, Debug)]
pub struct VerifyOptions {
    /// Where ledger and billing store are, and the shortest terms that ever were: without them, nothing may have been dropped.
    #[command(flatten)]
    pub stores: StoresOptions,
    /// Output format.
    #[arg(long, value_enum, default_value = "table", value_name = "FORM")]
    pub output: Output,
    /// A head that an earlier verify printed, and that was kept elsewhere: proves that nothing before it was changed since; may be given
    /// several times.
    #[arg(long, value_name = "SERIES:NUMBER:DIGEST")]
    pub head: Vec<Head>,
    /// A file of such heads, one a line.
    #[arg(long, value_name = "PATH")]
    pub heads: Option<PathBuf>,
}

/// Compares, and says what differs.
pub async fn run(options: VerifyOptions) -> anyhow::Result<ExitCode> {
    let kept = kept_heads(&options)?;
    let stores = Stores::open(&options.stores).await.map_err(stores_failure)?;
    let bars = [progress("entries replayed"), progress("documents")];
    let terms = retention(options.stores.billing.retention);
    let findings = verify(&stores.billing, &stores.ledger, &kept, &terms, |step, done, expected| {
        let [entries, documents] = &bars;
        let bar = if step == Step::Entries { entries } else { documents };
        bar.set_length(expected);
        bar.set_position(done);
    })
    .await
    .map_err(|error| Failure::unavailable(error.to_string()))?;
    bars.iter().for_each(ProgressBar::finish_and_clear);
    match options.output {
        Output::Json => println!("{}", serde_json::to_string_pretty(&findings).context("the findings are no JSON")?),
        Output::Table => show(&findings),
    }
    let agrees = findings.count == 0 && findings.moving.is_empty();
    Ok(if agrees { ExitCode::SUCCESS } else { ExitCode::from(REFUSED) })
}

/// The heads that were kept: those of the command line, and those of the file.
fn kept_heads(options: &VerifyOptions) -> anyhow::Result<Vec<Head>> {
    let mut kept = options.head.clone();
    if let Some(path) = &options.heads {
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        for (number, line) in (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#')) {
            let read = line.trim().parse().map_err(|problem| Failure::refused(format!("{}, line {number}: {problem}", path.display())));
            kept.push(read?);
        }
    }
    Ok(kept)
}

/// A bar on a terminal; nothing elsewhere.
pub(super) fn progress(what: &str) -> ProgressBar {
    let bar = ProgressBar::new(0);
    let style = format!("{{spinner}} {{human_pos}} of {{human_len}} {what}  {{wide_bar}}  {{per_sec}}  {{eta}} left");
    bar.set_style(ProgressStyle::with_template(&style).unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar
}

fn show(findings: &Findings) {
    let mut compared = table(["compared", "how many", "differ"], 1);
    let rows = [
        ("entries of the journal", findings.entries, Place::Journal),
        ("accounts of the ledger", findings.accounts, Place::Ledger),
        ("accounts in SQL", findings.accounts_in_sql, Place::Accounts),
        ("running totals", findings.totals, Place::Totals),
        ("bills and their documents", findings.bills, Place::Documents),
        ("audit records", findings.audit_records, Place::Audit),
    ];
    for (what, count, place) in rows {
        compared.add_row([what.to_owned(), count.to_string(), findings.count_of(place).to_string()]);
    }
    println!("{compared}");
    if !findings.differences.is_empty() {
        let mut differing = table(["where", "what", "how"], 3);
        for difference in &findings.differences {
            differing.add_row([difference.place.name(), &difference.subject, &difference.what]);
        }
        println!("{differing}");
    }
    let is_whole = findings.dropped_documents + findings.dropped_acts == 0;
    let all = if is_whole { "all before it" } else { "all before it that is still kept" };
    for head in &findings.proved {
        println!("{} and {all} are as they were when {head} was kept", head.name());
    }
    if !findings.heads.is_empty() {
        println!(
            "{} issued documents, each chained to the one before it, and what pays them; keep these heads elsewhere:",
            findings.documents
        );
    }
    for head in &findings.heads {
        println!("{head}");
    }
    if findings.erased > 0 {
        println!("of {} documents, whom they were for was erased", findings.erased);
    }
    if findings.erased_acts > 0 {
        println!("of {} audit records, names, addresses and reasons were erased", findings.erased_acts);
    }
    if findings.dropped_documents > 0 {
        println!("{} documents are no longer kept: of them there are numbers, dates, sums and digests", findings.dropped_documents);
    }
    if findings.dropped_acts > 0 {
        println!("{} audit records are no longer kept: the chains begin behind them", findings.dropped_acts);
    }
    for head in &findings.outlived {
        println!("{} is no longer kept, so that {head} proves nothing any more", head.name());
    }
    for head in &findings.last_dropped {
        println!("{} is no longer kept, nor is any before it: what follows goes on from {head}", head.name());
    }
    for gap in &findings.gaps {
        println!("{gap}");
    }
    for account in &findings.moving {
        println!("account {account} moves too fast to be compared: look again when there is less traffic");
    }
    match findings.count {
        0 if findings.moving.is_empty() => println!("all agree"),
        0 => println!("what could be compared agrees"),
        count => println!("{count} differ"),
    }
}
