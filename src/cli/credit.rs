//! `tollgate credit ACCOUNT`: what an account can use, and where that comes from.

use std::process::ExitCode;

use clap::Args;

use super::client::{Client, ServerOptions};
use super::output::{Output, instant};
use super::table::{self, table};
use crate::grpc::v1::{AccountStatus, Credit, GetUsableCreditRequest, GetUsableCreditResponse, PaymentMode};

/// Which account, and how to show it.
#[derive(Args, Debug)]
pub struct CreditOptions {
    /// The account's id.
    account: String,
    /// Output format.
    #[arg(long, value_enum, default_value_t = Output::Table)]
    output: Output,
    #[command(flatten)]
    server: ServerOptions,
}

/// Asks, and prints.
pub async fn run(options: CreditOptions) -> anyhow::Result<ExitCode> {
    let mut client = Client::connect(&options.server).await?;
    let call = client.charging.get_usable_credit(GetUsableCreditRequest { account_id: options.account.clone() });
    let text = |found: &GetUsableCreditResponse| as_table(&options.account, &found.credit.clone().unwrap_or_default()).to_string();
    options.output.show_call(call, text).await?;
    Ok(ExitCode::SUCCESS)
}

/// An account's credit, for people.
pub fn as_table(account: &str, credit: &Credit) -> table::Listing {
    let mut table = table([account, &credit.currency_code], 1);
    let limit_name =
        instant(credit.credit_limit_expires_at).map_or_else(|| "credit limit".to_owned(), |end| format!("credit limit, until {end}"));
    table
        .add_row(["payment mode", mode_name(credit.mode())])
        .add_row(vec!["status".into(), table::unless("active", status_name(credit.status()))]);
    let amounts = [
        ("balance", &credit.balance),
        ("unbilled", &credit.unbilled),
        ("amount due", &credit.amount_due),
        ("reserved", &credit.reserved),
        (limit_name.as_str(), &credit.credit_limit),
        ("current balance", &credit.current_balance),
        ("usable credit", &credit.usable),
    ];
    for (name, amount) in amounts {
        table.add_row(vec![name.into(), table::amount(amount)]);
    }
    table
}

/// A payment mode, for people.
pub fn mode_name(mode: PaymentMode) -> &'static str {
    match mode {
        PaymentMode::Unspecified => "unknown",
        PaymentMode::Prepaid => "prepaid",
        PaymentMode::Postpaid => "postpaid",
    }
}

/// The status of an account, for people.
pub fn status_name(status: AccountStatus) -> &'static str {
    match status {
        AccountStatus::Unspecified => "unknown",
        AccountStatus::Active => "active",
        AccountStatus::Suspended => "suspended",
        AccountStatus::Closed => "closed",
    }
}
