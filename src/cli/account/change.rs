//! `tollgate account create`, `top-up`, `withdraw`, `suspend`, `resume`, `close`, `reopen`, `erase`.

use std::process::ExitCode;

use clap::{Args, ValueEnum};

use super::limit::{LimitArguments, money};
use super::list::Mode;
use super::show::{account_table, show_change};
use crate::cli::client::Client;
use crate::cli::failure::Failure;
use crate::cli::operator::{ByHand, ByHandWithReason};
use crate::cli::output::Output;
use crate::cli::payment_details::DetailsOptions;
use crate::grpc::v1::withdraw_response::Outcome;
use crate::grpc::v1::{
    CloseAccountRequest, CreateAccountRequest, CreateAccountResponse, EraseAccountRequest, NonUsageBilling, Operator, PaymentMode,
    ReopenAccountRequest, ResumeAccountRequest, ResumeAccountResponse, SuspendAccountRequest, SuspendAccountResponse, TopUpRequest,
    WithdrawRequest, WithdrawResponse,
};

/// The account to open.
#[derive(Args, Debug)]
pub struct CreateOptions {
    /// Its id.
    account: String,
    /// Name of the customer.
    #[arg(long, value_name = "TEXT")]
    name: String,
    /// ISO 4217 code; it never changes.
    #[arg(long, value_name = "CODE")]
    currency: String,
    /// Payment mode: prepaid or postpaid.
    #[arg(long, value_enum)]
    mode: Mode,
    /// How many decimals its amounts have [default: the currency's own and 4 more, at most 6]
    #[arg(long, value_name = "NUMBER")]
    decimals: Option<i32>,
    #[command(flatten)]
    limit: LimitArguments,
    /// Below this usable credit, watchers are warned that credit is low.
    #[arg(long, value_name = "AMOUNT")]
    low_credit: Option<String>,
    /// How subscriptions, hardware and services are billed.
    #[arg(long, value_enum, default_value_t = NonUsage::Consolidated)]
    non_usage: NonUsage,
    /// Allow a postpaid account without a limit, though it can make no transaction.
    #[arg(long)]
    allow_unusable: bool,
    #[command(flatten)]
    by_hand: ByHand,
}

/// How subscriptions, hardware and services are billed.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum NonUsage {
    /// On the monthly bill, with everything else.
    Consolidated,
    /// Each is a bill of its own.
    OneByOne,
}

impl From<NonUsage> for NonUsageBilling {
    fn from(billed: NonUsage) -> Self {
        match billed {
            NonUsage::Consolidated => Self::Consolidated,
            NonUsage::OneByOne => Self::OneByOne,
        }
    }
}

/// What to add.
#[derive(Args, Debug)]
pub struct TopUpOptions {
    /// The account's id.
    account: String,
    /// How much.
    amount: String,
    #[command(flatten)]
    by_hand: ByHand,
    #[command(flatten)]
    details: DetailsOptions,
}

/// What to pay out.
#[derive(Args, Debug)]
pub struct WithdrawOptions {
    /// The account's id.
    account: String,
    /// How much.
    amount: String,
    #[command(flatten)]
    by_hand: ByHandWithReason,
}

/// Which account.
#[derive(Args, Debug)]
pub struct StateOptions {
    /// The account's id.
    account: String,
    #[command(flatten)]
    by_hand: ByHandWithReason,
}

impl StateOptions {
    /// The account, the name of the request, who, and why.
    fn into_parts(self) -> (String, String, Option<Operator>) {
        (self.account, self.by_hand.request_id(), self.by_hand.operator())
    }
}

/// Opens an account.
pub async fn create(client: &mut Client, options: CreateOptions, output: Output) -> anyhow::Result<ExitCode> {
    let request = CreateAccountRequest {
        account_id: options.account,
        request_id: options.by_hand.request_id(),
        name: options.name,
        currency_code: options.currency,
        mode: PaymentMode::from(options.mode).into(),
        decimals: options.decimals,
        credit_limit: options.limit.change(),
        low_credit_threshold: options.low_credit.as_deref().map(money),
        non_usage_billing: NonUsageBilling::from(options.non_usage).into(),
        allow_unusable: options.allow_unusable,
        operator: options.by_hand.operator(),
        ..Default::default()
    };
    let text = |created: &CreateAccountResponse| account_table(&created.account.clone().unwrap_or_default()).to_string();
    output.show_call(client.accounts.create_account(request), text).await?;
    Ok(ExitCode::SUCCESS)
}

