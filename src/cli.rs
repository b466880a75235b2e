//! The roles of the binary, one module each.
//!
//! [`serve`] runs the service, [`aggregate`] takes its journal into the billing store, [`demo`] shows it, [`mod@bench`] measures it; the others are operators' commands, which call a running service by the one gRPC
//! [`client`].

pub mod access;
pub mod account;
pub mod aggregate;
pub mod aggregation;
pub mod approvals;
pub mod audit;
pub mod backup;
pub mod bench;
pub mod call;
pub mod client;
pub mod completions;
pub mod config;
mod config_file;
pub mod convert_all;
pub mod credit;
pub mod declines;
pub mod demo;
pub mod export;
pub mod failure;
pub mod health;
pub mod init;
pub mod invoice;
pub mod issuer;
pub mod issuing;
pub mod item;
pub mod link;
pub mod mail;
pub mod man;
mod operator;
pub mod output;
mod pages;
mod paper;
pub mod payment;
mod payment_details;
pub mod pipe;
pub mod receivables;
pub mod reconcile;
pub mod release_journal;
mod reload;
pub mod restore;
pub mod retention;
pub mod sending;
pub mod serve;
pub mod suggest_limit;
mod table;
pub mod tax;
pub mod template;
pub mod user;
pub mod verify;

