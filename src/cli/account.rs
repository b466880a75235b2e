//! `tollgate account ...`: what an operator does with accounts.

mod change;
mod correct;
mod details;
mod history;
pub mod limit;
pub mod list;
mod notes;
pub mod show;
mod statement;

use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::client::{Client, ServerOptions};
use super::output::Output;

/// The command, and its output format.
#[derive(Args, Debug)]
pub struct AccountOptions {
    #[command(subcommand)]
    command: AccountCommand,
    /// Output format.
    #[arg(long, value_enum, default_value_t = Output::Table, global = true)]
    output: Output,
    #[command(flatten)]
    server: ServerOptions,
}

#[derive(Debug, Subcommand)]
enum AccountCommand {
    /// Open an account.
    Create(change::CreateOptions),
    /// Find an account by its id, or by a part of what it is called.
    Show(list::ShowOptions),
    /// List accounts, one in a row, in the order of their names.
    List(list::ListOptions),
    /// Add money that the customer paid.
    TopUp(change::TopUpOptions),
    /// Pay out the customer's own money.
    Withdraw(change::WithdrawOptions),
    /// Correct the balance, such as for goodwill.
    Adjust(correct::AdjustOptions),
    /// Give a charge back, or a part of it.
    Refund(correct::RefundOptions),
    /// Change the name, when credit is low, or how other charges than usage are billed.
    Update(correct::UpdateOptions),
    /// List what happened to an account, newest first.
    Entries(history::EntriesOptions),
    /// List the reservations that are open.
    Reservations(history::HistoryOptions),
    /// Set or remove the permanent or the temporary credit limit.
    Limit(limit::LimitOptions),
    /// Change the payment mode.
    Convert(limit::ConvertOptions),
    /// Show what moved an account's balance within a span of days, or write it as a statement of account.
    Statement(statement::StatementOptions),
    /// Show whom documents are for, or change it.
    Details(details::DetailsOptions),
    /// Note something on an account, for other operators.
    Note(notes::AddOptions),
    /// List the notes on an account, newest first.
    Notes(history::HistoryOptions),
    /// Remove a note.
    RemoveNote(notes::RemoveOptions),
    /// Refuse new authorizations, direct debits and withdrawals from now on.
    Suspend(change::StateOptions),
    /// Resume a suspended account.
    Resume(change::StateOptions),
    /// End the account; it must be empty.
    Close(change::StateOptions),
    /// Open a closed account again.
    Reopen(change::StateOptions),
    /// Erase what is personal of a closed account: names, addresses, what callers sent along. Issued documents stay, and so does the money.
    Erase(change::StateOptions),
}

pub async fn run(options: AccountOptions) -> anyhow::Result<ExitCode> {
    let AccountOptions { command, output, server } = options;
    let mut client = Client::connect(&server).await?;
    match command {
        AccountCommand::Create(options) => change::create(&mut client, options, output).await,
        AccountCommand::Show(options) => list::show(&mut client, options, output).await,
        AccountCommand::List(options) => list::list(&mut client, options, output).await,
        AccountCommand::TopUp(options) => change::top_up(&mut client, options, output).await,
        AccountCommand::Withdraw(options) => change::withdraw(&mut client, options, output).await,
        AccountCommand::Adjust(options) => correct::adjust(&mut client, options, output).await,
        AccountCommand::Refund(options) => correct::refund(&mut client, options, output).await,
        AccountCommand::Update(options) => correct::update(&mut client, options, output).await,
        AccountCommand::Entries(options) => history::entries(&mut client, options, output).await,
        AccountCommand::Reservations(options) => history::reservations(&mut client, options, output).await,
        AccountCommand::Limit(options) => limit::limit(&mut client, options, output).await,
        AccountCommand::Convert(options) => limit::convert(&mut client, options, output).await,
        AccountCommand::Details(options) => details::run(&mut client, options, output).await,
        AccountCommand::Statement(options) => statement::run(&mut client, options, output).await,
        AccountCommand::Note(options) => notes::add(&mut client, options, output).await,
        AccountCommand::Notes(options) => notes::list(&mut client, options, output).await,
        AccountCommand::RemoveNote(options) => notes::remove(&mut client, options, output).await,
        AccountCommand::Suspend(options) => change::suspend(&mut client, options, output).await,
        AccountCommand::Resume(options) => change::resume(&mut client, options, output).await,
        AccountCommand::Close(options) => change::close(&mut client, options, output).await,
        AccountCommand::Reopen(options) => change::reopen(&mut client, options, output).await,
        AccountCommand::Erase(options) => change::erase(&mut client, options, output).await,
    }
}