/// Adds money.
pub async fn top_up(client: &mut Client, options: TopUpOptions, output: Output) -> anyhow::Result<ExitCode> {
    let TopUpOptions { account, amount, by_hand, details } = options;
    let request = TopUpRequest {
        account_id: account.clone(),
        request_id: by_hand.request_id(),
        amount: Some(money(&amount)),
        operator: by_hand.operator(),
        details: details.details(),
        ..Default::default()
    };
    show_change(output, &account, client.accounts.top_up(request), |_| format!("Topped up by {amount}.")).await?;
    Ok(ExitCode::SUCCESS)
}

/// Pays out, or says why not.
pub async fn withdraw(client: &mut Client, options: WithdrawOptions, output: Output) -> anyhow::Result<ExitCode> {
    let WithdrawOptions { account, amount, by_hand } = options;
    let request = WithdrawRequest {
        account_id: account.clone(),
        request_id: by_hand.request_id(),
        amount: Some(money(&amount)),
        operator: by_hand.operator(),
        ..Default::default()
    };
    let sentence = |answer: &WithdrawResponse| match &answer.outcome {
        Some(Outcome::Withdrawn(withdrawn)) => format!("Paid out: {} {}.", withdrawn.amount, withdrawn.currency_code),
        _ => "Declined.".to_owned(),
    };
    match show_change(output, &account, client.accounts.withdraw(request), sentence).await?.outcome {
        Some(Outcome::Declined(declined)) => {
            let (usable, shortfall) = (declined.usable.unwrap_or_default(), declined.shortfall.unwrap_or_default());
            let text = format!(
                "declined: of the customer's own money {} {} can be paid out, {} too little (INSUFFICIENT_FUNDS)",
                usable.amount, usable.currency_code, shortfall.amount
            );
            Err(Failure::refused(text).into())
        }
        _ => Ok(ExitCode::SUCCESS),
    }
}

/// Suspends an account.
pub async fn suspend(client: &mut Client, options: StateOptions, output: Output) -> anyhow::Result<ExitCode> {
    let (account, request_id, operator) = options.into_parts();
    let request = SuspendAccountRequest { account_id: account.clone(), request_id, operator, ..Default::default() };
    let sentence = |answer: &SuspendAccountResponse| if answer.changed { "Suspended." } else { "It was suspended already." }.to_owned();
    show_change(output, &account, client.accounts.suspend_account(request), sentence).await?;
    Ok(ExitCode::SUCCESS)
}

/// Resumes an account.
pub async fn resume(client: &mut Client, options: StateOptions, output: Output) -> anyhow::Result<ExitCode> {
    let (account, request_id, operator) = options.into_parts();
    let request = ResumeAccountRequest { account_id: account.clone(), request_id, operator, ..Default::default() };
    let sentence = |answer: &ResumeAccountResponse| if answer.changed { "Resumed." } else { "It was active already." }.to_owned();
    show_change(output, &account, client.accounts.resume_account(request), sentence).await?;
    Ok(ExitCode::SUCCESS)
}

/// Closes an account.
pub async fn close(client: &mut Client, options: StateOptions, output: Output) -> anyhow::Result<ExitCode> {
    let (account, request_id, operator) = options.into_parts();
    let request = CloseAccountRequest { account_id: account.clone(), request_id, operator, ..Default::default() };
    show_change(output, &account, client.accounts.close_account(request), |_| "Closed.".to_owned()).await?;
    Ok(ExitCode::SUCCESS)
}

/// Erases what is personal of a closed account.
pub async fn erase(client: &mut Client, options: StateOptions, output: Output) -> anyhow::Result<ExitCode> {
    let (account_id, request_id, operator) = options.into_parts();
    let request = EraseAccountRequest { account_id, request_id, operator, ..Default::default() };
    output.show_call(client.accounts.erase_account(request), |_| "Erased.".to_owned()).await?;
    Ok(ExitCode::SUCCESS)
}

/// Opens a closed account again.
pub async fn reopen(client: &mut Client, options: StateOptions, output: Output) -> anyhow::Result<ExitCode> {
    let (account, request_id, operator) = options.into_parts();
    let request = ReopenAccountRequest { account_id: account.clone(), request_id, operator, ..Default::default() };
    show_change(output, &account, client.accounts.reopen_account(request), |_| "Open again.".to_owned()).await?;
    Ok(ExitCode::SUCCESS)
}
