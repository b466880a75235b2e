//! `tollgate declines ACCOUNT`: why commands on an account were declined or refused within the last day.

use std::process::ExitCode;

use clap::Args;

use super::client::{Client, ServerOptions};
use super::output::{Output, instant_text};
use super::table::{self, table_of};
use crate::grpc::v1::{ListDeclinesRequest, ListDeclinesResponse, Money};

/// Which account, and how to show it.
#[derive(Args, Debug)]
pub struct DeclinesOptions {
    /// The account's id.
    account: String,
    /// Output format.
    #[arg(long, value_enum, default_value_t = Output::Table)]
    output: Output,
    #[command(flatten)]
    server: ServerOptions,
}

/// Asks, and prints.
pub async fn run(options: DeclinesOptions) -> anyhow::Result<ExitCode> {
    let mut client = Client::connect(&options.server).await?;
    let call = client.accounts.list_declines(ListDeclinesRequest { account_id: options.account });
    options.output.show_call(call, as_text).await?;
    Ok(ExitCode::SUCCESS)
}

fn as_text(found: &ListDeclinesResponse) -> String {
    let since = instant_text(found.kept_since);
    if found.declines.is_empty() {
        return format!("The process at --server has declined nothing of this account since {since}.");
    }
    let mut table = table_of(&["declined", "what", "why", "usable", "shortfall", "request id", "caller", "trace"], 3..5);
    for declined in &found.declines {
        let amount = |money: &Option<Money>| table::amount(money.as_ref().map_or("", |money| &money.amount));
        table.add_row(vec![
            instant_text(declined.declined_at).into(),
            declined.command.clone().into(),
            declined.reason.clone().into(),
            amount(&declined.usable),
            amount(&declined.shortfall),
            declined.request_id.clone().into(),
            declined.caller.clone().into(),
            declined.trace_id.clone().into(),
        ]);
    }
    format!("{table}\nWhat the process at --server has declined since {since}.")
}
