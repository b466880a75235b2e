//! `tollgate man FOLDER`: a manual page for each command, for packages.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, CommandFactory};

use super::CommandLine;

/// Where to write them.
#[derive(Args, Debug)]
pub struct ManOptions {
    /// The folder, which is made if it is not there: tollgate.1, tollgate-account.1, tollgate-account-create.1 and so on.
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,
}

/// Writes them.
pub fn run(options: ManOptions) -> anyhow::Result<ExitCode> {
    let cannot = || format!("cannot write manual pages into {}", options.folder.display());
    std::fs::create_dir_all(&options.folder).with_context(cannot)?;
    clap_mangen::generate_to(CommandLine::command(), &options.folder).with_context(cannot)?;
    Ok(ExitCode::SUCCESS)
}
