//! `tollgate convert-all`: many accounts to one payment mode, for operators with another billing system, or who move customers.
//!
//! Each account is converted under a request id made of the batch's, so the whole may be repeated: what was done stays done. Outcomes of
//! single accounts go to the standard output; what is shown while it runs, and where it ended, to stderr.

mod report;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::{ArgGroup, Args};

use super::account::limit::money;
use super::account::list::Mode;
use super::client::{Client, ServerOptions};
use super::failure::Failure;
use super::operator::ByHandOfBatch;
use super::output::Output;
use crate::cli::failure::explain;
use crate::grpc::v1::batch_convert_request::{Accounts, Limit};
use crate::grpc::v1::{BatchAccount, BatchAccountFilter, BatchAccountList, BatchConvertRequest, Money, PaymentMode};
use report::Report;

/// How many accounts one request may list.
const MOST_LISTED: usize = 10_000;

/// Which accounts, to which mode, with which limit.
#[derive(Args, Debug)]
#[command(group(ArgGroup::new("accounts").args(["file", "all", "name"]).required(true)))]
#[command(group(ArgGroup::new("limits").args(["limit", "suggested"])))]
pub struct ConvertAllOptions {
    /// The mode to have afterwards.
    #[arg(value_enum)]
    mode: Mode,
    /// The accounts of this file: a line for each, its id and, if it has one of its own, its limit, as "acme,1000". "-": the standard input.
    #[arg(long, value_name = "PATH")]
    file: Option<PathBuf>,
    /// All accounts.
    #[arg(long)]
    all: bool,
    /// All accounts whose names begin so, whatever the case.
    #[arg(long, value_name = "TEXT")]
    name: Option<String>,
    /// Only accounts in this currency; with --all or --name.
    #[arg(long, value_name = "CODE", conflicts_with = "file")]
    currency: Option<String>,
    /// The permanent credit limit of all that the file names none for. With --all or --name it needs --currency.
    #[arg(long, value_name = "AMOUNT")]
    limit: Option<String>,
    /// The limit that each account's own history suggests.
    #[arg(long)]
    suggested: bool,
    /// Accounts that have the mode already get the limit, too.
    #[arg(long)]
    limit_if_unchanged: bool,
    /// Allow postpaid accounts without limit and overpayment, though they can make no transaction then.
    #[arg(long)]
    allow_unusable: bool,
    /// Change nothing: only show what would come of it.
    #[arg(long)]
    dry_run: bool,
    /// Go on after this place: what an earlier run of the same batch said on stderr. With --all or --name.
    #[arg(long, value_name = "TOKEN", default_value = "", conflicts_with = "file")]
    after: String,
    /// Output format; JSON is one object in each line.
    #[arg(long, value_enum, default_value_t = Output::Table)]
    output: Output,
    #[command(flatten)]
    by_hand: ByHandOfBatch,
    #[command(flatten)]
    server: ServerOptions,
}

/// Converts them. Some refused: exit code 1.
pub async fn run(options: ConvertAllOptions) -> anyhow::Result<ExitCode> {
    let requests = requests(&options)?;
    let total = options.file.is_some().then(|| requests.iter().map(listed).sum());
    let mut client = Client::connect(&options.server).await?;
    let mut report = Report::new(options.output, options.dry_run, total)?;
    for mut request in requests {
        request.operator = options.by_hand.operator();
        let mut answers = client.billing.batch_convert(request).await.map_err(explain)?.into_inner();
        loop {
            match answers.message().await {
                Ok(Some(answer)) => report.tell(&answer)?,
                Ok(None) => break,
                Err(status) => {
                    report.broke_off(options.file.is_some());
                    return Err(explain(status));
                }
            }
        }
    }
    match report.finish() {
        0 => Ok(ExitCode::SUCCESS),
        refused => Err(Failure::refused(format!("{refused} accounts were refused, and are as they were")).into()),
    }
}

fn listed(request: &BatchConvertRequest) -> u64 {
    match &request.accounts {
        Some(Accounts::List(list)) => list.accounts.len() as u64,
        _ => 0,
    }
}

/// What to ask for: a long file is asked for in parts.
fn requests(options: &ConvertAllOptions) -> anyhow::Result<Vec<BatchConvertRequest>> {
    let accounts = match &options.file {
        Some(path) => {
            let listed = read_accounts(path)?;
            let lists = listed.chunks(MOST_LISTED).map(|part| Accounts::List(BatchAccountList { accounts: part.to_vec() }));
            lists.collect()
        }
        None => vec![Accounts::Filter(BatchAccountFilter {
            name_prefix: options.name.clone().unwrap_or_default(),
            currency_code: options.currency.clone().unwrap_or_default(),
        })],
    };
    let limit = options.limit.as_deref().map(|amount| Limit::LimitForAll(money(amount)));
    let limit = limit.or_else(|| options.suggested.then_some(Limit::SuggestedLimit(true)));
    let batch_id = options.by_hand.batch_id();
    let request = |accounts| BatchConvertRequest {
        batch_id: batch_id.clone(),
        mode: PaymentMode::from(options.mode).into(),
        accounts: Some(accounts),
        limit: limit.clone(),
        limit_if_unchanged: options.limit_if_unchanged,
        allow_unusable: options.allow_unusable,
        dry_run: options.dry_run,
        resume_token: options.after.clone(),
        // Who does this is known once there is a connection.
        operator: None,
    };
    Ok(accounts.into_iter().map(request).collect())
}

fn read_accounts(path: &Path) -> anyhow::Result<Vec<BatchAccount>> {
    let name = path.display();
    let text = if path == Path::new("-") { std::io::read_to_string(std::io::stdin()) } else { std::fs::read_to_string(path) };
    let text = text.with_context(|| format!("cannot read {name}"))?;
    let mut accounts = Vec::new();
    for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let mut fields = line.split(',').map(str::trim);
        let (account_id, limit) = (fields.next().unwrap_or_default().to_owned(), fields.next().filter(|limit| !limit.is_empty()));
        anyhow::ensure!(fields.next().is_none(), "{name}, line {}: must be an account's id, and perhaps a comma and its limit", index + 1);
        let limit: Option<Money> = limit.map(money);
        accounts.push(BatchAccount { account_id, limit });
    }
    anyhow::ensure!(!accounts.is_empty(), "{name} names no accounts");
    Ok(accounts)
}
