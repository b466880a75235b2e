//! Before the load: the accounts are there.
//!
//! Each is created with a credit limit that no run uses up: one call for each account, which may be repeated, since its request id is
//! always the same. Without that, a million accounts would take a million payments more.

use anyhow::{Context, bail};
use futures_util::{StreamExt, TryStreamExt, stream};
use indicatif::{ProgressBar, ProgressStyle};
use tonic::Code;

use super::operation::Writer;
use super::options::LoadOptions;
use crate::cli::client::Client;
use crate::cli::failure::explain;
use crate::grpc::v1::{CreateAccountRequest, GetAccountRequest, GetLedgerRequest, GetUsableCreditRequest, LedgerPurpose};
use crate::ledger::LedgerId;

/// How many accounts are created at a time.
const AT_A_TIME: usize = 256;

/// How often a call that did not reach the service is repeated.
const ATTEMPTS: usize = 5;

/// Connections to a service, used in turn.
pub struct Clients(Vec<Client>);

impl Clients {
    /// Connects.
    pub async fn connect(options: &LoadOptions) -> anyhow::Result<Self> {
        let mut clients = Vec::new();
        for _ in 0..options.connections.get() {
            clients.push(Client::connect(&options.server).await?);
        }
        Ok(Self(clients))
    }

    /// One of them for the call of that number.
    pub fn for_call(&self, number: usize) -> anyhow::Result<Client> {
        self.0.iter().cycle().nth(number % self.0.len()).cloned().ok_or_else(|| anyhow::anyhow!("there is no connection"))
    }
}

/// Refuses a ledger that was not created for this, unless it was named.
pub async fn check_ledger(clients: &Clients, named: Option<LedgerId>) -> anyhow::Result<()> {
    let mut accounts = clients.for_call(0)?.accounts;
    let answer = match accounts.get_ledger(GetLedgerRequest {}).await {
        Ok(answer) => answer.into_inner(),
        // The empty server, which has no accounts that could be spoiled. An older service has some, but cannot say of which ledger.
        Err(status) if status.code() == Code::Unimplemented && named.is_none() => {
            let nobody = GetAccountRequest { account_id: "nobody".into() };
            return match accounts.get_account(nobody).await {
                Err(status) if status.code() == Code::Unimplemented => Ok(()),
                _ => Err(explain(status)),
            };
        }
        Err(status) => return Err(explain(status)),
    };
    let found: LedgerId = answer.ledger_id.parse().context("the service names no ledger")?;
    match named {
        Some(named) if named == found => Ok(()),
        Some(named) => bail!("the service serves ledger {found}, not ledger {named}"),
        None if answer.purpose() == LedgerPurpose::Bench => Ok(()),
        None => bail!(
            "the service serves ledger {found}, which was not created for this: it would get thousands of accounts. Create one by `tollgate \
             init --for bench`, or name this one by --ledger if that is meant"
        ),
    }
}

/// Creates the accounts that are missing.
pub async fn create(clients: &Clients, writer: &Writer, accounts: u32) -> anyhow::Result<()> {
    let progress = bar("creating accounts", accounts.into());
    stream::iter(0..accounts)
        .map(|account| {
            let progress = &progress;
            async move {
                let client = clients.for_call(account as usize)?;
                create_one(client, writer.create(account)).await?;
                progress.inc(1);
                anyhow::Ok(())
            }
        })
        .buffer_unordered(AT_A_TIME)
        .try_for_each(|()| std::future::ready(Ok(())))
        .await?;
    progress.finish_and_clear();
    Ok(())
}

async fn create_one(mut client: Client, request: CreateAccountRequest) -> anyhow::Result<()> {
    for _ in 1..ATTEMPTS {
        match client.accounts.create_account(request.clone()).await {
            Err(status) if status.code() == Code::Unavailable => tokio::time::sleep(super::PAUSE).await,
            // Of a run so long ago that its request ids are forgotten.
            Err(status) if status.code() == Code::AlreadyExists => return Ok(()),
            answer => return answer.map(drop).map_err(explain),
        }
    }
    client.accounts.create_account(request).await.map(drop).map_err(explain)
}

/// Makes sure that an earlier run has created the accounts.
pub async fn find(clients: &Clients, writer: &Writer, accounts: u32) -> anyhow::Result<()> {
    for account in [0, accounts - 1] {
        let request = GetUsableCreditRequest { account_id: writer.account_id(account) };
        let id = request.account_id.clone();
        clients.for_call(0)?.charging.get_usable_credit(request).await.map_err(|status| {
            explain(status).context(format!("--prepared: there is no account {id}; an earlier run with --prefix would have made it"))
        })?;
    }
    Ok(())
}

/// A progress bar, on a terminal.
pub fn bar(what: &'static str, length: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{msg} {bar:40} {pos} of {len}, {per_sec}, {eta} left");
    ProgressBar::new(length).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar())).with_message(what)
}
