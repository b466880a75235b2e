//! `tollgate account show`, `list`: finding accounts.

use std::collections::BTreeSet;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use tonic::Code;

use super::show::{account_table, accounts_table};
use crate::cli::client::Client;
use crate::cli::failure::Failure;
use crate::cli::failure::explain;
use crate::cli::output::Output;
use crate::cli::pages::fetch;
use crate::grpc::v1::{
    Account, AccountMatch, AccountStatus, GetAccountRequest, GetAccountResponse, ListAccountsRequest, ListAccountsResponse, PaymentMode,
    SearchAccountsRequest, SearchAccountsResponse,
};

/// The most accounts that `show` searches for.
const MOST_SHOWN: usize = 500;

/// Which account to show.
#[derive(Args, Debug)]
pub struct ShowOptions {
    /// The account's id, the beginning of its name, or what `list --search` finds.
    account: String,
}

/// Which accounts to list.
#[derive(Args, Debug, Default)]
pub struct ListOptions {
    /// Only names that begin so, whatever the case.
    #[arg(default_value = "")]
    name: String,
    /// Only accounts that have all these words somewhere in their name, in the name on documents, in the id or the tax id, whatever
    /// accents and case.
    #[arg(long, value_name = "TEXT", conflicts_with = "name")]
    search: Option<String>,
    /// Only accounts of this mode.
    #[arg(long, value_enum)]
    mode: Option<Mode>,
    /// Only accounts of this status.
    #[arg(long, value_enum)]
    status: Option<State>,
    /// Only accounts in this currency.
    #[arg(long, value_name = "CODE")]
    currency: Option<String>,
    /// Only accounts whose credit is low.
    #[arg(long, conflicts_with = "name")]
    low_credit: bool,
    /// Only accounts that owe something: their balance is below zero.
    #[arg(long, conflicts_with = "name")]
    owing: bool,
    /// What they are ordered by: name, usable_credit, balance or amount_due; with " desc" behind it, descending [default: name]
    #[arg(long, value_name = "ORDER", conflicts_with = "name")]
    order_by: Option<String>,
    /// The maximum number to list [default: all]
    #[arg(long, value_name = "NUMBER")]
    count: Option<usize>,
}

/// Payment mode: prepaid or postpaid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Mode {
    /// Credit is bought in advance.
    Prepaid,
    /// Charges are billed once a month, within a credit limit.
    Postpaid,
}

impl From<Mode> for PaymentMode {
    fn from(mode: Mode) -> Self {
        match mode {
            Mode::Prepaid => Self::Prepaid,
            Mode::Postpaid => Self::Postpaid,
        }
    }
}

/// Lifecycle of an account.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum State {
    /// Accepts all commands.
    Active,
    /// Nothing new; what is under way may settle.
    Suspended,
    /// Nothing.
    Closed,
}

impl From<State> for AccountStatus {
    fn from(state: State) -> Self {
        match state {
            State::Active => Self::Active,
            State::Suspended => Self::Suspended,
            State::Closed => Self::Closed,
        }
    }
}

/// Shows the account of that id; else the only one that is found by that text; else the rows of all, those whose names begin so first.
pub async fn show(client: &mut Client, options: ShowOptions, output: Output) -> anyhow::Result<ExitCode> {
    let mut accounts = match by_id(client, &options.account).await? {
        Some(account) => vec![account],
        None => by_text(client, &options.account).await?,
    };
    match accounts.len() {
        0 => return Err(Failure::refused(format!("no account has the id, or is found by, {:?}", options.account)).into()),
        1 => output.show(&GetAccountResponse { account: accounts.pop() }, |found| {
            account_table(&found.account.clone().unwrap_or_default()).to_string()
        })?,
        _ => output.show(&ListAccountsResponse { accounts, ..Default::default() }, |found| accounts_table(&found.accounts).to_string())?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Lists accounts.
pub async fn list(client: &mut Client, options: ListOptions, output: Output) -> anyhow::Result<ExitCode> {
    if options.search.is_some() || options.low_credit || options.owing || options.order_by.is_some() {
        let found = by_search(client, &options).await?;
        output.show(&found, |found| accounts_table(&found.accounts).to_string())?;
    } else {
        let found = by_name(client, &options).await?;
        output.show(&found, |found| accounts_table(&found.accounts).to_string())?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn by_id(client: &mut Client, id: &str) -> anyhow::Result<Option<Account>> {
    match client.accounts.get_account(GetAccountRequest { account_id: id.to_owned() }).await {
        Ok(response) => Ok(response.into_inner().account),
        // A name need not have the form of an id.
        Err(status) if [Code::NotFound, Code::InvalidArgument].contains(&status.code()) => Ok(None),
        Err(status) => Err(explain(status)),
    }
}

/// All whose names begin so, then what else a search finds.
async fn by_text(client: &mut Client, text: &str) -> anyhow::Result<Vec<Account>> {
    let mut found = by_name(client, &ListOptions { name: text.to_owned(), ..ListOptions::default() }).await?.accounts;
    let search = ListOptions { search: Some(text.to_owned()), count: Some(MOST_SHOWN), ..ListOptions::default() };
    let others = by_search(client, &search).await?.accounts;
    let known: BTreeSet<_> = found.iter().map(|account| account.account_id.clone()).collect();
    found.extend(others.into_iter().filter(|account| !known.contains(&account.account_id)));
    Ok(found)
}

/// What a search finds; says on stderr how accounts were found, if they may not be all.
async fn by_search(client: &mut Client, options: &ListOptions) -> anyhow::Result<SearchAccountsResponse> {
    let wanted = SearchAccountsRequest {
        query: options.search.clone().unwrap_or_default(),
        mode: options.mode.map_or(PaymentMode::Unspecified, PaymentMode::from).into(),
        status: options.status.map_or(AccountStatus::Unspecified, AccountStatus::from).into(),
        currency_code: options.currency.clone().unwrap_or_default(),
        low_credit: options.low_credit,
        owing: options.owing,
        order_by: options.order_by.clone().unwrap_or_default(),
        ..Default::default()
    };
    let found = fetch(options.count, async |page_size, page_token| {
        client.accounts.search_accounts(SearchAccountsRequest { page_size, page_token, ..wanted.clone() }).await
    });
    let found = found.await?;
    match found.r#match() {
        AccountMatch::Parts | AccountMatch::Unspecified => {}
        AccountMatch::Beginning if wanted.query.is_empty() => {}
        AccountMatch::Beginning => {
            eprintln!("found only by how ids and names begin: it takes a word of 3 characters, and in PostgreSQL pg_trgm")
        }
        AccountMatch::BeginningOfName => {
            eprintln!("found only by how names begin, accents included: there is no billing store to search in now")
        }
    }
    Ok(found)
}

async fn by_name(client: &mut Client, options: &ListOptions) -> anyhow::Result<ListAccountsResponse> {
    let wanted = ListAccountsRequest {
        name_prefix: options.name.clone(),
        mode: options.mode.map_or(PaymentMode::Unspecified, PaymentMode::from).into(),
        status: options.status.map_or(AccountStatus::Unspecified, AccountStatus::from).into(),
        currency_code: options.currency.clone().unwrap_or_default(),
        ..Default::default()
    };
    let page =
        async |page_size, page_token| client.accounts.list_accounts(ListAccountsRequest { page_size, page_token, ..wanted.clone() }).await;
    fetch(options.count, page).await
}
