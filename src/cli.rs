//! The roles of the binary, one module each.
//!
//! [`serve`] runs the service, [`aggregate`] takes its journal into the billing store, [`demo`] shows it, [`mod@bench`] measures it; the others are operators' commands, which call a running service by the one gRPC
//! [`client`].

pub mod aggregate;
pub mod bench;
pub mod client;
pub mod credit;
pub mod demo;
pub mod serve;
mod table;

use std::future::Future;
use std::process::ExitCode;

use anyhow::Context;
use clap::error::ErrorKind;
use clap::{CommandFactory, Parser, Subcommand};

use crate::config::{AggregateOptions, ServeOptions};

/// Real-time charging: prepaid and postpaid credit, authorized and debited atomically, over gRPC.
#[derive(Debug, Parser)]
#[command(name = "tollgate", version, about)]
pub struct CommandLine {
    #[command(subcommand)]
    role: Role,
}

#[derive(Debug, Subcommand)]
enum Role {
    /// Run the service.
    Serve(Box<ServeOptions>),
    /// Take the journal into the billing store.
    Aggregate(Box<AggregateOptions>),
    /// Start the service, drive a few thousand calls of sample customers through it, show and check what happened.
    Demo(demo::DemoOptions),
    /// Generate load against a running service, measure it, and check the books afterwards.
    Bench(Box<bench::BenchOptions>),
    /// Show what an account can use.
    Credit(credit::CreditOptions),
}

impl CommandLine {
    /// Does what it says.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        match self.role {
            Role::Serve(options) => {
                refuse_usage(options.validate());
                serve::run(*options)
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
        }
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
