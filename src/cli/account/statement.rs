//! `tollgate account statement`: what moved an account's balance within a span of days.

use std::process::ExitCode;

use clap::Args;

use crate::cli::client::Client;
use crate::cli::output::{Output, day_text};
use crate::cli::paper::PaperOptions;
use crate::cli::receivables::position_text;
use crate::cli::table::{self, table_of};
use crate::grpc::v1::{AccountPaper, GetAccountFileRequest, GetAccountStatementRequest, GetAccountStatementResponse, StatementLineKind};

/// The account, the days, and the format.
#[derive(Args, Debug)]
pub struct StatementOptions {
    /// The account's id.
    account: String,
    /// The first day, such as 2026-10-01 [default: when the account was created]
    #[arg(long, value_name = "DAY")]
    from: Option<String>,
    /// The last day [default: today]
    #[arg(long, value_name = "DAY")]
    to: Option<String>,
    #[command(flatten)]
    paper: PaperOptions,
}

/// Shows it, or writes it into a file.
pub async fn run(client: &mut Client, options: StatementOptions, output: Output) -> anyhow::Result<ExitCode> {
    let (account_id, from_day, to_day) = (options.account, options.from.unwrap_or_default(), options.to.unwrap_or_default());
    if options.paper.is_given() {
        let paper = AccountPaper::StatementOfAccount.into();
        let request = GetAccountFileRequest { account_id, paper, from_day, to_day, ..Default::default() };
        options.paper.write(client, request).await?;
        return Ok(ExitCode::SUCCESS);
    }
    let request = GetAccountStatementRequest { account_id, from_day, to_day };
    output.show_call(client.billing.get_account_statement(request), in_full).await?;
    Ok(ExitCode::SUCCESS)
}

fn in_full(found: &GetAccountStatementResponse) -> String {
    let mut table = table_of(&["date", "what", "", &found.currency_code, "balance"], 3..5);
    table.add_row(vec![found.from_day.clone().into(), "opening".into(), "".into(), "".into(), table::amount(&found.opening)]);
    for line in &found.lines {
        let about = if line.kind() == StatementLineKind::Charges { line.count.to_string() } else { line.reference.clone() };
        table.add_row(vec![
            day_text(line.at).into(),
            kind_name(line.kind()).into(),
            about.into(),
            table::amount(&line.amount),
            table::amount(&line.balance),
        ]);
    }
    table.add_row(vec![found.to_day.clone().into(), "closing".into(), "".into(), "".into(), table::amount(&found.closing)]);
    let (open, unallocated) = (&found.open_invoices, &found.unallocated);
    format!("{table}\nOpen in invoices: {open}; paid in and not allocated: {unallocated}.\n{}", position_text(&found.positions))
}

fn kind_name(kind: StatementLineKind) -> &'static str {
    match kind {
        StatementLineKind::Unspecified => "unknown",
        StatementLineKind::Invoice => "invoice",
        StatementLineKind::Payment => "payment",
        StatementLineKind::PaymentReversed => "payment taken back",
        StatementLineKind::Credit => "credit",
        StatementLineKind::Correction => "correction",
        StatementLineKind::WriteOff => "written off",
        StatementLineKind::WriteOffReversed => "due again",
        StatementLineKind::Withdrawal => "paid out",
        StatementLineKind::Charges => "charges",
        StatementLineKind::Rounding => "rounding",
        StatementLineKind::NotItemized => "not itemized",
    }
}