use std::future::Future;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{ArgMatches, Command, CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::config::{AggregateOptions, ServeOptions};
use config_file::Layers;
use output::Output;

/// Real-time charging: prepaid and postpaid credit, authorized and debited atomically, over gRPC.
#[derive(Debug, Parser)]
#[command(name = "tollgate", version, about)]
pub struct CommandLine {
    /// Take settings of `serve` and of other commands that open the stores from this file; `tollgate config default` prints one.
    #[arg(long, env = "TOLLGATE_CONFIG", value_name = "FILE", global = true, hide = true)]
    config: Option<PathBuf>,
    #[command(subcommand)]
    role: Role,
}

#[derive(Debug, Subcommand)]
enum Role {
    /// Run the service.
    Serve(Box<ServeOptions>),
    /// Create a ledger. Nothing else does, unless told to.
    Init(Box<init::InitOptions>),
    /// Aggregate the journal into the billing store.
    Aggregate(Box<AggregateOptions>),
    /// Start the service, drive a few thousand calls of sample customers through it, show and check what happened.
    Demo(demo::DemoOptions),
    /// Generate load against a running service, measure it, and check the books afterwards.
    Bench(Box<bench::BenchOptions>),
    /// Show what an account can use.
    Credit(credit::CreditOptions),
    /// Show why commands on an account were declined within the last day.
    Declines(declines::DeclinesOptions),
    /// Open, find, fund, limit, convert, suspend and close accounts.
    Account(Box<account::AccountOptions>),
    /// List and show invoices, statements and credit notes; write them as files.
    Invoice(Box<invoice::InvoiceOptions>),
    /// Set and show who issues documents.
    Issuer(Box<issuer::IssuerOptions>),
    /// Set and list what documents call items.
    Item(Box<item::ItemOptions>),
    /// Set whether drafts are looked at before they are issued, and show what waits.
    Issuing(Box<issuing::IssuingOptions>),
    /// Set and show whether documents are sent to customers, and how.
    Sending(Box<sending::SendingOptions>),
    /// Make, list and revoke links by which customers look at a document.
    Link(Box<link::LinkOptions>),
    /// Look at mails to customers, hand in bounces, resolve mails with unknown delivery.
    Mail(Box<mail::MailOptions>),
    /// Show, try and save what is written in place of the usual mails.
    Template(Box<template::TemplateOptions>),
    /// Set and list rates of tax, and accounts that are charged none.
    Tax(Box<tax::TaxOptions>),
    /// Record payments, look at them, allocate them, take them back; write off debts.
    Payment(Box<payment::PaymentOptions>),
    /// Show what is not yet paid, by account and by how long it is overdue.
    Receivables(receivables::ReceivablesOptions),
    /// Estimate the credit limit that an account would need in postpaid.
    SuggestLimit(suggest_limit::SuggestLimitOptions),
    /// Write usage records as NDJSON or CSV, for billing elsewhere.
    Export(Box<export::ExportOptions>),
    /// Convert many accounts: a list, or all that match.
    ConvertAll(Box<convert_all::ConvertAllOptions>),
    /// Compare ledger, journal, totals and documents.
    Verify(Box<verify::VerifyOptions>),
    /// Show where ledger and billing store differ, and have them go on together.
    Reconcile(Box<reconcile::ReconcileOptions>),
    /// Restore an empty ledger from the billing store.
    Restore(Box<restore::RestoreOptions>),
    /// Show what retention would delete.
    Retention(Box<retention::ShowRetentionOptions>),
    /// Say that no billing store reads a ledger's journal any more, so that `serve --billing off` may delete it unread.
    ReleaseJournal(release_journal::ReleaseJournalOptions),
    /// Manage who may call, in the access file on this machine.
    Access(Box<access::AccessOptions>),
    /// List, approve and reject acts that need a second person; set from which figures on they do.
    Approvals(Box<approvals::ApprovalsOptions>),
    /// List who did what.
    Audit(audit::AuditOptions),
    /// Manage who may sign in to the web console, in the billing store on this machine.
    User(Box<user::UserOptions>),
    /// Take a backup of ledger and billing store from a running service.
    Backup(backup::BackupOptions),
    /// Ask a process whether it serves, by its exit code, too.
    Health(health::HealthOptions),
    /// Show how far the billing store has followed the ledger.
    Aggregation(aggregation::AggregationOptions),
    /// Call any RPC, its messages in JSON.
    Call(call::CallOptions),
    /// Check and show settings, and print a configuration file with all of them.
    Config(config::ConfigOptions),
    /// Print the script by which a shell completes this command line.
    Completions(completions::CompletionsOptions),
    /// Write a manual page for each command.
    Man(man::ManOptions),
}

impl CommandLine {
    /// Reads the command line of this process, and how its command is to show things, errors too.
    #[must_use]
    pub fn parse_with_output() -> (Self, Output) {
        let command = Self::command();
        let layers = Layers::read(&command, file_of(&command).as_deref(), config::variable)
            .unwrap_or_else(|error| Self::command().error(ErrorKind::InvalidValue, format!("{error:#}")).exit());
        let matches = layers.under(command).get_matches();
        refuse_visible_secrets(&matches);
        let line = Self::from_arg_matches(&matches).unwrap_or_else(|error| error.format(&mut Self::command()).exit());
        let output = if matches!(line.role, Role::Call(_)) { Output::Json } else { output_of(&matches) };
        (line, output)
    }

    /// Whether it prints something and ends, unlike a service, which must not end with the reader of its log.
    #[must_use]
    pub fn is_for_a_terminal(&self) -> bool {
        !matches!(self.role, Role::Serve(_) | Role::Aggregate(_) | Role::Demo(_) | Role::Bench(_))
    }

    /// Executes the command.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        match self.role {
            Role::Serve(options) => {
                refuse_usage(options.validate());
                serve::run(*options)
            }
            Role::Init(options) => {
                refuse_usage(options.validate());
                block_on(init::run(*options))
            }
            Role::Aggregate(options) => {
                refuse_usage(options.validate());
                aggregate::run(&options)
            }
            Role::Demo(options) => {
                refuse_usage(options.validate());
                demo::run(options)
            }
            Role::Bench(options) => {
                refuse_usage(options.validate());
                bench::run(*options)
            }
            Role::Credit(options) => block_on(credit::run(options)),
            Role::Declines(options) => block_on(declines::run(options)),
            Role::Account(options) => block_on(account::run(*options)),
            Role::Invoice(options) => block_on(invoice::run(*options)),
            Role::Issuer(options) => block_on(issuer::run(*options)),
            Role::Item(options) => block_on(item::run(*options)),
            Role::Issuing(options) => block_on(issuing::run(*options)),
            Role::Sending(options) => block_on(sending::run(*options)),
            Role::Template(options) => block_on(template::run(*options)),
            Role::Link(options) => block_on(link::run(*options)),
            Role::Mail(options) => block_on(mail::run(*options)),
            Role::Tax(options) => block_on(tax::run(*options)),
            Role::Payment(options) => block_on(payment::run(*options)),
            Role::Receivables(options) => block_on(receivables::run(options)),
            Role::SuggestLimit(options) => block_on(suggest_limit::run(options)),
            Role::Export(options) => {
                refuse_usage(options.validate());
                block_on(export::run(*options))
            }
            Role::ConvertAll(options) => block_on(convert_all::run(*options)),
            Role::Approvals(options) => block_on(approvals::run(*options)),
            Role::Audit(options) => block_on(audit::run(options)),
            Role::User(options) => {
                refuse_usage(options.stores.validate());
                block_on(user::run(*options))
            }
            Role::Backup(options) => block_on(backup::run(options)),
            Role::Health(options) => block_on(health::run(options)),
            Role::Aggregation(options) => block_on(aggregation::run(options)),
            Role::Verify(options) => {
                refuse_usage(options.stores.validate());
                block_on(verify::run(*options))
            }
            Role::Reconcile(options) => {
                refuse_usage(options.validate());
                block_on(reconcile::run(*options))
            }
            Role::Restore(options) => {
                refuse_usage(options.stores.validate());
                block_on(restore::run(*options))
            }
            Role::Retention(options) => {
                refuse_usage(options.stores.validate());
                block_on(retention::run(*options))
            }
            Role::ReleaseJournal(options) => {
                refuse_usage(options.validate());
                block_on(release_journal::run(options))
            }
            Role::Call(options) => block_on(call::run(options)),
            Role::Config(options) => config::run(&options, self.config.as_ref()),
            Role::Access(options) => block_on(access::run(*options)),
            Role::Completions(options) => completions::run(options),
            Role::Man(options) => man::run(options),
        }
    }
}

