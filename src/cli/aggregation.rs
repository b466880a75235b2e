//! `tollgate aggregation`: how far the billing store has followed the ledger.

use std::process::ExitCode;

use clap::Args;

use super::client::{Client, ServerOptions};
use super::output::{Output, day_text};
use super::table::{self, table_of};
use crate::cli::failure::explain;
use crate::grpc::v1::{AggregationState, GetAggregationRequest, HeldSeries, PartitionAggregation, Retention};

/// Output format.
#[derive(Args, Debug)]
pub struct AggregationOptions {
    /// Output format.
    #[arg(long, value_enum, default_value_t = Output::Table)]
    output: Output,
    #[command(flatten)]
    server: ServerOptions,
}

/// Asks, and prints.
pub async fn run(options: AggregationOptions) -> anyhow::Result<ExitCode> {
    let mut client = Client::connect(&options.server).await?;
    let answer = client.billing.get_aggregation(GetAggregationRequest {}).await.map_err(explain)?.into_inner();
    for HeldSeries { prefix, last_number } in &answer.held_series {
        eprintln!(
            "warning: nothing is issued in series {prefix} behind a gap; the last number known is {last_number}: say how it goes on by \
             `tollgate reconcile --next-number {prefix}=NUMBER`"
        );
    }
    options.output.show(&answer, |answer| format!("{}{}", as_table(&answer.partitions), retention(&answer.retention)))?;
    warnings(&answer.partitions);
    Ok(ExitCode::SUCCESS)
}

/// Reports in which partitions a step was torn, and which times are ahead of the clock by more than clocks usually are.
fn warnings(found: &[PartitionAggregation]) {
    for of in found.iter().filter(|of| of.torn_entry > 0) {
        eprintln!(
            "warning: a step of partition {} was torn at entry {}, and nothing is decided there: `tollgate reconcile --finish` finishes it",
            of.partition, of.torn_entry
        );
    }
    for of in found.iter().filter(|of| of.ahead_seconds >= 2) {
        eprintln!(
            "warning: the time of partition {} is {} s ahead of the clock; it does not advance until then",
            of.partition, of.ahead_seconds
        );
    }
}

/// What is kept for a time, a line each; nothing where all is kept for ever.
fn retention(found: &[Retention]) -> String {
    let bounded = found.iter().filter(|of| !of.term.is_empty() || of.dropped > 0);
    let line = |of: &Retention| {
        let (what, term) = (of.what.replace('_', " "), if of.term.is_empty() { "ever" } else { &of.term });
        let last = if of.dropped > 0 { format!(", the last on {}", day_text(of.last_dropped_at)) } else { String::new() };
        format!("\n{what} are kept for {term}; {} have gone{last}", of.dropped)
    };
    bounded.map(line).collect()
}

fn as_table(found: &[PartitionAggregation]) -> crate::cli::table::Listing {
    let header = ["partition", "state", "next entry", "entries behind", "seconds behind"];
    let mut table = table_of(&header, 2..header.len());
    for of in found {
        let state =
            if of.reason.is_empty() { state_name(of.state()).to_owned() } else { format!("{}: {}", state_name(of.state()), of.reason) };
        table.add_row(vec![
            of.partition.to_string().into(),
            table::unless("running", &state),
            of.next_sequence.to_string().into(),
            of.lag_entries.to_string().into(),
            of.lag_seconds.to_string().into(),
        ]);
    }
    table
}

fn state_name(state: AggregationState) -> &'static str {
    match state {
        AggregationState::Unspecified => "unknown",
        AggregationState::Running => "running",
        AggregationState::Stopped => "stopped",
        AggregationState::Off => "off",
        AggregationState::Failing => "failing",
    }
}
