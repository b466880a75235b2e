//! `tollgate account adjust`, `refund`, `update`: what an operator corrects.

use std::process::ExitCode;

use clap::{ArgGroup, Args};
use serde_json::Map;

use super::change::NonUsage;
use super::limit::money;
use super::show::{Done, account_table, amount_of};
use crate::cli::client::{Client, explain};
use crate::cli::operator::ByHandWithReason;
use crate::cli::output::{Output, print_message};
use crate::grpc::v1::update_account_request::LowCredit;
use crate::grpc::v1::{AdjustBalanceRequest, NonUsageBilling, RefundRequest, UpdateAccountRequest};

/// What to add or to take.
#[derive(Args, Debug)]
pub struct AdjustOptions {
    /// The account's id.
    account: String,
    /// How much: above zero adds to the balance, below zero takes from it.
    #[arg(allow_hyphen_values = true)]
    amount: String,
    #[command(flatten)]
    by_hand: ByHandWithReason,
}

/// Which charge to give back.
#[derive(Args, Debug)]
pub struct RefundOptions {
    /// The account's id.
    account: String,
    /// The charge: the request id under which it was made.
    charge: String,
    /// How much of it [default: all that is left]
    #[arg(long, value_name = "AMOUNT")]
    amount: Option<String>,
    #[command(flatten)]
    by_hand: ByHandWithReason,
}

/// What to change of an account.
#[derive(Args, Debug)]
#[command(group(ArgGroup::new("change").required(true).multiple(true)))]
pub struct UpdateOptions {
    /// The account's id.
    account: String,
    /// What people call the customer.
    #[arg(long, value_name = "TEXT", group = "change")]
    name: Option<String>,
    /// Below this usable credit, watchers are told that credit is low.
    #[arg(long, value_name = "AMOUNT", group = "change", conflicts_with = "no_low_credit")]
    low_credit: Option<String>,
    /// Credit is never low.
    #[arg(long, group = "change")]
    no_low_credit: bool,
    /// How subscriptions, hardware and services are billed.
    #[arg(long, value_enum, group = "change")]
    non_usage: Option<NonUsage>,
    #[command(flatten)]
    by_hand: ByHandWithReason,
}

/// Corrects the balance.
pub async fn adjust(client: &mut Client, options: AdjustOptions, output: Output) -> anyhow::Result<ExitCode> {
    let request_id = options.by_hand.request_id();
    let request = AdjustBalanceRequest {
        account_id: options.account.clone(),
        request_id: request_id.clone(),
        amount: Some(money(&options.amount)),
        operator: options.by_hand.operator(),
        first_sent_at: None,
    };
    let answer = client.accounts.adjust_balance(request).await.map_err(explain)?.into_inner();
    let text = format!("Adjusted by {}.", options.amount);
    let done = Done {
        account: &options.account,
        request_id: &request_id,
        text,
        replayed: answer.replayed,
        credit: answer.credit,
        more: Map::new(),
    };
    done.print(output);
    Ok(ExitCode::SUCCESS)
}

/// Gives a charge back, or a part of it.
pub async fn refund(client: &mut Client, options: RefundOptions, output: Output) -> anyhow::Result<ExitCode> {
    let request_id = options.by_hand.request_id();
    let request = RefundRequest {
        account_id: options.account.clone(),
        request_id: request_id.clone(),
        charge_id: options.charge,
        amount: options.amount.as_deref().map(money),
        first_sent_at: None,
        reason: options.by_hand.reason().to_owned(),
    };
    let answer = client.charging.refund(request).await.map_err(explain)?.into_inner();
    let amount = |money: Option<&crate::grpc::v1::Money>| money.map_or_else(String::new, |money| money.amount.clone());
    let text = format!("Refunded {}, credited {}.", amount(answer.refunded.as_ref()), amount(answer.credited.as_ref()));
    for advice in &answer.advice {
        eprintln!("{}", advice.text);
    }
    let mut more = Map::new();
    more.insert("refunded".into(), amount_of(answer.refunded.as_ref()));
    more.insert("credited".into(), amount_of(answer.credited.as_ref()));
    let done = Done { account: &options.account, request_id: &request_id, text, replayed: answer.replayed, credit: answer.credit, more };
    done.print(output);
    Ok(ExitCode::SUCCESS)
}

/// Changes what an account is called, when its credit is low, how it is billed.
pub async fn update(client: &mut Client, options: UpdateOptions, output: Output) -> anyhow::Result<ExitCode> {
    let low_credit = match options.low_credit {
        Some(amount) => Some(LowCredit::LowCreditThreshold(money(&amount))),
        None => options.no_low_credit.then_some(LowCredit::RemoveLowCreditThreshold(true)),
    };
    let request = UpdateAccountRequest {
        account_id: options.account,
        request_id: options.by_hand.request_id(),
        name: options.name,
        low_credit,
        non_usage_billing: options.non_usage.map_or(NonUsageBilling::Unspecified, NonUsageBilling::from).into(),
        operator: options.by_hand.operator(),
        first_sent_at: None,
    };
    let answer = client.accounts.update_account(request).await.map_err(explain)?.into_inner();
    match output {
        Output::Table => println!("{}", account_table(&answer.account.unwrap_or_default())),
        Output::Json => print_message("UpdateAccountResponse", &answer)?,
    }
    Ok(ExitCode::SUCCESS)
}
