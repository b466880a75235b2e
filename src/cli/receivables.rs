//! `tollgate receivables`: what is not yet paid, by account and by how long it is overdue.

use std::process::ExitCode;

use clap::Args;
use comfy_table::Cell;

use super::client::{Client, ServerOptions};
use super::output::{Output, day_text};
use super::pages::fetch;
use super::table::{self, table_of};
use crate::grpc::v1::{JournalPosition, ListReceivablesRequest, Receivables};

/// Whose, and how to show it.
#[derive(Args, Debug)]
pub struct ReceivablesOptions {
    /// Only of this account.
    account: Option<String>,
    /// As they were when a day ended, such as 2026-10-31 [default: now]
    #[arg(long, value_name = "DAY")]
    as_of: Option<String>,
    /// Output format.
    #[arg(long, value_enum, default_value_t = Output::Table)]
    output: Output,
    #[command(flatten)]
    server: ServerOptions,
}

/// Lists them.
pub async fn run(options: ReceivablesOptions) -> anyhow::Result<ExitCode> {
    let mut client = Client::connect(&options.server).await?;
    let account_id = options.account.unwrap_or_default();
    let as_of_day = options.as_of.unwrap_or_default();
    let page = async |page_size, page_token| {
        let request = ListReceivablesRequest { account_id: account_id.clone(), page_size, page_token, as_of_day: as_of_day.clone() };
        client.billing.list_receivables(request).await
    };
    let found = fetch(None, page).await?;
    let day = if as_of_day.is_empty() { String::new() } else { format!("What was open when {as_of_day} ended. ") };
    options.output.show(&found, |found| format!("{}\n{day}{}", as_table(&found.receivables), position_text(&found.positions)))?;
    Ok(ExitCode::SUCCESS)
}

/// Up to where the journal had been taken in.
pub fn position_text(positions: &[JournalPosition]) -> String {
    let entries: Vec<_> = positions.iter().map(|at| format!("{}-{}", at.partition, at.sequence)).collect();
    format!("As of the journal's entries {}.", entries.join(", "))
}

fn as_table(found: &[Receivables]) -> crate::cli::table::Listing {
    let header = ["account", "name", "", "not yet due", "1-30 days", "31-60 days", "61-90 days", "over 90 days", "total"];
    let mut table = table_of(&header, 3..header.len());
    for of in found {
        table.add_row(vec![
            of.account_id.clone().into(),
            of.name.clone().into(),
            of.currency_code.clone().into(),
            table::amount(&of.current),
            table::amount(&of.overdue_1_to_30),
            table::amount(&of.overdue_31_to_60),
            table::amount(&of.overdue_61_to_90),
            table::amount(&of.overdue_over_90),
            table::amount(&of.total),
        ]);
        for (what, amount) in
            [("due, on no document yet", of.not_invoiced.clone()), ("paid in, and not allocated", negative(&of.unallocated))]
        {
            if amount.bytes().any(|byte| (b'1'..=b'9').contains(&byte)) {
                let mut row: Vec<Cell> = vec!["".into(), what.into(), of.currency_code.clone().into()];
                row.extend(std::iter::repeat_n(Cell::new(""), 5));
                row.push(table::amount(&amount));
                table.add_row(row);
            }
        }
        for part in &of.reopened {
            let what = format!("of this due again on {}: {}", day_text(part.due_at), part.invoice_number);
            table.add_row(vec![
                "".into(),
                what.into(),
                of.currency_code.clone().into(),
                "".into(),
                "".into(),
                "".into(),
                "".into(),
                "".into(),
                table::amount(&part.open_amount),
            ]);
        }
    }
    table
}

/// The amount taken off.
fn negative(amount: &str) -> String {
    format!("-{amount}")
}
