//! `tollgate account create`, `top-up`, `withdraw`, `suspend`, `resume`, `close`, `reopen`.

use std::process::ExitCode;

use clap::{Args, ValueEnum};
use serde_json::{Map, Value};

use super::limit::{LimitArguments, money};
use super::list::Mode;
use super::show::{Done, account_json, account_table, amount_of};
use crate::cli::client::{Client, explain};
use crate::cli::failure::Failure;
use crate::cli::operator::{ByHand, ByHandWithReason};
use crate::cli::output::{Output, print_json};
use crate::cli::payment::DetailsOptions;
use crate::grpc::v1::withdraw_response::Outcome;
use crate::grpc::v1::{
    CloseAccountRequest, CreateAccountRequest, NonUsageBilling, PaymentMode, ReopenAccountRequest, ResumeAccountRequest,
    SuspendAccountRequest, TopUpRequest, WithdrawRequest,
};

/// The account to open.
#[derive(Args, Debug)]
pub struct CreateOptions {
    /// Its id.
    account: String,
    /// What people call the customer.
    #[arg(long, value_name = "TEXT")]
    name: String,
    /// ISO 4217 code; it never changes.
    #[arg(long, value_name = "CODE")]
    currency: String,
    /// Who pays when.
    #[arg(long, value_enum)]
    mode: Mode,
    /// How many decimals its amounts have [default: the currency's own and 4 more, at most 6]
    #[arg(long, value_name = "NUMBER")]
    decimals: Option<i32>,
    #[command(flatten)]
    limit: LimitArguments,
    /// Below this usable credit, watchers are told that credit is low.
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

/// Opens an account.
pub async fn create(client: &mut Client, options: CreateOptions, output: Output) -> anyhow::Result<ExitCode> {
    let request_id = options.by_hand.request_id();
    let request = CreateAccountRequest {
        account_id: options.account,
        request_id: request_id.clone(),
        name: options.name,
        currency_code: options.currency,
        mode: PaymentMode::from(options.mode).into(),
        decimals: options.decimals,
        credit_limit: options.limit.change()?,
        low_credit_threshold: options.low_credit.as_deref().map(money),
        non_usage_billing: NonUsageBilling::from(options.non_usage).into(),
        allow_unusable: options.allow_unusable,
        operator: options.by_hand.operator(),
        first_sent_at: None,
    };
    let answer = client.accounts.create_account(request).await.map_err(explain)?.into_inner();
    let account = answer.account.unwrap_or_default();
    match output {
        Output::Table => println!("{}", account_table(&account)),
        Output::Json => {
            let mut fields = Map::new();
            fields.insert("request_id".into(), request_id.into());
            fields.insert("replayed".into(), answer.replayed.into());
            fields.insert("account".into(), account_json(&account));
            print_json(&Value::Object(fields));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Adds money.
pub async fn top_up(client: &mut Client, options: TopUpOptions, output: Output) -> anyhow::Result<ExitCode> {
    let request_id = options.by_hand.request_id();
    let request = TopUpRequest {
        account_id: options.account.clone(),
        request_id: request_id.clone(),
        amount: Some(money(&options.amount)),
        first_sent_at: None,
        operator: options.by_hand.operator(),
        details: options.details.details(),
    };
    let answer = client.accounts.top_up(request).await.map_err(explain)?.into_inner();
    let text = format!("Topped up by {}.", options.amount);
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

/// Pays out, or says why not.
pub async fn withdraw(client: &mut Client, options: WithdrawOptions, output: Output) -> anyhow::Result<ExitCode> {
    let request_id = options.by_hand.request_id();
    let request = WithdrawRequest {
        account_id: options.account.clone(),
        request_id: request_id.clone(),
        amount: Some(money(&options.amount)),
        operator: options.by_hand.operator(),
        first_sent_at: None,
    };
    let answer = client.accounts.withdraw(request).await.map_err(explain)?.into_inner();
    let mut more = Map::new();
    let (withdrawn, declined) = match answer.outcome {
        Some(Outcome::Withdrawn(withdrawn)) => (Some(withdrawn), None),
        Some(Outcome::Declined(declined)) => (None, Some(declined)),
        None => (None, None),
    };
    more.insert("withdrawn".into(), amount_of(withdrawn.as_ref()));
    let text = match &withdrawn {
        Some(withdrawn) => format!("Paid out: {} {}.", withdrawn.amount, withdrawn.currency_code),
        None => "Declined.".to_owned(),
    };
    let done = Done { account: &options.account, request_id: &request_id, text, replayed: answer.replayed, credit: answer.credit, more };
    done.print(output);
    match declined {
        None => Ok(ExitCode::SUCCESS),
        Some(declined) => {
            let (usable, shortfall) = (declined.usable.unwrap_or_default(), declined.shortfall.unwrap_or_default());
            let text = format!(
                "declined: of the customer's own money {} {} can be paid out, {} too little (INSUFFICIENT_FUNDS)",
                usable.amount, usable.currency_code, shortfall.amount
            );
            Err(Failure::refused(text).into())
        }
    }
}

/// Suspends an account.
pub async fn suspend(client: &mut Client, options: StateOptions, output: Output) -> anyhow::Result<ExitCode> {
    let request_id = options.by_hand.request_id();
    let (account_id, operator) = (options.account.clone(), options.by_hand.operator());
    let request = SuspendAccountRequest { account_id, request_id: request_id.clone(), operator, first_sent_at: None };
    let answer = client.accounts.suspend_account(request).await.map_err(explain)?.into_inner();
    let text = if answer.changed { "Suspended." } else { "It was suspended already." };
    finished(&options.account, &request_id, text, answer.changed, answer.replayed, answer.credit, output)
}

/// Resumes an account.
pub async fn resume(client: &mut Client, options: StateOptions, output: Output) -> anyhow::Result<ExitCode> {
    let request_id = options.by_hand.request_id();
    let (account_id, operator) = (options.account.clone(), options.by_hand.operator());
    let request = ResumeAccountRequest { account_id, request_id: request_id.clone(), operator, first_sent_at: None };
    let answer = client.accounts.resume_account(request).await.map_err(explain)?.into_inner();
    let text = if answer.changed { "Resumed." } else { "It was active already." };
    finished(&options.account, &request_id, text, answer.changed, answer.replayed, answer.credit, output)
}

/// Closes an account.
pub async fn close(client: &mut Client, options: StateOptions, output: Output) -> anyhow::Result<ExitCode> {
    let request_id = options.by_hand.request_id();
    let (account_id, operator) = (options.account.clone(), options.by_hand.operator());
    let request = CloseAccountRequest { account_id, request_id: request_id.clone(), operator, first_sent_at: None };
    let answer = client.accounts.close_account(request).await.map_err(explain)?.into_inner();
    finished(&options.account, &request_id, "Closed.", true, answer.replayed, answer.credit, output)
}

/// Opens a closed account again.
pub async fn reopen(client: &mut Client, options: StateOptions, output: Output) -> anyhow::Result<ExitCode> {
    let request_id = options.by_hand.request_id();
    let (account_id, operator) = (options.account.clone(), options.by_hand.operator());
    let request = ReopenAccountRequest { account_id, request_id: request_id.clone(), operator, first_sent_at: None };
    let answer = client.accounts.reopen_account(request).await.map_err(explain)?.into_inner();
    finished(&options.account, &request_id, "Open again.", true, answer.replayed, answer.credit, output)
}

fn finished(
    account: &str,
    request_id: &str,
    text: &str,
    changed: bool,
    replayed: bool,
    credit: Option<crate::grpc::v1::Credit>,
    output: Output,
) -> anyhow::Result<ExitCode> {
    let mut more = Map::new();
    more.insert("changed".into(), changed.into());
    Done { account, request_id, text: text.to_owned(), replayed, credit, more }.print(output);
    Ok(ExitCode::SUCCESS)
}