/// The configuration file, if the command line or the environment names one.
fn file_of(command: &Command) -> Option<PathBuf> {
    let named = command.clone().ignore_errors(true).disable_help_flag(true).get_matches();
    named.get_one::<PathBuf>("config").cloned()
}

/// Refuses a secret on the command line: everybody on this machine can read that.
fn refuse_visible_secrets(matches: &ArgMatches) {
    let Some((_, command)) = matches.subcommand() else { return };
    for (id, option, variable) in [
        ("redis", "--redis", "TOLLGATE_REDIS"),
        ("billing", "--billing", "TOLLGATE_BILLING"),
        ("otlp_endpoint", "--otlp-endpoint", "TOLLGATE_OTLP_ENDPOINT"),
        ("smtp_password", "--smtp-password", "TOLLGATE_SMTP_PASSWORD"),
        ("oidc_client_secret", "--oidc-client-secret", "TOLLGATE_OIDC_CLIENT_SECRET"),
    ] {
        let is_known = command.ids().any(|known| known == id);
        if !is_known || command.value_source(id) != Some(ValueSource::CommandLine) {
            continue;
        }
        let is_url = !matches!(id, "smtp_password" | "oidc_client_secret");
        let mut values = command.get_raw(id).into_iter().flatten();
        if !is_url || values.any(|value| has_password(&value.to_string_lossy())) {
            let what = if is_url { format!("the password in {option}") } else { option.to_owned() };
            let text = format!("{what} can be read by everybody on this machine: put it into {variable}, or a file by {variable}_FILE");
            CommandLine::command().error(ErrorKind::ArgumentConflict, text).exit();
        }
    }
}

/// Whether a value is a URL with a password in it. It may name several hosts, as URLs of other kinds do not.
fn has_password(value: &str) -> bool {
    let Some((_, rest)) = value.split_once("://") else { return false };
    let (before, query) = rest.split_once('?').unwrap_or((rest, ""));
    let user = before.split('/').next().and_then(|authority| authority.rsplit_once('@')).map_or("", |(user, _)| user);
    let in_front = user.split_once(':').is_some_and(|(_, password)| !password.is_empty());
    in_front || query.split('&').any(|pair| pair.split('=').next().is_some_and(|name| name == "pass" || name.ends_with("password")))
}

/// What `--output` says, if the command has it.
fn output_of(matches: &ArgMatches) -> Output {
    match matches.subcommand() {
        Some((_, of_command)) => output_of(of_command),
        None => matches.try_get_one("output").ok().flatten().copied().unwrap_or(Output::Table),
    }
}

/// Options that do not go together are an error of usage, as those are that clap finds.
fn refuse_usage(validated: anyhow::Result<()>) {
    if let Err(error) = validated {
        CommandLine::command().error(ErrorKind::ArgumentConflict, format!("{error:#}")).exit();
    }
}

/// Runs a command on this thread.
fn block_on<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start a runtime")?.block_on(work)
}
