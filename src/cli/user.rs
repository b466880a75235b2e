//! `tollgate user`: who may sign in to the web console. It changes the billing store on this machine, or wherever `--billing` says.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, ensure};
use clap::{Args, ValueEnum};
use jiff::Timestamp;
use serde_json::json;

use super::operator::user;
use super::output::Output;
use super::pipe::output;
use super::table::table_of;
use crate::app;
use crate::config::{ConsoleOptions, StoresOptions};
use access::file::GrantEntry;

/// What to do with users.
#[derive(Args, Debug)]
pub struct UserOptions {
    /// What to do.
    #[arg(value_enum)]
    act: Act,
    /// The name of the user. The journal names it as the actor.
    name: Option<String>,
    /// What the user may do: read, operate, finance, audit, admin, or a role of the access file. Can be given several times.
    #[arg(long = "role", value_name = "ROLE")]
    roles: Vec<String>,
    /// Only on this account, or on those whose ids begin with this, if it ends in "/". Can be given several times [default: all]
    #[arg(long = "account", value_name = "ID|PREFIX/")]
    accounts: Vec<String>,
    /// The access file, if roles are defined there.
    #[arg(long, env = "TOLLGATE_ACCESS_FILE", value_name = "PATH")]
    access_file: Option<PathBuf>,
    /// Where the console is, for the link.
    #[command(flatten)]
    console: ConsoleOptions,
    /// Where the users are: in the billing store.
    #[command(flatten)]
    pub stores: StoresOptions,
    /// Output format.
    #[arg(long, value_enum, default_value_t = Output::Table, value_name = "FORMAT")]
    output: Output,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Act {
    /// Create a user, and print a link that signs it in once, within 15 minutes.
    Create,
    /// List users.
    List,
    /// Keep a user from signing in, and end its sessions.
    Disable,
    /// Let a user sign in again.
    Enable,
    /// Forget a user's second factor, and end its sessions: for somebody whose authenticator and recovery codes are lost.
    ResetSecondFactor,
    /// Print a link that signs a user in once, within 15 minutes.
    Link,
}

/// Runs the command.
pub async fn run(options: UserOptions) -> anyhow::Result<ExitCode> {
    let users = app::users(&options.stores, options.access_file.as_deref()).await?;
    if options.act == Act::List {
        return list(&users.list().await?, options.output);
    }
    let name = options.name.clone().context("say which user: its name is missing")?;
    let by = user();
    match options.act {
        Act::Create => {
            ensure!(!options.roles.is_empty(), "say what {name:?} may do: --role, such as operate, finance or admin");
            let accounts = (!options.accounts.is_empty()).then(|| options.accounts.clone());
            users.create(&name, &GrantEntry { roles: options.roles.clone(), accounts, ..GrantEntry::default() }, &by).await?;
            print_link(&options, &users.invite(&name, &by).await?)?;
        }
        Act::Link => print_link(&options, &users.invite(&name, &by).await?)?,
        Act::Disable => users.set_disabled(&name, true, &by).await?,
        Act::Enable => users.set_disabled(&name, false, &by).await?,
        Act::ResetSecondFactor => users.reset_second_factor(&name, &by).await?,
        Act::List => {}
    }
    Ok(ExitCode::SUCCESS)
}

fn print_link(options: &UserOptions, secret: &str) -> anyhow::Result<()> {
    let url = app::console_site(&options.console)?.sign_in_url(secret);
    match options.output {
        Output::Json => writeln!(output(), "{}", json!({ "url": url }))?,
        Output::Table => writeln!(output(), "{url}")?,
    }
    Ok(())
}

/// A grant; of a user of a provider a list.
fn access_of(user: &crate::service::users::User) -> anyhow::Result<serde_json::Value> {
    Ok(match user.access.as_slice() {
        [one] if user.issuer.is_empty() => serde_json::to_value(one)?,
        several => serde_json::to_value(several)?,
    })
}

fn list(users: &[crate::service::users::User], shown: Output) -> anyhow::Result<ExitCode> {
    let since = |user: &crate::service::users::User| Timestamp::from_millisecond(user.created_at.get()).map(|at| at.to_string());
    if shown == Output::Json {
        for user in users {
            let (access, created_at) = (access_of(user)?, since(user)?);
            let (name, has_password, is_disabled) = (&user.name, user.has_password, user.is_disabled);
            let line = json!({ "name": name, "access": access, "hasPassword": has_password, "isDisabled": is_disabled, "hasSecondFactor": user.has_second_factor, "issuer": user.issuer, "createdAt": created_at });
            writeln!(output(), "{line}")?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    let mut listing = table_of(&["name", "roles", "accounts", "password", "second factor", "state", "since"], 7..7);
    for user in users {
        let accounts: Option<Vec<String>> = user.access.iter().map(|grant| grant.accounts.as_ref().map(|ids| ids.join(" "))).collect();
        let accounts = accounts.map_or_else(|| "all".to_owned(), |ids| ids.join(" "));
        let password = match (user.has_password, user.issuer.as_str()) {
            (true, _) => "set",
            (false, "") => "none",
            (false, issuer) => issuer,
        };
        let roles: Vec<String> = user.access.iter().flat_map(|grant| grant.roles.clone()).collect();
        let factor = if user.has_second_factor { "on" } else { "off" };
        let state = if user.is_disabled { "disabled" } else { "may sign in" };
        listing.add_row([
            user.name.clone(),
            roles.join(" "),
            accounts,
            password.to_owned(),
            factor.to_owned(),
            state.to_owned(),
            since(user)?,
        ]);
    }
    println!("{listing}");
    Ok(ExitCode::SUCCESS)
}
