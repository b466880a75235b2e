//! `tollgate completions SHELL`: the script by which a shell completes this command line.

use std::io::Write;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::CommandLine;
use super::pipe::output;

/// For which shell.
#[derive(Args, Debug)]
pub struct CompletionsOptions {
    /// The shell.
    #[arg(value_enum)]
    shell: Shell,
}

/// Prints it.
pub fn run(options: CompletionsOptions) -> anyhow::Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(options.shell, &mut CommandLine::command(), "tollgate", &mut script);
    output().write_all(&script).context("cannot write the script")?;
    Ok(ExitCode::SUCCESS)
}
