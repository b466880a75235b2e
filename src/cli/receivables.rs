//! `tollgate receivables`: what is not yet paid, by account and by how long it is overdue.

use std::process::ExitCode;

use clap::Args;
use comfy_table::Cell;
use serde_json::{Value, json};

use super::client::{Client, ServerOptions, explain};
use super::output::{Output, day_text, instant_json, print_json};
use super::table::{self, table_of};
use crate::grpc::v1::{JournalPosition, ListReceivablesRequest, Receivables};

/// How many accounts a page has.
const PAGE: i32 = 500;

/// Whose, and how to show it.
#[derive(Args, Debug)]
pub struct ReceivablesOptions {
    /// Only of this account.
    account: Option<String>,
    /// How to show it.
    #[arg(long, value_enum, default_value_t = Output::Table)]
    output: Output,
    #[command(flatten)]
    server: ServerOptions,
}

/// Lists them.
pub async fn run(options: ReceivablesOptions) -> anyhow::Result<ExitCode> {
    let mut client = Client::connect(&options.server.server).await?;
    let account_id = options.account.unwrap_or_default();
    let mut request = ListReceivablesRequest { account_id, page_size: PAGE, page_token: String::new() };
    let mut found = Vec::new();
    let mut positions = Vec::new();
    loop {
        let page = client.billing.list_receivables(request.clone()).await.map_err(explain)?.into_inner();
        found.extend(page.receivables);
        positions.push(page.positions);
        request.page_token = page.next_page_token;
        if request.page_token.is_empty() {
            break;
        }
    }
    match options.output {
        Output::Table => {
            println!("{}", as_table(&found));
            // Several pages are of several positions.
            if let [positions] = positions.as_slice() {
                println!("{}", position_text(positions));
            }
        }
        Output::Json => print_json(&found.iter().map(as_json).collect::<Value>()),
    }
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

fn as_json(of: &Receivables) -> Value {
    json!({
        "account_id": of.account_id,
        "name": of.name,
        "currency_code": of.currency_code,
        "current": of.current,
        "overdue_1_to_30": of.overdue_1_to_30,
        "overdue_31_to_60": of.overdue_31_to_60,
        "overdue_61_to_90": of.overdue_61_to_90,
        "overdue_over_90": of.overdue_over_90,
        "not_invoiced": of.not_invoiced,
        "unallocated": of.unallocated,
        "total": of.total,
        "reopened": of.reopened.iter().map(|part| json!({
            "invoice_number": part.invoice_number,
            "reopened_at": instant_json(part.reopened_at),
            "due_at": instant_json(part.due_at),
            "open_amount": part.open_amount,
        })).collect::<Value>(),
    })
}
