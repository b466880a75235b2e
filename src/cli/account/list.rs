//! `tollgate account show`, `list`: finding accounts.

use std::collections::BTreeSet;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use serde_json::Value;
use tonic::Code;

use super::show::{account_json, account_table, accounts_table};
use crate::cli::client::{Client, explain};
use crate::cli::failure::Failure;
use crate::cli::output::{Output, print_json};
use crate::grpc::v1::{Account, AccountMatch, GetAccountRequest, ListAccountsRequest, PaymentMode, SearchAccountsRequest};

/// How many accounts a page has.
const PAGE: i32 = 500;

/// The most accounts that `show` searches for.
const MOST_SHOWN: usize = 500;

/// Which account to show.
#[derive(Args, Debug)]
pub struct ShowOptions {
    /// The account's id, the beginning of its name, or what `list --search` finds.
    account: String,
}

/// Which accounts to list.
#[derive(Args, Debug)]
pub struct ListOptions {
    /// Only names that begin so, whatever the case.
    #[arg(default_value = "")]
    name: String,
    /// Only accounts that have all these words somewhere in their name, in the name on documents, in the id or the tax id, whatever
    /// accents and case.
    #[arg(long, value_name = "TEXT", conflicts_with_all = ["name", "mode"])]
    search: Option<String>,
    /// Only accounts of this mode.
    #[arg(long, value_enum)]
    mode: Option<Mode>,
    /// At most so many [default: all]
    #[arg(long, value_name = "NUMBER")]
    count: Option<usize>,
}

/// Who pays when.
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

/// Shows the account of that id; else the only one that is found by that text; else the rows of all, those whose names begin so first.
pub async fn show(client: &mut Client, options: ShowOptions, output: Output) -> anyhow::Result<ExitCode> {
    let found = match by_id(client, &options.account).await? {
        Some(account) => vec![account],
        None => {
            let mut found = by_name(client, &options.account, None, usize::MAX).await?;
            let (others, told) = by_search(client, &options.account, MOST_SHOWN).await?;
            tell(told);
            let known: BTreeSet<_> = found.iter().map(|account| account.account_id.clone()).collect();
            found.extend(others.into_iter().filter(|account| !known.contains(&account.account_id)));
            found
        }
    };
    match (found.as_slice(), output) {
        ([], _) => return Err(Failure::refused(format!("no account has the id, or is found by, {:?}", options.account)).into()),
        ([account], Output::Table) => println!("{}", account_table(account)),
        ([account], Output::Json) => print_json(&account_json(account)),
        (accounts, Output::Table) => println!("{}", accounts_table(accounts)),
        (accounts, Output::Json) => print_json(&accounts.iter().map(account_json).collect::<Value>()),
    }
    Ok(ExitCode::SUCCESS)
}

/// Lists accounts.
pub async fn list(client: &mut Client, options: ListOptions, output: Output) -> anyhow::Result<ExitCode> {
    let count = options.count.unwrap_or(usize::MAX);
    let accounts = match options.search {
        Some(text) => {
            let (accounts, told) = by_search(client, &text, count).await?;
            tell(told);
            accounts
        }
        None => by_name(client, &options.name, options.mode, count).await?,
    };
    match output {
        Output::Table => println!("{}", accounts_table(&accounts)),
        Output::Json => print_json(&accounts.iter().map(account_json).collect::<Value>()),
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

/// What a text finds, and what is to be said of how.
async fn by_search(client: &mut Client, text: &str, count: usize) -> anyhow::Result<(Vec<Account>, Option<&'static str>)> {
    let mut request = SearchAccountsRequest { query: text.to_owned(), page_size: PAGE, page_token: String::new() };
    let mut found = Vec::new();
    loop {
        let page = client.accounts.search_accounts(request.clone()).await.map_err(explain)?.into_inner();
        let told = match page.r#match() {
            AccountMatch::Parts | AccountMatch::Unspecified => None,
            AccountMatch::Beginning => Some("only by how ids and names begin: it takes a word of 3 characters, and in PostgreSQL pg_trgm"),
            AccountMatch::BeginningOfName => Some("only by how names begin, accents included: there is no billing store to search in now"),
        };
        found.extend(page.accounts);
        request.page_token = page.next_page_token;
        if request.page_token.is_empty() || found.len() >= count {
            found.truncate(count);
            return Ok((found, told));
        }
    }
}

/// Says how accounts were found, if they may not be all.
fn tell(told: Option<&str>) {
    if let Some(told) = told {
        eprintln!("found {told}");
    }
}

async fn by_name(client: &mut Client, name: &str, mode: Option<Mode>, count: usize) -> anyhow::Result<Vec<Account>> {
    let mut request = ListAccountsRequest {
        name_prefix: name.to_owned(),
        mode: mode.map_or(PaymentMode::Unspecified, PaymentMode::from).into(),
        page_size: PAGE,
        page_token: String::new(),
    };
    let mut found = Vec::new();
    loop {
        let page = client.accounts.list_accounts(request.clone()).await.map_err(explain)?.into_inner();
        found.extend(page.accounts);
        request.page_token = page.next_page_token;
        if request.page_token.is_empty() || found.len() >= count {
            found.truncate(count);
            return Ok(found);
        }
    }
}
