//! The command line: parse it, do what it says, exit. 0: done; 1: failed, and stderr says why; 2: no such command line.

use std::process::ExitCode;

use clap::Parser;
use tollgate::cli::CommandLine;

fn main() -> ExitCode {
    match CommandLine::parse().run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("tollgate: {error:#}");
            ExitCode::FAILURE
        }
    }
}
