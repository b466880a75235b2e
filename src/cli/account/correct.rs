//! `tollgate account adjust`, `refund`, `update`: what an operator corrects.

use std::process::ExitCode;

use clap::{ArgGroup, Args};

use super::change::NonUsage;
use super::limit::money;
use super::show::{account_table, show_change};
use crate::cli::client::Client;
use crate::cli::operator::ByHandWithReason;
use crate::cli::output::Output;
use crate::grpc::v1::update_account_request::LowCredit;
use crate::grpc::v1::{
    AdjustBalanceRequest, Money, NonUsageBilling, RefundRequest, RefundResponse, UpdateAccountRequest, UpdateAccountResponse,
};

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
    /// Name of the customer.
    #[arg(long, value_name = "TEXT", group = "change")]
    name: Option<String>,
    /// Below this usable credit, watchers are warned that credit is low.
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
    let AdjustOptions { account, amount, by_hand } = options;
    let request = AdjustBalanceRequest {
        account_id: account.clone(),
        request_id: by_hand.request_id(),
        amount: Some(money(&amount)),
        operator: by_hand.operator(),
        ..Default::default()
    };
    show_change(output, &account, client.accounts.adjust_balance(request), |_| format!("Adjusted by {amount}.")).await?;
    Ok(ExitCode::SUCCESS)
}

/// Refunds a charge, or a part of it.
pub async fn refund(client: &mut Client, options: RefundOptions, output: Output) -> anyhow::Result<ExitCode> {
    let RefundOptions { account, charge: charge_id, amount, by_hand } = options;
    let request = RefundRequest {
        account_id: account.clone(),
        request_id: by_hand.request_id(),
        charge_id,
        amount: amount.as_deref().map(money),
        reason: by_hand.reason().to_owned(),
        ..Default::default()
    };
    let sentence = |refund: &RefundResponse| {
        let amount = |money: &Option<Money>| money.clone().unwrap_or_default().amount;
        let advice = refund.advice.iter().map(|advice| format!("\n- {}", advice.text)).collect::<String>();
        format!("Refunded {}, credited {}.{advice}", amount(&refund.refunded), amount(&refund.credited))
    };
    show_change(output, &account, client.charging.refund(request), sentence).await?;
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
        ..Default::default()
    };
    let text = |updated: &UpdateAccountResponse| account_table(&updated.account.clone().unwrap_or_default()).to_string();
    output.show_call(client.accounts.update_account(request), text).await?;
    Ok(ExitCode::SUCCESS)
}
