//! `tollgate credit ACCOUNT`: what an account can use, and where that comes from.

use std::process::ExitCode;

use clap::{Args, ValueEnum};
use jiff::Timestamp;
use serde_json::json;

use super::client::{Client, ServerOptions, explain};
use super::table::table;
use crate::grpc::v1::{AccountStatus, Credit, GetUsableCreditRequest, PaymentMode};

/// Which account, and how to show it.
#[derive(Args, Debug)]
pub struct CreditOptions {
    /// The account's id.
    account: String,
    /// How to show it.
    #[arg(long, value_enum, default_value_t = Output::Table)]
    output: Output,
    #[command(flatten)]
    server: ServerOptions,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Output {
    /// For people.
    Table,
    /// For programs.
    Json,
}

/// Asks, and prints.
pub async fn run(options: CreditOptions) -> anyhow::Result<ExitCode> {
    let mut client = Client::connect(&options.server.server).await?;
    let request = GetUsableCreditRequest { account_id: options.account.clone() };
    let response = client.charging.get_usable_credit(request).await.map_err(explain)?.into_inner();
    let credit = response.credit.unwrap_or_default();
    match options.output {
        Output::Table => println!("{}", as_table(&options.account, &credit)),
        Output::Json => println!("{:#}", as_json(&options.account, &credit)),
    }
    Ok(ExitCode::SUCCESS)
}

fn as_table(account: &str, credit: &Credit) -> comfy_table::Table {
    let mut table = table([account, &credit.currency_code], 1);
    let limit_name = limit_end(credit).map_or_else(|| "credit limit".to_owned(), |end| format!("credit limit, until {end}"));
    table.add_row(["payment mode", mode_name(credit.mode())]).add_row(["status", status_name(credit.status())]).add_rows([
        ["balance", &credit.balance],
        ["unbilled", &credit.unbilled],
        ["amount due", &credit.amount_due],
        ["reserved", &credit.reserved],
        [&limit_name, &credit.credit_limit],
        ["current balance", &credit.current_balance],
        ["usable credit", &credit.usable],
    ]);
    table
}

fn as_json(account: &str, credit: &Credit) -> serde_json::Value {
    json!({
        "account_id": account,
        "mode": mode_name(credit.mode()),
        "status": status_name(credit.status()),
        "currency_code": credit.currency_code,
        "balance": credit.balance,
        "unbilled": credit.unbilled,
        "amount_due": credit.amount_due,
        "reserved": credit.reserved,
        "credit_limit": credit.credit_limit,
        "credit_limit_expires_at": limit_end(credit).map(|end| end.to_string()),
        "current_balance": credit.current_balance,
        "usable": credit.usable,
    })
}

fn limit_end(credit: &Credit) -> Option<Timestamp> {
    credit.credit_limit_expires_at.and_then(|end| Timestamp::new(end.seconds, end.nanos).ok())
}

/// A payment mode, for people.
pub fn mode_name(mode: PaymentMode) -> &'static str {
    match mode {
        PaymentMode::Unspecified => "unknown",
        PaymentMode::Prepaid => "prepaid",
        PaymentMode::Postpaid => "postpaid",
    }
}

fn status_name(status: AccountStatus) -> &'static str {
    match status {
        AccountStatus::Unspecified => "unknown",
        AccountStatus::Active => "active",
        AccountStatus::Suspended => "suspended",
        AccountStatus::Closed => "closed",
    }
}
